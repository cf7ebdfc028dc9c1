//! What outlives a connection: signed lists, mailboxes, blobs. Link slots are not here, on purpose.
//!
//! [`Store`] is the seam for a database: every method is one transaction, and what must be atomic (compare-and-swap of
//! a list, numbering of mail, the next part of a blob) is one method. What a method answered is durable, as far as the
//! store is. [`SqliteStore`] is for one machine; [`MemoryStore`] forgets all when it is dropped.

mod memory;
mod sqlite;

use std::pin::Pin;

use pairlight_wire::id::{AccountId, BlobId, DeviceId};
use pairlight_wire::sign::Signed;

pub use memory::MemoryStore;
pub use sqlite::{Durability, SqliteOptions, SqliteStore};

/// A device of an account: the owner of a mailbox.
pub type Mailbox = (AccountId, DeviceId);

/// The answer of a store, later.
pub type Stored<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// The store cannot do it now. The caller gets `Unavailable` and tries again.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No room for more.
    #[error("the store is full")]
    Full,
    /// The database failed.
    #[error("the store failed")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Certificates of ops keys that are kept for one account: leases of the one before must live through a renewal.
pub const OPS_KEPT: usize = 4;

/// A list as it was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredList {
    /// The signed list.
    pub list: Signed,
    /// The certificate of the ops key that came with it.
    pub ops: Signed,
}

/// The state of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The newest list.
    pub newest: StoredList,
    /// Certificates of the account's ops keys, the current one first, at most [`OPS_KEPT`].
    pub ops: Vec<Signed>,
}

/// A list to store.
#[derive(Debug, Clone)]
pub struct NewList {
    /// The account.
    pub account: AccountId,
    /// Its epoch.
    pub epoch: u64,
    /// Epoch of the newest stored list that it follows; `None`: the account is not known yet.
    pub after: Option<u64>,
    /// List and certificate.
    pub stored: StoredList,
    /// Whether the certificate becomes the account's current one.
    pub renews_ops: bool,
    /// Public recovery key that the list names.
    pub recovery: Option<[u8; 32]>,
    /// Lists of the account that stay, this one included: older ones are dropped.
    pub kept: u64,
}

/// One envelope to store.
#[derive(Debug, Clone)]
pub struct NewMail {
    /// For whom.
    pub to: Mailbox,
    /// From which device of the same account.
    pub from: DeviceId,
    /// The sender's number: the same one twice is stored once.
    pub reference: u64,
    /// The encoded envelope.
    pub envelope: Vec<u8>,
    /// Now, ms since 1970.
    pub at: u64,
}

/// What happened to an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deposit {
    /// Stored, with this number in the mailbox. Numbers start at 1 and only grow.
    Stored(u64),
    /// Stored before.
    Repeated,
    /// The mailbox is full.
    Full,
}

/// How much one mailbox holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailboxLimits {
    /// Bytes of all envelopes.
    pub bytes: usize,
    /// Envelopes.
    pub messages: usize,
}

/// An envelope and its number in the mailbox.
pub type Numbered = (u64, Vec<u8>);

/// A blob of an account.
pub type BlobKey = (AccountId, BlobId);

/// How much of a blob is there, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobState {
    /// Stored, from the beginning on.
    pub received: u64,
    /// When it is complete.
    pub total: u64,
}

/// The next part of a blob.
#[derive(Debug, Clone)]
pub struct NewPart {
    /// Of which blob. The part at offset 0 makes it.
    pub blob: BlobKey,
    /// Where it begins: what is stored already.
    pub offset: u64,
    /// Length of the whole blob.
    pub total: u64,
    /// The bytes; none in the part that only makes the blob.
    pub bytes: Vec<u8>,
    /// Now, ms since 1970.
    pub at: u64,
}

/// What happened to a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartStored {
    /// Stored; so much is there now.
    Stored(BlobState),
    /// It does not go there: another length, or another offset than what is stored. `None`: there is no such blob.
    Elsewhere(Option<BlobState>),
    /// The account has too much in flight.
    Full,
}

/// Bytes that a small blob counts for: its row is not free either.
pub const BLOB_LEAST: u64 = 4_096;

/// What a blob of `total` bytes counts for.
#[must_use]
pub fn blob_room(total: u64) -> u64 {
    total.max(BLOB_LEAST)
}

/// Lists, mailboxes and blobs.
pub trait Store: Send + Sync + 'static {
    /// The newest list of an account; `None` for an unknown account.
    fn head(&self, account: AccountId) -> Stored<'_, Option<Head>>;

    /// At most `most` signed lists from epoch `from` on, oldest first.
    fn lists(&self, account: AccountId, from: u64, most: usize) -> Stored<'_, Vec<Signed>>;

    /// Stores a list when the newest is the one that it follows, and says whether it did. Atomic.
    fn append(&self, new: NewList) -> Stored<'_, bool>;

    /// The account whose newest list names this recovery key. Where two do, the first that did.
    fn account_with_recovery(&self, recovery_pk: [u8; 32]) -> Stored<'_, Option<AccountId>>;

    /// Stores an envelope, unless the sender did so before. Atomic.
    fn deposit(&self, mail: NewMail, limits: MailboxLimits) -> Stored<'_, Deposit>;

    /// At most `most` envelopes with numbers above `after`, in order.
    fn mail(&self, to: Mailbox, after: u64, most: usize) -> Stored<'_, Vec<Numbered>>;

    /// Drops the envelopes up to a number.
    fn acknowledge(&self, to: Mailbox, up_to: u64) -> Stored<'_, ()>;

    /// Drops a mailbox of a removed device.
    fn drop_mailbox(&self, to: Mailbox) -> Stored<'_, ()>;

    /// Drops envelopes stored before `oldest`, ms since 1970.
    fn drop_mail_before(&self, oldest: u64) -> Stored<'_, ()>;

    /// Stores a part when it is the next one. `room`: bytes that all blobs of the account may take when complete. Atomic.
    fn add_part(&self, part: NewPart, room: u64) -> Stored<'_, PartStored>;

    /// How much of a blob is there; `None`: there is no such blob.
    fn blob(&self, blob: BlobKey) -> Stored<'_, Option<BlobState>>;

    /// Bytes of a blob from an offset on, at least one and at most `most`; none at the end of what is stored.
    fn read_blob(&self, blob: BlobKey, from: u64, most: usize) -> Stored<'_, Vec<u8>>;

    /// Drops a blob.
    fn drop_blob(&self, blob: BlobKey) -> Stored<'_, ()>;

    /// Drops blobs that were begun before `oldest`, ms since 1970.
    fn drop_blobs_before(&self, oldest: u64) -> Stored<'_, ()>;
}

/// References remembered for one sender and recipient, to know a repetition.
pub const REFERENCES_KEPT: usize = 1_024;
