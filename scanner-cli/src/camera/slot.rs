//! The place where the capture thread leaves the newest frame, and the watchdog that notices when it stops.

use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{CameraError, Frame, Losses, NO_FRAME_LIMIT, OPEN_LIMIT, StreamFormat};

/// One frame, overwritten by each newer one. Writer, slot and reader own one pixel buffer each and swap them, so memory
/// stays flat however long the stream runs.
#[derive(Debug)]
pub(super) struct Slot {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    newest: Frame,
    fresh: bool,
    published: u64,
    losses: Losses,
    opened: Option<StreamFormat>,
    failure: Option<CameraError>,
    /// When the writer last showed life: thread start, stream opened, frame delivered.
    last_sign: Instant,
    reader_gone: bool,
    writer_gone: bool,
}

impl Slot {
    pub(super) fn new() -> Self {
        let state = State {
            newest: Frame::empty(),
            fresh: false,
            published: 0,
            losses: Losses::default(),
            opened: None,
            failure: None,
            last_sign: Instant::now(),
            reader_gone: false,
            writer_gone: false,
        };
        Slot { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// No code panics while it holds the lock, and every field is valid on its own, so a poisoned lock is still good.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // The capture thread's side.

    /// The stream runs with this format.
    pub(super) fn opened(&self, format: StreamFormat) {
        let mut state = self.lock();
        state.opened = Some(format);
        state.last_sign = Instant::now();
        self.changed.notify_all();
    }

    /// Leaves `frame` as the newest one and takes an old buffer back in its place. False when nobody reads any more.
    pub(super) fn publish(&self, frame: &mut Frame) -> bool {
        let mut state = self.lock();
        mem::swap(&mut state.newest, frame);
        state.losses.dropped += u64::from(state.fresh);
        state.fresh = true;
        state.published += 1;
        state.last_sign = Instant::now();
        self.changed.notify_all();
        !state.reader_gone
    }

    /// Counts a frame that could not be decoded. Not a sign of life: a camera that sends only rubbish is as good as
    /// silent. False when nobody reads any more.
    pub(super) fn discard(&self) -> bool {
        let mut state = self.lock();
        state.losses.damaged += 1;
        !state.reader_gone
    }

    /// The stream is over. The first reason stays.
    pub(super) fn fail(&self, error: CameraError) {
        let mut state = self.lock();
        state.failure.get_or_insert(error);
        self.changed.notify_all();
    }

    /// The capture thread has let go of the camera.
    pub(super) fn writer_done(&self) {
        self.lock().writer_gone = true;
        self.changed.notify_all();
    }

    /// Frames delivered so far.
    pub(super) fn published(&self) -> u64 {
        self.lock().published
    }

    // The reader's side.

    /// Waits until the stream runs.
    pub(super) fn wait_until_open(&self, camera: &str) -> Result<StreamFormat, CameraError> {
        let deadline = Instant::now() + OPEN_LIMIT;
        let mut state = self.lock();
        loop {
            if let Some(error) = &state.failure {
                return Err(error.clone());
            }
            if let Some(format) = state.opened {
                return Ok(format);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(CameraError::NoFrames { camera: camera.to_owned(), waited: OPEN_LIMIT, damaged: 0 });
            }
            state = self.wait(state, left);
        }
    }

    /// See [`FrameSource::next_frame`](super::FrameSource::next_frame). A frame that arrived before a failure is still
    /// handed out.
    pub(super) fn take(&self, frame: &mut Frame, patience: Duration, camera: &str) -> Result<bool, CameraError> {
        let deadline = Instant::now() + patience;
        let mut state = self.lock();
        loop {
            if state.fresh {
                state.fresh = false;
                mem::swap(&mut state.newest, frame);
                return Ok(true);
            }
            if let Some(error) = &state.failure {
                return Err(error.clone());
            }
            let now = Instant::now();
            let silent = now.saturating_duration_since(state.last_sign);
            if silent >= NO_FRAME_LIMIT {
                let damaged = state.losses.damaged;
                let error = CameraError::NoFrames { camera: camera.to_owned(), waited: NO_FRAME_LIMIT, damaged };
                return Err(state.failure.insert(error).clone());
            }
            let left = deadline.saturating_duration_since(now);
            if left.is_zero() {
                return Ok(false);
            }
            state = self.wait(state, left.min(NO_FRAME_LIMIT - silent));
        }
    }

    pub(super) fn losses(&self) -> Losses {
        self.lock().losses
    }

    /// Tells the writer to stop and waits a little for it. False when it did not stop in time.
    pub(super) fn leave(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let mut state = self.lock();
        state.reader_gone = true;
        loop {
            if state.writer_gone {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.wait(state, left);
        }
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, at_most: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, at_most).unwrap_or_else(PoisonError::into_inner).0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::ZERO;

    fn numbered(number: u64) -> Frame {
        Frame { luma: vec![number as u8; 4], width: 2, height: 2, number, arrived: Instant::now() }
    }

    #[test]
    fn the_newest_frame_wins_and_the_overtaken_ones_are_counted() {
        let slot = Slot::new();
        for number in 0..3 {
            assert!(slot.publish(&mut numbered(number)));
        }
        let mut frame = Frame::empty();
        assert!(slot.take(&mut frame, NOW, "cam").unwrap());
        assert_eq!((frame.number, frame.luma), (2, vec![2; 4]));
        let mut frame = Frame::empty();
        assert!(!slot.take(&mut frame, NOW, "cam").unwrap(), "a frame is handed out once");
        assert_eq!(slot.losses(), Losses { dropped: 2, damaged: 0 });
    }

    #[test]
    fn pixel_buffers_go_round_instead_of_being_allocated() {
        let slot = Slot::new();
        let (mut write, mut read) = (numbered(1), Frame::empty());
        let pixels = write.luma.as_ptr();
        slot.publish(&mut write);
        slot.take(&mut read, NOW, "cam").unwrap();
        assert_eq!(read.luma.as_ptr(), pixels);
        write.luma = vec![0; 4];
        slot.publish(&mut write);
        slot.take(&mut read, NOW, "cam").unwrap();
        slot.publish(&mut write);
        assert_eq!(write.luma.as_ptr(), pixels, "the buffer the reader gave back is written again");
    }

    #[test]
    fn a_frame_before_the_failure_is_still_handed_out() {
        let slot = Slot::new();
        slot.publish(&mut numbered(0));
        let gone = CameraError::Disconnected { camera: "cam".into(), frames: 1 };
        slot.fail(gone.clone());
        let mut frame = Frame::empty();
        assert_eq!(slot.take(&mut frame, NOW, "cam"), Ok(true));
        assert_eq!(slot.take(&mut frame, NOW, "cam"), Err(gone));
    }

    #[test]
    fn silence_and_rubbish_both_end_in_an_error_that_says_so() {
        let slot = Slot::new();
        slot.lock().last_sign = Instant::now() - NO_FRAME_LIMIT;
        slot.discard();
        let error = slot.take(&mut Frame::empty(), NOW, "cam").unwrap_err();
        assert_eq!(error.to_string(), "cam delivers no frames: nothing for 2 s (1 damaged ones were thrown away)");
    }

    #[test]
    fn a_writer_that_never_stops_is_left_behind() {
        let slot = Slot::new();
        assert!(!slot.leave(Duration::from_millis(10)));
        assert!(!slot.publish(&mut numbered(0)), "the writer learns at its next frame");
        slot.writer_done();
        assert!(slot.leave(NOW));
    }
}
