//! Beside the increments: snapshots, merged levels, and what is kept.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::listing::Listing;
use super::merge::merge;
use super::owner::Refusal;
use super::sync::{Fixed, Shared, snapshot};
use super::txid::{LtxFile, LtxName, SNAPSHOTS, Txid};
use crate::platform::clock::Time;

/// So many files are merged at once, each with a stream of its own.
const MOST_INPUTS: usize = 128;

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
        }
    }
}

/// The thread that looks after what lies there.
pub(super) struct Upkeep {
    pub shared: Arc<Shared>,
    pub schedule: Schedule,
    merged_at: [Instant; 3],
    /// A file that goes into this level is damaged: it is stepped over once there is a snapshot beyond it.
    broken: [bool; 3],
}

impl Upkeep {
    pub fn new(shared: Arc<Shared>, schedule: Schedule) -> Upkeep {
        Upkeep { shared, schedule, merged_at: [Instant::now(); 3], broken: [false; 3] }
    }

    /// Runs until nobody hands over states any more.
    pub fn run(mut self, states: &Receiver<Fixed>) {
        let pause = self.schedule.merges[0].min(Duration::from_secs(1));
        loop {
            let done = match states.recv_timeout(pause) {
                Ok(fixed) => snapshot(&self.shared, &fixed).map(|file| self.shared.added(file)),
                Err(RecvTimeoutError::Timeout) => self.round().map_err(Refusal::from),
                Err(RecvTimeoutError::Disconnected) => return,
            };
            match done {
                Err(Refusal::NotNow(e)) if e.kind() == ErrorKind::Interrupted => return,
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
        let newest = self.shared.listing().last(SNAPSHOTS).map(|file| file.timestamp);
        if newest.is_none_or(|newest| newest < before(self.now(), self.schedule.snapshot)) {
            self.shared.snapshot_wanted.store(true, Ordering::Relaxed);
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
                    let listing = Listing::read(&*self.shared.place)?;
                    *self.shared.listing() = listing;
                    return Ok(());
                }
                Err(e) => {
                    // A damaged file never becomes whole: a new snapshot makes it needless.
                    if matches!(e.kind(), ErrorKind::InvalidData | ErrorKind::NotFound) && !self.broken[i] {
                        self.broken[i] = true;
                        self.shared.snapshot_wanted.store(true, Ordering::Relaxed);
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
