//! Bit 4: a WebAuthn assertion over the transcript, verified on the primary device (Web Authentication Level 2, section
//! 7.2). The app made the passkey itself and registered its public key, so no server is asked. A page on another origin
//! cannot get such a signature out of a browser, whatever it relays.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pairlight_wire::evidence::{PASSKEY_CREDENTIALS, PasskeyProof, PasskeyRequest};
use pairlight_wire::hash::sha256;
use pairlight_wire::{Bytes, List, Text, Wire, record};

mod key;
#[cfg(test)]
mod tests;

use key::PublicKey;

/// Flags of `authenticatorData`. Others are tolerated: backup eligibility (0x08) and state (0x10) say where else the
/// passkey lives, attested data (0x40) and extensions (0x80) follow the part that is read here.
const USER_PRESENT: u8 = 0x01;
const USER_VERIFIED: u8 = 0x04;
/// `rpIdHash`, flags, counter.
const AUTHENTICATOR_DATA_BYTES: usize = 37;

/// Why an assertion proves nothing. The person may try again, but for the ones that tell of a lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasskeyError {
    /// Not an assertion.
    #[error("not a passkey assertion")]
    Malformed,
    /// Signed by a passkey that this app did not register.
    #[error("the passkey is not one that was registered here")]
    UnknownCredential,
    /// Made for something else than an assertion.
    #[error("the passkey did not sign an assertion")]
    WrongType,
    /// Signed for another link. Somebody replays.
    #[error("the passkey signed for another link")]
    WrongChallenge,
    /// The page has another origin than the registration allows. Somebody may be deceiving the person.
    #[error("the page that used the passkey is not this service's")]
    ForeignOrigin,
    /// The page was embedded in a page of another origin.
    #[error("the page that used the passkey was embedded in another page")]
    CrossOrigin,
    /// For another relying party.
    #[error("the passkey belongs to another service")]
    WrongRelyingParty,
    /// Nobody touched the authenticator.
    #[error("nobody was present at the passkey")]
    NotPresent,
    /// Nobody unlocked the authenticator.
    #[error("nobody unlocked the passkey")]
    NotVerified,
    /// The signature is not by the registered key.
    #[error("the passkey's signature is not valid")]
    Signature,
}

/// What a registration must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RegistrationError {
    /// Not a COSE key for ES256 or EdDSA with Ed25519. Ask the platform for one of these algorithms.
    #[error("the passkey's public key is not ES256 or EdDSA in COSE form")]
    Key,
    /// The credential id is empty or longer than 255 bytes.
    #[error("the passkey's credential id is empty or too long")]
    CredentialId,
    /// The relying party id is no host name.
    #[error("the relying party id is not a host name")]
    RelyingParty,
    /// An origin is not `https://host[:port]` of the relying party (or `http://localhost[:port]`), or there are none, or
    /// more than eight.
    #[error("an allowed origin is not an https origin of the relying party")]
    Origin,
}

record! {
    /// A passkey that the app made and registered, as it lies in the sealed store.
    #[derive(Debug, Clone, PartialEq, Eq)]
    struct StoredRegistration [1] {
        credential: Bytes<255>,
        public_key: Bytes<512>,
        rp_id: Text<253>,
        origins: List<Text<128>, 8>,
    }
}

/// A registered passkey: whose signature counts, and from which pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasskeyRegistration {
    stored: StoredRegistration,
    key: PublicKey,
}

impl PasskeyRegistration {
    /// Registers a passkey that the app has just made: `credential` is its id, `public_key` the COSE key of its attested
    /// data, `rp_id` its relying party, `origins` the pages that may ask it (`https://link.example.com`).
    ///
    /// # Errors
    /// [`RegistrationError`] names the part that cannot be.
    pub fn new(credential: &[u8], public_key: &[u8], rp_id: &str, origins: &[&str]) -> Result<Self, RegistrationError> {
        let host = |text: &str| {
            let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'.' | b'-');
            !text.is_empty() && text.len() <= 253 && text.bytes().all(allowed)
        };
        if !host(rp_id) {
            return Err(RegistrationError::RelyingParty);
        }
        let of_party = |origin: &str| {
            let (rest, local) = match (origin.strip_prefix("https://"), origin.strip_prefix("http://")) {
                (Some(rest), _) => (rest, false),
                (None, Some(rest)) => (rest, true),
                (None, None) => return false,
            };
            let (name, port) = rest.split_once(':').map_or((rest, None), |(name, port)| (name, Some(port)));
            let under = name == rp_id || name.strip_suffix(rp_id).is_some_and(|sub| sub.ends_with('.'));
            host(name)
                && under
                && (!local || name == "localhost")
                && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|number| number.to_string() == port))
                && origin.len() <= 128
        };
        if origins.is_empty() || !origins.iter().all(|origin| of_party(origin)) {
            return Err(RegistrationError::Origin);
        }
        let credential = Bytes::new(credential.to_vec()).map_err(|_| RegistrationError::CredentialId)?;
        if credential.as_slice().is_empty() {
            return Err(RegistrationError::CredentialId);
        }
        let key = PublicKey::from_cose(public_key).ok_or(RegistrationError::Key)?;
        let origins = origins.iter().map(|origin| Text::truncated(origin)).collect();
        let stored = StoredRegistration {
            credential,
            public_key: Bytes::new(public_key.to_vec()).map_err(|_| RegistrationError::Key)?,
            rp_id: Text::truncated(rp_id),
            origins: List::new(origins).map_err(|_| RegistrationError::Origin)?,
        };
        Ok(Self { stored, key })
    }

    /// Reads [`PasskeyRegistration::encode`] back; `None` when it is something else.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let stored = StoredRegistration::decode(bytes).ok()?;
        let origins: Vec<&str> = stored.origins.as_slice().iter().map(Text::as_str).collect();
        Self::new(stored.credential.as_slice(), stored.public_key.as_slice(), stored.rp_id.as_str(), &origins).ok()
    }

    /// For the sealed store.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.stored.encode()
    }

    /// Its credential id.
    #[must_use]
    pub fn credential(&self) -> &[u8] {
        self.stored.credential.as_slice()
    }

    /// Its relying party id.
    #[must_use]
    pub fn rp_id(&self) -> &str {
        self.stored.rp_id.as_str()
    }

    /// Whether a page on `origin` may ask it.
    #[must_use]
    pub fn allows_origin(&self, origin: &str) -> bool {
        self.stored.origins.as_slice().iter().any(|allowed| allowed.as_str() == origin)
    }

    /// Verifies an assertion over the transcript hash `th2`.
    ///
    /// # Errors
    /// [`PasskeyError`] names the first check that failed.
    pub fn verify(&self, proof: &PasskeyProof, th2: &[u8; 32]) -> Result<(), PasskeyError> {
        let client_data = proof.client_data.as_slice();
        let client: serde_json::Value = serde_json::from_slice(client_data).map_err(|_| PasskeyError::Malformed)?;
        let text = |name: &str| client.get(name).and_then(serde_json::Value::as_str);
        if text("type") != Some("webauthn.get") {
            return Err(PasskeyError::WrongType);
        }
        if text("challenge") != Some(&URL_SAFE_NO_PAD.encode(challenge(th2))) {
            return Err(PasskeyError::WrongChallenge);
        }
        if !text("origin").is_some_and(|origin| self.allows_origin(origin)) {
            return Err(PasskeyError::ForeignOrigin);
        }
        // Absent means "not embedded" in older browsers.
        match client.get("crossOrigin") {
            None | Some(serde_json::Value::Bool(false)) => {}
            Some(_) => return Err(PasskeyError::CrossOrigin),
        }
        if client.get("topOrigin").is_some() {
            return Err(PasskeyError::CrossOrigin);
        }
        let data = proof.authenticator_data.as_slice();
        let (rp_id_hash, rest) = data.split_first_chunk::<32>().ok_or(PasskeyError::Malformed)?;
        let flags = *rest.first().filter(|_| data.len() >= AUTHENTICATOR_DATA_BYTES).ok_or(PasskeyError::Malformed)?;
        if *rp_id_hash != sha256(&[self.rp_id().as_bytes()]) {
            return Err(PasskeyError::WrongRelyingParty);
        }
        if flags & USER_PRESENT == 0 {
            return Err(PasskeyError::NotPresent);
        }
        if flags & USER_VERIFIED == 0 {
            return Err(PasskeyError::NotVerified);
        }
        let signed = [data, &sha256(&[client_data])].concat();
        self.key.verify(&signed, proof.signature.as_slice()).map_err(|_| PasskeyError::Signature)
    }
}

/// What the assertion signs: `H("pairlight/v1/webauthn\0" || th2)`.
#[must_use]
pub fn challenge(th2: &[u8; 32]) -> [u8; 32] {
    sha256(&[b"pairlight/v1/webauthn\0", th2])
}

/// Verifies the encoded proof with whichever of `registrations` it names.
///
/// # Errors
/// [`PasskeyError`].
pub fn verify_any(registrations: &[PasskeyRegistration], proof: &[u8], th2: &[u8; 32]) -> Result<(), PasskeyError> {
    let proof = PasskeyProof::decode(proof).map_err(|_| PasskeyError::Malformed)?;
    let named = registrations.iter().find(|known| known.credential() == proof.credential.as_slice());
    named.ok_or(PasskeyError::UnknownCredential)?.verify(&proof, th2)
}

/// What to ask a linked device for: the credentials of the first registration's relying party. `None` without any.
#[must_use]
pub fn request(registrations: &[PasskeyRegistration]) -> Option<PasskeyRequest> {
    let rp_id = registrations.first()?.stored.rp_id.clone();
    let of_party = registrations.iter().filter(|known| known.stored.rp_id == rp_id);
    let credentials = of_party.take(PASSKEY_CREDENTIALS).map(|known| known.stored.credential.clone()).collect();
    Some(PasskeyRequest { rp_id, credentials: List::new(credentials).ok()? })
}
