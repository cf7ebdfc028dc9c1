//! What a refusal of the relay means for a pairing.

use pairlight_wire::pairing::EndReason;
use pairlight_wire::relay::RefusalCode;

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
