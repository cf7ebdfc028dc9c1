//! Several changes that happen together or not at all.

use std::fmt;

use pairlight_wire::sync::SyncRecord;
use zeroize::Zeroizing;

use super::Table;

/// A list of changes for [`Store::commit`](super::Store::commit), applied in the order in which they were added.
///
/// A link that becomes durable is one batch: the link, its key and the list epoch, minus the pending link.
#[derive(Default)]
pub struct Batch {
    pub(super) changes: Vec<Change>,
    pub(super) merges: Vec<Merge>,
}

/// A record that comes in.
pub(super) struct Merge {
    pub(super) source: u8,
    pub(super) record: SyncRecord,
    /// What decides.
    pub(super) rule: Rule,
}

/// When a record that comes in stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// If its version is the higher one.
    Higher,
    /// The same; and a higher version of the same writer that is here counts as learned anew.
    HigherOrBack,
    /// Whatever is there.
    Always,
}

/// One step of a batch.
pub(super) struct Change {
    pub(super) table: Table,
    pub(super) id: Zeroizing<Vec<u8>>,
    /// `None` deletes.
    pub(super) value: Option<Zeroizing<Vec<u8>>>,
}

impl Batch {
    /// An empty batch; committing it does nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds: insert the row, or replace it when the id exists.
    pub fn put(&mut self, table: Table, id: &[u8], value: &[u8]) -> &mut Self {
        let (id, value) = (Zeroizing::new(id.to_vec()), Zeroizing::new(value.to_vec()));
        self.changes.push(Change { table, id, value: Some(value) });
        self
    }

    /// Adds: delete the row; a missing one is no error.
    pub fn delete(&mut self, table: Table, id: &[u8]) -> &mut Self {
        self.changes.push(Change { table, id: Zeroizing::new(id.to_vec()), value: None });
        self
    }

    /// Adds: the record stands unless the store has a higher version of it. `source` numbers whom it came from, 0 is
    /// this device; what comes from a device is not sent back to it.
    pub fn merge(&mut self, source: u8, record: SyncRecord) -> &mut Self {
        self.merges.push(Merge { source, record, rule: Rule::Higher });
        self
    }

    /// Adds: as [`Batch::merge`], from the device that wrote it. If a higher version of the same writer is here, the writer
    /// has given that one up, and does not know that it came here: it takes the next position of the log as if it was
    /// written here, so that everybody gets it, the writer too.
    pub fn merge_of_writer(&mut self, source: u8, record: SyncRecord) -> &mut Self {
        self.merges.push(Merge { source, record, rule: Rule::HigherOrBack });
        self
    }

    /// Adds: the record stands whatever version the store has: for one that no other device has seen.
    pub fn replace(&mut self, source: u8, record: SyncRecord) -> &mut Self {
        self.merges.push(Merge { source, record, rule: Rule::Always });
        self
    }

    /// Number of changes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.changes.len().saturating_add(self.merges.len())
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.merges.is_empty()
    }

    /// Whether a row of a table is put or deleted.
    #[must_use]
    pub fn touches(&self, table: Table) -> bool {
        self.changes.iter().any(|change| change.table == table)
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Ids name peers and values are keys: neither belongs into a log.
        write!(f, "Batch({} changes)", self.len())
    }
}
