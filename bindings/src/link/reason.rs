//! Why a link ended, and how the errors of the core become the one error.

use pairlight_core::net::NetError;
use pairlight_core::store::{KeyWrapError, StoreError};
use pairlight_core::sync::SyncError;
use pairlight_wire::pairing::EndReason;
use pairlight_wire::relay::RefusalCode;

use crate::error::PairlightError;

macro_rules! ended {
    ($($(#[$meta:meta])* $name:ident),* $(,)?) => {
        /// Why a link ended without a device; the same word on both sides.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
        pub enum EndedReason { $($(#[$meta])* $name),* }

        impl From<EndReason> for EndedReason {
            fn from(reason: EndReason) -> Self {
                match reason { $(EndReason::$name => Self::$name),* }
            }
        }
    };
}
ended! {
    /// The person closed the screen on either side.
    Cancelled,
    /// The person said no on the primary device.
    Declined,
    /// It took too long.
    TimedOut,
    /// Something was altered on the way.
    Tampered,
    /// The check code was wrong three times.
    WrongCheckCode,
    /// Two devices scanned the same code.
    Conflict,
    /// The code is too old, or was used before.
    Expired,
    /// The account's policy refuses the link with the evidence there is.
    Refused,
    /// A device could not store its keys.
    StorageFailed,
    /// The two programs do not speak the same version.
    Outdated,
    /// A newer code replaced this one.
    Superseded,
    /// The account's list could not be published.
    NotPublished,
    /// Too many attempts.
    RateLimited,
    /// The relay could not be reached.
    Unreachable,
}

impl From<StoreError> for PairlightError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Key(error) => error.into(),
            StoreError::Newer { .. } => Self::UpdateNeeded,
            other => Self::Storage { what: other.to_string() },
        }
    }
}

impl From<SyncError> for PairlightError {
    fn from(error: SyncError) -> Self {
        let what = error.to_string();
        match error {
            SyncError::Store(error) => error.into(),
            SyncError::TooLarge { .. } | SyncError::Order(_) => Self::Misuse { what },
            SyncError::Damaged => Self::Storage { what },
            SyncError::Session(_) | SyncError::Protocol => Self::NotAuthentic,
        }
    }
}

impl From<KeyWrapError> for PairlightError {
    fn from(error: KeyWrapError) -> Self {
        Self::KeyStore { what: error.to_string() }
    }
}

impl From<NetError> for PairlightError {
    fn from(error: NetError) -> Self {
        let what = error.to_string();
        match error {
            // The last: the app let the person approve sooner than the screen says.
            NetError::BadAddress(_)
            | NetError::File(_)
            | NetError::OtherHost(_)
            | NetError::OtherRelay(_)
            | NetError::UnknownDevice
            | NetError::TooEarly(_) => Self::Misuse { what },
            NetError::OutOfScope(_) | NetError::Locked => Self::Refused { what },
            NetError::Unreachable(_) => Self::Offline { what },
            NetError::Protocol => Self::Offline { what },
            NetError::Refused(refused) => match refused.code {
                RefusalCode::RateLimited => Self::TooManyAttempts { retry_after_ms: refused.retry_after_ms },
                RefusalCode::Outdated => Self::UpdateNeeded,
                RefusalCode::Unavailable => Self::Offline { what },
                RefusalCode::Protocol
                | RefusalCode::Removed
                | RefusalCode::LeaseExpired
                | RefusalCode::TimedOut
                | RefusalCode::Conflict
                | RefusalCode::Duplicate
                | RefusalCode::NotFound
                | RefusalCode::NotAllowed
                | RefusalCode::TooLarge
                | RefusalCode::Gone
                | RefusalCode::Overflow => Self::Refused { what },
            },
            NetError::NotAuthentic | NetError::Session(_) | NetError::Account(_) => Self::NotAuthentic,
            NetError::Store(error) => error.into(),
            NetError::Sync(error) => error.into(),
            NetError::NoAccount | NetError::OtherRole(_) => Self::NoAccount { what },
            // No app of a phone or a desktop has its key guarded by somebody else: browsers do.
            NetError::KeyGuard(_) => Self::Storage { what },
            NetError::Ended => Self::Ended,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_hears_of_patience_updates_and_the_network_apart() {
        let refused = |code| {
            let words = pairlight_wire::Text::truncated("words");
            let refused =
                pairlight_wire::relay::Refused { code, retry_after_ms: 5, words, slot: None, reference: None };
            PairlightError::from(NetError::Refused(Box::new(refused)))
        };
        assert_eq!(refused(RefusalCode::RateLimited), PairlightError::TooManyAttempts { retry_after_ms: 5 });
        assert_eq!(refused(RefusalCode::Outdated), PairlightError::UpdateNeeded);
        assert!(matches!(refused(RefusalCode::Unavailable), PairlightError::Offline { .. }));
        assert!(matches!(refused(RefusalCode::Conflict), PairlightError::Refused { .. }));
        assert_eq!(PairlightError::from(NetError::Ended), PairlightError::Ended);
    }
}
