//! Two machines, an in-memory relay, a virtual clock, and hooks for whoever sits in between.

use pairlight_wire::context::{IpNet, OwnContext, RelayContext};
use pairlight_wire::hash::sha256;
use pairlight_wire::id::SlotId;
use pairlight_wire::list::VerifiedList;
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
use crate::trust::{Policy, ScanSource};

pub(super) const START: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);

/// Direction and number of a pairing message, as the adversary sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leg {
    ToLinked(u64),
    ToPrimary(u64),
}

/// What the adversary does with a message: the bytes that arrive, maybe several, maybe none.
pub(super) type Tamper = Box<dyn FnMut(Leg, Vec<u8>) -> Vec<(u64, Vec<u8>)>>;

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
    pub(super) now: Timestamp,
    pub(super) linked: LinkedMachine<ChaCha20Rng>,
    pub(super) primary: Option<PrimaryMachine<ChaCha20Rng>>,
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
    pub(super) approves: bool,
    pub(super) tamper: Tamper,
    pub(super) relay_key: SigningKey,
    pub(super) published: Vec<Signed>,
    pub(super) publish_answer: Option<RefusalCode>,
    /// Whether the two devices are in one network.
    pub(super) same_network: bool,
    /// Changes the relay's statement before it is signed.
    pub(super) bend_context: fn(&mut RelayContext),
    pub(super) bend_claim: fn(&mut ClaimAnswer),
    pub(super) list_answers: bool,
    pub(super) ticks: u32,
    slot: Option<(SlotId, Vec<u8>, Signed)>,
    claimed: bool,
    pub(super) linked_events: Vec<String>,
    pub(super) primary_events: Vec<String>,
}

impl World {
    pub(super) fn new() -> Self {
        let mut rng = ChaCha20Rng::from_seed([7; 32]);
        let account = Account::generate("Phone", START, &mut rng).unwrap();
        let published = vec![account.list().signed().clone()];
        let description = DeviceDescription {
            name: "Kim's laptop".into(),
            os: "Linux".into(),
            app: "pairlight".into(),
            kind: ClientKind::Native,
        };
        Self {
            now: START,
            linked: LinkedMachine::new(description, 0, START, ChaCha20Rng::from_seed([8; 32])),
            primary: None,
            account,
            policy: Policy::DEVELOPMENT,
            source: ScanSource::LiveCamera,
            disk: Disk::default(),
            shown: None,
            digits: None,
            typed: None,
            approves: true,
            tamper: Box::new(|leg, bytes| match leg {
                Leg::ToLinked(seq) | Leg::ToPrimary(seq) => vec![(seq, bytes)],
            }),
            relay_key: SigningKey::from_seed(&[9; 32]),
            published,
            publish_answer: None,
            same_network: true,
            bend_context: |_| {},
            bend_claim: |_| {},
            list_answers: true,
            ticks: 0,
            slot: None,
            claimed: false,
            linked_events: Vec::new(),
            primary_events: Vec::new(),
        }
    }

    /// The person scans the newest code.
    pub(super) fn scan(&mut self) {
        self.settle();
        let payload = QrPayload::parse(self.shown.as_ref().unwrap()).unwrap();
        self.scan_payload(payload);
    }

    pub(super) fn scan_payload(&mut self, payload: QrPayload) {
        let config = PrimaryConfig {
            account: self.account.clone(),
            policy: self.policy,
            source: self.source,
            relay_pk: self.relay_key.public(),
        };
        self.primary = Some(PrimaryMachine::new(config, payload, self.now, ChaCha20Rng::from_seed([10; 32])));
    }

    /// Runs both machines until neither has anything to do, without letting time pass.
    pub(super) fn settle(&mut self) {
        for _ in 0..200 {
            let before = (self.linked_events.len(), self.primary_events.len());
            let moved = self.drain_linked() | self.drain_primary();
            if !moved && before == (self.linked_events.len(), self.primary_events.len()) {
                return;
            }
        }
        panic!("the machines never come to rest");
    }

    /// Lets time pass to the next deadline of either machine; `false` when there is none.
    pub(super) fn tick(&mut self) -> bool {
        let primary = self.primary.as_ref().and_then(PrimaryMachine::poll_timeout);
        let Some(next) = [self.linked.poll_timeout(), primary].into_iter().flatten().min() else { return false };
        self.now = next.max(self.now);
        self.ticks += 1;
        self.linked.handle_timeout(self.now);
        if let Some(primary) = &mut self.primary {
            primary.handle_timeout(self.now);
        }
        true
    }

    /// Runs to the end of both machines, letting time pass as needed.
    pub(super) fn run(&mut self) {
        for _ in 0..2_000 {
            self.settle();
            if self.is_over() || !self.tick() {
                self.settle();
                return;
            }
        }
        panic!("no end: {:?} {:?}", self.linked.state(), self.primary.as_ref().map(PrimaryMachine::state));
    }

    fn is_over(&self) -> bool {
        let linked = matches!(self.linked.state(), LinkedState::Linked | LinkedState::Failed(_));
        let primary = self
            .primary
            .as_ref()
            .is_none_or(|primary| matches!(primary.state(), PrimaryState::Linked | PrimaryState::Failed(_)));
        linked && primary
    }

    pub(super) fn ends(&self) -> (LinkedState, Option<PrimaryState>) {
        (self.linked.state(), self.primary.as_ref().map(PrimaryMachine::state))
    }

    /// Is the linked device on the published list?
    pub(super) fn device_is_listed(&self) -> bool {
        let list = VerifiedList::anchor(self.published.last().unwrap(), Some(self.account.ops_cert())).unwrap();
        list.list().entries.as_slice().len() > 1
    }

    fn drain_linked(&mut self) -> bool {
        let mut moved = false;
        while let Some(output) = self.linked.poll_output() {
            moved = true;
            match output {
                LinkedOutput::Connect => self.linked.handle_connected(self.now),
                LinkedOutput::Send(LinkRequest::Open(open)) => self.open(&open),
                LinkedOutput::Send(LinkRequest::Send(send)) => {
                    let arrivals = (self.tamper)(Leg::ToPrimary(send.seq), send.body.into_vec());
                    if let Some(primary) = &mut self.primary {
                        for (seq, bytes) in arrivals {
                            primary.handle_message(seq, &bytes, self.now);
                        }
                    }
                }
                LinkedOutput::Send(LinkRequest::Cancel(cancel)) => {
                    if self.slot.as_ref().is_some_and(|(slot, ..)| *slot == cancel.slot)
                        && let Some(primary) = self.primary.as_mut().filter(|_| self.claimed)
                    {
                        primary.handle_ended(cancel.reason, self.now);
                    }
                }
                LinkedOutput::FetchList { account } => {
                    let chain = self.chain(account.list().list().epoch);
                    let known = self.published.iter().any(|signed| {
                        VerifiedList::anchor(signed, Some(self.account.ops_cert()))
                            .unwrap()
                            .entry(&account.device_id())
                            .is_some()
                    });
                    let chain = (known && self.list_answers).then_some(&chain);
                    self.linked.handle_list(chain, self.now);
                }
                LinkedOutput::Save(save) => self.save_linked(save),
                LinkedOutput::Event(event) => self.on_linked(event),
            }
        }
        moved
    }

    fn on_linked(&mut self, event: LinkedEvent) {
        let name = format!("{event:?}");
        self.linked_events.push(name.split([' ', '(']).next().unwrap().to_owned());
        match event {
            LinkedEvent::ShowCode { text, .. } => self.shown = Some(text),
            LinkedEvent::EnterCheckCode | LinkedEvent::WrongCheckCode { tries_left: 1.. } => {
                // The digits reach the person's eyes once the primary device has shown them.
                self.drain_primary();
                if let Some(typed) = self.typed.clone().or_else(|| self.digits.clone()) {
                    self.linked.enter_check_code(&typed, self.now);
                }
            }
            _ => {}
        }
    }

    fn drain_primary(&mut self) -> bool {
        let mut moved = false;
        while let Some(output) = self.primary.as_mut().and_then(PrimaryMachine::poll_output) {
            moved = true;
            self.on_primary(output);
        }
        moved
    }

    fn on_primary(&mut self, output: PrimaryOutput) {
        let now = self.now;
        match output {
            PrimaryOutput::Claim(slot) => {
                let answer = self.claim(slot);
                self.primary.as_mut().unwrap().handle_claim(answer, now);
            }
            PrimaryOutput::Send { seq, body } => {
                let slot = self.slot.as_ref().unwrap().0;
                for (seq, bytes) in (self.tamper)(Leg::ToLinked(seq), body) {
                    let msg = SlotMsg { slot, seq, body: Bytes::new(bytes).unwrap() };
                    self.linked.handle_relay(LinkEvent::Msg(msg), now);
                }
            }
            PrimaryOutput::Cancel(reason) => {
                if let Some((slot, ..)) = self.slot {
                    self.linked.handle_relay(LinkEvent::Ended(SlotEnded { slot, reason }), now);
                }
            }
            PrimaryOutput::Publish(publish) => {
                let answer = match self.publish_answer {
                    Some(code) => Err(code),
                    None => self.publish(&publish),
                };
                self.primary.as_mut().unwrap().handle_published(answer, now);
            }
            PrimaryOutput::FetchList { from } => {
                let chain = self.chain(from);
                if self.list_answers {
                    self.primary.as_mut().unwrap().handle_list(&chain, now);
                } else {
                    self.primary.as_mut().unwrap().handle_unreachable(now);
                }
            }
            PrimaryOutput::Save(save) => self.save_primary(save),
            PrimaryOutput::Event(event) => {
                let name = format!("{event:?}");
                self.primary_events.push(name.split([' ', '(']).next().unwrap().to_owned());
                let primary = self.primary.as_mut().unwrap();
                match event {
                    PrimaryEvent::Review(_) if self.approves => primary.approve(now),
                    PrimaryEvent::Review(_) => primary.decline(now),
                    PrimaryEvent::ApproveAgain { .. } => primary.approve_again(now),
                    PrimaryEvent::ShowCheckCode(code) => {
                        self.digits = Some(code.to_display());
                        if matches!(self.linked.state(), LinkedState::AwaitingCheckCode) {
                            let typed = self.typed.clone().unwrap_or(code.to_display());
                            self.linked.enter_check_code(&typed, now);
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    // ---- the disks

    fn save_linked(&mut self, save: LinkedSave) {
        if !spend(&mut self.disk.linked_writes_left) {
            return self.linked.handle_storage_failed(self.now);
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
            return self.primary.as_mut().unwrap().handle_storage_failed(self.now);
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

    fn open(&mut self, open: &OpenSlot) {
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
        self.slot = Some((open.slot, open.offer_ct.as_slice().to_vec(), signed.clone()));
        self.claimed = false;
        let opened = SlotOpened { slot: open.slot, ttl_ms: 60_000, context: signed };
        self.linked.handle_relay(LinkEvent::Opened(opened), self.now);
    }

    pub(super) fn claim(&mut self, slot: SlotId) -> Result<ClaimAnswer, RefusalCode> {
        let (known, offer_ct, context) = self.slot.clone().ok_or(RefusalCode::NotFound)?;
        if known != slot {
            return Err(RefusalCode::NotFound);
        }
        if self.claimed {
            self.linked.handle_relay(LinkEvent::Conflict(SlotConflict { slot }), self.now);
            if let Some(primary) = &mut self.primary {
                primary.handle_conflict(self.now);
            }
            return Err(RefusalCode::Conflict);
        }
        self.claimed = true;
        let ip_net = IpNet::V4(if self.same_network { [192, 0, 2] } else { [198, 51, 100] });
        let own = OwnContext { slot, ip_net, country: Text::truncated("NL"), city: None, asn: 0 };
        let own = self.relay_key.sign_payload(SigningContext::RelayContext, own.encode()).unwrap();
        self.linked.handle_relay(LinkEvent::Claimed(SlotClaimed { slot }), self.now);
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

    fn publish(&mut self, publish: &PublishList) -> Result<(), RefusalCode> {
        if self.published.last() == Some(&publish.list) {
            return Ok(());
        }
        let current = VerifiedList::anchor(self.published.last().unwrap(), Some(&publish.ops)).unwrap();
        current.successor(&publish.list, Some(&publish.ops)).map_err(|_| RefusalCode::Conflict)?;
        self.published.push(publish.list.clone());
        Ok(())
    }

    fn chain(&self, from: u64) -> ListChain {
        let from = usize::try_from(from.saturating_sub(1)).unwrap().min(self.published.len());
        ListChain {
            lists: List::new(self.published[from..].to_vec()).unwrap(),
            ops: Some(self.account.ops_cert().clone()),
        }
    }

    /// Both sides ended, and neither believes in a link that the other does not have.
    pub(super) fn assert_nothing_half_linked(&self) {
        let listed = self.device_is_listed();
        let linked = self.linked.state() == LinkedState::Linked;
        if linked {
            assert!(listed, "the linked device believes in a link that is not on the list");
            assert!(self.disk.linked.as_ref().is_some_and(LinkedAccount::is_committed));
        }
        if let Some(primary) = &self.primary {
            if primary.state() == PrimaryState::Linked {
                assert!(listed && self.disk.linked_device && self.disk.pending.is_none());
            }
            if matches!(primary.state(), PrimaryState::Failed(reason) if reason != EndReason::StorageFailed) {
                assert!(!self.disk.linked_device, "failed, yet stored as linked");
            }
        }
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
