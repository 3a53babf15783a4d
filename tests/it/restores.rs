//! Restoring: from the command line, by hand, and from the console while the server runs.

mod console;
mod full_disk;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::commands::{add, backup, content, has_unfinished, people, restore, set, stderr, unit};
use crate::support::{PASSWORD, TestApp, ashlar, ashlar_ok, program, without_settings};

// from the command line

#[test]
fn what_a_restore_loses_and_brings_back_is_said_before_and_recorded() {
    let unit = unit(&["ann@example.org", "ben@example.org", "cay@example.org"]);
    let kept = tempfile::tempdir().unwrap();
    let file = kept.path().join("unit.db");
    backup(unit.path(), &file);
    add(unit.path(), "dan@example.org");
    ashlar_ok(unit.path(), &["user", "disable", "--email", "cay@example.org"]);
    let raw = Connection::open(unit.path().join("ashlar.db")).unwrap();
    let id = |email: &str| -> Vec<u8> {
        raw.query_row("SELECT id FROM users WHERE email = ?1", [email], |row| row.get(0)).unwrap()
    };
    let (ben, cay) = (id("ben@example.org"), id("cay@example.org"));
    for table in ["profiles", "profile_words", "billing_accounts"] {
        raw.execute(&format!("DELETE FROM {table} WHERE user_id = ?1"), [&ben]).unwrap();
    }
    raw.execute("DELETE FROM users WHERE id = ?1", [&ben]).unwrap();
    let closed = "INSERT INTO audit_entries (id, at, via, action, subject) VALUES (?1, 1, 'api', 'person.closed', ?2)";
    raw.execute(closed, ([0xff_u8; 16], &ben)).unwrap();
    drop(raw);

    let output = ashlar(unit.path(), &["restore", "--json", "--from", file.to_str().unwrap()]);

    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    for line in [
        "3 people, last changed 20",
        "will be lost: 3 changes since then",
        "will be gone: 1 person who joined since then",
        "will be back, although their account was closed since then:\n  ben@example.org  Ann Lee\n",
        "will be allowed more again, although disabled or given a lesser role since then:\n  cay@example.org  Ann Lee\n",
        "everyone is signed out",
        "mail is held until an owner sends or discards it, under Jobs",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["outlook"]["present"]["later"]["closed"][0]["email"], "ben@example.org");
    assert_eq!(result["restored"]["people"], 3);
    let raw = Connection::open(unit.path().join("ashlar.db")).unwrap();
    let recorded: String = raw
        .query_row("SELECT \"after\" FROM audit_entries WHERE action = 'unit.restored'", [], |row| row.get(0))
        .unwrap();
    let recorded: Value = serde_json::from_str(&recorded).unwrap();
    let text = |id: &[u8]| uuid::Uuid::from_slice(id).unwrap().to_string();
    assert_eq!(recorded["closed_since"], json!([text(&ben)]));
    assert_eq!(recorded["demoted_since"], json!([text(&cay)]));
    assert_eq!((&recorded["changes_lost"], &recorded["joined_since"]), (&json!(3), &json!(1)));
    assert!(!recorded.to_string().contains("example.org"), "what names a person must not outlive them: {recorded}");
}

#[test]
fn a_backup_of_another_unit_is_called_that_before_it_takes_the_place() {
    let (unit, other) = (unit(&["ann@example.org"]), unit(&["ben@example.org", "cay@example.org"]));
    let file = other.path().join("unit.db");
    backup(other.path(), &file);

    let output = restore(unit.path(), &file);

    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("a backup of another unit. The unit in this folder, with 1 person, is replaced"), "{said}");
    assert!(!said.contains("will be"), "comparing two units means nothing: {said}");
    assert_eq!(people(unit.path()), set(&["ben@example.org", "cay@example.org"]));
}

#[test]
fn where_the_present_unit_cannot_be_read_that_is_said_and_the_restore_goes_on() {
    let unit = unit(&["ann@example.org"]);
    let file = unit.path().join("unit.db");
    backup(unit.path(), &file);
    fs::write(unit.path().join("ashlar.db"), [7; 5000]).unwrap();

    let output = restore(unit.path(), &file);

    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("what will be lost is not known") && said.contains("no SQLite database"), "{said}");
    assert_eq!(people(unit.path()), set(&["ann@example.org"]));
}

#[test]
fn a_folder_means_its_newest_backup_and_what_was_replaced_can_be_brought_back() {
    let unit = unit(&["ann@example.org"]);
    let kept = tempfile::tempdir().unwrap();
    backup(unit.path(), &kept.path().join("ashlar-20260102T000000Z-s9.db"));
    add(unit.path(), "ben@example.org");
    // The later moment by its name, though it is written first.
    backup(unit.path(), &kept.path().join("ashlar-20260103T000000Z-s9.db"));
    fs::copy(kept.path().join("ashlar-20260102T000000Z-s9.db"), kept.path().join("ashlar-20260101T000000Z-s9.db"))
        .unwrap();
    add(unit.path(), "cay@example.org");

    let newest = restore(unit.path(), kept.path());
    assert!(newest.status.success(), "{}", stderr(&newest));
    assert_eq!(people(unit.path()), set(&["ann@example.org", "ben@example.org"]));

    let replaced = fs::read_dir(unit.path().join("replaced")).unwrap().next().unwrap().unwrap().path();
    let back = restore(unit.path(), &replaced);
    assert!(back.status.success(), "{}", stderr(&back));
    // Nobody closed an account.
    let said = stderr(&back);
    assert!(said.contains("will be back: 1 person whom this unit does not know") && !said.contains("closed"), "{said}");
    assert_eq!(people(unit.path()), set(&["ann@example.org", "ben@example.org", "cay@example.org"]));
}

#[test]
fn a_moment_is_read_strictly_and_belongs_to_replicas_alone() {
    let unit = unit(&["ann@example.org"]);
    let kept = tempfile::tempdir().unwrap();
    let file = kept.path().join("unit.db");
    backup(unit.path(), &file);
    let before = content(unit.path());
    let run = |args: &[&str]| {
        let output = ashlar(unit.path(), &[&["restore", "--from", file.to_str().unwrap()], args].concat());
        (output.status.code(), stderr(&output))
    };

    for wrong in [
        &["--at", "yesterday"][..],
        &["--at", "2026-11-24"],
        &["--txid", "0"],
        &["--txid", "-1"],
        &["--txid", "zzzzzzzzzzzzzzzz"],
        &["--at", "2026-11-24 10:00", "--txid", "7"],
    ] {
        let (code, text) = run(wrong);
        assert_eq!(code, Some(2), "{wrong:?}: {text}");
    }
    assert!(run(&["--at", "yesterday"]).1.contains("write it like 2026-11-24T10:00:00Z"));
    for point in [&["--at", "2026-11-24 10:00"][..], &["--txid", "7"], &["--txid", "00000000000002a7"]] {
        let (code, text) = run(point);
        assert_eq!((code, text.lines().count()), (Some(1), 1), "{text}");
        assert!(text.contains("a backup of one fixed moment"), "{text}");
    }
    let empty = tempfile::tempdir().unwrap();
    let nothing = restore(unit.path(), empty.path());
    assert!(stderr(&nothing).contains("there is no backup in"), "{}", stderr(&nothing));
    let (_, text) = run(&["--identity", "key.txt"]);
    assert!(text.contains("is not encrypted"), "{text}");
    assert_eq!(content(unit.path()), before);
}

#[test]
fn on_a_terminal_it_shows_how_far_it_is_and_asks_before_it_goes_on() {
    let unit = unit(&["ann@example.org"]);
    let file = unit.path().join("unit.db");
    backup(unit.path(), &file);
    add(unit.path(), "ben@example.org");
    let typed = |answer: &str, flags: &str| {
        let shell = format!(
            "{} restore --from {} --data {} {flags}",
            program().get_program().to_str().unwrap(),
            file.display(),
            unit.path().display()
        );
        // `script` gives it a terminal.
        let mut command = Command::new("script");
        without_settings(&mut command);
        command.args(["-qec", &shell, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(answer.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };

    for answer in ["n\n", "\n", "restore\n"] {
        let (done, text) = typed(answer, "");
        assert!(!done && text.contains("Restore it? [y/N]") && text.contains("nothing was changed"), "{text}");
        assert!(text.contains("checking 0 MiB") && text.contains("will be lost: 1 change"), "{text}");
        assert_eq!(people(unit.path()).len(), 2);
        assert!(!has_unfinished(unit.path()) && !unit.path().join("replaced").exists());
    }
    assert!(typed("y\n", "").0);
    assert_eq!(people(unit.path()), set(&["ann@example.org"]));
    let (done, text) = typed("", "--yes");
    assert!(done && !text.contains("Restore it?"), "{text}");
}

#[test]
fn the_script_restores_a_file_named_from_wherever_it_is_run() {
    let unit = unit(&["ann@example.org"]);
    let kept = tempfile::tempdir().unwrap();
    backup(unit.path(), &kept.path().join("unit.db"));
    add(unit.path(), "ben@example.org");
    let script = |args: &[&str]| {
        let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/restore"));
        without_settings(&mut command);
        // It takes the program that is installed.
        let program = Path::new(env!("CARGO_BIN_EXE_ashlar")).parent().unwrap().display().to_string();
        let path = format!("{program}:{}", std::env::var("PATH").unwrap());
        command.args(args).env("PATH", path).env("ASHLAR_DATA", unit.path()).current_dir(kept.path()).output().unwrap()
    };

    assert_eq!(script(&[]).status.code(), Some(2));
    let output = script(&["unit.db", "--yes"]);

    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(people(unit.path()), set(&["ann@example.org"]));
}

// by hand

#[tokio::test]
async fn a_copy_put_in_place_by_hand_is_the_unit() {
    let mut app = TestApp::start().await;
    app.sign_up("ann@example.org").await;
    let kept = tempfile::tempdir().unwrap();
    let file = kept.path().join("backup.db");
    backup(&app.folder, &file);
    app.sign_up("ben@example.org").await;
    assert_eq!(app.stop(), Some(0));

    // As the README says: stop, move the database and what belongs to it away, copy the file, start.
    let database = |name: &str| app.folder.join(name);
    for name in ["ashlar.db", "ashlar.db-wal", "ashlar.db-shm"] {
        if database(name).exists() {
            fs::rename(database(name), kept.path().join(name)).unwrap();
        }
    }
    fs::copy(&file, database("ashlar.db")).unwrap();
    let again = TestApp::start_in(&app.folder, &[]).await;

    let signed_in = json!({ "email": "ann@example.org", "password": PASSWORD });
    assert_eq!(again.post("/api/sessions", &signed_in).send().await.unwrap().status(), 201);
    assert_eq!(people(&again.folder), set(&["ann@example.org"]));
    ashlar_ok(&again.folder, &["doctor"]);
}

/// "Where is my database?": where the README says, and a plain copy of it after a stop is all there is.
#[tokio::test]
async fn after_a_stop_the_database_file_alone_is_the_whole_unit() {
    let mut app = TestApp::start().await;
    app.sign_up("ann@example.org").await;
    assert_eq!(app.stop(), Some(0));
    let elsewhere = tempfile::tempdir().unwrap();
    fs::copy(app.folder.join("ashlar.db"), elsewhere.path().join("ashlar.db")).unwrap();

    assert_eq!(people(elsewhere.path()), set(&["ann@example.org"]));
    ashlar_ok(elsewhere.path(), &["doctor"]);
}
