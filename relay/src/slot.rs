//! Link slots: the meeting points of two devices. In memory only, for seconds; a restart forgets them on purpose.
//!
//! ```text
//! Open --claim--> Claimed --end--> Over (reason kept for a while) --> forgotten
//!    '--- expired, cancelled ----> Over        '--- the socket of an unclaimed slot closed --> forgotten at once
//! ```

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pairlight_wire::hash::sha256;
use pairlight_wire::id::SlotId;
use pairlight_wire::limits::{MESSAGES_PER_SLOT, OFFER_CT_BYTES, PAIRING_MESSAGE_BYTES};
use pairlight_wire::pairing::EndReason;
use pairlight_wire::relay::{
    LinkEvent, OpenSlot, RefusalCode, SlotClaimed, SlotConflict, SlotEnded, SlotMessage, SlotMessages, SlotMsg,
};
use pairlight_wire::sign::Signed;
use pairlight_wire::{Bytes, List};
use subtle::ConstantTimeEq;
use tokio::sync::{Notify, mpsc};

use crate::limits::Limits;
use crate::metrics::Times;
use crate::rate::{Claimant, WrongCodes};
use crate::refusal::{Refusal, refuse};

/// Lets the primary device talk in a slot that it claimed.
pub(crate) type ClaimToken = [u8; 16];

/// A pairing message.
pub(crate) type Message = Bytes<PAIRING_MESSAGE_BYTES>;

/// Events that wait for a linked device. One that lags further behind has stopped reading.
const OUTBOX: usize = 256;

/// One socket of a linked device: owner of the slots that it opened.
#[derive(Clone)]
pub(crate) struct LinkSeat {
    number: u64,
    outbox: mpsc::Sender<LinkEvent>,
    /// Not the relay's own probe.
    counted: bool,
}

enum Phase {
    Open,
    Claimed { token: ClaimToken, by: Claimant },
    Over { reason: EndReason, token: Option<ClaimToken> },
}

struct Slot {
    seat: LinkSeat,
    phase: Phase,
    opened: Instant,
    claimed: Option<Instant>,
    /// When the phase ends by itself.
    deadline: Instant,
    offer_ct: Bytes<OFFER_CT_BYTES>,
    context: Signed,
    from_linked: Vec<Message>,
    /// Messages of the primary device are gone once sent; a hash tells a repetition from a lie.
    from_primary: Vec<[u8; 32]>,
    /// A second claim came, and whether the first claimer was told.
    conflict: Option<Told>,
    changed: Arc<Notify>,
    bytes: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    NotYet,
    Told,
}

#[derive(Default)]
struct Table {
    slots: HashMap<SlotId, Slot>,
    bytes: usize,
    tally: Tally,
    wrong_codes: WrongCodes,
}

/// How far codes came since the start.
#[derive(Clone)]
pub(crate) struct Tally {
    pub(crate) shown: u64,
    pub(crate) claimed: u64,
    /// By whether they were claimed, and why they ended.
    pub(crate) ended: BTreeMap<(bool, EndReason), u64>,
    /// From a claim to its end.
    pub(crate) times: Times,
}

impl Default for Tally {
    fn default() -> Self {
        Self { shown: 0, claimed: 0, ended: BTreeMap::new(), times: Times::of_links() }
    }
}

/// All slots of the relay.
pub(crate) struct Slots {
    table: Mutex<Table>,
    seats: AtomicU64,
    limits: Limits,
}

/// What a claim gives.
pub(crate) struct Claim {
    pub(crate) offer_ct: Bytes<OFFER_CT_BYTES>,
    pub(crate) context: Signed,
    pub(crate) ttl: Duration,
}

fn unknown() -> Refusal {
    refuse(RefusalCode::NotFound, "this code is not known here; ask for a new one")
}

impl Slots {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { table: Mutex::default(), seats: AtomicU64::new(0), limits }
    }

    /// A seat for a new socket, and the events for it.
    pub(crate) fn sit(&self, counted: bool) -> (LinkSeat, mpsc::Receiver<LinkEvent>) {
        let (outbox, events) = mpsc::channel(OUTBOX);
        (LinkSeat { number: self.seats.fetch_add(1, Ordering::Relaxed), outbox, counted }, events)
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a slot. The oldest unclaimed slot of the same socket gives way when there are too many.
    pub(crate) fn open(&self, seat: &LinkSeat, open: OpenSlot, context: Signed, now: Instant) -> Result<(), Refusal> {
        let mut table = self.lock();
        let bytes = open.offer_ct.as_slice().len().saturating_add(context.payload.as_slice().len());
        if table.slots.len() >= self.limits.slots || table.bytes.saturating_add(bytes) > self.limits.slot_bytes {
            return Err(refuse(RefusalCode::Unavailable, "too many codes are being shown; try again soon"));
        }
        if table.slots.contains_key(&open.slot) {
            return Err(refuse(RefusalCode::Conflict, "this slot exists; make a new code"));
        }
        let mine = table.slots.iter().filter(|(_, slot)| slot.seat.number == seat.number && !slot.is_over());
        let mine: Vec<_> = mine.map(|(id, slot)| (slot.opened, *id, matches!(slot.phase, Phase::Open))).collect();
        if mine.len() >= self.limits.slots_per_socket {
            let oldest = mine.iter().filter(|(.., open)| *open).min_by_key(|(opened, ..)| *opened);
            let (_, id, _) = oldest.ok_or_else(|| refuse(RefusalCode::RateLimited, "too many slots on one socket"))?;
            table.end(id, EndReason::Superseded, now, &self.limits);
        }
        let slot = Slot {
            seat: seat.clone(),
            phase: Phase::Open,
            opened: now,
            claimed: None,
            deadline: later(now, self.limits.slot_lifetime),
            offer_ct: open.offer_ct,
            context,
            from_linked: Vec::new(),
            from_primary: Vec::new(),
            conflict: None,
            changed: Arc::default(),
            bytes,
        };
        table.bytes = table.bytes.saturating_add(bytes);
        table.tally.shown = table.tally.shown.saturating_add(u64::from(seat.counted));
        table.slots.insert(open.slot, slot);
        Ok(())
    }

    /// Claims a slot, once. Both devices hear of a second try.
    pub(crate) fn claim(&self, id: &SlotId, token: ClaimToken, by: Claimant, now: Instant) -> Result<Claim, Refusal> {
        let mut table = self.lock();
        table.wrong_codes.check(&by, now)?;
        let slot = table.slots.get_mut(id).ok_or_else(unknown)?;
        match slot.phase {
            Phase::Open if slot.deadline > now => {
                slot.phase = Phase::Claimed { token, by };
                slot.claimed = Some(now);
                let counted = u64::from(slot.seat.counted);
                slot.deadline = later(now, self.limits.claim_lifetime);
                let told = slot.tell(LinkEvent::Claimed(SlotClaimed { slot: *id }));
                let claim = Claim {
                    offer_ct: slot.offer_ct.clone(),
                    context: slot.context.clone(),
                    ttl: self.limits.claim_lifetime,
                };
                table.tally.claimed = table.tally.claimed.saturating_add(counted);
                if !told {
                    table.end(id, EndReason::Unreachable, now, &self.limits);
                }
                Ok(claim)
            }
            Phase::Claimed { .. } => {
                if slot.conflict.is_none() {
                    slot.conflict = Some(Told::NotYet);
                    slot.tell(LinkEvent::Conflict(SlotConflict { slot: *id }));
                    slot.changed.notify_waiters();
                }
                Err(refuse(RefusalCode::Conflict, "somebody else scanned this code"))
            }
            Phase::Over { token: Some(_), .. } => Err(refuse(RefusalCode::Gone, "this code was used already")),
            Phase::Open | Phase::Over { token: None, .. } => {
                Err(refuse(RefusalCode::Gone, "this code is too old; ask for a new one"))
            }
        }
    }

    /// A message of the primary device.
    pub(crate) fn say_to_linked(
        &self,
        id: &SlotId,
        token: &ClaimToken,
        message: SlotMessage,
        now: Instant,
    ) -> Result<(), Refusal> {
        let mut table = self.lock();
        let slot = table.with_token(id, token)?;
        if slot.is_over() {
            return Err(refuse(RefusalCode::NotFound, "the pairing has ended"));
        }
        let hash = sha256(&[message.body.as_slice()]);
        let known = index(message.seq).and_then(|at| slot.from_primary.get(at));
        if !slot.is_next(message.seq, slot.from_primary.len(), known.map(|known| *known == hash))? {
            return Ok(());
        }
        let size = message.body.as_slice().len();
        table.reserve(id, size, &self.limits)?;
        let slot = table.slots.get_mut(id).ok_or_else(unknown)?;
        slot.from_primary.push(hash);
        if !slot.tell(LinkEvent::Msg(SlotMsg { slot: *id, seq: message.seq, body: message.body })) {
            table.end(id, EndReason::Unreachable, now, &self.limits);
        }
        Ok(())
    }

    /// A message of the linked device.
    pub(crate) fn say_to_primary(&self, seat: &LinkSeat, id: &SlotId, seq: u64, body: Message) -> Result<(), Refusal> {
        let mut table = self.lock();
        let slot = table.of_seat(id, seat)?;
        match slot.phase {
            Phase::Open => return Err(refuse(RefusalCode::NotAllowed, "nobody claimed this slot yet")),
            Phase::Over { .. } => return Err(refuse(RefusalCode::NotFound, "the pairing has ended")),
            Phase::Claimed { .. } => {}
        }
        let known = index(seq).and_then(|at| slot.from_linked.get(at));
        if !slot.is_next(seq, slot.from_linked.len(), known.map(|known| *known == body))? {
            return Ok(());
        }
        table.reserve(id, body.as_slice().len(), &self.limits)?;
        let slot = table.slots.get_mut(id).ok_or_else(unknown)?;
        slot.from_linked.push(body);
        slot.changed.notify_waiters();
        Ok(())
    }

    /// Wakes who waits for the slot when something changes.
    pub(crate) fn changed(&self, id: &SlotId) -> Result<Arc<Notify>, Refusal> {
        self.lock().slots.get(id).map(|slot| slot.changed.clone()).ok_or_else(unknown)
    }

    /// What the primary device has not read yet. `None` when there is no news and the caller is patient.
    pub(crate) fn read(
        &self,
        id: &SlotId,
        token: &ClaimToken,
        from: u64,
        patient: bool,
    ) -> Result<Option<SlotMessages>, Refusal> {
        let mut table = self.lock();
        let slot = table.with_token(id, token)?;
        let news = index(from).and_then(|from| slot.from_linked.get(from..)).unwrap_or_default();
        let ended = match slot.phase {
            Phase::Over { reason, .. } => Some(reason),
            _ => None,
        };
        if patient && news.is_empty() && ended.is_none() && slot.conflict != Some(Told::NotYet) {
            return Ok(None);
        }
        let messages = (from..).zip(news).map(|(seq, body)| SlotMessage { seq, body: body.clone() }).collect();
        let messages = List::new(messages).unwrap_or_default();
        let conflict = slot.conflict.is_some();
        slot.conflict = slot.conflict.map(|_| Told::Told);
        Ok(Some(SlotMessages { messages, ended, conflict }))
    }

    /// The primary device ends the pairing. Ending twice changes nothing.
    pub(crate) fn end_by_primary(
        &self,
        id: &SlotId,
        token: &ClaimToken,
        reason: EndReason,
        now: Instant,
    ) -> Result<(), Refusal> {
        let mut table = self.lock();
        table.with_token(id, token)?;
        table.end(id, reason, now, &self.limits);
        Ok(())
    }

    /// The linked device ends the pairing, or takes its code back.
    pub(crate) fn end_by_linked(
        &self,
        seat: &LinkSeat,
        id: &SlotId,
        reason: EndReason,
        now: Instant,
    ) -> Result<(), Refusal> {
        let mut table = self.lock();
        table.of_seat(id, seat)?;
        table.end_quietly(id, reason, now, &self.limits);
        Ok(())
    }

    /// The socket of a linked device closed: its codes vanish, its pairing ends after a short grace.
    pub(crate) fn stand_up(&self, seat: &LinkSeat, now: Instant) {
        let mut table = self.lock();
        let mine: Vec<_> =
            table.slots.iter().filter(|(_, s)| s.seat.number == seat.number).map(|(id, _)| *id).collect();
        for id in mine {
            match table.slots.get_mut(&id) {
                Some(slot) if matches!(slot.phase, Phase::Open) => table.forget(&id),
                Some(slot) if !slot.is_over() => {
                    slot.deadline = slot.deadline.min(later(now, self.limits.socket_grace));
                }
                _ => {}
            }
        }
    }

    /// Ends and forgets what is due.
    pub(crate) fn sweep(&self, now: Instant) {
        let mut table = self.lock();
        let due: Vec<_> = table.slots.iter().filter(|(_, slot)| slot.deadline <= now).map(|(id, _)| *id).collect();
        for id in due {
            let Some(slot) = table.slots.get(&id) else { continue };
            match slot.phase {
                Phase::Open => table.end(&id, EndReason::Expired, now, &self.limits),
                Phase::Claimed { .. } if slot.seat.outbox.is_closed() => {
                    table.end(&id, EndReason::Unreachable, now, &self.limits);
                }
                Phase::Claimed { .. } => table.end(&id, EndReason::TimedOut, now, &self.limits),
                Phase::Over { .. } => table.forget(&id),
            }
        }
    }

    /// Forgets wrong codes that no longer count.
    pub(crate) fn sweep_wrong_codes(&self, now: Instant) {
        self.lock().wrong_codes.sweep(now);
    }

    /// How far codes came since the start.
    pub(crate) fn tally(&self) -> Tally {
        self.lock().tally.clone()
    }

    /// Slots and bytes in memory.
    /// Links under way: claimed and not ended, of all sockets or of one.
    pub(crate) fn claimed(&self, of: Option<&LinkSeat>) -> usize {
        let is_one = |slot: &&Slot| {
            matches!(slot.phase, Phase::Claimed { .. }) && of.is_none_or(|seat| slot.seat.number == seat.number)
        };
        self.lock().slots.values().filter(is_one).count()
    }

    pub(crate) fn load(&self) -> (usize, usize) {
        let table = self.lock();
        (table.slots.len(), table.bytes)
    }
}

impl Slot {
    fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over { .. })
    }

    /// Tells the linked device, as long as it listens.
    fn tell(&self, event: LinkEvent) -> bool {
        self.seat.outbox.try_send(event).is_ok()
    }

    /// Whether `seq` is a new message; `Ok(false)` for a repetition of a known one.
    fn is_next(&self, seq: u64, count: usize, same: Option<bool>) -> Result<bool, Refusal> {
        match same {
            Some(true) => Ok(false),
            Some(false) => Err(refuse(RefusalCode::Protocol, "this number was used for another message")),
            None if index(seq) != Some(count) => {
                Err(refuse(RefusalCode::Protocol, "a message before this one is missing"))
            }
            None if self.from_linked.len().saturating_add(self.from_primary.len()) >= MESSAGES_PER_SLOT => {
                Err(refuse(RefusalCode::TooLarge, "too many messages in one pairing"))
            }
            None => Ok(true),
        }
    }
}

impl Table {
    /// The slot, for who has its claim token. A wrong token and an unclaimed slot look the same.
    fn with_token(&mut self, id: &SlotId, given: &ClaimToken) -> Result<&mut Slot, Refusal> {
        let slot = self.slots.get_mut(id).ok_or_else(unknown)?;
        let right = match &slot.phase {
            Phase::Claimed { token, .. } | Phase::Over { token: Some(token), .. } => bool::from(token.ct_eq(given)),
            Phase::Open | Phase::Over { token: None, .. } => false,
        };
        if right { Ok(slot) } else { Err(refuse(RefusalCode::NotAllowed, "the token is not valid for this slot")) }
    }

    /// The slot, for the socket that opened it. Slots of others do not exist for it.
    fn of_seat(&mut self, id: &SlotId, seat: &LinkSeat) -> Result<&mut Slot, Refusal> {
        self.slots.get_mut(id).filter(|slot| slot.seat.number == seat.number).ok_or_else(unknown)
    }

    fn reserve(&mut self, id: &SlotId, bytes: usize, limits: &Limits) -> Result<(), Refusal> {
        let total = self.bytes.saturating_add(bytes);
        if total > limits.slot_bytes {
            return Err(refuse(RefusalCode::Unavailable, "the relay is full; try again soon"));
        }
        self.bytes = total;
        if let Some(slot) = self.slots.get_mut(id) {
            slot.bytes = slot.bytes.saturating_add(bytes);
        }
        Ok(())
    }

    /// Ends a slot and tells both devices.
    fn end(&mut self, id: &SlotId, reason: EndReason, now: Instant, limits: &Limits) {
        if self.slots.get(id).is_some_and(|slot| !slot.is_over()) {
            if let Some(slot) = self.slots.get(id) {
                slot.tell(LinkEvent::Ended(SlotEnded { slot: *id, reason }));
            }
            self.end_quietly(id, reason, now, limits);
        }
    }

    /// Ends a slot at the wish of the linked device, which knows.
    fn end_quietly(&mut self, id: &SlotId, reason: EndReason, now: Instant, limits: &Limits) {
        if let Some(slot) = self.slots.get_mut(id).filter(|slot| !slot.is_over()) {
            let token = match slot.phase {
                Phase::Claimed { token, by } => {
                    if reason == EndReason::WrongCheckCode {
                        self.wrong_codes.note(by, now);
                    }
                    Some(token)
                }
                _ => None,
            };
            slot.phase = Phase::Over { reason, token };
            slot.deadline = later(now, limits.ended_slot_memory);
            slot.changed.notify_waiters();
            if slot.seat.counted {
                let count = self.tally.ended.entry((slot.claimed.is_some(), reason)).or_default();
                *count = count.saturating_add(1);
                if let Some(claimed) = slot.claimed {
                    self.tally.times.note(now.saturating_duration_since(claimed));
                }
            }
        }
    }

    fn forget(&mut self, id: &SlotId) {
        if let Some(slot) = self.slots.remove(id) {
            self.bytes = self.bytes.saturating_sub(slot.bytes);
            slot.changed.notify_waiters();
        }
    }
}

fn index(seq: u64) -> Option<usize> {
    usize::try_from(seq).ok()
}

fn later(now: Instant, by: Duration) -> Instant {
    now.checked_add(by).unwrap_or(now)
}
