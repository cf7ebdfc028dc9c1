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

/// Live, every frame is looked at as finely as this longest side allows: a code that just became large enough must not
/// wait for its turn.
const FINE_SIDE: usize = 2000;

/// Pictures with a shorter longest side than this are not searched: the smallest code would have to fill them.
const SMALLEST_SIDE: usize = 48;

/// Pictures with a longer side than this are not enlarged.
const LARGEST_DOUBLED: usize = 1000;

/// The thresholds, in the order of their worth.
const RULES: [Rule; 4] = [Rule::Mean { radius: 2 }, Rule::Mean { radius: 8 }, Rule::Middle { radius: 3 }, Rule::Global];

/// All passes for a picture with this longest side, the cheapest of those that mostly suffice first.
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

/// The smallest level of the pyramid whose picture is not larger than what is looked at finely.
fn fine_level(longest_side: usize) -> usize {
    (0..14).find(|&level| longest_side >> level <= FINE_SIDE).unwrap_or(14)
}

/// The looks at a frame of a camera stream: the fine one that every frame gets, and another one in turn. Every second is
/// the cheap one at a small picture, every fourth is left to the search by rings: see [`rings`].
pub(super) fn live(longest_side: usize, turn: usize) -> impl Iterator<Item = (usize, Pass)> {
    let level = fine_level(longest_side);
    let first = move |pass: &Pass| pass.rule == RULES[0] && !pass.doubled && pass.level == level;
    let small = passes(longest_side).enumerate().next().filter(|(_, pass)| !first(pass) && turn.is_multiple_of(2));
    let others = move || passes(longest_side).enumerate().skip(1).filter(move |(_, pass)| !first(pass));
    let other = (turn / 4).checked_rem(others().count()).filter(|_| turn % 4 == 3).and_then(|nth| others().nth(nth));
    let fine = passes(longest_side).enumerate().find(move |(_, pass)| first(pass));
    // The cheaper one first.
    small.into_iter().chain(fine).chain(other)
}

/// Whether this frame of a camera stream is also searched by rings: from which level of the pyramid on, and how many
/// times that was done before.
pub(super) fn rings(longest_side: usize, turn: usize) -> Option<(usize, usize)> {
    (turn % 4 == 1).then(|| (fine_level(longest_side), turn / 4))
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
    fn a_stream_gets_at_most_two_looks_per_frame_and_all_of_them_in_turn() {
        for side in [60, 640, 800, 1280, 1920, 3840] {
            let mut missing: Vec<Pass> = passes(side).collect();
            for turn in 0..4 * missing.len() {
                let looks: Vec<(usize, Pass)> = live(side, turn).collect();
                let others = looks.len() + usize::from(rings(side, turn).is_some());
                assert!((1..=2).contains(&others), "{side}: {looks:?}");
                assert!(looks.iter().all(|(number, pass)| passes(side).nth(*number) == Some(*pass)));
                let is_fine = |pass: &Pass| pass.rule == RULES[0] && !pass.doubled && side >> pass.level <= FINE_SIDE;
                assert!(looks.iter().any(|(_, pass)| is_fine(pass)), "{side}: {looks:?}");
                missing.retain(|pass| looks.iter().all(|(_, look)| look != pass));
            }
            assert_eq!(missing, [], "{side}");
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
