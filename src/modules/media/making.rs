//! Making: what becomes of pictures and videos, as jobs that run here or on a worker.

use std::io::Read;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::contents;
use super::model::{Item, ItemId, Processing, State, Stored, Variant, processing_of};
use super::moving;
use super::processing::{self, Limits, NAMES, Processed};
use super::repository::{MediaRepository, Outcome};
use super::{Media, Owner, SIGNAL, sweep_soon};
use crate::platform::db::{Database, Snapshot, UnitOfWork};
use crate::platform::error::{Error, Result};
use crate::platform::jobs::{self, Failure, Input, Kind, Order, Payload, Portable, Run, Work};

/// Makes the sizes of a picture.
#[derive(Debug, Serialize, Deserialize)]
struct Picture {
    item: String,
}
impl Payload for Picture {
    const KIND: &'static str = "media.image";
}

/// Makes the video that plays everywhere, and its poster.
#[derive(Debug, Serialize, Deserialize)]
struct Video {
    item: String,
}
impl Payload for Video {
    const KIND: &'static str = "media.video";
}

pub(super) const WORKS: [Work; 2] =
    [Work { kind: Picture::KIND, run: processing::picture }, Work { kind: Video::KIND, run: processing::video }];

/// Longer than a video may be worked on.
const LONGEST_RUN: std::time::Duration = std::time::Duration::from_secs(70 * 60);
/// What a worker's result may say in words.
const MAX_NOTE_CHARS: usize = 500;

/// Asks for what is to be made of an item.
pub(super) fn enqueue(work: &UnitOfWork<'_>, item: ItemId, what: Processing) -> Result<()> {
    let key = item.to_string();
    let order = Order { unique_key: Some(key.clone()), ..Order::default() };
    match what {
        Processing::Image => jobs::enqueue_with(work, &Picture { item: key }, order),
        Processing::Video => jobs::enqueue_with(work, &Video { item: key }, order),
    }
    .map(drop)
}

/// How far that is, in percent.
pub(super) fn progress_of(snapshot: &Snapshot<'_>, item: &Item) -> Result<Option<u8>> {
    let kind = match (item.state, processing_of(&item.content_type)) {
        (State::Processing, Some(Processing::Image)) => Picture::KIND,
        (State::Processing, Some(Processing::Video)) => Video::KIND,
        _ => return Ok(None),
    };
    jobs::progress_of(snapshot, kind, &item.id.to_string())
}

/// Nobody wants it any more: whatever works on it stops.
pub(super) fn withdraw(work: &UnitOfWork<'_>, item: ItemId) -> Result<()> {
    WORKS.iter().try_for_each(|one| jobs::withdraw(work, one.kind, &item.to_string()))
}

pub(super) fn kinds(media: &Media, is_outside: bool) -> Vec<Kind> {
    let [picture, video] = WORKS;
    let (one, two) = (*media, *media);
    vec![
        Kind::portable(picture, Making::<Picture>::of(media, is_outside, |it| it.item))
            // One after the other: each may hold as much memory as its limit says.
            .slots(1)
            .attempts(4)
            .on_death(move |work, Picture { item }, why| one.gave_up(work, &item, why, is_outside)),
        Kind::portable(video, Making::<Video>::of(media, is_outside, |it| it.item))
            .slots(1)
            .attempts(4)
            .longest_run(LONGEST_RUN)
            .on_death(move |work, Video { item }, why| two.gave_up(work, &item, why, is_outside)),
    ]
}

/// The server's part: content out, variants in.
struct Making<P> {
    media: Media,
    /// Contents are moved out of the database.
    is_outside: bool,
    item_of: fn(P) -> String,
}

impl<P> Making<P> {
    fn of(media: &Media, is_outside: bool, item_of: fn(P) -> String) -> Making<P> {
        Making { media: *media, is_outside, item_of }
    }

    fn item_of(&self, payload: P) -> Result<ItemId> {
        ItemId::parse(&(self.item_of)(payload), "file")
    }
}

impl<P: Payload> Portable for Making<P> {
    type Payload = P;

    fn open(&self, database: &Database, payload: P) -> Result<Input, Failure> {
        let id = self.item_of(payload)?;
        let item = match database.read_blocking("media_processing", |snapshot| self.media.get(snapshot, id)) {
            Err(Error::NotFound(_)) => return Err(Failure::Never("the file was deleted meanwhile".into())),
            found => found?,
        };
        let order = processing::Order { limits: Limits::default() };
        let order = serde_json::to_value(order).map_err(|e| Failure::Never(e.to_string()))?;
        let content = contents::reader(database, &item.content, item.size_bytes)?;
        Ok(Input { order, bytes: item.size_bytes, content })
    }

    fn keep(&self, run: &Run, payload: P, name: &str, file: &mut dyn Read) -> Result<(), Failure> {
        if !NAMES.contains(&name) {
            return Err(Failure::Never(format!("`{name}` is the name of no variant")));
        }
        fill(run, label(self.item_of(payload)?, name), file)
    }

    fn record(&self, work: &UnitOfWork<'_>, payload: P, result: Value) -> Result<()> {
        let processed = serde_json::from_value(result).map_err(|e| Error::internal("reading what was made", e))?;
        self.media.made(work, self.item_of(payload)?, processed)?;
        if self.is_outside { moving::soon(work) } else { Ok(()) }
    }
}

impl Media {
    /// Puts what was made in its place: all of it, in the transaction that ends the job.
    fn made(&self, work: &UnitOfWork<'_>, id: ItemId, made: Processed) -> Result<()> {
        let tables = work.tables(Owner(()));
        if tables.find(id)?.is_none() {
            // It was deleted meanwhile; what was filled for it goes by itself.
            return Ok(());
        }
        tables.delete_variants(id)?;
        for one in &made.variants {
            if !NAMES.contains(&one.name.as_str())
                || !["image/jpeg", "image/png", "video/mp4"].contains(&one.content_type.as_str())
            {
                return Err(Error::Internal(format!("a variant `{}` of type `{}`", one.name, one.content_type)));
            }
            let mut filled = tables.list_labelled(&label(id, &one.name))?.into_iter();
            let whole = filled.next().and_then(|it| Some((it.content, it.size_bytes?, it.sha256?)));
            let (content, size_bytes, sha256) =
                whole.ok_or_else(|| Error::Internal(format!("the variant `{}` was not handed in", one.name)))?;
            let variant = Variant {
                name: one.name.clone(),
                content_type: one.content_type.clone(),
                size_bytes,
                sha256: String::new(),
                width: Some(one.width),
                height: Some(one.height),
                content: Stored { id: content, place: None },
            };
            tables.keep_content(content)?;
            tables.put_variant(id, &variant, &sha256)?;
        }
        let outcome = Outcome {
            state: Some(State::Ready),
            note: made.note.map(|note| note.chars().take(MAX_NOTE_CHARS).collect()),
            width: made.width,
            height: made.height,
            duration_ms: made.duration_ms,
        };
        tables.processed(id, &outcome, work.now())?;
        work.raise(SIGNAL);
        sweep_soon(work)
    }

    /// Nothing could be made of it: it stays as it was uploaded, with the reason.
    fn gave_up(&self, work: &UnitOfWork<'_>, item: &str, why: &str, is_outside: bool) -> Result<()> {
        let outcome = Outcome { state: Some(State::Failed), note: Some(why.to_owned()), ..Outcome::default() };
        work.tables(Owner(())).processed(ItemId::parse(item, "file")?, &outcome, work.now())?;
        work.raise(SIGNAL);
        if is_outside { moving::soon(work) } else { Ok(()) }
    }
}

/// What a content is called that is filled for a variant of an item.
fn label(item: ItemId, variant: &str) -> String {
    format!("{item} {variant}")
}

/// Fills a content from a file that was made; those of earlier tries are discarded.
fn fill(run: &Run, label: String, file: &mut dyn Read) -> Result<(), Failure> {
    let id = run.write("media_variant", move |work| contents::begin(work, &label, None))?;
    let write = |batch: contents::Batch| run.write("media_variant", move |work| batch.write(work));
    let filling = contents::pour(id, file, write)?;
    let filled = run.write("media_variant", move |work| {
        filling.write_rest(work)?;
        work.tables(Owner(())).filled(filling.id, filling.bytes, &filling.sha256())
    });
    Ok(filled?)
}
