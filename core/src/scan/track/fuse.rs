//! Soft module values of several frames, added up.
//!
//! Two codes are never mixed: a frame is added only to values that it resembles in the modules that carry data. The
//! modules that are alike in every code tell how much resemblance to expect, so the test works for frames in which
//! single modules say nothing.
#![expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "all lists hold size * size values; frame counts are bounded by saturating additions"
)]

use super::super::fixed;

/// The sum of frames that show one code.
#[derive(Debug, Default)]
pub(super) struct Fusion {
    pub(super) sum: Vec<f32>,
    pub(super) frames: u32,
    /// Number of the last frame that was added.
    pub(super) last: u64,
}

/// What a frame is to a sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kinship {
    Same,
    Other,
    /// Too noisy to tell.
    Unknown,
}

/// Kinds of modules of a symbol, row by row.
#[derive(Debug, Default)]
pub(super) struct Kinds {
    size: usize,
    /// -1 fixed dark, 1 fixed light, 0 data, NaN anything else.
    kind: Vec<f32>,
    data: f32,
}

impl Kinds {
    pub(super) fn prepare(&mut self, size: usize) {
        if self.size == size {
            return;
        }
        self.size = size;
        self.kind.clear();
        for i in 0..size * size {
            let (x, y) = ((i % size) as isize, (i / size) as isize);
            self.kind.push(match fixed::fixed(size, x, y) {
                Some(dark) => {
                    if dark {
                        -1.0
                    } else {
                        1.0
                    }
                }
                None if fixed::is_data(size, x, y) => 0.0,
                None => f32::NAN,
            });
        }
        self.data = self.kind.iter().filter(|kind| **kind == 0.0).count() as f32;
    }

    /// The fixed value of a module.
    pub(super) fn known(&self, x: usize, y: usize) -> Option<f32> {
        let kind = self.kind[y * self.size + x];
        (kind.abs() == 1.0).then_some(kind)
    }

    /// How well the fixed modules come out, -1 to 1.
    pub(super) fn agreement(&self, values: &[f32]) -> f32 {
        let (mut both, mut theirs, mut count) = (0.0, 0.0, 0.0);
        for (value, kind) in values.iter().zip(&self.kind).filter(|(_, kind)| kind.abs() == 1.0) {
            both += value * kind;
            theirs += value * value;
            count += 1.0;
        }
        both / (theirs * count).sqrt().max(1e-6)
    }

    fn likeness(&self, a: &[f32], b: &[f32]) -> f32 {
        let (mut both, mut first, mut second) = (0.0, 0.0, 0.0);
        for ((a, b), _) in a.iter().zip(b).zip(&self.kind).filter(|(_, kind)| **kind == 0.0) {
            both += a * b;
            first += a * a;
            second += b * b;
        }
        both / (first * second).sqrt().max(1e-6)
    }
}

impl Fusion {
    pub(super) fn clear(&mut self) {
        self.sum.clear();
        self.frames = 0;
    }

    /// Whether a frame shows the code of this sum.
    pub(super) fn kinship(&self, kinds: &Kinds, values: &[f32]) -> Kinship {
        let expected = kinds.agreement(values).max(0.0) * kinds.agreement(&self.sum).max(0.0);
        // The likeness of unrelated values scatters by one over the root of their number.
        let scatter = 1.0 / kinds.data.max(1.0).sqrt();
        let likeness = kinds.likeness(values, &self.sum);
        if likeness > (0.5 * expected).max(4.0 * scatter) {
            Kinship::Same
        } else if likeness < 0.35 * expected && expected > 5.0 * scatter {
            Kinship::Other
        } else {
            Kinship::Unknown
        }
    }

    pub(super) fn add(&mut self, values: &[f32], weight: f32, frame: u64) {
        if self.frames == 0 {
            self.sum.clear();
            self.sum.resize(values.len(), 0.0);
        }
        for (sum, value) in self.sum.iter_mut().zip(values) {
            *sum += weight * value;
        }
        self.frames = self.frames.saturating_add(1);
        self.last = frame;
    }
}
