//! Where a module of a code lies in the picture, if the code is flat: a projective map.

use crate::frame::Point;

/// A projective map from modules to pixels. Modules are counted from the upper left corner of the symbol: the centre of
/// the first one is (0.5, 0.5).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Projection {
    /// Modules on a side.
    modules: f32,
    /// `x = (a u + b v + c) / (g u + h v + 1)`, `y = (d u + e v + f) / (g u + h v + 1)` with `u` and `v` from 0 to 1
    /// across the symbol, in the order a, b, c, d, e, f, g, h.
    terms: [f32; 8],
}

impl Projection {
    /// The map that takes the corners of the symbol (upper left, upper right, lower right, lower left) to these points,
    /// after P. Heckbert (1989). `None` when the points do not span an area.
    #[cfg(test)]
    pub(super) fn from_corners(corners: &[Point; 4], modules: usize) -> Option<Self> {
        let [p, q, r, s] = *corners;
        let (sx, sy) = (p.x - q.x + r.x - s.x, p.y - q.y + r.y - s.y);
        let (dx1, dy1, dx2, dy2) = (q.x - r.x, q.y - r.y, s.x - r.x, s.y - r.y);
        let den = dx1 * dy2 - dx2 * dy1;
        if den.abs() < 1e-3 {
            return None;
        }
        let g = (sx * dy2 - dx2 * sy) / den;
        let h = (dx1 * sy - sx * dy1) / den;
        let terms =
            [q.x - p.x + g * q.x, s.x - p.x + h * s.x, p.x, q.y - p.y + g * q.y, s.y - p.y + h * s.y, p.y, g, h];
        Some(Self { modules: modules as f32, terms })
    }

    /// The map through the middles of the three finder patterns (upper left, upper right, lower left), where `right` and
    /// `down` tell how much smaller a module is at the far end of the upper and of the left side.
    pub(super) fn from_finders(finders: [Point; 3], modules: usize, right: f32, down: f32) -> Option<Self> {
        let size = modules as f32;
        let (near, far) = (3.5 / size, 1.0 - 3.5 / size);
        // Along a line a module shrinks with the square of the denominator g u + h v + 1.
        let (r, s) = (right.max(0.05).sqrt().recip(), down.max(0.05).sqrt().recip());
        let (a11, a12, a21, a22) = (far - r * near, near * (1.0 - r), near * (1.0 - s), far - s * near);
        let det = a11 * a22 - a12 * a21;
        if det.abs() < 1e-6 {
            return None;
        }
        let g = ((r - 1.0) * a22 - a12 * (s - 1.0)) / det;
        let h = (a11 * (s - 1.0) - (r - 1.0) * a21) / det;
        let w = [g * near + h * near + 1.0, g * far + h * near + 1.0, g * near + h * far + 1.0];
        if w.iter().any(|&w| w < 0.1) || g + h + 1.0 < 0.1 {
            return None;
        }
        let axis = |of: fn(Point) -> f32| {
            let [o, u, v] = [of(finders[0]) * w[0], of(finders[1]) * w[1], of(finders[2]) * w[2]];
            let (a, b) = ((u - o) / (far - near), (v - o) / (far - near));
            [a, b, o - (a + b) * near]
        };
        let ([a, b, c], [d, e, f]) = (axis(|p| p.x), axis(|p| p.y));
        Some(Self { modules: size, terms: [a, b, c, d, e, f, g, h] })
    }

    /// Modules on a side.
    pub(super) fn modules(&self) -> usize {
        self.modules as usize
    }

    /// The pixel of a place in modules.
    #[inline]
    pub(super) fn map(&self, u: f32, v: f32) -> Point {
        let (u, v) = (u / self.modules, v / self.modules);
        let [a, b, c, d, e, f, g, h] = self.terms;
        let w = (g * u + h * v + 1.0).recip();
        Point::new((a * u + b * v + c) * w, (d * u + e * v + f) * w)
    }

    /// How far one module reaches to the right and down at a place, in pixels.
    pub(super) fn steps(&self, u: f32, v: f32) -> (Point, Point) {
        let at = self.map(u, v);
        let (un, vn) = (u / self.modules, v / self.modules);
        let [a, b, _, d, e, _, g, h] = self.terms;
        let w = ((g * un + h * vn + 1.0) * self.modules).recip();
        (Point::new((a - g * at.x) * w, (d - g * at.y) * w), Point::new((b - h * at.x) * w, (e - h * at.y) * w))
    }

    /// The corners of the symbol: upper left, upper right, lower right, lower left.
    pub(super) fn corners(&self) -> [Point; 4] {
        let n = self.modules;
        [self.map(0.0, 0.0), self.map(n, 0.0), self.map(n, n), self.map(0.0, n)]
    }

    /// The same map into a picture whose pixels are smaller by `factor`.
    pub(super) fn scaled(&self, factor: f32) -> Self {
        let [a, b, c, d, e, f, g, h] = self.terms;
        let k = factor;
        Self { terms: [a * k, b * k, c * k, d * k, e * k, f * k, g, h], ..*self }
    }

    /// Whether the symbol is a convex area of at least a pixel per module or so on which no part lies behind the eye.
    pub(super) fn is_sound(&self) -> bool {
        let [.., g, h] = self.terms;
        if !self.terms.iter().all(|t| t.is_finite()) || [1.0, 1.0 + g, 1.0 + h, 1.0 + g + h].iter().any(|&w| w < 0.05) {
            return false;
        }
        let [p, q, r, s] = self.corners();
        let turns = [turn(p, q, r), turn(q, r, s), turn(r, s, p), turn(s, p, q)];
        turns.iter().all(|&t| t > self.modules) || turns.iter().all(|&t| t < -self.modules)
    }
}

/// Twice the area of a triangle, positive when its points run clockwise as seen.
pub(super) fn turn(a: Point, b: Point, c: Point) -> f32 {
    (b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x)
}

/// Collects how far measured edges lie from where a projection puts them, and gives the projection that fits best.
#[derive(Clone, Debug)]
pub(super) struct LeastSquares {
    products: [[f64; 8]; 8],
    sums: [f64; 8],
    start: Projection,
}

impl LeastSquares {
    /// Begins with a projection. What the edges say nothing about stays as it is: a change of the perspective by a
    /// quarter counts as much as an edge that is off by a pixel.
    pub(super) fn new(start: Projection) -> Self {
        let mut products = [[0.0; 8]; 8];
        for (i, row) in products.iter_mut().enumerate() {
            if let Some(entry) = row.get_mut(i) {
                *entry = if i < 6 { 1e-4 } else { 16.0 };
            }
        }
        Self { products, sums: [0.0; 8], start }
    }

    /// An edge that was expected to pass through `(u, v)` passes `distance` pixels from there in the direction of the
    /// unit vector `normal`.
    pub(super) fn add(&mut self, u: f32, v: f32, normal: Point, distance: f32, weight: f32) {
        let Projection { modules, terms } = self.start;
        let at = self.start.map(u, v);
        let (u, v) = (u / modules, v / modules);
        let [.., g, h] = terms;
        let w = (g * u + h * v + 1.0).recip();
        let along = normal.x * at.x + normal.y * at.y;
        let row = [
            normal.x * u * w,
            normal.x * v * w,
            normal.x * w,
            normal.y * u * w,
            normal.y * v * w,
            normal.y * w,
            -along * u * w,
            -along * v * w,
        ]
        .map(f64::from);
        let (distance, weight) = (f64::from(distance), f64::from(weight));
        for ((products, sum), a) in self.products.iter_mut().zip(&mut self.sums).zip(row) {
            for (product, b) in products.iter_mut().zip(row) {
                *product += a * b * weight;
            }
            *sum += a * distance * weight;
        }
    }

    /// The best projection, by elimination with the largest pivot. `None` when the equations say too little.
    #[expect(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "indexes below 8 into arrays of 8")]
    pub(super) fn solve(self) -> Option<Projection> {
        let Self { mut products, mut sums, start } = self;
        for i in 0..8 {
            let pivot = (i..8).max_by(|&a, &b| products[a][i].abs().total_cmp(&products[b][i].abs()))?;
            if products[pivot][i].abs() < 1e-9 {
                return None;
            }
            products.swap(i, pivot);
            sums.swap(i, pivot);
            for row in i + 1..8 {
                let factor = products[row][i] / products[i][i];
                let above = products[i];
                for (entry, above) in products[row].iter_mut().zip(above).skip(i) {
                    *entry -= factor * above;
                }
                sums[row] -= factor * sums[i];
            }
        }
        let mut change = [0.0f64; 8];
        for i in (0..8).rev() {
            let rest: f64 = (i + 1..8).map(|k| products[i][k] * change[k]).sum();
            change[i] = (sums[i] - rest) / products[i][i];
        }
        let mut terms = start.terms;
        for (term, change) in terms.iter_mut().zip(change) {
            *term += change as f32;
        }
        let projection = Projection { terms, ..start };
        projection.is_sound().then_some(projection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CORNERS: [Point; 4] =
        [Point::new(10.0, 20.0), Point::new(200.0, 30.0), Point::new(180.0, 190.0), Point::new(20.0, 230.0)];

    #[test]
    fn corners_come_back_and_steps_are_the_slope() {
        let projection = Projection::from_corners(&CORNERS, 29).unwrap();
        for (got, want) in projection.corners().iter().zip(CORNERS) {
            assert!(got.distance(want) < 0.01, "{got:?} {want:?}");
        }
        let (right, down) = projection.steps(12.0, 7.0);
        let (a, b) = (projection.map(11.99, 7.0), projection.map(12.01, 7.0));
        assert!(((b.x - a.x) / 0.02 - right.x).abs() < 0.02 && ((b.y - a.y) / 0.02 - right.y).abs() < 0.02);
        let (a, b) = (projection.map(12.0, 6.99), projection.map(12.0, 7.01));
        assert!(((b.x - a.x) / 0.02 - down.x).abs() < 0.02 && ((b.y - a.y) / 0.02 - down.y).abs() < 0.02);
    }

    #[test]
    fn three_finders_and_the_shrinking_of_modules_give_the_whole_projection() {
        let truth = Projection::from_corners(&CORNERS, 29).unwrap();
        let centers = [truth.map(3.5, 3.5), truth.map(25.5, 3.5), truth.map(3.5, 25.5)];
        let length = |p: Point| p.distance(Point::default());
        // Module sizes along the line between two finders.
        let right = length(truth.steps(25.5, 3.5).0) / length(truth.steps(3.5, 3.5).0);
        let down = length(truth.steps(3.5, 25.5).1) / length(truth.steps(3.5, 3.5).1);
        let found = Projection::from_finders(centers, 29, right, down).unwrap();
        for (got, want) in found.corners().iter().zip(CORNERS) {
            assert!(got.distance(want) < 0.5, "{:?}", found.corners());
        }
    }

    #[test]
    fn measured_edges_pull_a_wrong_projection_to_the_right_one() {
        let truth = Projection::from_corners(&CORNERS, 29).unwrap();
        let mut found =
            Projection::from_corners(&CORNERS.map(|p| Point::new(p.x * 1.02 + 2.0, p.y * 0.97 - 1.0)), 29).unwrap();
        for _ in 0..4 {
            let mut equations = LeastSquares::new(found);
            for i in 0..30u8 {
                for j in 0..30u8 {
                    let (u, v) = (f32::from(i), f32::from(j));
                    let (a, b) = (found.map(u, v), truth.map(u, v));
                    equations.add(u, v, Point::new(1.0, 0.0), b.x - a.x, 1.0);
                    equations.add(u, v, Point::new(0.0, 1.0), b.y - a.y, 1.0);
                }
            }
            found = equations.solve().unwrap();
        }
        for (got, want) in found.corners().iter().zip(CORNERS) {
            assert!(got.distance(want) < 0.1, "{:?}", found.corners());
        }
    }

    #[test]
    fn a_folded_or_flat_quadrilateral_is_not_sound() {
        let p = Point::new;
        assert!(Projection::from_corners(&[p(0.0, 0.0); 4], 21).is_none());
        let crossed = [p(0.0, 0.0), p(90.0, 0.0), p(0.0, 90.0), p(90.0, 90.0)];
        assert!(Projection::from_corners(&crossed, 21).is_none_or(|found| !found.is_sound()));
        assert!(Projection::from_corners(&CORNERS, 21).unwrap().is_sound());
    }
}
