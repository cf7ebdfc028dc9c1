//! Error and erasure correction over GF(2^8) with the polynomial of QR codes (x^8 + x^4 + x^3 + x^2 + 1, first root
//! a^0), after Berlekamp and Massey with Forney's values.
#![expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tables have 256 and 512 entries and are read with bytes and sums of two logarithms below 255; polynomials have at most MOST_CHECKS + 1 coefficients and every index is below the number of checks or of the block's symbols"
)]

/// Most check symbols of a block in any version.
const MOST_CHECKS: usize = 30;

type Polynomial = [u8; MOST_CHECKS + 2];

static TABLES: ([u8; 512], [u8; 256]) = tables();

const fn tables() -> ([u8; 512], [u8; 256]) {
    let (mut exp, mut log) = ([0u8; 512], [0u8; 256]);
    let (mut value, mut i) = (1u16, 0usize);
    while i < 255 {
        exp[i] = value as u8;
        exp[i + 255] = value as u8;
        log[value as usize] = i as u8;
        value <<= 1;
        if value & 0x100 != 0 {
            value ^= 0x11d;
        }
        i += 1;
    }
    (exp, log)
}

fn power(exponent: usize) -> u8 {
    TABLES.0[exponent % 255]
}

fn multiply(a: u8, b: u8) -> u8 {
    if a == 0 || b == 0 {
        0
    } else {
        TABLES.0[usize::from(TABLES.1[usize::from(a)]) + usize::from(TABLES.1[usize::from(b)])]
    }
}

fn divide(a: u8, b: u8) -> u8 {
    if a == 0 {
        0
    } else {
        TABLES.0[usize::from(TABLES.1[usize::from(a)]) + 255 - usize::from(TABLES.1[usize::from(b)])]
    }
}

fn evaluate(polynomial: &[u8], x: u8) -> u8 {
    polynomial.iter().rev().fold(0, |sum, &coefficient| multiply(sum, x) ^ coefficient)
}

fn syndromes(block: &[u8], checks: usize) -> (Polynomial, bool) {
    let mut syndromes = [0; MOST_CHECKS + 2];
    let mut clean = true;
    for (i, syndrome) in syndromes.iter_mut().enumerate().take(checks) {
        *syndrome = block.iter().fold(0, |sum, &symbol| multiply(sum, power(i)) ^ symbol);
        clean &= *syndrome == 0;
    }
    (syndromes, clean)
}

/// Corrects a block (data, then `checks` check symbols) in place. `erased` names symbols that are better not believed.
/// Gives the number of symbols that were changed, or `None`, with the block as it was, when it is beyond repair:
/// twice the errors and the erasures together must not exceed `checks`.
pub(super) fn correct(block: &mut [u8], checks: usize, erased: &[usize]) -> Option<usize> {
    if checks > MOST_CHECKS || erased.len() > checks || block.len() > 255 || block.len() < checks {
        return None;
    }
    let (syndromes, clean) = syndromes(block, checks);
    if clean {
        return Some(0);
    }
    let place = |index: usize| block.len() - 1 - index;

    // The locator of the erasures, then of the errors on top of it.
    let mut locator: Polynomial = [0; MOST_CHECKS + 2];
    locator[0] = 1;
    for (count, &index) in erased.iter().enumerate() {
        if index >= block.len() {
            return None;
        }
        for i in (1..=count + 1).rev() {
            locator[i] ^= multiply(locator[i - 1], power(place(index)));
        }
    }
    let mut before = locator;
    let mut degree = erased.len();
    for step in erased.len()..checks {
        let mut discrepancy = 0;
        for i in 0..=degree.min(step) {
            discrepancy ^= multiply(locator[i], syndromes[step - i]);
        }
        before.copy_within(0..MOST_CHECKS + 1, 1);
        before[0] = 0;
        if discrepancy == 0 {
            continue;
        }
        let old = locator;
        for (value, before) in locator.iter_mut().zip(before) {
            *value ^= multiply(discrepancy, before);
        }
        if 2 * degree <= step + erased.len() {
            degree = step + 1 + erased.len() - degree;
            before = old.map(|value| divide(value, discrepancy));
        }
    }
    let errors = degree.checked_sub(erased.len())?;
    if 2 * errors + erased.len() > checks || locator[degree] == 0 {
        return None;
    }

    let mut evaluator: Polynomial = [0; MOST_CHECKS + 2];
    for i in 0..checks {
        for j in 0..=i.min(degree) {
            evaluator[i] ^= multiply(syndromes[i - j], locator[j]);
        }
    }
    let mut derivative: Polynomial = [0; MOST_CHECKS + 2];
    for i in (1..=degree).step_by(2) {
        derivative[i - 1] = locator[i];
    }
    let mut fixes = [(0usize, 0u8); MOST_CHECKS];
    let mut found = 0;
    for index in 0..block.len() {
        let inverse = power(255 - place(index) % 255);
        if evaluate(&locator, inverse) != 0 {
            continue;
        }
        let slope = evaluate(&derivative, inverse);
        if slope == 0 || found >= MOST_CHECKS {
            return None;
        }
        let value = multiply(power(place(index)), divide(evaluate(&evaluator, inverse), slope));
        fixes[found] = (index, value);
        found += 1;
    }
    if found != degree {
        return None;
    }
    for &(index, value) in &fixes[..found] {
        block[index] ^= value;
    }
    // The last word: what came out must be a codeword.
    if !self::syndromes(block, checks).1 {
        for &(index, value) in &fixes[..found] {
            block[index] ^= value;
        }
        return None;
    }
    Some(fixes[..found].iter().filter(|(_, value)| *value != 0).count())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_core::{Rng, SeedableRng};

    fn encode(data: &[u8], checks: usize) -> Vec<u8> {
        let mut generator = vec![1u8];
        for i in 0..checks {
            let mut next = vec![0; generator.len() + 1];
            for (j, &g) in generator.iter().enumerate() {
                next[j] ^= g;
                next[j + 1] ^= multiply(g, power(i));
            }
            generator = next;
        }
        let mut rest = data.to_vec();
        rest.resize(data.len() + checks, 0);
        for i in 0..data.len() {
            let lead = rest[i];
            for (j, &g) in generator.iter().enumerate() {
                rest[i + j] ^= multiply(g, lead);
            }
        }
        [data, &rest[data.len()..]].concat()
    }

    #[test]
    fn errors_and_erasures_within_the_bound_are_repaired_and_beyond_it_never_silently_wrong_to_a_non_codeword() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        for round in 0..600usize {
            let data: Vec<u8> = (0..32).map(|_| rng.next_u32() as u8).collect();
            let good = encode(&data, 18);
            let erasures = round % 19;
            let errors = (18 - erasures) / 2;
            let mut places: Vec<usize> = (0..50).collect();
            for i in 0..50 {
                places.swap(i, i + rng.next_u32() as usize % (50 - i));
            }
            let mut bad = good.clone();
            for &i in &places[..erasures + errors] {
                bad[i] ^= (rng.next_u32() % 256) as u8;
            }
            let wrong = bad.iter().zip(&good).filter(|(a, b)| a != b).count();
            assert_eq!(correct(&mut bad, 18, &places[..erasures]), Some(wrong), "round {round}");
            assert_eq!(bad, good);
            // Ten errors are one too many.
            let mut bad = good.clone();
            for &i in &places[..10] {
                bad[i] ^= 1 + (rng.next_u32() % 255) as u8;
            }
            let before = bad.clone();
            match correct(&mut bad, 18, &[]) {
                None => assert_eq!(bad, before),
                Some(_) => assert!(syndromes(&bad, 18).1),
            }
        }
    }
}
