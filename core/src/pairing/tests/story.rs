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
