//! One SQLite file: a thread that writes, connections that read.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

use rusqlite::{Connection, Error, ErrorCode, OpenFlags, TransactionBehavior};
use tokio::sync::{Semaphore, oneshot};

use super::super::{StoreError, Stored};
use super::Durability;

/// Format of both files; a relay that finds a higher number leaves them alone.
const FORMAT: i64 = 1;
/// "PLRY": this file is a relay's.
const APPLICATION: i64 = 0x504c_5259;
/// Writes that one commit takes together.
const BATCH: usize = 256;
/// Reading connections.
const READERS: usize = 4;
/// Bytes of a page, set when a file is made.
const PAGE_BYTES: u32 = 4_096;
/// What SQLite can count.
const MOST_PAGES: u64 = 4_294_967_294;
/// Statements that each connection keeps prepared.
const STATEMENTS: usize = 32;

/// What a file needs.
#[derive(Clone, Copy)]
pub(super) struct Setup {
    pub(super) schema: &'static [&'static str],
    pub(super) most_bytes: u64,
    pub(super) durability: Durability,
}

/// One write, waiting for its turn.
trait Job: Send {
    /// Does the work inside a transaction. Called again when the transaction is rolled back for another's fault.
    fn work(&mut self, db: &Connection) -> rusqlite::Result<()>;
    /// Answers, after the commit.
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

struct Write<T, F> {
    work: F,
    result: Option<T>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Job for Write<T, F>
where
    T: Send,
    F: FnMut(&Connection) -> rusqlite::Result<T> + Send,
{
    fn work(&mut self, db: &Connection) -> rusqlite::Result<()> {
        self.result = Some((self.work)(db)?);
        Ok(())
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        let Self { result, reply, .. } = *self;
        let result = committed.and_then(|()| result.ok_or_else(gone));
        // Who asked may be gone: what is written stays.
        let _ = reply.send(result);
    }
}

/// One file.
pub(super) struct Lane {
    /// `None` while it is dropped.
    jobs: Option<mpsc::Sender<Box<dyn Job>>>,
    writer: Option<JoinHandle<()>>,
    readers: Arc<Readers>,
}

struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    seats: Semaphore,
}

impl Lane {
    /// Opens a file, makes it when missing, and starts its writing thread. Gives the reason when it cannot be used.
    pub(super) fn open(path: &Path, setup: Setup) -> Result<Self, String> {
        let writer = open_writer(path, setup)?;
        let (jobs, queue) = mpsc::channel();
        let thread = std::thread::Builder::new().name("relay-store".into());
        let thread = thread.spawn(move || write_all(writer, &queue)).map_err(|error| error.to_string())?;
        let readers = Readers { path: path.to_owned(), idle: Mutex::default(), seats: Semaphore::new(READERS) };
        Ok(Self { jobs: Some(jobs), writer: Some(thread), readers: Arc::new(readers) })
    }

    /// Does `work` in a transaction; the answer comes after the commit. `work` may run twice.
    pub(super) fn write<'a, T, F>(&self, work: F) -> Stored<'a, T>
    where
        T: Send + 'static,
        F: FnMut(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        // Queued now, not at the first poll: a caller that goes away does not take its write back.
        let job = Box::new(Write { work, result: None, reply });
        let queued = self.jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok());
        Box::pin(async move {
            if !queued {
                return Err(gone());
            }
            answer.await.map_err(|_| gone())?
        })
    }

    /// Reads what is committed.
    pub(super) fn read<'a, T, F>(&self, work: F) -> Stored<'a, T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let readers = self.readers.clone();
        Box::pin(async move {
            let _seat = readers.seats.acquire().await.map_err(|_| gone())?;
            let borrowed = readers.clone();
            let done = tokio::task::spawn_blocking(move || borrowed.run(work));
            done.await.map_err(|error| StoreError::Failed(error.into()))?
        })
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        drop(self.jobs.take());
        // The connection that closes last copies the journal into the file.
        self.readers.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

impl Readers {
    fn run<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let db = idle.map_or_else(|| open_reader(&self.path), Ok).map_err(from_sqlite)?;
        let result = work(&db).map_err(from_sqlite);
        if result.is_ok() {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(db);
        }
        result
    }
}

fn gone() -> StoreError {
    StoreError::Failed("the store is closed".into())
}

fn from_sqlite(error: Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full,
        _ => StoreError::Failed(error.into()),
    }
}

fn open_writer(path: &Path, setup: Setup) -> Result<Connection, String> {
    let words = |error: Error| error.to_string();
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut db = Connection::open_with_flags(path, flags).map_err(words)?;
    if db.is_readonly("main").map_err(words)? {
        return Err("it may not be written".into());
    }
    let [format, application]: [i64; 2] = [pragma(&db, "user_version")?, pragma(&db, "application_id")?];
    let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0)).map_err(words)?;
    if tables > 0 && application != APPLICATION {
        return Err("it is not a file of this program".into());
    }
    if format > FORMAT {
        return Err(format!("it is of a newer relay (format {format}, this one knows {FORMAT})"));
    }
    // Before the first table: space that is freed goes back to the disk, a little at every sweep.
    db.pragma_update(None, "page_size", PAGE_BYTES).map_err(words)?;
    db.pragma_update(None, "auto_vacuum", "INCREMENTAL").map_err(words)?;
    let mode: String = db.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0)).map_err(words)?;
    if !mode.eq_ignore_ascii_case("wal") {
        return Err(format!("the disk does not allow a write-ahead journal (it offers {mode})"));
    }
    let synchronous = match setup.durability {
        Durability::PowerCut => "FULL",
        Durability::ProgramEnd => "NORMAL",
    };
    db.pragma_update(None, "synchronous", synchronous).map_err(words)?;
    db.pragma_update(None, "fullfsync", true).map_err(words)?;
    let pages = setup.most_bytes.checked_div(u64::from(PAGE_BYTES)).unwrap_or(u64::MAX).clamp(64, MOST_PAGES);
    db.pragma_update_and_check(None, "max_page_count", i64::try_from(pages).unwrap_or(i64::MAX), |_| Ok(()))
        .map_err(words)?;
    db.set_prepared_statement_cache_capacity(STATEMENTS);
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(words)?;
    if format == 0 {
        for schema in setup.schema {
            transaction.execute_batch(schema).map_err(words)?;
        }
        transaction.pragma_update(None, "user_version", FORMAT).map_err(words)?;
        transaction.pragma_update(None, "application_id", APPLICATION).map_err(words)?;
    }
    transaction.commit().map_err(words)?;
    Ok(db)
}

/// Gives at most so many free pages back to the disk.
pub(super) fn shrink(db: &Connection, pages: u32) -> rusqlite::Result<()> {
    let mut freed = db.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
    let mut rows = freed.query(())?;
    while rows.next()?.is_some() {}
    Ok(())
}

fn pragma(db: &Connection, name: &str) -> Result<i64, String> {
    db.pragma_query_value(None, name, |row| row.get(0)).map_err(|error| error.to_string())
}

fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    // Not READ_ONLY: a reader may have to mend the journal's index after a crash.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.pragma_update(None, "query_only", true)?;
    db.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(db)
}

/// The writing thread, until the lane is dropped.
fn write_all(mut db: Connection, queue: &mpsc::Receiver<Box<dyn Job>>) {
    while let Ok(first) = queue.recv() {
        let mut jobs = vec![first];
        jobs.extend(queue.try_iter().take(BATCH.saturating_sub(1)));
        if commit(&mut db, &mut jobs).is_ok() {
            jobs.into_iter().for_each(|job| job.answer(Ok(())));
        } else {
            // One of them cannot be done: each by itself, so that only that one is refused.
            for job in jobs {
                let mut alone = [job];
                let done = commit(&mut db, &mut alone).map_err(from_sqlite);
                if let Err(error) = &done {
                    tracing::warn!(%error, "a write failed");
                }
                alone.into_iter().for_each(|job| job.answer(done.as_ref().copied().map_err(copy)));
            }
        }
    }
}

fn commit(db: &mut Connection, jobs: &mut [Box<dyn Job>]) -> rusqlite::Result<()> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for job in jobs {
        job.work(&transaction)?;
    }
    transaction.commit()
}

fn copy(error: &StoreError) -> StoreError {
    match error {
        StoreError::Full => StoreError::Full,
        StoreError::Failed(source) => StoreError::Failed(source.to_string().into()),
    }
}
