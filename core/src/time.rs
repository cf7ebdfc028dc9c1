//! Wall-clock time as the caller tells it; the core never reads a clock.

/// A moment: milliseconds since the Unix epoch, on the caller's wall clock.
///
/// Wall time, because an offer must expire while the phone sleeps; so a `Timestamp` may lie before an earlier one when
/// the user sets the clock back, and every difference saturates at zero instead of wrapping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// A moment from milliseconds since the Unix epoch.
    #[must_use]
    pub const fn from_unix_ms(ms: u64) -> Self {
        Self(ms)
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn unix_ms(self) -> u64 {
        self.0
    }

    /// The moment `ms` milliseconds later, or the last representable one.
    #[must_use]
    pub const fn saturating_add_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// The moment `ms` milliseconds later, or `None` when it cannot be represented.
    #[must_use]
    pub const fn checked_add_ms(self, ms: u64) -> Option<Self> {
        match self.0.checked_add(ms) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }

    /// Milliseconds since `earlier`; zero when the clock jumped back.
    #[must_use]
    pub const fn ms_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_jumps_back_gives_no_negative_age() {
        let (early, late) = (Timestamp::from_unix_ms(5), Timestamp::from_unix_ms(9));
        assert_eq!(late.ms_since(early), 4);
        assert_eq!(early.ms_since(late), 0);
    }

    #[test]
    fn additions_never_wrap() {
        let last = Timestamp::from_unix_ms(u64::MAX);
        assert_eq!(last.saturating_add_ms(1), last);
        assert_eq!(last.checked_add_ms(1), None);
        assert_eq!(Timestamp::from_unix_ms(1).checked_add_ms(2), Some(Timestamp::from_unix_ms(3)));
    }
}
