//! The scanner on frames of the simulated lens, and on pictures that show no code.

use pairlight_core::frame::{LumaFrame, Point, Rotation};
use pairlight_core::scan::{ScanEffort, ScanOptions, Scanner, Symbol};
use pairlight_core::time::Timestamp;
use pairlight_lens::{Condition, Lens, Matrix, texture};

const TEXT: &str = "PAIRLIGHT:1:9F3KQ7X2M4ZC8V6B1N5T0HJWRDYPLSGAEU";

fn thorough() -> Scanner {
    Scanner::new(ScanOptions { effort: ScanEffort::Thorough, ..ScanOptions::default() })
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

/// Scans so many pictures without a code.
fn textures_without_a_false_read(numbers: std::ops::Range<u64>) {
    let mut scanner =
        Scanner::new(ScanOptions { effort: ScanEffort::Thorough, all_symbols: true, ..ScanOptions::default() });
    for number in numbers {
        let texture = texture(number).unwrap();
        let frame =
            LumaFrame::luma8(&texture.luma, texture.width as u32, texture.height as u32, texture.width).unwrap();
        let outcome = scanner.scan(&frame, Timestamp::default());
        assert_eq!(outcome.symbols, [], "texture {number}");
    }
}

#[test]
fn textures_and_noise_give_no_false_read() {
    textures_without_a_false_read(0..40);
}

#[test]
#[ignore = "minutes of work: cargo test --release -p pairlight-tests --test scanner -- --ignored; also `pairlight bench --textures`"]
fn ten_thousand_textures_give_no_false_read() {
    textures_without_a_false_read(0..10_000);
}
