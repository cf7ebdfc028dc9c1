//! Pictures without a code in them, for counting what a reader makes up.
//!
//! They are made to provoke: bars in the proportions of a corner square, lattices of corner squares, beats, noise of every
//! grain, and symbols whose corner squares, timing lines, alignment patterns and format are right and whose data is drawn
//! by lot, flat and as a camera sees them.

use qrcodegen::{Mask, QrCode, QrCodeEcc, QrSegment, Version};
use rand_chacha::ChaCha8Rng;
use rand_core::Rng;

use crate::noise::{Normal, between, stream};
use crate::{Condition, Lens, LensError, Matrix};

/// A grey picture that shows no code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Texture {
    /// What it is made of, for messages.
    pub kind: &'static str,
    /// Pixels per row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `width * height` bytes, row by row; 0 is black.
    pub luma: Vec<u8>,
}

const KINDS: [&str; 10] = [
    "grains",
    "modules",
    "bars",
    "crossed bars",
    "lattice of corner squares",
    "curves",
    "beats",
    "sensor noise",
    "symbol with drawn data",
    "symbol with drawn data, photographed",
];

/// The texture with this number: kinds take turns, everything else is drawn from the number.
///
/// # Errors
/// [`LensError`], if a photographed one cannot be rendered.
pub fn texture(number: u64) -> Result<Texture, LensError> {
    let rng = &mut stream(number, 8192);
    let which = (number % KINDS.len() as u64) as usize;
    let kind = KINDS[which];
    if which == 9 {
        return photographed(kind, number, rng);
    }
    let (width, height) = (120 + 40 * below(rng, 7), 120 + 40 * below(rng, 5));
    let block = 1 + below(rng, 9);
    let (dark, light) = (below(rng, 120) as f32, (130 + below(rng, 126)) as f32);
    let grain = between(rng, 0.0, 25.0);
    let slope = between(rng, -1.0, 1.0);
    let waves: Vec<[f32; 3]> = (0..3)
        .map(|_| [between(rng, -1.5, 1.5), between(rng, -1.5, 1.5), between(rng, 0.0, std::f32::consts::TAU)])
        .collect();
    let table: Vec<bool> = (0..4096).map(|_| rng.next_u32() & 1 == 1).collect();
    let symbol = drawn_symbol(rng)?;
    let turn = between(rng, -0.6, 0.6).sin_cos();
    let side = between(rng, 1.3, 0.9 * height as f32 / symbol.size() as f32);
    let bar = |n: usize| matches!((n / block) % 8, 0 | 2..=4 | 6);
    let ring = |n: usize| (n / block % 9).abs_diff(4);
    let mut normal = Normal::new(rng.next_u64());
    let luma = (0..width * height)
        .map(|i| {
            let (x, y) = (i % width, i / width);
            let sheared = (x as f32 + slope * y as f32 + 4096.0) as usize;
            let ink = match which {
                0 => table[(x / block * 61 + y / block * 257 + x / block * (y / block)) % 4096],
                1 => table[y / block % 64 * 64 + sheared / block % 64],
                2 => bar(sheared),
                3 => bar(sheared) && bar(y),
                4 => matches!(ring(sheared).max(ring(y)), 0 | 1 | 3),
                5 => (sheared * y / (block * 7)) % 5 < 2,
                6 => {
                    let wave = |[a, b, phase]: &[f32; 3]| (a * x as f32 + b * y as f32 + phase).sin();
                    waves.iter().map(wave).sum::<f32>() > 0.0
                }
                7 => false,
                _ => {
                    let (dx, dy) = (x as f32 - width as f32 / 2.0, y as f32 - height as f32 / 2.0);
                    let half = symbol.size() as f32 / 2.0;
                    let column = (dx * turn.1 + dy * turn.0) / side + half;
                    let row = (dy * turn.1 - dx * turn.0) / side + half;
                    column >= 0.0 && row >= 0.0 && symbol.is_dark(column as usize, row as usize)
                }
            };
            let noise = normal.draw() * if which == 7 { 10.0 + 2.0 * grain } else { grain };
            (if ink { dark } else { light } + noise).clamp(0.0, 255.0) as u8
        })
        .collect();
    Ok(Texture { kind, width, height, luma })
}

fn below(rng: &mut ChaCha8Rng, limit: u32) -> usize {
    (rng.next_u32() % limit) as usize
}

/// A symbol of version 1 to 10 as an encoder draws it, and then every module that carries data drawn by lot.
fn drawn_symbol(rng: &mut ChaCha8Rng) -> Result<Matrix, LensError> {
    let version = Version::new(1 + (rng.next_u32() % 10) as u8);
    let level =
        [QrCodeEcc::Low, QrCodeEcc::Medium, QrCodeEcc::Quartile, QrCodeEcc::High][(rng.next_u32() % 4) as usize];
    let drawn = (rng.next_u32() % 8) as u8;
    let encode = |mask: u8, text: &str| {
        let segments = [QrSegment::make_bytes(text.as_bytes())];
        QrCode::encode_segments_advanced(&segments, level, version, version, Some(Mask::new(mask)), false)
            .map(|code| Matrix::from_qr(&code))
            .map_err(|_| LensError::ContentTooLong)
    };
    let code = encode(drawn, "a")?;
    // What masks and contents change is data, except for the format beside the corner squares.
    let mut others = Vec::new();
    for mask in 0..8 {
        others.push(encode(mask, "a")?);
        others.push(encode(mask, "Z")?);
    }
    let size = code.size();
    let near = |n: usize| n < 9 || n + 8 >= size;
    let dark = (0..size * size)
        .map(|i| {
            let (x, y) = (i % size, i / size);
            let is_format = (x == 8 && near(y)) || (y == 8 && near(x));
            let own = code.is_dark(x, y);
            let is_data = !is_format && others.iter().any(|other| other.is_dark(x, y) != own);
            if is_data { rng.next_u32() & 1 == 1 } else { own }
        })
        .collect();
    Matrix::new(size, dark)
}

fn photographed(kind: &'static str, number: u64, rng: &mut ChaCha8Rng) -> Result<Texture, LensError> {
    let condition = Condition::ALL[below(rng, Condition::ALL.len() as u32)];
    let symbol = drawn_symbol(rng)?;
    let mut view = condition.view(number);
    (view.width, view.height) = (400, 300);
    view.px_per_module = view.px_per_module.min(260.0 / symbol.size() as f32);
    let frame = Lens::new(&condition.scene(symbol))?.shoot(&view)?;
    Ok(Texture { kind, width: frame.width, height: frame.height, luma: frame.luma() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_texture_is_the_same_again_and_all_kinds_take_their_turn() {
        for number in 0..KINDS.len() as u64 {
            let one = texture(number).unwrap();
            assert_eq!(one.luma.len(), one.width * one.height);
            assert_eq!(one.kind, KINDS[number as usize]);
            assert!(one == texture(number).unwrap());
            assert!(one.luma != texture(number + KINDS.len() as u64).unwrap().luma);
        }
    }

    #[test]
    fn a_symbol_with_drawn_data_keeps_its_corner_squares_and_loses_its_content() {
        let rng = &mut stream(3, 1);
        let symbol = drawn_symbol(rng).unwrap();
        let size = symbol.size();
        for (left, top) in [(0, 0), (size - 7, 0), (0, size - 7)] {
            for i in 0..49 {
                let ring = (i % 7usize).abs_diff(3).max((i / 7usize).abs_diff(3));
                assert_eq!(symbol.is_dark(left + i % 7, top + i / 7), ring != 2);
            }
        }
        let side = size * 4 + 32;
        let luma: Vec<u8> = (0..side * side)
            .map(|i| {
                let (x, y) = ((i % side / 4).wrapping_sub(4), (i / side / 4).wrapping_sub(4));
                if symbol.is_dark(x, y) { 20 } else { 230 }
            })
            .collect();
        let mut prepared = rqrr::PreparedImage::prepare_from_greyscale(side, side, |x, y| luma[y * side + x]);
        let grids = prepared.detect_grids();
        assert_eq!(grids.len(), 1, "it looks like a code");
        assert!(grids[0].decode().is_err(), "and is none");
    }
}
