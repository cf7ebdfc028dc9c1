//! What the primary device's machine starts from, and what it tells its driver.

use core::fmt;

use pairlight_wire::id::{DeviceId, SlotId};
use pairlight_wire::pairing::EndReason;
use pairlight_wire::relay::PublishList;

#[cfg(doc)]
use super::PrimaryMachine;
use crate::devices::Account;
use crate::pairing::check_code::CheckCode;
use crate::pairing::record::PendingLink;
use crate::pairing::review::ReviewModel;
use crate::trust::{EvidenceBit, Finding, Grade, Help, LanProbe, ManagedRequest, Policy, RadioOrder, ScanSource};

/// Where a primary device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrimaryState {
    /// Asking the relay for the scanned code.
    Claiming,
    /// The approval screen is up.
    Review,
    /// Approved; waiting for the other device's first answer.
    AwaitingKey,
    /// The six digits are on the screen.
    ShowingCheckCode,
    /// They were typed right; evidence is being checked.
    CheckingEvidence,
    /// The other device was asked for more evidence.
    AwaitingEvidence,
    /// Weak evidence: the person must approve again.
    SecondApproval,
    /// The certificate is out; waiting for the counter-signature.
    AwaitingAcceptance,
    /// Publishing the list with the new device.
    Publishing,
    /// Done.
    Linked,
    /// Ended without a link.
    Failed(EndReason),
}

/// What the app shows.
#[derive(Debug)]
pub enum PrimaryEvent {
    /// Show the approval screen; answer with `approve`, which counts once its `hold_ms` have passed, or `decline`.
    Review(Box<ReviewModel>),
    /// Show these digits.
    ShowCheckCode(CheckCode),
    /// The person typed them right on the other device.
    CheckCodeConfirmed {
        /// Grade of the evidence that could be checked at once.
        grade: Grade,
    },
    /// A piece of evidence was checked.
    EvidenceChecked {
        /// Which.
        bit: EvidenceBit,
        /// What came of it.
        finding: Finding,
    },
    /// An organisation's attestation waits for the app's judgement: answer with [`PrimaryMachine::judge_managed`].
    JudgeManaged(Box<ManagedRequest>),
    /// The other device was told which evidence would help.
    AskedForEvidence(Vec<EvidenceBit>),
    /// The policy refuses the link with the evidence there is. `Failed` follows.
    EvidenceMissing {
        /// Grade of all evidence.
        grade: Grade,
        /// What would help.
        help: Vec<Help>,
    },
    /// Weak evidence: show the warning screen; answer with `approve_again` or `decline`. Comes again when the answer came
    /// before the time was over.
    ApproveAgain {
        /// How long "approve" must be held, ms.
        hold_ms: u64,
    },
    /// The device is certified; waiting for its counter-signature.
    Certified,
    /// It counter-signed; the list is being published.
    Accepted,
    /// A second device tried to scan the same code and was refused.
    SecondScanner,
    /// Linked.
    Linked(DeviceId),
    /// The relay takes no more attempts from here for so long: tell the person when to try again. `Failed` follows.
    TooManyAttempts {
        /// Until then, ms.
        retry_after_ms: u64,
    },
    /// Ended without a link, by this side or the other.
    Failed(EndReason),
}

/// An approval that came before the time to think was over: it does not count. Ask again when the time has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an approval counts in {left_ms} ms, not before")]
pub struct TooEarly {
    /// How long it is until then, ms.
    pub left_ms: u64,
}

/// What must be on disk before the next output is taken. The session is redacted in `Debug`.
pub enum PrimarySave {
    /// Keep the unfinished link.
    Pending(Box<PendingLink>),
    /// The link is complete: store account and session together, erase the unfinished link.
    Linked {
        /// The account with the new list.
        account: Box<Account>,
        /// The new device.
        device: DeviceId,
        /// The encoded session with it; secret.
        session: zeroize::Zeroizing<Vec<u8>>,
    },
    /// Erase the unfinished link; the account may have advanced.
    Discard {
        /// The device of the unfinished link.
        device: DeviceId,
        /// The account as known now.
        account: Box<Account>,
    },
}

impl fmt::Debug for PrimarySave {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pending(pending) => f.debug_tuple("Pending").field(pending).finish(),
            Self::Linked { account, device, .. } => {
                f.debug_struct("Linked").field("account", account).field("device", device).finish_non_exhaustive()
            }
            Self::Discard { device, account } => {
                f.debug_struct("Discard").field("device", device).field("account", account).finish()
            }
        }
    }
}

/// What the driver does next, in order.
#[derive(Debug)]
pub enum PrimaryOutput {
    /// Claim the slot; answer with [`PrimaryMachine::handle_claim`].
    Claim(SlotId),
    /// Send a message on the claimed slot.
    Send {
        /// Its number.
        seq: u64,
        /// The message.
        body: Vec<u8>,
    },
    /// End the slot.
    Cancel(EndReason),
    /// Run this challenge on the local network; answer with [`PrimaryMachine::handle_lan`].
    ProbeLan(Box<LanProbe>),
    /// Tell the host's radio.
    Radio(RadioOrder),
    /// Publish a list; answer with [`PrimaryMachine::handle_published`].
    Publish(Box<PublishList>),
    /// Fetch the account's lists after the known epoch; answer with [`PrimaryMachine::handle_list`].
    FetchList {
        /// First epoch that is not known.
        from: u64,
    },
    /// Store something.
    Save(PrimarySave),
    /// Show something.
    Event(PrimaryEvent),
}

/// What a pairing starts from.
#[derive(Debug, Clone)]
pub struct PrimaryConfig {
    /// The account.
    pub account: Account,
    /// The account's policy.
    pub policy: Policy,
    /// How the code arrived.
    pub source: ScanSource,
    /// Pinned attestation key of the relay.
    pub relay_pk: [u8; 32],
}
