//! The brightness of every module, and how sure we are that it is dark.
#![expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a code has at most 177 modules on a side; all buffers have the size of the code or of its integral image"
)]

use super::mesh::Mesh;
use super::view::View;

/// What is taken off each module's brightness to tell dark from light.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ground {
    /// The mean of the modules around, so many of them to each side: masks keep dark and light in balance, so the mean
    /// follows shadows and glare.
    Around(usize),
    /// As before, after each module was set off from its four neighbours: undoes blur.
    Sharpened(usize),
}

/// The modules of a code as numbers.
#[derive(Clone, Debug, Default)]
pub(super) struct Modules {
    /// On a side.
    pub(super) size: usize,
    /// `size * size` brightnesses, row by row, 0 to 255; ink is dark.
    pub(super) light: Vec<u8>,
}

impl Modules {
    /// Reads the brightness in the middle of each module.
    pub(super) fn sample(&mut self, view: View<'_>, mesh: &Mesh) {
        self.size = mesh.projection.modules();
        self.light.clear();
        for row in 0..self.size {
            for column in 0..self.size {
                let at = mesh.map(column as f32 + 0.5, row as f32 + 0.5);
                self.light.push(view.light(at.x, at.y) as u8);
            }
        }
    }
}

/// Turns brightness into certainty.
#[derive(Debug, Default)]
pub(super) struct Softener {
    sharp: Vec<i16>,
    sums: Vec<i32>,
}

impl Softener {
    /// Sets `soft` to how much darker each module is than its surroundings: positive is dark, in grey levels.
    pub(super) fn soften(&mut self, modules: &Modules, ground: Ground, soft: &mut Vec<i16>) {
        let size = modules.size;
        let light = |x: usize, y: usize| i16::from(modules.light[y * size + x]);
        self.sharp.clear();
        let radius = match ground {
            Ground::Around(radius) => {
                self.sharp.extend(modules.light.iter().map(|&p| i16::from(p)));
                radius
            }
            Ground::Sharpened(radius) => {
                for y in 0..size {
                    for x in 0..size {
                        let (left, right) = (x.saturating_sub(1), (x + 1).min(size - 1));
                        let (up, down) = (y.saturating_sub(1), (y + 1).min(size - 1));
                        let around = light(left, y) + light(right, y) + light(x, up) + light(x, down);
                        self.sharp.push(light(x, y) * 2 - around / 4);
                    }
                }
                radius
            }
        };
        // sums[y][x] holds the sum of everything above and to the left.
        let wide = size + 1;
        self.sums.clear();
        self.sums.resize(wide * wide, 0);
        for y in 0..size {
            let mut row = 0;
            for x in 0..size {
                row += i32::from(self.sharp[y * size + x]);
                self.sums[(y + 1) * wide + x + 1] = self.sums[y * wide + x + 1] + row;
            }
        }
        soft.clear();
        for y in 0..size {
            let (top, bottom) = (y.saturating_sub(radius), (y + radius + 1).min(size));
            for x in 0..size {
                let (left, right) = (x.saturating_sub(radius), (x + radius + 1).min(size));
                let sum = self.sums[bottom * wide + right] + self.sums[top * wide + left]
                    - self.sums[bottom * wide + left]
                    - self.sums[top * wide + right];
                let mean = sum / ((bottom - top) * (right - left)) as i32;
                soft.push((mean as i16).saturating_sub(self.sharp[y * size + x]));
            }
        }
    }
}
