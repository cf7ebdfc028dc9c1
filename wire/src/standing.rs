//! How a device stands: what did not add up, the answer to a check-in, and what other devices are told.

use crate::codec::{List, coded, record};
use crate::id::DeviceId;
use crate::limits::GRANT_LISTS;
use crate::list::RemovalReason;
use crate::sign::Signed;

coded! {
    /// What does not add up about a device. The numbers are those of the table in docs/protocol.md 12.4.
    pub enum Discrepancy {
        /// The counter of its check-in did not grow.
        CounterRepeated = 1,
        /// The counter is the next one, but it follows another check-in: two copies report.
        CopyForked = 2,
        /// It knows another list of the same epoch.
        ListDiffers = 3,
        /// It stays behind the account's list.
        ListStale = 4,
        /// It runs on another class of platform.
        PlatformChanged = 5,
        /// Its message counters cannot be.
        CountersImpossible = 6,
        /// Its check-ins are not signed by its key.
        BadSignatures = 7,
        /// Its messages do not open.
        Undecryptable = 8,
        /// Its lease has ended.
        LeaseEnded = 9,
        /// It was connected twice at once.
        TwoSockets = 10,
        /// The relay sees it in another country.
        CountryChanged = 11,
        /// It is off the list.
        Removed = 12,
    }
}

impl Discrepancy {
    /// What a person reads, the same on every device.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::CounterRepeated => "it reported an old state again, as a restored or copied profile does",
            Self::CopyForked => "two copies of it reported",
            Self::ListDiffers => "it was shown another device list than this device",
            Self::ListStale => "it keeps an old device list",
            Self::PlatformChanged => "it runs on another kind of system than before",
            Self::CountersImpossible => "it claims messages that never were",
            Self::BadSignatures => "its reports are not signed by its own key",
            Self::Undecryptable => "its messages cannot be read",
            Self::LeaseEnded => "its permission was not renewed in time",
            Self::TwoSockets => "it was connected from two places at once",
            Self::CountryChanged => "it appeared in another country",
            Self::Removed => "it was removed from the account",
        }
    }
}

coded! {
    /// What a device of the account may do now.
    pub enum Standing {
        /// All that its certificate grants.
        Active = 0,
        /// It may only receive, until the person confirms it.
        Restricted = 1,
        /// Nothing, until it is linked again.
        Quarantined = 2,
    }
}

record! {
    /// The answer to a check-in, in an envelope of kind 3.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct LeaseGrant [1] {
        /// [`crate::device::Lease`], by the ops key.
        pub lease: Signed,
        /// [`crate::device::OpsCertificate`] of that key, by the root key.
        pub ops: Signed,
        /// How the device stands.
        pub standing: Standing,
        /// Why, unless it is active.
        pub because: Option<Discrepancy>,
        /// The lists after the one that the check-in names, oldest first; as many as fit.
        pub lists: List<Signed, GRANT_LISTS>,
    }
}

coded! {
    /// What happened to a device of the account.
    pub enum NoticeKind {
        /// A device was linked.
        Linked = 0,
        /// A device that had lapsed was linked again.
        Relinked = 1,
        /// A device was removed.
        Removed = 2,
        /// Something about a device does not add up.
        Discrepancy = 3,
        /// Another root key holds the account.
        RootChanged = 4,
        /// The account has another recovery key.
        RecoveryChanged = 5,
    }
}

record! {
    /// What the other devices hear at once, in an envelope of kind 6.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Notice [1] {
        /// What happened.
        pub kind: NoticeKind,
        /// To which device.
        pub device: DeviceId,
        /// Evidence, grade and preset, as in its certificate; 0 where there is none.
        pub evidence: u64,
        /// Why it was removed.
        pub removal: Option<RemovalReason>,
        /// What does not add up.
        pub discrepancy: Option<Discrepancy>,
        /// When, ms since 1970.
        pub at: u64,
    }
}

impl Notice {
    /// What a person reads.
    #[must_use]
    pub fn text(&self) -> String {
        let what = match self.kind {
            NoticeKind::Linked => "a device was linked",
            NoticeKind::Relinked => "a device was linked again",
            NoticeKind::Removed => "a device was removed",
            NoticeKind::Discrepancy => "something about a device does not add up",
            NoticeKind::RootChanged => "another key holds the account",
            NoticeKind::RecoveryChanged => "the account has a new recovery key",
        };
        match (self.discrepancy, self.removal) {
            (Some(row), _) => format!("{what}: {}", row.text()),
            (None, Some(reason)) => format!("{what}: {}", reason.text()),
            (None, None) => what.to_owned(),
        }
    }
}
