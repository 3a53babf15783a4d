//! Reset a password: whoever forgot theirs has a link mailed. Whether there is such an account is not told, neither by the
//! answer nor by the time it takes: both times one job is enqueued, and only the job knows whether there is anything to do.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use warp::reply::Response;

use super::App;
use crate::modules::users::Email;
use crate::platform::actor::Actor;
use crate::platform::audit;
use crate::platform::auth::State;
use crate::platform::db::UnitOfWork;
use crate::platform::error::{Error, Result};
use crate::platform::http::{Request, answers};
use crate::platform::ids::UserId;
use crate::platform::jobs::{self, Kind, Order, Payload, Priority, Record};

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResetPassword {
    #[schema(example = "ann@example.org")]
    pub email: String,
}

/// Mails a link to a person, if there is one.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct MailLink {
    person: Option<uuid::Uuid>,
}

impl Payload for MailLink {
    const KIND: &'static str = "use_cases.reset_password";
}

/// Has a link mailed to whoever has this address.
///
/// # Errors
/// [`Error::Invalid`] for what is no address; [`Error::Limited`] if there were too many, from this client or to this
/// address, whether or not it is anybody's.
pub async fn ask(app: &App, by: Actor, client: IpAddr, form: ResetPassword) -> Result<()> {
    let attempts = app.platform.auth.attempts();
    attempts.sign_up(client)?;
    let email = Email::parse(&form.email)?;
    attempts.mail(&email.key())?;
    let it = app.clone();
    let asked = app.platform.database.write("ask_password_reset", by, move |work| {
        let person = it.users.find_by_email(work, &email)?.map(|user| user.id);
        let order = Order { priority: Priority::Urgent, person, ..Order::default() };
        jobs::enqueue_with(work, &MailLink { person: person.map(|id| id.uuid()) }, order)
    });
    asked.await.map(drop)
}

/// The job that mails the link.
pub(super) fn kind(app: &App) -> Kind {
    let app = app.clone();
    Kind::new(move |_, MailLink { person }| {
        let Some(person) = person.map(UserId::from_uuid) else { return Ok(Record::nothing()) };
        let it = app.clone();
        Ok(Record::new(move |work| it.mail_reset_to(work, person)))
    })
}

impl App {
    /// Nothing for someone who is gone, or may not sign in.
    fn mail_reset_to(&self, work: &UnitOfWork<'_>, id: UserId) -> Result<()> {
        let person = match self.person(work, id) {
            Ok(person) if person.user.state == State::Active => person,
            Ok(_) | Err(Error::NotFound(_)) => return Ok(()),
            Err(error) => return Err(error),
        };
        self.mail_reset(work, &person)?;
        audit::record_person(work, "password_reset.mailed", id, None, None)
    }
}

/// Has a link to set a new password mailed, if there is someone with this address; the answer is the same if not.
#[utoipa::path(
    post, path = "/api/password-resets", tag = "sign in", operation_id = "reset_password", request_body = ResetPassword,
    responses(
        (status = 202, description = "if the address is somebody's, a mail is on its way"),
        (status = 429, description = "too many attempts"),
    ),
)]
pub(super) async fn post(app: App, mut request: Request) -> Result<Response> {
    let (form, _) = request.json().await?;
    ask(&app, request.nobody(), request.head.client, form).await?;
    Ok(answers::accepted())
}
