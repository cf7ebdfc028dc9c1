//! Two machines, an in-memory relay, a virtual clock, and hooks for whoever sits in between.

use core::net::IpAddr;
use core::time::Duration;
use std::collections::BTreeSet;

use pairlight_wire::context::{IpNet, OwnContext, RelayContext};
use pairlight_wire::hash::sha256;
use pairlight_wire::id::{DeviceId, SlotId};
use pairlight_wire::list::{RemovalReason, VerifiedList};
use pairlight_wire::offer::ClientKind;
use pairlight_wire::pairing::EndReason;
use pairlight_wire::qr::QrPayload;
use pairlight_wire::relay::*;
use pairlight_wire::sign::{Signed, SigningContext};
use pairlight_wire::{Bytes, List, Text, Wire};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::Timestamp;
use crate::crypto::sign::SigningKey;
use crate::devices::Account;
use crate::pairing::*;
use crate::trust::*;

pub(super) const START: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);

/// Direction and number of a pairing message, as the adversary sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leg {
    ToLinked(u64),
    ToPrimary(u64),
}

/// What the adversary does with a message: what arrives where, maybe several, maybe nothing.
pub(super) type Tamper = Box<dyn FnMut(Leg, Vec<u8>) -> Vec<(Leg, Vec<u8>)>>;

/// Something that happens.
pub(super) type Act = Box<dyn Fn(&mut World)>;

/// What the linked device's app gives when it is asked for evidence.
pub(super) type App = Box<dyn FnMut(&EvidenceWanted) -> Option<Vec<AppEvidence>>>;

/// Whom the linked device's machine asks for signatures.
pub(super) type Guard = Box<dyn FnMut(&SignOrder) -> Option<Option<[u8; 64]>>>;

/// A state of either machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    Linked(LinkedState),
    Primary(PrimaryState),
}

/// When in that state something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// At once: what the machine wants to save and send has not been taken yet.
    Busy,
    /// Everything was taken; the machine waits for the other side, for people, or for time.
    Idle,
}

/// Something that happens once, when a machine reaches a state.
pub(super) struct Plan {
    pub(super) at: At,
    pub(super) moment: Moment,
    pub(super) act: Act,
}

/// How a side ended, as its owner sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Linked,
    Failed(EndReason),
    /// It crashed before anything was worth remembering.
    Gone,
    /// Its codes are not shown any more, nobody scanned in time.
    Paused,
    /// It never began.
    None,
    Running,
}

/// The only ways in which the two sides may end differently. Each is a fact that the harness saw happen, and none allows a
/// link that stays on one side: what [`World::assert_nothing_half_linked`] asserts holds besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Difference {
    /// The code was not claimed: the relay tells nobody of anybody.
    NeverClaimed,
    /// A program died before anything was worth remembering, and shows no end at all.
    Died,
    /// Nothing could pass between the two any more when the first of them ended, or a program was started again and has
    /// forgotten what passed: each says what it saw itself.
    Apart,
    /// Both ended in one moment, before either could hear of the other.
    Crossed,
    /// One side could not store how it ended, or died of it; its next start finds out.
    NextStart,
    /// The account took too long and removed the device again, which hears of it when it next connects.
    Removed,
}

/// Which ends crossed the relay.
#[derive(Debug, Default)]
struct Told {
    linked: Option<EndReason>,
    primary: Option<EndReason>,
    /// An end reached a machine that had ended by itself in the same moment.
    crossed: bool,
    /// The claimed slot was lost: a socket closed, a program died, the phone went offline, or the relay forgot it.
    apart: bool,
    linked_ended: Option<Timestamp>,
    primary_ended: Option<Timestamp>,
}

/// How the relay treats a publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Publishing {
    Honest,
    /// Refuses, stores nothing.
    Refuses(RefusalCode),
    /// Stores, and says that it refused.
    StoresButRefuses(RefusalCode),
    /// Stores, and the answer is lost.
    StoresButSilent,
    /// Cannot be reached.
    Unreachable,
    /// Says yes, stores nothing.
    SaysYesStoresNot,
}

/// A slot at the relay.
struct Slot {
    id: SlotId,
    offer_ct: Vec<u8>,
    context: Signed,
    opened: Timestamp,
    claimed: bool,
    over: bool,
}

/// What is on the disk of each side.
#[derive(Default)]
pub(super) struct Disk {
    pub(super) linked: Option<LinkedAccount>,
    pub(super) account: Option<Vec<u8>>,
    pub(super) pending: Option<PendingLink>,
    pub(super) linked_device: bool,
    /// The primary device's session with the new device, once linked.
    pub(super) session: Option<Vec<u8>>,
    /// Saves that still succeed; then the disk is full.
    pub(super) linked_writes_left: Option<u32>,
    pub(super) primary_writes_left: Option<u32>,
}

pub(super) struct World {
    /// True time; each side's clock is this plus its own error.
    pub(super) now: Timestamp,
    pub(super) linked_error_ms: i64,
    pub(super) primary_error_ms: i64,
    pub(super) linked: LinkedMachine<ChaCha20Rng>,
    pub(super) primary: Option<PrimaryMachine<ChaCha20Rng>>,
    /// A crashed side: when it starts again.
    linked_down: Option<Timestamp>,
    primary_down: Option<Timestamp>,
    linked_gone: bool,
    primary_gone: bool,
    /// When each side's timer fires, in true time: a sleep does not notice that the clock was set.
    linked_wakes: Option<Timestamp>,
    primary_wakes: Option<Timestamp>,
    pub(super) account: Account,
    pub(super) policy: Policy,
    pub(super) source: ScanSource,
    pub(super) disk: Disk,
    /// Text of the newest code on the screen.
    pub(super) shown: Option<String>,
    /// Digits on the primary device's screen.
    pub(super) digits: Option<String>,
    /// What the person types; `None` = the digits shown.
    pub(super) typed: Option<String>,
    /// What the person types first, one after the other.
    pub(super) slips: Vec<String>,
    pub(super) approves: bool,
    /// Approvals of the person that the phone took.
    pub(super) approvals: u32,
    /// The same, of the second question; and how often it was asked.
    pub(super) second_approvals: u32,
    pub(super) second_questions: u32,
    /// What stood on the lists when the phone's machine was given a code; `None` = it never was.
    listed_before: Option<BTreeSet<[u8; 32]>>,
    /// Nobody touches either screen.
    pub(super) nobody: bool,
    pub(super) tamper: Tamper,
    pub(super) plan: Option<Plan>,
    /// Outputs that both machines' drivers took so far, and what happens before the n-th is done; a side that
    /// crashed then does not do it.
    pub(super) steps: u32,
    /// The relay puts this message into another slot.
    pub(super) wrong_slot: Option<(Leg, SlotId)>,
    pub(super) at_step: Option<(u32, Act)>,
    pub(super) linked_online: bool,
    pub(super) primary_online: bool,
    pub(super) relay_key: SigningKey,
    pub(super) published: Vec<Signed>,
    pub(super) publishing: Publishing,
    pub(super) open_refusal: Option<RefusalCode>,
    pub(super) claim_refusal: Option<RefusalCode>,
    /// Ends that reached a machine which was still running.
    told: Told,
    /// A clock hid or made up time between one start and the next: the linked device may give up before the account.
    pub(super) clock_hid_time: bool,
    /// The relay stores nothing, whatever it says: who is on its list means nothing.
    pub(super) denied: bool,
    /// When a clock was set.
    pub(super) jumped: Option<Timestamp>,
    /// How often another device will be faster with a new list.
    pub(super) list_races: u32,
    /// The relay says some things twice.
    pub(super) says_twice: bool,
    /// Whether the two devices are in one network.
    pub(super) same_network: bool,
    /// Changes the relay's statement before it is signed.
    pub(super) bend_context: fn(&mut RelayContext),
    pub(super) bend_claim: fn(&mut ClaimAnswer),
    pub(super) bend_chain: fn(&mut Vec<Signed>),
    /// Everything that was sent, before anybody tampered with it.
    pub(super) sent: Vec<(Leg, Vec<u8>)>,
    pub(super) ticks: u32,
    slots: Vec<Slot>,
    pub(super) linked_events: Vec<String>,
    pub(super) primary_events: Vec<String>,
    /// Who has the linked device's key when its machine does not: signs, or cannot (the inner `None`), or never answers.
    pub(super) guard: Guard,
    // ---- evidence
    /// What the primary device advertises.
    pub(super) on_air: RadioOrder,
    /// How often it began to.
    pub(super) adverts: u32,
    listening: bool,
    pub(super) out_of_range: bool,
    /// What somebody else advertises.
    pub(super) strange_adverts: Vec<[u8; 16]>,
    pub(super) responder: Option<LanResponder>,
    pub(super) lan_addresses: Vec<IpAddr>,
    /// Time to an answer on the local network; from 200 ms on it is lost. `None` = the driver never reports.
    pub(super) lan_delay: Option<Duration>,
    /// What the app of the linked device gives when it is asked; `None` = it does not answer.
    pub(super) app: App,
    /// How the primary device's app judges an attestation; `None` = it does not.
    pub(super) judgement: Option<ManagedVerdict>,
    /// A cable carries the word, with these bits of its first byte flipped.
    pub(super) tap: Option<u8>,
    pub(super) setup: EvidenceSetup,
    pub(super) review: Option<ReviewModel>,
    pub(super) findings: Vec<(EvidenceBit, Finding)>,
    pub(super) help: Vec<Help>,
}

pub(super) fn shifted(time: Timestamp, ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(time.unix_ms().saturating_add_signed(ms))
}

fn deliver(leg: Leg, bytes: Vec<u8>) -> Vec<(Leg, Vec<u8>)> {
    vec![(leg, bytes)]
}

impl World {
    pub(super) fn new() -> Self {
        Self::with_seed(7)
    }

    /// A world whose keys and nonces are not those of another seed.
    pub(super) fn with_seed(seed: u8) -> Self {
        let account = Account::generate("Phone", START, &mut ChaCha20Rng::from_seed([7; 32])).unwrap();
        let published = vec![account.list().signed().clone()];
        let description = DeviceDescription {
            name: "Kim's laptop".into(),
            os: "Linux".into(),
            app: "pairlight".into(),
            kind: ClientKind::Native,
        };
        Self {
            now: START,
            linked_error_ms: 0,
            primary_error_ms: 0,
            linked: LinkedMachine::new(description, 0, START, ChaCha20Rng::from_seed([seed; 32])),
            primary: None,
            linked_down: None,
            primary_down: None,
            linked_gone: false,
            primary_gone: false,
            linked_wakes: None,
            primary_wakes: None,
            account,
            policy: Policy::DEVELOPMENT,
            source: ScanSource::LiveCamera,
            disk: Disk::default(),
            shown: None,
            digits: None,
            typed: None,
            slips: Vec::new(),
            approves: true,
            approvals: 0,
            second_approvals: 0,
            second_questions: 0,
            listed_before: None,
            nobody: false,
            tamper: Box::new(deliver),
            plan: None,
            steps: 0,
            wrong_slot: None,
            at_step: None,
            linked_online: true,
            primary_online: true,
            relay_key: SigningKey::from_seed(&[9; 32]),
            published,
            publishing: Publishing::Honest,
            open_refusal: None,
            claim_refusal: None,
            told: Told::default(),
            clock_hid_time: false,
            denied: false,
            jumped: None,
            list_races: 0,
            says_twice: false,
            same_network: true,
            bend_context: |_| {},
            bend_claim: |_| {},
            bend_chain: |_| {},
            sent: Vec::new(),
            ticks: 0,
            slots: Vec::new(),
            linked_events: Vec::new(),
            primary_events: Vec::new(),
            guard: Box::new(|order| panic!("the machine has its key: {order:?}")),
            on_air: RadioOrder::Stop,
            adverts: 0,
            listening: false,
            out_of_range: false,
            strange_adverts: Vec::new(),
            responder: None,
            lan_addresses: vec![IpAddr::from([192, 168, 1, 7])],
            lan_delay: Some(Duration::from_millis(2)),
            app: Box::new(|_| Some(Vec::new())),
            judgement: None,
            tap: None,
            setup: EvidenceSetup::default(),
            review: None,
            findings: Vec::new(),
            help: Vec::new(),
        }
    }

    fn linked_now(&self) -> Timestamp {
        shifted(self.now, self.linked_error_ms)
    }

    fn primary_now(&self) -> Timestamp {
        shifted(self.now, self.primary_error_ms)
    }

    // ---- people

    /// The person scans the newest code.
    pub(super) fn scan(&mut self) {
        self.settle();
        while self.shown.is_none() && self.linked.state() == LinkedState::Opening && self.linked_down.is_none() {
            self.wait();
        }
        if let Some(text) = self.shown.clone().filter(|_| self.primary.is_none()) {
            self.scan_payload(QrPayload::parse(&text).unwrap());
        }
    }

    pub(super) fn scan_payload(&mut self, payload: QrPayload) {
        self.listed_before = Some(self.listed());
        let machine = PrimaryMachine::new(self.config(), payload, self.primary_now(), ChaCha20Rng::from_seed([10; 32]));
        self.primary = Some(machine.with_evidence(self.setup.clone()));
    }

    fn config(&self) -> PrimaryConfig {
        PrimaryConfig {
            account: self.account.clone(),
            policy: self.policy,
            source: self.source,
            relay_pk: self.relay_key.public(),
        }
    }

    /// One thing that a person does; `false` when there is nothing to do.
    fn person_acts(&mut self) -> bool {
        if self.nobody {
            return false;
        }
        let (linked_now, primary_now) = (self.linked_now(), self.primary_now());
        let primary = self.primary.as_mut().filter(|_| self.primary_down.is_none() && !self.primary_gone);
        if let Some(primary) = primary {
            match primary.state() {
                PrimaryState::Review if self.approves => {
                    // The person takes the time to think, as long as it takes: a clock may be set meanwhile.
                    if let Err(early) = primary.approve(primary_now) {
                        self.now = self.now.plus_ms(early.left_ms);
                        let approved = primary.approve(primary_now.plus_ms(early.left_ms));
                        assert_eq!(approved, Ok(()));
                    }
                    self.approvals += 1;
                }
                PrimaryState::Review => primary.decline(primary_now),
                PrimaryState::SecondApproval => {
                    if let Err(early) = primary.approve_again(primary_now) {
                        self.now = self.now.plus_ms(early.left_ms);
                        let approved = primary.approve_again(primary_now.plus_ms(early.left_ms));
                        assert_eq!(approved, Ok(()));
                    }
                    self.second_approvals += 1;
                }
                _ => return self.person_types(linked_now),
            }
            return true;
        }
        self.person_types(linked_now)
    }

    fn person_types(&mut self, now: Timestamp) -> bool {
        let up = self.linked_down.is_none() && !self.linked_gone;
        if self.linked.state() != LinkedState::AwaitingCheckCode || !up {
            return false;
        }
        let slip = (!self.slips.is_empty()).then(|| self.slips.remove(0));
        let Some(typed) = slip.or_else(|| self.digits.as_ref().map(|d| self.typed.clone().unwrap_or(d.clone()))) else {
            return false;
        };
        self.linked.enter_check_code(&typed, now);
        true
    }

    // ---- the crank

    /// Runs both machines and people until nobody has anything to do, without letting time pass.
    pub(super) fn settle(&mut self) {
        for _ in 0..400 {
            let moved = self.drain_linked() | self.drain_primary();
            if !moved && !self.person_acts() {
                return;
            }
        }
        panic!("the machines never come to rest");
    }

    /// Takes what the machines want; nobody does anything.
    pub(super) fn drain(&mut self) {
        while self.drain_linked() | self.drain_primary() {}
    }

    /// As [`Self::drain`], and one person does one thing.
    pub(super) fn settle_once(&mut self) {
        if !(self.drain_linked() | self.drain_primary()) {
            self.person_acts();
        }
    }

    /// Settles, and sleeps: each side reads its clock once, tells its machine, and counts its sleep from there.
    fn rest(&mut self) {
        loop {
            self.settle();
            let errors = (self.linked_error_ms, self.primary_error_ms);
            self.tell_linked(LinkedMachine::handle_timeout);
            self.tell_primary(PrimaryMachine::handle_timeout);
            self.settle();
            if errors == (self.linked_error_ms, self.primary_error_ms) {
                return self.arm();
            }
        }
    }

    fn arm(&mut self) {
        let left = |at: Option<Timestamp>, now: Timestamp| at.map(|at| at.ms_since(now));
        let linked = left(self.linked.poll_timeout(), self.linked_now());
        self.linked_wakes = self.linked_down.or(linked.map(|ms| self.now.plus_ms(ms)).filter(|_| !self.linked_gone));
        let primary = left(self.primary.as_ref().and_then(PrimaryMachine::poll_timeout), self.primary_now());
        let primary = primary.map(|ms| self.now.plus_ms(ms)).filter(|_| !self.primary_gone);
        self.primary_wakes = self.primary_down.or(primary);
    }

    /// Lets time pass to the next deadline of either machine; `false` when there is none.
    pub(super) fn tick(&mut self) -> bool {
        let Some(next) = [self.linked_wakes, self.primary_wakes].into_iter().flatten().min() else { return false };
        self.now = next.max(self.now);
        self.ticks += 1;
        if self.linked_down.is_some_and(|at| at <= self.now) {
            self.restart_linked();
        } else if self.linked_down.is_none() && !self.linked_gone {
            self.linked.handle_timeout(self.linked_now());
        }
        if self.primary_down.is_some_and(|at| at <= self.now) {
            self.restart_primary();
        } else if self.primary_down.is_none() && !self.primary_gone {
            let now = self.primary_now();
            if let Some(primary) = &mut self.primary {
                primary.handle_timeout(now);
            }
        }
        self.check(Moment::Busy, true);
        self.check(Moment::Busy, false);
        true
    }

    /// Lets time pass to the next deadline and everything happen that follows.
    pub(super) fn wait(&mut self) {
        self.rest();
        assert!(self.tick() || self.is_over());
        self.settle();
    }

    /// Runs to the end of both machines, letting time pass as needed.
    pub(super) fn run(&mut self) {
        for _ in 0..4_000 {
            self.rest();
            if self.is_over() || !self.tick() {
                self.settle();
                return;
            }
        }
        panic!("no end: {:?}", self.ends());
    }

    fn is_over(&self) -> bool {
        self.ends().0 != End::Running && self.ends().1 != End::Running
    }

    pub(super) fn ends(&self) -> (End, End) {
        let linked = match self.linked.state() {
            _ if self.linked_down.is_some() => End::Running,
            _ if self.linked_gone => End::Gone,
            LinkedState::Linked => End::Linked,
            LinkedState::Failed(reason) => End::Failed(reason),
            LinkedState::Paused => End::Paused,
            _ => End::Running,
        };
        let primary = match self.primary.as_ref().map(PrimaryMachine::state) {
            _ if self.primary_down.is_some() => End::Running,
            _ if self.primary_gone => End::Gone,
            None => End::None,
            Some(PrimaryState::Linked) => End::Linked,
            Some(PrimaryState::Failed(reason)) => End::Failed(reason),
            Some(_) => End::Running,
        };
        (linked, primary)
    }

    fn check(&mut self, moment: Moment, linked: bool) {
        let reached = self.plan.as_ref().is_some_and(|plan| {
            plan.moment == moment
                && match plan.at {
                    At::Linked(state) => linked && self.linked_down.is_none() && self.linked.state() == state,
                    At::Primary(state) => {
                        !linked
                            && self.primary_down.is_none()
                            && self.primary.as_ref().is_some_and(|primary| primary.state() == state)
                    }
                }
        });
        if reached && let Some(plan) = self.plan.take() {
            (plan.act)(self);
        }
    }

    // ---- disasters

    /// The linked device's program dies, and starts again after `ms`.
    pub(super) fn crash_linked(&mut self, ms: u64) {
        while self.linked_down.is_none() && self.linked.poll_output().is_some() {}
        self.linked_down = Some(self.now.plus_ms(ms));
        // The relay sees the socket close.
        self.slots_lost();
        self.arm();
    }

    fn restart_linked(&mut self) {
        self.linked_down = None;
        match self.disk.linked.clone() {
            Some(account) => {
                // What it was told before is forgotten.
                self.told.apart = true;
                self.linked = LinkedMachine::resume(account, self.linked_now(), ChaCha20Rng::from_seed([18; 32]));
            }
            None => self.linked_gone = true,
        }
    }

    /// The primary device's program dies, and starts again after `ms`.
    pub(super) fn crash_primary(&mut self, ms: u64) {
        // It never comes back to a slot.
        self.cut_apart();
        while self.primary.as_mut().and_then(PrimaryMachine::poll_output).is_some() {}
        self.primary_down = Some(self.now.plus_ms(ms));
        self.arm();
    }

    fn restart_primary(&mut self) {
        self.primary_down = None;
        match self.disk.pending.clone() {
            Some(pending) => {
                self.told.apart = true;
                let rng = ChaCha20Rng::from_seed([20; 32]);
                self.primary = Some(PrimaryMachine::resume(self.config(), pending, self.primary_now(), rng));
            }
            None if self.disk.linked_device => {}
            None => self.primary_gone = true,
        }
    }

    /// The linked device's socket closes; the relay tells the primary device.
    pub(super) fn lose_socket(&mut self) {
        self.slots_lost();
        let now = self.linked_now();
        if self.linked_down.is_none() {
            self.linked.handle_disconnected(now);
        }
    }

    fn slots_lost(&mut self) {
        let claimed = self.slots.iter().any(|slot| slot.claimed && !slot.over);
        self.slots.iter_mut().for_each(|slot| slot.over = true);
        if claimed {
            self.cut_apart();
            self.end_primary(EndReason::Unreachable);
        }
    }

    /// From here on nothing passes between the two. After one of them has ended it excuses nothing.
    fn cut_apart(&mut self) {
        self.told.apart |= self.told.linked_ended.is_none() && self.told.primary_ended.is_none();
    }

    /// The relay tells the primary device that the slot ended.
    fn end_primary(&mut self, reason: EndReason) {
        if self.primary_online && self.primary_down.is_none() && !self.primary_gone {
            match self.primary.as_ref().map(PrimaryMachine::state) {
                Some(PrimaryState::Failed(_)) => {
                    self.told.crossed |= self.told.primary_ended.is_none_or(|at| at == self.now);
                }
                Some(PrimaryState::Linked) | None => {}
                Some(_) => self.told.primary = self.told.primary.or(Some(reason)),
            }
        }
        self.tell_primary(|primary, now| primary.handle_ended(reason, now));
    }

    /// The relay tells the linked device that the slot ended.
    fn end_linked(&mut self, slot: SlotId, reason: EndReason) {
        if self.linked_down.is_none() && !self.linked_gone {
            match self.linked.state() {
                LinkedState::Failed(_) => {
                    self.told.crossed |= self.told.linked_ended.is_none_or(|at| at == self.now);
                }
                LinkedState::Linked => {}
                _ => self.told.linked = self.told.linked.or(Some(reason)),
            }
        }
        self.tell_linked(|linked, now| linked.handle_relay(LinkEvent::Ended(SlotEnded { slot, reason }), now));
    }

    /// The primary device has no network from here on.
    pub(super) fn phone_offline(&mut self) {
        self.cut_apart();
        self.primary_online = false;
        self.tell_primary(|primary, now| primary.handle_unreachable(now));
    }

    pub(super) fn tell_primary(&mut self, tell: impl FnOnce(&mut PrimaryMachine<ChaCha20Rng>, Timestamp)) {
        let now = self.primary_now();
        if let Some(primary) = self.primary.as_mut().filter(|_| self.primary_down.is_none() && !self.primary_gone) {
            tell(primary, now);
        }
    }

    pub(super) fn tell_linked(&mut self, tell: impl FnOnce(&mut LinkedMachine<ChaCha20Rng>, Timestamp)) {
        let now = self.linked_now();
        if self.linked_down.is_none() && !self.linked_gone {
            tell(&mut self.linked, now);
        }
    }

    /// From now on nothing arrives, nobody answers, nobody touches a screen.
    pub(super) fn silence(&mut self) {
        self.nobody = true;
        self.tamper = Box::new(|_, _| Vec::new());
        (self.linked_online, self.primary_online) = (false, false);
    }

    /// The slot of the newest code that was opened.
    pub(super) fn slot(&self) -> SlotId {
        self.slots.last().map_or(SlotId([0; 16]), |slot| slot.id)
    }

    /// The slot that was claimed, or the newest.
    fn claimed_slot(&self) -> SlotId {
        self.slots.iter().find(|slot| slot.claimed).map_or(self.slot(), |slot| slot.id)
    }

    /// Is the linked device on the published list?
    pub(super) fn device_is_listed(&self) -> bool {
        let list = VerifiedList::anchor(self.published.last().unwrap(), Some(self.account.ops_cert())).unwrap();
        list.list().entries.as_slice().len() > 1
    }

    // ---- outputs

    /// Counts an output; whether something happened before it is done.
    fn is_step(&mut self) -> bool {
        self.steps += 1;
        let due = self.at_step.as_ref().is_some_and(|(at, _)| *at == self.steps);
        if due && let Some((_, act)) = self.at_step.take() {
            act(self);
        }
        due
    }

    fn drain_linked(&mut self) -> bool {
        let mut moved = false;
        self.check(Moment::Busy, true);
        while self.linked_down.is_none() && !self.linked_gone {
            let Some(output) = self.linked.poll_output() else {
                self.check(Moment::Idle, true);
                break;
            };
            moved = true;
            if self.is_step() && self.linked_down.is_some() {
                continue;
            }
            self.on_linked(output);
            self.check(Moment::Busy, true);
        }
        moved
    }

    fn on_linked(&mut self, output: LinkedOutput) {
        let now = self.linked_now();
        match output {
            LinkedOutput::Connect if self.linked_online => self.linked.handle_connected(now),
            LinkedOutput::Connect => self.linked.handle_disconnected(now),
            LinkedOutput::Send(LinkRequest::Open(open)) => self.open(&open),
            LinkedOutput::Send(LinkRequest::Send(send)) => self.carry(Leg::ToPrimary(send.seq), send.body.into_vec()),
            LinkedOutput::Send(LinkRequest::Cancel(cancel)) => self.end_by_linked(&cancel),
            LinkedOutput::FetchList { .. } if !self.linked_online => self.linked.handle_unreachable(now),
            LinkedOutput::FetchList { account } => {
                let mut lists = self.published[self.from(account.list().list().epoch)..].to_vec();
                (self.bend_chain)(&mut lists);
                let known = self.published.iter().any(|signed| {
                    let list = VerifiedList::anchor(signed, Some(self.account.ops_cert())).unwrap();
                    list.entry(&account.device_id()).is_some()
                });
                let chain = self.chain(lists);
                self.linked.handle_list(known.then_some(&chain), now);
            }
            LinkedOutput::ListenLan(responder) => {
                self.responder = Some(*responder);
                let addresses = self.lan_addresses.clone();
                self.linked.handle_lan_open(4_000, &addresses, now);
            }
            LinkedOutput::Radio(order) => {
                self.listening = order == RadioOrder::Listen;
                for uuid in self.strange_adverts.clone() {
                    self.linked.handle_advertisement(uuid, now);
                }
                if let (true, false, RadioOrder::Advertise(uuid)) = (self.listening, self.out_of_range, self.on_air) {
                    self.linked.handle_advertisement(uuid, now);
                }
            }
            LinkedOutput::Sign(order) => {
                if let Some(signature) = (self.guard)(&order) {
                    self.linked.handle_signature(signature.as_ref(), now);
                }
            }
            LinkedOutput::Save(save) => self.save_linked(save),
            LinkedOutput::Event(event) => {
                let name = format!("{event:?}");
                self.linked_events.push(name.split([' ', '(']).next().unwrap().to_owned());
                match event {
                    LinkedEvent::ShowCode { text, .. } => self.shown = Some(text),
                    LinkedEvent::Failed(_) => self.told.linked_ended = Some(self.now),
                    LinkedEvent::EvidenceWanted(wanted) => {
                        let given = (self.app)(&wanted);
                        if let Some(given) = given {
                            self.linked.give_evidence(given, now);
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    fn drain_primary(&mut self) -> bool {
        let mut moved = false;
        self.check(Moment::Busy, false);
        while self.primary_down.is_none() && !self.primary_gone {
            let Some(output) = self.primary.as_mut().and_then(PrimaryMachine::poll_output) else {
                self.check(Moment::Idle, false);
                break;
            };
            moved = true;
            if self.is_step() && self.primary_down.is_some() {
                continue;
            }
            self.on_primary(output);
            self.check(Moment::Busy, false);
        }
        moved
    }

    fn on_primary(&mut self, output: PrimaryOutput) {
        match output {
            PrimaryOutput::Claim(_) if !self.primary_online => self.tell_primary(PrimaryMachine::handle_unreachable),
            PrimaryOutput::Claim(slot) => {
                let answer = self.claim(slot);
                self.tell_primary(|primary, now| primary.handle_claim(answer, now));
            }
            PrimaryOutput::Send { seq, body } => self.carry(Leg::ToLinked(seq), body),
            PrimaryOutput::Cancel(reason) => {
                let slot = self.claimed_slot();
                self.slots.iter_mut().filter(|known| known.id == slot).for_each(|slot| slot.over = true);
                if self.primary_online && self.linked_online {
                    self.end_linked(slot, reason);
                }
            }
            PrimaryOutput::Publish(publish) => {
                let answer = match self.publishing {
                    _ if !self.primary_online => None,
                    Publishing::Honest => Some(self.publish(&publish)),
                    Publishing::Refuses(code) => Some(Err(code)),
                    Publishing::StoresButRefuses(code) => self.publish(&publish).err().map(Err).or(Some(Err(code))),
                    Publishing::StoresButSilent => self.publish(&publish).err().map(Err),
                    Publishing::Unreachable => None,
                    Publishing::SaysYesStoresNot => Some(Ok(())),
                };
                self.tell_primary(|primary, now| match answer {
                    Some(answer) => primary.handle_published(answer, now),
                    None => primary.handle_unreachable(now),
                });
            }
            PrimaryOutput::FetchList { .. } if !self.primary_online => {
                self.tell_primary(PrimaryMachine::handle_unreachable);
            }
            PrimaryOutput::FetchList { from } => {
                let mut lists = self.published[self.from(from)..].to_vec();
                (self.bend_chain)(&mut lists);
                let chain = self.chain(lists);
                self.tell_primary(|primary, now| primary.handle_list(&chain, now));
            }
            PrimaryOutput::ProbeLan(probe) => {
                let verdict = self.run_lan(*probe);
                if let Some(verdict) = verdict {
                    self.tell_primary(|primary, now| primary.handle_lan(verdict, now));
                }
            }
            PrimaryOutput::Radio(order) => {
                self.adverts += u32::from(order != RadioOrder::Stop);
                self.on_air = order;
            }
            PrimaryOutput::Save(save) => self.save_primary(save),
            PrimaryOutput::Event(event) => {
                let name = format!("{event:?}");
                self.primary_events.push(name.split([' ', '(']).next().unwrap().to_owned());
                self.on_primary_event(event);
            }
        }
    }

    fn on_primary_event(&mut self, event: PrimaryEvent) {
        match event {
            PrimaryEvent::ShowCheckCode(code) => {
                self.digits = Some(code.to_display());
                if let Some(bent) = self.tap {
                    let mut word = *self.linked.tap_word().unwrap().as_bytes();
                    word[0] ^= bent;
                    self.tell_primary(|primary, now| primary.handle_tap(TapMedium::Cable, &word, now));
                }
            }
            PrimaryEvent::Failed(_) => self.told.primary_ended = Some(self.now),
            PrimaryEvent::ApproveAgain { .. } => self.second_questions += 1,
            PrimaryEvent::Review(model) => self.review = Some(*model),
            PrimaryEvent::EvidenceChecked { bit, finding } => self.findings.push((bit, finding)),
            PrimaryEvent::EvidenceMissing { help, .. } => self.help = help,
            PrimaryEvent::JudgeManaged(request) => {
                if let Some(verdict) = self.judgement {
                    let bound = request.proof == request.challenge;
                    let verdict = if bound { verdict } else { ManagedVerdict::NotAttested };
                    self.tell_primary(|primary, now| primary.judge_managed(verdict, now));
                }
            }
            _ => {}
        }
    }

    /// The challenge on a simulated local network; `None` = the driver is silent.
    fn run_lan(&mut self, mut probe: LanProbe) -> Option<LanVerdict> {
        let mut now = Duration::ZERO;
        let delay = self.lan_delay?;
        loop {
            probe.handle_time(now);
            if let Some(verdict) = probe.verdict() {
                return Some(verdict.clone());
            }
            let mut answered = false;
            while let Some((to, challenge)) = probe.poll_transmit() {
                let answer = self.responder.as_mut().and_then(|responder| responder.answer(&challenge));
                if let Some(answer) = answer.filter(|_| !answered && delay < Duration::from_millis(200)) {
                    answered = true;
                    now += delay;
                    probe.handle_datagram(to, &answer, now);
                }
            }
            if !answered {
                now = probe.poll_timeout().unwrap();
            }
        }
    }

    /// A pairing message on its way through the relay.
    fn carry(&mut self, leg: Leg, bytes: Vec<u8>) {
        self.sent.push((leg, bytes.clone()));
        for (leg, bytes) in (self.tamper)(leg, bytes) {
            self.arrive(leg, bytes);
        }
    }

    pub(super) fn arrive(&mut self, leg: Leg, bytes: Vec<u8>) {
        let wrong = self.wrong_slot.take_if(|(wrong, _)| *wrong == leg);
        let slot = wrong.map_or(self.claimed_slot(), |(_, slot)| slot);
        match leg {
            // The phone asks for one slot and knows no other: to it, this is a message that never came.
            Leg::ToPrimary(_) if wrong.is_some() => {}
            Leg::ToPrimary(seq) => self.tell_primary(|primary, now| primary.handle_message(seq, &bytes, now)),
            Leg::ToLinked(seq) => {
                let msg = SlotMsg { slot, seq, body: Bytes::new(bytes).unwrap() };
                self.tell_linked(|linked, now| linked.handle_relay(LinkEvent::Msg(msg), now));
            }
        }
    }

    // ---- the disks

    fn save_linked(&mut self, save: LinkedSave) {
        if !spend(&mut self.disk.linked_writes_left) {
            return self.linked.handle_storage_failed(self.linked_now());
        }
        match save {
            LinkedSave::Pending(account) | LinkedSave::Committed(account) => {
                let bytes = account.encode().unwrap();
                self.disk.linked = Some(LinkedAccount::decode(&bytes).unwrap());
            }
            LinkedSave::Discard => self.disk.linked = None,
        }
    }

    fn save_primary(&mut self, save: PrimarySave) {
        if !spend(&mut self.disk.primary_writes_left) {
            return self.tell_primary(PrimaryMachine::handle_storage_failed);
        }
        match save {
            PrimarySave::Pending(pending) => {
                self.disk.pending = Some(PendingLink::decode(&pending.encode()).unwrap());
            }
            PrimarySave::Linked { account, session, .. } => {
                self.disk.session = Some(session.to_vec());
                self.disk.account = Some(account.encode().to_vec());
                self.account = Account::decode(&account.encode()).unwrap();
                self.disk.pending = None;
                self.disk.linked_device = true;
            }
            PrimarySave::Discard { account, .. } => {
                self.account = Account::decode(&account.encode()).unwrap();
                self.disk.pending = None;
            }
        }
    }

    // ---- the relay

    fn refuse_linked(&mut self, code: RefusalCode, slot: SlotId) {
        let words = Text::truncated("no");
        let refused = Refused { code, retry_after_ms: 1_000, words, slot: Some(slot), reference: None };
        self.tell_linked(|linked, now| linked.handle_relay(LinkEvent::Refused(refused), now));
    }

    pub(super) fn context_of(&self, slot: SlotId) -> Vec<u8> {
        self.slots.iter().find(|known| known.id == slot).unwrap().context.payload.as_slice().to_vec()
    }

    pub(super) fn open(&mut self, open: &OpenSlot) {
        if let Some(code) = self.open_refusal {
            return self.refuse_linked(code, open.slot);
        }
        let mut context = RelayContext {
            slot: open.slot,
            offer_ct_hash: sha256(&[open.offer_ct.as_slice()]),
            origin: None,
            ip_net: IpNet::V4([192, 0, 2]),
            country: Text::truncated("NL"),
            city: Some(Text::truncated("Utrecht")),
            asn: 64_500,
            ua_family: Text::truncated("pairlight"),
            client_kind: ClientKind::Native,
            issued: self.now.unix_ms(),
            ttl: 60_000,
        };
        (self.bend_context)(&mut context);
        let signed = self.relay_key.sign_payload(SigningContext::RelayContext, context.encode()).unwrap();
        self.slots.push(Slot {
            id: open.slot,
            offer_ct: open.offer_ct.as_slice().to_vec(),
            context: signed.clone(),
            opened: self.now,
            claimed: false,
            over: false,
        });
        let opened = SlotOpened { slot: open.slot, ttl_ms: 60_000, context: signed };
        for _ in 0..if self.says_twice { 2 } else { 1 } {
            let opened = opened.clone();
            self.tell_linked(|linked, now| linked.handle_relay(LinkEvent::Opened(opened), now));
        }
    }

    fn end_by_linked(&mut self, cancel: &CancelSlot) {
        let now = self.now;
        let live = |slot: &&mut Slot| slot.id == cancel.slot && !slot.over && now.ms_since(slot.opened) < 600_000;
        let Some(slot) = self.slots.iter_mut().find(live) else {
            if self.slots.iter().any(|slot| slot.id == cancel.slot && slot.claimed && !slot.over) {
                self.cut_apart();
            }
            // As the real one: a slot that ran out is not known any more.
            return self.refuse_linked(RefusalCode::NotFound, cancel.slot);
        };
        slot.over = true;
        if slot.claimed {
            self.end_primary(cancel.reason);
        }
    }

    pub(super) fn claim(&mut self, slot: SlotId) -> Result<ClaimAnswer, RefusalCode> {
        if let Some(code) = self.claim_refusal {
            return Err(code);
        }
        let now = self.now;
        let live = |known: &&mut Slot| known.id == slot && !known.over;
        let known = self.slots.iter_mut().find(live).ok_or(RefusalCode::NotFound)?;
        if known.claimed {
            self.tell_linked(|linked, now| linked.handle_relay(LinkEvent::Conflict(SlotConflict { slot }), now));
            self.tell_primary(PrimaryMachine::handle_conflict);
            return Err(RefusalCode::Conflict);
        }
        if now.ms_since(known.opened) >= 60_000 {
            known.over = true;
            return Err(RefusalCode::NotFound);
        }
        known.claimed = true;
        let (offer_ct, context) = (known.offer_ct.clone(), known.context.clone());
        let ip_net = IpNet::V4(if self.same_network { [192, 0, 2] } else { [198, 51, 100] });
        let own = OwnContext { slot, ip_net, country: Text::truncated("NL"), city: None, asn: 0 };
        let own = self.relay_key.sign_payload(SigningContext::RelayContext, own.encode()).unwrap();
        for _ in 0..if self.says_twice { 2 } else { 1 } {
            self.tell_linked(|linked, now| linked.handle_relay(LinkEvent::Claimed(SlotClaimed { slot }), now));
        }
        let mut answer = ClaimAnswer {
            offer_ct: Bytes::new(offer_ct).unwrap(),
            context,
            own_context: own,
            claim_token: [0; 16],
            ttl_ms: 180_000,
        };
        (self.bend_claim)(&mut answer);
        Ok(answer)
    }

    /// Another device of the account publishes a list.
    pub(super) fn change_list(&mut self) {
        let mut account = self.account.clone();
        for signed in &self.published[self.from(account.list().list().epoch + 1)..] {
            account.advance(signed, None).unwrap();
        }
        let other = DeviceId([u8::try_from(self.published.len()).unwrap(); 16]);
        let list = account.list_barring(&other, RemovalReason::Revoked, self.now).unwrap();
        self.published.push(list.signed().clone());
    }

    pub(super) fn publish(&mut self, publish: &PublishList) -> Result<(), RefusalCode> {
        if self.published.last() == Some(&publish.list) {
            return Ok(());
        }
        if self.list_races > 0 {
            self.list_races -= 1;
            self.change_list();
        }
        let current = VerifiedList::anchor(self.published.last().unwrap(), Some(&publish.ops)).unwrap();
        current.successor(&publish.list, Some(&publish.ops)).map_err(|_| RefusalCode::Conflict)?;
        self.published.push(publish.list.clone());
        Ok(())
    }

    /// Index of the list with an epoch.
    fn from(&self, epoch: u64) -> usize {
        usize::try_from(epoch.saturating_sub(1)).unwrap().min(self.published.len())
    }

    fn chain(&self, lists: Vec<Signed>) -> ListChain {
        ListChain { lists: List::new(lists).unwrap(), ops: Some(self.account.ops_cert().clone()) }
    }

    // ---- what must hold

    /// `None`: both ended alike. Else the difference, which panics unless it is one that cannot be helped.
    pub(super) fn difference(&self) -> Option<Difference> {
        let (linked, primary) = self.ends();
        let removed = || {
            let last = VerifiedList::anchor(self.published.last().unwrap(), Some(self.account.ops_cert())).unwrap();
            last.list().tombstones.as_slice().iter().any(|stone| stone.reason == RemovalReason::Abandoned)
        };
        let claimed = self.slots.iter().any(|slot| slot.claimed);
        match (linked, primary) {
            _ if linked == primary => None,
            // Not alone for good: with what is on its disk the next start completes, or has completed, the link.
            (End::Linked, End::Failed(_)) if self.disk.pending.is_some() => Some(Difference::NextStart),
            (End::Failed(_), End::Linked) if self.disk.linked.is_some() => Some(Difference::NextStart),
            (End::Linked, End::Failed(EndReason::NotPublished)) if removed() => Some(Difference::Removed),
            (End::Linked, _) | (_, End::Linked) => panic!("one is linked alone: {linked:?}, {primary:?}"),
            // It was told, past the point where that decides anything.
            (End::Failed(_), End::Failed(EndReason::StorageFailed))
                if self.told.primary.is_some() && self.disk.pending.is_some() =>
            {
                Some(Difference::NextStart)
            }
            _ if !claimed => Some(Difference::NeverClaimed),
            (End::Gone, _) | (_, End::Gone) => Some(Difference::Died),
            (End::Failed(_), End::Failed(_)) if self.told.crossed => Some(Difference::Crossed),
            (End::Failed(_), End::Failed(_)) if self.told.apart => Some(Difference::Apart),
            _ => panic!("different ends: {linked:?}, {primary:?}; {:?}", self.told),
        }
    }

    /// Both sides ended, and neither believes in a link that the other does not have. First as things stand, then
    /// after the relay is honest again and everybody was started once more with what is on the disks.
    pub(super) fn assert_nothing_half_linked(&mut self) {
        let listed = self.device_is_listed();
        let (linked, primary) = self.ends();
        assert!(linked != End::Running && primary != End::Running);
        self.assert_nothing_was_listed_without_an_approval();
        self.assert_no_secret_outlives_its_state();
        if linked == End::Linked {
            assert!(
                self.denied || self.published.len() > 1,
                "the linked device believes in a link that never was on the list"
            );
            assert!(self.disk.linked.as_ref().is_some_and(LinkedAccount::is_committed));
        }
        if primary == End::Linked {
            assert!((listed || self.denied) && self.disk.linked_device && self.disk.pending.is_none());
        }
        if matches!(primary, End::Failed(_)) {
            assert!(!self.disk.linked_device, "failed, yet stored as linked");
        }

        self.heal();
        if self.disk.linked.as_ref().is_some_and(|account| !account.is_committed()) {
            self.linked_gone = false;
            self.crash_linked(0);
        }
        if self.disk.pending.is_some() {
            self.primary_gone = false;
            self.crash_primary(0);
        }
        self.arm();
        self.run();
        let listed = self.device_is_listed();
        let linked = self.disk.linked.as_ref().map(LinkedAccount::is_committed);
        assert_ne!(linked, Some(false), "the linked device is still undecided");
        assert!(self.disk.pending.is_none(), "the primary device is still undecided");
        self.assert_nothing_was_listed_without_an_approval();
        if self.denied {
            return;
        }
        if self.disk.linked_device {
            assert!(listed, "the primary device believes in a link that is not on the list");
            // Such an entry ends by itself: the device never reports (docs/protocol.md 12.4).
            let nobody = linked.is_none() && self.clock_hid_time;
            assert!(nobody || linked == Some(true), "the primary device is linked with nobody");
        } else {
            assert!(!listed, "a device that the primary device does not know is on the list");
        }
    }

    /// The certificates of all devices on all lists that were published.
    fn listed(&self) -> BTreeSet<[u8; 32]> {
        let lists = self.published.iter();
        let lists = lists.map(|signed| VerifiedList::anchor(signed, Some(self.account.ops_cert())).unwrap());
        lists
            .flat_map(|list| list.list().entries.as_slice().iter().map(|entry| entry.cert_digest).collect::<Vec<_>>())
            .collect()
    }

    /// No list that was published since the code was scanned holds a device that the person did not approve: exactly once, and
    /// a second time where the policy asks twice.
    fn assert_nothing_was_listed_without_an_approval(&self) {
        let Some(before) = &self.listed_before else { return };
        let new = self.listed().difference(before).count();
        assert!(new <= 1, "one pairing, {new} devices");
        if new == 1 {
            let asked_twice = u32::from(self.second_questions > 0);
            assert_eq!(
                (self.approvals, self.second_approvals),
                (1, asked_twice),
                "approvals of the device on the list"
            );
        }
    }

    /// A machine that has ended holds no key, no word and no evidence of the pairing any more.
    fn assert_no_secret_outlives_its_state(&self) {
        if matches!(self.linked.state(), LinkedState::Linked | LinkedState::Failed(_)) {
            assert!(!self.linked.holds_secrets(), "the linked device still holds a secret: {:?}", self.linked_events);
        }
        if let Some(primary) = self.primary.as_ref()
            && matches!(primary.state(), PrimaryState::Linked | PrimaryState::Failed(_))
        {
            assert!(!primary.holds_secrets(), "the primary device still holds a secret");
        }
    }

    /// Everything works again.
    pub(super) fn heal(&mut self) {
        self.plan = None;
        self.nobody = true;
        self.tamper = Box::new(deliver);
        (self.linked_online, self.primary_online) = (true, true);
        (self.linked_error_ms, self.primary_error_ms) = (0, 0);
        self.publishing = Publishing::Honest;
        self.bend_chain = |_| {};
        self.disk.linked_writes_left = None;
        self.disk.primary_writes_left = None;
    }
}

fn spend(left: &mut Option<u32>) -> bool {
    match left {
        None => true,
        Some(0) => false,
        Some(left) => {
            *left -= 1;
            true
        }
    }
}
