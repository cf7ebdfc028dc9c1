//! From the claim to the counter-signature.

use pairlight_wire::context::{OwnContext, RelayContext};
use pairlight_wire::hash::sha256;
use pairlight_wire::id::DeviceId;
use pairlight_wire::limits::{CHECK_CODE_MS, MESSAGE_MS};
use pairlight_wire::pairing::{EndReason, M3Body};
use pairlight_wire::relay::ClaimAnswer;
use pairlight_wire::sign::SigningContext;
use pairlight_wire::{Bytes, Wire};
use rand_core::CryptoRng;

use super::{
    Candidacy, Candidate, Issued, PUBLISH_GIVE_UP_MS, PrimaryEvent, PrimaryMachine, PrimaryOutput, PrimarySave,
    PrimaryState, REBASES, Step, Timer,
};
use crate::Timestamp;
use crate::crypto::olm::{RatchetAccount, RatchetKeys};
use crate::crypto::{CryptoError, constant_time_eq};
use crate::devices::{AccountError, LeaseTerms, NewDevice};
use crate::pairing::handshake::{PrimaryKeyed, PrimaryWaiting, Reviewed, Scanned};
use crate::pairing::record::{LinkStage, PendingLink};
use crate::pairing::review::{ReviewInput, ReviewModel};
use crate::session::Session;
use crate::trust::EvidenceBit;

impl<R: CryptoRng> PrimaryMachine<R> {
    pub(super) fn review(
        &mut self,
        scanned: Scanned,
        answer: &ClaimAnswer,
    ) -> Result<(Reviewed, ReviewModel), EndReason> {
        let (reviewed, context, own) = self.open_claim(scanned, answer).map_err(|CryptoError| EndReason::Tampered)?;
        if self.account.list().tombstone(&DeviceId::of(&reviewed.offer.device_pk)).is_some() {
            // It was removed; the same key cannot come back.
            return Err(EndReason::Refused);
        }
        let model = ReviewModel::new(&ReviewInput {
            offer: &reviewed.offer,
            context: &context,
            own: &own,
            source: self.source,
            policy: &self.policy,
            setup: &self.setup,
            account: &self.account,
        });
        self.in_browser = model.in_browser;
        if self.in_browser {
            // A page cannot show these: they are neither asked for nor advertised for.
            (self.setup.lan, self.setup.radio) = (None, false);
        }
        Ok((reviewed, model))
    }

    fn open_claim(
        &mut self,
        scanned: Scanned,
        answer: &ClaimAnswer,
    ) -> Result<(Reviewed, RelayContext, OwnContext), CryptoError> {
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
        Ok((reviewed, context, own))
    }

    pub(super) fn on_m2(&mut self, waiting: PrimaryWaiting, bytes: &[u8]) {
        match waiting.receive_m2(bytes) {
            Err(CryptoError) => self.fail_from(EndReason::Tampered),
            Ok(keyed) => {
                let code = keyed.check_code.clone();
                self.tap = Some(keyed.tap.clone());
                self.step = Step::ShowingCheckCode { keyed: Box::new(keyed) };
                self.state = PrimaryState::ShowingCheckCode;
                self.timers.stop(Timer::Message);
                self.timers.start(Timer::CheckCode, CHECK_CODE_MS);
                self.outputs.push_back(PrimaryOutput::Event(PrimaryEvent::ShowCheckCode(code)));
            }
        }
    }

    pub(super) fn on_m2b(&mut self, keyed: PrimaryKeyed, bytes: &[u8], now: Timestamp) {
        let Ok((confirmed, m2b)) = keyed.receive_m2b(bytes) else { return self.fail_from(EndReason::Tampered) };
        if !m2b.check_code_ok {
            return self.fail_from(EndReason::WrongCheckCode);
        }
        self.timers.stop(Timer::CheckCode);
        self.evidence = self.evidence.with(EvidenceBit::CheckCode);
        let ratchet_keys = RatchetKeys { identity: m2b.olm_ik, one_time: m2b.olm_otk };
        self.gather(confirmed, ratchet_keys, m2b.evidence.as_slice(), now);
    }

    pub(super) fn certify(&mut self, candidate: Candidate, now: Timestamp) {
        match self.make_m3(candidate, now) {
            Err(AccountError::Full(_)) => self.fail_from(EndReason::Refused),
            Err(_) => self.fail_from(EndReason::Tampered),
            Ok((issued, m3)) => {
                let certified = &issued.certified;
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
                self.step = Step::AwaitingAcceptance { issued: Box::new(issued) };
                self.state = PrimaryState::AwaitingAcceptance;
                self.timers.start(Timer::Message, MESSAGE_MS);
                self.send(m3);
            }
        }
    }

    pub(super) fn make_m3(&mut self, candidate: Candidate, now: Timestamp) -> Result<(Issued, Vec<u8>), AccountError> {
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
        let grant = candidate.grant;
        let terms = LeaseTerms { ctr: 0, checkin: [0; 32], scope: grant.scope_at(0), lease_ms: grant.lease_ms };
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
        Ok((Issued { channel, certified, ratchet, th2 }, m3))
    }

    pub(super) fn on_m4(&mut self, issued: Issued, bytes: &[u8], now: Timestamp) {
        let Issued { mut channel, certified, mut ratchet, th2 } = issued;
        let checked = channel.receive_m4(bytes).map_err(AccountError::from).and_then(|m4| {
            if !constant_time_eq(&ratchet.open(1, m4.olm_msg.as_slice())?, &th2) {
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
        let candidacy =
            Candidacy { pending, channel: Some(Box::new(channel)), list: Box::new(list), rebases_left: REBASES };
        self.step = Step::Publishing { candidacy: Box::new(candidacy) };
        self.state = PrimaryState::Publishing;
        self.outputs.push_back(PrimaryOutput::Event(PrimaryEvent::Accepted));
        self.save_and_publish();
    }
}
