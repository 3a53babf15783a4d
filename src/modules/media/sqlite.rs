//! Items and their contents in SQLite.

use rusqlite::Row;
use rusqlite::types::Type;

use super::Owner;
use super::contents::to_hex;
use super::model::{ContentId, Item, ItemId, State, Stored, Variant};
use super::moving::Moved;
use super::repository::{Filled, Found, Kept, MediaRepository, Outcome, Upload};
use crate::platform::clock::Time;
use crate::platform::db::Tables;
use crate::platform::error::{Error, Result};
use crate::platform::ids::UserId;
use crate::sql;

impl MediaRepository for Tables<'_, Owner> {
    fn insert(&self, item: &Item) -> Result<()> {
        self.execute(
            sql!(
                "INSERT INTO media_items (id, user_id, name, content_id, content_type, size_bytes, state, version,
                                          created_at, updated_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9)"
            ),
            (
                item.id,
                item.user_id,
                &item.name,
                item.content.id,
                &item.content_type,
                item.size_bytes as i64,
                item.state.as_str(),
                item.version,
                item.created_at,
            ),
        )
        .map(drop)
    }

    fn find(&self, id: ItemId) -> Result<Option<Item>> {
        let found = self.fetch_optional(
            sql!(
                "SELECT id, user_id, name, content_id, content_type, size_bytes, sha256, state, note, width,
                        height, duration_ms, version, created_at, updated_at,
                        (SELECT place FROM media_contents AS content WHERE content.id = content_id)
                 FROM media_items WHERE id = ?1"
            ),
            [id],
            item,
        )?;
        found.map(|item| with_variants(self, item)).transpose()
    }

    fn list(&self, user: UserId, before: Option<ItemId>, limit: u32) -> Result<Vec<Item>> {
        let items = self.fetch_all(
            sql!(
                "SELECT id, user_id, name, content_id, content_type, size_bytes, sha256, state, note, width,
                        height, duration_ms, version, created_at, updated_at,
                        (SELECT place FROM media_contents AS content WHERE content.id = content_id)
                 FROM media_items WHERE user_id = ?1 AND (?2 IS NULL OR id < ?2) ORDER BY id DESC LIMIT ?3"
            ),
            (user, before, limit),
            item,
        )?;
        items.into_iter().map(|item| with_variants(self, item)).collect()
    }

    fn list_all(&self, user: UserId) -> Result<Vec<ItemId>> {
        self.fetch_all(sql!("SELECT id FROM media_items WHERE user_id = ?1 ORDER BY id"), [user], |row| row.get(0))
    }

    fn used(&self, user: UserId) -> Result<u64> {
        let used = self.fetch_optional(
            sql!("SELECT coalesce(sum(size_bytes), 0) FROM media_items WHERE user_id = ?1"),
            [user],
            |row| row.get::<_, i64>(0),
        )?;
        Ok(used.unwrap_or(0).unsigned_abs())
    }

    fn rename(&self, id: ItemId, name: &str, now: Time) -> Result<()> {
        self.execute(
            sql!("UPDATE media_items SET name = ?2, version = version + 1, updated_at = ?3 WHERE id = ?1"),
            (id, name, now),
        )
        .map(drop)
    }

    fn arrived(&self, id: ItemId, found: &Found, now: Time) -> Result<()> {
        self.execute(
            sql!(
                "UPDATE media_items SET content_type = ?2, size_bytes = ?3, sha256 = ?4, state = ?5, version = version + 1,
                                        updated_at = ?6
                 WHERE id = ?1"
            ),
            (id, found.content_type, found.size_bytes as i64, found.sha256, found.state.as_str(), now),
        )
        .map(drop)
    }

    fn processed(&self, id: ItemId, it: &Outcome, now: Time) -> Result<()> {
        self.execute(
            sql!(
                "UPDATE media_items SET state = coalesce(?2, state), note = ?3, width = ?4, height = ?5, duration_ms = ?6,
                                        version = version + 1, updated_at = ?7
                 WHERE id = ?1"
            ),
            (id, it.state.map(State::as_str), &it.note, it.width, it.height, it.duration_ms.map(|ms| ms as i64), now),
        )
        .map(drop)
    }

    fn delete(&self, id: ItemId) -> Result<()> {
        self.execute(sql!("DELETE FROM media_items WHERE id = ?1"), [id]).map(drop)
    }

    fn list_users(&self) -> Result<Vec<UserId>> {
        self.fetch_all(sql!("SELECT user_id FROM media_items UNION SELECT user_id FROM media_uploads"), [], |row| {
            row.get(0)
        })
    }

    fn put_variant(&self, item: ItemId, variant: &Variant, sha256: &[u8; 32]) -> Result<()> {
        self.execute(
            sql!(
                "INSERT INTO media_variants (item_id, name, content_id, content_type, size_bytes, sha256, width, height)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
            ),
            (
                item,
                &variant.name,
                variant.content.id,
                &variant.content_type,
                variant.size_bytes as i64,
                sha256,
                variant.width,
                variant.height,
            ),
        )
        .map(drop)
    }

    fn has_variant(&self, item: ItemId, name: &str) -> Result<bool> {
        let found = self.fetch_optional(
            sql!("SELECT 1 FROM media_variants WHERE item_id = ?1 AND name = ?2"),
            (item, name),
            |_| Ok(()),
        )?;
        Ok(found.is_some())
    }

    fn list_pictures(&self, user: UserId, limit: u32) -> Result<Vec<Item>> {
        self.fetch_all(
            sql!(
                "SELECT id, user_id, name, content_id, content_type, size_bytes, sha256, state, note, width,
                        height, duration_ms, version, created_at, updated_at, NULL
                 FROM media_items AS item
                 WHERE user_id = ?1 AND state = 'ready' AND content_type LIKE 'image/%'
                   AND EXISTS (SELECT 1 FROM media_variants WHERE item_id = item.id AND name = 'small')
                 ORDER BY id DESC LIMIT ?2"
            ),
            (user, limit),
            item,
        )
    }

    fn delete_variants(&self, item: ItemId) -> Result<()> {
        self.execute(
            sql!(
                "UPDATE media_contents SET state = 'discarded'
                 WHERE id IN (SELECT content_id FROM media_variants WHERE item_id = ?1)"
            ),
            [item],
        )?;
        self.execute(sql!("DELETE FROM media_variants WHERE item_id = ?1"), [item]).map(drop)
    }

    fn insert_upload(&self, it: &Upload) -> Result<()> {
        self.execute(
            sql!(
                "INSERT INTO media_uploads (id, user_id, content_id, length_bytes, received_bytes, hash_state, turn,
                                            metadata, expires_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
            ),
            (
                it.id,
                it.user,
                it.content,
                it.length as i64,
                it.received as i64,
                &it.hash_state,
                it.turn,
                &it.metadata,
                it.expires_at,
            ),
        )
        .map(drop)
    }

    fn find_upload(&self, id: ItemId) -> Result<Option<Upload>> {
        self.fetch_optional(
            sql!(
                "SELECT id, user_id, content_id, length_bytes, received_bytes, hash_state, turn, metadata, expires_at
                 FROM media_uploads WHERE id = ?1"
            ),
            [id],
            |row| {
                Ok(Upload {
                    id: row.get(0)?,
                    user: row.get(1)?,
                    content: row.get(2)?,
                    length: bytes(row, 3)?,
                    received: bytes(row, 4)?,
                    hash_state: row.get(5)?,
                    turn: row.get(6)?,
                    metadata: row.get(7)?,
                    expires_at: row.get(8)?,
                })
            },
        )
    }

    fn count_uploads(&self, user: UserId) -> Result<i64> {
        let count = self.fetch_optional(
            sql!("SELECT count(*) FROM media_uploads WHERE user_id = ?1 AND received_bytes < length_bytes"),
            [user],
            |row| row.get(0),
        )?;
        Ok(count.unwrap_or(0))
    }

    fn take_turn(&self, id: ItemId, received: u64) -> Result<Option<i64>> {
        self.fetch_optional(
            sql!(
                "UPDATE media_uploads SET turn = turn + 1 WHERE id = ?1 AND received_bytes = ?2
                 RETURNING turn"
            ),
            (id, received as i64),
            |row| row.get(0),
        )
    }

    fn advance(&self, id: ItemId, turn: i64, received: u64, hash_state: &[u8], expires_at: Time) -> Result<bool> {
        let rows = self.execute(
            sql!(
                "UPDATE media_uploads SET received_bytes = ?3, hash_state = ?4, expires_at = ?5
                 WHERE id = ?1 AND turn = ?2"
            ),
            (id, turn, received as i64, hash_state, expires_at),
        )?;
        Ok(rows == 1)
    }

    fn delete_upload(&self, id: ItemId) -> Result<()> {
        self.execute(sql!("DELETE FROM media_uploads WHERE id = ?1"), [id]).map(drop)
    }

    fn list_expired(&self, now: Time, limit: u32) -> Result<Vec<ItemId>> {
        self.fetch_all(
            sql!("SELECT id FROM media_uploads WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2"),
            (now, limit),
            |row| row.get(0),
        )
    }

    fn insert_content(&self, id: ContentId, label: Option<&str>, place: Option<&str>, now: Time) -> Result<()> {
        self.execute(
            sql!("INSERT INTO media_contents (id, state, label, place, created_at) VALUES (?1, 'filling', ?2, ?3, ?4)"),
            (id, label, place, now),
        )
        .map(drop)
    }

    fn filled(&self, id: ContentId, size_bytes: u64, sha256: &[u8; 32]) -> Result<()> {
        self.execute(
            sql!("UPDATE media_contents SET size_bytes = ?2, sha256 = ?3 WHERE id = ?1"),
            (id, size_bytes as i64, sha256),
        )
        .map(drop)
    }

    fn list_labelled(&self, label: &str) -> Result<Vec<Filled>> {
        self.fetch_all(
            sql!(
                "SELECT id, size_bytes, sha256 FROM media_contents WHERE state = 'filling' AND label = ?1
                 ORDER BY created_at DESC, id DESC LIMIT 100"
            ),
            [label],
            |row| {
                let size_bytes = row.get::<_, Option<i64>>(1)?.map(i64::unsigned_abs);
                Ok(Filled { content: row.get(0)?, size_bytes, sha256: row.get(2)? })
            },
        )
    }

    fn keep_content(&self, id: ContentId) -> Result<()> {
        self.execute(sql!("UPDATE media_contents SET state = 'kept', label = NULL WHERE id = ?1"), [id]).map(drop)
    }

    fn discard_content(&self, id: ContentId) -> Result<()> {
        self.execute(sql!("UPDATE media_contents SET state = 'discarded' WHERE id = ?1"), [id]).map(drop)
    }

    fn list_unwanted(&self, time: Time, limit: u32) -> Result<Vec<ContentId>> {
        self.fetch_all(
            sql!(
                "SELECT id FROM media_contents WHERE state = 'discarded' AND place IS NULL
                 UNION ALL
                 SELECT id FROM media_contents WHERE state = 'filling' AND created_at < ?1 AND place IS NULL
                   AND id NOT IN (SELECT content_id FROM media_uploads)
                 LIMIT ?2"
            ),
            (time, limit),
            |row| row.get(0),
        )
    }

    fn list_unwanted_outside(&self, time: Time, after: Option<ContentId>, limit: u32) -> Result<Vec<Stored>> {
        self.fetch_all(
            sql!(
                "SELECT id, place FROM media_contents
                 WHERE (state = 'discarded' OR (state = 'filling' AND created_at < ?1)) AND state <> 'kept'
                   AND place IS NOT NULL AND (?2 IS NULL OR id > ?2)
                 ORDER BY id LIMIT ?3"
            ),
            (time, after, limit),
            |row| Ok(Stored { id: row.get(0)?, place: row.get(1)? }),
        )
    }

    fn find_kept_here(&self, after: Option<ContentId>) -> Result<Option<Kept>> {
        self.fetch_optional(
            sql!(
                "SELECT id, place, size_bytes, sha256 FROM media_contents AS content
                 WHERE state = 'kept' AND place IS NULL AND sha256 IS NOT NULL AND (?1 IS NULL OR id > ?1)
                   AND NOT EXISTS (SELECT 1 FROM media_items AS item
                                   WHERE item.content_id = content.id AND item.state = 'processing')
                 ORDER BY id LIMIT 1"
            ),
            [after],
            kept,
        )
    }

    fn find_kept_elsewhere(&self, place: Option<&str>, after: Option<ContentId>) -> Result<Option<Kept>> {
        self.fetch_optional(
            sql!(
                "SELECT id, place, size_bytes, sha256 FROM media_contents AS content
                 WHERE state = 'kept' AND place IS NOT ?1 AND sha256 IS NOT NULL AND (?2 IS NULL OR id > ?2)
                   AND NOT EXISTS (SELECT 1 FROM media_items AS item
                                   WHERE item.content_id = content.id AND item.state = 'processing')
                 ORDER BY id LIMIT 1"
            ),
            (place, after),
            kept,
        )
    }

    fn count_elsewhere(&self, place: Option<&str>) -> Result<Moved> {
        let count = self.fetch_optional(
            sql!(
                "SELECT count(*), coalesce(sum(size_bytes), 0) FROM media_contents
                 WHERE state = 'kept' AND place IS NOT ?1 AND sha256 IS NOT NULL"
            ),
            [place],
            |row| Ok(Moved { contents: bytes(row, 0)?, bytes: bytes(row, 1)? }),
        )?;
        Ok(count.unwrap_or_default())
    }

    fn list_outside(&self) -> Result<Vec<(String, i64, u64)>> {
        self.fetch_all(
            sql!(
                "SELECT place, count(*), coalesce(sum(size_bytes), 0) FROM media_contents
                 WHERE place IS NOT NULL AND state = 'kept' GROUP BY place ORDER BY place"
            ),
            [],
            |row| Ok((row.get(0)?, row.get(1)?, bytes(row, 2)?)),
        )
    }

    fn replace_content(&self, old: ContentId, new: ContentId) -> Result<bool> {
        let discarded = self
            .execute(sql!("UPDATE media_contents SET state = 'discarded' WHERE id = ?1 AND state = 'kept'"), [old])?;
        if discarded == 0 {
            return Ok(false);
        }
        let taken = self.execute(
            sql!("UPDATE media_contents SET state = 'kept', label = NULL WHERE id = ?1 AND state = 'filling'"),
            [new],
        )?;
        if taken == 0 {
            let detail = "another moves the same content".into();
            return Err(Error::Conflict { field: None, detail });
        }
        self.execute(sql!("UPDATE media_items SET content_id = ?2 WHERE content_id = ?1"), (old, new))?;
        self.execute(sql!("UPDATE media_variants SET content_id = ?2 WHERE content_id = ?1"), (old, new))?;
        Ok(true)
    }

    fn delete_content(&self, id: ContentId) -> Result<()> {
        self.execute(sql!("DELETE FROM media_contents WHERE id = ?1"), [id]).map(drop)
    }

    fn put_chunk(&self, content: ContentId, number: u64, bytes: &[u8]) -> Result<()> {
        self.execute(
            sql!(
                "INSERT INTO media_chunks (content_id, number, bytes) VALUES (?1, ?2, ?3)
                 ON CONFLICT (content_id, number) DO UPDATE SET bytes = excluded.bytes"
            ),
            (content, number as i64, bytes),
        )
        .map(drop)
    }

    fn find_chunk(&self, content: ContentId, number: u64) -> Result<Option<Vec<u8>>> {
        self.fetch_optional(
            sql!("SELECT bytes FROM media_chunks WHERE content_id = ?1 AND number = ?2"),
            (content, number as i64),
            |row| row.get(0),
        )
    }

    fn delete_chunks(&self, content: ContentId, limit: u32) -> Result<usize> {
        self.execute(
            sql!(
                "DELETE FROM media_chunks WHERE rowid IN
                 (SELECT rowid FROM media_chunks WHERE content_id = ?1 LIMIT ?2)"
            ),
            (content, limit),
        )
    }
}

fn with_variants(tables: &Tables<'_, Owner>, item: Item) -> Result<Item> {
    let variants = tables.fetch_all(
        sql!(
            "SELECT name, content_type, size_bytes, sha256, width, height, content_id,
                    (SELECT place FROM media_contents AS content WHERE content.id = content_id)
             FROM media_variants WHERE item_id = ?1 ORDER BY size_bytes"
        ),
        [item.id],
        |row| {
            Ok(Variant {
                name: row.get(0)?,
                content_type: row.get(1)?,
                size_bytes: bytes(row, 2)?,
                sha256: to_hex(row.get_ref(3)?.as_blob()?),
                width: row.get(4)?,
                height: row.get(5)?,
                content: Stored { id: row.get(6)?, place: row.get(7)? },
            })
        },
    )?;
    Ok(Item { variants, ..item })
}

fn item(row: &Row<'_>) -> rusqlite::Result<Item> {
    let state = State::parse(row.get_ref(7)?.as_str()?);
    let wrong = || rusqlite::Error::FromSqlConversionFailure(7, Type::Text, "none of the states".into());
    Ok(Item {
        id: row.get(0)?,
        user_id: row.get(1)?,
        name: row.get(2)?,
        content: Stored { id: row.get(3)?, place: row.get(15)? },
        content_type: row.get(4)?,
        size_bytes: bytes(row, 5)?,
        sha256: row.get_ref(6)?.as_blob_or_null()?.map(to_hex),
        state: state.ok_or_else(wrong)?,
        progress: None,
        note: row.get(8)?,
        width: row.get(9)?,
        height: row.get(10)?,
        duration_ms: row.get::<_, Option<i64>>(11)?.map(i64::unsigned_abs),
        variants: Vec::new(),
        version: row.get(12)?,
        created_at: row.get(13)?,
        updated_at: row.get(14)?,
    })
}

fn kept(row: &Row<'_>) -> rusqlite::Result<Kept> {
    let stored = Stored { id: row.get(0)?, place: row.get(1)? };
    Ok(Kept { stored, size_bytes: bytes(row, 2)?, sha256: row.get(3)? })
}

fn bytes(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(i64::unsigned_abs)
}
