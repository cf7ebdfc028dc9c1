//! The history as its sender sees it: what was promised, which chunks are at the relay, where the next one begins.

mod repeat;

use pairlight_wire::device::{Preset, SCOPE_RECEIVE};
use pairlight_wire::envelope::EnvelopeKind;
use pairlight_wire::hash::sha256;
use pairlight_wire::id::DeviceId;
use pairlight_wire::sync::{
    Chunk, HistoryCancel, HistoryFirst, HistoryMessage, HistoryOlder, HistoryPage, HistoryRange, HistoryStart,
    HistoryState, Run,
};
use pairlight_wire::{List, Wire, record};
use rand_core::CryptoRng;

use super::chunk::{self, ChunkName};
use super::gather::{first_screen, gather, parts};
use super::history::{HistoryPhase, HistoryProgress, HistoryStanding};
use super::replica::{HistoryGate, Listed, RECORDS_ROOM, Replica, SyncRole};
use super::turn::Turn;
use super::{SyncError, peer};
use crate::Timestamp;
use crate::crypto::random;
use crate::store::{Batch, Cursor, Store, Table};
use crate::trust::{Grade, Policy};
pub(super) use repeat::repeat;

/// Most chunks at the relay that are not acknowledged.
const WINDOW: usize = 8;
/// Phase 1 reaches this far back, ms.
const RECENT_PHASE_MS: u64 = 30 * 86_400_000;
/// Most records of one answer to a request.
const OLDER_RECORDS: usize = 512;

const OVER: u8 = 3;

record! {
    #[derive(Debug, Clone, PartialEq, Eq)]
    struct OpenChunk [] {
        chunk: Chunk,
        after_order: u64,
        after_change: u64,
        uploaded: bool,
    }
}

record! {
    #[derive(Clone, PartialEq, Eq)]
    struct SenderState [1] {
        history: [u8; 16],
        key: [u8; 32],
        snapshot: u64,
        total: u64,
        supersedes: Option<[u8; 16]>,
        /// Grade in bits 0 and 1, preset above: rows from before have preset 0, which is the policy of today.
        grade: u8,
        linked: u64,
        presence: Option<u64>,
        told: bool,
        phase: u8,
        phase_told: u8,
        held_told: u64,
        after_order: u64,
        after_change: u64,
        next_index: u64,
        records: u64,
        bytes: u64,
        open: List<OpenChunk, WINDOW>,
        cancelled: bool,
    }
}

/// A chunk on its way to the relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// For whom.
    pub device: DeviceId,
    /// Its announcement.
    pub chunk: Chunk,
    /// The sealed chunk.
    pub bytes: Vec<u8>,
}

fn row(device: &DeviceId) -> Vec<u8> {
    [b"out/".as_slice(), device.as_bytes()].concat()
}

impl Drop for SenderState {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.key);
    }
}

fn load(store: &Store, device: &DeviceId) -> Result<Option<SenderState>, SyncError> {
    let row = store.get(Table::History, &row(device))?;
    row.map(|bytes| SenderState::decode(&bytes).map_err(|_| SyncError::Damaged)).transpose()
}

fn save(batch: &mut Batch, device: &DeviceId, state: &SenderState) {
    batch.put(Table::History, &row(device), &zeroize::Zeroizing::new(state.encode()));
}

pub(super) fn delete(batch: &mut Batch, device: &DeviceId) {
    batch.delete(Table::History, &row(device));
}

/// Whether nothing more of the history goes to a device.
pub(super) fn is_over(store: &Store, device: &DeviceId) -> Result<bool, SyncError> {
    Ok(load(store, device)?.is_none_or(|state| state.is_over()))
}

/// Whether a device that names this position of the log asks for what its history has not given it yet: with that the policy
/// is asked, piece by piece.
pub(super) fn is_before(store: &Store, device: &DeviceId, seen: u64) -> Result<bool, SyncError> {
    Ok(load(store, device)?.is_some_and(|state| seen < state.snapshot && !state.is_over()))
}

/// Promises a device the history up to a position of the log.
pub(super) fn begin(
    store: &Store,
    batch: &mut Batch,
    listed: &Listed,
    snapshot: u64,
    supersedes: Option<[u8; 16]>,
    rng: &mut impl CryptoRng,
) -> Result<(), SyncError> {
    let grade = listed.grade.map_or(0, |grade| match grade {
        Grade::Weak => 1,
        Grade::Medium => 2,
        Grade::Strong => 3,
    });
    let state = SenderState {
        history: random(rng),
        key: random(rng),
        snapshot,
        total: store.count_records(snapshot, 0)?,
        supersedes,
        grade: grade | (u8::try_from(listed.preset.code()).unwrap_or(0) << 2),
        linked: listed.linked,
        presence: None,
        told: false,
        phase: 0,
        phase_told: 0,
        held_told: 0,
        after_order: u64::MAX,
        after_change: u64::MAX,
        next_index: 0,
        records: 0,
        bytes: 0,
        open: List::default(),
        cancelled: false,
    };
    save(batch, &listed.device, &state);
    Ok(())
}

impl SenderState {
    fn listed(&self, device: &DeviceId) -> Listed {
        let preset = Preset::from_code(u64::from(self.grade >> 2)).unwrap_or(Preset::Custom);
        let grade = match self.grade & 3 {
            1 => Some(Grade::Weak),
            2 => Some(Grade::Medium),
            3 => Some(Grade::Strong),
            _ => None,
        };
        Listed { device: *device, primary: false, grade, preset, linked: self.linked }
    }

    fn gate(&self, policy: &Policy, device: &DeviceId, now: Timestamp) -> HistoryGate {
        HistoryGate::of(policy, &self.listed(device), self.presence.map(Timestamp::from_unix_ms), now)
    }

    fn name(&self, index: u64) -> ChunkName<'_> {
        ChunkName { history: &self.history, key: &self.key, index, total: self.total }
    }

    fn cursor(&self) -> Cursor {
        Cursor { order: self.after_order, change: self.after_change }
    }

    /// Oldest place of the present phase; `None` when the policy allows nothing of it.
    fn oldest(&self, gate: &HistoryGate, now_ms: u64) -> Option<u64> {
        match (self.phase, gate.oldest) {
            (1, Some(oldest)) => Some(oldest.max(now_ms.saturating_sub(RECENT_PHASE_MS))),
            (2, Some(0)) => Some(0),
            _ => None,
        }
    }

    /// Nothing more of it goes.
    fn is_over(&self) -> bool {
        self.phase == OVER && self.open.as_slice().is_empty()
    }

    /// The history that the receiver knows of.
    fn known_there(&self) -> Option<[u8; 16]> {
        if self.told { Some(self.history) } else { self.supersedes }
    }

    /// What is not acknowledged goes again, under a new name and key: its records have changed meanwhile.
    fn supersede(&mut self, rng: &mut impl CryptoRng) {
        let oldest = self.open.as_slice().iter().max_by_key(|open| (open.after_order, open.after_change));
        if let Some(open) = oldest {
            (self.after_order, self.after_change) = (open.after_order, open.after_change);
            self.phase = self.phase.min(open.chunk.phase);
        }
        self.supersedes = Some(self.history);
        (self.history, self.key) = (random(rng), random(rng));
        (self.next_index, self.told, self.phase_told) = (0, false, u8::MAX);
        self.open = List::default();
    }
}

/// The whole history anew, to a device that lost its store.
pub(super) fn restart(
    turn: &mut Turn<'_>,
    device: &DeviceId,
    snapshot: u64,
    rng: &mut impl CryptoRng,
) -> Result<(), SyncError> {
    let Some(known) = load(turn.store, device)? else { return Ok(()) };
    begin(turn.store, &mut turn.batch, &known.listed(device), snapshot, known.known_there(), rng)
}

fn say(
    turn: &mut Turn<'_>,
    device: &DeviceId,
    message: &HistoryMessage,
    rng: &mut impl CryptoRng,
) -> Result<(), SyncError> {
    turn.post(device, EnvelopeKind::History, &message.encode(), rng)
}

/// Tells that it was stopped, once the receiver knows of the history: otherwise [`Replica::pump_history`] tells both.
fn say_cancelled(
    turn: &mut Turn<'_>,
    device: &DeviceId,
    state: &SenderState,
    rng: &mut impl CryptoRng,
) -> Result<(), SyncError> {
    if !state.told {
        return Ok(());
    }
    say(turn, device, &HistoryMessage::Cancel(HistoryCancel { history: state.history }), rng)
}

/// Takes a message of the receiver; whether the progress changed.
pub(super) fn take(
    turn: &mut Turn<'_>,
    from: &DeviceId,
    body: &[u8],
    rng: &mut impl CryptoRng,
) -> Result<bool, SyncError> {
    let message = HistoryMessage::decode(body).map_err(|_| SyncError::Protocol)?;
    let Some(mut state) = load(turn.store, from)? else { return Ok(false) };
    match message {
        HistoryMessage::Ack(ack) if ack.history == state.history => {
            let within = |runs: &[Run], index: u64| runs.iter().any(|run| (run.first..=run.last).contains(&index));
            let mut open = core::mem::take(&mut state.open).into_vec();
            for done in open.iter().filter(|open| within(ack.done.as_slice(), open.chunk.index)) {
                state.records = state.records.saturating_add(done.chunk.records);
                state.bytes = state.bytes.saturating_add(done.chunk.size);
            }
            open.retain(|open| !within(ack.done.as_slice(), open.chunk.index));
            for lost in open.iter_mut().filter(|open| within(ack.want.as_slice(), open.chunk.index)) {
                (lost.uploaded, lost.chunk.blob) = (false, random(rng));
            }
            state.open = List::new(open).unwrap_or_default();
        }
        // One that was superseded meanwhile: its receiver did not know when it stopped.
        HistoryMessage::Cancel(cancel)
            if cancel.history == state.history || Some(cancel.history) == state.supersedes =>
        {
            state.cancelled = true;
            // The answer: what begins from here on, begins in the knowledge of this.
            say_cancelled(turn, from, &state, rng)?;
        }
        HistoryMessage::Request(request) => match request.range {
            None => {
                let snapshot = turn.store.last_change()?;
                begin(turn.store, &mut turn.batch, &state.listed(from), snapshot, state.known_there(), rng)?;
                return Ok(true);
            }
            Some(range) => return older(turn, from, &state, &range, rng).map(|()| false),
        },
        _ => return Ok(false),
    }
    save(&mut turn.batch, from, &state);
    Ok(true)
}

/// Phase 3: older records of one group, when they are asked for. The policy is asked as for the rest.
fn older(
    turn: &mut Turn<'_>,
    from: &DeviceId,
    state: &SenderState,
    range: &HistoryRange,
    rng: &mut impl CryptoRng,
) -> Result<(), SyncError> {
    let before = Cursor { order: range.before, change: 0 };
    let wanted = usize::try_from(range.count).unwrap_or(OLDER_RECORDS).min(OLDER_RECORDS);
    let (mut records, mut room) = (Vec::new(), RECORDS_ROOM);
    let found = turn.store.records_in(range.collection.as_str(), range.group.as_slice(), before, wanted)?;
    let mut last = found.len() < wanted;
    for logged in found {
        let Some(left) = room.checked_sub(logged.record.encode().len()) else {
            last = false;
            break;
        };
        room = left;
        records.push(logged.record);
    }
    if state.phase < 2 || state.held_told != 0 {
        // Held back by the policy: nothing older than what was given.
        (records, last) = (Vec::new(), true);
    }
    let records = List::new(records).map_err(|_| SyncError::Damaged)?;
    say(turn, from, &HistoryMessage::Older(HistoryOlder { records, last }), rng)
}

impl Replica {
    /// Begins and goes on with the histories of the devices whose turn it is: announcements, the first screen, the state
    /// of phases. Chunks come from [`Replica::next_upload`].
    ///
    /// # Errors
    /// [`SyncError`].
    pub fn pump_history(&self, turn: &mut Turn<'_>, rng: &mut impl CryptoRng) -> Result<(), SyncError> {
        let SyncRole::Primary(policy) = self.role else { return self.say_again(turn, rng) };
        let now = turn.now.unix_ms();
        for (device, _) in peer::peers(turn.store)? {
            let Some(mut state) = load(turn.store, &device)? else { continue };
            let before = state.clone();
            // That it was stopped, and of what, is said again when a session may have lost it.
            let again = state.cancelled && state.phase_told == u8::MAX;
            if (state.cancelled && state.told && !again) || !turn.reaches(&device)? {
                continue;
            }
            let gate = state.gate(&policy, &device, turn.now);
            if !state.told || again {
                let start = HistoryStart {
                    history: state.history,
                    key: state.key,
                    log: turn.log(),
                    snapshot: state.snapshot,
                    total: state.total,
                    supersedes: state.supersedes,
                };
                say(turn, &device, &HistoryMessage::Start(start), rng)?;
                state.told = true;
            }
            if state.cancelled {
                say_cancelled(turn, &device, &state, rng)?;
                state.phase_told = state.phase;
                save(&mut turn.batch, &device, &state);
                continue;
            }
            if state.phase == 0 && gate.oldest.is_some() {
                let parts = parts(first_screen(turn.store)?);
                let last = parts.len().saturating_sub(1);
                for (part, records) in parts.into_iter().enumerate() {
                    let records = List::new(records).map_err(|_| SyncError::Damaged)?;
                    let (history, part, last) = (state.history, part as u64, part == last);
                    say(turn, &device, &HistoryMessage::First(HistoryFirst { history, part, last, records }), rng)?;
                }
                state.phase = 1;
            }
            let held = if state.phase < OVER && state.oldest(&gate, now).is_none() { gate.held_until } else { 0 };
            if state.phase != state.phase_told || held != state.held_told {
                let said = HistoryState {
                    history: state.history,
                    phase: state.phase,
                    chunks: state.next_index,
                    held_until: held,
                };
                say(turn, &device, &HistoryMessage::State(said), rng)?;
                (state.phase_told, state.held_told) = (state.phase, held);
            }
            if state != before {
                save(&mut turn.batch, &device, &state);
            }
        }
        Ok(())
    }

    /// The next chunk for the relay, if there is room for one; what it holds is fixed in the store before it leaves.
    ///
    /// # Errors
    /// [`SyncError`].
    pub fn next_upload(
        &self,
        store: &mut Store,
        now_ms: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<Option<Upload>, SyncError> {
        let SyncRole::Primary(policy) = self.role else { return Ok(None) };
        for (device, _) in peer::peers(store)? {
            let Some(mut state) = load(store, &device)? else { continue };
            if state.cancelled || !state.told || store.book(&device)?.scope(SCOPE_RECEIVE) == 0 {
                continue;
            }
            let gate = state.gate(&policy, &device, Timestamp::from_unix_ms(now_ms));
            if let Some(open) = state.open.as_slice().iter().find(|open| !open.uploaded).cloned() {
                let start = Cursor { order: open.after_order, change: open.after_change };
                let (mut records, ..) = gather(store, start, open.chunk.oldest, state.snapshot)?;
                records.truncate(usize::try_from(open.chunk.records).unwrap_or(usize::MAX));
                let bytes = chunk::seal(&state.name(open.chunk.index), records)?;
                let mut batch = Batch::new();
                if sha256(&[&bytes]) == open.chunk.hash {
                    return Ok(Some(Upload { device, chunk: open.chunk, bytes }));
                }
                state.supersede(rng);
                save(&mut batch, &device, &state);
                store.commit(&batch)?;
                continue;
            }
            if let Some(upload) = self.make_chunk(store, device, state, &gate, now_ms, rng)? {
                return Ok(Some(upload));
            }
        }
        Ok(None)
    }

    fn make_chunk(
        &self,
        store: &mut Store,
        device: DeviceId,
        mut state: SenderState,
        gate: &HistoryGate,
        now_ms: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<Option<Upload>, SyncError> {
        let mut batch = Batch::new();
        let mut made = None;
        while let Some(oldest) = state.oldest(gate, now_ms).filter(|_| state.open.as_slice().len() < WINDOW) {
            let start = state.cursor();
            let (records, next, newest, eldest) = gather(store, start, oldest, state.snapshot)?;
            if records.is_empty() {
                state.phase = state.phase.saturating_add(1);
                save(&mut batch, &device, &state);
                continue;
            }
            let index = state.next_index;
            let count = u64::try_from(records.len()).unwrap_or(u64::MAX);
            let bytes = chunk::seal(&state.name(index), records)?;
            let chunk = Chunk {
                index,
                blob: random(rng),
                size: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
                hash: sha256(&[&bytes]),
                newest,
                oldest: eldest,
                records: count,
                phase: state.phase,
            };
            let mut open = core::mem::take(&mut state.open).into_vec();
            open.push(OpenChunk {
                chunk: chunk.clone(),
                after_order: start.order,
                after_change: start.change,
                uploaded: false,
            });
            state.open = List::new(open).map_err(|_| SyncError::Damaged)?;
            state.next_index = index.saturating_add(1);
            (state.after_order, state.after_change) = (next.order, next.change);
            save(&mut batch, &device, &state);
            made = Some(Upload { device, chunk, bytes });
            break;
        }
        store.commit(&batch)?;
        Ok(made)
    }

    /// The relay has the chunk: announces it.
    ///
    /// # Errors
    /// [`SyncError`].
    pub fn uploaded(&self, turn: &mut Turn<'_>, upload: &Upload, rng: &mut impl CryptoRng) -> Result<(), SyncError> {
        let Some(mut state) = load(turn.store, &upload.device)? else { return Ok(()) };
        let mut open = core::mem::take(&mut state.open).into_vec();
        let Some(known) = open.iter_mut().find(|open| open.chunk == upload.chunk) else { return Ok(()) };
        known.uploaded = true;
        state.open = List::new(open).map_err(|_| SyncError::Damaged)?;
        let chunks = List::new(vec![upload.chunk.clone()]).map_err(|_| SyncError::Damaged)?;
        let page = HistoryPage { history: state.history, chunks };
        say(turn, &upload.device, &HistoryMessage::Page(page), rng)?;
        save(&mut turn.batch, &upload.device, &state);
        Ok(())
    }

    /// Stops the transfer to a device. What is stored there stays.
    ///
    /// # Errors
    /// [`SyncError`].
    pub fn cancel_history_to(
        &self,
        turn: &mut Turn<'_>,
        device: &DeviceId,
        rng: &mut impl CryptoRng,
    ) -> Result<(), SyncError> {
        let Some(mut state) = load(turn.store, device)? else { return Ok(()) };
        state.cancelled = true;
        save(&mut turn.batch, device, &state);
        say_cancelled(turn, device, &state, rng)
    }

    /// Begins a transfer anew, after a cancel or a failure; nobody has to link again.
    ///
    /// # Errors
    /// [`SyncError`].
    pub fn retry_history_to(
        &self,
        turn: &mut Turn<'_>,
        device: &DeviceId,
        rng: &mut impl CryptoRng,
    ) -> Result<(), SyncError> {
        let Some(state) = load(turn.store, device)? else { return Ok(()) };
        let snapshot = turn.store.last_change()?;
        begin(turn.store, &mut turn.batch, &state.listed(device), snapshot, state.known_there(), rng)
    }

    /// The person proved presence on this primary device (biometry, device lock) to free what the policy holds back.
    ///
    /// # Errors
    /// [`SyncError`].
    pub fn presence_shown(&self, turn: &mut Turn<'_>, device: &DeviceId) -> Result<(), SyncError> {
        let Some(mut state) = load(turn.store, device)? else { return Ok(()) };
        state.presence = Some(turn.now.unix_ms());
        save(&mut turn.batch, device, &state);
        Ok(())
    }

    /// How the transfers to linked devices are doing.
    ///
    /// # Errors
    /// [`SyncError`].
    pub fn sending(&self, store: &Store) -> Result<Vec<HistoryProgress>, SyncError> {
        let mut all = Vec::new();
        for (device, _) in peer::peers(store)? {
            let Some(state) = load(store, &device)? else { continue };
            let standing = match () {
                // Also when it was stopped after its receiver had all of it.
                () if state.phase_told == OVER && state.open.as_slice().is_empty() => HistoryStanding::Done,
                () if state.cancelled => HistoryStanding::Cancelled,
                () if state.held_told != 0 => HistoryStanding::Held(state.held_told),
                () if !state.told => HistoryStanding::Waiting,
                () => HistoryStanding::Running,
            };
            all.push(HistoryProgress {
                device,
                standing,
                phase: HistoryPhase::from_code(state.phase),
                records: state.records.min(state.total),
                total: state.total,
                bytes: state.bytes,
            });
        }
        Ok(all)
    }
}
