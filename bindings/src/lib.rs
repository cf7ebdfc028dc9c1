//! The part of `pairlight-core` that Kotlin and Swift call, through uniffi. A method here locks, calls and converts;
//! decisions are made below.
//!
//! ```text
//! Scanner            scan(luma plane, info) -> codes, hints        synchronous, the plane is not copied
//! PrimaryAccount     link(code) -> PairingFlow    devices, revoke, rename, connect
//! LinkedAccount      link(name) -> LinkingFlow    account, connect
//! PairingFlow, LinkingFlow, Line                  nextEvent() until null; commands
//! ```
//!
//! # Deviations
//! - States that are types in Rust are enums of events here: a type that is used up cannot cross the boundary.
//! - Frames come as `&[u8]`: a direct `ByteBuffer` in Kotlin, `Data` in Swift. Kotlin must pass `buffer.slice()`: the
//!   generator takes the buffer's start, not its position.
//! - Futures run on threads of this library; the caller's executor only waits. Dropping a call ends its work.

mod connection;
mod error;
mod linked;
mod payload;
mod primary;
mod runtime;
mod scanner;
mod vault;

pub use connection::{Line, LineEvent};
pub use error::{EndedReason, PairlightError};
pub use linked::{CodePicture, LinkedAccount, LinkingEvent, LinkingFlow};
pub use payload::{Danger, Meaning, explain};
pub use primary::{Approval, Device, PairingEvent, PairingFlow, PolicyPreset, PrimaryAccount, Source};
pub use scanner::{FrameInfo, Hint, ScanReport, ScannedCode, ScannedPoint, Scanner, Turn};
pub use vault::KeyVault;

uniffi::setup_scaffolding!();
