//! Files outside of the database, in a bucket or a folder: moved there and back, served from there, and told of.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::avatars::GIF;
use crate::media::{content, sha256};
use crate::support::{Moto, TestApp, ashlar, ashlar_ok, moto, program};

fn count(folder: &Path, sql: &str) -> i64 {
    let connection = rusqlite::Connection::open(folder.join("ashlar.db")).unwrap();
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// Kept contents in the database, and outside of it.
fn where_they_lie(folder: &Path) -> (i64, i64) {
    let kept = |place: &str| {
        count(folder, &format!("SELECT count(*) FROM media_contents WHERE state = 'kept' AND place IS {place}"))
    };
    (kept("NULL"), kept("NOT NULL"))
}

async fn until(what: &str, is_it: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_it() {
        assert!(start.elapsed() < Duration::from_secs(30), "not {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn with_bucket(command: &mut Command, moto: &Moto) {
    command.envs(moto.settings());
}

/// The keys in a bucket.
fn keys(moto: &Moto) -> Vec<String> {
    let answer = moto.ask("GET", "/media?list-type=2");
    answer.split("<Key>").skip(1).map(|rest| rest.split("</Key>").next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn files_go_to_a_bucket_by_themselves_are_served_from_there_and_come_back() {
    let Some(moto) = moto() else { return };
    moto.bucket("media");
    let folder = tempfile::tempdir().unwrap();
    let mut command = program();
    with_bucket(&mut command, &moto);
    let app = TestApp::start_as(command, folder.path(), &["--media-place", "s3://media/of/ashlar"]).await;
    let (_, ann) = app.person("ann@example.org", "owner");
    // More than one part of a multipart upload.
    let large = content(20_000_000);

    let id = app.upload(&ann, "large.bin", large.clone()).await.body["id"].as_str().unwrap().to_owned();
    let picture = app.upload(&ann, "tiny.gif", GIF.to_vec()).await.body["id"].as_str().unwrap().to_owned();
    until("outside", || where_they_lie(folder.path()) == (0, 5)).await;

    assert_eq!(keys(&moto).len(), 5);
    assert!(keys(&moto).iter().all(|key| key.starts_with("of/ashlar/")));
    assert_eq!(app.bytes_of(&id, &ann).await, large);
    let path = format!("/api/media/{id}/content");
    for (range, from, to) in [("bytes=8388600-8388700", 8_388_600, 8_388_701), ("bytes=-7", 19_999_993, 20_000_000)] {
        let part = app.get(&path).bearer_auth(&ann).header("range", range).send().await.unwrap();
        assert_eq!(part.status(), 206);
        assert_eq!(part.bytes().await.unwrap(), large[from..to], "{range}");
    }
    let head = app.request(Method::HEAD, &path).bearer_auth(&ann).send().await.unwrap();
    assert_eq!(head.headers()["content-length"], "20000000");
    let small = app.get(&format!("/api/media/{picture}/variants/small")).bearer_auth(&ann).send().await.unwrap();
    assert_eq!((small.status().as_u16(), &small.headers()["content-type"]), (200, &"image/jpeg".parse().unwrap()));
    let link = app.ask(&format!("POST /api/media/{id}/links"), &ann, json!({})).await;
    let shared = app.get(link.body["path"].as_str().unwrap()).send().await.unwrap();
    assert_eq!(sha256(&shared.bytes().await.unwrap()), sha256(&large));

    // A backup can't have them, and says so; so does whoever looks into it.
    let backup = folder.path().join("backup.db");
    let made = ashlar_ok(folder.path(), &["backup", "--to", backup.to_str().unwrap()]);
    assert!(made.contains("without  5 contents of media") && made.contains("s3://media/of/ashlar"), "{made}");
    let verified = ashlar_ok(folder.path(), &["verify", backup.to_str().unwrap()]);
    assert!(verified.contains("at s3://media/of/ashlar: no backup has"), "{verified}");
    let json: Value =
        serde_json::from_str(&ashlar_ok(folder.path(), &["verify", backup.to_str().unwrap(), "--json"])).unwrap();
    assert_eq!(json["outside"][0]["contents"], 5);
    let told = app.ask("GET /api/backups", &ann, Value::Null).await.body["outside"].clone();
    assert_eq!((&told[0]["contents"], &told[0]["place"]), (&json!(5), &json!("s3://media/of/ashlar")), "{told}");
    assert!(app.page("/backups", &ann).send().await.unwrap().text().await.unwrap().contains("Not in any backup"));

    // Back, while it is served; then what is deleted goes there too.
    let mut back = program();
    with_bucket(&mut back, &moto);
    let back = back.args(["media", "move", "--to", "database", "--data"]).arg(folder.path()).output().unwrap();
    assert!(back.status.success(), "{}", String::from_utf8_lossy(&back.stderr));
    assert_eq!(where_they_lie(folder.path()), (5, 0));
    assert_eq!(app.bytes_of(&id, &ann).await, large);
    let unwanted = app.upload(&ann, "unwanted.bin", content(1000)).await.body["id"].as_str().unwrap().to_owned();
    // What arrives has all of it moved there again.
    until("outside again", || where_they_lie(folder.path()) == (0, 6)).await;
    for id in [unwanted, picture] {
        assert_eq!(app.ask(&format!("DELETE /api/media/{id}"), &ann, Value::Null).await.status, 204);
    }
    until("gone from the bucket", || keys(&moto).len() == 1).await;
    until("gone from the database", || count(folder.path(), "SELECT count(*) FROM media_chunks") == 0).await;
    assert_eq!(app.bytes_of(&id, &ann).await, large);
}

#[tokio::test]
async fn a_place_that_can_t_be_reached_is_told_and_loses_nothing() {
    let (folder, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (there, away) = (place.path().join("media"), place.path().join("unmounted"));
    std::fs::create_dir(&there).unwrap();
    let address = format!("file://{}", there.display());
    let app = TestApp::start_in(folder.path(), &["--media-place", &address]).await;
    let (_, ann) = app.person("ann@example.org", "owner");
    let id = app.upload(&ann, "a.bin", content(700_000)).await.body["id"].as_str().unwrap().to_owned();
    until("outside", || where_they_lie(folder.path()) == (0, 1)).await;

    std::fs::rename(&there, &away).unwrap();
    let read = app.ask(&format!("GET /api/media/{id}/content"), &ann, Value::Null).await;
    assert_eq!((read.status, read.problem(), read.header("retry-after")), (503, "unreachable", "30"), "{}", read.text);
    assert!(!read.text.contains("unmounted") && !read.text.contains(there.to_str().unwrap()), "{}", read.text);
    // What arrives meanwhile stays in the database, where it is served from; and what is deleted goes later.
    let new = app.upload(&ann, "b.bin", content(300_000)).await.body["id"].as_str().unwrap().to_owned();
    assert_eq!(app.bytes_of(&new, &ann).await, content(300_000));
    assert_eq!(app.ask(&format!("DELETE /api/media/{id}"), &ann, Value::Null).await.status, 204);
    let waiting = async |kind: &str| {
        let start = Instant::now();
        loop {
            let jobs = app.ask(&format!("GET /api/jobs?kind={kind}&state=waiting"), &ann, Value::Null).await;
            if let Some(job) = jobs.body["items"].as_array().unwrap().iter().find(|job| job["attempt"] == 1) {
                return job["id"].as_str().unwrap().to_owned();
            }
            assert!(start.elapsed() < Duration::from_secs(20), "{}", jobs.text);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let (settle, sweep) = (waiting("media.settle").await, waiting("media.sweep").await);

    std::fs::rename(&away, &there).unwrap();
    for job in [settle, sweep] {
        assert_eq!(app.ask(&format!("POST /api/jobs/{job}/retry"), &ann, Value::Null).await.status, 200);
    }
    until("moved later", || where_they_lie(folder.path()) == (0, 1)).await;
    until("removed later", || std::fs::read_dir(&there).unwrap().count() == 1).await;
    assert_eq!(app.bytes_of(&new, &ann).await, content(300_000));
}

#[tokio::test]
async fn a_move_that_is_killed_anywhere_goes_on_and_loses_nothing() {
    let (folder, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let address = format!("file://{}", place.path().display());
    let app = TestApp::start_in(folder.path(), &[]).await;
    let (_, ann) = app.person("ann@example.org", "owner");
    let mut files = Vec::new();
    for n in 1..=10 {
        let bytes = content(n * 400_000);
        let id = app.upload(&ann, "a.bin", bytes.clone()).await.body["id"].as_str().unwrap().to_owned();
        files.push((id, sha256(&bytes)));
    }

    let mut cut = 0;
    for to in [&*address, "database"] {
        for wait in [15, 30, 45, 60, 80, 110, 150, 200] {
            let mut moving = program();
            moving.args(["media", "move", "--to", to, "--data"]).arg(folder.path());
            let mut moving = moving.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
            tokio::time::sleep(Duration::from_millis(wait)).await;
            moving.kill().unwrap();
            cut += u32::from(moving.wait().unwrap().code().is_none());
            for (id, sum) in &files {
                assert_eq!(&sha256(&app.bytes_of(id, &ann).await), sum, "cut after {wait} ms on the way to {to}");
            }
        }
        ashlar_ok(folder.path(), &["media", "move", "--to", to]);
        assert_eq!(where_they_lie(folder.path()), if to == "database" { (10, 0) } else { (0, 10) });
    }
    assert!(cut >= 8, "it was too quick to be cut: {cut}");
    for (id, sum) in &files {
        assert_eq!(&sha256(&app.bytes_of(id, &ann).await), sum);
    }
}

#[tokio::test]
async fn a_copy_that_is_not_what_it_must_be_takes_nobodys_place() {
    let (folder, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let address = format!("file://{}", place.path().display());
    let app = TestApp::start_in(folder.path(), &[]).await;
    let (_, ann) = app.person("ann@example.org", "owner");
    app.upload(&ann, "good.bin", content(500_000)).await;
    app.upload(&ann, "bad.bin", content(600_000)).await;
    ashlar_ok(folder.path(), &["media", "move", "--to", &address]);
    let damaged = std::fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().path());
    let damaged = damaged.into_iter().find(|path| path.metadata().unwrap().len() == 600_000).unwrap();
    let mut bytes = std::fs::read(&damaged).unwrap();
    bytes[300_000] ^= 1;
    std::fs::write(&damaged, bytes).unwrap();

    let back = ashlar(folder.path(), &["media", "move", "--to", "database"]);

    let said = String::from_utf8_lossy(&back.stderr).into_owned();
    assert_eq!(back.status.code(), Some(1));
    assert!(said.contains("stays where it is") && said.contains("1 content could not be moved"), "{said}");
    assert_eq!(where_they_lie(folder.path()), (1, 1), "the good one is back");
    assert!(damaged.exists());
    for wrong in ["elsewhere", "file://media", "s3://x", "file:///there/is/none"] {
        assert_eq!(ashlar(folder.path(), &["media", "move", "--to", wrong]).status.code(), Some(1), "{wrong}");
    }
}
