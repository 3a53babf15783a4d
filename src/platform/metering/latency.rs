//! How long things took, as counts in buckets that grow by a fifth or less: quantiles without keeping each duration.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Four for each doubling, from 8 µs to over four minutes.
const BUCKETS: usize = 96;
/// The narrowest bucket is 2^13 ns wide.
const UNIT_BITS: u32 = 13;

/// Counts that many threads add to.
#[derive(Debug)]
pub(super) struct LatencyCounts([AtomicU64; BUCKETS]);

impl LatencyCounts {
    pub const fn new() -> Self {
        LatencyCounts([const { AtomicU64::new(0) }; BUCKETS])
    }

    pub fn add(&self, took: Duration) {
        self.0[bucket(took.as_nanos() as u64)].fetch_add(1, Relaxed);
    }

    pub fn load(&self) -> Latencies {
        Latencies(std::array::from_fn(|n| self.0[n].load(Relaxed)))
    }
}

/// Counts of durations, to be added up and asked for quantiles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Latencies([u64; BUCKETS]);

impl Default for Latencies {
    fn default() -> Self {
        Latencies([0; BUCKETS])
    }
}

impl Latencies {
    pub fn count(&self) -> u64 {
        self.0.iter().sum()
    }

    pub fn add(&mut self, other: &Latencies) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine = mine.saturating_add(theirs);
        }
    }

    /// What came since `before`, which was read earlier.
    pub fn since(&self, before: &Latencies) -> Latencies {
        Latencies(std::array::from_fn(|n| self.0[n].saturating_sub(before.0[n])))
    }

    /// As many times as many of each, rounded.
    pub fn times(&self, factor: f64) -> Latencies {
        Latencies(self.0.map(|count| (count as f64 * factor).round() as u64))
    }

    /// How long the fastest `share` of all took at most, in milliseconds; none where there are none.
    ///
    /// It is off by a tenth at most: within its bucket a duration may be anywhere.
    pub fn quantile_ms(&self, share: f64) -> Option<f64> {
        let count = self.count();
        let rank = (share * count as f64).ceil().max(1.0);
        let mut below = 0.0;
        for (n, of_this) in self.0.iter().map(|of_this| *of_this as f64).enumerate() {
            if of_this > 0.0 && below + of_this >= rank {
                let (from, to) = (lower_ns(n) as f64, lower_ns(n + 1) as f64);
                return Some((from + (to - from) * (rank - below) / of_this) / 1e6);
            }
            below += of_this;
        }
        None
    }

    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// The buckets that are not empty, each with its count.
    pub fn filled(&self) -> Vec<(usize, u64)> {
        self.0.iter().copied().enumerate().filter(|(_, count)| *count > 0).collect()
    }

    /// What [`Latencies::filled`] gave; what is no bucket of ours is left out.
    pub fn of_filled(filled: Vec<(usize, u64)>) -> Latencies {
        let mut all = Latencies::default();
        for (n, count) in filled {
            if let Some(bucket) = all.0.get_mut(n) {
                *bucket = bucket.saturating_add(count);
            }
        }
        all
    }
}

#[cfg(test)]
impl FromIterator<Duration> for Latencies {
    fn from_iter<I: IntoIterator<Item = Duration>>(all: I) -> Self {
        let counts = LatencyCounts::new();
        all.into_iter().for_each(|took| counts.add(took));
        counts.load()
    }
}

/// The highest bits of a duration say its bucket: the first, and the two behind it.
fn bucket(ns: u64) -> usize {
    let units = ns >> UNIT_BITS;
    if units < 4 {
        return units as usize;
    }
    let doublings = units.ilog2();
    let quarter = (units >> (doublings - 2)) & 3;
    ((doublings as usize - 1) * 4 + quarter as usize).min(BUCKETS - 1)
}

/// Where bucket `n` begins.
fn lower_ns(n: usize) -> u64 {
    if n < 4 {
        return (n as u64) << UNIT_BITS;
    }
    (4 + n as u64 % 4) << (n / 4 - 1) << UNIT_BITS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_lies_between_the_bounds_of_its_bucket() {
        for ns in (0..38).flat_map(|bits| [1_u64 << bits, (1 << bits) + (1 << bits) / 3, (2 << bits) - 1]) {
            let n = bucket(ns);
            assert!(lower_ns(n) <= ns && ns < lower_ns(n + 1), "{ns} ns in bucket {n}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn a_quantile_is_off_by_a_fifth_at_most() {
        let all: Latencies = (1..=1000).map(Duration::from_millis).collect();

        for (share, ms) in [(0.5, 500.0), (0.99, 990.0), (1.0, 1000.0)] {
            let found = all.quantile_ms(share).unwrap();
            assert!((found / ms - 1.0).abs() < 0.2, "{share}: {found} ms");
        }
        assert_eq!(Latencies::default().quantile_ms(0.99), None);
    }

    #[test]
    fn they_are_the_same_once_written_and_read() {
        let all: Latencies = [10, 10, 300, 4_000_000].map(Duration::from_micros).into_iter().collect();

        assert_eq!(Latencies::of_filled(all.filled()), all);
        assert_eq!(Latencies::of_filled(vec![(7000, 1)]), Latencies::default());
    }

    #[test]
    fn what_is_added_and_taken_away_again_is_what_was() {
        let one: Latencies = [Duration::from_millis(3)].into_iter().collect();
        let mut both = one.clone();
        both.add(&[Duration::from_millis(80)].into_iter().collect());

        assert_eq!(both.count(), 2);
        assert_eq!(both.since(&one).count(), 1);
        assert!(both.since(&one).quantile_ms(0.5).unwrap() > 70.0);
    }
}
