//! A profile, and what may stand in it.

use serde::{Deserialize, Deserializer, Serialize};

use crate::platform::clock::Time;
use crate::platform::error::{Error, FieldError, Result};
use crate::platform::ids::{Id, UserId};
use crate::platform::text;

/// A file whose picture stands for a person; another module's.
pub enum Avatar {}
pub type AvatarId = Id<Avatar>;

/// How a person presents themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Profile {
    #[schema(value_type = String, format = Uuid)]
    pub user_id: UserId,
    pub display_name: DisplayName,
    pub bio: Option<String>,
    /// BCP 47: `de-CH`.
    pub locale: Option<String>,
    /// IANA: `Europe/Zurich`.
    pub time_zone: Option<String>,
    pub pronouns: Option<String>,
    pub phone: Option<String>,
    /// The file whose picture stands for them.
    #[schema(value_type = Option<String>, format = Uuid)]
    pub avatar_id: Option<AvatarId>,
    pub created_at: Time,
    pub updated_at: Time,
    /// Raised by each change; the `ETag`.
    #[serde(skip)]
    pub version: i64,
}

impl Profile {
    pub fn new(user_id: UserId, display_name: DisplayName, now: Time) -> Profile {
        Profile {
            user_id,
            display_name,
            bio: None,
            locale: None,
            time_zone: None,
            pronouns: None,
            phone: None,
            avatar_id: None,
            created_at: now,
            updated_at: now,
            version: 1,
        }
    }

    /// Whether both say the same, whenever they were written.
    pub fn same_content(&self, other: &Profile) -> bool {
        Profile { updated_at: other.updated_at, version: other.version, ..self.clone() } == *other
    }
}

/// What a person is called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(value_type = String)]
pub struct DisplayName(String);

impl DisplayName {
    const MAX_CHARS: usize = 200;

    pub fn parse(text: &str) -> Result<DisplayName> {
        text::line("display_name", text, Self::MAX_CHARS).map(DisplayName)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn from_store(text: String) -> DisplayName {
        DisplayName(text)
    }
}

impl std::fmt::Display for DisplayName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A change of some fields: what is absent stays, what is null (or empty) goes.
#[derive(Debug, Clone, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProfileChange {
    #[serde(default, deserialize_with = "never_null")]
    #[schema(value_type = String, min_length = 1, max_length = 200)]
    pub display_name: Option<String>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, max_length = 2000)]
    pub bio: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    pub locale: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    pub time_zone: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, max_length = 40)]
    pub pronouns: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    pub phone: Option<Option<String>>,
    /// One of the person's own pictures among their files.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, format = Uuid)]
    pub avatar_id: Option<Option<String>>,
}

/// May be absent, but not null.
fn never_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    String::deserialize(deserializer).map(Some)
}

/// Tells null from absent.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl ProfileChange {
    /// The profile with this change; all wrong fields are reported at once.
    pub fn apply(self, before: &Profile, now: Time) -> Result<Profile> {
        let mut wrong = Vec::new();
        let mut after = before.clone();
        if let Some(name) = self.display_name {
            keep(&mut wrong, DisplayName::parse(&name), &mut after.display_name);
        }
        optional(&mut wrong, self.bio, &mut after.bio, |bio| text::paragraph("bio", bio, 2000));
        optional(&mut wrong, self.locale, &mut after.locale, locale);
        optional(&mut wrong, self.time_zone, &mut after.time_zone, time_zone);
        optional(&mut wrong, self.pronouns, &mut after.pronouns, |text| text::line("pronouns", text, 40));
        optional(&mut wrong, self.phone, &mut after.phone, phone);
        match self.avatar_id {
            Some(Some(id)) => keep(&mut wrong, avatar(&id).map(Some), &mut after.avatar_id),
            Some(None) => after.avatar_id = None,
            None => {}
        }
        if !wrong.is_empty() {
            return Err(Error::Invalid(wrong));
        }
        after.updated_at = now;
        after.version = before.version + 1;
        Ok(after)
    }
}

fn keep<T>(wrong: &mut Vec<FieldError>, new: Result<T>, field: &mut T) {
    match new {
        Ok(value) => *field = value,
        Err(Error::Invalid(errors)) => wrong.extend(errors),
        Err(other) => wrong.push(FieldError::new("body", other.to_string())),
    }
}

fn optional(
    wrong: &mut Vec<FieldError>,
    change: Option<Option<String>>,
    field: &mut Option<String>,
    check: impl FnOnce(&str) -> Result<String>,
) {
    match change {
        None => {}
        Some(Some(text)) if !text.trim().is_empty() => keep(wrong, check(&text).map(Some), field),
        Some(_) => *field = None,
    }
}

/// A language tag's form, not its registry: `de`, `de-CH`, `zh-Hant-TW`.
fn locale(text: &str) -> Result<String> {
    let text = text::line("locale", text, 35)?;
    let mut parts = text.split('-');
    let language =
        parts.next().is_some_and(|p| (2..=3).contains(&p.len()) && p.chars().all(|c| c.is_ascii_alphabetic()));
    let rest = parts.all(|p| (1..=8).contains(&p.len()) && p.chars().all(|c| c.is_ascii_alphanumeric()));
    if language && rest { Ok(text) } else { Err(Error::invalid("locale", "not a language tag: write it like de-CH")) }
}

fn time_zone(text: &str) -> Result<String> {
    let text = text::line("time_zone", text, 64)?;
    match jiff::tz::TimeZone::get(&text) {
        Ok(zone) => Ok(zone.iana_name().unwrap_or(&text).to_owned()),
        Err(_) => Err(Error::invalid("time_zone", "no such time zone: write it like Europe/Zurich")),
    }
}

fn avatar(text: &str) -> Result<AvatarId> {
    AvatarId::parse(text, "file").map_err(|_| Error::invalid("avatar_id", "not the id of a file"))
}

fn phone(text: &str) -> Result<String> {
    let text = text::line("phone", text, 32)?;
    let digits = text.chars().filter(char::is_ascii_digit).count();
    let known = text.chars().all(|c| c.is_ascii_digit() || "+-() ./".contains(c));
    if known && (5..=15).contains(&digits) {
        Ok(text)
    } else {
        Err(Error::invalid("phone", "not a phone number: write it like +41 44 123 45 67"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ann() -> Profile {
        Profile::new(UserId::new(Time::from_ms(1)), DisplayName::parse("Ann").unwrap(), Time::from_ms(1))
    }

    #[test]
    fn absent_stays_and_null_goes() {
        let change: ProfileChange = serde_json::from_str(r#"{"bio": "Mason", "phone": "+41 44 123 45 67"}"#).unwrap();
        let ann = change.apply(&ann(), Time::from_ms(2)).unwrap();
        assert_eq!(ann.bio.as_deref(), Some("Mason"));

        let change: ProfileChange = serde_json::from_str(r#"{"bio": null}"#).unwrap();
        let ann = change.apply(&ann, Time::from_ms(3)).unwrap();
        assert_eq!(ann.bio, None);
        assert_eq!(ann.phone.as_deref(), Some("+41 44 123 45 67"));
        assert_eq!(ann.version, 3);
    }

    #[test]
    fn all_wrong_fields_are_named_at_once() {
        let change: ProfileChange = serde_json::from_str(
            r#"{"display_name": " ", "locale": "d", "time_zone": "Mars/Olympus", "phone": "call me"}"#,
        )
        .unwrap();

        let Err(Error::Invalid(wrong)) = change.apply(&ann(), Time::from_ms(2)) else { panic!("it was taken") };

        let fields: Vec<_> = wrong.iter().map(|e| e.field.as_str()).collect();
        assert_eq!(fields, ["display_name", "locale", "time_zone", "phone"]);
    }
}
