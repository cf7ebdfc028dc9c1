//! The history as its receiver sees it: which chunks are announced, which are stored, what is missing.

use pairlight_wire::envelope::EnvelopeKind;
use pairlight_wire::hash::sha256;
use pairlight_wire::id::DeviceId;
use pairlight_wire::sync::{
    Chunk, HistoryAck, HistoryCancel, HistoryMessage, HistoryRange, HistoryRequest, Run, SyncRecord,
};
use pairlight_wire::{List, Wire, record};
use rand_core::CryptoRng;

use super::chunk::{self, ChunkName};
use super::content::{is_sound, limited, named};
use super::history::{HistoryPhase, HistoryProgress, HistoryStanding, Received};
use super::replica::{Replica, SyncRole};
use super::turn::Turn;
use super::{SyncError, peer};
use crate::store::{Batch, Store, Table};

const ROW: &[u8] = b"in";
const WORD: &[u8] = b"in/word";
/// The word is to be said again.
const AGAIN: &[u8] = b"in/again";
const OVER: u8 = 3;

record! {
    #[derive(Clone)]
    struct ReceiverState [1] {
        from: DeviceId,
        history: [u8; 16],
        key: [u8; 32],
        total: u64,
        parts: u64,
        first_screen: bool,
        records: u64,
        bytes: u64,
        done: List<Run, 1024>,
        pending: List<Chunk, 64>,
        phase: u8,
        chunks: u64,
        held_until: u64,
        cancelled: bool,
    }
}

record! {
    /// What was decided here about a history, until the primary device knows of it.
    struct Word [1] {
        history: [u8; 16],
        /// Stopped; otherwise asked for anew.
        stopped: bool,
    }
}

impl Drop for ReceiverState {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.key);
    }
}

fn load(store: &Store) -> Result<Option<ReceiverState>, SyncError> {
    let row = store.get(Table::History, ROW)?;
    row.map(|bytes| ReceiverState::decode(&bytes).map_err(|_| SyncError::Damaged)).transpose()
}

fn save(turn: &mut Turn<'_>, state: &ReceiverState) {
    turn.batch.put(Table::History, ROW, &zeroize::Zeroizing::new(state.encode()));
}

fn word(store: &Store) -> Result<Option<Word>, SyncError> {
    let row = store.get(Table::History, WORD)?;
    row.map(|bytes| Word::decode(&bytes).map_err(|_| SyncError::Damaged)).transpose()
}

fn decide(turn: &mut Turn<'_>, history: [u8; 16], stopped: bool) {
    turn.batch.put(Table::History, WORD, &Word { history, stopped }.encode());
}

fn stop(turn: &mut Turn<'_>, to: &DeviceId, history: [u8; 16], rng: &mut impl CryptoRng) -> Result<(), SyncError> {
    decide(turn, history, true);
    let cancel = HistoryMessage::Cancel(HistoryCancel { history });
    turn.post(to, EnvelopeKind::History, &cancel.encode(), rng)
}

/// What was said to the primary device may be lost: what a person decided here, and it does not know yet, is said again.
pub(super) fn repeat(store: &Store, batch: &mut Batch) -> Result<(), SyncError> {
    if word(store)?.is_some() {
        batch.put(Table::History, AGAIN, &[]);
    }
    Ok(())
}

impl ReceiverState {
    fn has(&self, index: u64) -> bool {
        self.done.as_slice().iter().any(|run| (run.first..=run.last).contains(&index))
    }

    fn stored(&self) -> u64 {
        let length = |run: &Run| run.last.saturating_sub(run.first).saturating_add(1);
        self.done.as_slice().iter().map(length).fold(0, u64::saturating_add)
    }

    fn is_done(&self) -> bool {
        self.phase == OVER && self.first_screen && self.stored() >= self.chunks
    }

    fn add(&mut self, index: u64) {
        let mut runs = core::mem::take(&mut self.done).into_vec();
        runs.push(Run { first: index, last: index });
        runs.sort_unstable_by_key(|run| run.first);
        let mut joined: Vec<Run> = Vec::with_capacity(runs.len());
        for run in runs {
            match joined.last_mut() {
                Some(last) if run.first <= last.last.saturating_add(1) => last.last = last.last.max(run.last),
                _ => joined.push(run),
            }
        }
        self.done = List::new(joined).unwrap_or_default();
    }

    fn ack(&self, want: Vec<Run>) -> HistoryMessage {
        HistoryMessage::Ack(HistoryAck {
            history: self.history,
            parts: self.parts,
            done: self.done.clone(),
            want: List::new(want).unwrap_or_default(),
        })
    }
}

fn merge(turn: &mut Turn<'_>, from: &DeviceId, records: Vec<SyncRecord>) -> Result<(), SyncError> {
    if !records.iter().all(is_sound) {
        return Err(SyncError::Protocol);
    }
    let mut state = turn.peer(from)?;
    let source = state.as_ref().map_or(u8::MAX, |state| state.slot);
    for record in records {
        if let Some(state) = &mut state {
            state.hear(record.clock);
        }
        turn.merge_of_history(source, record);
    }
    if let Some(state) = state {
        turn.put_peer(from, state);
    }
    Ok(())
}

/// Takes a message of the sender; whether the progress changed.
pub(super) fn take(
    turn: &mut Turn<'_>,
    from: &DeviceId,
    body: &[u8],
    rng: &mut impl CryptoRng,
) -> Result<bool, SyncError> {
    let message = HistoryMessage::decode(body).map_err(|_| SyncError::Protocol)?;
    let Some(mut peer) = turn.peer(from)? else { return Ok(false) };
    let (known, word) = (load(turn.store)?, word(turn.store)?);
    if let HistoryMessage::Start(start) = &message {
        if known.as_ref().is_some_and(|known| known.history == start.history) {
            return Ok(false);
        }
        if peer.log != Some(start.log) {
            (peer.log, peer.received, peer.told) = (Some(start.log), start.snapshot, start.snapshot);
            (peer.again, peer.heard) = (false, 0);
            turn.put_peer(from, peer);
        } else if peer.again && peer.received < start.snapshot {
            // What was asked for again comes with this history, up to where it ends.
            (peer.received, peer.told, peer.again) = (start.snapshot, start.snapshot, false);
            turn.put_peer(from, peer);
        }
        // Stopped here before the primary device knew, it stays stopped in the history that it began meanwhile.
        let stopped = word.as_ref().is_some_and(|word| word.stopped && start.supersedes == Some(word.history));
        if stopped {
            stop(turn, from, start.history, rng)?;
        } else {
            turn.batch.delete(Table::History, WORD);
        }
        let continued = known.filter(|known| start.supersedes == Some(known.history) && start.total == known.total);
        let (records, bytes, first_screen) =
            continued.map_or((0, 0, false), |known| (known.records, known.bytes, known.first_screen));
        let state = ReceiverState {
            from: *from,
            history: start.history,
            key: start.key,
            total: start.total,
            parts: 0,
            first_screen,
            records,
            bytes,
            done: List::default(),
            pending: List::default(),
            phase: 0,
            chunks: 0,
            held_until: 0,
            cancelled: stopped,
        };
        save(turn, &state);
        return Ok(true);
    }
    let Some(mut state) = known else { return Ok(false) };
    // Asked for anew: the answer begins another one, and what is said of this one was said before.
    let asked = word.is_some_and(|word| !word.stopped);
    match message {
        HistoryMessage::State(_) | HistoryMessage::Cancel(_) if asked => return Ok(false),
        HistoryMessage::First(first) if first.history == state.history => {
            merge(turn, from, first.records.into_vec())?;
            state.parts = state.parts.max(first.part.saturating_add(1));
            state.first_screen |= first.last;
        }
        HistoryMessage::Page(page) if page.history == state.history => {
            let mut pending = core::mem::take(&mut state.pending).into_vec();
            for chunk in page.chunks.into_vec() {
                // A chunk that is announced again lies under another name.
                pending.retain(|known| known.index != chunk.index);
                if !state.has(chunk.index) {
                    pending.push(chunk);
                }
            }
            state.pending = List::new(pending).map_err(|_| SyncError::Protocol)?;
        }
        HistoryMessage::State(said) if said.history == state.history => {
            (state.phase, state.chunks, state.held_until) = (said.phase, said.chunks, said.held_until);
        }
        HistoryMessage::Cancel(cancel) if cancel.history == state.history => {
            state.cancelled = true;
            turn.batch.delete(Table::History, WORD);
        }
        HistoryMessage::Older(older) => merge(turn, from, older.records.into_vec())?,
        _ => return Ok(false),
    }
    save(turn, &state);
    Ok(true)
}

impl Replica {
    /// Chunks that wait at the relay, in the order in which they are fetched; at most `limit`.
    ///
    /// # Errors
    /// [`SyncError`].
    pub fn next_fetches(&self, store: &Store, limit: usize) -> Result<Vec<Chunk>, SyncError> {
        if !matches!(self.role, SyncRole::Linked) {
            return Ok(Vec::new());
        }
        let state = load(store)?.filter(|state| !state.cancelled);
        Ok(state.map_or_else(Vec::new, |state| state.pending.as_slice().iter().take(limit).cloned().collect()))
    }

    /// Takes a fetched chunk, or the news that its blob is gone (`None`), and acknowledges.
    ///
    /// # Errors
    /// [`SyncError`] of the store.
    pub fn fetched(
        &self,
        turn: &mut Turn<'_>,
        chunk: &Chunk,
        bytes: Option<&[u8]>,
        rng: &mut impl CryptoRng,
    ) -> Result<Received, SyncError> {
        let Some(mut state) = load(turn.store)? else { return Ok(Received::Refused) };
        let from = state.from;
        if state.has(chunk.index) || !state.pending.as_slice().contains(chunk) {
            return Ok(Received::Refused);
        }
        let name = ChunkName { history: &state.history, key: &state.key, index: chunk.index, total: state.total };
        let opened = bytes
            .filter(|bytes| sha256(&[bytes]) == chunk.hash)
            .and_then(|bytes| chunk::open(&name, bytes).ok())
            .filter(|records| records.iter().all(is_sound));
        let mut pending = core::mem::take(&mut state.pending).into_vec();
        pending.retain(|known| known != chunk);
        state.pending = List::new(pending).map_err(|_| SyncError::Damaged)?;
        let (ack, outcome) = match opened {
            Some(records) => {
                state.records = state.records.saturating_add(u64::try_from(records.len()).unwrap_or(u64::MAX));
                state.bytes = state.bytes.saturating_add(chunk.size);
                merge(turn, &from, records)?;
                state.add(chunk.index);
                (state.ack(Vec::new()), Received::Stored)
            }
            None => (state.ack(vec![Run { first: chunk.index, last: chunk.index }]), Received::Refused),
        };
        turn.post(&from, EnvelopeKind::History, &ack.encode(), rng)?;
        save(turn, &state);
        Ok(outcome)
    }

    /// Asks the primary device to begin the history anew, after a cancel or a loss.
    ///
    /// # Errors
    /// [`SyncError`].
    pub fn retry_history(&self, turn: &mut Turn<'_>, rng: &mut impl CryptoRng) -> Result<(), SyncError> {
        if let Some(mut state) = load(turn.store)? {
            // Under way again, from nothing, until the answer says more.
            (state.cancelled, state.phase, state.held_until, state.first_screen) = (false, 0, 0, false);
            (state.records, state.bytes) = (0, 0);
            save(turn, &state);
            decide(turn, state.history, false);
        }
        self.request(turn, None, rng)
    }

    /// Asks for older messages of a conversation (phase 3).
    ///
    /// # Errors
    /// [`SyncError`].
    pub fn ask_older(
        &self,
        turn: &mut Turn<'_>,
        collection: &str,
        group: &[u8],
        before: u64,
        count: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<(), SyncError> {
        let (collection, group) = (named("collection", collection)?, limited("group", group)?);
        self.request(turn, Some(HistoryRange { collection, group, before, count }), rng)
    }

    /// Says again what [`repeat`] has noted.
    pub(super) fn say_again(&self, turn: &mut Turn<'_>, rng: &mut impl CryptoRng) -> Result<(), SyncError> {
        if turn.store.get(Table::History, AGAIN)?.is_none() {
            return Ok(());
        }
        turn.batch.delete(Table::History, AGAIN);
        match (word(turn.store)?, load(turn.store)?) {
            (Some(word), Some(state)) if word.stopped => stop(turn, &state.from, word.history, rng),
            (Some(_), _) => self.request(turn, None, rng),
            (None, _) => Ok(()),
        }
    }

    fn request(
        &self,
        turn: &mut Turn<'_>,
        range: Option<HistoryRange>,
        rng: &mut impl CryptoRng,
    ) -> Result<(), SyncError> {
        let request = HistoryMessage::Request(HistoryRequest { range }).encode();
        for (device, _) in peer::peers(turn.store)? {
            turn.post(&device, EnvelopeKind::History, &request, rng)?;
        }
        Ok(())
    }

    /// Stops the transfer. What is stored stays.
    ///
    /// # Errors
    /// [`SyncError`].
    pub fn cancel_history(&self, turn: &mut Turn<'_>, rng: &mut impl CryptoRng) -> Result<(), SyncError> {
        let Some(mut state) = load(turn.store)? else { return Ok(()) };
        state.cancelled = true;
        save(turn, &state);
        stop(turn, &state.from, state.history, rng)
    }

    /// How the transfer to this linked device is doing; `None` when nothing is promised yet.
    ///
    /// # Errors
    /// [`SyncError`].
    pub fn receiving(&self, store: &Store) -> Result<Option<HistoryProgress>, SyncError> {
        let Some(state) = load(store)? else { return Ok(None) };
        let standing = match () {
            () if state.is_done() => HistoryStanding::Done,
            () if state.cancelled => HistoryStanding::Cancelled,
            () if state.held_until != 0 => HistoryStanding::Held(state.held_until),
            () => HistoryStanding::Running,
        };
        let phase = match standing {
            HistoryStanding::Done => HistoryPhase::Complete,
            _ if !state.first_screen => HistoryPhase::FirstScreen,
            _ => HistoryPhase::from_code(state.phase.clamp(1, 2)),
        };
        Ok(Some(HistoryProgress {
            device: state.from,
            standing,
            phase,
            records: state.records.min(state.total),
            total: state.total,
            bytes: state.bytes,
        }))
    }
}
