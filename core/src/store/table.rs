//! The names of what is stored.

use std::fmt;

/// One kind of record. The kind, the number of rows and their sizes stand in clear in the file; ids and values do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Table {
    /// The account root key and what names the account. Primary device only.
    Identity,
    /// The key that signs daily business for the root key.
    OpsKey,
    /// This device's signing key.
    DeviceKey,
    /// Accepted epochs of the signed device list.
    DeviceList,
    /// A link whose last pairing message is outstanding; purged when too old.
    PendingLink,
    /// A confirmed link: peer, scope, ratchet.
    Link,
    /// How far a stream was read or written.
    Checkpoint,
    /// The user's choices.
    Setting,
    /// Sealed envelopes that the relay has not accepted yet.
    Outgoing,
    /// Where the transfer of history to or from a device stands.
    History,
    /// What is known of a file: its length, how much of it is here, who wants it.
    File,
    /// Its pieces.
    FilePiece,
}

impl Table {
    /// Every table, in the order of their numbers.
    pub const ALL: [Self; 12] = [
        Self::Identity,
        Self::OpsKey,
        Self::DeviceKey,
        Self::DeviceList,
        Self::PendingLink,
        Self::Link,
        Self::Checkpoint,
        Self::Setting,
        Self::Outgoing,
        Self::History,
        Self::File,
        Self::FilePiece,
    ];

    /// The name that goes into key derivation and associated data: changing one makes its rows unreadable.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::OpsKey => "ops-key",
            Self::DeviceKey => "device-key",
            Self::DeviceList => "device-list",
            Self::PendingLink => "pending-link",
            Self::Link => "link",
            Self::Checkpoint => "checkpoint",
            Self::Setting => "setting",
            Self::Outgoing => "outgoing",
            Self::History => "history",
            Self::File => "file",
            Self::FilePiece => "file-piece",
        }
    }

    /// The number in the file. Numbers are never used again for something else.
    pub(super) const fn number(self) -> i64 {
        match self {
            Self::Identity => 1,
            Self::OpsKey => 2,
            Self::DeviceKey => 3,
            Self::DeviceList => 4,
            Self::PendingLink => 5,
            Self::Link => 6,
            Self::Checkpoint => 7,
            Self::Setting => 8,
            Self::Outgoing => 9,
            Self::History => 10,
            Self::File => 11,
            Self::FilePiece => 12,
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_frozen() {
        let shown: Vec<String> = Table::ALL.iter().map(|t| format!("{} {t}", t.number())).collect();
        let frozen = [
            "1 identity",
            "2 ops-key",
            "3 device-key",
            "4 device-list",
            "5 pending-link",
            "6 link",
            "7 checkpoint",
            "8 setting",
            "9 outgoing",
            "10 history",
            "11 file",
            "12 file-piece",
        ];
        assert_eq!(shown, frozen);
    }
}
