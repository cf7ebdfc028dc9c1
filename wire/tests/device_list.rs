//! The one rule by which relay and devices accept the next list.

use ed25519_dalek::{Signer, SigningKey};
use pairlight_wire::device::{OPS_LEASE, OPS_REISSUE, OPS_REMOVE, OpsCertificate, Role};
use pairlight_wire::id::{AccountId, DeviceId};
use pairlight_wire::list::{DeviceList, Entry, ListError, RemovalReason, Tombstone, VerifiedList};
use pairlight_wire::sign::{Signed, SigningContext, key_id};
use pairlight_wire::{Bytes, List, Wire};

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn public(key: &SigningKey) -> [u8; 32] {
    key.verifying_key().to_bytes()
}

fn signed(key: &SigningKey, context: SigningContext, payload: Vec<u8>) -> Signed {
    let sig = key.sign(&context.input(&payload)).to_bytes();
    Signed { kid: key_id(&public(key)), payload: Bytes::new(payload).unwrap(), sig }
}

const ROOT: u8 = 1;
const OPS: u8 = 2;

fn ops_with(caps: u64) -> Signed {
    let account = AccountId::of(&public(&key(ROOT)));
    let ops = OpsCertificate { account, ops_pk: public(&key(OPS)), not_after: u64::MAX, caps };
    signed(&key(ROOT), SigningContext::OpsCert, ops.encode())
}

fn all_ops() -> Signed {
    ops_with(OPS_LEASE | OPS_REMOVE | OPS_REISSUE)
}

/// A device that accepted its place.
fn entry(seed: u8) -> Entry {
    let cert_digest = [seed; 32];
    Entry {
        device: DeviceId::of(&public(&key(seed))),
        device_pk: public(&key(seed)),
        role: if seed == 10 { Role::Primary } else { Role::Linked },
        scope: 15,
        evidence: 0,
        created: 1,
        not_after: 2,
        cert_digest,
        accept_sig: key(seed).sign(&SigningContext::DeviceAccept.input(&cert_digest)).to_bytes(),
        label_ct: Bytes::default(),
        hw_sig: None,
    }
}

fn list(epoch: u64, prev: [u8; 32], devices: &[u8]) -> DeviceList {
    let mut entries: Vec<_> = devices.iter().map(|seed| entry(*seed)).collect();
    entries.sort_by_key(|entry| entry.device);
    DeviceList {
        account: AccountId::of(&public(&key(ROOT))),
        epoch,
        prev,
        issued: 5,
        root_pk: public(&key(ROOT)),
        entries: List::new(entries).unwrap(),
        tombstones: List::default(),
        recovery: None,
        roots: List::default(),
        resets: List::default(),
    }
}

fn by(seed: u8, list: &DeviceList) -> Signed {
    signed(&key(seed), SigningContext::DeviceList, list.encode())
}

/// Epoch 1 with the devices 10, 11 and 12.
fn first() -> VerifiedList {
    VerifiedList::anchor(&by(ROOT, &list(1, [0; 32], &[10, 11, 12])), None).unwrap()
}

fn next(devices: &[u8]) -> DeviceList {
    list(2, *first().hash(), devices)
}

fn refusal(signed: &Signed) -> ListError {
    first().successor(signed, Some(&all_ops())).unwrap_err()
}

fn tombstone(seed: u8) -> Tombstone {
    Tombstone { device: DeviceId::of(&public(&key(seed))), reason: RemovalReason::Revoked, at: 7 }
}

#[test]
fn the_root_key_adds_and_removes() {
    let grown = first().successor(&by(ROOT, &next(&[10, 11, 12, 13])), None).unwrap();
    assert!(grown.entry(&entry(13).device).is_some());
    let mut without = next(&[10, 12]);
    without.tombstones = List::new(vec![tombstone(11)]).unwrap();
    let shrunk = first().successor(&by(ROOT, &without), None).unwrap();
    assert!(shrunk.entry(&entry(11).device).is_none());
    assert_eq!(shrunk.tombstone(&entry(11).device), Some(&tombstone(11)));
    assert_eq!(shrunk.signed(), &by(ROOT, &without));
}

#[test]
fn the_ops_key_only_removes_or_repeats_and_only_with_the_right_to() {
    let allowed = |devices: &[u8], caps| first().successor(&by(OPS, &next(devices)), Some(&ops_with(caps))).is_ok();
    // (devices of the next list, rights of the ops key, accepted)
    let table: [(&[u8], u64, bool); 8] = [
        (&[10, 11], OPS_REMOVE, true),
        (&[10], OPS_REMOVE, true),
        (&[10, 11], OPS_REISSUE | OPS_LEASE, false),
        (&[10, 11, 12], OPS_REISSUE, true),
        (&[10, 11, 12], OPS_REMOVE | OPS_LEASE, false),
        (&[10, 11, 12, 13], OPS_REMOVE | OPS_REISSUE | OPS_LEASE, false),
        // One removed, one added: as long as before, but not the same.
        (&[10, 11, 13], OPS_REMOVE | OPS_REISSUE | OPS_LEASE, false),
        (&[10, 13], OPS_REMOVE | OPS_REISSUE | OPS_LEASE, false),
    ];
    for (devices, caps, accepted) in table {
        assert_eq!(allowed(devices, caps), accepted, "{devices:?} with {caps}");
    }
    // It may not change an entry either.
    let mut changed = next(&[10, 11]);
    let mut entries = changed.entries.as_slice().to_vec();
    entries[0].scope = 1;
    changed.entries = List::new(entries).unwrap();
    assert_eq!(refusal(&by(OPS, &changed)), ListError::Signature);
}

#[test]
fn signatures_that_do_not_count() {
    let good = next(&[10, 11, 12]);
    assert_eq!(refusal(&by(3, &good)), ListError::Signature);
    assert_eq!(refusal(&by(10, &good)), ListError::Signature);
    assert_eq!(refusal(&signed(&key(ROOT), SigningContext::DeviceCert, good.encode())), ListError::Signature);
    let mut flipped = by(ROOT, &good);
    flipped.sig[0] ^= 1;
    assert_eq!(refusal(&flipped), ListError::Signature);
    let mut kid = by(ROOT, &good);
    kid.kid[0] ^= 1;
    assert_eq!(refusal(&kid), ListError::Signature);
    // An ops key without its certificate, or with one that the root key did not sign.
    assert_eq!(first().successor(&by(OPS, &good), None), Err(ListError::Signature));
    let account = AccountId::of(&public(&key(ROOT)));
    let own = OpsCertificate { account, ops_pk: public(&key(OPS)), not_after: 9, caps: 7 };
    let forged = signed(&key(OPS), SigningContext::OpsCert, own.encode());
    assert_eq!(first().successor(&by(OPS, &good), Some(&forged)), Err(ListError::Signature));
    let foreign = OpsCertificate { account: AccountId([0; 16]), ..own };
    let foreign = signed(&key(ROOT), SigningContext::OpsCert, foreign.encode());
    assert_eq!(first().successor(&by(OPS, &good), Some(&foreign)), Err(ListError::Signature));
}

#[test]
fn a_device_that_did_not_accept_is_not_added() {
    for bend in [
        (|entry: &mut Entry| entry.accept_sig[0] ^= 1) as fn(&mut Entry),
        |entry| entry.accept_sig = [0; 64],
        |entry| entry.cert_digest[0] ^= 1,
        |new| new.accept_sig = entry(12).accept_sig,
    ] {
        let mut added = entry(13);
        bend(&mut added);
        let mut grown = next(&[10, 11, 12]);
        let mut entries = grown.entries.as_slice().to_vec();
        entries.push(added);
        entries.sort_by_key(|entry| entry.device);
        grown.entries = List::new(entries).unwrap();
        assert_eq!(refusal(&by(ROOT, &grown)), ListError::Signature);
    }
}

#[test]
fn places_in_the_chain_that_are_not_the_next() {
    let epoch = |found| {
        let mut list = next(&[10, 11, 12]);
        list.epoch = found;
        refusal(&by(ROOT, &list))
    };
    assert_eq!(epoch(3), ListError::Epoch { expected: 2, found: 3 });
    assert_eq!(epoch(u64::MAX), ListError::Epoch { expected: 2, found: u64::MAX });
    assert!(matches!(epoch(0), ListError::Rule(_)));
    assert_eq!(refusal(first().signed()), ListError::Epoch { expected: 2, found: 1 });
    let mut fork = next(&[10, 11, 12]);
    fork.prev[0] ^= 1;
    assert_eq!(refusal(&by(ROOT, &fork)), ListError::Fork);
    // Two lists of one epoch: the second does not follow from the first.
    let one = first().successor(&by(ROOT, &next(&[10, 11])), None).unwrap();
    assert_eq!(one.successor(&by(ROOT, &next(&[10, 12])), None), Err(ListError::Epoch { expected: 3, found: 2 }));
}

#[test]
fn shapes_that_are_no_list() {
    type Bend = fn(&mut DeviceList);
    let bent = |bend: Bend| {
        let mut list = next(&[10, 11, 12]);
        bend(&mut list);
        refusal(&by(ROOT, &list))
    };
    let table: [(&str, Bend); 6] = [
        ("unsorted", |l| {
            let mut entries = l.entries.as_slice().to_vec();
            entries.reverse();
            l.entries = List::new(entries).unwrap();
        }),
        ("twice the same device", |l| {
            let mut entries = l.entries.as_slice().to_vec();
            entries.insert(0, entries[0].clone());
            l.entries = List::new(entries).unwrap();
        }),
        ("twice the same tombstone", |l| l.tombstones = List::new(vec![tombstone(20), tombstone(20)]).unwrap()),
        ("listed and removed", |l| l.tombstones = List::new(vec![tombstone(11)]).unwrap()),
        ("a device that is not the hash of its key", |l| {
            let mut entries = l.entries.as_slice().to_vec();
            entries[0].device.0[15] ^= 1;
            l.entries = List::new(entries).unwrap();
        }),
        ("an account that is not the hash of its key", |l| l.account.0[0] ^= 1),
    ];
    for (name, bend) in table {
        assert!(matches!(bent(bend), ListError::Rule(_)), "{name}: {:?}", bent(bend));
    }
    let mut tombstones = vec![tombstone(20), tombstone(21)];
    tombstones.sort_by_key(|tombstone| core::cmp::Reverse(tombstone.device));
    let mut unsorted = next(&[10, 11, 12]);
    unsorted.tombstones = List::new(tombstones).unwrap();
    assert!(matches!(refusal(&by(ROOT, &unsorted)), ListError::Rule(_)));
    assert!(matches!(refusal(&signed(&key(ROOT), SigningContext::DeviceList, vec![0x80])), ListError::Decode(_)));
    // A first list that claims to follow something.
    let late = list(1, [1; 32], &[10]);
    assert!(matches!(VerifiedList::anchor(&by(ROOT, &late), None), Err(ListError::Rule(_))));
}

#[test]
fn a_list_of_another_account_never_follows() {
    let mut foreign = next(&[10, 11, 12]);
    foreign.root_pk = public(&key(99));
    foreign.account = AccountId::of(&foreign.root_pk);
    let outcome = first().successor(&by(99, &foreign), Some(&all_ops()));
    assert!(outcome.is_err(), "{outcome:?}");
}

#[test]
fn an_anchor_needs_the_root_or_a_certified_ops_key_and_every_acceptance() {
    let good = list(1, [0; 32], &[10, 11]);
    assert!(VerifiedList::anchor(&by(ROOT, &good), None).is_ok());
    assert!(VerifiedList::anchor(&by(OPS, &good), Some(&all_ops())).is_ok());
    assert_eq!(VerifiedList::anchor(&by(OPS, &good), None), Err(ListError::Signature));
    assert_eq!(VerifiedList::anchor(&by(3, &good), Some(&all_ops())), Err(ListError::Signature));
    let mut unaccepted = good.clone();
    let mut entries = unaccepted.entries.as_slice().to_vec();
    entries[1].accept_sig[3] ^= 1;
    unaccepted.entries = List::new(entries).unwrap();
    assert_eq!(VerifiedList::anchor(&by(ROOT, &unaccepted), None), Err(ListError::Signature));
}
