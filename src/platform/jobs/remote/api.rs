//! `/api/workers` for owners, and `/api/worker` for the workers themselves.

use serde_json::json;
use utoipa::OpenApi;
use warp::http::{HeaderValue, StatusCode, header};
use warp::reply::{Reply, Response};

use super::*;
use crate::platform::audit::{self, Change};
use crate::platform::auth::Caller;
use crate::platform::http::{self, Call, Request, Routes, Saved, answers, on};

#[derive(OpenApi)]
#[openapi(paths(list, add, remove, take, input, renew, put_file, complete, fail, release))]
pub struct RemoteApi;

pub fn routes(shop: &Workshop) -> Option<Routes> {
    use warp::path as at;
    http::either([
        on(shop).get(list).post(add).at(at!("api" / "workers")),
        on(shop).delete(remove).at(at!("api" / "workers" / String)),
        on(shop).post(take).at(at!("api" / "worker" / "leases")),
        on(shop).get(input).at(at!("api" / "worker" / "jobs" / String / "input")),
        on(shop).post(renew).at(at!("api" / "worker" / "jobs" / String / "renewal")),
        on(shop).put(put_file).at(at!("api" / "worker" / "jobs" / String / "files" / String)),
        on(shop).post(complete).at(at!("api" / "worker" / "jobs" / String / "completion")),
        on(shop).post(fail).at(at!("api" / "worker" / "jobs" / String / "failure")),
        on(shop).post(release).at(at!("api" / "worker" / "jobs" / String / "release")),
    ])
}

// For owners

#[derive(Serialize, utoipa::ToSchema)]
pub struct Workers {
    /// In order of name.
    pub items: Vec<Worker>,
}

#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddWorker {
    #[schema(min_length = 1, max_length = 80, example = "big-machine")]
    pub name: String,
}

impl Workshop {
    /// Lets a new worker in, and writes down who wanted that.
    pub async fn add(&self, call: Call, form: AddWorker) -> Result<Saved<NewWorker>> {
        let added = self.platform.write("add_worker", call, move |work| {
            let new = add_worker(work, &form.name)?;
            record(work, "worker.added", &new.worker)?;
            Ok(new)
        });
        added.await
    }

    /// Lets a worker in no more, and writes down who wanted that.
    pub async fn remove(&self, by: Caller, id: WorkerId) -> Result<()> {
        let removed = self.platform.change("remove_worker", by, move |work| {
            let worker = workers(work)?.into_iter().find(|worker| worker.id == id).ok_or(Error::NotFound("worker"))?;
            remove_worker(work, id)?;
            record(work, "worker.removed", &worker)
        });
        removed.await
    }
}

fn record(work: &UnitOfWork<'_>, action: &'static str, worker: &Worker) -> Result<()> {
    let after = json!({ "name": worker.name });
    audit::record(work, Change { action, subject: worker.id.uuid(), person: None, before: None, after: Some(&after) })
}

/// Programs on other machines that may take jobs.
#[utoipa::path(
    get, path = "/api/workers", tag = "jobs", operation_id = "list_workers", security(("bearer" = [])),
    responses((status = 200, body = Workers), (status = 403, description = "not an owner")),
)]
async fn list(shop: Workshop, request: Request) -> Result<Response> {
    let found = shop.platform.read("list_workers", &request, |snapshot, who| {
        who.must_be_owner()?;
        Ok(Workers { items: workers(snapshot)? })
    });
    answers::json(StatusCode::OK, &found.await?)
}

/// Makes a token by which a worker can take jobs, and nothing else. It is shown once.
#[utoipa::path(
    post, path = "/api/workers", tag = "jobs", operation_id = "add_worker", security(("bearer" = [])),
    request_body = AddWorker,
    responses(
        (status = 201, body = NewWorker),
        (status = 403, description = "not an owner"),
        (status = 409, description = "the name is taken"),
    ),
)]
async fn add(shop: Workshop, mut request: Request) -> Result<Response> {
    let who = shop.platform.principal(&request).await?;
    who.must_be_owner()?;
    let (form, body) = request.json().await?;
    let call = request.call(Some(&who))?.with_body(&body);
    answers::saved(StatusCode::CREATED, &shop.add(call, form).await?)
}

/// Revokes a worker's token. What it has begun, others begin anew.
#[utoipa::path(
    delete, path = "/api/workers/{id}", tag = "jobs", operation_id = "remove_worker", security(("bearer" = [])),
    params(("id" = String, Path, format = Uuid)),
    responses((status = 204), (status = 403, description = "not an owner")),
)]
async fn remove(shop: Workshop, request: Request<String>) -> Result<Response> {
    let who = shop.platform.principal(&request).await?;
    who.must_be_owner()?;
    let id = WorkerId::parse(&request.path, "worker")?;
    shop.remove(request.caller(&who), id).await?;
    Ok(answers::no_content())
}

// For workers

/// Who asks, and which run of which job they speak of.
async fn run_of<P>(shop: &Workshop, request: &Request<P>, job: &str) -> Result<(Worker, JobId, LeaseId)> {
    let worker = shop.worker(request.token()?).await?;
    let lease = request.head.headers.get(LEASE).and_then(|lease| lease.to_str().ok()).unwrap_or("");
    let lease =
        LeaseId::parse(lease, "lease").map_err(|_| Error::invalid("ashlar-lease", "send it as it was given"))?;
    Ok((worker, JobId::parse(job, "job")?, lease))
}

/// Takes jobs; waits a while where there are none.
#[utoipa::path(
    post, path = "/api/worker/leases", tag = "worker", operation_id = "take_jobs", security(("bearer" = [])),
    request_body = TakeJobs,
    responses(
        (status = 200, body = Taken),
        (status = 409, description = "the worker is of another version than the server"),
    ),
)]
async fn take(shop: Workshop, mut request: Request) -> Result<Response> {
    let worker = shop.worker(request.token()?).await?;
    let (asked, _) = request.json().await?;
    answers::json(StatusCode::OK, &shop.take(worker, asked).await?)
}

/// What a job works on.
#[utoipa::path(
    get, path = "/api/worker/jobs/{id}/input", tag = "worker", operation_id = "read_job_input",
    security(("bearer" = [])),
    params(("id" = String, Path, format = Uuid), ("Ashlar-Lease" = String, Header)),
    responses(
        (status = 200, body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 409, description = "the job is not this worker's any more"),
    ),
)]
async fn input(shop: Workshop, request: Request<String>) -> Result<Response> {
    let (worker, id, lease) = run_of(&shop, &request, &request.path).await?;
    let (bytes, content) = shop.input(&worker, id, lease).await?;
    let mut response = warp::reply::stream(answers::pieces(content)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    Ok(response)
}

/// Says that a job goes on.
#[utoipa::path(
    post, path = "/api/worker/jobs/{id}/renewal", tag = "worker", operation_id = "renew_lease",
    security(("bearer" = [])),
    params(("id" = String, Path, format = Uuid), ("Ashlar-Lease" = String, Header)), request_body = Renewal,
    responses((status = 204), (status = 409, description = "the job is not this worker's any more")),
)]
async fn renew(shop: Workshop, mut request: Request<String>) -> Result<Response> {
    let (worker, id, lease) = run_of(&shop, &request, &request.path).await?;
    let (Renewal { progress }, _) = request.json().await?;
    shop.renew(worker, id, lease, progress).await?;
    Ok(answers::no_content())
}

/// Hands in a file that was made; a second one of a name takes the first one's place.
#[utoipa::path(
    put, path = "/api/worker/jobs/{id}/files/{name}", tag = "worker", operation_id = "hand_in_file",
    security(("bearer" = [])),
    params(("id" = String, Path, format = Uuid), ("name" = String, Path), ("Ashlar-Lease" = String, Header)),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 204), (status = 409, description = "the job is not this worker's any more")),
)]
async fn put_file(shop: Workshop, mut request: Request<(String, String)>) -> Result<Response> {
    let (job, name) = request.path.clone();
    let (worker, id, lease) = run_of(&shop, &request, &job).await?;
    let it = &mut request;
    shop.keep(&worker, id, lease, name, |path| async move { it.save_body(MAX_FILE, &path).await }).await?;
    Ok(answers::no_content())
}

/// Ends a job with its result.
#[utoipa::path(
    post, path = "/api/worker/jobs/{id}/completion", tag = "worker", operation_id = "complete_job",
    security(("bearer" = [])),
    params(("id" = String, Path, format = Uuid), ("Ashlar-Lease" = String, Header)), request_body = Completion,
    responses((status = 204), (status = 409, description = "the job is not this worker's any more")),
)]
async fn complete(shop: Workshop, mut request: Request<String>) -> Result<Response> {
    let (worker, id, lease) = run_of(&shop, &request, &request.path).await?;
    let (done, _) = request.json().await?;
    shop.complete(&worker, id, lease, done).await?;
    Ok(answers::no_content())
}

/// Says that a job failed.
#[utoipa::path(
    post, path = "/api/worker/jobs/{id}/failure", tag = "worker", operation_id = "fail_job",
    security(("bearer" = [])),
    params(("id" = String, Path, format = Uuid), ("Ashlar-Lease" = String, Header)), request_body = JobFailed,
    responses((status = 204), (status = 409, description = "the job is not this worker's any more")),
)]
async fn fail(shop: Workshop, mut request: Request<String>) -> Result<Response> {
    let (worker, id, lease) = run_of(&shop, &request, &request.path).await?;
    let (failed, _) = request.json().await?;
    shop.fail(&worker, id, lease, failed).await?;
    Ok(answers::no_content())
}

/// Gives a job back that the worker does not come to.
#[utoipa::path(
    post, path = "/api/worker/jobs/{id}/release", tag = "worker", operation_id = "release_job",
    security(("bearer" = [])),
    params(("id" = String, Path, format = Uuid), ("Ashlar-Lease" = String, Header)),
    responses((status = 204), (status = 409, description = "the job is not this worker's any more")),
)]
async fn release(shop: Workshop, mut request: Request<String>) -> Result<Response> {
    let (worker, id, lease) = run_of(&shop, &request, &request.path).await?;
    request.bytes(0).await?;
    shop.release(&worker, id, lease).await?;
    Ok(answers::no_content())
}
