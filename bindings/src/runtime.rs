//! Threads of our own: uniffi's default is one thread for everybody, which a slow disk would stop.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use crate::error::PairlightError;

static RUNTIME: OnceLock<Option<Runtime>> = OnceLock::new();

fn build() -> Option<Runtime> {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let name = || format!("pairlight-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    Builder::new_multi_thread().worker_threads(2).thread_name_fn(name).enable_all().build().ok()
}

/// Ends the work when its caller stops waiting.
struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Runs `work` on our threads and waits for it on the caller's. A panic in it becomes [`PairlightError::Internal`].
pub(crate) async fn run<T, W>(work: W) -> Result<T, PairlightError>
where
    T: Send + 'static,
    W: Future<Output = Result<T, PairlightError>> + Send + 'static,
{
    let runtime =
        RUNTIME.get_or_init(build).as_ref().ok_or_else(|| PairlightError::internal("no threads to be had"))?;
    let mut task = AbortOnDrop(runtime.spawn(work));
    match (&mut task.0).await {
        Ok(done) => done,
        Err(_) => Err(PairlightError::internal("a task ended unexpectedly")),
    }
}
