//! What the code commits to, what the first answer echoes, and what the key of M3 depends on: an adversary that knows the
//! code, made by hand.

use pairlight_wire::context::RelayContext;
use pairlight_wire::offer::{ClientKind, Offer, commit};
use pairlight_wire::pairing::{EndReason, M1, M1Body, M2, M2Body, M3Body, Purpose};
use pairlight_wire::qr::QrPayload;
use pairlight_wire::relay::{OpenSlot, RefusalCode};
use pairlight_wire::sign::{Signed, SigningContext};
use pairlight_wire::{Bytes, Wire};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::harness::{End, Leg, World};
use crate::crypto::hpke::{ExportLabel, RecipientKey, response_key};
use crate::crypto::kdf::hmac_sha256;
use crate::crypto::olm::RatchetKeys;
use crate::crypto::sign::SigningKey;
use crate::pairing::handshake::{DeviceDescription, Displayed, Scanned};
use crate::pairing::secret::CodeKeys;
use crate::pairing::transcript::{aad, hpke_info, k3, th0, th1};
use crate::pairing::{PrimaryOutput, PrimaryState};

fn rng(seed: u8) -> ChaCha20Rng {
    ChaCha20Rng::from_seed([seed; 32])
}

/// The relay saw the code: it can seal any offer under its key, and sign a context for that. Gives the end of the phone and
/// whether the person was asked.
fn claims_an_offer(bend: impl FnOnce(&mut Offer)) -> (End, bool) {
    let mut world = World::new();
    world.settle();
    let payload = QrPayload::parse(world.shown.as_ref().unwrap()).unwrap();
    let keys = CodeKeys::derive(payload.qr_secret());
    world.scan_payload(payload);
    assert!(matches!(world.primary.as_mut().unwrap().poll_output(), Some(PrimaryOutput::Claim(_))));
    let mut answer = world.claim(keys.slot).unwrap();
    let sealed = keys.offer_key().open(keys.slot.as_bytes(), answer.offer_ct.as_slice()).unwrap();
    let mut offer = Offer::decode(&sealed).unwrap();
    bend(&mut offer);
    let offer_ct = keys.offer_key().seal(keys.slot.as_bytes(), &offer.encode()).unwrap();
    let mut context = RelayContext::decode(answer.context.payload.as_slice()).unwrap();
    context.offer_ct_hash = pairlight_wire::hash::sha256(&[&offer_ct]);
    answer.context = world.relay_key.sign_payload(SigningContext::RelayContext, context.encode()).unwrap();
    answer.offer_ct = Bytes::new(offer_ct).unwrap();
    world.tell_primary(|primary, now| primary.handle_claim(Ok::<_, RefusalCode>(answer), now));
    world.drain();
    let asked = world.review.is_some() || world.primary.as_ref().unwrap().state() == PrimaryState::Review;
    (world.ends().1, asked)
}

#[test]
fn an_offer_that_the_code_does_not_commit_to_is_never_shown_to_the_person() {
    assert_eq!(claims_an_offer(|_| {}), (End::Running, true), "the true one, sealed again");
    let tampered = (End::Failed(EndReason::Tampered), false);
    assert_eq!(claims_an_offer(|offer| offer.kem_pk = RecipientKey::generate(&mut rng(50)).unwrap().public), tampered);
    let other = SigningKey::from_seed(&[51; 32]).public();
    assert_eq!(claims_an_offer(|offer| offer.device_pk = other), tampered);
    assert_eq!(claims_an_offer(|offer| offer.nonce_o[0] ^= 1), tampered);
}

/// A linked device made by hand answers M1 with M2 over the right channel, with what `bend` makes of the phone's nonce.
fn answers_with(bend: impl FnOnce(&mut [u8; 32])) -> (End, Option<String>) {
    let mut world = World::new();
    world.crash_linked(u64::MAX / 4);
    let description = DeviceDescription { name: "x".into(), os: "x".into(), app: "x".into(), kind: ClientKind::Native };
    let device = SigningKey::from_seed(&[52; 32]);
    let model = Displayed::generate(device.public(), &description, 0, &mut rng(53)).unwrap();
    let model_keys = CodeKeys::derive(QrPayload::parse(&model.text()).unwrap().qr_secret());
    let opened = model_keys.offer_key().open(model_keys.slot.as_bytes(), &model.offer_ct).unwrap();
    let kem = RecipientKey::generate(&mut rng(54)).unwrap();
    let offer = Offer { kem_pk: kem.public, ..Offer::decode(&opened).unwrap() }.encode();
    let payload = QrPayload::new(0, [55; 32], commit(&offer));
    let keys = CodeKeys::derive(payload.qr_secret());
    let offer_ct = keys.offer_key().seal(keys.slot.as_bytes(), &offer).unwrap();
    world.open(&OpenSlot { slot: keys.slot, offer_ct: Bytes::new(offer_ct).unwrap() });
    let start = th0(&payload.encode(), &offer, &world.context_of(keys.slot));
    world.scan_payload(payload);
    world.settle();
    let m1_bytes = world.sent.iter().find(|(leg, _)| *leg == Leg::ToLinked(0)).unwrap().1.clone();
    let m1 = M1::decode(&m1_bytes).unwrap();
    let mut channel = kem.secret.accept(&m1.enc, &keys.psk, keys.slot.as_bytes(), &hpke_info(&start)).unwrap();
    let body = M1Body::decode(&channel.open(b"m1", m1.ct.as_slice()).unwrap()).unwrap();
    let resp_nonce = [56; 32];
    let mut response = response_key(&channel.export(ExportLabel::Response).unwrap(), &m1.enc, &resp_nonce);
    let mut nonce_p = body.nonce_p;
    bend(&mut nonce_p);
    let m2 = M2Body { nonce_p, nonce_s: [57; 32], caps: 0 };
    let ct = response.seal(&aad("m2", &th1(&start, &m1_bytes)), &m2.encode()).unwrap();
    world.arrive(Leg::ToPrimary(0), M2 { resp_nonce, ct: Bytes::new(ct).unwrap() }.encode());
    world.settle();
    (world.ends().1, world.digits)
}

#[test]
fn an_answer_that_does_not_echo_the_nonce_of_m1_shows_no_check_code() {
    let (end, digits) = answers_with(|_| {});
    assert!(end == End::Running && digits.is_some(), "an honest one, made by hand");
    for bit in [0, 100, 255] {
        let (end, digits) = answers_with(|nonce| nonce[bit / 8] ^= 1 << (bit % 8));
        assert_eq!((end, digits), (End::Failed(EndReason::Tampered), None), "bit {bit}");
    }
}

#[test]
fn the_key_of_m3_is_made_of_the_nonce_from_the_air() {
    let (th2, exported, nonce) = ([1; 32], [2; 32], [3; 10]);
    // HKDF-SHA256 with one block, by its definition.
    let by_hand = |ikm: &[u8]| hmac_sha256(&hmac_sha256(&th2, &[ikm]), &[b"pairlight/v1/m3", &[1]]);
    assert_eq!(*k3(&th2, &exported, None), by_hand(&exported));
    assert_eq!(*k3(&th2, &exported, Some(&nonce)), by_hand(&[exported.as_slice(), &nonce].concat()));
    let other = [4; 10];
    assert_ne!(k3(&th2, &exported, Some(&nonce)), k3(&th2, &exported, Some(&other)));
}

/// Whether M3 opens on a device that heard `heard`, when the phone mixed `mixed` into its key.
fn opens(mixed: Option<[u8; 10]>, heard: &[[u8; 10]]) -> bool {
    let description = DeviceDescription { name: "x".into(), os: "x".into(), app: "x".into(), kind: ClientKind::Native };
    let displayed = Displayed::generate([9; 32], &description, 0, &mut rng(60)).unwrap();
    let scanned = Scanned::new(QrPayload::parse(&displayed.text()).unwrap());
    let reviewed = scanned.open_offer(&displayed.offer_ct, b"context").unwrap();
    let (waiting, m1) = reviewed.initiate(Purpose::Link, 0, &mut rng(61)).unwrap();
    let (keyed, m2) = displayed.receive_m1(b"context", &m1, &mut rng(62)).unwrap();
    let (mut confirmed, m2b) =
        keyed.confirm(Vec::new(), &RatchetKeys { identity: [7; 32], one_time: [8; 32] }).unwrap();
    confirmed.remember(heard);
    let (mut phone, _) = waiting.receive_m2(&m2).unwrap().receive_m2b(&m2b).unwrap();
    if let Some(nonce) = mixed {
        phone.mix(nonce);
    }
    let empty = || Signed { kid: [0; 8], payload: Bytes::default(), sig: [0; 64] };
    let body = M3Body {
        root_pk: [0; 32],
        cert: empty(),
        ops: empty(),
        list: empty(),
        lease: empty(),
        label_key: [0; 32],
        olm_ik: [0; 32],
        olm_prekey: Bytes::default(),
    };
    let (_, m3) = phone.certify(&body).unwrap();
    confirmed.receive_m3(&m3).is_ok()
}

#[test]
fn m3_opens_only_for_who_heard_the_nonce_that_the_phone_mixed_in() {
    let (said, other) = ([1; 10], [2; 10]);
    assert!(opens(None, &[]) && opens(None, &[other]), "not counted: anybody");
    assert!(opens(Some(said), &[said]) && opens(Some(said), &[other, said]));
    assert!(!opens(Some(said), &[]), "heard nothing");
    assert!(!opens(Some(said), &[other]), "heard another");
}
