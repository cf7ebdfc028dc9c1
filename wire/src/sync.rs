//! Records that devices of an account keep in step, and what they say to each other about them. All of it travels as the
//! body of sealed envelopes (kinds 1, 4 and 7) or inside sealed chunks: the relay sees none of it.
//!
//! ```text
//! SyncRecord   one value under (collection, id), with the version that decides between two writers
//! Exchange     kind 7: a stretch of the sender's log, and how far the sender has seen the other's
//! Signal       kind 4: typing, presence, call set-up; never stored
//! History*     kind 1: what was before the link, in phases
//! ```

use crate::codec::{Bytes, List, Text, choice, record};
use crate::id::DeviceId;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Longest name of a collection, in bytes.
pub const COLLECTION_BYTES: usize = 32;
/// Longest id of a record, and of a group, in bytes.
pub const RECORD_ID_BYTES: usize = 64;
/// Longest content of a record, in bytes: one record fits an envelope.
pub const RECORD_BODY_BYTES: usize = 48 * 1024;
/// Most records in one exchange.
pub const EXCHANGE_RECORDS: usize = 4096;
/// Most records in one chunk of history.
pub const CHUNK_RECORDS: usize = 65_536;
/// Most chunks announced in one page.
pub const PAGE_CHUNKS: usize = 64;
/// Longest content of a signal, in bytes.
pub const SIGNAL_BYTES: usize = 16 * 1024;
/// Most runs of acknowledged chunks in one acknowledgement.
pub const ACK_RUNS: usize = 1024;

record! {
    /// What a record holds. A deleted record holds nothing.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Content [] {
        /// Records of one group are listed together: the conversation of a message. May be empty.
        pub group: Bytes<RECORD_ID_BYTES>,
        /// Place in the group and in time, usually ms since 1970; below 2^62.
        pub order: u64,
        /// The application's own bytes.
        pub body: Bytes<RECORD_BODY_BYTES>,
    }
}

record! {
    /// One record at one version. Of two with the same collection and id the one with the higher version stands.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct SyncRecord [] {
        /// Kind of record, of the application's choosing.
        pub collection: Text<COLLECTION_BYTES>,
        /// Names the record in its collection.
        pub id: Bytes<RECORD_ID_BYTES>,
        /// Hybrid logical clock: ms since 1970 in the upper 48 bits, a counter in the lower 16.
        pub clock: u64,
        /// The device that wrote this version.
        pub device: DeviceId,
        /// The content; `None` is a tombstone.
        pub content: Option<Content>,
    }
}

record! {
    /// A stretch of the sender's log, in order, without holes; and an acknowledgement of the other's.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Exchange [1] {
        /// Names the sender's log; another one means that its store is another.
        pub log: [u8; 8],
        /// The stretch begins after this position.
        pub from: u64,
        /// The stretch ends with this position; equal to `from` when there is nothing new.
        pub to: u64,
        /// The recipient's log, as far as the sender knows it; zeros when it does not.
        pub seen_log: [u8; 8],
        /// Up to where the sender has stored it.
        pub seen: u64,
        /// Something is missing: send again from `seen` on.
        pub again: bool,
        /// What changed in the stretch.
        pub records: List<SyncRecord, EXCHANGE_RECORDS>,
        /// Tombstones that every listed device has passed; only a primary device says so.
        pub dropped: List<Dropped, 1024>,
    }
}

record! {
    /// A tombstone that the primary device has dropped, because every listed device has it.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Dropped [] {
        /// Its collection.
        pub collection: Text<COLLECTION_BYTES>,
        /// Its id.
        pub id: Bytes<RECORD_ID_BYTES>,
        /// Its clock: a later version stays.
        pub clock: u64,
    }
}

record! {
    /// Something that matters only now.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Signal [1] {
        /// What it is: "typing", "presence", "call".
        pub name: Text<COLLECTION_BYTES>,
        /// When it was sent, ms since 1970 by the sender's clock.
        pub sent: u64,
        /// For how long it is worth anything, ms.
        pub life: u64,
        /// The application's own bytes.
        pub body: Bytes<SIGNAL_BYTES>,
    }
}

record! {
    /// A history begins, or begins anew. Holds the key of its chunks: zeroized on drop, redacted in `Debug`.
    #[derive(Clone, PartialEq, Eq)]
    pub struct HistoryStart [1] {
        /// Names this history.
        pub history: [u8; 16],
        /// From which the keys of its chunks are derived.
        pub key: [u8; 32],
        /// The sender's log.
        pub log: [u8; 8],
        /// What is later in the log comes in exchanges.
        pub snapshot: u64,
        /// How many records it will bring, all phases together.
        pub total: u64,
        /// The history that this one replaces.
        pub supersedes: Option<[u8; 16]>,
    }
}

impl ZeroizeOnDrop for HistoryStart {}

impl Drop for HistoryStart {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

impl core::fmt::Debug for HistoryStart {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("HistoryStart").field("total", &self.total).finish_non_exhaustive()
    }
}

record! {
    /// Phase 0: what the first screen needs, in the message itself.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct HistoryFirst [2] {
        /// The history.
        pub history: [u8; 16],
        /// 0, 1, 2 ...
        pub part: u64,
        /// Whether this is the last part.
        pub last: bool,
        /// The records.
        pub records: List<SyncRecord, EXCHANGE_RECORDS>,
    }
}
record! {
    /// A chunk that waits at the relay.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Chunk [] {
        /// 0, 1, 2 ... in one history.
        pub index: u64,
        /// The blob at the relay.
        pub blob: [u8; 32],
        /// Length of the sealed chunk, bytes.
        pub size: u64,
        /// SHA-256 of the sealed chunk.
        pub hash: [u8; 32],
        /// Newest place in it.
        pub newest: u64,
        /// Oldest place in it.
        pub oldest: u64,
        /// How many records.
        pub records: u64,
        /// 1 recent, 2 the rest, 3 asked for.
        pub phase: u8,
    }
}
record! {
    /// Announces chunks.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct HistoryPage [3] {
        /// The history.
        pub history: [u8; 16],
        /// The chunks.
        pub chunks: List<Chunk, PAGE_CHUNKS>,
    }
}
record! {
    /// Where a history stands, as its sender sees it.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct HistoryState [4] {
        /// The history.
        pub history: [u8; 16],
        /// Where it stands: 0 first screen, 1 recent, 2 the rest, 3 complete.
        pub phase: u8,
        /// How many chunks there are up to here.
        pub chunks: u64,
        /// The policy holds back what follows until this time, ms since 1970; 0 = it goes on; all ones = no time is set.
        pub held_until: u64,
    }
}
record! {
    /// A run of numbers, both ends included.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Run [] {
        /// First.
        pub first: u64,
        /// Last.
        pub last: u64,
    }
}
record! {
    /// What the receiver has stored, and what it cannot get.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct HistoryAck [5] {
        /// The history.
        pub history: [u8; 16],
        /// Parts of phase 0 that are stored.
        pub parts: u64,
        /// Chunks that are stored: sorted runs that do not touch.
        pub done: List<Run, ACK_RUNS>,
        /// Chunks whose blob is gone or does not open.
        pub want: List<Run, PAGE_CHUNKS>,
    }
}
record! {
    /// The receiver asks: for older records of a group (phase 3), or to begin anew.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct HistoryRequest [6] {
        /// Collection and group; `None` asks for the whole history anew.
        pub range: Option<HistoryRange>,
    }
}
record! {
    /// Older records of one group.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct HistoryRange [] {
        /// Collection.
        pub collection: Text<COLLECTION_BYTES>,
        /// Group.
        pub group: Bytes<RECORD_ID_BYTES>,
        /// Older than this place.
        pub before: u64,
        /// At most so many.
        pub count: u64,
    }
}
record! {
    /// Either side stops the transfer. What was stored stays; a request begins it again.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct HistoryCancel [7] {
        /// The history.
        pub history: [u8; 16],
    }
}
record! {
    /// Answer to a [`HistoryRange`]; applied like records of any phase.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct HistoryOlder [8] {
        /// The records.
        pub records: List<SyncRecord, EXCHANGE_RECORDS>,
        /// Whether nothing older is left.
        pub last: bool,
    }
}
choice! {
    /// Bodies of envelopes of kind 1.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub enum HistoryMessage {
        /// A history begins.
        Start(HistoryStart) = 1,
        /// The first screen.
        First(HistoryFirst) = 2,
        /// Chunks at the relay.
        Page(HistoryPage) = 3,
        /// Where it stands.
        State(HistoryState) = 4,
        /// What was stored.
        Ack(HistoryAck) = 5,
        /// A wish.
        Request(HistoryRequest) = 6,
        /// The end.
        Cancel(HistoryCancel) = 7,
        /// Older records of a group.
        Older(HistoryOlder) = 8,
    }
}

record! {
    /// Plaintext of a chunk before compression.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct ChunkRecords [1] {
        /// Newest first.
        pub records: List<SyncRecord, CHUNK_RECORDS>,
    }
}

impl SyncRecord {
    /// Order of versions: clock, then device, then the encoding. So two devices choose alike whatever arrives first.
    #[must_use]
    pub fn supersedes(&self, other: &Self) -> bool {
        use crate::codec::Wire;
        let (own, theirs) = ((self.clock, self.device), (other.clock, other.device));
        own > theirs || (own == theirs && self.encode() > other.encode())
    }
}
