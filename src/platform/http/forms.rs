//! Forms on pages: why one was not taken, shown above it and at its fields.

use warp::http::{HeaderValue, StatusCode, header};
use warp::reply::Response;

use super::problem::Problem;
use crate::platform::error::{Error, FieldError, Result};

/// Why a form was not taken; by default it has not been sent yet.
#[derive(Debug, Default)]
pub struct Refusal {
    problem: Option<Problem>,
    retry_after_s: Option<u64>,
}

impl Refusal {
    /// What a person can mend at the form, or try again with what they typed; any other error is not the form's.
    pub fn of(error: Error) -> Result<Refusal> {
        let retry_after_s = match &error {
            Error::Limited { retry_after_s } => Some(*retry_after_s),
            Error::Overloaded(_) | Error::Lost(_) => Some(1),
            Error::Invalid(_)
            | Error::Conflict { .. }
            | Error::Duplicate
            | Error::Stale
            | Error::NoRoom(_)
            | Error::DiskFull => None,
            _ => return Err(error),
        };
        Ok(Refusal { problem: Some(Problem::from(&error)), retry_after_s })
    }

    /// What is wrong with other fields than these is shown as the form's own: there is no such field on it.
    pub fn only(mut self, fields: &[&str]) -> Refusal {
        if let Some(problem) = &mut self.problem {
            problem.errors.retain(|error| fields.contains(&error.field.as_str()));
        }
        self
    }

    pub fn is_none(&self) -> bool {
        self.problem.is_none()
    }

    pub fn status(&self) -> StatusCode {
        self.problem.as_ref().map_or(StatusCode::OK, Problem::status)
    }

    /// The wrong fields; none where the form as a whole was refused.
    pub fn errors(&self) -> &[FieldError] {
        self.problem.as_ref().map_or(&[], |problem| &problem.errors)
    }

    /// What is wrong with the form as a whole.
    pub fn notice(&self) -> String {
        self.problem.as_ref().map(|problem| sentence(&problem.detail)).unwrap_or_default()
    }

    /// What is wrong with one field.
    pub fn at(&self, field: &str) -> Option<String> {
        self.errors().iter().find(|error| error.field == field).map(|error| sentence(&error.detail))
    }

    /// Ties a control to its hint and its error, and gives it the focus: the first wrong one, or on a form that has
    /// not been sent the one whose `focus` is `autofocus`.
    pub fn aria(&self, field: &str, has_hint: bool, focus: &str) -> String {
        let wrong = self.at(field).is_some();
        let ids = [(has_hint, "hint"), (wrong, "error")];
        let ids: Vec<String> = ids.iter().filter(|(is, _)| *is).map(|(_, what)| format!("{field}-{what}")).collect();
        let mut text = String::new();
        if !ids.is_empty() {
            text += &format!(" aria-describedby=\"{}\"", ids.join(" "));
        }
        if wrong {
            text += " aria-invalid=\"true\"";
        }
        if self.errors().first().map_or(self.is_none() && focus == "autofocus", |first| first.field == field) {
            text += " autofocus";
        }
        text
    }

    /// Adds when to try again.
    pub fn stamp(&self, mut response: Response) -> Response {
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// A field's name for people: `display_name` is `Display name`.
pub fn label_of(field: &str) -> String {
    capital(&field.replace(['_', '.'], " "))
}

/// An error's text as a sentence: a capital first, a full stop last.
pub fn sentence(text: &str) -> String {
    let mut text = capital(text);
    if !text.ends_with(['.', '!', '?']) {
        text.push('.');
    }
    text
}

/// What stands for a person without a picture.
pub fn initial(name: &str) -> String {
    name.chars().find(|c| c.is_alphanumeric()).into_iter().flat_map(char::to_uppercase).collect()
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_person_can_mend_is_the_forms() {
        let refused = Refusal::of(Error::conflict("email", "this address is taken")).unwrap();
        assert_eq!(refused.status(), StatusCode::CONFLICT);
        assert_eq!(refused.at("email").as_deref(), Some("This address is taken."));
        assert_eq!(
            refused.aria("email", true, ""),
            " aria-describedby=\"email-hint email-error\" aria-invalid=\"true\" autofocus"
        );

        assert!(Refusal::of(Error::Internal("a fault".into())).is_err());
        assert!(Refusal::of(Error::Forbidden("no".into())).is_err());
    }

    #[test]
    fn the_focus_goes_to_the_first_field_until_one_is_wrong() {
        assert_eq!(Refusal::default().aria("email", false, "autofocus"), " autofocus");
        let refused = Refusal::of(Error::invalid("password", "too short")).unwrap();
        assert_eq!(refused.aria("email", false, "autofocus"), "");
    }
}
