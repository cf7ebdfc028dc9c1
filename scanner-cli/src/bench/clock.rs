//! The time that this thread has worked.

use std::time::Duration;

/// What [`now`] counts, for people.
pub(super) const UNIT: &str = if cfg!(unix) { "CPU time of the scanning thread" } else { "wall time" };

/// CPU time of this thread since its start: other programs on the machine do not count.
#[cfg(unix)]
pub(super) fn now() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// Wall time since the first call, where the system does not tell more.
#[cfg(not(unix))]
pub(super) fn now() -> Duration {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    START.get_or_init(std::time::Instant::now).elapsed()
}

#[cfg(test)]
mod tests {
    #[test]
    fn work_takes_time() {
        let start = super::now();
        let mut sum = 0u64;
        while super::now().saturating_sub(start).as_micros() < 200 {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(super::now() > start);
    }
}
