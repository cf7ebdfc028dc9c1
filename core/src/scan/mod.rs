//! Floor 2: pixels become symbols.
//!
//! A [`Scanner`] takes [`LumaFrame`](crate::frame::LumaFrame)s and gives back every QR code that it can read, as bytes:
//! what they mean is decided one floor further. It never reads a clock, opens nothing and keeps no picture.
//!
//! One frame goes through several *attempts* (`attempts`): the picture at some size (`pyramid`), as it is or inverted,
//! made black and white (`binarize`). In each of them the three corner squares are looked for (`finder`) and the code
//! between them is decoded (`decode`, the only file that names rqrr). `scanner` runs the attempts and merges what they
//! give; `seen` reports each content once; `hint` says what the person could do better.
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod attempts;
mod binarize;
mod decode;
mod finder;
mod hint;
mod pyramid;
mod scanner;
mod seen;
mod symbol;
#[cfg(test)]
mod tests;
mod track;

pub use decode::silence_contained_panics;
pub use hint::Hint;
pub use scanner::{Event, ScanEffort, ScanOptions, ScanOutcome, ScanStats, Scanner};
pub use seen::SeenFilter;
pub use symbol::{EccLevel, Symbol};
