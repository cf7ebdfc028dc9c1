//! Which three finder patterns may belong to one code.

use super::finder::Finder;
use super::geometry::turn;
use crate::frame::Point;

/// Three corner squares: the one with two neighbours, then the other two so that they run clockwise as seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Triple {
    pub(super) corner: usize,
    pub(super) right: usize,
    pub(super) below: usize,
    /// How far this is from what a code looks like; 0 is perfect.
    pub(super) cost: f32,
}

/// Neighbours of one square that are looked at: with more, pictures full of false squares take too long.
const NEIGHBOURS: usize = 14;

/// Buffers that are kept between pictures.
#[derive(Debug, Default)]
pub(super) struct Grouping {
    pub(super) triples: Vec<Triple>,
    near: Vec<(f32, usize)>,
}

impl Grouping {
    /// Sets `triples` to all that are plausible, the best first. `is_used` names squares that belong to a code that was
    /// read already.
    pub(super) fn group(&mut self, finders: &[Finder], is_used: impl Fn(&Finder) -> bool) {
        self.triples.clear();
        for (corner, a) in finders.iter().enumerate() {
            if is_used(a) {
                continue;
            }
            self.near.clear();
            for (i, b) in finders.iter().enumerate() {
                let size = ratio(a.module(), b.module());
                let modules = a.center.distance(b.center) / (a.module() + b.module()) * 2.0;
                // A code has 14 to 170 modules between the middles; a turned square looks up to 1.4 times as large.
                if i != corner
                    && a.inverted == b.inverted
                    && size < 2.2
                    && (8.5..190.0).contains(&modules)
                    && !is_used(b)
                {
                    self.near.push((size + weakness(b) + modules / 100.0, i));
                }
            }
            self.near.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            self.near.truncate(NEIGHBOURS);
            for (i, &(_, b)) in self.near.iter().enumerate() {
                for &(_, c) in self.near.iter().skip(i.saturating_add(1)) {
                    self.triples.extend(judge(finders, corner, b, c));
                }
            }
        }
        self.triples.sort_unstable_by(|a, b| {
            a.cost.total_cmp(&b.cost).then((a.corner, a.right, a.below).cmp(&(b.corner, b.right, b.below)))
        });
    }
}

/// Pairs of squares whose third is guessed, at most.
const MOST_PAIRS: usize = 6;

/// Three squares of which one was not seen: dirt, a thumb or glare hides it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Guess {
    /// Corner, right, below.
    pub(super) squares: [Finder; 3],
    /// Which of them is the guess.
    pub(super) hidden: usize,
}

/// Sets `out` to where the third square of a code may be for each two that may belong to one: at both ends of a side, on
/// either side of it, or opposite a diagonal. The pairs that are seen best come first.
pub(super) fn guess_hidden(finders: &[Finder], out: &mut Vec<Guess>) {
    out.clear();
    let mut pairs = [(f32::MAX, 0usize, 0usize); MOST_PAIRS];
    for (i, a) in finders.iter().enumerate() {
        for (j, b) in finders.iter().enumerate().skip(i.saturating_add(1)) {
            let size = ratio(a.module(), b.module());
            let modules = a.center.distance(b.center) / (a.module() + b.module()) * 2.0;
            if a.inverted != b.inverted || size > 1.6 || !(9.0..170.0).contains(&modules) {
                continue;
            }
            let cost = size + weakness(a) + weakness(b);
            if let Some(worst) = pairs.last_mut()
                && cost < worst.0
            {
                *worst = (cost, i, j);
                pairs.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then((a.1, a.2).cmp(&(b.1, b.2))));
            }
        }
    }
    for (_, i, j) in pairs.into_iter().filter(|pair| pair.0 < f32::MAX) {
        let (Some(&a), Some(&b)) = (finders.get(i), finders.get(j)) else { continue };
        let (across, down) = (f32::midpoint(a.across, b.across), f32::midpoint(a.down, b.down));
        for (p, q) in [(a, b), (b, a)] {
            let (dx, dy) = (q.center.x - p.center.x, q.center.y - p.center.y);
            let third = |x: f32, y: f32| Finder { center: Point::new(x, y), across, down, strength: 0.0, ..a };
            let middle = (f32::midpoint(p.center.x, q.center.x), f32::midpoint(p.center.y, q.center.y));
            out.push(Guess { squares: [p, q, third(p.center.x - dy, p.center.y + dx)], hidden: 2 });
            out.push(Guess { squares: [p, third(p.center.x + dy, p.center.y - dx), q], hidden: 1 });
            out.push(Guess { squares: [third(middle.0 - dy / 2.0, middle.1 + dx / 2.0), p, q], hidden: 0 });
        }
    }
}

/// What a square that is not clean adds to the cost: patterns among the data look like one along some lines.
fn weakness(finder: &Finder) -> f32 {
    (1.0 - finder.strength) * 2.0
}

/// The larger of two lengths divided by the smaller.
fn ratio(a: f32, b: f32) -> f32 {
    a.max(b) / a.min(b).max(1e-3)
}

/// Whether three squares may be the corner, and the ends of the two sides that meet in it.
fn judge(finders: &[Finder], corner: usize, b: usize, c: usize) -> Option<Triple> {
    let (a, pb, pc) = (finders.get(corner)?, finders.get(b)?, finders.get(c)?);
    let (ab, ac) = (a.center.distance(pb.center), a.center.distance(pc.center));
    let legs = ratio(ab, ac);
    let dot = (pb.center.x - a.center.x) * (pc.center.x - a.center.x)
        + (pb.center.y - a.center.y) * (pc.center.y - a.center.y);
    let cosine = (dot / (ab * ac).max(1e-3)).abs();
    let sizes = ratio(a.module(), pb.module()).max(ratio(a.module(), pc.module())).max(ratio(pb.module(), pc.module()));
    // Seen under 60 degrees a side is half as long; the angle leaves 90 degrees by as much when seen from a corner.
    if legs > 2.6 || cosine > 0.77 || sizes > 2.4 {
        return None;
    }
    let modules = (ab + ac) * 3.0 / (2.0 * (a.module() + pb.module() + pc.module()));
    let cost = (legs - 1.0) + cosine + (sizes - 1.0) + modules / 100.0 + weakness(a) + weakness(pb) + weakness(pc);
    let (right, below) = if turn(a.center, pb.center, pc.center) > 0.0 { (b, c) } else { (c, b) };
    Some(Triple { corner, right, below, cost })
}
