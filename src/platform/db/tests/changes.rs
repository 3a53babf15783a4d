//! What a replica is told: every page that changed, whatever happens to the WAL.

use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::Connection;

use super::*;
use crate::platform::db::changes::Pages;

/// The database as a replica of it would be: what it was told to copy, and nothing else.
#[derive(Default)]
struct Copy {
    pages: Vec<Vec<u8>>,
    position: Option<Position>,
    /// How often all of it had to be copied.
    whole: usize,
}

impl Copy {
    /// Copies what has changed, and holds the outcome against all pages of the same state.
    fn follow(&mut self, changes: &Changes, reader: &Reader) {
        let increment = changes.take(reader, true).unwrap();
        let size = reader.pages().unwrap();
        let mut wanted = increment.pages.clone();
        let known = if increment.whole { 0 } else { self.pages.len() as u32 };
        (known + 1..=size).for_each(|page| wanted.add(page));
        self.whole += usize::from(increment.whole);
        self.pages.resize(size as usize, Vec::new());
        let within = wanted.iter().filter(|page| (1..=size).contains(page));
        let copied = reader.read(within, |number, page| {
            self.pages[number as usize - 1] = page.to_vec();
            Ok(())
        });
        copied.unwrap();
        self.position = increment.position;
        let mut wrong = Pages::default();
        reader
            .read(1..=size, |number, page| {
                if self.pages[number as usize - 1] != page {
                    wrong.add(number);
                }
                Ok(())
            })
            .unwrap();
        reader.end();
        assert!(wrong.is_empty(), "of {size} pages {:?} were missed", wrong.iter().collect::<Vec<_>>());
    }
}

fn open_after(folder: &Path, since: Option<Position>) -> Database {
    let tuning = Tuning { follower: Follower::Ours { since }, ..Tuning::default() };
    let schema = Schema::prove(ALL).unwrap();
    let clock = Clock::fixed(1_800_000_000_000);
    Database::open(&Folder::at(folder).unwrap(), schema, clock, Role::Server, tuning).unwrap()
}

/// Numbers that look random and are the same each time.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

#[test]
fn no_change_is_missed_whatever_happens_to_the_wal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ashlar.db");
    let mut database = open_after(folder.path(), None);
    let outside = Connection::open(&path).unwrap();
    outside.pragma_update(None, "wal_autocheckpoint", 50).unwrap();
    let mut reader = database.page_reader().unwrap();
    let mut copy = Copy::default();
    let mut random = Random(7);
    let mut held: Option<Connection> = None;
    let mut did = [0; 12];
    for step in 0..1500 {
        let what = random.below(did.len() as u64) as usize;
        did[what] += 1;
        // Whoever checkpoints waits for nobody: the pin is always there.
        outside.busy_timeout(Duration::from_millis(if matches!(what, 6 | 7) { 2 } else { 5000 })).unwrap();
        let name = format!("{step}");
        match what {
            0..=2 => database.write_now(move |work| add(work, &name)).unwrap(),
            3 => {
                let bytes = random.below(1_500_000) as usize;
                database.write_now(move |work| add_big(work, &name, bytes)).unwrap();
            }
            4 => drop(database.write_now(|work| {
                work.tables(Ann).execute(sql_of!("ann", "DELETE FROM things WHERE rowid % 3 = 0"), ())
            })),
            5 => {
                outside.execute("INSERT INTO things (name, body) VALUES (?1, randomblob(9000))", [name]).unwrap();
            }
            6 => drop(outside.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")),
            7 => drop(outside.execute_batch("PRAGMA wal_checkpoint(RESTART)")),
            8 if step % 5 == 0 => outside.execute_batch("VACUUM").unwrap(),
            8 => drop(outside.execute_batch("PRAGMA incremental_vacuum(10)")),
            9 if held.is_some() => held = None,
            9 => {
                let connection = Connection::open(&path).unwrap();
                connection.execute_batch("BEGIN; SELECT count(*) FROM things").unwrap();
                held = Some(connection);
            }
            10 if step % 10 == 0 => {
                held = None;
                drop(reader);
                database.close();
                drop(database);
                database = open_after(folder.path(), copy.position);
                reader = database.page_reader().unwrap();
            }
            _ => copy.follow(database.changes().unwrap(), &reader),
        }
    }
    copy.follow(database.changes().unwrap(), &reader);

    assert!(did.iter().all(|times| *times > 50), "{did:?}");
    println!("{did:?}, {} times whole", copy.whole);
}

#[test]
fn an_increment_follows_the_changes_and_not_the_size() {
    let folder = tempfile::tempdir().unwrap();
    let database = open_after(folder.path(), None);
    database.write_now(|work| add_big(work, "big", 8_000_000)).unwrap();
    let (changes, reader) = (database.changes().unwrap(), database.page_reader().unwrap());
    let first = changes.take(&reader, false).unwrap();
    assert!(first.whole, "where nothing is known, all has changed");

    assert!(!changes.take(&reader, false).unwrap().begun);
    database.write_now(|work| note(work, "small")).unwrap();
    let second = changes.take(&reader, false).unwrap();
    reader.end();

    let pages: Vec<u32> = second.pages.iter().collect();
    assert!(!second.whole && (1..=4).contains(&pages.len()), "{pages:?}");
    changes.give_back(second);
    let again: Vec<u32> = changes.take(&reader, false).unwrap().pages.iter().collect();
    assert_eq!(again, pages);
}

#[test]
fn after_a_stop_or_a_kill_the_changes_are_followed_on_and_after_a_swap_they_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let database = open_after(folder.path(), None);
    let mut copy = Copy::default();
    database.write_now(|work| add(work, "one")).unwrap();
    copy.follow(database.changes().unwrap(), &database.page_reader().unwrap());
    database.write_now(|work| add(work, "two")).unwrap();

    // A kill leaves the files as they lie there; the last change was committed after the last increment.
    let killed = tempfile::tempdir().unwrap();
    for name in ["ashlar.db", "ashlar.db-wal"] {
        std::fs::copy(folder.path().join(name), killed.path().join(name)).unwrap();
    }
    let after = open_after(killed.path(), copy.position);
    let mut its = Copy { pages: copy.pages.clone(), ..Copy::default() };
    its.follow(after.changes().unwrap(), &after.page_reader().unwrap());
    assert_eq!(its.whole, 0);
    drop(after);

    copy.follow(database.changes().unwrap(), &database.page_reader().unwrap());
    let changes = database.changes().unwrap().clone();
    database.close();
    let closed = changes.position_when_closed();
    drop((database, changes));
    assert!(matches!(closed, Some(Position::File { .. })), "{closed:?}");
    let again = open_after(folder.path(), closed);
    copy.follow(again.changes().unwrap(), &again.page_reader().unwrap());
    assert_eq!(copy.whole, 1, "only the first time");
    again.close();
    drop(again);

    // A copy that was put in its place by hand.
    std::fs::copy(killed.path().join("ashlar.db"), folder.path().join("ashlar.db")).unwrap();
    let other = open_after(folder.path(), closed);
    copy.follow(other.changes().unwrap(), &other.page_reader().unwrap());
    assert_eq!(copy.whole, 2);
}

#[test]
fn the_wal_starts_over_though_it_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let database = open_after(folder.path(), None);
    let (changes, reader) = (database.changes().unwrap(), database.page_reader().unwrap());
    let wal = folder.path().join("ashlar.db-wal");
    for n in 0..100 {
        database.write_now(move |work| add_big(work, &n.to_string(), 1_000_000)).unwrap();
        // Also while the replica's place can't be reached: then nobody takes what has changed.
        if n < 50 {
            changes.take(&reader, false).unwrap();
            reader.end();
        }
    }
    let length = std::fs::metadata(wal).unwrap().len();

    assert!(length < 40_000_000, "the WAL has {length} bytes");
    assert!(!changes.take(&reader, false).unwrap().is_empty());
}

#[test]
fn the_wal_stays_bounded_beside_another_program_that_writes() {
    let folder = tempfile::tempdir().unwrap();
    let database = open_after(folder.path(), None);
    let (path, wal) = (folder.path().join("ashlar.db"), folder.path().join("ashlar.db-wal"));
    let is_over = AtomicBool::new(false);

    let largest = std::thread::scope(|threads| {
        threads.spawn(|| {
            let outside = Connection::open(&path).unwrap();
            outside.execute_batch("PRAGMA busy_timeout = 5000; PRAGMA wal_autocheckpoint = 0").unwrap();
            // Such short pauses that it gets in between any two steps of ours.
            while !is_over.load(Ordering::Relaxed) {
                let sql = "INSERT OR REPLACE INTO things (name, body) VALUES ('theirs', randomblob(20000))";
                outside.execute(sql, []).unwrap();
                std::thread::sleep(Duration::from_micros(500));
            }
        });
        let written: Result<u64> = (0..600).try_fold(0, |largest, n: u32| {
            database.write_now(move |work| add_big(work, &n.to_string(), 200_000))?;
            Ok(std::fs::metadata(&wal).unwrap().len().max(largest))
        });
        is_over.store(true, Ordering::Relaxed);
        written.unwrap()
    });

    // 32 MiB is what it aims at.
    assert!(largest < 48 << 20, "the WAL grew to {} MiB", largest >> 20);
}
