//! The lit panel: a page painted in screen pixels, and exact integrals of its light over small rectangles.
//!
//! A screen pixel is three stripes, each a lit rectangle with a dark gap around it. The light of a rectangle of the
//! plane is therefore a sum over pixels of (colour) x (lit width inside) x (lit height inside). With the running lit
//! width `G(x)` - which grows by one per pixel, but only inside the stripe - that sum is an interpolated difference
//! of a summed-area table at `G(x0), G(x1)`: exact, and as fast for a thousand pixels as for one.

use crate::{Scene, Stripes, Theme, font, optics::Cells, pose::Sight};

/// Height of the browser's bar on the page, in screen pixels.
pub(crate) const TOP_BAR_PX: usize = 64;
/// Side of the squares for which the panel remembers whether they have one colour.
const TILE: usize = 8;
/// Mark of a tile with several colours.
const MIXED: u8 = u8::MAX;
/// Full scale of the summed-area tables; 2560 x 1600 pixels of it still fit into 32 bits.
const FULL: f32 = 1023.0;

/// A painted panel.
#[derive(Debug)]
pub(crate) struct Panel {
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// Linear light of each colour index, red, green, blue.
    palette: Vec<[f32; 3]>,
    /// Colour index of each pixel.
    pixels: Vec<u8>,
    tiles: Vec<u8>,
    tiles_across: usize,
    /// Per colour: `(width + 1) * (height + 1)` sums of all pixels above and to the left.
    sums: [Vec<u32>; 3],
    grid: Grid,
}

/// Lit stripes within one pixel.
#[derive(Debug, Clone, Copy)]
struct Grid {
    /// Where the stripe of red, green, blue begins, in pixels.
    start_x: [f32; 3],
    /// One over its lit width.
    per_width: f32,
    start_y: f32,
    per_height: f32,
}

/// The cells of a photosite's kernel as seen on the plane, for one sight.
pub(crate) struct Spread<'a> {
    pub(crate) cells: &'a [Cells],
    pub(crate) sight: Sight,
    /// Half width and half height of a cell's image on the plane: a box of the same spread as the parallelogram.
    pub(crate) half: [f32; 2],
}

/// The integer below `x`, or `x - 1` for some integers `x`: at the border between two pixels either is right.
#[inline(always)]
fn whole_part(x: f32) -> f32 {
    // Adding and taking away 1.5 * 2^23 rounds to an integer without a call.
    const ROUND: f32 = 12_582_912.0;
    (x - 0.5 + ROUND) - ROUND
}

/// Lit length from 0 to `x` when one stripe per unit is lit, normalised to 1 per unit.
#[inline(always)]
fn lit(x: f32, start: f32, per_width: f32) -> f32 {
    let whole = whole_part(x);
    let part = (x - whole - start) * per_width;
    let part = if part > 0.0 { part } else { 0.0 };
    whole + if part < 1.0 { part } else { 1.0 }
}

/// Lit length between `x - half` and `x + half`, eight at a time: plain loops over arrays become wide instructions.
#[inline(always)]
fn lit_across(x: &[f32; 8], half: f32, start: f32, per_width: f32) -> [f32; 8] {
    let mut across = [0.0; 8];
    for (across, x) in across.iter_mut().zip(x) {
        *across = lit(x + half, start, per_width) - lit(x - half, start, per_width);
    }
    across
}

/// Eight lit lengths, divided between the pixel where each begins and the next one.
struct Split {
    first: [i32; 8],
    in_first: [f32; 8],
    in_second: [f32; 8],
}

#[inline(always)]
fn split_across(x: &[f32; 8], half: f32, start: f32, per_width: f32) -> Split {
    let mut split = Split { first: [0; 8], in_first: [0.0; 8], in_second: [0.0; 8] };
    for (lane, x) in x.iter().enumerate() {
        let (from, to) = (x - half, x + half);
        let (lit_from, lit_to) = (lit(from, start, per_width), lit(to, start, per_width));
        let whole = whole_part(from);
        let end = if lit_to < whole + 1.0 { lit_to } else { whole + 1.0 };
        split.first[lane] = whole as i32;
        split.in_first[lane] = end - lit_from;
        split.in_second[lane] = lit_to - end;
    }
    split
}

/// A table row's sum from the left edge to between two columns.
#[inline(always)]
fn interpolated(row: &[u32], whole: usize, part: f64) -> f64 {
    match row.get(whole..whole + 2) {
        Some(&[low, high]) => f64::from(low) + part * f64::from(high.wrapping_sub(low)),
        _ => 0.0,
    }
}

impl Panel {
    pub(crate) fn paint(scene: &Scene) -> Self {
        let screen = &scene.screen;
        let page = Page::paint(scene);
        let palette: Vec<[f32; 3]> = page.palette.iter().map(|rgb| rgb.map(linear)).collect();
        let (width, height) = (screen.width, screen.height);
        let tiles_across = width.div_ceil(TILE);
        let mut tiles = Vec::with_capacity(tiles_across * height.div_ceil(TILE));
        for top in (0..height).step_by(TILE) {
            for left in (0..width).step_by(TILE) {
                let right = (left + TILE).min(width);
                let first = page.pixels[top * width + left];
                let plain = (top..(top + TILE).min(height))
                    .all(|y| page.pixels[y * width + left..y * width + right].iter().all(|p| *p == first));
                tiles.push(if plain { first } else { MIXED });
            }
        }
        let sums = [0, 1, 2].map(|channel| {
            let levels: Vec<u32> = palette.iter().map(|rgb| (rgb[channel] * FULL).round() as u32).collect();
            let stride = width + 1;
            let mut sums = vec![0_u32; stride * (height + 1)];
            for (y, row) in page.pixels.chunks_exact(width).enumerate() {
                let (above, below) = sums[y * stride..].split_at_mut(stride);
                let mut run = 0;
                for (x, pixel) in row.iter().enumerate() {
                    run += levels[usize::from(*pixel)];
                    below[x + 1] = above[x + 1] + run;
                }
            }
            sums
        });
        let gap = (1.0 - screen.fill_x) / 6.0;
        let mut start_x = [0.0, 1.0 / 3.0, 2.0 / 3.0].map(|start| start + gap);
        if screen.stripes == Stripes::Bgr {
            start_x.reverse();
        }
        let grid = Grid {
            start_x,
            per_width: 3.0 / screen.fill_x,
            start_y: (1.0 - screen.fill_y) / 2.0,
            per_height: 1.0 / screen.fill_y,
        };
        Self { width, height, palette, pixels: page.pixels, tiles, tiles_across, sums, grid }
    }

    /// The colour of the rectangle around `u, v` if it lies in the panel and has only one.
    #[inline]
    pub(crate) fn plain_colour(&self, u: f64, v: f64, reach_u: f64, reach_v: f64) -> Option<[f32; 3]> {
        let (left, top, right, bottom) = (u - reach_u, v - reach_v, u + reach_u, v + reach_v);
        if left < 0.0 || top < 0.0 || right >= self.width as f64 || bottom >= self.height as f64 {
            return None;
        }
        let tile = |at: f64| at as usize / TILE;
        let first = self.tiles[tile(top) * self.tiles_across + tile(left)];
        if first == MIXED {
            return None;
        }
        for row in tile(top)..=tile(bottom) {
            for column in tile(left)..=tile(right) {
                if self.tiles[row * self.tiles_across + column] != first {
                    return None;
                }
            }
        }
        Some(self.palette[usize::from(first)])
    }

    /// Mean light of one colour over the cells, where the page has one colour: only the grid matters.
    #[inline]
    pub(crate) fn grid_light(&self, spread: &Spread<'_>, channel: usize) -> f32 {
        let (u, v) = (spread.sight.u.fract() as f32, spread.sight.v.fract() as f32);
        let ([a, b, c, d], [half_u, half_v]) = (spread.sight.jacobian, spread.half);
        let grid = self.grid;
        let start = grid.start_x[channel];
        let mut totals = [0.0_f32; 8];
        for cells in spread.cells {
            let (mut x, mut y) = ([0.0; 8], [0.0; 8]);
            for lane in 0..8 {
                x[lane] = u + a * cells.dx[lane] + b * cells.dy[lane];
                y[lane] = v + c * cells.dx[lane] + d * cells.dy[lane];
            }
            let wide = lit_across(&x, half_u, start, grid.per_width);
            let tall = lit_across(&y, half_v, grid.start_y, grid.per_height);
            for lane in 0..8 {
                totals[lane] += wide[lane] * tall[lane] * cells.weight[lane];
            }
        }
        totals.iter().sum::<f32>() / (4.0 * half_u * half_v)
    }

    /// Mean light of one colour over the cells, for any content; dark outside the panel.
    ///
    /// `reach` is how far the cells extend on the plane, in screen pixels.
    pub(crate) fn light(&self, spread: &Spread<'_>, channel: usize, reach: [f64; 2]) -> f32 {
        let (u, v, [reach_u, reach_v]) = (spread.sight.u, spread.sight.v, reach);
        let inside = u > reach_u + 1.0
            && v > reach_v + 1.0
            && u + reach_u + 2.0 < self.width as f64
            && v + reach_v + 2.0 < self.height as f64;
        if inside && spread.half[0] < 0.5 && spread.half[1] < 0.5 {
            self.light_of_narrow_cells(spread, channel)
        } else {
            self.light_of_any_cells(spread, channel)
        }
    }

    /// For cells of at most one screen pixel per side, which touch at most two columns and two rows.
    fn light_of_narrow_cells(&self, spread: &Spread<'_>, channel: usize) -> f32 {
        let (base_u, base_v) = (spread.sight.u.floor(), spread.sight.v.floor());
        let (u, v) = ((spread.sight.u - base_u) as f32, (spread.sight.v - base_v) as f32);
        let ([a, b, c, d], [half_u, half_v]) = (spread.sight.jacobian, spread.half);
        let (grid, width) = (self.grid, self.width);
        let start = grid.start_x[channel];
        let mut levels = [0.0_f32; 8];
        for (level, rgb) in levels.iter_mut().zip(&self.palette) {
            *level = rgb[channel];
        }
        let level = |pixel: u8| levels[usize::from(pixel & 7)];
        let base = base_v as i32 * width as i32 + base_u as i32;
        let mut total = 0.0_f32;
        for cells in spread.cells {
            let (mut x, mut y) = ([0.0; 8], [0.0; 8]);
            for lane in 0..8 {
                x[lane] = u + a * cells.dx[lane] + b * cells.dy[lane];
                y[lane] = v + c * cells.dx[lane] + d * cells.dy[lane];
            }
            let columns = split_across(&x, half_u, start, grid.per_width);
            let rows = split_across(&y, half_v, grid.start_y, grid.per_height);
            for lane in 0..8 {
                let at = base + rows.first[lane] * width as i32 + columns.first[lane];
                let (upper, lower) = (at as usize, at as usize + width);
                let (left, right) = (columns.in_first[lane], columns.in_second[lane]);
                let above = left * level(self.pixels[upper]) + right * level(self.pixels[upper + 1]);
                let below = left * level(self.pixels[lower]) + right * level(self.pixels[lower + 1]);
                total += cells.weight[lane] * (rows.in_first[lane] * above + rows.in_second[lane] * below);
            }
        }
        total / (4.0 * half_u * half_v)
    }

    /// For cells of any size, anywhere.
    fn light_of_any_cells(&self, spread: &Spread<'_>, channel: usize) -> f32 {
        // Whole pixels are kept apart from the part behind the point, for which 32 bits are enough.
        let (base_u, base_v) = (spread.sight.u.floor(), spread.sight.v.floor());
        let (u, v) = ((spread.sight.u - base_u) as f32, (spread.sight.v - base_v) as f32);
        let ([a, b, c, d], [half_u, half_v]) = (spread.sight.jacobian, spread.half);
        let grid = self.grid;
        let start = grid.start_x[channel];
        let clamp = |lit: f32, base: f64, end: f64| (f64::from(lit) + base).clamp(0.0, end);
        let (width, height) = (self.width as f64, self.height as f64);
        let mut total = 0.0_f64;
        for cells in spread.cells {
            for lane in 0..8 {
                let weight = cells.weight[lane];
                if weight == 0.0 {
                    break;
                }
                let x = u + a * cells.dx[lane] + b * cells.dy[lane];
                let y = v + c * cells.dx[lane] + d * cells.dy[lane];
                let top = clamp(lit(y - half_v, grid.start_y, grid.per_height), base_v, height);
                let bottom = clamp(lit(y + half_v, grid.start_y, grid.per_height), base_v, height);
                let left = clamp(lit(x - half_u, start, grid.per_width), base_u, width);
                let right = clamp(lit(x + half_u, start, grid.per_width), base_u, width);
                total += f64::from(weight) * self.sum(channel, [left, top, right, bottom]);
            }
        }
        (total / f64::from(FULL * 4.0 * half_u * half_v)) as f32
    }

    /// Interpolated sum over a rectangle in pixels (left, top, right, bottom).
    #[inline(always)]
    fn sum(&self, channel: usize, [left, top, right, bottom]: [f64; 4]) -> f64 {
        let stride = self.width + 1;
        let sums = &self.sums[channel][..];
        let (left_at, right_at) = ((left as usize).min(self.width - 1), (right as usize).min(self.width - 1));
        let (top_at, bottom_at) = ((top as usize).min(self.height - 1), (bottom as usize).min(self.height - 1));
        let (left_part, right_part) = (left - left_at as f64, right - right_at as f64);
        let mut edges = [0.0; 2];
        for (edge, (at, y)) in edges.iter_mut().zip([(top_at, top), (bottom_at, bottom)]) {
            let (upper, lower) = sums[at * stride..(at + 2) * stride].split_at(stride);
            let above = interpolated(upper, right_at, right_part) - interpolated(upper, left_at, left_part);
            let below = interpolated(lower, right_at, right_part) - interpolated(lower, left_at, left_part);
            *edge = above + (y - at as f64) * (below - above);
        }
        edges[1] - edges[0]
    }
}

/// Light of an 8-bit sRGB value.
fn linear(value: u8) -> f32 {
    let value = f32::from(value) / 255.0;
    if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
}

/// The page as colour indices.
struct Page {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
    palette: Vec<[u8; 3]>,
}

/// Colour indices of the page.
const PAGE: u8 = 0;
const BAR: u8 = 1;
const CARD: u8 = 2;
const MODULE: u8 = 3;
const TEXT: u8 = 4;
const FAINT: u8 = 5;
const ACCENT: u8 = 6;
const FIELD: u8 = 7;

impl Page {
    fn paint(scene: &Scene) -> Self {
        let palette = match scene.theme {
            Theme::Light => [0xEEF1F5, 0xD5DAE1, 0xFFFFFF, 0x0B0D12, 0x20242C, 0x8A93A0, 0x2F6FED, 0xFFFFFF],
            Theme::DarkPage => [0x14171C, 0x23272E, 0xFFFFFF, 0x0B0D12, 0xE4E7EB, 0x6B7480, 0x4C8DFF, 0x31363F],
            Theme::Inverted => [0x0F1114, 0x23272E, 0x0F1114, 0xF4F6F8, 0xE4E7EB, 0x6B7480, 0x4C8DFF, 0x31363F],
        };
        let palette = palette.iter().map(|rgb: &u32| [16, 8, 0].map(|shift| (rgb >> shift) as u8)).collect();
        let (width, height) = (scene.screen.width, scene.screen.height);
        let mut page = Self { width, height, pixels: vec![PAGE; width * height], palette };
        page.furniture(scene);
        let (left, top) = scene.symbol_origin();
        let (unit, margin) = (scene.module_px, scene.quiet_zone * scene.module_px);
        let side = scene.symbol_px();
        page.fill(left - margin, top - margin, side + 2 * margin, side + 2 * margin, CARD);
        for row in 0..scene.matrix.size() {
            for column in (0..scene.matrix.size()).filter(|column| scene.matrix.is_dark(*column, row)) {
                page.fill(left + column * unit, top + row * unit, unit, unit, MODULE);
            }
        }
        page
    }

    /// Browser bar, headline and instructions; whatever has no room is left out.
    fn furniture(&mut self, scene: &Scene) {
        let (width, height) = (self.width, self.height);
        self.fill(0, 0, width, TOP_BAR_PX, BAR);
        self.fill(12, 6, 230, 24, PAGE);
        self.text(26, 11, 2, "Link a device", TEXT);
        self.fill(0, 30, width, TOP_BAR_PX - 30, PAGE);
        for (index, left) in [16, 44, 72].into_iter().enumerate() {
            self.fill(left, 40, 16, 14, if index == 2 { ACCENT } else { FAINT });
        }
        self.fill(104, 36, width.saturating_sub(220), 22, FIELD);
        self.text(114, 40, 2, "app.pairlight.example/link", FAINT);
        self.fill(0, TOP_BAR_PX - 2, width, 2, BAR);

        let (left, top) = scene.symbol_origin();
        let margin = scene.quiet_zone * scene.module_px;
        let (card_left, card_top) = (left - margin, top - margin);
        let card_bottom = card_top + scene.symbol_px() + 2 * margin;
        let title = "Scan to link this laptop";
        if card_top > TOP_BAR_PX + 60 {
            self.text((width.saturating_sub(font::width(title, 4))) / 2, card_top - 52, 4, title, TEXT);
        }
        if card_bottom + 60 < height {
            let note = "This code changes every 30 seconds";
            self.text((width.saturating_sub(font::width(note, 2))) / 2, card_bottom + 24, 2, note, FAINT);
        }
        let note_end = (width + font::width("This code changes every 30 seconds", 2)) / 2;
        if card_left > 330 {
            let steps = ["1  Open the app", "2  Linked devices", "3  Link a device", "4  Point here"];
            for (index, step) in steps.into_iter().enumerate() {
                self.fill(40, card_top + 20 + index * 64, 4, 34, ACCENT);
                self.text(56, card_top + 28 + index * 64, 2, step, TEXT);
            }
            let right = (card_left + scene.symbol_px() + 2 * margin + 50).max(note_end + 40);
            for line in 0..7 {
                let long = width.saturating_sub(right + 60 + (line * 37) % 90);
                self.fill(right, card_top + 30 + line * 30, long, 8, if line == 0 { TEXT } else { FAINT });
            }
            self.fill(right, card_top + 270, 150, 40, ACCENT);
            self.text(right + 34, card_top + 283, 2, "Cancel", CARD);
        }
    }

    fn fill(&mut self, left: usize, top: usize, wide: usize, high: usize, colour: u8) {
        let right = (left + wide).min(self.width);
        for y in top..(top + high).min(self.height) {
            self.pixels[y * self.width + left.min(right)..y * self.width + right].fill(colour);
        }
    }

    fn text(&mut self, left: usize, top: usize, scale: usize, text: &str, colour: u8) {
        font::draw(text, scale, |x, y| {
            if left + x < self.width && top + y < self.height {
                self.pixels[(top + y) * self.width + left + x] = colour;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Matrix, View, optics::Kernel, pose::Pose};

    #[test]
    fn the_fast_and_the_general_integral_agree_on_every_content() {
        let scene = Scene::new(Matrix::from_text("three ways to the same light").unwrap());
        let panel = Panel::paint(&scene);
        let view = View { roll: 23.0, ..View::default() };
        let (kernel, pose) = (Kernel::new(&view), Pose::new(&scene, &view));
        let (mut plain, mut mixed) = (0, 0);
        for (x, y) in (100..1200).step_by(7).flat_map(|x| (100..650).step_by(11).map(move |y| (x, y))) {
            let sight = pose.sight(f64::from(x) + 0.5, f64::from(y) + 0.5).unwrap();
            let [a, b, c, d] = sight.jacobian;
            let stretch = [a.hypot(b), c.hypot(d)];
            let half = stretch.map(|stretch| stretch * kernel.half);
            let reach = stretch.map(|stretch| f64::from(stretch * kernel.reach));
            if sight.u < 10.0 || sight.v < 10.0 || sight.u > 1430.0 || sight.v > 890.0 {
                continue;
            }
            assert!(half[0] < 0.5 && half[1] < 0.5);
            let spread = Spread { cells: &kernel.cells, sight, half };
            for channel in 0..3 {
                let general = panel.light_of_any_cells(&spread, channel);
                let fast = panel.light_of_narrow_cells(&spread, channel);
                assert!((general - fast).abs() < 2e-3, "{x} {y}: {general} {fast}");
                match panel.plain_colour(sight.u, sight.v, reach[0], reach[1]) {
                    Some(colour) => {
                        let grid = colour[channel] * panel.grid_light(&spread, channel);
                        assert!((general - grid).abs() < 2e-3, "{x} {y}: {general} {grid}");
                        plain += 1;
                    }
                    None => mixed += 1,
                }
            }
        }
        assert!(plain > 1000 && mixed > 1000, "{plain} {mixed}");
    }
}
