//! The primary device's machine: claims the code, lets the person decide, certifies the new device, publishes the list.

use std::collections::VecDeque;

use pairlight_wire::Wire;
use pairlight_wire::id::DeviceId;
use pairlight_wire::limits::{CLAIM_MS, MESSAGE_MS};
use pairlight_wire::list::{DeviceList, VerifiedList};
use pairlight_wire::pairing::{EndReason, Purpose};
use pairlight_wire::qr::QrPayload;
use pairlight_wire::relay::ClaimAnswer;
use rand_core::CryptoRng;

use super::handshake::{PrimaryCertified, PrimaryConfirmed, PrimaryKeyed, PrimaryWaiting, Reviewed, Scanned};
use super::record::{LinkStage, PendingLink};
use super::refusal::{Refusal, end_reason};
use super::timer::Timers;
use crate::Timestamp;
use crate::crypto::CryptoError;
use crate::crypto::olm::{Ratchet, RatchetKeys};
use crate::devices::{Account, Certified};
use crate::trust::{Evidence, EvidenceSetup, Grade, Grant, Policy, ScanSource, TapWord};

mod channel;
mod evidence;
mod output;
mod publish;

use evidence::{Gathered, OnAir};
pub use output::{PrimaryConfig, PrimaryEvent, PrimaryOutput, PrimarySave, PrimaryState, TooEarly};

/// Publishing is tried for this long; shorter than the linked device asks, so that it never gives up first.
const PUBLISH_GIVE_UP_MS: u64 = 480_000;
/// Pause between tries while the relay cannot be reached.
const PUBLISH_RETRY_MS: u64 = 2_000;
/// Rebases after another device changed the list first.
const REBASES: u8 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Timer {
    Claim,
    Message,
    CheckCode,
    Evidence,
    Hold,
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

/// A certificate that left, with what its answer is checked against.
struct Issued {
    channel: PrimaryCertified,
    certified: Certified,
    ratchet: Ratchet,
    th2: [u8; 32],
}

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
    CheckingEvidence {
        gathered: Box<Gathered>,
    },
    AwaitingEvidence {
        gathered: Box<Gathered>,
    },
    SecondApproval {
        candidate: Box<Candidate>,
    },
    AwaitingAcceptance {
        issued: Box<Issued>,
    },
    Publishing {
        candidacy: Box<Candidacy>,
    },
    /// Too late: the chain of lists must go on without the device, so that the list with it can never count.
    Abandoning {
        device: DeviceId,
        /// Epoch of the newest list that was signed with the device.
        signed: u64,
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
    setup: EvidenceSetup,
    evidence: Evidence,
    /// Evidence that did not come right and that asking again cannot mend.
    tried: Evidence,
    on_air: Option<OnAir>,
    tap: Option<TapWord>,
    in_browser: bool,
    name: String,
    next_in: u64,
    next_out: u64,
    /// The device of an unfinished link that may be on disk and that an end must erase.
    saved: Option<DeviceId>,
    /// Whether the driver has taken the last event, so that everything before it is stored.
    reported: bool,
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
        let created = Timestamp::from_unix_ms(pending.created);
        let age = now.ms_since(created);
        // A clock that was set back hides the age: then there is no time left.
        let in_time = now >= created && age < PUBLISH_GIVE_UP_MS;
        let newest = pending.list.as_ref().and_then(|list| DeviceList::decode(list.payload.as_slice()).ok());
        let signed_epoch = newest.map_or(u64::MAX, |list| list.epoch);
        let step = Step::Abandoning { device, signed: signed_epoch, removal: None };
        let mut machine = Self::at(config, step, now, rng);
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
            Ok(list) if in_time && pending.stage == LinkStage::Publishing => {
                let candidacy = Candidacy { pending, channel: None, list: Box::new(list), rebases_left: REBASES };
                machine.step = Step::Publishing { candidacy: Box::new(candidacy) };
                machine.timers.start(Timer::GiveUp, PUBLISH_GIVE_UP_MS.saturating_sub(age));
                machine.publish();
            }
            _ => machine.abandon(pending, signed_epoch),
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
            setup: EvidenceSetup::default(),
            evidence: Evidence::NONE,
            tried: Evidence::NONE,
            on_air: None,
            tap: None,
            in_browser: false,
            name: String::new(),
            next_in: 0,
            next_out: 0,
            saved: None,
            reported: false,
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
        let output = self.outputs.pop_front();
        let last = matches!(output, Some(PrimaryOutput::Event(PrimaryEvent::Linked(_) | PrimaryEvent::Failed(_))));
        self.reported |= last;
        output
    }

    /// Whether an output waits.
    #[must_use]
    pub fn has_output(&self) -> bool {
        !self.outputs.is_empty()
    }

    /// When [`PrimaryMachine::handle_timeout`] is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.timers.next()
    }

    /// The relay's answer to the claim.
    pub fn handle_claim(&mut self, answer: Result<ClaimAnswer, impl Into<Refusal>>, now: Timestamp) {
        self.timers.observe(now);
        if !matches!(self.step, Step::Claiming { .. }) {
            // Too late, but the slot is ours now: the other device must not wait for somebody who has left.
            if let (PrimaryState::Failed(reason), false, Ok(_)) = (self.state, self.claimed, answer) {
                self.claimed = true;
                self.outputs.push_back(PrimaryOutput::Cancel(reason));
            }
            return;
        }
        let Step::Claiming { scanned } = core::mem::replace(&mut self.step, Step::Ended) else {
            return;
        };
        match answer {
            Err(refusal) => {
                let refusal = refusal.into();
                if let Some(retry_after_ms) = refusal.pause_ms() {
                    self.outputs.push_back(PrimaryOutput::Event(PrimaryEvent::TooManyAttempts { retry_after_ms }));
                }
                self.end(end_reason(refusal.code));
            }
            Ok(answer) => {
                self.claimed = true;
                match self.review(*scanned, &answer) {
                    Err(reason) => self.fail_from(reason),
                    Ok((reviewed, model)) => {
                        self.advertise(&reviewed.keys.ble);
                        self.step = Step::Review { reviewed: Box::new(reviewed) };
                        self.state = PrimaryState::Review;
                        self.timers.stop_all();
                        self.timers.start(Timer::Claim, CLAIM_MS);
                        if model.hold_ms > 0 {
                            self.timers.start(Timer::Hold, model.hold_ms);
                        }
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
    ///
    /// # Errors
    /// [`TooEarly`] before the time that the approval screen asks for; nothing changes then.
    pub fn approve(&mut self, now: Timestamp) -> Result<(), TooEarly> {
        self.timers.observe(now);
        if !matches!(self.step, Step::Review { .. }) {
            return Ok(());
        }
        self.time_to_think()?;
        let Step::Review { reviewed } = core::mem::replace(&mut self.step, Step::Ended) else {
            return Ok(());
        };
        reviewed.offer.name.as_str().clone_into(&mut self.name);
        let device = DeviceId::of(&reviewed.offer.device_pk);
        let purpose = if self.setup.lapsed.contains(&device) { Purpose::Relink } else { Purpose::Link };
        match reviewed.initiate(purpose, self.policy.required.bits(), &mut self.rng) {
            Err(CryptoError) => self.fail_from(EndReason::Tampered),
            Ok((waiting, m1)) => {
                self.step = Step::AwaitingKey { waiting: Box::new(waiting) };
                self.state = PrimaryState::AwaitingKey;
                self.timers.start(Timer::Message, MESSAGE_MS);
                self.send(m1);
            }
        }
        Ok(())
    }

    /// The person approved again, on the warning screen.
    ///
    /// # Errors
    /// [`TooEarly`] before the time to think is over; the question comes again.
    pub fn approve_again(&mut self, now: Timestamp) -> Result<(), TooEarly> {
        self.timers.observe(now);
        if !matches!(self.step, Step::SecondApproval { .. }) {
            return Ok(());
        }
        if let Err(early) = self.time_to_think() {
            let event = PrimaryEvent::ApproveAgain { hold_ms: early.left_ms };
            self.outputs.push_back(PrimaryOutput::Event(event));
            return Err(early);
        }
        if let Step::SecondApproval { candidate } = core::mem::replace(&mut self.step, Step::Ended) {
            self.certify(*candidate, now);
        }
        Ok(())
    }

    /// An approval counts from here on, or not yet.
    fn time_to_think(&mut self) -> Result<(), TooEarly> {
        match self.timers.left_ms(Timer::Hold).filter(|left| *left > 0) {
            Some(left_ms) => Err(TooEarly { left_ms }),
            None => {
                self.timers.stop(Timer::Hold);
                Ok(())
            }
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
            if seq > self.next_in && !matches!(self.step, Step::Publishing { .. } | Step::Abandoning { .. }) {
                self.fail(EndReason::Tampered);
            }
            return;
        }
        self.next_in = self.next_in.saturating_add(1);
        match core::mem::replace(&mut self.step, Step::Ended) {
            Step::AwaitingKey { waiting } => self.on_m2(*waiting, bytes),
            Step::ShowingCheckCode { keyed } => self.on_m2b(*keyed, bytes, now),
            Step::AwaitingEvidence { gathered } => self.on_more_evidence(*gathered, bytes, now),
            Step::AwaitingAcceptance { issued } => self.on_m4(*issued, bytes, now),
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

    /// A [`PrimarySave`] could not be stored: nothing may be half-linked, so nothing further is sent.
    pub fn handle_storage_failed(&mut self, now: Timestamp) {
        self.timers.observe(now);
        if self.reported {
            return;
        }
        // What depends on the record stays here. That it is over, the other side and the radio hear all the same.
        self.outputs.retain(|output| matches!(output, PrimaryOutput::Cancel(_) | PrimaryOutput::Radio(_)));
        match self.state {
            // What could not be erased is found, and decided, by the next start.
            PrimaryState::Failed(reason) => {
                self.outputs.push_back(PrimaryOutput::Event(PrimaryEvent::Failed(reason)));
            }
            // Published but not stored: the record of the publication is still there, the next start finishes it. The
            // other device finds itself on the list, so it is not told of an end.
            PrimaryState::Linked => {
                self.saved = None;
                self.end(EndReason::StorageFailed);
            }
            _ => self.fail_undecided(EndReason::StorageFailed),
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.timers.observe(now);
        while let Some(timer) = self.timers.expired() {
            match (timer, &self.step) {
                // The try before may have got through with its answer lost: the list comes first.
                (Timer::Retry, Step::Publishing { .. } | Step::Abandoning { .. }) => self.fetch_list(),
                (Timer::GiveUp, Step::Publishing { candidacy }) => {
                    let (pending, signed) = (candidacy.pending.clone(), candidacy.list.list().epoch);
                    self.abandon(pending, signed);
                }
                (Timer::GiveUp, _) => {
                    // Still no answer.
                    self.fail_undecided(EndReason::NotPublished);
                }
                (Timer::Claim | Timer::Message, Step::Publishing { .. }) => {}
                (Timer::Claim | Timer::Message | Timer::CheckCode, _) => self.fail(EndReason::TimedOut),
                (Timer::Evidence, _) => self.evidence_timed_out(now),
                // The time to think is over: now an approval counts.
                (Timer::Hold | Timer::Retry, _) => {}
            }
        }
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

    /// Ends without knowing whether the list was published: the record stays on disk for the next start.
    fn fail_undecided(&mut self, reason: EndReason) {
        self.saved = None;
        self.fail(reason);
    }

    /// Whether anything of the pairing is left that an end must not leave behind; the account's keys are the store's.
    #[cfg(test)]
    pub(crate) fn holds_secrets(&self) -> bool {
        let step = !matches!(self.step, Step::Linked | Step::Ended);
        step || self.on_air.is_some() || self.tap.is_some()
    }

    fn end(&mut self, reason: EndReason) {
        // Dropping the step erases its keys.
        self.step = Step::Ended;
        self.state = PrimaryState::Failed(reason);
        self.stop_radio();
        (self.on_air, self.tap) = (None, None);
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
