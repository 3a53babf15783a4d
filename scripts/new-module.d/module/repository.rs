//! Where wid gets are kept.

use super::model::{Widget, WidgetId};
use crate::platform::error::Result;
use crate::platform::ids::UserId;

pub(super) trait WidgetRepository {
    fn insert(&self, widget: &Widget) -> Result<()>;
    fn find(&self, id: WidgetId) -> Result<Option<Widget>>;
    /// Those behind `after`, by id.
    fn list(&self, after: Option<WidgetId>, limit: u32) -> Result<Vec<Widget>>;
    /// All of one person.
    fn list_of(&self, user: UserId) -> Result<Vec<Widget>>;
    fn update(&self, widget: &Widget) -> Result<()>;
    fn delete(&self, id: WidgetId) -> Result<()>;
    /// All of one person.
    fn delete_of(&self, user: UserId) -> Result<()>;
}
