//! Set up: the first owner, by the link that the first start prints.

use serde::Deserialize;

use super::new_person::NewPerson;
use super::{App, Person};
use crate::platform::actor::Actor;
use crate::platform::audit;
use crate::platform::auth::{Kind, NewSession, Password, Purpose, Role, Token};
use crate::platform::db::Snapshot;
use crate::platform::error::{Error, Result, Together};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetUp {
    pub email: String,
    pub password: String,
    pub display_name: String,
    pub currency: Option<String>,
}

/// Makes a set-up link while there is no owner; the ones before it are void.
pub async fn offer(app: &App) -> Result<Option<String>> {
    let it = app.clone();
    let link = app.platform.database.write("offer_set_up", Actor::system(), move |work| {
        if it.users.has_owner(work)? {
            return Ok(None);
        }
        it.platform.auth.issue_link(work, Purpose::SetUp, None).map(Some)
    });
    Ok(link.await?.map(|link| format!("{}{}", app.origin, link.path())))
}

/// Uses the set-up link up, adds the first owner and signs them in.
pub async fn set_up(app: &App, by: Actor, link: Token, label: String, form: SetUp) -> Result<(Person, NewSession)> {
    let new = NewPerson::parse(&form.email, &form.display_name, form.currency.as_deref());
    let (new, password) = (new, Password::new(form.password, "password")).together()?;
    let (auth, token) = (app.platform.auth.clone(), link.clone());
    let known = move |snapshot: &Snapshot<'_>| auth.find_link(snapshot, Purpose::SetUp, &token).map(drop);
    app.platform.database.read("set_up", known).await?;
    let password = app.platform.auth.hash(password).await?;
    let it = app.clone();
    app.platform
        .database
        .write("set_up", by, move |work| {
            it.platform.auth.redeem_link(work, Purpose::SetUp, &link)?;
            if it.users.has_owner(work)? {
                return Err(Error::Conflict { field: None, detail: "this unit has an owner already: sign in".into() });
            }
            let person = it.create_person(work, new, Role::Owner)?;
            work.acts_as(person.user.id);
            it.platform.auth.set_password(work, person.user.id, &password)?;
            let session = it.platform.auth.start_session(work, person.user.id, Kind::Session, &label)?;
            audit::record_person(work, "unit.set_up", person.user.id, None, Some(&person))?;
            Ok((person, session))
        })
        .await
}
