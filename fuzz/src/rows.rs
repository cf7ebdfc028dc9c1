//! Rows of the store, after they were unsealed, and envelopes of a peer.

use pairlight_core::crypto::olm::RatchetAccount;
use pairlight_core::devices::Account;
use pairlight_core::pairing::{LinkedAccount, PendingLink};
use pairlight_core::session::Session;
use pairlight_wire::Wire;
use pairlight_wire::envelope::Envelope;
use pairlight_wire::id::DeviceId;

/// Target: what a damaged or foreign store may hold. The first byte chooses the kind of row.
pub fn stored_row(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else { return };
    match kind % 4 {
        0 => {
            if let Ok(account) = Account::decode(bytes) {
                assert_eq!(account.encode().as_slice(), bytes);
            }
        }
        1 => {
            if let Ok(account) = LinkedAccount::decode(bytes) {
                assert_eq!(account.encode().map(|bytes| bytes.to_vec()).ok().as_deref(), Some(bytes));
            }
        }
        2 => {
            if let Ok(pending) = PendingLink::decode(bytes) {
                assert_eq!(pending.encode(), bytes);
            }
        }
        // The ratchet inside is JSON, which has many texts for one meaning.
        _ => {
            if let Ok(session) = Session::decode(bytes) {
                assert!(session.encode().is_ok());
            }
        }
    }
}

/// Target: an envelope that arrives in a session, readdressed so that it gets past the first check.
pub fn envelope(data: &[u8]) {
    let (own, peer) = (DeviceId([1; 16]), DeviceId([2; 16]));
    let Some(mut session) = joined(own, peer) else { return };
    let Ok(mut envelope) = Envelope::decode(data) else { return };
    (envelope.from, envelope.to) = (peer, own);
    assert!(session.open(&envelope).is_err(), "an envelope that nobody sealed was opened");
}

/// A session whose other end is gone.
fn joined(own: DeviceId, peer: DeviceId) -> Option<Session> {
    let (one, two) = (RatchetAccount::generate().ok()?, RatchetAccount::generate().ok()?);
    let (keys, identity) = (one.keys(), two.keys().identity);
    let mut other = two.start(&keys).ok()?;
    let first = other.seal(b"first").ok()?;
    let joined = one.join(&identity, &first.bytes).ok()?;
    Some(Session::new(own, peer, joined.ratchet))
}
