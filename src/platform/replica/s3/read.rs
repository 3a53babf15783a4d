//! Reading from a bucket.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use futures_util::TryStreamExt;
use futures_util::stream::BoxStream;
use object_store::aws::AmazonS3;
use object_store::path::Path;
use object_store::{GetOptions, ObjectStore, ObjectStoreExt};

use super::Inner;
use crate::platform::bucket;
use crate::platform::clock::Time;
use crate::platform::replica::ltx;
use crate::platform::replica::txid::LtxName;

/// An object that is fetched while it is read.
pub struct Object {
    inner: Arc<Inner>,
    chunks: BoxStream<'static, object_store::Result<Bytes>>,
    chunk: Bytes,
}

impl Object {
    pub fn open(inner: Arc<Inner>, name: LtxName) -> io::Result<Object> {
        let chunks = inner.wait(0, inner.store.get(&inner.key(name)))?.into_stream();
        Ok(Object { inner, chunks, chunk: Bytes::new() })
    }
}

impl Read for Object {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() && !to.is_empty() {
            match self.inner.wait(0, self.chunks.try_next())? {
                Some(chunk) => self.chunk = chunk,
                None => return Ok(0),
            }
        }
        let length = to.len().min(self.chunk.len());
        self.chunk.copy_to_slice(&mut to[..length]);
        Ok(length)
    }
}

/// The timestamp in a file's header; none if it is broken.
///
/// Litestream asks for the object's metadata, which says the same: but not every tool that copies a bucket keeps those.
pub async fn timestamp(store: &AmazonS3, key: &Path) -> object_store::Result<Option<Time>> {
    let options = GetOptions::new().with_range(Some(0..ltx::HEADER as u64));
    let header = match store.get_opts(key, options).await {
        Ok(answer) => answer.bytes().await?,
        // An empty object has no such range.
        Err(e) if bucket::status(&e) == Some(416) => return Ok(None),
        Err(e) => return Err(e),
    };
    Ok(ltx::Decoder::new(&header[..]).ok().map(|file| file.header.timestamp))
}
