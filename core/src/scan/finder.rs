//! Looks for finder patterns: the three corner squares that tell where a code is.
//!
//! Whichever way a line crosses the middle of one, it passes 1:1:3:1:1 modules of dark, light, dark, light, dark. What
//! is compared are neighbouring runs added up (bar and gap, gap and bar): ink that spreads and edges that are blurred
//! move both ends of such a pair the same way. Nothing has to be connected, so that a scratch or a speck of dirt does
//! not hide a square. Light squares on a dark ground are found in the same pass.
#![expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "positions are below a picture's side of 16384, and windows of slices have the length that is asked for"
)]

use super::pyramid::GrayImage;
use super::threshold::Threshold;
use crate::frame::Point;

/// A place that looks like a corner square of a code.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Finder {
    pub(super) center: Point,
    /// The length of the horizontal and of the vertical line through the square, in pixels.
    pub(super) across: f32,
    pub(super) down: f32,
    /// The part of the rays from its middle that pass dark, light, dark, light as they should, 1 for a clean one; less
    /// where dark and light hardly differ, as in noise.
    pub(super) strength: f32,
    /// Light on a dark ground.
    pub(super) inverted: bool,
}

impl Finder {
    /// Roughly the side of a module, in pixels: too large by up to 1.4 when the square is turned.
    pub(super) fn module(&self) -> f32 {
        (self.across * self.down).sqrt() / 7.0
    }

    /// The same square with all lengths multiplied.
    pub(super) fn scaled(self, factor: f32) -> Self {
        let Point { x, y } = self.center;
        Self {
            center: Point::new(x * factor, y * factor),
            across: self.across * factor,
            down: self.down * factor,
            ..self
        }
    }

    /// Whether the other square covers the same place.
    pub(super) fn is_at(&self, other: &Self) -> bool {
        let reach = self.module().max(other.module()) * 2.0;
        self.inverted == other.inverted
            && (self.center.x - other.center.x).abs() < reach
            && (self.center.y - other.center.y).abs() < reach
    }
}

/// Squares that are remembered while a picture is searched.
const MOST_SEEN: usize = 1000;

/// How many of those seen last are compared with a new one: rows are searched downwards, so the same square was seen a
/// moment ago.
const MOST_NEAR: usize = 32;

/// Up to this width in pixels a square is looked at with the one line between dark and light that holds in its middle.
const SMALL: usize = 40;

/// Grey levels between the dark and the light ring of a square that cannot be taken for noise.
const CLEAR_CONTRAST: f32 = 32.0;

/// So many grey levels of noise make the smallest module that a row can show one pixel wider: below that the grain makes
/// squares by the thousand, and rings (`rings`) tell them apart better.
const LEVELS_PER_PIXEL: u16 = 64;

/// The part of the rays that must cross a square's rings: half of it may be hidden.
const LEAST_RAYS: f32 = 0.5;

/// Buffers that are kept between pictures.
#[derive(Debug, Default)]
pub(super) struct FinderSearch {
    lines: Vec<u8>,
    dark: Vec<u8>,
    edges: Vec<u16>,
}

/// A picture and where its dark begins.
#[derive(Clone, Copy)]
struct Shades<'a> {
    gray: &'a GrayImage,
    threshold: &'a Threshold,
}

impl FinderSearch {
    /// Appends the squares that every `step`th row crosses to `found`, in pixels of `gray`: the `most` clearest of them.
    pub(super) fn search(
        &mut self,
        gray: &GrayImage,
        threshold: &Threshold,
        step: usize,
        most: usize,
        found: &mut Vec<Finder>,
    ) {
        let shades = Shades { gray, threshold };
        let first = found.len();
        let step = step.max(1);
        let least_contrast = u16::from(threshold.noise()) / 2;
        let least_width = 7 + u16::from(threshold.noise()) * 7 / LEVELS_PER_PIXEL;
        for y in (step / 2..gray.height).step_by(step) {
            if Threshold::is_new_row(y, step) || self.lines.len() != gray.width {
                threshold.fill_row(y, gray.width, &mut self.lines);
            }
            let row = gray.row(y);
            self.find_edges(row);
            let starts_dark = self.dark.first().is_some_and(|&d| d != 0);
            for (i, window) in self.edges.windows(6).enumerate() {
                let [a, b, c, d, e, f] = [window[0], window[1], window[2], window[3], window[4], window[5]];
                let runs = [b - a, c - b, d - c, e - d, f - e];
                if f - a < least_width || !may_be_square(runs) || contrast(row, [a, b, c, d, e, f]) < least_contrast {
                    continue;
                }
                // The run that begins at edge number i: colours alternate.
                let is_dark = starts_dark == (i % 2 == 0);
                let x = f32::from(c + d) / 2.0;
                let here = y as f32 + 0.5;
                let reach = f32::from(f - a) / 7.0;
                let is_known = found[first..].iter().rev().take(MOST_NEAR).any(|k| {
                    k.inverted != is_dark
                        && (k.center.x - x).abs() < reach
                        && (k.center.y - here).abs() < k.down.max(k.across) * 0.3
                });
                if is_known {
                    continue;
                }
                let Some(finder) = shades.confirm(x as usize, y, usize::from(f - a), is_dark) else { continue };
                if let Some(known) = found[first..].iter_mut().rev().take(MOST_NEAR).find(|k| k.is_at(&finder)) {
                    if finder.strength > known.strength {
                        *known = finder;
                    }
                } else if found.len() - first < MOST_SEEN {
                    found.push(finder);
                }
            }
        }
        let place = |f: &Finder| (f.center.y.to_bits(), f.center.x.to_bits());
        found[first..].sort_unstable_by(|a, b| b.strength.total_cmp(&a.strength).then(place(a).cmp(&place(b))));
        found.truncate(first + most);
    }

    /// Where the row changes between dark and light.
    fn find_edges(&mut self, row: &[u8]) {
        self.dark.clear();
        self.dark.extend(row.iter().zip(&self.lines).map(|(p, line)| u8::from(p <= line)));
        self.edges.clear();
        self.edges.reserve(row.len() + 2);
        // A code may touch the edge of the picture: a run begins and ends there.
        self.edges.push(0);
        // Eight pixels beside their right neighbours at a time: mostly none of them differs.
        let (eights, _) = self.dark.as_chunks::<8>();
        let (neighbours, _) = self.dark.get(1..).unwrap_or_default().as_chunks::<8>();
        let mut done = 0;
        for (here, right) in eights.iter().zip(neighbours) {
            let mut differ = u64::from_le_bytes(*here) ^ u64::from_le_bytes(*right);
            while differ != 0 {
                self.edges.push((done + differ.trailing_zeros() as usize / 8 + 1) as u16);
                differ &= differ - 1;
            }
            done += 8;
        }
        for (x, pair) in self.dark.windows(2).enumerate().skip(done) {
            if pair[0] != pair[1] {
                self.edges.push((x + 1) as u16);
            }
        }
        self.edges.push(row.len() as u16);
    }
}

/// A quick look at five runs of pixels.
fn may_be_square(runs: [u16; 5]) -> bool {
    let [a, b, c, d, e] = runs;
    let outer = a.max(b).max(d).max(e);
    c >= outer && is_square(runs.map(f32::from), 0.5)
}

/// Grey levels between the middles of the dark and of the light ones of five runs, given by where they begin and end.
fn contrast(row: &[u8], edges: [u16; 6]) -> u16 {
    let middle = |i: usize| u16::from(row[usize::from(edges[i] + edges[i + 1]) / 2]);
    let (ink, gaps) = (middle(0) + middle(2) + middle(4), middle(1) + middle(3));
    (ink / 3).abs_diff(gaps / 2)
}

/// Whether five runs are 1:1:3:1:1 within `slack` modules and a pixel.
fn is_square(runs: [f32; 5], slack: f32) -> bool {
    let [a, b, c, d, e] = runs;
    let module = (a + b + c + d + e) / 7.0;
    let near = |length: f32, modules: f32| (length - modules * module).abs() <= slack * modules.sqrt() * module + 0.75;
    near(a + b, 2.0)
        && near(b + c, 4.0)
        && near(c + d, 4.0)
        && near(d + e, 2.0)
        && c < 4.6 * module
        && c + 1.0 > 1.7 * module
}

impl Shades<'_> {
    /// Whether the pixel is dark; `None` outside the picture.
    #[inline]
    fn is_dark(&self, x: usize, y: usize) -> Option<bool> {
        if x >= self.gray.width {
            return None;
        }
        self.gray.pixels.get(y * self.gray.width + x).map(|&p| p <= self.threshold.at(x, y))
    }

    /// The lengths of the three runs from a pixel on, without that pixel itself; each at most `longest`.
    fn arm(&self, x: usize, y: usize, step: (isize, isize), ink: bool, longest: usize) -> Option<[usize; 3]> {
        let (width, height) = (self.gray.width, self.gray.height);
        // The edge of the picture ends a run.
        let room = |at: usize, side: usize, step: isize| match step {
            0 => usize::MAX,
            1.. => side - 1 - at,
            _ => at,
        };
        let mut room = room(x, width, step.0).min(room(y, height, step.1));
        let one_line = (longest <= 2 * SMALL).then(|| self.threshold.at(x, y));
        let (mut x, mut y) = (x, y);
        let mut runs = [0; 3];
        for (run, wanted) in runs.iter_mut().zip([ink, !ink, ink]) {
            while room > 0 {
                let (next_x, next_y) = (x.wrapping_add_signed(step.0), y.wrapping_add_signed(step.1));
                let line = one_line.unwrap_or_else(|| self.threshold.at(next_x, next_y));
                if (self.gray.pixels[next_y * width + next_x] <= line) != wanted {
                    break;
                }
                *run += 1;
                if *run > longest {
                    return None;
                }
                room -= 1;
                (x, y) = (next_x, next_y);
            }
        }
        (runs[1] > 0 && runs[2] > 0).then_some(runs)
    }

    /// The five runs through a pixel in both directions, and how far their middle lies from the pixel's, in steps.
    fn cross(&self, x: usize, y: usize, step: (isize, isize), ink: bool, longest: usize) -> Option<([f32; 5], f32)> {
        if self.is_dark(x, y)? != ink {
            return None;
        }
        let back = self.arm(x, y, (-step.0, -step.1), ink, longest)?;
        let on = self.arm(x, y, step, ink, longest)?;
        let runs = [back[2], back[1], back[0] + 1 + on[0], on[1], on[2]].map(|n| n as f32);
        let whole = (on[0] + on[1] + on[2]) as f32 - (back[0] + back[1] + back[2]) as f32;
        let stone = on[0] as f32 - back[0] as f32;
        Some((runs, (whole + stone) / 4.0))
    }

    /// Looks down, across and along both diagonals through a place where a row crossed something like a square.
    fn confirm(&self, x: usize, y: usize, width: usize, ink: bool) -> Option<Finder> {
        // A square seen under a steep angle is up to three times as long one way as the other.
        let longest = width * 2;
        let (down, off) = self.cross(x, y, (0, 1), ink, longest)?;
        if !is_square(down, 0.6) {
            return None;
        }
        let center_y = y as f32 + 0.5 + off;
        let (across, off) = self.cross(x, center_y as usize, (1, 0), ink, longest)?;
        if !is_square(across, 0.6) {
            return None;
        }
        let center_x = x as f32 + 0.5 + off;
        let (tall, wide) = (down.iter().sum::<f32>(), across.iter().sum::<f32>());
        if tall > wide * 3.5 || wide > tall * 3.5 {
            return None;
        }
        // Text has bars that look like a square up and across; few letters do so along a diagonal as well.
        let slope = [(1, 1), (1, -1)].into_iter().any(|step| {
            self.cross(center_x as usize, center_y as usize, step, ink, longest)
                .is_some_and(|(runs, _)| is_square(runs, 0.8))
        });
        if !slope {
            return None;
        }
        let finder =
            Finder { center: Point::new(center_x, center_y), across: wide, down: tall, strength: 0.0, inverted: !ink };
        self.rings(&finder).map(|strength| Finder { strength, ..finder })
    }

    /// The strength of a square, from sixteen rays from its middle outwards that should pass dark, light, dark and light in
    /// the right proportion; `None` as soon as too many do not.
    fn rings(&self, finder: &Finder) -> Option<f32> {
        // Those between the axes and the diagonals first: along these the square was seen to be right already.
        const DIRECTIONS: [(f32, f32); 16] = {
            let (c, d, s) = (0.923_879_5, std::f32::consts::FRAC_1_SQRT_2, 0.382_683_43);
            [
                (c, s),
                (-c, -s),
                (-s, c),
                (s, -c),
                (s, c),
                (-s, -c),
                (-c, s),
                (c, -s),
                (d, d),
                (-d, -d),
                (-d, d),
                (d, -d),
                (1.0, 0.0),
                (-1.0, 0.0),
                (0.0, 1.0),
                (0.0, -1.0),
            ]
        };
        const MOST_WRONG: u8 = (16.0 * (1.0 - LEAST_RAYS)) as u8;
        /// Steps of a quarter of a module; the corner of a square is 4.95 modules from its middle.
        const STEPS: u8 = 23;
        let ink = !finder.inverted;
        let (across, down) = (finder.across / 28.0, finder.down / 28.0);
        let Point { x: middle_x, y: middle_y } = finder.center;
        let (reach_x, reach_y) = (across * f32::from(STEPS) + 1.0, down * f32::from(STEPS) + 1.0);
        let is_whole = middle_x > reach_x
            && middle_y > reach_y
            && middle_x + reach_x < self.gray.width as f32
            && middle_y + reach_y < self.gray.height as f32;
        let small = is_whole && finder.across.max(finder.down) <= SMALL as f32;
        let one_line = self.threshold.at(middle_x as usize, middle_y as usize);
        let width = self.gray.width;
        let mut wrong = 0;
        let (mut light, mut dark) = (0u32, 0u32);
        let mut is_right = |(dx, dy): (f32, f32)| {
            let (step_x, step_y) = (dx * across, dy * down);
            let mut places = [0.0f32; 3];
            let mut passed = 0;
            // In pixels and 65,536ths of them.
            let fixed = |value: f32| (value * 65_536.0) as i32;
            let (mut at_x, mut at_y, add_x, add_y) = (fixed(middle_x), fixed(middle_y), fixed(step_x), fixed(step_y));
            for step in 1..=STEPS {
                let t = f32::from(step);
                let dark = if small {
                    (at_x, at_y) = (at_x.wrapping_add(add_x), at_y.wrapping_add(add_y));
                    let index = (at_y >> 16) as usize * width + (at_x >> 16) as usize;
                    (self.gray.pixels[index] <= one_line) == ink
                } else {
                    let (x, y) = (middle_x + step_x * t, middle_y + step_y * t);
                    // Beyond the edge of the picture there is paper.
                    let inside = x >= 0.0 && y >= 0.0;
                    inside && self.is_dark(x as usize, y as usize).is_some_and(|dark| dark == ink)
                };
                if dark != (passed % 2 == 0) {
                    places[passed] = t;
                    passed += 1;
                    if passed == 3 {
                        break;
                    }
                }
            }
            let [a, b, c] = places;
            // 1.5, 2.5 and 3.5 modules, or the same multiple of them.
            let is_right = passed == 3 && b < a * 2.6 + 1.0 && b > a * 1.2 && c < b * 1.9 + 1.0 && c > b * 1.1;
            if is_right {
                let value = |t: f32| self.gray.at((middle_x + step_x * t) as usize, (middle_y + step_y * t) as usize);
                let (between, ring) = (value((a + b) / 2.0), value((b + c) / 2.0));
                let (lighter, darker) = if ink { (between, ring) } else { (ring, between) };
                light += u32::from(lighter);
                dark += u32::from(darker);
            }
            is_right
        };
        for direction in DIRECTIONS {
            wrong += u8::from(!is_right(direction));
            if wrong > MOST_WRONG {
                return None;
            }
        }
        let right = f32::from(16 - wrong);
        let contrast = light.saturating_sub(dark) as f32 / right;
        Some(right / 16.0 * (contrast / CLEAR_CONTRAST).min(1.0))
    }
}
