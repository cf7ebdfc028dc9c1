//! Where a test may look over the store's shoulder: write points for crash tests, a page limit to act a full disk.

/// A place in a write at which a crash is interesting. Reported in the order in which they are passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WritePoint {
    /// The store's file is there and empty.
    FileReady,
    /// A transaction was opened to create or upgrade the format.
    SchemaBegun,
    /// Tables and the wrapped key are written, not committed.
    SchemaWritten,
    /// The new format is durable.
    SchemaCommitted,
    /// A transaction was opened for a batch or a rekey.
    Begun,
    /// One row of it was written or deleted, not committed.
    RowWritten,
    /// All of it is written, not committed.
    Written,
    /// It is durable; the caller has not been told yet.
    Committed,
    /// The journal is about to be copied into the main file.
    CheckpointBegun,
    /// The journal was copied and emptied.
    CheckpointDone,
}

/// Settings of [`Store::open_probed`](super::Store::open_probed). For tests.
#[derive(Default)]
pub struct Probe {
    /// Called at each write point, on the thread that writes.
    pub on_write: Option<Box<dyn FnMut(WritePoint) + Send>>,
    /// Most pages of 4096 bytes that the file may have; more is reported as a full disk.
    pub max_pages: Option<u32>,
}

impl Probe {
    pub(super) fn pass(&mut self, point: WritePoint) {
        if let Some(on_write) = &mut self.on_write {
            on_write(point);
        }
    }
}
