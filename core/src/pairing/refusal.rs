//! What a refusal of the relay means for a pairing.

use pairlight_wire::pairing::EndReason;
use pairlight_wire::relay::{RefusalCode, Refused};

/// What a refusal of the relay tells a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub code: RefusalCode,
    /// When a new try makes sense, ms from now; 0 = not stated.
    pub retry_after_ms: u64,
}

impl From<RefusalCode> for Refusal {
    fn from(code: RefusalCode) -> Self {
        Self { code, retry_after_ms: 0 }
    }
}

impl From<&Refused> for Refusal {
    fn from(refused: &Refused) -> Self {
        Self { code: refused.code, retry_after_ms: refused.retry_after_ms }
    }
}

impl Refusal {
    /// How long nobody needs to try again, ms; `None` for other reasons than too many attempts, and when it was not said.
    pub(super) fn pause_ms(self) -> Option<u64> {
        (self.code == RefusalCode::RateLimited && self.retry_after_ms > 0).then_some(self.retry_after_ms)
    }
}

/// The reason with which a pairing ends when the relay refuses the call that it cannot do without.
pub(super) fn end_reason(code: RefusalCode) -> EndReason {
    match code {
        RefusalCode::Protocol | RefusalCode::Outdated => EndReason::Outdated,
        RefusalCode::Removed | RefusalCode::LeaseExpired | RefusalCode::NotAllowed => EndReason::Refused,
        RefusalCode::TimedOut | RefusalCode::NotFound | RefusalCode::Gone => EndReason::Expired,
        RefusalCode::Conflict | RefusalCode::Duplicate => EndReason::Conflict,
        RefusalCode::RateLimited => EndReason::RateLimited,
        RefusalCode::TooLarge | RefusalCode::Overflow => EndReason::Tampered,
        RefusalCode::Unavailable => EndReason::Unreachable,
    }
}
