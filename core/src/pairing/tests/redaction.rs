//! What `{:?}` prints for everything that owns a secret: frozen, so that a derived `Debug` cannot slip in. That no type is
//! forgotten here, `tests/tests/secrets.rs` sees to.

use pairlight_wire::envelope::EnvelopeKind;
use pairlight_wire::qr::QrPayload;
use pairlight_wire::sign::SigningContext;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::harness::World;
use crate::crypto::aead::{OneShotKey, RecordKey, SequenceKey};
use crate::crypto::hpke::{RecipientKey, SenderChannel};
use crate::crypto::olm::RatchetAccount;
use crate::crypto::sign::{DeviceKey, SigningKey};
use crate::pairing::check_code::CheckCode;
use crate::pairing::*;
use crate::session::{OpenedMessage, Session};
use crate::trust::{Policy, ScanSource};

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::from_seed([5; 32])
}

#[test]
fn keys_and_channels_print_their_names() {
    assert_eq!(format!("{:?}", QrPayload::new(2, [7; 32], [9; 16])), "QrPayload { relay_index: 2, .. }");
    assert_eq!(format!("{:?}", CheckCode::derive(&[1; 32], &[2; 32])), "CheckCode(..)");
    assert_eq!(format!("{:?}", SigningKey::from_seed(&[3; 32])), "SigningKey(..)");
    assert_eq!(format!("{:?}", DeviceKey::Own(SigningKey::from_seed(&[3; 32]))), "DeviceKey::Own(..)");
    assert_eq!(format!("{:?}", DeviceKey::Guarded([3; 32])), "DeviceKey::Guarded(..)");
    assert_eq!(format!("{:?}", OneShotKey::new([4; 32])), "OneShotKey(..)");
    assert_eq!(format!("{:?}", SequenceKey::new([4; 32], [5; 12])), "SequenceKey(..)");
    assert_eq!(format!("{:?}", RecordKey::new([4; 32])), "RecordKey(..)");

    let generated = RecipientKey::generate(&mut rng()).unwrap();
    assert!(format!("{generated:?}").starts_with("GeneratedKey { secret: RecipientKey(..), public: ["));
    let sender = SenderChannel::initiate(&mut rng(), &generated.public, &[1; 32], &[2; 16], b"info").unwrap();
    assert!(format!("{sender:?}").starts_with("Initiated { channel: SenderChannel(..), enc: ["));
    assert_eq!(format!("{:?}", generated.secret), "RecipientKey(..)");
    let recipient = generated.secret.accept(&sender.enc, &[1; 32], &[2; 16], b"info").unwrap();
    assert_eq!(format!("{recipient:?}"), "RecipientChannel(..)");

    let (one, two) = (RatchetAccount::generate().unwrap(), RatchetAccount::generate().unwrap());
    assert_eq!(format!("{one:?}"), "RatchetAccount(..)");
    let ratchet = one.start(&two.keys()).unwrap();
    assert_eq!(format!("{ratchet:?}"), "Ratchet(..)");
    let (own, peer) = (pairlight_wire::id::DeviceId([1; 16]), pairlight_wire::id::DeviceId([2; 16]));
    assert_eq!(
        format!("{:?}", Session::new(own, peer, ratchet)),
        "Session { own: DeviceId(01010101010101010101010101010101), peer: DeviceId(02020202020202020202020202020202), \
         next_seq: 0, received: 0, ratchet: Ratchet(..), .. }"
    );
    let message = OpenedMessage { kind: EnvelopeKind::Application, seq: 3, body: b"private".to_vec() };
    assert_eq!(format!("{message:?}"), "OpenedMessage { kind: Application, seq: 3, .. }");
}

#[test]
fn accounts_machines_and_their_outputs_print_no_secret() {
    let mut world = World::new();
    world.scan();
    world.run();
    assert_eq!(format!("{:?}", world.account), "Account { epoch: 2, .. }");
    let linked = world.disk.linked.clone().unwrap();
    assert_eq!(format!("{linked:?}"), "LinkedAccount { epoch: 2, committed: true, .. }");
    assert_eq!(format!("{:?}", world.linked), "LinkedMachine { state: Linked, .. }");
    assert_eq!(format!("{:?}", world.primary.as_ref().unwrap()), "PrimaryMachine { state: Linked, .. }");
    let config = PrimaryConfig {
        account: world.account.clone(),
        policy: Policy { weak: None, medium: None, strong: None, ..Policy::BALANCED },
        source: ScanSource::LiveCamera,
        relay_pk: [0; 32],
    };
    assert!(format!("{config:?}").starts_with("PrimaryConfig { account: Account { epoch: 2, .. }, policy: "));

    let text = "PAIRLIGHT:/1234".to_owned();
    let show = LinkedOutput::Event(LinkedEvent::ShowCode { text, shown_ms: 30_000 });
    assert_eq!(format!("{show:?}"), "Event(ShowCode { shown_ms: 30000, .. })");
    let events = [
        (LinkedEvent::Paused, "Paused"),
        (LinkedEvent::Reconnecting { after_ms: 1_000 }, "Reconnecting { after_ms: 1000 }"),
        (LinkedEvent::Claimed, "Claimed"),
        (LinkedEvent::EnterCheckCode, "EnterCheckCode"),
        (LinkedEvent::WrongCheckCode { tries_left: 2 }, "WrongCheckCode { tries_left: 2 }"),
        (LinkedEvent::CheckCodeAccepted, "CheckCodeAccepted"),
        (LinkedEvent::SecondScanner, "SecondScanner"),
        (LinkedEvent::Linked(Box::new(linked.clone())), "Linked(LinkedAccount { epoch: 2, committed: true, .. })"),
        (LinkedEvent::Failed(pairlight_wire::pairing::EndReason::Declined), "Failed(Declined)"),
    ];
    for (event, text) in events {
        assert_eq!(format!("{event:?}"), text);
    }
    let fetch = LinkedOutput::FetchList { account: Box::new(linked.clone()) };
    assert_eq!(format!("{fetch:?}"), "FetchList { account: LinkedAccount { epoch: 2, committed: true, .. } }");
    let order = SignOrder { public: [1; 32], context: SigningContext::DeviceAccept, message: b"private".to_vec() };
    assert_eq!(format!("{:?}", LinkedOutput::Sign(order)), "Sign(SignOrder { context: DeviceAccept, .. })");
    for (save, text) in [
        (LinkedSave::Pending(Box::new(linked.clone())), "Pending(LinkedAccount { epoch: 2, committed: true, .. })"),
        (LinkedSave::Committed(Box::new(linked)), "Committed(LinkedAccount { epoch: 2, committed: true, .. })"),
        (LinkedSave::Discard, "Discard"),
    ] {
        assert_eq!(format!("{save:?}"), text);
    }

    let code = PrimaryOutput::Event(PrimaryEvent::ShowCheckCode(CheckCode::derive(&[1; 32], &[2; 32])));
    assert_eq!(format!("{code:?}"), "Event(ShowCheckCode(CheckCode(..)))");
    let device = pairlight_wire::id::DeviceId([1; 16]);
    let account = Box::new(world.account.clone());
    let session = zeroize::Zeroizing::new(b"private".to_vec());
    let save = PrimarySave::Linked { account: account.clone(), device, session };
    assert_eq!(
        format!("{save:?}"),
        "Linked { account: Account { epoch: 2, .. }, device: DeviceId(01010101010101010101010101010101), .. }"
    );
    assert_eq!(
        format!("{:?}", PrimarySave::Discard { device, account }),
        "Discard { device: DeviceId(01010101010101010101010101010101), account: Account { epoch: 2, .. } }"
    );
    let pending = PendingLink {
        device,
        stage: LinkStage::Publishing,
        created: 0,
        entry: world.account.list().list().entries.as_slice()[0].clone(),
        list: None,
        session: pairlight_wire::Bytes::new(b"private".to_vec()).unwrap(),
    };
    assert_eq!(
        format!("{:?}", PrimarySave::Pending(Box::new(pending))),
        "Pending(PendingLink { stage: Publishing, .. })"
    );
}

#[test]
fn evidence_recovery_and_what_is_carried_print_no_secret() {
    use pairlight_wire::sync::{HistoryMessage, HistoryStart};

    let words = crate::devices::RecoveryWords::generate(&mut rng());
    assert_eq!(format!("{words:?}"), "RecoveryWords(..)");
    let tap = crate::trust::TapWord::new(zeroize::Zeroizing::new([6; 16]));
    assert_eq!(format!("{tap:?}"), "TapWord(..)");
    let ears = crate::trust::ble::Ears::new(zeroize::Zeroizing::new([6; 32]));
    assert_eq!(format!("{ears:?}"), "Ears(..)");
    let start = HistoryStart { history: [1; 16], key: [6; 32], log: [2; 8], snapshot: 3, total: 4, supersedes: None };
    assert_eq!(format!("{start:?}"), "HistoryStart { total: 4, .. }");
    assert_eq!(format!("{:?}", HistoryMessage::Start(start)), "Start(HistoryStart { total: 4, .. })");

    let mut world = World::new();
    world.scan();
    world.run();
    let linked = world.disk.linked.clone().unwrap();
    let signed = world.account.list().signed().clone();
    let m3 = pairlight_wire::pairing::M3Body {
        root_pk: world.account.root_pk(),
        cert: signed.clone(),
        ops: signed.clone(),
        list: signed.clone(),
        lease: signed,
        label_key: *linked.label_key(),
        olm_ik: [0; 32],
        olm_prekey: pairlight_wire::Bytes::default(),
    };
    assert_eq!(format!("{m3:?}"), "M3Body { .. }");
}

fn claim() -> pairlight_wire::relay::ClaimAnswer {
    let signed = World::new().account.list().signed().clone();
    pairlight_wire::relay::ClaimAnswer {
        offer_ct: pairlight_wire::Bytes::default(),
        context: signed.clone(),
        own_context: signed,
        claim_token: [0xab; 16],
        ttl_ms: 180_000,
    }
}

fn token() -> pairlight_wire::relay::BlobToken {
    let token = pairlight_wire::Bytes::new(vec![0xab; 16]).unwrap();
    pairlight_wire::relay::BlobToken { reference: 5, token, ttl_ms: 60_000 }
}

#[test]
fn bearer_tokens_and_keys_of_files_are_not_printed() {
    use pairlight_wire::file::{FileMessage, FilePieces};
    use pairlight_wire::relay::StreamEvent;

    assert_eq!(format!("{:?}", claim()), "ClaimAnswer { ttl_ms: 180000, .. }");
    assert_eq!(format!("{:?}", token()), "BlobToken { reference: 5, ttl_ms: 60000, .. }");
    let event = StreamEvent::BlobToken(token());
    assert_eq!(format!("{event:?}"), "BlobToken(BlobToken { reference: 5, ttl_ms: 60000, .. })");
    let pieces = FilePieces { hash: [1; 32], key: [6; 32], pieces: pairlight_wire::List::default() };
    assert_eq!(format!("{pieces:?}"), "FilePieces(0 pieces)");
    assert_eq!(format!("{:?}", FileMessage::Pieces(pieces)), "Pieces(FilePieces(0 pieces))");
}

#[test]
#[cfg(feature = "net")]
fn what_transfers_blobs_prints_no_token() {
    let blobs = format!("{:?}", crate::net::blobs::holding(&token()));
    assert!(blobs.starts_with("Blobs { client: RelayClient {") && blobs.ends_with(", .. }"), "{blobs}");
    assert!(!blobs.contains("Bearer") && !blobs.contains("abab"), "{blobs}");
}

#[test]
#[cfg(feature = "store")]
fn keys_of_a_store_and_what_is_in_it_are_not_printed() {
    use crate::store::{KeyFile, Passphrase, PassphraseCost, Record};

    let folder = tempfile::tempdir().unwrap();
    let key = KeyFile::create(&folder.path().join("key"), Box::new(rng())).unwrap();
    assert_eq!(format!("{key:?}"), "KeyFile(..)");
    let passphrase = Passphrase::new("correct horse", PassphraseCost::DEFAULT, Box::new(rng())).unwrap();
    let printed = format!("{passphrase:?}");
    assert!(printed.starts_with("Passphrase { cost: PassphraseCost {") && !printed.contains("horse"), "{printed}");
    let bytes = || zeroize::Zeroizing::new(b"private".to_vec());
    assert_eq!(format!("{:?}", Record { id: bytes(), value: bytes() }), "Record(..)");
}

#[test]
#[cfg(feature = "net")]
fn messages_and_signals_print_without_their_content() {
    use crate::net::{ConnectionEvent, SyncUpdate};
    use crate::sync::SyncEvent;

    let from = pairlight_wire::id::DeviceId([1; 16]);
    let device = "DeviceId(01010101010101010101010101010101)";
    let message = ConnectionEvent::Message { from, kind: EnvelopeKind::Application, body: b"private".to_vec() };
    assert_eq!(format!("{message:?}"), format!("Message {{ from: {device}, kind: Application, .. }}"));
    let (name, body) = ("typing".to_owned(), b"private".to_vec());
    let update = SyncUpdate::Signal { from, name: name.clone(), body: body.clone() };
    assert_eq!(format!("{update:?}"), format!("Signal {{ from: {device}, .. }}"));
    let event = SyncEvent::Signal { from, name, body };
    assert_eq!(format!("{event:?}"), format!("Signal {{ from: {device}, .. }}"));
}
