//! What follows when something about a device does not add up: one fixed action for each row of the table in
//! docs/protocol.md 12.4. Pure: who observes and who acts is elsewhere.

use pairlight_wire::list::RemovalReason;
use pairlight_wire::standing::Discrepancy;

/// Bad signatures after which a device is quarantined.
pub(super) const BAD_SIGNATURES: u64 = 5;
/// Resets of its session within a day that are still believed to be accidents.
pub(super) const RESETS_A_DAY: usize = 2;
/// Times a device may be connected twice at once within a day before it counts as copied.
pub(super) const SOCKETS_A_DAY: usize = 2;
/// Messages in a row that do not open before the session is made anew.
const UNREADABLE: u64 = 5;
/// Or for how long they do not, ms.
const UNREADABLE_MS: u64 = 3_600_000;

/// Something that was seen, with the numbers that decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observation {
    /// D1: the counter of a check-in did not grow.
    CounterRepeated,
    /// D2: it is the next one, but follows another check-in.
    CopyForked,
    /// D3: the device knows another list of an epoch.
    ListDiffers,
    /// D4: it stayed more than one epoch behind for more than 48 hours.
    ListStale {
        /// Whether the chain was sent to it before because of that.
        sent_before: bool,
    },
    /// D5: another class of platform.
    PlatformChanged,
    /// D6: it received more than was sent, or sent less than before.
    CountersImpossible,
    /// D7: a check-in that its key did not sign.
    BadSignature {
        /// How many so far.
        count: u64,
    },
    /// D8: messages that do not open.
    Undecryptable {
        /// In a row.
        count: u64,
        /// Since the first of them, ms.
        for_ms: u64,
    },
    /// D8: its session was made anew.
    SessionReset {
        /// Times within a day, this one included.
        in_a_day: usize,
    },
    /// D9: the lease has ended, with its grace.
    LeaseEnded,
    /// D10: two sockets at once.
    TwoSockets {
        /// Times within a day, this one included.
        in_a_day: usize,
    },
    /// D11: the relay sees another country.
    CountryChanged,
    /// D12: off the list, by a list that is signed.
    Removed,
}

impl Observation {
    /// The row of the table.
    #[must_use]
    pub fn row(&self) -> Discrepancy {
        match self {
            Self::CounterRepeated => Discrepancy::CounterRepeated,
            Self::CopyForked => Discrepancy::CopyForked,
            Self::ListDiffers => Discrepancy::ListDiffers,
            Self::ListStale { .. } => Discrepancy::ListStale,
            Self::PlatformChanged => Discrepancy::PlatformChanged,
            Self::CountersImpossible => Discrepancy::CountersImpossible,
            Self::BadSignature { .. } => Discrepancy::BadSignatures,
            Self::Undecryptable { .. } | Self::SessionReset { .. } => Discrepancy::Undecryptable,
            Self::LeaseEnded => Discrepancy::LeaseEnded,
            Self::TwoSockets { .. } => Discrepancy::TwoSockets,
            Self::CountryChanged => Discrepancy::CountryChanged,
            Self::Removed => Discrepancy::Removed,
        }
    }
}

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Nothing yet: it is counted.
    Count,
    /// The person hears of it.
    Notice,
    /// The lists that the device lacks go to it, past the relay's word.
    SendChain,
    /// The device may only receive until the person confirms it.
    Restrict,
    /// The device may do nothing until it is linked again.
    Quarantine,
    /// The device leaves the list.
    Revoke(RemovalReason),
    /// The list is frozen and both hashes are shown; sessions go on.
    FreezeList,
    /// A new session under the pinned keys.
    ResetSession,
    /// The store is sealed and its key dropped.
    Lock,
    /// Keys and data are erased, and the reason is shown.
    Wipe,
}

/// The table.
#[must_use]
pub fn action(seen: &Observation) -> Action {
    match seen {
        Observation::CounterRepeated => Action::Quarantine,
        Observation::CopyForked => Action::Revoke(RemovalReason::Cloned),
        Observation::ListDiffers => Action::FreezeList,
        Observation::ListStale { sent_before: false } => Action::SendChain,
        Observation::ListStale { sent_before: true } => Action::Quarantine,
        Observation::PlatformChanged => Action::Restrict,
        Observation::CountersImpossible => Action::Revoke(RemovalReason::Discrepancy),
        Observation::BadSignature { count } if *count >= BAD_SIGNATURES => Action::Quarantine,
        Observation::BadSignature { .. } => Action::Count,
        Observation::Undecryptable { count, for_ms } if *count > UNREADABLE || *for_ms > UNREADABLE_MS => {
            Action::ResetSession
        }
        Observation::Undecryptable { .. } => Action::Count,
        Observation::SessionReset { in_a_day } if *in_a_day > RESETS_A_DAY => Action::Quarantine,
        Observation::SessionReset { .. } => Action::Notice,
        Observation::LeaseEnded => Action::Lock,
        Observation::TwoSockets { in_a_day } if *in_a_day >= SOCKETS_A_DAY => Action::Revoke(RemovalReason::Cloned),
        Observation::TwoSockets { .. } | Observation::CountryChanged => Action::Notice,
        Observation::Removed => Action::Wipe,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_its_fixed_action() {
        use Observation as O;
        let cloned = Action::Revoke(RemovalReason::Cloned);
        let table = [
            (1, O::CounterRepeated, Action::Quarantine),
            (2, O::CopyForked, cloned),
            (3, O::ListDiffers, Action::FreezeList),
            (4, O::ListStale { sent_before: false }, Action::SendChain),
            (4, O::ListStale { sent_before: true }, Action::Quarantine),
            (5, O::PlatformChanged, Action::Restrict),
            (6, O::CountersImpossible, Action::Revoke(RemovalReason::Discrepancy)),
            (7, O::BadSignature { count: 4 }, Action::Count),
            (7, O::BadSignature { count: 5 }, Action::Quarantine),
            (8, O::Undecryptable { count: 5, for_ms: 3_600_000 }, Action::Count),
            (8, O::Undecryptable { count: 6, for_ms: 0 }, Action::ResetSession),
            (8, O::Undecryptable { count: 1, for_ms: 3_600_001 }, Action::ResetSession),
            (8, O::SessionReset { in_a_day: 2 }, Action::Notice),
            (8, O::SessionReset { in_a_day: 3 }, Action::Quarantine),
            (9, O::LeaseEnded, Action::Lock),
            (10, O::TwoSockets { in_a_day: 1 }, Action::Notice),
            (10, O::TwoSockets { in_a_day: 2 }, cloned),
            (11, O::CountryChanged, Action::Notice),
            (12, O::Removed, Action::Wipe),
        ];
        for (row, seen, follows) in table {
            assert_eq!((seen.row().code(), action(&seen)), (row, follows), "{seen:?}");
            assert!(!seen.row().text().is_empty());
        }
    }
}
