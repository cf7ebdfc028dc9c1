//! From the modules of a code to bytes. The only file that names rqrr.
//!
//! Modules come here after the repair (`reader`), which knows how sure each of them is; rqrr knows black and white.
//! A panic of rqrr is contained and counted; the code is then parsed by `payload`. The message of a contained panic
//! still goes wherever the program's panic hook sends it, because a library must not swap the global hook behind the
//! program's back: a program that wants silence calls [`silence_contained_panics`] once.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

/// rqrr panicked; the picture counts as unread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Panicked;

thread_local! {
    static CONTAINED: Cell<bool> = const { Cell::new(false) };
}

/// Installs, once per process, a panic hook that says nothing about panics which the scanner contains and leaves all
/// others to the hook that was there before. For programs, at their start, before other threads set hooks.
pub fn silence_contained_panics() {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !CONTAINED.with(Cell::get) {
                before(info);
            }
        }));
    });
}

/// Runs `work` so that a panic in it ends here.
fn contain<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    let outer = CONTAINED.with(|contained| contained.replace(true));
    // Nothing that `work` changes is looked at after a panic: it owns what it changes and gives it back by value.
    let result = catch_unwind(AssertUnwindSafe(work));
    CONTAINED.with(|contained| contained.set(outer));
    result.map_err(|_| Panicked)
}

/// A code without errors, as rqrr wants to see it.
struct Printed<'a> {
    bits: &'a [u8],
    size: usize,
}

impl rqrr::BitGrid for Printed<'_> {
    fn size(&self) -> usize {
        self.size
    }

    fn bit(&self, y: usize, x: usize) -> bool {
        let index = y.saturating_mul(self.size).saturating_add(x);
        self.bits.get(index).is_some_and(|&bit| bit != 0)
    }
}

/// The content of a code. `bits` has `size * size` entries, row by row, 1 is dark; the code is not mirrored any more.
/// `None` when rqrr cannot read it: it knows no structured append and no GS1.
///
/// # Errors
/// [`Panicked`] when rqrr did.
pub(super) fn decode(bits: &[u8], size: usize) -> Result<Option<Vec<u8>>, Panicked> {
    contain(|| {
        let mut bytes = Vec::new();
        rqrr::Grid::new(Printed { bits, size }).decode_to(&mut bytes).ok()?;
        Some(bytes)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_ends_at_the_containment_and_the_thread_goes_on() {
        assert_eq!(contain(|| -> () { panic!("as a dependency would") }), Err(Panicked));
        assert_eq!(contain(|| 7), Ok(7));
        assert!(!CONTAINED.with(Cell::get));
    }
}
