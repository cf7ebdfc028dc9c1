//! Runs the attempts on a frame and merges what they give.

use super::attempt::{Attempt, Located, Work};
use super::finder::{Finder, FinderSearch};
use super::geometry::turn;
use super::group::{Grouping, Guess, guess_hidden};
use super::hint::{CameraAdvice, Hint, Light, Steady, Unread};
use super::plan::{self, Pass};
use super::pool::Pool;
use super::pyramid::{GrayImage, Pyramid};
use super::rings::RingSearch;
use super::seen::SeenFilter;
use super::symbol::{Symbol, module_side, sort_as_read};
use super::threshold::Threshold;
use super::track::{Square, Tracker};
use super::trail::Step;
use crate::frame::{LumaFrame, Point, Rect};
use crate::time::Timestamp;
use pairlight_wire::qr::SCHEME;

/// How much work a frame is worth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ScanEffort {
    /// For a camera: one look at each frame, plus one of the others in turn. What fails on this frame is read on one of
    /// the next.
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
    /// The person wants to link a device: [`Hint::WrongKind`] says when a code is in view that begins otherwise than ours
    /// do. Such a code is told all the same.
    pub offers_only: bool,
    /// The only part of each frame that is looked at, in pixels of the upright full frame; all of it if `None`. What
    /// reaches outside the frame is left off.
    pub region: Option<Rect>,
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
    /// Looks for corner squares, each at some size and with some line between dark and light.
    pub attempts: u32,
    /// Pixels looked at in all of these together.
    pub pixels: u64,
    /// Finder patterns (corner squares) seen, in the look that saw most.
    pub finders: u32,
    /// Outlines of codes that could not be decoded.
    pub undecodable: u32,
    /// Threes of corner squares that were measured.
    pub triples: u32,
    /// Projections that were fitted to the fixed patterns.
    pub fits: u32,
    /// Codes whose modules were sampled.
    pub samples: u32,
    /// Times that the repair of a code was tried.
    pub reads: u32,
    /// Panics of the decoder that were contained.
    pub panics: u32,
}

impl ScanStats {
    /// Whether a code seems to be in view, although none may have been read: three corner squares or an outline.
    #[must_use]
    pub const fn saw_code(&self) -> bool {
        self.undecodable > 0 || (self.finders >= 3 && self.samples > 0)
    }
}

/// What one frame gave.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScanOutcome {
    /// All symbols that were read from this frame, each place once, in the order in which one reads: from the top, and in
    /// a line from the left.
    pub symbols: Vec<Symbol>,
    /// Contents that are new since the start or the last [`Scanner::rearm`].
    pub events: Vec<Event>,
    /// Why nothing was read, as far as the picture tells; when something was, at most [`Hint::WrongKind`]. With
    /// [`ScanEffort::Live`] a hint comes when it has held for several frames.
    pub hints: Vec<Hint>,
    /// What the camera could do by itself. With [`ScanEffort::Live`] zoom and torch come with their hint.
    pub advice: CameraAdvice,
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
    steady: Steady,
    buffers: Buffers,
    tracker: Tracker,
    each_frame_alone: bool,
    /// Frames since the whole picture was looked at.
    since_search: u32,
}

#[derive(Debug, Default)]
struct Buffers {
    pyramid: Pyramid,
    doubled: GrayImage,
    threshold: Threshold,
    search: FinderSearch,
    finders: Vec<Finder>,
    /// The squares of all passes over this frame.
    pool: Pool,
    grouping: Grouping,
    guesses: Vec<Guess>,
    attempt: Attempt,
    rings: RingSearch,
    /// The squares of the pass that saw most, or those that were found by rings.
    squares: Vec<Square>,
}

/// While a symbol is held and read, the whole picture is looked at once in so many frames.
const FRAMES_BETWEEN_SEARCHES: u32 = 15;

/// Squares of one pass, at most: more are texture.
const MOST_FINDERS: usize = 64;

/// Triples of one pass that are tried, at most.
const MOST_TRIPLES: usize = 80;

/// The cost of three clean squares at the ends of two equal sides that meet under a right angle, with some slack.
const PLAIN_COST: f32 = 1.0;

/// Pixels that all looks at one frame may take together, besides as many as it has.
const MOST_PIXELS: u64 = 8_000_000;

/// Fits of one frame, at most.
const MOST_FITS: u32 = 600;

/// Fits with a corner square that was not seen, at most.
const MOST_FITS_OF_GUESSES: u32 = 60;

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

    /// Does what [`scan`](Self::scan) does and tells what was tried, in order.
    pub fn explain(&mut self, frame: &LumaFrame<'_>, now: Timestamp) -> (ScanOutcome, Vec<Step>) {
        self.buffers.attempt.trail = Some(Vec::new());
        let outcome = self.scan(frame, now);
        (outcome, self.buffers.attempt.trail.take().unwrap_or_default())
    }

    /// Looks for symbols in a frame that was taken at `now`.
    pub fn scan(&mut self, frame: &LumaFrame<'_>, now: Timestamp) -> ScanOutcome {
        let Some(frame) = &self.options.region.map_or(Some(*frame), |region| frame.within(region)) else {
            return ScanOutcome::default();
        };
        let upright = self.buffers.pyramid.base_mut();
        frame.copy_upright_into(&mut upright.pixels);
        upright.width = frame.upright_width() as usize;
        upright.height = frame.upright_height() as usize;
        let side = upright.longest_side();
        self.buffers.attempt.work = Work::default();
        self.buffers.squares.clear();

        let mut look = Look { outcome: ScanOutcome::default(), unread: None };
        let is_live = self.options.effort == ScanEffort::Live;
        let follows = is_live && !self.each_frame_alone;
        let tracked = if follows { self.tracker.follow(self.buffers.pyramid.level(0)) } else { None };
        let is_held = tracked.is_some();
        let turn = self.turn;
        look.outcome.symbols.extend(tracked);
        // What is held and read needs no search; now and then a second code is looked for.
        self.since_search = self.since_search.saturating_add(1);
        if !is_held || self.since_search >= FRAMES_BETWEEN_SEARCHES {
            self.since_search = 0;
            if is_live { self.glance(&mut look, side) } else { self.search(&mut look, side) }
        }
        if follows && !is_held {
            let Buffers { pyramid, rings, squares, attempt, .. } = &mut self.buffers;
            let base = pyramid.level(0);
            match look.outcome.symbols.last() {
                Some(symbol) => self.tracker.hold(base, symbol, attempt.modules_read()),
                None if self.tracker.has_lock() => {}
                None => {
                    if let Some((level, turn)) = plan::rings(side, turn) {
                        rings.search(pyramid, level, turn, squares);
                    }
                    self.tracker.consider(base, squares);
                }
            }
        }
        let Look { mut outcome, unread } = look;
        let Work { triples, fits, samples, reads, panics } = self.buffers.attempt.work;
        let panics = panics.saturating_add(self.tracker.take_panics());
        outcome.stats = ScanStats { triples, fits, samples, reads, panics, ..outcome.stats };
        if outcome.symbols.is_empty() {
            let picture = self.buffers.pyramid.level(0);
            (outcome.hints, outcome.advice) = Light::measure(picture).hints(picture, unread);
        }
        let is_ours = |symbol: &Symbol| {
            symbol.bytes.get(..SCHEME.len()).is_some_and(|head| head.eq_ignore_ascii_case(SCHEME.as_bytes()))
        };
        if self.options.offers_only && !outcome.symbols.is_empty() && !outcome.symbols.iter().any(is_ours) {
            outcome.hints.push(Hint::WrongKind);
        }
        self.steady.pass(&mut outcome.hints, !is_live);
        outcome.advice.keep_with(&outcome.hints);
        sort_as_read(&mut outcome.symbols);
        for symbol in &mut outcome.symbols {
            symbol.corners = symbol.corners.map(|corner| frame.to_full_frame(corner));
            if self.seen.is_new(&symbol.bytes, now) {
                outcome.events.push(Event::Found(symbol.clone()));
            }
        }
        outcome
    }

    /// Looks at the whole picture in two of the passes.
    fn glance(&mut self, look: &mut Look, side: usize) {
        self.buffers.pyramid.build();
        self.buffers.pool.clear();
        for (i, pass) in plan::live(side, self.turn) {
            look.run(&mut self.buffers, pass, i, false);
            if look.is_done(false) {
                break;
            }
        }
        self.turn = self.turn.wrapping_add(1);
    }

    /// Looks at the whole picture in all passes.
    fn search(&mut self, look: &mut Look, side: usize) {
        self.buffers.pyramid.build();
        let pixels = self.buffers.pyramid.level(0).pixels.len() as u64;
        let budget = pixels.saturating_add(MOST_PIXELS);
        let all = self.options.all_symbols;
        let mut rule = None;
        self.buffers.pool.clear();
        for (i, pass) in plan::passes(side).enumerate() {
            if rule.is_some_and(|rule| rule != pass.rule) {
                look.pooled(&mut self.buffers, all);
                if look.is_done(all) {
                    break;
                }
            }
            rule = Some(pass.rule);
            if look.outcome.stats.pixels.saturating_add(pass.pixels(pixels)) > budget {
                // Too much for this picture; a smaller look may still fit.
                continue;
            }
            look.run(&mut self.buffers, pass, i, all);
            if look.is_done(all) || self.buffers.attempt.work.fits > MOST_FITS {
                break;
            }
        }
        if !look.is_done(all) {
            look.pooled(&mut self.buffers, all);
            if !look.is_done(all) {
                look.hidden(&mut self.buffers);
            }
        }
    }
}

/// The work on one frame.
struct Look {
    outcome: ScanOutcome,
    /// The largest code that was seen and not read.
    unread: Option<Unread>,
}

impl Look {
    /// Whether nothing more needs to be tried.
    fn is_done(&self, all: bool) -> bool {
        !all && !self.outcome.symbols.is_empty()
    }

    fn run(&mut self, buffers: &mut Buffers, pass: Pass, number: usize, all: bool) {
        let Buffers { pyramid, doubled, threshold, search, finders, pool, squares, .. } = buffers;
        let scale = if pass.doubled { 0.5 } else { (1u32 << pass.level.min(16)) as f32 };
        let gray = if pass.doubled {
            doubled.double_from(pyramid.level(0));
            threshold.set(doubled, pyramid.level(2), pass.rule);
            &*doubled
        } else {
            let gray = pyramid.level(pass.level);
            threshold.set(gray, pyramid.level(pass.level.saturating_add(3)), pass.rule);
            gray
        };
        let stats = &mut self.outcome.stats;
        stats.attempts = stats.attempts.saturating_add(1);
        stats.pixels = stats.pixels.saturating_add(gray.pixels.len() as u64);
        finders.clear();
        let step = if gray.longest_side() < 300 { 2 } else { 3 };
        search.search(gray, threshold, step, MOST_FINDERS, finders);
        for finder in finders.iter_mut() {
            *finder = finder.scaled(scale);
            pool.add(*finder, number);
        }
        if finders.len() > squares.len() {
            squares.clear();
            squares.extend(finders.iter().map(|finder| Square {
                center: finder.center,
                module: finder.module(),
                inverted: finder.inverted,
            }));
        }
        stats.finders = stats.finders.max(u32::try_from(finders.len()).unwrap_or(u32::MAX));
        self.try_triples(buffers, scale, pass.rule.name(), |_| true, all);
    }

    /// Puts squares together that no single pass saw together.
    fn pooled(&mut self, buffers: &mut Buffers, all: bool) {
        buffers.pool.write_clearest(&mut buffers.finders, MOST_FINDERS);
        let pool = std::mem::take(&mut buffers.pool);
        self.try_triples(buffers, 1.0, "pool", |three| !pool.seen_together(three), all);
        buffers.pool = pool;
    }

    /// Takes two squares for those of a code whose third cannot be seen.
    fn hidden(&mut self, buffers: &mut Buffers) {
        let Buffers { pyramid, pool, finders, guesses, attempt, .. } = buffers;
        pool.write_clearest(finders, MOST_FINDERS);
        finders.retain(|finder| !self.outcome.symbols.iter().any(|known| is_inside(finder.center, &known.corners)));
        guess_hidden(finders, guesses);
        let before = attempt.work.fits;
        for guess in guesses.iter() {
            if attempt.work.fits.saturating_sub(before) > MOST_FITS_OF_GUESSES {
                return;
            }
            let located = attempt.read(pyramid, guess.squares, Some(guess.hidden));
            if let Some(located) = located.filter(|located| located.decoded.is_some()) {
                self.take(located);
                return;
            }
        }
    }

    /// Tries the threes among the squares that were found and `may_try` lets through.
    fn try_triples(
        &mut self,
        buffers: &mut Buffers,
        shrunk: f32,
        rule: &str,
        may_try: impl Fn(&[Finder; 3]) -> bool,
        all: bool,
    ) {
        let Buffers { pyramid, finders, grouping, attempt, .. } = buffers;
        let symbols = &self.outcome.symbols;
        grouping.group(finders, |finder| symbols.iter().any(|symbol| is_inside(finder.center, &symbol.corners)));
        if let Some(trail) = &mut attempt.trail {
            trail.push(Step::Looked {
                shrunk,
                rule: rule.to_owned(),
                squares: finders.iter().map(|f| (f.center, f.module())).collect(),
                triples: grouping.triples.len(),
            });
        }
        let first = self.outcome.symbols.len();
        let mut tried = 0usize;
        for triple in &grouping.triples {
            let three = [triple.corner, triple.right, triple.below].map(|i| finders.get(i).copied());
            let [Some(corner), Some(right), Some(below)] = three else { continue };
            let three = [corner, right, below];
            let is_used = |finder: &Finder| {
                self.outcome.symbols.iter().skip(first).any(|symbol| is_inside(finder.center, &symbol.corners))
            };
            if three.iter().any(is_used) || !may_try(&three) {
                continue;
            }
            tried = tried.saturating_add(1);
            if tried > MOST_TRIPLES || attempt.work.fits > MOST_FITS {
                return;
            }
            // One code is read: other codes are read along with it when they are plain to see.
            if self.is_done(all) && triple.cost > PLAIN_COST {
                return;
            }
            if let Some(located) = attempt.read(pyramid, three, None) {
                self.take(located);
            }
        }
    }

    /// Keeps what was decoded and not known yet.
    fn take(&mut self, located: Located) {
        let corners = located.mesh.corners();
        let module_px = module_side(&corners, located.mesh.projection.modules());
        let Some(decoded) = located.decoded else {
            self.outcome.stats.undecodable = self.outcome.stats.undecodable.saturating_add(1);
            if self.unread.is_none_or(|known| known.module_px() < module_px) {
                self.unread = Some(Unread { corners, modules: located.mesh.projection.modules() });
            }
            return;
        };
        let modules = located.mesh.projection.modules();
        self.outcome.symbols.push(Symbol::new(decoded, corners, modules, located.inverted));
    }
}

/// Whether a point lies in a quadrilateral.
fn is_inside(point: Point, corners: &[Point; 4]) -> bool {
    let [a, b, c, d] = *corners;
    let turns = [turn(a, b, point), turn(b, c, point), turn(c, d, point), turn(d, a, point)];
    turns.iter().all(|&t| t >= 0.0) || turns.iter().all(|&t| t <= 0.0)
}
