//! Units to measure: served by the real program, or used in this process without HTTP.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ashlar::app;
use ashlar::platform::actor::Actor;
use ashlar::platform::auth::Role;
use ashlar::platform::clock::Clock;
use ashlar::platform::config::{Options, Settings};
use ashlar::platform::db::{self, Database, Folder};
use ashlar::use_cases::App;
use ashlar::use_cases::add_person::{AddPerson, add_person_blocking};
use rusqlite::Connection;
use rustix::process::{Pid, Signal, kill_process};

use super::process;

/// The program, serving a folder.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    /// From the start of the process to its first answer.
    pub started_in: Duration,
}

impl Server {
    pub fn start(folder: &Path, args: &[&str]) -> Server {
        Server::start_under(&[], folder, args)
    }

    /// With another program in front, such as `strace`.
    pub fn start_under(prefix: &[&str], folder: &Path, args: &[&str]) -> Server {
        let ashlar = env!("CARGO_BIN_EXE_ashlar");
        let mut command = Command::new(prefix.first().unwrap_or(&ashlar));
        if let Some(rest) = prefix.get(1..) {
            command.args(rest).arg(ashlar);
        }
        command.args(["serve", "--listen", "127.0.0.1:0", "--log", "error", "--sign-ins-per-address", "10000000"]);
        command.args(["--backup-every", "off", "--drill-every", "off"]);
        command.args(["--sign-ins-per-account", "10000000", "--data"]).arg(folder).args(args);
        let start = Instant::now();
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the program starts");
        let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let address = lines
            .map_while(Result::ok)
            .find_map(|line| line.split_once(" on http://").map(|(_, address)| address.parse().expect("an address")))
            .expect("it serves");
        let mut server = Server { child, address, started_in: Duration::ZERO };
        server.text("/api/health", None);
        server.started_in = start.elapsed();
        server
    }

    /// One answer's body.
    pub fn text(&self, path: &str, token: Option<&str>) -> String {
        self.answer(super::load::get(path, token))
    }

    /// The body of the answer to a `POST` without one.
    pub fn post(&self, path: &str, token: &str) -> String {
        self.answer(super::load::post(path, Some(token), ""))
    }

    fn answer(&self, request: Vec<u8>) -> String {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(self.address).expect("a connection");
        let request = String::from_utf8(request).expect("text");
        let request = request.replacen("\r\n", "\r\nConnection: close\r\n", 1);
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).expect("a body")
    }

    /// The value of a line of `/metrics`.
    pub fn figure(&self, token: &str, name: &str) -> f64 {
        let text = self.text("/metrics", Some(token));
        let line = text.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0.0)
    }

    /// Memory of the process in MB: what of it is in use now.
    pub fn memory_mb(&self) -> f64 {
        process::memory_mb(self.pid())
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn stop(self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("kill");
        self.wait();
    }

    pub fn wait(mut self) {
        self.child.wait().expect("it stops");
    }
}

/// A unit in this process.
pub fn open(folder: &Path) -> App {
    let folder = Folder::at(folder).expect("a folder");
    let (schema, _) = app::prove().expect("sound modules");
    let settings = Settings::load(Options::default(), &folder.settings()).expect("settings");
    let database =
        Database::open(&folder, schema, Clock::system(), db::Role::Server, db::Tuning::default()).expect("a database");
    app::compose(database, &settings)
}

pub fn form(number: u64) -> AddPerson {
    AddPerson { email: email(number), display_name: name(number), currency: None }
}

pub fn body(number: u64) -> String {
    format!(r#"{{"email":"{}","display_name":"{}"}}"#, email(number), name(number))
}

pub fn email(number: u64) -> String {
    format!("p{number}@bench.example")
}

/// Two words of a few thousand, so that searches and indexes see what a real list looks like.
fn name(number: u64) -> String {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("Given{} Family{}", mixed % 997, (mixed >> 20) % 4999)
}

/// Adds people until there are `wanted`, on as many threads as fill a group.
pub fn seed(app: &App, from: u64, wanted: u64) {
    let next = std::sync::atomic::AtomicU64::new(from);
    std::thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    if number >= wanted {
                        break;
                    }
                    add_person_blocking(app, Actor::system(), form(number), Role::Member, None).expect("added");
                }
            });
        }
    });
}

/// Fills the unit's database with entries of the audit trail, up to so many bytes.
pub fn fill(path: &Path, bytes: u64) {
    const BATCH: i64 = 10_000;
    let connection = Connection::open(path).expect("a database");
    connection.execute_batch("PRAGMA synchronous = OFF; PRAGMA wal_autocheckpoint = 4000").expect("set");
    let mut next: i64 = 0;
    while std::fs::metadata(path).expect("a file").len() < bytes {
        connection
            .execute(
                r#"INSERT INTO audit_entries (id, at, actor, via, request, action, subject, person, "before", "after")
                   WITH RECURSIVE n (i) AS (VALUES (?1) UNION ALL SELECT i + 1 FROM n WHERE i < ?1 + ?2 - 1)
                   SELECT unhex(printf('%032x', i)), i, NULL, 'system', NULL, 'filled', unhex(printf('%032x', i)), NULL,
                          NULL, '"' || hex(randomblob(300)) || '"' FROM n"#,
                (next, BATCH),
            )
            .expect("filled");
        next += BATCH;
    }
    connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").expect("a checkpoint");
}

/// An owner of the unit in `folder`, and their token; made by the program itself.
pub fn owner(folder: &Path) -> String {
    let run = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_ashlar")).args(args).arg("--data").arg(folder).output();
        let output = output.expect("the program runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    };
    let email = "owner@bench.example";
    run(&["user", "create", "--email", email, "--display-name", "Owner", "--role", "owner"]);
    run(&["user", "token", "--email", email])
}
