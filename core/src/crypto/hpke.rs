//! HPKE (RFC 9180), one suite: `mode_psk`, KEM X-Wing 0x647a, KDF HKDF-SHA256, AEAD AES-256-GCM.
//!
//! The primary device seals to the key that the QR code commits to; the other direction uses response keys by the
//! construction of RFC 9458 section 4.4. Each step that happens once takes `self`.

use hpke::aead::{AeadCtxR, AeadCtxS, AesGcm256};
use hpke::kdf::HkdfSha256;
use hpke::kem::{Kem as _, XWing};
use hpke::{Deserializable, OpModeR, OpModeS, PskBundle, Serializable, setup_receiver, setup_sender_with_rng};
use pairlight_wire::offer::KEM_PK_BYTES;
use pairlight_wire::pairing::ENC_BYTES;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::CryptoError;
use super::aead::SequenceKey;
use super::kdf::{KdfLabel, derive};

type Private = <XWing as hpke::Kem>::PrivateKey;
type Public = <XWing as hpke::Kem>::PublicKey;
type Encapped = <XWing as hpke::Kem>::EncappedKey;

/// What the channel's exported secrets are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportLabel {
    /// Keys of the direction from the linked to the primary device.
    Response,
    /// The six digits.
    CheckCode,
    /// Key of M3.
    M3,
    /// Key of the challenge on the local network.
    Lan,
    /// The word that a cable or a tap carries.
    Tap,
    /// Key of the last record of a session reset.
    Reset,
}

impl ExportLabel {
    fn context(self) -> &'static [u8] {
        match self {
            Self::Response => b"pairlight/v1/response",
            Self::CheckCode => b"pairlight/v1/sas",
            Self::M3 => b"pairlight/v1/m3",
            Self::Lan => b"pairlight/v1/lan",
            Self::Tap => b"pairlight/v1/tap",
            Self::Reset => b"pairlight/v1/reset",
        }
    }
}

/// The private key behind one displayed code. Used once.
pub struct RecipientKey(Private);

/// The primary device's end: seals, exports.
pub struct SenderChannel(AeadCtxS<AesGcm256, HkdfSha256, XWing>);

/// The linked device's end: opens, exports.
pub struct RecipientChannel(AeadCtxR<AesGcm256, HkdfSha256, XWing>);

/// A [`RecipientKey`] with its public key.
#[derive(Debug)]
pub struct GeneratedKey {
    /// The private key.
    pub secret: RecipientKey,
    /// The X-Wing public key.
    pub public: [u8; KEM_PK_BYTES],
}

/// A fresh [`SenderChannel`] with what the recipient needs to join it.
#[derive(Debug)]
pub struct Initiated {
    /// The sender's end.
    pub channel: SenderChannel,
    /// The X-Wing encapsulation.
    pub enc: [u8; ENC_BYTES],
}

impl RecipientKey {
    /// A new key pair.
    ///
    /// # Errors
    /// [`CryptoError`] never in practice: the lengths are those of the suite.
    pub fn generate(rng: &mut impl CryptoRng) -> Result<GeneratedKey, CryptoError> {
        let (secret, public) = XWing::gen_keypair_with_rng(rng);
        let public = public.to_bytes().as_slice().try_into().map_err(|_| CryptoError)?;
        Ok(GeneratedKey { secret: Self(secret), public })
    }

    /// The key pair of a private key, for vectors.
    #[cfg(test)]
    pub(crate) fn of_vector(secret: &[u8]) -> GeneratedKey {
        let secret = Private::from_bytes(secret).unwrap();
        let public = XWing::sk_to_pk(&secret).to_bytes().as_slice().try_into().unwrap();
        GeneratedKey { secret: Self(secret), public }
    }

    /// The private key, for vectors.
    #[cfg(test)]
    pub(crate) fn to_vector(&self) -> Vec<u8> {
        self.0.to_bytes().to_vec()
    }

    /// Joins the channel that `enc` opens.
    ///
    /// # Errors
    /// [`CryptoError`] when `enc` is not an encapsulation. A wrong key or PSK shows only when a message is opened.
    pub fn accept(
        self,
        enc: &[u8; ENC_BYTES],
        psk: &[u8; 32],
        psk_id: &[u8; 16],
        info: &[u8],
    ) -> Result<RecipientChannel, CryptoError> {
        let enc = Encapped::from_bytes(enc).map_err(|_| CryptoError)?;
        let bundle = PskBundle::new(psk, psk_id).map_err(|_| CryptoError)?;
        let context = setup_receiver(&OpModeR::Psk(bundle), &self.0, &enc, info).map_err(|_| CryptoError)?;
        Ok(RecipientChannel(context))
    }
}

impl SenderChannel {
    /// Opens a channel to `public`.
    ///
    /// # Errors
    /// [`CryptoError`] when `public` is not an X-Wing public key.
    pub fn initiate(
        rng: &mut impl CryptoRng,
        public: &[u8; KEM_PK_BYTES],
        psk: &[u8; 32],
        psk_id: &[u8; 16],
        info: &[u8],
    ) -> Result<Initiated, CryptoError> {
        let public = Public::from_bytes(public).map_err(|_| CryptoError)?;
        let bundle = PskBundle::new(psk, psk_id).map_err(|_| CryptoError)?;
        let (enc, context) =
            setup_sender_with_rng::<AesGcm256, HkdfSha256, XWing>(&OpModeS::Psk(bundle), &public, info, rng)
                .map_err(|_| CryptoError)?;
        let enc = enc.to_bytes().as_slice().try_into().map_err(|_| CryptoError)?;
        Ok(Initiated { channel: Self(context), enc })
    }

    /// Seals the next message to the linked device.
    ///
    /// # Errors
    /// [`CryptoError`] when the message counter is used up.
    pub fn seal(&mut self, aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.0.seal(plaintext, aad).map_err(|_| CryptoError)
    }

    /// A secret that only the two ends know, bound to a purpose.
    ///
    /// # Errors
    /// [`CryptoError`] never in practice: 32 bytes are within the limit of the KDF.
    pub fn export(&self, label: ExportLabel) -> Result<Zeroizing<[u8; 32]>, CryptoError> {
        export_with(|context, out| self.0.export(context, out), label)
    }
}

impl RecipientChannel {
    /// Opens the next message of the primary device.
    ///
    /// # Errors
    /// [`CryptoError`] when it is not the next message, or key, PSK or info differ.
    pub fn open(&mut self, aad: &[u8], ciphertext: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.0.open(ciphertext, aad).map_err(|_| CryptoError)
    }

    /// See [`SenderChannel::export`].
    ///
    /// # Errors
    /// As there.
    pub fn export(&self, label: ExportLabel) -> Result<Zeroizing<[u8; 32]>, CryptoError> {
        export_with(|context, out| self.0.export(context, out), label)
    }
}

fn export_with(
    export: impl FnOnce(&[u8], &mut [u8]) -> Result<(), hpke::HpkeError>,
    label: ExportLabel,
) -> Result<Zeroizing<[u8; 32]>, CryptoError> {
    let mut secret = Zeroizing::new([0; 32]);
    export(label.context(), secret.as_mut()).map_err(|_| CryptoError)?;
    Ok(secret)
}

/// The response direction: `salt = enc || resp_nonce`, then key and nonce base (RFC 9458 section 4.4).
#[must_use]
pub fn response_key(secret: &[u8; 32], enc: &[u8; ENC_BYTES], resp_nonce: &[u8; 32]) -> SequenceKey {
    let salt = [enc.as_slice(), resp_nonce].concat();
    let key = derive::<32>(&salt, secret, KdfLabel::ResponseKey, &[]);
    let base = derive::<12>(&salt, secret, KdfLabel::ResponseNonce, &[]);
    SequenceKey::new(*key, *base)
}

macro_rules! redacted {
    ($($name:ident),*) => {$(
        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )*};
}
redacted!(RecipientKey, SenderChannel, RecipientChannel);

#[cfg(test)]
mod tests {
    use super::*;

    /// A message sealed by another implementation (`shared/vectors/hpke_*.json`): the only test that needs raw labels.
    pub(crate) fn open_foreign(vector: &serde_json::Value) -> (Vec<u8>, Vec<u8>) {
        let bytes = |name: &str| hex::decode(vector[name].as_str().unwrap()).unwrap();
        let secret = Private::from_bytes(&bytes("sk")).unwrap();
        let enc = Encapped::from_bytes(&bytes("enc")).unwrap();
        let (psk, psk_id, info) = (bytes("psk"), bytes("psk_id"), bytes("info"));
        let bundle = PskBundle::new(&psk, &psk_id).unwrap();
        let mut context: AeadCtxR<AesGcm256, HkdfSha256, XWing> =
            setup_receiver(&OpModeR::Psk(bundle), &secret, &enc, &info).unwrap();
        let mut exported = vec![0; 32];
        context.export(b"sas", &mut exported).unwrap();
        (context.open(&bytes("ct"), &bytes("aad")).unwrap(), exported)
    }

    #[test]
    fn messages_of_both_reference_implementations_open() {
        for name in ["hpke_rust_to_ts.json", "hpke_ts_to_rust.json"] {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/reference/").to_owned() + name;
            let vector: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
            let (plaintext, exported) = open_foreign(&vector);
            assert!(!plaintext.is_empty());
            assert_eq!(hex::encode(exported), vector["exp"].as_str().unwrap());
        }
    }
}
