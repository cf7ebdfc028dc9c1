//! Records over the live connection: turns on the store, envelopes in the order in which they were sealed, history through
//! blobs.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pairlight_wire::Bytes;
use pairlight_wire::envelope::Envelope;
use pairlight_wire::id::{BlobId, DeviceId};
use pairlight_wire::relay::{PostEnvelope, RefusalCode};
use tokio::sync::{Notify, broadcast};

use super::blobs::Blobs;
use super::clock::{Clock, system_rng};
use super::error::NetError;
use super::files::Files;
use super::host::{sleep, timeout};
use super::records::CONFIRM_AFTER;
use super::shared::SharedStore;
use crate::Timestamp;
use crate::store::Store;
use crate::sync::{
    ChangedRecord, Listed, Opened, Post, Replica, SyncError, SyncEvent, SyncRole, Turn, TurnDone, go_on,
};

/// Updates that may wait for a slow reader; one that is slower hears [`SyncUpdate::Missed`].
const UPDATES: usize = 1024;
/// How often it is looked for a session that is not stored yet, and for a quiet moment.
const QUIET_LOOK: Duration = Duration::from_secs(1);
/// How often a history that waits is looked at.
const HISTORY_LOOK: Duration = Duration::from_secs(30);
/// Pause after a failed transfer of a chunk.
const HISTORY_PAUSE: Duration = Duration::from_secs(2);
/// Chunks fetched at a time.
const FETCHES: usize = 3;

/// What happened to records, histories and files, by other devices or by this one.
#[derive(Clone)]
pub enum SyncUpdate {
    /// These records changed here.
    Changed(Vec<ChangedRecord>),
    /// A signal, in time.
    Signal {
        /// Who sent it.
        from: DeviceId,
        /// What it is.
        name: String,
        /// The application's bytes.
        body: Vec<u8>,
    },
    /// The history moved on; ask for its progress.
    History,
    /// Something changed about the file with this hash; ask for its state.
    File([u8; 32]),
    /// Updates were too many to keep: read what is on the screen anew.
    Missed,
}

/// A signal is shown without its content.
impl std::fmt::Debug for SyncUpdate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Changed(records) => f.debug_tuple("Changed").field(records).finish(),
            Self::Signal { from, .. } => f.debug_struct("Signal").field("from", from).finish_non_exhaustive(),
            Self::History => f.write_str("History"),
            Self::File(hash) => f.debug_tuple("File").field(hash).finish(),
            Self::Missed => f.write_str("Missed"),
        }
    }
}

/// What the connection's task, the transfers and the facade share.
pub(super) struct Syncing {
    replica: Replica,
    clock: Clock,
    /// Sealed, not on the socket yet. Filled while the store is locked, so in the order of the ratchet.
    queue: Mutex<VecDeque<Post>>,
    /// On the socket, not accepted yet.
    flight: Mutex<BTreeMap<u64, DeviceId>>,
    /// Accepted, still in the store.
    accepted: Mutex<Vec<(DeviceId, u64)>>,
    online: AtomicBool,
    pub(super) wake: Notify,
    history: Notify,
    files: Files,
    updates: broadcast::Sender<SyncUpdate>,
}

/// What became of an envelope.
pub(super) enum Delivered {
    /// It was taken before.
    Before,
    Unreadable,
    Taken,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Syncing {
    pub(super) fn new(replica: Replica, clock: Clock) -> Arc<Self> {
        Arc::new(Self {
            replica,
            clock,
            queue: Mutex::default(),
            flight: Mutex::default(),
            accepted: Mutex::default(),
            online: AtomicBool::new(false),
            wake: Notify::new(),
            history: Notify::new(),
            files: Files::default(),
            updates: broadcast::channel(UPDATES).0,
        })
    }

    pub(super) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    pub(super) fn replica(&self) -> Replica {
        self.replica
    }

    pub(super) fn updates(&self) -> broadcast::Receiver<SyncUpdate> {
        self.updates.subscribe()
    }

    pub(super) fn files(&self) -> &Files {
        &self.files
    }

    pub(super) fn tell(&self, update: SyncUpdate) {
        // Nobody listening is no fault.
        let _ = self.updates.send(update);
    }

    /// Runs one turn on the locked store. What it seals is queued before anybody else can seal.
    pub(super) fn turn<T>(
        &self,
        store: &mut Store,
        work: impl FnOnce(&mut Turn<'_>) -> Result<T, SyncError>,
    ) -> Result<T, SyncError> {
        let accepted = std::mem::take(&mut *locked(&self.accepted));
        let run = || -> Result<(T, TurnDone), SyncError> {
            let mut turn = Turn::begin(store, (self.clock)(), &mut system_rng())?;
            turn.accepted(&accepted);
            let outcome = work(&mut turn)?;
            Ok((outcome, turn.commit()?))
        };
        // Nothing changed: what the relay has accepted is still to be noted.
        let (outcome, done) = run().inspect_err(|_| locked(&self.accepted).extend(accepted.iter().copied()))?;
        if self.is_online() && !done.posts.is_empty() {
            locked(&self.queue).extend(done.posts);
            self.wake.notify_one();
        }
        if !done.changed.is_empty() {
            self.tell(SyncUpdate::Changed(done.changed));
        }
        done.files.into_iter().for_each(|file| self.tell(SyncUpdate::File(file)));
        if done.history {
            self.tell(SyncUpdate::History);
        }
        Ok(outcome)
    }

    pub(super) fn is_online(&self) -> bool {
        self.online.load(Ordering::Acquire)
    }

    /// Sends what there is to send. Gives whether more is left.
    fn turn_and_send(&self, store: &mut Store, confirm: bool) -> Result<bool, SyncError> {
        if !self.is_online() {
            return Ok(false);
        }
        self.turn(store, |turn| {
            self.replica.pump_history(turn, &mut system_rng())?;
            self.replica.send(turn, confirm, &mut system_rng())
        })
    }

    /// Writes here, and seals for the others at once when online: one sync of the disk.
    pub(super) fn write(&self, store: &mut Store, changes: Vec<crate::sync::Change>) -> Result<(), SyncError> {
        if !self.is_online() {
            return self.turn(store, |turn| self.replica.write(turn, changes));
        }
        self.turn(store, |turn| self.replica.write_and_send(turn, changes, &mut system_rng()))?;
        // For who was behind.
        self.pump(store, false)
    }

    /// Sends until nothing is left or the other side has to confirm first.
    pub(super) fn pump(&self, store: &mut Store, mut confirm: bool) -> Result<(), SyncError> {
        let named = confirm;
        while self.turn_and_send(store, confirm)? {
            confirm = false;
        }
        // Only those that were named to the others.
        if named && self.is_online() { self.replica.drop_passed(store) } else { Ok(()) }
    }

    /// A socket is logged in: what it has not confirmed goes again, then what is new.
    pub(super) fn go_online(&self, store: &mut Store, listed: &[Listed]) -> Result<(), SyncError> {
        self.replica.follow(store, listed, &mut system_rng())?;
        self.online.store(true, Ordering::Release);
        let again = self.replica.unconfirmed(store)?;
        {
            let mut queue = locked(&self.queue);
            queue.clear();
            queue.extend(again);
        }
        locked(&self.flight).clear();
        self.wake.notify_one();
        self.pump(store, true)?;
        self.turn(store, |turn| self.replica.pursue_files(turn, true, &mut system_rng()))?;
        self.history.notify_one();
        Ok(())
    }

    /// Has the transfers look at what there is to do.
    pub(super) fn look(&self) {
        self.history.notify_one();
    }

    /// Acknowledges what came, and notes what the relay has accepted. Gives when to look again, if something waits.
    pub(super) fn confirm(&self, store: &mut Store) -> Result<Option<Duration>, SyncError> {
        if self.replica.owes(store)? {
            self.pump(store, true)?;
        }
        let lacks_session = self.replica.lacks_session(store)?;
        if lacks_session {
            self.pump(store, false)?;
        }
        if !locked(&self.accepted).is_empty() {
            self.turn(store, |_| Ok(()))?;
        }
        let waits = store.tend()? || lacks_session;
        Ok(if self.replica.owes(store)? { Some(CONFIRM_AFTER) } else { waits.then_some(QUIET_LOOK) })
    }

    pub(super) fn go_offline(&self) {
        self.online.store(false, Ordering::Release);
        locked(&self.queue).clear();
    }

    /// The account has a new list.
    pub(super) fn follow(&self, store: &mut Store, listed: &[Listed]) -> Result<(), SyncError> {
        self.replica.follow(store, listed, &mut system_rng())?;
        // A new device has a history that waits.
        self.tell(SyncUpdate::History);
        self.pump(store, true)?;
        self.history.notify_one();
        Ok(())
    }

    /// The session with a device is another one.
    pub(super) fn go_on(&self, store: &mut Store, with: &DeviceId) -> Result<(), SyncError> {
        go_on(store, with, &mut system_rng())?;
        self.pump(store, true)
    }

    /// Takes what the relay delivered, with everything that follows from it, in one turn. Without `hears` no records of the
    /// sender are taken, only its word on what it has.
    pub(super) fn deliver(&self, store: &mut Store, envelope: &Envelope, hears: bool) -> Result<Delivered, SyncError> {
        let from = envelope.from;
        let mut event = None;
        let outcome = self.turn(store, |turn| {
            let message = match turn.open(envelope)? {
                Opened::Message(message) => message,
                Opened::Before => return Ok(Delivered::Before),
                Opened::Not => return Ok(Delivered::Unreadable),
            };
            event = match hears {
                true => self.replica.take(turn, &from, &message, &mut system_rng())?,
                false => self.replica.take_word(turn, &from, &message, &mut system_rng())?,
            };
            Ok(Delivered::Taken)
        });
        match outcome {
            // Not of this protocol: as if it could not be opened.
            Err(SyncError::Protocol) => Ok(Delivered::Unreadable),
            Err(error) => Err(error),
            Ok(outcome) => {
                match event {
                    Some(SyncEvent::Signal { from, name, body }) => self.tell(SyncUpdate::Signal { from, name, body }),
                    Some(SyncEvent::History) => self.history.notify_one(),
                    Some(SyncEvent::FileOrdered(order)) => self.files.order(order),
                    Some(SyncEvent::FileArrived(pieces)) => self.files.arrive(pieces),
                    None => {}
                }
                if matches!(outcome, Delivered::Taken) {
                    // What came from one linked device goes on to the others.
                    self.pump(store, false)?;
                }
                Ok(outcome)
            }
        }
    }

    /// The next envelope for the socket.
    pub(super) fn next_post(&self) -> Option<PostEnvelope> {
        loop {
            let post = locked(&self.queue).pop_front()?;
            // One that is too long for the relay was not made here; it must not keep the others.
            let Ok(envelope) = Bytes::new(post.envelope) else { continue };
            locked(&self.flight).insert(post.reference, post.to);
            return Some(PostEnvelope { to: post.to, reference: post.reference, envelope });
        }
    }

    /// The relay has it, or will never take it. Whether it was one of ours.
    pub(super) fn settled(&self, reference: u64) -> bool {
        match locked(&self.flight).remove(&reference) {
            Some(to) => {
                locked(&self.accepted).push((to, reference));
                true
            }
            None => false,
        }
    }

    /// The relay refuses it. Without room for it it stays in the store and goes again on the next socket. Whether it was
    /// one of ours.
    pub(super) fn refused(&self, reference: u64, code: RefusalCode) -> bool {
        match code {
            RefusalCode::Overflow => locked(&self.flight).remove(&reference).is_some(),
            _ => self.settled(reference),
        }
    }

    /// Moves chunks of history as long as the connection lives.
    pub(super) async fn transfer(self: Arc<Self>, store: SharedStore, blobs: Blobs) {
        loop {
            let moved = match self.replica.role() {
                SyncRole::Primary(_) => self.upload(&store, &blobs).await,
                SyncRole::Linked => self.fetch(&store, &blobs).await,
            };
            match moved {
                Ok(true) => {}
                Ok(false) => {
                    let _ = timeout(HISTORY_LOOK, self.history.notified()).await;
                    let this = Arc::clone(&self);
                    // A history that the policy held back may go on now.
                    let _ = store.run(move |store| Ok(this.pump(store, false))).await;
                }
                Err(NetError::Ended) => return,
                Err(error) => {
                    tracing::debug!(%error, "a chunk of history was not moved");
                    sleep(HISTORY_PAUSE).await;
                }
            }
        }
    }

    async fn upload(self: &Arc<Self>, store: &SharedStore, blobs: &Blobs) -> Result<bool, NetError> {
        let this = Arc::clone(self);
        let next = store.run(move |store| {
            let now = (this.clock)().unix_ms();
            let upload = this.replica.next_upload(store, now, &mut system_rng());
            // A phase that ended is told at once.
            Ok(upload.and_then(|upload| this.pump(store, false).map(|()| upload)))
        });
        let Some(upload) = next.await?? else { return Ok(false) };
        blobs.resume_put(BlobId(upload.chunk.blob), &upload.bytes).await?;
        let this = Arc::clone(self);
        store
            .run(move |store| Ok(this.turn(store, |turn| this.replica.uploaded(turn, &upload, &mut system_rng()))))
            .await??;
        Ok(true)
    }

    async fn fetch(self: &Arc<Self>, store: &SharedStore, blobs: &Blobs) -> Result<bool, NetError> {
        let this = Arc::clone(self);
        let chunks = store.run(move |store| Ok(this.replica.next_fetches(store, FETCHES))).await??;
        if chunks.is_empty() {
            return Ok(false);
        }
        let fetches = chunks.iter().map(|chunk| blobs.get(BlobId(chunk.blob)));
        let fetched = futures_util::future::join_all(fetches).await;
        for (chunk, bytes) in chunks.into_iter().zip(fetched) {
            let (bytes, this) = (bytes?, Arc::clone(self));
            let blob = BlobId(chunk.blob);
            let work = move |store: &mut Store| {
                let take =
                    |turn: &mut Turn<'_>| this.replica.fetched(turn, &chunk, bytes.as_deref(), &mut system_rng());
                Ok(this.turn(store, take))
            };
            store.run(work).await??;
            // It is acknowledged; that it is gone sooner than by itself is only courtesy.
            let _ = blobs.delete(blob).await;
        }
        Ok(true)
    }
}

impl std::fmt::Debug for Syncing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Syncing(..)")
    }
}
