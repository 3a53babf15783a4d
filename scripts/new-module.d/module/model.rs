//! A wid get, and what may stand in it.

use serde::{Deserialize, Serialize};

use crate::platform::clock::Time;
use crate::platform::error::{Result, Together};
use crate::platform::ids::{Id, UserId};
use crate::platform::text;

const MAX_TITLE_CHARS: usize = 200;
const MAX_TEXT_CHARS: usize = 10_000;

pub type WidgetId = Id<Widget>;

/// One wid get of one person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Widget {
    #[schema(value_type = String, format = Uuid)]
    pub id: WidgetId,
    /// Whose it is.
    #[schema(value_type = String, format = Uuid)]
    pub user_id: UserId,
    pub title: String,
    pub text: String,
    pub created_at: Time,
    pub updated_at: Time,
    /// Raised by each change; the `ETag`.
    #[serde(skip)]
    pub version: i64,
}

/// A new wid get, as it is typed.
#[derive(Debug, Clone, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewWidget {
    /// Whose it is.
    #[schema(format = Uuid)]
    pub user_id: String,
    #[schema(min_length = 1, max_length = 200)]
    pub title: String,
    #[serde(default)]
    #[schema(max_length = 10000)]
    pub text: String,
}

/// A change of some fields: what is absent stays.
#[derive(Debug, Clone, Default, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WidgetChange {
    #[schema(min_length = 1, max_length = 200)]
    pub title: Option<String>,
    #[schema(max_length = 10000)]
    pub text: Option<String>,
}

impl Widget {
    /// All wrong fields are reported at once.
    pub fn new(id: WidgetId, user_id: UserId, new: NewWidget, now: Time) -> Result<Widget> {
        let (title, text) = (title(&new.title), body(&new.text)).together()?;
        Ok(Widget { id, user_id, title, text, created_at: now, updated_at: now, version: 1 })
    }

    /// Whether both say the same, whenever they were written.
    pub fn same_content(&self, other: &Widget) -> bool {
        (&self.title, &self.text) == (&other.title, &other.text)
    }
}

impl WidgetChange {
    /// The wid get with this change; all wrong fields are reported at once.
    pub fn apply(self, before: &Widget, now: Time) -> Result<Widget> {
        let title = self.title.map_or_else(|| Ok(before.title.clone()), |it| title(&it));
        let text = self.text.map_or_else(|| Ok(before.text.clone()), |it| body(&it));
        let (title, text) = (title, text).together()?;
        Ok(Widget { title, text, updated_at: now, version: before.version + 1, ..before.clone() })
    }
}

fn title(typed: &str) -> Result<String> {
    text::line("title", typed, MAX_TITLE_CHARS)
}

fn body(typed: &str) -> Result<String> {
    text::paragraph("text", typed, MAX_TEXT_CHARS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::error::Error;

    fn one() -> Widget {
        let now = Time::from_ms(1);
        let new = NewWidget { title: " First ".into(), text: "Two\r\nlines".into(), ..NewWidget::default() };
        Widget::new(WidgetId::new(now), UserId::new(now), new, now).unwrap()
    }

    #[test]
    fn what_is_typed_is_cleaned() {
        assert_eq!((one().title.as_str(), one().text.as_str()), ("First", "Two\nlines"));
    }

    #[test]
    fn absent_stays_and_the_version_rises() {
        let change = WidgetChange { title: Some("Second".into()), text: None };

        let after = change.apply(&one(), Time::from_ms(2)).unwrap();

        assert_eq!((after.title.as_str(), after.text.as_str(), after.version), ("Second", "Two\nlines", 2));
        assert_eq!((after.created_at, after.updated_at), (Time::from_ms(1), Time::from_ms(2)));
    }

    #[test]
    fn all_wrong_fields_are_named_at_once() {
        let change = WidgetChange { title: Some(" ".into()), text: Some("x".repeat(MAX_TEXT_CHARS + 1)) };

        let Err(Error::Invalid(wrong)) = change.apply(&one(), Time::from_ms(2)) else { panic!("it was taken") };

        assert_eq!(wrong.iter().map(|error| error.field.as_str()).collect::<Vec<_>>(), ["title", "text"]);
    }
}
