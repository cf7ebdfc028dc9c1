//! Errors, as JavaScript throws them: `name` says what kind, `message` is for a log.

use js_sys::Error;
use pairlight_core::net::NetError;
use pairlight_core::store::StoreError;
use pairlight_core::sync::SyncError;
use wasm_bindgen::JsValue;

/// An error of one kind.
pub(crate) fn fault(kind: &str, words: &str) -> JsValue {
    let error = Error::new(words);
    error.set_name(kind);
    error.into()
}

pub(crate) fn misuse(words: &str) -> JsValue {
    fault("Misuse", words)
}

pub(crate) fn from_net(error: NetError) -> JsValue {
    fault(kind(&error), &error.to_string())
}

/// The name of the kind.
pub(crate) fn kind(error: &NetError) -> &'static str {
    match error {
        NetError::Unreachable(_) => "Unreachable",
        NetError::Refused(_) => "Refused",
        NetError::BadAddress(_) | NetError::OtherHost(_) | NetError::OtherRelay(_) | NetError::Protocol => "WrongRelay",
        NetError::Locked => "Locked",
        NetError::NoAccount => "NotLinked",
        NetError::Ended => "Ended",
        NetError::OutOfScope(_) => "NotAllowed",
        NetError::Store(_) | NetError::KeyGuard(_) | NetError::Sync(SyncError::Store(_) | SyncError::Damaged) => {
            "Storage"
        }
        NetError::Sync(SyncError::TooLarge { .. } | SyncError::Order(_))
        | NetError::File(_)
        | NetError::UnknownDevice
        | NetError::TooEarly(_) => "Misuse",
        NetError::NotAuthentic
        | NetError::Sync(SyncError::Session(_) | SyncError::Protocol)
        | NetError::Session(_)
        | NetError::Account(_)
        | NetError::OtherRole(_) => "Failed",
    }
}

pub(crate) fn from_store(error: StoreError) -> JsValue {
    from_net(NetError::Store(error))
}

pub(crate) fn from_sync(error: SyncError) -> JsValue {
    from_net(NetError::Sync(error))
}
