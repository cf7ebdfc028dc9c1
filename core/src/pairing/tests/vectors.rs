//! The reference values of another implementation.

use pairlight_wire::device::Certificate;
use pairlight_wire::id::{AccountId, DeviceId};
use pairlight_wire::sign::{SigningContext, verify};
use pairlight_wire::{Wire, base10, offer, qr};

use crate::crypto::aead::OneShotKey;
use crate::crypto::kdf::{KdfLabel, derive};
use crate::crypto::sign::SigningKey;
use crate::pairing::{check_code, secret, transcript};

struct Vectors(serde_json::Value);

impl Vectors {
    fn load() -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/reference/derivations.json");
        Self(serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
    }
    fn text(&self, name: &str) -> &str {
        self.0[name].as_str().unwrap()
    }
    fn bytes(&self, name: &str) -> Vec<u8> {
        hex::decode(self.text(name)).unwrap()
    }
    fn array<const N: usize>(&self, name: &str) -> [u8; N] {
        self.bytes(name).try_into().unwrap()
    }
}

#[test]
fn keys_of_the_code_offer_and_digits() {
    let v = Vectors::load();
    let keys = secret::CodeKeys::derive(&v.array("qr_secret"));
    assert_eq!(keys.slot.0, v.array("rid"));
    assert_eq!(*keys.psk, v.array("psk"));
    assert_eq!(*keys.ble, v.array("ble_key"));
    let sealed = keys.offer_key().seal(keys.slot.as_bytes(), &v.bytes("offer")).unwrap();
    assert_eq!(sealed, v.bytes("offer_ct"));
    assert_eq!(offer::commit(&v.bytes("offer")), v.array("commit"));
    assert_eq!(base10::encode(&v.bytes("qr_payload")), v.text("qr_digits"));
    let payload = qr::QrPayload::parse(v.text("qr_url_scheme")).unwrap();
    assert_eq!(payload.encode().to_vec(), v.bytes("qr_payload"));
    assert_eq!(payload.to_text(), v.text("qr_url_scheme"));
}

#[test]
fn transcript_and_check_code() {
    let v = Vectors::load();
    let th0 = transcript::th0(&v.bytes("qr_payload"), &v.bytes("offer"), &v.bytes("ctx"));
    assert_eq!(th0, v.array("th0"));
    let th2 = transcript::th2(&th0, &v.bytes("m1"), &v.bytes("m2"));
    assert_eq!(th2, v.array("th2"));
    assert_eq!(*derive::<8>(&th2, &v.bytes("sas_key"), KdfLabel::CheckCode, &[]), v.array("sas_bytes"));
    let code = check_code::CheckCode::derive(&th2, &v.array("sas_key"));
    assert_eq!(code.matches(v.text("sas")), Some(true));
}

#[test]
fn certificate_signature_and_acceptance() {
    let v = Vectors::load();
    let root = SigningKey::from_seed(&v.array("account_sk_seed"));
    let device = SigningKey::from_seed(&v.array("device_sk_seed"));
    assert_eq!(root.public(), v.array("account_pk"));
    assert_eq!(device.public(), v.array("device_pk"));
    assert_eq!(AccountId::of(&root.public()).0, v.array("account_id"));
    assert_eq!(DeviceId::of(&device.public()).0, v.array("device_id"));
    let cert = Certificate::decode(&v.bytes("cert_cbor")).unwrap();
    assert_eq!(cert.encode(), v.bytes("cert_cbor"));
    let signed = root.sign_payload(SigningContext::DeviceCert, cert.encode()).unwrap();
    assert_eq!(signed.sig, v.array("cert_sig"));
    assert_eq!(signed.digest(), v.array("accept_input"));
    let accept = device.sign(SigningContext::DeviceAccept, &signed.digest());
    assert_eq!(accept, v.array("accept_sig"));
    assert!(verify(&device.public(), SigningContext::DeviceAccept, &signed.digest(), &accept).is_ok());
    assert!(verify(&device.public(), SigningContext::DeviceCert, &signed.digest(), &accept).is_err());
}

#[test]
fn history_chunk() {
    let v = Vectors::load();
    let index = u32::try_from(v.0["chunk_index"].as_u64().unwrap()).unwrap().to_be_bytes();
    let total = u32::try_from(v.0["chunk_total"].as_u64().unwrap()).unwrap().to_be_bytes();
    let hid = v.bytes("hist_id");
    let key = derive::<32>(&hid, &v.bytes("hist_key"), KdfLabel::HistoryChunk, &index);
    assert_eq!(*key, v.array("chunk_key"));
    let aad = [hid.as_slice(), &index, &total].concat();
    assert!(OneShotKey::new(*key).open(&aad, &v.bytes("chunk_ct")).is_ok());
}
