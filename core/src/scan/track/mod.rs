//! Across frames: keeps hold of a symbol and adds up what its frames say.
//!
//! ```text
//! corner squares ──► guess (`locate`) ──► plane, fitted to what is known of the symbol (`template`)
//!                                            │ every frame: predict, fit, read soft modules (`samples`)
//!                                            ▼
//!              undo blur (`equalize`) ──► add to what resembles it (`fuse`) ──► repair (`offer`) ──► ordinary decoder
//! ```
//!
//! A lock does not need a readable frame, and no frame needs to be readable by itself. What is given out was decoded
//! from a matrix of modules by the ordinary decoder, with its full error correction and format checks; nothing is
//! guessed from a picture's likeness to an earlier one except in one case: a frame whose modules are, one by one, those
//! that were decoded before.
//!
//! All work per frame is bounded by constants, the same frames give the same results on every machine, and after the
//! first frames nothing is allocated except by the decoder and for what is given out.

mod equalize;
mod fuse;
mod locate;
mod offer;
mod plane;
mod samples;
mod template;
#[cfg(test)]
mod tests;

use super::pyramid::GrayImage;
use super::reader::Reader;
use super::segments::Decoded;
use super::symbol::{EccLevel, Symbol};
use super::{decode, fixed};
use crate::frame::Point;
use fuse::{Fusion, Kinds, Kinship};
use offer::OfferShape;
use plane::Plane;
use samples::Samples;
use template::Template;

/// A corner square seen in a frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Square {
    /// Its middle, in frame pixels.
    pub(super) center: Point,
    /// A module, in frame pixels.
    pub(super) module: f32,
    /// Light on dark.
    pub(super) inverted: bool,
}

/// Largest symbol that is tracked, in modules on a side (version 15): larger ones are read from single frames.
const MOST_MODULES: usize = 77;
const MOST_VERSION: usize = 15;
/// Least agreement with what is known of every symbol for a lock to begin, and for a frame to count.
const LEAST_TO_BEGIN: f32 = 0.42;
const LEAST_TO_COUNT: f32 = 0.30;
/// Part of the variance of the known modules that a filter of three by three explains, for a lock that was not read yet to
/// be trusted: things that resemble a symbol from afar have less.
const CLEARLY_EXPLAINED: f32 = 0.2;
/// Frames after which a lock that was not read is compared with what else is in view.
const FRAMES_BETWEEN_DOUBTS: u32 = 4;
/// Frames without the symbol after which a lock is given up.
const MOST_MISSES: u32 = 15;
/// Frames with the symbol and without a result after which a lock is given up.
const MOST_FRUITLESS: u32 = 90;
/// By how much more than our own size another one must agree to be held: it is what a person scans for, and a lock on a
/// wrong size sums up nothing until it is given up.
const LEAD_OF_OTHERS: f32 = 0.05;
/// The part of its movement that a symbol is thought to keep with each frame in which it was not seen.
const KEPT_MOVEMENT: f32 = 0.8;
/// A symbol that was read is fitted well enough when it agrees so well as this part of what it did lately.
const STEADY_AGREEMENT: f32 = 0.98;
/// Rounds of fitting per frame, and for a symbol that was read and hardly moved.
const ROUNDS: usize = 4;
const ROUNDS_IF_STEADY: usize = 2;
/// Guesses whose fourth corner is looked for in one frame.
const MOST_LOOKED_INTO: usize = 2;

#[derive(Debug)]
struct Track {
    size: usize,
    plane: Plane,
    polarity: f32,
    /// Movement of the middle per frame, in pixels.
    velocity: (f32, f32),
    misses: u32,
    fruitless: u32,
    agreement: f32,
    /// The part of the variance of the known modules that was explained lately, 0 to 1.
    explained: f32,
    /// What a glance at the right place gave lately.
    glance: f32,
    /// What the modules were when they were decoded last, and what they said.
    read: Option<(Vec<u8>, Decoded)>,
}

/// Follows one symbol from frame to frame.
#[derive(Debug)]
pub(super) struct Tracker {
    track: Option<Track>,
    frame: u64,
    guesses: Vec<locate::Guess>,
    shape: Option<OfferShape>,
    /// What every symbol of a size shows, by its version less one; made when first asked for.
    fixed: Vec<Template>,
    expected: Template,
    samples: Samples,
    kinds: Kinds,
    values: Vec<f32>,
    equal: Vec<f32>,
    work: Vec<f32>,
    bits: Vec<u8>,
    soft: Vec<i16>,
    reader: Reader,
    panics: u32,
    sums: [Fusion; 2],
}

impl Default for Tracker {
    fn default() -> Self {
        Self {
            track: None,
            frame: 0,
            guesses: Vec::with_capacity(128),
            shape: None,
            fixed: std::iter::repeat_with(Template::default).take(MOST_VERSION).collect(),
            expected: Template::default(),
            samples: Samples::default(),
            kinds: Kinds::default(),
            values: Vec::new(),
            equal: Vec::new(),
            work: Vec::new(),
            bits: Vec::new(),
            soft: Vec::new(),
            reader: Reader::default(),
            panics: 0,
            sums: [Fusion::default(), Fusion::default()],
        }
    }
}

impl Tracker {
    /// Forgets everything.
    pub(super) fn reset(&mut self) {
        self.track = None;
        self.sums.iter_mut().for_each(Fusion::clear);
    }

    /// Panics of the decoder that were contained since the last call.
    pub(super) fn take_panics(&mut self) -> u32 {
        std::mem::take(&mut self.panics).saturating_add(self.reader.take_panics())
    }

    /// Whether a symbol is held that was read before or may be soon.
    #[cfg(test)]
    pub(super) fn is_locked(&self) -> bool {
        self.track.is_some()
    }

    /// Whether a symbol was seen where it was expected in the last frame, so clearly that no other is looked for. One that
    /// was never read is doubted now and then: something that resembles a symbol must not hide a real one.
    pub(super) fn has_lock(&self) -> bool {
        self.track.as_ref().is_some_and(|track| {
            let is_trusted = track.read.is_some()
                || (track.explained > CLEARLY_EXPLAINED && track.fruitless % FRAMES_BETWEEN_DOUBTS != 0);
            track.misses == 0 && track.agreement > LEAST_TO_BEGIN && is_trusted
        })
    }

    /// Looks for the held symbol in the next frame. Gives it if it can be read, from this frame or from all so far.
    pub(super) fn follow(&mut self, image: &GrayImage) -> Option<Symbol> {
        self.frame = self.frame.saturating_add(1);
        let mut track = self.track.take()?;
        let held = self.find_again(&mut track, image).is_some();
        if held {
            track.misses = 0;
        } else {
            track.misses = track.misses.saturating_add(1);
        }
        let mut result = None;
        if held {
            result = self.take_in(&mut track);
        }
        if track.misses <= MOST_MISSES && track.fruitless <= MOST_FRUITLESS {
            self.track = Some(track);
        } else {
            self.reset();
        }
        result
    }

    /// Predicts, looks around if need be, fits. `None` if the symbol is not there.
    fn find_again(&mut self, track: &mut Track, image: &GrayImage) -> Option<()> {
        // The plane is that of the frame in which the symbol was seen last: a hand does not move on like that for long.
        let (vx, vy) = track.velocity;
        let steps = (0..=track.misses).fold((0.0, 1.0), |(sum, part), _| (sum + part, part * KEPT_MOVEMENT)).0;
        let predicted = track.plane.moved(steps * vx, steps * vy);
        let module = side(&predicted) / track.size as f32;
        let mut start = predicted;
        let fixed = known_of(&mut self.fixed, track.size)?;
        let mut best = fixed.glance(image, &predicted, track.polarity);
        if best < 0.7 * track.glance {
            // Not where it should be: the neighbourhood, in steps of a module.
            for step_y in -5i8..=5 {
                for step_x in -5i8..=5 {
                    let candidate = predicted.moved(f32::from(step_x) * module, f32::from(step_y) * module);
                    let score = fixed.glance(image, &candidate, track.polarity);
                    if score > best + 0.02 {
                        (best, start) = (score, candidate);
                    }
                }
            }
        }
        let is_steady = track.read.is_some() && track.agreement > 0.6;
        let (rounds, enough) =
            if is_steady { (ROUNDS_IF_STEADY, STEADY_AGREEMENT * track.agreement) } else { (ROUNDS, f32::MAX) };
        let shown = if track.read.is_some() { &self.expected } else { fixed };
        let (mut plane, mut score) = shown.fit(&mut self.samples, image, start, track.polarity, rounds, enough);
        let is_there = |plane: &Plane, score: f32| score >= LEAST_TO_COUNT && plane.is_plausible(track.size);
        if track.read.is_some() && !is_there(&plane, score) {
            // Another code may have taken its place: what all codes share must then fit.
            (plane, score) = fixed.fit(&mut self.samples, image, start, track.polarity, ROUNDS, f32::MAX);
        }
        if !is_there(&plane, score) {
            return None;
        }
        track.glance = 0.5 * (track.glance + best.max(0.0));
        track.settle(plane, score);
        Some(())
    }

    /// Reads the modules at the fitted plane, adds them to what they resemble and tries to decode.
    fn take_in(&mut self, track: &mut Track) -> Option<Symbol> {
        let size = track.size;
        // Until it is read: also frames that explain nothing, or belong to no sum, tell against the lock.
        track.fruitless = track.fruitless.saturating_add(1);
        self.take_modules(track.polarity);
        if let Some((bits, decoded)) = &track.read {
            let same = self.values.iter().zip(bits).all(|(value, dark)| u8::from(*value < 0.0) == *dark);
            if same {
                track.fruitless = 0;
                return Some(track.symbol(decoded.clone()));
            }
        }
        let explained = self.explain(size);
        track.explained = 0.5 * (track.explained + explained);
        if explained < 0.05 {
            return None;
        }
        // The frame by itself.
        if let Some(decoded) = self.decode_now(track, Source::Frame) {
            return Some(track.symbol(decoded));
        }
        // With the frames before that show the same code.
        let weight = 1.0 / (1.05 - explained);
        let slot = self.slot()?;
        if let Some(sum) = self.sums.get_mut(slot) {
            sum.add(&self.equal, weight, self.frame);
        }
        // A sum of one frame says what that frame has just said.
        let is_sum = self.sums.get(slot).is_some_and(|sum| sum.frames > 1);
        let summed = if is_sum { self.decode_now(track, Source::Sum(slot)) } else { None };
        let decoded = summed.or_else(|| self.decode_now(track, Source::Sharp(slot)))?;
        Some(track.symbol(decoded))
    }

    /// Undoes the blur of what was read last, and gives the part of the known modules' variance that is explained so.
    fn explain(&mut self, size: usize) -> f32 {
        let kinds = &self.kinds;
        equalize::three_by_three(&self.values, &mut self.equal, size, |x, y| kinds.known(x, y))
    }

    /// The modules as the samples have them, light positive.
    fn take_modules(&mut self, polarity: f32) {
        self.samples.modules(&mut self.values);
        if polarity < 0.0 {
            self.values.iter_mut().for_each(|value| *value = -*value);
        }
    }

    /// The sum that this frame belongs to, emptied if it begins a new one; `None` if that cannot be told.
    fn slot(&mut self) -> Option<usize> {
        let mut kinships = [Kinship::Other; 2];
        for (kinship, sum) in kinships.iter_mut().zip(&self.sums) {
            if sum.frames > 0 {
                *kinship = sum.kinship(&self.kinds, &self.equal);
            }
        }
        if let Some(slot) = kinships.iter().position(|kinship| *kinship == Kinship::Same) {
            return Some(slot);
        }
        if kinships.contains(&Kinship::Unknown) {
            return None;
        }
        // A new code: it takes the place of the one that was seen longer ago.
        let (slot, sum) =
            self.sums.iter_mut().enumerate().min_by_key(|(_, sum)| if sum.frames == 0 { 0 } else { sum.last })?;
        sum.clear();
        Some(slot)
    }

    fn decode_now(&mut self, track: &mut Track, source: Source) -> Option<Decoded> {
        let size = track.size;
        let kinds = &self.kinds;
        let soft: &[f32] = match source {
            Source::Frame => &self.equal,
            Source::Sum(slot) => &self.sums.get(slot)?.sum,
            Source::Sharp(slot) => {
                // What the sum says clearly teaches a wider filter, which then tells the rest.
                let sum = &self.sums.get(slot)?.sum;
                let mean = sum.iter().map(|value| value.abs()).sum::<f32>() / sum.len().max(1) as f32;
                let at = |x: usize, y: usize| sum.get(y.saturating_mul(size).saturating_add(x)).copied().unwrap_or(0.0);
                let clear = |x: usize, y: usize| {
                    let value = at(x, y);
                    kinds.known(x, y).or_else(|| (value.abs() > 0.6 * mean).then(|| value.signum()))
                };
                self.work.clear();
                self.work.extend(sum.iter().map(|value| value / mean.max(1e-6)));
                equalize::five_by_five(&self.work, &mut self.values, size, clear);
                &self.values
            }
        };
        if kinds.agreement(soft) < 0.5 {
            return None;
        }
        let mut decoded = None;
        if size == offer::SIZE {
            let shape = self.shape.get_or_insert_with(OfferShape::new);
            for mirrored in [false, true] {
                if decoded.is_some() {
                    break;
                }
                if let Some(mask) = shape.repair(soft, mirrored, &mut self.bits) {
                    if let Some((bits, known)) = &track.read
                        && !mirrored
                        && !known.mirrored
                        && *bits == self.bits
                    {
                        // The very same code again: what it says is known.
                        track.fruitless = 0;
                        return Some(known.clone());
                    }
                    let bytes = decode::decode(&self.bits, size).unwrap_or_else(|decode::Panicked| {
                        self.panics = self.panics.saturating_add(1);
                        None
                    });
                    let (version, ecc) = (offer::VERSION, EccLevel::M);
                    decoded = bytes.filter(|bytes| offer::is_shape(bytes)).map(|bytes| Decoded {
                        bytes,
                        version,
                        ecc,
                        mask,
                        mirrored,
                    });
                }
            }
        }
        if decoded.is_none() {
            // Any other code: what is soft goes to the ordinary reader.
            let mean = soft.iter().map(|value| value.abs()).sum::<f32>() / soft.len().max(1) as f32;
            self.soft.clear();
            self.soft.extend(soft.iter().map(|value| (-value * 100.0 / mean.max(1e-6)) as i16));
            decoded = self.reader.read(&self.soft, size);
            if decoded.is_some() {
                self.bits.clear();
                self.bits.extend_from_slice(self.reader.modules());
            }
        }
        let decoded = decoded?;
        track.fruitless = 0;
        self.expect_in(track, &decoded);
        Some(decoded)
    }

    /// Expects the code in `bits` in the next frames: what was decoded of it, not mirrored any more.
    fn expect_in(&mut self, track: &mut Track, decoded: &Decoded) {
        let size = track.size;
        if decoded.mirrored {
            transpose(&mut self.bits, size);
        }
        if track.read.as_ref().is_some_and(|(bits, _)| *bits == self.bits) {
            return;
        }
        let bits = &self.bits;
        self.expected.set(size, |x, y| {
            let dark = fixed::fixed(size, x, y).unwrap_or_else(|| {
                let at = usize::try_from(y).ok().zip(usize::try_from(x).ok());
                at.and_then(|(y, x)| bits.get(y.saturating_mul(size).saturating_add(x))) == Some(&1)
            });
            if dark { -1.0 } else { 1.0 }
        });
        let (mut kept, _) = track.read.take().unwrap_or_else(|| (Vec::new(), decoded.clone()));
        kept.clone_from(&self.bits);
        track.read = Some((kept, decoded.clone()));
    }

    /// Begins to hold a symbol that was read from this frame by itself. `modules` are those of the symbol, row by row, 1
    /// is dark, not mirrored any more.
    pub(super) fn hold(&mut self, image: &GrayImage, symbol: &Symbol, modules: &[u8]) {
        let size = symbol.modules();
        if size > MOST_MODULES || fixed::version(size).is_none() {
            return;
        }
        // A mirrored symbol is held as it appears: its transpose.
        let [a, b, c, d] = symbol.outline();
        let square = [([-1.0, -1.0], a), ([1.0, -1.0], b), ([1.0, 1.0], c), ([-1.0, 1.0], d)];
        let Some(plane) = Plane::through(square) else { return };
        let polarity = if symbol.inverted { -1.0 } else { 1.0 };
        let glance = known_of(&mut self.fixed, size).map_or(0.0, |fixed| fixed.glance(image, &plane, polarity));
        if self.begin(image, plane, size, symbol.inverted, glance, true) && modules.len() == size.saturating_mul(size) {
            self.bits.clear();
            self.bits.extend_from_slice(modules);
            if let Some(mut track) = self.track.take() {
                self.expect_in(&mut track, &symbol.decoded());
                self.track = Some(track);
            }
        }
    }

    /// Considers corner squares of a frame in which nothing was read; best first.
    pub(super) fn consider(&mut self, image: &GrayImage, squares: &[Square]) {
        let mut guesses = std::mem::take(&mut self.guesses);
        locate::guesses(squares, &mut guesses);
        // All of them as they are, then the best with the fourth corner looked for.
        let lead = |size: usize| if size == offer::SIZE { 0.0 } else { LEAD_OF_OTHERS };
        let mut promising = [(f32::MIN, None); MOST_LOOKED_INTO];
        for guess in &guesses {
            for size in guess.sizes() {
                let Some(fixed) = known_of(&mut self.fixed, size) else { continue };
                let score = guess.score(image, size, fixed) - lead(size);
                if let Some(worst) = promising.last_mut()
                    && score > worst.0
                {
                    *worst = (score, Some((*guess, size)));
                    promising.sort_by(|a, b| b.0.total_cmp(&a.0));
                }
            }
        }
        let mut best: Option<(Plane, f32, usize, bool)> = None;
        for (guess, size) in promising.into_iter().filter_map(|(_, promising)| promising) {
            let Some(fixed) = known_of(&mut self.fixed, size) else { continue };
            let Some((plane, score)) = guess.plane(image, size, fixed) else { continue };
            if score - lead(size) > best.as_ref().map_or(0.3, |(_, score, _, _)| *score) {
                best = Some((plane, score - lead(size), size, guess.inverted));
            }
        }
        self.guesses = guesses;
        if let Some((plane, score, size, inverted)) = best {
            self.begin(image, plane, size, inverted, score, false);
        }
    }

    /// Whether the symbol is there: then it is held from now on. One that was read (`is_read`) takes the place of a lock that
    /// never was.
    fn begin(
        &mut self,
        image: &GrayImage,
        plane: Plane,
        size: usize,
        inverted: bool,
        glance: f32,
        is_read: bool,
    ) -> bool {
        let Some(fixed) = known_of(&mut self.fixed, size) else { return false };
        let polarity = if inverted { -1.0 } else { 1.0 };
        self.samples.prepare(size);
        let (plane, score) = fixed.fit(&mut self.samples, image, plane, polarity, 2 * ROUNDS, f32::MAX);
        self.kinds.prepare(size);
        self.take_modules(polarity);
        let explained = self.explain(size);
        let rival = self.track.as_ref().filter(|track| track.misses == 0 && track.read.is_none());
        let is_better = is_read || rival.is_none_or(|track| explained > track.explained);
        if score < LEAST_TO_BEGIN || !plane.is_plausible(size) || !is_better {
            // The old one, if any, keeps its buffers.
            if let Some(size) = self.track.as_ref().map(|track| track.size) {
                self.samples.prepare(size);
                self.kinds.prepare(size);
            }
            return false;
        }
        // A symbol of the same size that was held a moment ago: its sums may go on, if the values resemble each other.
        let keeps = self.track.take().filter(|old| old.size == size && old.polarity == polarity);
        if keeps.is_none() {
            self.sums.iter_mut().for_each(Fusion::clear);
        }
        let (velocity, read) = ((0.0, 0.0), keeps.and_then(|old| old.read));
        self.track = Some(Track {
            size,
            plane,
            polarity,
            velocity,
            misses: 0,
            fruitless: 0,
            agreement: score,
            explained,
            glance,
            read,
        });
        true
    }
}

/// What a matrix is decoded from.
#[derive(Clone, Copy, Debug)]
enum Source {
    Frame,
    Sum(usize),
    Sharp(usize),
}

impl Track {
    fn settle(&mut self, plane: Plane, score: f32) {
        let (before, after) = (self.plane.at(0.0, 0.0), plane.at(0.0, 0.0));
        let (dx, dy) = (after.x - before.x, after.y - before.y);
        let (vx, vy) = self.velocity;
        // Half old, half new; a jump that no hand makes tells nothing about the next frame.
        let reach = 0.5 * side(&plane);
        self.velocity = if dx.hypot(dy) < reach { (0.3 * vx + 0.7 * dx, 0.3 * vy + 0.7 * dy) } else { (0.0, 0.0) };
        self.plane = plane;
        self.agreement = 0.5 * (self.agreement + score);
    }

    fn symbol(&self, decoded: Decoded) -> Symbol {
        Symbol::new(decoded, self.plane.corners(), self.size, self.polarity < 0.0)
    }
}

/// What every symbol of this size shows; `None` for sizes that are not held.
fn known_of(fixed: &mut [Template], size: usize) -> Option<&Template> {
    let template = fixed.get_mut(fixed::version(size)?.checked_sub(1)?)?;
    if template.is_empty() {
        template.set_fixed(size);
    }
    Some(template)
}

/// The mean side of the symbol in pixels.
fn side(plane: &Plane) -> f32 {
    let [a, b, c, d] = plane.corners();
    (a.distance(b) + b.distance(c) + c.distance(d) + d.distance(a)) / 4.0
}

/// Swaps rows and columns: a mirrored symbol is held as it appears.
fn transpose(bits: &mut [u8], size: usize) {
    for y in 0..size {
        for x in 0..y {
            let (a, b) = (y.saturating_mul(size).saturating_add(x), x.saturating_mul(size).saturating_add(y));
            if a < bits.len() && b < bits.len() {
                bits.swap(a, b);
            }
        }
    }
}
