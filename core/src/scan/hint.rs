//! What the person could do better.

use super::pyramid::GrayImage;
use super::symbol::module_side;
use crate::frame::Point;

/// Why nothing was read, as far as the picture tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hint {
    /// Hardly any light.
    TooDark,
    /// Washed out: almost everything is white.
    TooBright,
    /// A code is in view but its modules are smaller than two pixels.
    TooSmall,
    /// A code is in view but its edges are soft.
    Blurred,
    /// A part of a code that is in view lies outside the picture.
    CutOff,
    /// A code is in view, seen from so far aside that one of its sides looks less than half as long as another.
    TooTilted,
    /// A code is in view and sharp, and parts of it are so bright that nothing can be told there.
    Glare,
    /// A code was read, and it is none of ours: only with [`ScanOptions::offers_only`](super::ScanOptions::offers_only).
    WrongKind,
}

/// What a camera could do about it by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CameraAdvice {
    /// The side of a module of the code that was seen and not read, in pixels of the full frame.
    pub module_px: Option<f32>,
    /// How many times nearer a code that is too small should appear, 1 to 8: 1.5 is a zoom to 1.5 times the present one.
    pub zoom: Option<f32>,
    /// Whether the torch should be turned on. Once on it stays on until something is read: its light takes the reason away.
    pub torch: bool,
}

impl CameraAdvice {
    /// Takes back what would follow from hints that are not given (yet).
    pub(super) fn keep_with(&mut self, hints: &[Hint]) {
        self.zoom = self.zoom.filter(|_| hints.contains(&Hint::TooSmall));
        self.torch &= hints.contains(&Hint::TooDark);
    }
}

impl Hint {
    /// All hints.
    pub const ALL: [Self; 8] = [
        Self::TooDark,
        Self::TooBright,
        Self::TooSmall,
        Self::Blurred,
        Self::CutOff,
        Self::TooTilted,
        Self::Glare,
        Self::WrongKind,
    ];

    /// A stable key for translations.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::TooDark => "too-dark",
            Self::TooBright => "too-bright",
            Self::TooSmall => "too-small",
            Self::Blurred => "blurred",
            Self::CutOff => "cut-off",
            Self::TooTilted => "too-tilted",
            Self::Glare => "glare",
            Self::WrongKind => "wrong-kind",
        }
    }

    /// The hint in English.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::TooDark => "It is too dark. Turn on a light or the torch.",
            Self::TooBright => "The picture is washed out. Avoid glare or turn the brightness of the screen down.",
            Self::TooSmall => "Move closer to the code.",
            Self::Blurred => "Hold still until the picture is sharp.",
            Self::CutOff => "Move back until the whole code is in view.",
            Self::TooTilted => "Look at the code from the front.",
            Self::Glare => "Tilt a little so that no light is mirrored in the code.",
            Self::WrongKind => "This code does not link a device. Look for the one that the other device shows.",
        }
    }
}

/// Modules below this many pixels are too small to be sampled reliably.
const SMALL_MODULE_PX: f32 = 2.0;

/// With so many pixels per module a code is read easily: what a zoom should reach.
const EASY_MODULE_PX: f32 = 3.5;

/// Frames in a row that must give a hint before it is shown, in live scanning: words that flicker help nobody.
const STEADY_FRAMES: u8 = 4;

/// The outline of a code that was seen and not read, in pixels of the cropped upright picture.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unread {
    pub(super) corners: [Point; 4],
    pub(super) modules: usize,
}

impl Unread {
    pub(super) fn module_px(&self) -> f32 {
        module_side(&self.corners, self.modules)
    }

    fn is_cut_off(&self, image: &GrayImage) -> bool {
        let (width, height) = (image.width as f32 + 1.0, image.height as f32 + 1.0);
        self.corners.iter().any(|p| p.x < -1.0 || p.y < -1.0 || p.x > width || p.y > height)
    }

    fn is_tilted(&self) -> bool {
        let [a, b, c, d] = self.corners;
        let sides = [a.distance(b), b.distance(c), c.distance(d), d.distance(a)];
        let (short, long) = sides.iter().fold((f32::MAX, 0.0f32), |(low, high), &side| (low.min(side), high.max(side)));
        long > short * 2.2
    }

    /// The part of the outline's middle lines that is clipped to white, from 0 to 1. A lit screen has none to spare.
    fn clipped(&self, image: &GrayImage) -> f32 {
        let [a, b, c, d] = self.corners;
        let mut white = 0u8;
        for i in 0..32u8 {
            let t = (f32::from(i) + 0.5) / 32.0;
            let mix = |p: Point, q: Point| Point::new(p.x + (q.x - p.x) * t, p.y + (q.y - p.y) * t);
            for at in [mix(a, c), mix(b, d)] {
                white = white.saturating_add(u8::from(image.between(at.x, at.y) >= 253.0));
            }
        }
        f32::from(white) / 64.0
    }
}

/// Lets a hint through once it has been given for several frames in a row.
#[derive(Clone, Debug, Default)]
pub(super) struct Steady {
    seen: [u8; 8],
}

impl Steady {
    /// The hints of this frame that have lasted, or all of them when `at_once`.
    pub(super) fn pass(&mut self, hints: &mut Vec<Hint>, at_once: bool) {
        for (count, hint) in self.seen.iter_mut().zip(Hint::ALL) {
            *count = if hints.contains(&hint) { count.saturating_add(1) } else { 0 };
        }
        let seen = self.seen;
        let lasted =
            |hint: &Hint| Hint::ALL.iter().zip(seen).any(|(known, count)| known == hint && count >= STEADY_FRAMES);
        hints.retain(|hint| at_once || lasted(hint));
    }
}

/// How bright and how sharp a picture is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Light {
    /// One pixel in twenty is darker.
    dark: u8,
    /// One pixel in twenty is brighter.
    bright: u8,
    /// The steepest steps between neighbouring pixels: one in a hundred is steeper.
    steepest: u8,
}

impl Light {
    /// Measures up to about 60,000 pixels spread evenly over the picture.
    pub(super) fn measure(image: &GrayImage) -> Self {
        let step = (image.pixels.len() / 60_000).max(1) | 1;
        let mut levels = [0u32; 256];
        let mut steps = [0u32; 256];
        for pair in image.pixels.windows(2).step_by(step) {
            if let [a, b] = pair {
                count(&mut levels, *a);
                count(&mut steps, a.abs_diff(*b));
            }
        }
        Self { dark: percentile(&levels, 5), bright: percentile(&levels, 95), steepest: percentile(&steps, 99) }
    }

    /// The hints for a picture in which nothing was read, and what the camera could do. `unread` is a code that was seen
    /// but not read.
    pub(super) fn hints(self, image: &GrayImage, unread: Option<Unread>) -> (Vec<Hint>, CameraAdvice) {
        let mut hints = Vec::new();
        let mut advice = CameraAdvice::default();
        if self.bright < 50 {
            hints.push(Hint::TooDark);
            advice.torch = true;
        } else if self.dark > 215 && self.bright.abs_diff(self.dark) < 40 {
            hints.push(Hint::TooBright);
        }
        if let Some(unread) = unread {
            let module_px = unread.module_px();
            advice.module_px = Some(module_px);
            let contrast = self.bright.abs_diff(self.dark);
            if unread.is_cut_off(image) {
                hints.push(Hint::CutOff);
            } else if module_px < SMALL_MODULE_PX {
                hints.push(Hint::TooSmall);
                advice.zoom = Some((EASY_MODULE_PX / module_px.max(0.1)).min(8.0));
            } else if contrast > 40 && self.steepest < contrast / 4 {
                hints.push(Hint::Blurred);
            } else if unread.is_tilted() {
                hints.push(Hint::TooTilted);
            } else if unread.clipped(image) > 0.6 {
                hints.push(Hint::Glare);
            }
        }
        (hints, advice)
    }
}

fn count(histogram: &mut [u32; 256], value: u8) {
    if let Some(n) = histogram.get_mut(usize::from(value)) {
        *n = n.saturating_add(1);
    }
}

/// The lowest value that at least `percent` of the counted values do not exceed.
fn percentile(histogram: &[u32; 256], percent: u64) -> u8 {
    let total: u64 = histogram.iter().map(|&n| u64::from(n)).sum();
    let mut below = 0u64;
    for (value, &n) in (0u8..=255).zip(histogram) {
        below = below.saturating_add(u64::from(n));
        if below.saturating_mul(100) >= total.saturating_mul(percent) && below > 0 {
            return value;
        }
    }
    0
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "an overflow in a test is a failed test")]
mod tests {
    use super::*;

    fn image(width: usize, pixels: Vec<u8>) -> GrayImage {
        GrayImage { width, height: pixels.len() / width, pixels }
    }

    fn hints(image: &GrayImage, unread: Option<Unread>) -> Vec<Hint> {
        Light::measure(image).hints(image, unread).0
    }

    /// A code of 21 modules whose upper left corner is at `(left, top)`.
    fn unread(left: f32, top: f32, wide: f32, high: f32) -> Option<Unread> {
        let p = Point::new;
        let corners = [p(left, top), p(left + wide, top), p(left + wide, top + high), p(left, top + high)];
        Some(Unread { corners, modules: 21 })
    }

    #[test]
    fn dark_and_washed_out_pictures_are_named() {
        let flat = |value| image(100, vec![value; 10_000]);
        let (found, advice) = Light::measure(&flat(10)).hints(&flat(10), None);
        assert_eq!((found, advice.torch), (vec![Hint::TooDark], true));
        assert_eq!(hints(&flat(250), None), [Hint::TooBright]);
        assert_eq!(hints(&flat(128), None), []);
    }

    #[test]
    fn a_small_code_asks_to_come_closer_and_a_soft_one_to_hold_still() {
        // A slope over 100 pixels, repeated: full contrast and no edge.
        let pixels =
            (0..200u32).map(|i| (if i < 100 { i } else { 199 - i } * 2 + 20) as u8).cycle().take(20_000).collect();
        let soft = image(200, pixels);
        let (found, advice) = Light::measure(&soft).hints(&soft, unread(5.0, 5.0, 25.2, 25.2));
        assert_eq!(found, [Hint::TooSmall]);
        assert!(advice.zoom.is_some_and(|zoom| (2.5..3.5).contains(&zoom)), "{advice:?}");
        assert_eq!(hints(&soft, unread(5.0, 5.0, 90.0, 90.0)), [Hint::Blurred]);
        assert_eq!(hints(&soft, None), []);
    }

    #[test]
    fn a_code_that_is_cut_off_tilted_or_glaring_says_so() {
        let sharp = image(200, (0..20_000).map(|i| if i / 4 % 2 == 0 { 20 } else { 220 }).collect());
        assert_eq!(hints(&sharp, unread(120.0, 5.0, 120.0, 90.0)), [Hint::CutOff]);
        assert_eq!(hints(&sharp, unread(10.0, 10.0, 180.0, 60.0)), [Hint::TooTilted]);
        assert_eq!(hints(&sharp, unread(10.0, 5.0, 80.0, 80.0)), []);
        let glaring = image(200, (0..20_000).map(|i| if i % 200 > 150 && i / 4 % 2 == 0 { 20 } else { 255 }).collect());
        assert_eq!(hints(&glaring, unread(10.0, 5.0, 80.0, 80.0)), [Hint::Glare]);
    }

    #[test]
    fn a_hint_is_shown_when_it_lasts_and_gone_when_it_ends() {
        let mut steady = Steady::default();
        let mut shown = |hints: &[Hint], at_once| {
            let mut hints = hints.to_vec();
            steady.pass(&mut hints, at_once);
            hints
        };
        for _ in 0..3 {
            assert_eq!(shown(&[Hint::Blurred], false), []);
        }
        assert_eq!(shown(&[Hint::Blurred, Hint::TooDark], false), [Hint::Blurred]);
        assert_eq!(shown(&[], false), []);
        assert_eq!(shown(&[Hint::Blurred], false), []);
        assert_eq!(shown(&[Hint::Blurred], true), [Hint::Blurred]);
    }
}
