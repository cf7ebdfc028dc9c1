//! The relay: an untrusted server that lets two devices find each other and stores sealed messages between them.
//!
//! It cannot read what it carries. It links no code that opens it (a test on the dependency tree proves it), holds no key
//! but the one with which it signs what it saw of a caller's network, and forgets link slots when it stops. It can
//! delay, drop and refuse; the protocol makes sure that it cannot do more.
//!
//! ```text
//!  linked device                         relay                          primary device
//!  WS /v1/link      --Open-->     slot: RAM only, seconds      <--claim--   HTTP, long poll
//!  WS /v1/stream    --Post-->     mailbox: sealed envelopes    <--Ack---    WS /v1/stream
//!                   <-ListChanged--  list: signed, chained     <--PUT---    HTTP
//!  HTTP             --GET-->      blob: sealed, for hours      <--PUT---    HTTP
//! ```
//!
//! The table of calls is the documentation of [`pairlight_wire::relay`]. Files, in the order of a request:
//! `listener` counts connections, `tls` encrypts them where no proxy does, `server` routes and guards, `caller` says who asks, `rate` whether too often; then
//! `slot` and `link`, or `account`, `stream`, `presence`, `blob` over the [`store`].
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), pairlight_relay::RelayError> {
//! use pairlight_relay::{Relay, RelayConfig};
//!
//! let relay = Relay::spawn(RelayConfig::default()).await?;
//! assert!(relay.url().starts_with("http://127.0.0.1:"));
//! relay.shutdown().await;
//! # Ok(()) }
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

mod account;
#[cfg(unix)]
mod admin;
mod attest;
mod auth;
mod blob;
mod call_id;
mod caller;
mod config;
mod drain;
mod error;
mod frames;
mod limits;
mod link;
mod listener;
mod metrics;
mod network;
#[cfg(unix)]
mod operate;
mod page;
mod presence;
mod rate;
mod ready;
mod refusal;
mod run;
mod server;
mod settings;
mod slot;
pub mod store;
mod stream;
mod tls;
mod turned_away;

pub use config::{Clock, NoPlaces, Place, PlaceLookup, PlaceTable, RelayConfig};
pub use error::RelayError;
pub use limits::{Limits, Quota, Rate};
pub use network::{BadCidr, Cidr};
#[cfg(unix)]
pub use operate::{Admin, Operation};
pub use page::Page;
pub use run::run_foreground;
pub use server::{Relay, RelayHandle};
pub use settings::{LimitsPreset, LogFormat, RelayArgs, Settings, StoreKind};
pub use tls::Tls;
