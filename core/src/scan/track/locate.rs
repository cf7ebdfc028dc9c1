//! From corner squares to guesses of where a symbol lies, without the demand that it can be read there.
#![expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "at most MOST_SQUARES squares are combined, and sizes stay between 21 and 177 modules"
)]

use super::super::pyramid::GrayImage;
use super::Square;
use super::plane::Plane;
use super::template::Template;
use crate::frame::Point;

/// Squares that are combined at most, those seen best.
const MOST_SQUARES: usize = 10;
/// Guesses that are looked at in one frame at most.
const MOST_GUESSES: usize = 6;

/// A place and its eight neighbours.
const AROUND: [(f32, f32); 9] =
    [(0.0, 0.0), (-1.0, -1.0), (0.0, -1.0), (1.0, -1.0), (-1.0, 0.0), (1.0, 0.0), (-1.0, 1.0), (0.0, 1.0), (1.0, 1.0)];

/// Three squares in the places that the corner squares of a symbol have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guess {
    corner: Point,
    right: Point,
    below: Point,
    /// Modules between the middles of two squares, as far as their sizes tell.
    modules: f32,
    pub(super) inverted: bool,
    /// 0 for perfect proportions.
    oddness: f32,
}

/// The most plausible guesses, best first.
pub(super) fn guesses(squares: &[Square], out: &mut Vec<Guess>) {
    out.clear();
    let squares = &squares[..squares.len().min(MOST_SQUARES)];
    for (i, a) in squares.iter().enumerate() {
        for (j, b) in squares.iter().enumerate().skip(i + 1) {
            for c in &squares[j + 1..] {
                out.extend(guess(a, b, c));
            }
        }
    }
    let place = |guess: &Guess| [guess.corner, guess.right, guess.below].map(|p| (p.x.to_bits(), p.y.to_bits()));
    out.sort_unstable_by(|a, b| a.oddness.total_cmp(&b.oddness).then_with(|| place(a).cmp(&place(b))));
    out.truncate(MOST_GUESSES);
}

fn guess(a: &Square, b: &Square, c: &Square) -> Option<Guess> {
    if a.inverted != b.inverted || b.inverted != c.inverted {
        return None;
    }
    let sizes = [a.module, b.module, c.module];
    let (small, large) = sizes.iter().fold((f32::MAX, 0.0f32), |(s, l), m| (s.min(*m), l.max(*m)));
    if large > 2.0 * small {
        return None;
    }
    // The corner lies opposite the longest side.
    let sides = [b.center.distance(c.center), a.center.distance(c.center), a.center.distance(b.center)];
    let (corner, mut right, mut below) = match () {
        () if sides[0] >= sides[1] && sides[0] >= sides[2] => (a.center, b.center, c.center),
        () if sides[1] >= sides[2] => (b.center, a.center, c.center),
        () => (c.center, a.center, b.center),
    };
    let cross = |p: Point, q: Point| (p.x - corner.x) * (q.y - corner.y) - (p.y - corner.y) * (q.x - corner.x);
    if cross(right, below) < 0.0 {
        std::mem::swap(&mut right, &mut below);
    }
    let (first, second) = (corner.distance(right), corner.distance(below));
    let sine = cross(right, below) / (first * second).max(1e-3);
    let ratio = first.max(second) / first.min(second).max(1e-3);
    let module = (sizes[0] + sizes[1] + sizes[2]) / 3.0;
    let modules = (first + second) / 2.0 / module.max(1e-3);
    if sine < 0.6 || ratio > 2.6 || !(9.0..75.0).contains(&modules) {
        return None;
    }
    let oddness = (1.0 - sine) + (ratio - 1.0) + 0.6 * (large / small - 1.0);
    Some(Guess { corner, right, below, modules, inverted: a.inverted, oddness })
}

impl Guess {
    /// Sizes in modules that fit, the one of our own code first if it does.
    pub(super) fn sizes(&self) -> impl Iterator<Item = usize> {
        let near = ((self.modules + 7.0 - 17.0) / 4.0).round().clamp(1.0, 15.0) as usize;
        let own = super::offer::SIZE;
        let fits = (0.68..1.45).contains(&((own - 7) as f32 / self.modules));
        let others = [near, near + 1, near.saturating_sub(1).max(1)].map(|version| 17 + 4 * version);
        fits.then_some(own).into_iter().chain(others.into_iter().filter(move |size| !(fits && *size == own)))
    }

    fn polarity(&self) -> f32 {
        if self.inverted { -1.0 } else { 1.0 }
    }

    /// The plane of a symbol of this size whose fourth corner lies so many modules beside the parallelogram.
    fn through(&self, size: usize, beside: (f32, f32)) -> Option<Plane> {
        let at = |modules: f32| 2.0 * modules / size as f32 - 1.0;
        let (near, far) = (at(3.5), at(size as f32 - 3.5));
        let across = (self.right.x - self.corner.x, self.right.y - self.corner.y);
        let down = (self.below.x - self.corner.x, self.below.y - self.corner.y);
        let per_module = 1.0 / (size as f32 - 7.0);
        let (a, d) = (1.0 + beside.0 * per_module, 1.0 + beside.1 * per_module);
        let fourth = Point::new(self.corner.x + a * across.0 + d * down.0, self.corner.y + a * across.1 + d * down.1);
        Plane::through([
            ([near, near], self.corner),
            ([far, near], self.right),
            ([near, far], self.below),
            ([far, far], fourth),
        ])
    }

    /// How well a symbol of this size agrees, with the fourth corner where the three squares alone put it: corner squares
    /// and timing lines hardly depend on it.
    pub(super) fn score(&self, image: &GrayImage, size: usize, template: &Template) -> f32 {
        let plane = self.through(size, (0.0, 0.0));
        plane.map_or(-1.0, |plane| template.glance(image, &plane, self.polarity()))
    }

    /// The plane of a symbol of this size: the fourth corner is looked for where the template agrees best, first in wide
    /// steps and then around the best of them.
    pub(super) fn plane(&self, image: &GrayImage, size: usize, template: &Template) -> Option<(Plane, f32)> {
        let mut best: Option<(Plane, f32, (f32, f32))> = None;
        for step in [1.6, 0.8] {
            let (from, known) = best.as_ref().map_or(((0.0, 0.0), None), |&(_, score, from)| (from, Some(score)));
            for (across, down) in AROUND {
                if (across, down) == (0.0, 0.0) && known.is_some() {
                    continue;
                }
                let beside = (from.0 + across * step, from.1 + down * step);
                let Some(plane) = self.through(size, beside) else { continue };
                let score = template.glance(image, &plane, self.polarity());
                if best.as_ref().is_none_or(|&(_, known, _)| score > known) {
                    best = Some((plane, score, beside));
                }
            }
        }
        best.map(|(plane, score, _)| (plane, score)).filter(|(plane, _)| plane.is_plausible(size))
    }
}
