//! The corner squares of all passes over a frame: one may be seen at one size only, its neighbours at another.

use super::finder::Finder;

/// Squares that are kept, at most.
const MOST: usize = 160;

/// Every square once, with the passes that saw it.
#[derive(Debug, Default)]
pub(super) struct Pool {
    squares: Vec<(Finder, u64)>,
}

impl Pool {
    /// Forgets all squares.
    pub(super) fn clear(&mut self) {
        self.squares.clear();
    }

    /// Adds a square, in frame pixels, that the pass with this number saw.
    pub(super) fn add(&mut self, finder: Finder, pass: usize) {
        let seen_in = 1u64 << (pass % 64);
        if let Some((known, passes)) = self.squares.iter_mut().find(|(known, _)| is_same(known, &finder)) {
            *passes |= seen_in;
            if finder.strength > known.strength {
                *known = finder;
            }
        } else if self.squares.len() < MOST {
            self.squares.push((finder, seen_in));
        }
    }

    /// Writes the clearest squares to `out`.
    pub(super) fn write_clearest(&self, out: &mut Vec<Finder>, most: usize) {
        out.clear();
        out.extend(self.squares.iter().map(|(finder, _)| *finder));
        let place = |f: &Finder| (f.center.y.to_bits(), f.center.x.to_bits());
        out.sort_unstable_by(|a, b| b.strength.total_cmp(&a.strength).then(place(a).cmp(&place(b))));
        out.truncate(most);
    }

    /// Whether one pass saw all three, and so tried them already.
    pub(super) fn seen_together(&self, three: &[Finder; 3]) -> bool {
        three
            .iter()
            .map(|finder| {
                self.squares.iter().find(|(known, _)| known == finder).map_or(u64::MAX, |(_, passes)| *passes)
            })
            .fold(u64::MAX, |all, passes| all & passes)
            != 0
    }
}

/// Whether two squares are one: at one place and of one size.
fn is_same(a: &Finder, b: &Finder) -> bool {
    let ratio = a.module() / b.module().max(1e-3);
    a.is_at(b) && (0.6..1.7).contains(&ratio)
}
