//! What this device can give to show that it is the one in front of the person.

use core::net::IpAddr;

use pairlight_wire::evidence::{LanOffer, PasskeyRequest};
use pairlight_wire::limits::NEED_MS;
use pairlight_wire::pairing::{EvidenceItem, NeedBody, Purpose};
use pairlight_wire::{Bytes, Wire};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::{
    AppEvidence, Confirmed, EvidenceWanted, LinkedEvent, LinkedMachine, LinkedOutput, LinkedState, PasskeyWanted, Step,
    Timer,
};
use crate::Timestamp;
use crate::crypto::sign::DeviceKey;
use crate::pairing::handshake::LinkedKeyed;
use crate::trust::ble::Ears;
use crate::trust::host::managed_challenge;
use crate::trust::known::prove_known;
use crate::trust::lan::lan_offer;
use crate::trust::{Evidence, EvidenceBit, LanResponder, LinkedAbilities, RadioOrder, TapWord, passkey};

/// What was gathered so far.
#[derive(Default)]
pub(super) struct Gathering {
    pub(super) abilities: LinkedAbilities,
    /// The device was linked before, under the key that it has now.
    pub(super) returning: bool,
    /// Its signature that shows it, where the other side says that it comes back.
    pub(super) known: Option<[u8; 64]>,
    lan: Option<LanOffer>,
    ears: Option<Ears>,
    tap: Option<TapWord>,
    th2: [u8; 32],
    from_app: Vec<EvidenceItem>,
    /// What was sent already.
    sent: Evidence,
}

impl Gathering {
    /// Items that are there and were not sent yet, by bit.
    fn items(&mut self) -> Vec<EvidenceItem> {
        let lan = self.lan.as_ref().map(|offer| (EvidenceBit::Lan, offer.encode()));
        let heard = self.ears.as_ref().filter(|ears| !ears.heard().is_empty());
        let heard = heard.map(|ears| (EvidenceBit::Ble, ears.proof(&self.th2)));
        let known = self.known.map(|signature| (EvidenceBit::KnownDevice, signature.to_vec()));
        let own = lan.into_iter().chain(heard).chain(known);
        let own = own
            .filter_map(|(bit, proof)| Bytes::new(proof).ok().map(|proof| EvidenceItem { bit: bit.number(), proof }));
        let mut items: Vec<_> = own.chain(self.from_app.drain(..)).collect();
        items.retain(|item| EvidenceBit::from_number(item.bit).is_some_and(|bit| !self.sent.has(bit)));
        items.sort_by_key(|item| item.bit);
        items.dedup_by_key(|item| item.bit);
        let bits = items.iter().filter_map(|item| EvidenceBit::from_number(item.bit));
        self.sent = bits.fold(self.sent, Evidence::with);
        items
    }

    fn take_from_app(&mut self, given: Vec<AppEvidence>) {
        for evidence in given {
            let (bit, proof) = match evidence {
                AppEvidence::Passkey(proof) => (EvidenceBit::Passkey, proof.encode()),
                AppEvidence::Managed(proof) => (EvidenceBit::Managed, proof),
            };
            if let Ok(proof) = Bytes::new(proof) {
                self.from_app.push(EvidenceItem { bit: bit.number(), proof });
            }
        }
    }

    #[cfg(test)]
    pub(super) fn holds_secrets(&self) -> bool {
        let bound = self.lan.is_some() || self.tap.is_some() || self.th2 != [0; 32];
        bound || self.known.is_some() || self.ears.is_some() || !self.from_app.is_empty()
    }

    fn app_can(&self) -> Evidence {
        let bits = [(EvidenceBit::Passkey, self.abilities.passkey), (EvidenceBit::Managed, self.abilities.managed)];
        bits.into_iter().filter(|(_, can)| *can).fold(Evidence::NONE, |set, (bit, _)| set.with(bit))
    }
}

impl<R: CryptoRng> LinkedMachine<R> {
    /// Tells the machine which evidence this device can give. Without it there are only the check code and the relay's
    /// context.
    #[must_use]
    pub fn with_evidence(mut self, abilities: LinkedAbilities) -> Self {
        self.gathering.abilities = abilities;
        self
    }

    /// The answer to [`LinkedOutput::ListenLan`]: the port, and this device's addresses, best first. Those that are not
    /// local are not named to anybody.
    pub fn handle_lan_open(&mut self, port: u16, addresses: &[IpAddr], now: Timestamp) {
        self.timers.observe(now);
        // A driver may open it for a machine that has ended meanwhile.
        if !self.has_ended() {
            self.gathering.lan = lan_offer(port, addresses);
        }
    }

    /// The radio heard a 128-bit service UUID.
    pub fn handle_advertisement(&mut self, uuid: [u8; 16], now: Timestamp) {
        self.timers.observe(now);
        if let Some(ears) = &mut self.gathering.ears {
            ears.hear(uuid);
        }
    }

    /// What this device's app sends over a cable or a tap; once the check code can be typed.
    #[must_use]
    pub fn tap_word(&self) -> Option<&TapWord> {
        self.gathering.tap.as_ref()
    }

    /// What a passkey must sign, for an app that does not wait until it is asked; once the check code can be typed.
    #[must_use]
    pub fn passkey_challenge(&self) -> Option<[u8; 32]> {
        self.gathering.tap.as_ref().map(|_| passkey::challenge(&self.gathering.th2))
    }

    /// What an attestation must be bound to, likewise.
    #[must_use]
    pub fn managed_challenge(&self) -> Option<[u8; 32]> {
        self.gathering.tap.as_ref().map(|_| managed_challenge(&self.gathering.th2))
    }

    /// Evidence from the app: the answer to [`LinkedEvent::EvidenceWanted`], or early. Nothing = it cannot be had.
    pub fn give_evidence(&mut self, given: Vec<AppEvidence>, now: Timestamp) {
        self.timers.observe(now);
        if !self.has_ended() {
            self.gathering.take_from_app(given);
        }
        self.answer_need();
    }

    pub(super) fn listen(&mut self, ble_key: Zeroizing<[u8; 32]>) {
        if self.gathering.abilities.radio {
            self.gathering.ears = Some(Ears::new(ble_key));
            self.outputs.push_back(LinkedOutput::Radio(RadioOrder::Listen));
        }
    }

    pub(super) fn stop_radio(&mut self) {
        if self.gathering.ears.take().is_some() {
            self.outputs.push_back(LinkedOutput::Radio(RadioOrder::Stop));
        }
    }

    /// Whether to show that this device was linked before: signs that, or gives what the guard of its key must sign.
    pub(super) fn prove_known(&mut self, keyed: &LinkedKeyed) -> Option<([u8; 32], Vec<u8>)> {
        if !self.gathering.returning || keyed.purpose != Purpose::Relink {
            return None;
        }
        match self.device.as_ref()? {
            DeviceKey::Own(key) => {
                self.gathering.known = Some(prove_known(key, &keyed.th2));
                None
            }
            DeviceKey::Guarded(public) => Some((*public, keyed.th2.to_vec())),
        }
    }

    /// The channel stands: what depends on the transcript can be made. Datagrams are answered at once, so not under a key
    /// whose guard is asked each time.
    pub(super) fn prepare_evidence(&mut self, keyed: &LinkedKeyed) {
        self.gathering.th2 = keyed.th2;
        self.gathering.tap = Some(keyed.tap.clone());
        let device = self.device.as_ref().and_then(DeviceKey::own);
        if let Some(device) = device.filter(|_| self.gathering.abilities.lan) {
            let responder = LanResponder::new(keyed.lan.clone(), device.clone());
            self.outputs.push_back(LinkedOutput::ListenLan(Box::new(responder)));
        }
    }

    /// What is there now, for M2b.
    pub(super) fn take_evidence(&mut self) -> Vec<EvidenceItem> {
        self.gathering.items()
    }

    pub(super) fn heard_nonces(&self) -> Vec<crate::trust::ble::BleNonce> {
        self.gathering.ears.as_ref().map(|ears| ears.heard().to_vec()).unwrap_or_default()
    }

    pub(super) fn on_need(&mut self, confirmed: Confirmed, need: &NeedBody) {
        let missing = Evidence::from_bits(need.wanted).and(self.gathering.app_can()).without(self.gathering.sent);
        self.step = Step::Asked(Box::new(confirmed));
        self.state = LinkedState::GivingEvidence;
        let hint = need.hints.as_slice().iter().find(|hint| hint.bit == EvidenceBit::Passkey.number());
        let request = hint.and_then(|hint| PasskeyRequest::decode(hint.proof.as_slice()).ok());
        let wanted = EvidenceWanted {
            passkey: request.filter(|_| missing.has(EvidenceBit::Passkey)).map(|request| PasskeyWanted {
                rp_id: request.rp_id.as_str().to_owned(),
                credentials: request.credentials.as_slice().iter().map(|id| id.as_slice().to_vec()).collect(),
                challenge: passkey::challenge(&self.gathering.th2),
            }),
            managed: missing.has(EvidenceBit::Managed).then(|| managed_challenge(&self.gathering.th2)),
        };
        if wanted.passkey.is_none() && wanted.managed.is_none() {
            return self.answer_need();
        }
        self.timers.start(Timer::Need, NEED_MS);
        self.outputs.push_back(LinkedOutput::Event(LinkedEvent::EvidenceWanted(Box::new(wanted))));
    }

    /// Answers with what is there.
    pub(super) fn answer_need(&mut self) {
        if !matches!(self.step, Step::Asked(_)) {
            return;
        }
        let items = self.take_evidence();
        let heard = self.heard_nonces();
        let Step::Asked(mut confirmed) = core::mem::replace(&mut self.step, Step::Ended) else { return };
        self.timers.stop(Timer::Need);
        confirmed.channel.remember(&heard);
        let Ok(m2b) = confirmed.channel.more_evidence(items) else {
            return self.fail_from(pairlight_wire::pairing::EndReason::Tampered);
        };
        self.step = Step::Confirmed(confirmed);
        self.state = LinkedState::AwaitingCertificate;
        self.send(m2b);
    }
}
