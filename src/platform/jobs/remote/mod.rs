//! Workers on other machines: they take jobs over HTTP, and need neither the database nor a file of the server.
//!
//! A worker leases a job, fetches its input, says now and then that it lives, hands in the files that it made, and ends the
//! job with the result. Each step bears the lease, so what comes late from a worker that was given up is refused (409).

mod api;
mod client;
mod desk;

use serde::Deserialize;
use serde_json::Value;

pub use api::{AddWorker, RemoteApi, routes};
pub use client::{Client, Settings};
pub use desk::Workshop;

use super::sqlite::JobRepository;
use super::*;
use crate::platform::auth::Token;

/// Server and worker must be of one version: what the one hands out, the other must understand.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The header that bears the lease.
const LEASE: &str = "ashlar-lease";
/// A worker that finds nothing to do is answered after so long.
const PATIENCE_S: u64 = 20;
/// Jobs that are handed out at once.
const MOST_AT_ONCE: usize = 16;
/// A file that a worker hands in, at most.
const MAX_FILE: crate::platform::bytes::Bytes = crate::platform::bytes::Bytes(8 << 30);
/// Characters of a worker's name.
const MAX_NAME_CHARS: usize = 80;

pub type WorkerId = Id<Worker>;

/// A program on another machine that may take jobs.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Worker {
    #[schema(value_type = String, format = Uuid)]
    pub id: WorkerId,
    pub name: String,
    pub created_at: Time,
    /// To the minute; null where it never was.
    pub last_seen_at: Option<Time>,
    /// Of the program, as it said last.
    pub version: Option<String>,
}

/// A worker with the token that lets it in, which is shown once.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct NewWorker {
    pub worker: Worker,
    pub token: String,
}

/// What a worker asks for.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TakeJobs {
    /// Of the worker's program; it must be the server's.
    pub version: String,
    /// Those that it can do.
    pub kinds: Vec<String>,
    /// How many it can begin now.
    #[schema(minimum = 1, maximum = 16)]
    pub slots: usize,
}

/// What a worker is given.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Taken {
    /// None where there was nothing to do for a while: ask again.
    pub jobs: Vec<TakenJob>,
    /// Each is the worker's for so long, in milliseconds, from its last word on.
    pub lease_ms: i64,
}

#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TakenJob {
    pub id: String,
    pub kind: String,
    /// To be sent with every word on this job, as `Ashlar-Lease`.
    pub lease: String,
    pub attempt: u32,
    /// What is to be done.
    pub order: Value,
    /// Of the input.
    pub input_bytes: u64,
}

/// That a job goes on.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Renewal {
    /// Percent.
    #[schema(minimum = 0, maximum = 100)]
    pub progress: Option<u8>,
}

/// What came of a job.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Completion {
    pub result: Value,
    /// CPU time it took, in milliseconds, its child processes counted.
    pub cpu_ms: u64,
}

/// Why a job failed.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JobFailed {
    pub why: String,
    /// Whether it is useless to try again.
    pub never: bool,
}

/// Lets a new worker in; [`Error::Conflict`] if its name is taken.
pub fn add_worker(work: &UnitOfWork<'_>, name: &str) -> Result<NewWorker> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > MAX_NAME_CHARS || name.chars().any(char::is_control) || name == HERE {
        return Err(Error::invalid(
            "name",
            format!("give it a name of 1 to {MAX_NAME_CHARS} characters; `{HERE}` is the server"),
        ));
    }
    let worker =
        Worker { id: work.new_id(), name: name.into(), created_at: work.now(), last_seen_at: None, version: None };
    let token = Token::new()?;
    let inserted = work.tables(Owner(())).insert_worker(&worker, &token.hash());
    inserted.or_conflict("name", "another worker is called that")?;
    Ok(NewWorker { worker, token: token.reveal() })
}

/// Every worker, in order of name.
pub fn workers(snapshot: &Snapshot<'_>) -> Result<Vec<Worker>> {
    snapshot.tables(Owner(())).list_workers()
}

/// Lets a worker in no more, and gives what it has to others once its leases lapse; [`Error::NotFound`] if there is none.
pub fn remove_worker(work: &UnitOfWork<'_>, id: WorkerId) -> Result<()> {
    match work.tables(Owner(())).delete_worker(id)? {
        0 => Err(Error::NotFound("worker")),
        _ => Ok(()),
    }
}
