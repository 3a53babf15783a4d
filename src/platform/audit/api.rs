//! `GET /api/audit`.

use serde::{Deserialize, Serialize};
use utoipa::OpenApi;
use warp::http::StatusCode;
use warp::reply::Response;

use super::{Entry, SubjectId};
use crate::platform::Platform;
use crate::platform::db::Snapshot;
use crate::platform::error::{Error, Result};
use crate::platform::http::{self, Cursor, Limit, Request, Routes, answers, on};

#[derive(OpenApi)]
#[openapi(paths(list), components(schemas(Entry)))]
pub struct AuditApi;

pub fn routes(platform: &Platform) -> Option<Routes> {
    http::either([on(platform).get(list).at(warp::path!("api" / "audit"))])
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    #[serde(default)]
    limit: Limit,
    cursor: Option<Cursor<Entry>>,
    subject: Option<String>,
}

#[derive(Default, Serialize, utoipa::ToSchema)]
pub struct AuditPage {
    /// Newest first.
    pub items: Vec<Entry>,
    #[schema(value_type = Option<String>)]
    pub next_cursor: Option<Cursor<Entry>>,
}

/// At most `limit` entries behind `cursor`, newest first; of one record where `subject` is given.
pub fn page(
    snapshot: &Snapshot<'_>,
    subject: Option<SubjectId>,
    cursor: Option<Cursor<Entry>>,
    limit: u32,
) -> Result<AuditPage> {
    // One more than asked for tells whether there is a next page.
    let mut items = super::list(snapshot, subject, cursor.map(|Cursor(id)| id), limit + 1)?;
    let more = items.len() > limit as usize;
    items.truncate(limit as usize);
    let next_cursor = items.last().filter(|_| more).map(|last| Cursor(last.id));
    Ok(AuditPage { items, next_cursor })
}

/// What has been changed, by whom, newest first.
#[utoipa::path(
    get, path = "/api/audit", tag = "audit", operation_id = "list_audit", security(("bearer" = [])),
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100),
        ("cursor" = Option<String>, Query),
        ("subject" = Option<String>, Query, format = Uuid, description = "only changes of this record"),
    ),
    responses((status = 200, body = AuditPage), (status = 403, description = "not staff")),
)]
async fn list(platform: Platform, request: Request) -> Result<Response> {
    let query = request.query();
    let found = platform
        .read("audit", &request, move |snapshot, who| {
            who.must_be_staff()?;
            let Query { limit: Limit(limit), cursor, subject } = query?;
            let subject = subject.map(|text| SubjectId::parse(&text, "record")).transpose();
            let subject = subject.map_err(|_| Error::invalid("subject", "not an id"))?;
            page(snapshot, subject, cursor, limit)
        })
        .await?;
    answers::json(StatusCode::OK, &found)
}
