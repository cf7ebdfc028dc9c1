//! Looks for corner squares by area: where a line across a square says nothing, because noise, blur or a moving hand has
//! mixed its rings, the means of whole rings still do.
//!
//! At every place four squares of three, five, seven and nine modules are added up (F. Crow, 1984: summed area tables).
//! What is light of them (the gap, the quiet zone) is compared with what is dark (the stone, the ring): the filter that
//! matches a corner square. It is right for one size of module and for squares that stand upright within about twenty
//! degrees, and it puts a shaken square a module aside: good enough for a guess, which is all that tracking needs.
#![expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "all places are cut to the picture and all cells to their grid before they are read; a frame has at most 2^27 pixels, whose sums wrap and are subtracted again, and a square of nine modules of at most 8 pixels fits 24 bits"
)]

use super::pyramid::{GrayImage, Pyramid};
use super::track::Square;
use crate::frame::Point;

/// Sizes of modules in pixels that are looked for: what lies between two of them matches both well enough.
const MODULES: [f32; 4] = [1.9, 2.3, 2.8, 3.4];

/// Rows between two that are looked at.
const STEP: usize = 2;

/// Grey levels between light and dark that are not worth a look.
const LEAST_CONTRAST: f32 = 6.0;

/// Squares that are kept of one look, at most.
const MOST: usize = 8;

/// A place that may be a corner square.
#[derive(Clone, Copy, Debug)]
struct Peak {
    x: usize,
    y: usize,
    /// How much lighter light is than dark; negative for light squares on a dark ground.
    score: f32,
    /// Which of [`MODULES`].
    scale: usize,
}

/// Buffers that are kept between frames.
#[derive(Debug, Default)]
pub(super) struct RingSearch {
    /// The sum of everything above and to the left, modulo 2^32.
    sums: Vec<u32>,
    width: usize,
    scores: Vec<f32>,
    /// The best place in each cell of a grid, for one size of module.
    cells: Vec<Peak>,
    peaks: Vec<Peak>,
    /// The best of all pictures with their contrast, in frame pixels.
    best: Vec<(f32, Square)>,
}

impl RingSearch {
    /// Sets `found` to the squares that stand out most in the picture at this level of the pyramid and the next smaller
    /// one, in frame pixels. Half of the sizes are looked for when `turn` is even, the others when it is odd.
    pub(super) fn search(&mut self, pyramid: &Pyramid, level: usize, turn: usize, found: &mut Vec<Square>) {
        self.best.clear();
        for level in [level, level + 1].into_iter().filter(|&level| level < pyramid.len()) {
            self.search_one(pyramid.level(level), (1u32 << level.min(16)) as f32, turn);
        }
        let place = |square: &Square| (square.center.y.to_bits(), square.center.x.to_bits());
        self.best.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(place(&a.1).cmp(&place(&b.1))));
        found.clear();
        for (_, square) in &self.best {
            if found.len() < MOST && found.iter().all(|known| is_apart(known, square)) {
                found.push(*square);
            }
        }
    }

    fn search_one(&mut self, gray: &GrayImage, shrunk: f32, turn: usize) {
        self.add_up(gray);
        self.peaks.clear();
        for scale in [turn % 2, turn % 2 + 2] {
            self.look(gray, scale);
        }
        self.peaks.sort_unstable_by(|a, b| {
            b.score.abs().total_cmp(&a.score.abs()).then((a.y, a.x, a.scale).cmp(&(b.y, b.x, b.scale)))
        });
        let first = self.best.len();
        for peak in &self.peaks {
            if self.best.len() - first >= MOST {
                break;
            }
            let square = |center: Point| Square {
                center: Point::new(center.x * shrunk, center.y * shrunk),
                module: MODULES[peak.scale] * shrunk,
                inverted: peak.score < 0.0,
            };
            let there = square(Point::new(peak.x as f32 + 0.5, peak.y as f32 + 0.5));
            if self.best[first..].iter().all(|(_, known)| is_apart(known, &there)) {
                self.best.push((peak.score.abs(), square(self.middle(peak))));
            }
        }
    }

    fn add_up(&mut self, gray: &GrayImage) {
        self.width = gray.width + 1;
        self.sums.resize(self.width * (gray.height + 1), 0);
        self.sums[..self.width].fill(0);
        for (y, row) in gray.pixels.chunks_exact(gray.width.max(1)).enumerate() {
            let (above, here) = self.sums[y * self.width..][..2 * self.width].split_at_mut(self.width);
            here[0] = 0;
            let mut sum = 0u32;
            for ((to, &above), &pixel) in here[1..].iter_mut().zip(&above[1..]).zip(row) {
                sum = sum.wrapping_add(u32::from(pixel));
                *to = above.wrapping_add(sum);
            }
        }
    }

    /// Keeps the best place of each cell of a coarse grid, for squares of one size.
    fn look(&mut self, gray: &GrayImage, scale: usize) {
        let filter = Filter::new(MODULES[scale]);
        let reach = filter.reach();
        if gray.width <= 2 * reach || gray.height <= 2 * reach {
            return;
        }
        let cell = (MODULES[scale] * 6.0) as usize;
        let columns = (gray.width - 2 * reach).div_ceil(cell);
        let rows = (gray.height - 2 * reach).div_ceil(cell);
        self.cells.clear();
        self.cells.resize(columns * rows, Peak { x: 0, y: 0, score: 0.0, scale });
        for y in (reach..gray.height - reach).step_by(STEP) {
            self.scores.resize(gray.width - 2 * reach, 0.0);
            filter.row(&self.sums, self.width, y, &mut self.scores);
            let row = (y - reach) / cell * columns;
            for (best, (i, scores)) in self.cells[row..][..columns].iter_mut().zip(self.scores.chunks(cell).enumerate())
            {
                // Without their signs numbers are in the order of their bits, which the compiler compares several at a time.
                let height = |score: &f32| (score.to_bits() & (u32::MAX >> 1)) as i32;
                let top = scores.iter().map(height).fold(0, i32::max);
                if top > height(&best.score)
                    && let Some(at) = scores.iter().position(|score| height(score) == top)
                {
                    *best = Peak { x: reach + i * cell + at, y, score: scores[at], scale };
                }
            }
        }
        self.peaks.extend(self.cells.iter().filter(|peak| peak.score.abs() > LEAST_CONTRAST));
    }

    /// The middle of everything around a peak that is nearly as high: a shaken square has two peaks and lies between them.
    fn middle(&self, peak: &Peak) -> Point {
        let filter = Filter::new(MODULES[peak.scale]);
        let around = (MODULES[peak.scale] * 2.0) as usize;
        let reach = filter.reach();
        let height = self.sums.len() / self.width;
        let (mut x_sum, mut y_sum, mut all) = (0.0, 0.0, 0.0f32);
        for y in peak.y.saturating_sub(around).max(reach)..=(peak.y + around).min(height.saturating_sub(reach + 2)) {
            for x in peak.x.saturating_sub(around).max(reach)..=(peak.x + around).min(self.width - reach - 2) {
                let mut score = [0.0];
                filter.run(&self.sums, self.width, x, y, &mut score);
                let weight = (score[0] * peak.score.signum() - 0.75 * peak.score.abs()).max(0.0);
                x_sum += weight * (x as f32 + 0.5);
                y_sum += weight * (y as f32 + 0.5);
                all += weight;
            }
        }
        if all > 0.0 {
            Point::new(x_sum / all, y_sum / all)
        } else {
            Point::new(peak.x as f32 + 0.5, peak.y as f32 + 0.5)
        }
    }
}

/// Whether both may be squares of one code: these lie 14 modules apart at least.
fn is_apart(a: &Square, b: &Square) -> bool {
    a.center.distance(b.center) > 6.0 * a.module.max(b.module)
}

/// The four squares for one size of module.
#[derive(Clone, Copy, Debug)]
struct Filter {
    /// Half of their sides, rounded down: every side is odd.
    halves: [usize; 4],
    /// What a pixel of each square adds to the score.
    weights: [f32; 4],
}

impl Filter {
    fn new(module: f32) -> Self {
        let halves = [3.0, 5.0, 7.0, 9.0].map(|modules: f32| ((modules * module - 1.0) / 2.0).round() as usize);
        let [stone, gap, ring, quiet] = halves.map(|half| ((2 * half + 1) * (2 * half + 1)) as f32);
        // The mean of what is light of the squares less the mean of what is dark of them.
        let (light, dark) = (1.0 / (gap - stone + quiet - ring), 1.0 / (stone + ring - gap));
        Self { halves, weights: [-light - dark, light + dark, -light - dark, light] }
    }

    fn reach(&self) -> usize {
        self.halves[3]
    }

    /// The scores of the places from `reach` on in row `y`.
    fn row(&self, sums: &[u32], width: usize, y: usize, out: &mut [f32]) {
        self.run(sums, width, self.reach(), y, out);
    }

    /// The scores of the places from `(x, y)` on to the right. One square after the other, so that the compiler takes
    /// several places at a time.
    #[inline]
    fn run(&self, sums: &[u32], width: usize, x: usize, y: usize, out: &mut [f32]) {
        out.fill(0.0);
        for (half, weight) in self.halves.into_iter().zip(self.weights) {
            let (above, below) = ((y - half) * width, (y + half + 1) * width);
            let (left, right) = (x - half, x + half + 1);
            let [a, b, c, d] =
                [above + left, above + right, below + left, below + right].map(|at| &sums[at..at + out.len()]);
            for ((((out, a), b), c), d) in out.iter_mut().zip(a).zip(b).zip(c).zip(d) {
                *out += weight * (d.wrapping_sub(*c).wrapping_sub(*b).wrapping_add(*a) as i32 as f32);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Corner squares of modules of three pixels at these places, under noise that hides every line through them, shaken
    /// to the right by so many pixels.
    fn picture(places: &[(usize, usize)], inverted: bool, shaken: usize) -> Pyramid {
        let (width, height) = (400usize, 300usize);
        let mut state = 5u32;
        let light = |x: usize, y: usize| {
            let ring = places.iter().find_map(|&(left, top)| {
                let (u, v) = (x.checked_sub(left)? / 3, y.checked_sub(top)? / 3);
                (u < 7 && v < 7).then(|| u.abs_diff(3).max(v.abs_diff(3)))
            });
            if matches!(ring, Some(0 | 1 | 3)) == inverted { 150 } else { 90 }
        };
        let pixels = (0..width * height)
            .map(|i| {
                let (x, y) = (i % width, i / width);
                let mean = (0..=shaken).map(|t| light(x.saturating_sub(t), y)).sum::<i32>() / (shaken as i32 + 1);
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (mean + (state >> 24) as i32 % 120 - 60).clamp(0, 255) as u8
            })
            .collect();
        pyramid(GrayImage { width, height, pixels })
    }

    fn pyramid(base: GrayImage) -> Pyramid {
        let mut pyramid = Pyramid::default();
        *pyramid.base_mut() = base;
        pyramid.build();
        pyramid
    }

    #[test]
    fn squares_under_noise_and_shaken_ones_are_the_first_that_are_found() {
        let places = [(60, 50), (240, 60), (70, 200)];
        for inverted in [false, true] {
            for shaken in [0, 6] {
                let pyramid = picture(&places, inverted, shaken);
                let mut found = Vec::new();
                let mut search = RingSearch::default();
                for turn in 0..2 {
                    search.search(&pyramid, 0, turn, &mut found);
                    for (left, top) in places {
                        let middle = Point::new(left as f32 + 10.5 + shaken as f32 / 2.0, top as f32 + 10.5);
                        let is_there = |square: &Square| {
                            square.center.distance(middle) < 4.5 && square.inverted == inverted && square.module > 2.0
                        };
                        let rank = found.iter().position(is_there);
                        assert!(
                            rank.is_some_and(|rank| rank < 3),
                            "{inverted} {shaken} {turn}: {middle:?} in {found:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn pictures_of_any_size_are_searched() {
        let mut search = RingSearch::default();
        for (width, height) in [(1, 1), (17, 90), (18, 18), (31, 32), (200, 20)] {
            let pyramid = pyramid(GrayImage { width, height, pixels: vec![9; width * height] });
            let mut found = Vec::new();
            for turn in 0..2 {
                search.search(&pyramid, 0, turn, &mut found);
                assert!(found.is_empty());
            }
        }
    }
}
