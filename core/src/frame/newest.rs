//! A camera gives frames faster than some phones scan them: the newest one wins.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A place for one frame between the camera's thread and the one that scans. A frame that is put in before the one
/// before was taken out replaces it, and that is counted.
///
/// Whoever puts a frame in gets the overtaken one back, and whoever takes one out may hand its buffer back in by way of
/// the camera: with three buffers going round, nothing is allocated per frame.
#[derive(Debug)]
pub struct Newest<T> {
    state: Mutex<State<T>>,
}

#[derive(Debug)]
struct State<T> {
    frame: Option<T>,
    dropped: u64,
}

impl<T> Default for Newest<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Newest<T> {
    /// An empty place.
    #[must_use]
    pub const fn new() -> Self {
        Self { state: Mutex::new(State { frame: None, dropped: 0 }) }
    }

    /// Every field is valid by itself and nothing panics under the lock, so a poisoned one is still good.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves the newest frame. Gives back the one that it overtakes, if nobody took that out.
    pub fn put(&self, frame: T) -> Option<T> {
        let mut state = self.lock();
        let overtaken = state.frame.replace(frame);
        state.dropped = state.dropped.saturating_add(u64::from(overtaken.is_some()));
        overtaken
    }

    /// Takes the newest frame out; `None` until the next one comes.
    pub fn take(&self) -> Option<T> {
        self.lock().frame.take()
    }

    /// Frames that were overtaken so far.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.lock().dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_frame_wins_once_and_the_overtaken_ones_come_back_and_are_counted() {
        let place = Newest::new();
        assert_eq!(place.take(), None);
        assert_eq!(place.put(vec![1]), None);
        assert_eq!(place.put(vec![2]), Some(vec![1]));
        assert_eq!(place.put(vec![3]), Some(vec![2]));
        assert_eq!(place.take(), Some(vec![3]));
        assert_eq!((place.take(), place.dropped()), (None, 2));
    }

    #[test]
    fn between_two_threads_every_frame_is_taken_or_counted_and_none_comes_out_of_order() {
        let place = Newest::new();
        let frames = 20_000u64;
        let taken = std::thread::scope(|scope| {
            scope.spawn(|| (1..=frames).for_each(|frame| _ = place.put(frame)));
            let (mut taken, mut last) = (0, 0);
            while last < frames {
                if let Some(frame) = place.take() {
                    assert!(frame > last, "{frame} after {last}");
                    (taken, last) = (taken + 1, frame);
                }
            }
            taken
        });
        assert_eq!(taken + place.dropped(), frames);
    }
}
