//! One store, used by several tasks, never on a thread that must not block.

use std::sync::{Arc, Mutex, PoisonError};

use super::error::NetError;
use crate::store::{Store, StoreError};

/// A store behind a lock. Cloning shares it.
#[derive(Debug, Clone)]
pub struct SharedStore {
    store: Arc<Mutex<Store>>,
    #[cfg(target_arch = "wasm32")]
    keeping: std::rc::Rc<super::keeping::Keeping>,
}

#[cfg(not(target_arch = "wasm32"))]
impl SharedStore {
    /// Shares a store.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store: Arc::new(Mutex::new(store)) }
    }

    /// Runs `work` on the store, where blocking is allowed.
    ///
    /// # Errors
    /// What `work` says, or [`NetError::Ended`] when the runtime shuts down meanwhile.
    pub async fn run<T, W>(&self, work: W) -> Result<T, NetError>
    where
        T: Send + 'static,
        W: FnOnce(&mut Store) -> Result<T, StoreError> + Send + 'static,
    {
        let done = Arc::new(Mutex::new(None));
        let slot = Arc::clone(&done);
        let work = move |store: &mut Store| {
            let outcome = work(store);
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
        };
        self.run_boxed(Box::new(work)).await?;
        let outcome = done.lock().unwrap_or_else(PoisonError::into_inner).take();
        Ok(outcome.ok_or(NetError::Ended)??)
    }

    /// One type of task for all that runs on a store: each type is some kilobytes of tokio, and there are ninety callers.
    async fn run_boxed(&self, work: Box<dyn FnOnce(&mut Store) + Send>) -> Result<(), NetError> {
        let store = Arc::clone(&self.store);
        let done = tokio::task::spawn_blocking(move || {
            // A panic while the lock was held leaves SQLite's own transaction rolled back: the store is still sound.
            let mut store = store.lock().unwrap_or_else(PoisonError::into_inner);
            work(&mut store);
        });
        done.await.map_err(|_| NetError::Ended)
    }

    /// Waits until all that was committed is durable: here it is when the commit returns.
    #[expect(clippy::unused_async, reason = "in a browser this waits, and can fail")]
    pub(super) async fn settled(&self) -> Result<(), NetError> {
        Ok(())
    }
}

#[cfg(target_arch = "wasm32")]
impl SharedStore {
    /// Shares a store whose rows `keeper` keeps.
    #[must_use]
    pub fn kept_by(store: Store, keeper: std::rc::Rc<dyn super::Keeper>) -> Self {
        let keeping = std::rc::Rc::new(super::keeping::Keeping::new(keeper));
        Self { store: Arc::new(Mutex::new(store)), keeping }
    }

    /// Runs `work` on the store, and returns when what it changed is kept.
    ///
    /// # Errors
    /// What `work` says; [`StoreError::Closed`] after rows could not be kept.
    pub async fn run<T, W>(&self, work: W) -> Result<T, NetError>
    where
        W: FnOnce(&mut Store) -> Result<T, StoreError>,
    {
        self.keeping.check()?;
        let done = work(&mut self.store.lock().unwrap_or_else(PoisonError::into_inner));
        self.settled().await?;
        Ok(done?)
    }

    /// Waits until all that was committed is kept. Nothing that depends on it may leave this device before.
    pub(super) async fn settled(&self) -> Result<(), NetError> {
        Ok(self.keeping.settle(&self.store).await?)
    }
}
