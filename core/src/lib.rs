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
#[cfg(feature = "store")]
pub mod store;
pub mod time;

pub use time::Timestamp;
