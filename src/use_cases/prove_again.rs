//! Prove again: someone who is signed in gives their password once more, before what can't be undone.

use super::App;
use crate::platform::auth::{Candidate, Password, Principal};
use crate::platform::error::{Error, Result};

/// Checks the password of whoever asks, typed into `field`; limited as sign-ins are.
pub(super) async fn prove_again(app: &App, who: Principal, password: String, field: &str) -> Result<Candidate> {
    let auth = &app.platform.auth;
    auth.attempts().prove_again(who.user)?;
    let it = auth.clone();
    let candidate = app.platform.database.read("prove_again", move |snapshot| it.candidate_user(snapshot, who.user));
    let candidate = candidate.await?;
    match auth.verify(&candidate, Password::attempt(password)).await? {
        Some(_) => Ok(candidate),
        None => Err(Error::invalid(field, "this is not your password")),
    }
}
