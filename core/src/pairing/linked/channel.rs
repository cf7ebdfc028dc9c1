//! The sealed messages, from the first to the commitment.

use pairlight_wire::Bytes;
use pairlight_wire::limits::{CHECK_CODE_MS, CHECK_CODE_TRIES, COMMIT_GIVE_UP_MS, COMMIT_POLL_MS, MESSAGE_MS};
use pairlight_wire::pairing::{EndReason, M4Body};
use pairlight_wire::relay::{LinkRequest, SlotSend};
use pairlight_wire::sign::SigningContext;
use rand_core::CryptoRng;

use super::signing::{Acceptance, ForSignature};
use super::{Confirmed, LinkedEvent, LinkedMachine, LinkedOutput, LinkedSave, LinkedState, Shown, Step, Timer};
use crate::Timestamp;
use crate::crypto::olm::RatchetAccount;
use crate::crypto::sign::DeviceKey;
use crate::crypto::{CryptoError, constant_time_eq};
use crate::pairing::handshake::{LinkedCertified, LinkedKeyed};
use crate::pairing::record::LinkedAccount;
use crate::session::Session;

impl<R: CryptoRng> LinkedMachine<R> {
    pub(super) fn on_message(&mut self, seq: u64, bytes: &[u8], now: Timestamp) {
        if seq != self.next_in {
            // A repetition is harmless; a gap means that the relay dropped something.
            match &mut self.step {
                _ if seq < self.next_in => {}
                // As with a bad M5: the channel is spoilt, the link may stand.
                Step::Certified { certified, .. } => {
                    *certified = None;
                    self.fetch_list();
                }
                _ => self.fail(EndReason::Tampered),
            }
            return;
        }
        self.next_in = self.next_in.saturating_add(1);
        match core::mem::replace(&mut self.step, Step::Ended) {
            Step::Claimed { shown } => self.on_m1(*shown, bytes),
            Step::Confirmed(mut confirmed) => match confirmed.channel.receive_need(bytes) {
                Err(CryptoError) => self.fail_from(EndReason::Tampered),
                Ok(Some(need)) => self.on_need(*confirmed, &need),
                Ok(None) => self.on_m3(*confirmed, bytes, now),
            },
            Step::Certified { certified: Some(certified), account } => self.on_m5(certified, account, bytes),
            step @ (Step::Linked | Step::Ended | Step::Certified { .. }) => self.step = step,
            step => {
                self.step = step;
                self.fail(EndReason::Tampered);
            }
        }
    }

    pub(super) fn on_m1(&mut self, shown: Shown, bytes: &[u8]) {
        let context = shown.context.unwrap_or_default();
        match shown.displayed.receive_m1(&context, bytes, &mut self.rng) {
            Err(CryptoError) => self.fail_from(EndReason::Tampered),
            Ok((keyed, m2)) => match self.prove_known(&keyed) {
                Some((public, message)) => {
                    let what = ForSignature::Known { keyed: Box::new(keyed), m2 };
                    self.ask_guard(public, SigningContext::KnownDevice, message, what);
                }
                None => self.enter(Box::new(keyed), m2),
            },
        }
    }

    /// The channel stands: the person types the check code.
    pub(super) fn enter(&mut self, keyed: Box<LinkedKeyed>, m2: Vec<u8>) {
        self.send(m2);
        self.prepare_evidence(&keyed);
        self.step = Step::Keyed { keyed, tries_left: CHECK_CODE_TRIES };
        self.state = LinkedState::AwaitingCheckCode;
        self.timers.start(Timer::CheckCode, CHECK_CODE_MS);
        self.outputs.push_back(LinkedOutput::Event(LinkedEvent::EnterCheckCode));
    }

    pub(super) fn confirm(&mut self) {
        let Step::Keyed { keyed, .. } = core::mem::replace(&mut self.step, Step::Ended) else {
            return;
        };
        let evidence = self.take_evidence();
        let made = RatchetAccount::generate()
            .and_then(|ratchet| keyed.confirm(evidence, &ratchet.keys()).map(|(next, m2b)| (ratchet, next, m2b)));
        let Ok((ratchet, mut confirmed, m2b)) = made else { return self.fail_from(EndReason::Tampered) };
        confirmed.remember(&self.heard_nonces());
        self.step = Step::Confirmed(Box::new(Confirmed { channel: confirmed, ratchet }));
        self.state = LinkedState::AwaitingCertificate;
        self.timers.stop(Timer::CheckCode);
        self.outputs.push_back(LinkedOutput::Event(LinkedEvent::CheckCodeAccepted));
        self.send(m2b);
        // The account may ask its owner once more: the whole claim time is the limit, not one message time.
    }

    pub(super) fn refuse(&mut self) {
        let Step::Keyed { keyed, .. } = core::mem::replace(&mut self.step, Step::Ended) else {
            return;
        };
        if let Ok(m2b) = keyed.refuse() {
            self.send(m2b);
        }
        self.fail_from(EndReason::WrongCheckCode);
    }

    pub(super) fn on_m3(&mut self, confirmed: Confirmed, bytes: &[u8], now: Timestamp) {
        match self.accept_m3(confirmed, bytes, now) {
            Err(CryptoError) => self.fail_from(EndReason::Tampered),
            Ok(acceptance) => {
                let digest = acceptance.account.certificate().digest();
                match acceptance.account.device_key() {
                    DeviceKey::Own(key) => {
                        let signature = key.sign(SigningContext::DeviceAccept, &digest);
                        self.accept(acceptance, signature);
                    }
                    DeviceKey::Guarded(public) => {
                        let (public, what) = (*public, ForSignature::Accept(Box::new(acceptance)));
                        self.ask_guard(public, SigningContext::DeviceAccept, digest.to_vec(), what);
                    }
                }
            }
        }
    }

    /// Signed: from here on only a list of the account decides.
    pub(super) fn accept(&mut self, acceptance: Acceptance, accept_sig: [u8; 64]) {
        let Acceptance { mut certified, account, olm_msg } = acceptance;
        let Ok(m4) = certified.accept(&M4Body { accept_sig, olm_msg }) else {
            return self.fail_from(EndReason::Tampered);
        };
        self.outputs.push_back(LinkedOutput::Save(LinkedSave::Pending(account.clone())));
        self.saved = true;
        self.stop_radio();
        self.step = Step::Certified { certified: Some(certified), account };
        self.state = LinkedState::AwaitingCommit;
        self.timers.start(Timer::Message, MESSAGE_MS);
        self.timers.start(Timer::GiveUp, COMMIT_GIVE_UP_MS);
        self.send(m4);
    }

    pub(super) fn accept_m3(
        &mut self,
        confirmed: Confirmed,
        bytes: &[u8],
        now: Timestamp,
    ) -> Result<Acceptance, CryptoError> {
        let Confirmed { channel, ratchet } = confirmed;
        let th2 = channel.th2;
        let (certified, m3) = channel.receive_m3(bytes)?;
        let mut account = LinkedAccount::verify(&m3, self.device.clone().ok_or(CryptoError)?, &th2, now)?;
        let joined = ratchet.join(&m3.olm_ik, m3.olm_prekey.as_slice())?;
        if !constant_time_eq(&joined.plaintext, &th2) {
            return Err(CryptoError);
        }
        let mut ratchet = joined.ratchet;
        let answer = ratchet.seal(&th2)?;
        let peer = account.primary().ok_or(CryptoError)?;
        let session = Session::new(account.device_id(), peer, ratchet);
        account.set_session(session.encode().map_err(|_| CryptoError)?);
        let olm_msg = Bytes::new(answer.bytes).map_err(|_| CryptoError)?;
        Ok(Acceptance { certified: Box::new(certified), account: Box::new(account), olm_msg })
    }

    pub(super) fn on_m5(&mut self, mut certified: Box<LinkedCertified>, account: Box<LinkedAccount>, bytes: &[u8]) {
        let mut committed = account.clone();
        let accepted = certified.receive_m5(bytes).and_then(|m5| committed.advance(&m5.list, None));
        let listed = accepted.is_ok() && committed.is_listed();
        // A bad M5 proves only that the relay lies now; whether the link was completed, the list tells.
        self.step = Step::Certified { certified: None, account };
        if listed { self.complete(committed) } else { self.fetch_list() }
    }

    pub(super) fn complete(&mut self, account: Box<LinkedAccount>) {
        self.step = Step::Linked;
        self.state = LinkedState::Linked;
        self.forget();
        self.timers.stop_all();
        self.outputs.push_back(LinkedOutput::Save(LinkedSave::Committed(account.clone())));
        self.outputs.push_back(LinkedOutput::Event(LinkedEvent::Linked(account)));
    }

    pub(super) fn fetch_list(&mut self) {
        if let Step::Certified { account, .. } = &self.step {
            self.timers.start(Timer::Poll, COMMIT_POLL_MS);
            self.outputs.push_back(LinkedOutput::FetchList { account: account.clone() });
        }
    }

    pub(super) fn send(&mut self, body: Vec<u8>) {
        let (Some(slot), Ok(body)) = (self.slot, Bytes::new(body)) else { return };
        let send = SlotSend { slot, seq: self.next_out, body };
        self.next_out = self.next_out.saturating_add(1);
        self.outputs.push_back(LinkedOutput::Send(LinkRequest::Send(send)));
    }
}
