//! The scanner on frames of the simulated lens, and on pictures that show no code.

use pairlight_core::frame::{LumaFrame, Point, Rotation};
use pairlight_core::scan::{ScanEffort, ScanOptions, Scanner, Symbol};
use pairlight_core::time::Timestamp;
use pairlight_lens::{Condition, Lens, Matrix};

const TEXT: &str = "PAIRLIGHT:1:9F3KQ7X2M4ZC8V6B1N5T0HJWRDYPLSGAEU";

fn thorough() -> Scanner {
    Scanner::new(ScanOptions { effort: ScanEffort::Thorough, all_symbols: false })
}

fn read(frame: &LumaFrame<'_>) -> Option<Symbol> {
    thorough().scan(frame, Timestamp::default()).symbols.into_iter().next()
}

/// A picture turned clockwise by a quarter.
fn turned(pixels: &[u8], width: usize, height: usize) -> Vec<u8> {
    (0..width).flat_map(|y| (0..height).map(move |x| pixels[(height - 1 - x) * width + y])).collect()
}

#[test]
fn corners_lie_within_two_pixels_of_the_truth_for_every_rotation_and_mirror() {
    for condition in [Condition::Nominal, Condition::Mirrored, Condition::Inverted] {
        let lens = Lens::new(&condition.scene(Matrix::from_text(TEXT).unwrap())).unwrap();
        let shot = lens.shoot(&condition.view(11)).unwrap();
        let (mut width, mut height, mut pixels) = (shot.width, shot.height, shot.luma());
        let mut truth = shot.truth.corners.map(|[x, y]| Point::new(x as f32, y as f32));
        for turn in 0..4 {
            let frame = LumaFrame::luma8(&pixels, width as u32, height as u32, width).unwrap();
            // Once as it is; once with the camera's word that it was turned, so that the upright picture is the shot.
            let told = frame.rotated(Rotation::from_degrees(360 - turn * 90).unwrap());
            let first = shot.truth.corners.map(|[x, y]| Point::new(x as f32, y as f32));
            for (frame, truth) in [(frame, truth), (told, first)] {
                let symbol = read(&frame).unwrap_or_else(|| panic!("{condition:?}, {turn} turns: not read"));
                assert_eq!(symbol.text.as_deref(), Some(TEXT));
                for (got, want) in symbol.corners.iter().zip(truth) {
                    assert!(got.distance(want) <= 2.0, "{condition:?}, {turn} turns: {:?}, {truth:?}", symbol.corners);
                }
            }
            pixels = turned(&pixels, width, height);
            truth = truth.map(|p| Point::new(height as f32 - p.y, p.x));
            (width, height) = (height, width);
        }
    }
}

/// A stream of numbers that is the same everywhere.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 33) as usize % limit
    }
}

/// A picture of noise, blocks, bars, rings or code-like modules without a code.
fn texture(number: u64, width: usize, height: usize) -> Vec<u8> {
    let mut numbers = Numbers(number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    for _ in 0..8 {
        numbers.next();
    }
    let block = 1 + numbers.below(9);
    let (dark, light) = (numbers.below(120) as u8, 130 + numbers.below(126) as u8);
    let grain = numbers.below(40);
    let slope = numbers.below(200) as f32 / 100.0 - 1.0;
    let table: Vec<bool> = (0..4096).map(|_| numbers.next() >> 40 & 1 == 1).collect();
    (0..width * height)
        .map(|i| {
            let (x, y) = (i % width, i / width);
            let sheared = (x as f32 + slope * y as f32 + 4096.0) as usize;
            let bar = |n: usize| matches!((n / block) % 8, 0 | 2..=4 | 6);
            let (cell_x, cell_y) = ((sheared / block) % 64, (y / block) % 64);
            let ink = match number % 6 {
                0 => numbers.below(2) == 0,
                1 => table[cell_y * 64 + cell_x],
                2 => bar(sheared),
                3 => bar(sheared) && bar(y),
                4 => {
                    // Squares in squares, as finder patterns are, on a lattice.
                    let ring = |n: usize| (n / block % 9).abs_diff(4);
                    matches!(ring(sheared).max(ring(y)), 0 | 1 | 3)
                }
                _ => (sheared * y / (block * 7)) % 5 < 2,
            };
            let value = if ink { dark } else { light };
            value.saturating_add(numbers.below(grain + 1) as u8)
        })
        .collect()
}

/// Scans so many pictures without a code.
fn textures_without_a_false_read(count: u64) {
    let mut scanner = Scanner::new(ScanOptions { effort: ScanEffort::Thorough, all_symbols: true });
    for number in 0..count {
        let (width, height) = (120 + (number % 7) as usize * 40, 120 + (number % 5) as usize * 40);
        let pixels = texture(number, width, height);
        let frame = LumaFrame::luma8(&pixels, width as u32, height as u32, width).unwrap();
        let outcome = scanner.scan(&frame, Timestamp::default());
        assert_eq!(outcome.symbols, [], "texture {number}");
    }
}

#[test]
fn textures_and_noise_give_no_false_read() {
    textures_without_a_false_read(24);
}

#[test]
#[ignore = "minutes of work: cargo test --release -p pairlight-tests --test scanner -- --ignored"]
fn ten_thousand_textures_give_no_false_read() {
    textures_without_a_false_read(10_000);
}
