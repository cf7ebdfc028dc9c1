//! The rules of the exchange: what is sent to whom, what is taken, what is dropped.

use pairlight_wire::device::{Preset, SCOPE_RECEIVE};
use pairlight_wire::envelope::EnvelopeKind;
use pairlight_wire::file::FilePieces;
use pairlight_wire::id::DeviceId;
use pairlight_wire::sync::{Dropped, Exchange, Signal};
use pairlight_wire::{List, Wire};
use rand_core::CryptoRng;

use super::content::{is_sound, limited, named};
use super::peer::{self, PeerState};
use super::turn::{Turn, post_row, unconfirmed};
use super::{Change, FileOrder, Post, SyncError, drift, receiver, sender};
use crate::Timestamp;
use crate::session::{BODY_BYTES, OpenedMessage};
use crate::store::{Batch, LoggedRecord, Store, Table};
use crate::trust::{Grade, HistoryNow, Policy};

/// Room for records in one exchange, bytes; the rest of the body is for its head and what was dropped.
pub(super) const RECORDS_ROOM: usize = BODY_BYTES - 8 * 1024;
/// Most records looked at for one exchange.
const STRETCH: usize = 512;
/// Most tombstones dropped at a time.
const DROP_AT_ONCE: usize = 64;
/// How long the recent history reaches back, ms, where the policy holds back the rest.
const RECENT_MS: u64 = 48 * 3_600_000;

/// On which side of the account this device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "a program has one of them, and copies it seldom")]
pub enum SyncRole {
    /// Exchanges with every linked device.
    Primary(Policy),
    /// Exchanges with its primary device.
    Linked,
}

/// A device of the account, as the signed list has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed {
    /// The device.
    pub device: DeviceId,
    /// Whether it holds the account.
    pub primary: bool,
    /// Grade of its evidence.
    pub grade: Option<Grade>,
    /// Preset under which it was linked.
    pub preset: Preset,
    /// When it was linked, ms since 1970.
    pub linked: u64,
}

/// How much of the history a device may get now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryGate {
    /// Nothing is older than this, ms since 1970; `None`: nothing at all.
    pub oldest: Option<u64>,
    /// When more is allowed, ms since 1970; 0 = everything is allowed already; all ones = never by itself.
    pub held_until: u64,
}

impl HistoryGate {
    /// What the policy allows a device at a time; `presence` is when the person last proved presence on the primary device
    /// for this purpose.
    #[must_use]
    pub fn of(policy: &Policy, listed: &Listed, presence: Option<Timestamp>, now: Timestamp) -> Self {
        let grant = listed.grade.and_then(|grade| policy.grant_under(listed.preset, grade));
        let Some(grant) = grant else { return Self { oldest: None, held_until: u64::MAX } };
        let granted = grant.history_grant(Timestamp::from_unix_ms(listed.linked), presence, now);
        let held_until = granted.rest_at.map_or(u64::MAX, Timestamp::unix_ms);
        match granted.allowed {
            HistoryNow::All => Self { oldest: Some(0), held_until: 0 },
            HistoryNow::Recent => Self { oldest: Some(now.unix_ms().saturating_sub(RECENT_MS)), held_until },
            HistoryNow::None => Self { oldest: None, held_until },
        }
    }
}

/// Something that happened through another device.
#[derive(Clone, PartialEq, Eq)]
pub enum SyncEvent {
    /// A signal, in time.
    Signal {
        /// Who sent it.
        from: DeviceId,
        /// What it is.
        name: String,
        /// The application's bytes.
        body: Vec<u8>,
    },
    /// There may be something to do for a transfer of history.
    History,
    /// Another device waits for pieces of a file.
    FileOrdered(FileOrder),
    /// Pieces of a file wait at the relay.
    FileArrived(FilePieces),
}

/// A signal is shown without its content.
impl core::fmt::Debug for SyncEvent {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Signal { from, .. } => f.debug_struct("Signal").field("from", from).finish_non_exhaustive(),
            Self::History => f.write_str("History"),
            Self::FileOrdered(order) => f.debug_tuple("FileOrdered").field(order).finish(),
            Self::FileArrived(pieces) => f.debug_tuple("FileArrived").field(pieces).finish(),
        }
    }
}

/// One device's part in the synchronisation. Holds no state: all of it is in the store.
#[derive(Debug, Clone, Copy)]
pub struct Replica {
    pub(super) own: DeviceId,
    pub(super) role: SyncRole,
}

impl Replica {
    /// This device and its role.
    #[must_use]
    pub fn new(own: DeviceId, role: SyncRole) -> Self {
        Self { own, role }
    }

    /// On which side of the account this device is.
    #[must_use]
    pub fn role(&self) -> SyncRole {
        self.role
    }

    /// Whether it holds the account.
    #[must_use]
    pub fn is_primary(&self) -> bool {
        matches!(self.role, SyncRole::Primary(_))
    }

    /// Follows the device list: begins with new devices, forgets those that left.
    ///
    /// # Errors
    /// [`SyncError`]; nothing changes then.
    pub fn follow(&self, store: &mut Store, listed: &[Listed], rng: &mut impl CryptoRng) -> Result<(), SyncError> {
        let wanted = |device: &Listed| device.device != self.own && device.primary != self.is_primary();
        let mut known = peer::peers(store)?;
        let mut batch = Batch::new();
        let unconfirmed = unconfirmed(store)?;
        for (device, _) in &known {
            if !listed.iter().any(|listed| listed.device == *device && wanted(listed)) {
                peer::delete_peer(&mut batch, device);
                sender::delete(&mut batch, device);
                for post in unconfirmed.iter().filter(|post| post.to == *device) {
                    batch.delete(Table::Outgoing, &post_row(device, post.reference));
                }
            }
        }
        known.retain(|(device, _)| listed.iter().any(|listed| listed.device == *device));
        for listed in listed.iter().filter(|listed| wanted(listed)) {
            if known.iter().any(|(device, _)| *device == listed.device) {
                continue;
            }
            let free = (1..=u8::MAX).find(|slot| known.iter().all(|(_, state)| state.slot != *slot));
            let Some(slot) = free else { continue };
            // A new device gets what is here already as history; the primary gets all that a linked device has, also what
            // came from a primary before it.
            let last = store.last_change()?;
            let (sent, whole) = if self.is_primary() { (last, 0) } else { (0, last) };
            let state = PeerState { whole, ..PeerState::new(slot, sent) };
            peer::put_peer(&mut batch, &listed.device, &state);
            if self.is_primary() {
                sender::begin(store, &mut batch, listed, sent, None, rng)?;
            }
            known.push((listed.device, state));
        }
        store.commit(&batch)?;
        Ok(())
    }

    /// Writes. The changes stand here at once, and go to the other devices when they can.
    ///
    /// # Errors
    /// [`SyncError`] never but for the store.
    pub fn write(&self, turn: &mut Turn<'_>, changes: impl IntoIterator<Item = Change>) -> Result<(), SyncError> {
        for change in changes {
            let clock = turn.tick();
            turn.merge(0, change.at(clock, self.own));
        }
        Ok(())
    }

    /// As [`Replica::write`], and seals the changes at once for every device that has all that is older: one sync of the
    /// disk for both. The others get them by [`Replica::send`].
    ///
    /// # Errors
    /// [`SyncError`]; nothing was written then.
    pub fn write_and_send(
        &self,
        turn: &mut Turn<'_>,
        changes: Vec<Change>,
        rng: &mut impl CryptoRng,
    ) -> Result<(), SyncError> {
        let last = turn.store.last_change()?;
        let mut records = Vec::with_capacity(changes.len());
        for change in changes {
            turn.pass(&change)?;
            let record = change.at(turn.tick(), self.own);
            records.push(record.clone());
            turn.merge(0, record);
        }
        // Later than what was there, so every change stands, each with the next number of the log.
        let to = last.saturating_add(u64::try_from(records.len()).unwrap_or(u64::MAX));
        let size = records.iter().map(|record| record.encode().len()).fold(0, usize::saturating_add);
        let Ok(records) = List::new(records) else { return Ok(()) };
        if size > RECORDS_ROOM {
            return Ok(());
        }
        for (device, stored) in peer::peers(turn.store)? {
            let mut state = turn.peer(&device)?.unwrap_or(stored);
            if state.scanned != last || state.is_full() || !turn.reaches(&device)? {
                continue;
            }
            let exchange = Exchange {
                log: turn.log(),
                from: state.sent,
                to,
                seen_log: state.log.unwrap_or_default(),
                seen: state.received,
                again: state.again,
                records: records.clone(),
                dropped: List::default(),
            };
            state.leave(to);
            turn.put_peer(&device, state);
            turn.post(&device, EnvelopeKind::Records, &exchange.encode(), rng)?;
        }
        Ok(())
    }

    /// As [`Replica::take`], from a device that may only receive: nothing of its records is taken, and they are sent once
    /// more when it may send.
    ///
    /// # Errors
    /// As [`Replica::take`].
    pub fn take_word(
        &self,
        turn: &mut Turn<'_>,
        from: &DeviceId,
        message: &OpenedMessage,
        rng: &mut impl CryptoRng,
    ) -> Result<Option<SyncEvent>, SyncError> {
        match message.kind {
            EnvelopeKind::Records => {
                let exchange = Exchange::decode(&message.body).map_err(|_| SyncError::Protocol)?;
                self.take_exchange(turn, from, exchange, false, rng).map(|()| None)
            }
            EnvelopeKind::History => self.take(turn, from, message, rng),
            _ => Ok(None),
        }
    }

    /// Takes an opened message of the kinds 1, 4, 7 and 8; others are the application's.
    ///
    /// # Errors
    /// [`SyncError::Protocol`] for what is not of this protocol: drop it.
    pub fn take(
        &self,
        turn: &mut Turn<'_>,
        from: &DeviceId,
        message: &OpenedMessage,
        rng: &mut impl CryptoRng,
    ) -> Result<Option<SyncEvent>, SyncError> {
        match message.kind {
            EnvelopeKind::Records => {
                let exchange = Exchange::decode(&message.body).map_err(|_| SyncError::Protocol)?;
                self.take_exchange(turn, from, exchange, true, rng).map(|()| None)
            }
            EnvelopeKind::Ephemeral => {
                let signal = Signal::decode(&message.body).map_err(|_| SyncError::Protocol)?;
                let late = turn.now.unix_ms() > signal.sent.saturating_add(signal.life);
                Ok((!late).then(|| SyncEvent::Signal {
                    from: *from,
                    name: signal.name.as_str().to_owned(),
                    body: signal.body.into_vec(),
                }))
            }
            EnvelopeKind::History => {
                let told = match self.role {
                    SyncRole::Primary(_) => sender::take(turn, from, &message.body, rng)?,
                    SyncRole::Linked => receiver::take(turn, from, &message.body, rng)?,
                };
                Ok(told.then_some(SyncEvent::History))
            }
            EnvelopeKind::File => self.take_file(turn, from, &message.body, rng),
            EnvelopeKind::Application
            | EnvelopeKind::CheckIn
            | EnvelopeKind::Lease
            | EnvelopeKind::Reset
            | EnvelopeKind::Notice => Ok(None),
        }
    }

    fn take_exchange(
        &self,
        turn: &mut Turn<'_>,
        from: &DeviceId,
        exchange: Exchange,
        hears: bool,
        rng: &mut impl CryptoRng,
    ) -> Result<(), SyncError> {
        let Some(mut state) = turn.peer(from)? else { return Ok(()) };
        if exchange.to < exchange.from || !exchange.records.as_slice().iter().all(is_sound) {
            return Err(SyncError::Protocol);
        }
        // A clock that is far ahead: its versions are taken when its time is right, here or there.
        let hears = hears && !(self.is_primary() && drift::is_ahead(turn, from, exchange.records.as_slice()));
        let last = turn.store.last_change()?;
        if state.log != Some(exchange.log) {
            match self.role {
                SyncRole::Primary(_) => {
                    // A linked device whose log is new here sends it from its beginning.
                    (state.log, state.received, state.told) = (Some(exchange.log), 0, 0);
                }
                SyncRole::Linked => {
                    // Where the primary's log begins for us is said by the history's first message.
                    state.again = true;
                    turn.put_peer(from, state);
                    return Ok(());
                }
            }
        }
        let in_order = exchange.from == state.received;
        // Sent once more, because we asked while it was on its way: nothing new, but the latest word on what they have.
        let ends_here = exchange.from < state.received && exchange.to == state.received;
        let knows_us = exchange.seen_log == turn.log() && exchange.seen <= last;
        if exchange.again {
            // What the policy may hold back comes as a history or not at all.
            let gated = self.is_primary() && sender::is_before(turn.store, from, exchange.seen)?;
            if knows_us && !gated {
                state.rewind(exchange.seen, last);
                // An answer is owed also where nothing is left to send: what was dropped may have said what we have.
                state.told = 0;
            } else if let SyncRole::Primary(_) = self.role {
                state = PeerState { log: state.log, received: state.received, ..PeerState::new(state.slot, last) };
                sender::restart(turn, from, last, rng)?;
            } else {
                state.rewind(0, last);
            }
        } else if (in_order || ends_here || !hears) && knows_us {
            let before = state.acked;
            state.confirm(exchange.seen);
            if !self.is_primary() {
                drift::hear_confirmed(turn, &mut state, before, last)?;
            }
        }
        if !hears {
            // Where its log is taken up again when it may send.
            turn.put_peer(from, state);
            return Ok(());
        }
        if in_order {
            state.received = exchange.to;
            for record in exchange.records.into_vec() {
                state.hear(record.clock);
                if self.is_primary() && record.device == *from {
                    turn.merge_of_writer(state.slot, record);
                } else {
                    turn.merge(state.slot, record);
                }
            }
            if !self.is_primary() {
                let gone = exchange.dropped.as_slice();
                let gone = gone.iter().map(|gone| (gone.collection.as_str(), gone.id.as_slice(), gone.clock));
                turn.store.drop_tombstones(gone)?;
            }
        } else if exchange.to > state.received {
            state.again = true;
        }
        turn.put_peer(from, state);
        Ok(())
    }

    /// Seals what each device does not have yet. `confirm` also sends acknowledgements that would wait, and says where
    /// this device stands: on every new connection, and some time after something came. Gives whether more is left.
    ///
    /// # Errors
    /// [`SyncError`].
    pub fn send(&self, turn: &mut Turn<'_>, confirm: bool, rng: &mut impl CryptoRng) -> Result<bool, SyncError> {
        let mut more = false;
        if !self.is_primary() && drift::restamp(turn, &self.own)? {
            return Ok(true);
        }
        for (device, stored) in peer::peers(turn.store)? {
            let state = turn.peer(&device)?.unwrap_or(stored);
            more |= self.send_to(turn, &device, state, confirm, rng)?;
        }
        Ok(more)
    }

    fn send_to(
        &self,
        turn: &mut Turn<'_>,
        device: &DeviceId,
        mut state: PeerState,
        confirm: bool,
        rng: &mut impl CryptoRng,
    ) -> Result<bool, SyncError> {
        if !turn.reaches(device)? {
            return Ok(false);
        }
        let (mut records, mut room, mut end, mut more) = (Vec::new(), RECORDS_ROOM, state.scanned, false);
        if !state.is_full() {
            let (page, all) = turn.store.records_after(state.scanned, STRETCH)?;
            let mut cut = false;
            // By the position and not by the length of the page: damaged rows are left out of it.
            more = all < turn.store.last_change()?;
            for LoggedRecord { change, source, record } in page {
                if source != state.slot || change <= state.whole {
                    let Some(left) = room.checked_sub(record.encode().len()) else {
                        cut = true;
                        break;
                    };
                    room = left;
                    records.push(record);
                }
                end = change;
            }
            end = if cut { end } else { all };
            more |= cut;
        }
        let owed = state.again || confirm;
        if records.is_empty() && !owed {
            if end != state.scanned {
                state.scanned = end;
                turn.put_peer(device, state);
            }
            return Ok(more);
        }
        let dropped = if confirm { self.droppable(turn)? } else { List::default() };
        let exchange = Exchange {
            log: turn.log(),
            from: state.sent,
            to: end,
            seen_log: state.log.unwrap_or_default(),
            seen: state.received,
            again: state.again,
            records: List::new(records).map_err(|_| SyncError::Damaged)?,
            dropped,
        };
        state.leave(end);
        turn.put_peer(device, state);
        turn.post(device, EnvelopeKind::Records, &exchange.encode(), rng)?;
        Ok(more)
    }

    /// Tombstones that every listed device has passed. They are dropped here by [`Replica::drop_passed`], and named to the
    /// others meanwhile.
    fn droppable(&self, turn: &mut Turn<'_>) -> Result<List<Dropped, 1024>, SyncError> {
        let passed = match self.role {
            SyncRole::Primary(_) => passed(turn.store)?,
            SyncRole::Linked => 0,
        };
        let dropped = turn.store.tombstones(passed, DROP_AT_ONCE)?.into_iter().map(|gone| Dropped {
            collection: gone.record.collection,
            id: gone.record.id,
            clock: gone.record.clock,
        });
        List::new(dropped.collect()).map_err(|_| SyncError::Damaged)
    }

    /// Drops the tombstones that every listed device has passed, once the devices were told.
    ///
    /// # Errors
    /// [`SyncError`].
    pub fn drop_passed(&self, store: &mut Store) -> Result<(), SyncError> {
        if !self.is_primary() {
            return Ok(());
        }
        let gone = store.tombstones(passed(store)?, DROP_AT_ONCE)?;
        let gone =
            gone.iter().map(|gone| (gone.record.collection.as_str(), gone.record.id.as_slice(), gone.record.clock));
        Ok(store.drop_tombstones(gone)?)
    }

    /// Whether an acknowledgement waits for a device that can be reached.
    ///
    /// # Errors
    /// [`SyncError`].
    pub fn owes(&self, store: &Store) -> Result<bool, SyncError> {
        for (device, state) in peer::peers(store)? {
            let waits = state.received > state.told || state.again;
            if waits && store.book(&device)?.scope(SCOPE_RECEIVE) != 0 && store.session(&device)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a device has no session here yet: it is being linked, or has not come back after a recovery.
    ///
    /// # Errors
    /// [`SyncError`].
    pub fn lacks_session(&self, store: &Store) -> Result<bool, SyncError> {
        for (device, _) in peer::peers(store)? {
            if store.book(&device)?.scope(SCOPE_RECEIVE) != 0 && store.session(&device)?.is_none() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether everything written here is confirmed by every device.
    ///
    /// # Errors
    /// [`SyncError`].
    pub fn is_in_step(&self, store: &Store) -> Result<bool, SyncError> {
        let last = store.last_change()?;
        for (_, state) in peer::peers(store)? {
            let mut seen = state.acked;
            while seen < last {
                let (page, end) = store.records_after(seen, STRETCH)?;
                if page.iter().any(|logged| logged.source != state.slot || logged.change <= state.whole) {
                    return Ok(false);
                }
                seen = end;
            }
        }
        Ok(true)
    }

    /// Whether everything written here is at the relay, for each device that is not too far behind.
    ///
    /// # Errors
    /// [`SyncError`].
    pub fn has_left(&self, store: &Store) -> Result<bool, SyncError> {
        let (last, peers) = (store.last_change()?, peer::peers(store)?);
        // A device that was linked a moment ago is met on the next connection.
        let is_met = |device: &DeviceId| peers.iter().any(|(met, _)| met == device);
        let all_met = match self.role {
            SyncRole::Linked => !peers.is_empty(),
            SyncRole::Primary(_) => store.account()?.is_none_or(|account| {
                let mut entries = account.list().list().entries.as_slice().iter();
                entries.all(|entry| entry.device == self.own || is_met(&entry.device))
            }),
        };
        let scanned = peers.iter().all(|(_, state)| state.scanned >= last || state.is_full());
        Ok(all_met && scanned && unconfirmed(store)?.is_empty())
    }

    /// Seals a signal for every device that this one exchanges with.
    ///
    /// # Errors
    /// [`SyncError::TooLarge`] for a long one.
    pub fn signal(
        &self,
        turn: &mut Turn<'_>,
        name: &str,
        life_ms: u64,
        body: &[u8],
        rng: &mut impl CryptoRng,
    ) -> Result<(), SyncError> {
        let (name, body) = (named("name", name)?, limited("body", body)?);
        let signal = Signal { name, sent: turn.now.unix_ms(), life: life_ms, body }.encode();
        for (device, _) in peer::peers(turn.store)? {
            if turn.reaches(&device)? {
                turn.post(&device, EnvelopeKind::Ephemeral, &signal, rng)?;
            }
        }
        Ok(())
    }

    /// Envelopes that the relay has not confirmed yet, oldest first.
    ///
    /// # Errors
    /// [`SyncError`] when the store cannot be read.
    pub fn unconfirmed(&self, store: &Store) -> Result<Vec<Post>, SyncError> {
        unconfirmed(store)
    }
}

/// Up to which position of the primary's log every listed device has everything.
fn passed(store: &Store) -> Result<u64, SyncError> {
    let mut least = store.last_change()?;
    for (device, state) in peer::peers(store)? {
        least = least.min(if sender::is_over(store, &device)? { state.acked } else { 0 });
    }
    Ok(least)
}
