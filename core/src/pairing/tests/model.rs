//! A model of the two machines, for a model checker: docs/protocol.md section 8 once more, with records in place of bytes.
//!
//! It begins where the slot is claimed and ends where both sides have decided, over restarts. What can happen: people act
//! or do not; messages are lost, come twice, late or in another order; either program dies instead of any of its effects,
//! stays away, and starts again; sockets close; the relay loses a publication, its answer, or carries it out later. Each
//! such fault counts, and a run has at most [`Pairing::faults`]. What a relay does that lies, and evidence, are not here
//! but in `adversary.rs`, `schedules.rs`, `faults.rs` and `evidence.rs`.
//!
//! `replay.rs` plays runs of the model on the real machines and compares both after every step.

use pairlight_wire::pairing::EndReason;
use stateright::{Model, Property};

/// Seconds since the claim.
pub(super) type Seconds = u16;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Side {
    Linked,
    Primary,
}

/// What travels in the slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Msg {
    M1,
    M2,
    M2b(bool),
    M3,
    M4,
    M5,
    /// The slot is over.
    Ended(EndReason),
}

impl Msg {
    fn number(self) -> u8 {
        match self {
            Self::M1 | Self::M2 => 0,
            Self::M2b(_) | Self::M3 => 1,
            Self::M4 | Self::M5 => 2,
            Self::Ended(_) => u8::MAX,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum L {
    Claimed,
    Code {
        left: u8,
    },
    AwaitingCertificate,
    AwaitingCommit {
        channel: bool,
        told: Option<EndReason>,
    },
    Linked,
    Failed(EndReason),
    /// Crashed; not started again yet.
    Down,
    /// Started again with nothing on disk.
    Gone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum P {
    Review,
    AwaitingKey,
    ShowingCheckCode,
    AwaitingAcceptance,
    Publishing { channel: bool },
    Abandoning { removing: bool },
    Linked,
    Failed(EndReason),
    Down,
    Gone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Timer {
    Claim,
    Message,
    CheckCode,
    /// A question for the list, or the pause before a publication is tried again: what a sleeping device may be late with.
    Repeat,
    GiveUp,
    LastAnswer,
}

/// The running timers of a machine, in the order in which they were started.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Timers(Vec<(Timer, Seconds)>);

impl Timers {
    fn start(&mut self, timer: Timer, at: Seconds) {
        self.stop(timer);
        self.0.push((timer, at));
    }
    fn stop(&mut self, timer: Timer) {
        self.0.retain(|(known, _)| *known != timer);
    }
    fn runs(&self, timer: Timer) -> bool {
        self.0.iter().any(|(known, _)| *known == timer)
    }
    fn expired(&mut self, now: Seconds) -> Option<Timer> {
        let (timer, _) = *self.0.iter().filter(|(_, at)| *at <= now).min_by_key(|(_, at)| *at)?;
        self.stop(timer);
        Some(timer)
    }
    pub(super) fn next(&self) -> Option<Seconds> {
        self.0.iter().map(|(_, at)| *at).min()
    }
    fn next_grave(&self) -> Option<Seconds> {
        self.0.iter().filter(|(timer, _)| *timer != Timer::Repeat).map(|(_, at)| *at).min()
    }
}

/// A list after the first, which both know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum List {
    With,
    Barred,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Call {
    Publish(List, u8),
    Fetch,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum LinkedDisk {
    Empty,
    Pending { certified: Seconds },
    Committed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum PrimaryDisk {
    Empty,
    Certified,
    Publishing { accepted: Seconds },
    Abandoning,
    Linked,
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct State {
    pub(super) now: Seconds,
    pub(super) linked: L,
    pub(super) primary: P,
    linked_next: u8,
    primary_next: u8,
    connected: bool,
    claimed: bool,
    /// Whether an end erases what is on disk.
    linked_saved: bool,
    primary_saved: bool,
    pub(super) linked_timers: Timers,
    pub(super) primary_timers: Timers,
    pub(super) linked_disk: LinkedDisk,
    pub(super) primary_disk: PrimaryDisk,
    /// Lists after the first that the primary device's machine knows, and those of its account on disk.
    known: u8,
    known_on_disk: u8,
    pub(super) to_linked: Vec<Msg>,
    pub(super) to_primary: Vec<Msg>,
    pub(super) linked_calls: Vec<Call>,
    pub(super) primary_calls: Vec<Call>,
    slot_over: bool,
    /// Lists after the first that the relay has, and a publication that it will carry out later.
    pub(super) chain: Vec<List>,
    pub(super) held: Option<(List, u8)>,
    /// The check code was on the primary device's screen.
    pub(super) digits: bool,
    approved: bool,
    typed_right: bool,
    faults_left: u8,
    /// Short waits and absences that are left: they cost no fault.
    naps_left: u8,
}

/// What the relay does with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Answer {
    Given,
    /// Carried out, but the answer is lost.
    Lost,
    /// Never arrived.
    Unreached,
    /// Carried out later; no answer.
    Held,
}

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum What {
    Approve,
    Decline,
    Cancel(Side),
    TypeRight,
    TypeWrong,
    /// The n-th message on its way arrives; and may come again.
    Deliver(Side, u8, bool),
    Drop(Side, u8),
    Answer(Side, Answer),
    /// The relay carries out what it held back.
    Release,
    LoseSocket,
    Crash(Side),
    Restart(Side),
    /// Time passes to the next deadline of either machine.
    Wait,
    /// As `Wait`, but only to the next repetition.
    Nap,
    /// Time passes while a device is away.
    Away(Seconds),
    Timeout(Side),
}

/// What happens, and whether the machine that it happens to dies instead of its n-th effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Action {
    pub(super) what: What,
    pub(super) dies_at: Option<u8>,
}

/// What a machine does to the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    SaveLinked(LinkedDisk),
    SavePrimary(PrimaryDisk),
    Send(Msg),
    Cancel(EndReason),
    Call(Call),
}

const CLAIM: Seconds = 180;
const MESSAGE: Seconds = 20;
const CODE: Seconds = 120;
const COMMIT: Seconds = 600;
const POLL: Seconds = 5;
const PUBLISH: Seconds = 480;
const ABANDON: Seconds = 60;
const RETRY: Seconds = 2;

/// The model, with its bound.
pub(super) struct Pairing {
    pub(super) faults: u8,
}

impl State {
    pub(super) fn claimed(faults: u8) -> Self {
        let mut state = Self {
            now: 0,
            linked: L::Claimed,
            primary: P::Review,
            linked_next: 0,
            primary_next: 0,
            connected: true,
            claimed: true,
            linked_saved: false,
            primary_saved: false,
            linked_timers: Timers::default(),
            primary_timers: Timers::default(),
            linked_disk: LinkedDisk::Empty,
            primary_disk: PrimaryDisk::Empty,
            known: 0,
            known_on_disk: 0,
            to_linked: Vec::new(),
            to_primary: Vec::new(),
            linked_calls: Vec::new(),
            primary_calls: Vec::new(),
            slot_over: false,
            chain: Vec::new(),
            held: None,
            digits: false,
            approved: false,
            typed_right: false,
            faults_left: faults,
            naps_left: 2,
        };
        state.linked_timers.start(Timer::Claim, CLAIM);
        state.primary_timers.start(Timer::Claim, CLAIM);
        state
    }

    fn linked_runs(&self) -> bool {
        !matches!(self.linked, L::Linked | L::Failed(_) | L::Down | L::Gone)
    }

    fn primary_runs(&self) -> bool {
        !matches!(self.primary, P::Linked | P::Failed(_) | P::Down | P::Gone)
    }

    fn due(&self, side: Side) -> bool {
        let (runs, timers) = match side {
            Side::Linked => (self.linked_runs(), &self.linked_timers),
            Side::Primary => (self.primary_runs(), &self.primary_timers),
        };
        runs && timers.next().is_some_and(|at| at <= self.now)
    }

    /// Whether anything is on its way that would arrive at once if nothing were wrong.
    fn is_busy(&self) -> bool {
        [self.to_linked.len(), self.to_primary.len(), self.linked_calls.len(), self.primary_calls.len()] != [0; 4]
    }

    fn can_start(&self, side: Side) -> bool {
        match side {
            Side::Linked => match self.linked {
                L::Down => true,
                L::Failed(_) => matches!(self.linked_disk, LinkedDisk::Pending { .. }),
                _ => false,
            },
            Side::Primary => match self.primary {
                P::Down => true,
                P::Failed(_) => !matches!(self.primary_disk, PrimaryDisk::Empty | PrimaryDisk::Linked),
                _ => false,
            },
        }
    }

    // ---- the linked device's machine

    fn linked_fails(&mut self, reason: EndReason) -> Vec<Effect> {
        if !self.linked_runs() {
            return Vec::new();
        }
        let mut effects: Vec<_> = self.connected.then_some(Effect::Cancel(reason)).into_iter().collect();
        effects.extend(self.linked_ends(reason));
        effects
    }

    fn linked_ends(&mut self, reason: EndReason) -> Vec<Effect> {
        self.linked = L::Failed(reason);
        self.linked_timers = Timers::default();
        let saved = core::mem::take(&mut self.linked_saved);
        saved.then_some(Effect::SaveLinked(LinkedDisk::Empty)).into_iter().collect()
    }

    fn linked_fetches(&mut self) -> Vec<Effect> {
        self.linked_timers.start(Timer::Repeat, self.now + POLL);
        vec![Effect::Call(Call::Fetch)]
    }

    fn linked_completes(&mut self) -> Vec<Effect> {
        self.linked = L::Linked;
        self.linked_timers = Timers::default();
        vec![Effect::SaveLinked(LinkedDisk::Committed)]
    }

    fn linked_gets(&mut self, msg: Msg) -> Vec<Effect> {
        if let Msg::Ended(reason) = msg {
            if let L::AwaitingCommit { told, .. } = &mut self.linked {
                *told = told.or(Some(reason));
                return self.linked_fetches();
            }
            return if self.linked_runs() { self.linked_ends(reason) } else { Vec::new() };
        }
        if msg.number() != self.linked_next {
            return match &mut self.linked {
                _ if msg.number() < self.linked_next => Vec::new(),
                L::AwaitingCommit { channel, .. } => {
                    *channel = false;
                    self.linked_fetches()
                }
                _ => self.linked_fails(EndReason::Tampered),
            };
        }
        self.linked_next += 1;
        match (self.linked, msg) {
            (L::Claimed, Msg::M1) => {
                self.linked = L::Code { left: 3 };
                self.linked_timers.start(Timer::CheckCode, self.now + CODE);
                vec![Effect::Send(Msg::M2)]
            }
            (L::AwaitingCertificate, Msg::M3) => {
                self.linked_saved = true;
                self.linked = L::AwaitingCommit { channel: true, told: None };
                self.linked_timers.start(Timer::Message, self.now + MESSAGE);
                self.linked_timers.start(Timer::GiveUp, self.now + COMMIT);
                vec![Effect::SaveLinked(LinkedDisk::Pending { certified: self.now }), Effect::Send(Msg::M4)]
            }
            (L::AwaitingCommit { channel: true, .. }, Msg::M5) => self.linked_completes(),
            (L::AwaitingCommit { .. } | L::Linked | L::Failed(_), _) => Vec::new(),
            _ => self.linked_fails(EndReason::Tampered),
        }
    }

    fn linked_types(&mut self, right: bool) -> Vec<Effect> {
        let L::Code { left } = &mut self.linked else { return Vec::new() };
        if right {
            self.linked = L::AwaitingCertificate;
            self.typed_right = true;
            self.linked_timers.stop(Timer::CheckCode);
            return vec![Effect::Send(Msg::M2b(true))];
        }
        *left -= 1;
        if *left > 0 {
            return Vec::new();
        }
        let mut effects = vec![Effect::Send(Msg::M2b(false))];
        effects.extend(self.linked_fails(EndReason::WrongCheckCode));
        effects
    }

    fn linked_hears_of_lists(&mut self, answered: bool) -> Vec<Effect> {
        if !matches!(self.linked, L::AwaitingCommit { .. }) {
            return Vec::new();
        }
        let last_look = self.linked_timers.runs(Timer::LastAnswer);
        match self.chain.last() {
            _ if !answered && last_look => {
                self.linked_saved = false;
                self.linked_fails(EndReason::Unreachable)
            }
            _ if !answered => Vec::new(),
            Some(List::With) => self.linked_completes(),
            Some(List::Barred) => self.linked_fails(EndReason::NotPublished),
            None if last_look => {
                let L::AwaitingCommit { told, .. } = self.linked else { return Vec::new() };
                self.linked_fails(told.unwrap_or(EndReason::NotPublished))
            }
            None => Vec::new(),
        }
    }

    fn linked_times_out(&mut self) -> Vec<Effect> {
        let mut effects = Vec::new();
        while let Some(timer) = self.linked_timers.expired(self.now) {
            let committing = matches!(self.linked, L::AwaitingCommit { .. });
            effects.extend(match timer {
                Timer::Repeat => self.linked_fetches(),
                Timer::GiveUp => {
                    self.linked_timers.start(Timer::LastAnswer, self.now + MESSAGE);
                    self.linked_fetches()
                }
                Timer::LastAnswer => {
                    self.linked_saved = false;
                    self.linked_fails(EndReason::Unreachable)
                }
                Timer::Claim | Timer::Message if committing => self.linked_fetches(),
                Timer::Claim | Timer::Message | Timer::CheckCode => self.linked_fails(EndReason::TimedOut),
            });
        }
        effects
    }

    fn linked_loses_socket(&mut self) -> Vec<Effect> {
        self.connected = false;
        match &mut self.linked {
            L::AwaitingCommit { channel, .. } => {
                *channel = false;
                self.linked_timers.stop(Timer::Message);
                self.linked_timers.stop(Timer::Claim);
                self.linked_fetches()
            }
            _ => self.linked_fails(EndReason::Unreachable),
        }
    }

    fn linked_starts(&mut self) -> Vec<Effect> {
        self.connected = false;
        self.linked_timers = Timers::default();
        match self.linked_disk {
            LinkedDisk::Empty => {
                self.linked = L::Gone;
                Vec::new()
            }
            LinkedDisk::Committed => {
                self.linked = L::Linked;
                Vec::new()
            }
            LinkedDisk::Pending { certified } => {
                self.linked = L::AwaitingCommit { channel: false, told: None };
                self.linked_saved = true;
                let age = self.now - certified;
                self.linked_timers.start(Timer::GiveUp, self.now + COMMIT.saturating_sub(age));
                self.linked_fetches()
            }
        }
    }

    // ---- the primary device's machine

    fn primary_fails(&mut self, reason: EndReason) -> Vec<Effect> {
        if !self.primary_runs() {
            return Vec::new();
        }
        let mut effects: Vec<_> = self.claimed.then_some(Effect::Cancel(reason)).into_iter().collect();
        effects.extend(self.primary_ends(reason));
        effects
    }

    fn primary_fails_undecided(&mut self, reason: EndReason) -> Vec<Effect> {
        self.primary_saved = false;
        self.primary_fails(reason)
    }

    fn primary_ends(&mut self, reason: EndReason) -> Vec<Effect> {
        self.primary = P::Failed(reason);
        self.primary_timers = Timers::default();
        let saved = core::mem::take(&mut self.primary_saved);
        saved.then_some(Effect::SavePrimary(PrimaryDisk::Empty)).into_iter().collect()
    }

    fn is_deciding(&self) -> bool {
        matches!(self.primary, P::Publishing { .. } | P::Abandoning { .. })
    }

    fn primary_gets(&mut self, msg: Msg) -> Vec<Effect> {
        if let Msg::Ended(reason) = msg {
            return match self.primary {
                P::Publishing { .. } => {
                    self.primary = P::Publishing { channel: false };
                    Vec::new()
                }
                _ if self.primary_runs() && !self.is_deciding() => self.primary_ends(reason),
                _ => Vec::new(),
            };
        }
        if msg.number() != self.primary_next {
            let ahead = msg.number() > self.primary_next && !self.is_deciding();
            return if ahead { self.primary_fails(EndReason::Tampered) } else { Vec::new() };
        }
        self.primary_next += 1;
        match (self.primary, msg) {
            (P::AwaitingKey, Msg::M2) => {
                self.primary = P::ShowingCheckCode;
                self.digits = true;
                self.primary_timers.stop(Timer::Message);
                self.primary_timers.start(Timer::CheckCode, self.now + CODE);
                Vec::new()
            }
            (P::ShowingCheckCode, Msg::M2b(false)) => self.primary_fails(EndReason::WrongCheckCode),
            (P::ShowingCheckCode, Msg::M2b(true)) => {
                self.primary_timers.stop(Timer::CheckCode);
                self.primary_timers.start(Timer::Message, self.now + MESSAGE);
                self.primary = P::AwaitingAcceptance;
                self.primary_saved = true;
                vec![Effect::SavePrimary(PrimaryDisk::Certified), Effect::Send(Msg::M3)]
            }
            (P::AwaitingAcceptance, Msg::M4) => {
                self.primary_timers = Timers::default();
                self.primary_timers.start(Timer::GiveUp, self.now + PUBLISH);
                self.primary = P::Publishing { channel: true };
                let save = Effect::SavePrimary(PrimaryDisk::Publishing { accepted: self.now });
                vec![save, Effect::Call(Call::Publish(List::With, 1))]
            }
            _ => Vec::new(),
        }
    }

    fn primary_finishes(&mut self) -> Vec<Effect> {
        let P::Publishing { channel } = self.primary else { return Vec::new() };
        self.known = 1;
        self.primary = P::Linked;
        self.primary_timers = Timers::default();
        self.primary_saved = false;
        let mut effects = vec![Effect::SavePrimary(PrimaryDisk::Linked)];
        effects.extend(channel.then_some(Effect::Send(Msg::M5)));
        effects
    }

    fn primary_abandons(&mut self) -> Vec<Effect> {
        self.primary = P::Abandoning { removing: false };
        self.primary_timers = Timers::default();
        self.primary_timers.start(Timer::GiveUp, self.now + ABANDON);
        vec![Effect::SavePrimary(PrimaryDisk::Abandoning), Effect::Call(Call::Fetch)]
    }

    fn primary_hears_of_publication(&mut self, taken: bool) -> Vec<Effect> {
        match &mut self.primary {
            P::Publishing { .. } if taken => self.primary_finishes(),
            // Another list was there first: this model has none but our own, so there is nothing to wait for.
            P::Publishing { .. } => vec![Effect::Call(Call::Fetch)],
            P::Abandoning { removing } if *removing => {
                if taken {
                    self.known += 1;
                    return self.primary_ends(EndReason::NotPublished);
                }
                *removing = false;
                self.primary_timers.start(Timer::Repeat, self.now + RETRY);
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn primary_hears_of_lists(&mut self) -> Vec<Effect> {
        if !self.is_deciding() {
            return Vec::new();
        }
        self.known = u8::try_from(self.chain.len()).unwrap_or(u8::MAX);
        let listed = self.chain.last() == Some(&List::With);
        match &mut self.primary {
            P::Publishing { .. } if listed => self.primary_finishes(),
            P::Publishing { .. } => vec![Effect::Call(Call::Publish(List::With, 1))],
            P::Abandoning { removing } if listed || self.known == 0 => {
                *removing = true;
                vec![Effect::Call(Call::Publish(List::Barred, self.known + 1))]
            }
            _ => self.primary_ends(EndReason::NotPublished),
        }
    }

    fn primary_reaches_nobody(&mut self) -> Vec<Effect> {
        if self.is_deciding() {
            self.primary_timers.start(Timer::Repeat, self.now + RETRY);
            return Vec::new();
        }
        self.primary_fails(EndReason::Unreachable)
    }

    fn primary_times_out(&mut self) -> Vec<Effect> {
        let mut effects = Vec::new();
        while let Some(timer) = self.primary_timers.expired(self.now) {
            effects.extend(match timer {
                Timer::Repeat => vec![Effect::Call(Call::Fetch)],
                Timer::GiveUp if matches!(self.primary, P::Publishing { .. }) => self.primary_abandons(),
                Timer::GiveUp => self.primary_fails_undecided(EndReason::NotPublished),
                _ => self.primary_fails(EndReason::TimedOut),
            });
        }
        effects
    }

    fn primary_starts(&mut self) -> Vec<Effect> {
        self.claimed = false;
        self.primary_timers = Timers::default();
        self.known = self.known_on_disk;
        match self.primary_disk {
            PrimaryDisk::Empty => {
                self.primary = P::Gone;
                Vec::new()
            }
            PrimaryDisk::Linked => {
                self.primary = P::Linked;
                Vec::new()
            }
            PrimaryDisk::Certified => {
                self.primary_saved = true;
                self.primary_ends(EndReason::NotPublished)
            }
            PrimaryDisk::Publishing { accepted } if self.now - accepted < PUBLISH => {
                self.primary_saved = true;
                self.primary = P::Publishing { channel: false };
                self.primary_timers.start(Timer::GiveUp, accepted + PUBLISH);
                vec![Effect::Call(Call::Publish(List::With, 1))]
            }
            PrimaryDisk::Publishing { .. } | PrimaryDisk::Abandoning => {
                self.primary_saved = true;
                self.primary_abandons()
            }
        }
    }

    // ---- the world

    fn perform(&mut self, side: Side, effects: &[Effect]) {
        let reachable = !self.slot_over;
        for effect in effects {
            match (*effect, side) {
                (Effect::SaveLinked(disk), _) => self.linked_disk = disk,
                (Effect::SavePrimary(disk), _) => {
                    self.primary_disk = disk;
                    if matches!(disk, PrimaryDisk::Empty | PrimaryDisk::Linked) {
                        self.known_on_disk = self.known;
                    }
                }
                (Effect::Send(msg), Side::Linked) if reachable => self.to_primary.push(msg),
                (Effect::Send(msg), Side::Primary) if reachable => self.to_linked.push(msg),
                (Effect::Send(_), _) => {}
                (Effect::Cancel(reason), side) => self.slot_ends(side, reason),
                (Effect::Call(call), Side::Linked) => self.linked_calls.push(call),
                (Effect::Call(call), Side::Primary) => self.primary_calls.push(call),
            }
        }
        // What an ended machine would be told does not matter.
        if !self.linked_runs() {
            self.to_linked.clear();
            self.linked_calls.clear();
        }
        if !self.primary_runs() {
            self.to_primary.clear();
            self.primary_calls.clear();
        }
    }

    /// The relay tells the other side that the slot is over.
    fn slot_ends(&mut self, by: Side, reason: EndReason) {
        if core::mem::replace(&mut self.slot_over, true) {
            return;
        }
        match by {
            Side::Linked => self.to_primary.push(Msg::Ended(reason)),
            Side::Primary if self.connected => self.to_linked.push(Msg::Ended(reason)),
            Side::Primary => {}
        }
    }

    fn crash(&mut self, side: Side) {
        match side {
            Side::Linked => {
                self.linked = L::Down;
                self.linked_timers = Timers::default();
                self.connected = false;
                self.slot_ends(Side::Linked, EndReason::Unreachable);
            }
            Side::Primary => {
                // A publication may have left already.
                let left = self.primary_calls.iter().find_map(|call| match call {
                    Call::Publish(list, epoch) => Some((*list, *epoch)),
                    Call::Fetch => None,
                });
                self.held = self.held.or(left);
                self.primary = P::Down;
                self.primary_timers = Timers::default();
            }
        }
        self.perform(side, &[]);
    }

    /// The relay takes a list if it is the next one.
    fn store(&mut self, list: List, epoch: u8) -> bool {
        let newest = u8::try_from(self.chain.len()).unwrap_or(u8::MAX);
        if newest == epoch && self.chain.last() == Some(&list) {
            return true;
        }
        let fits = epoch == newest + 1;
        if fits {
            self.chain.push(list);
        }
        fits
    }

    fn answers(&mut self, side: Side, answer: Answer) -> Vec<Effect> {
        match side {
            Side::Linked => {
                self.linked_calls.remove(0);
                self.linked_hears_of_lists(answer == Answer::Given)
            }
            Side::Primary => match self.primary_calls.remove(0) {
                Call::Fetch if answer == Answer::Given => self.primary_hears_of_lists(),
                Call::Fetch => self.primary_reaches_nobody(),
                Call::Publish(list, epoch) => {
                    let taken = matches!(answer, Answer::Given | Answer::Lost) && self.store(list, epoch);
                    match answer {
                        Answer::Given => self.primary_hears_of_publication(taken),
                        Answer::Lost | Answer::Unreached => self.primary_reaches_nobody(),
                        Answer::Held => {
                            self.held = Some((list, epoch));
                            self.primary_reaches_nobody()
                        }
                    }
                }
            },
        }
    }

    fn deliver(&mut self, side: Side, place: u8, again: bool) -> Vec<Effect> {
        let queue = match side {
            Side::Linked => &mut self.to_linked,
            Side::Primary => &mut self.to_primary,
        };
        let place = usize::from(place);
        let msg = if again { queue[place] } else { queue.remove(place) };
        match side {
            Side::Linked => self.linked_gets(msg),
            Side::Primary => self.primary_gets(msg),
        }
    }

    /// Whose machine it happens to, and what that machine then does.
    fn happens(&mut self, what: What) -> (Option<Side>, Vec<Effect>) {
        match what {
            What::Approve => {
                self.primary = P::AwaitingKey;
                self.approved = true;
                self.primary_timers.start(Timer::Message, self.now + MESSAGE);
                (Some(Side::Primary), vec![Effect::Send(Msg::M1)])
            }
            What::Decline => (Some(Side::Primary), self.primary_fails(EndReason::Declined)),
            What::Cancel(Side::Linked) => (Some(Side::Linked), self.linked_fails(EndReason::Cancelled)),
            What::Cancel(Side::Primary) => (Some(Side::Primary), self.primary_fails(EndReason::Cancelled)),
            What::TypeRight => (Some(Side::Linked), self.linked_types(true)),
            What::TypeWrong => (Some(Side::Linked), self.linked_types(false)),
            What::Deliver(side, place, again) => (Some(side), self.deliver(side, place, again)),
            What::Drop(side, place) => {
                match side {
                    Side::Linked => self.to_linked.remove(usize::from(place)),
                    Side::Primary => self.to_primary.remove(usize::from(place)),
                };
                (None, Vec::new())
            }
            What::Answer(side, answer) => (Some(side), self.answers(side, answer)),
            What::Release => {
                if let Some((list, epoch)) = self.held.take() {
                    self.store(list, epoch);
                }
                (None, Vec::new())
            }
            What::LoseSocket => {
                self.slot_ends(Side::Linked, EndReason::Unreachable);
                (Some(Side::Linked), self.linked_loses_socket())
            }
            What::Crash(side) => {
                self.crash(side);
                (None, Vec::new())
            }
            What::Restart(Side::Linked) => (Some(Side::Linked), self.linked_starts()),
            What::Restart(Side::Primary) => (Some(Side::Primary), self.primary_starts()),
            What::Wait => {
                let next = [self.linked_timers.next_grave(), self.primary_timers.next_grave()];
                self.now = next.into_iter().flatten().min().unwrap_or(self.now);
                (None, Vec::new())
            }
            What::Nap => {
                let next = [self.linked_timers.next(), self.primary_timers.next()];
                self.now = next.into_iter().flatten().min().unwrap_or(self.now);
                (None, Vec::new())
            }
            What::Away(seconds) => {
                self.now += seconds;
                (None, Vec::new())
            }
            What::Timeout(Side::Linked) => (Some(Side::Linked), self.linked_times_out()),
            What::Timeout(Side::Primary) => (Some(Side::Primary), self.primary_times_out()),
        }
    }

    /// Faults that an event is.
    fn cost(&self, what: What) -> u8 {
        match what {
            // Twice, or before what was sent first.
            What::Deliver(_, place, again) => u8::from(again) + u8::from(place > 0),
            What::Drop(..) | What::LoseSocket | What::Crash(_) => 1,
            What::Answer(_, answer) => u8::from(answer != Answer::Given),
            // Something that is on its way is so slow that a deadline passes.
            What::Wait | What::Nap => u8::from(self.is_busy()),
            _ => 0,
        }
    }

    /// The state after `action`; for one that dies, how many effects it would have had.
    pub(super) fn after(&self, action: Action) -> (Self, usize) {
        let mut next = self.clone();
        next.faults_left = next.faults_left.saturating_sub(self.cost(action.what));
        if matches!(action.what, What::Nap | What::Away(_)) {
            next.naps_left = next.naps_left.saturating_sub(1);
        }
        let (side, effects) = next.happens(action.what);
        match (side, action.dies_at) {
            (Some(side), Some(at)) => {
                next.faults_left = next.faults_left.saturating_sub(1);
                next.perform(side, effects.get(..usize::from(at)).unwrap_or_default());
                next.crash(side);
            }
            (Some(side), None) => next.perform(side, &effects),
            (None, _) => {}
        }
        (next, effects.len())
    }

    fn possible(&self) -> Vec<What> {
        let mut what = Vec::new();
        if self.primary == P::Review {
            what.extend([What::Approve, What::Decline]);
        }
        let undecided = self.linked_runs() && !matches!(self.linked, L::AwaitingCommit { .. });
        if undecided {
            what.push(What::Cancel(Side::Linked));
        }
        if self.primary_runs() && !self.is_deciding() {
            what.push(What::Cancel(Side::Primary));
        }
        if matches!(self.linked, L::Code { .. }) {
            what.push(What::TypeWrong);
            if self.digits {
                what.push(What::TypeRight);
            }
        }
        for (side, queue) in [(Side::Linked, &self.to_linked), (Side::Primary, &self.to_primary)] {
            for place in 0..u8::try_from(queue.len()).unwrap_or(0) {
                what.extend([
                    What::Deliver(side, place, false),
                    What::Deliver(side, place, true),
                    What::Drop(side, place),
                ]);
            }
        }
        if !self.linked_calls.is_empty() {
            what.extend([Answer::Given, Answer::Unreached].map(|answer| What::Answer(Side::Linked, answer)));
        }
        match self.primary_calls.first() {
            None => {}
            Some(Call::Fetch) => {
                what.extend([Answer::Given, Answer::Unreached].map(|answer| What::Answer(Side::Primary, answer)));
            }
            Some(Call::Publish(..)) => {
                let answers = [Answer::Given, Answer::Lost, Answer::Unreached];
                what.extend(answers.map(|answer| What::Answer(Side::Primary, answer)));
                if self.held.is_none() {
                    what.push(What::Answer(Side::Primary, Answer::Held));
                }
            }
        }
        if self.held.is_some() {
            what.push(What::Release);
        }
        if self.connected && self.linked_runs() {
            what.push(What::LoseSocket);
        }
        for (side, runs) in [(Side::Linked, self.linked_runs()), (Side::Primary, self.primary_runs())] {
            if runs {
                what.push(What::Crash(side));
            }
            if self.can_start(side) {
                what.push(What::Restart(side));
            }
            if self.due(side) {
                what.push(What::Timeout(side));
            }
        }
        if !self.due(Side::Linked) && !self.due(Side::Primary) {
            let grave = self.linked_timers.next_grave().or(self.primary_timers.next_grave()).is_some();
            let soon = self.linked_timers.next().or(self.primary_timers.next()).is_some();
            if grave {
                what.push(What::Wait);
            }
            if soon && self.naps_left > 0 {
                what.push(What::Nap);
            }
            let away = self.linked == L::Down || self.primary == P::Down;
            if away && !grave && self.naps_left > 0 {
                what.extend([What::Away(PUBLISH + 10), What::Away(COMMIT + 10)]);
            }
        }
        what.retain(|what| self.cost(*what) <= self.faults_left);
        what
    }

    /// Whether the link exists: on the newest list.
    fn is_listed(&self) -> bool {
        self.chain.last() == Some(&List::With)
    }

    /// Nothing is left to happen.
    pub(super) fn is_at_rest(&self) -> bool {
        self.possible().is_empty()
    }

    fn is_spared(&self, faults: u8) -> bool {
        self.faults_left == faults
    }
}

impl Model for Pairing {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::claimed(self.faults)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for what in state.possible() {
            actions.push(Action { what, dies_at: None });
            if state.cost(what) < state.faults_left {
                let (_, effects) = state.after(Action { what, dies_at: None });
                let effects = u8::try_from(effects).unwrap_or(0);
                actions.extend((0..effects).map(|at| Action { what, dies_at: Some(at) }));
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let (next, _) = last.after(action);
        (next != *last).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("who believes in the link has seen it on a list", |_, state: &State| {
                let linked = state.linked == L::Linked || state.linked_disk == LinkedDisk::Committed;
                !linked || state.chain.contains(&List::With)
            }),
            Property::always("the account is never linked with a device that has forgotten it", |_, state: &State| {
                state.primary_disk != PrimaryDisk::Linked || state.linked_disk != LinkedDisk::Empty
            }),
            Property::always("no device on the list without an approval and the right digits", |_, state: &State| {
                !state.chain.contains(&List::With) || (state.approved && state.typed_right)
            }),
            Property::always("nothing is on disk before the other side can know of it", |_, state: &State| {
                state.linked_disk == LinkedDisk::Empty || state.typed_right
            }),
            Property::always("in the end everybody has decided", |_, state: &State| {
                let linked = matches!(state.linked_disk, LinkedDisk::Empty | LinkedDisk::Committed);
                let primary = matches!(state.primary_disk, PrimaryDisk::Empty | PrimaryDisk::Linked);
                !state.is_at_rest() || (linked && primary)
            }),
            Property::always("in the end both have the link or neither has", |_, state: &State| {
                let both = state.primary_disk == PrimaryDisk::Linked && state.linked_disk == LinkedDisk::Committed;
                let neither = state.primary_disk != PrimaryDisk::Linked && !state.is_listed();
                !state.is_at_rest() || (both && state.is_listed()) || neither
            }),
            Property::always("undisturbed, both say the same", |model, state: &State| {
                // What a side ends by itself, without hearing anything: by a person, or by a clock.
                let own = |reason| {
                    use EndReason::{Cancelled, Declined, TimedOut, WrongCheckCode};
                    matches!(reason, Cancelled | Declined | TimedOut | WrongCheckCode)
                };
                let same = match (state.linked, state.primary) {
                    (L::Failed(one), P::Failed(other)) if one == other => true,
                    // Both at the same moment.
                    (L::Failed(one), P::Failed(other)) => own(one) && own(other),
                    (one, other) => (one == L::Linked) == (other == P::Linked),
                };
                !state.is_at_rest() || !state.is_spared(model.faults) || same
            }),
            Property::sometimes("linked", |_, state: &State| {
                state.primary == P::Linked && state.linked == L::Linked && state.is_at_rest()
            }),
            Property::sometimes("found itself on the list after a restart", |_, state: &State| {
                state.linked == L::Linked && !state.connected
            }),
            Property::sometimes("a publication that was held back came too late", |_, state: &State| {
                state.chain == [List::Barred] && state.is_at_rest()
            }),
            Property::sometimes("listed, and taken off again because it took too long", |_, state: &State| {
                state.chain == [List::With, List::Barred] && state.is_at_rest()
            }),
            Property::sometimes("three wrong codes", |_, state: &State| {
                state.linked == L::Failed(EndReason::WrongCheckCode)
                    && state.primary == P::Failed(EndReason::WrongCheckCode)
            }),
        ]
    }
}
