//! What Ashlar can do on this machine, each figure beside what it is compared to: `scripts/bench`.
//!
//! Absolute figures depend on the machine and its mood; ratios come from alternating runs of one sitting.

mod backup;
mod billing;
mod jobs;
mod load;
mod media;
mod process;
mod replica;
mod unit;

use std::fmt::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use ashlar::platform::actor::Actor;
use ashlar::platform::auth::{Password, Role};
use ashlar::platform::error::Error;
use ashlar::platform::ids::UserId;
use ashlar::use_cases::add_person::add_person;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use unit::Server;

/// How often each side of a comparison is run, taking turns.
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(2);

/// Adds its figures to the table; runs for long if asked to.
type Part = fn(&mut Table, bool);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [what, from, to] = &arguments[..]
        && what == replica::FETCH
    {
        return replica::fetch(from, to.as_ref());
    }
    let long = arguments.iter().any(|arg| arg == "--long");
    let only = arguments.iter().find(|arg| !arg.starts_with('-'));
    let mut table = Table::default();
    let parts: [(&str, Part); 12] = [
        ("writes", writes),
        ("durability", durability),
        ("reads", reads),
        ("calls", calls),
        ("sign-ins", sign_ins),
        ("growth", growth),
        ("footprint", footprint),
        ("backup", backup::backup),
        ("replica", replica::replica),
        ("jobs", jobs::jobs),
        ("media", media::media),
        ("billing", billing::billing),
    ];
    for (name, part) in parts {
        if only.is_none_or(|only| only == name) {
            eprintln!("{name} …");
            part(&mut table, long);
        }
    }
    println!("{}", table.text);
    let target = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("../bench.json");
    std::fs::write(&target, serde_json::to_string_pretty(&table.rows).expect("JSON")).expect("written");
    println!("as JSON: target/bench.json");
}

/// `POST /api/people`: grouped, against one commit each, and against the same without HTTP.
fn writes(table: &mut Table, _: bool) {
    let folder = tempfile::tempdir().expect("a folder");
    let single = tempfile::tempdir().expect("a folder");
    let (token, single_token) = (unit::owner(folder.path()), unit::owner(single.path()));
    let (mut next, mut next_single, mut next_bare) = (0, 0, 0);
    for connections in [1, 16, 64, 256] {
        let (mut grouped, mut each, mut bare, mut sizes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let server = Server::start(folder.path(), &[]);
            let before =
                [server.figure(&token, "ashlar_group_size_sum"), server.figure(&token, "ashlar_group_size_count")];
            grouped.push(post_people(&server, &token, connections, &mut next));
            let sum = server.figure(&token, "ashlar_group_size_sum") - before[0];
            sizes.push(sum / (server.figure(&token, "ashlar_group_size_count") - before[1]).max(1.0));
            server.stop();

            let server = Server::start(single.path(), &["--max-group", "1"]);
            each.push(post_people(&server, &single_token, connections, &mut next_single));
            server.stop();

            let size = Spread::of(&sizes).median.round().max(1.0) as usize;
            bare.push(write_bare(size, &mut next_bare));
        }
        let size = Spread::of(&sizes);
        let name = format!("POST /api/people, {connections} connections");
        table.row(&format!("{name}: group size"), size, "members", None);
        let each_goal = if connections >= 64 { 5.0 } else { 1.0 };
        table.compare(&name, "1/s", &grouped, "one commit each", &each, (connections != 16).then_some(each_goal));
        table.compare(
            &name,
            "1/s",
            &grouped,
            "the same groups without HTTP",
            &bare,
            (connections == 64).then_some(0.5),
        );
    }
}

fn post_people(server: &Server, token: &str, connections: usize, next: &mut u64) -> f64 {
    let (first, token) = (*next, token.to_owned());
    let answers = load::run(server.address, connections, ROUND, move |n| {
        load::post("/api/people", Some(&token), &unit::body(first + n))
    });
    *next += 10_000_000;
    answers.per_second
}

/// The use case itself in this process, with as many callers at once as a group had members.
fn write_bare(callers: usize, next: &mut u64) -> f64 {
    let folder = tempfile::tempdir().expect("a folder");
    let app = unit::open(folder.path());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let first = *next;
    let (start, end) = (Instant::now(), Instant::now() + ROUND);
    let number = std::rc::Rc::new(std::cell::Cell::new(first));
    let done = runtime.block_on(async {
        let callers = (0..callers).map(|_| {
            let (app, number) = (app.clone(), number.clone());
            async move {
                let mut done = 0_u64;
                while Instant::now() < end {
                    number.set(number.get() + 1);
                    let form = unit::form(number.get());
                    add_person(&app, Actor::system().into(), form, Role::Member).await.expect("added");
                    done += 1;
                }
                done
            }
        });
        futures_util::future::join_all(callers).await.into_iter().sum::<u64>()
    });
    let per_second = done as f64 / start.elapsed().as_secs_f64();
    *next = number.get();
    app.platform.database.close();
    per_second
}

/// Each answer is on the disk when it is given: the server's fsyncs against its commits.
fn durability(table: &mut Table, _: bool) {
    if Command::new("strace").arg("--version").output().is_err() {
        table.note("durability: skipped, strace is not installed (apt-get install strace)");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let token = unit::owner(folder.path());
    let counts = folder.path().join("strace");
    let prefix = ["strace", "-f", "-c", "-e", "trace=fsync,fdatasync", "-o", counts.to_str().expect("a path")];
    let server = Server::start_under(&prefix, folder.path(), &[]);
    let mut next = 0;
    let start = Instant::now();
    let answers = post_people(&server, &token, 64, &mut next) * start.elapsed().as_secs_f64();
    let commits = server.figure(&token, "ashlar_group_size_count");
    // strace passes the signal on and writes its counts when the program has ended.
    let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", server.pid())).expect("its children");
    let child = children.trim().parse().ok().and_then(Pid::from_raw).expect("one child");
    kill_process(child, Signal::TERM).expect("kill");
    server.wait();
    let text = std::fs::read_to_string(&counts).expect("strace's counts");
    let fsyncs: f64 = text
        .lines()
        .filter(|line| line.contains("fsync") || line.contains("fdatasync"))
        .filter_map(|line| line.split_whitespace().nth(3)?.parse::<f64>().ok())
        .sum();
    table.row("answers to POST /api/people while counted", Spread::one(answers), "answers", None);
    table.row("commits", Spread::one(commits), "commits", None);
    table.row("fsyncs (goal: one or more a commit)", Spread::one(fsyncs), "fsyncs", Some(fsyncs >= commits));
}

/// One person, and a list of 30, out of 10,000: against the constant `GET /api/health`.
fn reads(table: &mut Table, _: bool) {
    let folder = tempfile::tempdir().expect("a folder");
    let token = unit::owner(folder.path());
    let app = unit::open(folder.path());
    unit::seed(&app, 0, 10_000);
    let ids = ids(&app, 10_000);
    app.platform.database.close();
    let server = Server::start(folder.path(), &[]);
    let (mut health, mut one, mut list) = (Vec::new(), Vec::new(), Vec::new());
    let mut latency = [[0.0; 2]; 3];
    for _ in 0..ROUNDS {
        let (ids, bearer) = (ids.clone(), token.clone());
        let show =
            move |n: u64| load::get(&format!("/api/people/{}", ids[n as usize * 7919 % ids.len()]), Some(&bearer));
        let bearer = token.clone();
        let page = move |_| load::get("/api/people?limit=30", Some(&bearer));
        let runs = [
            load::run(server.address, 64, ROUND, |_| load::get("/api/health", None)),
            load::run(server.address, 64, ROUND, show),
            load::run(server.address, 64, ROUND, page),
        ];
        for (latency, run) in latency.iter_mut().zip(&runs) {
            *latency = [run.percentile_us(50.0), run.percentile_us(99.0)];
        }
        let [a, b, c] = runs.map(|run| run.per_second);
        health.push(a);
        one.push(b);
        list.push(c);
    }
    table.compare("GET /api/people/{id}", "1/s", &one, "GET /api/health", &health, Some(0.4));
    table.compare("GET /api/people?limit=30", "1/s", &list, "GET /api/health", &health, Some(0.15));
    for (name, [p50, p99]) in
        ["GET /api/health", "GET /api/people/{id}", "GET /api/people?limit=30"].iter().zip(latency)
    {
        table.row(&format!("{name}: p50"), Spread::one(p50), "µs", None);
        table.row(&format!("{name}: p99"), Spread::one(p99), "µs", None);
    }
    server.stop();
}

fn ids(app: &ashlar::use_cases::App, wanted: usize) -> Vec<UserId> {
    let ids = app.platform.database.read_blocking("ids", |snapshot| app.users.ids(snapshot)).expect("ids");
    ids.into_iter().take(wanted).collect()
}

/// A call of another module's face, as a function and over HTTP on loopback.
fn calls(table: &mut Table, _: bool) {
    let folder = tempfile::tempdir().expect("a folder");
    let token = unit::owner(folder.path());
    let app = unit::open(folder.path());
    unit::seed(&app, 0, 1000);
    let ids = ids(&app, 1000);
    const CALLS: usize = 200_000;
    let mut function = Vec::new();
    for _ in 0..ROUNDS {
        let took = app.platform.database.read_blocking("calls", |snapshot| {
            let start = Instant::now();
            for n in 0..CALLS {
                std::hint::black_box(app.profiles.of(snapshot, ids[n % ids.len()])?);
            }
            Ok::<_, Error>(start.elapsed())
        });
        function.push(took.expect("calls").as_nanos() as f64 / CALLS as f64);
    }
    app.platform.database.close();
    let server = Server::start(folder.path(), &[]);
    let mut http = Vec::new();
    for _ in 0..ROUNDS {
        let (ids, token) = (ids.clone(), token.clone());
        let run = load::run(server.address, 1, ROUND / 2, move |n| {
            load::get(&format!("/api/profiles/{}", ids[n as usize % ids.len()]), Some(&token))
        });
        http.push(1e9 / run.per_second);
    }
    server.stop();
    table.compare("profiles.of(user): over HTTP", "ns", &http, "as a function", &function, None);
}

/// Sign-ins against bare hashes, and what others notice of them.
fn sign_ins(table: &mut Table, _: bool) {
    let folder = tempfile::tempdir().expect("a folder");
    let token = unit::owner(folder.path());
    let server = Server::start(folder.path(), &[]);
    let password = "violet-anvil-tuesday";
    let body = format!(r#"{{"email":"ann@bench.example","display_name":"Ann","password":"{password}"}}"#);
    load::run(server.address, 1, Duration::from_millis(1), move |n| {
        load::post("/api/sign-up", None, &body.replace("ann@", &format!("ann{n}@")))
    });
    let body = format!(r#"{{"email":"ann0@bench.example","password":"{password}"}}"#);
    // As many at once as the server hashes at once.
    let turns = std::thread::available_parallelism().map_or(1, usize::from).div_ceil(2);
    let (mut signed_in, mut bare, mut calm, mut meanwhile) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let body = body.clone();
        signed_in
            .push(load::run(server.address, 8, ROUND, move |_| load::post("/api/sessions", None, &body)).per_second);
        bare.push(bare_hashes(turns));
        let me = |token: String| move |_| load::get("/api/me", Some(&token));
        calm.push(load::run(server.address, 4, ROUND, me(token.clone())).percentile_us(99.0));
    }
    for _ in 0..ROUNDS {
        let (address, body, token) = (server.address, body.clone(), token.clone());
        let load =
            std::thread::spawn(move || load::run(address, 8, ROUND, move |_| load::post("/api/sessions", None, &body)));
        meanwhile.push(load::run(address, 4, ROUND, move |_| load::get("/api/me", Some(&token))).percentile_us(99.0));
        load.join().expect("sign-ins");
    }
    server.stop();
    table.compare("sign-ins", "1/s", &signed_in, "bare Argon2id, as many at once", &bare, Some(0.8));
    table.compare("GET /api/me, p99 during sign-ins", "µs", &meanwhile, "without", &calm, None);
}

fn bare_hashes(threads: usize) -> f64 {
    let end = Instant::now() + ROUND;
    let start = Instant::now();
    let folder = tempfile::tempdir().expect("a folder");
    let app = unit::open(folder.path());
    let hashes: u64 = std::thread::scope(|scope| {
        let hash = || {
            let mut hashes = 0;
            while Instant::now() < end {
                app.platform.auth.hash_blocking(&Password::attempt("violet-anvil-tuesday".into())).expect("hashed");
                hashes += 1;
            }
            hashes
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(hash)).collect();
        workers.into_iter().map(|worker| worker.join().expect("hashes")).sum()
    });
    let per_second = hashes as f64 / start.elapsed().as_secs_f64();
    app.platform.database.close();
    per_second
}

/// What everything costs as the unit grows.
fn growth(table: &mut Table, long: bool) {
    let folder = tempfile::tempdir().expect("a folder");
    let token = unit::owner(folder.path());
    let sizes: &[u64] = if long { &[1_000, 100_000, 1_000_000] } else { &[1_000, 100_000] };
    let mut seeded = 0;
    let mut base: Option<[Vec<f64>; 3]> = None;
    let mut next = 1 << 40;
    for &size in sizes {
        let app = unit::open(folder.path());
        unit::seed(&app, seeded, size);
        seeded = size;
        let ids = ids(&app, 100_000);
        app.platform.database.close();
        let server = Server::start(folder.path(), &[]);
        let mut figures: [Vec<f64>; 3] = Default::default();
        for _ in 0..ROUNDS {
            let (ids, bearer) = (ids.clone(), token.clone());
            let show =
                move |n: u64| load::get(&format!("/api/people/{}", ids[n as usize * 7919 % ids.len()]), Some(&bearer));
            figures[0].push(load::run(server.address, 64, ROUND, show).per_second);
            let bearer = token.clone();
            let page = move |_| load::get("/api/people?limit=30", Some(&bearer));
            figures[1].push(load::run(server.address, 64, ROUND, page).per_second);
            figures[2].push(post_people(&server, &token, 64, &mut next));
        }
        server.stop();
        match &base {
            None => base = Some(figures),
            Some(base) => {
                let names = ["point reads", "first page", "grouped writes"];
                for (n, goal) in [0.8, 0.8, 1.0 / 3.0].into_iter().enumerate() {
                    let name = format!("{} with {size} people", names[n]);
                    table.compare(&name, "1/s", &figures[n], "with 1,000", &base[n], Some(goal));
                }
            }
        }
    }
}

/// How long it takes to start, and how much it needs.
fn footprint(table: &mut Table, _: bool) {
    let folder = tempfile::tempdir().expect("a folder");
    let token = unit::owner(folder.path());
    let app = unit::open(folder.path());
    unit::seed(&app, 0, 10_000);
    app.platform.database.close();
    let mut starts = Vec::new();
    for _ in 0..9 {
        let server = Server::start(folder.path(), &[]);
        starts.push(server.started_in.as_secs_f64() * 1000.0);
        server.stop();
    }
    table.goal("start to first answer, 10,000 people", &starts, "ms", 50.0);
    let server = Server::start(folder.path(), &[]);
    std::thread::sleep(Duration::from_secs(1));
    table.goal("memory idle", &[server.memory_mb()], "MB", 25.0);
    let mut next = 1 << 40;
    post_people(&server, &token, 256, &mut next);
    let bearer = token.clone();
    load::run(server.address, 256, ROUND, move |_| load::get("/api/people?limit=100", Some(&bearer)));
    table.goal("memory after 256 connections wrote and read", &[server.memory_mb()], "MB", 100.0);
    server.stop();
    let size = std::fs::metadata(env!("CARGO_BIN_EXE_ashlar")).expect("the program").len();
    table.goal("size of the program", &[size as f64 / 1024.0 / 1024.0], "MB", 20.0);
}

/// Median, least and most of some runs.
#[derive(Clone, Copy)]
struct Spread {
    median: f64,
    least: f64,
    most: f64,
}

impl Spread {
    fn of(runs: &[f64]) -> Spread {
        let mut runs = runs.to_vec();
        runs.sort_by(f64::total_cmp);
        Spread { median: runs[runs.len() / 2], least: runs[0], most: runs[runs.len() - 1] }
    }

    fn one(value: f64) -> Spread {
        Spread { median: value, least: value, most: value }
    }
}

#[derive(Default)]
struct Table {
    text: String,
    rows: Vec<Value>,
}

impl Table {
    /// `runs` over `others`, run in turns; met if the median of the ratios reaches `goal`.
    fn compare(&mut self, name: &str, unit: &str, runs: &[f64], other: &str, others: &[f64], goal: Option<f64>) {
        let ratios: Vec<f64> = runs.iter().zip(others).map(|(a, b)| a / b).collect();
        let (it, that, ratio) = (Spread::of(runs), Spread::of(others), Spread::of(&ratios));
        let verdict = goal.map(|goal| ratio.median >= goal);
        let goal_text = goal.map(|goal| format!(", goal {goal:.2}")).unwrap_or_default();
        let line = format!(
            "{name}: {:.0} {unit} ({:.0}–{:.0}); {other}: {:.0} ({:.0}–{:.0}); ratio {:.2} ({:.2}–{:.2}){goal_text}",
            it.median, it.least, it.most, that.median, that.least, that.most, ratio.median, ratio.least, ratio.most
        );
        self.line(&line, verdict);
        self.rows.push(json!({
            "name": name, "unit": unit, "median": it.median, "runs": runs, "against": other,
            "against_median": that.median, "against_runs": others, "ratio": ratio.median, "goal": goal, "met": verdict,
        }));
    }

    /// `runs` must stay at or below `most`.
    fn goal(&mut self, name: &str, runs: &[f64], unit: &str, most: f64) {
        let spread = Spread::of(runs);
        self.row(&format!("{name} (goal ≤ {most} {unit})"), spread, unit, Some(spread.median <= most));
    }

    fn row(&mut self, name: &str, Spread { median, least, most }: Spread, unit: &str, met: Option<bool>) {
        self.line(&format!("{name}: {median:.1} {unit} ({least:.1}–{most:.1})"), met);
        self.rows
            .push(json!({ "name": name, "unit": unit, "median": median, "least": least, "most": most, "met": met }));
    }

    fn note(&mut self, text: &str) {
        self.line(text, None);
        self.rows.push(json!({ "note": text }));
    }

    fn line(&mut self, text: &str, met: Option<bool>) {
        let mark = match met {
            Some(true) => "met    ",
            Some(false) => "MISSED ",
            None => "       ",
        };
        eprintln!("{mark}{text}");
        // Writing to a String never fails.
        writeln!(self.text, "{mark}{text}").expect("written");
    }
}
