//! Brightness computed from colour, in a buffer that is kept between frames.

use super::luma::{check_size, packed_len};
use super::{FrameError, LumaFrame};

/// Colour formats with all channels of a pixel side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PackedFormat {
    /// Three bytes: red, green, blue.
    Rgb,
    /// Four bytes: red, green, blue, straight alpha. Transparent pixels are shown on white, as image viewers do.
    Rgba,
    /// Four bytes: blue, green, red and one byte that is not looked at, because cameras leave it undefined.
    Bgra,
}

impl PackedFormat {
    /// Bytes from one pixel to the next.
    #[must_use]
    pub const fn bytes_per_pixel(self) -> usize {
        match self {
            Self::Rgb => 3,
            Self::Rgba | Self::Bgra => 4,
        }
    }
}

/// Owns the brightness plane of the last colour frame. Keep one per camera: after the first frame of a size nothing is
/// allocated any more.
#[derive(Clone, Debug, Default)]
pub struct LumaBuffer {
    luma: Vec<u8>,
}

impl LumaBuffer {
    /// An empty buffer.
    #[must_use]
    pub const fn new() -> Self {
        Self { luma: Vec::new() }
    }

    /// Computes the brightness of a colour frame (the weights of ITU-R BT.601) and gives a view of it. `row_stride` is
    /// in bytes.
    ///
    /// # Errors
    /// [`FrameError`] when a dimension is zero or huge, the stride is too short, or the buffer ends before the picture.
    pub fn fill(
        &mut self,
        format: PackedFormat,
        data: &[u8],
        width: u32,
        height: u32,
        row_stride: usize,
    ) -> Result<LumaFrame<'_>, FrameError> {
        check_size(width, height)?;
        let pixel_bytes = format.bytes_per_pixel();
        let expected = packed_len(width, height, row_stride, pixel_bytes)?;
        if data.len() < expected {
            return Err(FrameError::BufferTooShort { expected, got: data.len() });
        }
        self.luma.clear();
        for row in data.chunks(row_stride).take(height as usize) {
            let pixels = row.get(..pixel_bytes.saturating_mul(width as usize)).unwrap_or(row);
            match format {
                PackedFormat::Rgb => self.luma.extend(pixels.as_chunks().0.iter().map(|&[r, g, b]| luma(r, g, b))),
                PackedFormat::Rgba => self.fill_row(pixels.as_chunks().0),
                PackedFormat::Bgra => self.luma.extend(pixels.as_chunks().0.iter().map(|&[b, g, r, _]| luma(r, g, b))),
            }
        }
        LumaFrame::luma8(&self.luma, width, height, width as usize)
    }

    /// Red, green, blue and opacity. Nearly every row is opaque, and then nothing has to be mixed.
    fn fill_row(&mut self, pixels: &[[u8; 4]]) {
        if pixels.iter().fold(u8::MAX, |all, &[.., alpha]| all & alpha) == u8::MAX {
            self.luma.extend(pixels.iter().map(|&[r, g, b, _]| luma(r, g, b)));
        } else {
            self.luma.extend(pixels.iter().map(|&[r, g, b, a]| on_white(luma(r, g, b), a)));
        }
    }
}

/// Brightness after BT.601, in fixed point with 16 fractional bits; the weights add up to exactly 1.
#[expect(clippy::arithmetic_side_effects, reason = "255 * 65536 fits u32: no sum can overflow")]
fn luma(r: u8, g: u8, b: u8) -> u8 {
    const RED: u32 = 19_595;
    const GREEN: u32 = 38_470;
    const BLUE: u32 = 7_471;
    ((u32::from(r) * RED + u32::from(g) * GREEN + u32::from(b) * BLUE + (1 << 15)) >> 16) as u8
}

/// A pixel of the given opacity lying on white paper.
#[expect(clippy::arithmetic_side_effects, reason = "at most 255 * 255 + 127, and alpha is at most 255")]
fn on_white(luma: u8, alpha: u8) -> u8 {
    let alpha = u32::from(alpha);
    ((u32::from(luma) * alpha + 255 * (255 - alpha) + 127) / 255) as u8
}
