//! Backup and restore: the whole unit as one file, made while the server runs.
//!
//! Owns `drills`.

mod check;
mod drills;
mod inspect;
mod keeper;
mod name;
mod pack;
mod restore;
mod retention;
mod settings;
mod shelf;
mod source;
mod sqlite;
mod unpack;

use std::cell::Cell;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use super::scratch::Scratch;
pub use check::{check_sha256, must_be_sound};
pub use drills::{Drill, Kind, last_drill, last_proof, proofs, record_drill};
pub use inspect::{Contents, inspect};
pub use keeper::{Failure, Keeper, Kept, Turn};
pub use name::Name;
pub use pack::{Packing, Recipient};
pub use restore::{Sealed, Staged, Staging};
pub use retention::{Keep, superseded};
pub use settings::{BackupSettings, Every};
pub use shelf::{Shelved, shelf};
pub use source::{Point, Source, must_have_room};
pub use unpack::{Identities, Wrapping, unpack, wrapping_of};

use super::clock::{Clock, Time};
use super::db::{self, Database, Folder, Schema, Snapshot};
use super::error::{Error, Result};
use super::files;

/// What a database is asked before it is called a backup.
pub type Count = fn(&Snapshot<'_>) -> Result<Counted>;

/// What is in a database, and what belongs to it and is not.
#[derive(Debug, Clone)]
pub struct Counted {
    pub people: i64,
    pub outside: Vec<Outside>,
}

/// Contents that lie outside of the database, so that no backup has them.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Outside {
    #[schema(example = "s3://my-bucket/media")]
    pub place: String,
    pub contents: i64,
    pub bytes: u64,
}

/// A backup as it lies on the disk.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Backup {
    pub path: PathBuf,
    pub bytes: u64,
    pub made_at: Time,
    /// How many migrations it has seen.
    pub schema_version: i32,
    /// What is asked of it; none where it is of an older schema.
    pub people: Option<i64>,
    /// What belongs to it and lies elsewhere.
    pub outside: Vec<Outside>,
    #[serde(flatten)]
    pub wrapping: Wrapping,
    /// Of the file, in hex; it stands beside it too.
    pub sha256: String,
    /// How long each step took, in seconds.
    pub seconds: Seconds,
}

#[derive(Debug, Clone, Copy, Default, serde::Serialize)]
pub struct Seconds {
    pub copying: f64,
    pub checking: f64,
    /// Compressing, encrypting and the SHA-256.
    pub packing: f64,
}

/// What is being done, and how much of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub step: Step,
    pub done_bytes: u64,
    pub total_bytes: u64,
}

impl Progress {
    /// How much of this step is done, in percent.
    pub fn percent(&self) -> u64 {
        self.done_bytes.saturating_mul(100) / self.total_bytes.max(1)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Copying,
    Checking,
    Packing,
    /// Restoring it somewhere else, to see whether that can be done.
    Proving,
}

impl Step {
    pub fn name(self) -> &'static str {
        match self {
            Step::Copying => "copying",
            Step::Checking => "checking",
            Step::Packing => "packing",
            Step::Proving => "trying to restore",
        }
    }
}

/// The unit that is backed up.
#[derive(Clone, Copy)]
pub enum Unit<'u> {
    /// A unit that this process does not have open.
    Closed(&'u Folder, &'u Schema, &'u Clock),
    /// One that it has.
    Open(&'u Database),
}

/// What backup to make.
pub struct Order<'o> {
    /// The file to make, or the folder where it gets a name of its own.
    pub to: &'o Path,
    pub packing: &'o Packing,
    pub count: Count,
    /// Told how far it is; an error ends it.
    pub watch: &'o dyn Fn(Progress) -> Result<()>,
    /// Sees the copy while it is not encrypted yet, and where it will go; may refuse it.
    pub examine: &'o dyn Fn(&Path, &Path) -> Result<()>,
}

/// Makes a backup from one fixed state of the unit.
///
/// It bears its name only once it is whole, checked and on the disk; its `.sha256` comes last, so that there is none
/// without its backup. What killed ones left is removed.
///
/// # Errors
/// If the file exists or can't be written, or the copy is not sound; nothing is left there then.
pub fn make(source: Unit<'_>, order: &Order<'_>) -> Result<Backup> {
    let (folder, schema, clock) = source.parts();
    let made_at = clock.now();
    // Before anything is removed: what a killed restore left in a unit's folder may be needed.
    if let Unit::Closed(..) = source {
        drop(folder.enter()?);
    }
    let beside = folder_of(order.to)?;
    remove_left_over(beside)?;
    let wrapping = order.packing.wrapping();
    // What will be encrypted must not lie open where the backup goes: that may be anybody's disk.
    let room = if wrapping.encrypted { &*room(folder)? } else { beside };
    let plain = files::unfinished(&room.join("ashlar.db"));
    let plain = Plain::copy(source, made_at, &plain, order.watch)?;
    let schema_version = db::schema_version(&plain.path)?;
    let target = match order.to.is_dir() {
        true => order.to.join(Name { at: made_at, schema_version, wrapping }.to_string()),
        false => order.to.to_owned(),
    };
    let counted = match schema_version == schema.version() {
        true => Some(db::read_file(&plain.path, schema, clock, "backup", order.count)?),
        false => None,
    };
    let (people, outside) = counted.map(|it| (it.people, it.outside)).unzip();
    let outside = outside.unwrap_or_default();
    (order.examine)(&plain.path, &target)?;
    let checked_at = Instant::now();
    let mut seconds = Seconds {
        copying: plain.copying.as_secs_f64(),
        checking: (checked_at - plain.copied_at).as_secs_f64(),
        packing: 0.0,
    };
    let (bytes, sha256) = keep(plain, &target, order)?;
    seconds.packing = checked_at.elapsed().as_secs_f64();
    Ok(Backup { path: target, bytes, made_at, schema_version, people, outside, wrapping, sha256, seconds })
}

impl<'u> Unit<'u> {
    fn parts(self) -> (&'u Folder, &'u Schema, &'u Clock) {
        match self {
            Unit::Closed(folder, schema, clock) => (folder, schema, clock),
            Unit::Open(database) => (database.folder(), database.schema(), database.clock()),
        }
    }
}

/// A copy without its name; dropped, it is removed.
struct Plain {
    path: PathBuf,
    copying: Duration,
    copied_at: Instant,
    _held: File,
}

impl Plain {
    fn copy(source: Unit<'_>, at: Time, path: &Path, watch: &dyn Fn(Progress) -> Result<()>) -> Result<Plain> {
        let start = Instant::now();
        let copied_at = Cell::new(start);
        let watch = |done_bytes, total_bytes| {
            copied_at.set(Instant::now());
            let step = if done_bytes < total_bytes { Step::Copying } else { Step::Checking };
            watch(Progress { step, done_bytes, total_bytes })
        };
        let held = match source {
            Unit::Closed(folder, schema, _) => db::copy_database(folder, schema, at, path, &watch)?,
            Unit::Open(database) => database.copy(at, path, &watch)?,
        };
        let copied_at = copied_at.get();
        Ok(Plain { path: path.to_owned(), copying: copied_at - start, copied_at, _held: held })
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        files::remove_database(&self.path);
    }
}

/// Gives the copy the name `target`, packed as ordered; returns its size and SHA-256.
fn keep(plain: Plain, target: &Path, order: &Order<'_>) -> Result<(u64, String)> {
    for taken in [target.to_owned(), pack::sha256_path(target)] {
        if taken.exists() {
            return Err(files::is_taken(&taken));
        }
    }
    let watch = |done_bytes, total_bytes| (order.watch)(Progress { step: Step::Packing, done_bytes, total_bytes });
    let failed = |e| files::failed(&format!("writing {}", target.display()), e);
    let sha256 = if order.packing.wrapping() == Wrapping::default() {
        let sha256 = pack::sha256(&plain.path, &watch)?;
        files::put_new(&plain.path, target).map_err(failed)?;
        sha256
    } else {
        let unfinished = files::unfinished(target);
        let packed = files::hold(&unfinished).map_err(failed)?;
        // It holds the lock as long as the handle that is written to lives.
        let kept = packed.try_clone().map_err(failed).and_then(|to| {
            let sha256 = pack::pack(&plain.path, order.packing, to, &watch)?;
            files::put_new(&unfinished, target).map_err(failed)?;
            Ok(sha256)
        });
        if kept.is_err() {
            files::remove_database(&unfinished);
        }
        kept?
    };
    pack::write_sha256(target, &sha256)?;
    let bytes = fs::metadata(target).map_err(failed)?.len();
    Ok((bytes, sha256))
}

/// The folder in which `to` is or will be.
fn folder_of(to: &Path) -> Result<&Path> {
    let beside = if to.is_dir() { to } else { to.parent().unwrap_or(Path::new("")) };
    let beside = if beside.as_os_str().is_empty() { Path::new(".") } else { beside };
    let shown = beside.display();
    if !beside.exists() {
        return Err(Error::Internal(format!("the folder {shown} does not exist; make it with `mkdir -p {shown}`")));
    }
    if !beside.is_dir() {
        return Err(Error::Internal(format!("{shown} is not a folder; name another place for the backup")));
    }
    if to.exists() && !to.is_dir() {
        return Err(files::is_taken(to));
    }
    Ok(beside)
}

/// The unit's own place for backups, and for what is made on the way to one; made where it is not there yet.
pub fn room(folder: &Folder) -> Result<PathBuf> {
    let room = folder.backups();
    let failed = |e| files::failed(&format!("making {}", room.display()), e);
    fs::create_dir_all(&room).and_then(|()| files::sync_folder(&room)).map_err(failed)?;
    remove_left_over(&room)?;
    Ok(room)
}

fn remove_left_over(folder: &Path) -> Result<()> {
    files::remove_left_over(folder)
        .map_err(|e| Error::internal(&format!("removing unfinished files in {}", folder.display()), e))
}
