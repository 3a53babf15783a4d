//! Close an account: a person's data leaves every module, and whatever else holds it, in one transaction.

use warp::reply::Response;

use super::App;
use super::people::{must_be_or_manage, must_manage};
use crate::platform::auth::{Caller, Principal};
use crate::platform::db::Snapshot;
use crate::platform::error::Result;
use crate::platform::http::{self, Request, answers};
use crate::platform::ids::UserId;
use crate::platform::{Platform, audit, db, jobs, mail};

const CLOSED: &str = "person.closed";

/// Erases a person. What accounting law wants kept stays, without the person; so does that something was done.
///
/// # Errors
/// [`Error::Conflict`](crate::platform::error::Error::Conflict) for the last active owner.
pub async fn close_account(app: &App, by: Caller, who: Principal, id: UserId) -> Result<()> {
    let it = app.clone();
    app.platform
        .change("close_account", by, move |work| {
            must_be_or_manage(&it, work, &who, Ok(id))?;
            erase(&it, work, id)
        })
        .await
}

/// Erases a person within a unit of work, whoever asks.
pub fn erase(app: &App, work: &db::UnitOfWork<'_>, id: UserId) -> Result<()> {
    app.users.get(work, id)?;
    for module in app.modules.iter() {
        module.erase(work, id)?;
    }
    let Platform { auth, .. } = &app.platform;
    auth.erase(work, id)?;
    audit::erase(work, id)?;
    http::erase(work, id)?;
    jobs::erase(work, id)?;
    mail::erase(work, id)?;
    audit::record_person(work, CLOSED, id, None, None)
}

/// Whether the audit trail has it that an account was closed; that stays when what names the person is erased.
pub(super) fn was_closed(snapshot: &Snapshot<'_>, id: UserId) -> Result<bool> {
    let trail = audit::list(snapshot, Some(audit::SubjectId::from_uuid(id.uuid())), None, 100)?;
    Ok(trail.iter().any(|entry| entry.action == CLOSED))
}

/// Closes a person's account and erases their data.
#[utoipa::path(
    delete, path = "/api/people/{id}", tag = "people", operation_id = "close_account", security(("bearer" = [])),
    params(("id" = String, Path, format = Uuid)),
    responses((status = 204), (status = 409, description = "this is the last active owner")),
)]
pub(super) async fn delete(app: App, request: Request<String>) -> Result<Response> {
    let id = UserId::parse(&request.path, "person");
    let it = app.clone();
    let allowed = app
        .platform
        .read("close_account", &request, move |snapshot, who| Ok((*who, must_manage(&it, snapshot, who, id)?)));
    let (who, id) = allowed.await?;
    close_account(&app, request.caller(&who), who, id).await?;
    Ok(answers::no_content())
}
