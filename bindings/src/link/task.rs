//! Work on threads of this library that ends with the call it is for, and what is dropped there.

use std::ops::Deref;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinHandle;

use crate::contain::planted_for_long;
use crate::error::PairlightError;
use crate::runtime::{handle, running};

/// Work of any call: one type of task for all of them, since each type is some kilobytes of tokio in every app.
type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Ends the work when its caller stops waiting.
struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
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
    let done = Arc::new(Mutex::new(None));
    let slot = Arc::clone(&done);
    let work = async move {
        let outcome = work.await;
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
    };
    run_boxed(name, Box::pin(work)).await?;
    let outcome = done.lock().unwrap_or_else(PoisonError::into_inner).take();
    outcome.unwrap_or(Err(PairlightError::Ended))
}

async fn run_boxed(name: &'static str, work: Work) -> Result<(), PairlightError> {
    let mut task = AbortOnDrop(handle()?.spawn(async move {
        planted_for_long(name).await;
        work.await;
    }));
    match (&mut task.0).await {
        Ok(()) => Ok(()),
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
        match running() {
            Some(threads) => drop(threads.spawn_blocking(move || drop(inner))),
            None => drop(inner),
        }
    }
}
