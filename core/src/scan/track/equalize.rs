//! Undoing blur between modules.
//!
//! Blur, by focus or motion, mixes a module with its neighbours. What the mixture is can be learnt from modules whose
//! value is known: the linear filter over a module's neighbourhood that gives the known values with the least square
//! error (N. Wiener). Noise makes the filter careful by itself: what cannot be told apart comes out small.
#![expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "neighbourhoods are cut to the symbol before they are read; taps run below N"
)]

use super::plane::solve;

/// Filters `from` (row by row, `size` a side) with the three by three taps that map it best to what `known` tells
/// (-1 dark, 1 light, `None` unknown) into `to`. Gives the part of the known values' variance that is explained, 0 to 1.
pub(super) fn three_by_three(
    from: &[f32],
    to: &mut Vec<f32>,
    size: usize,
    known: impl Fn(usize, usize) -> Option<f32>,
) -> f32 {
    equalize::<10, 11>(from, to, size, 1, known)
}

/// The same with five by five taps; wants many known modules.
pub(super) fn five_by_five(
    from: &[f32],
    to: &mut Vec<f32>,
    size: usize,
    known: impl Fn(usize, usize) -> Option<f32>,
) -> f32 {
    equalize::<26, 27>(from, to, size, 2, known)
}

fn equalize<const N: usize, const M: usize>(
    from: &[f32],
    to: &mut Vec<f32>,
    size: usize,
    reach: isize,
    known: impl Fn(usize, usize) -> Option<f32>,
) -> f32 {
    let neighbours = |x: usize, y: usize| {
        let mut values = [0.0f32; N];
        // The last is a constant: the threshold.
        values[N - 1] = 1.0;
        let mut tap = 0;
        for dy in -reach..=reach {
            for dx in -reach..=reach {
                let (x, y) = (x as isize + dx, y as isize + dy);
                // Beyond the edge lies the light quiet zone: as bright as a light module on average.
                let inside = x >= 0 && y >= 0 && x < size as isize && y < size as isize;
                values[tap] = if inside { from[y as usize * size + x as usize] } else { 0.8 };
                tap += 1;
            }
        }
        values
    };
    let mut rows = [[0.0f32; M]; N];
    let (mut count, mut energy, mut power) = (0.0f32, 0.0f32, 0.0f32);
    for y in 0..size {
        for x in 0..size {
            let Some(wanted) = known(x, y) else { continue };
            let values = neighbours(x, y);
            for (row, a) in rows.iter_mut().zip(values) {
                for (sum, b) in row.iter_mut().zip(values) {
                    *sum += a * b;
                }
                row[M - 1] += a * wanted;
            }
            count += 1.0;
            energy += wanted * wanted;
            power += values[..N - 1].iter().map(|value| value * value).sum::<f32>();
        }
    }
    to.clear();
    // A ridge: taps are pulled towards nothing by as much as a few known modules weigh.
    let ridge = 0.02 * power / (N - 1) as f32 + 1e-3;
    let mut wide = rows.map(|row| row.map(f64::from));
    for (index, row) in wide.iter_mut().enumerate() {
        row[index] += f64::from(ridge);
    }
    let solution = solve::<N, M>(wide).filter(|_| count > 2.0 * N as f32);
    let Some(taps) = solution.map(|taps| taps.map(|tap| tap as f32)) else {
        to.extend_from_slice(from);
        return 0.0;
    };
    let mut missed = 0.0f32;
    for y in 0..size {
        for x in 0..size {
            let value: f32 = neighbours(x, y).iter().zip(taps).map(|(value, tap)| value * tap).sum();
            if let Some(wanted) = known(x, y) {
                missed += (wanted - value).powi(2);
            }
            to.push(value.clamp(-1.5, 1.5));
        }
    }
    (1.0 - missed / energy.max(1e-6)).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blur_is_learnt_and_undone() {
        let size = 33usize;
        let truth: Vec<f32> =
            (0..size * size).map(|i| if (i * i * 31 + i * 7) % 13 < 6 { -1.0 } else { 1.0 }).collect();
        let at = |x: isize, y: isize| {
            let inside = x >= 0 && y >= 0 && x < size as isize && y < size as isize;
            if inside { truth[y as usize * size + x as usize] } else { 1.0 }
        };
        let blurred: Vec<f32> = (0..size * size)
            .map(|i| {
                let (x, y) = ((i % size) as isize, (i / size) as isize);
                0.4 * at(x, y) + 0.25 * (at(x - 1, y) + at(x + 1, y)) + 0.05 * (at(x, y - 1) + at(x, y + 1))
            })
            .collect();
        let wrong = |values: &[f32]| values.iter().zip(&truth).filter(|(a, b)| **a * **b <= 0.0).count();
        let before = wrong(&blurred);
        let known = |x: usize, y: usize| (x < 9 || y < 9).then(|| truth[y * size + x]);
        let mut out = Vec::new();
        let explained = three_by_three(&blurred, &mut out, size, known);
        assert!(before > 60, "{before}");
        assert!(wrong(&out) < before / 8, "{} of {before}", wrong(&out));
        assert!(explained > 0.6, "{explained}");
        five_by_five(&blurred, &mut out, size, |x, y| Some(truth[y * size + x]));
        assert!(wrong(&out) < before / 10, "{} of {before}", wrong(&out));
    }
}
