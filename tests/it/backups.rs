//! Backups: what is in the file, what it can be wrapped in, and what a server does with them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::{PASSWORD, TestApp, ashlar, ashlar_ok, program, skip, without_settings};

// Made by `age-keygen`, for these tests only.
const IDENTITY: &str = "AGE-SECRET-KEY-1A7EY6FGNPLLSJXELH9X6Q394GX8MPG8AWY4AZJM5T0JA69U8FR8QWF9ZY2";
const RECIPIENT: &str = "age1h4t57lscgaccwu5zvx9he6za3ch433xmwu4ep34dsxq7c7wt3a9q2j8c7e";
const OTHER_IDENTITY: &str = "AGE-SECRET-KEY-1N9KFX0X3T3KSC7DGU4U2JHKNFQ52U2XLALR24KSZL0VKGUHEY4YSWHZQSR";

fn unit() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    ashlar_ok(folder.path(), &["user", "create", "--email", "ann@example.org", "--display-name", "Ann Lee"]);
    folder
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn back_up(data: &Path, args: &[&str]) -> Value {
    let args: Vec<&str> = [&["backup", "--json"], args].concat();
    serde_json::from_str(&ashlar_ok(data, &args)).unwrap()
}

fn verify(data: &Path, file: &Path, args: &[&str]) -> Output {
    ashlar(data, &[&["verify", text(file), "--json"], args].concat())
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn names(folder: &Path) -> BTreeSet<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn identity(folder: &Path, name: &str, identity: &str) -> PathBuf {
    let file = folder.join(name);
    fs::write(&file, format!("# created: 2026-11-24T02:00:00Z\n\n{identity}\n")).unwrap();
    file
}

/// Tries again until `what` is there.
async fn until<T>(what: &str, mut attempt: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = attempt().await {
            return found;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn actions(app: &TestApp, token: &str) -> Vec<String> {
    let trail = app.ask("GET /api/audit?limit=100", token, Value::Null).await;
    trail.body["items"].as_array().unwrap().iter().map(|e| e["action"].as_str().unwrap().to_owned()).collect()
}

// the file

#[test]
fn a_backup_has_a_name_of_its_own_and_says_what_is_in_it() {
    let unit = unit();

    let made = back_up(unit.path(), &[]);

    let path = PathBuf::from(made["path"].as_str().unwrap());
    let name = path.file_name().unwrap().to_str().unwrap().to_owned();
    let schema = made["schema_version"].as_i64().unwrap();
    assert!(name.starts_with("ashlar-2") && name.ends_with(&format!("Z-s{schema}.db")), "{name}");
    assert_eq!(names(&unit.path().join("backups")), BTreeSet::from([name.clone(), format!("{name}.sha256")]));
    let mut command = Command::new("sha256sum");
    command.arg("-c").arg(format!("{name}.sha256")).current_dir(unit.path().join("backups"));
    let checked = command.output().unwrap();
    assert!(checked.status.success(), "{}", stderr(&checked));

    let output = verify(unit.path(), &path, &[]);
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["people"], 1);
    assert_eq!(found["rows"]["profiles"], 1);
    assert_eq!(found["sha256_matches"], true);
    assert_eq!(found["program"], env!("CARGO_PKG_VERSION"));
    assert_eq!(found["made_at"], made["made_at"]);
    assert_eq!(found["schema_version"], schema);
    let said = ashlar_ok(unit.path(), &["verify", text(&path)]);
    assert!(said.contains("could be restored") && said.contains("1 person"), "{said}");
}

#[tokio::test]
async fn a_backup_put_into_an_empty_folder_is_the_unit() {
    let mut app = TestApp::start().await;
    app.sign_up("ann@example.org").await;
    let made = back_up(&app.folder, &[]);
    app.stop();
    let other = tempfile::tempdir().unwrap();
    fs::copy(made["path"].as_str().unwrap(), other.path().join("ashlar.db")).unwrap();

    let app = TestApp::start_in(other.path(), &[]).await;

    let form = json!({ "email": "ann@example.org", "password": PASSWORD });
    let signed_in = app.ask("POST /api/sessions", "", form).await;
    assert_eq!(signed_in.status, 201);
    let me = app.ask("GET /api/me", signed_in.body["token"].as_str().unwrap(), Value::Null).await;
    assert_eq!(me.body["user"]["email"], "ann@example.org");
    // What the copy said of itself would not be true for long, and is gone: a plain copy of this is no worse a backup.
    let raw = Connection::open(other.path().join("ashlar.db")).unwrap();
    let said = raw.query_row("SELECT count(*) FROM copies", [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(said, 0);
    ashlar_ok(other.path(), &["doctor"]);
}

#[test]
fn a_backup_may_go_to_a_file_or_a_folder_and_to_nothing_else() {
    let unit = unit();
    let kept = tempfile::tempdir().unwrap();
    let made = back_up(unit.path(), &["--to", text(kept.path())]);
    assert!(made["path"].as_str().unwrap().starts_with(text(kept.path())));
    let file = kept.path().join("taken.db");
    fs::write(kept.path().join("taken.db.sha256"), "mine").unwrap();
    let before = names(kept.path());

    for (to, why) in [
        (kept.path().join("none/unit.db"), "does not exist; make it with `mkdir -p"),
        (unit.path().join("ashlar.db/unit.db"), "is not a folder"),
        (file, "taken.db.sha256 exists already"),
    ] {
        let output = ashlar(unit.path(), &["backup", "--to", text(&to)]);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(why), "{}", stderr(&output));
        assert_eq!(names(kept.path()), before);
    }
}

#[test]
fn a_folder_that_can_not_be_written_is_refused() {
    let unit = unit();
    // Root may write everywhere but here.
    let output = ashlar(unit.path(), &["backup", "--to", "/proc/unit.db"]);

    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("/proc"), "{}", stderr(&output));
}

#[test]
fn the_script_backs_up_wherever_it_is_run() {
    let (unit, kept) = (unit(), tempfile::tempdir().unwrap());
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/backup"));
    without_settings(&mut command);
    // It takes the program that is installed.
    let program = Path::new(env!("CARGO_BIN_EXE_ashlar")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    command.args(["--to", "here.db"]).env("PATH", path).env("ASHLAR_DATA", unit.path()).current_dir(kept.path());

    let output = command.output().unwrap();

    assert!(output.status.success(), "{}", stderr(&output));
    assert!(verify(unit.path(), &kept.path().join("here.db"), &[]).status.success());
}

// what it is wrapped in

#[test]
fn a_backup_compressed_and_encrypted_is_opened_by_its_identity_and_by_the_standard_tools() {
    let unit = unit();
    let kept = tempfile::tempdir().unwrap();
    let key = identity(kept.path(), "key.txt", IDENTITY);
    let plain = back_up(unit.path(), &["--to", text(&kept.path().join("plain.db"))]);
    let cases = [
        (&["--compress"][..], ".db.zst", &[][..]),
        (&["--recipient", RECIPIENT], ".db.age", &["--identity", text(&key)]),
        (&["--compress", "--recipient", RECIPIENT], ".db.zst.age", &["--identity", text(&key)]),
    ];
    for (args, suffix, opening) in cases {
        let to = tempfile::tempdir().unwrap();
        let made = back_up(unit.path(), &[args, &["--to", text(to.path())]].concat());

        let file = PathBuf::from(made["path"].as_str().unwrap());
        assert!(text(&file).ends_with(suffix), "{}", file.display());
        assert_eq!(names(to.path()).len(), 2, "something else was left there");
        let bytes = fs::read(&file).unwrap();
        assert!(!bytes.windows(15).any(|w| w == b"ann@example.org"));
        let output = verify(unit.path(), &file, opening);
        let found: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", stderr(&output)));
        assert_eq!(found["people"], plain["people"]);
        assert_eq!(found["compressed"], suffix.contains("zst"));
        assert_eq!(fs::read(&file).unwrap(), bytes, "it was changed");
        opened_by_tools(&file, &key);
    }
    // Nothing that was unpacked lies about.
    assert!(names(&unit.path().join("backups")).is_empty());
}

/// What `age` and `zstd` make of `file` is the plain database.
fn opened_by_tools(file: &Path, key: &Path) {
    let mut plain = fs::read(file).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (suffix, tool, args) in
        [(".age", "age", vec!["-d", "-i", text(key), "-o"]), (".zst", "zstd", vec!["-q", "-d", "-o"])]
    {
        if !text(file).contains(suffix) {
            continue;
        }
        let (from, to) = (folder.path().join(format!("from{suffix}")), folder.path().join(format!("to{suffix}")));
        fs::write(&from, &plain).unwrap();
        match Command::new(tool).args(args).arg(&to).arg(&from).output() {
            Ok(output) => assert!(output.status.success(), "{tool}: {}", stderr(&output)),
            Err(_) => return skip(&format!("{tool} opens our backups"), &format!("{tool} is not installed")),
        }
        plain = fs::read(to).unwrap();
    }
    assert!(plain.starts_with(b"SQLite format 3\0"));
}

#[test]
fn what_the_standard_tools_made_is_opened_whatever_its_name() {
    let unit = unit();
    let kept = tempfile::tempdir().unwrap();
    let key = identity(kept.path(), "key.txt", IDENTITY);
    let plain = kept.path().join("plain.db");
    back_up(unit.path(), &["--to", text(&plain)]);
    let packed = kept.path().join("packed.db");
    let encrypted = Command::new("age").args(["-r", RECIPIENT, "-o", text(&packed), text(&plain)]).output();
    let Ok(encrypted) = encrypted else { return skip("a file that age made", "age is not installed") };
    assert!(encrypted.status.success(), "{}", stderr(&encrypted));

    assert!(verify(unit.path(), &packed, &["--identity", text(&key)]).status.success());
}

#[test]
fn what_could_not_be_restored_is_refused_with_the_reason() {
    let unit = unit();
    let kept = tempfile::tempdir().unwrap();
    let at = |name: &str| kept.path().join(name);
    let (key, other) = (identity(kept.path(), "key.txt", IDENTITY), identity(kept.path(), "other.txt", OTHER_IDENTITY));
    let opening = ["--identity", text(&key)];
    for (name, args) in [
        ("plain", &[][..]),
        ("zst", &["--compress"]),
        ("age", &["--recipient", RECIPIENT]),
        ("both", &["--compress", "--recipient", RECIPIENT]),
    ] {
        back_up(unit.path(), &[args, &["--to", text(&at(name))]].concat());
        let bytes = fs::read(at(name)).unwrap();
        fs::write(at(&format!("{name}.cut")), &bytes[..bytes.len() / 2]).unwrap();
        fs::write(at(&format!("{name}.short")), &bytes[..bytes.len() - 1]).unwrap();
        let mut flipped = bytes.clone();
        let middle = bytes.len() / 2;
        flipped[middle..middle + 64].iter_mut().for_each(|byte| *byte ^= 0x55);
        fs::write(at(&format!("{name}.flipped")), &flipped).unwrap();
        for bad in ["cut", "short", "flipped"] {
            // In a plain file that may hit a page of rows, which only the SHA-256 tells.
            if (name, bad) == ("plain", "flipped") {
                fs::copy(at("plain.sha256"), at("plain.flipped.sha256")).unwrap();
            }
            let output = verify(unit.path(), &at(&format!("{name}.{bad}")), &opening);
            let said = stderr(&output);
            assert_eq!(output.status.code(), Some(1), "{name}.{bad}");
            assert_eq!(said.lines().count(), 1, "{said}");
            assert!(said.contains(&format!("{name}.{bad} ")), "{said}");
        }
    }
    fs::write(at("empty"), "").unwrap();
    fs::write(at("random"), [7; 5000]).unwrap();
    fs::write(at("header"), b"SQLite format 3\0").unwrap();
    fs::write(at("bomb"), zeros_after_header(&fs::read(at("plain")).unwrap())).unwrap();
    Connection::open(at("foreign")).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    fs::copy(at("plain"), at("altered")).unwrap();
    let altered = Connection::open(at("altered")).unwrap();
    altered.execute_batch("PRAGMA foreign_keys = OFF; DELETE FROM audit_entries").unwrap();
    drop(altered);
    fs::copy(at("plain"), at("triggered")).unwrap();
    let triggered = Connection::open(at("triggered")).unwrap();
    triggered.execute_batch("CREATE TRIGGER t AFTER INSERT ON users BEGIN DELETE FROM mails; END").unwrap();
    drop(triggered);
    let elsewhere = at("restored");
    fs::create_dir(&elsewhere).unwrap();
    for (name, args, why) in [
        ("missing", &[][..], "does not exist"),
        ("empty", &[], "is empty"),
        ("random", &[], "no SQLite database"),
        ("header", &[], ""),
        ("foreign", &[], "another program"),
        ("altered", &[], "`audit_entries` has"),
        ("triggered", &[], "the trigger `t` belongs to no module"),
        ("plain.flipped", &[], "is not what was made: its SHA-256 is"),
        ("age", &[], "name the file with its identity with --identity FILE"),
        ("age", &["--identity", text(&other)], "encrypted for someone else"),
        ("age", &["--identity", text(&at("random"))], "holds no identity in line 1"),
        ("plain.cut", &[], "is cut off"),
        ("zst.cut", &[], "cut off"),
        ("both.cut", &opening, "cut off"),
        ("bomb", &[], "holds more than"),
    ] {
        let file = at(name);
        let restored = ashlar(&elsewhere, &[&["restore", "--yes", "--from", text(&file)], args].concat());
        for output in [verify(unit.path(), &file, args), restored] {
            assert_eq!(output.status.code(), Some(1), "{name}");
            assert!(stderr(&output).contains(why), "{name}: {}", stderr(&output));
        }
        assert!(!elsewhere.join("ashlar.db").exists(), "{name}");
    }
    assert!(names(&unit.path().join("backups")).is_empty(), "something unpacked was left");
    let left = names(&elsewhere);
    assert!(left.iter().all(|name| name == "ashlar.lock"), "{left:?}");
}

/// A database that goes on with zeros far beyond what its header says, compressed to little.
fn zeros_after_header(plain: &[u8]) -> Vec<u8> {
    let mut bomb = plain.to_vec();
    bomb.resize(64 * 1024 * 1024, 0);
    zstd::encode_all(&*bomb, 3).unwrap()
}

#[tokio::test]
async fn a_file_that_is_read_only_and_one_that_is_served_can_be_verified() {
    let app = TestApp::start().await;
    app.sign_up("ann@example.org").await;
    let made = back_up(&app.folder, &[]);
    let file = PathBuf::from(made["path"].as_str().unwrap());
    let before = names(file.parent().unwrap());

    let live: Value = serde_json::from_slice(&verify(&app.folder, &app.folder.join("ashlar.db"), &[]).stdout).unwrap();

    assert_eq!(live["people"], 1);
    assert_eq!(live["made_at"], Value::Null);
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o400)).unwrap();
    assert!(verify(&app.folder, &file, &[]).status.success());
    assert_eq!(names(file.parent().unwrap()), before, "something was left beside it");
    assert!(verify(Path::new("/nonexistent"), &file, &[]).status.success(), "it needs no unit");
}

// kills

#[test]
fn encrypted_backups_killed_at_any_moment_leave_nothing_that_looks_like_one_and_no_plain_copy() {
    const KILLS: u32 = 50;
    let unit = unit();
    let kept = tempfile::tempdir().unwrap();
    let key = identity(unit.path(), "key.txt", IDENTITY);
    let pack = ["--compress", "--recipient", RECIPIENT];
    let start = Instant::now();
    back_up(unit.path(), &[&pack[..], &["--to", text(&kept.path().join("first"))]].concat());
    let whole = start.elapsed();
    let mut made = 1;
    for round in 0..KILLS {
        let file = kept.path().join(format!("unit-{round}"));
        let mut command = program();
        command.arg("backup").args(pack).arg("--to").arg(&file).arg("--data").arg(unit.path());
        let mut child = command.stdout(std::process::Stdio::null()).spawn().unwrap();
        // Spread evenly over somewhat more than the time that it takes.
        std::thread::sleep(whole.mul_f64(1.2 * (f64::from(round) * 0.618_034).fract()));
        child.kill().unwrap();
        child.wait().unwrap();
        if file.exists() {
            made += 1;
            assert!(verify(unit.path(), &file, &["--identity", text(&key)]).status.success());
        }
    }

    back_up(unit.path(), &[&pack[..], &["--to", text(&kept.path().join("last"))]].concat());

    let (sums, backups): (Vec<_>, Vec<_>) = names(kept.path()).into_iter().partition(|name| name.ends_with(".sha256"));
    assert_eq!(backups.len(), made + 1, "{backups:?}");
    assert!(sums.iter().all(|sum| backups.contains(&sum.trim_end_matches(".sha256").to_owned())), "{sums:?}");
    assert!(names(&unit.path().join("backups")).is_empty(), "a plain copy was left");
}

// the server

#[tokio::test]
async fn an_owner_makes_a_backup_over_the_api_once_for_each_key() {
    let app = TestApp::start().await;
    let (_, owner) = app.person("owner@example.org", "owner");
    let asking = |key: &str| app.asking("POST /api/backups", &owner, Value::Null).header("idempotency-key", key);

    let made = app.send(asking("one")).await;
    let again = app.send(asking("one")).await;

    assert_eq!((made.status, again.status), (201, 201), "{}", made.text);
    assert_eq!(again.body, made.body);
    assert_eq!(again.header("idempotency-replayed"), "true");
    let listed = app.ask("GET /api/backups", &owner, Value::Null).await;
    let items = listed.body["items"].as_array().unwrap();
    assert_eq!(items.len(), 1);
    assert_eq!(items[0]["sha256"], made.body["sha256"]);
    assert_eq!(listed.body["running"], Value::Null);
    assert_eq!(actions(&app, &owner).await.iter().filter(|action| *action == "backup.made").count(), 1);
    let file = app.folder.join("backups").join(made.body["name"].as_str().unwrap());
    assert!(verify(&app.folder, &file, &[]).status.success());
    let figures = app.ask("GET /metrics", &owner, Value::Null).await.text;
    assert!(figures.contains("ashlar_backup_last_success_timestamp_seconds 1"), "{figures}");
}

#[tokio::test]
async fn one_backup_is_made_at_a_time() {
    let app = TestApp::start().await;
    let (_, owner) = app.person("owner@example.org", "owner");

    let asked = (0..6).map(|_| app.ask("POST /api/backups", &owner, Value::Null));
    let mut statuses: Vec<u16> =
        futures_util::future::join_all(asked).await.into_iter().map(|answer| answer.status).collect();

    statuses.sort_unstable();
    assert_eq!(statuses[0], 201);
    assert!(statuses[1..].contains(&409), "{statuses:?}");
}

#[tokio::test]
async fn a_failed_backup_is_written_down_and_shown_and_leaves_nothing() {
    let kept = tempfile::tempdir().unwrap();
    let gone = kept.path().join("gone");
    let app = TestApp::start_with(&["--backup-folder", text(&gone)]).await;
    let (_, owner) = app.person("owner@example.org", "owner");

    assert_eq!(app.ask("POST /api/backups", &owner, Value::Null).await.status, 500);

    let listed = app.ask("GET /api/backups", &owner, Value::Null).await;
    let reason = listed.body["failure"]["reason"].as_str().unwrap();
    assert!(reason.contains("does not exist; mount it"), "{reason}");
    assert!(actions(&app, &owner).await.contains(&"backup.failed".to_owned()));
    assert!(!gone.exists(), "a disk that is not mounted was taken for an empty folder");
    fs::create_dir(&gone).unwrap();
    assert_eq!(app.ask("POST /api/backups", &owner, Value::Null).await.status, 201);
    assert_eq!(app.ask("GET /api/backups", &owner, Value::Null).await.body["failure"], Value::Null);
}

#[tokio::test]
async fn by_the_clock_backups_are_made_tried_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let clock = ["--backup-every", "1 second", "--drill-every", "1 second", "--backup-compress", "true"];
    // Of long ago, and nobody's day, week or month any more; and what is no backup.
    let mut app = TestApp::start_in(folder.path(), &[]).await;
    let (_, owner) = app.person("owner@example.org", "owner");
    let made = back_up(&app.folder, &[]);
    app.stop();
    let backups = folder.path().join("backups");
    let schema = made["schema_version"].as_i64().unwrap();
    let old = |day: u32| format!("ashlar-202001{day:02}T030000Z-s{schema}.db");
    for name in [&old(1), &old(2), &format!("{}.sha256", old(1)), "notes.txt", "before-migration-20200101T030000Z.db"] {
        fs::write(backups.join(name), "").unwrap();
    }
    let keep = ["--backup-keep-daily", "0", "--backup-keep-weekly", "0", "--backup-keep-monthly", "0"];

    let app = TestApp::start_in(folder.path(), &[&clock[..], &keep].concat()).await;

    let overview = until("a drill", async || {
        let listed = app.ask("GET /api/backups", &owner, Value::Null).await.body;
        listed["last_proof"]["name"].is_string().then_some(listed)
    })
    .await;
    assert!(overview["last_proof"]["name"].as_str().unwrap().ends_with(".db.zst"), "{overview}");
    assert!(overview["items"].as_array().unwrap().iter().any(|one| one["proven_at"].is_string()), "{overview}");
    let left = until("the removal", async || {
        let left = names(&backups);
        (!left.contains(&old(1)) && !left.contains(&old(2))).then_some(left)
    })
    .await;
    assert!(left.contains("notes.txt") && left.contains("before-migration-20200101T030000Z.db"), "{left:?}");
    assert!(!left.contains(&format!("{}.sha256", old(1))), "{left:?}");
    let trail = actions(&app, &owner).await;
    assert!(trail.contains(&"backup.made".into()) && trail.contains(&"drill.passed".into()), "{trail:?}");
    let figures = app.ask("GET /metrics", &owner, Value::Null).await.text;
    assert!(figures.contains("ashlar_drill_last_success_timestamp_seconds{kind=\"backup\"} 1"), "{figures}");
}

#[tokio::test]
async fn a_restart_makes_no_backup_before_it_is_due() {
    let folder = tempfile::tempdir().unwrap();
    let first = TestApp::start_in(folder.path(), &[]).await;
    back_up(folder.path(), &[]);
    drop(first);
    let before = names(&folder.path().join("backups"));

    // A drill looks at the clock every second, and at backups with it.
    let app = TestApp::start_in(folder.path(), &["--backup-every", "1 day", "--drill-every", "1 second"]).await;
    let (_, owner) = app.person("owner@example.org", "owner");
    until("a drill", async || actions(&app, &owner).await.contains(&"drill.passed".to_owned()).then_some(())).await;

    let backups = |names: &BTreeSet<String>| names.iter().filter(|name| name.starts_with("ashlar-")).cloned().collect();
    let (before, after): (Vec<_>, Vec<_>) = (backups(&before), backups(&names(&folder.path().join("backups"))));
    assert_eq!(after, before);
}

#[tokio::test]
async fn a_backup_that_can_not_be_restored_fails_its_drill() {
    let app = TestApp::start_with(&["--drill-every", "1 second"]).await;
    let (_, owner) = app.person("owner@example.org", "owner");
    let made = back_up(&app.folder, &[]);
    let path = PathBuf::from(made["path"].as_str().unwrap());
    let bytes = fs::read(&path).unwrap();
    // A byte of a name, which only the SHA-256 tells; and half of it.
    let email = b"owner@example.org";
    let at = bytes.windows(email.len()).position(|window| window == email).unwrap();
    let mut altered = bytes.clone();
    altered[at] = b'0';
    for (damaged, why) in [(&altered[..], "is not what was made"), (&bytes[..bytes.len() / 2], "is cut off")] {
        fs::write(&path, damaged).unwrap();
        until("a drill", async || {
            let listed = app.ask("GET /api/backups", &owner, Value::Null).await.body;
            listed["last_drill"]["failure"].as_str().filter(|failure| failure.contains(why)).map(str::to_owned)
        })
        .await;
        fs::remove_file(format!("{}.sha256", path.display())).ok();
    }
    assert!(actions(&app, &owner).await.contains(&"drill.failed".to_owned()));
    let figures = app.ask("GET /metrics", &owner, Value::Null).await.text;
    assert!(figures.contains("ashlar_drill_failures_total{kind=\"backup\"} "), "{figures}");
    assert!(names(&app.folder.join("backups")).iter().all(|name| !name.contains("unfinished")));
}

#[tokio::test]
async fn what_nobody_here_can_open_is_tried_before_it_is_encrypted() {
    let app = TestApp::start_with(&["--backup-recipients", RECIPIENT, "--drill-every", "1 day"]).await;
    let (_, owner) = app.person("owner@example.org", "owner");

    let made = app.ask("POST /api/backups", &owner, Value::Null).await;

    assert!(made.body["name"].as_str().unwrap().ends_with(".db.age"), "{}", made.text);
    let listed = app.ask("GET /api/backups", &owner, Value::Null).await.body;
    assert_eq!(listed["last_proof"]["name"], made.body["name"]);
    assert_eq!(names(&app.folder.join("backups")).len(), 2, "a plain copy was left");
}

#[tokio::test]
async fn wrong_settings_are_refused_with_their_line() {
    let folder = tempfile::tempdir().unwrap();
    for (line, why) in [
        ("backup_every = \"daily\"", "write it like 1 day"),
        ("backup_recipients = [\"ann\"]", "age1 and 58 more characters"),
        ("backup_keep_daily = -1", ""),
    ] {
        fs::write(folder.path().join("ashlar.toml"), format!("log = \"info\"\n{line}\n")).unwrap();
        let output = ashlar(folder.path(), &["serve", "--listen", "127.0.0.1:0"]);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1));
        assert!(said.contains("ashlar.toml is wrong in line 2") && said.contains(why), "{said}");
    }
}

// pages

/// A session's cookie for `token`.
fn cookie(token: &str) -> String {
    format!("ashlar={token}")
}

#[tokio::test]
async fn owners_see_backups_press_the_button_and_download_one_piece_by_piece() {
    let app = TestApp::start().await;
    let (_, owner) = app.person("owner@example.org", "owner");
    let (_, staff) = app.person("staff@example.org", "staff");
    let get = |path: &str, token: &str| app.get(path).header("cookie", cookie(token));

    let empty = app.send(get("/backups", &owner)).await;
    assert_eq!(empty.status, 200);
    assert!(empty.text.contains("No backup yet") && empty.text.contains("Not yet"), "{}", empty.text);
    let press = app.post("/backups", &Value::Null).header("cookie", cookie(&owner)).header("origin", &app.origin);
    assert_eq!(app.send(press).await.header("location"), "/backups");
    let file = until("a backup", async || {
        let page = app.send(get("/backups", &owner)).await;
        // While it runs, the page reads itself again.
        assert_eq!(page.header("refresh") == "2", page.text.contains("<progress"), "{}", page.text);
        let link = page.text.split("href=\"/backups/").nth(1)?.split('"').next()?.to_owned();
        (!page.text.contains("<progress")).then_some(link)
    })
    .await;

    let download = get(&format!("/backups/{file}"), &owner).send().await.unwrap();

    let name = file.trim_end_matches("/download");
    assert_eq!(download.headers()["content-disposition"], format!("attachment; filename=\"{name}\""));
    let bytes = download.bytes().await.unwrap();
    assert_eq!(bytes, fs::read(app.folder.join("backups").join(name)).unwrap());
    assert!(actions(&app, &owner).await.contains(&"backup.downloaded".to_owned()));
    for path in ["/backups", &format!("/backups/{file}")] {
        assert_eq!(get(path, &staff).send().await.unwrap().status(), 403, "{path}");
    }
    for other in ["ashlar.db", "..%2Fashlar.db", "ashlar-20200101T030000Z-s1.db"] {
        let answer = get(&format!("/backups/{other}/download"), &owner).send().await.unwrap();
        assert_eq!(answer.status(), 404, "{other}");
    }
    assert!(!get("/", &staff).send().await.unwrap().text().await.unwrap().contains("/backups"));
    assert!(app.send(get("/", &owner)).await.text.contains("Last proven restorable"));
}
