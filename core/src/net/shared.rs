//! One store, used by several tasks, never on a thread that must not block.

use std::sync::{Arc, Mutex, PoisonError};

use super::error::NetError;
use crate::store::{Store, StoreError};

/// A store behind a lock. Cloning shares it.
#[derive(Debug, Clone)]
pub struct SharedStore(Arc<Mutex<Store>>);

impl SharedStore {
    /// Shares a store.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self(Arc::new(Mutex::new(store)))
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
        let store = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || {
            // A panic while the lock was held leaves SQLite's own transaction rolled back: the store is still sound.
            let mut store = store.lock().unwrap_or_else(PoisonError::into_inner);
            work(&mut store)
        });
        Ok(done.await.map_err(|_| NetError::Ended)??)
    }
}
