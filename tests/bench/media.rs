//! Media: bytes in and out against the same through SQLite alone, memory while many upload, and what requests wait for
//! while videos are worked on.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ashlar::platform::ids::UserId;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::load::{self, Answers};
use super::unit::{self, Server};
use super::{ROUNDS, Spread, Table, ids};

/// A file's size.
const FILE: usize = 64 << 20;
/// As contents are kept.
const CHUNK: usize = 256 * 1024;
const AT_ONCE: usize = 50;
/// A file is read so often: it takes so short that chance has a share in each.
const READS: usize = 8;
/// Requests a second beside the videos.
const PACE: u32 = 200;

pub fn media(table: &mut Table, _: bool) {
    let folder = tempfile::tempdir().expect("a folder");
    let token = unit::owner(folder.path());
    let app = unit::open(folder.path());
    unit::seed(&app, 0, 1_000);
    let people = ids(&app, 1_000);
    app.platform.database.close();
    transfers(table, folder.path(), &token);
    crowd(table, folder.path(), &token);
    videos(table, folder.path(), &token, people);
}

/// Up and down, each beside the same bytes through SQLite without HTTP.
fn transfers(table: &mut Table, folder: &Path, token: &str) {
    let server = Server::start(folder, &["--media-quota", "100 GiB"]);
    let bytes = noise(FILE);
    let mb = FILE as f64 / 1e6;
    let (mut up, mut down, mut written, mut read) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let id = upload(&server, token, &bytes);
        up.push(mb / start.elapsed().as_secs_f64());
        let path = format!("/api/media/{id}/content");
        let (_, body) = ask(&server, "GET", &path, token, "", b"");
        assert!(body == bytes, "what came back is what was sent");
        drop(body);
        let (seconds, bare) = Bare::write(&bytes);
        written.push(mb / seconds);
        // In turns, so that the disk, which still writes what was uploaded, is as much in the way of both.
        for _ in 0..READS {
            let start = Instant::now();
            assert!(take(&server, &path, token) > FILE);
            down.push(mb / start.elapsed().as_secs_f64());
            let start = Instant::now();
            assert_eq!(bare.read(), FILE);
            read.push(mb / start.elapsed().as_secs_f64());
        }
    }
    server.stop();
    table.compare("upload of 64 MiB by tus", "MB/s", &up, "through SQLite without HTTP", &written, Some(0.5));
    table.compare("download of 64 MiB", "MB/s", &down, "through SQLite without HTTP", &read, Some(0.5));
}

/// The same bytes in the same pieces, in SQLite alone.
struct Bare {
    connection: rusqlite::Connection,
    _folder: TempDir,
}

impl Bare {
    /// Two pieces in a transaction; with the seconds it took.
    fn write(bytes: &[u8]) -> (f64, Bare) {
        let folder = tempfile::tempdir().expect("a folder");
        let connection = rusqlite::Connection::open(folder.path().join("bare.db")).expect("a database");
        let set = "PRAGMA page_size = 4096; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;
                   PRAGMA synchronous = FULL; PRAGMA secure_delete = ON; PRAGMA wal_autocheckpoint = 4096;
                   CREATE TABLE chunks (content_id BLOB NOT NULL, number INTEGER NOT NULL, bytes BLOB NOT NULL,
                                        UNIQUE (content_id, number)) STRICT;";
        connection.execute_batch(set).expect("set");
        let start = Instant::now();
        for (pair, two) in bytes.chunks(2 * CHUNK).enumerate() {
            connection.execute_batch("BEGIN IMMEDIATE").expect("begun");
            for (n, chunk) in two.chunks(CHUNK).enumerate() {
                let mut insert =
                    connection.prepare_cached("INSERT INTO chunks VALUES (x'01', ?1, ?2)").expect("prepared");
                insert.execute(((pair * 2 + n) as i64, chunk)).expect("written");
            }
            connection.execute_batch("COMMIT").expect("committed");
        }
        (start.elapsed().as_secs_f64(), Bare { connection, _folder: folder })
    }

    /// How many bytes there were.
    fn read(&self) -> usize {
        let mut found = 0;
        for number in 0..FILE.div_ceil(CHUNK) as i64 {
            let sql = "SELECT bytes FROM chunks WHERE content_id = x'01' AND number = ?1";
            let mut select = self.connection.prepare_cached(sql).expect("prepared");
            found += select.query_row([number], |row| row.get::<_, Vec<u8>>(0)).expect("read").len();
        }
        found
    }
}

/// Memory while fifty upload at once.
fn crowd(table: &mut Table, folder: &Path, token: &str) {
    let server = Server::start(folder, &["--media-quota", "100 GiB"]);
    let bytes = noise(8 << 20);
    upload(&server, token, &bytes);
    let before = server.memory_mb();
    let is_over = AtomicBool::new(false);
    let (most, seconds) = std::thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let mut most: f64 = 0.0;
            while !is_over.load(Ordering::Relaxed) {
                most = most.max(server.memory_mb());
                std::thread::sleep(Duration::from_millis(10));
            }
            most
        });
        let start = Instant::now();
        let uploads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(|| upload(&server, token, &bytes))).collect();
        uploads.into_iter().for_each(|upload| drop(upload.join().expect("uploaded")));
        let seconds = start.elapsed().as_secs_f64();
        is_over.store(true, Ordering::Relaxed);
        (watching.join().expect("watched"), seconds)
    });
    server.stop();
    table.goal("memory more while 50 upload 8 MiB at once", &[(most - before).max(0.0)], "MB", 100.0);
    let rate = (AT_ONCE * bytes.len()) as f64 / 1e6 / seconds;
    table.row("all of them together", Spread::one(rate), "MB/s", None);
}

/// `GET /api/people/{id}` at a steady pace: alone, while the server works on two videos, while a worker does.
fn videos(table: &mut Table, folder: &Path, token: &str, people: Vec<UserId>) {
    let Some(video) = video() else {
        return table.note("requests beside videos: skipped, ffmpeg is not installed (apt-get install ffmpeg)");
    };
    let server = Server::start(folder, &["--media-quota", "100 GiB"]);
    let people: Arc<[UserId]> = people.into();
    let new =
        ask(&server, "POST", "/api/workers", token, "Content-Type: application/json\r\n", br#"{"name":"bench"}"#).1;
    let secret =
        serde_json::from_slice::<Value>(&new).expect("a worker")["token"].as_str().expect("a token").to_owned();
    let (mut alone, mut here, mut there) = (Vec::new(), Vec::new(), Vec::new());
    let mut took = [Vec::new(), Vec::new()];
    for _ in 0..2 {
        alone.push(beside(&server, token, &people, || std::thread::sleep(Duration::from_secs(8))));
        for (n, (place, answers)) in [("here", &mut here), ("workers", &mut there)].into_iter().enumerate() {
            let place = json!({ "place": place }).to_string();
            let json = "Content-Type: application/json\r\n";
            ask(&server, "PATCH", "/api/job-kinds/media.video", token, json, place.as_bytes());
            let worker = (n == 1).then(|| Worker::start(&server, &secret));
            let start = Instant::now();
            answers.push(beside(&server, token, &people, || {
                let ids = [upload(&server, token, &video), upload(&server, token, &video)];
                ids.iter().for_each(|id| until_ready(&server, token, id));
            }));
            took[n].push(start.elapsed().as_secs_f64());
            drop(worker);
        }
    }
    server.stop();
    let [alone, here, there] = [alone, here, there].map(Answers::all);
    let ms = |answers: &Answers, percent| Spread::one(answers.percentile_us(percent) / 1000.0);
    for (name, answers) in [
        ("GET /api/people/{id}, 200/s, alone", &alone),
        ("GET /api/people/{id}, 200/s, while the server works on two videos", &here),
        ("GET /api/people/{id}, 200/s, while a worker on this machine does", &there),
    ] {
        table.row(&format!("{name}: p50"), ms(answers, 50.0), "ms", None);
        table.row(&format!("{name}: p99"), ms(answers, 99.0), "ms", None);
    }
    table.row("two videos of 8 s in 1280 × 720, in the server", Spread::of(&took[0]), "s", None);
    table.row("the same by a worker with two slots", Spread::of(&took[1]), "s", None);
}

/// What requests at a steady pace are answered while `work` is done.
fn beside(server: &Server, token: &str, people: &Arc<[UserId]>, work: impl FnOnce()) -> Answers {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            let (people, token) = (people.clone(), token.to_owned());
            load::paced(server.address, PACE, &stop, move |n| {
                load::get(&format!("/api/people/{}", people[n as usize * 7919 % people.len()]), Some(&token))
            })
        });
        work();
        stop.store(true, Ordering::Relaxed);
        load.join().expect("the load went through")
    })
}

/// Eight seconds that are not made ready at once.
fn video() -> Option<Vec<u8>> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("video.mkv");
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=30:duration=8"])
        .args(["-c:v", "mpeg4", "-q:v", "3"])
        .arg(&path)
        .status();
    made.is_ok_and(|status| status.success()).then(|| std::fs::read(path).expect("a video"))
}

struct Worker(Child);

impl Worker {
    fn start(server: &Server, token: &str) -> Worker {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ashlar"));
        command.args(["worker", "--slots", "2", "--log", "error", "--server", &format!("http://{}", server.address)]);
        let child = command.env("ASHLAR_WORKER_TOKEN", token).stdin(Stdio::null()).spawn();
        Worker(child.expect("a worker"))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.0.kill().expect("killed");
        self.0.wait().expect("it ends");
    }
}

fn until_ready(server: &Server, token: &str, id: &str) {
    loop {
        let item = ask(server, "GET", &format!("/api/media/{id}"), token, "", b"").1;
        let item: Value = serde_json::from_slice(&item).expect("an item");
        match item["state"].as_str() {
            Some("ready") => return assert_eq!(item["note"], Value::Null, "{item}"),
            Some("processing") => std::thread::sleep(Duration::from_millis(100)),
            _ => panic!("{item}"),
        }
    }
}

/// Uploads a file by tus, in one request after the first; returns its id.
fn upload(server: &Server, token: &str, bytes: &[u8]) -> String {
    let length = format!("Tus-Resumable: 1.0.0\r\nUpload-Length: {}\r\n", bytes.len());
    let (head, _) = ask(server, "POST", "/api/media/uploads", token, &length, b"");
    let path = head.split("location: ").nth(1).and_then(|rest| rest.split("\r\n").next()).expect("where it is");
    let offset =
        "Tus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\nContent-Type: application/offset+octet-stream\r\n".to_owned();
    ask(server, "PATCH", path, token, &offset, bytes);
    path.rsplit('/').next().expect("its id").to_owned()
}

/// One request over a connection of its own, which must succeed; returns the answer's head and body.
fn ask(server: &Server, method: &str, path: &str, token: &str, headers: &str, body: &[u8]) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(server.address).expect("a connection");
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n{headers}\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).expect("sent");
    stream.write_all(body).expect("sent");
    let mut answer = Vec::with_capacity(FILE + 4096);
    stream.read_to_end(&mut answer).expect("an answer");
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a head") + 4;
    let body = answer.split_off(end);
    let head = String::from_utf8(answer).expect("text");
    assert!(head.starts_with("HTTP/1.1 2"), "{method} {path}: {head}{}", String::from_utf8_lossy(&body));
    (head, body)
}

/// Fetches a file piece by piece into the same memory, as what reads SQLite without HTTP does; the bytes of the answer.
fn take(server: &Server, path: &str, token: &str) -> usize {
    let mut stream = TcpStream::connect(server.address).expect("a connection");
    let head =
        format!("GET {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("sent");
    let (mut piece, mut taken) = (vec![0; CHUNK], 0);
    loop {
        match stream.read(&mut piece).expect("read") {
            0 => return taken,
            read => taken += read,
        }
    }
}

/// Bytes that nothing makes smaller.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.take(length / 8).flatten().collect()
}
