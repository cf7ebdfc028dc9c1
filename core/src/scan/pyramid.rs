//! The same picture at other sizes.
//!
//! Shrinking by a box filter is what makes photos of screens readable: it averages the moiré away, as it does sensor
//! noise. Enlarging helps codes whose modules are hardly more than a pixel.
#![expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "loops over every pixel; a frame has at most 2^27 pixels and 16384 on a side, and slices are cut to the image's own size"
)]

/// A grey picture without gaps between the rows.
#[derive(Clone, Debug, Default)]
pub(super) struct GrayImage {
    pub(super) width: usize,
    pub(super) height: usize,
    /// `width * height` bytes, 0 is black.
    pub(super) pixels: Vec<u8>,
}

impl GrayImage {
    pub(super) fn longest_side(&self) -> usize {
        self.width.max(self.height)
    }

    /// Makes `self` the picture `from` with every `factor` by `factor` pixels averaged into one. An incomplete row or
    /// column at the end is dropped.
    pub(super) fn shrink_from(&mut self, from: &Self, factor: usize) {
        let factor = factor.max(1);
        self.width = from.width / factor;
        self.height = from.height / factor;
        self.pixels.clear();
        if self.width == 0 || self.height == 0 {
            return;
        }
        let mut sums = vec![0u32; self.width];
        let area = (factor * factor) as u32;
        for band in from.pixels.chunks_exact(from.width * factor) {
            sums.fill(0);
            for row in band.chunks_exact(from.width) {
                for (sum, cell) in sums.iter_mut().zip(row.chunks_exact(factor)) {
                    *sum += cell.iter().map(|&p| u32::from(p)).sum::<u32>();
                }
            }
            self.pixels.extend(sums.iter().map(|sum| ((sum + area / 2) / area) as u8));
        }
    }

    /// Makes `self` the picture `from` at twice the size, with values in between interpolated on straight lines.
    pub(super) fn double_from(&mut self, from: &Self) {
        self.width = from.width * 2;
        self.height = from.height * 2;
        self.pixels.clear();
        self.pixels.resize(self.width * self.height, 0);
        for y in 0..self.height {
            // Output row y lies a quarter of a pixel above or below the middle of input row y / 2.
            let near = y / 2;
            let far = if y % 2 == 0 { near.saturating_sub(1) } else { (near + 1).min(from.height - 1) };
            let near_row = &from.pixels[near * from.width..][..from.width];
            let far_row = &from.pixels[far * from.width..][..from.width];
            let column = |x: usize| 3 * u32::from(near_row[x]) + u32::from(far_row[x]);
            let out = &mut self.pixels[y * from.width * 2..][..from.width * 2];
            for x in 0..from.width {
                let here = column(x);
                let before = column(x.saturating_sub(1));
                let after = column((x + 1).min(from.width - 1));
                out[2 * x] = ((3 * here + before + 8) / 16) as u8;
                out[2 * x + 1] = ((3 * here + after + 8) / 16) as u8;
            }
        }
    }

    /// Makes light dark and dark light.
    pub(super) fn invert_from(&mut self, from: &Self) {
        self.width = from.width;
        self.height = from.height;
        self.pixels.clear();
        self.pixels.extend(from.pixels.iter().map(|p| !p));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(width: usize, pixels: &[u8]) -> GrayImage {
        GrayImage { width, height: pixels.len() / width, pixels: pixels.to_vec() }
    }

    #[test]
    fn shrinking_averages_squares_and_drops_the_remainder() {
        let mut out = GrayImage::default();
        out.shrink_from(&image(5, &[0, 2, 10, 10, 99, 4, 6, 10, 11, 99, 7, 7, 7, 7, 7]), 2);
        assert_eq!((out.width, out.height, out.pixels.as_slice()), (2, 1, &[3, 10][..]));
        out.shrink_from(&image(2, &[1, 2]), 3);
        assert_eq!((out.width, out.height, out.pixels.len()), (0, 0, 0));
    }

    #[test]
    fn doubling_keeps_flat_pictures_flat_and_slopes_even() {
        let mut out = GrayImage::default();
        out.double_from(&image(2, &[200; 4]));
        assert_eq!(out.pixels, [200; 16]);
        out.double_from(&image(2, &[0, 80]));
        assert_eq!(out.pixels, [0, 20, 60, 80, 0, 20, 60, 80]);
    }
}
