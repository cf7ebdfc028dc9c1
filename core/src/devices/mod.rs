//! The account and its devices: keys, certificates, leases, and the signed list that says who belongs.

mod account;
mod label;

pub use account::{Account, AccountError, Certified, LeaseTerms, NewDevice};
pub use label::{LabelKey, open_label};
