//! Skeleton.

pub mod frame;
#[cfg(feature = "scan")]
pub mod scan;
pub mod time;
