//! What a person has to be told of, in one place for all languages: English words here, a kind for translations.

use pairlight_core::devices::ListFork;
use pairlight_wire::id::{DeviceId, to_hex};
use pairlight_wire::standing::{Notice, NoticeKind};

/// What an alert is about: the key of its translation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum AlertKind {
    /// A device was linked.
    Linked,
    /// A device that had lapsed was linked again.
    Relinked,
    /// A device was removed.
    Removed,
    /// Something about a device does not add up.
    Discrepancy,
    /// Another root key holds the account.
    RootChanged,
    /// The account has another recovery key.
    RecoveryChanged,
    /// Different devices are shown different lists: show both hashes (`fork`) and have the person compare them.
    Forked,
    /// The relay shows an older device list than one that it showed before; this device keeps the newer one.
    RolledBack,
    /// The device that holds the account has not been seen for long; the permission of this one will end.
    Silent,
    /// A message that could not be opened was dropped. For a developer's screen, unless it goes on.
    Unreadable,
    /// A message from a device that may not send now was dropped. As before.
    Withheld,
    /// The session with a device was made anew under the pinned keys. For a developer's screen.
    SessionReset,
}

/// Something to tell the person.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Alert {
    /// What it is about.
    pub kind: AlertKind,
    /// The id of the device that it is about; null when it is about none.
    pub device: Option<String>,
    /// The same in English, with what is known of the cause.
    pub text: String,
}

/// Two device lists that contradict each other. The person compares them with those of another device.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Fork {
    /// Number of both lists.
    pub epoch: u64,
    /// Hash of the list that this device keeps, 64 hexadecimal digits.
    pub ours: String,
    /// Hash of the other one.
    pub theirs: String,
}

impl From<ListFork> for Fork {
    fn from(fork: ListFork) -> Self {
        Self { epoch: fork.epoch, ours: to_hex(&fork.ours), theirs: to_hex(&fork.theirs) }
    }
}

impl Alert {
    pub(crate) fn new(kind: AlertKind, device: Option<DeviceId>, text: &str) -> Self {
        Self { kind, device: device.map(|device| device.to_hex()), text: text.to_owned() }
    }
}

impl From<Notice> for Alert {
    fn from(notice: Notice) -> Self {
        let kind = match notice.kind {
            NoticeKind::Linked => AlertKind::Linked,
            NoticeKind::Relinked => AlertKind::Relinked,
            NoticeKind::Removed => AlertKind::Removed,
            NoticeKind::Discrepancy => AlertKind::Discrepancy,
            NoticeKind::RootChanged => AlertKind::RootChanged,
            NoticeKind::RecoveryChanged => AlertKind::RecoveryChanged,
        };
        Self::new(kind, Some(notice.device), &notice.text())
    }
}
