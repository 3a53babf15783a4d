//! Which pages have changed since they were last asked for: what a replica copies.
//!
//! SQLite writes each change into the WAL as a frame, with the number of its page. Only these numbers are read from the
//! WAL; the pages themselves come out of a read transaction, so that one state is copied, wherever its pages lie.
//!
//! A frame must not be overwritten before its number was noted. The WAL starts over only when all of it is in the
//! database file and nobody reads from it. So one read transaction, the *pin*, is open at any moment, and a later one is
//! begun before it ends. What was committed after the pin can't be moved into the file by anybody, not by another program
//! either; what was committed before has been noted. The pin lets the WAL start over once it was begun on a WAL that is
//! in the file whole: it reads past the WAL then, and nothing new can be moved while it does.
//!
//! The WAL's file is opened here beside SQLite, which is safe for this one: its locks are on the other two.
//!
//! Source: <https://sqlite.org/walformat.html>, <https://sqlite.org/fileformat2.html#the_write_ahead_log>.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::connection;
use crate::platform::error::{Error, Result};

/// Before the first frame of a WAL.
const WAL_HEADER: u64 = 32;
/// Before the page in each frame.
const FRAME_HEADER: usize = 24;
/// So many frames are read at once: to ask for each header alone costs more than to copy the pages between them.
const FRAMES_AT_ONCE: u32 = 16;
/// Pages that a connection keeps, in KiB: each is read once.
const CACHE_KIB: i64 = 512;

/// Up to where the changes are known: what was committed later is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Position {
    /// So many frames of the WAL that has these salts.
    Wal { salts: [u32; 2], frames: u32 },
    /// All that is in the database file as it lay there when the unit was closed. Any copy of it differs in one of these.
    File { inode: u64, bytes: u64, modified_ns: i128 },
}

/// Notes which pages change.
pub struct Changes {
    state: Mutex<State>,
}

/// Who copies the changes to another place.
#[derive(Debug, Clone, Copy, Default)]
pub enum Follower {
    #[default]
    Nobody,
    /// This process, from where it was.
    Ours { since: Option<Position> },
    /// A Litestream sidecar: only PASSIVE checkpoints don't fight it.
    Sidecar,
}

struct State {
    database: PathBuf,
    wal: File,
    page_size: u32,
    /// Asks how many frames are committed; never in a transaction.
    probe: Connection,
    pin: Option<Pin>,
    salts: Option<[u32; 2]>,
    frames: u32,
    changed: Pages,
    /// Frames were missed, or it is not known which: everything may have changed.
    whole: bool,
}

/// Two connections, of which one has a read transaction open.
struct Pin {
    held: Connection,
    spare: Connection,
}

/// What changed between two states.
#[derive(Debug, Default)]
pub struct Increment {
    /// Whether the reader's transaction was begun.
    pub begun: bool,
    pub pages: Pages,
    /// Every page, since it is not known which have changed.
    pub whole: bool,
    /// Noted once the increment is safe: with it, the changes can be followed on after a restart.
    pub position: Option<Position>,
}

impl Increment {
    pub fn is_empty(&self) -> bool {
        !self.whole && self.pages.is_empty()
    }
}

impl Changes {
    /// Begins to note changes after `since`, or of everything if it is not known what happened since. The database is open.
    ///
    /// # Errors
    /// If the database can't be read, or SQLite was built without `sqlite_dbpage`.
    pub(super) fn open(path: &Path, since: Option<Position>) -> Result<Changes> {
        let failed = |e: rusqlite::Error| Error::internal("opening the database for the replica", e);
        let mut pin = Pin { held: open(path).map_err(failed)?, spare: open(path).map_err(failed)? };
        pin.renew().map_err(failed)?;
        let page_size = pin.held.query_row("PRAGMA page_size", [], |row| row.get(0)).map_err(failed)?;
        let wal = PathBuf::from(format!("{}-wal", path.display()));
        let wal = File::open(&wal).map_err(|e| Error::internal(&format!("opening {}", wal.display()), e))?;
        let mut state = State {
            database: path.to_owned(),
            wal,
            page_size,
            probe: open(path).map_err(failed)?,
            pin: Some(pin),
            salts: None,
            frames: 0,
            changed: Pages::default(),
            whole: false,
        };
        state.whole = !state.can_go_on_after(since)?;
        state.note()?;
        Ok(Changes { state: Mutex::new(state) })
    }

    /// Begins a read transaction on `reader`, if anything has changed or `always`, and tells what its state has that the
    /// one before had not. The caller reads the pages and ends it; what could not be copied after all is given back.
    pub fn take(&self, reader: &Reader, always: bool) -> Result<Increment> {
        let mut state = self.state();
        state.note()?;
        if !always && !state.whole && state.changed.is_empty() {
            return Ok(Increment::default());
        }
        let position = state.position();
        let mut pages = std::mem::take(&mut state.changed);
        let whole = std::mem::take(&mut state.whole);
        let taken = reader.begin().and_then(|()| state.renew_pin());
        // Committed between the two: perhaps in the reader's state, perhaps not, so it counts for both.
        pages.add_all(&state.changed);
        let increment = Increment { begun: true, pages, whole, position };
        if let Err(error) = taken {
            reader.end();
            state.give_back(increment);
            return Err(error);
        }
        Ok(increment)
    }

    /// What lies in the replica is not what we left there.
    pub fn all_changed(&self) {
        self.state().whole = true;
    }

    /// The increment was not copied: its pages belong to the next.
    pub fn give_back(&self, increment: Increment) {
        self.state().give_back(increment);
    }

    /// Runs `checkpoint` such that it can move all that is committed, which is noted before; it says whether it did. Then
    /// the WAL may start over.
    pub(super) fn around<T>(&self, checkpoint: impl FnOnce() -> Result<(bool, T)>) -> Result<T> {
        let mut state = self.state();
        state.renew_pin()?;
        let (all, moved) = checkpoint()?;
        if all {
            state.renew_pin()?;
        }
        Ok(moved)
    }

    /// Notes what is committed, and pins the state there is now.
    pub(super) fn renew(&self) -> Result<()> {
        self.state().renew_pin()
    }

    /// Notes the last changes, and pins nothing any more.
    pub fn stop(&self) -> Result<()> {
        let mut state = self.state();
        let noted = state.note();
        state.pin = None;
        noted
    }

    /// Nothing is noted any more.
    pub fn is_stopped(&self) -> bool {
        self.state().pin.is_none()
    }

    /// Once the database is closed: that its file holds all, and all of it was taken; none otherwise.
    pub fn position_when_closed(&self) -> Option<Position> {
        let state = self.state();
        let is_all = !state.whole && state.changed.is_empty() && state.wal.metadata().ok()?.len() == 0;
        if is_all { Position::of_file(&state.database) } else { None }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl Position {
    /// Looks at the file's data about itself only: opening it would drop SQLite's locks.
    fn of_file(path: &Path) -> Option<Position> {
        let file = std::fs::metadata(path).ok()?;
        let modified_ns = i128::from(file.mtime()) * 1_000_000_000 + i128::from(file.mtime_nsec());
        Some(Position::File { inode: file.ino(), bytes: file.len(), modified_ns })
    }
}

impl State {
    /// Whether the WAL, or the file, still is as `since` says, so that what came later can be told.
    fn can_go_on_after(&mut self, since: Option<Position>) -> Result<bool> {
        let header = self.wal_header()?;
        match since {
            Some(Position::Wal { salts, frames }) => {
                let is_it = header == Some(salts) && self.committed()? >= frames;
                self.salts = header;
                self.frames = if is_it { frames } else { 0 };
                Ok(is_it)
            }
            Some(file) => Ok(Position::of_file(&self.database) == Some(file)),
            None => Ok(false),
        }
    }

    fn renew_pin(&mut self) -> Result<()> {
        let Some(pin) = &mut self.pin else { return Ok(()) };
        pin.renew().map_err(|e| Error::internal("pinning a state of the database", e))?;
        self.note()
    }

    /// Notes the pages of all frames that were committed since the last time.
    fn note(&mut self) -> Result<()> {
        let Some((salts, committed)) = self.wal_now()? else { return Ok(()) };
        if self.salts != Some(salts) {
            // Each time the WAL starts over the first salt goes up by one. If it was more than once, we were not there.
            if self.salts.is_some_and(|[first, _]| salts[0] != first.wrapping_add(1)) {
                self.missed("the WAL was replaced by another program");
            }
            (self.salts, self.frames) = (Some(salts), 0);
        }
        let frame = FRAME_HEADER + self.page_size as usize;
        let mut read = Vec::new();
        while self.frames < committed {
            let number = (committed - self.frames).min(FRAMES_AT_ONCE);
            let at = WAL_HEADER + u64::from(self.frames) * frame as u64;
            self.frames += number;
            // Without the last one's page.
            read.resize(number as usize * frame - self.page_size as usize, 0);
            if let Err(error) = self.wal.read_exact_at(&mut read, at) {
                self.missed(&format!("frames of the WAL can't be read ({error})"));
                continue;
            }
            for header in read.chunks(frame) {
                let [page, _, salt_1, salt_2, ..]: [u32; 6] = words(&header[..FRAME_HEADER]);
                if [salt_1, salt_2] != salts {
                    self.missed("a frame of the WAL is not the one that was committed");
                }
                self.changed.add(page);
            }
        }
        Ok(())
    }

    fn missed(&mut self, why: &str) {
        if !self.whole {
            tracing::warn!(why, "the replica does not know what has changed, and gets a copy of the whole database");
        }
        self.whole = true;
    }

    /// The WAL's salts and how many of its frames are committed; none while it is empty.
    fn wal_now(&self) -> Result<Option<([u32; 2], u32)>> {
        // It may start over between the questions: its header is written before anything is committed to it.
        for _ in 0..100 {
            let before = self.wal_header()?;
            let committed = self.committed()?;
            if before == self.wal_header()? {
                return Ok(before.filter(|_| committed > 0).map(|salts| (salts, committed)));
            }
        }
        Err(Error::Internal("the WAL starts over all the time".into()))
    }

    fn wal_header(&self) -> Result<Option<[u32; 2]>> {
        let mut header = [0_u8; 24];
        match self.wal.read_exact_at(&mut header, 0) {
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Ok(None),
            Err(e) => Err(Error::internal("reading the WAL", e)),
            Ok(()) => {
                let [.., salt_1, salt_2]: [u32; 6] = words(&header);
                Ok(Some([salt_1, salt_2]))
            }
        }
    }

    /// Frames that are committed; nothing is moved by asking.
    fn committed(&self) -> Result<u32> {
        let asked = self.probe.prepare_cached("PRAGMA wal_checkpoint(NOOP)").and_then(|mut statement| {
            // -1 where the database is not in WAL mode.
            statement.query_row([], |row| row.get::<_, i64>(1))
        });
        let frames = asked.map_err(|e| Error::internal("asking for the WAL's length", e))?;
        Ok(u32::try_from(frames).unwrap_or(0))
    }

    fn position(&self) -> Option<Position> {
        match self.salts {
            Some(salts) => Some(Position::Wal { salts, frames: self.frames }),
            // Nothing was ever committed to this WAL.
            None => Position::of_file(&self.database),
        }
    }

    fn give_back(&mut self, increment: Increment) {
        self.whole |= increment.whole;
        self.changed.add_all(&increment.pages);
    }
}

impl Pin {
    /// The new transaction begins before the old one ends.
    fn renew(&mut self) -> rusqlite::Result<()> {
        begin(&self.spare)?;
        std::mem::swap(&mut self.held, &mut self.spare);
        if self.spare.is_autocommit() { Ok(()) } else { self.spare.execute_batch("ROLLBACK") }
    }
}

/// A connection that reads the pages of one state.
pub struct Reader {
    connection: Connection,
    pub page_size: u32,
}

impl Reader {
    pub(super) fn open(path: &Path) -> Result<Reader> {
        let opened = open(path).and_then(|connection| {
            let page_size = connection.query_row("PRAGMA page_size", [], |row| row.get(0))?;
            Ok(Reader { connection, page_size })
        });
        opened.map_err(|e| Error::internal("opening the database for the replica", e))
    }

    fn begin(&self) -> Result<()> {
        self.end();
        begin(&self.connection).map_err(|e| Error::internal("beginning to read for the replica", e))
    }

    /// How many pages the database has in this state.
    pub fn pages(&self) -> Result<u32> {
        let pages = self.connection.query_row("PRAGMA page_count", [], |row| row.get(0));
        pages.map_err(|e| Error::internal("counting the database's pages", e))
    }

    /// Hands one page after the other to `each`.
    pub fn read(
        &self,
        pages: impl Iterator<Item = u32>,
        mut each: impl FnMut(u32, &[u8]) -> std::io::Result<()>,
    ) -> Result<()> {
        let failed = |e| Error::internal("reading pages for the replica", e);
        let mut statement =
            self.connection.prepare_cached("SELECT data FROM sqlite_dbpage WHERE pgno = ?1").map_err(failed)?;
        for number in pages {
            let mut rows = statement.query([number]).map_err(failed)?;
            let row = rows.next().map_err(failed)?;
            let row = row.ok_or_else(|| Error::Internal(format!("page {number} of the database is not there")))?;
            let page = row.get_ref(0).map_err(failed)?.as_blob().map_err(|e| Error::internal("reading a page", e))?;
            each(number, page).map_err(|e| Error::internal("writing to the replica", e))?;
        }
        Ok(())
    }

    /// Ends the transaction, so that the WAL can start over.
    pub fn end(&self) {
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "the replica's read transaction could not be ended, and holds the WAL");
        }
    }
}

/// A set of page numbers, a bit each.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Pages(Vec<u64>);

impl Pages {
    pub fn add(&mut self, page: u32) {
        let (word, bit) = (page as usize / 64, page % 64);
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << bit;
    }

    pub fn add_all(&mut self, other: &Pages) {
        self.0.resize(self.0.len().max(other.0.len()), 0);
        for (word, more) in self.0.iter_mut().zip(&other.0) {
            *word |= more;
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// In order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        let words = self.0.iter().enumerate();
        words.flat_map(|(i, word)| (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| i as u32 * 64 + bit))
    }
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, connection::open_flags())?;
    connection::configure(&connection)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    Ok(connection)
}

/// Takes the state now: `BEGIN` alone would take it at the first read.
fn begin(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("BEGIN")?;
    let pinned = connection.query_row("SELECT 1 FROM sqlite_schema LIMIT 1", [], |_| Ok(()));
    if pinned.is_err() {
        connection.execute_batch("ROLLBACK")?;
    }
    pinned
}

/// Big-endian numbers, one after the other.
fn words<const WORDS: usize>(bytes: &[u8]) -> [u32; WORDS] {
    std::array::from_fn(|i| u32::from_be_bytes(std::array::from_fn(|j| bytes[4 * i + j])))
}
