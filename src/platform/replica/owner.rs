//! Whose replica it is: two copies of a unit must never share one.
//!
//! In the replica, beside the levels, a mark names the unit, how often it was restored (its epoch), and the instance
//! that writes: one folder of one machine. In the unit's folder, a record says up to where that instance has replicated.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::listing::{Listing, Until};
use super::place::Place;
use super::restore::restore;
use super::txid::Txid;
use crate::platform::clock::Time;
use crate::platform::db::{self, Database, Position};
use crate::platform::error::{Error, Result};
use crate::platform::files;

/// Beside the levels; Litestream ignores it.
const MARK: &str = "ashlar.json";
/// In the unit's folder: how far it is. It changes each second, and is not brought to the disk each time.
const RECORD: &str = "replica.json";
/// In the unit's folder: which instance this is. Written once; if it were lost, the replica would be refused.
const INSTANCE: &str = "replica-instance.json";

/// Who writes to a replica.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    pub unit: Uuid,
    pub epoch: i64,
    pub instance: Uuid,
    /// When this instance began, RFC 3339.
    pub since: String,
    /// The program and its version.
    pub program: String,
}

/// Up to where this instance has replicated.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    pub instance: Uuid,
    /// Of the database: a copy of the folder has another, and is another instance.
    inode: u64,
    /// The replica's address.
    pub replica: String,
    /// What lies there of ours; none before the first increment.
    pub head: Option<Head>,
    /// What may lie there: it was being written.
    pub attempt: Option<Attempt>,
}

/// The newest state that is safe.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Head {
    pub txid: Txid,
    /// In bytes; 0 as long as no snapshot has pages of this size, and where an older version of this program did not say.
    #[serde(default)]
    pub page_size: u32,
    /// The database's size in pages.
    pub pages: u32,
    /// Up to where its changes are in it.
    pub position: Option<Position>,
}

/// An increment that was about to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    pub txid: Txid,
    /// The file's, so that it can be told from somebody else's.
    pub checksum: u64,
}

/// Why a replica is not written to.
#[derive(Debug)]
pub enum Refusal {
    /// It can't be reached now, or fails: try again.
    NotNow(io::Error),
    /// It must not be.
    Never(String),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Refusal::NotNow(error)
    }
}

impl Record {
    /// What the folder of `database` says of `replica`; a new instance if it says nothing that holds.
    pub fn read(database: &Path, replica: &str) -> Result<Record> {
        let inode = inode(database).map_err(|e| Error::internal(&format!("looking at {}", database.display()), e))?;
        let path = Record::path(database);
        let kept = match std::fs::read(&path) {
            // One that was cut off by a loss of power says nothing.
            Ok(text) => serde_json::from_slice::<Record>(&text).ok(),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => return Err(Error::internal(&format!("reading {}", path.display()), e)),
        };
        let kept = kept.filter(|record| record.inode == inode && record.replica == replica);
        let instance = instance(database, inode)
            .map_err(|e| Error::internal(&format!("keeping {INSTANCE} beside {}", database.display()), e))?;
        let kept = kept.filter(|record| record.instance == instance);
        Ok(kept.unwrap_or(Record { instance, inode, replica: replica.into(), head: None, attempt: None }))
    }

    pub fn save(&self, database: &Path) -> io::Result<()> {
        let path = Record::path(database);
        let unfinished = files::unfinished(&path);
        // Not brought to the disk: after a loss of power an older one serves as well.
        std::fs::write(&unfinished, serde_json::to_vec_pretty(self)?)?;
        std::fs::rename(&unfinished, &path)
    }

    /// From where changes can be followed on.
    pub fn position(&self) -> Option<Position> {
        self.head.and_then(|head| head.position)
    }

    /// Of the database that this instance replicates.
    pub fn inode(&self) -> u64 {
        self.inode
    }

    fn path(database: &Path) -> PathBuf {
        database.with_file_name(RECORD)
    }
}

impl Mark {
    pub fn read(place: &dyn Place) -> io::Result<Option<Mark>> {
        let Some(text) = place.read_note(MARK)? else { return Ok(None) };
        let wrong = |e| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!(
                    "{MARK} there can't be understood ({e}): if the replica is this unit's, remove that file and restart the server"
                ),
            )
        };
        serde_json::from_slice(&text).map(Some).map_err(wrong)
    }

    pub fn write(&self, place: &dyn Place) -> io::Result<()> {
        place.write_note(MARK, &serde_json::to_vec_pretty(self)?)
    }

    pub fn new(unit: Uuid, epoch: i64, instance: Uuid, now: Time) -> Mark {
        let program = format!("ashlar {}", env!("CARGO_PKG_VERSION"));
        Mark { unit, epoch, instance, since: now.to_string(), program }
    }

    /// Makes this the mark of the replica, if it may be; true if it was its mark already.
    pub fn claim(&self, place: &dyn Place, listing: &Listing, database: &Database) -> Result<bool, Refusal> {
        let held = match Mark::read(place)? {
            Some(held) => held,
            None if listing.is_empty() => return Ok(self.write(place).map(|()| false)?),
            // A sidecar's, which leaves no mark: only the database in it says whose it is.
            None => {
                let (unit, epoch) = unit_in(place, database).map_err(io::Error::other)?;
                Mark { unit, epoch, ..self.clone() }
            }
        };
        let shown = place.shown();
        if held.unit != self.unit {
            return Err(Refusal::Never(format!(
                "{shown} is the replica of another unit ({}); set `replica` to a place of its own",
                held.unit
            )));
        }
        if held.epoch > self.epoch {
            return Err(Refusal::Never(format!(
                "{shown} has gone on with a copy of this unit that was restored after this one (epoch {}, this is {}); if this \
                 is the one to go on, let it take over with `ashlar replica take-over`, else set `replica` to a place of \
                 its own",
                held.epoch, self.epoch
            )));
        }
        if held.epoch == self.epoch && held.instance != self.instance {
            return Err(Refusal::Never(format!(
                "{shown} is written to by another copy of this unit (since {}); if that one is gone for good, let this one \
                 take over with `ashlar replica take-over`, else set `replica` to a place of its own",
                held.since
            )));
        }
        let was_ours = held == Mark { since: held.since.clone(), program: held.program.clone(), ..self.clone() };
        self.write(place)?;
        Ok(was_ours)
    }

    /// The epoch that the replica at `url` goes by, if it is one of `unit`; 0 if not.
    pub fn epoch_at(url: &str, unit: Uuid) -> Result<i64> {
        let place = super::at(url)?;
        let mark = Mark::read(&*place).map_err(|e| Error::internal(&format!("reading {}", place.shown()), e))?;
        Ok(mark.filter(|mark| mark.unit == unit).map_or(0, |mark| mark.epoch))
    }

    /// Whether the replica still is ours.
    pub fn must_hold(&self, place: &dyn Place) -> Result<(), Refusal> {
        match Mark::read(place)? {
            Some(mark) if (mark.unit, mark.epoch, mark.instance) == (self.unit, self.epoch, self.instance) => Ok(()),
            None => {
                let gone = format!("{MARK} is gone: bring it back, or restart the server");
                Err(io::Error::new(io::ErrorKind::NotFound, gone).into())
            }
            Some(_) => Err(Refusal::Never(format!("another copy of this unit has taken over {}", place.shown()))),
        }
    }
}

/// Which instance this is: a folder on one machine, told from a copy of it by the database's inode.
fn instance(database: &Path, inode: u64) -> io::Result<Uuid> {
    #[derive(Serialize, Deserialize)]
    struct Instance {
        instance: Uuid,
        inode: u64,
    }

    let path = database.with_file_name(INSTANCE);
    let kept = match std::fs::read(&path) {
        Ok(text) => serde_json::from_slice::<Instance>(&text).ok(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => return Err(e),
    };
    if let Some(kept) = kept.filter(|kept| kept.inode == inode) {
        return Ok(kept.instance);
    }
    let new = Instance { instance: Uuid::new_v4(), inode };
    let unfinished = files::unfinished(&path);
    std::fs::write(&unfinished, serde_json::to_vec_pretty(&new)?)?;
    files::put(&unfinished, &path)?;
    Ok(new.instance)
}

/// Which unit's database the replica holds, and its epoch.
fn unit_in(place: &dyn Place, database: &Database) -> Result<(Uuid, i64)> {
    let copy = files::unfinished(&database.folder().path().join("replica.db"));
    files::remove_database(&copy);
    restore(place, Until::End, &copy, &mut |_, _| {})?;
    let found = db::unit_of(&copy);
    files::remove_database(&copy);
    found
}

/// Which file it is; looks at its data about itself only, since opening it would drop SQLite's locks.
pub fn inode(path: &Path) -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    Ok(std::fs::metadata(path)?.ino())
}
