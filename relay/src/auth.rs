//! Proof that a caller is a listed device: fresh nonces, and the signature over one.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use pairlight_wire::device::{Role, open_lease};
use pairlight_wire::list::{Entry, VerifiedList};
use pairlight_wire::relay::{DeviceAuth, RefusalCode, auth_message};
use pairlight_wire::root::former_roots;
use pairlight_wire::sign::{Signed, SigningContext, verify};

use crate::link::millis;
use crate::refusal::{Refusal, refuse};
use crate::server::State;
use crate::store::Head;

type Nonce = [u8; 32];

/// Nonces that were given out and not used yet.
pub(crate) struct Nonces {
    lifetime: Duration,
    most: usize,
    given: Mutex<Given>,
}

#[derive(Default)]
struct Given {
    /// Oldest first; used ones stay here until they are due.
    order: VecDeque<(Instant, Nonce)>,
    valid: HashSet<Nonce>,
}

impl Nonces {
    pub(crate) fn new(lifetime: Duration, most: usize) -> Self {
        Self { lifetime, most, given: Mutex::default() }
    }

    /// Remembers a fresh nonce; forgets the oldest when there are too many.
    pub(crate) fn give(&self, nonce: Nonce, now: Instant) {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        given.forget_due(now, self.lifetime);
        if given.order.len() >= self.most
            && let Some((_, oldest)) = given.order.pop_front()
        {
            given.valid.remove(&oldest);
        }
        given.order.push_back((now, nonce));
        given.valid.insert(nonce);
    }

    /// Whether the nonce is ours and fresh. True once for each.
    pub(crate) fn spend(&self, nonce: &Nonce, now: Instant) -> bool {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        given.forget_due(now, self.lifetime);
        given.valid.remove(nonce)
    }

    pub(crate) fn sweep(&self, now: Instant) {
        self.given.lock().unwrap_or_else(PoisonError::into_inner).forget_due(now, self.lifetime);
    }
}

impl Given {
    fn forget_due(&mut self, now: Instant, lifetime: Duration) {
        while let Some((given, nonce)) = self.order.front().copied() {
            if now.saturating_duration_since(given) < lifetime {
                return;
            }
            self.valid.remove(&nonce);
            self.order.pop_front();
        }
    }
}

/// The newest list of an account, checked, with the certificates of its ops keys.
pub(crate) struct Account {
    pub(crate) list: VerifiedList,
    pub(crate) ops: Vec<Signed>,
}

impl Account {
    /// Checks what the store gives: a store that was tampered with is no better than a stranger.
    pub(crate) fn open(head: Head) -> Result<Self, Refusal> {
        let list = VerifiedList::anchor(&head.newest.list, Some(&head.newest.ops));
        let list = list.map_err(|error| {
            tracing::error!(%error, "the store gives a list that does not verify");
            refuse(RefusalCode::Unavailable, "the relay cannot use its copy of the list")
        })?;
        Ok(Self { list, ops: head.ops })
    }
}

/// Checks that `auth` is by a device of the newest list, over `nonce`. Who is not listed learns no more than that.
pub(crate) fn check_device<'a>(
    state: &State,
    account: &'a Account,
    auth: &DeviceAuth,
    nonce: &Nonce,
) -> Result<&'a Entry, Refusal> {
    if account.list.tombstone(&auth.device).is_some() {
        // The key of a removed device is not in the list any more, so its signature is not checked: whoever knows
        // both ids may learn that the device is removed.
        return Err(refuse(RefusalCode::Removed, "this device was removed from the account"));
    }
    let entry = account.list.entry(&auth.device).ok_or_else(not_listed)?;
    check_signature(state, auth, nonce, &entry.device_pk)?;
    state.turned_away.check(&auth.account, &auth.device)?;
    if auth.epoch > account.list.list().epoch {
        tracing::warn!(known = auth.epoch, stored = account.list.list().epoch, "a device knows a newer list");
    }
    Ok(entry)
}

/// Checks the signature of `auth` over `nonce`.
pub(crate) fn check_signature(
    state: &State,
    auth: &DeviceAuth,
    nonce: &Nonce,
    device_pk: &[u8; 32],
) -> Result<(), Refusal> {
    let message = auth_message(nonce, &state.host, &auth.device, auth.epoch);
    if auth.nonce != *nonce || verify(device_pk, SigningContext::RelayAuth, &message, &auth.sig).is_err() {
        return Err(refuse(RefusalCode::NotAllowed, "the login is not valid"));
    }
    Ok(())
}

/// No such account, or not for this device.
pub(crate) fn not_listed() -> Refusal {
    refuse(RefusalCode::NotFound, "there is no such account for this device")
}

/// When the permission of a device to stay ends, ms since 1970; `None` for a primary device, which needs none.
pub(crate) fn check_lease(
    state: &State,
    account: &Account,
    entry: &Entry,
    lease: Option<&Signed>,
) -> Result<Option<u64>, Refusal> {
    if entry.role == Role::Primary {
        return Ok(None);
    }
    let list = account.list.list();
    // The certificates are those that came with accepted lists, so a lease that was made before the root key changed
    // still lets its device in to fetch a new one.
    let roots = [&[list.root_pk], former_roots(list.roots.as_slice()).as_slice()].concat();
    let open = |lease: &Signed| {
        let pairs = account.ops.iter().flat_map(|ops| roots.iter().map(move |root| (ops, root)));
        pairs.into_iter().find_map(|(ops, root)| open_lease(lease, ops, root, &list.account).ok())
    };
    let opened = lease.and_then(open);
    let opened = opened.filter(|opened| opened.device == entry.device && opened.account == list.account);
    let opened = opened.ok_or_else(|| refuse(RefusalCode::NotAllowed, "a linked device needs its lease"))?;
    let now = (state.clock)();
    let grace = millis(state.limits.lease_grace);
    if opened.not_after.saturating_add(grace) < now {
        return Err(refuse(RefusalCode::LeaseExpired, "the lease has lapsed; link this device again"));
    }
    if opened.not_before > now.saturating_add(grace) {
        return Err(refuse(RefusalCode::NotAllowed, "the lease has not begun"));
    }
    if entry.not_after.saturating_add(grace) < now {
        return Err(refuse(RefusalCode::LeaseExpired, "the certificate of this device has ended; link it again"));
    }
    Ok(Some(opened.not_after.min(entry.not_after)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_good_once_for_a_while_and_the_oldest_give_way() {
        let nonces = Nonces::new(Duration::from_secs(60), 2);
        let start = Instant::now();
        nonces.give([1; 32], start);
        assert!(nonces.spend(&[1; 32], start));
        assert!(!nonces.spend(&[1; 32], start), "used");
        assert!(!nonces.spend(&[9; 32], start), "never given");
        nonces.give([2; 32], start);
        nonces.give([3; 32], start);
        nonces.give([4; 32], start);
        assert!(!nonces.spend(&[2; 32], start), "pushed out");
        assert!(!nonces.spend(&[3; 32], start + Duration::from_secs(60)), "too old");
        nonces.sweep(start + Duration::from_secs(60));
        assert!(nonces.given.lock().unwrap().order.is_empty() && nonces.given.lock().unwrap().valid.is_empty());
    }
}
