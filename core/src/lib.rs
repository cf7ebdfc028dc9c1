//! Pairlight: link a device by scanning a code. Scan, pair, store, sync.
//!
//! What this crate does not do: it draws no user interface, opens no camera, never opens a link that it reads, reads no
//! clock and draws no randomness by itself (both are arguments), and, but for [`store`] and [`net`], does no I/O.
//!
//! ```text
//! camera picture -> frame::LumaFrame -> scan::Symbol -> payload::Payload -> pairing (primary machine) -+
//!                                                                                                     |  relay
//! screen <- pairing::CodeMatrix <- pairing (linked machine) <-----------------------------------------+
//!                                                                    |
//!               trust (evidence, policy)   devices (account, list)   session (sealed messages)   store (sealed at rest)
//! ```
//!
//! The floors, in the order in which a frame travels; each may use only those above it, a test sees to that:
//! [`time`] and [`crypto`] (ground), [`frame`], `scan`, [`payload`], [`trust`], [`devices`], [`session`], [`pairing`],
//! `store`, `sync`, `net`. The features `scan`, `store` (with `sync`) and `net` gate whole floors; without them this is the sans-IO core,
//! which builds for WebAssembly, Android and iOS.
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

// -- ground
pub mod crypto;
pub mod time;

// -- floors
pub mod frame;
#[cfg(feature = "scan")]
pub mod scan;

pub mod payload;

pub mod trust;

pub mod devices;

pub mod session;

pub mod pairing;

#[cfg(feature = "store")]
pub mod store;

#[cfg(feature = "store")]
pub mod sync;

#[cfg(feature = "net")]
pub mod net;

pub use time::Timestamp;
