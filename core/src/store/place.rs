//! The store's place on the disk: checks before SQLite is let near it, and the lock that keeps others out.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::StoreError;

/// A program that is just ending, or a child between fork and exec, may hold the lock for some milliseconds more.
const LOCK_TRIES: u32 = 25;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// The directory that holds `path`; the current one for a bare file name.
pub(super) fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// The right to use the store's file, held by a lock on a file beside it. The system lets go of it when the process ends, however it ends.
///
/// SQLite's own locks would do for two processes, but they are lost when another part of the same process opens and closes the file.
#[derive(Debug)]
pub(super) struct Place {
    _lock: File,
}

impl Place {
    /// Checks the path, takes the lock and makes sure that the file exists (empty when new, readable by its owner only).
    ///
    /// # Errors
    /// [`StoreError::MissingDirectory`], [`StoreError::IsDirectory`], [`StoreError::InUse`], [`StoreError::ReadOnlyDirectory`],
    /// [`StoreError::AccessDenied`], [`StoreError::DiskFull`], [`StoreError::Disk`].
    pub(super) fn claim(path: &Path) -> Result<Self, StoreError> {
        let directory = directory_of(path);
        match fs::metadata(directory) {
            Ok(found) if found.is_dir() => {}
            Err(e) if e.kind() == ErrorKind::PermissionDenied => {
                return Err(StoreError::AccessDenied { path: directory.to_owned() });
            }
            _ => return Err(StoreError::MissingDirectory { path: directory.to_owned() }),
        }
        let exists = match fs::metadata(path) {
            Ok(found) if found.is_dir() => return Err(StoreError::IsDirectory { path: path.to_owned() }),
            Ok(found) if !found.is_file() => return Err(StoreError::NotOurs { path: path.to_owned() }),
            Ok(_) => true,
            Err(e) if e.kind() == ErrorKind::NotFound => false,
            Err(e) => return Err(from_io(&e, path)),
        };
        let lock_path = lock_path_of(path);
        let lock = owner_only().create(true).truncate(false).open(&lock_path).map_err(|e| from_io(&e, &lock_path))?;
        acquire(&lock, path)?;
        if !exists {
            // Under the lock nobody else creates it, and a file that SQLite made would be readable by others.
            owner_only().create(true).truncate(false).open(path).map_err(|e| from_io(&e, path))?;
        }
        Ok(Self { _lock: lock })
    }
}

fn lock_path_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

fn owner_only() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn acquire(lock: &File, path: &Path) -> Result<(), StoreError> {
    for _ in 0..LOCK_TRIES {
        match lock.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(e)) => return Err(from_io(&e, path)),
        }
    }
    Err(StoreError::InUse { path: path.to_owned() })
}

/// Sorts an error of creating or opening `path` by what the user can do about it.
fn from_io(error: &Error, path: &Path) -> StoreError {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => StoreError::DiskFull,
        ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied if !path.exists() => {
            StoreError::ReadOnlyDirectory { path: directory_of(path).to_owned() }
        }
        // The file is there and the whole file system is read-only.
        ErrorKind::ReadOnlyFilesystem => StoreError::ReadOnlyDirectory { path: directory_of(path).to_owned() },
        ErrorKind::PermissionDenied => StoreError::AccessDenied { path: path.to_owned() },
        kind => StoreError::Disk { detail: kind.to_string() },
    }
}
