//! The double ratchet (Olm, through vodozemac): one fresh account per link, thrown away once the session stands.
//!
//! vodozemac draws its own randomness from the operating system; it has no way to be given a generator.

use vodozemac::Curve25519PublicKey;
use vodozemac::olm::{Account, OlmMessage, PreKeyMessage, Session, SessionConfig, SessionPickle};
use zeroize::Zeroizing;

use super::CryptoError;

/// The key pairs with which a link's ratchet starts.
pub struct RatchetAccount {
    account: Account,
    one_time_key: Curve25519PublicKey,
}

/// The public halves of a [`RatchetAccount`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RatchetKeys {
    /// Curve25519 identity key.
    pub identity: [u8; 32],
    /// Curve25519 one-time key.
    pub one_time: [u8; 32],
}

/// A ratchet message: 0 = pre-key, 1 = normal; and its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RatchetMessage {
    /// 0 or 1.
    pub kind: u8,
    /// The message in Olm's own format.
    pub bytes: Vec<u8>,
}

/// One end of an established ratchet.
pub struct Ratchet(Session);

/// A [`Ratchet`] made from the other side's first message, with that message's plaintext.
#[derive(Debug)]
pub struct Joined {
    /// The ratchet.
    pub ratchet: Ratchet,
    /// What the message said.
    pub plaintext: Vec<u8>,
}

impl RatchetAccount {
    /// Fresh keys for one link.
    ///
    /// # Errors
    /// [`CryptoError`] never in practice: one one-time key is within the store's limit.
    pub fn generate() -> Result<Self, CryptoError> {
        let mut account = Account::new();
        let made = account.generate_one_time_keys(1);
        let one_time_key = *made.created.first().ok_or(CryptoError)?;
        Ok(Self { account, one_time_key })
    }

    /// The public keys.
    #[must_use]
    pub fn keys(&self) -> RatchetKeys {
        RatchetKeys { identity: self.account.curve25519_key().to_bytes(), one_time: self.one_time_key.to_bytes() }
    }

    /// Starts a ratchet towards the owner of `keys`.
    ///
    /// # Errors
    /// [`CryptoError`] when a key is of small order.
    pub fn start(self, keys: &RatchetKeys) -> Result<Ratchet, CryptoError> {
        let identity = Curve25519PublicKey::from_bytes(keys.identity);
        let one_time = Curve25519PublicKey::from_bytes(keys.one_time);
        let session = self.account.create_outbound_session(SessionConfig::version_1(), identity, one_time);
        session.map(Ratchet).map_err(|_| CryptoError)
    }

    /// Joins the ratchet that `first` started.
    ///
    /// # Errors
    /// [`CryptoError`] when the message is not for these keys or not from `identity`.
    pub fn join(mut self, identity: &[u8; 32], first: &[u8]) -> Result<Joined, CryptoError> {
        let message = PreKeyMessage::from_bytes(first).map_err(|_| CryptoError)?;
        let identity = Curve25519PublicKey::from_bytes(*identity);
        let made = self
            .account
            .create_inbound_session(SessionConfig::version_1(), identity, &message)
            .map_err(|_| CryptoError)?;
        Ok(Joined { ratchet: Ratchet(made.session), plaintext: made.plaintext })
    }
}

impl Ratchet {
    /// A name that both ends have for it. It is no secret.
    #[must_use]
    pub fn name(&self) -> [u8; 8] {
        let [a, b, c, d, e, f, g, h, ..] = pairlight_wire::hash::sha256(&[self.0.session_id().as_bytes()]);
        [a, b, c, d, e, f, g, h]
    }

    /// Encrypts the next message.
    ///
    /// # Errors
    /// [`CryptoError`] when the ratchet is used up.
    pub fn seal(&mut self, plaintext: &[u8]) -> Result<RatchetMessage, CryptoError> {
        let (kind, bytes) = self.0.encrypt(plaintext).map_err(|_| CryptoError)?.to_parts();
        Ok(RatchetMessage { kind: u8::try_from(kind).map_err(|_| CryptoError)?, bytes })
    }

    /// Decrypts a message; out of order within vodozemac's window of skipped keys.
    ///
    /// # Errors
    /// [`CryptoError`] for a message that is not of this ratchet, was seen before, or is too far away.
    pub fn open(&mut self, kind: u8, bytes: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let message = OlmMessage::from_parts(usize::from(kind), bytes).map_err(|_| CryptoError)?;
        self.0.decrypt(&message).map_err(|_| CryptoError)
    }

    /// The whole state, for the sealed store. Secret.
    ///
    /// # Errors
    /// [`CryptoError`] never in practice: the state is plain data.
    pub fn to_bytes(&self) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        serde_json::to_vec(&self.0.pickle()).map(Zeroizing::new).map_err(|_| CryptoError)
    }

    /// The state that [`Ratchet::to_bytes`] gave.
    ///
    /// # Errors
    /// [`CryptoError`] when it is something else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CryptoError> {
        let pickle: SessionPickle = serde_json::from_slice(bytes).map_err(|_| CryptoError)?;
        Ok(Self(Session::from_pickle(pickle)))
    }
}

impl core::fmt::Debug for RatchetAccount {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("RatchetAccount(..)")
    }
}

impl core::fmt::Debug for Ratchet {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Ratchet(..)")
    }
}
