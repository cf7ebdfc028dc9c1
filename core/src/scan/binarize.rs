//! Grey becomes black and white.
#![expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "loops over every pixel; a frame has at most 2^27 pixels of at most 255, so sums over it fit u64 and sums over a window fit u32; every index is below the image's own size"
)]

use super::pyramid::GrayImage;

/// A picture of black and white pixels.
#[derive(Clone, Debug, Default)]
pub(super) struct BitImage {
    pub(super) width: usize,
    pub(super) height: usize,
    /// `width * height` bytes, 1 is black and 0 is white.
    pub(super) pixels: Vec<u8>,
}

impl BitImage {
    /// Whether the pixel is black; everything outside the picture is white.
    #[inline]
    pub(super) fn is_black(&self, x: usize, y: usize) -> bool {
        x < self.width && self.pixels.get(y * self.width + x).is_some_and(|&p| p != 0)
    }
}

/// How the line between black and white is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Threshold {
    /// One brightness for the whole picture, where Otsu's criterion separates the two groups best.
    Global,
    /// The mean of a square window around each pixel; `divisor` tells how often its side goes into the shorter side of
    /// the picture. Light that falls unevenly is followed.
    LocalMean {
        /// Windows along the shorter side.
        divisor: usize,
    },
}

/// Buffers that are kept between pictures.
#[derive(Debug, Default)]
pub(super) struct Binarizer {
    columns: Vec<u32>,
}

impl Binarizer {
    /// Makes `out` the black and white version of `gray`.
    pub(super) fn binarize(&mut self, gray: &GrayImage, threshold: Threshold, out: &mut BitImage) {
        out.width = gray.width;
        out.height = gray.height;
        out.pixels.clear();
        match threshold {
            Threshold::Global => {
                let level = otsu_level(&gray.pixels);
                out.pixels.extend(gray.pixels.iter().map(|&p| u8::from(p <= level)));
            }
            Threshold::LocalMean { divisor } => {
                let shorter = gray.width.min(gray.height);
                let radius = (shorter / divisor.max(1) / 2).clamp(4, 200);
                self.local_mean(gray, radius, out);
            }
        }
    }

    /// Slides a window of `2 * radius + 1` pixels over the picture: the sums of its columns are kept per column and
    /// moved down by a row at a time, so that each pixel costs four additions at any radius.
    fn local_mean(&mut self, gray: &GrayImage, radius: usize, out: &mut BitImage) {
        /// A pixel is black when it is darker than this many 256ths of the mean: paper grain must not turn black.
        const BLACK_BELOW: u64 = 246;
        let (width, height) = (gray.width, gray.height);
        if width == 0 || height == 0 {
            return;
        }
        let row = |y: usize| &gray.pixels[y * width..][..width];
        let columns = &mut self.columns;
        columns.clear();
        columns.resize(width, 0);
        for y in 0..radius.min(height) {
            for (column, &p) in columns.iter_mut().zip(row(y)) {
                *column += u32::from(p);
            }
        }
        for y in 0..height {
            if y + radius < height {
                for (column, &p) in columns.iter_mut().zip(row(y + radius)) {
                    *column += u32::from(p);
                }
            }
            if y > radius {
                for (column, &p) in columns.iter_mut().zip(row(y - radius - 1)) {
                    *column -= u32::from(p);
                }
            }
            let rows = (y + radius).min(height - 1) - y.saturating_sub(radius) + 1;
            let mut sum: u64 = columns.iter().take(radius).map(|&c| u64::from(c)).sum();
            for (x, &p) in row(y).iter().enumerate() {
                if x + radius < width {
                    sum += u64::from(columns[x + radius]);
                }
                if x > radius {
                    sum -= u64::from(columns[x - radius - 1]);
                }
                let count = ((x + radius).min(width - 1) - x.saturating_sub(radius) + 1) * rows;
                out.pixels.push(u8::from(u64::from(p) * count as u64 * 256 < sum * BLACK_BELOW));
            }
        }
    }
}

/// The highest brightness that still counts as black, after N. Otsu (1979): the split with the largest variance between
/// the two groups.
fn otsu_level(pixels: &[u8]) -> u8 {
    let mut histogram = [0u64; 256];
    for &p in pixels {
        histogram[usize::from(p)] += 1;
    }
    let total = pixels.len() as f64;
    let weighted: f64 = histogram.iter().enumerate().map(|(value, &n)| value as f64 * n as f64).sum();
    let (mut dark, mut dark_weighted) = (0.0, 0.0);
    let (mut best, mut level) = (-1.0, 127);
    for (value, &n) in histogram.iter().enumerate() {
        dark += n as f64;
        dark_weighted += value as f64 * n as f64;
        let light = total - dark;
        if dark == 0.0 || light == 0.0 {
            continue;
        }
        let difference = dark_weighted / dark - (weighted - dark_weighted) / light;
        let variance = dark * light * difference * difference;
        if variance > best {
            (best, level) = (variance, value as u8);
        }
    }
    level
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_global_level_separates_two_groups() {
        let mut pixels = vec![40; 100];
        pixels.extend([200; 30]);
        let level = otsu_level(&pixels);
        assert!((40..200).contains(&level), "{level}");
    }

    #[test]
    fn the_local_mean_equals_the_mean_computed_directly() {
        let (width, height, divisor) = (37, 29, 3);
        let pixels: Vec<u8> = (0..width * height).map(|i| ((i * 7919 + i * i * 31) % 251) as u8).collect();
        let gray = GrayImage { width, height, pixels };
        let mut out = BitImage::default();
        Binarizer::default().binarize(&gray, Threshold::LocalMean { divisor }, &mut out);
        let radius = (29 / divisor / 2).max(4);
        for y in 0..height {
            for x in 0..width {
                let (mut sum, mut count) = (0u64, 0u64);
                for yy in y.saturating_sub(radius)..=(y + radius).min(height - 1) {
                    for xx in x.saturating_sub(radius)..=(x + radius).min(width - 1) {
                        sum += u64::from(gray.pixels[yy * width + xx]);
                        count += 1;
                    }
                }
                let black = u64::from(gray.pixels[y * width + x]) * count * 256 < sum * 246;
                assert_eq!(out.is_black(x, y), black, "at {x}, {y}");
            }
        }
    }

    #[test]
    fn a_shadow_does_not_swallow_the_pattern() {
        let (width, height) = (200, 40);
        let pixels: Vec<u8> = (0..width * height)
            .map(|i| {
                let x = i % width;
                let light = 60 + x as u32 * 180 / 200;
                (if (x / 4) % 2 == 0 { light / 3 } else { light }) as u8
            })
            .collect();
        let mut out = BitImage::default();
        Binarizer::default().binarize(
            &GrayImage { width, height, pixels },
            Threshold::LocalMean { divisor: 2 },
            &mut out,
        );
        assert!((0..width).all(|x| out.is_black(x, 20) == ((x / 4) % 2 == 0)));
    }
}
