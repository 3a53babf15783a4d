//! Beside the increments: snapshots, merged levels, and what is kept.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::listing::{Listing, Until};
use super::merge::merge;
use super::owner::Refusal;
use super::sync::{Fixed, Shared, snapshot};
use super::txid::{LtxFile, LtxName, SNAPSHOTS, Txid};
use crate::platform::clock::Time;

/// So many files are merged at once, each with a stream of its own.
const MOST_INPUTS: usize = 128;

/// A bucket asks money for each look at it.
const FAR: u32 = 60;

/// How often what is done. The defaults are Litestream's, but for how long states are kept.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    /// Between two increments.
    pub interval: Duration,
    /// Between two merges into level 1, 2, 3.
    pub merges: [Duration; 3],
    /// Between two snapshots.
    pub snapshot: Duration,
    /// Increments stay so long, even where they are merged.
    pub keep_increments: Duration,
    /// Every state of the last so long can be restored, as finely as the merged levels tell them apart.
    pub keep: Duration,
    /// Between two looks whether all files still lie there; for a bucket 60 times as long.
    pub look: Duration,
}

impl Default for Schedule {
    fn default() -> Self {
        const MINUTE: u64 = 60;
        const DAY: u64 = 24 * 60 * MINUTE;
        Schedule {
            interval: Duration::from_secs(1),
            merges: [30, 5 * MINUTE, 60 * MINUTE].map(Duration::from_secs),
            snapshot: Duration::from_secs(DAY),
            keep_increments: Duration::from_secs(5 * MINUTE),
            keep: Duration::from_secs(7 * DAY),
            look: Duration::from_secs(MINUTE),
        }
    }
}

/// The thread that looks after what lies there.
pub(super) struct Upkeep {
    pub shared: Arc<Shared>,
    pub schedule: Schedule,
    merged_at: [Instant; 3],
    looked_at: Instant,
    /// A file that goes into this level is damaged: it is stepped over once there is a snapshot beyond it.
    broken: [bool; 3],
}

impl Upkeep {
    pub fn new(shared: Arc<Shared>, schedule: Schedule) -> Upkeep {
        Upkeep { shared, schedule, merged_at: [Instant::now(); 3], looked_at: Instant::now(), broken: [false; 3] }
    }

    /// Runs until nobody hands over states any more, or the server stops.
    pub fn run(mut self, states: &Receiver<Fixed>) {
        let pause = self.schedule.merges[0].min(Duration::from_secs(1));
        while !self.shared.stopping.load(Ordering::Relaxed) {
            let done = match states.recv_timeout(pause) {
                Ok(fixed) => match snapshot(&self.shared, &fixed) {
                    Ok(file) => {
                        self.shared.added(file);
                        self.look();
                        Ok(())
                    }
                    Err(error) => {
                        self.want_snapshot();
                        Err(error)
                    }
                },
                Err(RecvTimeoutError::Timeout) => self.round().map_err(Refusal::from),
                Err(RecvTimeoutError::Disconnected) => return,
            };
            match done {
                Err(_) if self.shared.stopping.load(Ordering::Relaxed) => {}
                Err(Refusal::NotNow(error)) => self.failed(&error.to_string()),
                Err(Refusal::Never(why)) => self.failed(&why),
                Ok(()) => {}
            }
        }
    }

    fn failed(&self, why: &str) {
        tracing::warn!(why, "a snapshot, merge or clean-up of the replica failed; it is tried again");
        metrics::counter!("ashlar_replica_upkeep_failures_total").increment(1);
    }

    fn now(&self) -> Time {
        self.shared.database.clock().now()
    }

    fn round(&mut self) -> std::io::Result<()> {
        if is_snapshot_due(&self.shared.listing(), before(self.now(), self.schedule.snapshot)) {
            self.want_snapshot();
        }
        let look = if self.shared.place.is_far() { self.schedule.look * FAR } else { self.schedule.look };
        if self.looked_at.elapsed() > look {
            self.find_missing()?;
        }
        for i in 0..self.merged_at.len() {
            if self.merged_at[i].elapsed() >= self.schedule.merges[i] {
                self.merged_at[i] = Instant::now();
                self.merge_into(i)?;
                if i == 0 {
                    self.remove_expired()?;
                }
            }
        }
        Ok(())
    }

    fn want_snapshot(&self) {
        self.shared.snapshot_wanted.store(true, Ordering::Relaxed);
    }

    /// Finds out whether somebody has removed files: the listing in memory would never know.
    fn find_missing(&mut self) -> std::io::Result<()> {
        let known = self.shared.listing().clone();
        let there = Listing::read(&*self.shared.place).inspect_err(|error| {
            // Nobody knows then whether it could be restored; the next round looks again.
            self.shared.status.damaged(Some(format!("what lies there can't be listed: {error}")));
        })?;
        self.looked_at = Instant::now();
        let mut listing = self.shared.listing();
        known.names().filter(|name| !there.has(*name)).for_each(|name| listing.remove(name));
        self.shared.status.holds(&listing);
        drop(listing);
        self.look();
        Ok(())
    }

    /// Whether what lies there leads to the newest state; if not, a snapshot will.
    fn look(&self) {
        let listing = self.shared.listing();
        let why = listing.plan(Until::End).err().map(|error| error.to_string());
        let snapshot = listing.last(SNAPSHOTS).map(|file| file.name.max);
        let is_open = |level: u8| snapshot <= listing.last(level).map(|file| file.name.max);
        let is_damaged = (1..).zip(self.broken).any(|(level, broken)| broken && is_open(level));
        drop(listing);
        if why.is_some() || is_damaged {
            self.want_snapshot();
        }
        if !is_damaged {
            self.shared.status.damaged(why);
        }
    }

    fn merge_into(&mut self, i: usize) -> std::io::Result<()> {
        let level = i as u8 + 1;
        loop {
            let inputs = to_merge(&self.shared.listing(), level, self.broken[i]);
            if inputs.is_empty() {
                return Ok(());
            }
            match merge(&self.shared, &inputs, level) {
                Ok(file) => {
                    self.broken[i] = false;
                    self.shared.added(file);
                }
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                    // Its listing was old; it lies there.
                    let there = Listing::read(&*self.shared.place)?;
                    self.shared.listing().add_all(there);
                    return Ok(());
                }
                Err(e) => {
                    // A damaged file never becomes whole: a new snapshot makes it needless.
                    if matches!(e.kind(), ErrorKind::InvalidData | ErrorKind::NotFound) && !self.broken[i] {
                        self.broken[i] = true;
                        self.want_snapshot();
                        self.shared.status.damaged(Some(e.to_string()));
                    }
                    return Err(e);
                }
            }
        }
    }

    fn remove_expired(&self) -> std::io::Result<()> {
        let gone = expired(&self.shared.listing(), self.now(), &self.schedule);
        if gone.is_empty() {
            return Ok(());
        }
        self.shared.place.remove(&gone)?;
        let mut listing = self.shared.listing();
        gone.iter().for_each(|name| listing.remove(*name));
        self.shared.status.holds(&listing);
        Ok(())
    }
}

/// Whether the last snapshot is from before `then`, and there is anything new since.
fn is_snapshot_due(listing: &Listing, then: Time) -> bool {
    let head = listing.head().map(|file| file.name.max);
    listing.last(SNAPSHOTS).is_none_or(|last| last.timestamp < then && Some(last.name.max) != head)
}

/// What follows, one level below, upon the newest file of `level`.
fn to_merge(listing: &Listing, level: u8, broken: bool) -> Vec<LtxFile> {
    let reached = match listing.last(level) {
        Some(last) => last.name.max,
        // The replica's first increment holds all pages, and so does the snapshot that was made of it.
        None => listing.level(SNAPSHOTS).next().map_or(Txid(0), |first| first.name.max),
    };
    let snapshot = listing.last(SNAPSHOTS).map_or(Txid(0), |file| file.name.max);
    let reached = if broken { reached.max(snapshot) } else { reached };
    listing.level(level - 1).filter(|file| file.name.min > reached).take(MOST_INPUTS).copied().collect()
}

/// What no state that is kept needs any more.
fn expired(listing: &Listing, now: Time, schedule: &Schedule) -> Vec<LtxName> {
    let horizon = before(now, schedule.keep);
    // The states since the horizon begin with the last snapshot before it.
    let base = listing.level(SNAPSHOTS).rfind(|file| file.timestamp <= horizon).map_or(Txid(0), |file| file.name.max);
    let merged = listing.last(1).map_or(Txid(0), |file| file.name.max).max(base);
    let newest = listing.last(0).map(|file| file.name);
    let increments_end = before(now, schedule.keep_increments);
    let mut gone = Vec::new();
    for file in (0..=SNAPSHOTS).flat_map(|level| listing.level(level)) {
        let is_gone = match file.name.level {
            // Whoever takes over begins with the newest.
            0 => file.name.max <= merged && file.timestamp < increments_end && Some(file.name) != newest,
            SNAPSHOTS => file.name.max < base,
            _ => file.name.max <= base,
        };
        if is_gone {
            gone.push(file.name);
        }
    }
    gone
}

fn before(now: Time, duration: Duration) -> Time {
    now.plus_seconds(-i64::try_from(duration.as_secs()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3600;

    /// Files by level, range and age in seconds.
    fn listing(files: &[(u8, u64, u64, i64)]) -> Listing {
        let mut listing = Listing::default();
        for &(level, min, max, age) in files {
            let name = LtxName::new(level, Txid(min), Txid(max));
            listing.add(LtxFile { name, timestamp: now().plus_seconds(-age), bytes: 1 });
        }
        listing
    }

    fn now() -> Time {
        Time::from_ms(1_800_000_000_000)
    }

    fn gone(files: &[(u8, u64, u64, i64)]) -> Vec<(u8, u64)> {
        let schedule = Schedule { keep: Duration::from_secs(24 * 3600), ..Schedule::default() };
        expired(&listing(files), now(), &schedule).iter().map(|name| (name.level, name.max.0)).collect()
    }

    #[test]
    fn increments_go_once_they_are_merged_and_old_but_for_the_newest() {
        let files = [(9, 1, 1, HOUR), (1, 2, 3, 400), (0, 1, 1, HOUR), (0, 2, 2, 500), (0, 3, 3, 400), (0, 4, 4, 390)];
        assert_eq!(gone(&files), [(0, 1), (0, 2), (0, 3)]);
        // Merged, but a moment ago.
        assert_eq!(gone(&[(9, 1, 1, HOUR), (1, 2, 3, 100), (0, 2, 2, 200), (0, 3, 3, 100)]), []);
        // All is merged: whoever takes over begins with the newest.
        assert_eq!(gone(&[(9, 1, 1, HOUR), (1, 2, 3, 400), (0, 2, 2, 500), (0, 3, 3, 400)]), [(0, 2)]);
    }

    #[test]
    fn what_leads_to_a_state_that_is_kept_stays() {
        let day = 24 * HOUR;
        let files = [
            (9, 1, 10, 3 * day),
            (3, 11, 20, 2 * day + HOUR),
            (9, 1, 20, 2 * day),
            (3, 21, 28, day + HOUR),
            (1, 29, 30, day + 60),
            (9, 1, 30, HOUR),
            (0, 31, 31, 60),
        ];
        // The states of the last day begin with the snapshot before it, and the steps from there.
        assert_eq!(gone(&files), [(3, 20), (9, 10)]);
        // Where no snapshot is older than that, nothing goes.
        assert_eq!(gone(&[(9, 1, 10, day - 1), (3, 2, 10, day - 1), (9, 1, 12, 5)]), []);
    }

    #[test]
    fn a_level_takes_what_follows_upon_its_newest_file() {
        let merged = |files: &[(u8, u64, u64, i64)], broken| -> Vec<u64> {
            to_merge(&listing(files), 1, broken).iter().map(|file| file.name.max.0).collect()
        };
        // The first snapshot holds what the first increment holds.
        assert_eq!(merged(&[(9, 1, 1, 9), (0, 1, 1, 9), (0, 2, 2, 8), (0, 3, 3, 7)], false), [2, 3]);
        assert_eq!(merged(&[(0, 1, 1, 9), (0, 2, 2, 8)], false), [1, 2]);
        assert_eq!(merged(&[(9, 1, 1, 9), (1, 2, 2, 8), (0, 2, 2, 8), (0, 3, 3, 7)], false), [3]);
        // What is damaged is stepped over once there is a snapshot beyond it, and not before.
        let files = [(9, 1, 1, 9), (1, 2, 2, 8), (0, 3, 3, 8), (0, 4, 4, 7)];
        assert_eq!(merged(&files, true), [3, 4]);
        assert_eq!(merged(&[&files[..], &[(9, 1, 4, 6), (0, 5, 5, 5)]].concat(), true), [5]);
    }
}
