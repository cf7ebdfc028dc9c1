//! From light on photosites to 8-bit colours.

use crate::{
    Mosaic, View,
    bands::each_row,
    noise::{Normal, stream},
};
use rand_core::Rng;

/// Light per photosite: one value in the RGGB pattern or three, 1 being a full photosite.
pub(crate) struct Exposure {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) mosaic: Mosaic,
    pub(crate) light: Vec<f32>,
}

/// Colour (0 red, 1 green, 2 blue) of a Bayer photosite.
#[inline]
pub(crate) fn bayer_channel(x: usize, y: usize) -> usize {
    (x & 1) + (y & 1)
}

impl Exposure {
    pub(crate) fn values_per_row(&self) -> usize {
        match self.mosaic {
            Mosaic::Bayer => self.width,
            Mosaic::Full => 3 * self.width,
        }
    }

    fn channel(&self, index: usize, y: usize) -> usize {
        match self.mosaic {
            Mosaic::Bayer => bayer_channel(index, y),
            Mosaic::Full => index % 3,
        }
    }

    /// Spreads a part of the light widely, as scattering in the lens and on a greasy cover glass does.
    pub(crate) fn scatter(&mut self, part: f32) {
        if part <= 0.0 {
            return;
        }
        let veil = Veil::new(self);
        let (row_len, mosaic) = (self.values_per_row(), self.mosaic);
        each_row(&mut self.light, row_len, |y, row| {
            for (index, value) in row.iter_mut().enumerate() {
                let (x, channel) = match mosaic {
                    Mosaic::Bayer => (index, bayer_channel(index, y)),
                    Mosaic::Full => (index / 3, index % 3),
                };
                *value += part * (veil.at(x, y)[channel] - *value);
            }
        });
    }

    /// Adds shot noise (the root of the number of electrons) and read noise, and clips at the full well.
    pub(crate) fn expose(&mut self, view: &View) {
        let mut seeds = stream(view.seed, 1);
        let row_seeds: Vec<u64> = (0..self.height).map(|_| seeds.next_u64()).collect();
        let (row_len, full, read) = (self.values_per_row(), view.full_well, view.read_noise);
        each_row(&mut self.light, row_len, |y, row| {
            let mut normal = Normal::new(row_seeds[y]);
            for value in row {
                let electrons = value.max(0.0) * full;
                let noisy = electrons + (electrons + read * read).sqrt() * normal.draw();
                // Black is not clipped here: cameras keep a pedestal, so that noise does not brighten the dark.
                *value = (noisy / full).min(1.0);
            }
        });
    }

    /// Interpolates the colours and applies white balance and tone curve.
    pub(crate) fn develop(&self, view: &View) -> Vec<u8> {
        let curve = tone_curve(view.gamma);
        let tone = |value: f32, gain: f32| {
            let index = (value * gain).clamp(0.0, 1.0) * (curve.len() - 1) as f32;
            curve[index as usize]
        };
        let mut rgb = vec![0_u8; 3 * self.width * self.height];
        each_row(&mut rgb, 3 * self.width, |y, row| match self.mosaic {
            Mosaic::Full => {
                let values = &self.light[y * row.len()..(y + 1) * row.len()];
                for (index, (out, value)) in row.iter_mut().zip(values).enumerate() {
                    *out = tone(*value, view.tint[index % 3]);
                }
            }
            Mosaic::Bayer => {
                for (x, out) in row.chunks_exact_mut(3).enumerate() {
                    let colours = self.interpolate(x, y);
                    for channel in 0..3 {
                        out[channel] = tone(colours[channel], view.tint[channel]);
                    }
                }
            }
        });
        rgb
    }

    /// All three colours at a Bayer photosite: neighbours of the missing colours, corrected by how the known colour
    /// bends there, so that edges of grey things stay grey.
    #[inline]
    fn interpolate(&self, x: usize, y: usize) -> [f32; 3] {
        let (w, h) = (self.width, self.height);
        // Mirrored at the border, which keeps the pattern.
        let near = |at: usize, step: isize, end: usize| {
            let moved = at as isize + step;
            if moved < 0 {
                (-moved) as usize
            } else if moved as usize >= end {
                2 * (end - 1) - moved as usize
            } else {
                moved as usize
            }
        };
        let columns = [-2, -1, 0, 1, 2].map(|step| near(x, step, w));
        let rows = [-2, -1, 0, 1, 2].map(|step| near(y, step, h) * w);
        let at = |i: usize, j: usize| self.light[rows[j] + columns[i]];
        let own = at(2, 2);
        let (beside, above) = ((at(1, 2) + at(3, 2)) / 2.0, (at(2, 1) + at(2, 3)) / 2.0);
        let (far_beside, far_above) = ((at(0, 2) + at(4, 2)) / 2.0, (at(2, 0) + at(2, 4)) / 2.0);
        if bayer_channel(x, y) == 1 {
            let bend_x = own - far_beside;
            let bend_y = own - far_above;
            let in_row = beside + 0.5 * bend_x;
            let in_column = above + 0.5 * bend_y;
            return if y & 1 == 0 { [in_row, own, in_column] } else { [in_column, own, in_row] };
        }
        let (bend_x, bend_y) = (own - far_beside, own - far_above);
        let (steep_x, steep_y) =
            ((at(1, 2) - at(3, 2)).abs() + bend_x.abs() + 1e-4, (at(2, 1) - at(2, 3)).abs() + bend_y.abs() + 1e-4);
        // The green of the flatter direction counts more.
        let green = ((beside + 0.5 * bend_x) * steep_y + (above + 0.5 * bend_y) * steep_x) / (steep_x + steep_y);
        let corners = (at(1, 1) + at(3, 1) + at(1, 3) + at(3, 3)) / 4.0;
        let other = corners + 0.25 * (bend_x + bend_y);
        if y & 1 == 0 { [own, green, other] } else { [other, green, own] }
    }
}

/// A coarse, wide blur of the whole picture.
struct Veil {
    across: usize,
    down: usize,
    colours: Vec<[f32; 3]>,
}

impl Veil {
    /// Photosites per side of one coarse pixel; even, so that each holds whole Bayer squares.
    const BLOCK: usize = 16;

    fn new(exposure: &Exposure) -> Self {
        let (across, down) = (exposure.width.div_ceil(Self::BLOCK), exposure.height.div_ceil(Self::BLOCK));
        let row_len = exposure.values_per_row();
        let per_pixel = row_len / exposure.width;
        let mut colours = vec![[0.0; 3]; across * down];
        each_row(&mut colours, across, |block_y, out| {
            let mut counts = vec![[0.0_f32; 3]; across];
            for y in block_y * Self::BLOCK..((block_y + 1) * Self::BLOCK).min(exposure.height) {
                for (index, value) in exposure.light[y * row_len..(y + 1) * row_len].iter().enumerate() {
                    let block = index / per_pixel / Self::BLOCK;
                    let channel = exposure.channel(index, y);
                    out[block][channel] += value;
                    counts[block][channel] += 1.0;
                }
            }
            for (colour, count) in out.iter_mut().zip(counts) {
                for channel in 0..3 {
                    colour[channel] /= count[channel].max(1.0);
                }
            }
        });
        let mut veil = Self { across, down, colours };
        let radius = (across / 10).max(1);
        for _ in 0..3 {
            veil.box_blur(radius);
        }
        veil
    }

    fn box_blur(&mut self, radius: usize) {
        for along_x in [true, false] {
            let old = self.colours.clone();
            for y in 0..self.down {
                for x in 0..self.across {
                    let (at, end) = if along_x { (x, self.across) } else { (y, self.down) };
                    let (from, to) = (at.saturating_sub(radius), (at + radius + 1).min(end));
                    let mut sum = [0.0; 3];
                    for near in from..to {
                        let near = if along_x { old[y * self.across + near] } else { old[near * self.across + x] };
                        for channel in 0..3 {
                            sum[channel] += near[channel];
                        }
                    }
                    self.colours[y * self.across + x] = sum.map(|value| value / (to - from) as f32);
                }
            }
        }
    }

    #[inline]
    fn at(&self, x: usize, y: usize) -> [f32; 3] {
        let place = |at: usize, end: usize| {
            let at = ((at as f32 + 0.5) / Self::BLOCK as f32 - 0.5).clamp(0.0, (end - 1) as f32);
            let whole = (at as usize).min(end.saturating_sub(2));
            (whole, at - whole as f32)
        };
        let ((x, part_x), (y, part_y)) = (place(x, self.across), place(y, self.down));
        let (right, below) = ((x + 1).min(self.across - 1), (y + 1).min(self.down - 1));
        let [a, b, c, d] =
            [(x, y), (right, y), (x, below), (right, below)].map(|(x, y)| self.colours[y * self.across + x]);
        [0, 1, 2].map(|i| {
            let (top, bottom) = (a[i] + (b[i] - a[i]) * part_x, c[i] + (d[i] - c[i]) * part_x);
            top + (bottom - top) * part_y
        })
    }
}

fn tone_curve(gamma: f32) -> Vec<u8> {
    const LAST: usize = 16_383;
    (0..=LAST).map(|i| ((i as f32 / LAST as f32).powf(1.0 / gamma) * 255.0 + 0.5) as u8).collect()
}

/// Adds what a pixel differs from its neighbours in brightness once more.
pub(crate) fn sharpen(rgb: &mut [u8], width: usize, height: usize, strength: f32) {
    if strength <= 0.0 {
        return;
    }
    let luma: Vec<i16> = rgb
        .chunks_exact(3)
        .map(|p| ((77 * u32::from(p[0]) + 150 * u32::from(p[1]) + 29 * u32::from(p[2])) >> 8) as i16)
        .collect();
    each_row(rgb, 3 * width, |y, row| {
        if y == 0 || y + 1 == height {
            return;
        }
        let here = y * width;
        for x in 1..width - 1 {
            let i = here + x;
            let around = luma[i - 1] + luma[i + 1] + luma[i - width] + luma[i + width];
            let detail = strength * f32::from(4 * luma[i] - around) / 4.0;
            for value in &mut row[3 * x..3 * x + 3] {
                *value = (f32::from(*value) + detail).clamp(0.0, 255.0) as u8;
            }
        }
    });
}
