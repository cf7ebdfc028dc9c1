//! What happens on the live line of a device: reach, messages, the list, removal.

use pairlight_core::net::ConnectionEvent;

use crate::error::PairlightError;

/// What happens on a line.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Enum)]
pub enum LineEvent {
    /// Logged in.
    Online,
    /// Out of reach; tried again by itself.
    Offline {
        /// Pause before the next try, ms.
        retry_ms: u64,
    },
    /// Bytes that another device sent with `Sync.send_bytes`.
    Message {
        /// Sender's id.
        from: String,
        /// The content.
        body: Vec<u8>,
    },
    /// A message that could not be opened was dropped.
    Unreadable {
        /// Claimed sender's id.
        from: String,
    },
    /// The account has a new device list.
    DevicesChanged,
    /// A message from a device that may not send now was dropped.
    Withheld {
        /// Sender's id.
        from: String,
    },
    /// A new lease: this device may stay.
    Leased {
        /// Until when, ms since 1970.
        until_ms: u64,
        /// Why this device may not do everything, for people; null when it may.
        restriction: Option<String>,
    },
    /// The primary device has been silent for long.
    Silent {
        /// For how long, ms.
        for_ms: u64,
    },
    /// The permission of this device has ended; its store is sealed. Open it again and link anew.
    Locked {
        /// Why, for people.
        reason: String,
    },
    /// Somebody shows different devices different lists: show both hashes.
    Forked {
        /// Epoch of the lists.
        epoch: u64,
        /// Hash of this device's list.
        ours: Vec<u8>,
        /// Hash of the other one.
        theirs: Vec<u8>,
    },
    /// The relay shows an older list than before.
    RolledBack,
    /// Something about a device does not add up.
    Discrepancy {
        /// The device's id.
        device: String,
        /// What, for people.
        words: String,
    },
    /// Something happened to a device of the account.
    Notice {
        /// The device's id.
        device: String,
        /// What, for people.
        words: String,
    },
    /// The session with a device was made anew.
    SessionReset {
        /// The device's id.
        device: String,
    },
    /// This device was removed; its data is erased. The last event.
    Removed {
        /// Why, for people.
        reason: String,
    },
    /// The relay refuses this device; nothing is erased. The last event.
    Refused,
    /// The line cannot go on. The last event.
    Failed {
        /// Why.
        error: PairlightError,
    },
}

impl From<ConnectionEvent> for LineEvent {
    fn from(event: ConnectionEvent) -> Self {
        match event {
            ConnectionEvent::Online => Self::Online,
            ConnectionEvent::Offline { retry_in } => {
                Self::Offline { retry_ms: u64::try_from(retry_in.as_millis()).unwrap_or(u64::MAX) }
            }
            ConnectionEvent::Message { from, kind: _, body } => Self::Message { from: from.to_hex(), body },
            ConnectionEvent::Unreadable { from } => Self::Unreadable { from: from.to_hex() },
            ConnectionEvent::ListChanged { .. } => Self::DevicesChanged,
            ConnectionEvent::Withheld { from } => Self::Withheld { from: from.to_hex() },
            ConnectionEvent::Leased { until, because, .. } => {
                Self::Leased { until_ms: until.unix_ms(), restriction: because.map(|row| row.text().to_owned()) }
            }
            ConnectionEvent::Silent { for_ms } => Self::Silent { for_ms },
            ConnectionEvent::Locked(row) => Self::Locked { reason: row.text().to_owned() },
            ConnectionEvent::Forked(fork) => {
                Self::Forked { epoch: fork.epoch, ours: fork.ours.to_vec(), theirs: fork.theirs.to_vec() }
            }
            ConnectionEvent::RolledBack { .. } => Self::RolledBack,
            ConnectionEvent::Discrepancy { device, row, .. } => {
                Self::Discrepancy { device: device.to_hex(), words: row.text().to_owned() }
            }
            ConnectionEvent::Notice(notice) => Self::Notice { device: notice.device.to_hex(), words: notice.text() },
            ConnectionEvent::SessionReset { peer } => Self::SessionReset { device: peer.to_hex() },
            ConnectionEvent::Removed(reason) => Self::Removed { reason: reason.text().to_owned() },
            ConnectionEvent::Refused(_) => Self::Refused,
            ConnectionEvent::Failed(error) => Self::Failed { error: error.into() },
        }
    }
}
