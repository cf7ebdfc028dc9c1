//! From a black and white picture to bytes. The only file that names rqrr.
//!
//! rqrr panics on some pictures (a degenerate perspective). The panic is contained here and counted; the picture then
//! counts as unread. The message of a contained panic still goes wherever the program's panic hook sends it, because a
//! library must not swap the global hook behind the program's back: a program that wants silence calls
//! [`silence_contained_panics`] once.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use super::binarize::BitImage;
use super::symbol::EccLevel;
use crate::frame::Point;

/// What a code says, without where it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decoded {
    pub(super) bytes: Vec<u8>,
    pub(super) version: u8,
    pub(super) ecc: EccLevel,
    pub(super) mask: u8,
    pub(super) mirrored: bool,
}

/// Something with the outline of a code, decoded or not.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// Top left, top right, bottom right, bottom left of the symbol, in pixels of the searched picture.
    pub(super) corners: [Point; 4],
    /// Modules on a side.
    pub(super) modules: usize,
    /// The content, or `None` when it could not be decoded.
    pub(super) decoded: Option<Decoded>,
}

/// rqrr panicked; the picture counts as unread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Panicked;

thread_local! {
    static CONTAINED: Cell<bool> = const { Cell::new(false) };
}

/// Installs, once per process, a panic hook that says nothing about panics which the scanner contains and leaves all
/// others to the hook that was there before. For programs, at their start, before other threads set hooks.
pub fn silence_contained_panics() {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !CONTAINED.with(Cell::get) {
                before(info);
            }
        }));
    });
}

/// Runs `work` so that a panic in it ends here.
fn contain<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    let outer = CONTAINED.with(|contained| contained.replace(true));
    // Nothing that `work` changes is looked at after a panic: it owns what it changes and gives it back by value.
    let result = catch_unwind(AssertUnwindSafe(work));
    CONTAINED.with(|contained| contained.set(outer));
    result.map_err(|_| Panicked)
}

/// Finds and decodes all codes of a black and white picture.
pub(super) fn find_and_decode(image: &BitImage) -> Result<Vec<Found>, Panicked> {
    contain(|| {
        let mut prepared =
            rqrr::PreparedImage::prepare_from_bitmap(image.width, image.height, |x, y| image.is_black(x, y));
        let grids = prepared.detect_grids();
        grids.iter().map(|grid| found_in(&grid.grid, outer_corners(grid.bounds, grid.grid_size()))).collect()
    })
}

/// Decodes a matrix of modules (row by row, true is dark), `size` a side, as it is or mirrored.
pub(super) fn decode_modules(size: usize, dark: &[bool]) -> Option<Decoded> {
    contain(|| decode(&Modules { size, dark })).ok().flatten()
}

struct Modules<'a> {
    size: usize,
    dark: &'a [bool],
}

impl rqrr::BitGrid for Modules<'_> {
    fn size(&self) -> usize {
        self.size
    }

    fn bit(&self, y: usize, x: usize) -> bool {
        self.dark.get(y.saturating_mul(self.size).saturating_add(x)).copied().unwrap_or(false)
    }
}

trait GridSize {
    fn grid_size(&self) -> usize;
}

impl<G: rqrr::BitGrid> GridSize for rqrr::Grid<G> {
    fn grid_size(&self) -> usize {
        self.grid.size()
    }
}

fn found_in(grid: &impl rqrr::BitGrid, corners: [Point; 4]) -> Found {
    let modules = grid.size();
    let decoded = decode(grid);
    let [top_left, top_right, bottom_right, bottom_left] = corners;
    // rqrr names the corners as if nothing were mirrored.
    let corners = match &decoded {
        Some(decoded) if decoded.mirrored => [top_left, bottom_left, bottom_right, top_right],
        _ => corners,
    };
    Found { corners, modules, decoded }
}

/// Remembers where the decoder looked last: a mirrored reading looks at the transposed grid.
struct Watched<'a, G> {
    grid: &'a G,
    last: Cell<(usize, usize)>,
}

impl<G: rqrr::BitGrid> rqrr::BitGrid for Watched<'_, G> {
    fn size(&self) -> usize {
        self.grid.size()
    }

    fn bit(&self, y: usize, x: usize) -> bool {
        self.last.set((y, x));
        self.grid.bit(y, x)
    }
}

fn decode(grid: &impl rqrr::BitGrid) -> Option<Decoded> {
    let watched = rqrr::Grid::new(Watched { grid, last: Cell::new((0, 0)) });
    let mut bytes = Vec::new();
    let meta = watched.decode_to(&mut bytes).ok()?;
    // The data ends in the leftmost column, below the upper corner squares; transposed that is the topmost row.
    let (row, column) = watched.grid.last.get();
    let mirrored = row == 0 && column != 0;
    Some(Decoded {
        bytes,
        version: u8::try_from(meta.version.0).ok()?,
        // The two format bits as the standard numbers them.
        ecc: match meta.ecc_level {
            0 => EccLevel::M,
            1 => EccLevel::L,
            2 => EccLevel::H,
            3 => EccLevel::Q,
            _ => return None,
        },
        mask: u8::try_from(meta.mask).ok()?,
        mirrored,
    })
}

/// rqrr's bounds reach one module too far to the right and to the bottom and name pixels, not edges between pixels.
fn outer_corners(bounds: [rqrr::Point; 4], modules: usize) -> [Point; 4] {
    let [a, b, c, d] = bounds.map(|p| Point::new(p.x as f32 + 0.5, p.y as f32 + 0.5));
    let inside = modules as f32 / (modules as f32 + 1.0);
    // The projective map of the unit square to the bounds, after P. Heckbert (1989).
    let (sx, sy) = (a.x - b.x + c.x - d.x, a.y - b.y + c.y - d.y);
    let (dx1, dy1, dx2, dy2) = (b.x - c.x, b.y - c.y, d.x - c.x, d.y - c.y);
    let den = dx1 * dy2 - dx2 * dy1;
    if den.abs() < f32::EPSILON {
        return [a, b, c, d];
    }
    let g = (sx * dy2 - dx2 * sy) / den;
    let h = (dx1 * sy - sx * dy1) / den;
    let map = |u: f32, v: f32| {
        let w = g * u + h * v + 1.0;
        Point::new(
            ((b.x - a.x + g * b.x) * u + (d.x - a.x + h * d.x) * v + a.x) / w,
            ((b.y - a.y + g * b.y) * u + (d.y - a.y + h * d.y) * v + a.y) / w,
        )
    };
    [a, map(inside, 0.0), map(inside, inside), map(0.0, inside)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_ends_at_the_containment_and_the_thread_goes_on() {
        assert_eq!(contain(|| -> () { panic!("as a dependency would") }), Err(Panicked));
        assert_eq!(contain(|| 7), Ok(7));
        assert!(!CONTAINED.with(Cell::get));
    }

    #[test]
    fn corners_are_pulled_in_by_the_module_that_rqrr_adds() {
        let p = |x, y| rqrr::Point { x, y };
        let corners = outer_corners([p(0, 0), p(220, 0), p(220, 220), p(0, 220)], 21);
        assert!(corners[0].distance(Point::new(0.5, 0.5)) < 0.01);
        assert!(corners[2].distance(Point::new(210.5, 210.5)) < 0.01);
    }
}
