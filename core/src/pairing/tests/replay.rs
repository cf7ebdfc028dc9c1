//! The model of `model.rs`, checked; and kept honest: its runs are played on the real machines, and after every step
//! both must stand alike, to the second of the next timer.

use std::collections::{HashMap, VecDeque};

use pairlight_wire::id::SlotId;
use pairlight_wire::list::{DeviceList, VerifiedList};
use pairlight_wire::pairing::EndReason;
use pairlight_wire::relay::{LinkEvent, LinkRequest, ListChain, PublishList, RefusalCode, SlotEnded, SlotMsg};
use pairlight_wire::sign::Signed;
use pairlight_wire::{Bytes, List as WireList, Wire};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use stateright::{Checker, Model};

use super::figures::documented;
use super::guarded::{guarded_world, signature};
use super::harness::{START, World};
use super::model::{
    Action, Answer, Call, L, LinkedDisk, List, Msg, P, Pairing, PrimaryDisk, Seconds, Side, State, What,
};
use crate::Timestamp;
use crate::devices::Account;
use crate::pairing::*;

/// Faults in one run of the model that is searched. Three take minutes and find nothing more.
const FAULTS: u8 = 2;

type Linked = LinkedMachine<ChaCha20Rng>;
type Primary = PrimaryMachine<ChaCha20Rng>;

/// A message on its way, as the model calls it and as it is.
type Sent = (Msg, Vec<u8>);

/// A question to the relay that has no answer yet.
enum Asked {
    Publish(Box<PublishList>),
    Fetch(u64),
    FetchAs(Box<LinkedAccount>),
}

/// The real machines, a disk for each, and a relay that does what the model says.
struct Rig {
    now: Seconds,
    linked: Option<Linked>,
    primary: Option<Primary>,
    linked_gone: bool,
    primary_gone: bool,
    linked_disk: Option<LinkedAccount>,
    pending: Option<PendingLink>,
    is_linked: bool,
    account: Account,
    config: PrimaryConfig,
    slot: SlotId,
    slot_over: bool,
    connected: bool,
    to_linked: Vec<Sent>,
    to_primary: Vec<Sent>,
    linked_asks: Vec<Asked>,
    primary_asks: Vec<Asked>,
    chain: Vec<Signed>,
    held: Option<Signed>,
    digits: Option<String>,
    restarts: u8,
}

impl Rig {
    /// A claimed slot: where the model begins. The linked device has its key, or a guard has it that signs at once.
    fn claimed(key: Key) -> Self {
        let mut world = match key {
            Key::Own => World::new(),
            Key::Guarded => guarded_world(),
        };
        world.nobody = true;
        world.scan();
        world.drain();
        let slot = world.slot();
        let config = PrimaryConfig {
            account: world.account.clone(),
            policy: world.policy,
            source: world.source,
            relay_pk: world.relay_key.public(),
        };
        Self {
            now: 0,
            linked: Some(world.linked),
            primary: world.primary,
            linked_gone: false,
            primary_gone: false,
            linked_disk: None,
            pending: None,
            is_linked: false,
            account: world.account,
            config,
            slot,
            slot_over: false,
            connected: true,
            to_linked: Vec::new(),
            to_primary: Vec::new(),
            linked_asks: Vec::new(),
            primary_asks: Vec::new(),
            chain: world.published,
            held: None,
            digits: None,
            restarts: 0,
        }
    }

    fn time(&self) -> Timestamp {
        START.plus_ms(u64::from(self.now) * 1_000)
    }

    fn linked_runs(&self) -> bool {
        let state = self.linked.as_ref().map(Linked::state);
        state.is_some_and(|state| !matches!(state, LinkedState::Linked | LinkedState::Failed(_)))
    }

    fn primary_runs(&self) -> bool {
        let state = self.primary.as_ref().map(Primary::state);
        state.is_some_and(|state| !matches!(state, PrimaryState::Linked | PrimaryState::Failed(_)))
    }

    fn rng(&mut self) -> ChaCha20Rng {
        self.restarts += 1;
        ChaCha20Rng::from_seed([100 + self.restarts; 32])
    }

    // ---- what the machines do

    /// Takes the outputs of a machine; it dies instead of its effect number `dies_at`.
    fn drain(&mut self, side: Side, dies_at: Option<u8>) {
        let mut effects = 0;
        loop {
            let alive = dies_at != Some(effects);
            let done = match side {
                Side::Linked => match self.linked.as_mut().and_then(Linked::poll_output) {
                    None => return self.after_drain(),
                    Some(output) => self.on_linked(output, alive),
                },
                Side::Primary => match self.primary.as_mut().and_then(Primary::poll_output) {
                    None => return self.after_drain(),
                    Some(output) => self.on_primary(output, alive),
                },
            };
            if done && !alive {
                return self.crash(side);
            }
            effects += u8::from(done);
        }
    }

    fn after_drain(&mut self) {
        if !self.linked_runs() {
            self.to_linked.clear();
            self.linked_asks.clear();
        }
        if !self.primary_runs() {
            self.to_primary.clear();
            self.primary_asks.clear();
        }
    }

    /// Whether the output is an effect.
    fn on_linked(&mut self, output: LinkedOutput, alive: bool) -> bool {
        match output {
            LinkedOutput::Send(LinkRequest::Send(send)) => {
                let wrong =
                    self.linked.as_ref().map(Linked::state) == Some(LinkedState::Failed(EndReason::WrongCheckCode));
                let msg = [Msg::M2, Msg::M2b(!wrong), Msg::M4][usize::try_from(send.seq).unwrap()];
                if alive && !self.slot_over {
                    self.to_primary.push((msg, send.body.into_vec()));
                }
            }
            LinkedOutput::Send(LinkRequest::Cancel(cancel)) if alive => self.slot_ends(Side::Linked, cancel.reason),
            LinkedOutput::Send(LinkRequest::Cancel(_)) => {}
            LinkedOutput::FetchList { account } if alive => self.linked_asks.push(Asked::FetchAs(account)),
            LinkedOutput::FetchList { .. } => {}
            LinkedOutput::Save(save) if alive => match save {
                LinkedSave::Pending(account) | LinkedSave::Committed(account) => {
                    let bytes = account.encode().unwrap();
                    self.linked_disk = Some(LinkedAccount::decode(&bytes).unwrap());
                }
                LinkedSave::Discard => self.linked_disk = None,
            },
            LinkedOutput::Save(_) => {}
            LinkedOutput::Sign(order) => {
                let (signature, now) = (signature(&order), self.time());
                if let Some(linked) = &mut self.linked {
                    linked.handle_signature(Some(&signature), now);
                }
                return false;
            }
            _ => return false,
        }
        true
    }

    fn on_primary(&mut self, output: PrimaryOutput, alive: bool) -> bool {
        match output {
            PrimaryOutput::Send { seq, body } => {
                let msg = [Msg::M1, Msg::M3, Msg::M5][usize::try_from(seq).unwrap()];
                if alive && !self.slot_over {
                    self.to_linked.push((msg, body));
                }
            }
            PrimaryOutput::Cancel(reason) if alive => self.slot_ends(Side::Primary, reason),
            PrimaryOutput::Cancel(_) => {}
            PrimaryOutput::Publish(list) if alive => self.primary_asks.push(Asked::Publish(list)),
            PrimaryOutput::FetchList { from } if alive => self.primary_asks.push(Asked::Fetch(from)),
            PrimaryOutput::Publish(_) | PrimaryOutput::FetchList { .. } => {}
            PrimaryOutput::Save(save) if alive => match save {
                PrimarySave::Pending(pending) => self.pending = Some(PendingLink::decode(&pending.encode()).unwrap()),
                PrimarySave::Linked { account, .. } => {
                    self.account = Account::decode(&account.encode()).unwrap();
                    (self.pending, self.is_linked) = (None, true);
                }
                PrimarySave::Discard { account, .. } => {
                    self.account = Account::decode(&account.encode()).unwrap();
                    self.pending = None;
                }
            },
            PrimaryOutput::Save(_) => {}
            PrimaryOutput::Event(PrimaryEvent::ShowCheckCode(code)) => {
                self.digits = Some(code.to_display());
                return false;
            }
            _ => return false,
        }
        true
    }

    fn slot_ends(&mut self, by: Side, reason: EndReason) {
        if core::mem::replace(&mut self.slot_over, true) {
            return;
        }
        match by {
            Side::Linked => self.to_primary.push((Msg::Ended(reason), Vec::new())),
            Side::Primary if self.connected => self.to_linked.push((Msg::Ended(reason), Vec::new())),
            Side::Primary => {}
        }
    }

    fn crash(&mut self, side: Side) {
        match side {
            Side::Linked => {
                (self.linked, self.connected) = (None, false);
                self.slot_ends(Side::Linked, EndReason::Unreachable);
            }
            Side::Primary => {
                let left = self.primary_asks.iter().find_map(|asked| match asked {
                    Asked::Publish(list) => Some(list.list.clone()),
                    _ => None,
                });
                self.held = self.held.take().or(left);
                self.primary = None;
            }
        }
        self.after_drain();
    }

    // ---- what the relay does

    fn store(&mut self, list: &Signed) -> bool {
        if self.chain.last() == Some(list) || same_meaning(self.chain.last().unwrap(), list) {
            return true;
        }
        let ops = Some(self.account.ops_cert());
        let newest = VerifiedList::anchor(self.chain.last().unwrap(), ops).unwrap();
        let fits = newest.successor(list, ops).is_ok();
        if fits {
            self.chain.push(list.clone());
        }
        fits
    }

    fn lists_from(&self, epoch: u64) -> ListChain {
        let lists: Vec<_> = self.chain.iter().filter(|signed| content(signed).epoch >= epoch).cloned().collect();
        ListChain { lists: WireList::new(lists).unwrap(), ops: Some(self.account.ops_cert().clone()) }
    }

    fn answer(&mut self, side: Side, answer: Answer) {
        let now = self.time();
        match side {
            Side::Linked => {
                let Asked::FetchAs(account) = self.linked_asks.remove(0) else { panic!("not its question") };
                let device = account.device_id();
                let newest = content(self.chain.last().unwrap());
                let known = newest.entries.as_slice().iter().any(|entry| entry.device == device)
                    || newest.tombstones.as_slice().iter().any(|tombstone| tombstone.device == device);
                let chain = self.lists_from(account.list().list().epoch);
                let machine = self.linked.as_mut().unwrap();
                match answer {
                    Answer::Given => machine.handle_list(known.then_some(&chain), now),
                    _ => machine.handle_unreachable(now),
                }
            }
            Side::Primary => match self.primary_asks.remove(0) {
                Asked::FetchAs(_) => panic!("not its question"),
                Asked::Fetch(from) => {
                    let chain = self.lists_from(from);
                    let machine = self.primary.as_mut().unwrap();
                    match answer {
                        Answer::Given => machine.handle_list(&chain, now),
                        _ => machine.handle_unreachable(now),
                    }
                }
                Asked::Publish(list) => {
                    let taken = matches!(answer, Answer::Given | Answer::Lost) && self.store(&list.list);
                    if answer == Answer::Held {
                        self.held = Some(list.list.clone());
                    }
                    let machine = self.primary.as_mut().unwrap();
                    match answer {
                        Answer::Given if taken => machine.handle_published(Ok(()), now),
                        Answer::Given => machine.handle_published(Err(RefusalCode::Conflict), now),
                        _ => machine.handle_unreachable(now),
                    }
                }
            },
        }
    }

    fn deliver(&mut self, side: Side, place: u8, again: bool) {
        let (now, place) = (self.time(), usize::from(place));
        let queue = if side == Side::Linked { &mut self.to_linked } else { &mut self.to_primary };
        let (msg, body) = if again { queue[place].clone() } else { queue.remove(place) };
        let seq = match msg {
            Msg::M1 | Msg::M2 => 0,
            Msg::M2b(_) | Msg::M3 => 1,
            _ => 2,
        };
        match (side, msg) {
            (Side::Linked, Msg::Ended(reason)) => {
                let ended = LinkEvent::Ended(SlotEnded { slot: self.slot, reason });
                self.linked.as_mut().unwrap().handle_relay(ended, now);
            }
            (Side::Linked, _) => {
                let msg = LinkEvent::Msg(SlotMsg { slot: self.slot, seq, body: Bytes::new(body).unwrap() });
                self.linked.as_mut().unwrap().handle_relay(msg, now);
            }
            (Side::Primary, Msg::Ended(reason)) => self.primary.as_mut().unwrap().handle_ended(reason, now),
            (Side::Primary, _) => self.primary.as_mut().unwrap().handle_message(seq, &body, now),
        }
    }

    fn restart(&mut self, side: Side) {
        let (now, rng) = (self.time(), self.rng());
        match side {
            Side::Linked => {
                self.connected = false;
                let disk = self.linked_disk.clone();
                self.linked_gone = disk.is_none();
                // A link that is complete needs no machine any more.
                self.linked = disk.filter(|account| !account.is_committed()).map(|disk| Linked::resume(disk, now, rng));
            }
            Side::Primary => {
                let config = PrimaryConfig { account: self.account.clone(), ..self.config.clone() };
                self.primary_gone = self.pending.is_none() && !self.is_linked;
                self.primary = self.pending.clone().map(|pending| Primary::resume(config, pending, now, rng));
            }
        }
    }

    /// Plays one action of the model; `now` is the model's time after it.
    fn play(&mut self, action: Action, now: Seconds) {
        let mut dies_at = action.dies_at;
        let time = self.time();
        let side = match action.what {
            What::Approve => self.tell_primary(|primary| primary.approve(time).unwrap()),
            What::Decline => self.tell_primary(|primary| primary.decline(time)),
            What::Cancel(Side::Primary) => self.tell_primary(|primary| primary.cancel(time)),
            What::Cancel(Side::Linked) => self.tell_linked(|linked| linked.cancel(time)),
            What::TypeRight => {
                let digits = self.digits.clone().unwrap();
                self.tell_linked(|linked| linked.enter_check_code(&digits, time))
            }
            What::TypeWrong => {
                // The screen of the other device may not show any digits yet: then all are wrong but one in a million.
                let wrong = if self.digits.as_deref() == Some("000 000") { "000 001" } else { "000 000" };
                self.tell_linked(|linked| linked.enter_check_code(wrong, time))
            }
            What::Deliver(side, place, again) => {
                self.deliver(side, place, again);
                Some(side)
            }
            What::Drop(side, place) => {
                let queue = if side == Side::Linked { &mut self.to_linked } else { &mut self.to_primary };
                queue.remove(usize::from(place));
                None
            }
            What::Answer(side, answer) => {
                self.answer(side, answer);
                Some(side)
            }
            What::Release => {
                let held = self.held.take().unwrap();
                self.store(&held);
                None
            }
            What::LoseSocket => {
                self.connected = false;
                self.slot_ends(Side::Linked, EndReason::Unreachable);
                self.tell_linked(|linked| linked.handle_disconnected(time))
            }
            What::Crash(side) => {
                self.crash(side);
                dies_at = None;
                None
            }
            What::Restart(side) => {
                self.restart(side);
                Some(side)
            }
            What::Wait | What::Nap | What::Away(_) => {
                self.now = now;
                None
            }
            What::Timeout(Side::Linked) => self.tell_linked(|linked| linked.handle_timeout(time)),
            What::Timeout(Side::Primary) => self.tell_primary(|primary| primary.handle_timeout(time)),
        };
        if let Some(side) = side {
            self.drain(side, dies_at);
        }
    }

    fn tell_linked(&mut self, tell: impl FnOnce(&mut Linked)) -> Option<Side> {
        tell(self.linked.as_mut().unwrap());
        Some(Side::Linked)
    }

    fn tell_primary(&mut self, tell: impl FnOnce(&mut Primary)) -> Option<Side> {
        tell(self.primary.as_mut().unwrap());
        Some(Side::Primary)
    }

    // ---- comparison

    /// Both stand alike.
    fn assert_is(&self, state: &State, story: &[Action]) {
        let linked = match self.linked.as_ref().map(Linked::state) {
            None if self.linked_disk.as_ref().is_some_and(LinkedAccount::is_committed) && state.linked == L::Linked => {
                "linked"
            }
            None if self.linked_gone => "gone",
            None => "down",
            Some(LinkedState::Claimed) => "claimed",
            Some(LinkedState::AwaitingCheckCode) => "code",
            Some(LinkedState::AwaitingCertificate) => "certificate",
            Some(LinkedState::AwaitingCommit) => "commit",
            Some(LinkedState::Linked) => "linked",
            Some(LinkedState::Failed(reason)) if state.linked == L::Failed(reason) => "failed so",
            Some(_) => "something else",
        };
        let expected = match state.linked {
            L::Claimed => "claimed",
            L::Code { .. } => "code",
            L::AwaitingCertificate => "certificate",
            L::AwaitingCommit { .. } => "commit",
            L::Linked => "linked",
            L::Failed(_) => "failed so",
            L::Down => "down",
            L::Gone => "gone",
        };
        assert_eq!(linked, expected, "linked device: {state:?}\nafter {story:?}");
        let primary = match self.primary.as_ref().map(Primary::state) {
            None if self.is_linked && state.primary == P::Linked => "linked",
            None if self.primary_gone => "gone",
            None => "down",
            Some(PrimaryState::Review) => "review",
            Some(PrimaryState::AwaitingKey) => "key",
            Some(PrimaryState::ShowingCheckCode) => "code",
            Some(PrimaryState::AwaitingAcceptance) => "acceptance",
            Some(PrimaryState::Publishing) => "publishing",
            Some(PrimaryState::Linked) => "linked",
            Some(PrimaryState::Failed(reason)) if state.primary == P::Failed(reason) => "failed so",
            Some(_) => "something else",
        };
        let expected = match state.primary {
            P::Review => "review",
            P::AwaitingKey => "key",
            P::ShowingCheckCode => "code",
            P::AwaitingAcceptance => "acceptance",
            P::Publishing { .. } | P::Abandoning { .. } => "publishing",
            P::Linked => "linked",
            P::Failed(_) => "failed so",
            P::Down => "down",
            P::Gone => "gone",
        };
        assert_eq!(primary, expected, "primary device: {state:?}\nafter {story:?}");

        let seconds = |at: Option<Timestamp>| at.map(|at| Seconds::try_from(at.ms_since(START) / 1_000).unwrap());
        assert_eq!(
            (
                seconds(self.linked.as_ref().and_then(Linked::poll_timeout)),
                seconds(self.primary.as_ref().and_then(Primary::poll_timeout))
            ),
            (state.linked_timers.next(), state.primary_timers.next()),
            "timers: {state:?}\nafter {story:?}"
        );
        let disk = match &self.linked_disk {
            None => LinkedDisk::Empty,
            Some(account) if account.is_committed() => LinkedDisk::Committed,
            Some(account) => LinkedDisk::Pending { certified: seconds(Some(account.created())).unwrap() },
        };
        assert_eq!(disk, state.linked_disk, "{state:?}\nafter {story:?}");
        let disk = match &self.pending {
            None if self.is_linked => PrimaryDisk::Linked,
            None => PrimaryDisk::Empty,
            Some(pending) => match pending.stage {
                LinkStage::Certified => PrimaryDisk::Certified,
                LinkStage::Abandoning => PrimaryDisk::Abandoning,
                LinkStage::Publishing => {
                    let accepted = Timestamp::from_unix_ms(pending.created);
                    PrimaryDisk::Publishing { accepted: seconds(Some(accepted)).unwrap() }
                }
            },
        };
        assert_eq!(disk, state.primary_disk, "{state:?}\nafter {story:?}");
        let chain: Vec<_> = self.chain[1..].iter().map(meaning).collect();
        assert_eq!(chain, state.chain, "lists: {state:?}\nafter {story:?}");
        assert_eq!(self.held.is_some(), state.held.is_some(), "held back: {state:?}\nafter {story:?}");
        let on_the_way = |queue: &[Sent]| queue.iter().map(|(msg, _)| *msg).collect::<Vec<_>>();
        assert_eq!(
            (on_the_way(&self.to_linked), on_the_way(&self.to_primary)),
            (state.to_linked.clone(), state.to_primary.clone()),
            "messages: {state:?}\nafter {story:?}"
        );
        let asked = |asks: &[Asked]| asks.iter().map(call).collect::<Vec<_>>();
        assert_eq!(
            (asked(&self.linked_asks), asked(&self.primary_asks)),
            (state.linked_calls.clone(), state.primary_calls.clone()),
            "calls: {state:?}\nafter {story:?}"
        );
    }
}

fn content(signed: &Signed) -> DeviceList {
    DeviceList::decode(signed.payload.as_slice()).unwrap()
}

/// A list that says the same of the device, at the same place: signed at another second it has other bytes.
fn same_meaning(one: &Signed, other: &Signed) -> bool {
    content(one).epoch == content(other).epoch && content(one).epoch > 1 && meaning(one) == meaning(other)
}

fn meaning(signed: &Signed) -> List {
    if content(signed).tombstones.as_slice().is_empty() { List::With } else { List::Barred }
}

fn call(asked: &Asked) -> Call {
    match asked {
        Asked::Publish(list) => {
            let epoch = content(&list.list).epoch - 1;
            Call::Publish(meaning(&list.list), u8::try_from(epoch).unwrap())
        }
        Asked::Fetch(_) | Asked::FetchAs(_) => Call::Fetch,
    }
}

/// Where the linked device's key is. The model does not know: both are one and the same to it.
#[derive(Debug, Clone, Copy)]
enum Key {
    Own,
    Guarded,
}

/// Plays a run on the real machines.
fn replay(faults: u8, key: Key, story: &[Action]) {
    let (mut state, mut rig) = (State::claimed(faults), Rig::claimed(key));
    rig.assert_is(&state, &[]);
    for (at, action) in story.iter().enumerate() {
        (state, _) = state.after(*action);
        rig.play(*action, state.now);
        rig.assert_is(&state, &story[..=at]);
    }
}

/// The README's row of these figures.
const MODEL: &str = "states of the model of a pairing with at most two faults";

#[test]
fn no_order_of_loss_repetition_crash_and_restart_leaves_half_a_link() {
    let checker = Pairing { faults: FAULTS }.checker().threads(2).spawn_bfs().join();
    println!(
        "model: {} states ({} unique), depth {}, at most {FAULTS} faults in a run",
        checker.state_count(),
        checker.unique_state_count(),
        checker.max_depth()
    );
    assert!(checker.is_done());
    checker.assert_properties();
    assert_eq!(checker.unique_state_count(), documented(MODEL)[0]);
}

/// What kind of step it is: where both stood, what happened, where both stand then.
type Kind = (L, P, std::mem::Discriminant<What>, bool, L, P, LinkedDisk, PrimaryDisk, Vec<List>);

#[test]
fn every_kind_of_step_of_the_model_is_one_of_the_real_machines() {
    // The shortest run to each kind of step, found breadth first.
    let model = Pairing { faults: 1 };
    let mut seen: HashMap<State, (usize, Option<Action>)> = HashMap::new();
    let mut order = vec![State::claimed(1)];
    seen.insert(order[0].clone(), (0, None));
    let mut kinds: HashMap<Kind, (usize, Action)> = HashMap::new();
    let mut queue = VecDeque::from([0]);
    while let Some(at) = queue.pop_front() {
        let state = order[at].clone();
        let mut actions = Vec::new();
        model.actions(&state, &mut actions);
        for action in actions {
            let Some(next) = model.next_state(&state, action) else { continue };
            let undated = |disk| match disk {
                LinkedDisk::Pending { .. } => LinkedDisk::Pending { certified: 0 },
                disk => disk,
            };
            let undated_primary = |disk| match disk {
                PrimaryDisk::Publishing { .. } => PrimaryDisk::Publishing { accepted: 0 },
                disk => disk,
            };
            let kind = (
                state.linked,
                state.primary,
                std::mem::discriminant(&action.what),
                action.dies_at.is_some(),
                next.linked,
                next.primary,
                undated(next.linked_disk),
                undated_primary(next.primary_disk),
                next.chain.clone(),
            );
            kinds.entry(kind).or_insert((at, action));
            if !seen.contains_key(&next) {
                seen.insert(next.clone(), (at, Some(action)));
                queue.push_back(order.len());
                order.push(next);
            }
        }
    }
    let (mut runs, mut steps) = (0, 0);
    for (from, last) in kinds.values() {
        let mut story = vec![*last];
        let mut at = *from;
        while let (before, Some(action)) = seen[&order[at]] {
            story.push(action);
            at = before;
        }
        story.reverse();
        replay(1, Key::Own, &story);
        replay(1, Key::Guarded, &story);
        runs += 1;
        steps += story.len();
    }
    println!("model against machines: {runs} runs, one for each kind of step, {steps} steps; {} states", order.len());
    assert_eq!(steps, documented(MODEL)[1]);
    assert!(runs > 300, "{runs}");
}

#[test]
fn long_runs_of_the_model_are_runs_of_the_real_machines() {
    let model = Pairing { faults: 4 };
    let (mut steps, runs) = (0, 600);
    for seed in 0..runs {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let (mut state, mut story) = (State::claimed(4), Vec::new());
        loop {
            let mut actions = Vec::new();
            model.actions(&state, &mut actions);
            // Mostly what happens by itself, or a run would be over before it began.
            let calm: Vec<_> = actions.iter().filter(|action| is_calm(action)).copied().collect();
            let steps: Vec<_> = calm.iter().filter(|action| action.what != What::Wait).copied().collect();
            let choice = match rng.next_u32() % 8 {
                0 => actions,
                _ if !steps.is_empty() => steps,
                _ if !calm.is_empty() => calm,
                _ => actions,
            };
            let Some(action) = choice.get(rng.next_u32() as usize % choice.len().max(1)).copied() else { break };
            (state, _) = state.after(action);
            story.push(action);
        }
        assert!(state.is_at_rest());
        replay(4, if seed % 2 == 0 { Key::Own } else { Key::Guarded }, &story);
        steps += story.len();
    }
    println!("model against machines: {runs} random runs, {steps} steps");
    assert_eq!(steps, documented(MODEL)[2]);
}

fn is_calm(action: &Action) -> bool {
    let what = matches!(
        action.what,
        What::Approve
            | What::TypeRight
            | What::Deliver(_, _, false)
            | What::Answer(_, Answer::Given)
            | What::Timeout(_)
            | What::Restart(_)
            | What::Wait
    );
    what && action.dies_at.is_none()
}
