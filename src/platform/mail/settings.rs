//! Where mail goes out, and from whom it comes.

use std::net::IpAddr;
use std::str::FromStr;

use lettre::message::Mailbox;
use percent_encoding::percent_decode_str;
use reqwest::Url;

use crate::platform::error::{Error, Result};

/// A URL that may bear a password: it is neither logged nor shown.
#[derive(Clone, serde::Deserialize)]
#[serde(transparent)]
pub struct SecretUrl(String);

impl FromStr for SecretUrl {
    // Whoever parses flags would show the value beside an error.
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(SecretUrl(text.to_owned()))
    }
}

impl std::fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretUrl(…)")
    }
}

/// How mail goes out; not at all where there is no server.
#[derive(Debug, Clone, Default)]
pub struct MailSettings {
    pub(super) smtp: Option<Smtp>,
    pub(super) from: Option<Mailbox>,
}

/// The server that takes our mail.
#[derive(Clone)]
pub(super) struct Smtp {
    pub host: String,
    pub port: u16,
    pub security: Security,
    /// User and password.
    pub credentials: Option<(String, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Security {
    /// TLS from the first byte.
    Tls,
    /// TLS after STARTTLS, or nothing is sent.
    StartTls,
    Plain,
}

impl std::fmt::Debug for Smtp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Smtp({}:{}, {:?})", self.host, self.port, self.security)
    }
}

impl MailSettings {
    /// # Errors
    /// If one of them is wrong or missing; the text says what to do, and never has the password.
    pub fn parse(smtp: Option<SecretUrl>, from: Option<&str>) -> Result<MailSettings> {
        let from: Option<Mailbox> = from
            .map(|text| {
                text.parse().map_err(|_| {
                    Error::Internal(format!("mail_from is `{text}`: write it like `Ashlar <ashlar@example.org>`"))
                })
            })
            .transpose()?;
        let smtp = smtp.map(|SecretUrl(url)| Smtp::parse(&url)).transpose()?;
        if smtp.is_some() && from.is_none() {
            return Err(Error::Internal(
                "smtp_url is set, and mail_from is not: say from whom mail comes, like `Ashlar <ashlar@example.org>`"
                    .into(),
            ));
        }
        Ok(MailSettings { smtp, from })
    }

    /// The right half of every `Message-ID`, and what we call ourselves to the mail server.
    pub(super) fn domain(&self) -> String {
        let domain = self.from.as_ref().map(|from| from.email.domain());
        let ascii = domain.and_then(|domain| idna::domain_to_ascii(domain).ok());
        ascii.unwrap_or_else(|| "ashlar.invalid".into())
    }
}

impl Smtp {
    fn parse(text: &str) -> Result<Smtp> {
        let wrong = |why: &str| {
            Error::Internal(format!(
                "smtp_url is wrong: {why}. Write it like smtps://user:password@smtp.example.org, or \
                 smtp://user:password@smtp.example.org:587 for STARTTLS; in user and password, write @ as %40, / as %2F and \
                 so on"
            ))
        };
        let url = Url::parse(text).map_err(|e| wrong(&e.to_string()))?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| wrong("it names no host"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
            return Err(wrong("something stands behind the host"));
        }
        let is_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        let tls = match url.query() {
            None => None,
            Some("tls=required") => Some(true),
            Some("tls=none") => Some(false),
            Some(_) => return Err(wrong("behind the ? may stand tls=required or tls=none")),
        };
        let (security, port) = match (url.scheme(), tls) {
            ("smtps", None | Some(true)) => (Security::Tls, 465),
            ("smtps", Some(false)) => return Err(wrong("smtps:// is TLS, and tls=none contradicts it")),
            ("smtp", Some(true)) => (Security::StartTls, 587),
            ("smtp", Some(false)) => (Security::Plain, 25),
            ("smtp", None) if is_here => (Security::Plain, 25),
            ("smtp", None) => (Security::StartTls, 587),
            _ => return Err(wrong("it begins with neither smtps:// nor smtp://")),
        };
        let decoded = |part: &str| percent_decode_str(part).decode_utf8().map(String::from);
        let decoded = |part: &str| decoded(part).map_err(|_| wrong("user or password are no UTF-8"));
        let credentials = match (url.username(), url.password()) {
            ("", None) => None,
            (user, Some(password)) if !user.is_empty() => Some((decoded(user)?, decoded(password)?)),
            _ => return Err(wrong("it has a user without a password, or the other way round")),
        };
        if credentials.is_some() && security == Security::Plain && !is_here {
            return Err(wrong("with tls=none the password would go over the network for all to read"));
        }
        Ok(Smtp { host, port: url.port().unwrap_or(port), security, credentials })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Smtp> {
        Smtp::parse(url)
    }

    #[test]
    fn mail_goes_encrypted_unless_it_stays_on_this_machine_or_that_is_asked_for() {
        let of = |url| parse(url).map(|smtp| (smtp.host, smtp.port, smtp.security)).unwrap();

        assert_eq!(of("smtps://mail.example.org"), ("mail.example.org".into(), 465, Security::Tls));
        assert_eq!(of("smtp://mail.example.org"), ("mail.example.org".into(), 587, Security::StartTls));
        assert_eq!(
            of("smtp://mail.example.org:2525?tls=required"),
            ("mail.example.org".into(), 2525, Security::StartTls)
        );
        assert_eq!(of("smtp://mail.example.org?tls=none"), ("mail.example.org".into(), 25, Security::Plain));
        assert_eq!(of("smtp://localhost:1025"), ("localhost".into(), 1025, Security::Plain));
        assert_eq!(of("smtp://[::1]:1025"), ("::1".into(), 1025, Security::Plain));
        assert_eq!(of("smtp://127.0.0.1?tls=required"), ("127.0.0.1".into(), 587, Security::StartTls));
    }

    #[test]
    fn user_and_password_are_decoded() {
        let smtp = parse("smtps://ann%40example.org:p%2Fw%3A%C3%A9@mail.example.org").unwrap();

        assert_eq!(smtp.credentials, Some(("ann@example.org".into(), "p/w:é".into())));
    }

    #[test]
    fn a_wrong_setting_says_what_to_do_and_never_shows_the_password() {
        for url in [
            "hunter2",
            "http://u:hunter2@mail.example.org",
            "smtps://u:hunter2@",
            "smtps://u:hunter2@mail.example.org/x",
            "smtps://u:hunter2@mail.example.org?tls=none",
            "smtp://u:hunter2@mail.example.org?tls=maybe",
            "smtp://u:hunter2@mail.example.org?tls=none",
            "smtps://:hunter2@mail.example.org",
            "smtps://u:hunter2%FF@mail.example.org",
            "smtps://u:hunter2@mail.example.org:99999",
        ] {
            let error = MailSettings::parse(Some(url.parse().unwrap()), Some("a@example.org")).unwrap_err().to_string();
            assert!(error.starts_with("smtp_url is wrong: ") && error.contains("Write it like"), "{url}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        let url: SecretUrl = "smtps://u:hunter2@mail.example.org".parse().unwrap();
        let settings = MailSettings::parse(Some(url.clone()), Some("Ashlar <a@example.org>")).unwrap();
        assert!(!format!("{url:?} {settings:?}").contains("hunter2"));
        let error = MailSettings::parse(Some(url), None).unwrap_err().to_string();
        assert!(error.contains("mail_from"), "{error}");
        assert!(MailSettings::parse(None, Some("no address")).unwrap_err().to_string().contains("mail_from"));
    }
}
