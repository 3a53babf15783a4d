//! Copies of the unit, other writers, places that fail, damage and kills.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ashlar::platform::clock::{Clock, Time};
use ashlar::platform::replica::{SNAPSHOTS, Schedule, State, Txid, Until};
use rusqlite::Connection;

use super::{
    NOW, PATIENCE, QUICK, Running, Unit, VERSIONS, digest, listing, litestream_restore, places, restore, url_of,
};
use crate::support::{TestApp, litestream, skip};

/// Times that a process is killed in the midst of something.
const KILLS: u64 = 50;

/// Only increments, and the snapshots that are needed: tests that take a place away must not meet somebody at work in it.
const SELDOM: Schedule = Schedule {
    merges: [Duration::from_secs(3600); 3],
    snapshot: Duration::from_secs(3600),
    look: Duration::from_secs(3600),
    ..QUICK
};

#[test]
fn two_copies_of_a_unit_never_share_a_replica() {
    let (temporary, data, place) = places();
    let copy = temporary.path().join("copy");
    fs::create_dir(&copy).unwrap();
    let url = url_of(&place);
    let unit = Unit::open(&data, &url, QUICK);
    unit.add("ann");
    unit.settle();

    // Beside it.
    for name in ["ashlar.db", "ashlar.db-wal", "replica.json"] {
        fs::copy(data.join(name), copy.join(name)).unwrap();
    }
    let second = Unit::open(&copy, &url, QUICK);
    let state = second.wait_for("refused", |state| matches!(state, State::Refused { .. }));
    assert!(format!("{state:?}").contains("another process writes"), "{state:?}");
    // It goes on without.
    second.add("bob");
    second.close();
    unit.close();

    // After it.
    let second = Unit::open(&copy, &url, QUICK);
    let state = second.wait_for("refused", |state| matches!(state, State::Refused { .. }));
    assert!(format!("{state:?}").contains("another copy of this unit"), "{state:?}");
    second.close();

    let unit = Unit::open(&data, &url, QUICK);
    unit.add("cid");
    unit.settle();
    unit.close_and_restore(&url, &temporary);
}

#[test]
fn another_writer_is_noticed_by_its_first_file() {
    let (_temporary, data, place) = places();
    let unit = Unit::open(&data, &url_of(&place), QUICK);
    unit.add("ann");
    let head = unit.settle();
    let level = place.join("ltx/0");
    let next = level.join(format!("{0}-{0}.ltx", head.next()));
    let theirs = fs::read(level.join(format!("{head}-{head}.ltx"))).unwrap();
    fs::write(&next, &theirs).unwrap();

    unit.add("bob");

    let state = unit.wait_for("refused", |state| matches!(state, State::Refused { .. }));
    assert!(format!("{state:?}").contains("another process writes"), "{state:?}");
    assert_eq!(fs::read(&next).unwrap(), theirs, "it was written over");
    unit.add("the service goes on".split(' ').next().unwrap());
    unit.close();
}

#[test]
fn a_place_whose_disk_is_gone_is_not_begun_anew_in_an_empty_folder() {
    let (temporary, data, place) = places();
    let url = url_of(&place);
    let away = temporary.path().join("away");
    let unit = Unit::open(&data, &url, SELDOM);
    unit.add("ann");
    unit.settle();
    unit.wait_for_snapshot();
    // What a mount point is when nothing is mounted there.
    fs::rename(&place, &away).unwrap();
    fs::create_dir(&place).unwrap();

    unit.add("bob");
    let state = unit.wait_for("behind", |state| matches!(state, State::Behind { .. }));
    assert!(format!("{state:?}").contains("mount the disk"), "{state:?}");
    assert_eq!(fs::read_dir(&place).unwrap().count(), 0, "something was written into it");
    fs::remove_dir(&place).unwrap();
    fs::rename(&away, &place).unwrap();
    unit.settle();

    unit.close_and_restore(&url, &temporary);
}

#[test]
fn a_place_that_can_t_be_reached_is_caught_up_with() {
    let temporary = tempfile::tempdir().unwrap();
    let (data, place, away) =
        (temporary.path().join("data"), temporary.path().join("replica"), temporary.path().join("away"));
    fs::create_dir(&data).unwrap();
    let url = url_of(&place);
    // It is not there at the start either.
    fs::write(&place, "no folder").unwrap();
    let unit = Unit::open(&data, &url, SELDOM);
    unit.add("ann");
    unit.wait_for("behind", |state| matches!(state, State::Behind { .. }));
    fs::remove_file(&place).unwrap();
    unit.settle();
    unit.wait_for_snapshot();

    fs::rename(&place, &away).unwrap();
    fs::write(&place, "no folder").unwrap();
    let rows = 3000;
    for n in 0..rows {
        unit.add(&format!("p{n}"));
    }
    let state = unit.wait_for("behind", |state| matches!(state, State::Behind { .. }));
    assert!(format!("{state:?}").contains("directory"), "{state:?}");
    let kept: u64 = fs::read_dir(&data).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum();
    fs::remove_file(&place).unwrap();
    fs::rename(&away, &place).unwrap();
    unit.settle();

    unit.close_and_restore(&url, &temporary);
    // Nothing was piled up here meanwhile but what SQLite keeps itself.
    assert!(kept < 60_000_000, "{kept} bytes in the unit's folder");
}

#[test]
fn a_place_that_hangs_does_not_keep_the_wal_from_starting_over() {
    hang_amid_an_increment_of(1);
}

/// Such a one is not kept in memory.
#[test]
fn a_place_that_hangs_amid_a_large_increment_does_not_either() {
    hang_amid_an_increment_of(8_000_000);
}

/// As a network disk whose server is gone: whoever writes to it hangs.
fn hang_amid_an_increment_of(bytes: u32) {
    let (temporary, data, place) = places();
    let url = url_of(&place);
    let unit = Unit::open(&data, &url, SELDOM);
    unit.add("ann");
    let head = unit.settle();
    unit.wait_for_snapshot();
    // To open a pipe waits until somebody reads from it.
    let next = format!("ltx/0/{0}-{0}.ltx.unfinished-{1}", head.next(), std::process::id());
    let pipe = place.join(next);
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let other_end = temporary.path().join("pipe");
    fs::hard_link(&pipe, &other_end).unwrap();
    let outside = Connection::open(data.join("ashlar.db")).unwrap();
    outside.execute_batch("PRAGMA busy_timeout = 5000; PRAGMA wal_autocheckpoint = 0").unwrap();
    outside.execute_batch(&format!("CREATE TABLE filler AS SELECT randomblob({bytes}) AS body")).unwrap();
    unit.wait_for("behind", |state| matches!(state, State::Behind { .. }));

    for n in 0..100 {
        outside.execute("UPDATE filler SET body = randomblob(1000000)", []).unwrap();
        unit.add(&format!("p{n}"));
    }
    drop(outside);
    let wal = fs::metadata(data.join("ashlar.db-wal")).unwrap().len();

    // What was written to it is not there then, and is tried again.
    fs::remove_file(&pipe).unwrap();
    drop(fs::File::open(&other_end).unwrap());
    unit.settle();
    unit.close_and_restore(&url, &temporary);
    assert!(wal < 48 << 20, "{} MiB of WAL", wal >> 20);
}

#[test]
fn where_the_clock_goes_back_states_still_follow_upon_one_another() {
    let (temporary, data, place) = places();
    let url = url_of(&place);
    let unit = Unit::open_at(&data, &url, QUICK, Clock::fixed(NOW));
    unit.add("ann");
    let first = (unit.settle(), unit.digest());
    unit.close();
    let unit = Unit::open_at(&data, &url, QUICK, Clock::fixed(NOW - 3_600_000));
    unit.add("bob");
    let second = (unit.settle(), unit.digest());
    unit.close();

    assert!(second.0 > first.0);
    let head = *listing(&url).head().unwrap();
    assert_eq!((head.name.max, head.timestamp), (second.0, Time::from_ms(NOW)));
    for (i, (until, wanted)) in [
        (Until::Txid(first.0), &first.1),
        (Until::Txid(second.0), &second.1),
        (Until::Time(Time::from_ms(NOW)), &second.1),
    ]
    .into_iter()
    .enumerate()
    {
        let target = temporary.path().join(format!("{i}.db"));
        restore(&url, until, &target).unwrap();
        assert_eq!(digest(&target), *wanted, "{until:?}");
    }
}

#[test]
fn other_page_sizes_are_replicated_as_well() {
    let (temporary, data, place) = places();
    let url = url_of(&place);
    Unit::open(&data, &url_of(&temporary.path().join("elsewhere")), QUICK).close();
    for (i, size) in [512, 8192, 65536].into_iter().enumerate() {
        let raw = Connection::open(data.join("ashlar.db")).unwrap();
        raw.execute_batch(&format!("PRAGMA journal_mode = DELETE; PRAGMA page_size = {size}; VACUUM")).unwrap();
        drop(raw);
        let url = format!("{url}-{size}");
        let unit = Unit::open(&data, &url, QUICK);
        for n in 0..30 {
            unit.add(&format!("p{i}x{n}"));
        }
        unit.settle();
        let wanted = unit.digest();
        unit.close();

        let target = temporary.path().join(format!("{size}.db"));
        restore(&url, Until::End, &target).unwrap();
        assert_eq!(digest(&target), wanted, "{size}");
        let Some(program) = litestream("0.5.17") else { return };
        let target = temporary.path().join(format!("{size}-theirs.db"));
        litestream_restore(&program, &url, &target, &[]);
        assert_eq!(digest(&target), wanted, "{size}");
    }
}

/// `VACUUM` can change it while the unit is stopped: what was there before and what comes then can't be put together.
#[test]
fn where_the_page_size_changes_a_snapshot_is_made_at_once() {
    let (temporary, data, place) = places();
    let url = url_of(&place);
    let unit = Unit::open(&data, &url, SELDOM);
    unit.add("before");
    unit.wait_for_snapshot();
    let before = (unit.settle(), unit.digest());
    unit.close();
    let raw = Connection::open(data.join("ashlar.db")).unwrap();
    raw.execute_batch("PRAGMA journal_mode = DELETE; PRAGMA page_size = 8192; VACUUM").unwrap();
    drop(raw);

    let unit = Unit::open(&data, &url, SELDOM);
    unit.settle();
    unit.wait("with a snapshot", |_| listing(&url).last(SNAPSHOTS).unwrap().name.max > before.0);
    unit.add("after");
    let after = (unit.settle(), unit.digest());
    unit.close();

    for (txid, state) in [before, after] {
        let target = temporary.path().join(format!("{txid}.db"));
        restore(&url, Until::Txid(txid), &target).unwrap();
        assert_eq!(digest(&target), state);
        for version in VERSIONS {
            let Some(program) = litestream(version) else { return };
            let target = temporary.path().join(format!("{txid}-{version}.db"));
            litestream_restore(&program, &url, &target, &["-txid", &txid.to_string()]);
            assert_eq!(digest(&target), state, "{version}");
        }
    }
}

#[test]
fn the_page_at_which_sqlite_locks_is_left_out_of_a_database_beyond_a_gibibyte() {
    let (temporary, data, place) = places();
    let database = data.join("ashlar.db");
    Unit::open(&data, &url_of(&temporary.path().join("elsewhere")), QUICK).close();
    let raw = Connection::open(&database).unwrap();
    raw.execute_batch(
        "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA page_size = 65536; VACUUM;
         CREATE TABLE filler (body BLOB); INSERT INTO filler VALUES (zeroblob(900000000)), (zeroblob(180000000))",
    )
    .unwrap();
    drop(raw);
    assert!(fs::metadata(&database).unwrap().len() > 1 << 30);
    let url = url_of(&place);
    let never = Duration::from_secs(3600);
    let unit = Unit::open(&data, &url, Schedule { merges: [never; 3], snapshot: never, ..QUICK });
    unit.add("beyond");
    unit.settle();
    let wanted = content(&database);
    unit.close();

    let target = temporary.path().join("restored.db");
    restore(&url, Until::End, &target).unwrap();
    assert!(content(&target) == wanted);
    let Some(program) = litestream("0.5.17") else { return };
    let theirs = temporary.path().join("theirs.db");
    litestream_restore(&program, &url, &theirs, &[]);
    assert!(content(&theirs) == wanted);
}

/// Of a database that is too large to be printed.
fn content(database: &Path) -> (String, i64, i64, String) {
    let connection = Connection::open(database).unwrap();
    let query = "SELECT (SELECT group_concat(email) FROM users), (SELECT sum(length(body)) FROM filler),
                        (SELECT count(*) FROM audit_entries), (SELECT integrity_check FROM pragma_integrity_check)";
    connection.query_row(query, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))).unwrap()
}

#[test]
fn damaged_missing_and_misnamed_files_are_refused_and_replaced_by_a_new_snapshot() {
    let (temporary, data, place) = places();
    let url = url_of(&place);
    let slow = Schedule { merges: Schedule::default().merges, snapshot: Schedule::default().snapshot, ..QUICK };
    let unit = Unit::open(&data, &url, slow);
    for n in 0..5 {
        unit.add(&format!("p{n}"));
        unit.settle();
    }
    unit.close();
    let level = place.join("ltx/0");
    let mut files: Vec<PathBuf> = fs::read_dir(&level).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    let third = &files[2];
    let whole = fs::read(third).unwrap();
    let refused = |what: &str| {
        let target = temporary.path().join("refused.db");
        let why = restore(&url, Until::End, &target).unwrap_err();
        assert!(!target.exists(), "{what}");
        why
    };

    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 4;
    fs::write(third, &flipped).unwrap();
    assert!(refused("flipped").contains("level 0"), "{}", refused("flipped"));
    fs::write(third, &whole[..whole.len() - 40]).unwrap();
    assert!(refused("cut off").contains("cut off"), "{}", refused("cut off"));
    fs::write(third, fs::read(&files[3]).unwrap()).unwrap();
    assert!(refused("misnamed").contains("name is false"), "{}", refused("misnamed"));
    fs::remove_file(third).unwrap();
    assert!(refused("missing").contains("gap"), "{}", refused("missing"));
    fs::write(third, b"random").unwrap();
    assert!(refused("random").contains("cut off"), "{}", refused("random"));

    // The service merges no damaged file; a snapshot beyond it makes the replica whole again.
    let unit = Unit::open(&data, &url, QUICK);
    unit.add("after");
    let start = Instant::now();
    let target = temporary.path().join("mended.db");
    while restore(&url, Until::End, &target).is_err() {
        assert!(start.elapsed() < PATIENCE, "it was not mended");
        unit.add(&format!("more{}", start.elapsed().as_millis()));
        unit.settle();
    }
    fs::remove_file(&target).unwrap();
    unit.settle();
    let wanted = unit.digest();
    restore(&url, Until::End, &target).unwrap();
    assert_eq!(digest(&target), wanted);
    unit.close();
}

#[test]
fn files_that_somebody_removes_are_missed_and_replaced_by_a_snapshot() {
    let (temporary, data, place) = places();
    let url = url_of(&place);
    let never = Duration::from_secs(3600);
    let merges = [Duration::from_millis(100), never, never];
    let unit = Unit::open(&data, &url, Schedule { merges, look: QUICK.look, ..SELDOM });
    for n in 0..3 {
        unit.add(&format!("p{n}"));
        unit.settle();
    }
    unit.wait_for_snapshot();
    // With nothing left to merge, only a look at the place finds it.
    let start = Instant::now();
    while [1, SNAPSHOTS]
        .iter()
        .all(|level| listing(&url).last(*level).is_none_or(|last| last.name.max < unit.head().txid))
    {
        assert!(start.elapsed() < PATIENCE, "it was not merged");
        std::thread::sleep(Duration::from_millis(5));
    }
    // Nothing leads to the newest state then; and the first tries to look and to make a snapshot fail.
    fs::rename(place.join("ltx/9"), temporary.path().join("snapshots")).unwrap();
    fs::write(place.join("ltx/9"), "no folder").unwrap();
    for level in [0, 1] {
        fs::remove_dir_all(place.join(format!("ltx/{level}"))).unwrap();
    }
    unit.wait_for("behind", |state| matches!(state, State::Behind { .. }));
    std::thread::sleep(Duration::from_millis(500));
    fs::remove_file(place.join("ltx/9")).unwrap();

    unit.wait_for("current", |state| *state == State::Current);
    unit.close_and_restore(&url, &temporary);
}

#[test]
fn a_record_that_was_lost_costs_a_copy_and_not_the_replica() {
    let (temporary, data, place) = places();
    let url = url_of(&place);
    let unit = Unit::open(&data, &url, QUICK);
    unit.add("ann");
    unit.settle();
    unit.close();
    fs::write(data.join("replica.json"), "").unwrap();

    let unit = Unit::open(&data, &url, QUICK);
    unit.add("bob");
    unit.settle();
    unit.close_and_restore(&url, &temporary);

    // But where nothing is left of a replica that was written to, a disk may not be mounted.
    fs::rename(&place, temporary.path().join("away")).unwrap();
    let unit = Unit::open(&data, &url, QUICK);
    let state = unit.wait_for("behind", |state| matches!(state, State::Behind { .. }));
    assert!(format!("{state:?}").contains("mount the disk"), "{state:?}");
    unit.close();
}

#[test]
fn a_full_place_changes_nothing_and_leaves_nothing() {
    let temporary = tempfile::tempdir().unwrap();
    let (data, place) = (temporary.path().join("data"), temporary.path().join("small"));
    fs::create_dir(&data).unwrap();
    fs::create_dir(&place).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"]).arg(&place).output().unwrap();
    if !mounted.status.success() {
        skip("a replica on a full disk", "mounting a small file system takes root");
        return;
    }
    let url = url_of(&place.join("replica"));
    let unit = Unit::open(&data, &url, Schedule { merges: Schedule::default().merges, ..QUICK });
    unit.add("ann");
    for n in 0..400 {
        unit.add(&format!("p{n}"));
    }
    unit.wait_for("full", |state| matches!(state, State::Behind { why, .. } if why.contains("space")));
    let left = || -> Vec<PathBuf> {
        (0..10)
            .flat_map(|level| fs::read_dir(place.join(format!("replica/ltx/{level}"))).into_iter().flatten())
            .map(|e| e.unwrap().path())
            .filter(|path| path.extension().is_none_or(|e| e != "ltx"))
            .collect()
    };
    // One may be in the making just now; what was left lying about never goes.
    let start = Instant::now();
    while !left().is_empty() {
        assert!(start.elapsed() < PATIENCE, "{:?}", left());
        std::thread::sleep(Duration::from_millis(5));
    }

    let grown = Command::new("mount").args(["-o", "remount,size=64m"]).arg(&place).status().unwrap();
    assert!(grown.success());
    unit.settle();
    let wanted = unit.digest();
    unit.close();
    let target = temporary.path().join("restored.db");
    let restored = restore(&url, Until::End, &target);
    Command::new("umount").arg(&place).status().unwrap();
    restored.unwrap();
    assert_eq!(digest(&target), wanted);
}

#[test]
fn a_kill_during_a_merge_a_snapshot_or_a_removal_breaks_no_chain() {
    let (temporary, data, place) = places();
    let url = url_of(&place);
    let target = temporary.path().join("restored.db");
    let mut last = Txid(0);
    let mut levels = [0; 10];
    let has_each = |levels: &[usize; 10]| [0, 1, 2, 3, SNAPSHOTS].iter().all(|level| levels[*level as usize] > 0);
    let mut round = 0;
    while round < KILLS || (round < 4 * KILLS && !has_each(&levels)) {
        round += 1;
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "replica::faults::a_unit_to_be_killed", "--ignored", "--nocapture"])
            .env("ASHLAR_TEST_KILLED", temporary.path())
            .stdout(Stdio::null())
            .spawn();
        let child = Running(child.unwrap());
        // It is at work once something new is there.
        let start = Instant::now();
        while listing(&url).head().is_none_or(|head| head.name.max <= last) {
            assert!(start.elapsed() < PATIENCE, "round {round}: it does not begin");
            std::thread::sleep(Duration::from_millis(2));
        }
        std::thread::sleep(Duration::from_millis(53 * round % 400));
        drop(child);
        let restored = restore(&url, Until::End, &target).unwrap();
        assert!(restored.txid >= last, "{restored:?} after {last}");
        last = restored.txid;
        digest(&target);
        fs::remove_file(&target).unwrap();
        let listing = listing(&url);
        (0..=9).for_each(|level| levels[level as usize] = listing.level(level).count().max(levels[level as usize]));
    }
    let unit = Unit::open(&data, &url, BRISK);
    unit.add("after");
    unit.settle();
    let wanted = unit.digest();
    unit.close();

    restore(&url, Until::End, &target).unwrap();
    assert_eq!(digest(&target), wanted);
    assert!(has_each(&levels), "{levels:?}");
    assert!(listing(&url).level(0).count() < last.0 as usize, "nothing was ever removed");
    let unfinished = (0..10).flat_map(|level| fs::read_dir(place.join(format!("ltx/{level}"))).into_iter().flatten());
    let unfinished: Vec<PathBuf> = unfinished.map(|e| e.unwrap().path()).collect();
    assert!(unfinished.iter().all(|path| path.extension().is_some_and(|e| e == "ltx")), "{unfinished:?}");
    if let Some(program) = litestream("0.5.17") {
        let theirs = temporary.path().join("theirs.db");
        litestream_restore(&program, &url, &theirs, &[]);
        assert_eq!(digest(&theirs), wanted);
    }
}

/// So fast that each moment is within a merge, a snapshot or a removal.
const BRISK: Schedule = Schedule {
    interval: Duration::from_millis(5),
    merges: [Duration::from_millis(20), Duration::from_millis(60), Duration::from_millis(150)],
    snapshot: Duration::from_secs(1),
    keep_increments: Duration::from_secs(1),
    keep: Duration::from_secs(3),
    look: Duration::from_millis(100),
};

#[test]
#[ignore = "a_kill_during_a_merge_a_snapshot_or_a_removal_breaks_no_chain runs it, in a process of its own"]
fn a_unit_to_be_killed() {
    let Some(folder) = std::env::var_os("ASHLAR_TEST_KILLED").map(PathBuf::from) else { return };
    let unit = Unit::open(&folder.join("data"), &url_of(&folder.join("replica")), BRISK);
    for _ in 0..100_000 {
        unit.add(&uuid::Uuid::new_v4().to_string());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_every_kill_the_chain_restores_with_all_that_was_replicated() {
    let (temporary, data, place) = places();
    let url = url_of(&place);
    let args = ["--replica", &url, "--replica-interval-ms", "20", "--log", "error"];
    let mut token = String::new();
    let mut last = Txid(0);
    for round in 0..KILLS {
        let mut app = TestApp::start_in(&data, &args).await;
        if round == 0 {
            token = app.person("owner@example.org", "owner").1;
        }
        let start = Instant::now();
        let mut n = 0;
        while start.elapsed() < Duration::from_millis(40 + 37 * round % 180) {
            let body = serde_json::json!({ "email": format!("r{round}n{n}@example.org"), "display_name": "Kill" });
            let answer = app.post("/api/people", &body).bearer_auth(&token).send().await.unwrap();
            assert_eq!(answer.status(), 201);
            n += 1;
        }
        app.kill();
        let target = temporary.path().join("restored.db");
        match restore(&url, Until::End, &target) {
            Ok(restored) => {
                assert!(restored.txid >= last, "{restored:?} after {last}");
                last = restored.txid;
                digest(&target);
                fs::remove_file(&target).unwrap();
            }
            // Killed before there was anything.
            Err(why) => assert!(last == Txid(0) && why.contains("no replica"), "{why}"),
        }
    }
    let mut app = TestApp::start_in(&data, &args).await;
    assert_eq!(app.stop(), Some(0));
    let target = temporary.path().join("restored.db");
    restore(&url, Until::End, &target).unwrap();
    assert_eq!(digest(&target), digest(&data.join("ashlar.db")));
    if let Some(program) = litestream("0.5.5") {
        let target = temporary.path().join("theirs.db");
        litestream_restore(&program, &url, &target, &[]);
        assert_eq!(digest(&target), digest(&data.join("ashlar.db")));
    }
}
