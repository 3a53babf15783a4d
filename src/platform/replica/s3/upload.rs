//! A new file in a bucket.

use std::io::{self, ErrorKind, Write};
use std::sync::Arc;

use bytes::Bytes;
use object_store::aws::AmazonS3;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{Attribute, Attributes, GetOptions, ObjectStore, PutMode, PutOptions, PutPayload};
use uuid::Uuid;

use super::{Inner, LITTLE_PATIENCE};
use crate::platform::clock::Time;
use crate::platform::replica::place::Upload;
use crate::platform::replica::txid::LtxName;

/// What is larger goes in parts of this size. S3 takes 10,000 of them: 78 GiB.
const PART_BYTES: usize = 8 * 1024 * 1024;
/// As Litestream marks its files; its restore to a time goes by it.
const TIMESTAMP: &str = "litestream-timestamp";
/// In which upload it was written.
const UPLOAD: &str = "ashlar-upload";

/// A file that does not bear its name yet.
pub struct New {
    inner: Arc<Inner>,
    name: LtxName,
    key: Path,
    timestamp: Time,
    upload: Uuid,
    buffer: Vec<u8>,
    parts: Option<Parts>,
    /// A part was lost: what was written can't become a file any more.
    is_broken: bool,
}

/// What the bucket holds of it so far.
struct Parts {
    id: String,
    sent: Vec<PartId>,
}

/// Whose object bears a name.
enum Owner {
    ThisUpload { tag: Option<String> },
    Another,
    Nobody,
}

impl New {
    pub fn begin(inner: Arc<Inner>, name: LtxName, timestamp: Time) -> New {
        let key = inner.key(name);
        let (upload, buffer) = (Uuid::now_v7(), Vec::new());
        New { inner, name, key, timestamp, upload, buffer, parts: None, is_broken: false }
    }

    fn attributes(&self) -> Attributes {
        let mark = |name: &'static str| Attribute::Metadata(name.into());
        Attributes::from_iter([(mark(TIMESTAMP), self.timestamp.to_string()), (mark(UPLOAD), self.upload.to_string())])
    }

    fn send_part(&mut self) -> io::Result<()> {
        // Until it is there.
        self.is_broken = true;
        let inner = self.inner.clone();
        let mut parts = match self.parts.take() {
            Some(parts) => parts,
            None => {
                let options = self.attributes().into();
                let id = inner.wait(0, inner.store.create_multipart_opts(&self.key, options))?;
                Parts { id, sent: Vec::new() }
            }
        };
        let part = std::mem::take(&mut self.buffer);
        let (bytes, number) = (part.len(), parts.sent.len());
        let sent = inner.wait(bytes, inner.store.put_part(&self.key, &parts.id, number, PutPayload::from(part)));
        let sent = sent.map(|part| parts.sent.push(part));
        // Also when it failed, so that it is aborted.
        self.parts = Some(parts);
        sent?;
        self.is_broken = false;
        Ok(())
    }

    /// Gives it its name; with `only_new`, if there is no such object. Returns its entity tag.
    fn store(&self, rest: &Bytes, only_new: bool) -> io::Result<Option<String>> {
        match &self.parts {
            Some(parts) => self.complete(parts, only_new),
            None => self.put(rest, if only_new { PutMode::Create } else { PutMode::Overwrite }),
        }
    }

    fn put(&self, content: &Bytes, mode: PutMode) -> io::Result<Option<String>> {
        let options = PutOptions { mode, attributes: self.attributes(), ..PutOptions::default() };
        let payload = PutPayload::from_bytes(content.clone());
        let put = self.inner.wait(content.len(), self.inner.store.put_opts(&self.key, payload, options))?;
        Ok(put.e_tag)
    }

    fn complete(&self, parts: &Parts, only_new: bool) -> io::Result<Option<String>> {
        let store: &AmazonS3 = if only_new { &self.inner.only_new } else { &self.inner.store };
        if only_new && !matches!(self.owner()?, Owner::Nobody) {
            // A server that does not know the condition would pass over it.
            return Err(ErrorKind::AlreadyExists.into());
        }
        let sent: Vec<PartId> = parts.sent.iter().map(|part| PartId { content_id: part.content_id.clone() }).collect();
        Ok(self.inner.wait(0, store.complete_multipart(&self.key, &parts.id, sent))?.e_tag)
    }

    /// Whose object bears the name now.
    fn owner(&self) -> io::Result<Owner> {
        let head = GetOptions::new().with_head(true);
        let found = self.inner.runtime.block_on(self.inner.within(LITTLE_PATIENCE, async {
            match self.inner.store.get_opts(&self.key, head).await {
                // An answer to HEAD has no body that would say what is missing.
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                found => found.map(Some),
            }
        }))?;
        let Some(found) = found else { return Ok(Owner::Nobody) };
        let mark = found.attributes.get(&Attribute::Metadata(UPLOAD.into())).map_or("", |mark| mark.as_ref());
        let upload = self.upload.to_string();
        Ok(match mark {
            of if of == upload => Owner::ThisUpload { tag: found.meta.e_tag },
            _ => Owner::Another,
        })
    }

    /// As [`New::store`]. An answer can be lost on the way, and the request, sent again, be refused for its own work:
    /// so whoever fails looks at what is there.
    fn store_once(&self, rest: &Bytes) -> io::Result<Option<String>> {
        let error = match self.store(rest, true) {
            Ok(tag) => return Ok(tag),
            Err(error) => error,
        };
        match (error.kind(), self.owner()) {
            (_, Ok(Owner::ThisUpload { tag })) => Ok(tag),
            // It knows no conditions.
            (ErrorKind::Unsupported, Ok(Owner::Nobody)) => self.store(rest, false),
            (ErrorKind::AlreadyExists | ErrorKind::Unsupported, Ok(Owner::Another)) => Err(io::Error::new(
                ErrorKind::AlreadyExists,
                format!("{}: {} is there already, from another upload", self.inner.named.shown, self.name),
            )),
            (ErrorKind::AlreadyExists, Ok(Owner::Nobody)) => Err(io::Error::new(
                ErrorKind::ResourceBusy,
                format!("{}: {} was there and is gone: it is tried again", self.inner.named.shown, self.name),
            )),
            // It may be its own: the next try finds out.
            (ErrorKind::AlreadyExists, Err(unknown)) => Err(unknown),
            _ => Err(error),
        }
    }
}

impl Write for New {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_broken {
            return Err(ErrorKind::BrokenPipe.into());
        }
        if self.buffer.len() >= PART_BYTES {
            self.send_part()?;
        }
        let length = bytes.len().min(PART_BYTES - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..length]);
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Upload for New {
    fn finish(mut self: Box<Self>) -> io::Result<()> {
        if self.is_broken {
            return Err(ErrorKind::BrokenPipe.into());
        }
        if self.parts.is_some() && !self.buffer.is_empty() {
            self.send_part()?;
        }
        let rest = Bytes::from(std::mem::take(&mut self.buffer));
        let tag = self.store_once(&rest)?;
        self.parts = None;
        self.inner.remember(self.name, tag.unwrap_or_default(), self.timestamp);
        Ok(())
    }
}

impl Drop for New {
    fn drop(&mut self) {
        if let Some(parts) = self.parts.take() {
            // What can't be removed now, the bucket's own rules remove.
            let abort = self.inner.store.abort_multipart(&self.key, &parts.id);
            self.inner.runtime.block_on(self.inner.within(LITTLE_PATIENCE, abort)).ok();
        }
    }
}
