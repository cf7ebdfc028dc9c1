//! What whole-product tests share.

pub mod binary;
pub mod world;
