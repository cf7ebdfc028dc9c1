//! The same picture at smaller sizes, each half as wide and high as the one before.
//!
//! Averaging is what makes photos of screens readable: the moiré goes away, as does sensor noise. Small pictures are
//! also cheap to search, so the search begins there.
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

    /// The pixels of row `y`; empty below the picture.
    #[inline]
    pub(super) fn row(&self, y: usize) -> &[u8] {
        self.pixels.get(y * self.width..(y + 1) * self.width).unwrap_or_default()
    }

    /// The pixel at `(x, y)`, or the nearest one of the picture; 0 in an empty picture.
    #[inline]
    pub(super) fn at(&self, x: usize, y: usize) -> u8 {
        let (x, y) = (x.min(self.width.saturating_sub(1)), y.min(self.height.saturating_sub(1)));
        self.pixels.get(y * self.width + x).copied().unwrap_or(0)
    }

    /// The brightness at a point, interpolated on straight lines between the four pixels around it.
    #[inline]
    pub(super) fn between(&self, x: f32, y: f32) -> f32 {
        let limit = |value: f32, size: usize| (value - 0.5).clamp(0.0, (size.max(2) - 2) as f32 + 0.999);
        let (x, y) = (limit(x, self.width), limit(y, self.height));
        let (column, row) = (x as usize, y as usize);
        let (right, down) = (x - column as f32, y - row as f32);
        let first = row * self.width + column;
        let pair = |start: usize| match self.pixels.get(start..start + 2) {
            Some(&[a, b]) => f32::from(a) + (f32::from(b) - f32::from(a)) * right,
            _ => f32::from(self.at(column, row)),
        };
        let (upper, lower) = (pair(first), pair(first + self.width));
        upper + (lower - upper) * down
    }

    /// Makes `self` the picture `from` with every two by two pixels averaged into one. An odd row or column at the end
    /// is dropped.
    pub(super) fn halve_from(&mut self, from: &Self) {
        self.width = from.width / 2;
        self.height = from.height / 2;
        self.pixels.resize(self.width * self.height, 0);
        if self.width == 0 || self.height == 0 {
            self.pixels.clear();
            return;
        }
        for (out, rows) in self.pixels.chunks_exact_mut(self.width).zip(from.pixels.chunks_exact(from.width * 2)) {
            let (upper, lower) = rows.split_at(from.width);
            halve_row(out, upper, lower);
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
}

/// Writes the mean of every two by two pixels of two rows. In pieces of a fixed size, and by itself, so that the compiler
/// knows that the rows do not overlap: then it takes sixteen at a time, in a fifth of the time.
#[inline(never)]
fn halve_row(out: &mut [u8], upper: &[u8], lower: &[u8]) {
    let sum = |pair: &[u8]| {
        let both = u16::from_le_bytes([pair[0], pair[1]]);
        (both & 0xff) + (both >> 8)
    };
    let mean = |upper: &[u8], lower: &[u8]| ((sum(upper) + sum(lower) + 2) >> 2) as u8;
    let (out, out_rest) = out.as_chunks_mut::<16>();
    let ((upper, upper_rest), (lower, lower_rest)) = (upper.as_chunks::<32>(), lower.as_chunks::<32>());
    for ((out, upper), lower) in out.iter_mut().zip(upper).zip(lower) {
        for (i, out) in out.iter_mut().enumerate() {
            *out = mean(&upper[2 * i..2 * i + 2], &lower[2 * i..2 * i + 2]);
        }
    }
    let rest = upper_rest.chunks_exact(2).zip(lower_rest.chunks_exact(2));
    for (out, (upper, lower)) in out_rest.iter_mut().zip(rest) {
        *out = mean(upper, lower);
    }
}

/// A frame at its own size and all the smaller ones.
#[derive(Debug, Default)]
pub(super) struct Pyramid {
    levels: Vec<GrayImage>,
    /// Levels of this frame; the rest of `levels` are buffers of an earlier, larger one.
    used: usize,
}

impl Pyramid {
    /// The buffer for the frame itself. Call [`build`](Self::build) after it was filled.
    pub(super) fn base_mut(&mut self) -> &mut GrayImage {
        if self.levels.is_empty() {
            self.levels.push(GrayImage::default());
        }
        &mut self.levels[0]
    }

    /// Makes all smaller pictures, down to a longest side of less than 16 pixels.
    pub(super) fn build(&mut self) {
        self.used = 1;
        while self
            .levels
            .get(self.used - 1)
            .is_some_and(|last| last.longest_side() >= 16 && last.width.min(last.height) >= 2)
        {
            if self.levels.len() == self.used {
                self.levels.push(GrayImage::default());
            }
            let (before, after) = self.levels.split_at_mut(self.used);
            if let (Some(from), Some(to)) = (before.last(), after.first_mut()) {
                to.halve_from(from);
            }
            self.used += 1;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.used.min(self.levels.len())
    }

    /// The picture whose pixels are `2^level` frame pixels wide; the smallest one there is beyond that.
    pub(super) fn level(&self, level: usize) -> &GrayImage {
        &self.levels[level.min(self.len().saturating_sub(1))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(width: usize, pixels: &[u8]) -> GrayImage {
        GrayImage { width, height: pixels.len() / width, pixels: pixels.to_vec() }
    }

    #[test]
    fn halving_averages_squares_and_drops_the_remainder() {
        let mut out = GrayImage::default();
        out.halve_from(&image(5, &[0, 2, 10, 10, 99, 4, 6, 10, 11, 99, 7, 7, 7, 7, 7]));
        assert_eq!((out.width, out.height, out.pixels.as_slice()), (2, 1, &[3, 10][..]));
        out.halve_from(&image(1, &[1, 2]));
        assert_eq!((out.width, out.height, out.pixels.len()), (0, 1, 0));
    }

    #[test]
    fn doubling_keeps_flat_pictures_flat_and_slopes_even() {
        let mut out = GrayImage::default();
        out.double_from(&image(2, &[200; 4]));
        assert_eq!(out.pixels, [200; 16]);
        out.double_from(&image(2, &[0, 80]));
        assert_eq!(out.pixels, [0, 20, 60, 80, 0, 20, 60, 80]);
    }

    #[test]
    fn values_between_pixels_are_interpolated_and_clamped_at_the_border() {
        let picture = image(2, &[0, 100, 200, 40]);
        assert!((picture.between(0.5, 0.5) - 0.0).abs() < 0.01);
        assert!((picture.between(1.0, 0.5) - 50.0).abs() < 0.01);
        assert!((picture.between(1.0, 1.0) - 85.0).abs() < 0.01);
        assert!((picture.between(-9.0, 9.0) - 200.0).abs() < 0.5);
        assert!(image(1, &[7]).between(0.5, 0.5) == 7.0);
    }

    #[test]
    fn a_pyramid_of_any_size_ends() {
        let mut pyramid = Pyramid::default();
        for (width, height, levels) in [(1000, 600, 7), (1, 1, 1), (5, 4000, 3), (15, 15, 1)] {
            let base = pyramid.base_mut();
            *base = GrayImage { width, height, pixels: vec![9; width * height] };
            pyramid.build();
            assert_eq!(pyramid.len(), levels, "{width}x{height}");
            assert!(pyramid.level(99).pixels.iter().all(|&p| p == 9));
        }
    }
}
