//! Floor 1: camera pixels as a checked, borrowed view.
//!
//! A [`LumaFrame`] points into the caller's buffer and never copies it; sizes are checked once, in the constructor, and
//! everything after that is only a view. Formats without a brightness plane of their own (RGB, RGBA, BGRA) go through a
//! [`LumaBuffer`] that is kept between frames.
//!
//! Four coordinate systems meet here. *Buffer* pixels are what the camera delivers; the crop rectangle is given in
//! them. *Upright* pixels are what a person sees after the rotation and, for a selfie camera, the mirror have been
//! undone. Both exist for the full frame and for the crop. A point has its origin at the outer corner of the first
//! pixel: the centre of the first pixel is (0.5, 0.5).
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod buffer;
mod error;
mod geometry;
mod luma;
#[cfg(test)]
mod tests;

pub use buffer::{LumaBuffer, PackedFormat};
pub use error::FrameError;
pub use geometry::{Point, Rect, Rotation};
pub use luma::{LumaFrame, MAX_PIXELS, MAX_SIDE};
