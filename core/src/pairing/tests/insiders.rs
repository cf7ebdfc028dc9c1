//! The other end of the channel lies: it knows every key of the pairing, so only the checks inside stop it.

use pairlight_wire::device::{Certificate, Lease, Role};
use pairlight_wire::limits::COMMIT_GIVE_UP_MS;
use pairlight_wire::pairing::{EndReason, EvidenceItem, M3Body, M4Body, M5Body, Purpose};
use pairlight_wire::qr::QrPayload;
use pairlight_wire::relay::{OpenSlot, PublishList};
use pairlight_wire::sign::{Signed, SigningContext};
use pairlight_wire::{Bytes, Text, Wire};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::evidence::linked_before;
use super::harness::{End, Leg, START, World};
use crate::crypto::olm::{RatchetAccount, RatchetKeys};
use crate::crypto::sign::SigningKey;
use crate::devices::{Account, LeaseTerms, NewDevice};
use crate::pairing::handshake::{DeviceDescription, Displayed, LinkedCertified, Scanned};
use crate::trust::{Evidence, EvidenceBit, Finding, Grade, KnownError, Policy, Refutation, known};

fn rng(seed: u8) -> ChaCha20Rng {
    ChaCha20Rng::from_seed([seed; 32])
}

fn sent(world: &World, leg: Leg) -> Option<Vec<u8>> {
    world.sent.iter().find(|(sent, _)| *sent == leg).map(|(_, bytes)| bytes.clone())
}

fn other_account() -> Account {
    Account::generate("Other", START, &mut rng(99)).unwrap()
}

/// The root and ops keys of the world's account, drawn again from the seed of its generator.
fn keys(account: &Account) -> (SigningKey, SigningKey) {
    let mut rng = rng(7);
    let (root, ops) = (SigningKey::generate(&mut rng), SigningKey::generate(&mut rng));
    assert_eq!(root.public(), account.root_pk());
    (root, ops)
}

fn signed_by(key: &SigningKey, context: SigningContext, payload: Vec<u8>) -> Signed {
    key.sign_payload(context, payload).unwrap()
}

/// What a lying phone changes in M3, and in M5.
type BendM3 = fn(&mut M3Body, &Account, &[u8; 32]);
type BendM5 = fn(&mut M5Body, &Account);

/// A phone made by hand links the real linked device: honest but for `m3` and `m5`.
fn lying_phone(m3: BendM3, m5: BendM5, publishes: bool) -> World {
    let mut world = World::new();
    world.settle();
    let scanned = Scanned::new(QrPayload::parse(world.shown.as_ref().unwrap()).unwrap());
    let answer = world.claim(scanned.keys.slot).unwrap();
    let reviewed = scanned.open_offer(answer.offer_ct.as_slice(), answer.context.payload.as_slice()).unwrap();
    let (waiting, m1) = reviewed.initiate(Purpose::Link, 0, &mut rng(3)).unwrap();
    world.arrive(Leg::ToLinked(0), m1);
    world.settle();
    let keyed = waiting.receive_m2(&sent(&world, Leg::ToPrimary(0)).unwrap()).unwrap();
    world.digits = Some(keyed.check_code.to_display());
    world.settle();
    let (confirmed, m2b) = keyed.receive_m2b(&sent(&world, Leg::ToPrimary(1)).unwrap()).unwrap();
    assert!(m2b.check_code_ok);

    let account = world.account.clone();
    let th2 = confirmed.th2;
    let new = NewDevice {
        device_pk: confirmed.device_pk,
        name: "Kim's laptop".into(),
        scope: 15,
        evidence: Evidence::NONE,
        grade: Grade::Weak,
        preset: Policy::DEVELOPMENT.preset,
        link_th: th2,
    };
    let certified = account.certify(&new, world.now, &mut rng(4)).unwrap();
    let terms = LeaseTerms { ctr: 0, checkin: [0; 32], scope: 15, lease_ms: 1_000_000 };
    let own = RatchetAccount::generate().unwrap();
    let olm_ik = own.keys().identity;
    let mut ratchet = own.start(&RatchetKeys { identity: m2b.olm_ik, one_time: m2b.olm_otk }).unwrap();
    let mut body = M3Body {
        root_pk: account.root_pk(),
        cert: certified.cert.clone(),
        ops: account.ops_cert().clone(),
        list: account.list().signed().clone(),
        lease: account.lease(certified.entry.device, &terms, world.now).unwrap(),
        label_key: *account.label_key(),
        olm_ik,
        olm_prekey: Bytes::new(ratchet.seal(&th2).unwrap().bytes).unwrap(),
    };
    m3(&mut body, &account, &th2);
    let (mut channel, bytes) = confirmed.certify(&body).unwrap();
    world.arrive(Leg::ToLinked(1), bytes);
    world.settle();
    if let Some(m4) = sent(&world, Leg::ToPrimary(2)) {
        let entry = certified.accept(channel.receive_m4(&m4).unwrap().accept_sig).unwrap();
        let list = account.list_with(entry, world.now).unwrap().signed().clone();
        if publishes {
            world.publish(&PublishList { list: list.clone(), ops: account.ops_cert().clone() }).unwrap();
        }
        let mut body = M5Body { list, mailbox: [0; 16], blob_base: Text::truncated("/") };
        m5(&mut body, &account);
        world.arrive(Leg::ToLinked(2), channel.finish(&body).unwrap());
    }
    world.run();
    world
}

fn honest_m3(_: &mut M3Body, _: &Account, _: &[u8; 32]) {}
fn honest_m5(_: &mut M5Body, _: &Account) {}

fn bend_cert(m3: &mut M3Body, account: &Account, bend: fn(&mut Certificate)) {
    let mut cert = Certificate::decode(m3.cert.payload.as_slice()).unwrap();
    bend(&mut cert);
    m3.cert = signed_by(&keys(account).0, SigningContext::DeviceCert, cert.encode());
}

fn bend_lease(m3: &mut M3Body, account: &Account, bend: fn(&mut Lease)) {
    let mut lease = Lease::decode(m3.lease.payload.as_slice()).unwrap();
    bend(&mut lease);
    m3.lease = signed_by(&keys(account).1, SigningContext::Lease, lease.encode());
}

#[test]
fn an_honest_phone_made_by_hand_links() {
    assert_eq!(lying_phone(honest_m3, honest_m5, true).ends().0, End::Linked);
}

#[test]
fn a_phone_that_lies_in_m3_links_nobody() {
    let lies: [(&str, BendM3); 24] = [
        ("root key of another account", |m, _, _| m.root_pk = other_account().root_pk()),
        ("root key that is no point", |m, _, _| m.root_pk = [2; 32]),
        ("certificate for another key", |m, a, _| bend_cert(m, a, |c| c.device_pk = [7; 32])),
        ("certificate for another device", |m, a, _| bend_cert(m, a, |c| c.device.0[0] ^= 1)),
        ("certificate of another pairing", |m, a, _| bend_cert(m, a, |c| c.link_th[0] ^= 1)),
        ("certificate as primary device", |m, a, _| bend_cert(m, a, |c| c.role = Role::Primary)),
        ("certificate of another account", |m, a, _| bend_cert(m, a, |c| c.account = other_account().id())),
        ("certificate for a later epoch", |m, a, _| bend_cert(m, a, |c| c.epoch += 1)),
        ("certificate for this epoch", |m, a, _| bend_cert(m, a, |c| c.epoch -= 1)),
        ("certificate after another list", |m, a, _| bend_cert(m, a, |c| c.prev_list[0] ^= 1)),
        ("certificate by the ops key", |m, a, _| {
            m.cert = signed_by(&keys(a).1, SigningContext::DeviceCert, m.cert.payload.as_slice().to_vec());
        }),
        ("certificate signed for something else", |m, a, _| {
            m.cert = signed_by(&keys(a).0, SigningContext::OpsCert, m.cert.payload.as_slice().to_vec());
        }),
        ("list of another account", |m, _, _| m.list = other_account().list().signed().clone()),
        ("list with a broken signature", |m, _, _| m.list.sig[0] ^= 1),
        ("ops certificate of another account", |m, _, _| m.ops = other_account().ops_cert().clone()),
        ("lease for another device", |m, a, _| bend_lease(m, a, |l| l.device.0[0] ^= 1)),
        ("lease of another list", |m, a, _| bend_lease(m, a, |l| l.list_hash[0] ^= 1)),
        ("lease that ends before it begins", |m, a, _| bend_lease(m, a, |l| l.not_after = l.not_before)),
        ("lease of another account", |m, a, _| bend_lease(m, a, |l| l.account = other_account().id())),
        ("lease by the root key", |m, a, _| {
            m.lease = signed_by(&keys(a).0, SigningContext::Lease, m.lease.payload.as_slice().to_vec());
        }),
        ("ratchet message that is none", |m, _, _| m.olm_prekey = Bytes::new(vec![1; 64]).unwrap()),
        ("no ratchet message", |m, _, _| m.olm_prekey = Bytes::default()),
        ("ratchet of another identity", |m, _, _| m.olm_ik = RatchetAccount::generate().unwrap().keys().identity),
        ("ratchet identity of small order", |m, _, _| m.olm_ik = [0; 32]),
    ];
    for (name, lie) in lies {
        let world = lying_phone(lie, honest_m5, true);
        assert_eq!(world.ends().0, End::Failed(EndReason::Tampered), "{name}");
        assert!(world.disk.linked.is_none(), "{name}: something was kept");
    }
}

#[test]
fn a_phone_that_lies_in_m5_is_measured_by_the_published_list() {
    let lies: [(&str, BendM5); 6] = [
        ("the list before", |m, a| m.list = a.list().signed().clone()),
        ("a next list without the device", |m, a| {
            let other = pairlight_wire::id::DeviceId([1; 16]);
            let reason = pairlight_wire::list::RemovalReason::Revoked;
            m.list = a.list_barring(&other, reason, START).unwrap().signed().clone();
        }),
        ("a broken signature", |m, _| m.list.sig[9] ^= 1),
        ("another key id", |m, _| m.list.kid[0] ^= 1),
        ("a list of another account", |m, _| m.list = other_account().list().signed().clone()),
        ("no list", |m, _| m.list.payload = Bytes::default()),
    ];
    for (name, lie) in lies {
        assert_eq!(lying_phone(honest_m3, lie, true).ends().0, End::Linked, "{name}, published");
        let mut world = lying_phone(honest_m3, lie, false);
        assert_eq!(world.ends().0, End::Failed(EndReason::NotPublished), "{name}, unpublished");
        assert!(world.now.ms_since(START) >= COMMIT_GIVE_UP_MS && world.disk.linked.is_none());
        world.assert_nothing_half_linked();
    }
}

/// What a lying linked device puts into M2b's ratchet keys, and into M4.
type BendKeys = fn(&mut RatchetKeys);
type BendM4 = fn(&mut M4Body, &SigningKey);

/// A linked device made by hand is linked by the real phone: honest but for its ratchet keys and `m4`.
fn lying_linked_device(bend_keys: BendKeys, m4: BendM4) -> World {
    let key = SigningKey::generate(&mut rng(30));
    linked_by_hand(World::new(), key.public(), &key, |_, _| Vec::new(), bend_keys, m4)
}

/// A linked device made by hand asks the phone of `world` for a link: it says that `claimed` is its key, signs with `key`, and
/// gives what `evidence` makes of its key and the transcript.
fn linked_by_hand(
    mut world: World,
    claimed: [u8; 32],
    key: &SigningKey,
    evidence: impl FnOnce(&SigningKey, &[u8; 32]) -> Vec<EvidenceItem>,
    bend_keys: BendKeys,
    m4: BendM4,
) -> World {
    // The machine of the harness stands aside.
    world.crash_linked(u64::MAX / 4);
    let kind = pairlight_wire::offer::ClientKind::Native;
    let description = DeviceDescription { name: "x".into(), os: "x".into(), app: "x".into(), kind };
    let displayed = Displayed::generate(claimed, &description, 0, &mut rng(31)).unwrap();
    let payload = QrPayload::parse(&displayed.text()).unwrap();
    let offer_ct = Bytes::new(displayed.offer_ct.clone()).unwrap();
    world.open(&OpenSlot { slot: displayed.keys.slot, offer_ct });
    let context = world.context_of(displayed.keys.slot);
    world.scan_payload(payload);
    world.settle();
    let (keyed, m2) = displayed.receive_m1(&context, &sent(&world, Leg::ToLinked(0)).unwrap(), &mut rng(32)).unwrap();
    world.arrive(Leg::ToPrimary(0), m2);
    world.settle();
    assert_eq!(world.digits, Some(keyed.check_code.to_display()));
    let ratchet = RatchetAccount::generate().unwrap();
    let mut ratchet_keys = ratchet.keys();
    bend_keys(&mut ratchet_keys);
    let given = evidence(key, &keyed.th2);
    let (confirmed, m2b) = keyed.confirm(given, &ratchet_keys).unwrap();
    let th2 = confirmed.th2;
    world.arrive(Leg::ToPrimary(1), m2b);
    world.settle();
    if let Some(m3_bytes) = sent(&world, Leg::ToLinked(1)) {
        let (certified, m3): (LinkedCertified, M3Body) = confirmed.receive_m3(&m3_bytes).unwrap();
        if let Ok(joined) = ratchet.join(&m3.olm_ik, m3.olm_prekey.as_slice()) {
            let mut certified = certified;
            let mut ratchet = joined.ratchet;
            let accept_sig = key.sign(SigningContext::DeviceAccept, &m3.cert.digest());
            let olm_msg = Bytes::new(ratchet.seal(&th2).unwrap().bytes).unwrap();
            let mut body = M4Body { accept_sig, olm_msg };
            m4(&mut body, key);
            world.arrive(Leg::ToPrimary(2), certified.accept(&body).unwrap());
            world.settle();
        }
    }
    world
}

/// What is made of a key and the transcript.
type Prove<'a> = &'a dyn Fn(&SigningKey, &[u8; 32]) -> [u8; 64];

#[test]
fn a_thief_without_the_key_of_a_lapsed_device_does_not_get_its_place() {
    let known = |proof: [u8; 64]| {
        vec![EvidenceItem { bit: EvidenceBit::KnownDevice.number(), proof: Bytes::new(proof.to_vec()).unwrap() }]
    };
    let (before, lapsed) = linked_before();
    let (device, owner) = (lapsed.device_id(), lapsed.device_key().own().unwrap().clone());
    let place = before.account.list().entry(&device).unwrap().clone();
    let ask = |policy: Policy, key: &SigningKey, proof: Prove<'_>| {
        let mut world = World::new();
        (world.account, world.published) = (before.account.clone(), before.published.clone());
        world.setup.lapsed = vec![device];
        world.policy = policy;
        linked_by_hand(world, owner.public(), key, |key, th2| known(proof(key, th2)), |_| {}, |_, _| {})
    };
    // The owner, made by hand in the same way, comes back.
    let world = ask(Policy::STRONG_ONLY, &owner, &known::prove_known);
    assert_eq!(world.ends().1, End::Linked);
    assert_ne!(world.account.list().entry(&device).unwrap().cert_digest, place.cert_digest);

    // A thief signs with a key of its own, or brings what the owner signed in another link.
    let replayed = known::prove_known(&owner, &[5; 32]);
    let signed_before = move |_: &SigningKey, _: &[u8; 32]| replayed;
    let thief = SigningKey::from_seed(&[0x66; 32]);
    let proofs: [Prove<'_>; 2] = [&known::prove_known, &signed_before];
    for (policy, end) in [
        (Policy::STRONG_ONLY, EndReason::Refused),
        // Here it would be one more medium link; but then it must accept the certificate with the key.
        (Policy::BALANCED, EndReason::Tampered),
    ] {
        for proof in proofs {
            let mut world = ask(policy, &thief, proof);
            let refuted = Finding::Refuted(Refutation::Known(KnownError::Signature));
            assert_eq!(world.findings, [(EvidenceBit::KnownDevice, refuted)]);
            assert_eq!(world.ends().1, End::Failed(end), "{:?}", policy.preset);
            assert_eq!(world.account.list().entry(&device), Some(&place), "its place is what it was");
            assert!(world.disk.pending.is_none() && !world.disk.linked_device);
            world.run();
            assert_eq!(world.published.len(), before.published.len(), "nothing was published");
        }
    }
}

#[test]
fn an_honest_linked_device_made_by_hand_is_linked() {
    let world = lying_linked_device(|_| {}, |_, _| {});
    assert_eq!(world.ends().1, End::Linked);
    assert!(world.device_is_listed());
}

#[test]
fn a_linked_device_that_lies_is_not_published() {
    let honest_keys: BendKeys = |_| {};
    let honest_m4: BendM4 = |_, _| {};
    let lies: [(&str, BendKeys, BendM4); 8] = [
        ("acceptance with a flipped bit", honest_keys, |m, _| m.accept_sig[0] ^= 1),
        ("acceptance of another certificate", honest_keys, |m, d| {
            m.accept_sig = d.sign(SigningContext::DeviceAccept, &[1; 32]);
        }),
        ("acceptance by another key", honest_keys, |m, _| {
            m.accept_sig = SigningKey::from_seed(&[1; 32]).sign(SigningContext::DeviceAccept, &[1; 32]);
        }),
        ("acceptance signed for something else", honest_keys, |m, d| {
            m.accept_sig = d.sign(SigningContext::CheckIn, &[1; 32]);
        }),
        ("acceptance of zeros", honest_keys, |m, _| m.accept_sig = [0; 64]),
        ("ratchet answer that is none", honest_keys, |m, _| m.olm_msg = Bytes::default()),
        ("ratchet identity of small order", |k| k.identity = [0; 32], honest_m4),
        ("ratchet one-time key of small order", |k| k.one_time = [0; 32], honest_m4),
    ];
    for (name, bend_keys, m4) in lies {
        let world = lying_linked_device(bend_keys, m4);
        assert_eq!(world.ends().1, End::Failed(EndReason::Tampered), "{name}");
        assert!(!world.device_is_listed() && world.disk.pending.is_none(), "{name}");
    }
}
