//! Small statistics.

use serde::Serialize;

/// Of a sorted list, the value that `percent` of it do not exceed, by nearest rank; 0 for an empty list.
pub(crate) fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(0.0)
}

/// CPU milliseconds over many pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Times {
    pub(crate) median: f64,
    pub(crate) p95: f64,
    pub(crate) worst: f64,
    pub(crate) mean: f64,
}

impl Times {
    pub(crate) fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
        Self {
            median: round(percentile(&values, 50)),
            p95: round(percentile(&values, 95)),
            worst: round(values.last().copied().unwrap_or(0.0)),
            mean: round(mean),
        }
    }
}

/// To a thousandth: more digits would be noise.
pub(crate) fn round(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_taken_by_nearest_rank() {
        let times = Times::of((1..=20).map(f64::from).rev().collect());
        assert_eq!(times, Times { median: 10.0, p95: 19.0, worst: 20.0, mean: 10.5 });
        assert_eq!(Times::of(Vec::new()), Times::default());
    }
}
