//! One attempt to read a code between three finder patterns.

use super::finder::Finder;
use super::fit::{self, Measured};
use super::geometry::Projection;
use super::mesh::{self, Mesh};
use super::pyramid::Pyramid;
use super::reader::{self, Reader};
use super::sample::{Ground, Modules, Softener};
use super::segments::Decoded;
use super::trail::{End, Step};
use super::view::View;
use crate::frame::Point;

/// Modules are read from the picture in which they are at least so many pixels wide: smaller pictures cost less and
/// are cleaner, and below this size neighbours run into each other.
const LEAST_MODULE_PX: f32 = 2.6;

/// The part of the modules of the corner squares that must agree before a projection is fitted: by chance it is a half.
const LEAST_AGREEMENT_BEFORE_FIT: f32 = 0.68;

/// The same after the fit.
const LEAST_AGREEMENT: f32 = 0.75;

/// Times that a mesh is moved to fit the edges of all modules.
const MOST_RELAXATIONS: usize = 4;

/// What was done, to keep within a budget and to tell why nothing was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Work {
    /// Triples of finder patterns that were measured.
    pub(super) triples: u32,
    /// Projections that were fitted.
    pub(super) fits: u32,
    /// Codes whose modules were sampled.
    pub(super) samples: u32,
    /// Times that the repair of a code was tried.
    pub(super) reads: u32,
    /// Panics of the decoder that were contained.
    pub(super) panics: u32,
}

/// A code and where it lies.
#[derive(Clone, Debug)]
pub(super) struct Located {
    /// In pixels of the frame, upright and cropped.
    pub(super) mesh: Mesh,
    /// Light modules on a dark ground.
    pub(super) inverted: bool,
    /// `None` when the code was found and could not be read.
    pub(super) decoded: Option<Decoded>,
}

/// Buffers that are kept between attempts.
#[derive(Debug, Default)]
pub(super) struct Attempt {
    modules: Modules,
    softener: Softener,
    soft: Vec<i16>,
    reader: Reader,
    pub(super) work: Work,
    /// What was tried, if somebody wants to know.
    pub(super) trail: Option<Vec<Step>>,
    end: Option<End>,
}

/// A projection that fits the timing patterns, and how well.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    projection: Projection,
    timing: f32,
}

impl Attempt {
    /// Tries to read the code between three squares: corner, right, below; in frame pixels. The place of the `hidden` one,
    /// if one is, is a guess. `Some` with no content when a code is there and cannot be read.
    pub(super) fn read(&mut self, pyramid: &Pyramid, squares: [Finder; 3], hidden: Option<usize>) -> Option<Located> {
        self.work.triples = self.work.triples.saturating_add(1);
        let inverted = squares[0].inverted;
        let module = squares.iter().map(Finder::module).sum::<f32>() / 3.0;
        let level = level_for(pyramid, module);
        let mut seen = None;
        self.end = None;
        for level in [Some(level), level.checked_sub(1)].into_iter().flatten() {
            let scale = 1.0 / (1u32 << level) as f32;
            let view = View { gray: pyramid.level(level), inverted };
            let squares = squares.map(|s| s.scaled(scale));
            let found = self.read_at(view, squares, hidden);
            if let Some(mut located) = found {
                located.mesh = located.mesh.scaled(scale.recip());
                let is_read = located.decoded.is_some();
                if is_read || seen.is_none() {
                    let (modules, corners) = (located.mesh.projection.modules(), located.mesh.corners());
                    self.end =
                        Some(if is_read { End::Read { modules, corners } } else { End::Unread { modules, corners } });
                    seen = Some(located);
                }
                if is_read {
                    break;
                }
            }
        }
        if let Some(trail) = &mut self.trail {
            let end = self.end.take().unwrap_or(End::NoSquare);
            trail.push(Step::Tried { squares: squares.map(|s| s.center), end });
        }
        seen
    }

    /// The modules of the code that was read last: see [`Reader::modules`].
    pub(super) fn modules_read(&self) -> &[u8] {
        self.reader.modules()
    }

    fn read_at(&mut self, view: View<'_>, squares: [Finder; 3], hidden: Option<usize>) -> Option<Located> {
        let centers = squares.map(|s| s.center);
        let measured = Measured::new(view, centers, squares.map(|s| s.module()), hidden)?;
        if !measured.is_plausible() {
            let (upper, left) = measured.sizes;
            self.end = self.end.take().or(Some(End::NoSize { upper, left }));
            return None;
        }
        let mut candidates: [Option<Candidate>; 8] = [None; 8];
        let mut slots = candidates.iter_mut();
        let mut named = None;
        let mut known_sizes = [0usize; 8];
        let mut sizes = known_sizes.iter_mut();
        for size in measured.sizes() {
            let Some(candidate) = self.fit(view, &measured, size) else { continue };
            // Codes from version 7 on say what version they are, next to two of the finder patterns.
            if named.is_none() && size >= 41 {
                named = version_in(view, &candidate.projection);
            }
            if let (Some(slot), Some(known)) = (slots.next(), sizes.next()) {
                (*slot, *known) = (Some(candidate), size);
            }
            if candidate.timing > 0.9 && named.is_none_or(|v| v.saturating_mul(4).saturating_add(17) == size) {
                break;
            }
        }
        let named = named.map(|v| v.saturating_mul(4).saturating_add(17));
        if let (Some(size), Some(slot)) = (named, slots.next())
            && !known_sizes.contains(&size)
        {
            *slot = self.fit(view, &measured, size);
        }
        candidates.sort_unstable_by(|a, b| {
            let timing = |c: &Option<Candidate>| c.map_or(-1.0, |c| c.timing);
            timing(b).total_cmp(&timing(a))
        });
        let mut seen: Option<Located> = None;
        for candidate in candidates.into_iter().flatten().take(3) {
            if candidate.timing < 0.58 {
                let (modules, agreement) = (candidate.projection.modules(), candidate.timing);
                self.end = self.end.take().or(Some(End::NoTiming { modules, agreement }));
                break;
            }
            if let Some(located) = self.sample(view, candidate.projection) {
                if located.decoded.is_some() {
                    return Some(located);
                }
                seen = seen.or(Some(located));
            }
        }
        seen
    }

    fn fit(&mut self, view: View<'_>, measured: &Measured, size: usize) -> Option<Candidate> {
        let mut best: Option<Candidate> = None;
        for with_perspective in [true, false] {
            let Some(projection) = measured.projection(size, with_perspective) else { continue };
            // The corner squares hardly move from here on: when they do not agree by now, this is no code.
            let (agreement, _) = fit::finder_agreement(view, &projection);
            if agreement < LEAST_AGREEMENT_BEFORE_FIT {
                self.end = self.end.take().or(Some(End::NoCorners { modules: size, agreement }));
                continue;
            }
            self.work.fits = self.work.fits.saturating_add(1);
            let Some((projection, _)) = fit::refine(view, projection, None) else { continue };
            let timing = fit::timing_agreement(view, &projection);
            if best.is_none_or(|known| timing > known.timing) {
                best = Some(Candidate { projection, timing });
            }
            if timing > 0.85 {
                break;
            }
        }
        best
    }

    /// Looks for the alignment patterns, samples and reads.
    fn sample(&mut self, view: View<'_>, projection: Projection) -> Option<Located> {
        let (agreement, contrast) = fit::finder_agreement(view, &projection);
        if agreement < LEAST_AGREEMENT || contrast < 6.0 {
            self.end = self.end.take().or(Some(End::NoCorners { modules: projection.modules(), agreement }));
            return None;
        }
        let size = projection.modules();
        let mut seen = None;
        let last = size as f32 - 6.5;
        let anchor = if size >= 25 {
            let radius = 2.0 + size as f32 / 20.0;
            mesh::find_alignment(view, &projection, (last, last), projection.map(last, last), radius, contrast)
        } else {
            None
        };
        let anchored = anchor.and_then(|at| fit::refine(view, projection, Some(at))).map(|(projection, _)| projection);
        for projection in [anchored, Some(projection)].into_iter().flatten() {
            let mut mesh = Mesh::fitted(view, projection, contrast);
            let mut decoded = self.read_mesh(view, &mesh);
            for _ in 0..MOST_RELAXATIONS {
                if decoded.is_some() {
                    break;
                }
                mesh = mesh.relaxed(view, &self.modules.light, contrast);
                decoded = self.read_mesh(view, &mesh);
            }
            let located = Located { mesh, inverted: view.inverted, decoded };
            if located.decoded.is_some() {
                return Some(located);
            }
            seen = seen.or(Some(located));
        }
        seen
    }

    /// Samples and reads the modules of a mesh, telling dark from light in several ways.
    fn read_mesh(&mut self, view: View<'_>, mesh: &Mesh) -> Option<Decoded> {
        self.work.samples = self.work.samples.saturating_add(1);
        self.modules.sample(view, mesh);
        let size = self.modules.size;
        for ground in [Ground::Around(size / 6), Ground::Around(size), Ground::Sharpened(size / 4), Ground::Around(3)] {
            self.softener.soften(&self.modules, ground, &mut self.soft);
            self.work.reads = self.work.reads.saturating_add(1);
            let decoded = self.reader.read(&self.soft, size);
            self.work.panics = self.work.panics.saturating_add(self.reader.take_panics());
            if decoded.is_some() {
                return decoded;
            }
        }
        None
    }
}

/// The smallest picture in which modules of so many frame pixels can be told apart.
fn level_for(pyramid: &Pyramid, module: f32) -> usize {
    let mut level = 0usize;
    let mut side = module;
    while side >= LEAST_MODULE_PX * 2.0 && level.saturating_add(1) < pyramid.len() {
        side /= 2.0;
        level = level.saturating_add(1);
    }
    level
}

/// The version that a code names next to its finder patterns.
fn version_in(view: View<'_>, projection: &Projection) -> Option<usize> {
    let size = projection.modules();
    let light = |row: f32, column: f32| {
        let at: Point = projection.map(column + 0.5, row + 0.5);
        view.light(at.x, at.y)
    };
    // Halfway between the dark ring and the light one of the finder pattern beside it.
    let far = size as f32 - 4.0;
    let middle = (light(0.0, far) + light(1.0, far) + light(far, 0.0) + light(far, 1.0)) / 4.0;
    reader::version_named(|row, column| middle - light(row as f32, column as f32), size)
}
