//! One SQLite file, set up so that what was committed survives a power cut: settings, transactions, and what SQLite's errors mean.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, Error, ErrorCode, OpenFlags, Transaction, TransactionBehavior, ffi};

use super::memory::KeptRow;
use super::migration::{self, Format};
use super::rows::{Body, Points, ReadRows, Rows, SCHEMA};
use super::seal::MAX_SEALED_LEN;
use super::sql::Sql;
use super::{Probe, StoreError, WritePoint};

/// How long to wait for a foreign SQLite program (a backup tool) to let go of the file.
const BUSY_TIMEOUT: Duration = Duration::from_millis(500);

/// Pages in the journal at which a commit copies them into the file, whoever waits: 4 MB.
const JOURNAL_PAGES: u32 = 1000;
/// Bytes to which the journal is cut when it begins anew.
const JOURNAL_BYTES: u32 = 4 << 20;
/// Commits in the journal from which on it is worth copying in a quiet moment.
const COMMITS_TO_COPY: u32 = 16;

/// An open file whose format was recognised.
pub(super) struct Database {
    conn: Connection,
    probe: Probe,
    path: PathBuf,
    /// Set by a disk error in a write: memory and disk may differ from then on.
    broken: bool,
    /// Commits since the journal was last copied in a quiet moment, and how many of them the look before this one saw.
    commits: (u32, u32),
}

impl Database {
    /// Opens an existing (maybe empty) file and finds out whose it is, without changing it. Gives the format number, 0 for a new one.
    ///
    /// # Errors
    /// [`StoreError::NotOurs`], [`StoreError::Newer`], [`StoreError::ReadOnlyFile`], [`StoreError::InUse`], [`StoreError::Damaged`] and
    /// what the system may say.
    pub(super) fn open(path: &Path, probe: Probe) -> Result<(Self, i64), StoreError> {
        // Neither CREATE (the file is there) nor URI (a path is a path, even if it begins with "file:").
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(path, flags).map_err(|e| match e.sqlite_error_code() {
            Some(ErrorCode::CannotOpen) => StoreError::AccessDenied { path: path.to_owned() },
            _ => from_sqlite(&e, path),
        })?;
        let db = Self { conn, probe, path: path.to_owned(), broken: false, commits: (0, 0) };
        // SQLite falls back to reading when it may not write.
        if db.sql(|conn| conn.is_readonly("main"))? {
            return Err(StoreError::ReadOnlyFile { path: path.to_owned() });
        }
        match db.sql(recognise)? {
            Format::Empty => Ok((db, 0)),
            Format::Ours(found) if found > migration::SUPPORTED => {
                Err(StoreError::Newer { found, supported: migration::SUPPORTED })
            }
            Format::Ours(found) => Ok((db, found)),
            Format::Foreign => Err(StoreError::NotOurs { path: path.to_owned() }),
        }
    }

    /// Makes the file ready for writing. From here on it may change.
    pub(super) fn prepare(&mut self) -> Result<(), StoreError> {
        let max_pages = self.probe.max_pages;
        let mode = self.sql(|conn| {
            let mode: String = conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
            // FULL syncs the journal at every commit; on Apple systems only these two reach the platter.
            conn.pragma_update(None, "synchronous", "FULL")?;
            conn.pragma_update(None, "fullfsync", true)?;
            conn.pragma_update(None, "checkpoint_fullfsync", true)?;
            // The journal is copied when it is quiet, see `tend`: a message that has to wait for it is late.
            conn.pragma_update_and_check(None, "wal_autocheckpoint", JOURNAL_PAGES, |_| Ok(()))?;
            conn.pragma_update_and_check(None, "journal_size_limit", JOURNAL_BYTES, |_| Ok(()))?;
            // Deleted rows are overwritten, nothing spills into temporary files.
            conn.pragma_update_and_check(None, "secure_delete", true, |_| Ok(()))?;
            conn.pragma_update(None, "temp_store", "MEMORY")?;
            conn.pragma_update(None, "foreign_keys", true)?;
            if let Some(pages) = max_pages {
                conn.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
            }
            Ok(mode)
        })?;
        if mode.eq_ignore_ascii_case("wal") {
            Ok(())
        } else {
            Err(StoreError::Disk { detail: format!("journal mode {mode}") })
        }
    }

    /// Ends the cautious phase: closing may now copy the journal into the file and remove it.
    pub(super) fn accept(&mut self) -> Result<(), StoreError> {
        self.sql(|conn| conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)).map(drop)
    }

    /// Reads with SQLite's errors sorted.
    pub(super) fn sql<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        if self.broken {
            return Err(StoreError::Closed);
        }
        read(&self.conn).map_err(|e| from_sqlite(&e, &self.path))
    }

    /// Brings the file from format `found` to the newest, and does what else belongs to that.
    pub(super) fn upgrade(&mut self, found: i64, body: &mut Body<'_>) -> Result<(), StoreError> {
        self.transact(SCHEMA, |conn, path, probe| {
            migration::migrate(conn, found, migration::MIGRATIONS).map_err(|error| from_sqlite(&error, path))?;
            body(&mut Sql::new(conn, path), probe)
        })
    }

    /// Runs `body` in one transaction: all of it becomes durable, or, after any error, none.
    fn transact(
        &mut self,
        [begun, written, committed]: Points,
        body: impl FnOnce(&Transaction<'_>, &Path, &mut Probe) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        if self.broken {
            return Err(StoreError::Closed);
        }
        let (conn, probe, path) = (&mut self.conn, &mut self.probe, self.path.as_path());
        let sorted = |error: Error| from_sqlite(&error, path);
        let outcome = conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sorted).and_then(|tx| {
            probe.pass(begun);
            body(&tx, path, probe)?;
            probe.pass(written);
            tx.commit().map_err(sorted)
        });
        if let Err(error) = outcome {
            // After a failed sync the commit may still turn up at the next opening, so only that may tell what is durable.
            self.broken = matches!(error, StoreError::Disk { .. }) || !self.conn.is_autocommit();
            return Err(error);
        }
        self.probe.pass(committed);
        self.commits.0 = self.commits.0.saturating_add(1);
        Ok(())
    }
}

impl Rows for Database {
    fn read(&self, look: &mut dyn FnMut(&dyn ReadRows) -> Result<(), StoreError>) -> Result<(), StoreError> {
        if self.broken {
            return Err(StoreError::Closed);
        }
        look(&Sql::new(&self.conn, &self.path))
    }

    fn write(&mut self, points: Points, body: &mut Body<'_>) -> Result<(), StoreError> {
        self.transact(points, |tx, path, probe| body(&mut Sql::new(tx, path), probe))
    }

    /// Copies the journal into the file and empties it.
    fn scrub(&mut self) -> Result<(), StoreError> {
        self.probe.pass(WritePoint::CheckpointBegun);
        let busy: i64 = self.sql(|conn| conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)))?;
        self.probe.pass(WritePoint::CheckpointDone);
        if busy == 0 { Ok(()) } else { Err(StoreError::InUse { path: self.path.clone() }) }
    }

    fn tend(&mut self) -> Result<bool, StoreError> {
        let (commits, seen) = self.commits;
        if commits < COMMITS_TO_COPY {
            return Ok(false);
        }
        if commits != seen {
            self.commits.1 = commits;
            return Ok(true);
        }
        self.probe.pass(WritePoint::CheckpointBegun);
        self.sql(|conn| conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())))?;
        self.probe.pass(WritePoint::CheckpointDone);
        self.commits = (0, 0);
        Ok(false)
    }

    fn is_sound(&self) -> Result<bool, StoreError> {
        let verdict: String = self.sql(|conn| conn.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)))?;
        Ok(verdict == "ok")
    }

    fn unkept(&mut self) -> Vec<KeptRow> {
        Vec::new()
    }
}

/// Guards the connection against a hostile file, takes SQLite's exclusive lock and looks at the format.
fn recognise(conn: &Connection) -> rusqlite::Result<Format> {
    conn.busy_timeout(BUSY_TIMEOUT)?;
    for (setting, on) in [
        // Until the file has proved to be ours and the key to be right, closing it must not change it.
        (DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true),
        // The store has no triggers and views, so one in the file was planted.
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
    ] {
        conn.set_db_config(setting, on)?;
    }
    conn.set_limit(Limit::SQLITE_LIMIT_LENGTH, MAX_SEALED_LEN)?;
    conn.pragma_update(None, "cell_size_check", true)?;
    // Set before the first access, this also keeps the journal's index in memory: no third file, no shared memory map.
    conn.pragma_update_and_check(None, "locking_mode", "EXCLUSIVE", |_| Ok(()))?;
    migration::format_of(conn)
}

/// Sorts SQLite's errors by what the user can do about them.
pub(super) fn from_sqlite(error: &Error, path: &Path) -> StoreError {
    let path = || path.to_owned();
    let Error::SqliteFailure(failure, _) = error else {
        // A row or a column that is not what this program writes.
        return StoreError::Damaged;
    };
    match failure.code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => StoreError::InUse { path: path() },
        ErrorCode::DiskFull => StoreError::DiskFull,
        // The file itself was opened before; what cannot be opened now is the journal beside it.
        ErrorCode::CannotOpen => StoreError::ReadOnlyDirectory { path: super::place::directory_of(&path()).to_owned() },
        ErrorCode::ReadOnly if failure.extended_code == ffi::SQLITE_READONLY_DIRECTORY => {
            StoreError::ReadOnlyDirectory { path: super::place::directory_of(&path()).to_owned() }
        }
        ErrorCode::ReadOnly => StoreError::ReadOnlyFile { path: path() },
        ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied => {
            StoreError::AccessDenied { path: path() }
        }
        ErrorCode::NotADatabase => StoreError::NotOurs { path: path() },
        // A plain "SQL error" is a missing table or a planted view: our own statements are correct.
        ErrorCode::DatabaseCorrupt
        | ErrorCode::TooBig
        | ErrorCode::ConstraintViolation
        | ErrorCode::TypeMismatch
        | ErrorCode::SchemaChanged
        | ErrorCode::Unknown => StoreError::Damaged,
        code => StoreError::Disk { detail: format!("{code:?}, SQLite {}", failure.extended_code) },
    }
}
