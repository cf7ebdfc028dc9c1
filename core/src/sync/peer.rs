//! What is remembered about this device's log and about each device that it exchanges with.

use pairlight_wire::id::DeviceId;
use pairlight_wire::{List, Wire, record};

use super::SyncError;
use crate::store::{Batch, Store, Table};

/// Most exchanges on their way to one device: more wait in the log and go together, so a mailbox never overflows.
pub(crate) const MOST_OUTSTANDING: usize = 32;

const OWN: &[u8] = b"sync/self";
const PEER: &[u8] = b"sync/peer/";

record! {
    /// This device's own side.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub(super) struct OwnState [1] {
        /// Names this device's log: another store is another log.
        pub(super) log: [u8; 8],
        /// Latest time of the hybrid logical clock that was written or seen.
        pub(super) clock: u64,
        /// Number of the latest envelope for the relay.
        pub(super) reference: u64,
    }
}

record! {
    /// A device that this one exchanges with.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub(super) struct PeerState [2] {
        /// Its number in this store, 1 to 255.
        pub(super) slot: u8,
        /// Its log, once known.
        pub(super) log: Option<[u8; 8]>,
        /// Up to where its log is stored here.
        pub(super) received: u64,
        /// Up to where it was told so.
        pub(super) told: u64,
        /// Up to where our log was sent.
        pub(super) sent: u64,
        /// Up to where our log was looked through.
        pub(super) scanned: u64,
        /// Up to where the other side confirmed our log.
        pub(super) acked: u64,
        /// Up to here it gets everything, also what came from it: it lost its store.
        pub(super) whole: u64,
        /// Ends of the exchanges that are not confirmed.
        pub(super) outstanding: List<u64, MOST_OUTSTANDING>,
        /// Something of it is missing here.
        pub(super) again: bool,
        /// Greatest clock of a version that is known to be there: its own hybrid logical clock is not less.
        pub(super) heard: u64,
    }
}

record! {
    /// The same as it was kept before it was remembered what was heard.
    struct FirstPeerState [1] {
        slot: u8,
        log: Option<[u8; 8]>,
        received: u64,
        told: u64,
        sent: u64,
        scanned: u64,
        acked: u64,
        whole: u64,
        outstanding: List<u64, MOST_OUTSTANDING>,
        again: bool,
    }
}

impl From<FirstPeerState> for PeerState {
    fn from(first: FirstPeerState) -> Self {
        let FirstPeerState { slot, log, received, told, sent, scanned, acked, whole, outstanding, again } = first;
        Self { slot, log, received, told, sent, scanned, acked, whole, outstanding, again, heard: 0 }
    }
}

impl PeerState {
    pub(super) fn new(slot: u8, sent: u64) -> Self {
        Self {
            slot,
            log: None,
            received: 0,
            told: 0,
            sent,
            scanned: sent,
            acked: sent,
            whole: 0,
            outstanding: List::default(),
            again: false,
            heard: 0,
        }
    }

    /// A version with this clock is there.
    pub(super) fn hear(&mut self, clock: u64) {
        self.heard = self.heard.max(clock);
    }

    fn from_row(bytes: &[u8]) -> Result<Self, SyncError> {
        Self::decode(bytes).or_else(|_| FirstPeerState::decode(bytes).map(Self::from)).map_err(|_| SyncError::Damaged)
    }

    /// The other side confirms our log up to `seen`.
    pub(super) fn confirm(&mut self, seen: u64) {
        self.acked = self.acked.max(seen);
        let mut left = core::mem::take(&mut self.outstanding).into_vec();
        left.retain(|end| *end > seen);
        self.outstanding = List::new(left).unwrap_or_default();
    }

    /// The other side misses what follows `seen`.
    pub(super) fn rewind(&mut self, seen: u64, last: u64) {
        if seen < self.acked {
            self.whole = last;
        }
        (self.sent, self.scanned, self.acked) = (seen, seen, seen);
        self.outstanding = List::default();
    }

    /// An exchange up to `to` leaves.
    pub(super) fn leave(&mut self, to: u64) {
        let mut outstanding = core::mem::take(&mut self.outstanding).into_vec();
        if to > self.sent {
            outstanding.push(to);
        }
        self.outstanding = List::new(outstanding).unwrap_or_default();
        (self.sent, self.scanned) = (to, to);
        (self.told, self.again) = (self.received, false);
    }

    pub(super) fn is_full(&self) -> bool {
        self.outstanding.as_slice().len() >= MOST_OUTSTANDING
    }
}

fn key(device: &DeviceId) -> Vec<u8> {
    [PEER, device.as_bytes()].concat()
}

pub(super) fn own(store: &Store) -> Result<Option<OwnState>, SyncError> {
    let row = store.get(Table::Checkpoint, OWN)?;
    row.map(|bytes| OwnState::decode(&bytes).map_err(|_| SyncError::Damaged)).transpose()
}

pub(super) fn put_own(batch: &mut Batch, state: &OwnState) {
    batch.put(Table::Checkpoint, OWN, &state.encode());
}

pub(super) fn peer(store: &Store, device: &DeviceId) -> Result<Option<PeerState>, SyncError> {
    let row = store.get(Table::Checkpoint, &key(device))?;
    row.map(|bytes| PeerState::from_row(&bytes)).transpose()
}

pub(super) fn put_peer(batch: &mut Batch, device: &DeviceId, state: &PeerState) {
    batch.put(Table::Checkpoint, &key(device), &state.encode());
}

pub(super) fn delete_peer(batch: &mut Batch, device: &DeviceId) {
    batch.delete(Table::Checkpoint, &key(device));
}

/// Every device that this one exchanges with.
pub(super) fn peers(store: &Store) -> Result<Vec<(DeviceId, PeerState)>, SyncError> {
    let mut found = Vec::new();
    for row in store.list(Table::Checkpoint)? {
        let row = row?;
        let Some(device) = row.id.strip_prefix(PEER).and_then(|id| <[u8; 16]>::try_from(id).ok()) else { continue };
        found.push((DeviceId(device), PeerState::from_row(&row.value)?));
    }
    Ok(found)
}
