//! From three finder patterns to the place of every module.
//!
//! First the size: the distance of two finder patterns divided by the geometric mean of the module sides measured at
//! both, which is exact under any perspective. Then the projection: every edge of the fixed patterns (finder, timing)
//! is looked for where the projection expects it, to a fraction of a pixel, and the projection is moved to fit them
//! all. The timing patterns are followed outwards from the finder patterns, so that the expectation is never off by half
//! a module when an edge is looked for.

use super::geometry::{LeastSquares, Projection, turn};
use super::view::View;
use crate::frame::Point;

/// What three finder patterns say before any size is assumed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    /// The middles: corner, right, below.
    pub(super) centers: [Point; 3],
    /// Module sides along the upper side: at the corner and at the right.
    upper: (f32, f32),
    /// Module sides along the left side: at the corner and below.
    left: (f32, f32),
    /// Modules on a side as the upper and the left side tell.
    pub(super) sizes: (f32, f32),
}

impl Measured {
    /// Measures along both sides. `modules` are guesses of the module side at each square. The square that is `hidden`
    /// (0, 1 or 2), if one is, was not seen: its place is a guess, and what it would tell is taken from its neighbour.
    /// `None` when one of the others does not look like a corner square along a side of the code.
    pub(super) fn new(view: View<'_>, centers: [Point; 3], modules: [f32; 3], hidden: Option<usize>) -> Option<Self> {
        let [mut a, mut b, mut c] = centers;
        let [ma, mb, mc] = modules;
        let mut measured = None;
        // Twice: the second time through better middles.
        for _ in 0..2 {
            let right = unit(a, b)?;
            let down = unit(a, c)?;
            let back = |p: Point| Point::new(-p.x, -p.y);
            let look = |square: usize, at: Point, along: Point, module: f32| match hidden {
                Some(hidden) if hidden == square => Some(None),
                _ => view.measure_finder(at, along, module).map(Some),
            };
            let a_right = look(0, a, right, ma)?;
            let a_down = look(0, a, down, ma)?;
            let b_right = look(1, b, back(right), mb)?;
            let c_down = look(2, c, back(down), mc)?;
            let (b_down, c_right) = match hidden {
                None => (view.measure_finder(b, down, mb), view.measure_finder(c, right, mc)),
                Some(_) => (None, None),
            };
            // A guess does not move.
            let still = |seen: Option<(f32, f32)>, other: Option<(f32, f32)>| {
                seen.or_else(|| other.map(|(module, _)| (module, 0.0)))
            };
            let (a_right, b_right) = (still(a_right, b_right)?, still(b_right, a_right)?);
            let (a_down, c_down) = (still(a_down, c_down)?, still(c_down, a_down)?);
            let upper = (a_right.0, b_right.0);
            let left = (a_down.0, c_down.0);
            let shift = |p: Point, along: Point, by: f32| Point::new(p.x + along.x * by, p.y + along.y * by);
            a = shift(shift(a, right, a_right.1), down, a_down.1);
            b = shift(shift(b, right, -b_right.1), down, b_down.map_or(0.0, |m| m.1));
            c = shift(shift(c, down, -c_down.1), right, c_right.map_or(0.0, |m| m.1));
            let size = |p: Point, q: Point, (m, n): (f32, f32)| p.distance(q) / (m * n).sqrt() + 7.0;
            let sizes = match (size(a, b, upper), size(a, c, left)) {
                // How far away the guess lies tells nothing.
                (_, left) if hidden == Some(1) => (left, left),
                (upper, _) if hidden == Some(2) => (upper, upper),
                sizes => sizes,
            };
            measured = Some(Self { centers: [a, b, c], upper, left, sizes });
        }
        measured
    }

    /// The sizes (modules on a side) that are worth trying, the likeliest first.
    pub(super) fn sizes(&self) -> impl Iterator<Item = usize> + use<> {
        let (upper, left) = self.sizes;
        let mean = f32::midpoint(upper, left);
        let first = nearest_size(mean);
        let second = if mean > first as f32 { first.saturating_add(4) } else { first.saturating_sub(4) };
        let third = if mean > first as f32 { first.saturating_sub(4) } else { first.saturating_add(4) };
        let list = [first, second, nearest_size(upper), nearest_size(left), third];
        let is_new = move |i: usize, size: usize| list.iter().take(i).all(|&earlier| earlier != size);
        list.into_iter()
            .enumerate()
            .filter(move |&(i, size)| (21..=177).contains(&size) && is_new(i, size))
            .map(|(_, size)| size)
    }

    /// Whether the two sides may belong to one square code at all.
    pub(super) fn is_plausible(&self) -> bool {
        let (upper, left) = self.sizes;
        upper > 17.0 && left > 17.0 && upper.max(left) < 200.0 && upper.max(left) / upper.min(left) < 1.35
    }

    /// The projection for a code of this size.
    pub(super) fn projection(&self, size: usize, with_perspective: bool) -> Option<Projection> {
        let (right, down) =
            if with_perspective { (self.upper.1 / self.upper.0, self.left.1 / self.left.0) } else { (1.0, 1.0) };
        Projection::from_finders(self.centers, size, right, down).filter(Projection::is_sound)
    }
}

/// The size of a code (21, 25, ... 177) next to a measured one.
fn nearest_size(measured: f32) -> usize {
    let version = ((measured - 17.0) / 4.0).round().clamp(1.0, 40.0);
    (version as usize).saturating_mul(4).saturating_add(17)
}

/// The direction from one point to another, one pixel long.
fn unit(from: Point, to: Point) -> Option<Point> {
    let length = from.distance(to);
    (length > 1.0).then(|| Point::new((to.x - from.x) / length, (to.y - from.y) / length))
}

/// An edge of a fixed pattern: where it lies in modules, whether it is a vertical one (crossed to the right) or a
/// horizontal one (crossed downwards), and whether it goes from dark to light.
#[derive(Clone, Copy, Debug)]
struct Edge {
    u: f32,
    v: f32,
    vertical: bool,
    rising: bool,
}

/// Calls `with` for the edges of a square of rings whose upper left corner is `(u, v)`: `edges` are the places where
/// colours change across its middle and whether dark becomes light there, `lines` the lines to cross it on.
fn ring_edges((u, v): (f32, f32), edges: &[(f32, bool)], lines: &[f32], with: &mut impl FnMut(Edge)) {
    for &(edge, rising) in edges {
        for &line in lines {
            with(Edge { u: u + edge, v: v + line, vertical: true, rising });
            with(Edge { u: u + line, v: v + edge, vertical: false, rising });
        }
    }
}

const FINDER: [(f32, bool); 6] = [(0.0, false), (1.0, true), (2.0, false), (5.0, true), (6.0, false), (7.0, true)];
const FINDER_LINES: [f32; 3] = [2.5, 3.5, 4.5];
const ALIGNMENT: [(f32, bool); 6] = [(0.0, false), (1.0, true), (2.0, false), (3.0, true), (4.0, false), (5.0, true)];

/// Moves a projection so that it fits the edges of the fixed patterns. `anchor` is the place of the last alignment
/// pattern, if it was found. Gives the better projection and how far the edges lie from it: the mean square, in modules.
pub(super) fn refine(view: View<'_>, start: Projection, anchor: Option<Point>) -> Option<(Projection, f32)> {
    let size = start.modules() as f32;
    let half = (size - 16.0) / 2.0 + 1.0;
    let mut projection = start;
    // How many timing edges next to each finder pattern are used.
    let mut followed = 0.0;
    let mut spread;
    let mut rounds = 0u32;
    loop {
        let mut equations = LeastSquares::new(projection);
        let (mut squares, mut weights) = (0.0, 0.0);
        let gate = if rounds == 0 { 0.75 } else { 0.6 };
        let mut measure = |edge: Edge| {
            let at = projection.map(edge.u, edge.v);
            let (right, down) = projection.steps(edge.u, edge.v);
            let (across, along) = if edge.vertical { (right, down) } else { (down, right) };
            let Some(t) = view.edge(at, across, gate, edge.rising) else { return };
            let length = (along.x * along.x + along.y * along.y).sqrt().max(1e-3);
            let normal = Point::new(-along.y / length, along.x / length);
            let distance = (across.x * normal.x + across.y * normal.y) * t;
            let module = (across.x * normal.x + across.y * normal.y).abs().max(1e-3);
            // Far outliers (dirt, a logo, glare) count little.
            let weight = (1.0 + (t / 0.25) * (t / 0.25)).recip();
            equations.add(edge.u, edge.v, normal, distance, weight / (module * module));
            squares += t * t * weight;
            weights += weight;
        };
        for corner in [(0.0, 0.0), (size - 7.0, 0.0), (0.0, size - 7.0)] {
            ring_edges(corner, &FINDER, &FINDER_LINES, &mut measure);
        }
        let mut k = 1.0;
        while k <= followed && k <= half {
            for at in [7.0 + k, size - 7.0 - k] {
                // Modules with an even number are dark: an edge to one of these falls.
                let rising = (at as usize) % 2 == 1;
                measure(Edge { u: at, v: 6.5, vertical: true, rising });
                measure(Edge { u: 6.5, v: at, vertical: false, rising });
            }
            k += 1.0;
        }
        if let Some(anchor) = anchor.filter(|_| rounds == 0) {
            let (u, v) = (size - 6.5, size - 6.5);
            let at = projection.map(u, v);
            let module = turn(at, projection.map(u + 1.0, v), projection.map(u, v + 1.0)).abs().max(1e-3);
            for normal in [Point::new(1.0, 0.0), Point::new(0.0, 1.0)] {
                let distance = (anchor.x - at.x) * normal.x + (anchor.y - at.y) * normal.y;
                equations.add(u, v, normal, distance, 24.0 / module);
            }
        } else if anchor.is_some() {
            ring_edges((size - 9.0, size - 9.0), &ALIGNMENT, &[1.5, 2.5, 3.5], &mut |edge| {
                // The dark middle and its ring: lines beside the middle cross only the outer ring at full contrast.
                measure(edge);
            });
        }
        if weights < 12.0 {
            return None;
        }
        spread = squares / weights;
        projection = equations.solve()?;
        rounds = rounds.saturating_add(1);
        if followed >= half && rounds >= 2 {
            break;
        }
        followed = if rounds < 2 { 0.0 } else { (followed * 2.0).max(5.0) };
        if rounds == 1 && half <= 5.0 {
            followed = 5.0;
        }
        if rounds > 10 {
            break;
        }
    }
    Some((projection, spread))
}

/// The part of the modules of both timing patterns that are darker or lighter than their neighbours as they must be,
/// from 0 to 1. About 0.5 when size or place are wrong.
pub(super) fn timing_agreement(view: View<'_>, projection: &Projection) -> f32 {
    let size = projection.modules();
    let mut right = 0u32;
    let mut all = 0u32;
    for vertical in [false, true] {
        let light = |i: usize| {
            let i = i as f32 + 0.5;
            let at = if vertical { projection.map(6.5, i) } else { projection.map(i, 6.5) };
            view.light(at.x, at.y)
        };
        let (mut before, mut here) = (light(7), light(8));
        for i in 8..size.saturating_sub(8) {
            let after = light(i.saturating_add(1));
            let contrast = f32::midpoint(before, after) - here;
            let ok = if i % 2 == 0 { contrast > 2.0 } else { contrast < -2.0 };
            right = right.saturating_add(u32::from(ok));
            all = all.saturating_add(1);
            (before, here) = (here, after);
        }
    }
    right as f32 / all.max(1) as f32
}

/// The part of the modules of the three finder patterns and the white around them that are as they must be, from 0 to 1,
/// and how much lighter light is than dark there.
pub(super) fn finder_agreement(view: View<'_>, projection: &Projection) -> (f32, f32) {
    let size = projection.modules() as f32;
    let (mut right, mut all, mut contrast) = (0u32, 0u32, 0.0);
    for (corner_u, corner_v, gap_u, gap_v) in
        [(0.0, 0.0, 7.0, 7.0), (size - 7.0, 0.0, -1.0, 7.0), (0.0, size - 7.0, 7.0, -1.0)]
    {
        let mut values = [(0.0f32, false); 64];
        let mut sums = [(0.0f32, 0.0f32); 2];
        for (i, value) in values.iter_mut().enumerate() {
            let (column, row) = ((i % 8) as f32, (i / 8) as f32);
            let u = if column == 7.0 { gap_u } else { column };
            let v = if row == 7.0 { gap_v } else { row };
            let ring = (column - 3.0).abs().max((row - 3.0).abs());
            let dark = column < 7.0 && row < 7.0 && ring != 2.0;
            let at = projection.map(corner_u + u + 0.5, corner_v + v + 0.5);
            let light = view.light(at.x, at.y);
            *value = (light, dark);
            let [of_light, of_dark] = &mut sums;
            let sum = if dark { of_dark } else { of_light };
            sum.0 += light;
            sum.1 += 1.0;
        }
        let [light, dark] = sums.map(|(sum, count)| sum / count.max(1.0));
        let middle = f32::midpoint(light, dark);
        contrast += (light - dark) / 3.0;
        for (value, dark) in values {
            right = right.saturating_add(u32::from((value < middle) == dark));
            all = all.saturating_add(1);
        }
    }
    (right as f32 / all.max(1) as f32, contrast)
}
