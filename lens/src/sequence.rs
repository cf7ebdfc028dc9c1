//! What happens while a person scans: seeded sequences of frames, as a phone sees them.
//!
//! A [`Condition`](crate::Condition) is one shot with one thing wrong; a [`Situation`] is what a person does over three
//! seconds. Of the five seeds of a situation the first is mild and the last so hard that hardly any of its frames can
//! be read alone.

use qrcodegen::{QrCodeEcc, QrSegment};
use rand_core::Rng;

use crate::{
    Condition, Frame, Glare, GlareShape, Lens, LensError, Matrix, Scene, View,
    hand::HandHeld,
    hand_held,
    noise::{between, either_side, stream},
};

/// Frames of a sequence.
pub const SEQUENCE_FRAMES: usize = 90;
/// Frames per second.
pub const SEQUENCE_FPS: u32 = 30;
/// Sequences of each situation.
pub const SEEDS_PER_SITUATION: u64 = 5;

/// What a person does, or what the light does meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Situation {
    /// Walks up to the screen from across the room.
    Approach,
    /// Holds the phone with an unsteady hand: motion blur in changing directions.
    Tremor,
    /// The lens finds its focus, slowly.
    Refocus,
    /// The autofocus hunts around the right distance and never stays there.
    Hunting,
    /// The exposure steps from far too bright to far too dark and back.
    Exposure,
    /// A lamp mirrored in the glass wanders over the symbol.
    Glare,
    /// Walks past with the phone held up: the symbol crosses the frame, cut off at first and at last.
    Passing,
    /// The code changes every 25 frames, seen from far.
    Rotating,
    /// A dimmed screen in a dark room.
    Dark,
    /// From far aside.
    Tilted,
    /// The exposure was measured on a dark desk and stays there.
    Overexposed,
    /// About two pixels per module.
    Tiny,
    /// Light modules on a dark page, far and soft.
    Inverted,
    /// The grid of the sensor beats with that of the screen.
    Moire,
}

impl Situation {
    /// All situations.
    pub const ALL: [Self; 14] = [
        Self::Approach,
        Self::Tremor,
        Self::Refocus,
        Self::Hunting,
        Self::Exposure,
        Self::Glare,
        Self::Passing,
        Self::Rotating,
        Self::Dark,
        Self::Tilted,
        Self::Overexposed,
        Self::Tiny,
        Self::Inverted,
        Self::Moire,
    ];

    /// The name in lower case, as in file names and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Approach => "approach",
            Self::Tremor => "tremor",
            Self::Refocus => "refocus",
            Self::Hunting => "hunting",
            Self::Exposure => "exposure",
            Self::Glare => "glare",
            Self::Passing => "passing",
            Self::Rotating => "rotating",
            Self::Dark => "dark",
            Self::Tilted => "tilted",
            Self::Overexposed => "overexposed",
            Self::Tiny => "tiny",
            Self::Inverted => "inverted",
            Self::Moire => "moire",
        }
    }

    /// The situation with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|situation| situation.name() == name)
    }

    fn condition(self) -> Condition {
        match self {
            Self::Dark => Condition::Dark,
            Self::Glare => Condition::Glare,
            Self::Inverted => Condition::Inverted,
            Self::Moire => Condition::Moire,
            Self::Overexposed => Condition::Overexposed,
            _ => Condition::Nominal,
        }
    }
}

/// One sequence: an iterator over its frames. The same situation and seed give the same frames in the same build.
#[derive(Debug)]
pub struct Sequence {
    situation: Situation,
    seed: u64,
    /// 0 for the mildest seed to 1 for the hardest.
    hardness: f32,
    drawn: Drawn,
    hand: HandHeld<fn(usize) -> Scene>,
    scenes: Vec<Scene>,
    lens: Option<(usize, Lens)>,
    next: usize,
}

/// What is drawn once per sequence.
#[derive(Debug, Clone, Copy)]
struct Drawn {
    phase: f32,
    other_phase: f32,
    side: f32,
}

impl Sequence {
    /// The sequence of a situation with this seed. `text` gives the content of the code that is shown `n`-th.
    ///
    /// # Errors
    /// [`LensError::ContentTooLong`].
    pub fn new(situation: Situation, seed: u64, text: impl Fn(usize) -> String) -> Result<Self, LensError> {
        let codes = if situation == Situation::Rotating { SEQUENCE_FRAMES.div_ceil(FRAMES_PER_CODE) } else { 1 };
        let condition = situation.condition();
        let scene = |n| linking_matrix(&text(n)).map(|matrix| condition.scene(matrix));
        let scenes = (0..codes).map(scene).collect::<Result<Vec<_>, _>>()?;
        let hardness = (seed % SEEDS_PER_SITUATION) as f32 / (SEEDS_PER_SITUATION - 1) as f32;
        let rng = &mut stream(seed, 64 + situation as u64);
        let drawn = Drawn {
            phase: between(rng, 0.0, std::f32::consts::TAU),
            other_phase: between(rng, 0.0, std::f32::consts::TAU),
            side: either_side(rng, 1.0, 1.0),
        };
        let base = base_view(situation, hardness, rng);
        // The scene of the hand is never asked for: frames are shot here, because their scenes change.
        let nothing: fn(usize) -> Scene = |_| unreachable!();
        let hand = hand_held(nothing, base, SEQUENCE_FRAMES, SEQUENCE_FPS as f32, seed);
        Ok(Self { situation, seed, hardness, drawn, hand, scenes, lens: None, next: 0 })
    }

    /// Which code is shown in frame `index`, counted from 0.
    #[must_use]
    pub fn code_in(&self, index: usize) -> usize {
        (index / FRAMES_PER_CODE).min(self.scenes.len() - 1)
    }

    /// Situation and seed, as in file names.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}-{}", self.situation.name(), self.seed)
    }

    /// How the camera is held in frame `index`.
    #[must_use]
    pub fn view(&self, index: usize) -> View {
        let mut view = self.hand.view(index);
        let time = index as f32 / SEQUENCE_FPS as f32;
        let (hard, drawn) = (self.hardness, self.drawn);
        let wave = |hertz: f32, phase: f32| (std::f32::consts::TAU * hertz * time + phase).sin();
        match self.situation {
            Situation::Approach => {
                // From less than a pixel per module to a comfortable distance; the hard ones stop early.
                let until = 4.5 - 2.2 * hard;
                let way = (time / 2.4).min(1.0);
                view.px_per_module *= (0.9 + (until - 0.9) * way * way) / until;
                view.defocus_px *= 1.0 + 2.0 * (1.0 - way);
            }
            Situation::Tremor => {
                let turn = drawn.phase + 9.0 * time;
                let strength = (0.45 + 0.55 * wave(2.3, drawn.other_phase).abs()) * (0.75 + 0.6 * hard);
                let speed = strength * view.px_per_module * 1000.0 / view.shutter_ms;
                view.hand = [view.hand[0] + speed * turn.cos(), view.hand[1] + speed * turn.sin()];
            }
            Situation::Refocus => {
                let left = (1.0 - time / (1.2 + 1.2 * hard)).max(0.0);
                view.defocus_px = view.px_per_module * (0.25 + 0.35 * hard + 1.1 * left);
            }
            Situation::Hunting => {
                let swing = 0.35 * wave(0.9, drawn.phase) + 0.1 * wave(2.7, drawn.other_phase);
                view.defocus_px = view.px_per_module * (0.62 + 0.32 * hard + swing).max(0.0);
            }
            Situation::Exposure => {
                // Steps of a control loop that overshoots: hold for seven frames, then jump.
                let steps = [7.0, 4.2, 0.05, 2.8, 0.09, 1.9, 0.2, 5.5, 0.06, 3.4, 0.1, 2.4, 0.7];
                let step = steps[(index / 7) % steps.len()];
                view.exposure = 0.8 * f32::powf(step, 0.75 + 0.35 * hard);
                view.full_well *= 0.35;
            }
            Situation::Glare => {
                if let Some(glare) = &mut view.glare {
                    let reach = 0.36;
                    glare.centre = [reach * wave(0.23, drawn.phase), reach * wave(0.31, drawn.other_phase)];
                }
            }
            Situation::Passing => {
                let speed = drawn.side * (420.0 + 420.0 * hard);
                view.offset[0] += speed * (time - 1.5);
                view.hand[0] += speed;
            }
            Situation::Tiny | Situation::Inverted | Situation::Rotating => {
                view.defocus_px *= 1.0 + 0.3 * wave(0.5, drawn.phase);
            }
            Situation::Dark | Situation::Tilted | Situation::Overexposed | Situation::Moire => {}
        }
        view
    }

    /// Shoots frame `index`.
    ///
    /// # Errors
    /// [`LensError::OutOfRange`] when the view is impossible.
    pub fn shoot(&mut self, index: usize) -> Result<Frame, LensError> {
        let code = self.code_in(index);
        let view = self.view(index);
        let lens = match self.lens.take().filter(|(shown, _)| *shown == code) {
            Some((_, lens)) => lens,
            None => Lens::new(&self.scenes[code])?,
        };
        let frame = lens.shoot(&view);
        self.lens = Some((code, lens));
        frame
    }
}

impl Iterator for Sequence {
    type Item = Result<Frame, LensError>;

    fn next(&mut self) -> Option<Self::Item> {
        let index = self.next;
        (index < SEQUENCE_FRAMES).then(|| {
            self.next += 1;
            self.shoot(index)
        })
    }
}

/// How long one code stays with [`Situation::Rotating`].
const FRAMES_PER_CODE: usize = 25;

fn base_view(situation: Situation, hard: f32, rng: &mut impl Rng) -> View {
    let mut view = situation.condition().view(rng.next_u64());
    // A preview is not stored: no JPEG. The hand moves by itself.
    view.jpeg_quality = None;
    view.hand = [0.0, 0.0];
    match situation {
        Situation::Approach => view.px_per_module = 4.5 - 2.2 * hard,
        Situation::Passing => view.px_per_module = 3.6 - 0.6 * hard,
        Situation::Rotating => {
            view.px_per_module = 3.0 - 1.1 * hard;
            view.full_well = 900.0 - 600.0 * hard;
            view.exposure = 0.4 - 0.15 * hard;
        }
        Situation::Tremor => view.shutter_ms = 20.0,
        Situation::Refocus | Situation::Hunting => view.px_per_module = between(rng, 4.2, 5.2),
        Situation::Dark => {
            view.exposure = 0.22 - 0.12 * hard;
            view.full_well = 420.0 - 300.0 * hard;
            view.px_per_module = 5.0 - 1.8 * hard;
        }
        Situation::Tilted => {
            view.yaw = either_side(rng, 42.0, 46.0) * (1.0 + 0.38 * hard);
            view.pitch = either_side(rng, 4.0, 14.0);
            view.px_per_module = 4.4 - 0.6 * hard;
        }
        Situation::Overexposed => {
            view.exposure = 4.0 + 9.0 * hard;
            view.flare = 0.06 + 0.05 * hard;
            view.px_per_module = 4.8 - 1.0 * hard;
            view.defocus_px = 1.2 + 0.7 * hard;
        }
        Situation::Tiny => {
            view.px_per_module = 2.3 - 0.7 * hard;
            view.softness_px = 0.42;
            view.defocus_px = 0.5 + 0.4 * hard;
        }
        Situation::Inverted => {
            view.px_per_module = 4.0 - 1.8 * hard;
            view.full_well = 1500.0 - 1000.0 * hard;
            view.defocus_px = 0.6 + 0.5 * hard;
        }
        Situation::Glare => {
            view.glare = Some(Glare {
                strength: 1.2 + 2.2 * hard,
                centre: [0.0, 0.0],
                size: 0.10 + 0.10 * hard,
                shape: if hard > 0.4 { GlareShape::Lamp } else { GlareShape::Window },
            });
        }
        Situation::Moire => {
            view.aperture = 0.62 - 0.22 * hard;
            view.px_per_module = 6.0 * (1.0 + 0.02 + 0.03 * hard) / (1.0 + hard);
        }
        Situation::Exposure => view.px_per_module = between(rng, 3.6, 4.4),
    }
    view
}

/// A text with the shape of a linking code: scheme, protocol version 1, suite 1 and 49 random bytes in decimal groups.
#[must_use]
pub fn linking_text(seed: u64, n: usize) -> String {
    let rng = &mut stream(seed, 4096 + n as u64);
    let mut text = String::from("PAIRLIGHT:/");
    for group in 0..7 {
        let mut value = rng.next_u64() >> 8;
        if group == 0 {
            value = (value & !0xff_ffff) | 0x00_0101;
        }
        text.push_str(&format!("{value:017}"));
    }
    text.push_str(&format!("{:05}", rng.next_u32() >> 16));
    text
}

/// Scheme and digits in their own segments where the text is a linking code, as the product draws it.
fn linking_matrix(text: &str) -> Result<Matrix, LensError> {
    let split = text.find('/').map(|slash| text.split_at(slash + 1));
    match split.filter(|(_, digits)| !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit())) {
        Some((scheme, digits)) if QrSegment::is_alphanumeric(scheme) => Matrix::from_segments(
            &[QrSegment::make_alphanumeric(scheme), QrSegment::make_numeric(digits)],
            QrCodeEcc::Medium,
        ),
        _ => Matrix::from_text(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_is_the_same_again_and_another_seed_is_another() {
        let shoot = |seed| {
            let mut sequence = Sequence::new(Situation::Tiny, seed, |n| linking_text(seed, n)).unwrap();
            sequence.shoot(40).unwrap().luma()
        };
        assert!(shoot(2) == shoot(2));
        assert!(shoot(2) != shoot(3));
    }

    #[test]
    fn every_view_of_every_sequence_is_possible_and_the_offer_rotates() {
        for situation in Situation::ALL {
            for seed in 0..SEEDS_PER_SITUATION {
                let sequence = Sequence::new(situation, seed, |n| linking_text(seed, n)).unwrap();
                for index in 0..SEQUENCE_FRAMES {
                    sequence.view(index).check().unwrap();
                }
                let codes = if situation == Situation::Rotating { 3 } else { 0 };
                assert_eq!(sequence.code_in(SEQUENCE_FRAMES - 1), codes);
                assert_eq!(Situation::from_name(situation.name()), Some(situation));
            }
        }
    }

    #[test]
    fn a_linking_text_fills_the_symbol_of_the_product() {
        let text = linking_text(1, 0);
        assert_eq!(text.len(), 11 + 124);
        assert_eq!(linking_matrix(&text).unwrap().size(), 33);
        assert_ne!(linking_text(1, 1), text);
    }
}
