//! Starting and stopping: what keeps a server from starting, and what it leaves when it stops.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::json;

use crate::support::{PASSWORD, TestApp, ashlar, ashlar_ok, program, skip};

/// One line on standard error, exit code 1; returns the line.
fn refused(data: &Path, args: &[&str]) -> String {
    let output = ashlar(data, args);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{args:?}: {text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.starts_with("ashlar: "), "{text}");
    text
}

const SERVE: [&str; 3] = ["serve", "--listen", "127.0.0.1:0"];

/// A unit with one person, its server stopped.
fn stopped_unit() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    ashlar_ok(folder.path(), &["user", "create", "--email", "ann@example.org", "--display-name", "Ann"]);
    folder
}

/// No command but those that are meant to touches `file`, and each says why.
fn is_refused_untouched(folder: &Path, hint: &str) {
    let file = folder.join("ashlar.db");
    let before = fs::read(&file).unwrap();
    let backup = folder.join("backup.db");
    for args in [
        &SERVE[..],
        &["user", "list"],
        &["migrate"],
        &["migrate", "--check"],
        &["backup", "--to", backup.to_str().unwrap()],
    ] {
        let text = refused(folder, args);
        assert!(text.contains(hint), "{args:?}: {text}");
    }
    let doctor = ashlar(folder, &["doctor", "--fix"]);
    assert_eq!(doctor.status.code(), Some(1));
    let found = String::from_utf8(doctor.stdout).unwrap();
    assert!(found.starts_with("wrong ") && found.contains(hint), "{found}");

    assert_eq!(fs::read(&file).unwrap(), before, "the file was changed");
    assert!(!backup.exists());
}

#[test]
fn a_missing_folder_is_named_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("nowhere");

    for args in [&SERVE[..], &["doctor"], &["user", "list"], &["migrate"]] {
        let text = refused(&missing, args);
        assert!(text.contains(&format!("mkdir -p {}", missing.display())), "{text}");
    }
    assert!(!missing.exists());
}

#[test]
fn a_folder_without_a_database_is_no_unit_to_look_after() {
    let folder = tempfile::tempdir().unwrap();

    for args in [&["doctor"][..], &["backup", "--to", "/nowhere/at/all.db"]] {
        refused(folder.path(), args);
    }
    assert!(!folder.path().join("ashlar.db").exists());
}

#[test]
fn a_garbage_file_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("ashlar.db"), "not a database, but long enough to be one ".repeat(200)).unwrap();
    is_refused_untouched(folder.path(), "no SQLite database");

    fs::write(folder.path().join("ashlar.db"), "").unwrap();
    is_refused_untouched(folder.path(), "too short");
}

#[test]
fn a_database_of_another_program_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let other = Connection::open(folder.path().join("ashlar.db")).unwrap();
    other.execute_batch("PRAGMA application_id = 77; CREATE TABLE t (x); INSERT INTO t VALUES (1)").unwrap();
    drop(other);

    is_refused_untouched(folder.path(), "another program");
}

#[test]
fn a_truncated_database_stays_as_it_is() {
    let folder = stopped_unit();
    let file = folder.path().join("ashlar.db");
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();

    is_refused_untouched(folder.path(), "ashlar restore");
}

#[test]
fn a_database_with_a_corrupt_schema_stays_as_it_is() {
    let folder = stopped_unit();
    let file = folder.path().join("ashlar.db");
    let mut bytes = fs::read(&file).unwrap();
    bytes[100..1000].fill(0xa5);
    fs::write(&file, &bytes).unwrap();

    is_refused_untouched(folder.path(), "ashlar restore");
}

#[test]
fn a_newer_schema_stays_as_it_is() {
    let folder = stopped_unit();
    let raw = Connection::open(folder.path().join("ashlar.db")).unwrap();
    raw.execute_batch(
        "INSERT INTO migrations_users (version, name, applied_on, checksum) VALUES (9, 'later', '2030-01-01', '1')",
    )
    .unwrap();
    drop(raw);

    is_refused_untouched(folder.path(), "newer schema");
}

/// A folder mounted over itself, to be read only until this is dropped.
struct ReadOnly<'a>(&'a Path);

impl ReadOnly<'_> {
    /// None where it can't be mounted.
    fn mount(folder: &Path) -> Option<ReadOnly<'_>> {
        let mount = |args: &[&OsStr]| {
            let mounted = Command::new("mount").args(args).arg(folder).stderr(Stdio::null()).status();
            mounted.is_ok_and(|status| status.success())
        };
        if !mount(&["--bind".as_ref(), folder.as_ref()]) {
            return None;
        }
        let bound = ReadOnly(folder);
        mount(&["-o".as_ref(), "remount,bind,ro".as_ref()]).then_some(bound)
    }
}

impl Drop for ReadOnly<'_> {
    fn drop(&mut self) {
        // A panic within a panic would hide the first one; lazily, so that nothing that holds it open can stop it.
        Command::new("umount").arg("-l").arg(self.0).status().ok();
    }
}

#[test]
fn a_folder_that_may_only_be_read_is_named() {
    let folder = stopped_unit();
    // A folder without the right to write stops everyone but root.
    let Some(mounted) = ReadOnly::mount(folder.path()) else {
        return skip("a folder that may only be read", "it could not be mounted so without root");
    };

    let texts: Vec<_> = [&SERVE[..], &["user", "list"], &["doctor"], &["migrate"]]
        .iter()
        .map(|args| (ashlar(folder.path(), args).status.code(), ashlar(folder.path(), args).stderr))
        .collect();

    drop(mounted);
    for (code, text) in texts {
        let text = String::from_utf8(text).unwrap();
        assert_eq!((code, text.lines().count()), (Some(1), 1), "{text}");
        assert!(text.contains("can't be written"), "{text}");
    }
}

#[test]
fn a_port_that_is_taken_leaves_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();

    let text = refused(folder.path(), &["serve", "--listen", &address]);

    assert!(text.contains(&address) && text.contains("--listen"), "{text}");
    assert!(!folder.path().join("ashlar.db").exists());
}

#[tokio::test]
async fn a_start_prints_a_set_up_link_while_there_is_no_owner() {
    let folder = tempfile::tempdir().unwrap();

    let mut first = TestApp::start_in(folder.path(), &[]).await;
    assert!(first.set_up_link.as_ref().unwrap().starts_with(&format!("{}/set-up/", first.origin)));
    first.person("owner@example.org", "owner");
    first.stop();

    let second = TestApp::start_in(folder.path(), &[]).await;
    assert_eq!(second.set_up_link, None);
}

#[tokio::test]
async fn a_start_waits_for_a_command_that_holds_the_folder_for_a_moment() {
    let folder = stopped_unit();
    let lock = fs::File::open(folder.path().join("ashlar.lock")).unwrap();
    lock.lock().unwrap();
    let command = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        lock.unlock().unwrap();
    });

    let app = TestApp::start_in(folder.path(), &[]).await;

    assert_eq!(app.get("/api/ready").send().await.unwrap().status(), 200);
    command.join().unwrap();
}

#[tokio::test]
async fn a_second_server_is_told_who_holds_the_folder() {
    let first = TestApp::start().await;

    let text = refused(&first.folder, &SERVE);

    assert!(text.contains(&format!("process {};", first.pid())), "{text}");
    assert_eq!(first.get("/api/health").send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn sigterm_lets_running_requests_finish_and_leaves_one_complete_file() {
    let mut app = TestApp::start().await;
    app.sign_up("ann@example.org").await;
    let body = json!({ "email": "ben@example.org", "password": PASSWORD, "display_name": "Ben" }).to_string();
    let (head, tail) = body.split_at(20);
    let mut running = TcpStream::connect(app.origin.trim_start_matches("http://")).unwrap();
    let length = body.len();
    write!(
        running,
        "POST /api/sign-up HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{head}"
    )
    .unwrap();
    std::thread::sleep(Duration::from_millis(300));

    let rest = tail.to_owned();
    let late = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        running.write_all(rest.as_bytes()).unwrap();
        let mut answer = String::new();
        running.read_to_string(&mut answer).unwrap();
        answer
    });
    let code = app.stop();

    let answer = late.join().unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    assert_eq!(code, Some(0));
    let alone = tempfile::tempdir().unwrap();
    fs::copy(app.folder.join("ashlar.db"), alone.path().join("ashlar.db")).unwrap();
    let people = ashlar_ok(alone.path(), &["user", "list"]);
    assert!(people.contains("ann@example.org") && people.contains("ben@example.org"), "{people}");
}

#[test]
fn an_unknown_key_of_the_settings_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("ashlar.toml"), "log = \"warn\"\nlissten = \"127.0.0.1:0\"\n").unwrap();

    let text = refused(folder.path(), &["serve"]);

    assert!(text.contains("ashlar.toml") && text.contains("line 2") && text.contains("`lissten`"), "{text}");
}

/// The port the server takes with these variables and flags, over a file that names a port as well.
fn listens_on(folder: &Path, variable: Option<u16>, flag: Option<u16>) -> u16 {
    let mut command = program();
    command.arg("serve").arg("--data").arg(folder).stdout(Stdio::piped()).stderr(Stdio::null());
    if let Some(port) = variable {
        command.env("ASHLAR_LISTEN", format!("127.0.0.1:{port}"));
    }
    if let Some(port) = flag {
        command.args(["--listen", &format!("127.0.0.1:{port}")]);
    }
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let port = lines.map_while(Result::ok).find_map(|line| line.rsplit_once("127.0.0.1:")?.1.parse().ok());
    child.kill().unwrap();
    child.wait().unwrap();
    port.expect("it did not start")
}

#[test]
fn flags_go_over_variables_and_variables_over_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let free: Vec<_> = (0..3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let [file, variable, flag] = [0, 1, 2].map(|n: usize| free[n].local_addr().unwrap().port());
    drop(free);
    fs::write(folder.path().join("ashlar.toml"), format!("listen = \"127.0.0.1:{file}\"\n")).unwrap();

    assert_eq!(listens_on(folder.path(), None, None), file);
    assert_eq!(listens_on(folder.path(), Some(variable), None), variable);
    assert_eq!(listens_on(folder.path(), Some(variable), Some(flag)), flag);
}

#[test]
fn the_help_of_serve_names_every_setting_with_its_default() {
    let help = String::from_utf8(program().args(["serve", "--help"]).output().unwrap().stdout).unwrap();
    let flags: Vec<&str> = help.split("\n      --").skip(1).filter(|flag| !flag.starts_with("data ")).collect();

    assert!(flags.len() >= 10, "{help}");
    for flag in flags {
        let flag = flag.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flag.contains("[default: ") && flag.contains("[env: ASHLAR_"), "{flag}");
    }
}

#[test]
fn a_start_of_a_sound_unit_waits_for_nothing() {
    let folder = stopped_unit();
    // The fastest of a few: what else runs on the machine makes the others slower, never faster.
    let times = [(); 3].map(|()| {
        let start = Instant::now();
        listens_on(folder.path(), Some(0), None);
        start.elapsed()
    });

    // It takes a fraction of a second; a busy database is waited for 5 s.
    assert!(times.iter().min().unwrap() < &Duration::from_secs(3), "{times:?}");
}
