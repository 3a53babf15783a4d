//! `ashlar worker` as a process: cut off, killed, frozen and thawed in the midst of a job, and its server too.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::multipart::{Form, Part};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{TestApp, program, skip, terminate, wait, without_settings};
use crate::workers::way_to;

/// Short, so that a test can wait for it to lapse.
const LEASE: [&str; 2] = ["--job-lease", "2 seconds"];

/// A worker on "another machine": it has a folder of its own, and the server's address.
struct Worker {
    child: Child,
    _folder: TempDir,
}

impl Worker {
    async fn start(app: &TestApp, owner: &str, name: &str, server: &str) -> Worker {
        let new = app.ask("POST /api/workers", owner, json!({ "name": name })).await;
        assert_eq!(new.status, 201, "{}", new.text);
        Worker::with_token(new.body["token"].as_str().unwrap(), server)
    }

    fn with_token(token: &str, server: &str) -> Worker {
        let folder = tempfile::tempdir().unwrap();
        let mut command = program();
        without_settings(&mut command);
        command.args(["worker", "--server", server, "--slots", "1", "--folder"]).arg(folder.path());
        command.env("ASHLAR_WORKER_TOKEN", token).env("ASHLAR_LOG", "warn").current_dir(folder.path());
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        Worker { child, _folder: folder }
    }

    fn send(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A video that takes a few seconds to work on.
fn video(folder: &Path) -> Option<Vec<u8>> {
    let path = folder.join("video.mkv");
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=30:duration=12"])
        .args(["-c:v", "mpeg4", "-q:v", "3"])
        .arg(&path)
        .status();
    if !made.is_ok_and(|status| status.success()) {
        skip("workers that process a video", "ffmpeg is not installed");
        return None;
    }
    Some(std::fs::read(path).unwrap())
}

struct Shop {
    app: TestApp,
    owner: String,
    video: Vec<u8>,
    _folder: TempDir,
}

impl Shop {
    async fn open() -> Option<Shop> {
        let folder = tempfile::tempdir().unwrap();
        let video = video(folder.path())?;
        let app = TestApp::start_with(&LEASE).await;
        let (_, owner) = app.person("owner@example.org", "owner");
        let placed = app.ask("PATCH /api/job-kinds/media.video", &owner, json!({ "place": "workers" })).await;
        assert_eq!(placed.status, 200, "{}", placed.text);
        Some(Shop { app, owner, video, _folder: folder })
    }

    async fn upload(&self) -> String {
        let part = Part::bytes(self.video.clone()).file_name("video.mkv");
        let request =
            self.app.asking("POST /api/media", &self.owner, Value::Null).multipart(Form::new().part("file", part));
        let answer = self.app.send(request).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        answer.body["id"].as_str().unwrap().to_owned()
    }

    async fn worker(&self, name: &str) -> Worker {
        Worker::start(&self.app, &self.owner, name, &self.app.origin).await
    }

    /// The job of this kind that was enqueued last.
    async fn job(&self) -> Value {
        let jobs = self.app.ask("GET /api/jobs?kind=media.video&limit=1", &self.owner, Value::Null).await;
        jobs.body["items"][0].clone()
    }

    async fn wait_for(&self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let start = Instant::now();
        loop {
            let job = self.job().await;
            if is_it(&job) {
                return job;
            }
            assert!(start.elapsed() < Duration::from_secs(60), "not {what}: {job}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// It works, and has come some way.
    async fn midway(&self) {
        self.wait_for("midway", |job| job["progress"].as_u64().is_some_and(|percent| percent > 0)).await;
    }

    /// The item is ready, with everything that was made, once.
    async fn done(&self, item: &str) -> Value {
        let job = self.wait_for("done", |job| job["state"] == "done" || job["state"] == "dead").await;
        assert_eq!(job["state"], "done", "{job}");
        let item = self.app.ask(&format!("GET /api/media/{item}"), &self.owner, Value::Null).await.body;
        assert_eq!(item["state"], "ready", "{item}");
        let mut names: Vec<_> = item["variants"].as_array().unwrap().iter().map(|one| one["name"].clone()).collect();
        names.sort_by_key(ToString::to_string);
        assert_eq!(names, ["poster", "video"], "{item}");
        job
    }
}

#[tokio::test]
async fn a_worker_does_the_work_of_a_video() {
    let Some(shop) = Shop::open().await else { return };
    let mut worker = shop.worker("big").await;
    let item = shop.upload().await;

    let job = shop.done(&item).await;

    assert_eq!((&job["worker"], &job["attempt"]), (&json!("big"), &json!(1)));
    terminate(&worker.child);
    assert_eq!(wait(&mut worker.child).code(), Some(0));
}

#[tokio::test]
async fn a_killed_workers_job_is_done_by_another() {
    let Some(shop) = Shop::open().await else { return };
    let first = shop.worker("first").await;
    let item = shop.upload().await;
    shop.midway().await;

    first.send(Signal::KILL);
    let _second = shop.worker("second").await;

    let job = shop.done(&item).await;
    assert_eq!((&job["worker"], &job["attempt"]), (&json!("second"), &json!(2)));
}

#[tokio::test]
async fn a_worker_frozen_past_its_lease_changes_nothing_when_it_thaws() {
    let Some(shop) = Shop::open().await else { return };
    let first = shop.worker("first").await;
    let item = shop.upload().await;
    shop.midway().await;

    first.send(Signal::STOP);
    let _second = shop.worker("second").await;
    shop.done(&item).await;
    let before = shop.app.ask(&format!("GET /api/media/{item}"), &shop.owner, Value::Null).await.body;
    first.send(Signal::CONT);
    tokio::time::sleep(Duration::from_secs(6)).await;

    let after = shop.app.ask(&format!("GET /api/media/{item}"), &shop.owner, Value::Null).await.body;
    assert_eq!(after, before);
    assert_eq!(shop.job().await["worker"], "second");
}

#[tokio::test]
async fn a_server_killed_in_the_midst_of_a_job_loses_it_not() {
    let Some(mut shop) = Shop::open().await else { return };
    let address: SocketAddr = shop.app.origin.trim_start_matches("http://").parse().unwrap();
    let _worker = shop.worker("big").await;
    let item = shop.upload().await;
    shop.midway().await;

    shop.app.kill();
    tokio::time::sleep(Duration::from_millis(500)).await;
    shop.app.restart(&[&LEASE[..], &["--listen", &address.to_string()]].concat()).await;

    shop.done(&item).await;
}

#[tokio::test]
async fn a_network_that_is_cut_in_the_midst_of_a_job_costs_time_and_no_job() {
    let Some(shop) = Shop::open().await else { return };
    let address = shop.app.origin.trim_start_matches("http://").parse().unwrap();
    let way = way_to(address).await;
    let _worker = Worker::start(&shop.app, &shop.owner, "far", &format!("http://{}", way.address)).await;
    let item = shop.upload().await;
    shop.midway().await;

    // Once for a moment, once for longer than a lease.
    for cut in [500, 4000] {
        way.cut(true);
        tokio::time::sleep(Duration::from_millis(cut)).await;
        way.cut(false);
        tokio::time::sleep(Duration::from_millis(1000)).await;
    }

    shop.done(&item).await;
}

#[tokio::test]
async fn a_worker_that_the_server_does_not_know_says_so_and_ends() {
    let app = TestApp::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut command = program();
    without_settings(&mut command);
    command.args(["worker", "--server", &app.origin, "--folder"]).arg(folder.path());
    let mut child = command
        .env("ASHLAR_WORKER_TOKEN", "A".repeat(43))
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();

    assert_eq!(wait(&mut child).code(), Some(1));
    let lines: Vec<_> = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok).collect();
    assert!(lines.iter().any(|line| line.contains("revoked")), "{lines:?}");

    let mut command = program();
    let output = command.args(["worker", "--server", "http://example.org", "--token", "x"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("https://"));
}

#[tokio::test]
async fn where_a_kind_runs_changes_without_a_restart_and_loses_no_job() {
    let app = TestApp::start_with(&LEASE).await;
    let (_, owner) = app.person("owner@example.org", "owner");
    let place = async |place: &str| {
        let placed = app.ask("PATCH /api/job-kinds/media.image", &owner, json!({ "place": place })).await;
        assert_eq!(placed.status, 200, "{}", placed.text);
    };
    let upload = async |number: usize| {
        for _ in 0..number {
            assert_eq!(app.upload(&owner, "a.gif", crate::avatars::GIF.to_vec()).await.status, 201);
        }
    };
    let states = async || {
        let items = app.ask("GET /api/media?limit=100", &owner, Value::Null).await.body["items"].clone();
        let items = items.as_array().unwrap().iter();
        items.map(|item| item["state"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let until_ready = async |number: usize| {
        let start = Instant::now();
        while states().await != vec!["ready"; number] {
            assert!(start.elapsed() < Duration::from_secs(60), "{:?}", states().await);
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    };
    let last_by = async || {
        let jobs = app.ask("GET /api/jobs?kind=media.image&limit=1", &owner, Value::Null).await;
        jobs.body["items"][0]["worker"].as_str().unwrap().to_owned()
    };

    place("workers").await;
    upload(3).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(states().await, vec!["processing"; 3], "there is no worker yet");
    let _worker = Worker::start(&app, &owner, "one", &app.origin).await;
    until_ready(3).await;
    assert_eq!(last_by().await, "one");
    place("here").await;
    upload(3).await;
    until_ready(6).await;
    assert_eq!(last_by().await, "here");
    for n in 0..20 {
        place(["workers", "here", "anywhere"][n % 3]).await;
        upload(2).await;
    }
    until_ready(46).await;
    let jobs = app.ask("GET /api/jobs?kind=media.image&limit=100", &owner, Value::Null).await.body["items"].clone();
    let done = jobs.as_array().unwrap().iter().filter(|job| job["state"] == "done" && job["attempt"] == 1);
    assert_eq!(done.count(), 46, "each ran once: {jobs}");
}

#[tokio::test]
async fn a_deleted_videos_work_stops_and_the_next_has_its_turn() {
    let Some(shop) = Shop::open().await else { return };
    let deleted = shop.upload().await;
    let worker = shop.worker("one").await;
    shop.midway().await;

    let gone = shop.app.ask(&format!("DELETE /api/media/{deleted}"), &shop.owner, Value::Null).await;

    assert_eq!(gone.status, 204, "{}", gone.text);
    let jobs = shop.app.ask("GET /api/jobs?kind=media.video", &shop.owner, Value::Null).await;
    assert_eq!(jobs.body["items"], json!([]));
    let next = shop.upload().await;
    shop.done(&next).await;
    drop(worker);
}

#[test]
fn a_worker_at_the_wrong_address_asks_seldom() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let _worker = Worker::with_token(&"A".repeat(43), &format!("http://{}", listener.local_addr().unwrap()));
    listener.set_nonblocking(true).unwrap();
    let (start, mut asked) = (Instant::now(), 0);
    while start.elapsed() < Duration::from_secs(4) {
        let Ok((mut stream, _)) = listener.accept() else {
            std::thread::sleep(Duration::from_millis(5));
            continue;
        };
        asked += 1;
        stream.set_nonblocking(false).unwrap();
        std::io::Read::read(&mut stream, &mut [0; 4096]).ok();
        let answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        std::io::Write::write_all(&mut stream, answer).ok();
    }
    assert!((1..=8).contains(&asked), "{asked}");
}
