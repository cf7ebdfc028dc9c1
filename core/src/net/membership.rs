//! Whose connection it is, and which lists it follows.

use pairlight_wire::device::Role;
use pairlight_wire::hash::sha256;
use pairlight_wire::list::RemovalReason;
use pairlight_wire::relay::ListChain;

use super::client::Credentials;
use super::error::NetError;
use crate::devices::Account;
use crate::pairing::LinkedAccount;
use crate::sync::Listed;
use crate::trust::Evidence;

/// Whose connection it is.
#[derive(Clone)]
pub(super) enum Membership {
    Primary(Box<Account>),
    Linked(Box<LinkedAccount>),
}

impl Membership {
    pub(super) fn credentials(&self) -> Credentials<'_> {
        match self {
            Self::Primary(account) => Credentials {
                account: account.id(),
                device: account.device_id(),
                key: account.device_key(),
                epoch: account.list().list().epoch,
            },
            Self::Linked(account) => Credentials {
                account: account.id(),
                device: account.device_id(),
                key: account.device_key(),
                epoch: account.list().list().epoch,
            },
        }
    }

    pub(super) fn role(&self) -> Role {
        match self {
            Self::Primary(_) => Role::Primary,
            Self::Linked(_) => Role::Linked,
        }
    }

    pub(super) fn follow(&mut self, chain: &ListChain) -> Result<(), NetError> {
        match self {
            Self::Linked(account) => Ok(account.follow(chain)?),
            Self::Primary(account) => follow_primary(account, chain),
        }
    }

    /// The devices of the account.
    pub(super) fn listed(&self) -> Vec<Listed> {
        let list = match self {
            Self::Primary(account) => account.list().list(),
            Self::Linked(account) => account.list().list(),
        };
        let entries = list.entries.as_slice().iter();
        entries
            .map(|entry| Listed {
                device: entry.device,
                primary: entry.role == Role::Primary,
                grade: Evidence::from_certificate(entry.evidence).1,
                linked: entry.created,
            })
            .collect()
    }

    pub(super) fn removal(&self) -> Option<RemovalReason> {
        match self {
            Self::Primary(_) => None,
            Self::Linked(account) => account.list().tombstone(&account.device_id()).map(|tombstone| tombstone.reason),
        }
    }
}

/// Follows the lists of the relay on a primary device.
pub(super) fn follow_primary(account: &mut Account, chain: &ListChain) -> Result<(), NetError> {
    for signed in chain.lists.as_slice() {
        if sha256(&[signed.payload.as_slice()]) != *account.list().hash() {
            account.advance(signed, chain.ops.as_ref())?;
        }
    }
    Ok(())
}
