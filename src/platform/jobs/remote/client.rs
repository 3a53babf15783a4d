//! The worker's side: takes jobs, does them, hands in what came of it. It trusts its lease only as long as it was told to.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::{Duration, Instant};

use reqwest::{Method, RequestBuilder, StatusCode, Url};
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::*;
use crate::platform::files;
use crate::platform::scratch::Scratch;

/// One answer may take so long; content comes in pieces, and each of them may.
const ANSWER: Duration = Duration::from_secs(30);
/// How long it waits after the server could not be reached, at first and at most.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Whether there is progress to tell of is looked at so often.
const LOOK: Duration = Duration::from_secs(2);
/// While a lease holds, what could not be sent is sent again after so long.
const AGAIN: Duration = Duration::from_secs(1);

#[derive(Debug, Clone)]
pub struct Settings {
    pub server: Url,
    pub token: String,
    /// Jobs at once.
    pub slots: usize,
    /// Where files are worked on.
    pub folder: PathBuf,
}

/// A worker. Clones share it.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    settings: Arc<Settings>,
    works: Arc<[Work]>,
}

/// Why the server did not do what was asked.
enum Refused {
    /// The job is not ours any more: leave it.
    Lost,
    /// It never will, for the reason it gives.
    Never(String),
    /// It could not be reached, or is busy: later perhaps.
    Later(String),
}

/// What a job's run and what keeps its lease share.
#[derive(Default)]
struct Shared {
    progress: AtomicU8,
    stop: AtomicBool,
}

impl Client {
    /// # Errors
    /// If the server's address is none, or would carry the token in the clear to another machine.
    pub fn new(settings: Settings, works: Vec<Work>) -> Result<Client> {
        let url = &settings.server;
        let is_local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        match url.scheme() {
            "https" => {}
            "http" if is_local => {}
            _ => {
                return Err(Error::Internal(format!(
                    "the server is `{url}`: name it by https://, since the token goes there; http:// is for this machine only"
                )));
            }
        }
        rustls::crypto::ring::default_provider().install_default().ok(); // Somebody has done it before.
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(ANSWER)
            .user_agent(concat!("ashlar/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| Error::internal("starting the client", e))?;
        std::fs::create_dir_all(&settings.folder)
            .map_err(|e| files::failed(&format!("making {}", settings.folder.display()), e))?;
        Ok(Client { http, settings: Arc::new(settings), works: works.into() })
    }

    /// Does jobs until told to stop; what it has not done by then it gives back.
    ///
    /// # Errors
    /// If the server refuses the worker for good: its token is revoked, or it is of another version.
    pub async fn run(self, mut stop: watch::Receiver<bool>) -> Result<()> {
        let mut running = JoinSet::new();
        let mut wait = FIRST_WAIT;
        while !*stop.borrow() {
            while let Some(ended) = running.try_join_next() {
                log_panic(ended);
            }
            let free = self.settings.slots.saturating_sub(running.len()).min(MOST_AT_ONCE);
            if free == 0 {
                tokio::select! {
                    ended = running.join_next() => ended.into_iter().for_each(log_panic),
                    _ = stop.changed() => {}
                }
                continue;
            }
            let taken = tokio::select! {
                taken = self.take(free) => taken,
                _ = stop.changed() => break,
            };
            match taken {
                Ok(Taken { jobs, lease_ms }) => {
                    wait = FIRST_WAIT;
                    for job in jobs {
                        running.spawn(self.clone().run_job(job, lease_ms, stop.clone()));
                    }
                }
                Err(Refused::Never(why)) => {
                    while running.join_next().await.is_some() {}
                    return Err(Error::Internal(why));
                }
                Err(refused @ (Refused::Later(_) | Refused::Lost)) => {
                    let why = match refused {
                        Refused::Later(why) => why,
                        _ => "what answers there gives no jobs: is it an Ashlar?".to_owned(),
                    };
                    tracing::warn!(why, again_s = wait.as_secs_f64(), "the server gives no jobs");
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        _ = stop.changed() => break,
                    }
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
            }
        }
        while running.join_next().await.is_some() {}
        Ok(())
    }

    async fn take(&self, slots: usize) -> Result<Taken, Refused> {
        let kinds = self.works.iter().map(|work| work.kind.to_owned()).collect();
        let asked = TakeJobs { version: VERSION.into(), kinds, slots };
        let answer = send(self.ask(Method::POST, "/api/worker/leases").json(&asked)).await?;
        answer.json().await.map_err(|e| Refused::Later(format!("its answer can't be read: {e}")))
    }

    fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        let mut url = self.settings.server.clone();
        url.set_path(path);
        self.http.request(method, url).bearer_auth(&self.settings.token)
    }

    /// Asks for something on a job that this worker holds.
    fn ask_of(&self, job: &TakenJob, method: Method, what: &str) -> RequestBuilder {
        self.ask(method, &format!("/api/worker/jobs/{}/{what}", job.id)).header(LEASE, &job.lease)
    }

    async fn run_job(self, job: TakenJob, lease_ms: i64, mut stop: watch::Receiver<bool>) {
        let began = Instant::now();
        let shared = Arc::<Shared>::default();
        let ended = tokio::select! {
            ended = self.work(&job, &shared) => ended,
            () = self.keep_lease(&job, lease_ms, &shared) => Err(Refused::Lost),
            () = told_to_stop(&mut stop) => {
                shared.stop.store(true, Ordering::Relaxed);
                // Where that fails, the lease lapses.
                send(self.ask_of(&job, Method::POST, "release")).await.ok();
                Err(Refused::Later("the worker stops".into()))
            }
        };
        shared.stop.store(true, Ordering::Relaxed);
        let ms = began.elapsed().as_millis() as u64;
        let TakenJob { id, kind, attempt, .. } = &job;
        match ended {
            Ok(()) => tracing::info!(id, kind, attempt, ms, "done"),
            Err(Refused::Lost) => tracing::warn!(id, kind, attempt, ms, "{NO_LEASE}"),
            Err(Refused::Never(why) | Refused::Later(why)) => tracing::warn!(id, kind, attempt, ms, why, "not done"),
        }
    }

    /// Says that the job goes on, until the server says that it is not this worker's any more, or it could not be asked for
    /// as long as a lease holds.
    async fn keep_lease(&self, job: &TakenJob, lease_ms: i64, shared: &Shared) {
        let lease = Duration::from_millis(lease_ms.unsigned_abs());
        let mut heard = Instant::now();
        let mut told = 0;
        while heard.elapsed() < lease {
            tokio::time::sleep(LOOK.min(lease / 3)).await;
            let percent = shared.progress.load(Ordering::Relaxed);
            if percent == told && heard.elapsed() < lease / 3 {
                continue;
            }
            told = percent;
            let (progress, asked) = (Some(percent), Instant::now());
            match send(self.ask_of(job, Method::POST, "renewal").json(&Renewal { progress })).await {
                Ok(_) => heard = asked,
                Err(Refused::Later(why)) => tracing::warn!(id = job.id, why, "the lease could not be renewed"),
                Err(Refused::Lost | Refused::Never(_)) => return,
            }
        }
    }

    /// Does the job and hands in what came of it. Ends only when that is done, or the server refuses it; whoever calls it
    /// gives it up with the lease.
    async fn work(&self, job: &TakenJob, shared: &Arc<Shared>) -> Result<(), Refused> {
        let Some(work) = self.works.iter().find(|work| work.kind == job.kind).copied() else {
            return self.hand_in_failure(job, Failure::Never("this worker does not know how".into())).await;
        };
        let scratch = match Scratch::within(&self.settings.folder, &job.lease) {
            Ok(scratch) => Arc::new(scratch),
            Err(error) => return self.hand_in_failure(job, Failure::Retry(error.to_string())).await,
        };
        let input = scratch.path().join("input");
        loop {
            match self.fetch(job, &input).await {
                Err(Refused::Later(why)) => {
                    tracing::warn!(id = job.id, why, "the input did not arrive");
                    tokio::time::sleep(AGAIN).await;
                }
                Err(refused) => return Err(refused),
                Ok(()) => break,
            }
        }
        let (order, it, held) = (job.order.clone(), shared.clone(), scratch.clone());
        let done = tokio::task::spawn_blocking(move || {
            let before = thread_cpu();
            let made = held.path().join("made");
            std::fs::create_dir(&made).map_err(|e| files::failed("making room for a job", e))?;
            let watch = |percent| {
                it.progress.store(percent, Ordering::Relaxed);
                match it.stop.load(Ordering::Relaxed) {
                    true => Err(Failure::Retry("it was told to stop".into())),
                    false => Ok(()),
                }
            };
            let made = (work.run)(&Bench { order: &order, input: &input, scratch: &made, watch: &watch })?;
            Ok((made, thread_cpu().saturating_sub(before)))
        });
        let done = done.await.unwrap_or_else(|panic| Err(Failure::Retry(format!("it panicked: {panic}"))));
        let (Made { result, files, children_cpu_ms }, cpu) = match done {
            Ok(done) => done,
            Err(failure) => return self.hand_in_failure(job, failure).await,
        };
        for (name, path) in files {
            self.hand_in(|| self.file(job, &name, &path)).await?;
        }
        let done = Completion { result, cpu_ms: children_cpu_ms.saturating_add(cpu.as_millis() as u64) };
        self.hand_in(|| async { Ok(self.ask_of(job, Method::POST, "completion").json(&done)) }).await
    }

    /// The input, written to `path`.
    async fn fetch(&self, job: &TakenJob, path: &Path) -> Result<(), Refused> {
        let failed = |e: std::io::Error| Refused::Later(format!("writing {}: {e}", path.display()));
        let mut answer = send(self.ask_of(job, Method::GET, "input")).await?;
        let mut file = tokio::fs::File::create(path).await.map_err(failed)?;
        let mut arrived = 0;
        while let Some(piece) = answer.chunk().await.map_err(|e| Refused::Later(e.to_string()))? {
            arrived += piece.len() as u64;
            file.write_all(&piece).await.map_err(failed)?;
        }
        file.flush().await.map_err(failed)?;
        match arrived == job.input_bytes {
            true => Ok(()),
            false => Err(Refused::Later(format!("{arrived} of {} bytes arrived", job.input_bytes))),
        }
    }

    async fn file(&self, job: &TakenJob, name: &str, path: &Path) -> Result<RequestBuilder, Refused> {
        let file = tokio::fs::File::open(path).await;
        let file = file.map_err(|e| Refused::Never(format!("{name}, which was made, can't be read: {e}")))?;
        Ok(self.ask_of(job, Method::PUT, &format!("files/{name}")).body(file))
    }

    async fn hand_in_failure(&self, job: &TakenJob, failure: Failure) -> Result<(), Refused> {
        let never = matches!(failure, Failure::Never(_));
        let failed = JobFailed { why: failure.why().to_owned(), never };
        self.hand_in(|| async { Ok(self.ask_of(job, Method::POST, "failure").json(&failed)) }).await?;
        Err(Refused::Never(failed.why))
    }

    /// Sends what `request` makes until it has arrived, or is refused.
    async fn hand_in<F: Future<Output = Result<RequestBuilder, Refused>>>(
        &self,
        request: impl Fn() -> F,
    ) -> Result<(), Refused> {
        loop {
            match send(request().await?).await {
                Ok(_) => return Ok(()),
                Err(Refused::Later(why)) => {
                    tracing::warn!(why, "what came of a job could not be handed in");
                    tokio::time::sleep(AGAIN).await;
                }
                Err(refused) => return Err(refused),
            }
        }
    }
}

async fn send(request: RequestBuilder) -> Result<reqwest::Response, Refused> {
    let answer = request.send().await.map_err(|e| Refused::Later(with_causes(&e)))?;
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let problem: Value = answer.json().await.unwrap_or_default();
    let detail = problem["detail"].as_str().unwrap_or("without a reason");
    let why = format!("the server answers {}: {detail}", status.as_u16());
    let is_of_lease = problem["errors"][0]["field"] == "lease";
    Err(match status {
        StatusCode::CONFLICT | StatusCode::NOT_FOUND if is_of_lease || status == StatusCode::NOT_FOUND => Refused::Lost,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => Refused::Later(why),
        status if status.is_client_error() => Refused::Never(why),
        _ => Refused::Later(why),
    })
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(one) = cause {
        text += &format!(": {one}");
        cause = one.source();
    }
    text
}

async fn told_to_stop(stop: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, and the program ends anyway.
    stop.wait_for(|stop| *stop).await.ok();
}

fn log_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a job's run ended by a panic");
    }
}

/// CPU time of this thread.
fn thread_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
