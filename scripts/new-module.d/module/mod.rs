//! Wid gets: what the team keeps on people.
//!
//! Owns the table `widgets`. Uses no other module.

mod api;
mod model;
mod pages;
mod repository;
mod sqlite;

use serde_json::Value;
use utoipa::OpenApi;

pub use model::{NewWidget, Widget, WidgetChange, WidgetId};

use crate::platform::Platform;
use crate::platform::audit::{self, Change};
use crate::platform::db::{self, Snapshot, UnitOfWork};
use crate::platform::error::{Error, Result};
use crate::platform::http::page::NavItem;
use crate::platform::http::{self, Routes};
use crate::platform::ids::UserId;
use crate::platform::module::{Declaration, Module};
use repository::WidgetRepository;

/// What other code may ask of wid gets.
#[derive(Clone)]
pub struct Widgets;

/// The key to this module's tables; no one else can make one.
struct Owner(());

impl db::Owner for Owner {
    const PATH: &'static str = module_path!();
}

impl Widgets {
    /// Adds a wid get. That there is such a person is the caller's to know.
    pub fn add(&self, work: &UnitOfWork<'_>, user: UserId, new: NewWidget) -> Result<Widget> {
        let widget = Widget::new(work.new_id(), user, new, work.now())?;
        work.tables(Owner(())).insert(&widget)?;
        record(work, "widget.added", None, Some(&widget))?;
        Ok(widget)
    }

    /// One wid get; [`Error::NotFound`] if there is none.
    pub fn get(&self, snapshot: &Snapshot<'_>, id: WidgetId) -> Result<Widget> {
        snapshot.tables(Owner(())).find(id)?.ok_or(Error::NotFound("wid get"))
    }

    /// Wid gets behind `after`, by id.
    pub fn list(&self, snapshot: &Snapshot<'_>, after: Option<WidgetId>, limit: u32) -> Result<Vec<Widget>> {
        snapshot.tables(Owner(())).list(after, limit)
    }

    /// Changes a wid get. `check` sees it as it is now and may refuse.
    pub fn edit(
        &self,
        work: &UnitOfWork<'_>,
        id: WidgetId,
        change: WidgetChange,
        check: impl FnOnce(&Widget) -> Result<()>,
    ) -> Result<Widget> {
        let before = self.get(work, id)?;
        check(&before)?;
        let after = change.apply(&before, work.now())?;
        if after.same_content(&before) {
            return Ok(before);
        }
        work.tables(Owner(())).update(&after)?;
        record(work, "widget.edited", Some(&before), Some(&after))?;
        Ok(after)
    }

    /// Deletes a wid get. `check` sees it as it is now and may refuse.
    pub fn delete(
        &self,
        work: &UnitOfWork<'_>,
        id: WidgetId,
        check: impl FnOnce(&Widget) -> Result<()>,
    ) -> Result<()> {
        let before = self.get(work, id)?;
        check(&before)?;
        work.tables(Owner(())).delete(id)?;
        record(work, "widget.deleted", Some(&before), None)
    }
}

/// Writes a change down, so that it is erased with the person that it is about.
fn record(
    work: &UnitOfWork<'_>,
    action: &'static str,
    before: Option<&Widget>,
    after: Option<&Widget>,
) -> Result<()> {
    let Some(one) = after.or(before) else { return Ok(()) };
    let json = |widget| widget as &dyn audit::erased::Json;
    let (subject, person) = (one.id.uuid(), Some(one.user_id));
    audit::record(work, Change { action, subject, person, before: before.map(json), after: after.map(json) })
}

impl Module for Widgets {
    fn declaration(&self) -> Declaration {
        Declaration { name: "widgets", purpose: "What the team keeps on people", uses: &[] }
    }

    fn export(&self, snapshot: &Snapshot<'_>, person: UserId) -> Result<Value> {
        let widgets = snapshot.tables(Owner(())).list_of(person)?;
        serde_json::to_value(widgets).map_err(|e| Error::internal("exporting wid gets", e))
    }

    fn erase(&self, work: &UnitOfWork<'_>, person: UserId) -> Result<()> {
        work.tables(Owner(())).delete_of(person)
    }

    fn routes(&self, platform: &Platform) -> Option<Routes> {
        http::either([api::routes(platform), pages::routes(platform)].into_iter().flatten())
    }

    fn api(&self) -> utoipa::openapi::OpenApi {
        api::WidgetsApi::openapi()
    }

    fn nav(&self) -> Option<NavItem> {
        Some(NavItem { label: "Wid gets", href: "/wid-gets", for_members: false })
    }
}
