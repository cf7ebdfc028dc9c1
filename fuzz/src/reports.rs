//! What a primary device makes of the reports of a linked one, the rows that it keeps of that, and recovery words.

use pairlight_core::Timestamp;
use pairlight_core::crypto::sign::SigningKey;
use pairlight_core::devices::{Account, Circumstances, ListFork, RecoveryWords, StoredNotice, Supervision, Tenancy};
use pairlight_wire::Wire;
use pairlight_wire::device::CheckIn;
use pairlight_wire::id::DeviceId;
use pairlight_wire::sign::SigningContext;
use pairlight_wire::standing::Standing;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::input::Input;

fn same_bytes<T: Wire>(bytes: &[u8]) {
    if let Ok(value) = T::decode(bytes) {
        assert_eq!(value.encode(), bytes, "a row with two encodings");
    }
}

/// Target: rows that a damaged store may hold, and what a person may type as recovery words. The first byte chooses.
pub fn lifetime_row(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else { return };
    match kind % 5 {
        0 => same_bytes::<Supervision>(bytes),
        1 => same_bytes::<Tenancy>(bytes),
        2 => same_bytes::<StoredNotice>(bytes),
        3 => same_bytes::<ListFork>(bytes),
        _ => {
            let Ok(text) = core::str::from_utf8(bytes) else { return };
            if let Ok(words) = RecoveryWords::parse(text) {
                let again = words.to_text().and_then(|text| RecoveryWords::parse(&text));
                assert_eq!(again.map(|words| words.public()).ok(), Some(words.public()));
            }
        }
    }
}

/// Target: a sequence of reports of a device that may be anything, and of what the relay says about it. Whatever comes,
/// its standing never gets better by itself, and what is kept of it can be read again.
pub fn reports(data: &[u8]) {
    let mut input = Input::new(data);
    let mut rng = ChaCha20Rng::from_seed([7; 32]);
    let mut now = Timestamp::from_unix_ms(1_800_000_000_000);
    let Ok(account) = Account::generate("Phone", now, &mut rng) else { return };
    let key = account.device_key().clone();
    let stranger = SigningKey::from_seed(&[3; 32]);
    let device = DeviceId::of(&key.public());
    let Some(entry) = account.list().entry(&device) else { return };
    let mut book = Supervision::new(device);
    let mut last = [0; 32];
    while let Some(choice) = input.byte() {
        let before = (book.standing, book.ctr);
        now = now.plus_ms(u64::from(input.byte().unwrap_or(0)) * 1_800_000);
        let mut confirmed = false;
        match choice % 8 {
            0..4 => {
                let number = |input: &mut Input<'_>, near: u64| match input.below(5) {
                    0 => near,
                    1 => near.saturating_add(1),
                    2 => near.saturating_sub(1),
                    3 => u64::MAX,
                    _ => u64::from(input.byte().unwrap_or(0)),
                };
                let here = Circumstances {
                    entry,
                    epoch: 3,
                    hash_then: (input.below(2) == 0).then(|| *account.list().hash()),
                    sent: Some(number(&mut input, 2)),
                };
                let report = CheckIn {
                    device: if input.below(8) == 7 { DeviceId([9; 16]) } else { device },
                    ctr: number(&mut input, book.ctr),
                    prev: if input.below(4) == 3 { [5; 32] } else { last },
                    epoch: number(&mut input, 3),
                    list_hash: if input.below(4) == 3 { [6; 32] } else { *account.list().hash() },
                    rx_hw: number(&mut input, 2),
                    tx_hw: number(&mut input, book.tx_hw),
                    platform: [u8::try_from(input.below(3)).unwrap_or(0); 8],
                    time: now.unix_ms(),
                    nonce: [choice; 16],
                };
                let signer = if input.below(8) == 7 { &stranger } else { &key };
                let Ok(signed) = signer.sign_payload(SigningContext::CheckIn, report.encode()) else { return };
                let verdict = book.assess(&signed, &here, now);
                assert_eq!(verdict.check_in.is_some(), signer.public() == key.public() && report.device == device);
                if book.digest == signed.digest() {
                    last = book.digest;
                }
            }
            4 => drop(book.on_reset(now)),
            5 => drop(book.on_two_sockets(u64::from(input.byte().unwrap_or(0)) << 25, now)),
            6 => drop(book.on_country(["NL", "DE", "", "a country"][input.below(4)])),
            _ => {
                confirmed = book.standing == Standing::Restricted;
                book.confirm();
            }
        }
        assert!(confirmed || book.standing >= before.0, "a device got better standing by itself");
        assert!(book.ctr >= before.1, "a counter fell back");
        assert_eq!(Supervision::decode(&book.encode()).as_ref(), Ok(&book));
    }
}
