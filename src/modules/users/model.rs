//! A user, and the rules of an address.

use serde::Serialize;

use crate::platform::auth::{Role, State};
use crate::platform::clock::Time;
use crate::platform::error::{Error, Result};
use crate::platform::ids::UserId;
use crate::platform::text;

/// Someone who may sign in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct User {
    #[schema(value_type = String, format = Uuid)]
    pub id: UserId,
    pub email: Email,
    pub role: Role,
    pub state: State,
    /// When they proved that mail to their address reaches them.
    pub email_verified_at: Option<Time>,
    pub created_at: Time,
}

impl User {
    pub fn is_active_owner(&self) -> bool {
        self.role == Role::Owner && self.state == State::Active
    }
}

/// A mail address, as the person writes it but for white space around and the case of its domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(value_type = String)]
pub struct Email(String);

impl Email {
    /// Octets in all and before the `@` (RFC 5321, 4.5.3.1).
    const MAX_BYTES: usize = 254;
    const MAX_LOCAL_BYTES: usize = 64;

    /// # Errors
    /// [`Error::Invalid`] of `email` for what mail could not be sent to.
    pub fn parse(text: &str) -> Result<Email> {
        let wrong = |why: &str| Error::invalid("email", why.to_owned());
        let line = text::line("email", text, Self::MAX_BYTES)?;
        let (local, domain) = line.rsplit_once('@').ok_or_else(|| wrong("no address: the @ is missing"))?;
        let local_ok = |c: char| c.is_alphanumeric() || ".!#$%&'*+/=?^_`{|}~-".contains(c);
        if local.is_empty() || !local.chars().all(local_ok) || local.starts_with('.') || local.ends_with('.') {
            return Err(wrong("no address: something is wrong before the @"));
        }
        let label_ok = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && label.chars().all(|c| c.is_alphanumeric() || c == '-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if !domain.contains('.') || !domain.split('.').all(label_ok) {
            return Err(wrong("no address: the domain after the @ is wrong"));
        }
        if line.len() > Self::MAX_BYTES || local.len() > Self::MAX_LOCAL_BYTES {
            return Err(wrong("too long for an address"));
        }
        Ok(Email(format!("{local}@{}", domain.to_lowercase())))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// By which two addresses are the same: ignoring case.
    pub fn key(&self) -> String {
        self.0.to_lowercase()
    }

    /// The address as it was parsed before.
    pub(super) fn from_store(text: String) -> Email {
        Email(text)
    }
}

impl std::fmt::Display for Email {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_mail_can_be_sent_to() {
        for good in ["ann@example.org", " Ann.Lee+x@EXAMPLE.org ", "josé@exämple.org", "o'neil@a-b.co.uk"] {
            assert!(Email::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "ann",
            "@example.org",
            "ann@",
            "ann@localhost",
            "a b@example.org",
            "ann@exa mple.org",
            "ann\u{0}@example.org",
            "ann@example..org",
            "ann@-example.org",
            ".ann@example.org",
            "a@b@example.org",
            "ann@example.org\r\nBcc: x@example.org",
        ] {
            assert!(Email::parse(bad).is_err(), "{bad}");
        }
        assert!(Email::parse(&format!("{}@example.org", "a".repeat(65))).is_err());
        assert!(Email::parse(&format!("a@{}.org", "a.".repeat(130))).is_err());
    }

    #[test]
    fn case_makes_no_other_address() {
        assert_eq!(Email::parse("Ann@Example.ORG").unwrap().key(), Email::parse("ann@example.org").unwrap().key());
        assert_eq!(Email::parse("Ann@Example.ORG").unwrap().as_str(), "Ann@example.org");
    }
}
