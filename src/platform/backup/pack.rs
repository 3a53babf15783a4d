//! Packing: a copy as it is kept, compressed (zstd) and encrypted (age) where that is wanted, with its SHA-256.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use sha2::{Digest, Sha256};

use super::Wrapping;
use super::unpack::PIECE_BYTES;
use crate::platform::db::Watch;
use crate::platform::error::{Error, Result};
use crate::platform::files;

/// zstd's own default: beyond it time grows faster than what is saved.
const LEVEL: i32 = 3;
/// A commit's fsync may have to wait for what others have written and not yet synced: so it is never much.
const SYNC_BYTES: u64 = 1024 * 1024;

/// How backups are kept.
#[derive(Debug, Clone, Default)]
pub struct Packing {
    pub compress: bool,
    /// Whose identities open it; none leaves it open to whoever can read the file.
    pub recipients: Vec<Recipient>,
}

impl Packing {
    pub fn wrapping(&self) -> Wrapping {
        Wrapping { compressed: self.compress, encrypted: !self.recipients.is_empty() }
    }
}

/// Whom a backup is encrypted for: the public half of an identity, `age1…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient(age::x25519::Recipient);

impl FromStr for Recipient {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let why = "no recipient; write what `age-keygen` calls the public key: age1 and 58 more characters";
        text.trim().parse().map(Recipient).map_err(|_| why.to_owned())
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> serde::Deserialize<'de> for Recipient {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Writes the file `plain` into `packed` as `packing` says, and returns the SHA-256 of the outcome in hex.
pub(super) fn pack(plain: &Path, packing: &Packing, packed: File, watch: Watch<'_>) -> Result<String> {
    let doing = format!("packing {}", plain.display());
    let failed = |e: io::Error| files::failed(&doing, e);
    let from = File::open(plain).map_err(failed)?;
    let total = from.metadata().map_err(failed)?.len();
    let mut from = BufReader::with_capacity(PIECE_BYTES, from);
    let out = Paced { to: packed, unsynced: 0, digest: Sha256::new() };
    let out = BufWriter::with_capacity(PIECE_BYTES, out);
    let out = match packing.recipients.as_slice() {
        [] => Out::Open(out),
        recipients => {
            let recipients = recipients.iter().map(|Recipient(one)| one as &dyn age::Recipient);
            let encryptor = age::Encryptor::with_recipients(recipients).map_err(|e| Error::internal(&doing, e))?;
            Out::Encrypted(Box::new(encryptor.wrap_output(out).map_err(failed)?))
        }
    };
    let out = if packing.compress {
        let mut encoder = zstd::stream::write::Encoder::new(out, LEVEL).map_err(failed)?;
        encoder.include_checksum(true).map_err(failed)?;
        copy(&mut from, &mut encoder, total, &failed, watch)?;
        encoder.finish().map_err(failed)?
    } else {
        let mut out = out;
        copy(&mut from, &mut out, total, &failed, watch)?;
        out
    };
    let out = match out {
        Out::Open(out) => out,
        Out::Encrypted(out) => out.finish().map_err(failed)?,
    };
    let out = out.into_inner().map_err(|e| failed(e.into_error()))?;
    out.to.sync_all().map_err(failed)?;
    Ok(hex(&out.digest.finalize()))
}

/// The SHA-256 of a file in hex.
pub(super) fn sha256(file: &Path, watch: Watch<'_>) -> Result<String> {
    let doing = format!("reading {}", file.display());
    let failed = |e: io::Error| Error::internal(&doing, e);
    let mut from = File::open(file).map_err(failed)?;
    let total = from.metadata().map_err(failed)?.len();
    let mut digest = Digester(Sha256::new());
    copy(&mut from, &mut digest, total, &failed, watch)?;
    Ok(hex(&digest.0.finalize()))
}

/// Writes `FILE.sha256` beside `file`, as `sha256sum -c` reads it.
pub(super) fn write_sha256(file: &Path, sha256: &str) -> Result<()> {
    let path = sha256_path(file);
    let doing = format!("writing {}", path.display());
    let unfinished = files::unfinished(&path);
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let written = files::hold(&unfinished)
        .and_then(|mut held| held.write_all(format!("{sha256}  {name}\n").as_bytes()))
        .and_then(|()| files::put_new(&unfinished, &path));
    written.map_err(|e| {
        files::remove_database(&unfinished);
        files::failed(&doing, e)
    })
}

/// What stands in `FILE.sha256` beside `file`, where that is.
pub(super) fn read_sha256(file: &Path) -> Result<Option<String>> {
    let path = sha256_path(file);
    let wrong = |why: String| Error::Internal(format!("{} {why}; remove it, or bring the right one", path.display()));
    let mut text = String::new();
    match File::open(&path).and_then(|beside| beside.take(4096).read_to_string(&mut text)) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(wrong(format!("can't be read ({e})"))),
        Ok(_) => {}
    }
    let digest = text.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
    match digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit()) {
        true => Ok(Some(digest)),
        false => Err(wrong("holds no SHA-256".into())),
    }
}

pub(super) fn sha256_path(file: &Path) -> PathBuf {
    PathBuf::from(format!("{}.sha256", file.display()))
}

fn copy(
    from: &mut impl Read,
    to: &mut impl Write,
    total: u64,
    failed: &dyn Fn(io::Error) -> Error,
    watch: Watch<'_>,
) -> Result<()> {
    let mut piece = vec![0; PIECE_BYTES];
    let mut done = 0;
    loop {
        let read = from.read(&mut piece).map_err(failed)?;
        if read == 0 {
            return Ok(());
        }
        to.write_all(&piece[..read]).map_err(failed)?;
        done += read as u64;
        watch(done, total)?;
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the compressor writes to.
enum Out {
    Open(BufWriter<Paced>),
    Encrypted(Box<age::stream::StreamWriter<BufWriter<Paced>>>),
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Out::Open(out) => out.write(bytes),
            Out::Encrypted(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Out::Open(out) => out.flush(),
            Out::Encrypted(out) => out.flush(),
        }
    }
}

/// Hashes what it writes, and syncs it now and then.
struct Paced {
    to: File,
    unsynced: u64,
    digest: Sha256,
}

impl Write for Paced {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.digest.update(&bytes[..written]);
        self.unsynced += written as u64;
        if self.unsynced >= SYNC_BYTES {
            self.to.sync_data()?;
            self.unsynced = 0;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

struct Digester(Sha256);

impl Write for Digester {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
