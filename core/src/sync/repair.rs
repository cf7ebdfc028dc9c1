//! Mending by hand: damage, and a transfer of history that has to end or begin again.

use pairlight_wire::id::DeviceId;
use rand_core::CryptoRng;

use super::SyncError;
use super::peer::{self, PeerState};
use super::replica::Replica;
use super::turn::Turn;
use crate::store::{Batch, Store};

impl Replica {
    /// Deletes damaged records, has every device asked for everything again, and gives how many records were lost here. A
    /// sound store is left alone.
    ///
    /// # Errors
    /// [`SyncError`]. The question is kept before anything is deleted: after a failure or a crash in between, what is
    /// damaged is still there or is asked for.
    pub fn repair(&self, store: &mut Store) -> Result<u64, SyncError> {
        if store.records_are_sound()? {
            return Ok(0);
        }
        let mut batch = Batch::new();
        for (device, state) in peer::peers(store)? {
            peer::put_peer(&mut batch, &device, &PeerState { received: 0, told: 0, again: true, ..state });
        }
        store.commit(&batch)?;
        Ok(store.repair_records()?)
    }

    /// Stops a transfer of history: on a primary device that to `device`, on a linked one its own. What is stored stays.
    ///
    /// # Errors
    /// [`SyncError`].
    pub fn cancel(&self, turn: &mut Turn<'_>, device: &DeviceId, rng: &mut impl CryptoRng) -> Result<(), SyncError> {
        if self.is_primary() { self.cancel_history_to(turn, device, rng) } else { self.cancel_history(turn, rng) }
    }

    /// Begins a transfer of history anew, without a new link: on a primary device that to `device`, on a linked one its own.
    ///
    /// # Errors
    /// [`SyncError`].
    pub fn retry(&self, turn: &mut Turn<'_>, device: &DeviceId, rng: &mut impl CryptoRng) -> Result<(), SyncError> {
        if self.is_primary() { self.retry_history_to(turn, device, rng) } else { self.retry_history(turn, rng) }
    }
}
