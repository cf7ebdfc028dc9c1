//! Where the core's time and randomness come from when it runs for real.

use std::sync::Arc;
use std::time::Duration;

use getrandom::SysRng;
use rand_core::UnwrapErr;

use super::host::now_ms;
use crate::Timestamp;

/// A source of wall-clock time; tests make it jump.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The time by the system's clock.
#[must_use]
pub fn system_time() -> Timestamp {
    Timestamp::from_unix_ms(now_ms())
}

/// The system's clock.
#[must_use]
pub fn system_clock() -> Clock {
    Arc::new(system_time)
}

/// The operating system's randomness; a machine that has none cannot go on.
pub type SystemRng = UnwrapErr<SysRng>;

/// The operating system's randomness.
#[must_use]
pub fn system_rng() -> SystemRng {
    UnwrapErr(SysRng)
}

/// How long to sleep for a deadline: at most five seconds at a time, so that a clock that jumps, or a device that
/// slept, is noticed.
pub(super) fn pause(now: Timestamp, deadline: Option<Timestamp>) -> Duration {
    const LONGEST_MS: u64 = 5_000;
    Duration::from_millis(deadline.map_or(LONGEST_MS, |at| at.ms_since(now).min(LONGEST_MS)))
}
