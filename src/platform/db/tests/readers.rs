//! Readers: one fixed state each, and no harm to the writer's log.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::*;

#[test]
fn a_snapshot_stays_the_same_while_others_write() {
    let house = House::new();
    let database = house.database.clone();

    house
        .database
        .read_blocking("test", |snapshot| {
            // The snapshot is taken at the start, not at the first read.
            database.write_now(|work| add(work, "meanwhile"))?;
            assert!(names_of_things(snapshot)?.is_empty());
            database.write_now(|work| add(work, "again"))?;
            assert!(names_of_things(snapshot)?.is_empty());
            Ok(())
        })
        .unwrap();

    assert_eq!(house.database.things(), ["again", "meanwhile"]);
}

#[test]
fn a_snapshot_refuses_to_write() {
    let house = House::new();

    let written = house.database.read_blocking("test", |snapshot| {
        snapshot.tables(Ann).execute(sql_of!("ann", "INSERT INTO things (name) VALUES ('x')"), ())
    });

    assert!(matches!(&written, Err(Error::Internal(why)) if why.contains("readonly")), "{written:?}");
    assert!(house.database.things().is_empty());
}

#[test]
fn a_panic_while_reading_leaves_no_transaction_open() {
    let house = House::new();

    // More often than there are connections, so that each one met a panic.
    for _ in 0..10 {
        let panicked = house.database.read_blocking("test", |snapshot| {
            let sql = sql_of!("ann", "SELECT 1 WHERE 1 NOT IN (SELECT size FROM things)");
            snapshot.tables(Ann).fetch_all(sql, (), |_| -> rusqlite::Result<()> { panic!("on purpose") })
        });
        assert!(matches!(&panicked, Err(Error::Internal(why)) if why.contains("on purpose")), "{panicked:?}");
    }
    house.database.write_now(|work| add(work, "after")).unwrap();

    for _ in 0..10 {
        assert_eq!(house.database.things(), ["after"]);
    }
}

#[test]
fn a_panic_while_reading_within_a_request_is_an_error_and_ends_nothing_else() {
    let house = House::new();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();

    let read = runtime.block_on(house.database.read("test", |_| -> Result<()> { panic!("on purpose") }));
    let scan = runtime.block_on(house.database.scan("test", |_| -> Result<()> { panic!("on purpose") }));

    assert!(matches!(&read, Err(Error::Internal(why)) if why.contains("on purpose")), "{read:?}");
    assert!(matches!(&scan, Err(Error::Internal(why)) if why.contains("on purpose")), "{scan:?}");
}

#[test]
fn the_wal_stays_bounded_under_writes_while_readers_come_and_go() {
    let house = House::new();
    let stop = AtomicBool::new(false);

    let (largest, written) = std::thread::scope(|threads| {
        for _ in 0..3 {
            threads.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    // Each holds its snapshot for a moment, and there is always one who does.
                    house
                        .database
                        .read_blocking("test", |snapshot| {
                            std::thread::sleep(Duration::from_millis(3));
                            names_of_things(snapshot).map(drop)
                        })
                        .unwrap();
                }
            });
        }
        let mut largest = 0;
        let mut written = 0;
        while written < 128 << 20 {
            let sql = sql_of!("ann", "INSERT OR REPLACE INTO things (name, body) VALUES ('same', zeroblob(200000))");
            house.database.write_now(|work| work.tables(Ann).execute(sql, ())).unwrap();
            written += 200_000;
            largest = largest.max(std::fs::metadata(house.wal()).unwrap().len());
        }
        stop.store(true, Ordering::Relaxed);
        (largest, written)
    });

    // 32 MiB is what it aims at; a busy machine may keep a reader waiting in its snapshot.
    assert!(largest < 56 << 20, "{written} bytes were written, and the WAL grew to {largest}");
}

#[tokio::test]
async fn a_read_that_outlives_its_request_keeps_the_database_from_being_replaced() {
    let House { database, folder } = House::new();
    let (release, held) = mpsc::channel::<()>();
    let (started, running) = mpsc::channel();
    let it = database.clone();
    let read = tokio::spawn(async move {
        let body = move |_: &Snapshot<'_>| {
            started.send(()).ok();
            held.recv().ok();
            Ok(())
        };
        it.scan("long", body).await
    });
    tokio::task::spawn_blocking(move || running.recv()).await.unwrap().unwrap();
    // As when a client goes away: nobody waits for it any more.
    read.abort();
    assert!(read.await.unwrap_err().is_cancelled());
    database.close();
    drop(database);

    let other = std::fs::File::open(folder.path().join("ashlar.use")).unwrap();
    assert!(other.try_lock().is_err(), "it could be replaced under the one who reads");
    drop(release);
    let start = std::time::Instant::now();
    while other.try_lock().is_err() {
        assert!(start.elapsed().as_secs() < 5, "it is never let go");
    }
}
