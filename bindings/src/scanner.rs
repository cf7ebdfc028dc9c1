//! Camera frames in, codes and hints out.

use std::sync::Arc;

use pairlight_core::scan::{ScanEffort, ScanOptions};

use crate::contain::{contain, contain_async};
use crate::error::PairlightError;
use crate::frame_slot::{FrameSlot, Stands};
use crate::payload::Meaning;
use crate::runtime::handle;

/// The clockwise turn that makes the picture upright.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum Turn {
    /// As it is.
    None,
    /// 90 degrees.
    Quarter,
    /// 180 degrees.
    Half,
    /// 270 degrees.
    ThreeQuarters,
}

/// A part of a frame, in stored pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Record)]
pub struct Region {
    /// From the left.
    pub left: u32,
    /// From the top.
    pub top: u32,
    /// Pixels wide.
    pub width: u32,
    /// Pixels high.
    pub height: u32,
}

/// How a luma plane lies in memory.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct FrameInfo {
    /// Width in pixels, as stored.
    pub width: u32,
    /// Height in pixels, as stored.
    pub height: u32,
    /// Bytes from row to row.
    pub row_stride: u32,
    /// Bytes from pixel to pixel.
    pub pixel_stride: u32,
    /// The turn that makes it upright.
    pub turn: Turn,
    /// Whether it is mirrored, as front cameras do.
    pub mirrored: bool,
    /// Codes outside of it are not seen.
    pub crop: Option<Region>,
    /// When the frame was taken, ms since 1970.
    pub taken_ms: u64,
}

/// A place in upright pixels of the whole frame.
#[derive(Debug, Clone, Copy, PartialEq, uniffi::Record)]
pub struct ScannedPoint {
    /// From the left.
    pub x: f32,
    /// From the top.
    pub y: f32,
}

/// A code that was read.
#[derive(Debug, Clone, PartialEq, uniffi::Record)]
pub struct ScannedCode {
    /// The exact content.
    pub bytes: Vec<u8>,
    /// The content as text, when it is text.
    pub text: Option<String>,
    /// What it is, and whether it is safe.
    pub meaning: Meaning,
    /// Top left, top right, bottom right, bottom left of the code.
    pub corners: Vec<ScannedPoint>,
    /// QR version, 1 to 40.
    pub version: u8,
    /// Whether this content was not announced before.
    pub is_new: bool,
}

/// What the person could do better.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Hint {
    /// Stable key for translations.
    pub key: String,
    /// English text.
    pub text: String,
}

/// What became of the frames of a scanner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, uniffi::Record)]
pub struct ScanCounts {
    /// Handed over.
    pub submitted: u64,
    /// Looked at.
    pub scanned: u64,
    /// Replaced by a newer one before anybody looked.
    pub dropped: u64,
}

/// What one frame gave.
#[derive(Debug, Clone, PartialEq, uniffi::Record)]
pub struct ScanReport {
    /// All codes in the frame, and those that were announced by a report which nobody took.
    pub codes: Vec<ScannedCode>,
    /// Why nothing was read; empty when something was.
    pub hints: Vec<Hint>,
    /// Whether a code seems to be in view, read or not.
    pub saw_code: bool,
    /// How many times nearer a code that is too small should appear.
    pub zoom: Option<f32>,
    /// Whether the torch would help.
    pub torch: bool,
    /// Width of the upright frame that the corners lie in, pixels.
    pub width: u32,
    /// Its height.
    pub height: u32,
    /// When the frame was taken, ms since 1970.
    pub taken_ms: u64,
    /// The counts at that time.
    pub counts: ScanCounts,
}

/// What became of a frame that was handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum FrameFate {
    /// It is looked at next.
    Waits,
    /// The same, and one that waited is dropped for it.
    ReplacedOlder,
}

/// Reads codes from the frames of one camera, on threads of this library.
#[derive(Debug, uniffi::Object)]
pub struct Scanner(Arc<FrameSlot>);

impl Drop for Scanner {
    fn drop(&mut self) {
        self.0.close();
    }
}

#[uniffi::export]
impl Scanner {
    /// For a camera (`thorough` = false: cheap, spread over frames) or for pictures (`thorough` = true).
    #[uniffi::constructor]
    pub fn new(thorough: bool) -> Result<Self, PairlightError> {
        contain("Scanner.new", || {
            let effort = if thorough { ScanEffort::Thorough } else { ScanEffort::Live };
            let reader = pairlight_core::scan::Scanner::new(ScanOptions { effort, ..ScanOptions::default() });
            Ok(Self(FrameSlot::new(reader)))
        })
    }

    /// Hands over a luma plane and returns at once; [`take_report`](Self::take_report) says what was in it. The plane
    /// crosses the border as the caller's own memory. It is free again when this returns: the slot keeps one copy. If
    /// older frames wait, the newest wins.
    pub fn submit(&self, luma: &[u8], info: FrameInfo) -> Result<FrameFate, PairlightError> {
        contain("Scanner.submit", || {
            let threads = handle()?;
            let (fate, reading) = self.0.put(luma, info)?;
            if let Some(reading) = reading {
                drop(threads.spawn_blocking(move || reading.read_all()));
            }
            Ok(fate)
        })
    }

    /// Waits until there is something for [`take_report`](Self::take_report) and takes nothing itself, so that a wait which is
    /// given up, at whatever moment, loses nothing. False after `stop`, once everything was taken.
    pub async fn wait_for_report(&self) -> Result<bool, PairlightError> {
        contain_async("Scanner.wait_for_report", async {
            loop {
                let changed = self.0.changed.notified();
                match self.0.stands() {
                    Stands::Waits => changed.await,
                    stands => return Ok(stands == Stands::HasReport),
                }
            }
        })
        .await
    }

    /// What the frame that was looked at last gave; null when that was taken already.
    pub fn take_report(&self) -> Result<Option<ScanReport>, PairlightError> {
        contain("Scanner.take_report", || self.0.take())
    }

    /// Announces whatever is in view once more.
    pub fn rearm(&self) -> Result<(), PairlightError> {
        contain("Scanner.rearm", || {
            self.0.rearm();
            Ok(())
        })
    }

    /// How many frames were handed over, looked at and dropped.
    pub fn counts(&self) -> Result<ScanCounts, PairlightError> {
        contain("Scanner.counts", || Ok(self.0.counts()))
    }

    /// Ends it: frames are refused, `wait_for_report` gives false.
    pub fn stop(&self) -> Result<(), PairlightError> {
        contain("Scanner.stop", || {
            self.0.close();
            Ok(())
        })
    }
}
