//! Change a person: their role, and whether they may sign in. Owners only.

use serde::Deserialize;
use warp::reply::Response;

use super::{App, Person};
use crate::platform::audit;
use crate::platform::auth::{Caller, Role, State};
use crate::platform::error::Result;
use crate::platform::http::{Request, answers};
use crate::platform::ids::UserId;

#[derive(Debug, Clone, Copy, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangePerson {
    pub role: Option<Role>,
    pub state: Option<State>,
}

/// Changes role and state. Who is disabled is signed out everywhere.
///
/// Either change voids a link by which their password could be set: whoever made it for a member must not hold it when
/// that member has become an owner.
pub async fn change_person(
    app: &App,
    by: Caller,
    id: UserId,
    change: ChangePerson,
    if_match: Option<String>,
) -> Result<Person> {
    let it = app.clone();
    app.platform
        .change("change_person", by, move |work| {
            answers::check_if_match(if_match.as_deref(), it.person(work, id)?.version())?;
            let (before, after) = it.users.change(work, id, change.role, change.state)?;
            if before.state == State::Active && after.state == State::Disabled {
                it.platform.auth.end_sessions(work, id, None)?;
            }
            if before != after {
                it.platform.auth.void_password_links(work, id)?;
                audit::record_person(work, "person.changed", id, Some(&before), Some(&after))?;
            }
            it.person(work, id)
        })
        .await
}

/// Changes a person's role and state.
#[utoipa::path(
    patch, path = "/api/people/{id}", tag = "people", operation_id = "change_person", security(("bearer" = [])),
    params(("id" = String, Path, format = Uuid), ("If-Match" = Option<String>, Header)),
    request_body = ChangePerson,
    responses(
        (status = 200, body = Person, headers(("ETag" = String))),
        (status = 409, description = "this is the last active owner"),
        (status = 412, description = "changed meanwhile"),
    ),
)]
pub(super) async fn patch(app: App, mut request: Request<String>) -> Result<Response> {
    let who = app.platform.principal(&request).await?;
    who.must_be_owner()?;
    let id = UserId::parse(&request.path, "person")?;
    let (change, _) = request.json().await?;
    let if_match = request.if_match().map(str::to_owned);
    let person = change_person(&app, request.caller(&who), id, change, if_match).await?;
    answers::versioned(&person, person.version())
}
