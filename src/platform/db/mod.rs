//! The database: one file, one writer that commits in groups, many readers in snapshots, and the border between
//! the modules' tables.
//!
//! Owns the table `unit`. A module reaches its tables by `work.tables(Owner(()))` and the SQL in `sql!("…")`.

mod changes;
mod checkpoint;
mod connection;
mod copy;
mod epoch;
mod fatal;
mod folder;
mod health;
mod migrate;
mod readers;
mod replace;
mod schema;
mod scope;
mod signals;
mod sizes;
mod stamp;
mod stand_back;
mod statement;
mod tables;
#[cfg(test)]
mod tests;
mod values;
mod writer;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

pub use changes::{Changes, Follower, Increment, Position, Reader};
pub use copy::Watch;
pub use epoch::{epoch, raise_epoch, unit_of};
pub use folder::{Folder, Lock, looks_like_ours};
pub use health::{Health, examine, must_be_ours, verify, wants_wal};
pub use readers::Snapshot;
pub use replace::{Entry, into_one_file};
pub use schema::{Difference, Migrations, Schema, Use};
pub use scope::Ownership;
pub use stamp::{Stamp, rows_of, stamp_of};
pub use stand_back::StandBack;
pub use statement::{Owner, STATEMENTS, Statement, owner_name};
pub use tables::Tables;
pub use writer::UnitOfWork;

use connection::BUSY_TIMEOUT;

use super::actor::Actor;
use super::clock::{Clock, Time};
use super::error::{Error, Result};

/// What the unit is, since it was made.
#[derive(Clone)]
pub struct Unit {
    pub id: uuid::Uuid,
    /// The root of keys that other parts derive; never leaves the database.
    pub secret: [u8; 32],
}

/// One unit's database, open. Clones share it.
#[derive(Clone)]
pub struct Database {
    inner: Arc<Inner>,
}

struct Inner {
    folder: Folder,
    schema: Schema,
    clock: Clock,
    unit: Unit,
    readers: readers::Readers,
    writer: writer::Writer,
    changes: Option<Arc<Changes>>,
    signals: Arc<signals::Signals>,
    _entry: Arc<Entry>,
}

/// How a process uses the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It holds the folder's lock: creates, migrates, checkpoints.
    Server,
    /// It stands beside a server that may run: it reads, and writes little.
    Beside,
}

/// How much at once.
#[derive(Debug, Clone, Copy)]
pub struct Tuning {
    /// Connections that read.
    pub readers: u32,
    /// Writes that are committed together, at most.
    pub max_group: usize,
    /// How long a group may run before it is committed, so that its first does not wait for a stream of others.
    pub group_time: Duration,
    /// Who copies the changes elsewhere, where this process checkpoints.
    pub follower: Follower,
}

impl Default for Tuning {
    fn default() -> Self {
        Tuning { readers: 4, max_group: 512, group_time: Duration::from_millis(20), follower: Follower::Nobody }
    }
}

impl Database {
    /// Opens the unit in `folder`. As [`Role::Server`] it makes the database where there is none and migrates it;
    /// the caller holds the folder's [`Lock`].
    ///
    /// # Errors
    /// If the file is not ours, damaged, or of a newer schema; beside a server, also if migrations are pending.
    pub fn open(folder: &Folder, schema: Schema, clock: Clock, role: Role, tuning: Tuning) -> Result<Database> {
        let path = folder.database();
        let entry = Arc::new(folder.enter()?);
        prepare(folder, &schema, &clock, role)?;
        let owners = schema.owners.clone();
        let readers = readers::Readers::open(&path, owners.clone(), tuning.readers, clock.clone(), entry.clone())?;
        let unit = readers.read_blocking("open", |snapshot| {
            scope::within(scope::Scope::Kernel, || {
                snapshot.connection().query_row("SELECT id, secret FROM unit", [], |row| {
                    let id: super::ids::Id<Unit> = row.get(0)?;
                    Ok(Unit { id: id.uuid(), secret: row.get(1)? })
                })
            })
            .map_err(|e| Error::internal("reading what the unit is", e))
        })?;
        let (changes, following) = match tuning.follower {
            Follower::Ours { since } => {
                let changes = Arc::new(Changes::open(&path, since)?);
                (Some(changes.clone()), checkpoint::Following::Ours(changes))
            }
            Follower::Sidecar => (None, checkpoint::Following::Sidecar),
            Follower::Nobody => (None, checkpoint::Following::Nobody),
        };
        let checkpoints = (role == Role::Server).then_some(following);
        let signals = Arc::<signals::Signals>::default();
        let writer =
            writer::Writer::start(&path, owners, clock.clone(), checkpoints, tuning, signals.clone(), entry.clone())?;
        let inner =
            Inner { folder: folder.clone(), schema, clock, unit, readers, writer, changes, signals, _entry: entry };
        Ok(Database { inner: Arc::new(inner) })
    }

    /// Runs `body` as one unit of work: all of it is saved, or nothing. The answer comes once it is on the disk.
    ///
    /// Nothing slow belongs in `body`: everyone else's writes wait behind it.
    pub async fn write<T, F>(&self, name: &'static str, by: Actor, body: F) -> Result<T>
    where
        F: FnOnce(&UnitOfWork<'_>) -> Result<T> + Send + 'static,
        T: Send + 'static,
    {
        let answer = self.inner.writer.send(name, by, body)?;
        answer.await.unwrap_or(Err(Error::Overloaded("the server is stopping")))
    }

    /// As [`Database::write`], for threads that may wait.
    pub fn write_blocking<T, F>(&self, name: &'static str, by: Actor, body: F) -> Result<T>
    where
        F: FnOnce(&UnitOfWork<'_>) -> Result<T> + Send + 'static,
        T: Send + 'static,
    {
        if self.inner.writer.is_here() {
            return Err(Error::Internal(format!("`{name}` would wait for the write it is in; pass its `work` on")));
        }
        let answer = self.inner.writer.send(name, by, body)?;
        answer.blocking_recv().unwrap_or(Err(Error::Overloaded("the server is stopping")))
    }

    /// Runs `body` on one fixed state of the database: for the few rows a request asks for.
    pub async fn read<T, F>(&self, name: &'static str, body: F) -> Result<T>
    where
        F: FnOnce(&Snapshot<'_>) -> Result<T> + Send + 'static,
        T: Send + 'static,
    {
        self.inner.readers.read(name, body).await
    }

    /// As [`Database::read`], off the threads that serve requests: for reads of a length nobody bounds.
    pub async fn scan<T, F>(&self, name: &'static str, body: F) -> Result<T>
    where
        F: FnOnce(&Snapshot<'_>) -> Result<T> + Send + 'static,
        T: Send + 'static,
    {
        self.inner.readers.scan(name, body).await
    }

    /// As [`Database::read`], for threads that may wait.
    pub fn read_blocking<T>(&self, name: &'static str, body: impl FnOnce(&Snapshot<'_>) -> Result<T>) -> Result<T> {
        self.inner.readers.read_blocking(name, body)
    }

    /// As [`copy_database`], for the process that has it open.
    pub fn copy(&self, at: Time, unfinished: &Path, watch: Watch<'_>) -> Result<File> {
        let Inner { folder, schema, .. } = &*self.inner;
        copy_of(&open_raw(&folder.database())?, schema, at, unfinished, watch)
    }

    pub fn folder(&self) -> &Folder {
        &self.inner.folder
    }

    pub fn schema(&self) -> &Schema {
        &self.inner.schema
    }

    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    pub fn unit(&self) -> &Unit {
        &self.inner.unit
    }

    /// What changes, for the replica; where [`Tuning::follower`] is ours.
    pub fn changes(&self) -> Option<&Arc<Changes>> {
        self.inner.changes.as_ref()
    }

    /// How many bytes of the file each table takes, its indexes counted; none where the file does not tell. Off the
    /// threads that serve requests.
    pub fn table_bytes(&self) -> Result<Option<std::collections::BTreeMap<String, u64>>> {
        sizes::table_bytes(&self.inner.folder.database())
    }

    /// A connection that reads whole pages.
    pub fn page_reader(&self) -> Result<Reader> {
        Reader::open(&self.inner.folder.database())
    }

    /// Changes with each commit of this process that raised `topic` ([`UnitOfWork::raise`]).
    pub fn signal(&self, topic: &'static str) -> tokio::sync::watch::Receiver<u64> {
        self.inner.signals.listen(topic)
    }

    /// Writes that wait for their turn now.
    pub fn queue_length(&self) -> usize {
        self.inner.writer.waiting()
    }

    /// For work in many small writes that nobody waits for.
    pub fn stand_back(&self) -> StandBack<'_> {
        StandBack::new(self)
    }

    /// Commits what waits, checkpoints, and takes no more writes.
    pub fn close(&self) {
        self.inner.writer.stop();
    }
}

/// Makes a copy of the unit's database named `unfinished`, checked, which says of itself that it was made `at` this moment,
/// from a connection of its own. What is returned keeps others from removing it.
///
/// # Errors
/// If `unfinished` exists or can't be written, or the copy is not sound, or one of its tables is missing or belongs to
/// nobody; nothing is left there then. Not for a process that has the database open: it looks at the file, and closing
/// that handle drops SQLite's locks.
pub fn copy_database(folder: &Folder, schema: &Schema, at: Time, unfinished: &Path, watch: Watch<'_>) -> Result<File> {
    let _entry = folder.enter()?;
    let path = folder.database();
    if !folder.has_database()? {
        return Err(nothing_there(folder));
    }
    let source = open_raw(&path)?;
    migrate::recognise(&source, schema, &path)?;
    copy_of(&source, schema, at, unfinished, watch)
}

fn copy_of(source: &Connection, schema: &Schema, at: Time, unfinished: &Path, watch: Watch<'_>) -> Result<File> {
    copy::to_unfinished(source, unfinished, watch, |copy| {
        health::must_be_owned(copy, schema)?;
        stamp::stamp(copy, at)
    })
}

/// Runs `body` on one state of the database file `path`, wherever it stands: a copy, say. Nothing is written, not
/// beside it either.
pub fn read_file<T>(
    path: &Path,
    schema: &Schema,
    clock: &Clock,
    name: &'static str,
    body: impl FnOnce(&Snapshot<'_>) -> Result<T>,
) -> Result<T> {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY | rusqlite::OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)
        .and_then(|c| c.authorizer(Some(scope::authorizer(schema.owners.clone()))).map(|()| c))
        .map_err(|e| Error::internal(&format!("opening {}", path.display()), e))?;
    readers::read_on(&connection, name, clock.now(), body)
}

/// Copies the database file `source`, with what stands in its WAL, to `target`.
pub fn copy_file(source: &Path, target: &Path) -> Result<u64> {
    copy::to_file(&open_raw(source)?, target)
}

/// How many migrations the database file `path` has seen.
pub fn schema_version(path: &Path) -> Result<i32> {
    let failed = |e| Error::internal(&format!("reading {}", path.display()), e);
    let connection = Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(failed)?;
    connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed)
}

fn nothing_there(folder: &Folder) -> Error {
    Error::Internal(format!(
        "there is no database in {} yet; start the unit with `ashlar serve`, or name its folder with --data",
        folder.path().display()
    ))
}

/// What would be run by [`Database::open`] as a server, as `owner/V1__accounts`. Not for a process that has the
/// database open: it looks at the file, and closing that handle drops SQLite's locks.
pub fn pending_migrations(folder: &Folder, schema: &Schema) -> Result<Vec<String>> {
    let _entry = folder.enter()?;
    if !folder.has_database()? {
        return Ok(schema.all_migrations());
    }
    let connection = open_raw(&folder.database())?;
    migrate::recognise(&connection, schema, &folder.database())?;
    migrate::pending(&connection, schema)
}

/// Migrates an existing database, or makes a new one; the caller holds the folder's lock. Returns what was run.
pub fn migrate(folder: &Folder, schema: &Schema, clock: &Clock) -> Result<Vec<String>> {
    let _entry = folder.enter()?;
    let path = folder.database();
    if !folder.has_database()? {
        migrate::create(&path, schema, clock)?;
        return Ok(schema.all_migrations());
    }
    {
        let connection = open_raw(&path)?;
        migrate::recognise(&connection, schema, &path)?;
    }
    let kept = folder.backups().join(format!("before-migration-{}.db", clock.now().to_compact()));
    migrate::run(&path, schema, &kept)
}

/// A connection without the guards, for the kernel's own commands.
fn open_raw(path: &Path) -> Result<Connection> {
    let opened = Connection::open_with_flags(path, connection::open_flags());
    let connection = opened.map_err(|e| Error::internal(&format!("opening {}", path.display()), e))?;
    connection
        .busy_timeout(connection::BUSY_TIMEOUT)
        .and_then(|()| connection.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true))
        .map_err(|e| Error::internal(&format!("opening {}", path.display()), e))?;
    Ok(connection)
}

fn prepare(folder: &Folder, schema: &Schema, clock: &Clock, role: Role) -> Result<()> {
    let path = folder.database();
    if role == Role::Server {
        for name in migrate(folder, schema, clock)? {
            tracing::info!(migration = name, "migrated");
        }
        return stamp::clear(&open_raw(&path)?);
    }
    if !folder.has_database()? {
        return Err(nothing_there(folder));
    }
    let connection = open_raw(&path)?;
    migrate::recognise(&connection, schema, &path)?;
    match migrate::pending(&connection, schema)?.as_slice() {
        [] => Ok(()),
        pending => Err(Error::Internal(format!(
            "{} has an older schema ({} migrations are pending); bring it up to date with `ashlar migrate`",
            path.display(),
            pending.len()
        ))),
    }
}
