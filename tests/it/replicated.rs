//! The replica as its users meet it: settings, commands, console, buckets and sidecars, by the real program.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use ashlar::platform::clock::{Clock, Time};
use ashlar::platform::replica::Txid;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::replica::{digest, litestream_restore, places, sidecar, url_of, wait_until_it_holds};
use crate::support::{TestApp, ashlar, ashlar_ok, litestream, moto, program};

const PATIENCE: Duration = Duration::from_secs(60);
/// How long a connection of the program waits for a lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Waits until the replica of `app` holds all that was answered so far; returns its newest TXID.
async fn settle(app: &TestApp, owner: &str) -> Txid {
    let answered = Clock::system().now();
    let is_in_it = |replica: &Value| {
        let until = replica["complete_until"].as_str().map(|text| text.parse::<Time>().unwrap());
        replica["state"]["is"] == "current" && until.is_some_and(|until| until > answered)
    };
    let replica = replica_that(app, owner, is_in_it).await;
    replica["head"]["txid"].as_str().unwrap().parse().unwrap()
}

/// Waits until what is said of the replica is so.
async fn replica_that(app: &TestApp, owner: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let start = Instant::now();
    loop {
        let replica = replica_of(app, owner).await;
        if is_so(&replica) {
            return replica;
        }
        assert!(start.elapsed() < PATIENCE, "{replica}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn replica_of(app: &TestApp, owner: &str) -> Value {
    app.ask("GET /api/backups", owner, Value::Null).await.body["replica"].clone()
}

async fn add(app: &TestApp, owner: &str, name: &str) {
    let body = json!({ "email": format!("{name}@example.org"), "display_name": name });
    assert_eq!(app.ask("POST /api/people", owner, body).await.status, 201);
}

fn people(data: &Path) -> usize {
    ashlar_ok(data, &["user", "list"]).lines().filter(|line| line.contains('@')).count()
}

fn refused(data: &Path, args: &[&str]) -> String {
    let output = ashlar(data, args);
    assert_eq!(output.status.code(), Some(1), "{args:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test]
async fn a_unit_is_restored_from_its_replica_and_the_replica_goes_on() {
    let (temporary, data, place) = places();
    let url = url_of(&place);
    fs::write(data.join("ashlar.toml"), format!("replica = \"{url}\"\nreplica_interval_ms = 20\n")).unwrap();
    let mut app = TestApp::start_in(&data, &[]).await;
    let (_, owner) = app.person("owner@example.org", "owner");
    add(&app, &owner, "ann").await;
    let first = settle(&app, &owner).await;
    add(&app, &owner, "bob").await;
    let second = settle(&app, &owner).await;
    assert!(ashlar_ok(&data, &["verify", &url]).contains("people   3"));
    assert!(refused(&data, &["restore", "--from", &url]).contains("is in use by process"));
    app.stop();

    // The range is named where there is no such state.
    for wrong in [["--txid", "999999"], ["--at", "2020-01-01T00:00:00Z"]] {
        let why = refused(&data, &[&["restore", "--from", &url][..], &wrong].concat());
        assert!(why.contains("it has TXID 0000000000000001") && why.contains(&second.to_string()), "{why}");
    }
    assert_eq!(people(&data), 3);

    // Back to before bob, and on from there; the replica's folder is a source as well as its address.
    let place = place.to_str().unwrap();
    ashlar_ok(&data, &["restore", "--from", place, "--txid", &first.to_string()]);
    assert_eq!(people(&data), 2);
    let app = TestApp::start_in(&data, &[]).await;
    let owner = ashlar_ok(&data, &["user", "token", "--email", "owner@example.org"]).trim().to_owned();
    add(&app, &owner, "cid").await;
    let third = settle(&app, &owner).await;
    assert!(third > second);
    let status: Value = serde_json::from_str(&ashlar_ok(&data, &["replica", "status", "--json"])).unwrap();
    assert_eq!(status["mark"]["epoch"], 2);
    drop(app);

    // And to before the restore, on a machine that has nothing yet.
    let other = temporary.path().join("other");
    fs::create_dir(&other).unwrap();
    ashlar_ok(&other, &["restore", "--from", &url, "--txid", &second.to_string()]);
    assert_eq!(people(&other), 3);
    let latest = temporary.path().join("latest");
    fs::create_dir(&latest).unwrap();
    ashlar_ok(&latest, &["restore", "--from", &url]);
    let emails = ashlar_ok(&latest, &["user", "list"]);
    assert!(emails.contains("cid@example.org") && !emails.contains("bob@example.org"), "{emails}");
    if let Some(program) = litestream("0.5.17") {
        let target = temporary.path().join("theirs.db");
        litestream_restore(&program, &url, &target, &["-txid", &third.to_string()]);
        digest(&target);
    }
}

#[tokio::test]
async fn a_copy_of_a_unit_is_refused_until_it_takes_over() {
    let (temporary, data, place) = places();
    let copy = temporary.path().join("copy");
    fs::create_dir(&copy).unwrap();
    let url = url_of(&place);
    let args = ["--replica", &url, "--replica-interval-ms", "20"];
    let mut app = TestApp::start_in(&data, &args).await;
    let (_, owner) = app.person("owner@example.org", "owner");
    settle(&app, &owner).await;
    app.stop();
    fs::copy(data.join("ashlar.db"), copy.join("ashlar.db")).unwrap();
    fs::write(copy.join("ashlar.toml"), format!("replica = \"{url}\"")).unwrap();

    let mut app = TestApp::start_in(&copy, &args).await;
    let replica = replica_that(&app, &owner, |replica| replica["state"]["is"] == "refused").await;
    assert!(replica["state"]["why"].as_str().unwrap().contains("ashlar replica take-over"), "{replica}");
    let home = app.get("/").bearer_auth(&owner).send().await.unwrap().text().await.unwrap();
    drop(home);
    assert!(refused(&copy, &["replica", "take-over"]).contains("in use by process"));
    app.stop();

    assert!(ashlar_ok(&copy, &["replica", "take-over"]).contains("epoch 2"));
    let mut app = TestApp::start_in(&copy, &args).await;
    add(&app, &owner, "ann").await;
    settle(&app, &owner).await;
    app.stop();
    let app = TestApp::start_in(&data, &args).await;
    replica_that(&app, &owner, |replica| replica["state"]["is"] == "refused").await;
}

#[tokio::test]
async fn owners_see_the_replica_and_drills_try_it() {
    let (temporary, data, place) = places();
    let url = url_of(&place);
    let args = ["--replica", &url, "--replica-interval-ms", "20", "--drill-every", "1 second"];
    let app = TestApp::start_in(&data, &args).await;
    let (_, owner) = app.person("owner@example.org", "owner");
    settle(&app, &owner).await;
    let proven = replica_that(&app, &owner, |replica| replica["last_proof"]["at"].is_string()).await;
    assert_eq!(proven["place"], url);
    assert!(proven["last_snapshot_at"].is_string() && proven["bytes"].as_u64().unwrap() > 1000, "{proven}");
    let figures = app.ask("GET /metrics", &owner, Value::Null).await.text;
    for figure in [
        "ashlar_replica_up 1",
        "ashlar_replica_lag_seconds 0",
        "ashlar_replica_txid ",
        "ashlar_drill_last_success_timestamp_seconds{kind=\"replica\"} 1",
    ] {
        assert!(figures.contains(figure), "no {figure} in {figures}");
    }

    fs::rename(&place, temporary.path().join("away")).unwrap();
    fs::write(&place, "no folder").unwrap();
    add(&app, &owner, "ann").await;
    let state = |replica: &Value| replica["state"].clone();
    replica_that(&app, &owner, |it| state(it)["is"] == "behind" && state(it)["lag_seconds"].as_u64() >= Some(1)).await;
    let figures = app.ask("GET /metrics", &owner, Value::Null).await.text;
    assert!(figures.contains("ashlar_replica_up 0"), "{figures}");
}

#[tokio::test]
async fn a_bucket_is_replicated_to_while_it_can_be_reached_and_both_restore_it() {
    let Some(moto) = moto() else { return };
    moto.bucket("ledger");
    let (temporary, data, _) = places();
    let url = "s3://ledger/unit";
    let with_key = |mut command: Command| {
        command.envs(moto.settings());
        command
    };
    let args = ["--replica", url, "--replica-interval-ms", "100"];
    let mut app = TestApp::start_as(with_key(program()), &data, &args).await;
    let (_, owner) = app.person("owner@example.org", "owner");
    for n in 0..20 {
        add(&app, &owner, &format!("p{n}")).await;
    }
    settle(&app, &owner).await;
    assert_eq!(app.stop(), Some(0));

    let restored = temporary.path().join("restored");
    fs::create_dir(&restored).unwrap();
    let ran = with_key(program()).args(["restore", "--from", url, "--data"]).arg(&restored).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    assert_eq!(people(&restored), 21);
    let Some(litestream) = litestream("0.5.17") else { return };
    let target = temporary.path().join("theirs.db");
    let endpoint = moto.settings().iter().find(|(name, _)| name.contains("ENDPOINT")).unwrap().1.to_owned();
    let theirs = with_key(Command::new(litestream))
        .env_remove("AWS_CA_BUNDLE")
        .args(["restore", "-o"])
        .arg(&target)
        .arg(format!("{url}?endpoint={endpoint}&region=us-east-1&force-path-style=true"))
        .output()
        .unwrap();
    assert!(theirs.status.success(), "{}", String::from_utf8_lossy(&theirs.stderr));
    assert_eq!(digest(&target), digest(&data.join("ashlar.db")));

    // Without a key it is told at the start; with a server that is gone, the service goes on.
    let mut without = program();
    without
        .env("AWS_REGION", "us-east-1")
        .args(["serve", "--listen", "127.0.0.1:0", "--replica", url, "--data"])
        .arg(&data);
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
        without.env_remove(name);
    }
    let told = without.output().unwrap();
    assert!(String::from_utf8_lossy(&told.stderr).contains("AWS_ACCESS_KEY_ID"), "{told:?}");
    let command = with_key(program());
    drop(moto);
    let app = TestApp::start_as(command, &data, &args).await;
    add(&app, &owner, "later").await;
    let replica = replica_of(&app, &owner).await;
    assert!(matches!(replica["state"]["is"].as_str(), Some("behind" | "starting")), "{replica}");
}

#[tokio::test]
async fn beside_a_sidecar_nothing_is_checkpointed_away_and_nobody_waits() {
    for version in ["0.5.17", "0.5.5"] {
        let Some(program) = litestream(version) else { return };
        let (temporary, data, place) = places();
        let mut app = TestApp::start_in(&data, &["--replica", "external"]).await;
        let (_, owner) = app.person("owner@example.org", "owner");
        let url = url_of(&place);
        let running = sidecar(&program, &data.join("ashlar.db"), &url, temporary.path());
        let database = data.join("ashlar.db");
        wait_until_it_holds(&url, &database, temporary.path());
        let mut slowest = Duration::ZERO;
        for n in 0..300 {
            let start = Instant::now();
            add(&app, &owner, &format!("p{n}")).await;
            slowest = slowest.max(start.elapsed());
        }
        ashlar_ok(&data, &["doctor"]);
        assert_eq!(app.stop(), Some(0));
        let raw = Connection::open(&database).unwrap();
        let tables: i64 = raw
            .query_row("SELECT count(*) FROM sqlite_schema WHERE name LIKE '\\_litestream%' ESCAPE '\\'", [], |r| {
                r.get(0)
            })
            .unwrap();
        assert!(tables >= 1, "the sidecar keeps its tables there");
        drop(raw);
        wait_until_it_holds(&url, &database, temporary.path());
        let target = temporary.path().join("restored.db");
        litestream_restore(&program, &url, &target, &[]);
        assert_eq!(digest(&target), digest(&database), "{version}");
        running.stop();
        // Whoever fights for its read lock waits for as long as a connection is patient.
        assert!(slowest < BUSY_TIMEOUT, "a write took {slowest:?}");
        // And ours reads what it wrote.
        let restored = temporary.path().join("restored");
        fs::create_dir(&restored).unwrap();
        ashlar_ok(&restored, &["restore", "--from", &url]);
        assert_eq!(people(&restored), 301);
    }
}

#[tokio::test]
async fn a_place_that_never_answers_is_told_and_does_not_keep_the_server_from_stopping() {
    // Connections wait in its backlog for ever.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = program();
    command.env("AWS_ENDPOINT_URL", format!("http://{}", silent.local_addr().unwrap()));
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"] {
        command.env(name, "us-east-1");
    }
    let temporary = tempfile::tempdir().unwrap();
    let mut app = TestApp::start_as(command, temporary.path(), &["--replica", "s3://ledger/unit"]).await;
    let (_, owner) = app.person("owner@example.org", "owner");
    tokio::time::sleep(Duration::from_secs(1)).await;

    let figures = app.ask("GET /metrics", &owner, Value::Null).await.text;
    let lag = figures.lines().find_map(|line| line.strip_prefix("ashlar_replica_lag_seconds ")).unwrap();
    assert!(figures.contains("ashlar_replica_up 0") && lag.parse::<f64>().unwrap() > 0.5, "{lag}");
    let start = Instant::now();
    assert_eq!(app.stop(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}
