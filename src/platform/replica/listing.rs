//! What lies in a replica, and which of its files make up a state.

use std::collections::BTreeMap;
use std::io;

use super::place::Place;
use super::txid::{LtxFile, LtxName, SNAPSHOTS, Txid};
use crate::platform::clock::Time;
use crate::platform::error::{Error, Result};

/// The files of a replica.
#[derive(Debug, Default, Clone)]
pub struct Listing {
    files: BTreeMap<LtxName, LtxFile>,
}

/// Which state of the database is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// The newest there is.
    End,
    Txid(Txid),
    /// The last one that was taken no later than this.
    Time(Time),
}

impl Listing {
    pub fn read(place: &dyn Place) -> io::Result<Listing> {
        let mut files = BTreeMap::new();
        for level in 0..=SNAPSHOTS {
            files.extend(place.list(level)?.into_iter().map(|file| (file.name, file)));
        }
        Ok(Listing { files })
    }

    pub fn add(&mut self, file: LtxFile) {
        self.files.insert(file.name, file);
    }

    pub fn add_all(&mut self, others: Listing) {
        self.files.extend(others.files);
    }

    pub fn remove(&mut self, name: LtxName) {
        self.files.remove(&name);
    }

    pub fn names(&self) -> impl Iterator<Item = LtxName> {
        self.files.keys().copied()
    }

    pub fn has(&self, name: LtxName) -> bool {
        self.files.contains_key(&name)
    }

    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// The files of one level, in order.
    pub fn level(&self, level: u8) -> impl DoubleEndedIterator<Item = &LtxFile> {
        let first = LtxName::new(level, Txid(0), Txid(0));
        self.files.range(first..LtxName::new(level + 1, Txid(0), Txid(0))).map(|(_, file)| file)
    }

    /// The newest file of a level.
    pub fn last(&self, level: u8) -> Option<&LtxFile> {
        self.level(level).max_by_key(|file| file.name.max)
    }

    /// The newest state.
    pub fn head(&self) -> Option<&LtxFile> {
        self.files.values().max_by_key(|file| (file.name.max, file.timestamp))
    }

    pub fn bytes(&self) -> u64 {
        self.files.values().map(|file| file.bytes).sum()
    }

    /// The files that make up a state, to be applied in this order: a snapshot first.
    ///
    /// # Errors
    /// If there is no such state, with the range of those that there are; if a file is missing on the way.
    pub fn plan(&self, until: Until) -> Result<Vec<LtxFile>> {
        let (Some(head), Some(oldest)) = (self.head(), self.oldest()) else {
            return Err(Error::Internal(match self.is_empty() {
                true => "there is no replica there: no file of any level was found".into(),
                false => "the replica has no snapshot to begin with: its first files are missing".into(),
            }));
        };
        let range = || {
            format!("it has TXID {} ({}) to {} ({})", oldest.name.max, oldest.timestamp, head.name.max, head.timestamp)
        };
        let none = |what: String| Err(Error::Internal(format!("the replica has no {what}: {}", range())));
        match until {
            Until::End => {}
            Until::Txid(txid) if (oldest.name.max..=head.name.max).contains(&txid) => {}
            Until::Txid(txid) => return none(format!("TXID {txid}")),
            Until::Time(time) if (oldest.timestamp..=head.timestamp).contains(&time) => {}
            Until::Time(time) => return none(format!("state of {time}")),
        }
        let is_wanted = |file: &LtxFile| match until {
            Until::End => true,
            Until::Txid(txid) => file.name.max <= txid,
            Until::Time(time) => file.timestamp <= time,
        };
        let chain = self.chain(is_wanted);
        let reached = chain.last().map_or(Txid(0), |file| file.name.max);
        let further = self.files.values().filter(|file| is_wanted(file) && file.name.max > reached);
        if let Some(beyond) = further.min_by_key(|file| file.name.min) {
            return Err(Error::Internal(format!(
                "the replica has a gap: nothing leads from TXID {reached} to {}; {}",
                beyond.name,
                range()
            )));
        }
        if let Until::Txid(txid) = until
            && reached != txid
        {
            return Err(Error::Internal(format!(
                "TXID {txid} was merged into a larger step; the nearest before it is {reached}"
            )));
        }
        Ok(chain)
    }

    /// The last snapshot that is wanted, then again and again the file that leads furthest.
    fn chain(&self, is_wanted: impl Fn(&LtxFile) -> bool) -> Vec<LtxFile> {
        let snapshots = self.level(SNAPSHOTS).filter(|file| is_wanted(file));
        let mut chain: Vec<LtxFile> = snapshots.max_by_key(|file| file.name.max).into_iter().copied().collect();
        let mut steps: Vec<&LtxFile> =
            self.files.values().filter(|file| file.name.level < SNAPSHOTS && is_wanted(file)).collect();
        steps.sort_by_key(|file| file.name.min);
        let mut steps = steps.into_iter().peekable();
        let mut reached = chain.last().map_or(Txid(0), |file| file.name.max);
        let mut furthest: Option<&LtxFile> = None;
        loop {
            while let Some(step) = steps.next_if(|step| step.name.min <= reached.next()) {
                // Of two that lead as far, the one of the higher level is one file where the lower has several.
                if furthest.is_none_or(|best| (best.name.max, best.name.level) < (step.name.max, step.name.level)) {
                    furthest = Some(step);
                }
            }
            match furthest.take_if(|step| step.name.max > reached) {
                Some(step) => {
                    reached = step.name.max;
                    chain.push(*step);
                }
                None => return chain,
            }
        }
    }

    /// The first state that can be restored.
    pub fn oldest(&self) -> Option<&LtxFile> {
        self.files.values().filter(|file| file.name.min == Txid(1)).min_by_key(|file| file.name.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(files: &[(u8, u64, u64, i64)]) -> Listing {
        let mut listing = Listing::default();
        for &(level, min, max, ms) in files {
            let name = LtxName::new(level, Txid(min), Txid(max));
            listing.add(LtxFile { name, timestamp: Time::from_ms(ms), bytes: 1 });
        }
        listing
    }

    fn plan(listing: &Listing, until: Until) -> Result<Vec<(u8, u64, u64)>, String> {
        let plan = listing.plan(until).map_err(|e| e.to_string())?;
        Ok(plan.iter().map(|f| (f.name.level, f.name.min.0, f.name.max.0)).collect())
    }

    #[test]
    fn the_furthest_steps_after_the_last_snapshot_are_taken() {
        let files = listing(&[
            (9, 1, 4, 40),
            (9, 1, 9, 90),
            (2, 2, 8, 80),
            (1, 5, 8, 80),
            (1, 9, 12, 120),
            (0, 12, 12, 120),
            (0, 13, 13, 130),
        ]);

        assert_eq!(plan(&files, Until::End), Ok(vec![(9, 1, 9), (1, 9, 12), (0, 13, 13)]));
        assert_eq!(plan(&files, Until::Txid(Txid(8))), Ok(vec![(9, 1, 4), (2, 2, 8)]));
        assert_eq!(plan(&files, Until::Time(Time::from_ms(125))), Ok(vec![(9, 1, 9), (1, 9, 12)]));
    }

    #[test]
    fn a_replica_that_began_with_an_increment_of_every_page_needs_no_snapshot() {
        let files = listing(&[(0, 1, 1, 10), (0, 2, 2, 20)]);

        assert_eq!(plan(&files, Until::End), Ok(vec![(0, 1, 1), (0, 2, 2)]));
    }

    #[test]
    fn what_is_not_there_is_refused_with_what_is() {
        let files = listing(&[(9, 1, 4, 40), (1, 5, 8, 80)]);

        for until in
            [Txid(3), Txid(9)].map(Until::Txid).into_iter().chain([39, 81].map(|ms| Until::Time(Time::from_ms(ms))))
        {
            let refused = plan(&files, until).unwrap_err();
            assert!(refused.contains("TXID 0000000000000004") && refused.contains("to 0000000000000008"), "{refused}");
        }
        let refused = plan(&files, Until::Txid(Txid(6))).unwrap_err();
        assert!(refused.contains("nearest before it is 0000000000000004"), "{refused}");
        assert!(plan(&Listing::default(), Until::End).unwrap_err().contains("no replica"));
        assert!(plan(&listing(&[(0, 5, 5, 1)]), Until::End).unwrap_err().contains("no snapshot"));
    }

    #[test]
    fn a_gap_is_refused_and_not_stepped_over() {
        let files = listing(&[(9, 1, 4, 40), (0, 5, 5, 50), (0, 7, 7, 70)]);

        assert!(plan(&files, Until::End).unwrap_err().contains("from TXID 0000000000000005"));
        assert!(plan(&files, Until::Txid(Txid(5))).is_ok());
    }
}
