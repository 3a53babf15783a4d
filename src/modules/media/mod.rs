//! Media: files that people upload, and what is made of them.
//!
//! Owns `media_items`, `media_uploads`, `media_variants`, `media_contents` and `media_chunks`. Uses no other module.
//! Contents stand in the database, in pieces, so that one backup file has everything; or, where the settings say so, in a
//! bucket or a folder, whole.

mod api;
mod contents;
mod making;
mod model;
mod moving;
mod pages;
mod processing;
mod ranges;
mod receiving;
mod repository;
mod serving;
mod sniff;
mod sqlite;
mod tus;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::OpenApi;

pub use model::{Item, ItemChange, ItemId, State, Variant};
pub use moving::Moved;
pub use serving::Served;

use crate::platform::Platform;
use crate::platform::audit::{self, Change};
use crate::platform::auth::Principal;
use crate::platform::config::MediaLimits;
use crate::platform::db::{self, Snapshot, UnitOfWork};
use crate::platform::error::{Error, Result};
use crate::platform::http::page::NavItem;
use crate::platform::http::{self, Request, Routes, Saved};
use crate::platform::ids::UserId;
use crate::platform::jobs::{self, Failure, Kind, Order, Payload, Record, Run, Work};
use crate::platform::module::{Declaration, Module};
use crate::platform::objects;
use model::{ContentId, Stored};
use repository::{Found, MediaRepository, Upload};

/// Raised by whatever changes an item ([`db::Database::signal`]).
pub const SIGNAL: &str = "media";

/// Uploads that a person has begun and not ended, at most.
const MOST_UPLOADS: i64 = 100;
/// Expired uploads that end in one unit of work.
const EXPIRED: u32 = 50;
/// Pieces that are removed in one unit of work.
const REMOVED: u32 = 32;
/// A content that is being filled without an upload is given up after so long.
const FILLING_S: i64 = 24 * 60 * 60;

/// What other code may ask of media.
#[derive(Debug, Clone, Copy)]
pub struct Media;

/// The key to this module's tables; no one else can make one.
struct Owner(());

impl db::Owner for Owner {
    const PATH: &'static str = module_path!();
}

/// Takes away what nobody refers to any more, piece by piece.
#[derive(Serialize, Deserialize)]
struct Sweep;
impl Payload for Sweep {
    const KIND: &'static str = "media.sweep";
}

impl Media {
    /// One item; [`Error::NotFound`] if there is none.
    pub fn get(&self, snapshot: &Snapshot<'_>, id: ItemId) -> Result<Item> {
        let mut item = snapshot.tables(Owner(())).find(id)?.ok_or(Error::NotFound("file"))?;
        item.progress = making::progress_of(snapshot, &item)?;
        Ok(item)
    }

    /// One item of a person; [`Error::NotFound`] if it is another's, so that nobody learns of it.
    pub fn own(&self, snapshot: &Snapshot<'_>, user: UserId, id: ItemId) -> Result<Item> {
        let item = self.get(snapshot, id)?;
        if item.user_id == user { Ok(item) } else { Err(Error::NotFound("file")) }
    }

    /// A person's items before `before`, newest first.
    pub fn list(&self, snapshot: &Snapshot<'_>, user: UserId, before: Option<ItemId>, limit: u32) -> Result<Vec<Item>> {
        let mut items = snapshot.tables(Owner(())).list(user, before, limit)?;
        for item in &mut items {
            item.progress = making::progress_of(snapshot, item)?;
        }
        Ok(items)
    }

    /// Whether there is this smaller form of an item.
    pub fn has_variant(&self, snapshot: &Snapshot<'_>, id: ItemId, name: &str) -> Result<bool> {
        snapshot.tables(Owner(())).has_variant(id, name)
    }

    /// A person's newest pictures of which there are smaller forms.
    pub fn pictures(&self, snapshot: &Snapshot<'_>, user: UserId, limit: u32) -> Result<Vec<Item>> {
        snapshot.tables(Owner(())).list_pictures(user, limit)
    }

    /// Takes a file from a form; `then` has its part in the transaction that keeps it, and may refuse.
    pub async fn receive<F>(
        &self,
        platform: &Platform,
        who: &Principal,
        request: &mut Request,
        then: F,
    ) -> Result<Saved<Item>>
    where
        F: FnOnce(&UnitOfWork<'_>, &Item) -> Result<()> + Send + 'static,
    {
        let room = Room { platform: platform.clone(), media: *self };
        api::receive(&room, who, request, then).await
    }

    /// How many bytes a person has, what is announced counted.
    pub fn used(&self, snapshot: &Snapshot<'_>, user: UserId) -> Result<u64> {
        snapshot.tables(Owner(())).used(user)
    }

    /// Gives an item another name, if it is still what `check` wants it to be.
    pub fn edit(
        &self,
        work: &UnitOfWork<'_>,
        user: UserId,
        id: ItemId,
        change: ItemChange,
        check: impl FnOnce(&Item) -> Result<()>,
    ) -> Result<Item> {
        let before = self.own(work, user, id)?;
        check(&before)?;
        let Some(name) = change.name else { return Ok(before) };
        let name = model::typed_name(&name)?;
        if name == before.name {
            return Ok(before);
        }
        work.tables(Owner(())).rename(id, &name, work.now())?;
        let after = self.get(work, id)?;
        record(work, "media.renamed", &after, Some(&json!({ "name": before.name })), Some(&json!({ "name": name })))?;
        Ok(after)
    }

    /// Takes an item away; its content goes piece by piece after that.
    pub fn delete(&self, work: &UnitOfWork<'_>, user: UserId, id: ItemId) -> Result<()> {
        let item = self.own(work, user, id)?;
        self.remove(work, &item)?;
        record(work, "media.deleted", &item, Some(&said(&item)), None)
    }

    /// What lies outside of the database: the place, how many contents, and their bytes.
    pub fn outside(&self, snapshot: &Snapshot<'_>) -> Result<Vec<(String, i64, u64)>> {
        snapshot.tables(Owner(())).list_outside()
    }

    /// The users of all items, for `ashlar doctor`.
    pub fn ids(&self, snapshot: &Snapshot<'_>) -> Result<Vec<UserId>> {
        snapshot.tables(Owner(())).list_users()
    }

    // Receiving

    /// An item for a file of `length` bytes, whose content stands in `content` or will.
    ///
    /// # Errors
    /// If it has no bytes; [`Error::NoRoom`] if it is too large, or the person has no room for it.
    fn begin(
        &self,
        work: &UnitOfWork<'_>,
        limits: &MediaLimits,
        user: UserId,
        name: &str,
        length: u64,
        content: ContentId,
    ) -> Result<Item> {
        let tables = work.tables(Owner(()));
        must_fit(length, limits)?;
        let (used, quota) = (tables.used(user)?, limits.quota.0);
        if used.saturating_add(length) > quota {
            return Err(Error::NoRoom(format!(
                "you have {used} bytes of {quota} already, and this file has {length}: delete some files first"
            )));
        }
        let item = Item {
            id: work.new_id(),
            user_id: user,
            name: model::given_name(name),
            content_type: sniff::UNKNOWN.into(),
            size_bytes: length,
            sha256: None,
            state: State::Uploading,
            progress: None,
            note: None,
            width: None,
            height: None,
            duration_ms: None,
            variants: Vec::new(),
            version: 1,
            created_at: work.now(),
            updated_at: work.now(),
            content: Stored { id: content, place: None },
        };
        tables.insert(&item)?;
        work.concerns(user);
        work.raise(SIGNAL);
        Ok(item)
    }

    /// An upload in pieces of a file of `length` bytes.
    ///
    /// # Errors
    /// As [`Media::begin`]; [`Error::Conflict`] if the person has begun too many.
    fn begin_upload(
        &self,
        work: &UnitOfWork<'_>,
        limits: &MediaLimits,
        user: UserId,
        name: &str,
        length: u64,
        metadata: String,
    ) -> Result<Upload> {
        let tables = work.tables(Owner(()));
        if tables.count_uploads(user)? >= MOST_UPLOADS {
            let detail = format!("{MOST_UPLOADS} uploads have begun and not ended: end some of them first");
            return Err(Error::Conflict { field: None, detail });
        }
        let content = work.new_id();
        tables.insert_content(content, None, None, work.now())?;
        let item = self.begin(work, limits, user, name, length, content)?;
        let upload = Upload {
            id: item.id,
            user,
            content,
            length,
            received: 0,
            hash_state: contents::empty_hash(),
            turn: 0,
            metadata,
            expires_at: work.now().plus_seconds(limits.upload_keep_s),
        };
        tables.insert_upload(&upload)?;
        Ok(upload)
    }

    /// A person's upload; [`Error::NotFound`] if it is another's, [`Error::Gone`] if it has expired.
    fn own_upload(&self, snapshot: &Snapshot<'_>, user: UserId, id: ItemId) -> Result<Upload> {
        let upload = snapshot.tables(Owner(())).find_upload(id)?.filter(|upload| upload.user == user);
        let upload = upload.ok_or(Error::NotFound("upload"))?;
        match upload.expires_at < snapshot.now() {
            true => Err(Error::Gone("this upload has expired: begin it anew")),
            false => Ok(upload),
        }
    }

    /// All of an item's content is there: finds out what it is, and has it processed.
    fn arrived(
        &self,
        work: &UnitOfWork<'_>,
        limits: &MediaLimits,
        id: ItemId,
        content: ContentId,
        size: u64,
        sha256: [u8; 32],
    ) -> Result<Item> {
        let head = contents::head(work, content, sniff::HEAD_BYTES)?;
        let content_type = sniff::content_type(&head, head.len() as u64 == size);
        let processing = model::processing_of(content_type);
        let state = if processing.is_some() { State::Processing } else { State::Ready };
        let tables = work.tables(Owner(()));
        tables.filled(content, size, &sha256)?;
        tables.keep_content(content)?;
        tables.arrived(id, &Found { content_type, size_bytes: size, sha256, state }, work.now())?;
        let item = self.get(work, id)?;
        match processing {
            Some(processing) => making::enqueue(work, id, processing)?,
            None if limits.is_outside => moving::soon(work)?,
            None => {}
        }
        record(work, "media.uploaded", &item, None, Some(&said(&item)))?;
        work.raise(SIGNAL);
        Ok(item)
    }

    fn remove(&self, work: &UnitOfWork<'_>, item: &Item) -> Result<()> {
        let tables = work.tables(Owner(()));
        tables.delete_variants(item.id)?;
        tables.discard_content(item.content.id)?;
        tables.delete_upload(item.id)?;
        tables.delete(item.id)?;
        making::withdraw(work, item.id)?;
        work.raise(SIGNAL);
        sweep_soon(work)
    }

    /// Ends an upload that did not go on, or that its client gave up. What has arrived whole stays.
    fn end_upload(&self, work: &UnitOfWork<'_>, upload: &Upload) -> Result<()> {
        match self.get(work, upload.id) {
            Ok(item) if item.state == State::Uploading => self.remove(work, &item),
            Ok(_) | Err(Error::NotFound(_)) => work.tables(Owner(())).delete_upload(upload.id),
            Err(error) => Err(error),
        }
    }

    /// Ends expired uploads, and removes what nobody refers to; false once there is nothing left to do.
    fn sweep(&self, work: &UnitOfWork<'_>) -> Result<bool> {
        let tables = work.tables(Owner(()));
        let expired = tables.list_expired(work.now(), EXPIRED)?;
        for id in &expired {
            if let Some(upload) = tables.find_upload(*id)? {
                self.end_upload(work, &upload)?;
            }
        }
        let unwanted = tables.list_unwanted(work.now().plus_seconds(-FILLING_S), 1)?;
        for id in &unwanted {
            if tables.delete_chunks(*id, REMOVED)? < REMOVED as usize {
                tables.delete_content(*id)?;
            }
        }
        Ok(!expired.is_empty() || !unwanted.is_empty())
    }
}

impl Media {
    /// Removes what lies outside of the database and nobody refers to any more.
    fn sweep_outside(&self, run: &Run) -> Result<(), Failure> {
        let (mut after, mut wrong) = (None, None);
        loop {
            let unwanted = run.database.read_blocking("media_sweep", |snapshot| {
                let time = snapshot.now().plus_seconds(-FILLING_S);
                snapshot.tables(Owner(())).list_unwanted_outside(time, after, 1)
            })?;
            let Some(Stored { id, place }) = unwanted.into_iter().next() else { break };
            after = Some(id);
            run.progress(0)?;
            let place = place.unwrap_or_default();
            match objects::at(&place).and_then(|place| place.remove(&id.to_string())) {
                Ok(()) => run.write("media_sweep", move |work| work.tables(Owner(())).delete_content(id))?,
                // One place that can't be reached holds up no other.
                Err(error) => wrong = Some(error.into()),
            }
        }
        wrong.map_or(Ok(()), Err)
    }
}

/// What the routes of media work with. Clones share it.
#[derive(Clone)]
struct Room {
    platform: Platform,
    media: Media,
}

fn must_fit(length: u64, limits: &MediaLimits) -> Result<()> {
    let limit = limits.max_size;
    match length {
        0 => Err(Error::invalid("file", "the file is empty")),
        length if length > limit.0 => {
            Err(Error::NoRoom(format!("a file may have {limit} at most, which the setting media_max_size allows")))
        }
        _ => Ok(()),
    }
}

fn sweep_soon(work: &UnitOfWork<'_>) -> Result<()> {
    let order = Order { unique_key: Some("soon".into()), is_upkeep: true, ..Order::default() };
    jobs::enqueue_with(work, &Sweep, order).map(drop)
}

fn said(item: &Item) -> Value {
    json!({ "name": item.name, "content_type": item.content_type, "size_bytes": item.size_bytes })
}

fn record(
    work: &UnitOfWork<'_>,
    action: &'static str,
    item: &Item,
    before: Option<&Value>,
    after: Option<&Value>,
) -> Result<()> {
    let before = before.map(|value| value as &dyn audit::erased::Json);
    let after = after.map(|value| value as &dyn audit::erased::Json);
    audit::record(work, Change { action, subject: item.id.uuid(), person: Some(item.user_id), before, after })
}

impl Module for Media {
    fn declaration(&self) -> Declaration {
        Declaration { name: "media", purpose: "Files that people upload, and what is made of them", uses: &[] }
    }

    fn export(&self, snapshot: &Snapshot<'_>, person: UserId) -> Result<Value> {
        let tables = snapshot.tables(Owner(()));
        let items =
            tables.list_all(person)?.into_iter().map(|id| self.get(snapshot, id)).collect::<Result<Vec<_>>>()?;
        serde_json::to_value(items).map_err(|e| Error::internal("exporting files", e))
    }

    fn erase(&self, work: &UnitOfWork<'_>, person: UserId) -> Result<()> {
        for id in work.tables(Owner(())).list_all(person)? {
            let item = self.get(work, id)?;
            self.remove(work, &item)?;
        }
        Ok(())
    }

    fn routes(&self, platform: &Platform) -> Option<Routes> {
        let room = Room { platform: platform.clone(), media: *self };
        http::either([tus::routes(&room), api::routes(&room), pages::routes(&room)].into_iter().flatten())
    }

    fn api(&self) -> utoipa::openapi::OpenApi {
        let mut document = api::MediaApi::openapi();
        document.merge(tus::TusApi::openapi());
        document
    }

    fn nav(&self) -> Option<NavItem> {
        Some(NavItem { label: "Media", href: "/media", for_members: true })
    }

    fn jobs(&self, platform: &Platform) -> Vec<Kind> {
        let media = *self;
        let sweep = Kind::new(move |run: &Run, _: Sweep| {
            let mut is_more = true;
            while is_more {
                is_more = run.write("media_sweep", move |work| media.sweep(work))?;
                run.progress(0)?;
            }
            media.sweep_outside(run)?;
            Ok::<_, Failure>(Record::nothing())
        });
        let mut kinds = making::kinds(self, platform.media.is_outside);
        kinds.push(sweep.slots(1).every("*/5 * * * *"));
        kinds.push(moving::kind(platform.media_place.clone()));
        kinds
    }

    fn works(&self) -> Vec<Work> {
        making::WORKS.to_vec()
    }
}
