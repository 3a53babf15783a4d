//! The kernel, tried with owners of its own: `ann` and `bob`, who must not meet, and `fay`, who searches.

mod boundaries;
mod changes;
mod copies;
mod disk;
mod folder;
mod groups;
mod migrations;
mod queue;
mod readers;
mod search;
mod stress;

use std::io::Write;
use std::path::PathBuf;
use std::sync::mpsc;

use tempfile::TempDir;
use tokio::sync::oneshot;

use super::*;

pub(super) const UNIT: Migrations = Migrations {
    owner: "db",
    files: &[
        ("V1__unit", include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/db/V1__unit.sql"))),
        ("V2__copies", include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/db/V2__copies.sql"))),
    ],
};
pub(super) const ANN: Migrations = Migrations {
    owner: "ann",
    files: &[(
        "V1__things",
        "CREATE TABLE things (name TEXT NOT NULL PRIMARY KEY, size INTEGER NOT NULL DEFAULT 0, body BLOB) STRICT;",
    )],
};
pub(super) const BOB: Migrations =
    Migrations { owner: "bob", files: &[("V1__notes", "CREATE TABLE notes (text TEXT NOT NULL PRIMARY KEY) STRICT;")] };
pub(super) static ALL: &[Migrations] = &[ANN, BOB, UNIT];

pub(super) struct Ann;
impl Owner for Ann {
    const PATH: &'static str = "ashlar::modules::ann::sqlite";
}
pub(super) struct Bob;
impl Owner for Bob {
    const PATH: &'static str = "ashlar::modules::bob::sqlite";
}

/// As `sql!`, in the name of an owner that has no module.
macro_rules! sql_of {
    ($owner:literal, $text:literal) => {{
        static STATEMENT: $crate::platform::db::Statement = $crate::platform::db::Statement::new(
            concat!("ashlar::modules::", $owner, "::sqlite"),
            concat!("/*ashlar::modules::", $owner, "::sqlite*/ ", $text),
            file!(),
            line!(),
        );
        &STATEMENT
    }};
}
pub(super) use sql_of;

/// A statement of `ann`'s whose text is a test's datum.
pub(super) fn of_ann(text: &str) -> &'static Statement {
    let text = Box::leak(format!("/*{}*/ {text}", Ann::PATH).into_boxed_str());
    Box::leak(Box::new(Statement::new(Ann::PATH, text, file!(), line!())))
}

/// Tells whoever runs the tests that `what` was not tried, as `skip` in `tests/it/support.rs` does.
pub(super) fn skip(what: &str, why: &str) {
    let line = format!("skipped: {what}, because {why}\n");
    // Nobody is left to be told when even this fails.
    std::io::stderr().write_all(line.as_bytes()).ok();
    if let Some(list) = std::env::var_os("ASHLAR_TEST_SKIPPED") {
        std::fs::OpenOptions::new().append(true).create(true).open(list).unwrap().write_all(line.as_bytes()).unwrap();
    }
}

/// A unit in a folder of its own, gone with it.
pub(super) struct House {
    pub database: Database,
    pub folder: TempDir,
}

impl House {
    pub fn new() -> House {
        House::of(ALL)
    }

    pub fn of(migrations: &'static [Migrations]) -> House {
        let folder = tempfile::tempdir().unwrap();
        House { database: open(folder.path(), migrations).unwrap(), folder }
    }

    pub fn wal(&self) -> PathBuf {
        self.folder.path().join("ashlar.db-wal")
    }
}

pub(super) fn open(folder: &Path, migrations: &'static [Migrations]) -> Result<Database> {
    let schema = Schema::prove(migrations)?;
    // What is queued behind a held writer is one group, however slow the machine.
    let tuning = Tuning { group_time: Duration::from_secs(60), ..Tuning::default() };
    Database::open(&Folder::at(folder)?, schema, Clock::fixed(1_800_000_000_000), Role::Server, tuning)
}

impl Database {
    /// Queues a write and goes on.
    pub(super) fn queue<T: Send + 'static>(
        &self,
        body: impl FnOnce(&UnitOfWork<'_>) -> Result<T> + Send + 'static,
    ) -> oneshot::Receiver<Result<T>> {
        self.inner.writer.send("test", Actor::system(), body).unwrap()
    }

    pub(super) fn write_now<T: Send + 'static>(
        &self,
        body: impl FnOnce(&UnitOfWork<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.write_blocking("test", Actor::system(), body)
    }

    /// Holds the writer until the returned sender is dropped: what is queued meanwhile becomes one group.
    pub(super) fn hold_the_writer(&self) -> mpsc::Sender<()> {
        let (release, held) = mpsc::channel::<()>();
        let (started, running) = mpsc::channel();
        let answer = self.queue(move |_| {
            started.send(()).ok();
            held.recv().ok();
            Ok(())
        });
        running.recv().unwrap();
        drop(answer);
        release
    }

    /// All names of `ann`'s things.
    pub(super) fn things(&self) -> Vec<String> {
        self.read_blocking("things", names_of_things).unwrap()
    }
}

pub(super) fn names_of_things(snapshot: &Snapshot<'_>) -> Result<Vec<String>> {
    snapshot.tables(Ann).fetch_all(sql_of!("ann", "SELECT name FROM things ORDER BY name"), (), |row| row.get(0))
}

pub(super) fn add(work: &UnitOfWork<'_>, name: &str) -> Result<()> {
    work.tables(Ann).execute(sql_of!("ann", "INSERT INTO things (name) VALUES (?1)"), [name]).map(drop)
}

/// A thing with a body of so many bytes.
pub(super) fn add_big(work: &UnitOfWork<'_>, name: &str, bytes: usize) -> Result<()> {
    let sql = sql_of!("ann", "INSERT INTO things (name, size, body) VALUES (?1, ?2, zeroblob(?2))");
    work.tables(Ann).execute(sql, (name, bytes as i64)).map(drop)
}

pub(super) fn note(work: &UnitOfWork<'_>, text: &str) -> Result<()> {
    work.tables(Bob).execute(sql_of!("bob", "INSERT INTO notes (text) VALUES (?1)"), [text]).map(drop)
}

/// How many commits the WAL at `path` holds: frames that bear the database's size after a commit.
///
/// Source: <https://sqlite.org/fileformat2.html#wal_file_format>. The WAL bears no POSIX lock that closing this
/// handle could drop.
pub(super) fn commits(path: &Path) -> usize {
    let wal = std::fs::read(path).unwrap();
    let Some((head, frames)) = wal.split_at_checked(32) else { return 0 };
    frames.chunks_exact(24 + 4096).filter(|f| f[8..16] == head[16..24] && f[4..8] != [0; 4]).count()
}
