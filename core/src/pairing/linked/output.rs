//! What the linked device's machine tells its driver.

use core::fmt;

use pairlight_wire::evidence::PasskeyProof;
use pairlight_wire::pairing::EndReason;
use pairlight_wire::relay::LinkRequest;
use pairlight_wire::sign::SigningContext;

#[cfg(doc)]
use super::LinkedMachine;
use crate::pairing::record::LinkedAccount;
use crate::trust::{LanResponder, RadioOrder};

/// Where a linked device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkedState {
    /// Waiting for the relay to open a slot.
    Opening,
    /// A code is on the screen.
    Showing,
    /// Shown for five minutes; waiting for the person to ask for a new code.
    Paused,
    /// A primary device scanned the code.
    Claimed,
    /// The person must type the six digits that the primary device shows.
    AwaitingCheckCode,
    /// The digits were right; the account decides.
    AwaitingCertificate,
    /// The account asked for more evidence, which the app must give.
    GivingEvidence,
    /// Certified; the list with this device is being published.
    AwaitingCommit,
    /// Done.
    Linked,
    /// Ended without a link.
    Failed(EndReason),
}

/// What the app shows. The text of the code is redacted in `Debug`.
pub enum LinkedEvent {
    /// Draw this code; the next one comes by itself.
    ShowCode {
        /// Text of the QR code. Holds the pairing secret: never log it.
        text: String,
        /// How long this code is shown, ms.
        shown_ms: u64,
    },
    /// No code is live any more. Offer a button that calls [`LinkedMachine::show_again`].
    Paused,
    /// The relay cannot be reached; the machine tries again by itself.
    Reconnecting {
        /// Pause before the next try, ms.
        after_ms: u64,
    },
    /// "Phone connected, confirm there."
    Claimed,
    /// Ask for the six digits.
    EnterCheckCode,
    /// They were wrong.
    WrongCheckCode {
        /// Tries left.
        tries_left: u8,
    },
    /// They were right; the primary device decides.
    CheckCodeAccepted,
    /// The account asks for evidence that only the app can give: answer with [`LinkedMachine::give_evidence`], with
    /// nothing when it cannot be had.
    EvidenceWanted(Box<EvidenceWanted>),
    /// A second device tried to scan the same code and was refused.
    SecondScanner,
    /// Linked.
    Linked(Box<LinkedAccount>),
    /// The relay takes no more attempts from here for so long: tell the person when to try again. `Failed` follows.
    TooManyAttempts {
        /// Until then, ms.
        retry_after_ms: u64,
    },
    /// Ended without a link, by this side or the other.
    Failed(EndReason),
}

impl fmt::Debug for LinkedEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ShowCode { shown_ms, .. } => {
                f.debug_struct("ShowCode").field("shown_ms", shown_ms).finish_non_exhaustive()
            }
            Self::Paused => f.write_str("Paused"),
            Self::Reconnecting { after_ms } => f.debug_struct("Reconnecting").field("after_ms", after_ms).finish(),
            Self::Claimed => f.write_str("Claimed"),
            Self::EnterCheckCode => f.write_str("EnterCheckCode"),
            Self::WrongCheckCode { tries_left } => {
                f.debug_struct("WrongCheckCode").field("tries_left", tries_left).finish()
            }
            Self::CheckCodeAccepted => f.write_str("CheckCodeAccepted"),
            Self::TooManyAttempts { retry_after_ms } => {
                f.debug_struct("TooManyAttempts").field("retry_after_ms", retry_after_ms).finish()
            }
            Self::EvidenceWanted(wanted) => f.debug_tuple("EvidenceWanted").field(wanted).finish(),
            Self::SecondScanner => f.write_str("SecondScanner"),
            Self::Linked(account) => f.debug_tuple("Linked").field(account).finish(),
            Self::Failed(reason) => f.debug_tuple("Failed").field(reason).finish(),
        }
    }
}

/// Evidence that the account asks this device's app for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvidenceWanted {
    /// A passkey assertion: `navigator.credentials.get` with these values and user verification required.
    pub passkey: Option<PasskeyWanted>,
    /// An attestation of an organisation, bound to these 32 bytes.
    pub managed: Option<[u8; 32]>,
}

/// What to ask the browser's passkeys for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasskeyWanted {
    /// `rpId`.
    pub rp_id: String,
    /// `allowCredentials`.
    pub credentials: Vec<Vec<u8>>,
    /// `challenge`.
    pub challenge: [u8; 32],
}

/// Evidence from this device's app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppEvidence {
    /// A passkey assertion.
    Passkey(Box<PasskeyProof>),
    /// An attestation of an organisation, at most 4,096 bytes in a form that its own app understands.
    Managed(Vec<u8>),
}

/// What must be on disk before the next output is taken.
#[derive(Debug)]
pub enum LinkedSave {
    /// Keep as pending.
    Pending(Box<LinkedAccount>),
    /// The link is complete.
    Committed(Box<LinkedAccount>),
    /// Erase what was kept as pending.
    Discard,
}

/// What the guard of a device's key is to sign.
#[derive(Clone, PartialEq, Eq)]
pub struct SignOrder {
    /// The public key.
    pub public: [u8; 32],
    /// What the signature is for.
    pub context: SigningContext,
    /// What is signed under it.
    pub message: Vec<u8>,
}

impl fmt::Debug for SignOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignOrder").field("context", &self.context).finish_non_exhaustive()
    }
}

/// What the driver does next, in order.
#[derive(Debug)]
pub enum LinkedOutput {
    /// Open (or reopen) the link socket; answer with [`LinkedMachine::handle_connected`].
    Connect,
    /// Send a frame on the link socket.
    Send(LinkRequest),
    /// Bind a UDP socket, answer its datagrams with this, and report port and addresses with
    /// [`LinkedMachine::handle_lan_open`]. Without a socket do nothing.
    ListenLan(Box<LanResponder>),
    /// Tell the host's radio.
    Radio(RadioOrder),
    /// Fetch the account's lists as this device; answer with [`LinkedMachine::handle_list`], or
    /// [`LinkedMachine::handle_unreachable`] when there is no answer.
    FetchList {
        /// The account as known so far: whose key logs in, from which epoch on.
        account: Box<LinkedAccount>,
    },
    /// Have the guard of this device's key sign; answer with [`LinkedMachine::handle_signature`]. Only of a machine whose key
    /// the platform guards.
    Sign(SignOrder),
    /// Store something.
    Save(LinkedSave),
    /// Show something.
    Event(LinkedEvent),
}
