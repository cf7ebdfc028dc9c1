//! Records kept in step between the devices of an account, and the history that a new device gets.
//!
//! ```text
//! write ------> store: merged by version, numbered in this device's log
//! log ---------> Exchange (from, to] --sealed--> the other device: merged there, acknowledged by position
//! before link -> History: first screen in messages, the rest in sealed chunks at the relay
//! ```
//! The primary device exchanges with every linked device, a linked device with its primary alone: what one linked device
//! writes reaches the others through the primary.
//!
//! The log is the outbox: what was written offline lies in it, and goes out when the position that the other side
//! confirmed is behind. Everything that one message changes (ratchet, records, positions, answers) is one [`Turn`], which
//! is durable as a whole or not at all. So a message is applied once, whatever is killed when.
//!
//! What it does not do: no I/O but on the [`store`](crate::store) that it is given, no clock, no sockets. It does not
//! merge inside a record: of two writers of one record the later wins whole.

mod chunk;
mod content;
mod drift;
mod file;
mod gather;
mod history;
pub mod messages;
mod padded;
mod peer;
mod receiver;
mod renewal;
mod repair;
mod replica;
mod sender;
mod turn;

#[cfg(test)]
mod tests;

pub use content::{Change, ChangedRecord, SyncError};
pub use file::{FileInfo, FileOrder, FileWriter, SealedPiece, file, file_piece};
pub use history::{HistoryPhase, HistoryProgress, HistoryStanding, Received};
#[cfg(feature = "net")]
pub(crate) use peer::MOST_OUTSTANDING;
pub use renewal::go_on;
pub use replica::{HistoryGate, Listed, Replica, SyncEvent, SyncRole};
pub use sender::Upload;
pub use turn::{Opened, Post, Turn, TurnDone};
