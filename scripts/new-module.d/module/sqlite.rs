//! Wid gets in SQLite.

use rusqlite::Row;

use super::Owner;
use super::model::{Widget, WidgetId};
use super::repository::WidgetRepository;
use crate::platform::db::Tables;
use crate::platform::error::Result;
use crate::platform::ids::UserId;
use crate::sql;

impl WidgetRepository for Tables<'_, Owner> {
    fn insert(&self, widget: &Widget) -> Result<()> {
        let it = widget;
        self.execute(
            sql!(
                "INSERT INTO widgets (id, user_id, title, text, version, created_at, updated_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"
            ),
            (it.id, it.user_id, &it.title, &it.text, it.version, it.created_at, it.updated_at),
        )
        .map(drop)
    }

    fn find(&self, id: WidgetId) -> Result<Option<Widget>> {
        self.fetch_optional(
            sql!("SELECT id, user_id, title, text, version, created_at, updated_at FROM widgets WHERE id = ?1"),
            [id],
            widget,
        )
    }

    fn list(&self, after: Option<WidgetId>, limit: u32) -> Result<Vec<Widget>> {
        self.fetch_all(
            // An empty blob sorts before every id.
            sql!(
                "SELECT id, user_id, title, text, version, created_at, updated_at FROM widgets
                 WHERE id > coalesce(?1, x'') ORDER BY id LIMIT ?2"
            ),
            (after, limit),
            widget,
        )
    }

    fn list_of(&self, user: UserId) -> Result<Vec<Widget>> {
        self.fetch_all(
            sql!(
                "SELECT id, user_id, title, text, version, created_at, updated_at FROM widgets
                 WHERE user_id = ?1 ORDER BY id"
            ),
            [user],
            widget,
        )
    }

    fn update(&self, widget: &Widget) -> Result<()> {
        let it = widget;
        self.execute(
            sql!("UPDATE widgets SET title = ?2, text = ?3, version = ?4, updated_at = ?5 WHERE id = ?1"),
            (it.id, &it.title, &it.text, it.version, it.updated_at),
        )
        .map(drop)
    }

    fn delete(&self, id: WidgetId) -> Result<()> {
        self.execute(sql!("DELETE FROM widgets WHERE id = ?1"), [id]).map(drop)
    }

    fn delete_of(&self, user: UserId) -> Result<()> {
        self.execute(sql!("DELETE FROM widgets WHERE user_id = ?1"), [user]).map(drop)
    }
}

fn widget(row: &Row<'_>) -> rusqlite::Result<Widget> {
    Ok(Widget {
        id: row.get(0)?,
        user_id: row.get(1)?,
        title: row.get(2)?,
        text: row.get(3)?,
        version: row.get(4)?,
        created_at: row.get(5)?,
        updated_at: row.get(6)?,
    })
}
