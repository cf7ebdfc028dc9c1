//! What a symbol is expected to look like, and how a plane is fitted to it.
#![expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "loops over the grid of `samples`, whose side is fixed by the number of modules, and over the eight parameters of a plane"
)]

use super::super::fixed;
use super::super::pyramid::GrayImage;
use super::plane::{Plane, solve};
use super::samples::{MARGIN, Samples, coordinate};

/// One point of the grid at which something is expected.
#[derive(Clone, Copy, Debug)]
struct Node {
    at: u32,
    /// Position in the square, -1 to 1.
    u: f32,
    v: f32,
    /// Expected value, -1 dark to 1 light, softened over neighbouring modules.
    value: f32,
    /// How it changes along u and v.
    slope: [f32; 2],
}

/// Expected values at the points of the grid, with what fitting needs of them.
#[derive(Debug, Default)]
pub(super) struct Template {
    nodes: Vec<Node>,
    /// The 8 by 8 normal matrix of the fit.
    normal: [[f64; 8]; 8],
    energy: f32,
    grid: Vec<f32>,
}

impl Template {
    /// Expects `module(x, y)` of each module, -1 dark to 1 light, 0 where nothing is known. Coordinates reach one
    /// module beyond the symbol.
    pub(super) fn set(&mut self, size: usize, module: impl Fn(isize, isize) -> f32) {
        let span = size + 2 * MARGIN + 2;
        let before = MARGIN as isize + 1;
        self.grid.clear();
        for y in 0..span as isize {
            self.grid.extend((0..span as isize).map(|x| module(x - before, y - before)));
        }
        self.nodes.clear();
        self.normal = [[0.0; 8]; 8];
        self.energy = 0.0;
        let side = 2 * (size + 2 * MARGIN);
        let mut normal = [[0.0f32; 8]; 8];
        for j in 0..side {
            for i in 0..side {
                // Every point lies a quarter of a module from the middle of its own, towards a neighbour.
                let (x, y) = (i / 2 + 1, j / 2 + 1);
                let (right, down) = (i % 2 == 1, j % 2 == 1);
                let nx = if right { x + 1 } else { x - 1 };
                let ny = if down { y + 1 } else { y - 1 };
                let [own, across, along, both] =
                    [(x, y), (nx, y), (x, ny), (nx, ny)].map(|(x, y)| self.grid[y * span + x]);
                if own == 0.0 && across == 0.0 && along == 0.0 && both == 0.0 {
                    continue;
                }
                let value = 0.5625 * own + 0.1875 * (across + along) + 0.0625 * both;
                let sign = |positive: bool| if positive { 1.0 } else { -1.0 };
                // Per module; a module is 2 / size of the square.
                let per = size as f32 / 2.0;
                let slope = [
                    sign(right) * per * (0.75 * (across - own) + 0.25 * (both - along)),
                    sign(down) * per * (0.75 * (along - own) + 0.25 * (both - across)),
                ];
                let node =
                    Node { at: (j * side + i) as u32, u: coordinate(i, size), v: coordinate(j, size), value, slope };
                let steps = node.steps();
                for (row, a) in normal.iter_mut().zip(steps) {
                    for (sum, b) in row.iter_mut().zip(steps) {
                        *sum += a * b;
                    }
                }
                self.energy += value * value;
                self.nodes.push(node);
            }
        }
        self.normal = normal.map(|row| row.map(f64::from));
    }

    /// Whether nothing was set yet.
    pub(super) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Expects what every symbol of this size shows.
    pub(super) fn set_fixed(&mut self, size: usize) {
        self.set(size, |x, y| match fixed::fixed(size, x, y) {
            Some(true) => -1.0,
            Some(false) => 1.0,
            None => 0.0,
        });
    }

    /// How well the samples agree, -1 to 1, and the gain between expectation and samples.
    fn agreement(&self, samples: &Samples, polarity: f32) -> (f32, f32) {
        let (mut both, mut theirs) = (0.0, 0.0);
        for node in &self.nodes {
            let sample = polarity * samples.even[node.at as usize];
            both += sample * node.value;
            theirs += sample * sample;
        }
        (both / (theirs * self.energy).sqrt().max(1e-6), both / self.energy.max(1e-6))
    }

    /// Fits `plane` to the picture, by Gauss and Newton with the template's own slopes (S. Baker and I. Matthews, 2004:
    /// the inverse compositional way), in at most so many rounds and not further than to an agreement that is `enough`. Leaves the samples of the best plane in `samples` and gives it with its
    /// agreement.
    pub(super) fn fit(
        &self,
        samples: &mut Samples,
        image: &GrayImage,
        start: Plane,
        polarity: f32,
        rounds: usize,
        enough: f32,
    ) -> (Plane, f32) {
        let mut plane = start;
        samples.read(image, &plane);
        let (mut score, mut gain) = self.agreement(samples, polarity);
        for _ in 0..rounds {
            if gain <= 0.02 {
                break;
            }
            let Some(next) = self.step(samples, &plane, polarity / gain) else { break };
            samples.read(image, &next);
            let (better, next_gain) = self.agreement(samples, polarity);
            if better <= score {
                // Worse: the last one stands.
                samples.read(image, &plane);
                break;
            }
            let gained = better - score;
            (plane, score, gain) = (next, better, next_gain);
            if gained < 0.002 || score >= enough {
                break;
            }
        }
        (plane, score)
    }

    fn step(&self, samples: &Samples, plane: &Plane, scale: f32) -> Option<Plane> {
        let mut right = [0.0f32; 8];
        for node in &self.nodes {
            let error = (scale * samples.even[node.at as usize] - node.value).clamp(-1.5, 1.5);
            for (sum, step) in right.iter_mut().zip(node.steps()) {
                *sum += error * step;
            }
        }
        let mut rows = [[0.0f64; 9]; 8];
        for (index, row) in rows.iter_mut().enumerate() {
            row[..8].copy_from_slice(&self.normal[index]);
            row[index] *= 1.0 + 1e-3;
            row[8] = f64::from(right[index]);
        }
        let change = solve(rows)?.map(|value| value as f32);
        let reach = change.iter().fold(0.0f32, |most, value| most.max(value.abs()));
        if reach > 0.3 {
            return None;
        }
        plane.before_undoing(&change)
    }

    /// A quick agreement at one point per module, for guesses that are far off: no evening out, brightness relative to
    /// the mean over the points.
    pub(super) fn glance(&self, image: &GrayImage, plane: &Plane, polarity: f32) -> f32 {
        let (mut sum, mut square, mut both, mut values, mut count) = (0.0f32, 0.0f32, 0.0f32, 0.0f32, 0.0f32);
        for node in self.nodes.iter().step_by(3) {
            let point = plane.at(node.u, node.v);
            if point.x < 0.0 || point.y < 0.0 {
                continue;
            }
            let (x, y) = (point.x as usize, point.y as usize);
            if x >= image.width || y >= image.height {
                continue;
            }
            let sample = f32::from(image.pixels[y * image.width + x]);
            sum += sample;
            square += sample * sample;
            both += sample * node.value;
            values += node.value;
            count += 1.0;
        }
        if count < 40.0 || count * 3.0 < 0.6 * self.nodes.len() as f32 {
            return -1.0;
        }
        let mean = sum / count;
        let variance = square / count - mean * mean;
        let expected = self.energy / self.nodes.len().max(1) as f32 - (values / count).powi(2);
        polarity * (both / count - mean * values / count) / (variance.max(1.0) * expected.max(0.05)).sqrt()
    }
}

impl Node {
    /// How the value changes with each of the eight parameters of a small projective map.
    #[inline]
    fn steps(&self) -> [f32; 8] {
        let (u, v, [a, b]) = (self.u, self.v, self.slope);
        let both = a * u + b * v;
        [a * u, a * v, a, b * u, b * v, b, -both * u, -both * v]
    }
}
