//! The store of one machine: two SQLite files in a folder, WAL, one writing thread each.
//!
//! ```text
//! relay.db   signed lists, certificates of ops keys, mailboxes     what a backup must have
//! blobs.db   blobs in flight, up to 72 h old                       large, and made again when lost
//! lock       held while a relay uses the folder
//! ```
//!
//! A write is answered after its commit. With [`Durability::PowerCut`] that means after a sync of the disk, and what waits
//! meanwhile goes into the next commit together: many small writes share one sync.

mod blobs;
mod lane;
mod lists;
mod mail;

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use pairlight_wire::id::AccountId;
use pairlight_wire::sign::Signed;

use self::lane::{Lane, Setup};
use super::{
    BlobKey, BlobState, Deposit, Head, Mailbox, MailboxLimits, NewList, NewMail, NewPart, Numbered, PartStored, Store,
    Stored,
};
use crate::error::RelayError;

/// What an answered write survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Durability {
    /// The end of the program, however sudden, and a power cut
    #[default]
    PowerCut,
    /// The end of the program; a power cut may take the last writes, never the order or the soundness of the rest
    ProgramEnd,
}

/// How a [`SqliteStore`] is opened.
#[derive(Debug, Clone, Copy)]
pub struct SqliteOptions {
    /// Bytes that each of the two files may take; beyond, writes are refused as [`StoreError::Full`].
    pub most_bytes: u64,
    /// What an answered write survives.
    pub durability: Durability,
}

/// Lists, mailboxes and blobs in SQLite.
pub struct SqliteStore {
    relay: Lane,
    blobs: Lane,
    /// Held as long as the store is.
    _lock: File,
}

/// Rows that a sweep drops in one transaction: other writes get their turn in between.
const SWEEP_ROWS: usize = 1_000;
/// Blobs likewise; each has many rows.
const SWEEP_BLOBS: usize = 20;

impl SqliteStore {
    /// Opens the store in `folder`; both are made when missing.
    ///
    /// # Errors
    /// [`RelayError::Store`] when the folder or a file cannot be used, is of a newer relay, or is in use by another one.
    pub fn open(folder: &Path, options: SqliteOptions) -> Result<Self, RelayError> {
        make_private(folder).map_err(|error| fault(folder, error.to_string()))?;
        let lock = hold(&folder.join("lock"))?;
        let open = |name: &str, setup: Setup| {
            let path = folder.join(name);
            Lane::open(&path, setup).map_err(|reason| fault(&path, reason))
        };
        let most_bytes = options.most_bytes;
        let durability = options.durability;
        Ok(Self {
            relay: open("relay.db", Setup { schema: SCHEMA_RELAY, most_bytes, durability })?,
            blobs: open("blobs.db", Setup { schema: blobs::SCHEMA, most_bytes, durability })?,
            _lock: lock,
        })
    }
}

/// Lists and mailboxes.
const SCHEMA_RELAY: &[&str] = &[lists::SCHEMA, mail::SCHEMA];

fn fault(path: &Path, reason: String) -> RelayError {
    RelayError::Store { path: path.to_owned(), reason }
}

/// Only the relay's user may look into the folder: the metadata in it is nobody else's business.
fn make_private(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Two relays on one folder would not hear of each other's mail.
fn hold(path: &PathBuf) -> Result<File, RelayError> {
    let opened = OpenOptions::new().create(true).truncate(false).write(true).open(path);
    let file = opened.map_err(|error| fault(path, error.to_string()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(fault(path, "another relay uses this folder; stop it first".into())),
        Err(TryLockError::Error(error)) => Err(fault(path, error.to_string())),
    }
}

impl Store for SqliteStore {
    fn head(&self, account: AccountId) -> Stored<'_, Option<Head>> {
        self.relay.read(move |db| lists::head(db, account))
    }

    fn lists(&self, account: AccountId, from: u64, most: usize) -> Stored<'_, Vec<Signed>> {
        self.relay.read(move |db| lists::lists(db, account, from, most))
    }

    fn append(&self, new: NewList) -> Stored<'_, bool> {
        self.relay.write(move |db| lists::append(db, &new))
    }

    fn account_with_recovery(&self, recovery_pk: [u8; 32]) -> Stored<'_, Option<AccountId>> {
        self.relay.read(move |db| lists::with_recovery(db, &recovery_pk))
    }

    fn deposit(&self, mail: NewMail, limits: MailboxLimits) -> Stored<'_, Deposit> {
        self.relay.write(move |db| mail::deposit(db, &mail, limits))
    }

    fn mail(&self, to: Mailbox, after: u64, most: usize) -> Stored<'_, Vec<Numbered>> {
        self.relay.read(move |db| mail::mail(db, to, after, most))
    }

    fn acknowledge(&self, to: Mailbox, up_to: u64) -> Stored<'_, ()> {
        self.relay.write(move |db| mail::acknowledge(db, to, up_to))
    }

    fn drop_mailbox(&self, to: Mailbox) -> Stored<'_, ()> {
        self.relay.write(move |db| mail::drop_mailbox(db, to))
    }

    fn drop_mail_before(&self, oldest: u64) -> Stored<'_, ()> {
        Box::pin(async move {
            while self.relay.write(move |db| mail::drop_some_before(db, oldest, SWEEP_ROWS)).await? {}
            Ok(())
        })
    }

    fn add_part(&self, part: NewPart, room: u64) -> Stored<'_, PartStored> {
        self.blobs.write(move |db| blobs::add_part(db, &part, room))
    }

    fn blob(&self, blob: BlobKey) -> Stored<'_, Option<BlobState>> {
        self.blobs.read(move |db| blobs::state(db, blob))
    }

    fn read_blob(&self, blob: BlobKey, from: u64, most: usize) -> Stored<'_, Vec<u8>> {
        self.blobs.read(move |db| blobs::read(db, blob, from, most))
    }

    fn drop_blob(&self, blob: BlobKey) -> Stored<'_, ()> {
        self.blobs.write(move |db| blobs::drop_one(db, blob))
    }

    fn drop_blobs_before(&self, oldest: u64) -> Stored<'_, ()> {
        Box::pin(async move {
            while self.blobs.write(move |db| blobs::drop_some_before(db, oldest, SWEEP_BLOBS)).await? {}
            Ok(())
        })
    }
}

/// A number for a column. What is beyond is larger than anything stored.
fn column(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number of a column.
fn number(column: i64) -> u64 {
    u64::try_from(column).unwrap_or_default()
}
