//! Going on under another session: what the one before carried may be lost.

use pairlight_wire::id::DeviceId;
use rand_core::CryptoRng;

use super::peer::{self, PeerState};
use super::{SyncError, receiver, sender};
use crate::store::{Batch, Store};

/// The session with a device is another one, because it was linked anew or the session was broken. What the one before
/// sealed may be lost on both sides: the next exchange asks for what follows the position that is stored here, and a
/// history to the device is promised once more, as what was decided about one is said once more. Nothing happens for a
/// device that is not exchanged with.
///
/// # Errors
/// [`SyncError`]; nothing changes then.
pub fn go_on(store: &mut Store, with: &DeviceId, rng: &mut impl CryptoRng) -> Result<(), SyncError> {
    let Some(state) = peer::peer(store, with)? else { return Ok(()) };
    let mut batch = Batch::new();
    peer::put_peer(&mut batch, with, &PeerState { again: true, ..state });
    sender::repeat(store, &mut batch, with, rng)?;
    receiver::repeat(store, &mut batch)?;
    store.commit(&batch)?;
    Ok(())
}
