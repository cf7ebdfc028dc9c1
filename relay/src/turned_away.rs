//! Whom the operator turns away for a while. In memory: a relay that starts anew has forgotten it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pairlight_wire::id::{AccountId, DeviceId};
use pairlight_wire::relay::RefusalCode;

use crate::refusal::{Refusal, refuse};

/// An account, or one device of it, and until when.
#[derive(Default)]
pub(crate) struct TurnedAway(Mutex<HashMap<(AccountId, Option<DeviceId>), Instant>>);

/// What somebody hears whom the operator turns away.
pub(crate) fn by_the_operator() -> Refusal {
    refuse(RefusalCode::NotAllowed, "the operator of this relay does not let this account in")
}

impl TurnedAway {
    fn lock(&self) -> MutexGuard<'_, HashMap<(AccountId, Option<DeviceId>), Instant>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        known.retain(|_, until| *until > now);
        known
    }

    /// Turns away for so long; for no time at all lets in again.
    pub(crate) fn set(&self, account: AccountId, device: Option<DeviceId>, long: Duration) {
        let mut known = self.lock();
        known.remove(&(account, device));
        if let Some(until) = Instant::now().checked_add(long).filter(|_| !long.is_zero()) {
            known.insert((account, device), until);
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }

    /// Refuses a device that is turned away, or whose account is.
    pub(crate) fn check(&self, account: &AccountId, device: &DeviceId) -> Result<(), Refusal> {
        let known = self.lock();
        let is_known = known.contains_key(&(*account, None)) || known.contains_key(&(*account, Some(*device)));
        if is_known { Err(by_the_operator()) } else { Ok(()) }
    }
}
