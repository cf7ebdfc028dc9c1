//! What an app hears of a live connection.

use std::fmt;
use std::time::Duration;

use pairlight_wire::envelope::EnvelopeKind;
use pairlight_wire::id::DeviceId;
use pairlight_wire::list::RemovalReason;
use pairlight_wire::relay::RefusalCode;
use pairlight_wire::standing::{Discrepancy, Notice, Standing};

use super::error::NetError;
use crate::Timestamp;
use crate::devices::{Action, ListFork};

/// What happens on a connection.
pub enum ConnectionEvent {
    /// Logged in.
    Online,
    /// The relay is out of reach; tried again by itself.
    Offline {
        /// Pause before the next try.
        retry_in: Duration,
    },
    /// A message from another device of the account.
    Message {
        /// Sender.
        from: DeviceId,
        /// What it is for.
        kind: EnvelopeKind,
        /// The content.
        body: Vec<u8>,
    },
    /// A message arrived that cannot be opened; it was dropped.
    Unreadable {
        /// Claimed sender.
        from: DeviceId,
    },
    /// The account has a new device list.
    ListChanged {
        /// Its epoch.
        epoch: u64,
    },
    /// A message arrived from a device that may not send now; it was dropped.
    Withheld {
        /// Sender.
        from: DeviceId,
    },
    /// A new lease came: this device may stay.
    Leased {
        /// Until when.
        until: Timestamp,
        /// What it may do.
        standing: Standing,
        /// Why not all.
        because: Option<Discrepancy>,
    },
    /// The primary device has been silent for long; the lease will end.
    Silent {
        /// For how long, ms.
        for_ms: u64,
    },
    /// The permission has ended: the store is sealed and its key dropped. Link the device again, after opening the store
    /// anew. Followed by `Removed` when nobody does.
    Locked(Discrepancy),
    /// Somebody shows different devices different lists. This device keeps its own and takes no other until the person
    /// decides; sessions go on.
    Forked(ListFork),
    /// The relay shows an older list than one that it showed before.
    RolledBack {
        /// The epoch that this device knows.
        known: u64,
        /// The epoch that the relay says is the newest.
        offered: u64,
    },
    /// On a primary device: something about a device does not add up.
    Discrepancy {
        /// The device.
        device: DeviceId,
        /// What.
        row: Discrepancy,
        /// What follows.
        follows: Action,
    },
    /// Something happened to a device of the account: on the other devices at once, on the primary device again later.
    Notice(Notice),
    /// The session with a device was made anew under the pinned keys.
    SessionReset {
        /// The device.
        peer: DeviceId,
    },
    /// A signed list proves that this device was removed; its keys and data are erased. The last event.
    Removed(RemovalReason),
    /// The relay refuses this device, without proof that it was removed: nothing is erased. The last event.
    Refused(RefusalCode),
    /// The store failed. The last event.
    Failed(NetError),
}

/// A message is shown without its content.
impl fmt::Debug for ConnectionEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Online => f.write_str("Online"),
            Self::Offline { retry_in } => f.debug_struct("Offline").field("retry_in", retry_in).finish(),
            Self::Message { from, kind, .. } => {
                f.debug_struct("Message").field("from", from).field("kind", kind).finish_non_exhaustive()
            }
            Self::Unreadable { from } => f.debug_struct("Unreadable").field("from", from).finish(),
            Self::ListChanged { epoch } => f.debug_struct("ListChanged").field("epoch", epoch).finish(),
            Self::Withheld { from } => f.debug_struct("Withheld").field("from", from).finish(),
            Self::Leased { until, standing, because } => {
                let mut leased = f.debug_struct("Leased");
                leased.field("until", until).field("standing", standing).field("because", because).finish()
            }
            Self::Silent { for_ms } => f.debug_struct("Silent").field("for_ms", for_ms).finish(),
            Self::Locked(row) => f.debug_tuple("Locked").field(row).finish(),
            Self::Forked(fork) => f.debug_tuple("Forked").field(fork).finish(),
            Self::RolledBack { known, offered } => {
                f.debug_struct("RolledBack").field("known", known).field("offered", offered).finish()
            }
            Self::Discrepancy { device, row, follows } => {
                let mut found = f.debug_struct("Discrepancy");
                found.field("device", device).field("row", row).field("follows", follows).finish()
            }
            Self::Notice(notice) => f.debug_tuple("Notice").field(notice).finish(),
            Self::SessionReset { peer } => f.debug_struct("SessionReset").field("peer", peer).finish(),
            Self::Removed(reason) => f.debug_tuple("Removed").field(reason).finish(),
            Self::Refused(code) => f.debug_tuple("Refused").field(code).finish(),
            Self::Failed(error) => f.debug_tuple("Failed").field(error).finish(),
        }
    }
}
