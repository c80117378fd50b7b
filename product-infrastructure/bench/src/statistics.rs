//! Many samples, said in few numbers.

use serde::Serialize;

/// The summary of a set of samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Summary {
    pub median: f64,
    pub p10: f64,
    pub p90: f64,
    pub min: f64,
    pub max: f64,
    pub samples: usize,
}

impl Summary {
    /// `None` without samples.
    pub fn of(samples: &[f64]) -> Option<Self> {
        let mut sorted = samples.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        Some(Self {
            median: quantile(&sorted, 0.5)?,
            p10: quantile(&sorted, 0.1)?,
            p90: quantile(&sorted, 0.9)?,
            min: *sorted.first()?,
            max: *sorted.last()?,
            samples: sorted.len(),
        })
    }
}

/// The quantile of sorted samples, on the straight line between the two nearest; `None` without samples.
pub fn quantile(sorted: &[f64], part: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let place = part.clamp(0.0, 1.0) * last as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    Some(below + (above - below) * place.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summary_is_independent_of_order() {
        let summary = Summary::of(&[5.0, 1.0, 4.0, 2.0, 3.0]).unwrap();
        assert_eq!((summary.median, summary.min, summary.max, summary.samples), (3.0, 1.0, 5.0, 5));
        assert!((summary.p10 - 1.4).abs() < 1e-9 && (summary.p90 - 4.6).abs() < 1e-9, "{summary:?}");
    }

    #[test]
    fn one_sample_is_every_quantile_and_none_has_no_summary() {
        let summary = Summary::of(&[7.0]).unwrap();
        assert_eq!((summary.p10, summary.median, summary.p90), (7.0, 7.0, 7.0));
        assert_eq!(Summary::of(&[]), None);
    }

    #[test]
    fn median_of_two_is_their_mean() {
        assert_eq!(quantile(&[1.0, 2.0], 0.5), Some(1.5));
        assert_eq!(quantile(&[1.0, 2.0], 1.0), Some(2.0));
    }
}
