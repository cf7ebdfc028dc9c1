//! Where the rows of a store lie when the platform keeps them later and not at once: in a browser.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use super::host::spawn;
use crate::store::{KeptRow, Store, StoreError};

/// What is awaited until rows are kept.
pub type Kept = Pin<Box<dyn Future<Output = Result<(), StoreError>>>>;

/// Keeps the rows of a store: an IndexedDB database.
pub trait Keeper {
    /// Keeps all of these rows, or none: they survive the end of the browser when this is done. The next call comes after
    /// this one is done.
    fn keep(&self, rows: Vec<KeptRow>) -> Kept;
}

/// Hands over what a store wants kept, one transaction after the other.
pub(super) struct Keeping {
    keeper: Rc<dyn Keeper>,
    /// Fair: whoever waits has everything kept that was committed before it came.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// Rows could not be kept: memory and disk differ from then on.
    broken: Rc<Cell<bool>>,
}

impl Keeping {
    pub(super) fn new(keeper: Rc<dyn Keeper>) -> Self {
        Self { keeper, turn: Arc::default(), broken: Rc::default() }
    }

    pub(super) fn check(&self) -> Result<(), StoreError> {
        if self.broken.get() { Err(StoreError::Closed) } else { Ok(()) }
    }

    /// Keeps what is not kept yet. Of several that wait the first keeps for all.
    pub(super) async fn settle(&self, store: &Arc<Mutex<Store>>) -> Result<(), StoreError> {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        self.check()?;
        let rows = store.lock().unwrap_or_else(PoisonError::into_inner).unkept();
        if rows.is_empty() {
            return Ok(());
        }
        let (kept, broken) = (self.keeper.keep(rows), Rc::clone(&self.broken));
        // A task of its own: whoever is dropped while it waits must not leave it open whether they are kept.
        let keeping = spawn(async move {
            let done = kept.await;
            broken.set(done.is_err());
            drop(turn);
            done
        });
        keeping.await.unwrap_or(Err(StoreError::Closed))
    }
}

impl fmt::Debug for Keeping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keeping(..)")
    }
}
