//! Evidence, from the linked device's app and radio to the certificate: what counts, what does not, what is asked for.

use core::time::Duration;

use ed25519_dalek::Signer;
use pairlight_wire::Bytes;
use pairlight_wire::device::{Certificate, Preset, SCOPE_ALL, SCOPE_RECEIVE, SCOPE_SEND};
use pairlight_wire::evidence::PasskeyProof;
use pairlight_wire::hash::sha256;
use pairlight_wire::limits::EVIDENCE_MS;
use pairlight_wire::list::{Entry, RemovalReason};
use pairlight_wire::offer::ClientKind;
use pairlight_wire::pairing::EndReason;
use pairlight_wire::{Text, Wire};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::figures::documented;
use super::harness::{App, End, Leg, START, World};
use crate::Timestamp;
use crate::pairing::*;
use crate::trust::EvidenceBit as Bit;
use crate::trust::*;

const RP_ID: &str = "example.com";
pub(super) const ORIGIN: &str = "https://link.example.com";

/// A passkey of the person, made of an Ed25519 key.
fn passkey_key() -> ed25519_dalek::SigningKey {
    ed25519_dalek::SigningKey::from_bytes(&[0x44; 32])
}

fn registration() -> PasskeyRegistration {
    let mut cose = hex::decode("a4010103272006215820").unwrap();
    cose.extend(passkey_key().verifying_key().as_bytes());
    PasskeyRegistration::new(b"credential", &cose, RP_ID, &[ORIGIN]).unwrap()
}

/// What a browser on `origin` makes of a request.
fn assertion(wanted: &PasskeyWanted, origin: &str) -> AppEvidence {
    use base64::Engine as _;
    assert_eq!((wanted.rp_id.as_str(), wanted.credentials.as_slice()), (RP_ID, [b"credential".to_vec()].as_slice()));
    let challenge = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(wanted.challenge);
    let client =
        format!(r#"{{"type":"webauthn.get","challenge":"{challenge}","origin":"{origin}","crossOrigin":false}}"#);
    let data = [sha256(&[RP_ID.as_bytes()]).as_slice(), &[0x1d, 0, 0, 0, 1]].concat();
    let signature = passkey_key().sign(&[data.as_slice(), &sha256(&[client.as_bytes()])].concat());
    AppEvidence::Passkey(Box::new(PasskeyProof {
        credential: Bytes::new(b"credential".to_vec()).unwrap(),
        authenticator_data: Bytes::new(data).unwrap(),
        client_data: Bytes::new(client.into_bytes()).unwrap(),
        signature: Bytes::new(signature.to_bytes().to_vec()).unwrap(),
    }))
}

pub(super) fn browser_on(origin: &'static str) -> App {
    Box::new(move |wanted| Some(wanted.passkey.iter().map(|wanted| assertion(wanted, origin)).collect()))
}

fn description(kind: ClientKind) -> DeviceDescription {
    DeviceDescription { name: "Kim's laptop".into(), os: "Linux".into(), app: "Chromium".into(), kind }
}

/// A world whose linked device is of `kind` and can give `abilities`, in another network than the phone.
pub(super) fn world(kind: ClientKind, abilities: LinkedAbilities) -> World {
    let mut world = World::new();
    let machine = LinkedMachine::new(description(kind), 0, START, ChaCha20Rng::from_seed([7; 32]));
    world.linked = machine.with_evidence(abilities);
    world.same_network = false;
    world.bend_context = |context| context.city = None;
    world.policy = Policy::STRICT;
    world
}

pub(super) fn page() -> World {
    page_with_seed(7)
}

/// A page whose keys and nonces are not those of another seed.
pub(super) fn page_with_seed(seed: u8) -> World {
    let abilities = LinkedAbilities { passkey: true, ..LinkedAbilities::default() };
    let mut world = world(ClientKind::Web, abilities);
    let machine = LinkedMachine::new(description(ClientKind::Web), 0, START, ChaCha20Rng::from_seed([seed; 32]));
    world.linked = machine.with_evidence(abilities);
    world.bend_context = |context| context.origin = Some(Text::truncated(ORIGIN));
    world.setup.passkeys = vec![registration()];
    world
}

fn with(bits: &[Bit]) -> Evidence {
    bits.iter().fold(Evidence::NONE, |set, bit| set.with(*bit))
}

fn entry(world: &World) -> Entry {
    let linked = world.disk.linked.as_ref().expect("linked");
    world.account.list().entry(&linked.device_id()).expect("listed").clone()
}

/// Plays to the end: linked, with this evidence and grade in certificate and list.
fn links_with(world: &mut World, bits: &[Bit], grade: Grade) {
    world.scan();
    world.run();
    assert_eq!(world.ends(), (End::Linked, End::Linked), "{:?} {:?}", world.findings, world.help);
    let expected = (with(bits), Some(grade), Some(world.policy.preset));
    assert_eq!(Evidence::from_certificate(entry(world).evidence), expected);
    world.assert_nothing_half_linked();
}

fn is_refused(world: &mut World) {
    world.scan();
    world.run();
    let refused = End::Failed(EndReason::Refused);
    assert_eq!(world.ends(), (refused, refused), "{:?}", world.findings);
    assert!(!world.device_is_listed());
}

/// Messages that crossed the relay, in each direction, and their bytes.
fn traffic(world: &World) -> (usize, usize, usize) {
    let to_linked = world.sent.iter().filter(|(leg, _)| matches!(leg, Leg::ToLinked(_))).count();
    (to_linked, world.sent.len() - to_linked, world.sent.iter().map(|(_, bytes)| bytes.len()).sum())
}

// ---------------------------------------------------------------- passkey

#[test]
fn a_passkey_that_the_page_is_asked_for_makes_the_link_strong() {
    let mut world = page();
    world.policy = Policy::STRONG_ONLY;
    world.app = browser_on(ORIGIN);
    links_with(&mut world, &[Bit::CheckCode, Bit::Passkey], Grade::Strong);
    assert_eq!(world.findings, [(Bit::Passkey, Finding::Proven)]);
    assert!(world.linked_events.contains(&"EvidenceWanted".to_owned()));
    assert!(world.primary_events.contains(&"AskedForEvidence".to_owned()));
    // M1, Need, M3, M5 one way; M2, M2b, M2b again, M4 the other.
    assert_eq!((traffic(&world).0, traffic(&world).1), (4, 4));
}

#[test]
fn a_passkey_that_the_page_brings_unasked_needs_no_further_round() {
    let mut world = page();
    world.policy = Policy::STRONG_ONLY;
    world.scan();
    // The page runs WebAuthn while the person looks for the digits.
    world.slips = vec!["no digits".into()];
    while world.linked.passkey_challenge().is_none() {
        world.nobody = world.linked.state() == LinkedState::AwaitingCheckCode;
        world.settle_once();
    }
    let challenge = world.linked.passkey_challenge().unwrap();
    let wanted = PasskeyWanted { rp_id: RP_ID.into(), credentials: vec![b"credential".to_vec()], challenge };
    let now = world.now;
    world.linked.give_evidence(vec![assertion(&wanted, ORIGIN)], now);
    world.nobody = false;
    world.run();
    assert_eq!(world.ends(), (End::Linked, End::Linked));
    assert_eq!((traffic(&world).0, traffic(&world).1), (3, 3));
    assert_eq!(world.findings, [(Bit::Passkey, Finding::Proven)]);
}

#[test]
fn a_passkey_used_on_another_origin_proves_nothing_and_strong_only_refuses_with_what_would_help() {
    let mut world = page();
    world.policy = Policy::STRONG_ONLY;
    world.app = browser_on("https://link.example.com.evil.test");
    is_refused(&mut world);
    let finding = Finding::Refuted(Refutation::Passkey(PasskeyError::ForeignOrigin));
    assert_eq!(world.findings, [(Bit::Passkey, finding)]);
    // Bluetooth is no help to a page.
    let strong = [Bit::Passkey, Bit::Tap, Bit::KnownDevice, Bit::Managed].map(Help::Evidence);
    assert_eq!(world.help, strong);
    assert!(world.help.iter().all(|help| !help.text().is_empty() && !help.key().is_empty()));
}

#[test]
fn a_page_without_its_passkey_stays_weak_whatever_it_says_instead() {
    // It gives nothing; it never answers; it cannot.
    let nothing: [fn() -> App; 2] = [|| Box::new(|_| Some(Vec::new())), || Box::new(|_| None)];
    for app in nothing {
        let mut world = page();
        world.app = app();
        links_with(&mut world, &[Bit::CheckCode], Grade::Weak);
        assert!(world.primary_events.contains(&"ApproveAgain".to_owned()));
    }
    let mut world = page();
    let machine = LinkedMachine::new(description(ClientKind::Web), 0, START, ChaCha20Rng::from_seed([7; 32]));
    world.linked = machine;
    links_with(&mut world, &[Bit::CheckCode], Grade::Weak);
    assert!(!world.linked_events.contains(&"EvidenceWanted".to_owned()));
    // Under Balanced, where weak links are usable, the page is asked all the same.
    let mut world = page();
    world.policy = Policy::BALANCED;
    world.app = browser_on(ORIGIN);
    links_with(&mut world, &[Bit::CheckCode, Bit::Passkey], Grade::Strong);
}

/// The relay saw the phone in the city of the page, at its provider, in another network: a proxy for rent.
fn in_one_city(answer: &mut pairlight_wire::relay::ClaimAnswer) {
    use pairlight_wire::context::OwnContext;
    use pairlight_wire::sign::SigningContext;
    let mut own = OwnContext::decode(answer.own_context.payload.as_slice()).unwrap();
    (own.city, own.asn) = (Some(Text::truncated("Utrecht")), 64_500);
    let key = crate::crypto::sign::SigningKey::from_seed(&[9; 32]);
    answer.own_context = key.sign_payload(SigningContext::RelayContext, own.encode()).unwrap();
}

#[test]
fn a_phisher_with_a_proxy_in_the_persons_city_gets_medium_and_what_the_policy_gives_for_it() {
    let days = |days: u64| days * 24 * 3_600_000;
    for (policy, lease) in
        [(Policy::STRICT, Some(days(14))), (Policy::BALANCED, Some(days(30))), (Policy::STRONG_ONLY, None)]
    {
        // The person has a passkey; the phisher's page is on another origin and gives what it can.
        let mut world = page();
        world.app = browser_on("https://link.example.com.evil.test");
        world.bend_context = |context| context.origin = Some(Text::truncated("https://link.example.com.evil.test"));
        world.bend_claim = in_one_city;
        world.policy = policy;
        match lease {
            Some(lease) => {
                links_with(&mut world, &[Bit::CheckCode, Bit::RelayContext], Grade::Medium);
                let linked = world.disk.linked.as_ref().unwrap();
                assert_eq!(linked.ends(), START.plus_ms(lease).unix_ms());
                let narrow = policy.preset == Preset::Strict;
                let scope = if narrow { SCOPE_RECEIVE | SCOPE_SEND } else { SCOPE_ALL };
                assert_eq!(entry(&world).scope, scope, "no export, no settings");
            }
            None => is_refused(&mut world),
        }
        // The proxy moves the place and nothing else: the screen names the page.
        let review = world.review.as_ref().unwrap();
        assert!(review.same_place && review.in_browser);
        assert_eq!(review.origin.as_deref(), Some("https://link.example.com.evil.test"));
        assert!(review.warnings.contains(&Warning::ForeignOrigin));
        let foreign = Finding::Refuted(Refutation::Passkey(PasskeyError::ForeignOrigin));
        assert_eq!(world.findings, [(Bit::Passkey, foreign)], "it was asked, and gained nothing");
    }
}

#[test]
fn a_page_is_not_graded_by_what_only_a_program_can_show() {
    let abilities = LinkedAbilities { lan: true, radio: true, ..LinkedAbilities::default() };
    // A page by its own word; a program by its own word that the relay saw come from a page.
    for kind in [ClientKind::Web, ClientKind::Native] {
        for policy in [Policy::STRICT, Policy::STRONG_ONLY] {
            let mut world = world(kind, abilities);
            world.bend_context = |context| (context.city, context.client_kind) = (None, ClientKind::Web);
            (world.setup.lan, world.setup.radio) = (Some(Duration::from_millis(15)), true);
            world.policy = policy;
            if policy.weak.is_some() {
                links_with(&mut world, &[Bit::CheckCode], Grade::Weak);
            } else {
                is_refused(&mut world);
                assert!(!world.help.iter().any(|help| matches!(help, Help::Evidence(Bit::Lan | Bit::Ble))));
            }
            // Its answers would have been fast enough, and nothing was sent or advertised to find that out.
            assert_eq!(world.findings, [(Bit::Lan, Finding::Refuted(Refutation::InBrowser))]);
            assert_eq!(world.adverts, 0);
        }
    }
    // The same device as a program, which is strong.
    let mut native = world(ClientKind::Native, abilities);
    (native.setup.lan, native.setup.radio) = (Some(Duration::from_millis(15)), true);
    links_with(&mut native, &[Bit::CheckCode, Bit::Lan, Bit::Ble], Grade::Strong);
    assert_eq!(native.adverts, 1);
}

#[test]
fn an_assertion_of_another_link_is_refused() {
    let mut first = page();
    first.policy = Policy::STRONG_ONLY;
    let kept = std::rc::Rc::new(std::cell::RefCell::new(None));
    let keep = kept.clone();
    first.app = Box::new(move |wanted| {
        let proof = assertion(wanted.passkey.as_ref().unwrap(), ORIGIN);
        *keep.borrow_mut() = Some(proof.clone());
        Some(vec![proof])
    });
    links_with(&mut first, &[Bit::CheckCode, Bit::Passkey], Grade::Strong);
    let mut second = page();
    let machine = LinkedMachine::new(description(ClientKind::Web), 0, START, ChaCha20Rng::from_seed([8; 32]));
    second.linked = machine.with_evidence(LinkedAbilities { passkey: true, ..LinkedAbilities::default() });
    second.policy = Policy::STRONG_ONLY;
    second.app = Box::new(move |_| kept.borrow_mut().take().map(|proof| vec![proof]));
    is_refused(&mut second);
    let finding = Finding::Refuted(Refutation::Passkey(PasskeyError::WrongChallenge));
    assert_eq!(second.findings, [(Bit::Passkey, finding)]);
}

#[test]
fn every_message_of_the_further_round_is_bound() {
    // Need is the second message to the linked device, the second M2b the third to the primary device.
    for (leg, seen_by_linked) in [(Leg::ToLinked(1), true), (Leg::ToPrimary(2), false)] {
        for at in [0, 5, 20, 45] {
            let mut world = page();
            world.app = browser_on(ORIGIN);
            world.tamper = Box::new(move |now, mut bytes| {
                if now == leg {
                    let at = at.min(bytes.len() - 1);
                    bytes[at] ^= 1;
                }
                vec![(now, bytes)]
            });
            world.scan();
            world.run();
            let tampered = End::Failed(EndReason::Tampered);
            assert_eq!(
                world.ends(),
                (tampered, tampered),
                "{leg:?} byte {at}, seen by the linked device: {seen_by_linked}"
            );
        }
        // Lost, or doubled.
        let mut world = page();
        world.app = browser_on(ORIGIN);
        world.tamper = Box::new(move |now, bytes| if now == leg { Vec::new() } else { vec![(now, bytes)] });
        world.scan();
        world.run();
        assert!(matches!(world.ends(), (End::Failed(_), End::Failed(_))));
        world.assert_nothing_half_linked();
        let mut world = page();
        world.app = browser_on(ORIGIN);
        world.tamper = Box::new(move |now, bytes| vec![(now, bytes.clone()), (now, bytes)]);
        links_with(&mut world, &[Bit::CheckCode, Bit::Passkey], Grade::Strong);
    }
}

// ---------------------------------------------------------------- local network

fn lan_world() -> World {
    let mut world = world(ClientKind::Native, LinkedAbilities { lan: true, ..LinkedAbilities::default() });
    world.setup.lan = Some(lan::LAN_LIMIT);
    world
}

#[test]
fn a_fast_answer_on_the_local_network_makes_the_link_medium_without_a_further_message() {
    let mut world = lan_world();
    links_with(&mut world, &[Bit::CheckCode, Bit::Lan], Grade::Medium);
    assert_eq!((traffic(&world).0, traffic(&world).1), (3, 3));
    assert_eq!(entry(&world).scope, Policy::STRICT.medium.unwrap().scope);
}

#[test]
fn a_slow_silent_foreign_or_unreported_local_network_leaves_the_link_weak() {
    let refuted = |delay: Option<Duration>, addresses: &[&str]| {
        let mut world = lan_world();
        world.lan_delay = delay;
        world.lan_addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        links_with(&mut world, &[Bit::CheckCode], Grade::Weak);
        world.findings
    };
    let ms = |ms| Some(Duration::from_millis(ms));
    let near = ["10.0.0.7"];
    let slow = refuted(ms(16), &near);
    assert!(matches!(slow.as_slice(), [(Bit::Lan, Finding::Refuted(Refutation::TooSlow(_)))]), "{slow:?}");
    let silent = Finding::Refuted(Refutation::Silent);
    assert_eq!(refuted(ms(200), &near), [(Bit::Lan, silent)]);
    assert_eq!(refuted(None, &near), [(Bit::Lan, Finding::Refuted(Refutation::NoVerdict))]);
    // A device that names only addresses of the wide world names none.
    assert_eq!(refuted(ms(2), &["203.0.113.9"]), []);
}

#[test]
fn a_local_network_that_nobody_reports_on_costs_twenty_seconds_at_most() {
    let mut world = lan_world();
    world.lan_delay = None;
    world.scan();
    while world.primary.as_ref().map(PrimaryMachine::state) != Some(PrimaryState::CheckingEvidence) {
        world.settle_once();
    }
    let now = world.now;
    assert_eq!(world.primary.as_ref().unwrap().poll_timeout(), Some(now.plus_ms(EVIDENCE_MS)));
}

// ---------------------------------------------------------------- radio

pub(super) fn radio_world() -> World {
    let mut world = world(ClientKind::Native, LinkedAbilities { radio: true, ..LinkedAbilities::default() });
    world.setup.radio = true;
    world
}

#[test]
fn a_device_that_hears_the_phones_radio_is_strong_and_the_radio_is_silent_afterwards() {
    let mut world = radio_world();
    world.policy = Policy::STRONG_ONLY;
    links_with(&mut world, &[Bit::CheckCode, Bit::Ble], Grade::Strong);
    assert_eq!(world.on_air, RadioOrder::Stop);
    assert_eq!((traffic(&world).0, traffic(&world).1), (3, 3));
}

#[test]
fn a_stranger_who_photographed_the_code_can_advertise_but_not_pass_for_the_phone() {
    // He knows the key of the code, so his advertisement is heard; the phone knows that it is not its own.
    let mut world = radio_world();
    world.settle();
    let payload = pairlight_wire::qr::QrPayload::parse(world.shown.as_ref().unwrap()).unwrap();
    let key = crate::pairing::secret::CodeKeys::derive(payload.qr_secret()).ble;
    world.strange_adverts = vec![[0; 16], ble::advertised_uuid(&key, &[9; 10])];
    world.out_of_range = true;
    links_with(&mut world, &[Bit::CheckCode], Grade::Weak);
    assert_eq!(world.findings, [(Bit::Ble, Finding::Refuted(Refutation::NotHeard))]);

    // With the phone in range as well, its own nonce is among those heard.
    let mut world = radio_world();
    world.settle();
    let payload = pairlight_wire::qr::QrPayload::parse(world.shown.as_ref().unwrap()).unwrap();
    let key = crate::pairing::secret::CodeKeys::derive(payload.qr_secret()).ble;
    world.strange_adverts = (1..=3).map(|n| ble::advertised_uuid(&key, &[n; 10])).collect();
    links_with(&mut world, &[Bit::CheckCode, Bit::Ble], Grade::Strong);
}

#[test]
fn a_device_out_of_range_is_asked_again_where_the_policy_needs_it_and_then_refused() {
    let mut world = radio_world();
    world.policy = Policy::STRONG_ONLY;
    world.out_of_range = true;
    is_refused(&mut world);
    assert!(world.primary_events.contains(&"AskedForEvidence".to_owned()));
    assert_eq!(world.on_air, RadioOrder::Stop);
    assert_eq!(world.findings, []);
}

// ---------------------------------------------------------------- known device

/// A linked world, and what its linked device keeps.
pub(super) fn linked_before() -> (World, LinkedAccount) {
    let mut world = World::new();
    world.scan();
    world.run();
    let account = world.disk.linked.clone().unwrap();
    (world, account)
}

/// The same account and relay, a new attempt of `linked`.
pub(super) fn again(before: &World, linked: LinkedMachine<ChaCha20Rng>) -> World {
    let mut world = world(ClientKind::Native, LinkedAbilities::default());
    world.account = before.account.clone();
    world.published = before.published.clone();
    world.linked = linked;
    world
}

pub(super) fn returning(account: &LinkedAccount) -> LinkedMachine<ChaCha20Rng> {
    LinkedMachine::relink(account, description(ClientKind::Native), 0, START, ChaCha20Rng::from_seed([70; 32]))
}

#[test]
fn a_lapsed_device_comes_back_as_itself_and_strong() {
    let (before, account) = linked_before();
    let mut world = again(&before, returning(&account));
    world.policy = Policy::STRONG_ONLY;
    world.setup.lapsed = vec![account.device_id()];
    links_with(&mut world, &[Bit::CheckCode, Bit::KnownDevice], Grade::Strong);
    let now = world.disk.linked.as_ref().unwrap();
    assert_eq!(now.device_id(), account.device_id());
    assert_eq!(now.id(), account.id());
    assert_ne!(entry(&world).cert_digest, before.account.list().entry(&account.device_id()).unwrap().cert_digest);
    assert_eq!(world.account.list().list().entries.as_slice().len(), 2, "it took its own place");
    assert_eq!(world.review.as_ref().unwrap().returning.as_deref(), Some("Kim's laptop"));
    // The person is shown the name, and not told that the device is there already.
    assert!(!world.review.as_ref().unwrap().warnings.contains(&Warning::AlreadyLinked));
}

#[test]
fn a_device_that_has_not_lapsed_is_no_known_device_and_the_person_is_warned() {
    let (before, account) = linked_before();
    let mut world = again(&before, returning(&account));
    links_with(&mut world, &[Bit::CheckCode], Grade::Weak);
    // It was not even asked: the purpose was a new link.
    assert_eq!(world.findings, []);
    assert!(world.review.as_ref().unwrap().warnings.contains(&Warning::AlreadyLinked));
    assert_eq!(world.review.as_ref().unwrap().returning, None);
}

#[test]
fn a_revoked_device_cannot_come_back_under_its_key() {
    let (before, account) = linked_before();
    let mut world = again(&before, returning(&account));
    let removed = world.account.list_without(&account.device_id(), RemovalReason::Revoked, world.now).unwrap();
    world.account.advance(removed.signed(), None).unwrap();
    world.published.push(removed.signed().clone());
    world.setup.lapsed = vec![account.device_id()];
    is_refused(&mut world);
    // Under a new key it is a stranger like everybody.
    let fresh = LinkedMachine::new(description(ClientKind::Native), 0, START, ChaCha20Rng::from_seed([71; 32]));
    let mut fresh = again(&world, fresh);
    links_with(&mut fresh, &[Bit::CheckCode], Grade::Weak);
}

#[test]
fn who_only_knows_the_public_key_of_a_lapsed_device_cannot_take_its_place() {
    let (_, account) = linked_before();
    let th2 = [3; 32];
    let proof = known::prove_known(account.device_key().own().unwrap(), &th2);
    let pk = account.device_key().public();
    assert_eq!(known::verify_known(&pk, &proof, &th2), Ok(()));
    assert_eq!(known::verify_known(&pk, &proof, &[4; 32]), Err(KnownError::Signature));
    assert_eq!(known::verify_known(&pk, &proof[..63], &th2), Err(KnownError::Signature));
    let other = crate::crypto::sign::SigningKey::from_seed(&[1; 32]);
    let forged = known::prove_known(&other, &th2);
    assert_eq!(known::verify_known(&pk, &forged, &th2), Err(KnownError::Signature));
}

// ---------------------------------------------------------------- hooks of the host

#[test]
fn the_right_word_over_a_cable_makes_the_link_strong_and_another_does_not() {
    let mut world = world(ClientKind::Native, LinkedAbilities::default());
    world.policy = Policy::STRONG_ONLY;
    world.tap = Some(0);
    links_with(&mut world, &[Bit::CheckCode, Bit::Tap], Grade::Strong);
    let mut other = super::evidence::world(ClientKind::Native, LinkedAbilities::default());
    other.tap = Some(1);
    links_with(&mut other, &[Bit::CheckCode], Grade::Weak);
    assert_eq!(other.findings, [(Bit::Tap, Finding::Refuted(Refutation::OtherTap))]);
}

#[test]
fn an_attestation_counts_as_the_host_judges_it() {
    let attesting = |judgement: Option<ManagedVerdict>| {
        let abilities = LinkedAbilities { managed: true, ..LinkedAbilities::default() };
        let mut world = world(ClientKind::Native, abilities);
        world.policy = Policy::STRONG_ONLY;
        world.setup.managed = true;
        // Stands for an attestation that is bound to the challenge: the harness's host compares the two.
        world.app = Box::new(|wanted| Some(vec![AppEvidence::Managed(wanted.managed.unwrap().to_vec())]));
        world.judgement = judgement;
        world
    };
    links_with(&mut attesting(Some(ManagedVerdict::Attested)), &[Bit::CheckCode, Bit::Managed], Grade::Strong);
    let mut not = attesting(Some(ManagedVerdict::NotAttested));
    is_refused(&mut not);
    assert_eq!(not.findings, [(Bit::Managed, Finding::Refuted(Refutation::NotAttested))]);
    let mut silent = attesting(None);
    is_refused(&mut silent);
    assert_eq!(silent.findings, [(Bit::Managed, Finding::Refuted(Refutation::NoVerdict))]);
}

// ---------------------------------------------------------------- grades and policies

#[test]
fn a_forwarded_code_stays_weak_with_every_evidence_there_is() {
    for source in [ScanSource::Picture, ScanSource::Pasted] {
        let everything = LinkedAbilities { lan: true, radio: true, passkey: true, managed: false };
        let mut world = world(ClientKind::Native, everything);
        world.source = source;
        world.setup = EvidenceSetup {
            lan: Some(lan::LAN_LIMIT),
            radio: true,
            passkeys: vec![registration()],
            ..EvidenceSetup::default()
        };
        world.tap = Some(0);
        links_with(&mut world, &[Bit::CheckCode, Bit::Lan, Bit::Ble, Bit::Tap], Grade::Weak);
        let review = world.review.unwrap();
        assert_eq!(review.warnings[0], Warning::NotFromCamera);
        assert_eq!((review.emphasis, review.default_choice), (Emphasis::Danger, Choice::Decline));

        let mut world = super::evidence::world(ClientKind::Native, everything);
        world.source = source;
        world.policy = Policy::STRONG_ONLY;
        world.setup.radio = true;
        is_refused(&mut world);
        assert_eq!(world.help, [Help::LiveCamera]);
        assert!(!world.primary_events.contains(&"AskedForEvidence".to_owned()), "nothing that S can give would help");
    }
}

#[test]
fn certificate_lease_and_list_say_the_same_of_every_preset_and_grade() {
    for policy in [Policy::DEVELOPMENT, Policy::BALANCED, Policy::STRICT, Policy::STRONG_ONLY] {
        for strong in [false, true] {
            let mut world = world(ClientKind::Native, LinkedAbilities::default());
            world.policy = policy;
            world.tap = strong.then_some(0);
            let grade = if strong { Grade::Strong } else { Grade::Weak };
            let Some(grant) = policy.grant(grade).copied() else {
                is_refused(&mut world);
                continue;
            };
            let bits = if strong { vec![Bit::CheckCode, Bit::Tap] } else { vec![Bit::CheckCode] };
            links_with(&mut world, &bits, grade);
            let (listed, linked) = (entry(&world), world.disk.linked.as_ref().unwrap());
            assert_eq!(listed.scope, grant.scope);
            let cert = Certificate::decode(linked.certificate().payload.as_slice()).unwrap();
            assert_eq!((cert.evidence, cert.scope), (listed.evidence, grant.scope));
            let lease = pairlight_wire::device::Lease::decode(linked.lease().payload.as_slice()).unwrap();
            assert_eq!(lease.scope, grant.scope_at(0));
            assert_eq!(lease.not_after - lease.not_before, grant.lease_ms);
            let again = world.primary_events.contains(&"ApproveAgain".to_owned());
            assert_eq!(again, grant.second_approval);
        }
    }
}

#[test]
fn the_first_approval_counts_only_after_the_time_to_think_too() {
    // A picture is weak: the screen asks for ten seconds. A code that the camera saw here is not.
    for (source, hold_ms) in [(ScanSource::Picture, 10_000), (ScanSource::LiveCamera, 0)] {
        let mut world = World::new();
        (world.policy, world.source) = (Policy::BALANCED, source);
        world.nobody = true;
        world.scan();
        world.drain();
        assert_eq!(world.review.as_ref().unwrap().hold_ms, hold_ms);
        let state = |world: &World| world.primary.as_ref().unwrap().state();
        for early in [0, 1, 9_998].into_iter().filter(|_| hold_ms > 0) {
            world.now = world.now.plus_ms(early);
            let left_ms = hold_ms - world.now.ms_since(START);
            world.tell_primary(|primary, now| assert_eq!(primary.approve(now), Err(TooEarly { left_ms })));
            world.drain();
            assert_eq!(state(&world), PrimaryState::Review, "an approval that came too early changes nothing");
            assert!(world.sent.is_empty(), "and sends nothing");
        }
        // No is no at any time; here the person waits.
        world.now = START.plus_ms(hold_ms);
        world.tell_primary(|primary, now| assert_eq!(primary.approve(now), Ok(())));
        assert_eq!(state(&world), PrimaryState::AwaitingKey);
    }
}

#[test]
fn the_second_approval_counts_only_after_the_time_to_think() {
    let mut world = world(ClientKind::Native, LinkedAbilities::default());
    world.policy = Policy::BALANCED;
    world.scan();
    while world.primary.as_ref().map(PrimaryMachine::state) != Some(PrimaryState::SecondApproval) {
        world.settle_once();
    }
    let asked = |world: &World| world.primary_events.iter().filter(|event| *event == "ApproveAgain").count();
    world.drain();
    assert_eq!(asked(&world), 1);
    for early in [0, 1, 9_998] {
        world.now = world.now.plus_ms(early);
        let now = world.now;
        let mut answer = Ok(());
        world.tell_primary(|primary, _| answer = primary.approve_again(now));
        assert!(matches!(answer, Err(TooEarly { left_ms: 1.. })));
        world.drain();
        assert_eq!(world.primary.as_ref().unwrap().state(), PrimaryState::SecondApproval);
    }
    assert_eq!(asked(&world), 4);
    // A clock that is set back does not lengthen the rest by what it jumped.
    let back = Timestamp::from_unix_ms(world.now.unix_ms() - 3_600_000);
    world.tell_primary(|primary, _| assert_eq!(primary.approve_again(back), Err(TooEarly { left_ms: 1 })));
    world.tell_primary(|primary, _| primary.approve_again(back.plus_ms(1)).unwrap());
    world.drain();
    assert_eq!(world.primary.as_ref().unwrap().state(), PrimaryState::Linked);
}
#[test]
fn evidence_that_a_policy_requires_is_asked_for_and_refused_without() {
    let required = |app: App| {
        let mut world = page();
        world.policy = Policy { required: with(&[Bit::Passkey]), preset: Preset::Custom, ..Policy::DEVELOPMENT };
        world.app = app;
        world
    };
    links_with(&mut required(browser_on(ORIGIN)), &[Bit::CheckCode, Bit::Passkey], Grade::Strong);
    let mut without = required(Box::new(|_| Some(Vec::new())));
    is_refused(&mut without);
    assert_eq!(without.help, [Help::Evidence(Bit::Passkey)]);
    assert!(without.review.unwrap().warnings.contains(&Warning::MoreEvidenceNeeded));
}

#[test]
fn the_review_says_what_the_screen_must_show() {
    // A page on an unknown origin, elsewhere, under a policy that will not take it.
    let mut world = page();
    world.policy = Policy::STRONG_ONLY;
    world.bend_context = |context| context.origin = Some(Text::truncated("https://evil.test"));
    is_refused(&mut world);
    let review = world.review.unwrap();
    assert_eq!(review.origin.as_deref(), Some("https://evil.test"));
    assert!(review.in_browser && !review.same_place);
    use Warning::*;
    assert_eq!(review.warnings, [ForeignOrigin, OtherPlace, NothingProvesNearby, MoreEvidenceNeeded]);
    assert_eq!(review.help, [Bit::Passkey, Bit::Tap, Bit::KnownDevice, Bit::Managed].map(Help::Evidence));

    // The app's own page, weak by context, under the default policy.
    let mut world = page();
    world.policy = Policy::BALANCED;
    world.approves = false;
    world.scan();
    world.run();
    let review = world.review.unwrap();
    assert_eq!(review.warnings, [OtherPlace, NothingProvesNearby]);
    assert_eq!((review.emphasis, review.default_choice), (Emphasis::Danger, Choice::Decline));
    assert_eq!((review.hold_ms, review.asks_twice, review.help), (10_000, true, vec![]));

    // A program in the same network, under development settings.
    let mut world = World::new();
    world.approves = false;
    world.scan();
    world.run();
    let review = world.review.unwrap();
    assert_eq!((review.emphasis, review.grade_so_far), (Emphasis::Place, Grade::Medium));
    assert_eq!(review.warnings, [DevelopmentPolicy]);
    assert_eq!((review.hold_ms, review.asks_twice, review.place.as_deref()), (0, false, Some("Utrecht, NL")));
    // A page without an origin is nobody's page.
    let mut world = page();
    world.bend_context = |_| {};
    world.approves = false;
    world.scan();
    world.run();
    assert!(world.review.unwrap().warnings.contains(&ForeignOrigin));
    let all = [
        OtherPlace,
        UnknownPlace,
        NotFromCamera,
        ForeignOrigin,
        NothingProvesNearby,
        MoreEvidenceNeeded,
        AlreadyLinked,
        DevelopmentPolicy,
    ];
    let mut keys: Vec<_> = all.iter().map(|warning| warning.key()).collect();
    keys.dedup();
    assert!(keys.len() == all.len() && all.iter().all(|warning| warning.text().ends_with('.')));
    assert_eq!(SCOPE_ALL, 15);
}

/// Printed with `--nocapture`: what each kind of evidence costs.
#[test]
fn what_each_evidence_costs_on_the_relay() {
    let mut table = Vec::new();
    let mut measure = |name: &str, mut world: World| {
        world.policy = Policy::DEVELOPMENT;
        world.scan();
        world.run();
        assert_eq!(world.ends(), (End::Linked, End::Linked));
        table.push((name.to_owned(), traffic(&world)));
    };
    measure("check code and context", World::new());
    measure("local network", lan_world());
    measure("radio", radio_world());
    let (before, account) = linked_before();
    let mut known = again(&before, returning(&account));
    known.setup.lapsed = vec![account.device_id()];
    measure("known device", known);
    let mut tapped = world(ClientKind::Native, LinkedAbilities::default());
    tapped.tap = Some(0);
    measure("cable or tap", tapped);
    let mut asked = page();
    asked.app = browser_on(ORIGIN);
    measure("passkey, asked for", asked);
    let base = table[0].1;
    for (name, (to_linked, to_primary, bytes)) in &table {
        println!("{name}: {to_linked} + {to_primary} messages, {bytes} bytes");
        let asked = usize::from(name.contains("asked"));
        assert_eq!((*to_linked, *to_primary), (base.0 + asked, base.1 + asked), "{name}");
    }
    let printed: Vec<_> = table.iter().map(|(_, (.., bytes))| *bytes).collect();
    let documented = documented("bytes of the messages of a pairing");
    // The ratchet draws its own randomness: a byte or two more or less.
    let close = |(one, other): (&usize, &usize)| one.abs_diff(*other) <= 16;
    assert!(printed.len() == documented.len() && printed.iter().zip(&documented).all(close), "{printed:?}");
}
