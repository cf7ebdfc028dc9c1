//! The part of `pairlight-core` that Kotlin and Swift call, through uniffi. A method here locks, calls and converts;
//! decisions are made below. Apps use the libraries in `android/` and `ios/`, which stand on this.
//!
//! ```text
//! Scanner            submit(luma plane, info); takeReport() -> codes, hints     the plane is read in place
//! PrimaryAccount     link(code) -> PairingFlow    devices, rename, revoke    sync() -> Sync
//! LinkedAccount      link(name) -> LinkingFlow    standing                   sync() -> Sync
//! Sync               conversations, messages, send, files (NewFile), history
//! PairingFlow, LinkingFlow, Sync                  nextEvent() until null; commands
//! KeyWrap, Approver, Clock, LogSink, Radio        what the app gives: few, synchronous, on threads of this library
//! ```
//!
//! # Rules
//! - No call keeps its caller's thread: what computes, waits or touches the disk runs on threads of this library, which are
//!   called `pairlight-N`.
//! - Dropping a call ends its work. Closing a flow or a line ends its task; what was committed stays.
//! - A panic becomes [`PairlightError::Internal`] (`contain.rs`).
//! - States that are types in Rust are enums of events here: a type that is used up cannot cross the border.
//! - Frames come as `&[u8]`: a direct `ByteBuffer` in Kotlin, `Data` in Swift. Kotlin must pass `buffer.slice()`: the
//!   generator takes the buffer's start, not its position.
//! - No asynchronous foreign traits: Swift 6 has trouble with them.
//! - Without the feature `link` there is the scanner alone: no store, no network.

mod contain;
mod error;
mod frame_slot;
#[cfg(feature = "link")]
mod link;
mod log;
mod payload;
mod runtime;
mod scanner;

pub use error::PairlightError;
#[cfg(feature = "link")]
pub use link::*;
pub use log::{LogLevel, LogSink, set_log_level, start_logging};
pub use payload::{Danger, Meaning, explain};
pub use runtime::{Activity, activity, shutdown};
pub use scanner::{
    FrameFate, FrameInfo, Hint, Region, ScanCounts, ScanReport, ScannedCode, ScannedPoint, Scanner, Turn,
};

uniffi::setup_scaffolding!();
