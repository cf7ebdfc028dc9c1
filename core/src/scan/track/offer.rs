//! What is known of our own code before it is read: version 4, error correction level M, a scheme and a number of
//! digits (`docs/protocol.md`, section 3). That settles twelve of its 64 data codewords.
//!
//! Known codewords are put in, the least reliable of the others are erased, and each block must still decode with
//! check symbols to spare: [`MOST_ERASED`] leaves eight of 18, so that a random block passes once in 40,000 times, and
//! both blocks must pass. The result is only a repaired matrix: the ordinary decoder reads it afterwards and the
//! content must be of the known shape.
#![expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "version 4 has 807 places for 100 codewords of 8 bits in two blocks of 50; all indices are bounded by these constants"
)]

use pairlight_wire::qr::{PAYLOAD_DIGITS, SCHEME};

use super::super::fixed;
use super::super::layout::{self, Layout};
use super::super::repair::repair;
use super::super::segments::LETTERS;
use super::super::symbol::EccLevel;

/// Modules on a side of version 4.
pub(super) const SIZE: usize = 33;
pub(super) const VERSION: u8 = 4;
const CODEWORDS: usize = 100;
const DATA: usize = 64;
const BLOCK: usize = 50;
const CHECKS: usize = 18;
/// Codewords of a block that are erased at most.
const MOST_ERASED: usize = 10;
/// How many are erased in turn.
const ERASURES: [usize; 4] = [0, 4, 8, MOST_ERASED];
/// Known bits must agree at least this well, -1 to 1, before anything is tried.
const LEAST_AGREEMENT: f32 = 0.3;

/// The places of the bits and what they are known to say.
#[derive(Debug)]
pub(super) struct OfferShape {
    /// Column and row of each bit of each codeword, in order.
    places: Vec<(u8, u8)>,
    /// Value of the codewords that are the same in every offer.
    known: [Option<u8>; CODEWORDS],
    /// What every symbol of this size shows, row by row: 1 is dark; 0 also where that differs.
    fixed: Vec<u8>,
}

impl OfferShape {
    pub(super) fn new() -> Self {
        let mut layout = Layout::default();
        layout.set(SIZE);
        let at = |place: &u16| (*place % SIZE as u16) as u8;
        let places = layout.order().iter().map(|place| (at(place), (place / SIZE as u16) as u8)).collect();
        let mut bits: Vec<bool> = Vec::new();
        let mut push = |value: usize, count: u32| bits.extend((0..count).rev().map(|bit| value >> bit & 1 == 1));
        // An alphanumeric segment (ISO/IEC 18004, 7.4.4) with the scheme, then the head of the numeric one.
        let code = |letter: u8| LETTERS.iter().position(|&known| known == letter).unwrap_or(0);
        push(0b0010, 4);
        push(SCHEME.len(), 9);
        for pair in SCHEME.as_bytes().chunks(2) {
            match *pair {
                [a, b] => push(code(a) * 45 + code(b), 11),
                [a] => push(code(a), 6),
                _ => {}
            }
        }
        push(0b0001, 4);
        push(PAYLOAD_DIGITS, 10);
        let mut known = [None; CODEWORDS];
        for (index, byte) in bits.chunks_exact(8).enumerate() {
            known[place(index)] = Some(byte.iter().fold(0, |byte, &bit| byte << 1 | u8::from(bit)));
        }
        // 502 bits of content: the last codeword is filled up with zeros.
        known[place(DATA - 1)] = Some(0);
        let is_dark = |i: usize| fixed::fixed(SIZE, (i % SIZE) as isize, (i / SIZE) as isize) == Some(true);
        Self { places, known, fixed: (0..SIZE * SIZE).map(|i| u8::from(is_dark(i))).collect() }
    }

    /// Repairs the soft values of a symbol (row by row, positive is light). Writes all modules of the
    /// symbol (row by row, 1 is dark, not mirrored any more) to `out` and gives its mask if it is complete.
    pub(super) fn repair(&self, soft: &[f32], mirrored: bool, out: &mut Vec<u8>) -> Option<u8> {
        if soft.len() != SIZE * SIZE {
            return None;
        }
        let value = |x: usize, y: usize| if mirrored { soft[x * SIZE + y] } else { soft[y * SIZE + x] };
        let mask = self.mask(value)?;
        let mut words = [0u8; CODEWORDS];
        let mut doubt = [0f32; CODEWORDS];
        for (index, places) in self.places.chunks_exact(8).enumerate().take(CODEWORDS) {
            doubt[index] = f32::MAX;
            for &(x, y) in places {
                let (x, y) = (usize::from(x), usize::from(y));
                let soft = value(x, y);
                words[index] = words[index] << 1 | u8::from((soft < 0.0) != layout::masked(mask, y, x));
                doubt[index] = doubt[index].min(soft.abs());
            }
            if let Some(known) = self.known[index] {
                (words[index], doubt[index]) = (known, f32::MAX);
            }
        }
        for block in 0..2 {
            if !self.repair_block(&mut words, &doubt, block) {
                return None;
            }
        }
        out.clone_from(&self.fixed);
        for (index, &(x, y)) in self.places.iter().enumerate() {
            let (x, y) = (usize::from(x), usize::from(y));
            let bit = words.get(index / 8).is_some_and(|word| word >> (7 - index % 8) & 1 == 1);
            out[y * SIZE + x] = u8::from(bit != layout::masked(mask, y, x));
        }
        let format = layout::format_bits(EccLevel::M, mask);
        for bit in 0..15 {
            for (y, x) in layout::format_places(SIZE, bit) {
                out[y * SIZE + x] = u8::from(format >> bit & 1 == 1);
            }
        }
        Some(mask)
    }

    /// The mask under which the known bits agree best with what they must say, if they agree at all.
    fn mask(&self, value: impl Fn(usize, usize) -> f32) -> Option<u8> {
        let agreement = |mask: u8| {
            let (mut both, mut power, mut count) = (0.0f32, 0.0f32, 0.0f32);
            let mut add = |x: usize, y: usize, dark: bool| {
                let soft = value(x, y);
                both += if dark { -soft } else { soft };
                power += soft * soft;
                count += 1.0;
            };
            for (places, word) in self.places.chunks_exact(8).zip(self.known) {
                let Some(word) = word else { continue };
                for (bit, &(x, y)) in places.iter().enumerate() {
                    let (x, y) = (usize::from(x), usize::from(y));
                    add(x, y, (word >> (7 - bit) & 1 == 1) != layout::masked(mask, y, x));
                }
            }
            let format = layout::format_bits(EccLevel::M, mask);
            for bit in 0..15 {
                let places = layout::format_places(SIZE, bit);
                places.into_iter().for_each(|(y, x)| add(x, y, format >> bit & 1 == 1));
            }
            both / (power * count).sqrt().max(1e-6)
        };
        let (score, mask) = (0..8).map(|mask| (agreement(mask), mask)).max_by(|a, b| a.0.total_cmp(&b.0))?;
        (score > LEAST_AGREEMENT).then_some(mask)
    }

    fn repair_block(&self, words: &mut [u8; CODEWORDS], doubt: &[f32; CODEWORDS], block: usize) -> bool {
        // Where the symbols of the block lie among the interleaved codewords.
        let mut lies = [0usize; BLOCK];
        for (symbol, lies) in lies.iter_mut().enumerate() {
            *lies =
                if symbol < BLOCK - CHECKS { 2 * symbol + block } else { DATA + 2 * (symbol + CHECKS - BLOCK) + block };
        }
        let mut order: [usize; BLOCK] = std::array::from_fn(|i| i);
        order.sort_unstable_by(|&a, &b| doubt[lies[a]].total_cmp(&doubt[lies[b]]).then(a.cmp(&b)));
        for erased in ERASURES {
            let mut symbols = lies.map(|index| words[index]);
            if repair(&mut symbols, CHECKS, &order[..erased], 0).is_none() {
                continue;
            }
            let mut changes_known = false;
            for (&index, symbol) in lies.iter().zip(symbols) {
                changes_known |= self.known[index].is_some_and(|known| known != symbol);
            }
            if changes_known {
                continue;
            }
            for (&index, symbol) in lies.iter().zip(symbols) {
                words[index] = symbol;
            }
            return true;
        }
        false
    }
}

/// Where data codeword `index` lies among the interleaved ones: the two blocks take turns.
fn place(index: usize) -> usize {
    let half = DATA / 2;
    if index < half { 2 * index } else { 2 * (index - half) + 1 }
}

/// Whether a content has the shape of an offer's text.
pub(super) fn is_shape(bytes: &[u8]) -> bool {
    let digits = bytes.strip_prefix(SCHEME.as_bytes());
    digits.is_some_and(|digits| digits.len() == PAYLOAD_DIGITS && digits.iter().all(u8::is_ascii_digit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use qrcodegen::{QrCode, QrCodeEcc, QrSegment};
    use rand_chacha::ChaCha8Rng;
    use rand_core::{Rng, SeedableRng};

    fn draw(seed: u64) -> (Vec<f32>, Vec<u8>) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let digits: String = (0..PAYLOAD_DIGITS).map(|_| char::from(b'0' + (rng.next_u32() % 10) as u8)).collect();
        let segments = [QrSegment::make_alphanumeric(SCHEME), QrSegment::make_numeric(&digits)];
        let code = QrCode::encode_segments(&segments, QrCodeEcc::Medium).unwrap();
        assert_eq!(code.size(), SIZE as i32);
        let module = |i: usize| code.get_module((i % SIZE) as i32, (i / SIZE) as i32);
        let dark: Vec<u8> = (0..SIZE * SIZE).map(|i| u8::from(module(i))).collect();
        (dark.iter().map(|dark| 1.0 - 2.0 * f32::from(*dark)).collect(), dark)
    }

    /// Normal noise, roughly: the sum of twelve even numbers.
    fn noise(rng: &mut ChaCha8Rng) -> f32 {
        (0..12).map(|_| (rng.next_u32() >> 8) as f32 / (1 << 24) as f32).sum::<f32>() - 6.0
    }

    #[test]
    fn a_clean_offer_comes_back_module_by_module_also_mirrored() {
        let shape = OfferShape::new();
        for seed in 0..20 {
            let (soft, dark) = draw(seed);
            let mut out = Vec::new();
            assert!(shape.repair(&soft, false, &mut out).is_some(), "seed {seed}");
            assert!(out == dark);
            let turned: Vec<f32> = (0..SIZE * SIZE).map(|i| soft[(i % SIZE) * SIZE + i / SIZE]).collect();
            assert!(shape.repair(&turned, true, &mut out).is_some());
            assert!(out == dark);
        }
    }

    #[test]
    fn what_is_known_reads_noisier_codes_and_never_gives_another() {
        let shape = OfferShape::new();
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let (mut repaired, mut beyond) = (0, 0);
        for seed in 0..300 {
            let (soft, dark) = draw(seed % 7);
            let level = 0.25 + 0.5 * (seed % 10) as f32 / 10.0;
            let noisy: Vec<f32> = soft.iter().map(|value| value + level * noise(&mut rng)).collect();
            let mut out = Vec::new();
            if shape.repair(&noisy, false, &mut out).is_some() {
                assert!(out == dark, "another code than the one that was shown");
                repaired += 1;
            } else {
                beyond += 1;
            }
        }
        assert!(repaired > 100 && beyond > 20, "{repaired} repaired, {beyond} beyond repair");
    }

    #[test]
    fn noise_and_mixtures_of_two_offers_are_never_a_third() {
        let shape = OfferShape::new();
        let mut rng = ChaCha8Rng::seed_from_u64(6);
        let mut out = Vec::new();
        for round in 0..400u64 {
            let ((a, dark_a), (b, dark_b)) = (draw(round % 11), draw(50 + round % 13));
            let part = (round % 5) as f32 / 4.0;
            let mixed: Vec<f32> =
                a.iter().zip(&b).map(|(a, b)| part * a + (1.0 - part) * b + 0.3 * noise(&mut rng)).collect();
            if shape.repair(&mixed, false, &mut out).is_some() {
                assert!(out == dark_a || out == dark_b, "round {round}");
            }
            let known_head: Vec<f32> =
                a.iter().enumerate().map(|(i, a)| if i / SIZE > 20 { *a } else { noise(&mut rng) }).collect();
            if shape.repair(&known_head, false, &mut out).is_some() {
                assert!(out == dark_a, "round {round}");
            }
        }
    }
}
