//! What proves that the linked device is the one in front of the person, and what it may therefore do.
//!
//! Scanning proves only that the primary device talks to whoever owns the key in the code. A live phishing page can
//! pass on the code and every number on either screen. So evidence is collected, verified on the primary device, and
//! graded ([`evidence`]); the grade decides scope, history and lease ([`policy`]).

pub mod evidence;
pub mod passkey;
pub mod policy;

pub use evidence::{Evidence, EvidenceBit, Grade, ScanSource};
pub use passkey::{PasskeyError, PasskeyRegistration};
pub use policy::{Grant, HistoryNow, Policy};
