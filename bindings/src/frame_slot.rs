//! One place for one frame: the newest that waits. A camera gives thirty a second and a hard one takes longer to read;
//! what would queue up behind it is out of date before it is looked at.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pairlight_core::Timestamp;
use pairlight_core::frame::{LumaFrame, Rect, Rotation};
use pairlight_core::scan::{Event, ScanOutcome, Symbol};
use tokio::sync::Notify;

use crate::contain::planted;
use crate::error::PairlightError;
use crate::payload::Meaning;
use crate::scanner::{FrameFate, FrameInfo, Hint, ScanCounts, ScanReport, ScannedCode, ScannedPoint, Turn};

/// What the caller, the reading thread and the waiting app share.
#[derive(Debug)]
pub(crate) struct FrameSlot {
    state: Mutex<State>,
    reader: Mutex<pairlight_core::scan::Scanner>,
    pub(crate) changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: Option<Frame>,
    /// A buffer that was scanned and can be filled again.
    spare: Vec<u8>,
    is_reading: bool,
    rearms: bool,
    report: Option<ScanReport>,
    failure: Option<PairlightError>,
    counts: ScanCounts,
    is_closed: bool,
}

#[derive(Debug)]
struct Frame {
    plane: Vec<u8>,
    info: FrameInfo,
}

/// What there is for an app that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stands {
    /// A report to take, or a failure.
    HasReport,
    /// Nothing until a frame was looked at.
    Waits,
    /// Nothing any more.
    Closed,
}

impl FrameSlot {
    pub(crate) fn new(reader: pairlight_core::scan::Scanner) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), reader: Mutex::new(reader), changed: Notify::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a checked frame into the slot. Gives what became of it, and who must begin to read where nobody does.
    pub(crate) fn put(
        self: &Arc<Self>,
        luma: &[u8],
        info: FrameInfo,
    ) -> Result<(FrameFate, Option<Reading>), PairlightError> {
        view(luma, &info)?;
        // What follows the plane in the caller's buffer, colours mostly, is left there.
        let luma = luma.get(..plane_len(&info)).unwrap_or(luma);
        let mut state = self.state();
        if state.is_closed {
            return Err(PairlightError::Ended);
        }
        let (mut plane, fate) = match state.waiting.take() {
            Some(older) => {
                state.counts.dropped = state.counts.dropped.saturating_add(1);
                (older.plane, FrameFate::ReplacedOlder)
            }
            None => (std::mem::take(&mut state.spare), FrameFate::Waits),
        };
        plane.clear();
        plane.extend_from_slice(luma);
        state.waiting = Some(Frame { plane, info });
        state.counts.submitted = state.counts.submitted.saturating_add(1);
        let begins = !std::mem::replace(&mut state.is_reading, true);
        drop(state);
        Ok((fate, begins.then(|| Reading { slot: Arc::clone(self), progress: Progress::Waiting })))
    }

    /// Reads frames until none waits. Runs where blocking is allowed, on one thread at a time.
    fn read_all(&self) {
        loop {
            let mut state = self.state();
            let Some(Frame { plane, info }) = state.waiting.take().filter(|_| !state.is_closed) else {
                // Under the lock: a frame that comes from now on finds nobody reading.
                state.is_reading = false;
                return;
            };
            drop(state);
            let report = self.read(&plane, &info);
            let mut state = self.state();
            state.spare = plane;
            state.counts.scanned = state.counts.scanned.saturating_add(1);
            match report {
                Ok(mut report) => {
                    report.counts = state.counts;
                    keep_announced(&mut report, state.report.take());
                    state.report = Some(report);
                }
                Err(error) => state.failure = Some(error),
            }
            drop(state);
            self.changed.notify_waiters();
        }
    }

    fn read(&self, plane: &[u8], info: &FrameInfo) -> Result<ScanReport, PairlightError> {
        planted("Scanner.read");
        let frame = view(plane, info)?;
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut self.state().rearms) {
            reader.rearm();
        }
        let outcome = reader.scan(&frame, Timestamp::from_unix_ms(info.taken_ms));
        drop(reader);
        let (width, height) = match info.turn {
            Turn::None | Turn::Half => (info.width, info.height),
            Turn::Quarter | Turn::ThreeQuarters => (info.height, info.width),
        };
        Ok(report(&outcome, width, height, info.taken_ms))
    }

    pub(crate) fn stands(&self) -> Stands {
        let state = self.state();
        match state.failure.is_some() || state.report.is_some() {
            true => Stands::HasReport,
            false if state.is_closed => Stands::Closed,
            false => Stands::Waits,
        }
    }

    pub(crate) fn take(&self) -> Result<Option<ScanReport>, PairlightError> {
        let mut state = self.state();
        // The report is for the next time.
        state.failure.take().map_or_else(|| Ok(state.report.take()), Err)
    }

    pub(crate) fn rearm(&self) {
        // The reader may be busy for long: it is told before its next frame.
        self.state().rearms = true;
    }

    pub(crate) fn counts(&self) -> ScanCounts {
        self.state().counts
    }

    pub(crate) fn close(&self) {
        let mut state = self.state();
        state.is_closed = true;
        state.waiting = None;
        state.spare = Vec::new();
        drop(state);
        self.changed.notify_waiters();
    }
}

/// Whoever reads. If that ends by a panic, the app hears of it; if it never begins, because the threads were ended, the next
/// frame begins it.
pub(crate) struct Reading {
    slot: Arc<FrameSlot>,
    progress: Progress,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    Waiting,
    Reading,
    Done,
}

impl Reading {
    /// Reads frames until none waits. Runs where blocking is allowed.
    pub(crate) fn read_all(mut self) {
        self.progress = Progress::Reading;
        self.slot.read_all();
        self.progress = Progress::Done;
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if self.progress == Progress::Done {
            return;
        }
        let mut state = self.slot.state();
        state.is_reading = false;
        if self.progress == Progress::Reading {
            state.failure = Some(PairlightError::internal("Scanner.read"));
        }
        drop(state);
        self.slot.changed.notify_waiters();
    }
}

/// Bytes from the first pixel to the last, for a plane that was checked.
fn plane_len(info: &FrameInfo) -> usize {
    let rows = (info.height as usize).saturating_sub(1).saturating_mul(info.row_stride as usize);
    let pixels = (info.width as usize).saturating_sub(1).saturating_mul(info.pixel_stride as usize);
    rows.saturating_add(pixels).saturating_add(1)
}

/// A report that nobody took is out of date; what it announced is not.
fn keep_announced(report: &mut ScanReport, older: Option<ScanReport>) {
    for announced in older.map(|older| older.codes).unwrap_or_default().into_iter().filter(|code| code.is_new) {
        match report.codes.iter_mut().find(|code| code.bytes == announced.bytes) {
            Some(code) => code.is_new = true,
            None => report.codes.push(announced),
        }
    }
}

fn view<'a>(luma: &'a [u8], info: &FrameInfo) -> Result<LumaFrame<'a>, PairlightError> {
    let (row, pixel) = (info.row_stride as usize, info.pixel_stride as usize);
    let mut frame = LumaFrame::new(luma, info.width, info.height, row, pixel).map_err(PairlightError::misuse)?;
    if let Some(crop) = info.crop {
        let crop = Rect { x: crop.left, y: crop.top, width: crop.width, height: crop.height };
        frame = frame.crop(crop).map_err(PairlightError::misuse)?;
    }
    let rotation = match info.turn {
        Turn::None => Rotation::R0,
        Turn::Quarter => Rotation::R90,
        Turn::Half => Rotation::R180,
        Turn::ThreeQuarters => Rotation::R270,
    };
    Ok(frame.rotated(rotation).mirrored(info.mirrored))
}

fn report(outcome: &ScanOutcome, width: u32, height: u32, taken_ms: u64) -> ScanReport {
    let is_new = |symbol: &Symbol| outcome.events.iter().any(|Event::Found(found)| found.bytes == symbol.bytes);
    let code = |symbol: &Symbol| ScannedCode {
        bytes: symbol.bytes.clone(),
        text: symbol.text.clone(),
        meaning: Meaning::of(&symbol.bytes),
        corners: symbol.corners.iter().map(|corner| ScannedPoint { x: corner.x, y: corner.y }).collect(),
        version: symbol.version,
        is_new: is_new(symbol),
    };
    let hint = |hint: &pairlight_core::scan::Hint| Hint { key: hint.key().to_owned(), text: hint.text().to_owned() };
    ScanReport {
        codes: outcome.symbols.iter().map(code).collect(),
        hints: outcome.hints.iter().map(hint).collect(),
        saw_code: outcome.stats.saw_code(),
        zoom: outcome.advice.zoom,
        torch: outcome.advice.torch,
        width,
        height,
        taken_ms,
        counts: ScanCounts::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_was_dropped_before_it_began_lets_the_next_frame_begin() {
        let slot = FrameSlot::new(pairlight_core::scan::Scanner::new(pairlight_core::scan::ScanOptions::default()));
        let plane = [0; 64 * 64];
        let info = FrameInfo {
            width: 64,
            height: 64,
            row_stride: 64,
            pixel_stride: 1,
            turn: Turn::None,
            mirrored: false,
            crop: None,
            taken_ms: 1,
        };
        // As when the threads are ended before they come to it.
        drop(slot.put(&plane, info.clone()).unwrap().1.expect("nobody reads yet"));
        assert_eq!(slot.stands(), Stands::Waits);
        let (fate, reading) = slot.put(&plane, info.clone()).unwrap();
        assert_eq!(fate, FrameFate::ReplacedOlder);
        assert!(slot.put(&plane, info).unwrap().1.is_none(), "one reads at a time");
        reading.expect("nobody reads").read_all();
        assert!(slot.take().unwrap().is_some());
    }
}
