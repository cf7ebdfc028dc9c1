//! The synchronisation's turns on the connection's task.

use std::pin::Pin;
use std::time::Duration;

use pairlight_wire::device::{SCOPE_RECEIVE, SCOPE_SEND};
use pairlight_wire::envelope::{Envelope, EnvelopeKind};
use pairlight_wire::id::DeviceId;

use super::connection::{ConnectionEvent, Driver, Over};
use super::error::NetError;
use super::host::Sleep;
use super::syncing::{Delivered, Syncing};
use super::turn::{Receipt, scope_here};
use crate::Timestamp;
use crate::store::{Store, StoreError};
use crate::sync::SyncError;
use crate::trust::Policy;

/// Ends when the synchronisation has sealed something.
pub(super) async fn sealed(sync: Option<&Syncing>) {
    match sync {
        Some(sync) => sync.wake.notified().await,
        None => std::future::pending().await,
    }
}

pub(super) async fn until(sleep: &mut Option<Pin<Box<Sleep>>>) {
    match sleep {
        Some(sleep) => sleep.await,
        None => std::future::pending().await,
    }
}

/// Takes an envelope of the synchronisation. A sender that may not send now is not heard; but one that may receive can say
/// what it has, and ask for more, or it would soon get nothing more.
pub(super) fn receive_records(
    sync: &Syncing,
    store: &mut Store,
    envelope: &Envelope,
    from: &DeviceId,
    policy: Option<&Policy>,
    now: Timestamp,
) -> Result<Result<Receipt, SyncError>, StoreError> {
    let scope = scope_here(store, from, policy, now)?;
    let hears = scope & SCOPE_SEND != 0;
    let asks = scope & SCOPE_RECEIVE != 0 && matches!(envelope.kind, EnvelopeKind::Records | EnvelopeKind::History);
    if !hears && !asks {
        return Ok(Ok(Receipt::Withheld));
    }
    match sync.deliver(store, envelope, hears) {
        Err(error) => Ok(Err(error)),
        Ok(Delivered::Taken) => store.forget_unreadable(from).map(|()| Ok(Receipt::Nothing)),
        Ok(Delivered::Unreadable) => {
            store.count_unreadable(from, now).map(|unreadable| Ok(Receipt::Unreadable(unreadable)))
        }
    }
}

impl Driver {
    /// Runs a part of the synchronisation on the store, if there is one on this connection.
    async fn syncing<T, W>(&self, work: W) -> Result<T, Over>
    where
        T: Default + Send + 'static,
        W: FnOnce(&Syncing, &mut Store) -> Result<T, SyncError> + Send + 'static,
    {
        let Some(sync) = self.sync.clone() else { return Ok(T::default()) };
        let done = self.store.run(move |store| Ok(work(&sync, store))).await;
        let done = done.and_then(|done| done.map_err(NetError::from));
        done.map_err(|error| Over::End(ConnectionEvent::Failed(error)))
    }

    pub(super) async fn sync_online(&self) -> Result<(), Over> {
        let listed = self.membership.listed();
        self.syncing(move |sync, store| sync.go_online(store, &listed)).await
    }

    pub(super) async fn sync_follow(&self) -> Result<(), Over> {
        let listed = self.membership.listed();
        self.syncing(move |sync, store| sync.follow(store, &listed)).await
    }

    /// Says where this device stands, and sends what is new.
    pub(super) async fn sync_speak(&self) -> Result<(), Over> {
        self.syncing(|sync, store| sync.pump(store, true)).await
    }

    /// Acknowledges what came; when to look again, if something waits.
    pub(super) async fn sync_confirm(&self) -> Result<Option<Duration>, Over> {
        self.syncing(Syncing::confirm).await
    }
}
