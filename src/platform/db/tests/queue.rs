//! The way to the writer: bounded, and closed in good order.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

#[test]
fn the_4097th_write_that_would_wait_is_refused_at_once() {
    let house = House::new();
    let release = house.database.hold_the_writer();

    let waiting: Vec<_> = (0..4096).map(|n| house.database.queue(move |work| add(work, &n.to_string()))).collect();
    let start = std::time::Instant::now();
    let refused = house.database.inner.writer.send("test", Actor::system(), |work| add(work, "one too many"));

    assert!(matches!(refused, Err(Error::Overloaded(_))));
    // Waiting for a place would take for ever: the writer is held.
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!(house.database.queue_length(), 4096);
    drop(release);
    for answer in waiting {
        answer.blocking_recv().unwrap().unwrap();
    }
    assert_eq!(house.database.queue_length(), 0);
    assert_eq!(house.database.things().len(), 4096);
}

#[test]
fn a_write_that_nobody_waits_for_any_more_is_not_run() {
    let house = House::new();
    let ran = Arc::new(AtomicUsize::new(0));
    let release = house.database.hold_the_writer();

    let abandoned = ran.clone();
    drop(house.database.queue(move |work| {
        abandoned.fetch_add(1, Ordering::Relaxed);
        add(work, "abandoned")
    }));
    let wanted = house.database.queue(|work| add(work, "wanted"));
    drop(release);
    wanted.blocking_recv().unwrap().unwrap();

    assert_eq!(ran.load(Ordering::Relaxed), 0);
    assert_eq!(house.database.things(), ["wanted"]);
}

#[test]
fn closing_commits_what_waits_refuses_the_rest_and_leaves_one_whole_file() {
    let house = House::new();
    let release = house.database.hold_the_writer();
    let waiting: Vec<_> = (0..1500).map(|n| house.database.queue(move |work| add(work, &n.to_string()))).collect();

    let closing = std::thread::spawn({
        let database = house.database.clone();
        move || database.close()
    });
    drop(release);
    closing.join().unwrap();

    for answer in waiting {
        answer.blocking_recv().unwrap().unwrap();
    }
    let late = house.database.write_now(|work| add(work, "late"));
    assert!(matches!(late, Err(Error::Overloaded(_))), "{late:?}");
    house.database.close();
    let alone = tempfile::tempdir().unwrap();
    let copy = alone.path().join("ashlar.db");
    std::fs::copy(house.database.folder().database(), &copy).unwrap();
    let count: i64 =
        Connection::open(copy).unwrap().query_row("SELECT count(*) FROM things", [], |row| row.get(0)).unwrap();
    assert_eq!(count, 1500);
}

#[test]
fn a_write_within_a_write_is_refused_instead_of_waiting_for_itself() {
    let house = House::new();
    let database = house.database.clone();

    let inner = house.database.write_now(move |_| Ok(database.write_now(|work| add(work, "inner"))));

    assert!(matches!(inner, Ok(Err(Error::Internal(_)))), "{inner:?}");
}
