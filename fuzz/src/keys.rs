//! Public keys of passkeys and their assertions, and the heads that say how something is sealed.

use pairlight_core::store::{KEY_LEN, KeyWrap, Passphrase, PassphraseCost, unwrap_under};
use pairlight_core::trust::PasskeyRegistration;
use pairlight_core::trust::passkey::verify_any;
use pairlight_wire::envelope::{Envelope, Header};
use pairlight_wire::evidence::PasskeyProof;
use pairlight_wire::{Bytes, Wire};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::input::Input;

/// Target: a COSE key as a platform gives it, and an assertion by it. The first byte says whether the key is that of the
/// input, or one whose owner signs nothing here.
pub fn cose_key(data: &[u8]) {
    let mut input = Input::new(data);
    let foreign = input.byte().unwrap_or(0).is_multiple_of(2);
    let cose = if foreign { input.long() } else { OWN_KEY.as_slice() };
    let origins = ["https://link.example.com"];
    let registered = PasskeyRegistration::new(b"credential", cose, "example.com", &origins);
    let Ok(registered) = registered else { return };
    assert_eq!(PasskeyRegistration::decode(&registered.encode()).as_ref(), Some(&registered));
    let mut part = || input.long().to_vec();
    let (authenticator_data, client_data, signature) = (part(), part(), part());
    let proof = match (Bytes::new(authenticator_data), Bytes::new(client_data), Bytes::new(signature)) {
        (Ok(authenticator_data), Ok(client_data), Ok(signature)) => {
            let credential = Bytes::new(b"credential".to_vec()).unwrap_or_default();
            PasskeyProof { credential, authenticator_data, client_data, signature }.encode()
        }
        // Longer than any authenticator's: as it came.
        _ => data.to_vec(),
    };
    // With a key of its own an input could hold a good assertion, if it was for this link.
    let th2 = if foreign { [0x11; 32] } else { TH2 };
    let verdict = verify_any(&[registered], &proof, &th2);
    assert!(verdict.is_err(), "an assertion that nobody signed was accepted");
}

/// For which the assertions among the seeds were made, by other keys.
const TH2: [u8; 32] = [
    0xa6, 0x23, 0x6c, 0x40, 0x85, 0x19, 0xc5, 0xe9, 0xb5, 0xce, 0xf5, 0x86, 0x19, 0x9f, 0x2c, 0x2c, 0xd6, 0x86, 0x5c,
    0xfa, 0x2a, 0x69, 0xd3, 0x9c, 0xc1, 0xa8, 0x01, 0x86, 0x2d, 0xea, 0x03, 0x4e,
];

/// An Ed25519 key of which nobody knows the secret half.
const OWN_KEY: [u8; 42] = [
    0xa4, 0x01, 0x01, 0x03, 0x27, 0x20, 0x06, 0x21, 0x58, 0x20, 0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5,
    0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a, 0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68,
    0xf7, 0x07, 0x51, 0x1a,
];

/// Target: what stands in front of something sealed. A wrapped key of either kind, or an envelope's header.
pub fn header(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else { return };
    match kind % 3 {
        0 => {
            let opened = unwrap_under(1, b"fuzz", &[7; KEY_LEN], bytes);
            assert!(opened.is_err(), "a key that nobody wrapped was unwrapped");
        }
        1 => {
            // The cost that it names is bounded here, so that an input takes no second.
            let mut bytes = bytes.to_vec();
            for (at, most) in [(1, 64), (5, 2), (9, 2)] {
                let Some(number) = bytes.get_mut(at..at + 4) else { continue };
                let named = number.iter().fold(0u32, |all, byte| all << 8 | u32::from(*byte));
                if named <= PassphraseCost::MAX.memory_kib {
                    number.copy_from_slice(&named.min(most).to_be_bytes());
                }
            }
            let cost = PassphraseCost { memory_kib: 8, passes: 1, lanes: 1 };
            let rng = Box::new(ChaCha20Rng::from_seed([1; 32]));
            let Ok(passphrase) = Passphrase::new("correct horse", cost, rng) else { return };
            assert!(passphrase.unwrap_key(&bytes).is_err(), "a key that nobody wrapped was unwrapped");
        }
        _ => {
            if let Ok(header) = Header::decode(bytes) {
                assert_eq!(header.encode(), bytes);
            }
            if let Ok(envelope) = Envelope::decode(bytes) {
                let header = Header::decode(&envelope.header()).ok();
                let said = header.map(|header| (header.kind, header.from, header.to, header.seq));
                assert_eq!(said, Some((envelope.kind, envelope.from, envelope.to, envelope.seq)));
            }
        }
    }
}
