//! The view itself.

use super::{FrameError, Point, Rect, Rotation};

/// Longest side of a frame, in pixels. No phone camera comes near it, and coordinates multiplied with each other still
/// fit 32 bits with a sign.
pub const MAX_SIDE: u32 = 16_384;

/// Most pixels in a frame.
pub const MAX_PIXELS: u32 = 1 << 27;

/// The brightness plane of one camera frame, borrowed and checked.
///
/// Cheap to copy. [`crop`](Self::crop), [`rotated`](Self::rotated) and [`mirrored`](Self::mirrored) give another view of
/// the same bytes.
#[derive(Clone, Copy)]
pub struct LumaFrame<'a> {
    data: &'a [u8],
    width: u32,
    height: u32,
    row_stride: usize,
    pixel_stride: usize,
    crop: Rect,
    rotation: Rotation,
    mirrored: bool,
}

impl std::fmt::Debug for LumaFrame<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LumaFrame")
            .field("width", &self.width)
            .field("height", &self.height)
            .field("row_stride", &self.row_stride)
            .field("pixel_stride", &self.pixel_stride)
            .field("crop", &self.crop)
            .field("rotation", &self.rotation)
            .field("mirrored", &self.mirrored)
            .finish_non_exhaustive()
    }
}

impl<'a> LumaFrame<'a> {
    /// Whether a picture of this size can be scanned: ask before its pixels are unpacked.
    ///
    /// # Errors
    /// [`FrameError`] when a dimension is zero or huge.
    pub fn check_size(width: u32, height: u32) -> Result<(), FrameError> {
        check_size(width, height)
    }

    /// A brightness plane with any layout: `row_stride` bytes from row to row, `pixel_stride` bytes from pixel to pixel.
    ///
    /// The last row may end after its last pixel, as Android delivers it.
    ///
    /// # Errors
    /// [`FrameError`] when a dimension is zero or huge, a stride is too short, or the buffer ends before the picture.
    pub fn new(
        data: &'a [u8],
        width: u32,
        height: u32,
        row_stride: usize,
        pixel_stride: usize,
    ) -> Result<Self, FrameError> {
        check_size(width, height)?;
        let expected = plane_len(width, height, row_stride, pixel_stride)?;
        if data.len() < expected {
            return Err(FrameError::BufferTooShort { expected, got: data.len() });
        }
        let crop = Rect::new(0, 0, width, height);
        Ok(Self { data, width, height, row_stride, pixel_stride, crop, rotation: Rotation::R0, mirrored: false })
    }

    /// One byte per pixel, nothing else: a grey picture, or the Y plane that Android and iOS hand out by itself.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn luma8(data: &'a [u8], width: u32, height: u32, row_stride: usize) -> Result<Self, FrameError> {
        Self::new(data, width, height, row_stride, 1)
    }

    /// A whole NV12 buffer: the Y plane, then interleaved U and V at half resolution with the same stride.
    ///
    /// # Errors
    /// As for [`new`](Self::new); also when a dimension is odd or the colour plane is missing or cut.
    pub fn nv12(data: &'a [u8], width: u32, height: u32, row_stride: usize) -> Result<Self, FrameError> {
        Self::semi_planar("NV12", data, width, height, row_stride)
    }

    /// A whole NV21 buffer: as [`nv12`](Self::nv12), with V before U.
    ///
    /// # Errors
    /// As for [`nv12`](Self::nv12).
    pub fn nv21(data: &'a [u8], width: u32, height: u32, row_stride: usize) -> Result<Self, FrameError> {
        Self::semi_planar("NV21", data, width, height, row_stride)
    }

    /// A whole I420 buffer: the Y plane, then the U and the V plane at half resolution and half the stride.
    ///
    /// # Errors
    /// As for [`new`](Self::new); also when a dimension or the stride is odd, or a colour plane is missing or cut.
    pub fn i420(data: &'a [u8], width: u32, height: u32, row_stride: usize) -> Result<Self, FrameError> {
        check_even("I420", width, height)?;
        check_size(width, height)?;
        if !row_stride.is_multiple_of(2) {
            return Err(FrameError::OddStride { format: "I420", got: row_stride });
        }
        let overflow = FrameError::SizeOverflow { row_stride, height };
        let luma = row_stride.checked_mul(height as usize).ok_or(overflow)?;
        let chroma_stride = row_stride / 2;
        let first = chroma_stride.checked_mul(height as usize / 2).ok_or(overflow)?;
        let last = plane_len(width / 2, height / 2, chroma_stride, 1)?;
        let expected = luma.checked_add(first).and_then(|n| n.checked_add(last)).ok_or(overflow)?;
        Self::with_whole_buffer(data, width, height, row_stride, 1, expected)
    }

    /// A YUYV (YUY2) buffer, as webcams deliver it: brightness in every second byte.
    ///
    /// # Errors
    /// As for [`new`](Self::new); also when the width is odd.
    pub fn yuyv(data: &'a [u8], width: u32, height: u32, row_stride: usize) -> Result<Self, FrameError> {
        if !width.is_multiple_of(2) {
            return Err(FrameError::OddSize { format: "YUYV", width, height });
        }
        check_size(width, height)?;
        // The last pixel's colour byte belongs to the picture too.
        let expected = packed_len(width, height, row_stride, 2)?;
        Self::with_whole_buffer(data, width, height, row_stride, 2, expected)
    }

    fn semi_planar(
        format: &'static str,
        data: &'a [u8],
        width: u32,
        height: u32,
        row_stride: usize,
    ) -> Result<Self, FrameError> {
        check_even(format, width, height)?;
        check_size(width, height)?;
        let overflow = FrameError::SizeOverflow { row_stride, height };
        let luma = row_stride.checked_mul(height as usize).ok_or(overflow)?;
        let chroma = plane_len(width, height / 2, row_stride, 1)?;
        let expected = luma.checked_add(chroma).ok_or(overflow)?;
        Self::with_whole_buffer(data, width, height, row_stride, 1, expected)
    }

    fn with_whole_buffer(
        data: &'a [u8],
        width: u32,
        height: u32,
        row_stride: usize,
        pixel_stride: usize,
        expected: usize,
    ) -> Result<Self, FrameError> {
        if data.len() < expected {
            return Err(FrameError::BufferTooShort { expected, got: data.len() });
        }
        Self::new(data, width, height, row_stride, pixel_stride)
    }

    /// The view of a part of the picture. `crop` is in buffer pixels of the full frame, whatever was cropped before.
    ///
    /// # Errors
    /// [`FrameError::CropOutside`] when the rectangle is empty or reaches outside the frame.
    pub fn crop(self, crop: Rect) -> Result<Self, FrameError> {
        if crop.fits(self.width, self.height) {
            Ok(Self { crop, ..self })
        } else {
            Err(FrameError::CropOutside { crop, width: self.width, height: self.height })
        }
    }

    /// The view of the part that lies inside `region`, which is in pixels of the upright picture of the full frame: what a
    /// person sees, whatever the rotation and the mirror. Never more than what was cropped before. `None` when nothing
    /// of it does.
    #[must_use]
    pub fn within(self, region: Rect) -> Option<Self> {
        let (wide, high) =
            if self.rotation.swaps_sides() { (self.height, self.width) } else { (self.width, self.height) };
        let right = region.x.saturating_add(region.width).min(wide);
        let bottom = region.y.saturating_add(region.height).min(high);
        // The margins that the region leaves on the four sides of the upright picture.
        let (before, above) = (region.x.min(right), region.y.min(bottom));
        let (after, below) = (wide.saturating_sub(right), high.saturating_sub(bottom));
        let (before, after) = if self.mirrored { (after, before) } else { (before, after) };
        // Undoing a clockwise turn moves the left margin to the bottom, and so on around.
        let [left, top, right, bottom] = match self.rotation {
            Rotation::R0 => [before, above, after, below],
            Rotation::R90 => [above, after, below, before],
            Rotation::R180 => [after, below, before, above],
            Rotation::R270 => [below, before, above, after],
        };
        let crop = self.crop;
        let (x, y) = (left.max(crop.x), top.max(crop.y));
        let end_x = self.width.saturating_sub(right).min(crop.x.saturating_add(crop.width));
        let end_y = self.height.saturating_sub(bottom).min(crop.y.saturating_add(crop.height));
        let crop = Rect::new(x, y, end_x.saturating_sub(x), end_y.saturating_sub(y));
        crop.fits(self.width, self.height).then_some(Self { crop, ..self })
    }

    /// The view whose upright picture is reached by this clockwise turn of the buffer. Replaces an earlier rotation.
    #[must_use]
    pub const fn rotated(self, rotation: Rotation) -> Self {
        Self { rotation, ..self }
    }

    /// The view of a camera that shows the world mirrored, as a selfie preview does. The mirror is undone left to right
    /// in the upright picture. Replaces an earlier setting.
    #[must_use]
    pub const fn mirrored(self, mirrored: bool) -> Self {
        Self { mirrored, ..self }
    }

    /// Pixels in a row of the buffer, without crop and rotation.
    #[must_use]
    pub const fn buffer_width(&self) -> u32 {
        self.width
    }

    /// Rows of the buffer, without crop and rotation.
    #[must_use]
    pub const fn buffer_height(&self) -> u32 {
        self.height
    }

    /// The part that is looked at, in buffer pixels.
    #[must_use]
    pub const fn crop_rect(&self) -> Rect {
        self.crop
    }

    /// The clockwise turn that makes the picture upright.
    #[must_use]
    pub const fn rotation(&self) -> Rotation {
        self.rotation
    }

    /// Whether the camera delivers a mirrored picture.
    #[must_use]
    pub const fn is_mirrored(&self) -> bool {
        self.mirrored
    }

    /// Width of the cropped picture once upright, in pixels.
    #[must_use]
    pub const fn upright_width(&self) -> u32 {
        if self.rotation.swaps_sides() { self.crop.height } else { self.crop.width }
    }

    /// Height of the cropped picture once upright, in pixels.
    #[must_use]
    pub const fn upright_height(&self) -> u32 {
        if self.rotation.swaps_sides() { self.crop.width } else { self.crop.height }
    }

    /// Writes the cropped, upright picture into `out` without gaps: `upright_width * upright_height` bytes, row by row.
    ///
    /// `out` is emptied first; its memory is reused, so that a kept buffer costs no allocation per frame.
    pub fn copy_upright_into(&self, out: &mut Vec<u8>) {
        out.clear();
        let width = self.upright_width() as usize;
        for row in 0..self.upright_height() {
            self.append_upright_row(row, width, out);
        }
    }

    /// Appends one row of the upright picture: the buffer is walked along a row or a column, forwards or backwards.
    fn append_upright_row(&self, row: u32, width: usize, out: &mut Vec<u8>) {
        let Rect { x: left, y: top, width: crop_width, height: crop_height } = self.crop;
        let right = left.saturating_add(crop_width).saturating_sub(1);
        let bottom = top.saturating_add(crop_height).saturating_sub(1);
        // Where the row starts before the mirror is undone, and whether it walks a buffer row or column, and backwards.
        let (x, y, along_row, backwards) = match self.rotation {
            Rotation::R0 => (left, top.saturating_add(row), true, false),
            Rotation::R90 => (left.saturating_add(row), top, false, true),
            Rotation::R180 => (left, bottom.saturating_sub(row), true, true),
            Rotation::R270 => (right.saturating_sub(row), top, false, false),
        };
        // The constructor proved that every pixel's index is inside `data`; saturation cannot occur.
        let first =
            (y as usize).saturating_mul(self.row_stride).saturating_add((x as usize).saturating_mul(self.pixel_stride));
        let step = if along_row { self.pixel_stride } else { self.row_stride };
        let pixels = self.data.get(first..).unwrap_or_default();
        match (backwards != self.mirrored, step) {
            (false, 1) => out.extend_from_slice(pixels.get(..width).unwrap_or_default()),
            (false, _) => out.extend(pixels.iter().step_by(step).take(width)),
            (true, 1) => out.extend(pixels.get(..width).unwrap_or_default().iter().rev()),
            (true, _) => {
                let start = out.len();
                out.extend(pixels.iter().step_by(step).take(width));
                if let Some(added) = out.get_mut(start..) {
                    added.reverse();
                }
            }
        }
    }

    /// Where a point of the cropped, upright picture lies in the upright picture of the full frame, in pixels.
    #[must_use]
    pub fn to_full_frame(&self, point: Point) -> Point {
        let right = self.width.saturating_sub(self.crop.x).saturating_sub(self.crop.width);
        let bottom = self.height.saturating_sub(self.crop.y).saturating_sub(self.crop.height);
        let (before, above) = match (self.rotation, self.mirrored) {
            (Rotation::R0, false) => (self.crop.x, self.crop.y),
            (Rotation::R0, true) => (right, self.crop.y),
            (Rotation::R90, false) => (bottom, self.crop.x),
            (Rotation::R90, true) => (self.crop.y, self.crop.x),
            (Rotation::R180, false) => (right, bottom),
            (Rotation::R180, true) => (self.crop.x, bottom),
            (Rotation::R270, false) => (self.crop.y, right),
            (Rotation::R270, true) => (bottom, right),
        };
        Point::new(point.x + before as f32, point.y + above as f32)
    }
}

pub(super) fn check_size(width: u32, height: u32) -> Result<(), FrameError> {
    if width == 0 || height == 0 {
        return Err(FrameError::Empty { width, height });
    }
    let pixels = width.checked_mul(height);
    if width > MAX_SIDE || height > MAX_SIDE || pixels.is_none_or(|n| n > MAX_PIXELS) {
        return Err(FrameError::TooLarge { width, height });
    }
    Ok(())
}

fn check_even(format: &'static str, width: u32, height: u32) -> Result<(), FrameError> {
    if width.is_multiple_of(2) && height.is_multiple_of(2) {
        Ok(())
    } else {
        Err(FrameError::OddSize { format, width, height })
    }
}

/// Bytes from the first pixel to the end of the last pixel's first byte.
fn plane_len(width: u32, height: u32, row_stride: usize, pixel_stride: usize) -> Result<usize, FrameError> {
    strided_len(width, height, row_stride, pixel_stride, 1)
}

/// Bytes from the first pixel to the end of the last pixel's last byte.
pub(super) fn packed_len(
    width: u32,
    height: u32,
    row_stride: usize,
    bytes_per_pixel: usize,
) -> Result<usize, FrameError> {
    strided_len(width, height, row_stride, bytes_per_pixel, bytes_per_pixel)
}

fn strided_len(
    width: u32,
    height: u32,
    row_stride: usize,
    pixel_stride: usize,
    pixel_bytes: usize,
) -> Result<usize, FrameError> {
    let overflow = FrameError::SizeOverflow { row_stride, height };
    if pixel_stride == 0 {
        return Err(FrameError::NoPixelStride);
    }
    let row_len = (width as usize)
        .saturating_sub(1)
        .checked_mul(pixel_stride)
        .and_then(|n| n.checked_add(pixel_bytes))
        .ok_or(overflow)?;
    if row_stride < row_len {
        return Err(FrameError::StrideTooShort { expected: row_len, got: row_stride });
    }
    (height as usize).saturating_sub(1).checked_mul(row_stride).and_then(|n| n.checked_add(row_len)).ok_or(overflow)
}
