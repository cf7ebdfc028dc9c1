//! What was tried on a frame and how it ended, for people who want to know why a code was not read.

use crate::frame::Point;

/// One look at the picture, or one attempt between three corner squares. Pixels are those of the upright, cropped frame.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Corner squares were looked for.
    Looked {
        /// Frame pixels per pixel of the picture that was looked at.
        shrunk: f32,
        /// How dark was told from light.
        rule: String,
        /// Middles of the squares that were found, and the side of a module at each.
        squares: Vec<(Point, f32)>,
        /// Plausible threes among them.
        triples: usize,
    },
    /// Three squares were taken for a code: corner, right, below.
    Tried {
        /// The middles of the squares.
        squares: [Point; 3],
        /// How far it came.
        end: End,
    },
}

/// How far an attempt came.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// A square does not look like one along the sides of the code.
    NoSquare,
    /// The upper and the left side cannot belong to one code: modules on a side as each of them tells.
    NoSize {
        /// By the upper side.
        upper: f32,
        /// By the left side.
        left: f32,
    },
    /// No size fits the timing patterns.
    NoTiming {
        /// The size that fits best, in modules.
        modules: usize,
        /// Part of the timing modules that agree, from 0.5 (chance) to 1.
        agreement: f32,
    },
    /// The corner squares are not where they should be.
    NoCorners {
        /// Modules on a side.
        modules: usize,
        /// Part of the modules of the squares that agree.
        agreement: f32,
    },
    /// The modules were sampled, and there were too many errors.
    Unread {
        /// Modules on a side.
        modules: usize,
        /// Corners of the symbol.
        corners: [Point; 4],
    },
    /// Read.
    Read {
        /// Modules on a side.
        modules: usize,
        /// Corners of the symbol.
        corners: [Point; 4],
    },
}
