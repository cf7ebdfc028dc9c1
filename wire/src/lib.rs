//! The bytes that two Pairlight programs must agree on, and how to check the signatures on them.
//!
//! This crate does no I/O, reads no clock, draws no randomness and holds no private key. It turns hostile bytes into
//! typed values, or refuses them, and back. The relay and the core both stand on it, so that they cannot disagree
//! about what a valid code, message or device list is.
//!
//! ```text
//!   QR symbol  ──  qr::QrPayload        51 bytes as 124 digits
//!   rendezvous ──  offer, context       what the linked device offers, what the relay saw
//!   pairing    ──  pairing, evidence    M1 .. M5, and what proves nearness
//!   trust      ──  device, list         certificates, leases, check-ins, the chained device list
//!   afterwards ──  envelope, sync, file one sealed message; records kept in step, history, attachments
//!   transport  ──  relay                the frames spoken with the relay
//! ```
//!
//! Encoding rules (docs/protocol.md, "Encoding"): deterministic CBOR, RFC 8949 section 4.2.1, arrays with fixed
//! positions. [`Wire::decode`] refuses everything that does not encode back to the same bytes. Signatures are over the
//! exact bytes received, which [`sign::Signed`] keeps.
//!
//! ```
//! use pairlight_wire::qr::QrPayload;
//!
//! let shown = QrPayload::new(0, [7; 32], [9; 16]).to_text();
//! assert!(shown.starts_with("PAIRLIGHT:/"));
//! assert_eq!(QrPayload::parse(&shown)?.relay_index(), 0);
//! # Ok::<(), pairlight_wire::qr::QrError>(())
//! ```
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

pub mod base10;
pub mod codec;
pub mod context;
pub mod device;
pub mod envelope;
pub mod evidence;
pub mod file;
pub mod hash;
pub mod id;
pub mod limits;
pub mod list;
pub mod offer;
pub mod pairing;
pub mod qr;
pub mod relay;
pub mod reset;
pub mod root;
pub mod sign;
pub mod standing;
pub mod sync;

pub use codec::{Bytes, DecodeError, List, Text, Wire};
