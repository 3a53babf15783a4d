//! Add a person: staff add someone, who sets a password by a one-time link that is mailed to them.

use serde::Deserialize;
use warp::http::StatusCode;
use warp::reply::Response;

use super::new_person::NewPerson;
use super::{App, Person};
use crate::platform::actor::Actor;
use crate::platform::audit;
use crate::platform::auth::{HashedPassword, Role};
use crate::platform::error::Result;
use crate::platform::http::{Call, Request, Saved, answers};

#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddPerson {
    #[schema(format = Email, max_length = 254, example = "ann@example.org")]
    pub email: String,
    #[schema(min_length = 1, max_length = 200, example = "Ann Lee")]
    pub display_name: String,
    /// ISO 4217; EUR if nothing is said.
    #[schema(example = "EUR")]
    pub currency: Option<String>,
}

/// Saves user, profile and billing account together, or none of them. The person can't sign in yet: a link to set a
/// password is mailed to them.
pub async fn add_person(app: &App, call: Call, form: AddPerson, role: Role) -> Result<Saved<Person>> {
    let new = NewPerson::parse(&form.email, &form.display_name, form.currency.as_deref())?;
    let it = app.clone();
    app.platform
        .write("add_person", call, move |work| {
            let person = it.create_person(work, new, role)?;
            it.mail_invitation(work, &person)?;
            audit::record_person(work, "person.added", person.user.id, None, Some(&person))?;
            Ok(person)
        })
        .await
}

/// Adds a person with any role, and a password if there is one: what the command line may do.
pub fn add_person_blocking(
    app: &App,
    by: Actor,
    form: AddPerson,
    role: Role,
    password: Option<HashedPassword>,
) -> Result<Person> {
    let new = NewPerson::parse(&form.email, &form.display_name, form.currency.as_deref())?;
    let it = app.clone();
    app.platform.database.write_blocking("user create", by, move |work| {
        let person = it.create_person(work, new, role)?;
        if let Some(password) = &password {
            it.platform.auth.set_password(work, person.user.id, password)?;
        }
        audit::record_person(work, "person.added", person.user.id, None, Some(&person))?;
        Ok(person)
    })
}

/// Adds a member without a password.
#[utoipa::path(
    post, path = "/api/people", tag = "people", operation_id = "add_person", security(("bearer" = [])),
    request_body = AddPerson,
    responses((status = 201, body = Person), (status = 409, description = "the address is taken")),
)]
pub(super) async fn post(app: App, mut request: Request) -> Result<Response> {
    let who = app.platform.principal(&request).await?;
    who.must_be_staff()?;
    let (form, body) = request.json().await?;
    let call = request.call(Some(&who))?.with_body(&body);
    let saved = add_person(&app, call, form, Role::Member).await?;
    answers::saved(StatusCode::CREATED, &saved)
}
