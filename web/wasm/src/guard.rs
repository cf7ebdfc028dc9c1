//! The device's key where the browser guards it: made and kept by JavaScript, which signs. No part of it comes here.

use js_sys::{Function, Promise, Uint8Array};
use pairlight_core::net::{GuardSigning, KeyGuard, KeyGuardError};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

/// Two functions: `make` gives a promise of the public key of a new key, or of nothing where there are no such keys; `sign` takes
/// a public key and bytes, and gives a promise of a signature.
#[derive(Clone)]
pub(crate) struct Guard {
    pub(crate) make: Function,
    pub(crate) sign: Function,
}

async fn bytes(promised: Result<JsValue, JsValue>) -> Result<Option<Vec<u8>>, JsValue> {
    let given = JsFuture::from(Promise::resolve(&promised?)).await?;
    Ok((!given.is_null() && !given.is_undefined()).then(|| Uint8Array::new(&given).to_vec()))
}

impl Guard {
    /// A new key for one link; nothing where the browser guards none.
    pub(crate) async fn make(&self) -> Option<[u8; 32]> {
        bytes(self.make.call0(&JsValue::NULL)).await.ok().flatten()?.try_into().ok()
    }
}

impl KeyGuard for Guard {
    fn sign(&self, public: [u8; 32], message: Vec<u8>) -> GuardSigning {
        let (public, message) = (Uint8Array::from(public.as_slice()), Uint8Array::from(message.as_slice()));
        let promised = self.sign.call2(&JsValue::NULL, &public, &message);
        Box::pin(async move {
            let failed = |error: JsValue| {
                let name = js_sys::Reflect::get(&error, &"name".into()).ok().and_then(|name| name.as_string());
                KeyGuardError(name.unwrap_or_else(|| "the browser did not say why".to_owned()))
            };
            let signature = bytes(promised).await.map_err(failed)?.unwrap_or_default();
            signature.try_into().map_err(|_| KeyGuardError("that is no signature".to_owned()))
        })
    }
}
