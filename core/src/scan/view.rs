//! A picture as a code in it sees it: dark is ink, whichever way round it is printed.

use super::pyramid::GrayImage;
use crate::frame::Point;

/// A grey picture, or its negative.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a> {
    pub(super) gray: &'a GrayImage,
    pub(super) inverted: bool,
}

/// Steps from one end of a profile to its middle.
const HALF: usize = 40;

impl View<'_> {
    /// The brightness at a point, 0 to 255; ink is dark. Beyond the edge of the picture there is paper.
    #[inline]
    pub(super) fn light(&self, x: f32, y: f32) -> f32 {
        if x < 0.0 || y < 0.0 || x > self.gray.width as f32 || y > self.gray.height as f32 {
            return 255.0;
        }
        let value = self.gray.between(x, y);
        if self.inverted { 255.0 - value } else { value }
    }

    /// Where the brightness crosses the middle between dark and light near `at`, looking `reach` steps of `module` to
    /// both sides, in steps. `rising`: from dark to light. The middle is that of what is seen, so uneven light does not
    /// matter.
    pub(super) fn edge(&self, at: Point, module: Point, reach: f32, rising: bool) -> Option<f32> {
        const SIDE: usize = 4;
        /// Grey levels that an edge must have, to be more than noise.
        const LEAST_CONTRAST: f32 = 10.0;
        let mut values = [0.0f32; 2 * SIDE + 1];
        let (mut low, mut high) = (f32::MAX, f32::MIN);
        for (i, value) in values.iter_mut().enumerate() {
            let t = (i as f32 - SIDE as f32) * reach / SIDE as f32;
            *value = self.light(at.x + module.x * t, at.y + module.y * t);
            low = low.min(*value);
            high = high.max(*value);
        }
        if high - low < LEAST_CONTRAST {
            return None;
        }
        let middle = (low + high) / 2.0;
        let mut best: Option<f32> = None;
        for (i, pair) in values.windows(2).enumerate() {
            let &[a, b] = pair else { continue };
            if (a < middle) == rising && (b < middle) != rising {
                let t = (i as f32 - SIDE as f32 + (middle - a) / (b - a)) * reach / SIDE as f32;
                if best.is_none_or(|known| t.abs() < known.abs()) {
                    best = Some(t);
                }
            }
        }
        best
    }

    /// Follows a line through the middle of a finder pattern both ways, in the direction of the unit vector `along`:
    /// the side of a module on it and how far the middle lies ahead, in pixels. `module` is a guess of that side.
    pub(super) fn measure_finder(&self, center: Point, along: Point, module: f32) -> Option<(f32, f32)> {
        // Up to 8 modules to each side: a guess that is too small by half still meets the outer edges.
        let step = module / 5.0;
        let mut values = [0.0f32; 2 * HALF + 1];
        let (mut low, mut high) = (f32::MAX, f32::MIN);
        for (i, value) in values.iter_mut().enumerate() {
            let t = (i as f32 - HALF as f32) * step;
            *value = self.light(center.x + along.x * t, center.y + along.y * t);
            if t.abs() < 3.0 * module {
                low = low.min(*value);
                high = high.max(*value);
            }
        }
        if high - low < 8.0 {
            return None;
        }
        let middle = (low + high) / 2.0;
        let (back, on) = values.split_at(HALF);
        let on = edges(on.iter().copied(), middle)?;
        let back = edges(values.get(HALF).into_iter().chain(back.iter().rev()).copied(), middle)?;
        // Spread ink moves all three edges of a side outwards, inwards, outwards: it cancels in these differences.
        let outer = on[2] + back[2];
        let stone = on[0] + back[0];
        let found = (outer - stone) / 4.0 * step;
        let shift = ((on[0] - back[0]) + (on[1] - back[1]) + (on[2] - back[2])) / 6.0 * step;
        let is_finder = (1.7..4.6).contains(&(stone * step / found)) && (5.8..8.4).contains(&(outer * step / found));
        is_finder.then_some((found, shift))
    }
}

/// The first three places where a line that starts in the dark crosses `middle`, in steps.
fn edges(values: impl Iterator<Item = f32>, middle: f32) -> Option<[f32; 3]> {
    let mut found = [0.0; 3];
    let mut slots = found.iter_mut();
    let mut slot = slots.next();
    let mut dark = true;
    let mut before = None;
    for (i, value) in values.enumerate() {
        if (value < middle) != dark {
            let before: f32 = before?;
            if let Some(place) = slot.take() {
                *place = i as f32 - 1.0 + (middle - before) / (value - before);
            }
            slot = slots.next();
            if slot.is_none() {
                return Some(found);
            }
            dark = !dark;
        }
        before = Some(value);
    }
    None
}
