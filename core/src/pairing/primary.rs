//! The primary device's machine: claims the code, lets the person decide, certifies the new device, publishes the list.

use std::collections::VecDeque;

use pairlight_wire::context::{OwnContext, RelayContext};
use pairlight_wire::hash::sha256;
use pairlight_wire::id::{DeviceId, SlotId};
use pairlight_wire::limits::{CHECK_CODE_MS, CLAIM_MS, MESSAGE_MS, PUBLISH_MS};
use pairlight_wire::list::{RemovalReason, VerifiedList};
use pairlight_wire::pairing::{EndReason, M3Body, M5Body, Purpose};
use pairlight_wire::qr::QrPayload;
use pairlight_wire::relay::{ClaimAnswer, ListChain, PublishList, RefusalCode};
use pairlight_wire::sign::SigningContext;
use pairlight_wire::{Bytes, Text, Wire};
use rand_core::CryptoRng;

use super::check_code::CheckCode;
use super::handshake::{PrimaryCertified, PrimaryConfirmed, PrimaryKeyed, PrimaryWaiting, Reviewed, Scanned};
use super::record::{LinkStage, PendingLink};
use super::review::ReviewModel;
use super::timer::Timers;
use crate::Timestamp;
use crate::crypto::CryptoError;
use crate::crypto::olm::{Ratchet, RatchetAccount, RatchetKeys};
use crate::devices::{Account, AccountError, Certified, LeaseTerms, NewDevice};
use crate::session::Session;
use crate::trust::{Evidence, EvidenceBit, Grade, Grant, Policy, ScanSource};

/// Publishing is tried for this long; shorter than the linked device asks, so that it never gives up first.
const PUBLISH_GIVE_UP_MS: u64 = 480_000;
/// Pause between tries while the relay cannot be reached.
const PUBLISH_RETRY_MS: u64 = 2_000;
/// Rebases after another device changed the list first.
const REBASES: u8 = 3;

/// Where a primary device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrimaryState {
    /// Asking the relay for the scanned code.
    Claiming,
    /// The approval screen is up.
    Review,
    /// Approved; waiting for the other device's first answer.
    AwaitingKey,
    /// The six digits are on the screen.
    ShowingCheckCode,
    /// Weak evidence: the person must approve again.
    SecondApproval,
    /// The certificate is out; waiting for the counter-signature.
    AwaitingAcceptance,
    /// Publishing the list with the new device.
    Publishing,
    /// Done.
    Linked,
    /// Ended without a link.
    Failed(EndReason),
}

/// What the app shows.
#[derive(Debug)]
pub enum PrimaryEvent {
    /// Show the approval screen; answer with `approve` or `decline`.
    Review(Box<ReviewModel>),
    /// Show these digits.
    ShowCheckCode(CheckCode),
    /// The person typed them right on the other device.
    CheckCodeConfirmed {
        /// Grade of all evidence.
        grade: Grade,
    },
    /// Weak evidence: show the warning screen; answer with `approve_again` or `decline`.
    ApproveAgain {
        /// How long "approve" must be held, ms.
        hold_ms: u64,
    },
    /// The device is certified; waiting for its counter-signature.
    Certified,
    /// It counter-signed; the list is being published.
    Accepted,
    /// A second device tried to scan the same code and was refused.
    SecondScanner,
    /// Linked.
    Linked(DeviceId),
    /// Ended without a link, by this side or the other.
    Failed(EndReason),
}

/// What must be on disk before the next output is taken.
#[derive(Debug)]
pub enum PrimarySave {
    /// Keep the unfinished link.
    Pending(Box<PendingLink>),
    /// The link is complete: store account and session together, erase the unfinished link.
    Linked {
        /// The account with the new list.
        account: Box<Account>,
        /// The new device.
        device: DeviceId,
        /// The encoded session with it; secret.
        session: zeroize::Zeroizing<Vec<u8>>,
    },
    /// Erase the unfinished link; the account may have advanced.
    Discard {
        /// The device of the unfinished link.
        device: DeviceId,
        /// The account as known now.
        account: Box<Account>,
    },
}

/// What the driver does next, in order.
#[derive(Debug)]
pub enum PrimaryOutput {
    /// Claim the slot; answer with [`PrimaryMachine::handle_claim`].
    Claim(SlotId),
    /// Send a message on the claimed slot.
    Send {
        /// Its number.
        seq: u64,
        /// The message.
        body: Vec<u8>,
    },
    /// End the slot.
    Cancel(EndReason),
    /// Publish a list; answer with [`PrimaryMachine::handle_published`].
    Publish(Box<PublishList>),
    /// Fetch the account's lists after the known epoch; answer with [`PrimaryMachine::handle_list`].
    FetchList {
        /// First epoch that is not known.
        from: u64,
    },
    /// Store something.
    Save(PrimarySave),
    /// Show something.
    Event(PrimaryEvent),
}

/// What a pairing starts from.
#[derive(Debug, Clone)]
pub struct PrimaryConfig {
    /// The account.
    pub account: Account,
    /// The account's policy.
    pub policy: Policy,
    /// How the code arrived.
    pub source: ScanSource,
    /// Pinned attestation key of the relay.
    pub relay_pk: [u8; 32],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Timer {
    Claim,
    Message,
    CheckCode,
    Retry,
    GiveUp,
}

/// Everything about the new device that is certain before it is certified.
struct Candidate {
    confirmed: PrimaryConfirmed,
    ratchet_keys: RatchetKeys,
    evidence: Evidence,
    grade: Grade,
    grant: Grant,
}

/// A certified device whose entry waits for its place in the list.
struct Candidacy {
    pending: PendingLink,
    /// The channel; gone after a restart.
    channel: Option<Box<PrimaryCertified>>,
    list: Box<VerifiedList>,
    rebases_left: u8,
}

#[expect(
    clippy::large_enum_variant,
    reason = "one machine holds one step; boxing every step would only hide its keys elsewhere"
)]
enum Step {
    Claiming {
        scanned: Box<Scanned>,
    },
    Review {
        reviewed: Box<Reviewed>,
    },
    AwaitingKey {
        waiting: Box<PrimaryWaiting>,
    },
    ShowingCheckCode {
        keyed: Box<PrimaryKeyed>,
    },
    SecondApproval {
        candidate: Box<Candidate>,
    },
    AwaitingAcceptance {
        channel: Box<PrimaryCertified>,
        certified: Box<Certified>,
        ratchet: Ratchet,
        th2: [u8; 32],
    },
    Publishing {
        candidacy: Box<Candidacy>,
    },
    /// After a restart too late: is the device on the list, so that it must be removed?
    Abandoning {
        device: DeviceId,
        removal: Option<Box<VerifiedList>>,
    },
    Linked,
    Ended,
}

/// The machine of a device that links another one.
pub struct PrimaryMachine<R> {
    rng: R,
    account: Account,
    policy: Policy,
    source: ScanSource,
    relay_pk: [u8; 32],
    step: Step,
    state: PrimaryState,
    claimed: bool,
    evidence: Evidence,
    name: String,
    next_in: u64,
    next_out: u64,
    saved: Option<DeviceId>,
    timers: Timers<Timer>,
    outputs: VecDeque<PrimaryOutput>,
}

impl<R: CryptoRng> PrimaryMachine<R> {
    /// Begins with a scanned code: the first output claims its slot.
    #[must_use]
    pub fn new(config: PrimaryConfig, payload: QrPayload, now: Timestamp, rng: R) -> Self {
        let scanned = Scanned::new(payload);
        let claim = PrimaryOutput::Claim(scanned.keys.slot);
        let mut machine = Self::at(config, Step::Claiming { scanned: Box::new(scanned) }, now, rng);
        machine.timers.start(Timer::Message, MESSAGE_MS);
        machine.outputs.push_back(claim);
        machine
    }

    /// Goes on after a restart with a link that was not finished: publishes again, or abandons it.
    #[must_use]
    pub fn resume(config: PrimaryConfig, pending: PendingLink, now: Timestamp, rng: R) -> Self {
        let device = pending.device;
        let age = now.ms_since(Timestamp::from_unix_ms(pending.created));
        let mut machine = Self::at(config, Step::Abandoning { device, removal: None }, now, rng);
        machine.saved = Some(device);
        machine.state = PrimaryState::Publishing;
        if pending.stage == LinkStage::Certified {
            // Never accepted: nothing can have been published.
            machine.end(EndReason::NotPublished);
            return machine;
        }
        let known = machine.account.list();
        let signed =
            pending.list.as_ref().and_then(|list| known.successor(list, Some(machine.account.ops_cert())).ok());
        let list = signed.map(Ok).unwrap_or_else(|| machine.account.list_with(pending.entry.clone(), now));
        match list {
            Ok(list) if age < PUBLISH_GIVE_UP_MS => {
                let candidacy = Candidacy { pending, channel: None, list: Box::new(list), rebases_left: REBASES };
                machine.step = Step::Publishing { candidacy: Box::new(candidacy) };
                machine.timers.start(Timer::GiveUp, PUBLISH_GIVE_UP_MS.saturating_sub(age));
                machine.publish();
            }
            _ => machine.abandon(device),
        }
        machine
    }

    fn at(config: PrimaryConfig, step: Step, now: Timestamp, rng: R) -> Self {
        Self {
            rng,
            account: config.account,
            policy: config.policy,
            source: config.source,
            relay_pk: config.relay_pk,
            step,
            state: PrimaryState::Claiming,
            claimed: false,
            evidence: Evidence::NONE,
            name: String::new(),
            next_in: 0,
            next_out: 0,
            saved: None,
            timers: Timers::new(now),
            outputs: VecDeque::new(),
        }
    }

    /// Where the machine is.
    #[must_use]
    pub fn state(&self) -> PrimaryState {
        self.state
    }

    /// The number of the next message that is expected from the other device.
    #[must_use]
    pub fn next_message(&self) -> u64 {
        self.next_in
    }

    /// What to do next; call until `None`.
    pub fn poll_output(&mut self) -> Option<PrimaryOutput> {
        self.outputs.pop_front()
    }

    /// When [`PrimaryMachine::handle_timeout`] is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.timers.next()
    }

    /// The relay's answer to the claim.
    pub fn handle_claim(&mut self, answer: Result<ClaimAnswer, RefusalCode>, now: Timestamp) {
        self.timers.observe(now);
        if !matches!(self.step, Step::Claiming { .. }) {
            return;
        }
        let Step::Claiming { scanned } = core::mem::replace(&mut self.step, Step::Ended) else {
            return;
        };
        match answer {
            Err(code) => self.end(match code {
                RefusalCode::NotFound | RefusalCode::TimedOut => EndReason::Expired,
                RefusalCode::Conflict | RefusalCode::Duplicate => EndReason::Conflict,
                RefusalCode::RateLimited => EndReason::RateLimited,
                RefusalCode::Outdated => EndReason::Outdated,
                _ => EndReason::Unreachable,
            }),
            Ok(answer) => {
                self.claimed = true;
                match self.review(*scanned, &answer) {
                    Err(CryptoError) => self.fail_from(EndReason::Tampered),
                    Ok((reviewed, model)) => {
                        self.step = Step::Review { reviewed: Box::new(reviewed) };
                        self.state = PrimaryState::Review;
                        self.timers.stop_all();
                        self.timers.start(Timer::Claim, CLAIM_MS);
                        self.outputs.push_back(PrimaryOutput::Event(PrimaryEvent::Review(Box::new(model))));
                    }
                }
            }
        }
    }

    /// The relay could not be reached for the claim, or forgot the slot.
    pub fn handle_unreachable(&mut self, now: Timestamp) {
        self.timers.observe(now);
        match self.step {
            Step::Publishing { .. } | Step::Abandoning { .. } => self.timers.start(Timer::Retry, PUBLISH_RETRY_MS),
            _ => self.fail(EndReason::Unreachable),
        }
    }

    /// The person approved, after unlocking the device.
    pub fn approve(&mut self, now: Timestamp) {
        self.timers.observe(now);
        if !matches!(self.step, Step::Review { .. }) {
            return;
        }
        let Step::Review { reviewed } = core::mem::replace(&mut self.step, Step::Ended) else {
            return;
        };
        reviewed.offer.name.as_str().clone_into(&mut self.name);
        match reviewed.initiate(Purpose::Link, 0, &mut self.rng) {
            Err(CryptoError) => self.fail_from(EndReason::Tampered),
            Ok((waiting, m1)) => {
                self.step = Step::AwaitingKey { waiting: Box::new(waiting) };
                self.state = PrimaryState::AwaitingKey;
                self.timers.start(Timer::Message, MESSAGE_MS);
                self.send(m1);
            }
        }
    }

    /// The person approved again, on the warning screen.
    pub fn approve_again(&mut self, now: Timestamp) {
        self.timers.observe(now);
        if !matches!(self.step, Step::SecondApproval { .. }) {
            return;
        }
        if let Step::SecondApproval { candidate } = core::mem::replace(&mut self.step, Step::Ended) {
            self.certify(*candidate, now);
        }
    }

    /// The person said no.
    pub fn decline(&mut self, now: Timestamp) {
        self.timers.observe(now);
        if !matches!(self.step, Step::Publishing { .. } | Step::Abandoning { .. }) {
            self.fail(EndReason::Declined);
        }
    }

    /// The person closed the screen. Once the list is being published it is too late: revoke the device instead.
    pub fn cancel(&mut self, now: Timestamp) {
        self.timers.observe(now);
        if !matches!(self.step, Step::Publishing { .. } | Step::Abandoning { .. }) {
            self.fail(EndReason::Cancelled);
        }
    }

    /// The next message of the other device.
    pub fn handle_message(&mut self, seq: u64, bytes: &[u8], now: Timestamp) {
        self.timers.observe(now);
        if seq != self.next_in {
            if seq > self.next_in && !matches!(self.step, Step::Publishing { .. }) {
                self.fail(EndReason::Tampered);
            }
            return;
        }
        self.next_in = self.next_in.saturating_add(1);
        match core::mem::replace(&mut self.step, Step::Ended) {
            Step::AwaitingKey { waiting } => self.on_m2(*waiting, bytes),
            Step::ShowingCheckCode { keyed } => self.on_m2b(*keyed, bytes, now),
            Step::AwaitingAcceptance { channel, certified, ratchet, th2 } => {
                self.on_m4(channel, *certified, ratchet, &th2, bytes, now);
            }
            step @ (Step::Publishing { .. } | Step::Abandoning { .. } | Step::Linked | Step::Ended) => {
                self.step = step;
            }
            step => {
                self.step = step;
                self.fail(EndReason::Tampered);
            }
        }
    }

    /// The slot is gone: the other side ended it, or the relay did.
    pub fn handle_ended(&mut self, reason: EndReason, now: Timestamp) {
        self.timers.observe(now);
        match &mut self.step {
            // Signed and maybe published: the list decides, not the slot.
            Step::Publishing { candidacy } => candidacy.channel = None,
            Step::Abandoning { .. } | Step::Linked | Step::Ended => {}
            _ => self.end(reason),
        }
    }

    /// A second device tried to claim the slot and was refused.
    pub fn handle_conflict(&mut self, now: Timestamp) {
        self.timers.observe(now);
        if !matches!(self.step, Step::Claiming { .. } | Step::Linked | Step::Ended) {
            self.outputs.push_back(PrimaryOutput::Event(PrimaryEvent::SecondScanner));
        }
    }

    /// The relay's answer to a publication.
    pub fn handle_published(&mut self, answer: Result<(), RefusalCode>, now: Timestamp) {
        self.timers.observe(now);
        match (&mut self.step, answer) {
            (Step::Publishing { .. }, Ok(())) => self.finish(),
            (Step::Publishing { candidacy }, Err(RefusalCode::Conflict)) => {
                candidacy.rebases_left = candidacy.rebases_left.saturating_sub(1);
                if candidacy.rebases_left == 0 { self.fail(EndReason::NotPublished) } else { self.fetch_list() }
            }
            (
                Step::Publishing { .. } | Step::Abandoning { .. },
                Err(RefusalCode::Unavailable | RefusalCode::RateLimited),
            ) => {
                self.timers.start(Timer::Retry, PUBLISH_RETRY_MS);
            }
            (Step::Publishing { .. }, Err(_)) => self.fail(EndReason::NotPublished),
            (Step::Abandoning { removal, .. }, answer) => {
                if let (Some(list), Ok(())) = (removal.take(), answer)
                    && self.account.advance(list.signed(), None).is_err()
                {
                    self.saved = None;
                }
                self.end(EndReason::NotPublished);
            }
            _ => {}
        }
    }

    /// The answer to [`PrimaryOutput::FetchList`].
    pub fn handle_list(&mut self, chain: &ListChain, now: Timestamp) {
        self.timers.observe(now);
        if !matches!(self.step, Step::Publishing { .. } | Step::Abandoning { .. }) {
            return;
        }
        let mut account = self.account.clone();
        for signed in chain.lists.as_slice() {
            if sha256(&[signed.payload.as_slice()]) == *account.list().hash() {
                continue;
            }
            if account.advance(signed, chain.ops.as_ref()).is_err() {
                return self.fail(EndReason::Tampered);
            }
        }
        let device = match &self.step {
            Step::Publishing { candidacy } => candidacy.pending.device,
            Step::Abandoning { device, .. } => *device,
            _ => return,
        };
        let listed = account.list().entry(&device).is_some();
        self.account = account;
        match &mut self.step {
            // Our own publication got through after all.
            Step::Publishing { candidacy } if listed => {
                *candidacy.list = self.account.list().clone();
                self.finish();
            }
            Step::Publishing { .. } => self.rebase(now),
            Step::Abandoning { removal, .. } if listed => {
                match self.account.list_without(&device, RemovalReason::Abandoned, now) {
                    Err(_) => self.end(EndReason::NotPublished),
                    Ok(list) => {
                        *removal = Some(Box::new(list.clone()));
                        self.publish_list(&list);
                    }
                }
            }
            _ => self.end(EndReason::NotPublished),
        }
    }

    /// A [`PrimarySave`] could not be stored: nothing may be half-linked, so nothing further is sent.
    pub fn handle_storage_failed(&mut self, now: Timestamp) {
        self.timers.observe(now);
        self.outputs.clear();
        if matches!(self.step, Step::Linked) {
            // Published but not stored: the record of the publication is still there, the next start finishes it.
            self.step = Step::Ended;
            self.state = PrimaryState::Failed(EndReason::StorageFailed);
            self.outputs.push_back(PrimaryOutput::Event(PrimaryEvent::Failed(EndReason::StorageFailed)));
            return;
        }
        self.saved = None;
        self.fail(EndReason::StorageFailed);
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.timers.observe(now);
        while let Some(timer) = self.timers.expired() {
            match (timer, &self.step) {
                (Timer::Retry, Step::Publishing { .. }) => self.publish(),
                (Timer::Retry, Step::Abandoning { .. }) => self.fetch_list(),
                (Timer::GiveUp, Step::Publishing { candidacy }) => self.abandon(candidacy.pending.device),
                (Timer::GiveUp, _) => {
                    // Still no answer: the record stays for the next start.
                    self.saved = None;
                    self.fail(EndReason::NotPublished);
                }
                (Timer::Claim | Timer::Message, Step::Publishing { .. }) => {}
                (Timer::Claim | Timer::Message | Timer::CheckCode, _) => self.fail(EndReason::TimedOut),
                (Timer::Retry, _) => {}
            }
        }
    }

    // ---- steps

    fn review(&mut self, scanned: Scanned, answer: &ClaimAnswer) -> Result<(Reviewed, ReviewModel), CryptoError> {
        let slot = scanned.keys.slot;
        let payload = answer.context.open(&self.relay_pk, SigningContext::RelayContext).map_err(|_| CryptoError)?;
        let context = RelayContext::decode(payload).map_err(|_| CryptoError)?;
        let own = answer.own_context.open(&self.relay_pk, SigningContext::RelayContext).map_err(|_| CryptoError)?;
        let own = OwnContext::decode(own).map_err(|_| CryptoError)?;
        let offer_hash = sha256(&[answer.offer_ct.as_slice()]);
        if context.slot != slot || own.slot != slot || context.offer_ct_hash != offer_hash {
            return Err(CryptoError);
        }
        if context.matches(&own) {
            self.evidence = self.evidence.with(EvidenceBit::RelayContext);
        }
        let reviewed = scanned.open_offer(answer.offer_ct.as_slice(), payload)?;
        let model = ReviewModel::new(&reviewed.offer, &context, &own, self.source, &self.policy);
        Ok((reviewed, model))
    }

    fn on_m2(&mut self, waiting: PrimaryWaiting, bytes: &[u8]) {
        match waiting.receive_m2(bytes) {
            Err(CryptoError) => self.fail_from(EndReason::Tampered),
            Ok(keyed) => {
                let code = keyed.check_code.clone();
                self.step = Step::ShowingCheckCode { keyed: Box::new(keyed) };
                self.state = PrimaryState::ShowingCheckCode;
                self.timers.stop(Timer::Message);
                self.timers.start(Timer::CheckCode, CHECK_CODE_MS);
                self.outputs.push_back(PrimaryOutput::Event(PrimaryEvent::ShowCheckCode(code)));
            }
        }
    }

    fn on_m2b(&mut self, keyed: PrimaryKeyed, bytes: &[u8], now: Timestamp) {
        let Ok((confirmed, m2b)) = keyed.receive_m2b(bytes) else { return self.fail_from(EndReason::Tampered) };
        if !m2b.check_code_ok {
            return self.fail_from(EndReason::WrongCheckCode);
        }
        self.timers.stop(Timer::CheckCode);
        // Further evidence in M2b is a typed hook so far: unknown proofs never raise the grade.
        let evidence = self.evidence.with(EvidenceBit::CheckCode);
        let grade = evidence.grade(self.source);
        let Some(grant) = self.policy.grant(grade).copied() else { return self.fail_from(EndReason::Refused) };
        self.outputs.push_back(PrimaryOutput::Event(PrimaryEvent::CheckCodeConfirmed { grade }));
        let ratchet_keys = RatchetKeys { identity: m2b.olm_ik, one_time: m2b.olm_otk };
        let candidate = Candidate { confirmed, ratchet_keys, evidence, grade, grant };
        if grant.second_approval {
            self.step = Step::SecondApproval { candidate: Box::new(candidate) };
            self.state = PrimaryState::SecondApproval;
            let event = PrimaryEvent::ApproveAgain { hold_ms: grant.hold_ms };
            self.outputs.push_back(PrimaryOutput::Event(event));
        } else {
            self.certify(candidate, now);
        }
    }

    fn certify(&mut self, candidate: Candidate, now: Timestamp) {
        match self.make_m3(candidate, now) {
            Err(_) => self.fail_from(EndReason::Refused),
            Ok((channel, m3, certified, ratchet, th2)) => {
                let pending = PendingLink {
                    device: certified.entry.device,
                    stage: LinkStage::Certified,
                    created: now.unix_ms(),
                    entry: certified.entry.clone(),
                    list: None,
                    session: Bytes::default(),
                };
                self.saved = Some(pending.device);
                self.outputs.push_back(PrimaryOutput::Save(PrimarySave::Pending(Box::new(pending))));
                self.outputs.push_back(PrimaryOutput::Event(PrimaryEvent::Certified));
                let (channel, certified) = (Box::new(channel), Box::new(certified));
                self.step = Step::AwaitingAcceptance { channel, certified, ratchet, th2 };
                self.state = PrimaryState::AwaitingAcceptance;
                self.timers.start(Timer::Message, MESSAGE_MS);
                self.send(m3);
            }
        }
    }

    #[expect(clippy::type_complexity, reason = "five things are made together and used once, three lines above")]
    fn make_m3(
        &mut self,
        candidate: Candidate,
        now: Timestamp,
    ) -> Result<(PrimaryCertified, Vec<u8>, Certified, Ratchet, [u8; 32]), AccountError> {
        let th2 = candidate.confirmed.th2;
        let new = NewDevice {
            device_pk: candidate.confirmed.device_pk,
            name: self.name.clone(),
            scope: candidate.grant.scope,
            evidence: candidate.evidence,
            grade: candidate.grade,
            preset: self.policy.preset,
            link_th: th2,
        };
        let certified = self.account.certify(&new, now, &mut self.rng)?;
        let terms =
            LeaseTerms { ctr: 0, checkin: [0; 32], scope: candidate.grant.scope, lease_ms: candidate.grant.lease_ms };
        let lease = self.account.lease(certified.entry.device, &terms, now)?;
        let own = RatchetAccount::generate()?;
        let olm_ik = own.keys().identity;
        let mut ratchet = own.start(&candidate.ratchet_keys)?;
        let first = ratchet.seal(&th2)?;
        let m3 = M3Body {
            root_pk: self.account.root_pk(),
            cert: certified.cert.clone(),
            ops: self.account.ops_cert().clone(),
            list: self.account.list().signed().clone(),
            lease,
            label_key: *self.account.label_key(),
            olm_ik,
            olm_prekey: Bytes::new(first.bytes).map_err(|_| CryptoError)?,
        };
        let (channel, m3) = candidate.confirmed.certify(&m3)?;
        Ok((channel, m3, certified, ratchet, th2))
    }

    fn on_m4(
        &mut self,
        mut channel: Box<PrimaryCertified>,
        certified: Certified,
        mut ratchet: Ratchet,
        th2: &[u8; 32],
        bytes: &[u8],
        now: Timestamp,
    ) {
        let checked = channel.receive_m4(bytes).map_err(AccountError::from).and_then(|m4| {
            if ratchet.open(1, m4.olm_msg.as_slice())? != th2 {
                return Err(CryptoError.into());
            }
            let entry = certified.accept(m4.accept_sig)?;
            let session = Session::new(self.account.device_id(), entry.device, ratchet);
            let session = session.encode().map_err(|_| CryptoError)?;
            let list = self.account.list_with(entry.clone(), now)?;
            Ok((entry, session, list))
        });
        let Ok((entry, session, list)) = checked else { return self.fail_from(EndReason::Tampered) };
        let pending = PendingLink {
            device: entry.device,
            stage: LinkStage::Publishing,
            created: now.unix_ms(),
            entry,
            list: Some(list.signed().clone()),
            session: Bytes::new(session.to_vec()).unwrap_or_default(),
        };
        self.timers.stop_all();
        self.timers.start(Timer::GiveUp, PUBLISH_GIVE_UP_MS);
        let candidacy = Candidacy { pending, channel: Some(channel), list: Box::new(list), rebases_left: REBASES };
        self.step = Step::Publishing { candidacy: Box::new(candidacy) };
        self.state = PrimaryState::Publishing;
        self.outputs.push_back(PrimaryOutput::Event(PrimaryEvent::Accepted));
        self.save_and_publish();
    }

    fn save_and_publish(&mut self) {
        if let Step::Publishing { candidacy } = &self.step {
            let pending = Box::new(candidacy.pending.clone());
            self.outputs.push_back(PrimaryOutput::Save(PrimarySave::Pending(pending)));
            self.publish();
        }
    }

    fn publish(&mut self) {
        if let Step::Publishing { candidacy } = &self.step {
            let list = (*candidacy.list).clone();
            self.publish_list(&list);
        }
    }

    fn publish_list(&mut self, list: &VerifiedList) {
        let publish = PublishList { list: list.signed().clone(), ops: self.account.ops_cert().clone() };
        self.outputs.push_back(PrimaryOutput::Publish(Box::new(publish)));
    }

    fn fetch_list(&mut self) {
        let from = self.account.list().list().epoch.saturating_add(1);
        self.outputs.push_back(PrimaryOutput::FetchList { from });
    }

    /// Too late to finish: find out whether the list was published after all, and if so take the device off again.
    fn abandon(&mut self, device: DeviceId) {
        self.step = Step::Abandoning { device, removal: None };
        self.timers.stop_all();
        self.timers.start(Timer::GiveUp, PUBLISH_MS);
        self.fetch_list();
    }

    /// Another device changed the list first: the same entry goes into the list after that.
    fn rebase(&mut self, now: Timestamp) {
        let Step::Publishing { candidacy } = &mut self.step else { return };
        match self.account.list_with(candidacy.pending.entry.clone(), now) {
            Err(_) => self.fail(EndReason::NotPublished),
            Ok(list) => {
                candidacy.pending.list = Some(list.signed().clone());
                *candidacy.list = list;
                self.save_and_publish();
            }
        }
    }

    fn finish(&mut self) {
        let Step::Publishing { candidacy } = core::mem::replace(&mut self.step, Step::Linked) else { return };
        let Candidacy { pending, channel, list, .. } = *candidacy;
        if self.account.list().hash() != list.hash() && self.account.advance(list.signed(), None).is_err() {
            return self.fail_from(EndReason::Tampered);
        }
        self.state = PrimaryState::Linked;
        self.timers.stop_all();
        self.saved = None;
        let session = zeroize::Zeroizing::new(pending.session.into_vec());
        let (account, device) = (Box::new(self.account.clone()), pending.device);
        self.outputs.push_back(PrimaryOutput::Save(PrimarySave::Linked { account, device, session }));
        let m5 = M5Body {
            list: list.signed().clone(),
            mailbox: *device.as_bytes(),
            blob_base: Text::truncated("/v1/blobs/"),
        };
        // A lost channel does no harm: the linked device finds itself on the list.
        if let Some(Ok(m5)) = channel.map(|mut channel| channel.finish(&m5)) {
            self.send(m5);
        }
        self.outputs.push_back(PrimaryOutput::Event(PrimaryEvent::Linked(device)));
    }

    fn send(&mut self, body: Vec<u8>) {
        let seq = self.next_out;
        self.next_out = self.next_out.saturating_add(1);
        self.outputs.push_back(PrimaryOutput::Send { seq, body });
    }

    // ---- ends

    /// Ends because of something here, and tells the other side.
    fn fail(&mut self, reason: EndReason) {
        if !matches!(self.step, Step::Linked | Step::Ended) {
            self.fail_from(reason);
        }
    }

    fn fail_from(&mut self, reason: EndReason) {
        if self.claimed {
            self.outputs.push_back(PrimaryOutput::Cancel(reason));
        }
        self.end(reason);
    }

    fn end(&mut self, reason: EndReason) {
        // Dropping the step erases its keys.
        self.step = Step::Ended;
        self.state = PrimaryState::Failed(reason);
        self.timers.stop_all();
        if let Some(device) = self.saved.take() {
            let account = Box::new(self.account.clone());
            self.outputs.push_back(PrimaryOutput::Save(PrimarySave::Discard { device, account }));
        }
        self.outputs.push_back(PrimaryOutput::Event(PrimaryEvent::Failed(reason)));
    }
}

impl<R> core::fmt::Debug for PrimaryMachine<R> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("PrimaryMachine").field("state", &self.state).finish_non_exhaustive()
    }
}
