//! Each second, what has changed since the last: an increment of level 0.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::listing::Listing;
use super::ltx::{Decoder, Encoder, Header, lock_page};
use super::merge::Counted;
use super::owner::{Attempt, Head, Mark, Record, Refusal, inode};
use super::place::{Held, Place};
use super::spool::Spool;
use super::status::Status;
use super::txid::{LtxFile, LtxName, SNAPSHOTS, Txid};
use crate::platform::clock::Time;
use crate::platform::db::{Changes, Database, Increment, Reader};
use crate::platform::error::Error;
use crate::platform::metering::{self, Ticket};

/// A place that can't be written to is tried at least so often.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Somebody else may have taken over; looked at so often.
const LOOK: Duration = Duration::from_secs(60);

/// What both threads of a replica work on.
pub(super) struct Shared {
    pub database: Database,
    pub changes: Arc<Changes>,
    pub place: Arc<dyn Place>,
    pub listing: Mutex<Listing>,
    pub status: Status,
    /// A snapshot is due: the next increment hands over its state.
    pub snapshot_wanted: AtomicBool,
    /// Long work ends early.
    pub stopping: AtomicBool,
}

/// One state of the database, open to be read, that is TXID `txid` of the replica.
pub(super) struct Fixed {
    pub reader: Reader,
    pub pages: u32,
    pub txid: Txid,
    pub timestamp: Time,
}

/// The thread that writes level 0.
pub(super) struct Sync {
    shared: Arc<Shared>,
    reader: Reader,
    record: Record,
    mark: Mark,
    head: Txid,
    /// Until there is one beyond this, a restart wants one again.
    needs_snapshot_after: Option<Txid>,
    /// Timestamps never go back, whatever the clock does: a restore by time goes by them.
    last: Time,
    looked: Instant,
    snapshots: SyncSender<Fixed>,
    held: Box<dyn Held>,
}

impl Shared {
    pub fn listing(&self) -> MutexGuard<'_, Listing> {
        self.listing.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Looks now and then whether the server stops.
    ///
    /// # Errors
    /// [`io::ErrorKind::Interrupted`] if it does.
    pub fn must_go_on(&self, number: u32) -> io::Result<()> {
        if number.is_multiple_of(1024) && self.stopping.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        Ok(())
    }

    /// Nothing is replicated any more; nothing is held back for it.
    pub fn give_up(&self, why: &str) {
        self.status.refused(why);
        if let Err(error) = self.changes.stop() {
            tracing::debug!(%error, "stopping");
        }
    }

    /// A file has come.
    pub fn added(&self, file: LtxFile) {
        let mut listing = self.listing();
        listing.add(file);
        self.status.holds(&listing);
    }
}

impl Sync {
    /// Makes sure that the replica is ours, and finds out up to where it goes.
    pub fn begin(
        shared: &Arc<Shared>,
        mut record: Record,
        epoch: i64,
        snapshots: SyncSender<Fixed>,
    ) -> Result<Sync, Refusal> {
        let place = &*shared.place;
        let unit = shared.database.unit().id;
        let held = place.lock()?;
        let held = held.ok_or_else(|| Refusal::Never(format!("another process writes to {} now", place.shown())))?;
        let listing = Listing::read(place)?;
        if record.head.is_some() && listing.is_empty() && Mark::read(place)?.is_none() {
            return Err(Refusal::NotNow(io::Error::new(
                io::ErrorKind::NotFound,
                "nothing of what this unit has written is there: mount the disk; if it was removed on purpose, remove \
                 replica.json in the unit's folder and restart the server",
            )));
        }
        let mark = Mark::new(unit, epoch, record.instance, shared.database.clock().now());
        mark.claim(place, &listing, &shared.database)?;
        let there = listing.head().copied();
        let head = there.map_or(Txid(0), |file| file.name.max);
        let last = there.map_or(Time::from_ms(0), |file| file.timestamp);
        let is_ours = match (&record.head, record.attempt) {
            (Some(ours), _) if ours.txid == head => true,
            // Killed between the two.
            (Some(_), Some(attempt)) if attempt.txid == head => match is_at(place, attempt) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => false,
                is_at => is_at?,
            },
            _ => false,
        };
        if !is_ours {
            shared.changes.all_changed();
            record.head = None;
        }
        let reader = shared.database.page_reader().map_err(internal)?;
        // Pages of another size can't be put over those that are there: only a snapshot leads on from them.
        let needs_snapshot_after = record.head.is_none_or(|head| head.page_size != reader.page_size).then_some(head);
        if needs_snapshot_after.is_some() {
            shared.snapshot_wanted.store(true, Ordering::Relaxed);
        }
        shared.status.holds(&listing);
        *shared.listing() = listing;
        let looked = Instant::now();
        let shared = shared.clone();
        Ok(Sync { shared, reader, record, mark, head, needs_snapshot_after, last, looked, snapshots, held })
    }

    /// Replicates at each `interval` until it is told to stop, and once more then.
    pub fn run(mut self, interval: Duration, stop: &Receiver<()>) -> Result<Record, Refusal> {
        let mut failures = 0;
        loop {
            let start = Instant::now();
            match metering::long(Ticket::of(metering::background("replica")), || self.once()) {
                Ok(()) => {
                    failures = 0;
                    self.shared.status.is_current(start);
                }
                Err(Refusal::NotNow(error)) => {
                    failures += 1;
                    self.shared.status.failed(&error.to_string());
                }
                Err(never) => return Err(never),
            }
            match stop.recv_timeout(pause(interval, failures).saturating_sub(start.elapsed())) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => {
                    return match self.once() {
                        Ok(()) => Ok(self.record),
                        Err(Refusal::NotNow(error)) => {
                            tracing::warn!(%error, "the last changes are not in the replica; the next start brings them");
                            Ok(self.record)
                        }
                        Err(never) => Err(never),
                    };
                }
            }
        }
    }

    fn once(&mut self) -> Result<(), Refusal> {
        self.must_be_ours()?;
        self.find_out()?;
        let wants_snapshot = self.shared.snapshot_wanted.load(Ordering::Relaxed);
        let increment = self.shared.changes.take(&self.reader, wants_snapshot).map_err(internal)?;
        let pages = match self.increment(&increment, wants_snapshot) {
            Ok(pages) => pages,
            Err(error) => {
                self.reader.end();
                self.shared.changes.give_back(increment);
                return Err(error);
            }
        };
        if let Some(pages) = pages.filter(|_| wants_snapshot && self.head > Txid(0)) {
            self.hand_over(pages)?;
        }
        self.reader.end();
        Ok(())
    }

    fn must_be_ours(&mut self) -> Result<(), Refusal> {
        let path = self.shared.database.folder().database();
        if inode(&path)? != self.record.inode() {
            return Err(Refusal::Never(format!(
                "{} was replaced while the server runs: stop it, and start",
                path.display()
            )));
        }
        if self.shared.changes.is_stopped() {
            return Err(Refusal::Never("a fault of this program ended it; the log has more".into()));
        }
        self.held.must_be_there()?;
        if self.looked.elapsed() > LOOK {
            self.mark.must_hold(&*self.shared.place)?;
            self.looked = Instant::now();
        }
        Ok(())
    }

    /// Writes what has changed, if anything has; returns how many pages the state has that the reader is on, if it is
    /// still to be `held`.
    fn increment(&mut self, increment: &Increment, held: bool) -> Result<Option<u32>, Refusal> {
        if !increment.begun {
            return Ok(None);
        }
        let pages = self.reader.pages().map_err(internal)?;
        if increment.is_empty() {
            return Ok(Some(pages));
        }
        self.shared.status.writes();
        let mut changed = increment.pages.clone();
        let known = self.record.head.map_or(pages, |head| head.pages);
        // Pages that were added but never written are in no frame.
        let first_new = if increment.whole { 1 } else { known + 1 };
        (first_new..=pages).for_each(|page| changed.add(page));
        let numbers =
            changed.iter().filter(|page| (1..=pages).contains(page) && *page != lock_page(self.reader.page_size));

        let txid = self.head.next();
        self.last = self.last.max(self.shared.database.clock().now());
        let name = LtxName::new(0, txid, txid);
        let encoded = encode(&self.shared, &self.reader, name, (pages, self.last), numbers)?;
        if !held {
            self.reader.end();
        }
        let attempt = Attempt { txid, checksum: encoded.checksum };
        let bytes = encoded.bytes;
        self.record.attempt = Some(attempt);
        self.save()?;
        encoded.content.send()?;
        self.head = txid;
        self.shared.added(LtxFile { name, timestamp: self.last, bytes });
        let page_size = if self.has_snapshot() { self.reader.page_size } else { 0 };
        self.record.head = Some(Head { txid, page_size, pages, position: increment.position });
        self.record.attempt = None;
        self.save()?;
        Ok(Some(pages))
    }

    /// Whether there is a snapshot with pages of the size that they have now.
    fn has_snapshot(&self) -> bool {
        let last = self.shared.listing().last(SNAPSHOTS).map(|file| file.name.max);
        self.needs_snapshot_after.is_none_or(|txid| last.is_some_and(|last| last > txid))
    }

    /// Where the last try failed: what became of it? An answer can be lost on the way, and then the increment is there; it
    /// must not be written over, since others may have read it. What is there and not ours is another writer's.
    fn find_out(&mut self) -> Result<(), Refusal> {
        let Some(attempt) = self.record.attempt.filter(|attempt| attempt.txid > self.head) else { return Ok(()) };
        let (place, name) = (&*self.shared.place, LtxName::new(0, attempt.txid, attempt.txid));
        match is_at(place, attempt) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) if e.kind() != io::ErrorKind::InvalidData => return Err(e.into()),
            Ok(true) => {}
            Ok(false) | Err(_) => {
                return Err(Refusal::Never(format!(
                    "another process writes to {} ({name} is not ours): stop that one, and start again",
                    place.shown()
                )));
            }
        }
        // What it holds is in the next one once more: its pages were given back.
        let there = Listing::read(place)?;
        let mut listing = self.shared.listing();
        listing.add_all(there);
        self.shared.status.holds(&listing);
        drop(listing);
        self.head = attempt.txid;
        Ok(())
    }

    /// Lets the other thread make a snapshot of the state the reader is on, if it is not busy with one.
    fn hand_over(&mut self, pages: u32) -> Result<(), Refusal> {
        let reader = self.shared.database.page_reader().map_err(internal)?;
        let reader = std::mem::replace(&mut self.reader, reader);
        let fixed = Fixed { reader, pages, txid: self.head, timestamp: self.last };
        if self.snapshots.try_send(fixed).is_ok() {
            self.shared.snapshot_wanted.store(false, Ordering::Relaxed);
        }
        Ok(())
    }

    fn save(&self) -> io::Result<()> {
        let saved = self.record.save(&self.shared.database.folder().database());
        saved.map_err(|e| io::Error::new(e.kind(), format!("writing the replica's record in the unit's folder: {e}")))
    }
}

/// How long to wait after so many failures in a row: to encode everything again each second would be a load of its own.
pub(super) fn pause(interval: Duration, failures: u32) -> Duration {
    interval.saturating_mul(2_u32.saturating_pow(failures.min(16))).min(interval.max(LONGEST_PAUSE))
}

/// A file that is complete but does not lie in the replica under its name.
struct Encoded {
    content: Spool,
    checksum: u64,
    bytes: u64,
}

/// Encodes the pages `numbers` of the state that `reader` is on, which has so many pages and that time.
fn encode(
    shared: &Shared,
    reader: &Reader,
    name: LtxName,
    (pages, timestamp): (u32, Time),
    numbers: impl Iterator<Item = u32>,
) -> Result<Encoded, Refusal> {
    let header = Header { page_size: reader.page_size, pages, min: name.min, max: name.max, timestamp };
    let mut content = Spool::new(shared.place.clone(), name, timestamp, shared.database.folder());
    let mut encoder = Encoder::new(Counted { to: &mut content, bytes: 0 }, header)?;
    let each = |number, page: &[u8]| {
        shared.must_go_on(number)?;
        encoder.page(number, page)
    };
    reader.read(numbers, each).map_err(internal)?;
    let (checksum, Counted { bytes, .. }) = encoder.finish()?;
    Ok(Encoded { content, checksum, bytes })
}

/// Writes the snapshot of a state.
pub(super) fn snapshot(shared: &Shared, fixed: &Fixed) -> Result<LtxFile, Refusal> {
    let name = LtxName::new(SNAPSHOTS, Txid(1), fixed.txid);
    let numbers = (1..=fixed.pages).filter(|page| *page != lock_page(fixed.reader.page_size));
    let encoded = encode(shared, &fixed.reader, name, (fixed.pages, fixed.timestamp), numbers)?;
    fixed.reader.end();
    let bytes = encoded.bytes;
    match encoded.content.send() {
        // Only the same state has this name.
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e.into()),
        _ => Ok(LtxFile { name, timestamp: fixed.timestamp, bytes }),
    }
}

/// Whether the increment lies there that was about to be written.
fn is_at(place: &dyn Place, attempt: Attempt) -> io::Result<bool> {
    let mut decoder = Decoder::new(place.open(LtxName::new(0, attempt.txid, attempt.txid))?)?;
    let mut page = Vec::new();
    while decoder.next(&mut page)?.is_some() {}
    Ok(decoder.checksum() == Some(attempt.checksum))
}

fn internal(error: Error) -> Refusal {
    let kind = match error {
        Error::DiskFull => io::ErrorKind::StorageFull,
        _ => io::ErrorKind::Other,
    };
    Refusal::NotNow(io::Error::new(kind, error.to_string()))
}
