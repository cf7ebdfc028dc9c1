//! Why a buffer is not the frame that it was said to be.

use super::Rect;

/// A buffer that does not fit its description. All variants are mistakes of our caller: skip the frame and log the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Width or height is zero, usually because the camera has not started yet. Wait for the next frame.
    #[error("a frame needs at least one pixel, got {width}x{height}")]
    Empty {
        /// Pixels in a row.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// Larger than any camera; probably width or height is a garbage value.
    #[error(
        "a frame of {width}x{height} pixels is too large (at most {} on a side, {} in all)",
        super::MAX_SIDE,
        super::MAX_PIXELS
    )]
    TooLarge {
        /// Pixels in a row.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// The pixel format shares colour between two neighbours and therefore needs an even size.
    #[error("{format} needs even dimensions, got {width}x{height}")]
    OddSize {
        /// Name of the pixel format.
        format: &'static str,
        /// Pixels in a row.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// The step from one pixel to the next is 0: every pixel would be the first one.
    #[error("a pixel step of at least 1 byte is needed, got 0")]
    NoPixelStride,
    /// The colour planes of this format have half the stride, which an odd one has not.
    #[error("{format} needs an even row stride, got {got}")]
    OddStride {
        /// Name of the pixel format.
        format: &'static str,
        /// The stride that was given, bytes.
        got: usize,
    },
    /// A row is smaller than what it must hold; probably bytes and pixels were mixed up.
    #[error("a row needs a stride of at least {expected} bytes, got {got}")]
    StrideTooShort {
        /// Bytes that one row occupies at least.
        expected: usize,
        /// The stride that was given.
        got: usize,
    },
    /// The buffer ends before the picture does: the wrong format, size or stride was named, or the buffer was cut.
    #[error("expected {expected} bytes for this format and size, got {got}")]
    BufferTooShort {
        /// Bytes that the format needs at this size and stride.
        expected: usize,
        /// Bytes in the buffer.
        got: usize,
    },
    /// The buffer's length cannot even be computed on this machine; one of the numbers is garbage.
    #[error("the size of the buffer overflows: stride {row_stride} x {height} rows")]
    SizeOverflow {
        /// Bytes from one row to the next.
        row_stride: usize,
        /// Rows.
        height: u32,
    },
    /// The crop rectangle is empty or reaches outside the picture.
    #[error("crop {crop} does not lie inside {width}x{height} pixels")]
    CropOutside {
        /// The rectangle that was asked for.
        crop: Rect,
        /// Pixels in a row.
        width: u32,
        /// Rows.
        height: u32,
    },
}
