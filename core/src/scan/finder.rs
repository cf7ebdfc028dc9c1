//! Finds the squares in the corners of a code (finder patterns: black, white, three black, white, black).
#![expect(
    clippy::arithmetic_side_effects,
    reason = "run lengths and coordinates are at most 16384, so no sum of five and no product with 64 leaves i32"
)]

use super::binarize::BitImage;
use crate::frame::Point;

/// The middle of something that looks like a finder pattern.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct FinderPattern {
    /// The middle, in pixels of the picture that was searched.
    pub(super) center: Point,
    /// The side of a module along the axes of the picture, in pixels.
    pub(super) module: f32,
    /// How many of the searched rows agreed.
    pub(super) hits: u32,
}

/// Most patterns that are kept. A photo of a sheet full of codes has a few hundred; more is noise.
const MOST_PATTERNS: usize = 512;

/// All finder patterns of a black and white picture, those with most agreeing rows first.
pub(super) fn find(image: &BitImage) -> Vec<FinderPattern> {
    let mut found: Vec<FinderPattern> = Vec::new();
    if image.width < 7 || image.height < 7 {
        return found;
    }
    // The square in the middle is three modules high: with every second row no readable code is stepped over.
    let step = if image.height > 400 { 2 } else { 1 };
    for (y, row) in image.pixels.chunks_exact(image.width).enumerate().step_by(step) {
        search_row(image, y, row, &mut found);
    }
    found.sort_by_key(|p| std::cmp::Reverse(p.hits));
    found
}

fn search_row(image: &BitImage, y: usize, row: &[u8], found: &mut Vec<FinderPattern>) {
    let mut runs = [0i32; 5];
    let mut length = 0;
    let mut color = 0;
    for (x, &pixel) in row.iter().chain(std::iter::once(&0)).enumerate() {
        if pixel == color {
            length += 1;
            continue;
        }
        runs.rotate_left(1);
        runs[4] = length;
        length = 1;
        color = pixel;
        if pixel == 0 && is_pattern(runs) {
            let middle = x as i32 - runs[4] - runs[3] - (runs[2] + 1) / 2;
            if let Some(pattern) = confirm(image, middle, y as i32, runs.iter().sum()) {
                merge(found, pattern);
            }
        }
    }
}

/// Whether five runs have the proportions 1:1:3:1:1. Compared are pairs of neighbours, because blur and spreading ink
/// make black runs longer at the cost of white ones and leave the pair as it was.
fn is_pattern(runs: [i32; 5]) -> bool {
    let total: i32 = runs.iter().sum();
    if total < 7 || runs.contains(&0) {
        return false;
    }
    // Everything in 7ths of a pixel, so that `total` is the length of a module.
    let near = |length: i32, modules: i32| (7 * length - modules * total).abs() <= total * 3 / 4 + 3;
    near(runs[0] + runs[1], 2)
        && near(runs[1] + runs[2], 4)
        && near(runs[2] + runs[3], 4)
        && near(runs[3] + runs[4], 2)
        && 7 * runs[2] >= 2 * total - 3
        && 7 * runs[2] <= 4 * total + 3
}

/// Looks at a candidate from top to bottom, again from left to right, and along a diagonal.
fn confirm(image: &BitImage, x: i32, y: i32, total: i32) -> Option<FinderPattern> {
    let vertical = cross(image, x, y, (0, 1), total)?;
    let y = vertical.middle(y);
    let horizontal = cross(image, x, y as i32, (1, 0), total)?;
    let x = horizontal.middle(x);
    let (short, long) = (vertical.total().min(horizontal.total()), vertical.total().max(horizontal.total()));
    if long > 2 * short {
        return None;
    }
    let slash = |direction| cross(image, x as i32, y as i32, direction, 2 * total).is_some();
    if !slash((1, 1)) && !slash((1, -1)) {
        return None;
    }
    let module = (vertical.total() + horizontal.total()) as f32 / 14.0;
    Some(FinderPattern { center: Point::new(x, y), module, hits: 1 })
}

struct Cross {
    /// Lengths of the five runs, in steps.
    runs: [i32; 5],
    /// Steps of the middle run that lie before the start point.
    before: i32,
}

impl Cross {
    fn total(&self) -> i32 {
        self.runs.iter().sum()
    }

    /// The middle of the middle run along the walked axis, as a continuous coordinate, for a walk that started at `at`.
    fn middle(&self, at: impl Into<f64>) -> f32 {
        (at.into().floor() - f64::from(self.before) + f64::from(self.runs[2]) / 2.0) as f32
    }
}

/// Walks from a pixel in both directions over the middle square, the white ring and the black ring.
fn cross(image: &BitImage, x: i32, y: i32, (dx, dy): (i32, i32), total: i32) -> Option<Cross> {
    let longest = total + 2;
    let black_at = |steps: i32| {
        let (x, y) = (x + steps * dx, y + steps * dy);
        (x >= 0 && y >= 0 && (x as usize) < image.width && (y as usize) < image.height)
            .then(|| image.is_black(x as usize, y as usize))
    };
    if black_at(0) != Some(true) {
        return None;
    }
    // One side: how far the middle run, the white run and the black run go. The edge of the picture ends the last.
    let side = |sign: i32| {
        let mut lengths = [0; 3];
        let mut steps = 1;
        for (i, length) in lengths.iter_mut().enumerate() {
            let want = i != 1;
            loop {
                match black_at(sign * steps) {
                    Some(black) if black == want => {
                        *length += 1;
                        steps += 1;
                        if *length > longest {
                            return None;
                        }
                    }
                    None if i < 2 => return None,
                    _ => break,
                }
            }
        }
        Some(lengths)
    };
    let [before, white_before, black_before] = side(-1)?;
    let [after, white_after, black_after] = side(1)?;
    let runs = [black_before, white_before, before + 1 + after, white_after, black_after];
    is_pattern(runs).then_some(Cross { runs, before })
}

/// Adds the pattern to a close one of about the same size, or to the list.
fn merge(found: &mut Vec<FinderPattern>, new: FinderPattern) {
    for old in found.iter_mut() {
        let same_size = old.module < 1.5 * new.module && new.module < 1.5 * old.module;
        if same_size && old.center.distance(new.center) < 2.5 * old.module {
            let n = old.hits as f32;
            let mean = |a: f32, b: f32| (a * n + b) / (n + 1.0);
            old.center = Point::new(mean(old.center.x, new.center.x), mean(old.center.y, new.center.y));
            old.module = mean(old.module, new.module);
            old.hits = old.hits.saturating_add(1);
            return;
        }
    }
    if found.len() < MOST_PATTERNS {
        found.push(new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A finder pattern with modules of `module` pixels at `(left, top)` on white.
    fn draw(image: &mut BitImage, left: usize, top: usize, module: usize) {
        for y in 0..7 * module {
            for x in 0..7 * module {
                let ring = (x / module).min(6 - x / module).min(y / module).min(6 - y / module);
                image.pixels[(top + y) * image.width + left + x] = u8::from(ring != 1);
            }
        }
    }

    #[test]
    fn patterns_are_found_with_their_middle_and_size() {
        let mut image = BitImage { width: 120, height: 90, pixels: vec![0; 120 * 90] };
        draw(&mut image, 10, 5, 3);
        draw(&mut image, 113, 40, 1);
        draw(&mut image, 30, 45, 6);
        let mut found = find(&image);
        found.sort_by(|a, b| a.module.total_cmp(&b.module));
        assert_eq!(found.len(), 3);
        for (pattern, (x, y, module)) in found.iter().zip([(116.5, 43.5, 1.0), (20.5, 15.5, 3.0), (51.0, 66.0, 6.0)]) {
            assert!(pattern.center.distance(Point::new(x, y)) < 0.6, "{pattern:?}");
            assert!((pattern.module - module).abs() < 0.2, "{pattern:?}");
        }
    }

    #[test]
    fn stripes_are_no_pattern() {
        let pixels = (0..100 * 100).map(|i| u8::from((i % 100) / 3 % 2 == 0)).collect();
        assert_eq!(find(&BitImage { width: 100, height: 100, pixels }), []);
    }

    #[test]
    fn an_empty_and_a_tiny_picture_have_none() {
        assert_eq!(find(&BitImage::default()), []);
        assert_eq!(find(&BitImage { width: 3, height: 2, pixels: vec![1; 6] }), []);
    }
}
