//! What can go wrong between here and the relay.

use pairlight_wire::relay::{RefusalCode, Refused};
use pairlight_wire::standing::Discrepancy;

use crate::crypto::CryptoError;
use crate::devices::AccountError;
use crate::pairing::{Refusal, TooEarly};
use crate::session::SessionError;
use crate::store::StoreError;
use crate::sync::SyncError;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The address of the relay is not `http://host[:port]` or `https://host[:port]`. Correct the configuration.
    #[error("the relay's address is not an http or https address: {0}")]
    BadAddress(String),
    /// The relay goes by another host name than the one in the address, and would refuse logins that sign the latter. Use its
    /// name, or have its operator set `host`.
    #[error("the relay calls itself {0}; logins under another name are refused")]
    OtherHost(String),
    /// The code belongs to another relay of the app than the one that is used here. Use that relay, or update the app.
    #[error("the code belongs to relay number {0} of the app, and this device uses number 0")]
    OtherRelay(u8),
    /// The relay cannot be reached, or the connection broke. Check the network; try again.
    #[error("the relay cannot be reached: {0}")]
    Unreachable(String),
    /// The relay refused, and says why.
    #[error("the relay refused: {}", .0.words.as_str())]
    Refused(Box<Refused>),
    /// The relay answered with something that is not the protocol. A wrong address, a proxy in between, or another version.
    #[error("the answer is not from a Pairlight relay of this version")]
    Protocol,
    /// Somebody lies: a signature, a list or a message is not what it must be.
    #[error("what the relay delivered is not authentic")]
    NotAuthentic,
    /// The store failed. See the inner error for what to do.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Records could not be written or read. See the inner error for what to do.
    #[error(transparent)]
    Sync(#[from] SyncError),
    /// A file cannot be read. Check it and its permissions.
    #[error("the file cannot be read: {0}")]
    File(std::io::Error),
    /// A message cannot be sealed or opened.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The account cannot do this.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// There is no account or link in this store. Create or link one first.
    #[error("this store holds no such account")]
    NoAccount,
    /// The store holds an account of the other role. Use another store.
    #[error("this store already belongs to {0}")]
    OtherRole(&'static str),
    /// This device, or the one that it writes to, may not do this now. The reason is the one that both sides show.
    #[error("this is out of scope{}", .0.map_or_else(|| ": the certificate does not grant it".to_owned(), |row| format!(": {}", row.text())))]
    OutOfScope(Option<Discrepancy>),
    /// The permission of this device has ended; its store is sealed. Link it again.
    #[error("this device is locked: its permission was not renewed in time; link it again")]
    Locked,
    /// The person approved before the time to think was over. Ask again when it has passed.
    #[error(transparent)]
    TooEarly(#[from] TooEarly),
    /// The device is not one of the account's devices.
    #[error("there is no such device on this account")]
    UnknownDevice,
    /// The platform guards the key of this device and did not sign with it: the key is gone, or the platform failed. Try again;
    /// if it stays so, link this device anew.
    #[error("the platform did not sign with this device's key: {0}")]
    KeyGuard(String),
    /// The handle's task has ended; its events say why.
    #[error("this has ended")]
    Ended,
}

impl NetError {
    /// The relay's code, when it refused.
    #[must_use]
    pub fn refusal(&self) -> Option<RefusalCode> {
        match self {
            Self::Refused(refused) => Some(refused.code),
            _ => None,
        }
    }

    /// What a machine should hear: a relay that is out of reach is unavailable.
    pub(super) fn as_refusal(&self) -> Refusal {
        match self {
            Self::Refused(refused) => refused.as_ref().into(),
            Self::Protocol | Self::NotAuthentic => RefusalCode::Protocol.into(),
            _ => RefusalCode::Unavailable.into(),
        }
    }
}

impl From<CryptoError> for NetError {
    fn from(_: CryptoError) -> Self {
        Self::NotAuthentic
    }
}
