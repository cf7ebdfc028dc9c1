//! What the person could do better.

use super::pyramid::GrayImage;

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
}

impl Hint {
    /// A stable key for translations.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::TooDark => "too-dark",
            Self::TooBright => "too-bright",
            Self::TooSmall => "too-small",
            Self::Blurred => "blurred",
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
        }
    }
}

/// Modules below this many pixels are too small to be sampled reliably.
const SMALL_MODULE_PX: f32 = 2.0;

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

    /// The hints for a picture in which nothing was read. `module_px` is the module size of a code that was seen but
    /// not read, in frame pixels.
    pub(super) fn hints(self, module_px: Option<f32>) -> Vec<Hint> {
        let mut hints = Vec::new();
        if self.bright < 50 {
            hints.push(Hint::TooDark);
        } else if self.dark > 215 && self.bright.abs_diff(self.dark) < 40 {
            hints.push(Hint::TooBright);
        }
        if let Some(module_px) = module_px {
            let contrast = self.bright.abs_diff(self.dark);
            if module_px < SMALL_MODULE_PX {
                hints.push(Hint::TooSmall);
            } else if contrast > 40 && self.steepest < contrast / 4 {
                hints.push(Hint::Blurred);
            }
        }
        hints
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
mod tests {
    use super::*;

    fn flat(value: u8) -> Light {
        Light::measure(&GrayImage { width: 100, height: 100, pixels: vec![value; 10_000] })
    }

    #[test]
    fn dark_and_washed_out_pictures_are_named() {
        assert_eq!(flat(10).hints(None), [Hint::TooDark]);
        assert_eq!(flat(250).hints(None), [Hint::TooBright]);
        assert_eq!(flat(128).hints(None), []);
    }

    #[test]
    fn a_small_code_asks_to_come_closer_and_a_soft_one_to_hold_still() {
        // A slope over 100 pixels, repeated: full contrast and no edge.
        let pixels =
            (0..200u32).map(|i| (if i < 100 { i } else { 199 - i } * 2 + 20) as u8).cycle().take(20_000).collect();
        let soft = Light::measure(&GrayImage { width: 200, height: 100, pixels });
        assert_eq!(soft.hints(Some(1.2)), [Hint::TooSmall]);
        assert_eq!(soft.hints(Some(5.0)), [Hint::Blurred]);
        assert_eq!(soft.hints(None), []);
    }
}
