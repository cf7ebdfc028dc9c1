//! The finished picture, and what is known about it.

use std::io::Write;

use image::{ExtendedColorType, ImageEncoder, ImageFormat, codecs};

use crate::{LensError, Scene, pose::Pose};

/// One picture, 8 bits per colour.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Pixels per row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `3 * width * height` bytes: red, green, blue, row by row.
    pub rgb: Vec<u8>,
    /// Where the symbol really is.
    pub truth: Truth,
}

/// Where the symbol of a frame really is. Points are (right, down) in pixels from the frame's top-left corner: the
/// centre of the first pixel is at (0.5, 0.5). They may lie outside the frame.
#[derive(Debug, Clone)]
pub struct Truth {
    /// Corners of the symbol without quiet zone: its own top left, top right, bottom right, bottom left.
    pub corners: [[f64; 2]; 4],
    pose: Pose,
    origin: [f64; 2],
    module_px: f64,
    size: usize,
    mirror_width: Option<usize>,
}

impl Truth {
    pub(crate) fn new(scene: &Scene, pose: Pose, mirror_width: Option<usize>) -> Self {
        let (left, top) = scene.symbol_origin();
        let mut truth = Self {
            corners: [[0.0; 2]; 4],
            pose,
            origin: [left as f64, top as f64],
            module_px: scene.module_px as f64,
            size: scene.matrix.size(),
            mirror_width,
        };
        let side = truth.size as f64;
        truth.corners = [[0.0, 0.0], [side, 0.0], [side, side], [0.0, side]].map(|[x, y]| truth.point(x, y));
        truth
    }

    /// Where a point of the symbol appears; `column` and `row` are in modules from its top-left corner, so the
    /// centre of the first module is (0.5, 0.5). Exact, with lens distortion and rolling shutter.
    #[must_use]
    pub fn point(&self, column: f64, row: f64) -> [f64; 2] {
        let [x, y] = self.pose.project(self.origin[0] + column * self.module_px, self.origin[1] + row * self.module_px);
        [self.mirror_width.map_or(x, |width| width as f64 - x), y]
    }

    /// Modules per side of the symbol.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }
}

impl Frame {
    /// Brightness of each pixel: BT.601 weights, full range, as in the Y plane of a JPEG or a camera preview.
    #[must_use]
    pub fn luma(&self) -> Vec<u8> {
        self.rgb
            .chunks_exact(3)
            .map(|p| {
                ((19_595 * u32::from(p[0]) + 38_470 * u32::from(p[1]) + 7_471 * u32::from(p[2]) + 32_768) >> 16) as u8
            })
            .collect()
    }

    /// Writes the picture as PNG.
    ///
    /// # Errors
    /// [`LensError::Codec`], which includes a failing writer.
    pub fn write_png(&self, out: impl Write) -> Result<(), LensError> {
        let encoder = codecs::png::PngEncoder::new(out);
        Ok(encoder.write_image(&self.rgb, self.width as u32, self.height as u32, ExtendedColorType::Rgb8)?)
    }

    /// Writes the picture as JPEG with a quality of 1 to 100.
    ///
    /// # Errors
    /// [`LensError::Codec`], which includes a failing writer.
    pub fn write_jpeg(&self, out: impl Write, quality: u8) -> Result<(), LensError> {
        let mut encoder = codecs::jpeg::JpegEncoder::new_with_quality(out, quality.clamp(1, 100));
        Ok(encoder.encode(&self.rgb, self.width as u32, self.height as u32, ExtendedColorType::Rgb8)?)
    }

    /// Through JPEG and back.
    pub(crate) fn compress(&mut self, quality: u8) -> Result<(), LensError> {
        let mut bytes = Vec::new();
        self.write_jpeg(&mut bytes, quality)?;
        self.rgb = image::load_from_memory_with_format(&bytes, ImageFormat::Jpeg)?.into_rgb8().into_raw();
        Ok(())
    }

    pub(crate) fn mirror(&mut self) {
        for row in self.rgb.chunks_exact_mut(3 * self.width) {
            for x in 0..self.width / 2 {
                for channel in 0..3 {
                    row.swap(3 * x + channel, 3 * (self.width - 1 - x) + channel);
                }
            }
        }
    }
}
