//! Runs the attempts on a frame and merges what they give.

use super::attempts::{self, Attempt, Scale};
use super::binarize::{Binarizer, BitImage};
use super::decode::{self, Found};
use super::finder;
use super::hint::{Hint, Light};
use super::pyramid::GrayImage;
use super::seen::SeenFilter;
use super::symbol::{Symbol, middle, module_side, to_text};
use super::track::{Square, Tracked, Tracker};
use crate::frame::{LumaFrame, Point};
use crate::time::Timestamp;

/// How much work a frame is worth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ScanEffort {
    /// For a camera: one cheap look at each frame, plus one of the costly ones in turn. What fails on this frame is
    /// read on one of the next.
    #[default]
    Live,
    /// For a still picture: everything, until a symbol is read or nothing is left to try.
    Thorough,
}

/// What a [`Scanner`] does. The default suits a camera.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScanOptions {
    /// How much work a frame is worth.
    pub effort: ScanEffort,
    /// With [`ScanEffort::Thorough`]: go on after the first symbol, until all attempts are spent.
    pub all_symbols: bool,
}

/// Something that happened while scanning, told once.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A content that was not in view since the start or the last [`Scanner::rearm`].
    Found(Symbol),
}

/// What a frame cost and why nothing was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScanStats {
    /// Attempts made.
    pub attempts: u32,
    /// Pixels looked at in all attempts together.
    pub pixels: u64,
    /// Finder patterns (corner squares) seen, in the attempt that saw most.
    pub finders: u32,
    /// Outlines of codes that could not be decoded, in the attempt that saw most.
    pub undecodable: u32,
    /// Attempts that were not made because the picture has too many false finder patterns.
    pub skipped: u32,
    /// Panics of the decoder that were contained.
    pub panics: u32,
}

impl ScanStats {
    /// Whether a code seems to be in view, although none may have been read: three corner squares or an outline.
    #[must_use]
    pub const fn saw_code(&self) -> bool {
        self.finders >= 3 || self.undecodable > 0
    }
}

/// What one frame gave.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScanOutcome {
    /// All symbols that were read from this frame, each place once.
    pub symbols: Vec<Symbol>,
    /// Contents that are new since the start or the last [`Scanner::rearm`].
    pub events: Vec<Event>,
    /// Why nothing was read, as far as the picture tells; empty when something was.
    pub hints: Vec<Hint>,
    /// What it cost.
    pub stats: ScanStats,
}

/// Reads QR codes from frames. Keeps its buffers between frames: use one scanner per camera.
#[derive(Debug, Default)]
pub struct Scanner {
    options: ScanOptions,
    /// Which costly attempt is next, with [`ScanEffort::Live`].
    turn: usize,
    seen: SeenFilter,
    buffers: Buffers,
    tracker: Tracker,
    each_frame_alone: bool,
    /// Frames since the whole picture was looked at.
    since_search: u32,
    squares: Vec<Square>,
}

#[derive(Debug, Default)]
struct Buffers {
    upright: GrayImage,
    scaled: GrayImage,
    inverted: GrayImage,
    bits: BitImage,
    binarizer: Binarizer,
}

/// While a symbol is held and read, the whole picture is looked at once in so many frames.
const FRAMES_BETWEEN_SEARCHES: u32 = 15;

impl Scanner {
    /// A scanner that has seen nothing.
    #[must_use]
    pub fn new(options: ScanOptions) -> Self {
        Self { options, ..Self::default() }
    }

    /// The same, but looking at each frame by itself, without holding a symbol from frame to frame and adding frames up:
    /// for measuring what that is worth.
    #[must_use]
    pub fn each_frame_alone(mut self) -> Self {
        self.each_frame_alone = true;
        self
    }

    /// Announces whatever is in view once more. Call it when the person starts to scan again.
    pub fn rearm(&mut self) {
        self.seen.rearm();
    }

    /// Looks for symbols in a frame that was taken at `now`.
    pub fn scan(&mut self, frame: &LumaFrame<'_>, now: Timestamp) -> ScanOutcome {
        let upright = &mut self.buffers.upright;
        frame.copy_upright_into(&mut upright.pixels);
        upright.width = frame.upright_width() as usize;
        upright.height = frame.upright_height() as usize;

        let mut pass = Pass {
            outcome: ScanOutcome::default(),
            unread_module_px: None,
            squares: std::mem::take(&mut self.squares),
        };
        pass.squares.clear();
        let live = self.options.effort == ScanEffort::Live && !self.each_frame_alone;
        let mut plan = Vec::new();
        let tracked = if live { self.tracker.follow(&self.buffers.upright) } else { None };
        self.since_search = self.since_search.saturating_add(1);
        match tracked {
            // Held and read: the rest of the picture is looked at now and then, for a second code.
            Some(tracked) if self.since_search < FRAMES_BETWEEN_SEARCHES => {
                pass.outcome.symbols.push(tracked.into_symbol());
            }
            Some(tracked) => {
                pass.outcome.symbols.push(tracked.into_symbol());
                plan = self.plan();
            }
            None => plan = self.plan(),
        }
        let held = !pass.outcome.symbols.is_empty();
        if !plan.is_empty() {
            self.since_search = 0;
        }
        for attempt in plan {
            pass.run(&mut self.buffers, attempt);
            let enough = !self.options.all_symbols || self.options.effort == ScanEffort::Live;
            if enough && !pass.outcome.symbols.is_empty() {
                break;
            }
        }
        let Pass { mut outcome, unread_module_px, squares } = pass;
        if live && !held {
            if let Some(symbol) = outcome.symbols.first() {
                let modules = 17 + 4 * usize::from(symbol.version);
                let upright = &self.buffers.upright;
                self.tracker.hold(upright, &symbol.corners, modules, symbol.inverted, symbol.mirrored);
            } else {
                self.tracker.consider(&self.buffers.upright, &squares);
            }
        }
        self.squares = squares;
        if outcome.symbols.is_empty() {
            outcome.hints = Light::measure(&self.buffers.upright).hints(unread_module_px);
        }
        for symbol in &mut outcome.symbols {
            symbol.corners = symbol.corners.map(|corner| frame.to_full_frame(corner));
            if self.seen.is_new(&symbol.bytes, now) {
                outcome.events.push(Event::Found(symbol.clone()));
            }
        }
        outcome
    }

    /// The attempts for this frame.
    fn plan(&mut self) -> Vec<Attempt> {
        let side = self.buffers.upright.longest_side();
        let mut plan = vec![attempts::cheap(side)];
        let costly = attempts::costly(side);
        match self.options.effort {
            ScanEffort::Thorough => plan.extend(costly),
            ScanEffort::Live => {
                plan.extend(costly.get(self.turn.checked_rem(costly.len()).unwrap_or(0)));
                self.turn = self.turn.wrapping_add(1);
            }
        }
        plan
    }
}

/// The work on one frame.
struct Pass {
    outcome: ScanOutcome,
    /// Module size of the largest code that was seen and not read, in frame pixels.
    unread_module_px: Option<f32>,
    /// Corner squares of the attempt that saw the most.
    squares: Vec<Square>,
}

impl Tracked {
    fn into_symbol(self) -> Symbol {
        let Self { decoded, corners, modules, inverted } = self;
        Symbol {
            text: to_text(&decoded.bytes),
            bytes: decoded.bytes,
            corners,
            version: decoded.version,
            ecc: decoded.ecc,
            mask: decoded.mask,
            inverted,
            mirrored: decoded.mirrored,
            module_px: module_side(&corners, modules),
        }
    }
}

impl Pass {
    fn run(&mut self, buffers: &mut Buffers, attempt: Attempt) {
        let Buffers { upright, scaled, inverted, bits, binarizer } = buffers;
        let mut gray: &GrayImage = upright;
        match attempt.scale {
            Scale::Shrunk(1) => {}
            Scale::Shrunk(n) => {
                scaled.shrink_from(gray, n);
                gray = scaled;
            }
            Scale::Doubled => {
                scaled.double_from(gray);
                gray = scaled;
            }
        }
        if attempt.inverted {
            inverted.invert_from(gray);
            gray = inverted;
        }
        binarizer.binarize(gray, attempt.threshold, bits);

        let stats = &mut self.outcome.stats;
        stats.attempts = stats.attempts.saturating_add(1);
        stats.pixels = stats.pixels.saturating_add(bits.pixels.len() as u64);
        let patterns = finder::find(bits);
        let finders = patterns.len();
        if finders > self.squares.len() {
            let scale = attempt.scale.frame_px();
            self.squares.clear();
            self.squares.extend(patterns.iter().take(16).map(|pattern| Square {
                center: Point::new(pattern.center.x * scale, pattern.center.y * scale),
                module: pattern.module * scale,
                inverted: attempt.inverted,
            }));
        }
        stats.finders = stats.finders.max(u32::try_from(finders).unwrap_or(u32::MAX));
        if finders < 2 {
            return;
        }
        if too_costly(finders, bits.pixels.len()) {
            stats.skipped = stats.skipped.saturating_add(1);
            return;
        }
        match decode::find_and_decode(bits) {
            Ok(found) => self.take(found, attempt),
            Err(decode::Panicked) => stats.panics = stats.panics.saturating_add(1),
        }
    }

    /// Keeps what was decoded and not known yet.
    fn take(&mut self, found: Vec<Found>, attempt: Attempt) {
        let mut undecodable = 0u32;
        for Found { corners, modules, decoded } in found {
            let corners = corners.map(|p| {
                let scale = attempt.scale.frame_px();
                Point::new(p.x * scale, p.y * scale)
            });
            let module_px = module_side(&corners, modules);
            let Some(decoded) = decoded else {
                undecodable = undecodable.saturating_add(1);
                self.unread_module_px = Some(self.unread_module_px.map_or(module_px, |px| px.max(module_px)));
                continue;
            };
            let symbol = Symbol {
                text: to_text(&decoded.bytes),
                bytes: decoded.bytes,
                corners,
                version: decoded.version,
                ecc: decoded.ecc,
                mask: decoded.mask,
                inverted: attempt.inverted,
                mirrored: decoded.mirrored,
                module_px,
            };
            if !self.outcome.symbols.iter().any(|known| is_same(known, &symbol)) {
                self.outcome.symbols.push(symbol);
            }
        }
        let stats = &mut self.outcome.stats;
        stats.undecodable = stats.undecodable.max(undecodable);
    }
}

/// Whether two readings are of one code: the same content, and the middle of one lies inside the other.
fn is_same(a: &Symbol, b: &Symbol) -> bool {
    let half = a.module_px * (17.0 + 4.0 * f32::from(a.version)) / 2.0;
    a.bytes == b.bytes && middle(&a.corners).distance(middle(&b.corners)) < half
}

/// rqrr copies the picture for every three finder patterns that might belong together: their number grows with the
/// third power. The factor is what was counted on photos full of false patterns.
fn too_costly(finders: usize, pixels: usize) -> bool {
    const MOST_BYTES_COPIED: u64 = 2_000_000_000;
    let finders = finders as u64;
    let triples = finders.saturating_mul(finders).saturating_mul(finders) / 200;
    triples.saturating_mul(pixels as u64) > MOST_BYTES_COPIED
}
