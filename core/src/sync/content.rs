//! What an application writes, and what it hears.

use pairlight_wire::id::DeviceId;
use pairlight_wire::sync::{COLLECTION_BYTES, Content, RECORD_ID_BYTES, SyncRecord};
use pairlight_wire::{Bytes, Text};

use crate::session::SessionError;
use crate::store::{Store, StoreError};

/// Places at and beyond this are refused, so that they keep their order in the store.
const ORDER_END: u64 = 1 << 62;

/// Why records could not be written or taken.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The store failed; nothing was changed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A message could not be sealed; nothing was changed.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// A name, an id or a content is longer than a record may be. Shorten it, or make it an attachment.
    #[error("the {what} of a record has {len} bytes, at most {limit} are allowed")]
    TooLarge {
        /// What is too long.
        what: &'static str,
        /// Its length in bytes.
        len: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The place in time is beyond 2^62.
    #[error("the order {0} of a record is too large")]
    Order(u64),
    /// The stored state of the synchronisation cannot be read. The store is damaged.
    #[error("the stored state of the synchronisation is damaged. Repair the store")]
    Damaged,
    /// What the other device sent is not of this protocol.
    #[error("a message of another device is not of this protocol")]
    Protocol,
}

/// A write of the application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub(super) collection: Text<COLLECTION_BYTES>,
    pub(super) id: Bytes<RECORD_ID_BYTES>,
    pub(super) content: Option<Content>,
}

pub(super) fn limited<const MAX: usize>(what: &'static str, bytes: &[u8]) -> Result<Bytes<MAX>, SyncError> {
    Bytes::new(bytes.to_vec()).map_err(|bytes| SyncError::TooLarge { what, len: bytes.len(), limit: MAX })
}

pub(super) fn named(what: &'static str, name: &str) -> Result<Text<COLLECTION_BYTES>, SyncError> {
    if name.len() > COLLECTION_BYTES {
        return Err(SyncError::TooLarge { what, len: name.len(), limit: COLLECTION_BYTES });
    }
    Ok(Text::truncated(name))
}

impl Change {
    /// Writes `body` under `collection` and `id`. Records of one `group` are listed together, by `order`.
    ///
    /// # Errors
    /// [`SyncError::TooLarge`], [`SyncError::Order`].
    pub fn put(collection: &str, id: &[u8], group: &[u8], order: u64, body: &[u8]) -> Result<Self, SyncError> {
        if order >= ORDER_END {
            return Err(SyncError::Order(order));
        }
        Ok(Self {
            collection: named("collection", collection)?,
            id: limited("id", id)?,
            content: Some(Content { group: limited("group", group)?, order, body: limited("body", body)? }),
        })
    }

    /// Deletes what is under `collection` and `id`, also where it is not known yet.
    ///
    /// # Errors
    /// [`SyncError::TooLarge`].
    pub fn delete(collection: &str, id: &[u8]) -> Result<Self, SyncError> {
        Ok(Self { collection: named("collection", collection)?, id: limited("id", id)?, content: None })
    }

    /// Whether the record stands in the store with just this content: writing it would change nothing.
    ///
    /// # Errors
    /// [`SyncError::Store`].
    pub fn stands(&self, store: &Store) -> Result<bool, SyncError> {
        let known = store.record(self.collection.as_str(), self.id.as_slice())?;
        Ok(known.is_some_and(|logged| logged.record.content == self.content))
    }

    pub(super) fn at(self, clock: u64, device: DeviceId) -> SyncRecord {
        SyncRecord { collection: self.collection, id: self.id, clock, device, content: self.content }
    }
}

/// A record that changed here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedRecord {
    /// Its collection.
    pub collection: String,
    /// Its id.
    pub id: Vec<u8>,
    /// Its group; `None` when it was deleted.
    pub group: Option<Vec<u8>>,
    /// Whether this device wrote it, and not another one.
    pub is_own: bool,
    /// Whether it came with a history: it is old, and thousands may come at once.
    pub is_history: bool,
}

impl ChangedRecord {
    pub(super) fn of(record: &SyncRecord, is_own: bool, is_history: bool) -> Self {
        Self {
            collection: record.collection.as_str().to_owned(),
            id: record.id.as_slice().to_vec(),
            group: record.content.as_ref().map(|content| content.group.as_slice().to_vec()),
            is_own,
            is_history,
        }
    }
}

/// Whether a record of another device may be taken.
pub(super) fn is_sound(record: &SyncRecord) -> bool {
    record.clock < 1 << 63 && record.content.as_ref().is_none_or(|content| content.order < ORDER_END)
}
