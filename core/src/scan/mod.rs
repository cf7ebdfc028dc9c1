//! Floor 2: pixels become symbols.
//!
//! A [`Scanner`] takes [`LumaFrame`](crate::frame::LumaFrame)s and gives back every QR code that it can read, as bytes:
//! what they mean is decided one floor further. It never reads a clock, opens nothing and keeps no picture.
//!
//! A frame is looked at in several *passes* (`plan`): at some size (`pyramid`), with some line between dark and light
//! (`threshold`). Each pass finds corner squares (`finder`) and puts them together in threes (`group`). Each three is an
//! *attempt* (`attempt`): the size is measured and a projection fitted to the fixed patterns (`fit`, `geometry`), the
//! alignment patterns bend it into a mesh (`mesh`), every module is sampled (`sample`) and the code is repaired (`reader`,
//! with `layout`, `fixed` and `repair`). rqrr decodes it (`decode`, the only file that names rqrr); `segments` parses what rqrr
//! does not know. Where nothing comes of the threes, the third square of each two is guessed. Across frames a code is held
//! and its modules are added up (`track`); where noise or a moving hand hides the squares from `finder`, `rings` gives it a
//! first guess. `scanner` runs the passes and merges what they give; `seen` reports each content
//! once; `hint` says what the person could do better.
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod attempt;
mod decode;
mod finder;
mod fit;
mod fixed;
mod geometry;
mod group;
mod hint;
mod layout;
mod mesh;
mod plan;
mod pool;
mod pyramid;
mod reader;
mod repair;
mod rings;
mod sample;
mod scanner;
mod seen;
mod segments;
mod symbol;
#[cfg(test)]
mod tests;
mod threshold;
mod track;
mod trail;
mod view;

pub use decode::silence_contained_panics;
pub use hint::{CameraAdvice, Hint};
pub use scanner::{Event, ScanEffort, ScanOptions, ScanOutcome, ScanStats, Scanner};
pub use seen::SeenFilter;
pub use symbol::{EccLevel, Symbol};
pub use trail::{End, Step};
