//! The session cookie, by which pages know who is signed in.

use warp::http::{HeaderValue, header};
use warp::reply::Response;

use crate::platform::auth::Token;
use crate::platform::error::{Error, Result};

/// The session cookie's name on plain http, where browsers refuse the other.
const COOKIE: &str = "ashlar";
/// The session cookie's name on https: no other host of the domain can set it.
const SECURE_COOKIE: &str = "__Host-ashlar";
/// Seconds that a browser keeps the session cookie: 30 days, as long as the session lasts.
const COOKIE_MAX_AGE_S: u32 = 30 * 24 * 60 * 60;

/// Lets the browser keep the session.
pub fn sign_in(mut response: Response, token: &Token, secure: bool) -> Result<Response> {
    let value = token.reveal();
    set_cookie(&mut response, &value, COOKIE_MAX_AGE_S, secure)?;
    Ok(response)
}

/// Lets the browser forget the session.
pub fn sign_out(mut response: Response, secure: bool) -> Result<Response> {
    set_cookie(&mut response, "", 0, secure)?;
    Ok(response)
}

/// What the session cookie is called. Only that name counts: another one may come from another host.
pub(super) fn name(secure: bool) -> &'static str {
    if secure { SECURE_COOKIE } else { COOKIE }
}

fn set_cookie(response: &mut Response, value: &str, max_age_s: u32, secure: bool) -> Result<()> {
    let (name, flag) = (name(secure), if secure { "; Secure" } else { "" });
    let cookie = format!("{name}={value}; Path=/; Max-Age={max_age_s}; HttpOnly; SameSite=Lax{flag}");
    let cookie = HeaderValue::from_str(&cookie).map_err(|e| Error::internal("setting the cookie", e))?;
    response.headers_mut().append(header::SET_COOKIE, cookie);
    Ok(())
}
