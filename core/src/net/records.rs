//! The synchronisation's turns on the connection's task.

use std::pin::Pin;
use std::time::Duration;

use pairlight_wire::device::{SCOPE_RECEIVE, SCOPE_SEND};
use pairlight_wire::envelope::{Envelope, EnvelopeKind};
use pairlight_wire::id::DeviceId;

use super::clock::system_rng;
use super::connection::{ConnectionEvent, Driver, Over};
use super::error::NetError;
use super::host::{Sleep, sleep};
use super::syncing::{Delivered, Syncing};
use super::turn::{Receipt, scope_here};
use crate::Timestamp;
use crate::store::{Store, StoreError};
use crate::sync::{MOST_OUTSTANDING, SyncError, go_on};
use crate::trust::Policy;

/// Ends when the synchronisation has sealed something.
pub(super) async fn sealed(sync: Option<&Syncing>) {
    match sync {
        Some(sync) => sync.wake.notified().await,
        None => std::future::pending().await,
    }
}

/// An acknowledgement waits this long for company.
pub(super) const CONFIRM_AFTER: Duration = Duration::from_millis(200);
/// Envelopes that wait for no more company: who sent them may soon send nothing before it hears what came.
const COMPANY: usize = MOST_OUTSTANDING / 4;

/// When what came on a socket is to be acknowledged.
#[derive(Default)]
pub(super) struct Confirming {
    when: When,
    /// Envelopes that came since.
    came: usize,
}

#[derive(Default)]
enum When {
    #[default]
    Never,
    /// Only to look at something again: no acknowledgement waits for it.
    Later(Pin<Box<Sleep>>),
    Soon(Pin<Box<Sleep>>),
    Now,
}

impl Confirming {
    /// Something came that may have to be acknowledged; envelopes are counted.
    pub(super) fn hear(&mut self, is_envelope: bool) {
        self.came = self.came.saturating_add(usize::from(is_envelope));
        if self.came >= COMPANY {
            self.when = When::Now;
        } else if matches!(self.when, When::Never | When::Later(_)) {
            self.when = When::Soon(Box::pin(sleep(CONFIRM_AFTER)));
        }
    }

    /// Ends when it is time.
    pub(super) async fn due(&mut self) {
        match &mut self.when {
            When::Never => std::future::pending().await,
            When::Later(sleep) | When::Soon(sleep) => sleep.await,
            When::Now => {}
        }
    }

    /// All was acknowledged that can be now; there is something to look at again after this time.
    pub(super) fn confirmed(&mut self, after: Option<Duration>) {
        *self = Self { when: after.map_or(When::Never, |after| When::Later(Box::pin(sleep(after)))), came: 0 };
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
        // A repetition is no sign that the session works.
        Ok(Delivered::Before) => Ok(Ok(Receipt::Nothing)),
        Ok(Delivered::Unreadable) => {
            store.count_unreadable(from, now).map(|unreadable| Ok(Receipt::Unreadable(unreadable)))
        }
    }
}

/// Stores a step of a link by `save`. If the device `with` was linked before, and this one to it, its records go on under the
/// new session.
pub(super) fn save_link(
    store: &mut Store,
    with: Option<DeviceId>,
    save: impl FnOnce(&mut Store) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    // As another device it begins anew.
    let ours = |store: &Store| with.and_then(|with| store.session(&with).ok()?).map(|session| session.own());
    let before = ours(store);
    save(store)?;
    if let Some(with) = with
        && before.is_some()
        && before == ours(store)
        && let Err(error) = go_on(store, &with, &mut system_rng())
    {
        // The link stands; what is missing is found at the next login.
        tracing::warn!(%error, "the records do not go on with a device that was linked anew");
    }
    Ok(())
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

    /// The session with a device is another one: asks for what the one before may have lost.
    pub(super) async fn sync_anew(&self, with: DeviceId) -> Result<(), Over> {
        self.syncing(move |sync, store| sync.go_on(store, &with)).await
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_acknowledgement_waits_for_little_company_and_for_nothing_else() {
        let mut confirming = Confirming::default();
        // Something else waits, for long.
        confirming.confirmed(Some(Duration::from_secs(3600)));
        confirming.hear(true);
        assert!(matches!(confirming.when, When::Soon(_)), "what came waited for the other");
        for _ in 1..COMPANY {
            assert!(!matches!(confirming.when, When::Now));
            confirming.hear(false);
            confirming.hear(true);
        }
        confirming.due().await;
        assert!(matches!(confirming.when, When::Now));
        confirming.confirmed(None);
        assert!(matches!(confirming.when, When::Never));
        confirming.hear(true);
        assert!(matches!(confirming.when, When::Soon(_)), "what was acknowledged counts no more");
    }

    use crate::crypto::olm::RatchetAccount;
    use crate::session::Session;
    use crate::store::KeyFile;
    use crate::sync::{Listed, Replica, SyncRole};

    fn session(own: DeviceId, peer: DeviceId) -> Session {
        let (a, b) = (RatchetAccount::generate().unwrap(), RatchetAccount::generate().unwrap());
        Session::new(own, peer, a.start(&b.keys()).unwrap())
    }

    #[test]
    fn records_go_on_with_the_same_device_and_begin_anew_with_another() {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyFile::open_or_create(&folder.path().join("key"), Box::new(system_rng())).unwrap();
        let mut store = Store::open(&folder.path().join("db"), &key, Box::new(system_rng())).unwrap();
        let (first, second, phone) = (DeviceId([1; 16]), DeviceId([2; 16]), DeviceId([3; 16]));
        let replica = Replica::new(first, SyncRole::Linked);
        let preset = pairlight_wire::device::Preset::Custom;
        let listed = Listed { device: phone, primary: true, grade: None, preset, linked: 0 };
        replica.follow(&mut store, &[listed], &mut system_rng()).unwrap();
        let mut save = |own: DeviceId| {
            save_link(&mut store, Some(phone), |store| store.put_session(&session(own, phone))).unwrap();
            replica.owes(&store).unwrap()
        };
        assert!(!save(first), "a first link: nothing was lost");
        assert!(!save(second), "linked as another device");
        assert!(save(second), "the same one again: it asks for what the session before may have lost");
    }
}
