//! Which variants of a picture are tried, in which order.

use super::binarize::Threshold;

/// The picture's size in an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    /// Every `n` by `n` pixels averaged into one; 1 is the picture as it came.
    Shrunk(usize),
    /// Twice as wide and high.
    Doubled,
}

impl Scale {
    /// Pixels of the frame per pixel of the scaled picture.
    pub(super) fn frame_px(self) -> f32 {
        match self {
            Self::Shrunk(n) => n as f32,
            Self::Doubled => 0.5,
        }
    }
}

/// One way to look at a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Attempt {
    pub(super) scale: Scale,
    pub(super) inverted: bool,
    pub(super) threshold: Threshold,
}

/// By how much a picture is shrunk.
const FACTORS: [usize; 8] = [1, 2, 3, 4, 6, 8, 12, 16];

/// A picture is not shrunk to a longer side below this. Smaller, and codes that fill half of it get lost.
const SMALLEST_SIDE: usize = 250;

/// Pictures with a longer side than this are shrunk before the first look: a code of 177 modules that fills half of it
/// still has five pixels per module.
const CHEAP_SIDE: usize = 1300;

/// Pictures with a longer side than this are not enlarged.
const LARGEST_DOUBLED: usize = 1000;

const FINE: Threshold = Threshold::LocalMean { divisor: 8 };
const COARSE: Threshold = Threshold::LocalMean { divisor: 3 };

/// The one look that every frame gets: about a megapixel at most, not inverted.
pub(super) fn cheap(longest_side: usize) -> Attempt {
    let factor = longest_side.div_ceil(CHEAP_SIDE).max(1);
    Attempt { scale: Scale::Shrunk(factor), inverted: false, threshold: FINE }
}

/// Everything else that is worth trying, the most promising first.
pub(super) fn costly(longest_side: usize) -> Vec<Attempt> {
    let first = cheap(longest_side);
    let mut scales = vec![first.scale];
    // Smaller pictures first: they cost least and lose the moiré. What is left are the larger ones, the largest last.
    let worth = |n: usize| n == 1 || longest_side.checked_div(n).is_some_and(|side| side >= SMALLEST_SIDE);
    let others = || FACTORS.into_iter().filter(|&n| worth(n)).map(Scale::Shrunk);
    scales.extend(others().filter(|s| s.frame_px() > first.scale.frame_px()));
    scales.extend(others().rev().filter(|s| s.frame_px() < first.scale.frame_px()));
    if longest_side <= LARGEST_DOUBLED {
        scales.push(Scale::Doubled);
    }
    let mut attempts = Vec::new();
    for (threshold, inverted) in
        [(FINE, false), (FINE, true), (COARSE, false), (Threshold::Global, false), (COARSE, true)]
    {
        attempts.extend(scales.iter().map(|&scale| Attempt { scale, inverted, threshold }).filter(|a| *a != first));
    }
    attempts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frame_size_has_a_cheap_look_of_bounded_size() {
        for side in [1, 10, 499, 640, 1300, 1301, 4000, 16_384] {
            let Scale::Shrunk(n) = cheap(side).scale else { panic!("enlarged") };
            assert!(side / n <= CHEAP_SIDE, "{side} / {n}");
        }
    }

    #[test]
    fn no_attempt_is_made_twice() {
        for side in [1, 300, 640, 1920, 4032, 16_384] {
            let mut all = vec![cheap(side)];
            for attempt in costly(side) {
                assert!(!all.contains(&attempt), "{side}: {attempt:?}");
                all.push(attempt);
            }
            assert!(all.iter().any(|a| a.inverted));
        }
    }
}
