//! Where every module lies on paper that is not flat or behind a lens that bends.
//!
//! A projection, and how far each alignment pattern lies from where the projection puts it; between them these shifts
//! are interpolated. Patterns that cannot be found take the shift of their neighbours: none is required.
#![expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "at most seven patterns in a row, in arrays of seven by seven; positions are below 177"
)]

use super::fixed::{MOST_ALIGNMENTS, alignment_middles};
use super::geometry::Projection;
use super::view::View;
use crate::frame::Point;

/// Lines of a mesh, at most: as many as alignment patterns in a row.
const MOST: usize = MOST_ALIGNMENTS;

/// A projection with local shifts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Mesh {
    pub(super) projection: Projection,
    /// How many of `lines` are used: 0 is none, and no shifts.
    count: usize,
    /// The middles of the alignment patterns in a row, in modules.
    lines: [f32; MOST],
    /// Pixels to be added at each crossing of two lines.
    shifts: [[Point; MOST]; MOST],
}

/// The middles of the alignment patterns in a row, in modules, and how many there are.
fn alignment_lines(modules: usize) -> ([f32; MOST], usize) {
    let (middles, count) = alignment_middles(modules);
    (middles.map(|middle| middle as f32 + 0.5), count)
}

impl Mesh {
    /// A flat code.
    pub(super) fn flat(projection: Projection) -> Self {
        Self { projection, count: 0, lines: [0.0; MOST], shifts: [[Point::default(); MOST]; MOST] }
    }

    /// Looks for all alignment patterns. `contrast` is the difference between light and dark.
    pub(super) fn fitted(view: View<'_>, projection: Projection, contrast: f32) -> Self {
        let mut mesh = Self::flat(projection);
        let (lines, count) = alignment_lines(projection.modules());
        if count < 3 {
            return mesh;
        }
        (mesh.lines, mesh.count) = (lines, count);
        let mut known = [[false; MOST]; MOST];
        for (i, j) in [(0, 0), (count - 1, 0), (0, count - 1)] {
            known[j][i] = true;
        }
        // From the upper left corner outwards: what is found tells where to look next.
        for sum in 1..2 * count - 1 {
            for i in sum.saturating_sub(count - 1)..count.min(sum + 1) {
                let j = sum - i;
                if known[j][i] {
                    continue;
                }
                let guess = mesh.guess(&known, i, j);
                let (u, v) = (lines[i], lines[j]);
                let at = projection.map(u, v);
                let expected = Point::new(at.x + guess.x, at.y + guess.y);
                mesh.shifts[j][i] = guess;
                if let Some(found) = find_alignment(view, &projection, (u, v), expected, 1.6, contrast) {
                    mesh.shifts[j][i] = Point::new(found.x - at.x, found.y - at.y);
                    known[j][i] = true;
                }
            }
        }
        for j in 0..count {
            for i in 0..count {
                if !known[j][i] {
                    mesh.shifts[j][i] = mesh.guess(&known, i, j);
                }
            }
        }
        mesh
    }

    /// The mean shift of the known neighbours.
    fn guess(&self, known: &[[bool; MOST]; MOST], i: usize, j: usize) -> Point {
        let (mut sum, mut count) = (Point::default(), 0.0);
        for (y, row) in known.iter().enumerate().take(self.count) {
            for (x, &known) in row.iter().enumerate().take(self.count) {
                if known && (x, y) != (i, j) && x.abs_diff(i) < 2 && y.abs_diff(j) < 2 {
                    sum = Point::new(sum.x + self.shifts[y][x].x, sum.y + self.shifts[y][x].y);
                    count += 1.0;
                }
            }
        }
        if count == 0.0 { sum } else { Point::new(sum.x / count, sum.y / count) }
    }

    /// The same surface with shifts at evenly spread lines, about `spacing` modules apart.
    fn respaced(&self, spacing: f32) -> Self {
        let size = self.projection.modules() as f32;
        let count = ((size - 7.0) / spacing).round().clamp(2.0, (MOST - 1) as f32) as usize + 1;
        let mut mesh = Self { count, ..self.clone() };
        for (i, line) in mesh.lines.iter_mut().enumerate().take(count) {
            *line = 3.5 + (size - 7.0) * i as f32 / (count - 1) as f32;
        }
        for j in 0..count {
            for i in 0..count {
                let (u, v) = (mesh.lines[i], mesh.lines[j]);
                let (flat, bent) = (self.projection.map(u, v), self.map(u, v));
                mesh.shifts[j][i] = Point::new(bent.x - flat.x, bent.y - flat.y);
            }
        }
        mesh
    }

    /// The mesh moved to fit the edges between dark and light modules wherever they are: what curved paper and crooked
    /// lenses need when there are too few alignment patterns. `light` are the modules as this mesh samples them,
    /// `contrast` the difference between light and dark. Helps where a module is off by less than a half.
    pub(super) fn relaxed(&self, view: View<'_>, light: &[u8], contrast: f32) -> Self {
        let mut mesh = self.respaced(5.0);
        let size = mesh.projection.modules();
        let mut sums = [[(Point::default(), 0.0f32); MOST]; MOST];
        for row in 0..size {
            for column in 0..size {
                let here = f32::from(light.get(row * size + column).copied().unwrap_or(0));
                let (u, v) = (column as f32, row as f32);
                for (vertical, next) in [(true, (row, column + 1)), (false, (row + 1, column))] {
                    if next.0 >= size || next.1 >= size {
                        continue;
                    }
                    let there = f32::from(light.get(next.0 * size + next.1).copied().unwrap_or(0));
                    if (there - here).abs() < contrast * 0.35 {
                        continue;
                    }
                    let (u, v) = if vertical { (u + 1.0, v + 0.5) } else { (u + 0.5, v + 1.0) };
                    let at = mesh.map(u, v);
                    let before = if vertical { mesh.map(u - 1.0, v) } else { mesh.map(u, v - 1.0) };
                    let step = Point::new(at.x - before.x, at.y - before.y);
                    let Some(t) = view.edge(at, step, 0.6, there > here) else { continue };
                    let (i, right) = mesh.between(u);
                    let (j, down) = mesh.between(v);
                    for (y, x, weight) in [
                        (j, i, (1.0 - right) * (1.0 - down)),
                        (j, i + 1, right * (1.0 - down)),
                        (j + 1, i, (1.0 - right) * down),
                        (j + 1, i + 1, right * down),
                    ] {
                        let (sum, all) = &mut sums[y][x];
                        // Vertical edges tell about one direction, horizontal ones about the other: each counts half.
                        *sum = Point::new(sum.x + step.x * t * weight, sum.y + step.y * t * weight);
                        *all += weight * 0.5;
                    }
                }
            }
        }
        let count = mesh.count;
        for (j, row) in mesh.shifts.iter_mut().enumerate().take(count) {
            for (i, shift) in row.iter_mut().enumerate().take(count) {
                // A part of the movement of the neighbours keeps the surface smooth.
                let (mut sum, mut all) = (Point::default(), 2.0);
                for (y, row) in sums.iter().enumerate().take(count) {
                    for (x, &(part, weight)) in row.iter().enumerate().take(count) {
                        let near = match (x.abs_diff(i), y.abs_diff(j)) {
                            (0, 0) => 1.0,
                            (0, 1) | (1, 0) => 0.25,
                            _ => continue,
                        };
                        sum = Point::new(sum.x + part.x * near, sum.y + part.y * near);
                        all += weight * near;
                    }
                }
                *shift = Point::new(shift.x + sum.x / all, shift.y + sum.y / all);
            }
        }
        mesh
    }

    /// The pixel of a place in modules.
    #[inline]
    pub(super) fn map(&self, u: f32, v: f32) -> Point {
        let at = self.projection.map(u, v);
        if self.count < 2 {
            return at;
        }
        let (i, right) = self.between(u);
        let (j, down) = self.between(v);
        let mix = |of: fn(&Point) -> f32| {
            let row = |j: usize| {
                let (a, b) = (of(&self.shifts[j][i]), of(&self.shifts[j][i + 1]));
                a + (b - a) * right
            };
            let (upper, lower) = (row(j), row(j + 1));
            upper + (lower - upper) * down
        };
        Point::new(at.x + mix(|p| p.x), at.y + mix(|p| p.y))
    }

    /// The last line before a place, and how far it is to the next, from 0 to 1.
    #[inline]
    fn between(&self, place: f32) -> (usize, f32) {
        let mut i = 0;
        while i + 2 < self.count && place > self.lines[i + 1] {
            i += 1;
        }
        let part = (place - self.lines[i]) / (self.lines[i + 1] - self.lines[i]);
        (i, part.clamp(0.0, 1.0))
    }

    /// The same mesh in a picture whose pixels are smaller by `factor`.
    pub(super) fn scaled(&self, factor: f32) -> Self {
        let mut mesh = self.clone();
        mesh.projection = self.projection.scaled(factor);
        for shift in mesh.shifts.iter_mut().flatten() {
            *shift = Point::new(shift.x * factor, shift.y * factor);
        }
        mesh
    }

    /// The corners of the symbol: upper left, upper right, lower right, lower left.
    pub(super) fn corners(&self) -> [Point; 4] {
        let n = self.projection.modules() as f32;
        [self.map(0.0, 0.0), self.map(n, 0.0), self.map(n, n), self.map(0.0, n)]
    }
}

/// Looks for an alignment pattern whose middle is expected at a pixel, at most `radius` modules away from there. The
/// pattern is compared with the grey picture: nothing needs to be cleanly separated.
pub(super) fn find_alignment(
    view: View<'_>,
    projection: &Projection,
    (u, v): (f32, f32),
    expected: Point,
    radius: f32,
    contrast: f32,
) -> Option<Point> {
    let (right, down) = projection.steps(u, v);
    let at = |a: f32, b: f32| {
        let (x, y) = (expected.x + right.x * a + down.x * b, expected.y + right.y * a + down.y * b);
        view.light(x, y)
    };
    // Light ring minus the mean of dark ring and dark middle, at a place `(a, b)` modules beside the expected one.
    let score = |a: f32, b: f32| {
        let (mut ring, mut light) = (0.0, 0.0);
        let stone = at(a, b);
        for (dx, dy) in
            [(-1.0, -1.0), (0.0, -1.0), (1.0, -1.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0), (-1.0, 1.0), (-1.0, 0.0)]
        {
            light += at(a + dx, b + dy);
            ring += at(a + 2.0 * dx, b + 2.0 * dy);
        }
        for (dx, dy) in
            [(1.0, 2.0), (2.0, 1.0), (-1.0, 2.0), (2.0, -1.0), (1.0, -2.0), (-2.0, 1.0), (-1.0, -2.0), (-2.0, -1.0)]
        {
            ring += at(a + dx, b + dy);
        }
        let light = light / 8.0;
        (light - ring / 16.0).min((light - stone) * 1.5)
    };
    let steps = (radius * 2.0) as i32;
    let mut best = (f32::MIN, 0.0, 0.0);
    for row in -steps..=steps {
        for column in -steps..=steps {
            let (a, b) = (column as f32 * 0.5, row as f32 * 0.5);
            // Nearer places win when all else is equal.
            let score = score(a, b) - contrast * 0.03 * (a * a + b * b).sqrt() / radius.max(1.0);
            if score > best.0 {
                best = (score, a, b);
            }
        }
    }
    let (_, mut a, mut b) = best;
    let mut top = score(a, b);
    if top < contrast * 0.4 {
        return None;
    }
    for step in [0.25, 0.125] {
        for (da, db) in [(-step, 0.0), (step, 0.0), (0.0, -step), (0.0, step)] {
            let there = score(a + da, b + db);
            if there > top {
                (top, a, b) = (there, a + da, b + db);
            }
        }
    }
    Some(Point::new(expected.x + right.x * a + down.x * b, expected.y + right.y * a + down.y * b))
}
