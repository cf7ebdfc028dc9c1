//! From the certainty of each module to bytes: format, mask, codewords, repair.
//!
//! Every step uses how sure a module is and not only its colour: the format is the one of 32 that agrees best with both
//! copies together, and the least certain codewords are given up when there are too many errors otherwise.
#![expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "all indexes come from the layout of the code's own size, which the length of the input is checked against"
)]

use super::decode::{self, Panicked};
use super::layout::{self, Layout};
use super::repair::{LONGEST, repair};
use super::segments::{self, Decoded};
use super::symbol::EccLevel;

const LEVELS: [EccLevel; 4] = [EccLevel::L, EccLevel::M, EccLevel::Q, EccLevel::H];

/// Check codewords that are never spent when doubtful codewords were given up beforehand: with four left a wrong
/// reading passes once in four thousand million tries.
const KEPT_WITH_ERASURES: usize = 4;

/// A format that may be the code's.
#[derive(Clone, Copy, Debug)]
struct Format {
    level: EccLevel,
    mask: u8,
    mirrored: bool,
    score: i32,
}

/// Buffers that are kept between codes.
#[derive(Debug, Default)]
pub(super) struct Reader {
    layout: Layout,
    codewords: Vec<u8>,
    doubt: Vec<i16>,
    data: Vec<u8>,
    bits: Vec<u8>,
    /// Those of the code that was read last.
    read: Vec<u8>,
    /// Panics of the decoder that were contained.
    panics: u32,
    worst: Vec<(i16, u16)>,
}

impl Reader {
    /// Reads a code of `size` modules on a side. `soft` has `size * size` values, positive for dark modules, larger for
    /// those that are more certain.
    pub(super) fn read(&mut self, soft: &[i16], size: usize) -> Option<Decoded> {
        let version = size.saturating_sub(17) / 4;
        if !(1..=40).contains(&version) || size != version * 4 + 17 || soft.len() != size * size {
            return None;
        }
        let mut formats = [false, true].map(|mirrored| best_format(soft, size, mirrored));
        formats.sort_by_key(|format| std::cmp::Reverse(format.map(|f| f.score)));
        for format in formats.into_iter().flatten() {
            if self.repair_all(soft, size, version, format) {
                let Format { level, mask, mirrored, .. } = format;
                if let Some(bytes) = self.decode(soft, size, version, format) {
                    std::mem::swap(&mut self.bits, &mut self.read);
                    return Some(Decoded { bytes, version: version as u8, ecc: level, mask, mirrored });
                }
            }
        }
        None
    }

    /// The modules of the code that was read last, repaired: row by row, 1 is dark, not mirrored any more.
    pub(super) fn modules(&self) -> &[u8] {
        &self.read
    }

    /// Panics of the decoder that were contained since the last call.
    pub(super) fn take_panics(&mut self) -> u32 {
        std::mem::take(&mut self.panics)
    }

    /// The content of the repaired code: by rqrr, or by our own parser for the modes that rqrr does not know.
    fn decode(&mut self, soft: &[i16], size: usize, version: usize, format: Format) -> Option<Vec<u8>> {
        self.print(soft, size, format);
        match decode::decode(&self.bits, size) {
            Ok(Some(bytes)) => return Some(bytes),
            Ok(None) => {}
            Err(Panicked) => self.panics = self.panics.saturating_add(1),
        }
        segments::parse(&self.data, version)
    }

    /// Writes the repaired codewords and the format back into the modules.
    fn print(&mut self, soft: &[i16], size: usize, format: Format) {
        let Format { level, mask, mirrored, .. } = format;
        self.bits.clear();
        for row in 0..size {
            for column in 0..size {
                let value = soft[if mirrored { column * size + row } else { row * size + column }];
                self.bits.push(u8::from(value > 0));
            }
        }
        for (modules, &byte) in self.layout.order().chunks_exact(8).zip(&self.codewords) {
            for (i, &module) in modules.iter().enumerate() {
                let (row, column) = (usize::from(module) / size, usize::from(module) % size);
                let bit = byte >> (7 - i) & 1 != 0;
                self.bits[usize::from(module)] = u8::from(bit != layout::masked(mask, row, column));
            }
        }
        let bits = layout::format_bits(level, mask);
        for bit in 0..15 {
            for (row, column) in layout::format_places(size, bit) {
                self.bits[row * size + column] = u8::from(bits >> bit & 1 != 0);
            }
        }
    }

    /// Reads and repairs all blocks; then `codewords` are repaired in place and `data` holds the data codewords in their order.
    fn repair_all(&mut self, soft: &[i16], size: usize, version: usize, format: Format) -> bool {
        let Format { level, mask, mirrored, .. } = format;
        self.layout.set(size);
        self.codewords.clear();
        self.doubt.clear();
        self.data.clear();
        for modules in self.layout.order().chunks_exact(8) {
            let (mut byte, mut doubt) = (0u8, i16::MAX);
            for &module in modules {
                let (row, column) = (usize::from(module) / size, usize::from(module) % size);
                let value = soft[if mirrored { column * size + row } else { row * size + column }];
                byte = byte << 1 | u8::from((value > 0) != layout::masked(mask, row, column));
                doubt = doubt.min(value.saturating_abs());
            }
            self.codewords.push(byte);
            self.doubt.push(doubt);
        }
        let (count, checks) = layout::blocks(version, level);
        let total = self.codewords.len();
        if total < count * (checks + 1) {
            return false;
        }
        let (short, long_blocks) = (total / count - checks, total % count);
        let data = total - count * checks;
        let kept = layout::kept_back(version, level);
        for block in 0..count {
            let is_long = block + long_blocks >= count;
            let length = short + usize::from(is_long);
            // Where a block's codewords are in the interleaved sequence.
            let place = |i: usize| {
                if i < short {
                    i * count + block
                } else if i < length {
                    short * count + block - (count - long_blocks)
                } else {
                    data + (i - length) * count + block
                }
            };
            let mut words = [0u8; LONGEST];
            let words = &mut words[..(length + checks).min(LONGEST)];
            for (i, word) in words.iter_mut().enumerate() {
                *word = self.codewords[place(i)];
            }
            let mut done = repair(words, checks, &[], kept).is_some();
            if !done {
                self.worst.clear();
                self.worst.extend((0..words.len()).map(|i| (self.doubt[place(i)], i as u16)));
                self.worst.sort_unstable();
                // Give up more and more of the doubtful ones.
                for part in [1, 2, 3] {
                    let gone = checks.saturating_sub(KEPT_WITH_ERASURES) * part / 3;
                    let mut erased = [0usize; LONGEST];
                    for (to, &(_, from)) in erased.iter_mut().zip(&self.worst).take(gone) {
                        *to = usize::from(from);
                    }
                    if gone > 0 && repair(words, checks, &erased[..gone], KEPT_WITH_ERASURES).is_some() {
                        done = true;
                        break;
                    }
                }
            }
            if !done {
                return false;
            }
            for (i, word) in words.iter().enumerate() {
                self.codewords[place(i)] = *word;
            }
            self.data.extend_from_slice(&words[..length]);
        }
        true
    }
}

/// The format that agrees best with both copies; `None` when neither copy is within the three errors that the standard
/// allows.
fn best_format(soft: &[i16], size: usize, mirrored: bool) -> Option<Format> {
    let at = |(row, column): (usize, usize)| {
        i32::from(soft[if mirrored { column * size + row } else { row * size + column }])
    };
    let mut seen = [[0i32; 15]; 2];
    let [first, second] = &mut seen;
    for (bit, values) in first.iter_mut().zip(second).enumerate() {
        let [a, b] = layout::format_places(size, bit).map(at);
        (*values.0, *values.1) = (a, b);
    }
    // One very dark module must not outvote many.
    let mean = seen.iter().flatten().map(|value| value.abs()).sum::<i32>() / 30;
    let mut best: Option<(Format, u16)> = None;
    for level in LEVELS {
        for mask in 0..8 {
            let bits = layout::format_bits(level, mask);
            let agree = |value: i32, bit: usize| (value > 0) == (bits >> bit & 1 != 0);
            let mut score = 0;
            for copy in &seen {
                for (bit, &value) in copy.iter().enumerate() {
                    let weight = value.abs().min(mean.max(1)).max(1);
                    score += if agree(value, bit) { weight } else { -weight };
                }
            }
            if best.is_none_or(|(known, _)| score > known.score) {
                best = Some((Format { level, mask, mirrored, score }, bits));
            }
        }
    }
    let (format, bits) = best?;
    let errors =
        seen.map(|copy| copy.iter().enumerate().filter(|&(bit, &value)| (value > 0) != (bits >> bit & 1 != 0)).count());
    (errors[0].min(errors[1]) <= 3).then_some(format)
}

/// The version that the version bits of a code name, with at most three errors in one of the copies. For 7 and later.
pub(super) fn version_named(soft_at: impl Fn(usize, usize) -> f32, size: usize) -> Option<usize> {
    let mut seen = [0u32; 2];
    for bit in 0..18 {
        for (copy, (row, column)) in layout::version_places(size, bit).into_iter().enumerate() {
            seen[copy] |= u32::from(soft_at(row, column) > 0.0) << bit;
        }
    }
    (7..=40)
        .map(|version| {
            let bits = layout::version_bits(version);
            let errors = seen.map(|copy| (copy ^ bits).count_ones());
            (errors[0].min(errors[1]), version)
        })
        .min()
        .filter(|&(errors, _)| errors <= 3)
        .map(|(_, version)| version)
}
