//! The commands, alone and beside a running server.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::{PASSWORD, TestApp, ashlar, ashlar_ok, program};

pub fn add(data: &Path, email: &str) {
    ashlar_ok(data, &["user", "create", "--email", email, "--display-name", "Ann Lee"]);
}

/// A unit without a server, with these people.
pub fn unit(emails: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    emails.iter().for_each(|email| add(folder.path(), email));
    folder
}

pub fn people(data: &Path) -> BTreeSet<String> {
    let list = ashlar_ok(data, &["user", "list", "--json"]);
    let email = |line: &str| serde_json::from_str::<Value>(line).unwrap()["user"]["email"].as_str().unwrap().to_owned();
    list.lines().map(email).collect()
}

pub fn set(emails: &[&str]) -> BTreeSet<String> {
    emails.iter().map(|email| (*email).to_owned()).collect()
}

pub fn backup(data: &Path, to: &Path) -> Value {
    serde_json::from_str(&ashlar_ok(data, &["backup", "--to", to.to_str().unwrap(), "--json"])).unwrap()
}

pub fn restore(data: &Path, from: &Path) -> Output {
    ashlar(data, &["restore", "--from", from.to_str().unwrap()])
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Files of `folder` and what is in them, without those that only locks need.
pub fn content(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.to_str().unwrap().ends_with(".lock") && !path.to_str().unwrap().ends_with(".use"))
        .map(|path| (path.clone(), fs::read(&path).unwrap_or_default()))
        .collect();
    files.sort();
    files
}

// backup

#[tokio::test]
async fn a_backup_beside_a_server_is_one_whole_file() {
    let app = TestApp::start().await;
    app.sign_up("ann@example.org").await;
    let kept = tempfile::tempdir().unwrap();
    let file = kept.path().join("unit.db");

    let made = backup(&app.folder, &file);

    assert_eq!(made["people"], 1);
    assert_eq!(made["bytes"], fs::metadata(&file).unwrap().len());
    assert_eq!(made["path"], file.to_str().unwrap());
    assert!(made["schema_version"].as_i64().unwrap() > 0);
    let left: BTreeSet<_> = fs::read_dir(kept.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, BTreeSet::from(["unit.db".into(), "unit.db.sha256".into()]), "something else was left there");
}

#[test]
fn a_backup_is_never_written_over() {
    let unit = unit(&["ann@example.org"]);
    let file = unit.path().join("mine.txt");
    fs::write(&file, "mine").unwrap();

    let output = ashlar(unit.path(), &["backup", "--to", file.to_str().unwrap()]);

    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("exists already"));
    assert_eq!(fs::read(&file).unwrap(), b"mine");
}

#[test]
fn a_backup_with_a_table_of_nobody_is_refused() {
    let unit = unit(&["ann@example.org"]);
    let raw = Connection::open(unit.path().join("ashlar.db")).unwrap();
    raw.execute_batch("CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY)").unwrap();
    let file = unit.path().join("unit.db");
    backup(unit.path(), &file);
    raw.execute_batch("CREATE TABLE stray (x)").unwrap();

    let output = ashlar(unit.path(), &["backup", "--to", unit.path().join("second.db").to_str().unwrap()]);

    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("`stray` belongs to no module"), "{}", stderr(&output));
    assert!(!unit.path().join("second.db").exists());
}

#[tokio::test]
async fn a_backup_under_load_holds_exactly_what_was_acknowledged_before_it_and_nothing_torn() {
    let mut app = TestApp::start().await;
    let (_, token) = app.person("owner@example.org", "owner");
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let (client, origin, token, stop) = (app.client.clone(), app.origin.clone(), token.clone(), stop.clone());
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                for n in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let email = format!("load{writer}-{n}@example.org");
                    let body = json!({ "email": email, "display_name": "Load" });
                    let answer = client.post(format!("{origin}/api/people")).bearer_auth(&token).json(&body).send();
                    assert_eq!(answer.await.unwrap().status(), 201);
                    acknowledged.push(email);
                }
                acknowledged
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let kept = tempfile::tempdir().unwrap();
    let file = kept.path().join("unit.db");
    let folder = app.folder.clone();
    let before: BTreeSet<String> = tokio::task::spawn_blocking(move || people(&folder)).await.unwrap();
    let (folder, target) = (app.folder.clone(), file.clone());
    tokio::task::spawn_blocking(move || backup(&folder, &target)).await.unwrap();
    stop.store(true, Ordering::Relaxed);
    let mut all = set(&["owner@example.org"]);
    for writer in writers {
        all.extend(writer.await.unwrap());
    }
    app.stop();

    let restored = tempfile::tempdir().unwrap();
    assert!(restore(restored.path(), &file).status.success());

    let brought_back = people(restored.path());
    assert!(before.len() > 1 && brought_back.is_superset(&before), "someone acknowledged before is missing");
    assert!(brought_back.is_subset(&all), "someone was never acknowledged");
    ashlar_ok(restored.path(), &["doctor"]);
}

/// When kills came.
#[derive(Debug, Default)]
pub struct Hits {
    pub rounds: u32,
    /// Too late: the command had done its work.
    ended: u32,
    /// In the middle: it had begun to write.
    midway: u32,
}

impl Hits {
    /// Whether to go on: a good number of moments, and more (within reason) until each kind was hit.
    pub fn want_more(&self) -> bool {
        let all_kinds = self.ended > 0 && self.midway > 0;
        self.rounds < if all_kinds { 50 } else { 200 }
    }

    /// Starts a command and kills it at a moment within twice the time that it takes: however many rounds there are,
    /// they are spread evenly. Returns whether it ended in time.
    pub fn start_and_kill(&mut self, args: &[&str], whole: Duration, is_midway: impl Fn() -> bool) -> bool {
        let golden_ratio = 0.618_034;
        let part = (f64::from(self.rounds) * golden_ratio).fract();
        let mut child = program().args(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(whole.mul_f64(2.0 * part));
        child.kill().unwrap();
        let ended = child.wait().unwrap().success();
        self.rounds += 1;
        self.ended += u32::from(ended);
        self.midway += u32::from(!ended && is_midway());
        ended
    }

    pub fn must_be_of_each_kind(&self) {
        assert!(self.ended > 0 && self.midway > 0, "the kills missed what they are for: {self:?}");
    }
}

/// Whether a command has left something unfinished in `folder`.
pub fn has_unfinished(folder: &Path) -> bool {
    content(folder).iter().any(|(path, _)| path.to_str().unwrap().contains("unfinished"))
}

#[test]
fn a_backup_killed_at_any_moment_leaves_nothing_that_looks_like_one() {
    let unit = unit(&["ann@example.org"]);
    let kept = tempfile::tempdir().unwrap();
    let start = Instant::now();
    backup(unit.path(), &kept.path().join("first.db"));
    let (time, mut whole, mut hits) = (start.elapsed(), 1, Hits::default());
    while hits.want_more() {
        let file = kept.path().join(format!("unit-{}.db", hits.rounds));
        let args = ["backup", "--to", file.to_str().unwrap(), "--data", unit.path().to_str().unwrap()];
        hits.start_and_kill(&args, time, || has_unfinished(kept.path()));
        if file.exists() {
            let restored = tempfile::tempdir().unwrap();
            assert!(restore(restored.path(), &file).status.success());
            assert_eq!(people(restored.path()), set(&["ann@example.org"]));
            whole += 1;
        }
    }

    backup(unit.path(), &kept.path().join("last.db"));

    // A SHA-256 never comes before its backup; a kill between the two leaves a backup without one.
    let is_sha256 = |path: &Path| path.extension().is_some_and(|e| e == "sha256");
    let (sums, backups): (Vec<_>, Vec<_>) = content(kept.path()).into_iter().partition(|(path, _)| is_sha256(path));
    assert_eq!(backups.len(), whole + 1, "what was left unfinished is still there");
    assert!(sums.iter().all(|(sum, _)| sum.with_extension("").exists()), "a SHA-256 of nothing");
    hits.must_be_of_each_kind();
}

// restore

#[test]
fn a_restore_brings_back_the_past_and_keeps_what_it_replaces() {
    let unit = unit(&["ann@example.org"]);
    let kept = tempfile::tempdir().unwrap();
    let file = kept.path().join("unit.db");
    let token = ashlar_ok(unit.path(), &["user", "token", "--email", "ann@example.org"]);
    assert!(!token.is_empty());
    backup(unit.path(), &file);
    let bytes = fs::read(&file).unwrap();
    add(unit.path(), "ben@example.org");

    let output = restore(unit.path(), &file);

    assert!(output.status.success(), "{}", stderr(&output));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("1 person") && said.contains("/replaced/"), "{said}");
    assert_eq!(people(unit.path()), set(&["ann@example.org"]));
    assert_eq!(fs::read(&file).unwrap(), bytes, "the backup was changed");
    let old = fs::read_dir(unit.path().join("replaced")).unwrap().next().unwrap().unwrap().path();
    assert_eq!(people(&old), set(&["ann@example.org", "ben@example.org"]));
    let raw = Connection::open(unit.path().join("ashlar.db")).unwrap();
    let count = |sql| raw.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count("SELECT epoch FROM unit"), 2);
    assert_eq!(count("SELECT count(*) FROM auth_sessions"), 0);
    assert_eq!(count("SELECT count(*) FROM audit_entries WHERE action = 'unit.restored'"), 1);
}

#[tokio::test]
async fn a_restore_beside_a_server_is_refused_with_its_process() {
    let app = TestApp::start().await;
    app.sign_up("ann@example.org").await;
    let kept = tempfile::tempdir().unwrap();
    let file = kept.path().join("unit.db");
    backup(&app.folder, &file);

    let output = restore(&app.folder, &file);

    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains(&format!("process {};", app.pid())), "{}", stderr(&output));
    assert_eq!(people(&app.folder), set(&["ann@example.org"]));
}

#[test]
fn a_restore_beside_another_program_is_refused() {
    let unit = unit(&["ann@example.org"]);
    let kept = tempfile::tempdir().unwrap();
    let file = kept.path().join("unit.db");
    backup(unit.path(), &file);
    add(unit.path(), "ben@example.org");
    let shell = Connection::open(unit.path().join("ashlar.db")).unwrap();
    shell.query_row("SELECT count(*) FROM users", [], |row| row.get::<_, i64>(0)).unwrap();

    let output = restore(unit.path(), &file);

    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("another program"), "{}", stderr(&output));
    drop(shell);
    assert_eq!(people(unit.path()).len(), 2);
}

#[test]
fn what_is_no_sound_backup_of_ours_is_refused_before_anything_is_touched() {
    let unit = unit(&["ann@example.org"]);
    let kept = tempfile::tempdir().unwrap();
    let good = kept.path().join("good.db");
    backup(unit.path(), &good);
    let bytes = fs::read(&good).unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = kept.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let garbage = file("garbage.db", &[7; 5000]);
    let truncated = file("truncated.db", &bytes[..bytes.len() - 4096]);
    let mut flipped = bytes.clone();
    flipped[5 * 4096..6 * 4096].fill(0xff);
    let flipped = file("flipped.db", &flipped);
    let changed = |name: &str, sql: &str| {
        let path = file(name, &bytes);
        Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        path
    };
    let newer = "INSERT INTO migrations_users (version, name, applied_on, checksum) VALUES (9, 'x', '2030', '1')";
    let files = [
        (kept.path().join("missing.db"), "does not exist"),
        (garbage, "no SQLite database"),
        (truncated, ""),
        (flipped, ""),
        (changed("other.db", "PRAGMA application_id = 5"), "another program"),
        (changed("newer.db", newer), "newer schema"),
        (changed("stray.db", "CREATE TABLE stray (x)"), "`stray` belongs to no module"),
        (changed("missing-table.db", "DROP TABLE profiles"), "`profiles` is missing"),
    ];
    let before = content(unit.path());

    for (file, why) in files {
        let output = restore(unit.path(), &file);

        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{}", file.display());
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains(why) && text.contains(file.to_str().unwrap()), "{text}");
        assert_eq!(content(unit.path()), before, "{} was not refused at once", file.display());
    }
}

#[test]
fn an_older_schema_is_brought_up_to_date_by_migrate_and_by_restore() {
    let unit = unit(&["ann@example.org"]);
    let kept = tempfile::tempdir().unwrap();
    let file = kept.path().join("older.db");
    let raw = Connection::open(unit.path().join("ashlar.db")).unwrap();
    raw.execute_batch("DROP TABLE drills; DROP TABLE migrations_backup; PRAGMA user_version = 5").unwrap();
    drop(raw);
    assert!(backup(unit.path(), &file)["people"].is_null());

    let check = ashlar(unit.path(), &["migrate", "--check"]);
    let ran = ashlar_ok(unit.path(), &["migrate"]);
    let output = restore(unit.path(), &file);

    assert_eq!(check.status.code(), Some(1));
    assert_eq!(String::from_utf8(check.stdout).unwrap().trim(), "pending  backup/V1__drills");
    assert_eq!(ran.trim(), "ran      backup/V1__drills");
    assert_eq!(fs::read_dir(unit.path().join("backups")).unwrap().count(), 1, "no copy from before was kept");
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(ashlar(unit.path(), &["migrate", "--check"]).status.code(), Some(0));
    ashlar_ok(unit.path(), &["doctor", "--fix"]);
}

#[test]
fn a_stale_wal_is_never_applied_to_what_was_restored() {
    let unit = unit(&["ann@example.org"]);
    let kept = tempfile::tempdir().unwrap();
    let file = kept.path().join("unit.db");
    backup(unit.path(), &file);
    // A server that was killed leaves what it has written in the WAL; damage keeps that from being folded in.
    let database = unit.path().join("ashlar.db");
    let raw = Connection::open(&database).unwrap();
    raw.execute_batch("PRAGMA wal_autocheckpoint = 0; UPDATE users SET email = 'stale@example.org'").unwrap();
    let wal = fs::read(unit.path().join("ashlar.db-wal")).unwrap();
    drop(raw);
    assert!(!wal.is_empty());
    let mut bytes = fs::read(&database).unwrap();
    bytes[0..16].fill(0);
    fs::write(&database, &bytes).unwrap();
    fs::write(unit.path().join("ashlar.db-wal"), &wal).unwrap();

    let output = restore(unit.path(), &file);

    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(people(unit.path()), set(&["ann@example.org"]));
    let old = fs::read_dir(unit.path().join("replaced")).unwrap().next().unwrap().unwrap().path();
    assert_eq!(fs::read(old.join("ashlar.db")).unwrap(), bytes);
    assert_eq!(fs::read(old.join("ashlar.db-wal")).unwrap(), wal);
}

#[test]
fn a_restore_killed_at_any_moment_leaves_the_old_unit_or_the_new_one() {
    let unit = unit(&["ann@example.org"]);
    let kept = tempfile::tempdir().unwrap();
    let file = kept.path().join("unit.db");
    backup(unit.path(), &file);
    let start = Instant::now();
    assert!(restore(unit.path(), &file).status.success());
    let (time, mut hits) = (start.elapsed(), Hits::default());
    while hits.want_more() {
        if people(unit.path()).len() == 1 {
            add(unit.path(), "ben@example.org");
        }
        let args = ["restore", "--from", file.to_str().unwrap(), "--data", unit.path().to_str().unwrap()];
        let ended = hits.start_and_kill(&args, time, || has_unfinished(unit.path()));

        ashlar_ok(unit.path(), &["doctor"]);
        let people = people(unit.path());
        let new = set(&["ann@example.org"]);
        assert!(people == new || !ended && people == set(&["ann@example.org", "ben@example.org"]), "{people:?}");
    }

    assert!(restore(unit.path(), &file).status.success());
    assert_eq!(people(unit.path()), set(&["ann@example.org"]));
    let left: Vec<_> = content(unit.path()).into_iter().map(|(path, _)| path).collect();
    assert!(!left.iter().any(|path| path.to_str().unwrap().contains("unfinished")), "{left:?}");
    hits.must_be_of_each_kind();
}

/// Each state that a kill can leave in the middle of the swap, made by hand.
#[test]
fn a_swap_cut_off_between_any_two_steps_is_put_in_order_by_the_next_command() {
    let unit = unit(&["ann@example.org", "ben@example.org"]);
    let data = unit.path();
    let kept = tempfile::tempdir().unwrap();
    let file = kept.path().join("unit.db");
    backup(data, &file);
    let moving = data.join("replaced/20300101T000000Z.moving");

    // The old files are linked, and its WAL, which holds everyone, is removed already.
    add(data, "cay@example.org");
    let raw = Connection::open(data.join("ashlar.db")).unwrap();
    raw.execute_batch("PRAGMA wal_autocheckpoint = 0; UPDATE users SET email = 'x' || email").unwrap();
    fs::create_dir_all(&moving).unwrap();
    for name in ["ashlar.db-wal", "ashlar.db"] {
        fs::hard_link(data.join(name), moving.join(name)).unwrap();
    }
    let _still_open = fs::File::open(data.join("ashlar.db-wal")).unwrap();
    std::mem::forget(raw); // closing it would checkpoint, which a killed process does not
    for name in ["ashlar.db-wal", "ashlar.db-shm"] {
        fs::remove_file(data.join(name)).unwrap();
    }
    // In a process of its own, since this one holds SQLite's locks.
    assert_eq!(people(data), set(&["xann@example.org", "xben@example.org", "xcay@example.org"]));
    assert!(!moving.exists());

    // The new file is in place, and the old one only has its preliminary name.
    fs::create_dir_all(&moving).unwrap();
    fs::copy(&file, moving.join("ashlar.db")).unwrap();
    ashlar_ok(data, &["doctor"]);
    assert!(!moving.exists());
    assert_eq!(people(&data.join("replaced/20300101T000000Z")), set(&["ann@example.org", "ben@example.org"]));

    // Only the folder was made.
    fs::create_dir_all(&moving).unwrap();
    ashlar_ok(data, &["doctor"]);
    assert!(!moving.exists());
}

#[test]
fn a_restore_and_other_commands_wait_for_one_another() {
    let unit = unit(&["ann@example.org"]);
    let kept = tempfile::tempdir().unwrap();
    let file = kept.path().join("unit.db");
    backup(unit.path(), &file);
    let entry = fs::File::open(unit.path().join("ashlar.use")).unwrap();

    entry.lock_shared().unwrap();
    let refused = restore(unit.path(), &file);
    let listed = people(unit.path());
    entry.unlock().unwrap();
    entry.lock().unwrap();
    let late = ashlar(unit.path(), &["user", "list"]);
    entry.unlock().unwrap();

    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("in use by another command"), "{}", stderr(&refused));
    assert_eq!(listed.len(), 1);
    assert!(stderr(&late).contains("is being restored"), "{}", stderr(&late));
    assert!(restore(unit.path(), &file).status.success());
}

#[test]
fn a_wal_whose_database_is_gone_is_never_given_to_a_new_one() {
    let unit = unit(&["ann@example.org"]);
    let kept = tempfile::tempdir().unwrap();
    let file = kept.path().join("unit.db");
    backup(unit.path(), &file);
    fs::remove_file(unit.path().join("ashlar.db")).unwrap();
    fs::write(unit.path().join("ashlar.db-wal"), "left over").unwrap();

    for args in [&["user", "list"][..], &["migrate"], &["doctor"], &["serve"]] {
        let output = ashlar(unit.path(), args);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
    }
    assert!(!unit.path().join("ashlar.db").exists());
    assert!(restore(unit.path(), &file).status.success());

    assert_eq!(people(unit.path()), set(&["ann@example.org"]));
    let old = fs::read_dir(unit.path().join("replaced")).unwrap().next().unwrap().unwrap().path();
    assert_eq!(fs::read(old.join("ashlar.db-wal")).unwrap(), b"left over");
}

// doctor

fn doctor(data: &Path, args: &[&str]) -> (Option<i32>, Value) {
    let output = ashlar(data, &[&["doctor", "--json"], args].concat());
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", stderr(&output))))
}

#[tokio::test]
async fn doctor_beside_a_server_finds_planted_damage_and_mends_what_nobody_would_miss() {
    let app = TestApp::start().await;
    for name in ["no-profile", "no-account", "words", "gone", "closed"] {
        app.sign_up(&format!("{name}@example.org")).await;
    }
    assert_eq!(doctor(&app.folder, &[]).0, Some(0));
    let raw = Connection::open(app.folder.join("ashlar.db")).unwrap();
    raw.busy_timeout(Duration::from_secs(5)).unwrap();
    let id = |name: &str| -> Vec<u8> {
        raw.query_row("SELECT id FROM users WHERE email = ?1", [format!("{name}@example.org")], |row| row.get(0))
            .unwrap()
    };
    let [no_profile, no_account, words, gone, closed] = ["no-profile", "no-account", "words", "gone", "closed"].map(id);
    raw.execute("DELETE FROM profile_words WHERE user_id = ?1", [&no_profile]).unwrap();
    raw.execute("DELETE FROM profiles WHERE user_id = ?1", [&no_profile]).unwrap();
    raw.execute("DELETE FROM billing_accounts WHERE user_id = ?1", [&no_account]).unwrap();
    raw.execute("UPDATE profile_words SET word = 'zebra' WHERE user_id = ?1 AND word = 'lee'", [&words]).unwrap();
    raw.execute("DELETE FROM users WHERE id IN (?1, ?2)", [&gone, &closed]).unwrap();
    raw.execute(
        "INSERT INTO audit_entries (id, at, via, action, subject) VALUES (randomblob(16), 1, 'api', 'person.closed', ?1)",
        [&closed],
    )
    .unwrap();

    let (code, found) = doctor(&app.folder, &[]);
    let (code_after, mended) = doctor(&app.folder, &["--fix"]);

    assert_eq!((code, found["sound"].as_bool()), (Some(1), Some(false)));
    let problems = found["wrong"].to_string();
    for name in
        ["no-profile@example.org", "no-account@example.org", "search words", "password, session or link", "mails went"]
    {
        assert!(problems.contains(name), "{name}: {problems}");
    }
    // What is left of someone whose account nobody closed is for a person to decide.
    assert_eq!(code_after, Some(1));
    let wrong = mended["wrong"].as_array().unwrap();
    let gone = uuid::Uuid::from_slice(&gone).unwrap().to_string();
    assert_eq!(wrong.len(), 2, "{wrong:?}");
    assert!(wrong.iter().all(|one| one["person"] == gone.as_str() && one["mendable"] == false), "{wrong:?}");
    assert_eq!(mended["mended"].as_array().unwrap().len(), 9, "{mended}");
    let count = |sql| raw.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count("SELECT count(*) FROM audit_entries WHERE action = 'person.mended'"), 9);
    assert_eq!(count("SELECT count(*) FROM profiles WHERE display_name = 'no-profile'"), 1);
    assert_eq!(count("SELECT count(*) FROM billing_accounts WHERE currency = 'EUR'"), 4);
    assert_eq!(count("SELECT count(*) FROM profile_words WHERE word = 'zebra'"), 0);
    assert_eq!(count("SELECT count(*) FROM auth_passwords"), 3);

    raw.execute("DELETE FROM profile_words WHERE user_id NOT IN (SELECT id FROM users)", []).unwrap();
    raw.execute("DELETE FROM profiles WHERE user_id NOT IN (SELECT id FROM users)", []).unwrap();
    raw.execute("DELETE FROM billing_accounts WHERE user_id NOT IN (SELECT id FROM users)", []).unwrap();
    assert_eq!(doctor(&app.folder, &[]).0, Some(0));
}

#[test]
fn doctor_reports_damage_of_the_file_and_of_its_tables_and_mends_none() {
    let unit = unit(&["ann@example.org"]);
    let database = unit.path().join("ashlar.db");
    let raw = Connection::open(&database).unwrap();
    raw.execute_batch(
        "CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY); CREATE TABLE stray (x);
         DROP INDEX users_in_charge; CREATE TRIGGER sly AFTER INSERT ON users BEGIN DELETE FROM stray; END;",
    )
    .unwrap();
    let (code, found) = doctor(unit.path(), &["--fix"]);
    assert_eq!(code, Some(1));
    let damage = found["damage"].to_string();
    for what in ["table `stray` belongs to no module", "index `users_in_charge` is missing", "trigger `sly`"] {
        assert!(damage.contains(what), "{what}: {damage}");
    }
    assert!(!damage.contains("litestream"), "{damage}");

    raw.execute_batch("DROP TRIGGER sly; DROP TABLE users").unwrap();
    drop(raw);
    let (code, found) = doctor(unit.path(), &["--fix"]);
    assert_eq!(code, Some(1));
    assert!(found["damage"].to_string().contains("table `users` is missing"), "{found}");
}

#[test]
fn doctor_finds_a_broken_index_that_nothing_else_notices() {
    let unit = unit(&["ann@example.org", "ben@example.org"]);
    let database = unit.path().join("ashlar.db");
    let open = || {
        let raw = Connection::open(&database).unwrap();
        raw.execute_batch("PRAGMA writable_schema = ON").unwrap();
        raw
    };
    // Rows that are written while the schema doesn't show the index are missing in it.
    let schema = "SELECT rootpage, sql FROM sqlite_schema WHERE name = 'users_in_charge'";
    let (root, sql): (i64, String) = open().query_row(schema, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    open().execute("DELETE FROM sqlite_schema WHERE name = 'users_in_charge'", []).unwrap();
    open().execute("UPDATE users SET role = 'owner'", []).unwrap();
    open()
        .execute("INSERT INTO sqlite_schema VALUES ('index', 'users_in_charge', 'users', ?1, ?2)", (root, sql))
        .unwrap();
    assert_eq!(people(unit.path()).len(), 2);

    let (code, found) = doctor(unit.path(), &[]);

    assert_eq!(code, Some(1));
    let damage = found["damage"].to_string();
    assert!(damage.contains("damaged (row 1 missing from index users_in_charge)"), "{found}");
    assert_eq!(doctor(unit.path(), &["--fix"]), (code, found), "it wrote into a damaged file");
    let file = unit.path().join("unit.db");
    assert_eq!(ashlar(unit.path(), &["backup", "--to", file.to_str().unwrap()]).status.code(), Some(1));
    assert!(!file.exists());
}

// user

#[test]
fn wrong_values_exit_1_with_the_field_and_wrong_usage_exits_2() {
    let unit = unit(&["ann@example.org"]);
    let create = |email: &str, name: &str| {
        let args = ["user", "create", "--email", email, "--display-name", name];
        let output = ashlar(unit.path(), &args);
        (output.status.code(), stderr(&output))
    };

    for (email, name, field) in [
        ("no address", "Ann", "email: "),
        ("ben@example.org", " ", "display_name: "),
        ("ANN@example.org", "Ann", "email: this address is taken"),
    ] {
        let (code, text) = create(email, name);
        assert_eq!((code, text.lines().count()), (Some(1), 1), "{text}");
        assert!(text.contains(field), "{text}");
    }
    for args in [&["user", "create"][..], &["user", "list", "--nonsense"], &["nonsense"], &["verify"]] {
        assert_eq!(ashlar(unit.path(), args).status.code(), Some(2), "{args:?}");
    }
    assert_eq!(people(unit.path()).len(), 1);
}

#[tokio::test]
async fn a_person_made_on_the_command_line_beside_a_server_can_sign_in() {
    let app = TestApp::start().await;
    let mut child = program()
        .args(["user", "create", "--email", "ann@example.org", "--display-name", "Ann", "--role", "staff"])
        .args(["--password-stdin", "--data", app.folder.to_str().unwrap()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(format!("{PASSWORD}\n").as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());

    let answer = app.post("/api/sessions", &json!({ "email": "ann@example.org", "password": PASSWORD })).send().await;

    let answer: Value = answer.unwrap().json().await.unwrap();
    assert_eq!(answer["user"]["role"], "staff");
    ashlar_ok(&app.folder, &["user", "disable", "--email", "ann@example.org"]);
    let me = app.get("/api/me").bearer_auth(answer["token"].as_str().unwrap()).send().await.unwrap();
    assert_eq!(me.status(), 401);
}

#[test]
fn a_link_made_on_the_command_line_names_the_origin_of_the_settings() {
    let unit = unit(&["ann@example.org"]);
    let link = |origin: Option<&str>| {
        let mut command = program();
        command.args(["user", "password-link", "--email", "ann@example.org", "--data", unit.path().to_str().unwrap()]);
        if let Some(origin) = origin {
            command.env("ASHLAR_PUBLIC_ORIGIN", origin);
        }
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    fs::write(unit.path().join("ashlar.toml"), "public_origin = \"https://file.example.org\"\n").unwrap();

    assert!(link(None).starts_with("https://file.example.org/password/"));
    assert!(link(Some("https://variable.example.org")).starts_with("https://variable.example.org/password/"));
}

// modules, openapi, migrate

#[test]
fn the_map_names_every_owner_and_its_tables_without_a_database() {
    let nowhere = Path::new("/nowhere/at/all");
    let map: Value = serde_json::from_str(&ashlar_ok(nowhere, &["modules", "--json"])).unwrap();

    let migrations = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let owners: BTreeSet<String> =
        fs::read_dir(migrations).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    let parts = || ["modules", "platform"].into_iter().flat_map(|key| map[key].as_array().unwrap());
    let named: BTreeSet<String> = parts().map(|part| part["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(named, owners);
    assert!(parts().all(|part| !part["purpose"].as_str().unwrap().is_empty()));
    let profiles = parts().find(|part| part["name"] == "profiles").unwrap();
    assert_eq!(profiles["tables"], json!(["profile_words", "profiles"]));
    let row = json!({ "module": "billing", "table": "billing_accounts", "read": true, "write": true });
    assert!(map["matrix"].as_array().unwrap().contains(&row), "{}", map["matrix"]);

    let text = ashlar_ok(nowhere, &["modules"]);
    assert!(text.contains("billing_accounts") && text.contains("rw"), "{text}");
}

#[test]
fn the_printed_document_is_openapi() {
    let document: Value = serde_json::from_str(&ashlar_ok(Path::new("/nowhere"), &["openapi"])).unwrap();

    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    assert!(document["paths"]["/api/sign-up"]["post"].is_object());
}

#[test]
fn migrate_makes_a_missing_database_and_then_has_nothing_to_do() {
    let folder = tempfile::tempdir().unwrap();

    let check = ashlar(folder.path(), &["migrate", "--check", "--json"]);
    assert_eq!(check.status.code(), Some(1));
    assert!(!folder.path().join("ashlar.db").exists());
    let pending: Value = serde_json::from_slice(&check.stdout).unwrap();
    assert_eq!(pending["pending"].as_array().unwrap().len() as i64, pending["schema_version"].as_i64().unwrap());

    ashlar_ok(folder.path(), &["migrate"]);
    assert!(ashlar_ok(folder.path(), &["migrate", "--check"]).contains("nothing to do"));
    ashlar_ok(folder.path(), &["doctor"]);
}

#[test]
fn every_command_has_a_help_that_says_what_it_does() {
    let help = |args: &[&str]| String::from_utf8(program().args(args).output().unwrap().stdout).unwrap();

    let all = help(&["--help"]);

    for command in ["serve", "user", "backup", "restore", "doctor", "migrate", "modules", "openapi"] {
        assert!(all.contains(&format!("\n  {command} ")), "{all}");
        assert!(help(&[command, "--help"]).contains("Usage: ashlar"), "{command}");
    }
}
