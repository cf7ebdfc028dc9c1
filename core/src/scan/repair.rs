//! Repairs the codewords of a block: Reed-Solomon with errors whose place is unknown and erasures whose place is known.
//!
//! Grey values say which codewords are doubtful. A doubtful codeword that is given up beforehand costs one check
//! codeword instead of two.
#![expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "indexes into arrays of the largest block, 255; field elements index tables of 256 and 512 entries"
)]

/// Codewords in a block, at most.
pub(super) const LONGEST: usize = 255;
/// Check codewords in a block, at most.
const CHECKS: usize = 30;

/// Powers of 2 in the field of 256 elements modulo x^8 + x^4 + x^3 + x^2 + 1, twice over, and their logarithms.
const TABLES: ([u8; 512], [u8; 256]) = {
    let (mut powers, mut logs) = ([0; 512], [0; 256]);
    let (mut i, mut x) = (0, 1u16);
    while i < 255 {
        powers[i] = x as u8;
        powers[i + 255] = x as u8;
        logs[x as usize] = i as u8;
        x <<= 1;
        if x & 0x100 != 0 {
            x ^= 0x11d;
        }
        i += 1;
    }
    (powers, logs)
};

fn power(exponent: usize) -> u8 {
    TABLES.0[exponent % 255]
}

fn times(a: u8, b: u8) -> u8 {
    if a == 0 || b == 0 {
        return 0;
    }
    TABLES.0[usize::from(TABLES.1[usize::from(a)]) + usize::from(TABLES.1[usize::from(b)])]
}

/// `b` is not 0.
fn divided(a: u8, b: u8) -> u8 {
    if a == 0 {
        return 0;
    }
    TABLES.0[usize::from(TABLES.1[usize::from(a)]) + 255 - usize::from(TABLES.1[usize::from(b)])]
}

/// What a repaired block cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Repaired {
    /// Codewords that were wrong and not given up beforehand.
    pub(super) errors: usize,
}

/// The syndromes of a block; all zero when nothing is wrong.
fn syndromes(block: &[u8], checks: usize) -> [u8; CHECKS] {
    let mut found = [0; CHECKS];
    for (i, syndrome) in found.iter_mut().enumerate().take(checks) {
        let mut sum = 0u8;
        let shift = i;
        for &byte in block {
            sum = byte ^ if sum == 0 { 0 } else { TABLES.0[usize::from(TABLES.1[usize::from(sum)]) + shift] };
        }
        *syndrome = sum;
    }
    found
}

/// Repairs a block in place. `erased` are the positions that are given up. `None`, and the block unchanged, when that
/// is not possible or would need more than `checks - kept` check codewords.
pub(super) fn repair(block: &mut [u8], checks: usize, erased: &[usize], kept: usize) -> Option<Repaired> {
    let (length, gone) = (block.len(), erased.len());
    if length > LONGEST || checks > CHECKS || checks >= length || gone > checks {
        return None;
    }
    let s = syndromes(block, checks);
    if s.iter().all(|&x| x == 0) {
        return Some(Repaired { errors: 0 });
    }
    // The locator of the erasures, then Berlekamp and Massey from there.
    let mut locator = [0u8; CHECKS + 2];
    locator[0] = 1;
    for (n, &position) in erased.iter().enumerate() {
        let root = power(length - 1 - position.min(length - 1));
        for i in (1..=n + 1).rev() {
            locator[i] ^= times(root, locator[i - 1]);
        }
    }
    let mut other = locator;
    let mut degree = gone;
    for r in gone + 1..=checks {
        let mut off = 0;
        for i in 0..r {
            off ^= times(locator[i], s[r - 1 - i]);
        }
        let mut shifted = [0u8; CHECKS + 2];
        shifted[1..].copy_from_slice(&other[..=CHECKS]);
        if off == 0 {
            other = shifted;
            continue;
        }
        let mut next = locator;
        for (to, from) in next.iter_mut().zip(shifted) {
            *to ^= times(off, from);
        }
        if 2 * degree < r + gone {
            degree = r + gone - degree;
            other = locator.map(|x| divided(x, off));
        } else {
            other = shifted;
        }
        locator = next;
    }
    let degree = locator.iter().rposition(|&x| x != 0)?;
    if degree < gone || degree > checks || 2 * (degree - gone) + gone + kept > checks {
        return None;
    }
    // The evaluator, and the size of each error at the roots of the locator.
    let mut evaluator = [0u8; CHECKS];
    for (i, value) in evaluator.iter_mut().enumerate().take(checks) {
        for j in 0..=i.min(degree) {
            *value ^= times(locator[j], s[i - j]);
        }
    }
    let mut fixes = [(0usize, 0u8); CHECKS];
    let mut roots = 0;
    for position in 0..length {
        let place = length - 1 - position;
        // The inverse of 2^place.
        let inverse = 255 - place % 255;
        // A polynomial at that value; of every second term when it is the slope.
        let at =
            |terms: &[u8]| terms.iter().enumerate().fold(0u8, |sum, (i, &term)| sum ^ times(term, power(inverse * i)));
        let value = at(&locator[..=degree]);
        if value != 0 {
            continue;
        }
        let slope = (1..=degree).step_by(2).fold(0u8, |sum, i| sum ^ times(locator[i], power(inverse * (i - 1))));
        if slope == 0 || roots >= degree {
            return None;
        }
        let size = times(divided(at(&evaluator[..checks]), slope), power(place));
        fixes[roots] = (position, size);
        roots += 1;
    }
    if roots != degree {
        return None;
    }
    for &(position, size) in &fixes[..roots] {
        block[position] ^= size;
    }
    if syndromes(block, checks).iter().any(|&x| x != 0) {
        for &(position, size) in &fixes[..roots] {
            block[position] ^= size;
        }
        return None;
    }
    Some(Repaired { errors: degree - gone })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Appends check codewords by division with the generator polynomial.
    fn encoded(data: &[u8], checks: usize) -> Vec<u8> {
        let mut generator = vec![1u8];
        for i in 0..checks {
            let mut next = vec![0; generator.len() + 1];
            for (j, &g) in generator.iter().enumerate() {
                next[j] ^= g;
                next[j + 1] ^= times(g, power(i));
            }
            generator = next;
        }
        let mut rest = data.to_vec();
        rest.resize(data.len() + checks, 0);
        for i in 0..data.len() {
            let factor = rest[i];
            for (j, &g) in generator.iter().enumerate() {
                rest[i + j] ^= times(g, factor);
            }
        }
        let mut block = data.to_vec();
        block.extend(&rest[data.len()..]);
        block
    }

    proptest::proptest! {
        #[test]
        fn what_fits_the_checks_is_repaired_and_what_does_not_changes_nothing(
            data in proptest::collection::vec(proptest::num::u8::ANY, 5..120),
            checks in 7usize..=30,
            errors in 0usize..20,
            erasures in 0usize..30,
            seed: u64,
        ) {
            let good = encoded(&data, checks);
            let mut state = seed;
            let mut random = |below: usize| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) as usize % below
            };
            let mut places: Vec<usize> = (0..good.len()).collect();
            for i in (1..places.len()).rev() {
                places.swap(i, random(i + 1));
            }
            let (errors, erasures) = (errors.min(good.len() / 3), erasures.min(good.len() / 3));
            let mut bad = good.clone();
            for &place in &places[..errors + erasures] {
                bad[place] ^= 1 + random(255) as u8;
            }
            let before = bad.clone();
            let result = repair(&mut bad, checks, &places[errors..errors + erasures], 0);
            if 2 * errors + erasures <= checks {
                proptest::prop_assert_eq!(result.map(|r| r.errors), Some(errors));
                proptest::prop_assert_eq!(bad, good);
            } else if result.is_none() {
                proptest::prop_assert_eq!(bad, before);
            }
        }
    }
}
