//! The brightness of a symbol at two by two points per module, made independent of the light that falls on it.
#![expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "loops over a square grid whose side is fixed when the buffers are made; pixels are read at coordinates that were clamped to the picture"
)]

use super::super::pyramid::GrayImage;
use super::plane::Plane;

/// Modules of quiet zone that are sampled around the symbol.
pub(super) const MARGIN: usize = 1;
/// Points on each side of a point that count as its neighbourhood: four modules.
const REACH: usize = 8;
/// Grey levels of contrast that are taken for nothing.
const FLOOR: f32 = 2.5;

/// A grid of `side * side` points, row by row, over the symbol and its margin.
#[derive(Debug, Default)]
pub(super) struct Samples {
    /// Modules on a side of the symbol.
    pub(super) size: usize,
    /// Points on a side of the grid.
    pub(super) side: usize,
    /// As read, 0 to 255.
    raw: Vec<f32>,
    /// Differences from the neighbourhood's mean, in its standard deviations.
    pub(super) even: Vec<f32>,
    /// The neighbourhood's standard deviation in grey levels.
    pub(super) contrast: Vec<f32>,
    rows: [Vec<f32>; 2],
    sums: [Vec<f32>; 2],
}

/// The middle of grid column or row `k` in the square of the symbol, -1 to 1.
pub(super) fn coordinate(k: usize, size: usize) -> f32 {
    (k as f32 + 0.5 - 2.0 * MARGIN as f32) / size as f32 - 1.0
}

impl Samples {
    /// Makes room for a symbol of this size, if the last one was of another.
    pub(super) fn prepare(&mut self, size: usize) {
        if self.size == size {
            return;
        }
        self.size = size;
        self.side = 2 * (size + 2 * MARGIN);
        let points = self.side * self.side;
        for list in [&mut self.raw, &mut self.even, &mut self.contrast].into_iter().chain(&mut self.rows) {
            list.clear();
            list.resize(points, 0.0);
        }
        for sums in &mut self.sums {
            sums.clear();
            sums.resize(self.side, 0.0);
        }
    }

    /// Reads the picture through `plane`, every point between its four pixels. What lies outside is grey without any
    /// contrast.
    pub(super) fn read(&mut self, image: &GrayImage, plane: &Plane) {
        let (side, size) = (self.side, self.size);
        let (right, bottom) = (image.width as f32 - 1.001, image.height as f32 - 1.001);
        let step = 1.0 / size as f32;
        for (j, row) in self.raw.chunks_exact_mut(side).enumerate() {
            let (mut at, add) = plane.row(coordinate(0, size), coordinate(j, size), step);
            for value in row {
                let depth = 1.0 / at[2];
                let (x, y) = (at[0] * depth - 0.5, at[1] * depth - 0.5);
                *value = if x >= 0.0 && y >= 0.0 && x < right && y < bottom {
                    let (left, top) = (x as usize, y as usize);
                    let (fx, fy) = (x - left as f32, y - top as f32);
                    let upper = &image.pixels[top * image.width + left..][..2];
                    let lower = &image.pixels[(top + 1) * image.width + left..][..2];
                    let [a, b] = [upper[0], upper[1]].map(f32::from);
                    let [c, d] = [lower[0], lower[1]].map(f32::from);
                    let (above, below) = (a + (b - a) * fx, c + (d - c) * fx);
                    above + (below - above) * fy
                } else {
                    128.0
                };
                for (at, add) in at.iter_mut().zip(add) {
                    *at += add;
                }
            }
        }
        self.even_out();
    }

    /// Mean and deviation of a square around each point, by sums that slide along rows and then down columns.
    fn even_out(&mut self) {
        let side = self.side;
        let [row_sums, row_squares] = &mut self.rows;
        for (j, row) in self.raw.chunks_exact(side).enumerate() {
            let (mut sum, mut square) = (0.0f32, 0.0f32);
            for value in &row[..REACH.min(side)] {
                sum += value;
                square += value * value;
            }
            for i in 0..side {
                if let Some(value) = row.get(i + REACH) {
                    sum += value;
                    square += value * value;
                }
                if i > REACH {
                    let value = row[i - REACH - 1];
                    sum -= value;
                    square -= value * value;
                }
                row_sums[j * side + i] = sum;
                row_squares[j * side + i] = square;
            }
        }
        let [column_sums, column_squares] = &mut self.sums;
        column_sums.fill(0.0);
        column_squares.fill(0.0);
        let add = |sums: &mut [f32], row: &[f32], sign: f32| {
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += sign * value;
            }
        };
        let line = |rows: &[f32], j: usize| j * side..(j * side + side).min(rows.len());
        for j in 0..REACH.min(side) {
            add(column_sums, &row_sums[line(row_sums, j)], 1.0);
            add(column_squares, &row_squares[line(row_squares, j)], 1.0);
        }
        for j in 0..side {
            if j + REACH < side {
                add(column_sums, &row_sums[line(row_sums, j + REACH)], 1.0);
                add(column_squares, &row_squares[line(row_squares, j + REACH)], 1.0);
            }
            if j > REACH {
                add(column_sums, &row_sums[line(row_sums, j - REACH - 1)], -1.0);
                add(column_squares, &row_squares[line(row_squares, j - REACH - 1)], -1.0);
            }
            let down = (j + REACH).min(side - 1) - j.saturating_sub(REACH) + 1;
            for i in 0..side {
                let across = (i + REACH).min(side - 1) - i.saturating_sub(REACH) + 1;
                let share = 1.0 / (down * across) as f32;
                let mean = column_sums[i] * share;
                let deviation = (column_squares[i] * share - mean * mean).max(0.0).sqrt();
                let at = j * side + i;
                self.even[at] = (self.raw[at] - mean) / (deviation + FLOOR);
                self.contrast[at] = deviation;
            }
        }
    }

    /// The soft value of each module of the symbol, row by row: positive is light; its size tells how much the module
    /// stands out, relative to the mean contrast of the symbol. Modules in a washed out or black part count little.
    pub(super) fn modules(&self, out: &mut Vec<f32>) {
        out.clear();
        let mean = self.contrast.iter().sum::<f32>() / self.contrast.len().max(1) as f32 + FLOOR;
        for y in 0..self.size {
            for x in 0..self.size {
                let at = 2 * (y + MARGIN) * self.side + 2 * (x + MARGIN);
                let mut sum = 0.0;
                for point in [at, at + 1, at + self.side, at + self.side + 1] {
                    let weight = (self.contrast[point] / mean).min(1.5);
                    sum += self.even[point] * weight * weight;
                }
                out.push(sum / 4.0);
            }
        }
    }
}
