//! What can go wrong before, during and after a shot.

use thiserror::Error;

/// Why a picture could not be made or written.
#[derive(Debug, Error)]
pub enum LensError {
    /// The content is longer than the largest QR code holds: shorten it or lower the error correction level.
    #[error("the content does not fit into a QR code")]
    ContentTooLong,
    /// The matrix is not `size * size` modules: the caller built it wrongly.
    #[error("a matrix of size {size} needs {expected} modules, not {found}")]
    MatrixShape {
        /// Modules per side.
        size: usize,
        /// `size * size`.
        expected: usize,
        /// How many modules were given.
        found: usize,
    },
    /// The symbol with its quiet zone does not fit on the screen: lower `module_px` or enlarge the screen.
    #[error("the symbol needs {needed} screen pixels, the screen has {available}")]
    SymbolTooLarge {
        /// Side of the symbol with its quiet zone, in screen pixels.
        needed: usize,
        /// The shorter side of the page area, in screen pixels.
        available: usize,
    },
    /// A number in the scene or the view is outside its documented range: correct it.
    #[error("{field} is out of range: {reason}")]
    OutOfRange {
        /// The field, as named in `Scene`, `ScreenModel` or `View`.
        field: &'static str,
        /// The range that holds.
        reason: &'static str,
    },
    /// The frames of one video differ in size: shoot all with the same `View` size.
    #[error("the frame is {found_width}x{found_height}, the video is {width}x{height}")]
    FrameSize {
        /// Width of the video in pixels.
        width: usize,
        /// Height of the video in pixels.
        height: usize,
        /// Width of the offending frame in pixels.
        found_width: usize,
        /// Height of the offending frame in pixels.
        found_height: usize,
    },
    /// The picture codec failed: the frame is damaged or memory is short.
    #[error("the picture could not be encoded or decoded")]
    Codec(#[from] image::ImageError),
    /// The file could not be written: look at the path and the space on the disk.
    #[error("the file could not be written")]
    Io(#[from] std::io::Error),
}
