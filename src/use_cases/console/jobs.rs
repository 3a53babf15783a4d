//! `/jobs`: what is done after the commit, what is stuck, and what to do about it.

use askama::Template;
use serde::Deserialize;
use warp::reply::Response;

use super::done;
use crate::platform::clock::Time;
use crate::platform::error::{Error, Result};
use crate::platform::http::page::LIVE_PATH;
use crate::platform::http::{self, Cursor, Refusal, Request, answers, label_of};
use crate::platform::jobs::{self, ChangeJobKind, Desk, Failed, Job, JobId, JobPage, KindReport, Place, State};

/// Jobs on one page.
const PAGE: u32 = 50;

#[derive(Template)]
#[template(path = "use_cases/console/templates/jobs.html", config = "src/askama.toml")]
struct Page<'a> {
    it: Facts,
    done: Option<&'static str>,
    refused: &'a Refusal,
}

/// What the page shows, read in one snapshot.
struct Facts {
    kinds: Vec<KindReport>,
    held_since: Option<Time>,
    jobs: Vec<Job>,
    state: Option<State>,
    kind: String,
    /// The first page's address, on any other.
    first: Option<String>,
    next: Option<String>,
    now: Time,
    is_owner: bool,
}

impl Facts {
    fn is_filtered(&self) -> bool {
        self.state.is_some() || !self.kind.is_empty()
    }
}

#[derive(Template)]
#[template(path = "use_cases/console/templates/job.html", config = "src/askama.toml")]
struct JobPageOf<'a> {
    job: Job,
    failures: Vec<Failed>,
    done: Option<&'static str>,
    refused: &'a Refusal,
}

impl JobPageOf<'_> {
    fn may_retry(&self) -> bool {
        matches!(self.job.state, State::Waiting | State::Dead | State::Discarded)
    }

    fn may_discard(&self) -> bool {
        matches!(self.job.state, State::Waiting | State::Ready | State::Dead)
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Query {
    state: String,
    kind: String,
    cursor: Option<Cursor<Job>>,
    #[serde(rename = "done")]
    _done: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KindForm {
    paused: Option<bool>,
    place: Option<Place>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReleaseForm {
    discard: bool,
}

/// `GET /jobs`
pub(super) async fn show(desk: Desk, request: Request) -> Result<Response> {
    let query = request.query();
    page(&desk, &request, query, Refusal::default()).await
}

async fn page<P>(desk: &Desk, request: &Request<P>, query: Result<Query>, refused: Refusal) -> Result<Response> {
    let (kinds, viewer_of) = (desk.kinds.clone(), desk.platform.viewer.clone());
    let look = desk.platform.scan("jobs_page", request, move |snapshot, who| {
        who.must_be_staff()?;
        let Query { state, kind, cursor, .. } = query?;
        let state = State::parse(&state);
        let path = |cursor| address(state, &kind, cursor);
        let first = cursor.as_ref().map(|_| path(None));
        let narrowed = Some(kind.as_str()).filter(|kind| !kind.is_empty());
        let JobPage { items, next_cursor } = jobs::page(snapshot, state, narrowed, cursor, PAGE)?;
        let next = next_cursor.map(|cursor| path(Some(cursor.text())));
        let facts = Facts {
            kinds: jobs::reports(snapshot, &kinds)?,
            held_since: jobs::since_hold(snapshot)?,
            jobs: items,
            state,
            kind,
            first,
            next,
            now: snapshot.now(),
            is_owner: who.is_owner(),
        };
        Ok((viewer_of(snapshot, who)?, facts))
    });
    let (viewer, it) = look.await?;
    let content = Page { it, done: done(&request.head), refused: &refused };
    desk.platform.show(&request.head, &viewer, "Jobs", &refused, &content)
}

fn address(state: Option<State>, kind: &str, cursor: Option<String>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    if let Some(state) = state {
        query.append_pair("state", state.as_str());
    }
    if !kind.is_empty() {
        query.append_pair("kind", kind);
    }
    if let Some(cursor) = cursor {
        query.append_pair("cursor", &cursor);
    }
    let query = query.finish();
    if query.is_empty() { "/jobs".to_owned() } else { format!("/jobs?{query}") }
}

/// `GET /jobs/events`
pub(super) async fn events(desk: Desk, request: Request) -> Result<Response> {
    desk.platform.principal(&request).await?.must_be_staff()?;
    http::events(&desk.platform, &[jobs::SIGNAL, jobs::PROGRESS])
}

/// `GET /jobs/{id}`
pub(super) async fn show_one(desk: Desk, request: Request<String>) -> Result<Response> {
    one(&desk, &request, Refusal::default()).await
}

async fn one(desk: &Desk, request: &Request<String>, refused: Refusal) -> Result<Response> {
    let id = JobId::parse(&request.path, "job");
    let look = desk.platform.look("job_page", request, move |snapshot, who| {
        who.must_be_staff()?;
        let id = id?;
        Ok((jobs::find(snapshot, id)?, jobs::failures(snapshot, id)?))
    });
    let (viewer, (job, failures)) = look.await?;
    let title = job.kind.clone();
    let content = JobPageOf { job, failures, done: done(&request.head), refused: &refused };
    desk.platform.show(&request.head, &viewer, &title, &refused, &content)
}

/// `POST /jobs/{id}/retry`
pub(super) async fn retry(desk: Desk, request: Request<String>) -> Result<Response> {
    let who = desk.platform.principal(&request).await?;
    who.must_be_staff()?;
    let id = JobId::parse(&request.path, "job")?;
    match desk.retry(request.caller(&who), id).await {
        Ok(_) => answers::see_other(&format!("/jobs/{id}?done=job-retried")),
        Err(error) => one(&desk, &request, Refusal::of(error)?.only(&[])).await,
    }
}

/// `POST /jobs/{id}/discard`
pub(super) async fn discard(desk: Desk, request: Request<String>) -> Result<Response> {
    let who = desk.platform.principal(&request).await?;
    who.must_be_staff()?;
    let id = JobId::parse(&request.path, "job")?;
    match desk.discard(request.caller(&who), id).await {
        Ok(()) => answers::see_other(&format!("/jobs/{id}?done=job-discarded")),
        Err(error) => one(&desk, &request, Refusal::of(error)?.only(&[])).await,
    }
}

/// `POST /job-kinds/{name}`
pub(super) async fn change_kind(desk: Desk, mut request: Request<String>) -> Result<Response> {
    let who = desk.platform.principal(&request).await?;
    who.must_be_owner()?;
    let KindForm { paused, place } = request.form().await?;
    let name = request.path.clone();
    match desk.change_kind(request.caller(&who), name, ChangeJobKind { paused, place }).await {
        Ok(_) if paused == Some(true) => answers::see_other("/jobs?done=kind-paused"),
        Ok(_) => answers::see_other("/jobs?done=kind-changed"),
        Err(error @ Error::NotFound(_)) => Err(error),
        Err(error) => page(&desk, &request, Ok(Query::default()), Refusal::of(error)?.only(&[])).await,
    }
}

/// `POST /outbox/release`
pub(super) async fn release(desk: Desk, mut request: Request) -> Result<Response> {
    let who = desk.platform.principal(&request).await?;
    who.must_be_owner()?;
    let ReleaseForm { discard } = request.form().await?;
    match desk.release(request.caller(&who), discard).await {
        Ok(_) if discard => answers::see_other("/jobs?done=outbox-discarded"),
        Ok(_) => answers::see_other("/jobs?done=outbox-released"),
        Err(error) => page(&desk, &request, Ok(Query::default()), Refusal::of(error)?.only(&[])).await,
    }
}

/// How long something has waited, for people: `3 s`, `12 min`, `5 h`.
fn age(now: &Time, since: &Time) -> String {
    let seconds = now.as_ms().saturating_sub(since.as_ms()).max(0) / 1000;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// A job's state, as markup of our own words.
fn badge(job: &Job) -> String {
    let (look, text) = match job.state {
        State::Waiting if job.attempt > 0 => ("badge warn", "Retrying".into()),
        State::Waiting => ("badge", "Waiting".into()),
        State::Ready => ("badge", "Ready".into()),
        State::Running => {
            ("badge good", job.progress.map_or_else(|| "Running".into(), |percent| format!("Running, {percent} %")))
        }
        State::Done => ("badge good", "Done".to_owned()),
        State::Dead => ("badge bad", "Dead".into()),
        State::Discarded => ("badge", "Discarded".into()),
    };
    format!("<span class=\"{look}\">{text}</span>")
}
