//! What happens on the live line of a device: reach, messages, the list, permission, removal.

use pairlight_core::net::ConnectionEvent;

use super::alert::{Alert, AlertKind};
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
    /// The account has a new device list.
    DevicesChanged,
    /// A new lease: this device may stay.
    Leased {
        /// Until when, ms since 1970.
        until_ms: u64,
        /// Why this device may not do everything, for people; null when it may.
        restriction: Option<String>,
    },
    /// Something to tell the person.
    Alerted {
        /// What.
        alert: Alert,
    },
    /// The permission of this device has ended; its store is sealed. Open it again and link anew.
    Locked {
        /// Why, for people.
        reason: String,
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
        let alerted = |kind, device, text: &str| Self::Alerted { alert: Alert::new(kind, device, text) };
        match event {
            ConnectionEvent::Online => Self::Online,
            ConnectionEvent::Offline { retry_in } => {
                Self::Offline { retry_ms: u64::try_from(retry_in.as_millis()).unwrap_or(u64::MAX) }
            }
            ConnectionEvent::Message { from, kind: _, body } => Self::Message { from: from.to_hex(), body },
            ConnectionEvent::ListChanged { .. } => Self::DevicesChanged,
            ConnectionEvent::Leased { until, because, .. } => {
                Self::Leased { until_ms: until.unix_ms(), restriction: because.map(|row| row.text().to_owned()) }
            }
            ConnectionEvent::Notice(notice) => Self::Alerted { alert: notice.into() },
            ConnectionEvent::Discrepancy { device, row, .. } => {
                alerted(AlertKind::Discrepancy, Some(device), row.text())
            }
            ConnectionEvent::Forked(_) => {
                alerted(AlertKind::Forked, None, "devices of this account are shown different device lists")
            }
            ConnectionEvent::RolledBack { .. } => {
                alerted(AlertKind::RolledBack, None, "the relay shows an older device list than before")
            }
            ConnectionEvent::Silent { .. } => {
                alerted(AlertKind::Silent, None, "the device that holds the account has not been seen for long")
            }
            ConnectionEvent::Unreadable { from } => {
                alerted(AlertKind::Unreadable, Some(from), "a message that could not be opened was dropped")
            }
            ConnectionEvent::Withheld { from } => {
                alerted(AlertKind::Withheld, Some(from), "a message from a device that may not send now was dropped")
            }
            ConnectionEvent::SessionReset { peer } => {
                alerted(AlertKind::SessionReset, Some(peer), "the session with a device was made anew")
            }
            ConnectionEvent::Locked(row) => Self::Locked { reason: row.text().to_owned() },
            ConnectionEvent::Removed(reason) => Self::Removed { reason: reason.text().to_owned() },
            ConnectionEvent::Refused(_) => Self::Refused,
            ConnectionEvent::Failed(error) => Self::Failed { error: error.into() },
        }
    }
}
