//! The replica for as long as you like: writers, deletes, VACUUM, strangers who checkpoint, restarts; and all the while
//! states of before are restored, by us and by Litestream. A few seconds in the suite; `scripts/soak` runs it for long.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ashlar::platform::clock::Time;
use ashlar::platform::replica::{Listing, Schedule, Txid, Until, at};
use rusqlite::Connection;
use uuid::Uuid;

use crate::replica::{Unit, digest, litestream_restore, restore, url_of};
use crate::support::litestream;

/// Each round lasts so long.
const WRITING: Duration = Duration::from_millis(150);

/// A state that was looked at when nobody wrote.
struct Seen {
    txid: Txid,
    /// When it went into the replica: that is what retention goes by.
    taken_at: Time,
    /// A later moment at which nothing had changed.
    at: Time,
    digest: String,
}

#[test]
fn every_state_that_is_kept_can_be_restored_whatever_happened_meanwhile() {
    let seconds = std::env::var("ASHLAR_SOAK_SECONDS").map_or(8, |text| text.parse().unwrap());
    let end = Instant::now() + Duration::from_secs(seconds);
    let ms = Duration::from_millis;
    let schedule = Schedule {
        interval: ms(20),
        merges: [ms(150), ms(600), ms(2500)],
        snapshot: Duration::from_secs(3),
        keep_increments: Duration::from_secs(4),
        keep: Duration::from_secs(12),
        look: Duration::from_secs(1),
    };
    let temporary = tempfile::tempdir().unwrap();
    let (data, target) = (temporary.path().join("data"), temporary.path().join("restored.db"));
    fs::create_dir(&data).unwrap();
    let url = url_of(&temporary.path().join("replica"));
    let programs: Vec<_> = ["0.5.17", "0.5.5"].into_iter().filter_map(litestream).collect();
    let mut unit = Unit::open(&data, &url, schedule);
    let mut seen: Vec<Seen> = Vec::new();
    let (mut restored, mut theirs, mut gone) = (0, 0, 0);
    let number = AtomicU64::new(0);
    for round in 1.. {
        if Instant::now() > end {
            break;
        }
        write_for_a_while(&unit, &data.join("ashlar.db"), &number, round);
        if round % 12 == 0 {
            unit.close();
            unit = Unit::open(&data, &url, schedule);
        }
        let txid = unit.settle();
        seen.push(Seen { txid, taken_at: unit.head().taken_at, at: unit.now(), digest: unit.digest() });

        let one = &seen[random(seen.len())];
        let is_old = |one: &Seen| one.taken_at < unit.now().plus_seconds(-4);
        let listing = Listing::read(&*at(&url).unwrap()).unwrap();
        let until = if round % 2 == 0 { Until::Txid(one.txid) } else { Until::Time(one.at) };
        // The newest state is no moment of the past yet: what is asked for by time must lie before it.
        let until = if one.txid == txid { Until::End } else { until };
        if listing.plan(until).is_err() {
            assert!(is_old(one), "{until:?} can't be restored: {:?}", listing.plan(until));
            gone += 1;
            continue;
        }
        // Between the two, files may have been merged and removed; then there are others.
        let ours = restore(&url, until, &target).or_else(|_| restore(&url, until, &target));
        match ours {
            // A state by time may be a later one by now, since steps are merged.
            Ok(state) if state.txid == one.txid => assert_eq!(digest(&target), one.digest, "{until:?}"),
            Ok(state) => assert!(state.txid < one.txid && matches!(until, Until::Time(_)), "{state:?} for {until:?}"),
            Err(why) => assert!(is_old(one), "{until:?}: {why}"),
        }
        restored += 1;
        fs::remove_file(&target).ok();
        if let (true, Some(program)) = (round % 5 == 0, programs.get(round / 5 % 2)) {
            litestream_restore(program, &url, &target, &[]);
            assert_eq!(digest(&target), unit.digest(), "{}", program.display());
            fs::remove_file(&target).unwrap();
            theirs += 1;
        }
    }
    let wanted = unit.digest();
    unit.close();
    restore(&url, Until::End, &target).unwrap();
    assert_eq!(digest(&target), wanted);
    println!("{} states, {restored} restored, {theirs} by Litestream, {gone} too old", seen.len());
    assert!(restored > 5);
}

/// Two add people, and one program that knows nothing of Ashlar does what it likes.
fn write_for_a_while(unit: &Unit, database: &std::path::Path, number: &AtomicU64, round: usize) {
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    unit.add(&format!("p{}", number.fetch_add(1, Ordering::Relaxed)));
                    std::thread::sleep(Duration::from_millis(1));
                }
            });
        }
        let outside = Connection::open(database).unwrap();
        outside.busy_timeout(Duration::from_secs(5)).unwrap();
        match round % 6 {
            1 => outside.execute_batch("DELETE FROM profile_words WHERE random() % 3 = 0").unwrap(),
            2 => outside.execute_batch("VACUUM").unwrap(),
            3 => outside.execute_batch("PRAGMA incremental_vacuum(50)").unwrap(),
            4 => {
                // It finds our pin, and gives up.
                outside.busy_timeout(Duration::from_millis(5)).unwrap();
                outside.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
            }
            5 => outside.execute_batch("PRAGMA wal_checkpoint(PASSIVE)").unwrap(),
            _ => {}
        }
        std::thread::sleep(WRITING);
        ended.store(true, Ordering::Relaxed);
    });
}

fn random(below: usize) -> usize {
    Uuid::new_v4().as_u128() as usize % below
}
