//! A file that a form sends, written to the disk as it arrives: it may be larger than memory.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use multer::{Field, Multipart};
use tokio::sync::mpsc;
use warp::http::header;

use super::request::{Body, Request};
use crate::platform::bytes::Bytes;
use crate::platform::error::{Error, Result};
use crate::platform::files;

/// A client that sends nothing for so long is given up.
const STALL_S: u64 = 30;
/// What a form says around its file, at most.
const FORM_BYTES: u64 = 64 << 10;
/// How much of what was refused is read all the same, and for how long.
const REST_BYTES: usize = 64 << 20;
const REST_S: u64 = 10;
/// Pieces that wait for the disk.
const WAITING: usize = 16;

impl<P> Request<P> {
    /// Writes the file in `field` of a `multipart/form-data` form, which has no other, to `path`, at most `limit` of it.
    /// Returns the file's name as the client gives it, fit to be shown.
    ///
    /// # Errors
    /// [`Error::Invalid`] of `field` if there is none or it is too large; if it breaks off. Part of it may be at `path`.
    pub async fn save_file(&mut self, field: &'static str, limit: Bytes, path: &Path) -> Result<String> {
        let boundary = self.boundary()?;
        let announced = self.announced().unwrap_or(0);
        if announced > limit.0.saturating_add(FORM_BYTES) {
            return Err(too_large(field, limit));
        }
        let room = files::room(path.parent().unwrap_or(Path::new(".")));
        if announced > room.map_err(|e| Error::internal("looking for room on the disk", e))? {
            return Err(Error::DiskFull);
        }
        let mut form = Multipart::new(arriving(&mut self.body), boundary);
        let part = form.next_field().await.map_err(broken)?.ok_or_else(|| missing(field))?;
        if part.name() != Some(field) {
            return Err(Error::invalid(part.name().unwrap_or("body"), "unknown field"));
        }
        let name = shown_name(part.file_name().unwrap_or("")).ok_or_else(|| missing(field))?;
        let part = part.map(|piece| piece.map_err(broken));
        write(part, path, limit, || too_large(field, limit)).await?;
        match form.next_field().await.map_err(broken)? {
            Some(more) => Err(Error::invalid(more.name().unwrap_or("body"), "unknown field")),
            None => Ok(name),
        }
    }

    /// The file in `field` of a `multipart/form-data` form, which has no other, to be read as it arrives.
    ///
    /// # Errors
    /// [`Error::Invalid`] of `field` if there is none.
    pub async fn file(&mut self, field: &'static str) -> Result<IncomingFile<'_>> {
        let boundary = self.boundary()?;
        let mut form = Multipart::new(arriving(&mut self.body), boundary);
        let part = form.next_field().await.map_err(broken)?.ok_or_else(|| missing(field))?;
        if part.name() != Some(field) {
            return Err(Error::invalid(part.name().unwrap_or("body"), "unknown field"));
        }
        let name = part.file_name().ok_or_else(|| missing(field))?.to_owned();
        Ok(IncomingFile { name, part: Some(part), form })
    }

    /// How many bytes the client says that it sends.
    pub fn announced(&self) -> Option<u64> {
        self.head.headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
    }

    fn boundary(&self) -> Result<String> {
        let content_type = self.head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        content_type
            .and_then(|value| multer::parse_boundary(value).ok())
            .ok_or_else(|| Error::UnsupportedMediaType("send the form with `Content-Type: multipart/form-data`".into()))
    }

    /// The body as it arrives, given up where it does not go on.
    pub fn pieces(&mut self) -> impl Stream<Item = Result<bytes::Bytes>> + Send {
        arriving(&mut self.body)
    }

    /// Writes the body to `path`, at most `limit` of it.
    ///
    /// # Errors
    /// If it is too large or breaks off. Part of it may be at `path`.
    pub async fn save_body(&mut self, limit: Bytes, path: &Path) -> Result<()> {
        let too_large = || Error::TooLarge { limit_bytes: usize::try_from(limit.0).unwrap_or(usize::MAX) };
        write(arriving(&mut self.body), path, limit, too_large).await
    }

    /// Reads what is left of the body, as far as that is little, so that a client that is refused midway sees why: it
    /// reads the answer only once it has sent everything, and of a connection that is closed before it sees nothing.
    pub async fn take_rest(&mut self) {
        let rest = async {
            let mut left = REST_BYTES;
            while let Some(Ok(piece)) = self.body.next().await {
                left = left.saturating_sub(piece.len());
                if left == 0 {
                    break;
                }
            }
        };
        // What takes longer is cut off.
        tokio::time::timeout(Duration::from_secs(REST_S), rest).await.ok();
    }
}

/// A file in a form, as it arrives.
pub struct IncomingFile<'r> {
    /// As the client gives it.
    pub name: String,
    part: Option<Field<'r>>,
    form: Multipart<'r>,
}

impl IncomingFile<'_> {
    /// The next bytes; none at its end, which is the form's.
    ///
    /// # Errors
    /// If it breaks off, or another field follows.
    pub async fn next(&mut self) -> Result<Option<bytes::Bytes>> {
        let Some(part) = &mut self.part else { return Ok(None) };
        if let Some(piece) = part.chunk().await.map_err(broken)? {
            return Ok(Some(piece));
        }
        self.part = None;
        match self.form.next_field().await.map_err(broken)? {
            Some(more) => Err(Error::invalid(more.name().unwrap_or("body"), "unknown field")),
            None => Ok(None),
        }
    }
}

async fn write(
    pieces: impl Stream<Item = Result<bytes::Bytes>>,
    path: &Path,
    limit: Bytes,
    too_large: impl Fn() -> Error,
) -> Result<()> {
    let failed = |e: std::io::Error| files::failed("writing an upload", e);
    let mut file = std::fs::File::create_new(path).map_err(failed)?;
    let (sender, mut waiting) = mpsc::channel::<bytes::Bytes>(WAITING);
    // Off the threads that serve requests; it ends when the sender is dropped, also with the request.
    let writer = tokio::task::spawn_blocking(move || {
        while let Some(piece) = waiting.blocking_recv() {
            file.write_all(&piece)?;
        }
        file.sync_all()
    });
    let mut pieces = std::pin::pin!(pieces);
    let mut arrived = 0;
    while let Some(piece) = pieces.next().await.transpose()? {
        arrived += piece.len() as u64;
        if arrived > limit.0 {
            return Err(too_large());
        }
        if sender.send(piece).await.is_err() {
            break; // The writer has failed; it says why below.
        }
    }
    drop(sender);
    writer.await.map_err(|e| Error::internal("writing an upload", e))?.map_err(failed)
}

/// The body, given up where it does not go on.
fn arriving(body: &mut Body) -> impl Stream<Item = Result<bytes::Bytes>> + Send {
    stream::unfold(body, |body| async move {
        let piece = match tokio::time::timeout(Duration::from_secs(STALL_S), body.next()).await {
            Ok(piece) => piece?.map_err(|e| Error::Malformed(format!("the upload broke off: {e}"))),
            Err(_) => Err(Error::TooSlow { limit_s: STALL_S }),
        };
        Some((piece, body))
    })
}

fn missing(field: &str) -> Error {
    Error::invalid(field, "choose a file")
}

fn too_large(field: &str, limit: Bytes) -> Error {
    Error::invalid(field, format!("larger than {limit}, which the setting max_restore_upload allows"))
}

fn broken(error: multer::Error) -> Error {
    match error {
        multer::Error::StreamReadFailed(cause) => match cause.downcast::<Error>() {
            Ok(ours) => *ours,
            Err(other) => Error::Malformed(format!("the upload broke off: {other}")),
        },
        other => Error::Malformed(format!("the form can't be read: {other}")),
    }
}

/// Characters of a name that are shown.
const NAME_CHARS: usize = 100;

/// The name alone, whatever path the client puts before it; none where there is none.
fn shown_name(name: &str) -> Option<String> {
    let name = name.rsplit(['/', '\\']).next().unwrap_or("");
    let name: String = name.chars().filter(|c| !c.is_control()).take(NAME_CHARS).collect();
    Some(name).filter(|name| !name.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::shown_name;

    #[test]
    fn a_name_is_shown_without_a_path_and_without_what_commands_a_terminal() {
        assert_eq!(shown_name("C:\\backups\\unit.db").as_deref(), Some("unit.db"));
        assert_eq!(shown_name("../../etc/\u{1b}[31mpasswd").as_deref(), Some("[31mpasswd"));
        assert_eq!(shown_name("folder/"), None);
        assert_eq!(shown_name(&"é".repeat(500)).unwrap().chars().count(), 100);
    }
}
