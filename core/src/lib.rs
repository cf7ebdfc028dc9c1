//! Skeleton.

pub mod frame;
pub mod payload;
#[cfg(feature = "scan")]
pub mod scan;
pub mod time;
