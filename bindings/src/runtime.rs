//! Threads of our own: uniffi's default is one thread for everybody, which a slow disk would stop.

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;

use crate::contain::{contain, planted};
use crate::error::PairlightError;

/// Threads that drive sockets and timers. What blocks or computes has threads beside them.
const WORKERS: usize = 2;

static RUNTIME: Mutex<Option<Runtime>> = Mutex::new(None);

fn slot() -> MutexGuard<'static, Option<Runtime>> {
    RUNTIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The threads, started when they are first needed.
pub(crate) fn handle() -> Result<Handle, PairlightError> {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let mut slot = slot();
    if let Some(runtime) = slot.as_ref() {
        return Ok(runtime.handle().clone());
    }
    let name = || format!("pairlight-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let runtime = Builder::new_multi_thread().worker_threads(WORKERS).thread_name_fn(name).enable_all().build();
    let runtime = runtime.map_err(|_| PairlightError::internal("no threads to be had"))?;
    Ok(slot.insert(runtime).handle().clone())
}

/// Ends the work when its caller stops waiting.
struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Runs the body of the exported function `name` on our threads and waits for it on the caller's. A panic in it becomes
/// [`PairlightError::Internal`].
pub(crate) async fn run<T, W>(name: &'static str, work: W) -> Result<T, PairlightError>
where
    T: Send + 'static,
    W: Future<Output = Result<T, PairlightError>> + Send + 'static,
{
    let mut task = AbortOnDrop(handle()?.spawn(async move {
        planted(name);
        work.await
    }));
    match (&mut task.0).await {
        Ok(done) => done,
        Err(error) if error.is_panic() => Err(PairlightError::internal(name)),
        Err(_) => Err(PairlightError::Ended),
    }
}

/// Runs what blocks where that is allowed. Called on our threads.
pub(crate) async fn blocking<T, W>(work: W) -> Result<T, PairlightError>
where
    T: Send + 'static,
    W: FnOnce() -> Result<T, PairlightError> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) if error.is_panic() => Err(PairlightError::internal("a blocking call")),
        Err(_) => Err(PairlightError::Ended),
    }
}

/// Whether a flow has told its last event.
#[derive(Debug, Default)]
pub(crate) struct Over(AtomicBool);

impl Over {
    /// An event was told.
    pub(crate) fn told(&self, is_last: bool) {
        self.0.fetch_or(is_last, Ordering::Relaxed);
    }

    /// What follows when no event comes any more: nothing after the last one, once; else the threads were ended, or something
    /// below is broken, and the app must not wait for ever.
    pub(crate) fn end<T>(&self) -> Result<Option<T>, PairlightError> {
        if self.0.swap(true, Ordering::Relaxed) { Ok(None) } else { Err(PairlightError::Ended) }
    }
}

/// What is dropped on our threads: the last owner of a store closes its file, which may wait for the disk.
#[derive(Debug)]
pub(crate) struct Owned<T: Send + 'static>(Option<T>);

impl<T: Send + 'static> Owned<T> {
    pub(crate) fn new(inner: T) -> Self {
        Self(Some(inner))
    }
}

impl<T: Send + 'static> Deref for Owned<T> {
    type Target = T;

    #[expect(clippy::expect_used, reason = "emptied by drop alone, after which nobody can look")]
    fn deref(&self) -> &T {
        self.0.as_ref().expect("an owned thing is there until it is dropped")
    }
}

impl<T: Send + 'static> Drop for Owned<T> {
    fn drop(&mut self) {
        let inner = self.0.take();
        let threads = slot().as_ref().map(|runtime| runtime.handle().clone());
        match threads {
            Some(threads) => drop(threads.spawn_blocking(move || drop(inner))),
            None => drop(inner),
        }
    }
}

/// How busy this library is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Record)]
pub struct Activity {
    /// Threads that drive sockets and timers; 0 before the first call and after [`shutdown`].
    pub threads: u32,
    /// Calls, flows and lines that are alive.
    pub tasks: u32,
}

/// How busy this library is now; for tests, and for a developer's screen.
#[uniffi::export]
pub fn activity() -> Result<Activity, PairlightError> {
    contain("activity", || {
        let slot = slot();
        let Some(runtime) = slot.as_ref() else { return Ok(Activity { threads: 0, tasks: 0 }) };
        let metrics = runtime.metrics();
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Ok(Activity { threads: number(metrics.num_workers()), tasks: number(metrics.num_alive_tasks()) })
    })
}

/// Ends all threads and everything that runs on them, without waiting: flows and lines say that they have ended. What was
/// committed stays. A later call starts the threads anew.
#[uniffi::export]
pub fn shutdown() -> Result<(), PairlightError> {
    contain("shutdown", || {
        let runtime = slot().take();
        if let Some(runtime) = runtime {
            runtime.shutdown_background();
        }
        Ok(())
    })
}
