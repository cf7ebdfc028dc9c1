//! Who is told of a change, and when: the other devices at once, this device again later, when a person who was talked
//! into something may be alone with it.

use pairlight_wire::device::Preset;
use pairlight_wire::id::DeviceId;
use pairlight_wire::limits::LIST_ENTRIES;
use pairlight_wire::standing::{Discrepancy, Notice, NoticeKind};
use pairlight_wire::{List, record};
use rand_core::CryptoRng;

use crate::Timestamp;
use crate::crypto::random;
use crate::trust::{Evidence, Grade};

const HOUR_MS: u64 = 3_600_000;

/// What others are to be told of a change of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// What happened.
    pub kind: NoticeKind,
    /// To which device.
    pub device: DeviceId,
    /// What did not add up, when that is the reason.
    pub discrepancy: Option<Discrepancy>,
}

record! {
    /// A notice with those who have not heard it yet, as it lies in the sealed store.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct StoredNotice [1] {
        /// Random; the name of the row.
        pub id: [u8; 8],
        /// What happened.
        pub notice: Notice,
        /// Devices that are still to be told.
        pub others: List<DeviceId, LIST_ENTRIES>,
        /// When this device shows it again, ms since 1970, earliest first.
        pub due: List<u64, 8>,
    }
}

impl StoredNotice {
    /// Plans a notice of what happened now.
    #[must_use]
    pub fn plan(notice: Notice, others: Vec<DeviceId>, rng: &mut impl CryptoRng) -> Self {
        let now = Timestamp::from_unix_ms(notice.at);
        let (_, grade, preset) = Evidence::from_certificate(notice.evidence);
        let linked = matches!(notice.kind, NoticeKind::Linked | NoticeKind::Relinked);
        let grade = if linked { grade.unwrap_or(Grade::Weak) } else { Grade::Strong };
        // One to three hours, to the millisecond: nobody can wait it out.
        let first = u64::from(u32::from_be_bytes(random(rng))) % (2 * HOUR_MS);
        let first = first.saturating_add(HOUR_MS);
        let mut after = match grade {
            Grade::Strong => vec![first],
            Grade::Medium => vec![first, 24 * HOUR_MS],
            Grade::Weak => vec![first, 6 * HOUR_MS, 12 * HOUR_MS, 18 * HOUR_MS, 24 * HOUR_MS],
        };
        if linked && preset == Some(Preset::Development) {
            after.clear();
        }
        let due = after.into_iter().map(|ms| now.plus_ms(ms).unix_ms()).collect();
        Self {
            id: random(rng),
            notice,
            others: List::new(others).unwrap_or_default(),
            due: List::new(due).unwrap_or_default(),
        }
    }

    /// Whether a time at which this device shows the notice has come.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.due.as_slice().iter().any(|at| *at <= now.unix_ms())
    }

    /// Whether this device shows the notice now; several that were missed are shown once.
    pub fn take_due(&mut self, now: Timestamp) -> bool {
        let before = self.due.as_slice().len();
        let left: Vec<u64> = self.due.as_slice().iter().copied().filter(|at| *at > now.unix_ms()).collect();
        let shown = left.len() < before;
        self.due = List::new(left).unwrap_or_default();
        shown
    }

    /// A device was told, or is no longer there to be told.
    pub fn told(&mut self, device: &DeviceId) {
        let left: Vec<_> = self.others.as_slice().iter().copied().filter(|other| other != device).collect();
        self.others = List::new(left).unwrap_or_default();
    }

    /// Whether everybody has heard it as often as planned.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.others.as_slice().is_empty() && self.due.as_slice().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    const AT: u64 = 1_800_000_000_000;

    fn plan(kind: NoticeKind, grade: Grade, preset: Preset, seed: u8) -> StoredNotice {
        let evidence = Evidence::NONE.to_certificate(grade, preset);
        let notice = Notice { kind, device: DeviceId([1; 16]), evidence, removal: None, discrepancy: None, at: AT };
        StoredNotice::plan(notice, vec![DeviceId([2; 16])], &mut ChaCha20Rng::from_seed([seed; 32]))
    }

    fn hours(notice: &StoredNotice) -> Vec<u64> {
        notice.due.as_slice().iter().map(|at| (at - AT) / HOUR_MS).collect()
    }

    #[test]
    fn the_schedule_follows_the_grade() {
        let mut first_hours = std::collections::BTreeSet::new();
        for seed in 0..50 {
            let strong = hours(&plan(NoticeKind::Linked, Grade::Strong, Preset::Balanced, seed));
            assert!(matches!(strong[..], [1 | 2]), "{strong:?}");
            first_hours.insert(strong[0]);
        }
        assert_eq!(first_hours.len(), 2, "it is random");
        assert_eq!(hours(&plan(NoticeKind::Linked, Grade::Medium, Preset::Balanced, 1))[1..], [24]);
        assert_eq!(hours(&plan(NoticeKind::Linked, Grade::Weak, Preset::Strict, 1))[1..], [6, 12, 18, 24]);
        assert_eq!(hours(&plan(NoticeKind::Removed, Grade::Weak, Preset::Strict, 1)).len(), 1);
        assert!(hours(&plan(NoticeKind::Linked, Grade::Weak, Preset::Development, 1)).is_empty());
    }

    #[test]
    fn a_notice_is_shown_at_each_of_its_times_and_is_then_done() {
        let mut notice = plan(NoticeKind::Linked, Grade::Weak, Preset::Balanced, 1);
        let mut shown = Vec::new();
        for hour in 0..30 {
            if notice.take_due(Timestamp::from_unix_ms(AT + hour * HOUR_MS)) {
                shown.push(hour);
            }
        }
        assert_eq!(shown[1..], [6, 12, 18, 24]);
        assert!(!notice.is_done(), "another device has not heard it");
        notice.told(&DeviceId([2; 16]));
        assert!(notice.is_done());
        // A phone that was off for a week shows it once.
        let mut late = plan(NoticeKind::Linked, Grade::Weak, Preset::Balanced, 2);
        assert!(late.take_due(Timestamp::from_unix_ms(AT + 168 * HOUR_MS)));
        assert!(!late.take_due(Timestamp::from_unix_ms(AT + 168 * HOUR_MS)));
    }
}
