//! The story as it should go, and the ends that people cause.

use pairlight_wire::envelope::EnvelopeKind;
use pairlight_wire::pairing::EndReason;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::harness::{End, World};
use crate::pairing::*;
use crate::session::Session;
use crate::trust::{Evidence, EvidenceBit, Grade, Policy, ScanSource};

#[test]
fn a_scanned_code_becomes_a_linked_device_that_can_talk() {
    let mut world = World::new();
    world.scan();
    world.run();
    assert_eq!(world.ends(), (End::Linked, End::Linked));
    assert_eq!(world.ticks, 0, "an undisturbed pairing waits for nothing but people");
    world.assert_nothing_half_linked();
    assert!(world.device_is_listed());
    assert_eq!(
        world.primary_events,
        ["Review", "ShowCheckCode", "CheckCodeConfirmed", "Certified", "Accepted", "Linked"]
    );
    assert_eq!(world.linked_events, ["ShowCode", "Claimed", "EnterCheckCode", "CheckCodeAccepted", "Linked"]);

    let linked = world.disk.linked.as_ref().unwrap();
    let entry = world.account.list().entry(&linked.device_id()).unwrap();
    let (evidence, grade, _) = Evidence::from_certificate(entry.evidence);
    assert!(evidence.has(EvidenceBit::CheckCode) && evidence.has(EvidenceBit::RelayContext));
    assert_eq!(grade, Some(Grade::Medium));
    assert_eq!(world.account.name_of(entry).unwrap(), "Kim's laptop");
    assert_eq!(linked.primary(), Some(world.account.device_id()));
}

#[test]
fn the_first_messages_after_linking_go_both_ways() {
    let mut world = World::new();
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    world.scan();
    world.run();
    let mut primary = Session::decode(world.disk.session.as_ref().unwrap()).unwrap();
    let mut linked = Session::decode(world.disk.linked.as_ref().unwrap().first_session()).unwrap();
    let hello = linked.seal(EnvelopeKind::Application, b"hello phone", &mut rng).unwrap();
    assert_eq!(primary.open(&hello).unwrap().body, b"hello phone");
    let answer = primary.seal(EnvelopeKind::Application, b"hello laptop", &mut rng).unwrap();
    assert_eq!(linked.open(&answer).unwrap().body, b"hello laptop");
}

#[test]
fn declining_ends_both_sides_with_the_same_word() {
    let mut world = World::new();
    world.approves = false;
    world.scan();
    world.run();
    let declined = EndReason::Declined;
    assert_eq!(world.ends(), (End::Failed(declined), End::Failed(declined)));
    assert!(!world.device_is_listed());
}

#[test]
fn three_wrong_check_codes_end_the_pairing_on_both_sides() {
    let mut world = World::new();
    world.typed = Some("000000".into());
    world.scan();
    world.run();
    let wrong = EndReason::WrongCheckCode;
    assert_eq!(world.ends(), (End::Failed(wrong), End::Failed(wrong)));
    assert_eq!(world.linked_events.iter().filter(|event| *event == "WrongCheckCode").count(), 3);
}

#[test]
fn a_code_rotates_while_nobody_scans_and_the_newest_one_links() {
    let mut world = World::new();
    world.settle();
    let first = world.shown.clone().unwrap();
    world.wait();
    assert_ne!(world.shown.clone().unwrap(), first);
    world.scan();
    world.run();
    assert_eq!(world.ends(), (End::Linked, End::Linked));
}

#[test]
fn after_five_minutes_the_codes_stop_until_somebody_asks() {
    let mut world = World::new();
    world.settle();
    while world.linked.state() != LinkedState::Paused {
        world.wait();
    }
    assert_eq!(world.now.ms_since(super::harness::START), 300_000);
    assert_eq!(world.linked.poll_timeout(), None);
    world.linked.show_again(world.now);
    world.scan();
    world.run();
    assert_eq!(world.linked.state(), LinkedState::Linked);
}

#[test]
fn a_forwarded_picture_is_weak_whatever_the_relay_says_and_strong_only_refuses_it() {
    let mut world = World::new();
    world.policy = Policy::BALANCED;
    world.source = ScanSource::Picture;
    world.scan();
    world.run();
    assert_eq!(world.ends(), (End::Linked, End::Linked));
    assert!(world.primary_events.contains(&"ApproveAgain".to_owned()));

    let mut world = World::new();
    world.policy = Policy::STRONG_ONLY;
    world.scan();
    world.run();
    let refused = EndReason::Refused;
    assert_eq!(world.ends(), (End::Failed(refused), End::Failed(refused)));
}

#[test]
fn a_second_scanner_is_refused_and_before_the_first_message_both_sides_hear_of_it() {
    let mut world = World::new();
    world.settle();
    let payload = pairlight_wire::qr::QrPayload::parse(world.shown.as_ref().unwrap()).unwrap();
    let slot = crate::pairing::secret::CodeKeys::derive(payload.qr_secret()).slot;
    // The thief claims first: the person's own phone is the second scanner.
    assert!(world.claim(slot).is_ok());
    world.scan_payload(payload);
    world.run();
    let conflict = EndReason::Conflict;
    assert_eq!(world.ends(), (End::Failed(conflict), End::Failed(conflict)));
}

#[test]
fn no_message_of_a_pairing_holds_a_name_a_key_or_a_key_of_the_ratchet() {
    use pairlight_wire::Wire;

    let mut world = World::new();
    world.scan();
    world.run();
    let linked = world.disk.linked.as_ref().unwrap();
    // The public keys of the ratchet, as its state names them.
    let stored = crate::session::StoredSession::decode(world.disk.session.as_ref().unwrap()).unwrap();
    let state: serde_json::Value = serde_json::from_slice(stored.ratchet.as_slice()).unwrap();
    let mut keys = Vec::new();
    collect_keys(&state, &mut keys);
    assert!(keys.len() >= 3, "identity, one-time and base key at least: {}", keys.len());
    keys.extend([
        linked.device_key().own().unwrap().to_seed().to_vec(),
        linked.label_key().to_vec(),
        world.account.id().0.to_vec(),
    ]);
    keys.extend([b"Kim's laptop".to_vec(), world.account.root_pk().to_vec(), linked.device_id().as_bytes().to_vec()]);
    let sent = world.sent.iter().map(|(_, bytes)| bytes);
    for bytes in sent {
        for key in &keys {
            assert!(!bytes.windows(key.len()).any(|part| part == key), "a message shows {key:?}");
        }
    }
    assert!(world.sent.len() >= 6);
}

/// Everything in a state that looks like 32 bytes.
fn collect_keys(state: &serde_json::Value, into: &mut Vec<Vec<u8>>) {
    use base64::Engine as _;
    match state {
        serde_json::Value::Array(items) => {
            let bytes: Option<Vec<u8>> =
                items.iter().map(|item| item.as_u64().and_then(|n| u8::try_from(n).ok())).collect();
            match bytes.filter(|bytes| bytes.len() == 32) {
                Some(bytes) => into.push(bytes),
                None => items.iter().for_each(|item| collect_keys(item, into)),
            }
        }
        serde_json::Value::Object(fields) => fields.values().for_each(|field| collect_keys(field, into)),
        serde_json::Value::String(text) => {
            let bytes = base64::engine::general_purpose::STANDARD_NO_PAD.decode(text.trim_end_matches('='));
            into.extend(bytes.ok().filter(|bytes| bytes.len() == 32));
        }
        _ => {}
    }
}
