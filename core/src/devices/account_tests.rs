//! Lists of an account: what they add, remove and remember.

use super::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

const START: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);

/// An account with this many linked devices.
fn with_devices(count: u8) -> (Account, Vec<DeviceId>) {
    let mut rng = ChaCha20Rng::from_seed([4; 32]);
    let mut account = Account::generate("phone", START, &mut rng).unwrap();
    let mut devices = Vec::new();
    for number in 0..count {
        let key = SigningKey::generate(&mut rng);
        let new = NewDevice {
            device_pk: key.public(),
            name: format!("device {number}"),
            scope: SCOPE_ALL,
            evidence: Evidence::NONE,
            grade: Grade::Strong,
            preset: Preset::Balanced,
            link_th: [0; 32],
        };
        let certified = account.certify(&new, START, &mut rng).unwrap();
        let accept = key.sign(SigningContext::DeviceAccept, &certified.entry.cert_digest);
        let list = account.list_with(certified.accept(accept).unwrap(), START).unwrap();
        account.advance(list.signed(), None).unwrap();
        devices.push(DeviceId::of(&key.public()));
    }
    (account, devices)
}

#[test]
fn a_tombstone_says_why_for_180_days() {
    let (mut account, devices) = with_devices(2);
    let list = account.list_without(&devices[0], RemovalReason::Cloned, START).unwrap();
    account.advance(list.signed(), None).unwrap();
    assert_eq!(list.signed().kid, key_id(&account.ops.public()), "the root key is not needed");
    for (days, kept) in [(179, true), (180, false)] {
        let later = account.list_with_reset(&devices[1], START.plus_ms(days * DAY_MS)).unwrap();
        let reason = later.tombstone(&devices[0]).map(|tombstone| tombstone.reason);
        assert_eq!(reason, kept.then_some(RemovalReason::Cloned), "after {days} days");
    }
}

#[test]
fn all_devices_go_with_one_list_of_the_ops_key() {
    let (account, devices) = with_devices(3);
    let alone = account.list_alone(RemovalReason::RemovedAll, START).unwrap();
    assert_eq!(alone.list().epoch, account.list().list().epoch + 1);
    assert_eq!(alone.list().entries.as_slice().len(), 1);
    assert!(devices.iter().all(|device| alone.tombstone(device).is_some()));
    assert_eq!(alone.signed().kid, key_id(&account.ops.public()));
    assert!(with_devices(0).0.list_alone(RemovalReason::RemovedAll, START).is_err());
}

#[test]
fn a_device_can_be_removed_however_many_were_removed_before() {
    let (mut account, devices) = with_devices(3);
    let stranger = |number: u64| {
        let mut id = [0xaa; 16];
        id[8..].copy_from_slice(&number.to_be_bytes());
        DeviceId(id)
    };
    // One of them while the clock was a year ahead: it stays longer, but costs no later one its place.
    for number in 0..2 * LIST_TOMBSTONES as u64 {
        let ahead = if number == 7 { 365 * DAY_MS } else { 0 };
        let at = START.plus_ms(number * 1_000 + ahead);
        let list = account.list_barring(&stranger(number), RemovalReason::Abandoned, at).unwrap();
        account.advance(list.signed(), None).unwrap();
        assert!(account.list().tombstone(&stranger(number)).is_some());
    }
    let kept = |account: &Account| account.list().list().tombstones.as_slice().len();
    assert_eq!(kept(&account), LIST_TOMBSTONES);
    let now = START.plus_ms(3_600_000);
    let removed = account.list_without(&devices[0], RemovalReason::Revoked, now).unwrap();
    // Who followed the chain takes it, with a list that forgot the oldest removal and no other.
    assert_eq!(account.list().successor(removed.signed(), Some(account.ops_cert())).unwrap(), removed);
    let oldest = LIST_TOMBSTONES as u64 + 1;
    assert!(account.list().tombstone(&stranger(7)).is_some());
    assert!(account.list().tombstone(&stranger(oldest)).is_some());
    assert!(removed.tombstone(&stranger(oldest)).is_none() && removed.tombstone(&stranger(oldest + 1)).is_some());
    assert_eq!(removed.tombstone(&devices[0]).unwrap().reason, RemovalReason::Revoked);
    account.advance(removed.signed(), None).unwrap();
    let alone = account.list_alone(RemovalReason::RemovedAll, now).unwrap();
    assert!(devices[1..].iter().all(|device| alone.tombstone(device).is_some()));
    assert_eq!(alone.list().entries.as_slice().len(), 1);
    // With the clock set back nothing is younger than the removal of now.
    let earlier = account.list_without(&devices[1], RemovalReason::Revoked, START).unwrap();
    assert!(earlier.tombstone(&devices[1]).is_some());
}

#[test]
fn the_largest_list_has_room_for_every_removal() {
    let mut rng = ChaCha20Rng::from_seed([6; 32]);
    let (mut account, _) = with_devices(15);
    let words = crate::devices::RecoveryWords::generate(&mut rng);
    let named = account.list_with_recovery(&words, START, &mut rng).unwrap();
    account.advance(named.signed(), None).unwrap();
    for _ in 0..8 {
        account = account.rotate_root(START, &mut rng).unwrap();
    }
    let longest = "n".repeat(64);
    for entry in account.list().list().entries.as_slice().to_vec() {
        let list = account.list_renamed(&entry.device, &longest, START, &mut rng).unwrap();
        account.advance(list.signed(), None).unwrap();
    }
    let mut draft = account.draft();
    let gone = |number: u8| {
        let device = DeviceId(core::array::from_fn(|_| number));
        Tombstone { device, reason: RemovalReason::Revoked, at: START.unix_ms() }
    };
    draft.tombstones = (0..=u8::MAX).map(gone).collect();
    let device = draft.entries[0].device;
    draft.resets = vec![ResetMark { device, at: START.unix_ms() }; LIST_RESETS];
    let full = account.sign_list(draft, &account.root, START).unwrap();
    let room = pairlight_wire::limits::SIGNED_PAYLOAD_BYTES;
    println!("{LIST_TOMBSTONES} tombstones, {} of {room} bytes", full.list().encode().len());
    account.advance(full.signed(), None).unwrap();
    let own = account.device_id();
    let others = account.list().list().entries.as_slice().to_vec();
    let alone = account.list_alone(RemovalReason::RemovedAll, START).unwrap();
    assert!(others.iter().all(|entry| entry.device == own || alone.tombstone(&entry.device).is_some()));
    for entry in others.iter().filter(|entry| entry.device != own) {
        let list = account.list_without(&entry.device, RemovalReason::Revoked, START).unwrap();
        assert!(list.tombstone(&entry.device).is_some());
        account.advance(list.signed(), None).unwrap();
    }
    assert_eq!(account.list().list().entries.as_slice().len(), 1);
}

#[test]
fn resets_are_remembered_for_a_day() {
    let (mut account, devices) = with_devices(1);
    for (hours, remembered) in [(0, 1), (12, 2), (23, 3), (24, 3), (48, 1)] {
        let list = account.list_with_reset(&devices[0], START.plus_ms(hours * 3_600_000)).unwrap();
        account.advance(list.signed(), None).unwrap();
        assert_eq!(list.list().resets.as_slice().len(), remembered, "after {hours} hours");
    }
}
