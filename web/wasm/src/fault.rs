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
    let kind = match &error {
        NetError::Unreachable(_) => "Unreachable",
        NetError::Locked => "Locked",
        NetError::NoAccount => "NotLinked",
        NetError::Ended => "Ended",
        NetError::Store(_) | NetError::Sync(SyncError::Store(_)) => "Storage",
        NetError::OutOfScope(_) => "NotAllowed",
        NetError::BadAddress(_) | NetError::OtherHost(_) | NetError::Protocol => "WrongRelay",
        _ => "Failed",
    };
    fault(kind, &error.to_string())
}

pub(crate) fn from_store(error: StoreError) -> JsValue {
    from_net(NetError::Store(error))
}

pub(crate) fn from_sync(error: SyncError) -> JsValue {
    from_net(NetError::Sync(error))
}
