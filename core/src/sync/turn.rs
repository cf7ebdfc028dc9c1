//! One turn: everything that one event changes, durable as a whole or not at all.

use std::collections::{BTreeMap, BTreeSet};

use pairlight_wire::Wire;
use pairlight_wire::device::SCOPE_RECEIVE;
use pairlight_wire::envelope::{Envelope, EnvelopeKind};
use pairlight_wire::id::DeviceId;
use pairlight_wire::sync::SyncRecord;
use rand_core::CryptoRng;

use super::peer::{self, OwnState, PeerState};
use super::{Change, ChangedRecord, SyncError};
use crate::Timestamp;
use crate::crypto::random;
use crate::session::{OpenedMessage, Session, SessionError};
use crate::store::{Batch, Store, Table};

/// A sealed envelope for the relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Post {
    /// Recipient.
    pub to: DeviceId,
    /// Its number; the relay takes a number once.
    pub reference: u64,
    /// The encoded envelope.
    pub envelope: Vec<u8>,
}

impl Post {
    fn row(&self) -> Vec<u8> {
        post_row(&self.to, self.reference)
    }

    fn from_row(id: &[u8], value: &[u8]) -> Option<Self> {
        let (reference, to) = id.split_first_chunk::<8>()?;
        let to = DeviceId(to.try_into().ok()?);
        Some(Self { to, reference: u64::from_be_bytes(*reference), envelope: value.to_vec() })
    }
}

/// The row of an envelope: in the order of the numbers.
pub(super) fn post_row(to: &DeviceId, reference: u64) -> Vec<u8> {
    [reference.to_be_bytes().as_slice(), to.as_bytes()].concat()
}

/// What a turn did.
#[derive(Debug, Default)]
pub struct TurnDone {
    /// Envelopes for the relay, oldest first.
    pub posts: Vec<Post>,
    /// Records, of this device and of others, that stand now.
    pub changed: Vec<ChangedRecord>,
    /// Files of which something else is known now; by their hashes.
    pub files: BTreeSet<[u8; 32]>,
    /// Something else is known now of a transfer of history.
    pub history: bool,
}

/// What became of an envelope.
#[derive(Debug)]
pub enum Opened {
    /// What is in it.
    Message(OpenedMessage),
    /// It was opened before, and nothing is lost.
    Before,
    /// It cannot be opened.
    Not,
}

/// Gathers what belongs together. Dropping it changes nothing.
pub struct Turn<'s> {
    pub(super) store: &'s mut Store,
    pub(super) batch: Batch,
    pub(super) now: Timestamp,
    /// Files of which something else is known after this turn.
    pub(super) files: BTreeSet<[u8; 32]>,
    own: OwnState,
    sessions: BTreeMap<DeviceId, Session>,
    /// Whose ratchets moved.
    moved: BTreeSet<DeviceId>,
    peers: BTreeMap<DeviceId, PeerState>,
    posts: Vec<Post>,
    taken: Vec<(usize, ChangedRecord)>,
    merges: usize,
}

impl<'s> Turn<'s> {
    /// Begins a turn.
    ///
    /// # Errors
    /// [`SyncError`] when the store cannot be read.
    pub fn begin(store: &'s mut Store, now: Timestamp, rng: &mut impl CryptoRng) -> Result<Self, SyncError> {
        let own = match peer::own(store)? {
            Some(own) => own,
            None => OwnState { log: random(rng), clock: 0, reference: 0 },
        };
        Ok(Self {
            store,
            batch: Batch::new(),
            now,
            files: BTreeSet::new(),
            own,
            sessions: BTreeMap::new(),
            moved: BTreeSet::new(),
            peers: BTreeMap::new(),
            posts: Vec::new(),
            taken: Vec::new(),
            merges: 0,
        })
    }

    fn session(&mut self, peer: &DeviceId) -> Result<Option<&mut Session>, SyncError> {
        if !self.sessions.contains_key(peer)
            && let Some(session) = self.store.session(peer)?
        {
            self.sessions.insert(*peer, session);
        }
        Ok(self.sessions.get_mut(peer))
    }

    /// Opens an envelope.
    ///
    /// # Errors
    /// [`SyncError`] when the store cannot be read.
    pub fn open(&mut self, envelope: &Envelope) -> Result<Opened, SyncError> {
        let Some(session) = self.session(&envelope.from)? else { return Ok(Opened::Not) };
        match session.open(envelope) {
            Ok(message) => {
                self.moved.insert(envelope.from);
                Ok(Opened::Message(message))
            }
            Err(SessionError::Repeated) => Ok(Opened::Before),
            Err(_) => {
                // A failed message must not move the stored ratchet.
                self.sessions.remove(&envelope.from);
                Ok(Opened::Not)
            }
        }
    }

    /// Seals a message. Nothing happens for a device without a session. Messages of kind `Ephemeral` are not kept for a
    /// repetition.
    ///
    /// # Errors
    /// [`SyncError::Session`] for a body that is too long.
    pub fn post(
        &mut self,
        to: &DeviceId,
        kind: EnvelopeKind,
        body: &[u8],
        rng: &mut impl CryptoRng,
    ) -> Result<(), SyncError> {
        let Some(session) = self.session(to)? else { return Ok(()) };
        let envelope = session.seal(kind, body, rng)?.encode();
        self.moved.insert(*to);
        self.own.reference = self.own.reference.saturating_add(1).max(self.now.unix_ms() << 16);
        let post = Post { to: *to, reference: self.own.reference, envelope };
        if kind != EnvelopeKind::Ephemeral {
            self.batch.put(Table::Outgoing, &post.row(), &post.envelope);
        }
        self.posts.push(post);
        Ok(())
    }

    /// Whether there is a session with a device, and nothing that it did keeps it from receiving.
    pub(super) fn reaches(&mut self, device: &DeviceId) -> Result<bool, SyncError> {
        let receives = self.store.book(device)?.scope(SCOPE_RECEIVE) != 0;
        Ok(receives && self.session(device)?.is_some())
    }

    pub(super) fn log(&self) -> [u8; 8] {
        self.own.log
    }

    /// The next time of the hybrid logical clock.
    pub(super) fn tick(&mut self) -> u64 {
        self.own.clock = self.own.clock.saturating_add(1).max(self.now.unix_ms() << 16);
        self.own.clock
    }

    /// The latest time of the hybrid logical clock that was written or seen.
    pub(super) fn clock(&self) -> u64 {
        self.own.clock
    }

    /// Has the clock pass the version that a change is written over. It has, unless this device's own state was lost.
    pub(super) fn pass(&mut self, change: &Change) -> Result<(), SyncError> {
        let known = self.store.record(change.collection.as_str(), change.id.as_slice())?;
        self.own.clock = self.own.clock.max(known.map_or(0, |known| known.record.clock));
        Ok(())
    }

    /// Sets the hybrid logical clock back, to where it would be without what it was raised by.
    pub(super) fn set_clock(&mut self, clock: u64) {
        self.own.clock = clock;
    }

    /// Writes a record of our own in the place of a version that nobody else has.
    pub(super) fn replace(&mut self, record: SyncRecord) {
        self.merges = self.merges.saturating_add(1);
        self.batch.replace(0, record);
    }

    /// Takes a record: our own (`source` 0) or another device's.
    pub(super) fn merge(&mut self, source: u8, record: SyncRecord) {
        self.take(source, &record, false);
        self.batch.merge(source, record);
    }

    /// Takes a record that another device sent with a history.
    pub(super) fn merge_of_history(&mut self, source: u8, record: SyncRecord) {
        self.take(source, &record, true);
        self.batch.merge(source, record);
    }

    /// Takes a record from the device that wrote it. If it gives less than was taken from it before, it gets that back.
    pub(super) fn merge_of_writer(&mut self, source: u8, record: SyncRecord) {
        self.take(source, &record, false);
        self.batch.merge_of_writer(source, record);
    }

    fn take(&mut self, source: u8, record: &SyncRecord, is_history: bool) {
        self.own.clock = self.own.clock.max(record.clock);
        self.taken.push((self.merges, ChangedRecord::of(record, source == 0, is_history)));
        self.merges = self.merges.saturating_add(1);
    }

    pub(super) fn peer(&mut self, device: &DeviceId) -> Result<Option<PeerState>, SyncError> {
        match self.peers.get(device) {
            Some(state) => Ok(Some(state.clone())),
            None => peer::peer(self.store, device),
        }
    }

    pub(super) fn put_peer(&mut self, device: &DeviceId, state: PeerState) {
        self.peers.insert(*device, state);
    }

    /// The relay has these envelopes.
    pub fn accepted(&mut self, posts: &[(DeviceId, u64)]) {
        for (to, reference) in posts {
            self.batch.delete(Table::Outgoing, &post_row(to, *reference));
        }
    }

    /// Makes everything durable.
    ///
    /// # Errors
    /// [`SyncError`]; nothing was changed then, and nothing may be sent.
    pub fn commit(mut self) -> Result<TurnDone, SyncError> {
        for (device, state) in &self.peers {
            peer::put_peer(&mut self.batch, device, state);
        }
        for session in self.sessions.values().filter(|session| self.moved.contains(&session.peer())) {
            let bytes = session.encode()?;
            self.batch.put(Table::Link, session.peer().as_bytes(), &bytes);
        }
        if self.batch.is_empty() {
            return Ok(TurnDone { files: self.files, ..TurnDone::default() });
        }
        peer::put_own(&mut self.batch, &self.own);
        let merged = self.store.commit_merging(&self.batch)?;
        let stands = |index: usize| merged.stands.get(index).copied().unwrap_or(false);
        let changed = self.taken.into_iter().filter(|(index, _)| stands(*index)).map(|(_, changed)| changed).collect();
        Ok(TurnDone { posts: self.posts, changed, files: self.files, history: self.batch.touches(Table::History) })
    }
}

/// Envelopes that the relay has not confirmed, oldest first.
///
/// # Errors
/// [`SyncError`] when the store cannot be read.
pub(super) fn unconfirmed(store: &Store) -> Result<Vec<Post>, SyncError> {
    let mut posts = Vec::new();
    for row in store.list(Table::Outgoing)? {
        let row = row?;
        posts.extend(Post::from_row(&row.id, &row.value));
    }
    Ok(posts)
}
