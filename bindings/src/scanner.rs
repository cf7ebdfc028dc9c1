//! Camera frames in, codes and hints out.

use std::sync::{Mutex, PoisonError};

use pairlight_core::Timestamp;
use pairlight_core::frame::{LumaFrame, Rect, Rotation};
use pairlight_core::scan::{ScanEffort, ScanOptions, Symbol};

use crate::error::PairlightError;
use crate::payload::{Meaning, explain};

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
    /// Region of interest in stored pixels: left, top, width, height. Codes outside are not seen.
    pub crop: Option<Vec<u32>>,
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

/// What one frame gave.
#[derive(Debug, Clone, PartialEq, uniffi::Record)]
pub struct ScanReport {
    /// All codes in the frame.
    pub codes: Vec<ScannedCode>,
    /// Why nothing was read; empty when something was.
    pub hints: Vec<Hint>,
    /// Whether a code seems to be in view, read or not.
    pub saw_code: bool,
}

/// Reads codes from the frames of one camera.
#[derive(Debug, uniffi::Object)]
pub struct Scanner(Mutex<pairlight_core::scan::Scanner>);

#[uniffi::export]
impl Scanner {
    /// For a camera (`thorough` = false: cheap, spread over frames) or for pictures (`thorough` = true).
    #[uniffi::constructor]
    pub fn new(thorough: bool) -> Self {
        let effort = if thorough { ScanEffort::Thorough } else { ScanEffort::Live };
        Self(Mutex::new(pairlight_core::scan::Scanner::new(ScanOptions { effort, all_symbols: false })))
    }

    /// Scans one luma plane, which is read in place and not copied across the boundary.
    pub fn scan(&self, luma: &[u8], info: FrameInfo) -> Result<ScanReport, PairlightError> {
        let frame = frame(luma, &info)?;
        let mut scanner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = scanner.scan(&frame, Timestamp::from_unix_ms(info.taken_ms));
        drop(scanner);
        let is_new = |symbol: &Symbol| {
            outcome.events.iter().any(|pairlight_core::scan::Event::Found(found)| found.bytes == symbol.bytes)
        };
        let codes = outcome.symbols.iter().map(|symbol| code(symbol, is_new(symbol))).collect();
        let hints = outcome.hints.iter();
        let hints = hints.map(|hint| Hint { key: hint.key().to_owned(), text: hint.text().to_owned() }).collect();
        Ok(ScanReport { codes, hints, saw_code: outcome.stats.saw_code() })
    }

    /// Announces whatever is in view once more.
    pub fn rearm(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).rearm();
    }
}

fn frame<'a>(luma: &'a [u8], info: &FrameInfo) -> Result<LumaFrame<'a>, PairlightError> {
    let (row, pixel) = (info.row_stride as usize, info.pixel_stride as usize);
    let mut frame = LumaFrame::new(luma, info.width, info.height, row, pixel).map_err(PairlightError::misuse)?;
    if let Some(crop) = &info.crop {
        let &[x, y, width, height] = crop.as_slice() else {
            return Err(PairlightError::misuse("a region has four numbers: left, top, width, height"));
        };
        frame = frame.crop(Rect { x, y, width, height }).map_err(PairlightError::misuse)?;
    }
    let rotation = match info.turn {
        Turn::None => Rotation::R0,
        Turn::Quarter => Rotation::R90,
        Turn::Half => Rotation::R180,
        Turn::ThreeQuarters => Rotation::R270,
    };
    Ok(frame.rotated(rotation).mirrored(info.mirrored))
}

fn code(symbol: &Symbol, is_new: bool) -> ScannedCode {
    ScannedCode {
        bytes: symbol.bytes.clone(),
        text: symbol.text.clone(),
        meaning: explain(symbol.bytes.clone()),
        corners: symbol.corners.iter().map(|corner| ScannedPoint { x: corner.x, y: corner.y }).collect(),
        version: symbol.version,
        is_new,
    }
}
