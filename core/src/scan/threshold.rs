//! Where the line between dark and light is drawn.
//!
//! Nothing is made black and white as a whole: a [`Threshold`] holds one brightness per square of eight by eight pixels,
//! and who needs to know whether a pixel is dark compares. The mean brightness of such squares is the picture three
//! levels down the pyramid, so it costs nothing.
#![expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "loops over every square of at most 2^27 / 64; sums of bytes over them fit u32, and indexes are clamped to the map's own size"
)]

use super::pyramid::GrayImage;

/// Pixels on the side of a square, as a power of two.
const SQUARE_BITS: usize = 3;

/// How the brightness of the line is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// The mean of the squares around, `radius` of them in each direction: light that falls unevenly is followed.
    Mean {
        /// Squares to each side.
        radius: usize,
    },
    /// Halfway between the darkest and the lightest square around: does not move when there is more of one than of the
    /// other.
    Middle {
        /// Squares to each side.
        radius: usize,
    },
    /// One brightness for the whole picture, where Otsu's criterion separates two groups best.
    Global,
}

impl Rule {
    /// For people who want to know what was tried.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Mean { radius } if radius < 4 => "mean of a small window",
            Self::Mean { .. } => "mean of a large window",
            Self::Middle { .. } => "middle between the extremes",
            Self::Global => "one line for the whole picture",
        }
    }
}

/// A square in which brightness varies less than this part of what one in four squares varies at least is even, ...
const EVEN_OF_MANY: u32 = 130;
/// ... if it also varies less than this part of what the squares with the sharpest edges do, in percent, ...
const EVEN_OF_SHARP: u32 = 50;
/// ... and by less than so many grey levels.
const EVEN_AT_MOST: u32 = 64;

/// One brightness per square of a picture: what is not brighter counts as dark.
#[derive(Debug, Default)]
pub(super) struct Threshold {
    columns: usize,
    rows: usize,
    levels: Vec<u8>,
    /// Grey levels that noise alone makes.
    noise: u8,
    /// The same, but on the far side of everything in an even square: noise has no edges there.
    calm: Vec<u8>,
    ranges: Vec<u8>,
    darkest: Vec<u8>,
    lightest: Vec<u8>,
    sums: Vec<u32>,
    low: Vec<u8>,
    high: Vec<u8>,
}

impl Threshold {
    /// Sets the lines for `gray`. `squares` is the same picture with every eight by eight pixels averaged into one.
    pub(super) fn set(&mut self, gray: &GrayImage, squares: &GrayImage, rule: Rule) {
        let (columns, rows) = (squares.width, squares.height);
        let small = columns == 0 || rows == 0 || squares.longest_side() * 2 > gray.longest_side().max(2);
        match rule {
            Rule::Global => self.global(gray),
            _ if small => self.global(gray),
            Rule::Mean { radius } => {
                (self.columns, self.rows) = (columns, rows);
                self.mean(squares, radius);
                self.calm_down(gray, squares);
            }
            Rule::Middle { radius } => {
                (self.columns, self.rows) = (columns, rows);
                self.middle(squares, radius);
                self.calm_down(gray, squares);
            }
        }
    }

    /// Sets `calm`: the grain of even areas costs more than all codes together where a picture is noisy.
    fn calm_down(&mut self, gray: &GrayImage, squares: &GrayImage) {
        const SIDE: usize = 1 << SQUARE_BITS;
        self.noise = 0;
        self.calm.clear();
        if (squares.width, squares.height) != (gray.width / SIDE, gray.height / SIDE) {
            // The pyramid ends before: so small a picture has little noise left.
            self.calm.extend_from_slice(&self.levels);
            return;
        }
        self.ranges.clear();
        let mut counts = [0u32; 256];
        for y in 0..self.rows {
            self.darkest.clear();
            self.darkest.extend_from_slice(gray.row(y * SIDE));
            self.lightest.clear();
            self.lightest.extend_from_slice(gray.row(y * SIDE));
            for row in y * SIDE + 1..(y + 1) * SIDE {
                for ((low, high), &p) in self.darkest.iter_mut().zip(&mut self.lightest).zip(gray.row(row)) {
                    *low = (*low).min(p);
                    *high = (*high).max(p);
                }
            }
            let squares = self.darkest.chunks_exact(SIDE).zip(self.lightest.chunks_exact(SIDE)).take(self.columns);
            for (low, high) in squares {
                let range = high.iter().fold(0, |a, &b| b.max(a)) - low.iter().fold(255, |a, &b| b.min(a));
                counts[usize::from(range)] += 1;
                self.ranges.push(range);
            }
        }
        let percentile = |percent: usize| {
            let mut left = self.ranges.len() * percent / 100;
            let reaches = |&count: &u32| {
                let is_here = left < count as usize;
                left = left.saturating_sub(count as usize);
                is_here
            };
            counts.iter().position(reaches).unwrap_or(255) as u32
        };
        let even = (percentile(25) * EVEN_OF_MANY / 100).min(percentile(98) * EVEN_OF_SHARP / 100).min(EVEN_AT_MOST);
        self.noise = even as u8;
        let lines = self.levels.iter().zip(&self.ranges).zip(&squares.pixels);
        self.calm.extend(lines.map(|((&line, &range), &mean)| match u32::from(range) < even {
            true if mean <= line => 255,
            true => 0,
            false => line,
        }));
    }

    fn global(&mut self, gray: &GrayImage) {
        (self.columns, self.rows) = (1, 1);
        self.noise = 0;
        self.calm.clear();
        self.levels.clear();
        self.levels.push(otsu_level(&gray.pixels));
    }

    /// The mean of a window by running sums: first down the columns, then along the rows.
    fn mean(&mut self, squares: &GrayImage, radius: usize) {
        let (columns, rows) = (self.columns, self.rows);
        self.levels.clear();
        self.sums.clear();
        self.sums.resize(columns, 0);
        for y in 0..radius.min(rows) {
            add(&mut self.sums, squares.row(y));
        }
        for y in 0..rows {
            if y + radius < rows {
                add(&mut self.sums, squares.row(y + radius));
            }
            if y > radius {
                for (sum, &p) in self.sums.iter_mut().zip(squares.row(y - radius - 1)) {
                    *sum -= u32::from(p);
                }
            }
            let high = (y + radius).min(rows - 1) + 1 - y.saturating_sub(radius);
            let mut sum: u32 = self.sums.iter().take(radius).sum();
            for x in 0..columns {
                if x + radius < columns {
                    sum += self.sums[x + radius];
                }
                if x > radius {
                    sum -= self.sums[x - radius - 1];
                }
                let wide = (x + radius).min(columns - 1) + 1 - x.saturating_sub(radius);
                let mean = sum / (wide * high) as u32;
                self.levels.push(below(mean));
            }
        }
    }

    fn middle(&mut self, squares: &GrayImage, radius: usize) {
        let (columns, rows) = (self.columns, self.rows);
        // The extremes of each row's window first, then of the column of those.
        self.low.clear();
        self.high.clear();
        for y in 0..rows {
            let row = squares.row(y);
            for x in 0..columns {
                let window = &row[x.saturating_sub(radius)..(x + radius + 1).min(columns)];
                self.low.push(window.iter().copied().min().unwrap_or(0));
                self.high.push(window.iter().copied().max().unwrap_or(0));
            }
        }
        self.levels.clear();
        for y in 0..rows {
            for x in 0..columns {
                let (mut low, mut high) = (255, 0);
                for yy in y.saturating_sub(radius)..(y + radius + 1).min(rows) {
                    low = low.min(self.low[yy * columns + x]);
                    high = high.max(self.high[yy * columns + x]);
                }
                self.levels.push(below(u32::midpoint(u32::from(low), u32::from(high))));
            }
        }
    }

    /// How much brightness varies in a square for no other reason than noise, as far as the picture tells.
    pub(super) fn noise(&self) -> u8 {
        self.noise
    }

    /// The line at a pixel.
    #[inline]
    pub(super) fn at(&self, x: usize, y: usize) -> u8 {
        if self.levels.len() == 1 {
            return self.levels[0];
        }
        let column = (x >> SQUARE_BITS).min(self.columns - 1);
        let row = (y >> SQUARE_BITS).min(self.rows - 1);
        self.levels[row * self.columns + column]
    }

    /// Writes the line of every pixel of row `y` to `out`; in even squares one that nothing in them crosses.
    pub(super) fn fill_row(&self, y: usize, width: usize, out: &mut Vec<u8>) {
        out.clear();
        if self.levels.len() <= 1 {
            out.resize(width, self.levels.first().copied().unwrap_or(0));
            return;
        }
        let row = (y >> SQUARE_BITS).min(self.rows - 1);
        for &level in &self.calm[row * self.columns..][..self.columns] {
            out.extend_from_slice(&[level; 1 << SQUARE_BITS]);
        }
        let last = out.last().copied().unwrap_or(0);
        out.resize(width, last);
    }

    /// Whether row `y` has other lines than the row `step` above.
    pub(super) fn is_new_row(y: usize, step: usize) -> bool {
        y < step || y >> SQUARE_BITS != (y - step) >> SQUARE_BITS
    }
}

/// Slightly darker than the mean, so that the grain of an even surface stays light.
fn below(mean: u32) -> u8 {
    (mean - mean / 32).saturating_sub(1).min(254) as u8
}

fn add(sums: &mut [u32], row: &[u8]) {
    for (sum, &p) in sums.iter_mut().zip(row) {
        *sum += u32::from(p);
    }
}

/// The highest brightness that still counts as dark, after N. Otsu (1979): the split with the largest variance between
/// the two groups. Looks at no more than about 65,000 pixels.
fn otsu_level(pixels: &[u8]) -> u8 {
    let step = (pixels.len() / 65_536).max(1) | 1;
    let mut histogram = [0u32; 256];
    for &p in pixels.iter().step_by(step) {
        histogram[usize::from(p)] += 1;
    }
    let total: f64 = histogram.iter().map(|&n| f64::from(n)).sum();
    let weighted: f64 = histogram.iter().enumerate().map(|(value, &n)| value as f64 * f64::from(n)).sum();
    let (mut dark, mut dark_weighted) = (0.0, 0.0);
    let (mut best, mut level) = (-1.0, 127);
    for (value, &n) in histogram.iter().enumerate() {
        dark += f64::from(n);
        dark_weighted += value as f64 * f64::from(n);
        let light = total - dark;
        if dark == 0.0 || light == 0.0 {
            continue;
        }
        let difference = dark_weighted / dark - (weighted - dark_weighted) / light;
        let variance = dark * light * difference * difference;
        if variance > best {
            (best, level) = (variance, value as u8);
        }
    }
    level
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::pyramid::Pyramid;

    fn set(width: usize, height: usize, pixels: Vec<u8>, rule: Rule) -> (Pyramid, Threshold) {
        let mut pyramid = Pyramid::default();
        *pyramid.base_mut() = GrayImage { width, height, pixels };
        pyramid.build();
        let mut threshold = Threshold::default();
        threshold.set(pyramid.level(0), pyramid.level(3), rule);
        (pyramid, threshold)
    }

    #[test]
    fn the_global_level_separates_two_groups() {
        let mut pixels = vec![40; 100];
        pixels.extend([200; 30]);
        let level = otsu_level(&pixels);
        assert!((40..200).contains(&level), "{level}");
    }

    #[test]
    fn the_local_mean_equals_the_mean_computed_directly() {
        let (width, height, radius) = (203, 167, 2);
        let pixels: Vec<u8> = (0..width * height).map(|i| ((i * 7919 + i * i * 31) % 251) as u8).collect();
        let (pyramid, threshold) = set(width, height, pixels, Rule::Mean { radius });
        let squares = pyramid.level(3);
        for y in 0..height {
            for x in 0..width {
                let (column, row) = ((x / 8).min(squares.width - 1), (y / 8).min(squares.height - 1));
                let (mut sum, mut count) = (0u32, 0u32);
                for yy in row.saturating_sub(radius)..=(row + radius).min(squares.height - 1) {
                    for xx in column.saturating_sub(radius)..=(column + radius).min(squares.width - 1) {
                        sum += u32::from(squares.at(xx, yy));
                        count += 1;
                    }
                }
                assert_eq!(threshold.at(x, y), below(sum / count), "at {x}, {y}");
            }
            let mut line = Vec::new();
            threshold.fill_row(y, width, &mut line);
            assert!((0..width).all(|x| line[x] == threshold.at(x, y)));
        }
    }

    #[test]
    fn noise_has_no_edges_and_a_pattern_in_it_has_all_of_its_own() {
        let (width, height) = (400, 160);
        let mut state = 7u32;
        // A pattern of 4 pixels on a page that is noisy everywhere, the pattern included.
        let pixels: Vec<u8> = (0..width * height)
            .map(|i| {
                let (x, y) = (i % width, i / width);
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let noise = (state >> 24) as u8 / 10;
                let inside = (80..160).contains(&x) && (40..120).contains(&y);
                noise + if inside && (x / 4 + y / 4) % 2 == 0 { 20 } else { 120 }
            })
            .collect();
        let (pyramid, threshold) = set(width, height, pixels, Rule::Mean { radius: 2 });
        let mut line = Vec::new();
        for y in 0..height {
            threshold.fill_row(y, width, &mut line);
            let dark = |x: usize| pyramid.level(0).at(x, y) <= line[x];
            for x in 0..width {
                let inside = (80..160).contains(&x) && (40..120).contains(&y);
                if inside {
                    assert_eq!(dark(x), (x / 4 + y / 4) % 2 == 0, "at {x}, {y}");
                } else if x.abs_diff(120) > 64 || y.abs_diff(80) > 64 {
                    assert!(!dark(x), "at {x}, {y}");
                }
            }
        }
    }

    #[test]
    fn a_shadow_does_not_swallow_the_pattern() {
        let (width, height) = (200, 40);
        let pixels: Vec<u8> = (0..width * height)
            .map(|i| {
                let x = i % width;
                let light = 60 + x as u32 * 180 / 200;
                (if (x / 4) % 2 == 0 { light / 3 } else { light }) as u8
            })
            .collect();
        for rule in [Rule::Mean { radius: 2 }, Rule::Middle { radius: 2 }] {
            let (pyramid, threshold) = set(width, height, pixels.clone(), rule);
            let dark = |x| pyramid.level(0).at(x, 20) <= threshold.at(x, 20);
            assert!((0..width).all(|x| dark(x) == ((x / 4) % 2 == 0)), "{rule:?}");
        }
    }

    #[test]
    fn pictures_too_small_for_squares_get_one_line() {
        for (width, height) in [(1, 1), (7, 7), (3, 90)] {
            let (_, threshold) = set(width, height, vec![99; width * height], Rule::Mean { radius: 2 });
            threshold.at(0, 0);
            let mut line = Vec::new();
            threshold.fill_row(height - 1, width, &mut line);
            assert_eq!(line.len(), width);
        }
    }
}
