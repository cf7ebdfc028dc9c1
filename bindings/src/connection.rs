//! The live line of a device: messages both ways, the list, removal.

use pairlight_core::net::{Connection, ConnectionEvent};
use pairlight_wire::envelope::EnvelopeKind;

use crate::error::PairlightError;
use crate::primary::device_id;

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
    /// A message.
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

/// A live line. Closing it goes offline.
#[derive(Debug, uniffi::Object)]
pub struct Line(Connection);

impl Line {
    pub(crate) fn new(connection: Connection) -> Self {
        Self(connection)
    }
}

#[uniffi::export]
impl Line {
    /// The next event; null after the last.
    pub async fn next_event(&self) -> Option<LineEvent> {
        let event = self.0.next_event().await?;
        Some(match event {
            ConnectionEvent::Online => LineEvent::Online,
            ConnectionEvent::Offline { retry_in } => {
                LineEvent::Offline { retry_ms: u64::try_from(retry_in.as_millis()).unwrap_or(u64::MAX) }
            }
            ConnectionEvent::Message { from, kind: _, body } => LineEvent::Message { from: from.to_hex(), body },
            ConnectionEvent::Unreadable { from } => LineEvent::Unreadable { from: from.to_hex() },
            ConnectionEvent::ListChanged { .. } => LineEvent::DevicesChanged,
            ConnectionEvent::Withheld { from } => LineEvent::Withheld { from: from.to_hex() },
            ConnectionEvent::Leased { until, because, .. } => {
                LineEvent::Leased { until_ms: until.unix_ms(), restriction: because.map(|row| row.text().to_owned()) }
            }
            ConnectionEvent::Silent { for_ms } => LineEvent::Silent { for_ms },
            ConnectionEvent::Locked(row) => LineEvent::Locked { reason: row.text().to_owned() },
            ConnectionEvent::Forked(fork) => {
                LineEvent::Forked { epoch: fork.epoch, ours: fork.ours.to_vec(), theirs: fork.theirs.to_vec() }
            }
            ConnectionEvent::RolledBack { .. } => LineEvent::RolledBack,
            ConnectionEvent::Discrepancy { device, row, .. } => {
                LineEvent::Discrepancy { device: device.to_hex(), words: row.text().to_owned() }
            }
            ConnectionEvent::Notice(notice) => {
                LineEvent::Notice { device: notice.device.to_hex(), words: notice.text() }
            }
            ConnectionEvent::SessionReset { peer } => LineEvent::SessionReset { device: peer.to_hex() },
            ConnectionEvent::Removed(reason) => LineEvent::Removed { reason: reason.text().to_owned() },
            ConnectionEvent::Refused(_) => LineEvent::Refused,
            ConnectionEvent::Failed(error) => LineEvent::Failed { error: error.into() },
        })
    }

    /// Seals a message for a device of the account and waits until the relay has stored it.
    pub async fn send(&self, to: String, body: Vec<u8>) -> Result<(), PairlightError> {
        Ok(self.0.send(device_id(&to)?, EnvelopeKind::Application, &body).await?)
    }
}
