//! What proves that the linked device is the one in front of the person, and what it may therefore do.
//!
//! Scanning proves only that the primary device talks to whoever owns the key in the code. A live phishing page can
//! pass on the code and every number on either screen. So evidence is collected, verified on the primary device, and
//! graded ([`evidence`]); the grade decides scope, history and lease ([`policy`]). One file for each kind of evidence:
//! [`lan`], [`ble`], [`passkey`], [`known`], and [`host`] for what only the app can gather.

pub mod ble;
pub mod evidence;
mod finding;
pub mod host;
pub mod known;
pub mod lan;
pub mod passkey;
pub mod policy;

pub use ble::{Radio, RadioOrder};
pub use evidence::{Evidence, EvidenceBit, Grade, ScanSource};
pub use finding::{EvidenceSetup, Finding, Help, LinkedAbilities, Refutation};
pub use host::{ManagedRequest, ManagedVerdict, TapMedium, TapWord};
pub use known::KnownError;
pub use lan::{LanProbe, LanResponder, LanVerdict};
pub use passkey::{PasskeyError, PasskeyRegistration};
pub use policy::{Grant, HistoryGrant, HistoryNow, HistoryRest, Policy};
