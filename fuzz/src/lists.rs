//! Device lists that the account's own keys signed: what a thief of a key could make a device read.

use pairlight_core::Timestamp;
use pairlight_core::crypto::sign::SigningKey;
use pairlight_core::devices::Account;
use pairlight_wire::list::{DeviceList, VerifiedList};
use pairlight_wire::sign::{Signed, SigningContext};
use pairlight_wire::{List, Wire};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

/// The account of the corpus, with its root and ops keys: the first two that its generator draws.
fn account() -> Option<(Account, SigningKey, SigningKey)> {
    let mut rng = ChaCha20Rng::from_seed([7; 32]);
    let keys = (SigningKey::generate(&mut rng), SigningKey::generate(&mut rng));
    let mut rng = ChaCha20Rng::from_seed([7; 32]);
    let account = Account::generate("Phone", Timestamp::from_unix_ms(1_800_000_000_000), &mut rng).ok()?;
    Some((account, keys.0, keys.1))
}

fn signed(key: &SigningKey, payload: &[u8]) -> Option<Signed> {
    key.sign_payload(SigningContext::DeviceList, payload.to_vec()).ok()
}

/// Target: a list. Bit 0 of the first byte: signed by the ops key instead of the root key; bit 1: its place in the chain
/// is mended, so that what it says about devices is reached.
pub fn device_list(data: &[u8]) {
    let Some((choice, payload)) = data.split_first() else { return };
    let Some((account, root, ops)) = account() else { return };
    let by_ops = choice & 1 == 1;
    let key = if by_ops { &ops } else { &root };
    let mut payload = payload.to_vec();
    if choice & 2 == 2
        && let Ok(mut list) = DeviceList::decode(&payload)
    {
        list.account = account.id();
        list.root_pk = account.root_pk();
        list.epoch = 2;
        list.prev = *account.list().hash();
        payload = list.encode();
    }
    let Some(list) = signed(key, &payload) else { return };
    let _ = VerifiedList::anchor(&list, Some(account.ops_cert()));
    let Ok(next) = account.list().successor(&list, Some(account.ops_cert())) else { return };

    let (known, next) = (account.list().list(), next.list());
    assert_eq!((next.epoch, next.prev), (known.epoch + 1, *account.list().hash()));
    let entries = |list: &List<_, 16>| list.as_slice().to_vec();
    let added = entries(&next.entries).iter().any(|entry| !known.entries.as_slice().contains(entry));
    assert!(!(by_ops && added), "the ops key added a device");
}
