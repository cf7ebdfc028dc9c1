//! Between the check code and the certificate: evidence is checked, asked for, graded.

use core::time::Duration;

use pairlight_wire::Bytes;
use pairlight_wire::evidence::LanOffer;
use pairlight_wire::id::DeviceId;
use pairlight_wire::limits::{EVIDENCE_MS, MESSAGE_MS, NEED_MS};
use pairlight_wire::pairing::{EndReason, EvidenceItem, NeedBody};
use pairlight_wire::{List, Wire};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::{Candidate, PrimaryEvent, PrimaryMachine, PrimaryOutput, PrimaryState, Step, Timer};
use crate::Timestamp;
use crate::crypto::olm::RatchetKeys;
use crate::crypto::random;
use crate::pairing::handshake::PrimaryConfirmed;
use crate::pairing::review::help_for;
use crate::trust::ble::{BleNonce, advertised_uuid, verify_heard};
use crate::trust::host::managed_challenge;
use crate::trust::known::verify_known;
use crate::trust::{
    Evidence, EvidenceBit, EvidenceSetup, Finding, Grade, KnownError, LanProbe, LanVerdict, ManagedRequest,
    ManagedVerdict, RadioOrder, Refutation, ScanSource, TapMedium, passkey,
};

/// The person typed the right code; evidence comes in.
pub(super) struct Gathered {
    pub(super) confirmed: PrimaryConfirmed,
    pub(super) ratchet_keys: RatchetKeys,
    /// Whether the linked device was asked for more.
    asked: bool,
    /// What is being checked.
    open: Evidence,
}

/// What this device says on the air.
pub(super) struct OnAir {
    key: Zeroizing<[u8; 32]>,
    nonce: BleNonce,
    advertising: bool,
}

impl<R: CryptoRng> PrimaryMachine<R> {
    /// Tells the machine what this device can check. Without it there are only the check code and the relay's context.
    #[must_use]
    pub fn with_evidence(mut self, setup: EvidenceSetup) -> Self {
        self.setup = setup;
        self
    }

    pub(super) fn advertise(&mut self, ble_key: &Zeroizing<[u8; 32]>) {
        if self.setup.radio {
            let nonce = random(&mut self.rng);
            self.outputs.push_back(PrimaryOutput::Radio(RadioOrder::Advertise(advertised_uuid(ble_key, &nonce))));
            self.on_air = Some(OnAir { key: ble_key.clone(), nonce, advertising: true });
        }
    }

    pub(super) fn stop_radio(&mut self) {
        if self.on_air.as_mut().is_some_and(|air| core::mem::take(&mut air.advertising)) {
            self.outputs.push_back(PrimaryOutput::Radio(RadioOrder::Stop));
        }
    }

    /// Over a cable or a tap came what the linked device's app sent there.
    pub fn handle_tap(&mut self, medium: TapMedium, arrived: &[u8], now: Timestamp) {
        self.timers.observe(now);
        let early = matches!(
            self.step,
            Step::ShowingCheckCode { .. } | Step::CheckingEvidence { .. } | Step::AwaitingEvidence { .. }
        );
        let Some(word) = self.tap.as_ref().filter(|_| early) else { return };
        let proven = word.matches(arrived);
        // Which of the two it was makes no difference to the grade; the app knows.
        let (TapMedium::Cable | TapMedium::Nfc) = medium;
        self.note(EvidenceBit::Tap, if proven { Ok(()) } else { Err(Refutation::OtherTap) });
    }

    /// What came of [`PrimaryOutput::ProbeLan`].
    pub fn handle_lan(&mut self, verdict: LanVerdict, now: Timestamp) {
        self.timers.observe(now);
        let result = match verdict {
            verdict if verdict.is_near() => Ok(()),
            verdict if verdict.was_answered() => Err(Refutation::TooSlow(verdict)),
            _ => Err(Refutation::Silent),
        };
        self.close(EvidenceBit::Lan, result, now);
    }

    /// The app's judgement of [`PrimaryEvent::JudgeManaged`].
    pub fn judge_managed(&mut self, verdict: ManagedVerdict, now: Timestamp) {
        self.timers.observe(now);
        let attested = verdict == ManagedVerdict::Attested;
        self.close(EvidenceBit::Managed, if attested { Ok(()) } else { Err(Refutation::NotAttested) }, now);
    }

    /// A check that took a while is over.
    fn close(&mut self, bit: EvidenceBit, result: Result<(), Refutation>, now: Timestamp) {
        let Step::CheckingEvidence { gathered } = &mut self.step else { return };
        if !gathered.open.has(bit) {
            return;
        }
        gathered.open = gathered.open.without(Evidence::NONE.with(bit));
        let done = gathered.open.is_empty();
        self.note(bit, result);
        if done {
            self.resume_grading(now);
        }
    }

    fn resume_grading(&mut self, now: Timestamp) {
        self.timers.stop(Timer::Evidence);
        if let Step::CheckingEvidence { gathered } = core::mem::replace(&mut self.step, Step::Ended) {
            self.grade(*gathered, now);
        }
    }

    /// Whoever should have judged is silent.
    pub(super) fn evidence_timed_out(&mut self, now: Timestamp) {
        let Step::CheckingEvidence { gathered } = &mut self.step else { return };
        let open = core::mem::take(&mut gathered.open);
        for bit in open.iter() {
            self.note(bit, Err(Refutation::NoVerdict));
        }
        self.resume_grading(now);
    }

    fn note(&mut self, bit: EvidenceBit, result: Result<(), Refutation>) {
        let finding = match result {
            Ok(()) => {
                self.evidence = self.evidence.with(bit);
                Finding::Proven
            }
            Err(refutation) => Finding::Refuted(refutation),
        };
        self.outputs.push_back(PrimaryOutput::Event(PrimaryEvent::EvidenceChecked { bit, finding }));
    }

    pub(super) fn gather(
        &mut self,
        confirmed: PrimaryConfirmed,
        ratchet_keys: RatchetKeys,
        items: &[EvidenceItem],
        now: Timestamp,
    ) {
        let gathered = Gathered { confirmed, ratchet_keys, asked: false, open: Evidence::NONE };
        let gathered = self.examine(gathered, items);
        let grade = self.evidence.grade(self.source);
        self.outputs.push_back(PrimaryOutput::Event(PrimaryEvent::CheckCodeConfirmed { grade }));
        self.check_or_grade(gathered, now);
    }

    /// The answer to a Need.
    pub(super) fn on_more_evidence(&mut self, mut gathered: Gathered, bytes: &[u8], now: Timestamp) {
        self.timers.stop(Timer::Message);
        let Ok(items) = gathered.confirmed.receive_more(bytes) else { return self.fail_from(EndReason::Tampered) };
        let gathered = self.examine(gathered, items.as_slice());
        self.check_or_grade(gathered, now);
    }

    fn check_or_grade(&mut self, gathered: Gathered, now: Timestamp) {
        if gathered.open.is_empty() {
            return self.grade(gathered, now);
        }
        self.timers.start(Timer::Evidence, EVIDENCE_MS);
        self.step = Step::CheckingEvidence { gathered: Box::new(gathered) };
        self.state = PrimaryState::CheckingEvidence;
    }

    /// Checks what can be checked at once, and begins the rest. Items of unknown bits, of bits that nothing here can
    /// check, and of bits that came before, prove nothing.
    fn examine(&mut self, mut gathered: Gathered, items: &[EvidenceItem]) -> Gathered {
        let mut seen = Evidence::NONE;
        for item in items {
            let Some(bit) = EvidenceBit::from_number(item.bit) else { continue };
            if seen.has(bit) || self.evidence.has(bit) {
                continue;
            }
            seen = seen.with(bit);
            if self.in_browser && bit.needs_a_program() {
                self.note(bit, Err(Refutation::InBrowser));
                continue;
            }
            let (proof, th2) = (item.proof.as_slice(), gathered.confirmed.th2);
            match bit {
                EvidenceBit::Passkey if !self.setup.passkeys.is_empty() => {
                    let result = passkey::verify_any(&self.setup.passkeys, proof, &th2);
                    self.note(bit, result.map_err(Refutation::Passkey));
                }
                EvidenceBit::Ble => {
                    let Some(air) = &self.on_air else { continue };
                    let heard = verify_heard(&air.key, &air.nonce, proof, &th2);
                    self.note(bit, if heard { Ok(()) } else { Err(Refutation::NotHeard) });
                }
                EvidenceBit::KnownDevice => {
                    let result = self.check_known(&gathered.confirmed.device_pk, proof, &th2);
                    self.note(bit, result.map_err(Refutation::Known));
                }
                EvidenceBit::Lan => {
                    let Some(limit) = self.setup.lan else { continue };
                    match self.probe(&gathered.confirmed, proof, limit) {
                        Some(probe) => {
                            gathered.open = gathered.open.with(bit);
                            self.outputs.push_back(PrimaryOutput::ProbeLan(Box::new(probe)));
                        }
                        None => self.note(bit, Err(Refutation::NoLocalAddress)),
                    }
                }
                EvidenceBit::Managed if self.setup.managed => {
                    gathered.open = gathered.open.with(bit);
                    let device_pk = gathered.confirmed.device_pk;
                    let request =
                        ManagedRequest { challenge: managed_challenge(&th2), device_pk, proof: proof.to_vec() };
                    self.outputs.push_back(PrimaryOutput::Event(PrimaryEvent::JudgeManaged(Box::new(request))));
                }
                _ => {}
            }
        }
        self.tried = self.tried.or(seen.and(Evidence::NONE.with(EvidenceBit::Lan).with(EvidenceBit::Managed)));
        gathered
    }

    fn probe(&mut self, confirmed: &PrimaryConfirmed, proof: &[u8], limit: Duration) -> Option<LanProbe> {
        let offer = LanOffer::decode(proof).ok()?;
        LanProbe::new(confirmed.lan_key().ok()?, confirmed.device_pk, &offer, limit, &mut self.rng)
    }

    fn check_known(&self, device_pk: &[u8; 32], proof: &[u8], th2: &[u8; 32]) -> Result<(), KnownError> {
        let device = DeviceId::of(device_pk);
        self.account.list().entry(&device).ok_or(KnownError::NotListed)?;
        if !self.setup.lapsed.contains(&device) {
            return Err(KnownError::NotLapsed);
        }
        verify_known(device_pk, proof, th2)
    }

    fn grade(&mut self, mut gathered: Gathered, now: Timestamp) {
        let grade = self.evidence.grade(self.source);
        let missing = self.policy.required.without(self.evidence);
        let grant = self.policy.grant(grade).copied().filter(|_| missing.is_empty());
        let wanted = self.wanted(grade, missing, grant.is_none());
        if !gathered.asked && !wanted.is_empty() {
            gathered.asked = true;
            return self.ask(gathered, wanted);
        }
        let Some(grant) = grant else {
            let help = help_for(&self.policy, self.evidence, self.source, self.in_browser);
            self.outputs.push_back(PrimaryOutput::Event(PrimaryEvent::EvidenceMissing { grade, help }));
            return self.fail_from(EndReason::Refused);
        };
        self.stop_radio();
        let Gathered { mut confirmed, ratchet_keys, .. } = gathered;
        if let Some(air) = self.on_air.as_ref().filter(|_| self.evidence.has(EvidenceBit::Ble)) {
            confirmed.mix(air.nonce);
        }
        let candidate = Candidate { confirmed, ratchet_keys, evidence: self.evidence, grade, grant };
        if grant.second_approval {
            self.step = Step::SecondApproval { candidate: Box::new(candidate) };
            self.state = PrimaryState::SecondApproval;
            self.timers.start(Timer::Hold, grant.hold_ms);
            let event = PrimaryEvent::ApproveAgain { hold_ms: grant.hold_ms };
            self.outputs.push_back(PrimaryOutput::Event(event));
        } else {
            self.certify(candidate, now);
        }
    }

    /// Evidence worth asking for: what the policy misses, what would lead to a grant where there is none, and a passkey of
    /// a page, because nothing but a passkey proves that a page is the real one.
    fn wanted(&self, grade: Grade, missing: Evidence, refused: bool) -> Evidence {
        let can = self.setup.verifiable().without(self.evidence.or(self.tried));
        let mut wanted = missing.and(can);
        let live = self.source == ScanSource::LiveCamera;
        if live && refused {
            let helps = can.iter().filter(|bit| self.would_grant(*bit));
            wanted = helps.fold(wanted, Evidence::with);
        }
        if live && self.in_browser && grade < Grade::Strong && can.has(EvidenceBit::Passkey) {
            wanted = wanted.with(EvidenceBit::Passkey);
        }
        wanted
    }

    fn would_grant(&self, bit: EvidenceBit) -> bool {
        !self.evidence.has(bit) && self.policy.grant(self.evidence.with(bit).grade(self.source)).is_some()
    }

    fn ask(&mut self, mut gathered: Gathered, wanted: Evidence) {
        let mut hints = Vec::new();
        if let Some(request) = passkey::request(&self.setup.passkeys).filter(|_| wanted.has(EvidenceBit::Passkey))
            && let Ok(proof) = Bytes::new(request.encode())
        {
            hints.push(EvidenceItem { bit: EvidenceBit::Passkey.number(), proof });
        }
        let body = NeedBody { wanted: wanted.bits(), hints: List::new(hints).unwrap_or_default() };
        let Ok(need) = gathered.confirmed.need(&body) else { return self.fail_from(EndReason::Tampered) };
        self.outputs.push_back(PrimaryOutput::Event(PrimaryEvent::AskedForEvidence(wanted.iter().collect())));
        self.step = Step::AwaitingEvidence { gathered: Box::new(gathered) };
        self.state = PrimaryState::AwaitingEvidence;
        self.timers.start(Timer::Message, NEED_MS.saturating_add(MESSAGE_MS));
        self.send(need);
    }
}
