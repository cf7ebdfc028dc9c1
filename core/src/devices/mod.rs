//! The account and its devices: keys, certificates, leases, the signed list that says who belongs, and what happens to a
//! device whose reports do not add up.

mod account;
mod discrepancy;
mod fork;
mod label;
mod notice;
mod recovery;
mod supervision;
mod tenancy;

pub use account::{Account, AccountError, Certified, LeaseTerms, NewDevice};
pub use discrepancy::{Action, Observation, action};
pub use fork::ListFork;
pub use label::{LabelKey, is_name, open_label};
pub use notice::{StoredNotice, Told};
pub use recovery::{RecoveryWords, list_for_recovery};
pub use supervision::{Assessment, Circumstances, Supervision, platform_class};
pub use tenancy::{Duty, SessionCounts, Tenancy};
