//! One transaction for many closures: each has its own true answer.

use std::time::Duration;

use super::*;

/// 103 closures in one group: 100 good ones, one that fails, one that panics, one that finds its key taken.
fn a_group_of_103(house: &House) {
    let release = house.database.hold_the_writer();
    let answers: Vec<_> = (0..103)
        .map(|n| {
            let answer = house.database.queue(move |work| match n {
                20 => add(work, "failed").and(Err(Error::Forbidden("no".into()))),
                50 => add(work, "panicked").map(|()| panic!("on purpose")),
                80 => add(work, "second").and_then(|()| add(work, "name 000")),
                _ => add(work, &format!("name {n:03}")),
            });
            (n, answer)
        })
        .collect();

    drop(release);

    for (n, answer) in answers {
        let answer = answer.blocking_recv().unwrap();
        match n {
            20 => assert!(matches!(&answer, Err(Error::Forbidden(why)) if why == "no"), "{answer:?}"),
            50 => assert!(matches!(&answer, Err(Error::Internal(why)) if why.contains("on purpose")), "{answer:?}"),
            80 => assert!(matches!(answer, Err(Error::Duplicate)), "{answer:?}"),
            _ => assert!(answer.is_ok(), "{n}: {answer:?}"),
        }
    }
    let expected: Vec<_> = (0..103).filter(|n| ![20, 50, 80].contains(n)).map(|n| format!("name {n:03}")).collect();
    assert_eq!(house.database.things(), expected);
}

#[test]
fn a_failure_a_panic_and_a_taken_key_harm_none_of_the_hundred_beside_them() {
    let house = House::new();

    a_group_of_103(&house);

    assert_eq!(commits(&house.wal()), 1);
}

#[test]
fn what_a_closure_writes_for_two_owners_is_saved_together_or_not_at_all() {
    let house = House::new();

    house.database.write_now(|work| add(work, "both").and_then(|()| note(work, "both"))).unwrap();
    let second = house.database.write_now(|work| add(work, "other").and_then(|()| note(work, "both")));

    assert!(matches!(second, Err(Error::Duplicate)));
    assert_eq!(house.database.things(), ["both"]);
}

#[test]
fn a_swallowed_failure_keeps_what_the_closure_did_before_it() {
    let house = House::new();

    house.database.write_now(|work| add(work, "one").map(|()| add(work, "one").is_err())).unwrap();

    assert_eq!(house.database.things(), ["one"]);
}

#[test]
fn a_locked_database_refuses_all_that_wait_after_one_time_out_and_then_goes_on() {
    let house = House::new();
    let other = Connection::open(house.database.folder().database()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();

    let start = std::time::Instant::now();
    let answers: Vec<_> = (0..5).map(|n| house.database.queue(move |work| add(work, &n.to_string()))).collect();
    for answer in answers {
        assert!(matches!(answer.blocking_recv().unwrap(), Err(Error::Lost(_))));
    }

    // The first may stand alone in its group; the others share the next one.
    assert!(start.elapsed() < Duration::from_millis(2 * 5000 + 2500), "{:?}", start.elapsed());
    other.execute_batch("ROLLBACK").unwrap();
    house.database.write_now(|work| add(work, "later")).unwrap();
    assert_eq!(house.database.things(), ["later"]);
}

#[test]
fn only_a_failed_fsync_leaves_the_outcome_unknown() {
    use rusqlite::ffi;

    use super::fatal::Fatal;

    for (code, expected) in [
        (ffi::SQLITE_FULL, Some(Fatal::DiskFull)),
        (ffi::SQLITE_IOERR_SHMSIZE, Some(Fatal::DiskFull)),
        (ffi::SQLITE_IOERR_FSYNC, Some(Fatal::FsyncFailed)),
        (ffi::SQLITE_IOERR_WRITE, Some(Fatal::InputOutput)),
        (ffi::SQLITE_NOMEM, Some(Fatal::OutOfMemory)),
        (ffi::SQLITE_BUSY, Some(Fatal::Locked)),
        (ffi::SQLITE_CONSTRAINT_COMMITHOOK, Some(Fatal::TransactionLost)),
        (ffi::SQLITE_CONSTRAINT_UNIQUE, None),
        (ffi::SQLITE_READONLY, None),
    ] {
        let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
        assert_eq!(Fatal::of(&error), expected, "{code}");
    }
    assert!(matches!(Fatal::FsyncFailed.to_error(), Error::Uncertain));
}

#[test]
fn a_database_with_planner_statistics_gives_true_answers() {
    let House { database, folder } = House::new();
    database.write_now(|work| add(work, "taken")).unwrap();
    database.close();
    open_raw(&folder.path().join("ashlar.db")).unwrap().execute_batch("ANALYZE").unwrap();

    let database = open(folder.path(), ALL).unwrap();
    let taken = database.write_now(|work| add(work, "taken"));

    assert!(matches!(taken, Err(Error::Duplicate)), "{taken:?}");
}
