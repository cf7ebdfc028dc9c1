//! Signatures that must not count: wrong key, wrong purpose, and the encodings on which implementations disagree.

use ed25519_dalek::{Signer, SigningKey};
use pairlight_wire::Bytes;
use pairlight_wire::sign::{InvalidSignature, Signed, SigningContext, key_id, verify};

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn public(key: &SigningKey) -> [u8; 32] {
    key.verifying_key().to_bytes()
}

fn sign(key: &SigningKey, context: SigningContext, message: &[u8]) -> [u8; 64] {
    key.sign(&context.input(message)).to_bytes()
}

fn signed(key: &SigningKey, context: SigningContext, payload: &[u8]) -> Signed {
    let sig = sign(key, context, payload);
    Signed { kid: key_id(&public(key)), payload: Bytes::new(payload.to_vec()).unwrap(), sig }
}

#[test]
fn a_signature_counts_for_its_key_context_and_message_only() {
    let (ours, other) = (key(1), key(2));
    let good = signed(&ours, SigningContext::Lease, b"payload");
    assert_eq!(good.open(&public(&ours), SigningContext::Lease), Ok(b"payload".as_slice()));
    assert_eq!(good.open(&public(&other), SigningContext::Lease), Err(InvalidSignature));
    for code in 0..9 {
        let context = SigningContext::from_code(code).unwrap();
        assert_eq!(good.open(&public(&ours), context).is_ok(), context == SigningContext::Lease, "{context:?}");
    }
    let mut kid = good.clone();
    kid.kid[7] ^= 1;
    assert_eq!(kid.open(&public(&ours), SigningContext::Lease), Err(InvalidSignature));
    let mut payload = good.clone();
    payload.payload = Bytes::new(b"paylaod".to_vec()).unwrap();
    assert_eq!(payload.open(&public(&ours), SigningContext::Lease), Err(InvalidSignature));
    // Another key behind the key id of ours.
    let mut foreign = signed(&other, SigningContext::Lease, b"payload");
    foreign.kid = good.kid;
    assert_eq!(foreign.open(&public(&ours), SigningContext::Lease), Err(InvalidSignature));
}

#[test]
fn no_bit_of_a_signature_is_free() {
    let ours = key(3);
    let good = sign(&ours, SigningContext::DeviceList, b"m");
    for index in 0..64 {
        for bit in 0..8 {
            let mut sig = good;
            sig[index] ^= 1 << bit;
            assert!(verify(&public(&ours), SigningContext::DeviceList, b"m", &sig).is_err(), "{index} {bit}");
        }
    }
}

/// 2^252 + 27742317777372353535851937790883648493, little-endian.
const GROUP_ORDER: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";

#[test]
fn a_signature_whose_number_is_not_reduced_is_refused() {
    // S + L verifies the same equation; accepting it would give every signature a twin.
    let ours = key(4);
    let mut sig = sign(&ours, SigningContext::DeviceCert, b"m");
    let order = hex::decode(GROUP_ORDER).unwrap();
    let mut carry = 0u16;
    for (byte, add) in sig[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = sum as u8;
        carry = sum >> 8;
    }
    assert_eq!(carry, 0);
    assert!(verify(&public(&ours), SigningContext::DeviceCert, b"m", &sig).is_err());
}

/// The eight points of small order, and the other encodings of those that have one (y beyond the prime, or a sign bit on
/// x = 0).
const SMALL_ORDER: [&str; 14] = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
];

#[test]
fn keys_and_nonces_of_small_order_are_refused() {
    // With such a key and R = the key or the identity, S = 0, the plain equation holds for one message in eight or all.
    for a in SMALL_ORDER {
        let public_key: [u8; 32] = hex::decode(a).unwrap().try_into().unwrap();
        for r in SMALL_ORDER {
            let mut sig = [0; 64];
            sig[..32].copy_from_slice(&hex::decode(r).unwrap());
            for message in 0..16u8 {
                let outcome = verify(&public_key, SigningContext::DeviceAccept, &[message], &sig);
                assert_eq!(outcome, Err(InvalidSignature), "key {a}, R {r}");
            }
        }
    }
    // And with an honest key, R of small order.
    for r in SMALL_ORDER {
        let mut sig = sign(&key(5), SigningContext::DeviceAccept, b"m");
        sig[..32].copy_from_slice(&hex::decode(r).unwrap());
        assert!(verify(&public(&key(5)), SigningContext::DeviceAccept, b"m", &sig).is_err());
    }
}
