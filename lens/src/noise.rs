//! Seeded randomness: ChaCha for what shapes a shot, a fast generator seeded from it for each photosite.

use std::sync::OnceLock;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// Steps of the table of normal quantiles; 2^12, so that the largest deviation is about 3.7 sigma.
const STEPS: usize = 4096;

/// A ChaCha generator for one purpose of one seed.
pub(crate) fn stream(seed: u64, purpose: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(purpose);
    rng
}

/// A number between `low` and `high`.
pub(crate) fn between(rng: &mut impl Rng, low: f32, high: f32) -> f32 {
    let unit = (rng.next_u32() >> 8) as f32 / (1_u32 << 24) as f32;
    low + (high - low) * unit
}

/// `magnitude` between `low` and `high`, with a random sign.
pub(crate) fn either_side(rng: &mut impl Rng, low: f32, high: f32) -> f32 {
    let magnitude = between(rng, low, high);
    if rng.next_u32() & 1 == 0 { magnitude } else { -magnitude }
}

/// Standard normal numbers for one row of photosites.
pub(crate) struct Normal {
    state: u64,
    word: u64,
    left: u32,
    table: &'static [f32; STEPS],
}

impl Normal {
    pub(crate) fn new(seed: u64) -> Self {
        static TABLE: OnceLock<Box<[f32; STEPS]>> = OnceLock::new();
        Self { state: seed, word: 0, left: 0, table: TABLE.get_or_init(quantiles) }
    }

    #[inline]
    pub(crate) fn draw(&mut self) -> f32 {
        if self.left == 0 {
            // A Weyl sequence with a mixing function: one multiplication per output word is enough for noise.
            self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            self.word = mixed ^ (mixed >> 27);
            self.left = 5;
        }
        self.left -= 1;
        let index = (self.word >> 52) as usize;
        self.word <<= 12;
        self.table[index & (STEPS - 1)]
    }
}

/// The normal distribution's quantiles at the centres of `STEPS` equal parts, by walking along its density.
fn quantiles() -> Box<[f32; STEPS]> {
    let mut table = Box::new([0.0; STEPS]);
    let step = 1.0 / 4096.0_f64;
    let density = |x: f64| (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let (mut x, mut below) = (0.0_f64, 0.5_f64);
    for index in STEPS / 2..STEPS {
        let wanted = (index as f64 + 0.5) / STEPS as f64;
        while below < wanted {
            below += step * density(x + 0.5 * step);
            x += step;
        }
        table[index] = x as f32;
        table[STEPS - 1 - index] = -(x as f32);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_have_mean_zero_and_deviation_one() {
        let mut normal = Normal::new(3);
        let draws: Vec<f64> = (0..200_000).map(|_| f64::from(normal.draw())).collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / draws.len() as f64;
        assert!(mean.abs() < 0.01, "{mean}");
        assert!((variance - 1.0).abs() < 0.02, "{variance}");
        let beyond_two = draws.iter().filter(|x| x.abs() > 2.0).count() as f64 / draws.len() as f64;
        assert!((beyond_two - 0.0455).abs() < 0.004, "{beyond_two}");
    }
}
