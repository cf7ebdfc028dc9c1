//! Pairlight: link a device by scanning a code. Scan, pair, store, sync.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

pub mod crypto;
pub mod devices;
pub mod pairing;
pub mod session;
pub mod time;
pub mod trust;

pub use time::Timestamp;
