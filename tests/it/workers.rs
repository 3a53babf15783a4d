//! Workers elsewhere: each job's result is recorded once, and no job is lost, whatever is cut, killed or frozen.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::Read;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use ashlar::app;
use ashlar::platform::config::{Options, Settings};
use ashlar::platform::db::{Database, UnitOfWork};
use ashlar::platform::error::{Error, Result};
use ashlar::platform::http::{self, Leave, Limits, Service};
use ashlar::platform::jobs::remote::{self, Client, VERSION, Workshop};
use ashlar::platform::jobs::{
    self, Bench, Failure, Input, JobId, Kind, Kinds, Made, Payload, Place, Portable, Run, State, Work,
};
use hyper::service::service_fn;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::jobs::{Unit, note_in};
use crate::support::client;

/// A text that is to be turned around.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Turn(pub String);
impl Payload for Turn {
    const KIND: &'static str = "test.turn";
}

/// How the work of a text misbehaves; by its first word.
static RUNS: LazyLock<Mutex<BTreeMap<String, usize>>> = LazyLock::new(Mutex::default);

const WORK: Work = Work { kind: Turn::KIND, run: turn };

fn turn(bench: &Bench<'_>) -> Result<Made, Failure> {
    let text = std::fs::read_to_string(bench.input).unwrap();
    let run = {
        let mut runs = RUNS.lock().unwrap();
        let run = runs.entry(text.clone()).or_default();
        *run += 1;
        *run
    };
    match text.split(' ').next().unwrap() {
        "never" => return Err(Failure::Never("it can't be turned".into())),
        "panic" if run == 1 => panic!("turned upside down"),
        "slow" => {
            for percent in 0..20 {
                std::thread::sleep(Duration::from_millis(50));
                (bench.watch)(percent * 5)?;
            }
        }
        // As if the machine slept: it does not look whether it is to stop.
        "frozen" if run == 1 => std::thread::sleep(Duration::from_millis(2500)),
        _ => {}
    }
    let turned: String = text.chars().rev().collect();
    let path = bench.scratch.join("turned");
    std::fs::write(&path, &turned).unwrap();
    let result = json!({ "order": bench.order["text"], "run": run });
    Ok(Made { result, files: vec![("turned".into(), path)], children_cpu_ms: 0 })
}

type Kept = Arc<Mutex<BTreeMap<JobId, String>>>;

/// The server's part: what was handed in is kept in memory, and what was recorded in the audit trail.
struct Turning(Kept);

impl Portable for Turning {
    type Payload = Turn;

    fn open(&self, _: &Database, Turn(text): Turn) -> Result<Input, Failure> {
        let bytes = text.len() as u64;
        Ok(Input { order: json!({ "text": text }), bytes, content: Box::new(std::io::Cursor::new(text.into_bytes())) })
    }

    fn keep(&self, run: &Run, _: Turn, name: &str, file: &mut dyn Read) -> Result<(), Failure> {
        assert_eq!(name, "turned");
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        // Refused where the job is not this run's any more.
        run.write("keep", |_| Ok(()))?;
        self.0.lock().unwrap().insert(run.job, text);
        Ok(())
    }

    fn record(&self, work: &UnitOfWork<'_>, Turn(text): Turn, result: Value) -> Result<()> {
        if result["order"] != text {
            return Err(Error::Internal(format!("that is not what was asked for: {result}")));
        }
        note_in(work, &text)
    }
}

pub fn turning(kept: &Kept) -> Kind {
    Kind::portable(WORK, Turning(kept.clone()))
        .attempts(50)
        .backoff(Duration::from_millis(20), Duration::from_millis(50))
}

/// A server that hands out jobs to workers, and does none itself.
struct Shop {
    unit: Unit,
    kinds: Kinds,
    kept: Kept,
    address: SocketAddr,
    stop: watch::Sender<bool>,
    folder: TempDir,
    own: jobs::Workers,
}

const LEASE: Duration = Duration::from_millis(900);

impl Shop {
    async fn open() -> Shop {
        let folder = tempfile::tempdir().unwrap();
        let unit = Unit::open(folder.path());
        let kept = Kept::default();
        let kinds = Kinds::new(vec![turning(&kept)]).unwrap();
        unit.write(|work| jobs::put_place(work, Turn::KIND, Place::Workers)).unwrap();
        let own = jobs::Workers::new(unit.database.clone(), kinds.clone(), LEASE);
        tokio::spawn(own.clone().run());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = serve(&unit, &kinds, listener);
        Shop { unit, kinds, kept, address, stop, folder, own }
    }

    /// Lets a worker in; returns its token.
    fn token(&self, name: &'static str) -> String {
        self.unit.write(move |work| remote::add_worker(work, name)).unwrap().token
    }

    /// Starts a worker that asks at `address`.
    fn worker(
        &self,
        name: &'static str,
        address: SocketAddr,
    ) -> (watch::Sender<bool>, tokio::task::JoinHandle<Result<()>>) {
        self.worker_with(&self.token(name), address)
    }

    fn worker_with(
        &self,
        token: &str,
        address: SocketAddr,
    ) -> (watch::Sender<bool>, tokio::task::JoinHandle<Result<()>>) {
        let settings = remote::Settings {
            server: format!("http://{address}").parse().unwrap(),
            token: token.into(),
            slots: 3,
            folder: self.folder.path().join("worker"),
        };
        let client = Client::new(settings, vec![WORK]).unwrap();
        let (stop, stopped) = watch::channel(false);
        (stop, tokio::spawn(client.run(stopped)))
    }

    fn turn(&self, text: &str) -> JobId {
        self.unit.enqueue(Turn(text.into()))
    }

    async fn done(&self, id: JobId) {
        self.unit.wait("done", || self.unit.job(id).state == State::Done).await;
    }
}

fn serve(unit: &Unit, kinds: &Kinds, listener: TcpListener) -> watch::Sender<bool> {
    let folder = unit.database.folder();
    let settings = Settings::load(Options::default(), &folder.settings()).unwrap();
    let platform = app::compose(unit.database.clone(), &settings).platform;
    let shop = Workshop { platform, kinds: kinds.clone(), lease: LEASE, origin: "http://here".into() };
    let service = Service::new(remote::routes(&shop).unwrap(), settings.site.clone(), unit.database.clock().clone());
    let answer = service_fn(move |request| {
        let service = service.clone();
        async move { Ok::<_, Infallible>(service.answer(SocketAddr::from(([127, 0, 0, 1], 1)), request).await.unwrap()) }
    });
    let (stop, mut stopped) = watch::channel(false);
    let leave = async move {
        stopped.wait_for(|stop| *stop).await.ok();
        Leave::Closed
    };
    let proxies = settings.site.proxies.0.clone();
    tokio::spawn(http::listen(listener, answer, Limits::default(), proxies, Arc::default(), leave));
    stop
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_does_what_it_is_given_and_hands_it_in() {
    let shop = Shop::open().await;
    let ids = ["one", "two", "panic three"].map(|text| shop.turn(text));
    let never = shop.turn("never");

    let (stop, worker) = shop.worker("w", shop.address);
    for id in ids {
        shop.done(id).await;
    }
    shop.unit.wait("dead", || shop.unit.job(never).state == State::Dead).await;

    assert_eq!(shop.kept.lock().unwrap()[&ids[0]], "eno");
    assert_eq!(shop.unit.failures(never), ["it can't be turned"]);
    assert_eq!(shop.unit.job(ids[2]).attempt, 2);
    assert_eq!(shop.unit.job(ids[0]).worker.as_deref(), Some("w"));
    stop.send_replace(true);
    worker.await.unwrap().unwrap();
    let left: Vec<_> = std::fs::read_dir(shop.folder.path().join("worker")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    shop.own.stop(LEASE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_was_frozen_past_its_lease_is_refused_and_another_does_the_job() {
    let shop = Shop::open().await;
    let id = shop.turn("frozen for long");
    let way = way_to(shop.address).await;
    let (stop, worker) = shop.worker("w", way.address);
    shop.unit.wait("begun", || shop.unit.job(id).state == State::Running).await;

    // Its network is gone as well, so nobody hears of it.
    way.cut(true);
    let (stop_other, other) = shop.worker("other", shop.address);
    shop.done(id).await;
    way.cut(false);
    // It thaws, and would hand in.
    tokio::time::sleep(Duration::from_millis(3000)).await;

    assert_eq!(shop.unit.noted("frozen for long"), 1);
    assert_eq!(shop.unit.job(id).worker.as_deref(), Some("other"));
    stop.send_replace(true);
    stop_other.send_replace(true);
    worker.await.unwrap().unwrap();
    other.await.unwrap().unwrap();
    shop.own.stop(LEASE).await;
}

/// A way to a server that can be cut.
pub struct Way {
    pub address: SocketAddr,
    is_cut: watch::Sender<bool>,
}

impl Way {
    pub fn cut(&self, is_cut: bool) {
        self.is_cut.send_replace(is_cut);
    }
}

pub async fn way_to(server: SocketAddr) -> Way {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (is_cut, cut) = watch::channel(false);
    tokio::spawn(async move {
        loop {
            let (mut from, _) = listener.accept().await.unwrap();
            let mut cut = cut.clone();
            tokio::spawn(async move {
                if *cut.borrow() {
                    return;
                }
                let Ok(mut to) = TcpStream::connect(server).await else { return };
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut from, &mut to) => {}
                    _ = cut.wait_for(|cut| *cut) => {}
                }
            });
        }
    });
    Way { address, is_cut }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_worker_and_one_of_another_version_are_told_so_and_end() {
    let shop = Shop::open().await;
    let token = shop.token("w");
    let ask = |version: &str, token: &str, kinds: &[&str]| {
        let body = json!({ "version": version, "kinds": kinds, "slots": 1 });
        let request =
            client().post(format!("http://{}/api/worker/leases", shop.address)).bearer_auth(token).json(&body);
        async move {
            let answer = request.send().await.unwrap();
            (answer.status().as_u16(), answer.json::<Value>().await.unwrap()["detail"].to_string())
        }
    };

    let (status, why) = ask("0.0.1", &token, &[Turn::KIND]).await;
    assert!(status == 409 && why.contains("install the same version"), "{status} {why}");
    assert_eq!(ask(VERSION, &token, &["mail.deliver"]).await.0, 422);
    assert_eq!(ask(VERSION, &"A".repeat(43), &[Turn::KIND]).await.0, 401);

    let id = shop.unit.database.read_blocking("test", remote::workers).unwrap()[0].id;
    shop.unit.write(move |work| remote::remove_worker(work, id)).unwrap();
    let (_stop, worker) = shop.worker_with(&token, shop.address);
    let error = worker.await.unwrap().unwrap_err().to_string();
    assert!(error.contains("revoked"), "{error}");
    shop.own.stop(LEASE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_comes_back_finds_its_workers_and_what_they_did() {
    let mut shop = Shop::open().await;
    let ids: Vec<_> = (0..12).map(|n| shop.turn(&format!("slow {n}"))).collect();
    let (stop, worker) = shop.worker("w", shop.address);

    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(700)).await;
        shop.stop.send_replace(true);
        // What it holds is handed in once the server is back, if that is before its lease lapses.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let listener = loop {
            match TcpListener::bind(shop.address).await {
                Ok(listener) => break listener,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        shop.stop = serve(&shop.unit, &shop.kinds, listener);
    }
    for id in ids {
        shop.done(id).await;
    }

    for n in 0..12 {
        assert_eq!(shop.unit.noted(&format!("slow {n}")), 1, "slow {n}");
    }
    stop.send_replace(true);
    worker.await.unwrap().unwrap();
    shop.own.stop(LEASE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_stops_gives_back_what_it_has_not_done() {
    let shop = Shop::open().await;
    let id = shop.turn("slow and stopped");
    let (stop, worker) = shop.worker("w", shop.address);
    shop.unit.wait("begun", || shop.unit.job(id).progress.is_some()).await;

    stop.send_replace(true);
    worker.await.unwrap().unwrap();

    let job = shop.unit.job(id);
    assert_eq!((job.state, job.attempt), (State::Ready, 0), "{job:?}");
    // Now the server does it: where it runs is said anew, and nothing is lost.
    shop.unit.write(|work| jobs::put_place(work, Turn::KIND, Place::Here)).unwrap();
    shop.done(id).await;
    assert_eq!(shop.unit.noted("slow and stopped"), 1);
    assert_eq!(shop.kept.lock().unwrap()[&id], "deppots dna wols");
    shop.own.stop(LEASE).await;
}
