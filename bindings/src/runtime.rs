//! Threads of our own: uniffi's default is one thread for everybody, which a slow disk would stop.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::runtime::{Builder, Handle, Runtime};

use crate::contain::contain;
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

/// The threads, if there are any.
#[cfg(feature = "link")]
pub(crate) fn running() -> Option<Handle> {
    slot().as_ref().map(|runtime| runtime.handle().clone())
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
