//! What can go wrong between the store and the disk, sorted by fault.

use std::path::PathBuf;

use super::Table;

/// Why the store refused or failed. `Display` says first what is wrong, then what to do; it never holds a row id, a value or a key.
///
/// Unless a variant says otherwise, a failed write changed nothing and the store stays usable.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    // -- bad bytes
    /// The file is not a Pairlight store: another program's database or no database at all. It was not changed. Ask for another path.
    #[error("{} is not a Pairlight store. Choose another file, or move this one away", path.display())]
    NotOurs {
        /// The file that was looked at.
        path: PathBuf,
    },
    /// One row, or the part of the file that holds this table, was changed by somebody else than this program. Other rows remain
    /// readable. Drop the affected link and pair again.
    #[error("a record in table \"{table}\" was damaged or altered. Unlink the affected device and link it again")]
    Corrupt {
        /// The table of the damaged row; its id is a secret and stays out.
        table: Table,
    },
    /// The database structure itself is broken: bad disk, a half copied file, or tampering. Restore a backup or start anew.
    #[error("the store file is damaged. Restore it from a backup, or remove it and link the devices again")]
    Damaged,

    // -- peer incompatible
    /// A newer program wrote this store. It was not changed. Update this program.
    #[error("the store has format {found}, this program knows up to {supported}. Update Pairlight and try again")]
    Newer {
        /// Format number found in the file.
        found: i64,
        /// Newest format number that this program reads.
        supported: i64,
    },

    // -- keys
    /// The key that seals the store could not be wrapped or unwrapped; nothing was read or changed.
    #[error(transparent)]
    Key(#[from] KeyWrapError),

    // -- misuse by our caller
    /// An id or a value is longer than a record may be; the whole batch was refused.
    #[error("a {what} of {len} bytes is too long for the store, at most {limit} are allowed")]
    TooLarge {
        /// `"id"` or `"value"`.
        what: &'static str,
        /// Length that was asked for, in bytes.
        len: usize,
        /// Longest allowed length, in bytes.
        limit: usize,
    },
    /// The data key has sealed as many records as is safe. Call [`Store::rekey`](super::Store::rekey), then repeat.
    #[error("the store's key has been used too often. Renew it (rekey) and try again")]
    KeyExhausted,
    /// The permission of this device has ended, so its key was dropped. Open the store again to link the device anew.
    #[error("the store is locked: this device's permission has ended. Start again and link it anew")]
    Locked,
    /// The disk failed during an earlier write, so what is durable is unknown. Drop this store and open it again.
    #[error("the store was closed after a disk error. Open it again")]
    Closed,

    // -- environment
    /// Another process, or another handle in this one, has the store open. Close it; there is no waiting queue.
    #[error("another pairlight is using this store ({}). Close it and try again", path.display())]
    InUse {
        /// The store's file.
        path: PathBuf,
    },
    /// The directory that should hold the store does not exist. Create it.
    #[error("the directory {} does not exist. Create it and try again", path.display())]
    MissingDirectory {
        /// The missing directory.
        path: PathBuf,
    },
    /// There is a directory where the store's file should be. Give the path of a file.
    #[error("{} is a directory. Give the path of a file in it", path.display())]
    IsDirectory {
        /// The path that was given.
        path: PathBuf,
    },
    /// The store's file may not be written.
    #[error("{} cannot be written. Make the file writable for your user, or choose another path", path.display())]
    ReadOnlyFile {
        /// The store's file.
        path: PathBuf,
    },
    /// The directory may not be written, so neither the store nor its journal can be created.
    #[error("the directory {} cannot be written. Make it writable for your user, or choose another path", path.display())]
    ReadOnlyDirectory {
        /// The directory.
        path: PathBuf,
    },
    /// The operating system denies access to the path.
    #[error("access to {} was denied. Check who owns it and its permissions", path.display())]
    AccessDenied {
        /// The path that was refused.
        path: PathBuf,
    },
    /// No space left. The write was undone as a whole; free some space and repeat it.
    #[error("the disk is full, nothing was changed. Free some space and try again")]
    DiskFull,
    /// Reading, writing or syncing failed. Whether an unfinished batch is there shows after reopening: wholly or not at all.
    #[error("the disk reported an error ({detail}). Check the disk, then open the store again")]
    Disk {
        /// SQLite's or the system's words; no content of the store.
        detail: String,
    },
}

/// Why the store's data key could not be wrapped or unwrapped.
#[derive(Debug, thiserror::Error)]
pub enum KeyWrapError {
    /// The wrapping key is not the one that sealed this store (another key file, another device's key store), or the wrapped key was
    /// altered: the two cannot be told apart. Give the right key.
    #[error("this key does not open the store. Use the key that it was created with")]
    WrongKey,
    /// The passphrase is wrong, or the wrapped key was altered: the two cannot be told apart. Ask again.
    #[error("wrong passphrase. Try again")]
    WrongPassphrase,
    /// An empty passphrase would be no protection. Ask for another.
    #[error("the passphrase is empty. Choose one with at least one character")]
    EmptyPassphrase,
    /// The wrapped key has another form: it was wrapped by another kind of key, or altered.
    #[error(
        "the store was sealed with another kind of key. Use the same kind (key file, passphrase, system key store) as before"
    )]
    OtherKind,
    /// The cost of the passphrase hash is out of bounds: misuse when wrapping, a hostile file when unwrapping.
    #[error(
        "the passphrase hash asks for {memory_kib} KiB, {passes} passes, {lanes} lanes, which is refused. Restore the store from a backup"
    )]
    CostRefused {
        /// Memory, KiB.
        memory_kib: u32,
        /// Passes over the memory.
        passes: u32,
        /// Lanes.
        lanes: u32,
    },
    /// Not enough free memory for the passphrase hash. Close other programs and repeat.
    #[error("not enough memory to check the passphrase. Close other programs and try again")]
    OutOfMemory,
    /// The key file does not exist. Without it the store cannot be opened.
    #[error("the key file {} does not exist. Restore it from a backup, or remove the store and link the devices again", path.display())]
    KeyFileMissing {
        /// Path of the key file.
        path: PathBuf,
    },
    /// A key file is there already and is never overwritten.
    #[error("the key file {} exists already. Open it, or choose another path", path.display())]
    KeyFileExists {
        /// Path of the key file.
        path: PathBuf,
    },
    /// Other users of this computer may read or write the key file.
    #[error("other users can access the key file {} (mode {mode:03o}). Run: chmod 600 '{}'", path.display(), path.display())]
    KeyFileExposed {
        /// Path of the key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file at this path has not the length of a key, or is no regular file.
    #[error("{} is not a Pairlight key file. Choose another path, or restore the file from a backup", path.display())]
    NotAKeyFile {
        /// Path of the key file.
        path: PathBuf,
    },
    /// The system failed to read or write the key file.
    #[error("the key file {} could not be used: {source}", path.display())]
    KeyFileDisk {
        /// Path of the key file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The platform's key store did not answer: locked device, cancelled biometric prompt, removed key. Unlock and repeat.
    #[error("the system's key store did not release the key ({reason}). Unlock the device and try again")]
    Unavailable {
        /// The platform's words; no key material.
        reason: String,
    },
}
