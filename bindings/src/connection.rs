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
    /// This device was removed; its data is erased. The last event.
    Removed,
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
            ConnectionEvent::Removed(_) => LineEvent::Removed,
            ConnectionEvent::Refused(_) => LineEvent::Refused,
            ConnectionEvent::Failed(error) => LineEvent::Failed { error: error.into() },
        })
    }

    /// Seals a message for a device of the account and waits until the relay has stored it.
    pub async fn send(&self, to: String, body: Vec<u8>) -> Result<(), PairlightError> {
        Ok(self.0.send(device_id(&to)?, EnvelopeKind::Application, &body).await?)
    }
}
