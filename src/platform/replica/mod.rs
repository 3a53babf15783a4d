//! The replica: every change of the database, at another place, within a second, in Litestream's format.
//!
//! Each interval, what has changed becomes a file of level 0, an increment with the next TXID (`sync`). Beside that,
//! increments are merged into fewer and larger files, snapshots are made, and what is too old goes (`upkeep`). To restore
//! a state is to take the last snapshot before it and the files that lead from there (`listing`, `restore`). One process
//! writes to a replica (`owner`).
//!
//! Which pages have changed says [`Changes`](super::db::Changes), so that the cost follows the changes. While the place
//! can't be reached, their numbers are remembered and nothing else: that takes no disk, and the first increment after it
//! brings them all.

mod folder;
mod listing;
pub mod ltx;
mod lz4;
mod merge;
mod owner;
pub mod place;
mod restore;
mod s3;
mod spool;
mod status;
mod sync;
pub mod txid;
mod upkeep;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use listing::{Listing, Until};
pub use owner::Mark;
pub use place::{Place, at, at_with};
pub use restore::{State as Restored, restore};
pub use status::{Head, Report, State};
pub use txid::{LtxFile, SNAPSHOTS, Txid};
pub use upkeep::Schedule;

use super::db::{self, Database, Follower};
use super::error::{Error, Result};
use owner::{Record, Refusal};
use status::Status;
use sync::{Shared, Sync};
use upkeep::Upkeep;

/// A place that can't be reached is asked again after twice as long, and longer after each failure.
const RETRY: Duration = Duration::from_millis(500);

/// How long a stop waits for a place that may hang.
const LAST_CHANGES: Duration = Duration::from_secs(10);

/// A replica that was asked for, before the database is open.
pub struct Planned {
    url: String,
    place: Arc<dyn Place>,
    /// None where there is no database yet.
    record: Option<Record>,
}

/// The replica of an open database, kept by two threads.
pub struct Replica {
    shared: Arc<Shared>,
    stop: Sender<()>,
    threads: Mutex<Option<Threads>>,
}

struct Threads {
    /// Ends with up to where it has replicated, if it could.
    sync: JoinHandle<Option<Record>>,
    upkeep: JoinHandle<()>,
}

impl Planned {
    /// The replica at `url` of the database file `database`.
    ///
    /// # Errors
    /// If `url` names no place. Whether it can be reached shows later.
    pub fn new(url: &str, database: &Path) -> Result<Planned> {
        let record = if database.exists() { Some(Record::read(database, url)?) } else { None };
        Ok(Planned { url: url.to_owned(), place: place::at(url)?, record })
    }

    /// How the database must be opened for it.
    pub fn follower(&self) -> Follower {
        Follower::Ours { since: self.record.as_ref().and_then(Record::position) }
    }
}

impl Replica {
    /// Begins to replicate `database`, which was opened for it.
    pub fn start(planned: Planned, database: &Database, schedule: Schedule) -> Result<Replica> {
        let changes = database.changes().cloned();
        let changes = changes.ok_or_else(|| Error::Internal("the database was not opened for a replica".into()))?;
        let epoch = database.read_blocking("replica", db::epoch)?;
        let record = match planned.record {
            Some(record) => record,
            None => Record::read(&database.folder().database(), &planned.url)?,
        };
        let shared = Arc::new(Shared {
            database: database.clone(),
            changes,
            status: Status::new(planned.place.shown()),
            place: planned.place,
            listing: Mutex::default(),
            snapshot_wanted: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
        });
        let (stop, stopped) = channel();
        // Without room: a state that waits for its turn would hold the WAL.
        let (give, states) = sync_channel(0);
        let upkeep = Upkeep::new(shared.clone(), schedule);
        let upkeep = spawn("replica-upkeep", shared.clone(), move || upkeep.run(&states))?;
        let it = shared.clone();
        let sync = spawn("replica", shared.clone(), move || replicate(&it, record, epoch, schedule, give, &stopped))?;
        Ok(Replica { shared, stop, threads: Mutex::new(Some(Threads { sync, upkeep })) })
    }

    /// How it is.
    pub fn report(&self) -> Report {
        self.shared.status.report()
    }

    /// Publishes its figures, and warns where it lags. Call it every few seconds.
    pub fn watch(&self) {
        self.shared.status.watch();
    }

    pub fn place(&self) -> &dyn Place {
        &*self.shared.place
    }

    /// Brings the last changes to the replica, then closes the database.
    pub fn close(&self) {
        let threads = self.threads.lock().unwrap_or_else(|e| e.into_inner()).take();
        let Some(Threads { sync, upkeep }) = threads else { return };
        self.stop.send(()).ok(); // It has ended by itself where it was refused.
        // A place that hangs must not keep the server from stopping.
        let record = joined(sync, LAST_CHANGES).flatten();
        self.shared.stopping.store(true, Ordering::Relaxed);
        joined(upkeep, LAST_CHANGES);
        self.shared.database.close();
        self.shared.status.stopped();
        if let Some(mut record) = record
            && let Some(head) = &mut record.head
            && let Some(position) = self.shared.changes.position_when_closed()
        {
            head.position = Some(position);
            if let Err(error) = record.save(&self.shared.database.folder().database()) {
                tracing::warn!(%error, "the replica's record can't be written; the next start copies the whole database");
            }
        }
    }
}

/// What the thread ends with; none if that takes longer than `patience`, or if it panicked, which was reported there.
fn joined<T>(thread: JoinHandle<T>, patience: Duration) -> Option<T> {
    let start = Instant::now();
    while !thread.is_finished() {
        if start.elapsed() > patience {
            tracing::warn!("the replica's place does not answer; what it lacks, the next start brings");
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    thread.join().ok()
}

/// Waits until the replica is ours, then keeps it until `stop`.
fn replicate(
    shared: &Arc<Shared>,
    record: Record,
    epoch: i64,
    schedule: Schedule,
    snapshots: std::sync::mpsc::SyncSender<sync::Fixed>,
    stop: &Receiver<()>,
) -> Option<Record> {
    let mut failures = 0;
    let refused = loop {
        match Sync::begin(shared, record.clone(), epoch, snapshots.clone()) {
            Ok(sync) => match sync.run(schedule.interval, stop) {
                Ok(record) => return Some(record),
                Err(refusal) => break refusal,
            },
            Err(Refusal::NotNow(error)) => shared.status.failed(&error.to_string()),
            Err(never) => break never,
        }
        failures += 1;
        if !matches!(stop.recv_timeout(sync::pause(RETRY, failures)), Err(RecvTimeoutError::Timeout)) {
            return None;
        }
    };
    if let Refusal::Never(why) = refused {
        shared.give_up(&why);
    }
    None
}

/// A thread whose panic is told, since nobody waits for it.
fn spawn<T: Send + 'static>(
    name: &str,
    shared: Arc<Shared>,
    body: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>> {
    let guarded = move || {
        catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
            shared.give_up("a fault of this program ended it; the log has more");
            std::panic::resume_unwind(panic)
        })
    };
    let spawned = std::thread::Builder::new().name(name.into()).spawn(guarded);
    spawned.map_err(|e| Error::internal("starting the replica", e))
}
