//! People: one, and lists of them, as all modules see them.

use serde::{Deserialize, Serialize};
use warp::http::StatusCode;
use warp::reply::Response;

use super::{App, Person};
use crate::modules::users::User;
use crate::platform::auth::{Principal, Role};
use crate::platform::db::Snapshot;
use crate::platform::error::{Error, Result};
use crate::platform::http::{Cursor, Limit, Request, answers};
use crate::platform::ids::{self, UserId};

/// Characters of a search that count.
const MAX_SEARCH_CHARS: usize = 200;

#[derive(Serialize, utoipa::ToSchema)]
pub struct PeoplePage {
    pub items: Vec<Person>,
    #[schema(value_type = Option<String>)]
    pub next_cursor: Option<Cursor<ids::User>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeopleQuery {
    #[serde(default)]
    pub limit: Limit,
    pub cursor: Option<Cursor<ids::User>>,
    #[serde(default)]
    pub q: String,
}

/// People by id, whom `who` may look after; all, or those whose address or a word of whose name begins with `q`.
pub fn find_people(app: &App, snapshot: &Snapshot<'_>, who: &Principal, query: &PeopleQuery) -> Result<PeoplePage> {
    who.must_be_staff()?;
    let Limit(limit) = query.limit;
    let q: String = query.q.trim().chars().take(MAX_SEARCH_CHARS).collect();
    let mut after = query.cursor.as_ref().map(|Cursor(id)| *id);
    let mut users = Vec::new();
    // One more than asked for tells whether there is a next page.
    let wanted = limit as usize + 1;
    while users.len() < wanted {
        let batch = candidates(app, snapshot, &q, after, limit + 1)?;
        let exhausted = batch.len() < wanted;
        after = batch.last().map(|user| user.id);
        users.extend(batch.into_iter().filter(|user| who.must_be_or_manage(user.id, user.role).is_ok()));
        if exhausted {
            break;
        }
    }
    let more = users.len() >= wanted;
    users.truncate(limit as usize);
    let next_cursor = users.last().filter(|_| more).map(|last| Cursor(last.id));
    let items = if q.is_empty() { neighbours(app, snapshot, users)? } else { scattered(app, snapshot, users)? };
    Ok(PeoplePage { items, next_cursor })
}

/// Users with few others between them: what they are to the other modules is read in one go each.
fn neighbours(app: &App, snapshot: &Snapshot<'_>, users: Vec<User>) -> Result<Vec<Person>> {
    let (Some(first), Some(last)) = (users.first(), users.last()) else { return Ok(Vec::new()) };
    let mut profiles = app.profiles.between(snapshot, first.id, last.id)?.into_iter();
    let mut accounts = app.billing.accounts_between(snapshot, first.id, last.id)?.into_iter();
    let person = |user: User| {
        // All are in order of id, so each is found by going on from the one before.
        let profile = profiles.find(|profile| profile.user_id == user.id).ok_or(Error::NotFound("profile"))?;
        let account = accounts.find(|account| account.user_id == user.id).ok_or(Error::NotFound("billing account"))?;
        Ok(Person { user, profile, account })
    };
    users.into_iter().map(person).collect()
}

fn scattered(app: &App, snapshot: &Snapshot<'_>, users: Vec<User>) -> Result<Vec<Person>> {
    users.into_iter().map(|user| app.person_of(snapshot, user)).collect()
}

/// Users behind `after`, by id, that `q` means.
fn candidates(app: &App, snapshot: &Snapshot<'_>, q: &str, after: Option<UserId>, limit: u32) -> Result<Vec<User>> {
    if q.is_empty() {
        return app.users.list(snapshot, after, limit);
    }
    let mut ids = app.users.search(snapshot, q, after, limit)?;
    ids.extend(app.profiles.search(snapshot, q, after, limit)?);
    ids.sort_unstable();
    ids.dedup();
    ids.truncate(limit as usize);
    ids.into_iter().map(|id| app.users.get(snapshot, id)).collect()
}

/// Who signed in, as all modules see them.
#[utoipa::path(
    get, path = "/api/me", tag = "me", operation_id = "me", security(("bearer" = [])),
    responses((status = 200, body = Person)),
)]
pub(super) async fn me(app: App, request: Request) -> Result<Response> {
    let it = app.clone();
    let person = app.platform.read("me", &request, move |snapshot, who| it.person(snapshot, who.user)).await?;
    answers::json(StatusCode::OK, &person)
}

/// People by id; with `q` those whose address, or a word of whose name, begins with it.
#[utoipa::path(
    get, path = "/api/people", tag = "people", operation_id = "list_people", security(("bearer" = [])),
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
        ("q" = Option<String>, Query, description = "ignoring case and accents"),
    ),
    responses((status = 200, body = PeoplePage), (status = 403, description = "not staff")),
)]
pub(super) async fn list(app: App, request: Request) -> Result<Response> {
    let query: Result<PeopleQuery> = request.query();
    let searches = query.as_ref().is_ok_and(|query| !query.q.is_empty());
    let it = app.clone();
    let list = move |snapshot: &Snapshot<'_>, who: &Principal| {
        who.must_be_staff()?;
        find_people(&it, snapshot, who, &query?)
    };
    // A search looks at as many people as match; a page of all of them at as many as it shows.
    let page = match searches {
        true => app.platform.scan("list_people", &request, list).await?,
        false => app.platform.read("list_people", &request, list).await?,
    };
    answers::json(StatusCode::OK, &page)
}

/// One person, as all modules see them.
#[utoipa::path(
    get, path = "/api/people/{id}", tag = "people", operation_id = "show_person", security(("bearer" = [])),
    params(("id" = String, Path, format = Uuid)),
    responses(
        (status = 200, body = Person, headers(("ETag" = String))),
        (status = 403, description = "neither oneself nor someone one looks after"),
    ),
)]
pub(super) async fn show(app: App, request: Request<String>) -> Result<Response> {
    let id = UserId::parse(&request.path, "person");
    let it = app.clone();
    let person = app.platform.read("show_person", &request, move |snapshot, who| {
        if !matches!(&id, Ok(id) if *id == who.user) {
            who.must_be_staff()?;
        }
        let person = it.person(snapshot, id?)?;
        who.must_be_or_manage(person.user.id, person.user.role)?;
        Ok(person)
    });
    let person = person.await?;
    answers::versioned(&person, person.version())
}

/// Refuses whoever may not look after `id`; nothing is said of people to those who may look after none.
pub(super) fn must_manage(app: &App, snapshot: &Snapshot<'_>, who: &Principal, id: Result<UserId>) -> Result<UserId> {
    who.must_be_staff()?;
    let user = app.users.get(snapshot, id?)?;
    who.must_manage(user.role)?;
    Ok(user.id)
}

/// As [`must_manage`], or oneself.
pub(super) fn must_be_or_manage(
    app: &App,
    snapshot: &Snapshot<'_>,
    who: &Principal,
    id: Result<UserId>,
) -> Result<UserId> {
    match id {
        Ok(id) if id == who.user => Ok(id),
        other => must_manage(app, snapshot, who, other),
    }
}

/// What a role may be set to, for pages.
pub const ROLES: [Role; 3] = [Role::Owner, Role::Staff, Role::Member];
