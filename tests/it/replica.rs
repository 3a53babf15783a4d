//! The replica, kept by the running service, held against the real Litestream both ways.

mod faults;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ashlar::app;
use ashlar::platform::actor::Actor;
use ashlar::platform::auth::Role;
use ashlar::platform::clock::{Clock, Time};
use ashlar::platform::config::{Options, Settings};
use ashlar::platform::db::{self, Database, Folder, Lock, Tuning};
use ashlar::platform::ids::UserId;
use ashlar::platform::replica::{
    self, Head, Listing, Planned, Replica, Report, Restored, SNAPSHOTS, Schedule, State, Txid, Until,
};
use ashlar::use_cases::App;
use ashlar::use_cases::add_person::{AddPerson, add_person_blocking};
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use tempfile::TempDir;

use crate::support::{litestream, terminate, wait};

const VERSIONS: [&str; 2] = ["0.5.17", "0.5.5"];
const NOW: i64 = 1_800_000_000_000;
/// Far longer than anything takes, since the machine may be busy; whoever waited for a place that failed waits as long again
/// for the next try.
const PATIENCE: Duration = Duration::from_secs(60);

/// Fast enough that a test sees every level.
const QUICK: Schedule = Schedule {
    interval: Duration::from_millis(20),
    merges: [Duration::from_millis(150), Duration::from_millis(400), Duration::from_millis(900)],
    snapshot: Duration::from_secs(2),
    keep_increments: Duration::from_secs(3600),
    keep: Duration::from_secs(3600),
    look: Duration::from_millis(300),
};

/// A unit in this process, with a replica.
pub struct Unit {
    app: App,
    folder: PathBuf,
    _lock: Lock,
}

impl Unit {
    pub fn open(folder: &Path, url: &str, schedule: Schedule) -> Unit {
        Unit::open_at(folder, url, schedule, Clock::system())
    }

    fn open_at(folder: &Path, url: &str, schedule: Schedule, clock: Clock) -> Unit {
        let folder = Folder::at(folder).unwrap();
        let lock = folder.lock().unwrap();
        let settings = Settings::load(Options::default(), &folder.settings()).unwrap();
        let planned = Planned::new(url, &folder.database()).unwrap();
        let tuning = Tuning { follower: planned.follower(), ..settings.database };
        let database = Database::open(&folder, app::prove().unwrap().0, clock, db::Role::Server, tuning).unwrap();
        let app = app::compose(database, &settings);
        let replica = Replica::start(planned, &app.platform.database, schedule).unwrap();
        assert!(app.platform.replica.set(replica).is_ok());
        Unit { app, folder: folder.path().to_owned(), _lock: lock }
    }

    fn replica(&self) -> &Replica {
        self.app.platform.replica.get().unwrap()
    }

    pub fn add(&self, name: &str) -> UserId {
        let form = AddPerson { email: format!("{name}@example.org"), display_name: name.into(), currency: None };
        add_person_blocking(&self.app, Actor::system(), form, Role::Member, None).unwrap().user.id
    }

    /// Waits until all that was committed so far is in the replica; returns its newest TXID.
    pub fn settle(&self) -> Txid {
        let committed = Instant::now();
        let is_in_it = |report: &Report| report.complete_until.is_some_and(|until| until >= committed);
        self.wait("current", |report| report.state == State::Current && is_in_it(report));
        self.head().txid
    }

    /// The newest state in the replica.
    pub fn head(&self) -> Head {
        self.replica().report().head.unwrap()
    }

    fn wait_for(&self, what: &str, is_it: impl Fn(&State) -> bool) -> State {
        self.wait(what, |report| is_it(&report.state)).state
    }

    fn wait(&self, what: &str, is_it: impl Fn(&Report) -> bool) -> Report {
        let start = Instant::now();
        loop {
            let report = self.replica().report();
            if is_it(&report) {
                return report;
            }
            assert!(start.elapsed() < PATIENCE, "not {what} but {report:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until there is a snapshot of this run: nobody works in the place then but for what comes anew.
    fn wait_for_snapshot(&self) {
        self.wait("with a snapshot", |report| report.last_snapshot.is_some());
    }

    pub fn now(&self) -> Time {
        self.app.platform.database.clock().now()
    }

    pub fn digest(&self) -> String {
        digest(&self.folder.join("ashlar.db"))
    }

    pub fn close(self) {
        self.replica().close();
    }

    /// What is restored afterwards must be what it held.
    fn close_and_restore(self, url: &str, temporary: &TempDir) {
        let wanted = self.digest();
        self.close();
        let target = temporary.path().join("restored-at-the-end.db");
        restore(url, Until::End, &target).unwrap();
        assert_eq!(digest(&target), wanted);
    }
}

/// All rows of all tables, but for what a sidecar keeps there.
pub fn digest(database: &Path) -> String {
    let connection = Connection::open_with_flags(database, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let check: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok", "{}", database.display());
    let tables = "SELECT name, coalesce(sql, '') FROM sqlite_schema WHERE type = 'table' \
                  AND name NOT LIKE 'sqlite_%' AND name NOT LIKE '\\_litestream%' ESCAPE '\\' ORDER BY name";
    let mut tables = connection.prepare(tables).unwrap();
    let tables = tables.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))).unwrap();
    let mut all = String::new();
    for (name, sql) in tables.map(Result::unwrap) {
        all.push_str(&sql);
        let mut statement = connection.prepare(&format!("SELECT * FROM \"{name}\"")).unwrap();
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| {
            let values = (0..columns).map(|i| match row.get_ref(i)? {
                ValueRef::Blob(bytes) | ValueRef::Text(bytes) => Ok(format!("{bytes:?}")),
                other => Ok(format!("{other:?}")),
            });
            values.collect::<rusqlite::Result<Vec<_>>>().map(|values| values.join(","))
        });
        let mut rows: Vec<String> = rows.unwrap().map(Result::unwrap).collect();
        rows.sort();
        all.push_str(&format!("\n{name} {}\n{}\n", rows.len(), rows.join("\n")));
    }
    all
}

/// A folder for a unit and a place for its replica, in a folder that goes with what is returned first.
pub fn places() -> (TempDir, PathBuf, PathBuf) {
    let temporary = tempfile::tempdir().unwrap();
    let (data, place) = (temporary.path().join("data"), temporary.path().join("replica"));
    fs::create_dir(&data).unwrap();
    (temporary, data, place)
}

pub fn url_of(folder: &Path) -> String {
    format!("file://{}", folder.display())
}

pub fn restore(url: &str, until: Until, target: &Path) -> Result<Restored, String> {
    let place = replica::at(url).unwrap();
    replica::restore(&*place, until, target, &mut |_, _| {}).map_err(|e| e.to_string())
}

fn listing(url: &str) -> Listing {
    Listing::read(&*replica::at(url).unwrap()).unwrap()
}

/// What the real Litestream of that version makes of it.
pub fn litestream_restore(program: &Path, url: &str, target: &Path, args: &[&str]) {
    let output = Command::new(program).args(["restore", "-o"]).arg(target).args(args).arg(url).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{} {args:?}: {said}", program.display());
}

/// A sidecar that replicates `database` to `url`.
pub fn sidecar(program: &Path, database: &Path, url: &str, folder: &Path) -> Running {
    let config = folder.join("litestream.yml");
    let text =
        format!("dbs:\n  - path: {}\n    replica:\n      url: {url}\n      sync-interval: 200ms\n", database.display());
    fs::write(&config, text).unwrap();
    let log = fs::File::create(folder.join("litestream.log")).unwrap();
    let mut command = Command::new(program);
    command.arg("replicate").arg("-config").arg(&config).stdout(log.try_clone().unwrap()).stderr(log);
    Running(command.stdin(Stdio::null()).spawn().unwrap())
}

/// Waits until the replica that a sidecar writes to holds what is in `database`; `folder` has its log.
pub fn wait_until_it_holds(url: &str, database: &Path, folder: &Path) {
    let target = folder.join("looked-at.db");
    let start = Instant::now();
    loop {
        // At first there is none.
        let restored = restore(url, Until::End, &target);
        let is_it = restored.is_ok() && digest(&target) == digest(database);
        fs::remove_file(&target).ok();
        if is_it {
            return;
        }
        let log = || fs::read_to_string(folder.join("litestream.log")).unwrap();
        assert!(start.elapsed() < PATIENCE, "{restored:?}: {}", log());
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A program that does not outlive its test.
pub struct Running(Child);

impl Running {
    pub fn stop(mut self) {
        terminate(&self.0);
        wait(&mut self.0);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn litestream_restores_what_we_replicate_to_every_state() {
    let (temporary, data, place) = places();
    let url = url_of(&place);
    let unit = Unit::open(&data, &url, QUICK);
    let mut states = Vec::new();
    let start = Instant::now();
    let mut n = 0;
    let files_of_each_level = || [0, 1, 2, 3, SNAPSHOTS].map(|level| listing(&url).level(level).count());
    while start.elapsed() < Duration::from_secs(4) || states.len() < 6 || files_of_each_level().contains(&0) {
        assert!(start.elapsed() < PATIENCE, "{:?}", files_of_each_level());
        for _ in 0..20 {
            unit.add(&format!("p{n}"));
            n += 1;
        }
        if n % 100 == 0 {
            let outside = Connection::open(data.join("ashlar.db")).unwrap();
            outside.execute_batch("DELETE FROM profile_words WHERE random() % 2 = 0; VACUUM").unwrap();
        }
        let txid = unit.settle();
        states.push((txid, unit.now(), unit.digest()));
    }
    unit.close();

    for (i, (txid, time, state)) in states.iter().enumerate().step_by(states.len() / 6) {
        let target = temporary.path().join(format!("ours-{i}.db"));
        assert_eq!(restore(&url, Until::Txid(*txid), &target).unwrap().txid, *txid);
        assert_eq!(digest(&target), *state, "TXID {txid}");
        let target = temporary.path().join(format!("ours-{i}-by-time.db"));
        let until = if i + 1 == states.len() { Until::End } else { Until::Time(*time) };
        restore(&url, until, &target).unwrap();
        assert_eq!(digest(&target), *state, "{time}");
        for version in VERSIONS {
            let Some(program) = litestream(version) else { return };
            let target = temporary.path().join(format!("{version}-{i}.db"));
            litestream_restore(&program, &url, &target, &["-txid", &txid.to_string()]);
            assert_eq!(digest(&target), *state, "{version}, TXID {txid}");
            if i + 1 < states.len() {
                let target = temporary.path().join(format!("{version}-{i}-by-time.db"));
                litestream_restore(&program, &url, &target, &["-timestamp", &time.to_string()]);
                assert_eq!(digest(&target), *state, "{version}, {time}");
            }
        }
    }
}

#[test]
fn litestream_follows_what_we_replicate() {
    let Some(program) = litestream("0.5.17") else { return };
    let (temporary, data, place) = places();
    let url = url_of(&place);
    let unit = Unit::open(&data, &url, Schedule { merges: Schedule::default().merges, ..QUICK });
    unit.add("first");
    unit.settle();
    let follower = temporary.path().join("follower.db");
    let following = Command::new(&program)
        .args(["restore", "-f", "-follow-interval", "100ms", "-o"])
        .arg(&follower)
        .arg(&url)
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn();
    let following = Running(following.unwrap());

    for n in 0..40 {
        unit.add(&format!("later{n}"));
        std::thread::sleep(Duration::from_millis(40));
    }
    unit.settle();
    let wanted = unit.digest();
    let start = Instant::now();
    let is_there = || {
        Connection::open(&follower).and_then(|c| c.query_row("SELECT count(*) FROM users", [], |r| r.get::<_, i64>(0)))
    };
    while !matches!(is_there(), Ok(41)) && start.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(100));
    }
    following.stop();

    assert_eq!(digest(&follower), wanted);
    unit.close();
}

#[test]
fn a_handover_to_a_sidecar_and_back_keeps_one_chain() {
    for version in VERSIONS {
        let Some(program) = litestream(version) else { return };
        let (temporary, data, place) = places();
        let url = url_of(&place);
        let unit = Unit::open(&data, &url, QUICK);
        unit.add("ours");
        let ours = unit.settle();
        let first = unit.digest();
        unit.close();

        let database = data.join("ashlar.db");
        let running = sidecar(&program, &database, &url, temporary.path());
        let connection = Connection::open(&database).unwrap();
        for n in 0..20 {
            connection.execute("UPDATE users SET created_at = created_at + ?1", [n]).unwrap();
            std::thread::sleep(Duration::from_millis(100));
        }
        drop(connection);
        wait_until_it_holds(&url, &database, temporary.path());
        running.stop();
        let second = digest(&database);
        let theirs = listing(&url).head().unwrap().name.max;
        assert!(theirs > ours, "{version} wrote nothing");

        let unit = Unit::open(&data, &url, QUICK);
        unit.add("ours-again");
        let last = unit.settle();
        assert!(last > theirs);
        let third = unit.digest();
        unit.close();
        for (i, (txid, state)) in [(ours, &first), (theirs, &second), (last, &third)].into_iter().enumerate() {
            let target = temporary.path().join(format!("ours-{i}.db"));
            restore(&url, Until::Txid(txid), &target).unwrap();
            assert_eq!(digest(&target), *state, "{version}, TXID {txid}");
            let target = temporary.path().join(format!("theirs-{i}.db"));
            litestream_restore(&program, &url, &target, &["-txid", &txid.to_string()]);
            assert_eq!(digest(&target), *state, "{version}, TXID {txid}, by Litestream");
        }
    }
}

#[test]
fn what_litestream_replicated_is_restored_and_taken_over() {
    for version in VERSIONS {
        let Some(program) = litestream(version) else { return };
        let (temporary, data, place) = places();
        let elsewhere = url_of(&temporary.path().join("elsewhere"));
        let unit = Unit::open(&data, &elsewhere, QUICK);
        for n in 0..50 {
            unit.add(&format!("p{n}"));
        }
        unit.close();
        let url = url_of(&place);
        let running = sidecar(&program, &data.join("ashlar.db"), &url, temporary.path());
        wait_until_it_holds(&url, &data.join("ashlar.db"), temporary.path());
        running.stop();

        // It bears no mark of ours: whose it is says the database in it.
        let other = temporary.path().join("other");
        fs::create_dir(&other).unwrap();
        let stranger = Unit::open(&other, &url, QUICK);
        let state = stranger.wait_for("refused", |state| matches!(state, State::Refused { .. }));
        assert!(format!("{state:?}").contains("another unit"), "{state:?}");
        stranger.close();
        let unit = Unit::open(&data, &url, QUICK);
        unit.add("after");
        unit.settle();
        let wanted = unit.digest();
        unit.close();
        let target = temporary.path().join("after.db");
        litestream_restore(&program, &url, &target, &[]);
        assert_eq!(digest(&target), wanted, "{version}");
    }
}
