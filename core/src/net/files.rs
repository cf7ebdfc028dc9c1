//! Files between devices: sealed pieces through blobs at the relay, in a task of their own, so that neither the messages nor
//! the history wait for them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pairlight_wire::file::FilePieces;
use pairlight_wire::id::BlobId;
use tokio::sync::Notify;

use super::blobs::Blobs;
use super::clock::system_rng;
use super::error::NetError;
use super::host::{sleep, timeout};
use super::shared::SharedStore;
use super::syncing::Syncing;
use crate::store::Store;
use crate::sync::FileOrder;

/// How often it is looked for what has no answer.
const LOOK: Duration = Duration::from_secs(30);
/// Pause after a failed transfer.
const PAUSE: Duration = Duration::from_secs(2);
/// Orders and answers that wait. Whoever asked for one that does not fit asks again.
const WAITING: usize = 64;

/// What waits to be moved. In memory only: whoever waits for it asks again.
#[derive(Default)]
pub(super) struct Files {
    work: Mutex<VecDeque<Work>>,
    wake: Notify,
}

enum Work {
    /// Another device waits for these.
    Leave(FileOrder),
    /// These wait for this one.
    Fetch(FilePieces),
}

impl Files {
    fn push(&self, work: Work) {
        let mut waiting = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < WAITING {
            waiting.push_back(work);
            self.wake.notify_one();
        }
    }

    pub(super) fn order(&self, order: FileOrder) {
        self.push(Work::Leave(order));
    }

    pub(super) fn arrive(&self, pieces: FilePieces) {
        self.push(Work::Fetch(pieces));
    }

    fn next(&self) -> Option<Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

/// Moves files as long as the connection lives.
pub(super) async fn transfer(shared: Arc<Syncing>, store: SharedStore, blobs: Blobs) {
    loop {
        let moved = match shared.files().next() {
            Some(Work::Leave(order)) => leave(&shared, &store, &blobs, order).await,
            Some(Work::Fetch(pieces)) => fetch(&shared, &store, &blobs, pieces).await,
            None => {
                if timeout(LOOK, shared.files().wake.notified()).await.is_ok() {
                    continue;
                }
                pursue(&shared, &store).await
            }
        };
        match moved {
            Ok(()) => {}
            Err(NetError::Ended) => return,
            Err(error) => {
                tracing::debug!(%error, "a piece of a file was not moved");
                sleep(PAUSE).await;
            }
        }
    }
}

async fn pursue(shared: &Arc<Syncing>, store: &SharedStore) -> Result<(), NetError> {
    let this = Arc::clone(shared);
    let pursue = move |store: &mut Store| {
        Ok(this.turn(store, |turn| this.replica().pursue_files(turn, false, &mut system_rng())))
    };
    Ok(store.run(pursue).await??)
}

async fn leave(shared: &Arc<Syncing>, store: &SharedStore, blobs: &Blobs, order: FileOrder) -> Result<(), NetError> {
    let (this, wanted) = (Arc::clone(shared), order.clone());
    let sealed = store.run(move |store| Ok(this.replica().seal_pieces(store, &wanted, &mut system_rng())));
    let (key, pieces) = sealed.await??;
    if pieces.is_empty() {
        return Ok(());
    }
    for piece in &pieces {
        blobs.put(BlobId(piece.blob), &piece.bytes).await?;
    }
    let this = Arc::clone(shared);
    let left = move |store: &mut Store| {
        Ok(this.turn(store, |turn| this.replica().pieces_left(turn, &order, key, &pieces, &mut system_rng())))
    };
    Ok(store.run(left).await??)
}

async fn fetch(shared: &Arc<Syncing>, store: &SharedStore, blobs: &Blobs, pieces: FilePieces) -> Result<(), NetError> {
    let pieces = Arc::new(pieces);
    for piece in pieces.pieces.as_slice().iter().copied() {
        let sealed = blobs.get(BlobId(piece.blob)).await?;
        let (this, pieces) = (Arc::clone(shared), Arc::clone(&pieces));
        let take = move |store: &mut Store| {
            Ok(this.turn(store, |turn| {
                this.replica().piece_fetched(turn, &pieces, &piece, sealed.as_deref(), &mut system_rng())
            }))
        };
        store.run(take).await??;
        // It is stored; that it is gone sooner than by itself is only courtesy.
        let _ = blobs.delete(BlobId(piece.blob)).await;
    }
    Ok(())
}
