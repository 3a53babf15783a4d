//! Receiving: bytes that arrive are written as they come, a few pieces at a time, so that memory stays flat whatever is
//! sent, and what has arrived stays when the connection breaks.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::contents::Filling;
use super::model::{ContentId, Item, ItemId};
use super::repository::{MediaRepository, Upload};
use super::{Owner, Room};
use crate::platform::auth::Caller;
use crate::platform::clock::Time;
use crate::platform::db::UnitOfWork;
use crate::platform::error::{Error, Result};
use crate::platform::http::{Call, IncomingFile, Saved};
use crate::platform::ids::UserId;

/// What the client says that its bytes hash to.
pub(super) enum Checksum {
    Sha1(Sha1, Vec<u8>),
    Sha256(Sha256, Vec<u8>),
}

impl Checksum {
    /// `sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=`
    pub fn parse(text: &str) -> Option<Checksum> {
        let (algorithm, sum) = text.trim().split_once(' ')?;
        let sum = STANDARD.decode(sum.trim()).ok()?;
        match algorithm {
            "sha1" => Some(Checksum::Sha1(Sha1::new(), sum)),
            "sha256" => Some(Checksum::Sha256(Sha256::new(), sum)),
            _ => None,
        }
    }

    fn update(&mut self, piece: &[u8]) {
        match self {
            Checksum::Sha1(hash, _) => hash.update(piece),
            Checksum::Sha256(hash, _) => hash.update(piece),
        }
    }

    fn holds(self) -> bool {
        let (found, said) = match self {
            Checksum::Sha1(hash, said) => (hash.finalize().to_vec(), said),
            Checksum::Sha256(hash, said) => (hash.finalize().to_vec(), said),
        };
        found.len() == said.len() && bool::from(found.ct_eq(&said))
    }
}

/// What came of a request that appends.
pub(super) enum Appended {
    To {
        received: u64,
        expires_at: Time,
    },
    /// The bytes do not hash to what the client said: none of them counts.
    WrongChecksum,
}

impl Room {
    /// Appends what arrives to an upload. What has arrived when the connection breaks stays, but for bytes with a checksum,
    /// which count only when it is right.
    ///
    /// # Errors
    /// [`Error::Conflict`] if another request goes on with it, [`Error::NoRoom`] if more arrives than was announced.
    pub async fn append(
        &self,
        caller: Caller,
        upload: Upload,
        pieces: impl Stream<Item = Result<Bytes>> + Send,
        mut checksum: Option<Checksum>,
    ) -> Result<Appended> {
        let (id, content, before) = (upload.id, upload.content, upload.received);
        let turn = self.platform.change("media_upload", caller, move |work| {
            work.tables(Owner(())).take_turn(id, before)?.ok_or_else(taken_over)
        });
        let turn = turn.await?;
        let state = upload.hash_state.clone();
        let resume = self
            .platform
            .database
            .read("media_upload", move |snapshot| Filling::resume(snapshot, content, before, &state));
        let mut filling = resume.await?;
        let mut pieces = std::pin::pin!(pieces);
        let mut ended = Ok(());
        while let Some(piece) = pieces.next().await {
            let piece = match piece {
                Ok(piece) if filling.bytes + piece.len() as u64 <= upload.length => piece,
                Ok(_) => {
                    let announced = upload.length;
                    ended = Err(Error::NoRoom(format!("more arrived than the {announced} bytes that were announced")));
                    break;
                }
                Err(broken) => {
                    ended = Err(broken);
                    break;
                }
            };
            if let Some(checksum) = &mut checksum {
                checksum.update(&piece);
            }
            let mut piece = &piece[..];
            while let Some(batch) = filling.push(&mut piece) {
                // With a checksum nothing counts before all of it is there.
                let (received, hash_state) = match checksum {
                    None => filling.written(),
                    Some(_) => (before, upload.hash_state.clone()),
                };
                let reached = Reached { id, turn, received, hash_state, keep_s: self.platform.media.upload_keep_s };
                let written = self.platform.change("media_upload", caller, move |work| {
                    batch.write(work)?;
                    reached.note(work).map(drop)
                });
                written.await?;
            }
        }
        if let Some(checksum) = checksum {
            ended?;
            if !checksum.holds() {
                return Ok(Appended::WrongChecksum);
            }
            return self.append_rest(caller, &upload, turn, filling).await;
        }
        let appended = self.append_rest(caller, &upload, turn, filling).await?;
        ended.map(|()| appended)
    }

    /// Writes what is left; where that is the end of the file, the item has arrived.
    async fn append_rest(&self, caller: Caller, upload: &Upload, turn: i64, filling: Filling) -> Result<Appended> {
        let (received, hash_state) = (filling.bytes, filling.hash_state());
        let keep_s = self.platform.media.upload_keep_s;
        let reached = Reached { id: upload.id, turn, received, hash_state, keep_s };
        let is_whole = received == upload.length;
        let (media, limits, id, content) = (self.media, self.platform.media, upload.id, upload.content);
        let written = self.platform.change("media_upload", caller, move |work| {
            filling.write_rest(work)?;
            let expires_at = reached.note(work)?;
            if is_whole {
                media.arrived(work, &limits, id, content, received, filling.sha256())?;
            }
            Ok(expires_at)
        });
        Ok(Appended::To { received, expires_at: written.await? })
    }

    /// Takes a whole file, as a form brings it; `then` has its part in the transaction that keeps it.
    pub async fn receive(
        &self,
        call: Call,
        caller: Caller,
        user: UserId,
        file: IncomingFile<'_>,
        then: impl FnOnce(&UnitOfWork<'_>, &Item) -> Result<()> + Send + 'static,
    ) -> Result<Saved<Item>> {
        let content = self.platform.change("media_upload", caller, |work| {
            let content: ContentId = work.new_id();
            work.tables(Owner(())).insert_content(content, None, None, work.now())?;
            Ok(content)
        });
        let content = content.await?;
        let saved = self.receive_into(content, call, caller, user, file, then).await;
        if !matches!(saved, Ok(Saved::Fresh(_))) {
            let discarded = self.platform.change("media_upload", caller, move |work| {
                work.tables(Owner(())).discard_content(content)?;
                super::sweep_soon(work)
            });
            if let Err(error) = discarded.await {
                tracing::warn!(%error, "what arrived of an upload is removed later");
            }
        }
        saved
    }

    async fn receive_into(
        &self,
        content: ContentId,
        call: Call,
        caller: Caller,
        user: UserId,
        mut file: IncomingFile<'_>,
        then: impl FnOnce(&UnitOfWork<'_>, &Item) -> Result<()> + Send + 'static,
    ) -> Result<Saved<Item>> {
        let mut filling = Filling::new(content);
        while let Some(piece) = file.next().await? {
            super::must_fit(filling.bytes + piece.len() as u64, &self.platform.media)?;
            let mut piece = &piece[..];
            while let Some(batch) = filling.push(&mut piece) {
                self.platform.change("media_upload", caller, move |work| batch.write(work)).await?;
            }
        }
        let name = std::mem::take(&mut file.name);
        let (media, limits) = (self.media, self.platform.media);
        let (size, sha256) = (filling.bytes, filling.sha256());
        let saved = self.platform.write("media_upload", call.with_body(&sha256), move |work| {
            let item = media.begin(work, &limits, user, &name, size, content)?;
            filling.write_rest(work)?;
            let item = media.arrived(work, &limits, item.id, content, size, sha256)?;
            then(work, &item)?;
            Ok(item)
        });
        saved.await
    }
}

/// How far an upload has come, in whose turn.
struct Reached {
    id: ItemId,
    turn: i64,
    received: u64,
    hash_state: Vec<u8>,
    keep_s: i64,
}

impl Reached {
    /// Notes it; returns when the upload expires then.
    fn note(&self, work: &UnitOfWork<'_>) -> Result<Time> {
        let expires_at = work.now().plus_seconds(self.keep_s);
        match work.tables(Owner(())).advance(self.id, self.turn, self.received, &self.hash_state, expires_at)? {
            true => Ok(expires_at),
            false => Err(taken_over()),
        }
    }
}

/// Another request appends to the same upload.
fn taken_over() -> Error {
    Error::Conflict { field: None, detail: "another request goes on with this upload: ask where it is".into() }
}
