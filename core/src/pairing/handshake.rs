//! The cryptographic steps of a pairing, one type a state. A step that happens once takes `self`, so it cannot happen
//! twice; the machines around it own time, order and people.
//!
//! ```text
//! linked    Displayed --M1--> LinkedKeyed --M2b--> LinkedConfirmed (--Need, M2b-->) --M3--> LinkedCertified --M4, M5
//! primary   Scanned --offer--> Reviewed --M1--> PrimaryWaiting --M2--> PrimaryKeyed --M2b--> PrimaryConfirmed --M3--> PrimaryCertified
//! ```

use pairlight_wire::offer::{ClientKind, Offer, commit};
use pairlight_wire::pairing::{
    EvidenceItem, M1, M1Body, M2, M2Body, M2b, M2bBody, M3, M3Body, M4, M4Body, M5, M5Body, Need, NeedBody, Purpose,
};
use pairlight_wire::qr::QrPayload;
use pairlight_wire::{Bytes, List, Text, Wire};
use rand_core::CryptoRng;

use super::check_code::CheckCode;
use super::secret::CodeKeys;
use super::transcript::{aad, evidence_said, hpke_info, k3, lan_key, more_evidence_said, tap_word, th0, th1, th2, th3};
use crate::crypto::aead::{OneShotKey, SequenceKey};
use crate::crypto::hpke::{ExportLabel, RecipientChannel, RecipientKey, SenderChannel, response_key};
use crate::crypto::olm::RatchetKeys;
use crate::crypto::{CryptoError, random};
use crate::trust::TapWord;
use crate::trust::ble::BleNonce;
use crate::trust::lan::LanKey;

/// How a linked device introduces itself. Shown for review; proves nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceDescription {
    /// The device's name, at most 64 bytes of it are sent.
    pub name: String,
    /// Operating system, at most 32 bytes.
    pub os: String,
    /// Program or browser, at most 32 bytes.
    pub app: String,
    /// Browser or program.
    pub kind: ClientKind,
}

fn body<T: Wire>(plaintext: Vec<u8>) -> Result<T, CryptoError> {
    let plaintext = zeroize::Zeroizing::new(plaintext);
    T::decode(&plaintext).map_err(|_| CryptoError)
}

fn sealed<const MAX: usize>(ciphertext: Vec<u8>) -> Result<Bytes<MAX>, CryptoError> {
    Bytes::new(ciphertext).map_err(|_| CryptoError)
}

// ---------------------------------------------------------------- linked device

/// A code on the screen: its secret, its key pair, its offer.
pub(crate) struct Displayed {
    payload: QrPayload,
    pub(crate) keys: CodeKeys,
    kem: RecipientKey,
    offer: Vec<u8>,
    /// The sealed offer, for the relay.
    pub(crate) offer_ct: Vec<u8>,
}

impl Displayed {
    pub(crate) fn generate(
        device_pk: [u8; 32],
        description: &DeviceDescription,
        relay_index: u8,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, CryptoError> {
        let kem = RecipientKey::generate(rng)?;
        let offer = Offer {
            kem_pk: kem.public,
            device_pk,
            nonce_o: random(rng),
            client_kind: description.kind,
            name: Text::truncated(&description.name),
            os: Text::truncated(&description.os),
            app: Text::truncated(&description.app),
            caps: 0,
        };
        let offer = offer.encode();
        let qr_secret = zeroize::Zeroizing::new(random(rng));
        let keys = CodeKeys::derive(&qr_secret);
        let offer_ct = keys.offer_key().seal(keys.slot.as_bytes(), &offer)?;
        let payload = QrPayload::new(relay_index, *qr_secret, commit(&offer));
        Ok(Self { payload, keys, kem: kem.secret, offer, offer_ct })
    }

    /// A code of a vector.
    #[cfg(test)]
    pub(crate) fn of_vector(payload: QrPayload, kem: RecipientKey, offer: Vec<u8>) -> Self {
        let keys = CodeKeys::derive(payload.qr_secret());
        let offer_ct = keys.offer_key().seal(keys.slot.as_bytes(), &offer).unwrap();
        Self { payload, keys, kem, offer, offer_ct }
    }

    /// The text of the code.
    pub(crate) fn text(&self) -> String {
        self.payload.to_text()
    }

    /// Opens M1 and answers with M2.
    pub(crate) fn receive_m1(
        self,
        context: &[u8],
        m1_bytes: &[u8],
        rng: &mut impl CryptoRng,
    ) -> Result<(LinkedKeyed, Vec<u8>), CryptoError> {
        let m1 = M1::decode(m1_bytes).map_err(|_| CryptoError)?;
        let th0 = th0(&self.payload.encode(), &self.offer, context);
        let mut channel = self.kem.accept(&m1.enc, &self.keys.psk, self.keys.slot.as_bytes(), &hpke_info(&th0))?;
        let m1_body: M1Body = body(channel.open(b"m1", m1.ct.as_slice())?)?;

        let resp_nonce = random(rng);
        let secret = channel.export(ExportLabel::Response)?;
        let mut response = response_key(&secret, &m1.enc, &resp_nonce);
        let m2_body = M2Body { nonce_p: m1_body.nonce_p, nonce_s: random(rng), caps: 0 };
        let ct = response.seal(&aad("m2", &th1(&th0, m1_bytes)), &m2_body.encode())?;
        let m2 = M2 { resp_nonce, ct: sealed(ct)? }.encode();

        let th2 = th2(&th0, m1_bytes, &m2);
        let check_code = CheckCode::derive(&th2, &*channel.export(ExportLabel::CheckCode)?);
        let lan = lan_key(&th2, &*channel.export(ExportLabel::Lan)?);
        let tap = tap_word(&th2, &*channel.export(ExportLabel::Tap)?);
        let purpose = m1_body.purpose;
        let keyed = LinkedKeyed { channel, response, th2, check_code, purpose, lan, tap };
        Ok((keyed, m2))
    }
}

/// The channel stands; the person must still type the code.
pub(crate) struct LinkedKeyed {
    channel: RecipientChannel,
    response: SequenceKey,
    pub(crate) th2: [u8; 32],
    pub(crate) check_code: CheckCode,
    pub(crate) purpose: Purpose,
    pub(crate) lan: LanKey,
    pub(crate) tap: TapWord,
}

impl LinkedKeyed {
    /// M2b that says the code was wrong; the pairing is over.
    pub(crate) fn refuse(mut self) -> Result<Vec<u8>, CryptoError> {
        let body = M2bBody { check_code_ok: false, evidence: List::default(), olm_ik: [0; 32], olm_otk: [0; 32] };
        let ct = self.response.seal(&aad("m2b", &self.th2), &body.encode())?;
        Ok(M2b { ct: sealed(ct)? }.encode())
    }

    /// M2b that says the code was right.
    pub(crate) fn confirm(
        mut self,
        evidence: Vec<EvidenceItem>,
        ratchet: &RatchetKeys,
    ) -> Result<(LinkedConfirmed, Vec<u8>), CryptoError> {
        let evidence = List::new(evidence).map_err(|_| CryptoError)?;
        let body = M2bBody { check_code_ok: true, evidence, olm_ik: ratchet.identity, olm_otk: ratchet.one_time };
        let ct = self.response.seal(&aad("m2b", &self.th2), &body.encode())?;
        let m2b = M2b { ct: sealed(ct)? }.encode();
        let Self { channel, response, th2, .. } = self;
        let said = evidence_said(&m2b);
        Ok((LinkedConfirmed { channel, response, th2, said, need: None, heard: Vec::new() }, m2b))
    }
}

/// The linked device waits for its certificate.
pub(crate) struct LinkedConfirmed {
    channel: RecipientChannel,
    response: SequenceKey,
    pub(crate) th2: [u8; 32],
    said: [u8; 32],
    /// A Need that was received; there is at most one.
    need: Option<Vec<u8>>,
    /// Nonces from the air of which proofs were sent: the key of M3 may depend on one of them.
    heard: Vec<BleNonce>,
}

impl LinkedConfirmed {
    /// Remembers nonces of which proofs were sent.
    pub(crate) fn remember(&mut self, heard: &[BleNonce]) {
        self.heard = heard.to_vec();
    }

    /// Opens a Need; `None` when the bytes are no Need but another message.
    pub(crate) fn receive_need(&mut self, bytes: &[u8]) -> Result<Option<NeedBody>, CryptoError> {
        let Ok(need) = Need::decode(bytes) else { return Ok(None) };
        if self.need.is_some() {
            return Err(CryptoError);
        }
        let need_body = body(self.channel.open(&aad("need", &self.th2), need.ct.as_slice())?)?;
        self.need = Some(bytes.to_vec());
        Ok(Some(need_body))
    }

    /// M2b once more, evidence only.
    pub(crate) fn more_evidence(&mut self, evidence: Vec<EvidenceItem>) -> Result<Vec<u8>, CryptoError> {
        let need = self.need.as_ref().ok_or(CryptoError)?;
        let evidence = List::new(evidence).map_err(|_| CryptoError)?;
        let body = M2bBody { check_code_ok: true, evidence, olm_ik: [0; 32], olm_otk: [0; 32] };
        let ct = self.response.seal(&aad("m2b", &self.th2), &body.encode())?;
        let m2b = M2b { ct: sealed(ct)? }.encode();
        self.said = more_evidence_said(&self.said, need, &m2b);
        Ok(m2b)
    }

    pub(crate) fn receive_m3(self, m3_bytes: &[u8]) -> Result<(LinkedCertified, M3Body), CryptoError> {
        let m3 = M3::decode(m3_bytes).map_err(|_| CryptoError)?;
        let exported = self.channel.export(ExportLabel::M3)?;
        // The primary device alone knows whether it counted the radio, and which nonce is its own.
        let nonces = self.heard.iter().map(Some).chain([None]);
        let opened = nonces.map(|nonce| OneShotKey::new(*k3(&self.th2, &exported, nonce))).find_map(|key| {
            let opened = key.open(&aad("m3", &self.th2), m3.ct.as_slice());
            opened.ok()
        });
        let m3_body = body(opened.ok_or(CryptoError)?)?;
        let th3 = th3(&self.th2, &self.said, m3_bytes);
        Ok((LinkedCertified { channel: self.channel, response: self.response, th3 }, m3_body))
    }
}

/// The linked device has its certificate.
pub(crate) struct LinkedCertified {
    channel: RecipientChannel,
    response: SequenceKey,
    th3: [u8; 32],
}

impl LinkedCertified {
    pub(crate) fn accept(&mut self, m4_body: &M4Body) -> Result<Vec<u8>, CryptoError> {
        let ct = self.response.seal(&aad("m4", &self.th3), &m4_body.encode())?;
        Ok(M4 { ct: sealed(ct)? }.encode())
    }

    pub(crate) fn receive_m5(&mut self, m5_bytes: &[u8]) -> Result<M5Body, CryptoError> {
        let m5 = M5::decode(m5_bytes).map_err(|_| CryptoError)?;
        body(self.channel.open(&aad("m5", &self.th3), m5.ct.as_slice())?)
    }
}

// ---------------------------------------------------------------- primary device

/// A scanned code.
pub(crate) struct Scanned {
    payload: QrPayload,
    pub(crate) keys: CodeKeys,
}

impl Scanned {
    pub(crate) fn new(payload: QrPayload) -> Self {
        let keys = CodeKeys::derive(payload.qr_secret());
        Self { payload, keys }
    }

    /// Opens the offer that the relay handed out and checks it against the code.
    pub(crate) fn open_offer(self, offer_ct: &[u8], context: &[u8]) -> Result<Reviewed, CryptoError> {
        let offer_bytes = self.keys.offer_key().open(self.keys.slot.as_bytes(), offer_ct)?;
        if !crate::crypto::constant_time_eq(&commit(&offer_bytes), self.payload.commit()) {
            return Err(CryptoError);
        }
        let offer = Offer::decode(&offer_bytes).map_err(|_| CryptoError)?;
        let th0 = th0(&self.payload.encode(), &offer_bytes, context);
        Ok(Reviewed { keys: self.keys, offer, th0 })
    }
}

/// The offer is authentic; the person decides.
pub(crate) struct Reviewed {
    pub(crate) keys: CodeKeys,
    pub(crate) offer: Offer,
    th0: [u8; 32],
}

impl Reviewed {
    /// Sends M1: from here on the linked device knows that a primary device is there, not whose.
    pub(crate) fn initiate(
        self,
        purpose: Purpose,
        min_evidence: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<(PrimaryWaiting, Vec<u8>), CryptoError> {
        let info = hpke_info(&self.th0);
        let initiated =
            SenderChannel::initiate(rng, &self.offer.kem_pk, &self.keys.psk, self.keys.slot.as_bytes(), &info)?;
        let mut channel = initiated.channel;
        let nonce_p = random(rng);
        let m1_body = M1Body { purpose, nonce_p, min_evidence, caps: 0 };
        let ct = channel.seal(b"m1", &m1_body.encode())?;
        let m1 = M1 { enc: initiated.enc, ct: sealed(ct)? };
        let m1_bytes = m1.encode();
        let waiting = PrimaryWaiting {
            channel,
            th0: self.th0,
            device_pk: self.offer.device_pk,
            nonce_p,
            m1,
            m1_bytes: m1_bytes.clone(),
        };
        Ok((waiting, m1_bytes))
    }
}

/// M1 is out.
pub(crate) struct PrimaryWaiting {
    channel: SenderChannel,
    th0: [u8; 32],
    device_pk: [u8; 32],
    nonce_p: [u8; 32],
    m1: M1,
    m1_bytes: Vec<u8>,
}

impl PrimaryWaiting {
    pub(crate) fn receive_m2(self, m2_bytes: &[u8]) -> Result<PrimaryKeyed, CryptoError> {
        let m2 = M2::decode(m2_bytes).map_err(|_| CryptoError)?;
        let secret = self.channel.export(ExportLabel::Response)?;
        let mut response = response_key(&secret, &self.m1.enc, &m2.resp_nonce);
        let th1 = th1(&self.th0, &self.m1_bytes);
        let m2_body: M2Body = body(response.open(&aad("m2", &th1), m2.ct.as_slice())?)?;
        if !crate::crypto::constant_time_eq(&m2_body.nonce_p, &self.nonce_p) {
            return Err(CryptoError);
        }
        let th2 = th2(&self.th0, &self.m1_bytes, m2_bytes);
        let check_code = CheckCode::derive(&th2, &*self.channel.export(ExportLabel::CheckCode)?);
        let tap = tap_word(&th2, &*self.channel.export(ExportLabel::Tap)?);
        Ok(PrimaryKeyed { channel: self.channel, response, th2, device_pk: self.device_pk, check_code, tap })
    }
}

/// Both ends have the same six digits.
pub(crate) struct PrimaryKeyed {
    channel: SenderChannel,
    response: SequenceKey,
    th2: [u8; 32],
    device_pk: [u8; 32],
    pub(crate) check_code: CheckCode,
    pub(crate) tap: TapWord,
}

impl PrimaryKeyed {
    pub(crate) fn receive_m2b(mut self, m2b_bytes: &[u8]) -> Result<(PrimaryConfirmed, M2bBody), CryptoError> {
        let m2b = M2b::decode(m2b_bytes).map_err(|_| CryptoError)?;
        let m2b_body = body(self.response.open(&aad("m2b", &self.th2), m2b.ct.as_slice())?)?;
        let confirmed = PrimaryConfirmed {
            channel: self.channel,
            response: self.response,
            th2: self.th2,
            device_pk: self.device_pk,
            said: evidence_said(m2b_bytes),
            need: None,
            mixed: None,
        };
        Ok((confirmed, m2b_body))
    }
}

/// The person typed the right code.
pub(crate) struct PrimaryConfirmed {
    channel: SenderChannel,
    response: SequenceKey,
    pub(crate) th2: [u8; 32],
    pub(crate) device_pk: [u8; 32],
    said: [u8; 32],
    /// The Need that was sent; there is at most one.
    need: Option<Vec<u8>>,
    mixed: Option<BleNonce>,
}

impl PrimaryConfirmed {
    /// The key of the challenge on the local network.
    pub(crate) fn lan_key(&self) -> Result<LanKey, CryptoError> {
        Ok(lan_key(&self.th2, &*self.channel.export(ExportLabel::Lan)?))
    }

    /// Makes the key of M3 depend on the nonce from the air.
    pub(crate) fn mix(&mut self, nonce: BleNonce) {
        self.mixed = Some(nonce);
    }

    /// Asks for more evidence, once.
    pub(crate) fn need(&mut self, need_body: &NeedBody) -> Result<Vec<u8>, CryptoError> {
        if self.need.is_some() {
            return Err(CryptoError);
        }
        let ct = self.channel.seal(&aad("need", &self.th2), &need_body.encode())?;
        let need = Need { ct: sealed(ct)? }.encode();
        self.need = Some(need.clone());
        Ok(need)
    }

    /// The answer to a Need: evidence only, so its keys must be zero.
    pub(crate) fn receive_more(&mut self, m2b_bytes: &[u8]) -> Result<List<EvidenceItem, 8>, CryptoError> {
        let need = self.need.as_ref().ok_or(CryptoError)?;
        let m2b = M2b::decode(m2b_bytes).map_err(|_| CryptoError)?;
        let m2b_body: M2bBody = body(self.response.open(&aad("m2b", &self.th2), m2b.ct.as_slice())?)?;
        if !m2b_body.check_code_ok || m2b_body.olm_ik != [0; 32] || m2b_body.olm_otk != [0; 32] {
            return Err(CryptoError);
        }
        self.said = more_evidence_said(&self.said, need, m2b_bytes);
        Ok(m2b_body.evidence)
    }

    pub(crate) fn certify(self, m3_body: &M3Body) -> Result<(PrimaryCertified, Vec<u8>), CryptoError> {
        let key = OneShotKey::new(*k3(&self.th2, &*self.channel.export(ExportLabel::M3)?, self.mixed.as_ref()));
        let plaintext = zeroize::Zeroizing::new(m3_body.encode());
        let ct = key.seal(&aad("m3", &self.th2), &plaintext)?;
        let m3 = M3 { ct: sealed(ct)? }.encode();
        let th3 = th3(&self.th2, &self.said, &m3);
        Ok((PrimaryCertified { channel: self.channel, response: self.response, th3 }, m3))
    }
}

/// The certificate is out.
pub(crate) struct PrimaryCertified {
    channel: SenderChannel,
    response: SequenceKey,
    th3: [u8; 32],
}

impl PrimaryCertified {
    pub(crate) fn receive_m4(&mut self, m4_bytes: &[u8]) -> Result<M4Body, CryptoError> {
        let m4 = M4::decode(m4_bytes).map_err(|_| CryptoError)?;
        body(self.response.open(&aad("m4", &self.th3), m4.ct.as_slice())?)
    }

    pub(crate) fn finish(&mut self, m5_body: &M5Body) -> Result<Vec<u8>, CryptoError> {
        let ct = self.channel.seal(&aad("m5", &self.th3), &m5_body.encode())?;
        Ok(M5 { ct: sealed(ct)? }.encode())
    }
}
