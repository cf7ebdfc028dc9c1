//! Cameras: a source of grey frames that either delivers or says in words why it does not.
//!
//! [`FrameSource`] is what the commands see. [`Webcam`](webcam::Webcam) implements it over nokhwa, on a thread of its
//! own, because the capture library blocks for ever on a camera that stalls.

mod list;
mod luma;
mod mjpeg;
mod negotiate;
mod slot;
mod webcam;

use std::fmt;
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::exit::{Exit, Failure};

pub(crate) use list::{CameraEntry, list};
pub(crate) use webcam::{Selector, Webcam, silence_capture_panics};

/// A running stream that is silent this long is given up, with words: never a black wait.
pub(crate) const NO_FRAME_LIMIT: Duration = Duration::from_secs(2);
/// Opening a real webcam takes up to about two seconds; one that needs longer hangs.
const OPEN_LIMIT: Duration = Duration::from_secs(5);

/// One grey picture of a camera.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    /// `width * height` brightness values, rows without padding.
    pub(crate) luma: Vec<u8>,
    /// Width in pixels.
    pub(crate) width: u32,
    /// Height in pixels.
    pub(crate) height: u32,
    /// Number of the frame since the stream was opened, from 0; dropped and damaged frames are counted too.
    pub(crate) number: u64,
    /// When it came from the camera.
    pub(crate) arrived: Instant,
}

impl Frame {
    /// A frame without pixels, to be filled by [`FrameSource::next_frame`].
    pub(crate) fn empty() -> Self {
        Frame { luma: Vec::new(), width: 0, height: 0, number: 0, arrived: Instant::now() }
    }
}

/// How a camera packs its pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum PixelFormat {
    /// 8 bit brightness only.
    Gray,
    /// A brightness plane, then interleaved chroma.
    Nv12,
    /// Brightness in every other byte.
    Yuyv,
    /// A JPEG picture per frame.
    Mjpeg,
    /// 8 bit red, green, blue.
    Rgb,
    /// 8 bit blue, green, red.
    Bgr,
}

impl fmt::Display for PixelFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PixelFormat::Gray => "GRAY",
            PixelFormat::Nv12 => "NV12",
            PixelFormat::Yuyv => "YUYV",
            PixelFormat::Mjpeg => "MJPEG",
            PixelFormat::Rgb => "RGB",
            PixelFormat::Bgr => "BGR",
        })
    }
}

/// What a camera offers, or what it was set to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct StreamFormat {
    /// How pixels are packed.
    pub(crate) pixels: PixelFormat,
    /// Width in pixels.
    pub(crate) width: u32,
    /// Height in pixels.
    pub(crate) height: u32,
    /// Frames per second.
    pub(crate) fps: u32,
}

impl fmt::Display for StreamFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}x{} at {} fps", self.pixels, self.width, self.height, self.fps)
    }
}

/// What became of the frames that were not handed out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Losses {
    /// Overtaken by a newer frame while the reader was busy. Normal.
    pub(crate) dropped: u64,
    /// Cut off or not decodable. A few are normal with MJPEG over USB.
    pub(crate) damaged: u64,
}

/// Why there are no frames (any more).
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum CameraError {
    /// There is no such camera. The caller lists those that exist.
    #[error("there is no camera {wanted}; {}", describe_available(available))]
    NotFound {
        /// What was asked for.
        wanted: String,
        /// Names of those that exist.
        available: Vec<String>,
    },
    /// The system refuses access. The person changes a setting.
    #[error("no permission to use {camera}")]
    PermissionDenied {
        /// Which camera.
        camera: String,
    },
    /// Another program holds the camera.
    #[error("{camera} is in use by another program")]
    Busy {
        /// Which camera.
        camera: String,
    },
    /// The camera is open but silent; the capture thread may be blocked in the driver for good.
    #[error("{camera} delivers no frames: nothing for {} s{}", waited.as_secs(), describe_damage(*damaged))]
    NoFrames {
        /// Which camera.
        camera: String,
        /// How long nothing came.
        waited: Duration,
        /// Frames that came but could not be decoded.
        damaged: u64,
    },
    /// The camera went away in the middle of a stream.
    #[error("{camera} was disconnected after {frames} frames")]
    Disconnected {
        /// Which camera.
        camera: String,
        /// Frames delivered before.
        frames: u64,
    },
    /// None of the formats it offers can be used.
    #[error("{camera} offers no usable format ({detail})")]
    UnsupportedFormat {
        /// Which camera.
        camera: String,
        /// What it offers, or what it refused.
        detail: String,
    },
    /// The capture library failed in another way.
    #[error("{camera} failed: {detail}")]
    Backend {
        /// Which camera.
        camera: String,
        /// The library's words.
        detail: String,
    },
}

fn describe_available(names: &[String]) -> String {
    if names.is_empty() { "none is connected".into() } else { format!("there is: {}", names.join(", ")) }
}

fn describe_damage(damaged: u64) -> String {
    if damaged == 0 { String::new() } else { format!(" ({damaged} damaged ones were thrown away)") }
}

impl CameraError {
    /// What the person can do about it.
    pub(crate) fn remedy(&self) -> &'static str {
        match self {
            CameraError::NotFound { available, .. } if available.is_empty() => {
                "connect a camera, or scan a picture: pairlight scan photo.jpg"
            }
            CameraError::NotFound { .. } => "see 'pairlight cameras' for names and numbers",
            CameraError::PermissionDenied { .. } if cfg!(target_os = "linux") => {
                "add yourself to the group 'video' and log in again, or allow the camera for this container"
            }
            CameraError::PermissionDenied { .. } => "allow the camera for your terminal in the privacy settings",
            CameraError::Busy { .. } => "close the other program (a video call?) and try again",
            CameraError::NoFrames { .. } => {
                "unplug the camera and plug it in again, open its privacy shutter, or choose another with --camera"
            }
            CameraError::Disconnected { .. } => "check the cable, then start again",
            CameraError::UnsupportedFormat { .. } => "see 'pairlight cameras' for another camera",
            CameraError::Backend { .. } => "try again, or choose another with --camera",
        }
    }
}

impl From<CameraError> for Failure {
    fn from(error: CameraError) -> Self {
        let remedy = error.remedy();
        Failure::new(Exit::Camera, error.to_string(), remedy)
    }
}

/// Delivers the newest frame; a frame that arrives while the reader is busy is dropped and counted.
pub(crate) trait FrameSource {
    /// Waits for a frame that was not handed out before and swaps it into `frame`, whose old pixels are reused.
    /// `Ok(false)` when `patience` ran out first: a chance to look at the clock or at Ctrl-C.
    ///
    /// # Errors
    /// [`CameraError`], also when the stream has been silent for [`NO_FRAME_LIMIT`]. An error is final.
    fn next_frame(&mut self, frame: &mut Frame, patience: Duration) -> Result<bool, CameraError>;

    /// What the frames look like.
    fn format(&self) -> StreamFormat;

    /// Name of the camera or file, for messages.
    fn name(&self) -> &str;

    /// Frames lost so far.
    fn losses(&self) -> Losses;
}
