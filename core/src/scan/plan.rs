//! Which looks at a picture are taken, in which order.

use super::threshold::Rule;

/// One look for finder patterns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pass {
    /// The picture shrunk by `2^level`.
    pub(super) level: usize,
    /// Twice as wide and high instead.
    pub(super) doubled: bool,
    pub(super) rule: Rule,
}

impl Pass {
    /// How many pixels are looked at in a frame of so many.
    pub(super) fn pixels(self, of_frame: u64) -> u64 {
        if self.doubled { of_frame.saturating_mul(4) } else { of_frame >> self.level.saturating_mul(2).min(63) }
    }
}

/// The first look is taken at a picture of at most this longest side: cost grows with the pixels, and a code of 29
/// modules that fills a fifth of it has five pixels per module.
const FIRST_SIDE: usize = 800;

/// Pictures with a shorter longest side than this are not searched: the smallest code would have to fill them.
const SMALLEST_SIDE: usize = 48;

/// Pictures with a longer side than this are not enlarged.
const LARGEST_DOUBLED: usize = 1000;

/// The thresholds, in the order of their worth.
const RULES: [Rule; 4] = [Rule::Mean { radius: 2 }, Rule::Mean { radius: 8 }, Rule::Middle { radius: 3 }, Rule::Global];

/// All passes for a picture with this longest side. The first is the one that every frame gets.
pub(super) fn passes(longest_side: usize) -> impl Iterator<Item = Pass> {
    let first = (0..14).find(|&level| longest_side >> level <= FIRST_SIDE).unwrap_or(14);
    let smaller =
        move || (first..14).take_while(move |&level| level == first || longest_side >> level >= SMALLEST_SIDE);
    // Smaller pictures first: they cost least and have lost the moiré.
    let levels = move || smaller().chain((0..first).rev());
    RULES.into_iter().flat_map(move |rule| {
        let scaled = levels().map(move |level| Pass { level, doubled: false, rule });
        // Four times the pixels: worth it three times.
        let doubled =
            (longest_side <= LARGEST_DOUBLED && rule != Rule::Global).then_some(Pass { level: 0, doubled: true, rule });
        scaled.chain(doubled)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frame_size_has_a_first_look_of_bounded_size() {
        for side in [1, 10, 499, 640, 1300, 1301, 4000, 16_384] {
            let pass = passes(side).next().unwrap();
            assert!(!pass.doubled && side >> pass.level <= FIRST_SIDE, "{side}: {pass:?}");
        }
    }

    #[test]
    fn no_look_is_taken_twice() {
        for side in [1, 300, 640, 1920, 4032, 16_384] {
            let all: Vec<Pass> = passes(side).collect();
            assert!(all.iter().enumerate().all(|(i, pass)| !all[..i].contains(pass)), "{side}");
        }
    }
}
