//! The list of people, and adding one.

use askama::Template;
use serde::Deserialize;
use warp::reply::Response;

use super::{App, done, page_path, read, scan};
use crate::platform::auth::Role;
use crate::platform::error::Result;
use crate::platform::http::{Cursor, Limit, Refusal, Request, Saved, answers};
use crate::platform::ids;
use crate::use_cases::Person;
use crate::use_cases::add_person::{AddPerson, add_person};
use crate::use_cases::avatar;
use crate::use_cases::people::{PeopleQuery, find_people};

/// People on one page.
const PAGE: u32 = 50;

#[derive(Template)]
#[template(path = "use_cases/console/templates/people.html", config = "src/askama.toml")]
struct People {
    /// Each with where their picture is.
    people: Vec<(Person, Option<String>)>,
    q: String,
    /// The first page's address, on any other.
    first: Option<String>,
    next: Option<String>,
    done: Option<&'static str>,
}

#[derive(Template)]
#[template(path = "use_cases/console/templates/add_person.html", config = "src/askama.toml")]
struct Add<'a> {
    email: String,
    display_name: String,
    currency: String,
    refused: &'a Refusal,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    #[serde(default)]
    q: String,
    cursor: Option<Cursor<ids::User>>,
    /// Read by [`done`].
    #[serde(rename = "done")]
    _done: Option<String>,
}

/// `GET /people`
pub(super) async fn list(app: App, request: Request) -> Result<Response> {
    let (query, done) = (request.query(), done(&request.head));
    let (viewer, content) = scan(&app, "people_page", &request, move |app, snapshot, who| {
        who.must_be_staff()?;
        let ListQuery { q, cursor, .. } = query?;
        let path = |cursor| page_path("/people", "q", &q, cursor);
        let first = cursor.as_ref().map(|_| path(None));
        let query = PeopleQuery { limit: Limit(PAGE), cursor, q: q.clone() };
        let found = find_people(app, snapshot, who, &query)?;
        let next = found.next_cursor.map(|cursor| path(Some(cursor.text())));
        let with_picture = |person: Person| {
            let picture = avatar::address(&app.media, snapshot, &person.profile)?;
            Ok((person, picture))
        };
        let people = found.items.into_iter().map(with_picture).collect::<Result<_>>()?;
        Ok(People { people, first, next, done, q })
    })
    .await?;
    app.platform.show(&request.head, &viewer, "People", &Refusal::default(), &content)
}

/// `GET /people/add`
pub(super) async fn show_add(app: App, request: Request) -> Result<Response> {
    let nothing = AddPerson { email: String::new(), display_name: String::new(), currency: None };
    add_page(&app, &request, nothing, Refusal::default()).await
}

/// `POST /people/add`
pub(super) async fn add(app: App, mut request: Request) -> Result<Response> {
    let who = app.platform.principal(&request).await?;
    who.must_be_staff()?;
    let form: AddPerson = request.form().await?;
    let call = request.call(Some(&who))?;
    match add_person(&app, call, form.clone(), Role::Member).await.and_then(Saved::fresh) {
        Ok(person) => {
            let done = if app.platform.mailer.is_sending() { "invited" } else { "added" };
            answers::see_other(&format!("/people/{}?done={done}", person.user.id))
        }
        Err(error) => add_page(&app, &request, form, Refusal::of(error)?).await,
    }
}

async fn add_page(app: &App, request: &Request, typed: AddPerson, refused: Refusal) -> Result<Response> {
    let (viewer, ()) = read(app, "add_person_page", request, |_, _, who| who.must_be_staff()).await?;
    let AddPerson { email, display_name, currency } = typed;
    let currency = currency.unwrap_or_else(|| "EUR".into());
    let content = Add { email, display_name, currency, refused: &refused };
    app.platform.show(&request.head, &viewer, "Add a person", &refused, &content)
}
