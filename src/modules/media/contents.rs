//! Contents: bytes in pieces of 256 KB, filled and read piece by piece, however large they are.
//!
//! A content is filled in small units of work, so that nobody waits long behind one, and counts only once something
//! refers to it. It is read with a short read for each piece, so that a slow client holds no snapshot.

use std::io::{self, Read};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt, stream};
use sha2::digest::common::hazmat::SerializableState;
use sha2::{Digest, Sha256};

use super::Owner;
use super::model::{ContentId, Stored};
use super::repository::MediaRepository;
use crate::platform::db::{Database, Snapshot, UnitOfWork};
use crate::platform::error::{Error, Result};
use crate::platform::metering;
use crate::platform::objects;

/// Bytes of a piece.
pub(super) const CHUNK_BYTES: usize = 256 * 1024;
/// What is written in one unit of work, in whole pieces.
const BATCH_BYTES: usize = 2 * CHUNK_BYTES;

/// A content that is being filled.
pub(super) struct Filling {
    pub id: ContentId,
    /// How much there is, what waits to be written counted.
    pub bytes: u64,
    /// What waits to be written; it begins with piece `number`.
    waiting: Vec<u8>,
    number: u64,
    /// Over what is written, and the first `hashed` bytes of what waits.
    hash: Sha256,
    hashed: usize,
}

/// Pieces to be written.
pub(super) struct Batch {
    content: ContentId,
    first: u64,
    bytes: Vec<u8>,
}

impl Filling {
    pub fn new(id: ContentId) -> Filling {
        Filling { id, bytes: 0, waiting: Vec::new(), number: 0, hash: Sha256::new(), hashed: 0 }
    }

    /// Goes on behind `received` bytes, of which `hash_state` is the hash so far.
    pub fn resume(snapshot: &Snapshot<'_>, id: ContentId, received: u64, hash_state: &[u8]) -> Result<Filling> {
        let state = hash_state.try_into().map_err(|_| Error::Internal("an upload's hash is cut off".into()))?;
        let hash = Sha256::deserialize(&state).map_err(|e| Error::internal("reading an upload's hash", e))?;
        let (number, rest) = (received / CHUNK_BYTES as u64, (received % CHUNK_BYTES as u64) as usize);
        let mut waiting = Vec::new();
        if rest > 0 {
            // What lies behind it arrived and did not count.
            waiting = snapshot.tables(Owner(())).find_chunk(id, number)?.unwrap_or_default();
            if waiting.len() < rest {
                return Err(Error::Internal(format!("piece {number} of the content {id} is cut off")));
            }
            waiting.truncate(rest);
        }
        Ok(Filling { id, bytes: received, waiting, number, hash, hashed: rest })
    }

    /// Takes from `piece` what there is room for; returns what is to be written before the next call. There is nothing once
    /// all of it is taken.
    pub fn push(&mut self, piece: &mut &[u8]) -> Option<Batch> {
        if piece.is_empty() {
            return None;
        }
        let room = BATCH_BYTES - self.waiting.len();
        let (taken, rest) = piece.split_at(piece.len().min(room));
        *piece = rest;
        // At once and no more: what doubles as it fills holds up to four times as much.
        self.waiting.reserve_exact(room);
        self.waiting.extend_from_slice(taken);
        self.bytes += taken.len() as u64;
        (self.waiting.len() == BATCH_BYTES).then(|| {
            let bytes = std::mem::take(&mut self.waiting);
            self.hash.update(&bytes[std::mem::take(&mut self.hashed)..]);
            let first = self.number;
            self.number += (BATCH_BYTES / CHUNK_BYTES) as u64;
            Batch { content: self.id, first, bytes }
        })
    }

    /// How much lies before what waits to be written, and the state of the hash over that: [`Filling::resume`].
    pub fn written(&self) -> (u64, Vec<u8>) {
        (self.number * CHUNK_BYTES as u64, self.hash.serialize().to_vec())
    }

    /// Writes what is left, its last piece cut off where it ends.
    pub fn write_rest(&self, work: &UnitOfWork<'_>) -> Result<()> {
        write(work, self.id, self.number, &self.waiting)
    }

    pub fn sha256(&self) -> [u8; 32] {
        self.whole_hash().finalize().into()
    }

    /// The state of the hash over all of it.
    pub fn hash_state(&self) -> Vec<u8> {
        self.whole_hash().serialize().to_vec()
    }

    fn whole_hash(&self) -> Sha256 {
        let mut hash = self.hash.clone();
        hash.update(&self.waiting[self.hashed..]);
        hash
    }
}

/// The state of a hash over nothing.
pub(super) fn empty_hash() -> Vec<u8> {
    Sha256::new().serialize().to_vec()
}

impl Batch {
    pub fn write(&self, work: &UnitOfWork<'_>) -> Result<()> {
        write(work, self.content, self.first, &self.bytes)
    }
}

fn write(work: &UnitOfWork<'_>, content: ContentId, first: u64, bytes: &[u8]) -> Result<()> {
    let tables = work.tables(Owner(()));
    for (number, piece) in (first..).zip(bytes.chunks(CHUNK_BYTES)) {
        tables.put_chunk(content, number, piece)?;
    }
    Ok(())
}

/// The first bytes of a content.
pub(super) fn head(snapshot: &Snapshot<'_>, id: ContentId, bytes: usize) -> Result<Vec<u8>> {
    let mut first = snapshot.tables(Owner(())).find_chunk(id, 0)?.unwrap_or_default();
    first.truncate(bytes);
    Ok(first)
}

/// Begins a content that is filled for what `label` names; those of earlier tries are discarded.
pub(super) fn begin(work: &UnitOfWork<'_>, label: &str, place: Option<&str>) -> Result<ContentId> {
    let tables = work.tables(Owner(()));
    for earlier in tables.list_labelled(label)? {
        tables.discard_content(earlier.content)?;
    }
    let id = work.new_id();
    tables.insert_content(id, Some(label), place, work.now())?;
    Ok(id)
}

/// Fills a content with what is read; `write` has each batch written, but for the rest.
pub(super) fn pour(id: ContentId, from: &mut dyn Read, mut write: impl FnMut(Batch) -> Result<()>) -> Result<Filling> {
    let mut filling = Filling::new(id);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).map_err(|e| Error::internal("reading what is to be kept", e))?;
        if read == 0 {
            return Ok(filling);
        }
        let mut piece = &buffer[..read];
        while let Some(batch) = filling.push(&mut piece) {
            write(batch)?;
        }
    }
}

/// The bytes `from..to` of a content; in the database, each piece is read when the one before has been sent.
///
/// # Errors
/// [`Error::Unreachable`] if it lies outside, and can't be had now.
pub(super) async fn open(
    database: &Database,
    stored: &Stored,
    from: u64,
    to: u64,
) -> Result<impl Stream<Item = io::Result<Bytes>> + Send + Sync + use<>> {
    let pieces = match &stored.place {
        None => stream(database.clone(), stored.id, from, to).boxed(),
        Some(place) => objects::at(place)?.open(&stored.id.to_string(), from..to).await?,
    };
    // Each piece is read for whoever asked for the first.
    Ok(SyncStream(Mutex::new(metering::carried(pieces).boxed())))
}

/// The same for threads that may wait, from its beginning.
pub(super) fn reader(database: &Database, stored: &Stored, size: u64) -> Result<Box<dyn Read + Send>> {
    Ok(match &stored.place {
        None => Box::new(Reader::new(database.clone(), stored.id, size)),
        Some(place) => Box::new(objects::at(place)?.reader(&stored.id.to_string(), 0..size)?),
    })
}

fn stream(
    database: Database,
    id: ContentId,
    from: u64,
    to: u64,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let read = move |at: u64| {
        let database = database.clone();
        async move {
            if at >= to {
                return Ok(None);
            }
            let number = at / CHUNK_BYTES as u64;
            let chunk = database.read("media_content", move |snapshot| piece(snapshot, id, number)).await;
            let chunk = Bytes::from(chunk.map_err(io::Error::other)?);
            let begin = (at - number * CHUNK_BYTES as u64) as usize;
            let end = chunk.len().min(begin + (to - at) as usize);
            let piece = chunk.slice(begin.min(end)..end);
            if piece.is_empty() {
                return Err(io::Error::other(format!("piece {number} of the content {id} is cut off")));
            }
            let next = at + piece.len() as u64;
            Ok(Some((piece, next)))
        }
    };
    stream::try_unfold(from, read)
}

/// What warp asks to be shareable, though one alone polls it: the mutex is never locked.
struct SyncStream(Mutex<BoxStream<'static, io::Result<Bytes>>>);

fn piece(snapshot: &Snapshot<'_>, id: ContentId, number: u64) -> Result<Vec<u8>> {
    let found = snapshot.tables(Owner(())).find_chunk(id, number)?;
    found.ok_or_else(|| Error::Internal(format!("piece {number} of the content {id} is missing")))
}

/// A content for threads that may wait.
struct Reader {
    database: Database,
    id: ContentId,
    size: u64,
    at: u64,
    piece: io::Cursor<Vec<u8>>,
}

impl Reader {
    fn new(database: Database, id: ContentId, size: u64) -> Reader {
        Reader { database, id, size, at: 0, piece: io::Cursor::default() }
    }
}

impl Read for Reader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut read = self.piece.read(into)?;
        if read == 0 && self.at < self.size {
            let number = self.at / CHUNK_BYTES as u64;
            let id = self.id;
            let bytes = self.database.read_blocking("media_content", |snapshot| piece(snapshot, id, number));
            self.piece = io::Cursor::new(bytes.map_err(io::Error::other)?);
            self.at += CHUNK_BYTES as u64;
            read = self.piece.read(into)?;
        }
        Ok(read)
    }
}

pub(super) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Stream for SyncStream {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner).poll_next_unpin(context)
    }
}
