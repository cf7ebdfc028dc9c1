//! Identifiers: short hashes and random numbers with a type each, so that none is passed for another.

use core::fmt;

use crate::codec::{DecodeError, Field, Sink, Source};
use crate::hash::sha256_16;

macro_rules! identifier {
    ($(#[$meta:meta])* $name:ident, $size:literal) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub [u8; $size]);

        impl $name {
            /// The bytes.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; $size] {
                &self.0
            }

            /// Two lower-case hexadecimal digits a byte.
            #[must_use]
            pub fn to_hex(&self) -> String {
                to_hex(&self.0)
            }

            /// Parses that many hexadecimal digits of either case.
            #[must_use]
            pub fn from_hex(text: &str) -> Option<Self> {
                parse_hex(text).map(Self)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.to_hex())
            }
        }

        impl Field for $name {
            fn put(&self, sink: &mut Sink) {
                self.0.put(sink);
            }
            fn take(source: &mut Source<'_>) -> Result<Self, DecodeError> {
                Field::take(source).map(Self)
            }
        }
    };
}

identifier!(
    /// Rendezvous id: names a link slot at the relay. Derived from the QR secret, so only who saw the code knows it.
    SlotId, 16
);
identifier!(
    /// An account: hash of its root public key.
    AccountId, 16
);
identifier!(
    /// A device: hash of its signing public key.
    DeviceId, 16
);
identifier!(
    /// A blob at the relay, within its account: random, chosen by the device that uploads it.
    BlobId, 32
);

impl AccountId {
    /// `H("pairlight/v1/account\0" || root_pk)[0..16]`.
    #[must_use]
    pub fn of(root_pk: &[u8; 32]) -> Self {
        Self(sha256_16(&[b"pairlight/v1/account\0", root_pk]))
    }
}

impl DeviceId {
    /// `H("pairlight/v1/device\0" || d_pk)[0..16]`.
    #[must_use]
    pub fn of(device_pk: &[u8; 32]) -> Self {
        Self(sha256_16(&[b"pairlight/v1/device\0", device_pk]))
    }
}

/// Lower-case hexadecimal digits.
#[must_use]
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Parses exactly `2 * N` hexadecimal digits.
#[must_use]
pub fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != N.checked_mul(2)? {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let pair = core::str::from_utf8(pair).ok().filter(|p| p.bytes().all(|c| c.is_ascii_hexdigit()))?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_survives_the_round_trip_and_refuses_signs() {
        let id = SlotId([0xab; 16]);
        assert_eq!(SlotId::from_hex(&id.to_hex()), Some(id));
        assert_eq!(SlotId::from_hex("+babababababababababababababababa"), None);
        assert_eq!(SlotId::from_hex("ab"), None);
    }
}
