//! Whose connection it is.

use pairlight_wire::device::{Preset, Role, SCOPE_SEND};
use pairlight_wire::id::DeviceId;
use pairlight_wire::list::VerifiedList;

use super::client::Credentials;
use super::clock::Clock;
use super::guard::{SharedGuard, Signer};
use crate::devices::Account;
use crate::pairing::LinkedAccount;
use crate::sync::Listed;
use crate::trust::{Evidence, Policy};

/// Whose connection it is.
#[derive(Clone)]
pub(super) enum Membership {
    Primary(Box<Account>),
    Linked(Box<LinkedAccount>),
}

impl Membership {
    pub(super) fn list(&self) -> &VerifiedList {
        match self {
            Self::Primary(account) => account.list(),
            Self::Linked(account) => account.list(),
        }
    }

    pub(super) fn device(&self) -> DeviceId {
        match self {
            Self::Primary(account) => account.device_id(),
            Self::Linked(account) => account.device_id(),
        }
    }

    /// Who logs in; `guard` has the key where it is not here.
    pub(super) fn credentials<'a>(&'a self, guard: Option<&'a SharedGuard>) -> Credentials<'a> {
        match self {
            Self::Primary(account) => Credentials {
                account: account.id(),
                device: account.device_id(),
                signer: Signer::Own(account.device_key()),
                epoch: account.list().list().epoch,
            },
            Self::Linked(account) => Credentials {
                account: account.id(),
                device: account.device_id(),
                signer: Signer::new(account.device_key(), guard),
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

    /// Whether this device may send, by its own lease.
    pub(super) fn may_send(&self) -> bool {
        match self {
            Self::Primary(_) => true,
            Self::Linked(account) => account.scope() & SCOPE_SEND != 0,
        }
    }

    /// The devices of the account.
    pub(super) fn listed(&self) -> Vec<Listed> {
        let entries = self.list().list().entries.as_slice().iter();
        entries
            .map(|entry| {
                let (_, grade, preset) = Evidence::from_certificate(entry.evidence);
                Listed {
                    device: entry.device,
                    primary: entry.role == Role::Primary,
                    grade,
                    preset: preset.unwrap_or(Preset::Custom),
                    linked: entry.created,
                }
            })
            .collect()
    }
}

/// What a connection needs beside its account.
pub(super) struct Surroundings {
    pub(super) clock: Clock,
    /// What a primary device grants; `None` on a linked one.
    pub(super) policy: Option<Policy>,
    /// Class of the platform that a linked device reports.
    pub(super) platform: [u8; 8],
    /// Who has the key of a linked device, where it is not here.
    pub(super) guard: Option<SharedGuard>,
}
