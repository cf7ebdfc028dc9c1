//! The rows of the store, kept by a function of JavaScript; and the key that guards the store's key.

use js_sys::{Array, Function, Promise, Uint8Array};
use pairlight_core::net::{Keeper, Kept, system_rng};
use pairlight_core::store::{KEY_LEN, KeptRow, KeyWrap, KeyWrapError, StoreError, unwrap_under, wrap_under};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use zeroize::Zeroizing;

/// First byte of a data key that was wrapped with a browser's secret.
const KIND: u8 = 4;
const AAD: &[u8] = b"pairlight/v1/browser-secret";

/// Hands rows to a function that gives a promise.
pub(crate) struct Database(pub(crate) Function);

impl Keeper for Database {
    fn keep(&self, rows: Vec<KeptRow>) -> Kept {
        let list = Array::new();
        for (key, value) in rows {
            let value = value.map_or(JsValue::NULL, |value| Uint8Array::from(value.as_slice()).into());
            list.push(&Array::of2(&Uint8Array::from(key.as_slice()), &value));
        }
        let promised = self.0.call1(&JsValue::NULL, &list);
        Box::pin(async move {
            let failed = |error: JsValue| {
                let name = js_sys::Reflect::get(&error, &"name".into()).ok().and_then(|name| name.as_string());
                match name.as_deref() {
                    Some("QuotaExceededError") => StoreError::DiskFull,
                    name => StoreError::Disk { detail: name.unwrap_or("the browser's database failed").to_owned() },
                }
            };
            let promise = promised.map_err(failed)?;
            JsFuture::from(Promise::resolve(&promise)).await.map(drop).map_err(failed)
        })
    }
}

/// The rows as they were kept.
pub(crate) fn rows(list: &Array) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    list.iter().map(|row| {
        let row: Array = row.unchecked_into();
        (Uint8Array::new(&row.get(0)).to_vec(), Uint8Array::new(&row.get(1)).to_vec())
    })
}

/// 32 bytes that the browser guards with a key that never leaves it.
pub(crate) struct Secret(Zeroizing<[u8; KEY_LEN]>);

impl Secret {
    pub(crate) fn new(bytes: Vec<u8>) -> Option<Self> {
        let bytes = Zeroizing::new(bytes);
        Some(Self(Zeroizing::new(bytes.as_slice().try_into().ok()?)))
    }
}

impl KeyWrap for Secret {
    fn wrap(&self, dek: &[u8; KEY_LEN]) -> Result<Vec<u8>, KeyWrapError> {
        wrap_under(KIND, AAD, &self.0, dek, &mut system_rng())
    }

    fn unwrap_key(&self, wrapped: &[u8]) -> Result<Zeroizing<[u8; KEY_LEN]>, KeyWrapError> {
        unwrap_under(KIND, AAD, &self.0, wrapped)
    }
}
