//! Where the points of a symbol lie in a picture.

use crate::frame::Point;

/// A projective map from the square of the symbol to the picture. The square reaches from -1 to 1 on both axes: the
/// numbers stay of one size whatever the version.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Plane {
    /// Row by row; the last is 1 after [`Plane::scaled`].
    m: [f32; 9],
}

impl Plane {
    /// The map that sends four points of the square to four points of the picture; `None` when three of either lie on
    /// a line.
    pub(super) fn through(pairs: [([f32; 2], Point); 4]) -> Option<Self> {
        let mut rows = [[0.0f64; 9]; 8];
        for ([first, second], (p, to)) in rows.as_chunks_mut::<2>().0.iter_mut().zip(pairs) {
            let ([u, v], x, y) = (p.map(f64::from), f64::from(to.x), f64::from(to.y));
            *first = [u, v, 1.0, 0.0, 0.0, 0.0, -u * x, -v * x, x];
            *second = [0.0, 0.0, 0.0, u, v, 1.0, -u * y, -v * y, y];
        }
        let [a, b, c, d, e, f, g, h] = solve(rows)?;
        Self { m: [a, b, c, d, e, f, g, h, 1.0].map(|value| value as f32) }.scaled()
    }

    /// Where a point of the square lies, in pixels.
    #[inline]
    pub(super) fn at(&self, u: f32, v: f32) -> Point {
        let [a, b, c, d, e, f, g, h, i] = self.m;
        let depth = 1.0 / (g * u + h * v + i);
        Point::new((a * u + b * v + c) * depth, (d * u + e * v + f) * depth)
    }

    /// The start of a row of points and what is added from one to the next, before the division.
    #[inline]
    pub(super) fn row(&self, u: f32, v: f32, step: f32) -> ([f32; 3], [f32; 3]) {
        let [a, b, c, d, e, f, g, h, i] = self.m;
        ([a * u + b * v + c, d * u + e * v + f, g * u + h * v + i], [a * step, d * step, g * step])
    }

    /// The four corners: top left, top right, bottom right, bottom left of the square.
    pub(super) fn corners(&self) -> [Point; 4] {
        [[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]].map(|[u, v]| self.at(u, v))
    }

    /// This map after a small one of the square has been undone: see [`register`](super::register).
    pub(super) fn before_undoing(&self, small: &[f32; 8]) -> Option<Self> {
        let [a, b, c, d, e, f, g, h] = *small;
        let change = [1.0 + a, b, c, d, 1.0 + e, f, g, h, 1.0];
        let inverse = invert(&change)?;
        Self { m: product(&self.m, &inverse) }.scaled()
    }

    /// The same map, moved over the picture.
    pub(super) fn moved(&self, dx: f32, dy: f32) -> Self {
        let [a, b, c, d, e, f, g, h, i] = self.m;
        Self { m: [a + dx * g, b + dx * h, c + dx * i, d + dy * g, e + dy * h, f + dy * i, g, h, i] }
    }

    fn scaled(self) -> Option<Self> {
        let last = self.m[8];
        if last.abs() < 1e-6 || !self.m.iter().all(|value| value.is_finite()) {
            return None;
        }
        let plane = Self { m: self.m.map(|value| value / last) };
        let [.., g, h, _] = plane.m;
        // The whole square, with its margin, must lie in front of the camera.
        (1.0 - 1.2 * (g.abs() + h.abs()) > 0.05).then_some(plane)
    }

    /// Whether the square is seen as a quadrilateral without an inner corner of more than 180 degrees, not too flat.
    /// `modules` on its side must each be at least a pixel long on average.
    pub(super) fn is_plausible(&self, modules: usize) -> bool {
        let [a, b, c, d] = self.corners();
        let turn = |p: Point, q: Point, r: Point| (q.x - p.x) * (r.y - q.y) - (q.y - p.y) * (r.x - q.x);
        let turns = [turn(a, b, c), turn(b, c, d), turn(c, d, a), turn(d, a, b)];
        let convex = turns.iter().all(|t| *t > 0.0) || turns.iter().all(|t| *t < 0.0);
        let sides = [a.distance(b), b.distance(c), c.distance(d), d.distance(a)];
        let (short, long) = sides.iter().fold((f32::MAX, 0.0f32), |(s, l), side| (s.min(*side), l.max(*side)));
        convex
            && short * 4.0 > long
            && long > 1.1 * modules as f32
            && turns.iter().all(|t| t.abs() > 0.12 * long * long)
    }
}

fn product(a: &[f32; 9], b: &[f32; 9]) -> [f32; 9] {
    let [a0, a1, a2, a3, a4, a5, a6, a7, a8] = *a;
    let [b0, b1, b2, b3, b4, b5, b6, b7, b8] = *b;
    let row = |x: f32, y: f32, z: f32| [x * b0 + y * b3 + z * b6, x * b1 + y * b4 + z * b7, x * b2 + y * b5 + z * b8];
    let ([r0, r1, r2], [r3, r4, r5], [r6, r7, r8]) = (row(a0, a1, a2), row(a3, a4, a5), row(a6, a7, a8));
    [r0, r1, r2, r3, r4, r5, r6, r7, r8]
}

fn invert(m: &[f32; 9]) -> Option<[f32; 9]> {
    let [a, b, c, d, e, f, g, h, i] = *m;
    let cofactors = [
        e * i - f * h,
        c * h - b * i,
        b * f - c * e,
        f * g - d * i,
        a * i - c * g,
        c * d - a * f,
        d * h - e * g,
        b * g - a * h,
        a * e - b * d,
    ];
    let [c0, _, _, c3, _, _, c6, _, _] = cofactors;
    let determinant = a * c0 + b * c3 + c * c6;
    (determinant.abs() > 1e-9).then(|| cofactors.map(|value| value / determinant))
}

/// Solves `N` linear equations, each with its right side as the last value, by elimination with row pivots.
#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "all indices run below N and M, which is N + 1 wherever this is called"
)]
pub(super) fn solve<const N: usize, const M: usize>(mut rows: [[f64; M]; N]) -> Option<[f64; N]> {
    for column in 0..N {
        let pivot = (column..N).max_by(|&a, &b| rows[a][column].abs().total_cmp(&rows[b][column].abs()))?;
        rows.swap(column, pivot);
        let lead = rows[column];
        if lead[column].abs() < 1e-12 {
            return None;
        }
        for (index, row) in rows.iter_mut().enumerate() {
            if index != column {
                let part = row[column] / lead[column];
                for (value, lead) in row.iter_mut().zip(lead).skip(column) {
                    *value -= part * lead;
                }
            }
        }
    }
    let mut solution = [0.0; N];
    for (index, value) in solution.iter_mut().enumerate() {
        *value = rows[index][M - 1] / rows[index][index];
    }
    solution.iter().all(|value| value.is_finite()).then_some(solution)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plane_goes_through_its_four_points_and_moves() {
        let to = [Point::new(10.0, 12.0), Point::new(90.0, 20.0), Point::new(80.0, 110.0), Point::new(5.0, 95.0)];
        let from = [[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]];
        let plane = Plane::through([(from[0], to[0]), (from[1], to[1]), (from[2], to[2]), (from[3], to[3])]).unwrap();
        for (corner, to) in plane.corners().into_iter().zip(to) {
            assert!(corner.distance(to) < 0.01, "{corner:?} {to:?}");
        }
        let moved = plane.moved(3.0, -2.0).at(0.3, 0.4);
        let still = plane.at(0.3, 0.4);
        assert!(moved.distance(Point::new(still.x + 3.0, still.y - 2.0)) < 0.01);
        assert!(plane.is_plausible(33));
        assert!(Plane::through([(from[0], to[0]), (from[1], to[0]), (from[2], to[2]), (from[3], to[3])]).is_none());
    }

    #[test]
    fn undoing_a_small_change_leads_back() {
        let to = [Point::new(10.0, 12.0), Point::new(90.0, 20.0), Point::new(80.0, 110.0), Point::new(5.0, 95.0)];
        let from = [[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]];
        let plane = Plane::through([(from[0], to[0]), (from[1], to[1]), (from[2], to[2]), (from[3], to[3])]).unwrap();
        let small = [0.02, -0.01, 0.03, 0.01, -0.02, 0.02, 0.01, -0.01];
        let undone = plane.before_undoing(&small).unwrap();
        let [a, b, c, d, e, f, g, h] = small;
        let (u, v) = (0.4f32, -0.7f32);
        let depth = g * u + h * v + 1.0;
        let there = undone.at(((1.0 + a) * u + b * v + c) / depth, (d * u + (1.0 + e) * v + f) / depth);
        assert!(there.distance(plane.at(u, v)) < 0.01);
    }
}
