use qrcodegen::{QrCode, QrCodeEcc, QrSegment};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use super::*;

const WIDTH: usize = 240;
const HEIGHT: usize = 200;

fn offer_text(seed: u64) -> String {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let digits: String = (0..124).filter_map(|_| char::from_digit(rng.next_u32() % 10, 10)).collect();
    format!("PAIRLIGHT:/{digits}")
}

fn offer(seed: u64) -> QrCode {
    let text = offer_text(seed);
    let (scheme, digits) = text.split_at(11);
    let segments = [QrSegment::make_alphanumeric(scheme), QrSegment::make_numeric(digits)];
    QrCode::encode_segments(&segments, QrCodeEcc::Medium).unwrap()
}

/// How a code is held in front of a simulated camera: middle, pixels per module, turn in radians.
#[derive(Clone, Copy)]
struct Held {
    x: f32,
    y: f32,
    module: f32,
    turn: f32,
}

impl Held {
    /// With an unsteady hand.
    fn swaying(frame: u32) -> Self {
        let time = frame as f32;
        Self {
            x: 118.3 + 5.0 * (0.21 * time).sin(),
            y: 101.7 + 4.0 * (0.17 * time + 1.0).sin(),
            module: 3.4 + 0.1 * (0.11 * time).sin(),
            turn: 0.12 + 0.04 * (0.13 * time).cos(),
        }
    }

    fn to_frame(self, column: f32, row: f32) -> Point {
        let (sin, cos) = self.turn.sin_cos();
        let (x, y) = ((column - 16.5) * self.module, (row - 16.5) * self.module);
        Point::new(self.x + x * cos - y * sin, self.y + x * sin + y * cos)
    }

    /// The corner squares, as a finder would see them.
    fn squares(self) -> [Square; 3] {
        [(3.5, 3.5), (29.5, 3.5), (3.5, 29.5)].map(|(column, row)| Square {
            center: self.to_frame(column, row),
            module: self.module,
            inverted: false,
        })
    }
}

/// A frame with noise of this many grey levels, between dark 90 and light 170.
fn shoot(code: &QrCode, held: Held, noise: f32, rng: &mut ChaCha8Rng) -> GrayImage {
    let (sin, cos) = held.turn.sin_cos();
    let mut pixels = Vec::with_capacity(WIDTH * HEIGHT);
    for y in 0..HEIGHT {
        for x in 0..WIDTH {
            let mut light = 0.0;
            for (sub_x, sub_y) in [(0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)] {
                let (dx, dy) = (x as f32 + sub_x - held.x, y as f32 + sub_y - held.y);
                let column = (dx * cos + dy * sin) / held.module + 16.5;
                let row = (dy * cos - dx * sin) / held.module + 16.5;
                let dark = code.get_module(column.floor() as i32, row.floor() as i32);
                light += if dark { 90.0 } else { 170.0 } / 4.0;
            }
            let normal = (0..6).map(|_| (rng.next_u32() >> 8) as f32 / (1 << 24) as f32).sum::<f32>() - 3.0;
            pixels.push((light + 1.414 * noise * normal).clamp(0.0, 255.0) as u8);
        }
    }
    GrayImage { width: WIDTH, height: HEIGHT, pixels }
}

/// Feeds frames to a tracker that was shown the corner squares in the first one only.
fn watch(tracker: &mut Tracker, frames: &[GrayImage], squares: &[Square]) -> Vec<Option<Symbol>> {
    let mut results = Vec::new();
    for frame in frames {
        let result = tracker.follow(frame);
        if result.is_none() && !tracker.is_locked() {
            tracker.consider(frame, squares);
        }
        results.push(result);
    }
    results
}

#[test]
fn frames_of_which_none_can_be_read_are_read_together() {
    let code = offer(1);
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let frames: Vec<GrayImage> = (0..40).map(|frame| shoot(&code, Held::swaying(frame), 75.0, &mut rng)).collect();
    let squares = Held::swaying(0).squares();
    // One by one: a tracker that sees nothing but this frame, twice, since it begins with the second look.
    for (index, frame) in frames.iter().enumerate().step_by(5) {
        let mut tracker = Tracker::default();
        tracker.consider(frame, &Held::swaying(index as u32).squares());
        assert_eq!(tracker.follow(frame), None, "frame {index} can be read alone: the test shows nothing");
    }
    let results = watch(&mut Tracker::default(), &frames, &squares);
    let first = results.iter().position(Option::is_some).expect("never read");
    let tracked = results[first].clone().unwrap();
    assert_eq!(tracked.bytes, offer_text(1).as_bytes());
    let truth = [(0.0, 0.0), (33.0, 0.0), (33.0, 33.0), (0.0, 33.0)];
    for (corner, (column, row)) in tracked.corners.into_iter().zip(truth) {
        let off = corner.distance(Held::swaying(first as u32).to_frame(column, row));
        assert!(off < 1.5, "a corner is {off} pixels off");
    }
}

#[test]
fn a_code_that_changes_under_the_camera_is_never_mixed_with_the_one_before() {
    let codes = [offer(3), offer(4), offer(5)];
    let texts = [offer_text(3), offer_text(4), offer_text(5)];
    for noise in [30.0, 55.0, 70.0] {
        let mut rng = ChaCha8Rng::seed_from_u64(noise as u64);
        let frames: Vec<GrayImage> =
            (0..90).map(|frame| shoot(&codes[frame as usize / 30], Held::swaying(frame), noise, &mut rng)).collect();
        let results = watch(&mut Tracker::default(), &frames, &Held::swaying(0).squares());
        let mut read = [false; 3];
        for (frame, tracked) in results.iter().enumerate() {
            let Some(tracked) = tracked else { continue };
            let text = &tracked.bytes;
            let which = texts.iter().position(|known| known.as_bytes() == text).expect("a code that nobody showed");
            assert_eq!(which, frame / 30, "frame {frame} with noise {noise}: not the code that is shown now");
            read[which] = true;
        }
        assert_eq!(read, [true; 3], "noise {noise}");
    }
}

#[test]
fn a_held_code_that_was_read_stays_read_and_one_that_vanishes_is_let_go() {
    let code = offer(6);
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let mut frames: Vec<GrayImage> = (0..20).map(|frame| shoot(&code, Held::swaying(frame), 12.0, &mut rng)).collect();
    let mut tracker = Tracker::default();
    let results = watch(&mut tracker, &frames, &Held::swaying(0).squares());
    assert!(
        results.iter().skip(1).all(Option::is_some),
        "{:?}",
        results.iter().map(Option::is_some).collect::<Vec<_>>()
    );
    frames.clear();
    frames.extend((0..40).map(|_| GrayImage { width: WIDTH, height: HEIGHT, pixels: vec![130; WIDTH * HEIGHT] }));
    for frame in &frames {
        assert_eq!(tracker.follow(frame), None);
    }
    assert!(!tracker.is_locked());
}

#[test]
fn textures_and_noise_are_never_read_wherever_corner_squares_are_claimed() {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let mut tracker = Tracker::default();
    for round in 0..400u32 {
        let coarse = 1 + round as usize % 9;
        let across = WIDTH / coarse + 1;
        let cells: Vec<u8> =
            (0..across * (HEIGHT / coarse + 1)).map(|_| if rng.next_u32() & 1 == 0 { 40 } else { 210 }).collect();
        let pixels = (0..WIDTH * HEIGHT).map(|i| cells[i / WIDTH / coarse * across + i % WIDTH / coarse]).collect();
        let image = GrayImage { width: WIDTH, height: HEIGHT, pixels };
        assert_eq!(tracker.follow(&image), None, "round {round}");
        tracker.consider(&image, &Held::swaying(round).squares());
        assert_eq!(tracker.follow(&image), None, "round {round}");
    }
}

#[test]
fn the_same_frames_give_the_same_results_again() {
    let code = offer(12);
    let mut rng = ChaCha8Rng::seed_from_u64(13);
    let frames: Vec<GrayImage> = (0..25).map(|frame| shoot(&code, Held::swaying(frame), 60.0, &mut rng)).collect();
    let squares = Held::swaying(0).squares();
    let once = watch(&mut Tracker::default(), &frames, &squares);
    assert_eq!(once, watch(&mut Tracker::default(), &frames, &squares));
}
