//! `/api/jobs`, `/api/job-kinds` and `/api/outbox/release`.

use serde::Deserialize;
use serde_json::json;
use utoipa::OpenApi;
use warp::http::StatusCode;
use warp::reply::Response;

use super::*;
use crate::platform::Platform;
use crate::platform::audit::{self, Change};
use crate::platform::auth::Caller;
use crate::platform::http::{self, Cursor, Limit, Request, Routes, answers, on};

#[derive(OpenApi)]
#[openapi(
    paths(list_jobs, show, retry_job, discard_job, list_kinds, change_kind, release_outbox),
    components(schemas(Job, State, Failed, KindReport, Totals, Place))
)]
pub struct JobsApi;

/// Jobs, for whoever looks after them. Clones share it.
#[derive(Clone)]
pub struct Desk {
    pub platform: Platform,
    pub kinds: Kinds,
}

pub fn routes(platform: &Platform, kinds: &Kinds) -> Option<Routes> {
    let desk = Desk { platform: platform.clone(), kinds: kinds.clone() };
    http::either([
        on(&desk).get(list_jobs).at(warp::path!("api" / "jobs")),
        on(&desk).get(show).delete(discard_job).at(warp::path!("api" / "jobs" / String)),
        on(&desk).post(retry_job).at(warp::path!("api" / "jobs" / String / "retry")),
        on(&desk).get(list_kinds).at(warp::path!("api" / "job-kinds")),
        on(&desk).patch(change_kind).at(warp::path!("api" / "job-kinds" / String)),
        on(&desk).post(release_outbox).at(warp::path!("api" / "outbox" / "release")),
    ])
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    #[serde(default)]
    limit: Limit,
    cursor: Option<Cursor<Job>>,
    state: Option<String>,
    kind: Option<String>,
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct JobPage {
    /// Newest first.
    pub items: Vec<Job>,
    #[schema(value_type = Option<String>)]
    pub next_cursor: Option<Cursor<Job>>,
}

/// A job and why its runs failed.
#[derive(Serialize, utoipa::ToSchema)]
pub struct JobHistory {
    pub job: Job,
    /// Runs that failed, in order.
    pub failures: Vec<Failed>,
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct JobKinds {
    /// In order of name.
    pub items: Vec<KindReport>,
    /// Since when what goes out of the house is held: the restore. Null where it is not.
    pub held_since: Option<Time>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeJobKind {
    /// Whether no more of it are begun.
    pub paused: Option<bool>,
    /// Where it runs.
    pub place: Option<Place>,
}

#[derive(Debug, Clone, Copy, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseOutbox {
    /// Whether what waits from before the restore is discarded; else it goes out, though some of it may have before.
    pub discard: bool,
}

#[derive(Debug, Clone, Copy, Serialize, utoipa::ToSchema)]
pub struct Released {
    pub discarded: usize,
}

/// One page of jobs.
pub fn page(
    snapshot: &Snapshot<'_>,
    state: Option<State>,
    kind: Option<&str>,
    cursor: Option<Cursor<Job>>,
    limit: u32,
) -> Result<JobPage> {
    // One more than asked for tells whether there is a next page.
    let mut items = list(snapshot, state, kind, cursor.map(|Cursor(id)| id), limit + 1)?;
    let more = items.len() > limit as usize;
    items.truncate(limit as usize);
    let next_cursor = items.last().filter(|_| more).map(|last| Cursor(last.id));
    Ok(JobPage { items, next_cursor })
}

impl Desk {
    /// Runs a job again, and writes down who wanted that.
    pub async fn retry(&self, by: Caller, id: JobId) -> Result<Job> {
        let retried = self.platform.change("retry_job", by, move |work| {
            let before = find(work, id)?;
            let after = retry(work, id)?;
            record(work, "job.retried", &before, &after)?;
            Ok(after)
        });
        retried.await
    }

    /// Gives a job up, and writes down who wanted that.
    pub async fn discard(&self, by: Caller, id: JobId) -> Result<()> {
        let discarded = self.platform.change("discard_job", by, move |work| {
            let before = find(work, id)?;
            let after = discard(work, id)?;
            record(work, "job.discarded", &before, &after)
        });
        discarded.await
    }

    /// Pauses a kind or lets it go on, and says where it runs; [`Error::NotFound`] for a kind that is none.
    pub async fn change_kind(&self, by: Caller, name: String, change: ChangeJobKind) -> Result<KindReport> {
        let kinds = self.kinds.clone();
        let changed = self.platform.change("change_job_kind", by, move |work| {
            let report = |name: &str| -> Result<KindReport> {
                let found = reports(work, &kinds)?.into_iter().find(|kind| kind.name == name);
                found.ok_or(Error::NotFound("kind of jobs"))
            };
            let before = report(&name)?;
            if let Some(paused) = change.paused {
                pause(work, &name, paused)?;
            }
            match change.place {
                Some(Place::Workers) if !before.is_portable => {
                    let why = format!("jobs `{name}` need the server's database: they can't run on a worker");
                    return Err(Error::invalid("place", why));
                }
                Some(place) => put_place(work, &name, place)?,
                None => {}
            }
            let after = report(&name)?;
            let said = |kind: &KindReport| json!({ "kind": kind.name, "paused": kind.paused_at.is_some(), "place": kind.place });
            let (was, is) = (said(&before), said(&after));
            if was != is {
                let subject = uuid::Uuid::nil();
                let change = Change {
                    action: "job_kind.changed",
                    subject,
                    person: None,
                    before: Some(&was),
                    after: Some(&is),
                };
                audit::record(work, change)?;
            }
            Ok(after)
        });
        changed.await
    }

    /// Lets out, or discards, what is held since a restore.
    pub async fn release(&self, by: Caller, discard: bool) -> Result<Released> {
        let kinds = self.kinds.clone();
        let unit = self.platform.database.unit().id;
        let released = self.platform.change("release_outbox", by, move |work| {
            if since_hold(work)?.is_none() {
                return Err(Error::Conflict {
                    field: None,
                    detail: "nothing is held: there was no restore since".into(),
                });
            }
            let discarded = if discard { discard_held(work, &kinds)? } else { 0 };
            let_out(work)?;
            let after = json!({ "discarded": discarded });
            let change =
                Change { action: "outbox.released", subject: unit, person: None, before: None, after: Some(&after) };
            audit::record(work, change)?;
            Ok(Released { discarded })
        });
        released.await
    }
}

fn record(work: &UnitOfWork<'_>, action: &'static str, before: &Job, after: &Job) -> Result<()> {
    let said = |job: &Job| json!({ "kind": job.kind, "state": job.state });
    let (was, is) = (said(before), said(after));
    let change =
        Change { action, subject: before.id.uuid(), person: before.person, before: Some(&was), after: Some(&is) };
    audit::record(work, change)
}

/// Jobs, newest first: what waits, runs, died, and what was done of late.
#[utoipa::path(
    get, path = "/api/jobs", tag = "jobs", operation_id = "list_jobs", security(("bearer" = [])),
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100),
        ("cursor" = Option<String>, Query),
        ("state" = Option<State>, Query),
        ("kind" = Option<String>, Query),
    ),
    responses((status = 200, body = JobPage), (status = 403, description = "not staff")),
)]
async fn list_jobs(desk: Desk, request: Request) -> Result<Response> {
    let query = request.query();
    let found = desk.platform.scan("list_jobs", &request, move |snapshot, who| {
        who.must_be_staff()?;
        let Query { limit: Limit(limit), cursor, state, kind } = query?;
        let state = state.map(|text| State::parse(&text).ok_or(text)).transpose();
        let state = state.map_err(|text| Error::invalid("state", format!("`{text}` is no state of a job")))?;
        page(snapshot, state, kind.as_deref(), cursor, limit)
    });
    answers::json(StatusCode::OK, &found.await?)
}

/// One job, and why its runs failed.
#[utoipa::path(
    get, path = "/api/jobs/{id}", tag = "jobs", operation_id = "show_job", security(("bearer" = [])),
    params(("id" = String, Path, format = Uuid)),
    responses((status = 200, body = JobHistory), (status = 403, description = "not staff")),
)]
async fn show(desk: Desk, request: Request<String>) -> Result<Response> {
    let id = JobId::parse(&request.path, "job");
    let found = desk.platform.read("show_job", &request, move |snapshot, who| {
        who.must_be_staff()?;
        let id = id?;
        Ok(JobHistory { job: find(snapshot, id)?, failures: failures(snapshot, id)? })
    });
    answers::json(StatusCode::OK, &found.await?)
}

/// Runs a job again at once: a dead or discarded one, or one that waits.
#[utoipa::path(
    post, path = "/api/jobs/{id}/retry", tag = "jobs", operation_id = "retry_job", security(("bearer" = [])),
    params(("id" = String, Path, format = Uuid)),
    responses(
        (status = 200, body = Job),
        (status = 403, description = "not staff"),
        (status = 408, description = "a body that did not arrive, where there should be none"),
        (status = 409, description = "it runs or is done, or another does the same already"),
        (status = 413, description = "a body, where there should be none"),
    ),
)]
async fn retry_job(desk: Desk, mut request: Request<String>) -> Result<Response> {
    let who = desk.platform.principal(&request).await?;
    who.must_be_staff()?;
    let id = JobId::parse(&request.path, "job")?;
    request.bytes(0).await?;
    answers::json(StatusCode::OK, &desk.retry(request.caller(&who), id).await?)
}

/// Gives a job up that waits, is ready or is dead.
#[utoipa::path(
    delete, path = "/api/jobs/{id}", tag = "jobs", operation_id = "discard_job", security(("bearer" = [])),
    params(("id" = String, Path, format = Uuid)),
    responses(
        (status = 204),
        (status = 403, description = "not staff"),
        (status = 409, description = "it runs or has ended"),
    ),
)]
async fn discard_job(desk: Desk, request: Request<String>) -> Result<Response> {
    let who = desk.platform.principal(&request).await?;
    who.must_be_staff()?;
    let id = JobId::parse(&request.path, "job")?;
    desk.discard(request.caller(&who), id).await?;
    Ok(answers::no_content())
}

/// Every kind of job and its queue.
#[utoipa::path(
    get, path = "/api/job-kinds", tag = "jobs", operation_id = "list_job_kinds", security(("bearer" = [])),
    responses((status = 200, body = JobKinds), (status = 403, description = "not staff")),
)]
async fn list_kinds(desk: Desk, request: Request) -> Result<Response> {
    let kinds = desk.kinds.clone();
    let found = desk.platform.scan("list_job_kinds", &request, move |snapshot, who| {
        who.must_be_staff()?;
        Ok(JobKinds { items: reports(snapshot, &kinds)?, held_since: since_hold(snapshot)? })
    });
    answers::json(StatusCode::OK, &found.await?)
}

/// Pauses a kind of jobs, or says where it runs. It holds at once, and no job is lost.
#[utoipa::path(
    patch, path = "/api/job-kinds/{name}", tag = "jobs", operation_id = "change_job_kind", security(("bearer" = [])),
    params(("name" = String, Path)), request_body = ChangeJobKind,
    responses((status = 200, body = KindReport), (status = 403, description = "not an owner")),
)]
async fn change_kind(desk: Desk, mut request: Request<String>) -> Result<Response> {
    let who = desk.platform.principal(&request).await?;
    who.must_be_owner()?;
    let (change, _) = request.json().await?;
    let name = request.path.clone();
    answers::json(StatusCode::OK, &desk.change_kind(request.caller(&who), name, change).await?)
}

/// Lets go out what is held since a restore, or discards it.
#[utoipa::path(
    post, path = "/api/outbox/release", tag = "jobs", operation_id = "release_outbox", security(("bearer" = [])),
    request_body = ReleaseOutbox,
    responses(
        (status = 200, body = Released),
        (status = 403, description = "not an owner"),
        (status = 409, description = "nothing is held"),
    ),
)]
async fn release_outbox(desk: Desk, mut request: Request) -> Result<Response> {
    let who = desk.platform.principal(&request).await?;
    who.must_be_owner()?;
    let (ReleaseOutbox { discard }, _) = request.json().await?;
    answers::json(StatusCode::OK, &desk.release(request.caller(&who), discard).await?)
}
