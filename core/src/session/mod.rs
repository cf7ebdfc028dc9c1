//! Sealed messages between two linked devices: a fresh content key over the ratchet, the body under the content key.
//!
//! The ratchet gives forward secrecy and healing; AES-256-GCM with the header as associated data gives integrity, so
//! that the ratchet's short MAC carries nothing alone (docs/protocol.md, "Envelope").

mod reset;

use std::collections::VecDeque;

pub use reset::{ResetDesk, ResetIdentity, ResetStepped, Unsigned};

use pairlight_wire::envelope::{Envelope, EnvelopeKind, Header};
use pairlight_wire::hash::sha256;
use pairlight_wire::id::DeviceId;
use pairlight_wire::{Bytes, List, Wire, record};
use rand_core::CryptoRng;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::crypto::aead::OneShotKey;
use crate::crypto::olm::Ratchet;
use crate::crypto::{CryptoError, constant_time_eq, random};
use crate::devices::SessionCounts;

/// Longest body of one envelope in bytes; larger content travels in several, or as a blob.
pub const BODY_BYTES: usize = 60 * 1024 - crate::crypto::aead::TAG_BYTES;

/// Why a message could not be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// Not for this session, altered, or seen long before. Drop it; more than five in a row call for a reset.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
    /// Opened before: its sender or the relay did not hear so, and gave it once more. Nothing is lost; drop it.
    #[error("the message was opened before")]
    Repeated,
    /// The body is larger than [`BODY_BYTES`]. Split it.
    #[error("the body has {0} bytes, at most {BODY_BYTES} fit")]
    TooLarge(usize),
    /// The envelope is addressed to or from another device. The relay, or somebody behind it, misroutes.
    #[error("the envelope is not between these two devices")]
    WrongAddress,
    /// Stored bytes that are not a session. The store is damaged.
    #[error("the stored session cannot be read")]
    Damaged,
}

/// An opened message.
#[derive(Clone, PartialEq, Eq)]
pub struct OpenedMessage {
    /// What it is for.
    pub kind: EnvelopeKind,
    /// The sender's number.
    pub seq: u64,
    /// The content.
    pub body: Vec<u8>,
}

impl core::fmt::Debug for OpenedMessage {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let (kind, seq) = (self.kind, self.seq);
        f.debug_struct("OpenedMessage").field("kind", &kind).field("seq", &seq).finish_non_exhaustive()
    }
}

/// One end of the sealed conversation between two devices.
pub struct Session {
    own: DeviceId,
    peer: DeviceId,
    next_seq: u64,
    received: u64,
    ratchet: Ratchet,
    /// The latest envelopes that were opened, oldest first.
    opened: VecDeque<EnvelopeName>,
}

impl core::fmt::Debug for Session {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let mut session = f.debug_struct("Session");
        session.field("own", &self.own).field("peer", &self.peer).field("next_seq", &self.next_seq);
        session.field("received", &self.received).field("ratchet", &self.ratchet).finish_non_exhaustive()
    }
}

/// The beginning of the hash of an envelope.
type EnvelopeName = [u8; 8];

/// How many envelopes are known again: more than are on their way at a time.
const OPENED: usize = 128;

fn name_of(envelope: &Envelope) -> EnvelopeName {
    let hash = sha256(&[&envelope.encode()]);
    hash.first_chunk().copied().unwrap_or_default()
}

record! {
    /// A session as it lies in the sealed store. The ratchet is secret.
    pub struct StoredSession [2] {
        /// This device.
        pub own: DeviceId,
        /// The other device.
        pub peer: DeviceId,
        /// Number of the next message out.
        pub next_seq: u64,
        /// One more than the highest number in; 0 for none.
        pub received: u64,
        /// Serialised ratchet.
        pub ratchet: Bytes<{ 256 * 1024 }>,
        /// The beginnings of the hashes of the latest envelopes that were opened, oldest first.
        pub opened: List<EnvelopeName, OPENED>,
    }
}

record! {
    /// The same as it was kept before repetitions were known.
    pub struct FirstStoredSession [1] {
        /// This device.
        pub own: DeviceId,
        /// The other device.
        pub peer: DeviceId,
        /// Number of the next message out.
        pub next_seq: u64,
        /// One more than the highest number in; 0 for none.
        pub received: u64,
        /// Serialised ratchet.
        pub ratchet: Bytes<{ 256 * 1024 }>,
    }
}

impl From<FirstStoredSession> for StoredSession {
    fn from(mut first: FirstStoredSession) -> Self {
        let ratchet = core::mem::take(&mut first.ratchet);
        let FirstStoredSession { own, peer, next_seq, received, .. } = first;
        Self { own, peer, next_seq, received, ratchet, opened: List::default() }
    }
}

impl ZeroizeOnDrop for FirstStoredSession {}

impl Drop for FirstStoredSession {
    fn drop(&mut self) {
        core::mem::take(&mut self.ratchet).into_vec().zeroize();
    }
}

impl ZeroizeOnDrop for StoredSession {}

impl Drop for StoredSession {
    fn drop(&mut self) {
        core::mem::take(&mut self.ratchet).into_vec().zeroize();
    }
}

impl Session {
    /// Joins a ratchet to the two devices it is between.
    #[must_use]
    pub fn new(own: DeviceId, peer: DeviceId, ratchet: Ratchet) -> Self {
        Self { own, peer, next_seq: 0, received: 0, ratchet, opened: VecDeque::new() }
    }

    /// This device.
    #[must_use]
    pub fn own(&self) -> DeviceId {
        self.own
    }

    /// The other device.
    #[must_use]
    pub fn peer(&self) -> DeviceId {
        self.peer
    }

    /// Names the session, alike on both sides.
    #[must_use]
    pub fn name(&self) -> [u8; 8] {
        self.ratchet.name()
    }

    /// How many messages went each way, by their numbers.
    #[must_use]
    pub fn counts(&self) -> SessionCounts {
        SessionCounts { received: self.received, sent: self.next_seq }
    }

    /// Seals the next message. Store the session before the envelope leaves: a ratchet that falls back reuses keys.
    ///
    /// # Errors
    /// [`SessionError::TooLarge`], or a used-up counter.
    pub fn seal(
        &mut self,
        kind: EnvelopeKind,
        body: &[u8],
        rng: &mut impl CryptoRng,
    ) -> Result<Envelope, SessionError> {
        if body.len() > BODY_BYTES {
            return Err(SessionError::TooLarge(body.len()));
        }
        let following = self.next_seq.checked_add(1).ok_or(CryptoError)?;
        let header = Header { kind, from: self.own, to: self.peer, seq: self.next_seq }.encode();
        let content_key = Zeroizing::new(random::<32>(rng));
        let inner = Zeroizing::new([content_key.as_slice(), &sha256(&[&header])].concat());
        let ratchet = self.ratchet.seal(&inner)?;
        let body_ct = OneShotKey::new(*content_key).seal(&header, body)?;
        let envelope = Envelope {
            kind,
            from: self.own,
            to: self.peer,
            seq: self.next_seq,
            olm_type: ratchet.kind,
            olm_ct: Bytes::new(ratchet.bytes).map_err(|_| CryptoError)?,
            body_ct: Bytes::new(body_ct).map_err(|_| CryptoError)?,
        };
        self.next_seq = following;
        Ok(envelope)
    }

    /// Opens a message. One that was opened before fails, because its ratchet key is gone; of the latest it is known.
    ///
    /// # Errors
    /// [`SessionError`]; the session stays usable.
    pub fn open(&mut self, envelope: &Envelope) -> Result<OpenedMessage, SessionError> {
        if envelope.from != self.peer || envelope.to != self.own {
            return Err(SessionError::WrongAddress);
        }
        let name = name_of(envelope);
        if self.opened.contains(&name) {
            return Err(SessionError::Repeated);
        }
        let header = envelope.header();
        let inner = Zeroizing::new(self.ratchet.open(envelope.olm_type, envelope.olm_ct.as_slice())?);
        let (content_key, bound) = inner.split_first_chunk::<32>().ok_or(CryptoError)?;
        if !constant_time_eq(bound, &sha256(&[&header])) {
            return Err(CryptoError.into());
        }
        let body = OneShotKey::new(*content_key).open(&header, envelope.body_ct.as_slice())?;
        self.received = self.received.max(envelope.seq.saturating_add(1));
        if self.opened.len() >= OPENED {
            self.opened.pop_front();
        }
        self.opened.push_back(name);
        Ok(OpenedMessage { kind: envelope.kind, seq: envelope.seq, body })
    }

    /// Everything, for the sealed store. Secret.
    ///
    /// # Errors
    /// [`SessionError::Crypto`] when the ratchet is larger than any ratchet.
    pub fn encode(&self) -> Result<Zeroizing<Vec<u8>>, SessionError> {
        let ratchet = Bytes::new(self.ratchet.to_bytes()?.to_vec()).map_err(|_| CryptoError)?;
        let opened = List::new(self.opened.iter().copied().collect()).map_err(|_| CryptoError)?;
        let stored = StoredSession {
            own: self.own,
            peer: self.peer,
            next_seq: self.next_seq,
            received: self.received,
            ratchet,
            opened,
        };
        Ok(Zeroizing::new(stored.encode()))
    }

    /// The session that [`Session::encode`] gave.
    ///
    /// # Errors
    /// [`SessionError::Damaged`] when it is something else.
    pub fn decode(bytes: &[u8]) -> Result<Self, SessionError> {
        let stored =
            StoredSession::decode(bytes).or_else(|_| FirstStoredSession::decode(bytes).map(StoredSession::from));
        let stored = stored.map_err(|_| SessionError::Damaged)?;
        let ratchet = Ratchet::from_bytes(stored.ratchet.as_slice()).map_err(|_| SessionError::Damaged)?;
        Ok(Self {
            own: stored.own,
            peer: stored.peer,
            next_seq: stored.next_seq,
            received: stored.received,
            ratchet,
            opened: stored.opened.as_slice().iter().copied().collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::olm::RatchetAccount;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    fn pair() -> (Session, Session) {
        let (a, b) = (RatchetAccount::generate().unwrap(), RatchetAccount::generate().unwrap());
        let (a_id, b_id) = (DeviceId([1; 16]), DeviceId([2; 16]));
        let a_keys = a.keys();
        let mut a_ratchet = a.start(&b.keys()).unwrap();
        let first = a_ratchet.seal(b"hello").unwrap();
        let joined = b.join(&a_keys.identity, &first.bytes).unwrap();
        (Session::new(a_id, b_id, a_ratchet), Session::new(b_id, a_id, joined.ratchet))
    }

    #[test]
    fn messages_go_both_ways_out_of_order_and_only_once() {
        let mut rng = ChaCha20Rng::from_seed([0; 32]);
        let (mut a, mut b) = pair();
        let one = a.seal(EnvelopeKind::Application, b"one", &mut rng).unwrap();
        let two = a.seal(EnvelopeKind::Application, b"two", &mut rng).unwrap();
        assert_eq!(b.open(&two).unwrap().body, b"two");
        assert_eq!(b.open(&one).unwrap().body, b"one");
        assert_eq!(b.open(&one), Err(SessionError::Repeated));
        let mut b = Session::decode(&b.encode().unwrap()).unwrap();
        assert_eq!(b.open(&one), Err(SessionError::Repeated), "known after a restart");
        assert!(
            matches!(b.open(&Envelope { seq: 9, ..one.clone() }), Err(SessionError::Crypto(_))),
            "altered is no repetition"
        );
        // As a program kept it that knew no repetitions: it goes on.
        let stored = StoredSession::decode(&b.encode().unwrap()).unwrap();
        let first = FirstStoredSession {
            own: stored.own,
            peer: stored.peer,
            next_seq: stored.next_seq,
            received: stored.received,
            ratchet: stored.ratchet.clone(),
        };
        let mut b = Session::decode(&first.encode()).unwrap();
        assert!(matches!(b.open(&one), Err(SessionError::Crypto(_))));
        for n in 0..2 * OPENED {
            let more = a.seal(EnvelopeKind::Application, b"more", &mut rng).unwrap();
            b.open(&more).unwrap();
            assert_eq!(b.open(&more), Err(SessionError::Repeated), "{n}");
        }
        assert_eq!(b.opened.len(), OPENED);
        let back = b.seal(EnvelopeKind::Application, b"back", &mut rng).unwrap();
        assert_eq!(a.open(&back).unwrap().body, b"back");
    }

    #[test]
    fn every_part_of_an_envelope_is_bound() {
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        let (mut a, mut b) = pair();
        let good = a.seal(EnvelopeKind::Application, b"body", &mut rng).unwrap();
        let mut kind = good.clone();
        kind.kind = EnvelopeKind::History;
        assert_eq!(b.open(&kind), Err(SessionError::Crypto(CryptoError)));
        let mut address = a.seal(EnvelopeKind::Application, b"body", &mut rng).unwrap();
        address.to = DeviceId([9; 16]);
        assert_eq!(b.open(&address), Err(SessionError::WrongAddress));
        let mut seq = a.seal(EnvelopeKind::Application, b"body", &mut rng).unwrap();
        seq.seq += 1;
        assert_eq!(b.open(&seq), Err(SessionError::Crypto(CryptoError)));
        assert_eq!(
            a.seal(EnvelopeKind::Application, &vec![0; BODY_BYTES + 1], &mut rng).map(|_| ()),
            Err(SessionError::TooLarge(BODY_BYTES + 1))
        );
    }
}
