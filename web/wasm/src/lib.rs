//! The linked device in a browser: `pairlight-core` behind an interface that JavaScript can call.
//!
//! What it does not do: no screen, no IndexedDB, no WebCrypto. The TypeScript package beside it (`web/src`) opens the
//! database, keeps the rows, holds the key that guards the store's key and the one that signs as this device; it runs this in a
//! worker.
//!
//! What goes in and out is strings, numbers and bytes; what has a structure is JSON, whose shapes are written down in
//! `web/src/types.ts`. Ids are hexadecimal digits, times are ms since 1970.
#![cfg(target_arch = "wasm32")]

mod device;
mod fault;
mod guard;
mod keeper;
mod lock;
mod shape;
