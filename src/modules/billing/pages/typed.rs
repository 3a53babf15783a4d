//! What was typed into a form, kept so that a form that was refused shows it again.

use std::collections::BTreeMap;
use std::str::FromStr;

use jiff::civil::Date;
use serde::Deserialize;

use crate::platform::clock::Time;
use crate::platform::error::{Error, Result};
use crate::platform::ids::Id;
use crate::platform::money::{self, Currency};

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(transparent)]
pub(super) struct Typed(BTreeMap<String, String>);

impl Typed {
    /// A form that is not filled in yet, but for these, and with a key by which it is taken once.
    pub fn fresh(now: Time, fields: impl IntoIterator<Item = (&'static str, String)>) -> Typed {
        Typed(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()).renewed(now)
    }

    /// The same under another key.
    pub fn renewed(mut self, now: Time) -> Typed {
        self.set("key", Id::<Typed>::new(now).to_string());
        self
    }

    /// The query of an address.
    pub fn query(query: &str) -> Typed {
        Typed(form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.insert(name.to_owned(), value.into());
    }

    /// What stands in a field; nothing where there is no such field.
    pub fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", |value| value.trim())
    }

    pub fn has(&self, name: &str) -> bool {
        !self.text(name).is_empty()
    }

    pub fn is(&self, name: &str, value: impl std::fmt::Display) -> bool {
        self.text(name) == value.to_string()
    }

    pub fn some(&self, name: &str) -> Option<String> {
        Some(self.text(name)).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    /// What stands there, also nothing: for what is taken away so.
    pub fn all(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }

    pub fn number<T: FromStr>(&self, name: &str) -> Result<Option<T>> {
        let parse = |text: String| text.parse().map_err(|_| Error::invalid(name, "write a whole number"));
        self.some(name).map(parse).transpose()
    }

    pub fn date(&self, name: &str) -> Result<Option<Date>> {
        let parse = |text: String| text.parse().map_err(|_| Error::invalid(name, "write a day like 2026-11-25"));
        self.some(name).map(parse).transpose()
    }

    /// An amount in the major unit.
    pub fn money(&self, name: &str, currency: Currency) -> Result<i64> {
        money::parse_major(name, self.text(name), currency)
    }

    /// All of it but the key, so that the same key with something else is told apart.
    pub fn said(&self) -> String {
        let said = self.0.iter().filter(|(name, _)| *name != "key");
        form_urlencoded::Serializer::new(String::new()).extend_pairs(said).finish()
    }
}

/// The error with the names that its fields have on the form.
pub(super) fn renamed(error: Error, names: &[(&str, &'static str)]) -> Error {
    let here = |field: &str| names.iter().find(|(there, _)| *there == field).map(|(_, here)| *here);
    match error {
        Error::Invalid(mut wrong) => {
            for one in &mut wrong {
                if let Some(name) = here(&one.field) {
                    one.field = name.to_owned();
                }
            }
            Error::Invalid(wrong)
        }
        Error::Conflict { field: Some(field), detail } => {
            Error::Conflict { field: Some(here(field).unwrap_or(field)), detail }
        }
        other => other,
    }
}
