//! Where the bits of a code are (ISO/IEC 18004, 7.7 to 7.10 and tables 1 and 9).
#![expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "versions are 1 to 40 and levels 0 to 3 by construction; a code has at most 177 modules on a side"
)]

use super::fixed;
use super::symbol::EccLevel;

/// Check codewords per block, by level (L, M, Q, H) and version from 1.
const CHECKS: [[u8; 40]; 4] = [
    [
        7, 10, 15, 20, 26, 18, 20, 24, 30, 18, 20, 24, 26, 30, 22, 24, 28, 30, 28, 28, 28, 28, 30, 30, 26, 28, 30, 30,
        30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30,
    ],
    [
        10, 16, 26, 18, 24, 16, 18, 22, 22, 26, 30, 22, 22, 24, 24, 28, 28, 26, 26, 26, 26, 28, 28, 28, 28, 28, 28, 28,
        28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    ],
    [
        13, 22, 18, 26, 18, 24, 18, 22, 20, 24, 28, 26, 24, 20, 30, 24, 28, 28, 26, 30, 28, 30, 30, 30, 30, 28, 30, 30,
        30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30,
    ],
    [
        17, 28, 22, 16, 22, 28, 26, 26, 24, 28, 24, 28, 22, 24, 24, 30, 28, 28, 26, 28, 30, 24, 30, 30, 30, 30, 30, 30,
        30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30,
    ],
];

/// Blocks, by level and version.
const BLOCKS: [[u8; 40]; 4] = [
    [
        1, 1, 1, 1, 1, 2, 2, 2, 2, 4, 4, 4, 4, 4, 6, 6, 6, 6, 7, 8, 8, 9, 9, 10, 12, 12, 12, 13, 14, 15, 16, 17, 18,
        19, 19, 20, 21, 22, 24, 25,
    ],
    [
        1, 1, 1, 2, 2, 4, 4, 4, 5, 5, 5, 8, 9, 9, 10, 10, 11, 13, 14, 16, 17, 17, 18, 20, 21, 23, 25, 26, 28, 29, 31,
        33, 35, 37, 38, 40, 43, 45, 47, 49,
    ],
    [
        1, 1, 2, 2, 4, 4, 6, 6, 8, 8, 8, 10, 12, 16, 12, 17, 16, 18, 21, 20, 23, 23, 25, 27, 29, 34, 34, 35, 38, 40,
        43, 45, 48, 51, 53, 56, 59, 62, 65, 68,
    ],
    [
        1, 1, 2, 4, 4, 4, 5, 6, 8, 8, 11, 11, 16, 16, 18, 16, 19, 21, 25, 25, 25, 34, 30, 32, 35, 37, 40, 42, 45, 48,
        51, 54, 57, 60, 63, 66, 70, 74, 77, 81,
    ],
];

fn index(level: EccLevel) -> usize {
    match level {
        EccLevel::L => 0,
        EccLevel::M => 1,
        EccLevel::Q => 2,
        EccLevel::H => 3,
    }
}

/// Blocks of a code and check codewords in each of them.
pub(super) fn blocks(version: usize, level: EccLevel) -> (usize, usize) {
    let version = version.clamp(1, 40) - 1;
    (usize::from(BLOCKS[index(level)][version]), usize::from(CHECKS[index(level)][version]))
}

/// Check codewords that a reader must leave unused against misreadings (table 9), besides what it must always leave.
pub(super) fn kept_back(version: usize, level: EccLevel) -> usize {
    match (version, level) {
        (1, EccLevel::L) => 3,
        (1, EccLevel::M) | (2, EccLevel::L) => 2,
        (1, _) | (3, EccLevel::L) => 1,
        _ => 0,
    }
}

/// The order of the data modules of one size of code.
#[derive(Debug, Default)]
pub(super) struct Layout {
    size: usize,
    order: Vec<u16>,
}

impl Layout {
    /// Makes this the layout of a code of so many modules on a side.
    pub(super) fn set(&mut self, size: usize) {
        if self.size == size {
            return;
        }
        self.size = size;
        self.order.clear();
        let mut right = size - 1;
        let mut up = true;
        loop {
            for step in 0..size {
                let row = if up { size - 1 - step } else { step };
                for column in [right, right - 1] {
                    if fixed::is_data(size, column as isize, row as isize) {
                        self.order.push((row * size + column) as u16);
                    }
                }
            }
            up = !up;
            if right < 3 {
                break;
            }
            right -= 2;
            if right == 6 {
                right = 5;
            }
        }
    }

    /// The modules (`row * size + column`) that hold data, in the order of their bits.
    pub(super) fn order(&self) -> &[u16] {
        &self.order
    }
}

/// Whether the mask turns the module over (table 10).
pub(super) fn masked(mask: u8, row: usize, column: usize) -> bool {
    let (i, j) = (row, column);
    match mask {
        0 => (i + j) % 2 == 0,
        1 => i % 2 == 0,
        2 => j % 3 == 0,
        3 => (i + j) % 3 == 0,
        4 => (i / 2 + j / 3) % 2 == 0,
        5 => (i * j) % 2 + (i * j) % 3 == 0,
        6 => ((i * j) % 2 + (i * j) % 3) % 2 == 0,
        _ => ((i + j) % 2 + (i * j) % 3) % 2 == 0,
    }
}

/// The places `(row, column)` of both copies of format bit `bit`, from 14 (first) to 0.
pub(super) fn format_places(size: usize, bit: usize) -> [(usize, usize); 2] {
    let first = match bit {
        0..=5 => (bit, 8),
        6 => (7, 8),
        7 => (8, 8),
        8 => (8, 7),
        _ => (8, 14 - bit.min(14)),
    };
    let second = if bit < 8 { (8, size - 1 - bit) } else { (size - 15 + bit, 8) };
    [first, second]
}

/// The 15 format bits of a level and a mask.
pub(super) fn format_bits(level: EccLevel, mask: u8) -> u16 {
    let number = match level {
        EccLevel::L => 1,
        EccLevel::M => 0,
        EccLevel::Q => 3,
        EccLevel::H => 2,
    };
    let data = number << 3 | u16::from(mask & 7);
    let mut rest = data << 10;
    for bit in (10..15).rev() {
        if rest >> bit & 1 != 0 {
            rest ^= 0x537 << (bit - 10);
        }
    }
    (data << 10 | rest) ^ 0x5412
}

/// The 18 version bits of versions from 7.
pub(super) fn version_bits(version: usize) -> u32 {
    let data = version as u32;
    let mut rest = data << 12;
    for bit in (12..18).rev() {
        if rest >> bit & 1 != 0 {
            rest ^= 0x1f25 << (bit - 12);
        }
    }
    data << 12 | rest
}

/// The places `(row, column)` of both copies of version bit `bit`, from 0, the lowest.
pub(super) fn version_places(size: usize, bit: usize) -> [(usize, usize); 2] {
    let (long, short) = (bit / 3, size - 11 + bit % 3);
    [(long, short), (short, long)]
}
