//! Sign up: a person adds themselves.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use warp::http::{StatusCode, header};
use warp::reply::Response;

use super::new_person::NewPerson;
use super::{App, Person};
use crate::platform::audit;
use crate::platform::auth::{Kind, Password, Role};
use crate::platform::clock::Time;
use crate::platform::error::{Result, Together};
use crate::platform::http::{Call, Request, Saved, answers};

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignUp {
    #[schema(format = Email, max_length = 254, example = "ann@example.org")]
    pub email: String,
    #[schema(min_length = 12, max_length = 256, example = "violet-anvil-tuesday")]
    pub password: String,
    #[schema(min_length = 1, max_length = 200, example = "Ann Lee")]
    pub display_name: String,
    /// ISO 4217; EUR if nothing is said.
    #[schema(example = "EUR")]
    pub currency: Option<String>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct SignedUp {
    #[serde(flatten)]
    pub person: Person,
    /// The new session's bearer token.
    pub token: String,
    pub expires_at: Time,
}

/// Saves user, profile and billing account together, or none of them, signs the person in, and mails them a welcome.
pub async fn sign_up(app: &App, call: Call, client: IpAddr, label: String, form: SignUp) -> Result<Saved<SignedUp>> {
    app.platform.auth.attempts().sign_up(client)?;
    let new = NewPerson::parse(&form.email, &form.display_name, form.currency.as_deref());
    let (new, password) = (new, Password::new(form.password, "password")).together()?;
    let password = app.platform.auth.hash(password).await?; // slow, so before the transaction
    let it = app.clone();
    app.platform
        .write("sign_up", call, move |work| {
            let person = it.create_person(work, new, Role::Member)?;
            work.acts_as(person.user.id);
            it.platform.auth.set_password(work, person.user.id, &password)?;
            let session = it.platform.auth.start_session(work, person.user.id, Kind::Session, &label)?;
            it.mail_welcome(work, &person)?;
            audit::record_person(work, "person.signed_up", person.user.id, None, Some(&person))?;
            Ok(SignedUp { person, token: session.token.reveal(), expires_at: session.session.expires_at })
        })
        .await
}

/// Adds oneself, with a password, and signs in.
#[utoipa::path(
    post, path = "/api/sign-up", tag = "sign in", operation_id = "sign_up", request_body = SignUp,
    responses(
        (status = 201, body = SignedUp),
        (status = 409, description = "the address is taken"),
        (status = 429, description = "too many attempts"),
    ),
)]
pub(super) async fn post(app: App, mut request: Request) -> Result<Response> {
    let (form, body) = request.json().await?;
    let call = request.call(None)?.with_body(&body);
    let saved = sign_up(&app, call, request.head.client, label(&request), form).await?;
    answers::saved(StatusCode::CREATED, &saved)
}

/// What the browser or program calls itself.
pub(super) fn label<P>(request: &Request<P>) -> String {
    let agent = request.head.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    agent.unwrap_or("unknown").to_owned()
}
