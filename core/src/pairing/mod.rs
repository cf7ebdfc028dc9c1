//! Linking a device: both roles as machines without sockets, clocks or disks.
//!
//! ```text
//! linked device                       relay                        primary device
//!   Opening   -- Open ----------------->
//!   Showing   <- Opened                   (the code is on the screen)     scans it
//!   Claimed   <- Claimed                 <-------------------- Claim --  Claiming
//!                                        -- offer, context ----------->  Review: the person decides
//!   Claimed   <======================== M1 ===========================   AwaitingKey
//!   CheckCode ========================= M2 ==========================>   ShowingCheckCode
//!   AwaitingCertificate =============== M2b =========================>   CheckingEvidence
//!   (GivingEvidence)  <================ Need ========================   (AwaitingEvidence, at most once)
//!   AwaitingCertificate =============== M2b again ===================>   (SecondApproval)
//!   (saved)   <======================== M3 ===========================   AwaitingAcceptance (saved)
//!   AwaitingCommit ==================== M4 ==========================>   Publishing (saved)
//!                                        <-------------- PublishList --
//!   Linked    <======================== M5 ===========================   Linked
//! ```
//!
//! Contract of both machines ([`LinkedMachine`], [`PrimaryMachine`]):
//! 1. After every `handle_*` or command, take [`LinkedMachine::poll_output`] until it gives `None`, in order.
//! 2. A `Save` must be on disk before the next output is taken; when it cannot be, call `handle_storage_failed`.
//! 3. Then arm a timer for `poll_timeout` and call `handle_timeout` when it fires, early calls do no harm. Read the
//!    clock once a turn: the time to sleep counts from the `now` that the machine was given last, else a clock that is
//!    set back in between makes the sleep as long as the jump.
//! 4. A machine that ended stays ended and repeats its reason.

mod check_code;
mod code;
mod handshake;
mod linked;
mod primary;
mod record;
mod refusal;
mod review;
mod secret;
#[cfg(test)]
pub(crate) mod tests;
mod timer;
mod transcript;

pub use check_code::{CHECK_CODE_DIGITS, CheckCode};
pub use code::{CodeMatrix, CodeTooLong, QUIET_ZONE};
pub use handshake::DeviceDescription;
pub use linked::{
    AppEvidence, EvidenceWanted, LinkedEvent, LinkedMachine, LinkedOutput, LinkedSave, LinkedState, PasskeyWanted,
    SignOrder,
};
pub use primary::{PrimaryConfig, PrimaryEvent, PrimaryMachine, PrimaryOutput, PrimarySave, PrimaryState, TooEarly};
pub use record::{LinkStage, LinkedAccount, PendingLink};
pub use refusal::Refusal;
pub use review::{Choice, Emphasis, ReviewModel, Warning};
