//! The network: a relay client, and two facades that turn the machines' cranks with tokio. The only floor that opens
//! sockets, reads the clock and asks the operating system for randomness.
//!
//! ```text
//! Primary       --link()-->     Pairing     events: review, digits, linked   commands: approve, decline, cancel
//! LinkedDevice  --link()-->     Linking     events: show this code, linked   commands: check code, cancel
//! either one    --sync()-->     Sync        events: records changed, history moved   commands: write, list, search
//! either one    --connect()-->  Connection  events: message, list, removed   commands: send
//!                 --blobs()-->  Blobs       large sealed things at the relay: put, get, resume
//! ```
//!
//! The caller's contract:
//! 1. Every handle owns its task: dropping the handle ends the task. What was committed stays committed.
//! 2. Take events until `None`; a handle whose events are not taken waits.
//! 3. Everything here runs inside a tokio runtime; calls on the store run where blocking is allowed.

mod air;
pub(crate) mod blobs;
mod client;
mod clock;
mod connection;
mod error;
mod event;
mod files;
mod guard;
mod host;
#[cfg(target_arch = "wasm32")]
mod keeping;
#[cfg(not(target_arch = "wasm32"))]
mod lan;
mod linked;
mod linking;
mod membership;
mod pairing;
mod primary;
mod publish;
mod records;
mod shared;
mod sync;
mod syncing;
mod turn;
mod upkeep;

pub use blobs::{BlobStatus, Blobs};
pub use client::{RelayClient, RelayEndpoint};
pub use clock::{Clock, SystemRng, system_clock, system_rng, system_time};
pub use connection::Connection;
pub use error::NetError;
pub use event::ConnectionEvent;
pub use guard::{AnyTask, GuardSigning, KeyGuard, KeyGuardError};
#[cfg(target_arch = "wasm32")]
pub use keeping::{Keeper, Kept};
pub use linked::{Lapse, LinkedDevice, LinkedStanding};
pub use linking::Linking;
pub use pairing::Pairing;
pub use primary::{DeviceInfo, Primary, RemovedDevice};
pub use shared::SharedStore;
pub use sync::{FileDraft, Sync, SyncUpdates, add_file};
pub use syncing::SyncUpdate;
