//! Whole pairings with everything that was drawn at random: made by this implementation and by the one in
//! `tests/interop`, each repeated by the other. `PAIRLIGHT_BLESS=1` writes ours anew.

use core::convert::Infallible;

use pairlight_wire::Wire;
use pairlight_wire::device::Certificate;
use pairlight_wire::offer::{Offer, commit};
use pairlight_wire::pairing::*;
use pairlight_wire::qr::QrPayload;
use pairlight_wire::sign::SigningContext;
use rand_chacha::ChaCha20Rng;
use rand_core::{SeedableRng, TryCryptoRng, TryRng};
use serde_json::{Value, json};

use super::harness::{End, World};
use crate::crypto::aead::OneShotKey;
use crate::crypto::hpke::{ExportLabel, RecipientKey, response_key};
use crate::crypto::random;
use crate::crypto::sign::{DeviceKey, SigningKey};
use crate::pairing::DeviceDescription;
use crate::pairing::check_code::CheckCode;
use crate::pairing::handshake::Displayed;
use crate::pairing::record::LinkedAccount;
use crate::pairing::secret::CodeKeys;
use crate::pairing::transcript::{aad, evidence_said, hpke_info, k3, th0, th1, th2, th3};

/// A generator that gives out what a vector says, in order.
struct Script(Vec<u8>);

impl TryRng for Script {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        panic!("only bytes are drawn");
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        panic!("only bytes are drawn");
    }
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        let rest = self.0.split_off(out.len());
        out.copy_from_slice(&self.0);
        self.0 = rest;
        Ok(())
    }
}

impl TryCryptoRng for Script {}

struct Vector(Value);

impl Vector {
    fn load(name: &str) -> Self {
        Self(serde_json::from_slice(&std::fs::read(path(name)).unwrap()).unwrap())
    }
    fn text(&self, name: &str) -> &str {
        self.0[name].as_str().unwrap_or_else(|| panic!("no {name}"))
    }
    fn bytes(&self, name: &str) -> Vec<u8> {
        hex::decode(self.text(name)).unwrap()
    }
    fn array(&self, name: &str) -> [u8; 32] {
        self.bytes(name).try_into().unwrap()
    }
    fn message(&self, name: &str) -> Vec<u8> {
        hex::decode(self.0["messages"][name].as_str().unwrap()).unwrap()
    }
    fn script(&self, names: &[&str]) -> Script {
        Script(names.iter().flat_map(|name| self.bytes(name)).collect())
    }
}

fn path(name: &str) -> String {
    format!("{}/../tests/vectors/pairing/{name}", env!("CARGO_MANIFEST_DIR"))
}

const SEED: u8 = 41;

/// A pairing of our two machines. The linked device draws everything but its ratchet keys from one generator, in the
/// order in which it is listed here.
fn made_here() -> Vector {
    let mut world = World::with_seed(SEED);
    world.scan();
    world.run();
    assert_eq!(world.ends(), (End::Linked, End::Linked));
    let mut rng = ChaCha20Rng::from_seed([SEED; 32]);
    let mut drawn = || hex::encode(random::<32>(&mut rng));
    let mut vector = Vector(json!({
        "made_by": "pairlight-core",
        "deviceSeed": drawn(), "kemSecret": drawn(), "nonceO": drawn(), "qrSecret": drawn(),
        "respNonce": drawn(), "nonceS": drawn(),
        "check_code": world.digits.as_ref().unwrap().replace(' ', ""),
        "context": hex::encode(world.context_of(world.slot())),
    }));
    let description = DeviceDescription {
        name: "Kim's laptop".into(),
        os: "Linux".into(),
        app: "pairlight".into(),
        kind: pairlight_wire::offer::ClientKind::Native,
    };
    let device = SigningKey::from_seed(&vector.array("deviceSeed"));
    let mut script = vector.script(&["kemSecret", "nonceO", "qrSecret"]);
    let displayed = Displayed::generate(device.public(), &description, 0, &mut script).unwrap();
    // What was drawn for the KEM is not its private key yet: each library derives one in a way of its own.
    let kem = RecipientKey::generate(&mut vector.script(&["kemSecret"])).unwrap();
    vector.0["kemSecret"] = hex::encode(kem.secret.to_vector()).into();
    let offer = displayed.keys.offer_key().open(displayed.keys.slot.as_bytes(), &displayed.offer_ct).unwrap();
    vector.0["offer"] = hex::encode(offer).into();
    vector.0["offer_ct"] = hex::encode(&displayed.offer_ct).into();
    vector.0["qr"] = displayed.text().into();
    assert_eq!(Some(displayed.text()), world.shown);
    for (name, leg) in super::faults::MESSAGES {
        let bytes = &world.sent.iter().find(|(sent, _)| *sent == leg).unwrap().1;
        vector.0["messages"][name.to_lowercase()] = hex::encode(bytes).into();
    }
    let (keyed, _) = displayed
        .receive_m1(&vector.bytes("context"), &vector.message("m1"), &mut vector.script(&["respNonce", "nonceS"]))
        .unwrap();
    vector.0["th2"] = hex::encode(keyed.confirm(Vec::new(), &RATCHET_KEYS).unwrap().0.th2).into();
    vector
}

const RATCHET_KEYS: crate::crypto::olm::RatchetKeys =
    crate::crypto::olm::RatchetKeys { identity: [0; 32], one_time: [0; 32] };

/// Repeats the linked device's part: every byte that its ratchet does not choose.
fn check(vector: &Vector) {
    let offer = vector.bytes("offer");
    let qr = QrPayload::parse(vector.text("qr")).unwrap();
    assert_eq!(qr.qr_secret(), &vector.array("qrSecret"));
    assert_eq!(qr.commit(), &commit(&offer));
    let keys = CodeKeys::derive(qr.qr_secret());
    assert_eq!(keys.offer_key().seal(keys.slot.as_bytes(), &offer).unwrap(), vector.bytes("offer_ct"));
    let told = Offer::decode(&offer).unwrap();
    let device = SigningKey::from_seed(&vector.array("deviceSeed"));
    assert_eq!((told.device_pk, told.nonce_o), (device.public(), vector.array("nonceO")));

    let kem = RecipientKey::of_vector(&vector.bytes("kemSecret"));
    assert_eq!(kem.public, told.kem_pk);

    // The machine's own step: M1 in, M2 out, byte for byte.
    let displayed = Displayed::of_vector(qr.clone(), kem.secret, offer.clone());
    let (context, m1) = (vector.bytes("context"), vector.message("m1"));
    let mut script = vector.script(&["respNonce", "nonceS"]);
    let (keyed, m2) = displayed.receive_m1(&context, &m1, &mut script).unwrap();
    assert_eq!(hex::encode(&m2), hex::encode(vector.message("m2")));
    assert_eq!(keyed.check_code.matches(vector.text("check_code")), Some(true));

    // The rest with the primitives, because the ratchet keys of the vector are its own.
    let outer = M1::decode(&m1).unwrap();
    let kem = RecipientKey::of_vector(&vector.bytes("kemSecret")).secret;
    let start = th0(&qr.encode(), &offer, &context);
    let mut channel = kem.accept(&outer.enc, &keys.psk, keys.slot.as_bytes(), &hpke_info(&start)).unwrap();
    M1Body::decode(&channel.open(b"m1", outer.ct.as_slice()).unwrap()).unwrap();
    let th2 = th2(&start, &m1, &m2);
    assert_eq!(th2, vector.array("th2"));
    let code = CheckCode::derive(&th2, &channel.export(ExportLabel::CheckCode).unwrap());
    assert_eq!(code.matches(vector.text("check_code")), Some(true));
    let secret = channel.export(ExportLabel::Response).unwrap();
    let mut response = response_key(&secret, &outer.enc, &vector.array("respNonce"));
    let opened = response.open(&aad("m2", &th1(&start, &m1)), M2::decode(&m2).unwrap().ct.as_slice()).unwrap();
    assert_eq!(M2Body::decode(&opened).unwrap().nonce_s, vector.array("nonceS"));
    let m2b = vector.message("m2b");
    let opened = response.open(&aad("m2b", &th2), M2b::decode(&m2b).unwrap().ct.as_slice()).unwrap();
    assert!(M2bBody::decode(&opened).unwrap().check_code_ok);

    let m3 = vector.message("m3");
    let key = OneShotKey::new(*k3(&th2, &channel.export(ExportLabel::M3).unwrap(), None));
    let opened = key.open(&aad("m3", &th2), M3::decode(&m3).unwrap().ct.as_slice()).unwrap();
    let m3_body = M3Body::decode(&opened).unwrap();
    let mut account = LinkedAccount::verify(&m3_body, DeviceKey::Own(device.clone()), &th2, super::harness::START)
        .expect("M3 is believed");
    assert_eq!(Certificate::decode(m3_body.cert.payload.as_slice()).unwrap().link_th, th2);

    let th3 = th3(&th2, &evidence_said(&m2b), &m3);
    let opened = response.open(&aad("m4", &th3), M4::decode(&vector.message("m4")).unwrap().ct.as_slice()).unwrap();
    let accept = device.sign(SigningContext::DeviceAccept, &m3_body.cert.digest());
    assert_eq!(M4Body::decode(&opened).unwrap().accept_sig, accept);
    let m5 = M5::decode(&vector.message("m5")).unwrap();
    let m5 = M5Body::decode(&channel.open(&aad("m5", &th3), m5.ct.as_slice()).unwrap()).unwrap();
    account.advance(&m5.list, None).unwrap();
    assert!(account.is_listed());
}

#[test]
fn a_pairing_of_this_implementation_is_a_vector_for_others() {
    let vector = made_here();
    check(&vector);
    if std::env::var_os("PAIRLIGHT_BLESS").is_some() {
        let text = serde_json::to_string_pretty(&vector.0).unwrap();
        std::fs::create_dir_all(std::path::Path::new(&path("")).parent().unwrap()).unwrap();
        std::fs::write(path("made-by-rust.json"), text + "\n").unwrap();
    }
    check(&Vector::load("made-by-rust.json"));
}

#[test]
fn a_pairing_of_the_typescript_implementation_is_repeated_here() {
    check(&Vector::load("made-by-typescript.json"));
}
