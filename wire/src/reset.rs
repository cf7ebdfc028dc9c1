//! A new session between two listed devices whose ratchet broke: three records, each signed by the device key that the
//! list pins, the ratchet's keys sealed as in a pairing.

use crate::codec::{Bytes, Wire, coded, record};
use crate::id::DeviceId;
use crate::offer::KEM_PK_BYTES;
use crate::pairing::ENC_BYTES;
use crate::sign::{InvalidSignature, Signed, SigningContext};

coded! {
    /// Which of the three records.
    pub enum ResetStep {
        /// [`ResetOffer`].
        Offer = 1,
        /// [`ResetAnswer`].
        Answer = 2,
        /// [`ResetFinish`].
        Finish = 3,
    }
}

record! {
    /// First: a fresh key to seal to.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct ResetOffer [1] {
        /// Who asks.
        pub from: DeviceId,
        /// Who is asked.
        pub to: DeviceId,
        /// Fresh randomness.
        pub nonce: [u8; 16],
        /// X-Wing public key, for this reset only.
        pub kem_pk: [u8; KEM_PK_BYTES],
        /// When, ms since 1970.
        pub at: u64,
    }
}
record! {
    /// Second: the ratchet keys of the one that was asked.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct ResetAnswer [2] {
        /// Who answers.
        pub from: DeviceId,
        /// Who asked.
        pub to: DeviceId,
        /// Digest of the signed offer.
        pub offer: [u8; 32],
        /// X-Wing encapsulation.
        pub enc: [u8; ENC_BYTES],
        /// [`ResetKeys`], sealed.
        pub ct: Bytes<256>,
    }
}
record! {
    /// Third: the first message of the new session.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct ResetFinish [3] {
        /// Who asked.
        pub from: DeviceId,
        /// Who answered.
        pub to: DeviceId,
        /// Digest of the signed answer.
        pub answer: [u8; 32],
        /// [`ResetStart`], sealed.
        pub ct: Bytes<2048>,
    }
}
record! {
    /// Inside [`ResetAnswer`].
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct ResetKeys [1] {
        /// Curve25519 identity key of a fresh ratchet account.
        pub olm_ik: [u8; 32],
        /// Its one-time key.
        pub olm_otk: [u8; 32],
    }
}
record! {
    /// Inside [`ResetFinish`].
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct ResetStart [1] {
        /// Curve25519 identity key of the asker's fresh ratchet account.
        pub olm_ik: [u8; 32],
        /// First ratchet message; its plaintext is the digest of the signed answer.
        pub olm_prekey: Bytes<1024>,
    }
}

/// A record of a reset, by its first item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reset {
    /// First.
    Offer(Box<ResetOffer>),
    /// Second.
    Answer(Box<ResetAnswer>),
    /// Third.
    Finish(Box<ResetFinish>),
}

impl Reset {
    /// Opens a record that the device with `device_pk` signed.
    ///
    /// # Errors
    /// [`InvalidSignature`] when it did not, or the record is none of the three.
    pub fn open(signed: &Signed, device_pk: &[u8; 32]) -> Result<Self, InvalidSignature> {
        let payload = signed.open(device_pk, SigningContext::SessionReset)?;
        let step = payload.get(1).and_then(|step| ResetStep::from_code(u64::from(*step))).ok_or(InvalidSignature)?;
        match step {
            ResetStep::Offer => ResetOffer::decode(payload).map(|offer| Self::Offer(Box::new(offer))),
            ResetStep::Answer => ResetAnswer::decode(payload).map(|answer| Self::Answer(Box::new(answer))),
            ResetStep::Finish => ResetFinish::decode(payload).map(|finish| Self::Finish(Box::new(finish))),
        }
        .map_err(|_| InvalidSignature)
    }
}
