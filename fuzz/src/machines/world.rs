//! The two devices, their disks, the relay, and each thing that can happen.

use std::collections::VecDeque;

use pairlight_core::Timestamp;
use pairlight_core::devices::Account;
use pairlight_core::pairing::*;
use pairlight_core::trust::{Policy, ScanSource};
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

use super::Input;

const START: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);
const DAY_MS: i64 = 86_400_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Linked,
    Primary,
}

/// How the relay answers a publication.
#[derive(Clone, Copy)]
enum Publishing {
    Honest,
    Refuses(RefusalCode),
    StoresAndRefuses(RefusalCode),
    StoresInSilence,
    Unreachable,
}

struct Slot {
    open: OpenSlot,
    context: Signed,
    claimed: bool,
    over: bool,
}

pub(super) struct World {
    now: Timestamp,
    clock_error_ms: [i64; 2],
    linked: LinkedMachine<ChaCha20Rng>,
    primary: Option<PrimaryMachine<ChaCha20Rng>>,
    account: Account,
    relay_key: pairlight_core::crypto::sign::SigningKey,
    // disks
    stored_linked: Option<LinkedAccount>,
    stored_pending: Option<PendingLink>,
    knows_device: bool,
    full_disk: [bool; 2],
    // relay
    slots: Vec<Slot>,
    published: Vec<Signed>,
    publishing: Publishing,
    offline: [bool; 2],
    /// The relay said "published" and had not: what it shows afterwards means nothing.
    denied: bool,
    // network
    to_linked: VecDeque<(u64, Vec<u8>)>,
    to_primary: VecDeque<(u64, Vec<u8>)>,
    sent: Vec<Vec<u8>>,
    // people
    shown: Option<String>,
    digits: Option<String>,
    approvals: u32,
}

fn rng(seed: u8) -> ChaCha20Rng {
    ChaCha20Rng::from_seed([seed; 32])
}

fn index(side: Side) -> usize {
    usize::from(side == Side::Primary)
}

impl World {
    pub(super) fn new() -> Self {
        let account = Account::generate("Phone", START, &mut rng(7)).expect("an account is made");
        let description = DeviceDescription {
            name: "Laptop".into(),
            os: "Linux".into(),
            app: "pairlight".into(),
            kind: ClientKind::Native,
        };
        Self {
            now: START,
            clock_error_ms: [0; 2],
            linked: LinkedMachine::new(description, 0, START, rng(8)),
            primary: None,
            published: vec![account.list().signed().clone()],
            account,
            relay_key: pairlight_core::crypto::sign::SigningKey::from_seed(&[9; 32]),
            stored_linked: None,
            stored_pending: None,
            knows_device: false,
            full_disk: [false; 2],
            slots: Vec::new(),
            publishing: Publishing::Honest,
            offline: [false; 2],
            denied: false,
            to_linked: VecDeque::new(),
            to_primary: VecDeque::new(),
            sent: Vec::new(),
            shown: None,
            digits: None,
            approvals: 0,
        }
    }

    fn now_of(&self, side: Side) -> Timestamp {
        Timestamp::from_unix_ms(self.now.unix_ms().saturating_add_signed(self.clock_error_ms[index(side)]))
    }

    fn config(&self) -> PrimaryConfig {
        PrimaryConfig {
            account: self.account.clone(),
            policy: Policy::BALANCED,
            source: ScanSource::LiveCamera,
            relay_pk: self.relay_key.public(),
        }
    }

    // ---- steps

    pub(super) fn step(&mut self, step: u8, side: Side, input: &mut Input<'_>) {
        match step % 24 {
            0 => self.deliver_all(),
            1 => self.person_acts(),
            2 => self.tick(),
            3 => self.deliver(side),
            4 => {
                self.queue(side).pop_front();
            }
            5 => {
                if let Some(first) = self.queue(side).front().cloned() {
                    self.queue(side).push_front(first);
                }
            }
            6 => {
                let (at, bit) = (input.below(2048), input.below(8));
                if let Some((_, bytes)) = self.queue(side).front_mut() {
                    let at = at % bytes.len();
                    bytes[at] ^= 1 << bit;
                }
            }
            7 => {
                if self.queue(side).len() > 1 {
                    self.queue(side).swap(0, 1);
                }
            }
            8 => {
                let (which, seq) = (input.below(8), input.below(5) as u64);
                if let Some(bytes) = self.sent.get(which).cloned() {
                    self.arrive(side, seq, bytes);
                }
            }
            9 => {
                let seq = input.below(5) as u64;
                let bytes = input.bytes().to_vec();
                self.arrive(side, seq, bytes);
            }
            10 => {
                if let (Side::Linked, Ok(event)) = (side, LinkEvent::decode(input.bytes())) {
                    let now = self.now_of(side);
                    self.linked.handle_relay(event, now);
                }
            }
            11 => self.relay_says(side, input),
            12 => self.relay_shows_lists(side, input),
            13 => {
                let typed = String::from_utf8_lossy(input.bytes()).into_owned();
                let now = self.now_of(Side::Linked);
                self.linked.enter_check_code(&typed, now);
            }
            14 => {
                let now = self.now_of(side);
                match (side, self.primary.as_mut()) {
                    (Side::Linked, _) => self.linked.cancel(now),
                    (Side::Primary, Some(primary)) if input.below(2) == 0 => primary.cancel(now),
                    (Side::Primary, Some(primary)) => primary.decline(now),
                    _ => {}
                }
            }
            15 => self.crash(side),
            16 => self.full_disk[index(side)] = !self.full_disk[index(side)],
            17 => {
                let code = |n| RefusalCode::from_code(n as u64).unwrap_or(RefusalCode::Unavailable);
                self.publishing = match input.below(30) {
                    0 => Publishing::Honest,
                    1 => Publishing::StoresInSilence,
                    2 => Publishing::Unreachable,
                    n @ 3..=15 => Publishing::Refuses(code(n - 3)),
                    n => Publishing::StoresAndRefuses(code(n - 16)),
                };
            }
            18 => {
                let jump = [DAY_MS, -DAY_MS, 60_000, -60_000, 700_000, -700_000][input.below(6)];
                self.clock_error_ms[index(side)] += jump;
            }
            19 => self.offline[index(side)] = !self.offline[index(side)],
            20 => {
                let now = self.now_of(side);
                match side {
                    Side::Linked => {
                        self.slots_end(EndReason::Unreachable);
                        self.linked.handle_disconnected(now);
                    }
                    Side::Primary => self.tell_primary(PrimaryMachine::handle_unreachable),
                }
            }
            21 => self.another_device_publishes(),
            22 => {
                let now = self.now_of(side);
                match side {
                    Side::Linked => self.linked.handle_timeout(now),
                    Side::Primary => self.tell_primary(PrimaryMachine::handle_timeout),
                }
            }
            _ => {
                let now = self.now_of(Side::Linked);
                self.linked.show_again(now);
            }
        }
    }

    fn queue(&mut self, side: Side) -> &mut VecDeque<(u64, Vec<u8>)> {
        match side {
            Side::Linked => &mut self.to_linked,
            Side::Primary => &mut self.to_primary,
        }
    }

    fn deliver(&mut self, side: Side) {
        if let Some((seq, bytes)) = self.queue(side).pop_front() {
            self.arrive(side, seq, bytes);
        }
    }

    fn deliver_all(&mut self) {
        while !self.to_linked.is_empty() || !self.to_primary.is_empty() {
            self.deliver(Side::Linked);
            self.deliver(Side::Primary);
            self.settle();
        }
    }

    fn claimed(&self) -> SlotId {
        let claimed = self.slots.iter().find(|slot| slot.claimed);
        claimed.or(self.slots.last()).map_or(SlotId([0; 16]), |slot| slot.open.slot)
    }

    fn arrive(&mut self, side: Side, seq: u64, bytes: Vec<u8>) {
        let (slot, now) = (self.claimed(), self.now_of(side));
        match side {
            Side::Primary => self.tell_primary(|primary, now| primary.handle_message(seq, &bytes, now)),
            Side::Linked => {
                if let Ok(body) = Bytes::new(bytes) {
                    self.linked.handle_relay(LinkEvent::Msg(SlotMsg { slot, seq, body }), now);
                }
            }
        }
    }

    fn tell_primary(&mut self, tell: impl FnOnce(&mut PrimaryMachine<ChaCha20Rng>, Timestamp)) {
        let now = self.now_of(Side::Primary);
        if let Some(primary) = &mut self.primary {
            tell(primary, now);
        }
    }

    /// True or not, what a relay can say in a frame or an answer of its own.
    fn relay_says(&mut self, side: Side, input: &mut Input<'_>) {
        let slot = self.claimed();
        let reason = EndReason::from_code(input.below(14) as u64).unwrap_or(EndReason::Expired);
        let code = RefusalCode::from_code(input.below(13) as u64).unwrap_or(RefusalCode::NotFound);
        let now = self.now_of(side);
        let what = input.below(5);
        match side {
            Side::Linked => {
                let refused = Refused {
                    code,
                    retry_after_ms: input.below(60_000) as u64,
                    words: Text::truncated("no"),
                    slot: Some(slot).filter(|_| what == 3),
                    reference: None,
                };
                let event = match what {
                    0 => LinkEvent::Claimed(SlotClaimed { slot }),
                    1 => LinkEvent::Ended(SlotEnded { slot, reason }),
                    2 => LinkEvent::Conflict(SlotConflict { slot }),
                    _ => LinkEvent::Refused(refused),
                };
                self.linked.handle_relay(event, now);
            }
            Side::Primary => {
                // To be told "published" is a lie that only matters while a publication is out.
                self.denied |= what == 3;
                self.tell_primary(|primary, now| match what {
                    0 => primary.handle_ended(reason, now),
                    1 => primary.handle_conflict(now),
                    2 => primary.handle_claim(Err(code), now),
                    3 => primary.handle_published(Ok(()), now),
                    _ => primary.handle_published(Err(code), now),
                });
            }
        }
    }

    /// Lists that the account really signed, in any choice and order, or a bent one.
    fn relay_shows_lists(&mut self, side: Side, input: &mut Input<'_>) {
        let mut lists: Vec<Signed> = Vec::new();
        for _ in 0..input.below(4) {
            let which = input.below(self.published.len());
            lists.push(self.published[which].clone());
        }
        if let (1, Some(last)) = (input.below(3), lists.last_mut()) {
            last.sig[input.below(64)] ^= 1;
        }
        let chain = self.chain(lists);
        let known = input.below(4) != 0;
        let now = self.now_of(side);
        match side {
            Side::Linked => self.linked.handle_list(known.then_some(&chain), now),
            Side::Primary => self.tell_primary(|primary, now| primary.handle_list(&chain, now)),
        }
    }

    fn another_device_publishes(&mut self) {
        let mut account = self.account.clone();
        for signed in &self.published {
            let _ = account.advance(signed, None);
        }
        let other = DeviceId([u8::try_from(self.published.len()).unwrap_or(255); 16]);
        if let Ok(list) = account.list_barring(&other, RemovalReason::Revoked, self.now) {
            self.published.push(list.signed().clone());
        }
    }

    fn person_acts(&mut self) {
        let (linked_now, primary_now) = (self.now_of(Side::Linked), self.now_of(Side::Primary));
        if let (None, Some(text)) = (&self.primary, self.shown.clone()) {
            if let Ok(payload) = QrPayload::parse(&text) {
                self.primary = Some(PrimaryMachine::new(self.config(), payload, primary_now, rng(10)));
            }
            return;
        }
        if let Some(primary) = &mut self.primary {
            match primary.state() {
                PrimaryState::Review => {
                    self.approvals += 1;
                    // Too early is an answer like any other: time passes, and the person tries again.
                    let _ = primary.approve(primary_now);
                    return;
                }
                PrimaryState::SecondApproval => {
                    let _ = primary.approve_again(primary_now);
                    return;
                }
                _ => {}
            }
        }
        if let Some(digits) = &self.digits {
            self.linked.enter_check_code(digits, linked_now);
        }
    }

    fn tick(&mut self) {
        let left = |at: Option<Timestamp>, now: Timestamp| at.map(|at| at.ms_since(now));
        let linked = left(self.linked.poll_timeout(), self.now_of(Side::Linked));
        let primary = self.primary.as_ref().and_then(PrimaryMachine::poll_timeout);
        let primary = left(primary, self.now_of(Side::Primary));
        let Some(next) = [linked, primary].into_iter().flatten().min() else { return };
        self.now = self.now.plus_ms(next);
        let now = self.now_of(Side::Linked);
        self.linked.handle_timeout(now);
        self.tell_primary(PrimaryMachine::handle_timeout);
    }

    /// The program dies with whatever it had not done yet, and starts again with what is on its disk.
    fn crash(&mut self, side: Side) {
        match side {
            Side::Linked => {
                self.to_linked.clear();
                self.slots_end(EndReason::Unreachable);
                if let Some(account) = self.stored_linked.clone().filter(|account| !account.is_committed()) {
                    let now = self.now_of(side);
                    self.linked = LinkedMachine::resume(account, now, rng(18));
                } else if self.stored_linked.is_none() {
                    let now = self.now_of(side);
                    while self.linked.poll_output().is_some() {}
                    self.linked.cancel(now);
                    while self.linked.poll_output().is_some() {}
                }
            }
            Side::Primary => {
                self.to_primary.clear();
                if let Some(pending) = self.stored_pending.clone() {
                    self.primary = Some(PrimaryMachine::resume(self.config(), pending, self.now_of(side), rng(20)));
                } else if let Some(primary) = &mut self.primary
                    && !self.knows_device
                {
                    let now = self.now;
                    while primary.poll_output().is_some() {}
                    primary.cancel(now);
                    while primary.poll_output().is_some() {}
                }
            }
        }
    }

    fn slots_end(&mut self, reason: EndReason) {
        let claimed = self.slots.iter().any(|slot| slot.claimed && !slot.over);
        self.slots.iter_mut().for_each(|slot| slot.over = true);
        if claimed {
            self.tell_primary(|primary, now| primary.handle_ended(reason, now));
        }
    }

    // ---- the drivers

    /// Does what the machines ask for, until they ask for nothing.
    pub(super) fn settle(&mut self) {
        for _ in 0..1_000 {
            if let Some(output) = self.linked.poll_output() {
                self.on_linked(output);
            } else if let Some(output) = self.primary.as_mut().and_then(PrimaryMachine::poll_output) {
                self.on_primary(output);
            } else {
                return;
            }
        }
        panic!("the machines never come to rest");
    }

    fn on_linked(&mut self, output: LinkedOutput) {
        let now = self.now_of(Side::Linked);
        let offline = self.offline[0];
        match output {
            LinkedOutput::Connect if offline => self.linked.handle_disconnected(now),
            LinkedOutput::Connect => self.linked.handle_connected(now),
            LinkedOutput::Send(LinkRequest::Open(open)) => self.open(open),
            LinkedOutput::Send(LinkRequest::Send(send)) => {
                let body = send.body.into_vec();
                self.sent.push(body.clone());
                self.to_primary.push_back((send.seq, body));
            }
            LinkedOutput::Send(LinkRequest::Cancel(cancel)) => {
                let claimed = self.slots.iter_mut().find(|slot| slot.open.slot == cancel.slot && !slot.over);
                if claimed.is_some_and(|slot| core::mem::replace(&mut slot.over, true) | slot.claimed) {
                    self.tell_primary(|primary, now| primary.handle_ended(cancel.reason, now));
                }
            }
            LinkedOutput::FetchList { .. } if offline => self.linked.handle_unreachable(now),
            LinkedOutput::FetchList { account } => {
                let known = self.ever_listed(&account.device_id());
                let chain = self.chain(self.published.clone());
                // As the relay answers: the lists that the device does not know yet.
                let epoch = usize::try_from(account.list().list().epoch).unwrap_or(0);
                let newer = self.published.get(epoch..).unwrap_or_default().to_vec();
                let chain = ListChain { lists: List::new(newer).unwrap_or_default(), ..chain };
                self.linked.handle_list(known.then_some(&chain), now);
            }
            LinkedOutput::Save(_) if self.full_disk[0] => self.linked.handle_storage_failed(now),
            LinkedOutput::Save(LinkedSave::Pending(account) | LinkedSave::Committed(account)) => {
                let bytes = account.encode().expect("an account encodes");
                self.stored_linked = Some(LinkedAccount::decode(&bytes).expect("an account decodes"));
            }
            LinkedOutput::Save(LinkedSave::Discard) => self.stored_linked = None,
            LinkedOutput::Event(LinkedEvent::ShowCode { text, .. }) => self.shown = Some(text),
            // No evidence is set up: the machines ask for neither network nor radio.
            // The key is here: nobody else is asked to sign.
            LinkedOutput::Event(_) | LinkedOutput::ListenLan(_) | LinkedOutput::Radio(_) | LinkedOutput::Sign(_) => {}
        }
    }

    fn on_primary(&mut self, output: PrimaryOutput) {
        let offline = self.offline[1];
        match output {
            PrimaryOutput::Claim(_) | PrimaryOutput::Publish(_) | PrimaryOutput::FetchList { .. } if offline => {
                self.tell_primary(PrimaryMachine::handle_unreachable);
            }
            PrimaryOutput::Claim(slot) => {
                let answer = self.claim(slot);
                self.tell_primary(|primary, now| primary.handle_claim(answer, now));
            }
            PrimaryOutput::Send { seq, body } => {
                self.sent.push(body.clone());
                self.to_linked.push_back((seq, body));
            }
            PrimaryOutput::Cancel(reason) => {
                let (slot, now) = (self.claimed(), self.now_of(Side::Linked));
                self.slots.iter_mut().filter(|known| known.open.slot == slot).for_each(|slot| slot.over = true);
                self.linked.handle_relay(LinkEvent::Ended(SlotEnded { slot, reason }), now);
            }
            PrimaryOutput::Publish(publish) => {
                let answer = match self.publishing {
                    Publishing::Honest => Some(self.publish(&publish)),
                    Publishing::Refuses(code) => Some(Err(code)),
                    Publishing::StoresAndRefuses(code) => Some(self.publish(&publish).and(Err(code))),
                    Publishing::StoresInSilence => self.publish(&publish).err().map(Err),
                    Publishing::Unreachable => None,
                };
                self.tell_primary(|primary, now| match answer {
                    Some(answer) => primary.handle_published(answer, now),
                    None => primary.handle_unreachable(now),
                });
            }
            PrimaryOutput::FetchList { from } => {
                let from = usize::try_from(from.saturating_sub(1)).unwrap_or(usize::MAX);
                let chain = self.chain(self.published.get(from..).unwrap_or_default().to_vec());
                self.tell_primary(|primary, now| primary.handle_list(&chain, now));
            }
            PrimaryOutput::Save(_) if self.full_disk[1] => self.tell_primary(PrimaryMachine::handle_storage_failed),
            PrimaryOutput::Save(PrimarySave::Pending(pending)) => {
                self.stored_pending = Some(PendingLink::decode(&pending.encode()).expect("a pending link decodes"));
            }
            PrimaryOutput::Save(PrimarySave::Linked { account, .. }) => {
                self.account = *account;
                self.stored_pending = None;
                self.knows_device = true;
            }
            PrimaryOutput::Save(PrimarySave::Discard { account, .. }) => {
                self.account = *account;
                self.stored_pending = None;
            }
            PrimaryOutput::Event(PrimaryEvent::ShowCheckCode(code)) => self.digits = Some(code.to_display()),
            PrimaryOutput::Event(_) | PrimaryOutput::ProbeLan(_) | PrimaryOutput::Radio(_) => {}
        }
    }

    // ---- the relay

    fn open(&mut self, open: OpenSlot) {
        let context = RelayContext {
            slot: open.slot,
            offer_ct_hash: sha256(&[open.offer_ct.as_slice()]),
            origin: None,
            ip_net: IpNet::V4([192, 0, 2]),
            country: Text::truncated("NL"),
            city: None,
            asn: 1,
            ua_family: Text::truncated("pairlight"),
            client_kind: ClientKind::Native,
            issued: self.now.unix_ms(),
            ttl: 60_000,
        };
        let Ok(context) = self.relay_key.sign_payload(SigningContext::RelayContext, context.encode()) else { return };
        let opened = SlotOpened { slot: open.slot, ttl_ms: 60_000, context: context.clone() };
        self.slots.push(Slot { open, context, claimed: false, over: false });
        let now = self.now_of(Side::Linked);
        self.linked.handle_relay(LinkEvent::Opened(opened), now);
    }

    fn claim(&mut self, slot: SlotId) -> Result<ClaimAnswer, RefusalCode> {
        let known = self.slots.iter_mut().find(|known| known.open.slot == slot && !known.over);
        let known = known.ok_or(RefusalCode::NotFound)?;
        if core::mem::replace(&mut known.claimed, true) {
            return Err(RefusalCode::Conflict);
        }
        let (offer_ct, context) = (known.open.offer_ct.clone(), known.context.clone());
        let ip_net = IpNet::V4([192, 0, 2]);
        let own = OwnContext { slot, ip_net, country: Text::truncated("NL"), city: None, asn: 0 };
        let own = self.relay_key.sign_payload(SigningContext::RelayContext, own.encode());
        let own_context = own.map_err(|_| RefusalCode::Unavailable)?;
        let now = self.now_of(Side::Linked);
        self.linked.handle_relay(LinkEvent::Claimed(SlotClaimed { slot }), now);
        Ok(ClaimAnswer { offer_ct, context, own_context, claim_token: [0; 16], ttl_ms: 180_000 })
    }

    fn publish(&mut self, publish: &PublishList) -> Result<(), RefusalCode> {
        let last = self.published.last().expect("there is a first list");
        if *last == publish.list {
            return Ok(());
        }
        let current = VerifiedList::anchor(last, Some(&publish.ops)).map_err(|_| RefusalCode::NotAllowed)?;
        current.successor(&publish.list, Some(&publish.ops)).map_err(|_| RefusalCode::Conflict)?;
        self.published.push(publish.list.clone());
        Ok(())
    }

    fn chain(&self, lists: Vec<Signed>) -> ListChain {
        ListChain { lists: List::new(lists).unwrap_or_default(), ops: Some(self.account.ops_cert().clone()) }
    }

    fn lists(&self) -> impl Iterator<Item = VerifiedList> {
        let ops = self.account.ops_cert().clone();
        self.published.iter().filter_map(move |signed| VerifiedList::anchor(signed, Some(&ops)).ok())
    }

    fn ever_listed(&self, device: &DeviceId) -> bool {
        self.lists().any(|list| list.entry(device).is_some())
    }

    // ---- what must hold

    /// Holds after every step.
    pub(super) fn assert_beliefs(&self) {
        let ever_listed = self.lists().any(|list| list.list().entries.as_slice().len() > 1);
        assert!(!ever_listed || self.approvals > 0, "a device is on the list and nobody approved");
        if self.linked.state() == LinkedState::Linked && !self.denied {
            assert!(ever_listed, "the linked device believes in a link that never was on the list");
        }
        let primary = self.primary.as_ref().map(PrimaryMachine::state);
        if primary == Some(PrimaryState::Linked) && !self.denied {
            assert!(ever_listed, "the primary device believes in a link that never was on the list");
        }
    }

    pub(super) fn is_linked(&self) -> bool {
        self.knows_device && self.linked.state() == LinkedState::Linked
    }

    fn is_over(&self) -> bool {
        use {LinkedState as L, PrimaryState as P};
        matches!(self.linked.state(), L::Linked | L::Failed(_) | L::Paused)
            && self.primary.as_ref().is_none_or(|primary| matches!(primary.state(), P::Linked | P::Failed(_)))
    }

    fn run_out(&mut self) {
        for _ in 0..2_000 {
            self.settle();
            self.deliver_all();
            self.assert_beliefs();
            if self.is_over() {
                return;
            }
            self.tick();
        }
        panic!("no end: {:?} {:?}", self.linked.state(), self.primary.as_ref().map(PrimaryMachine::state));
    }

    /// Everything works again, nobody touches a screen, and everybody is started once more: then both sides have the
    /// link, or neither.
    pub(super) fn finish(&mut self) {
        self.offline = [false; 2];
        self.full_disk = [false; 2];
        self.publishing = Publishing::Honest;
        self.run_out();
        self.clock_error_ms = [0; 2];
        if self.stored_pending.is_some() {
            self.crash(Side::Primary);
        }
        if self.stored_linked.as_ref().is_some_and(|account| !account.is_committed()) {
            self.crash(Side::Linked);
        }
        self.run_out();
        let linked = self.stored_linked.as_ref().map(LinkedAccount::is_committed);
        assert_ne!(linked, Some(false), "the linked device is still undecided");
        assert!(self.stored_pending.is_none(), "the primary device is still undecided");
        if self.denied {
            return;
        }
        let listed = self.lists().last().is_some_and(|list| list.list().entries.as_slice().len() > 1);
        assert_eq!(self.knows_device, listed, "the primary device and the list disagree");
        if self.knows_device {
            assert_eq!(linked, Some(true), "the primary device is linked with nobody");
        }
    }
}
