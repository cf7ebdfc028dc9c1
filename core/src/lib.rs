//! Skeleton.

pub mod payload;
