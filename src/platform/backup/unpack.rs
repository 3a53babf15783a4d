//! Unpacking: the plain SQLite file that a backup holds, whatever that is wrapped in.
//!
//! A backup may be compressed (zstd) and then encrypted (age). It is recognised by its first bytes, never by its name,
//! and read as a stream: memory stays flat however large it is.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use age::DecryptError;

use crate::platform::db;
use crate::platform::error::{Error, Result};
use crate::platform::files;

/// Long enough to tell what a file is.
const MARK_BYTES: u64 = 24;
/// Source: <https://age-encryption.org/v1>.
const AGE: &[u8] = b"age-encryption.org/v1\n";
const AGE_ARMOR: &[u8] = b"-----BEGIN AGE ENCRYPTED";
/// Source: RFC 8878, section 3.1.1.
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// Source: <https://sqlite.org/fileformat2.html>, section 1.3.
const SQLITE: &[u8] = b"SQLite format 3\0";
const SQLITE_HEADER_BYTES: usize = 100;
/// Pieces in which a backup is read and written.
pub(super) const PIECE_BYTES: usize = 128 * 1024;

/// What a database is wrapped in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Wrapping {
    pub compressed: bool,
    pub encrypted: bool,
}

/// Keys that open encrypted backups: the secret halves of recipients.
#[derive(Default)]
pub struct Identities(Vec<age::x25519::Identity>);

impl Identities {
    /// Reads identity files as `age-keygen` writes them: an `AGE-SECRET-KEY-1…` a line; others begin with `#`.
    pub fn read(files: &[PathBuf]) -> Result<Identities> {
        let mut identities = Vec::new();
        for file in files {
            let shown = file.display();
            let text = fs::read_to_string(file).map_err(|e| Error::internal(&format!("reading {shown}"), e))?;
            for (number, line) in text.lines().map(str::trim).enumerate() {
                if line.is_empty() || line.starts_with('#') {
                    continue;
                }
                identities.push(line.parse().map_err(|_| {
                    let line = number + 1;
                    Error::Internal(format!(
                        "{shown} holds no identity in line {line}; name a file that `age-keygen` made"
                    ))
                })?);
            }
        }
        Ok(Identities(identities))
    }
}

/// Writes the SQLite file that the backup `file` holds to `target`, which must not exist, and says what it was wrapped
/// in. What stands in a WAL beside a plain one comes with it. That it is sound is for others to check.
///
/// # Errors
/// If it is no backup, is damaged or cut off, or is encrypted for someone else; nothing is left at `target` then.
pub fn unpack(file: &Path, identities: &Identities, target: &Path) -> Result<Wrapping> {
    let about = About(file);
    let input = about.open()?;
    let mut output = File::create_new(target).map_err(|e| files::failed(&format!("making {}", target.display()), e))?;
    let unpacked = (|| {
        let (mut plain, mark, wrapping) =
            about.unwrap(Box::new(BufReader::with_capacity(PIECE_BYTES, input)), identities)?;
        if wrapping == Wrapping::default() && has_companions(file) {
            return Ok(None);
        }
        about.copy(&mark, &mut plain, &mut output, target, wrapping)?;
        Ok(Some(wrapping))
    })();
    drop(output);
    let unpacked = match unpacked {
        // Part of it stands beside it; SQLite puts both together.
        Ok(None) => fs::remove_file(target)
            .map_err(|e| files::failed(&format!("making {}", target.display()), e))
            .and_then(|()| db::copy_file(file, target))
            .map(|_| Wrapping::default()),
        Ok(Some(wrapping)) => Ok(wrapping),
        Err(error) => Err(error),
    };
    if unpacked.is_err() {
        files::remove_database(target);
    }
    unpacked
}

/// What the backup `file` is wrapped in by its first bytes; whether it is compressed too is hidden where it is encrypted.
pub fn wrapping_of(file: &Path) -> Result<Wrapping> {
    let about = About(file);
    let mut mark = Vec::new();
    about.open()?.take(MARK_BYTES).read_to_end(&mut mark).map_err(|e| about.broken(&e))?;
    Ok(match about.kind(&mark)? {
        Kind::Sqlite => Wrapping::default(),
        Kind::Zstd => Wrapping { compressed: true, encrypted: false },
        Kind::Age => Wrapping { compressed: false, encrypted: true },
    })
}

/// Refuses the plain database `file` if it is shorter than its own header says: SQLite would take what is missing at its
/// end for empty.
pub(super) fn must_be_whole(file: &Path) -> Result<()> {
    let about = About(file);
    let mut header = Vec::new();
    let from = about.open()?;
    (&from).take(SQLITE_HEADER_BYTES as u64).read_to_end(&mut header).map_err(|e| about.broken(&e))?;
    let found = from.metadata().map_err(|e| about.broken(&e))?.len();
    about.must_reach(found, about.announced(&header)?)
}

/// Whether SQLite keeps part of the database `file` beside it.
pub(super) fn has_companions(file: &Path) -> bool {
    ["-wal", "-journal"].iter().any(|suffix| Path::new(&format!("{}{suffix}", file.display())).exists())
}

enum Kind {
    Sqlite,
    Zstd,
    Age,
}

type Stream<'i> = Box<dyn Read + 'i>;

/// The file that messages are about.
struct About<'f>(&'f Path);

impl About<'_> {
    fn open(&self) -> Result<File> {
        match fs::metadata(self.0) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(self.no_backup("does not exist")),
            Err(e) => return Err(self.broken(&e)),
            Ok(found) if found.is_dir() => return Err(self.no_backup("is a folder")),
            // A pipe would be waited for, and can be read only once.
            Ok(found) if !found.is_file() => return Err(self.no_backup("is no file")),
            Ok(found) if found.len() == 0 => return Err(self.no_backup("is empty")),
            Ok(_) => {}
        }
        File::open(self.0).map_err(|e| self.broken(&e))
    }

    /// The innermost stream, what has been read of it already, and what was around it.
    fn unwrap<'i>(
        &self,
        mut stream: Stream<'i>,
        identities: &'i Identities,
    ) -> Result<(Stream<'i>, Vec<u8>, Wrapping)> {
        let mut wrapping = Wrapping::default();
        loop {
            let mut mark = Vec::new();
            stream.by_ref().take(MARK_BYTES).read_to_end(&mut mark).map_err(|e| self.broken(&e))?;
            let kind = self.kind(&mark)?;
            let whole = |mark, stream| io::Cursor::new(mark).chain(stream);
            match kind {
                Kind::Sqlite => return Ok((stream, mark, wrapping)),
                Kind::Zstd if !wrapping.compressed => {
                    wrapping.compressed = true;
                    let reader = zstd::stream::read::Decoder::new(whole(mark, stream)).map_err(|e| self.broken(&e))?;
                    stream = Box::new(reader);
                }
                Kind::Age if wrapping == Wrapping::default() => {
                    wrapping.encrypted = true;
                    let inner =
                        age::Decryptor::new_buffered(BufReader::with_capacity(PIECE_BYTES, whole(mark, stream)))
                            .and_then(|decryptor| {
                                decryptor.decrypt(identities.0.iter().map(|one| one as &dyn age::Identity))
                            });
                    stream = Box::new(inner.map_err(|e| self.locked(&e, identities))?);
                }
                Kind::Zstd | Kind::Age => return Err(self.no_backup("is wrapped more often than a backup is")),
            }
        }
    }

    fn kind(&self, mark: &[u8]) -> Result<Kind> {
        match mark {
            mark if mark.starts_with(SQLITE) => Ok(Kind::Sqlite),
            mark if mark.starts_with(ZSTD) => Ok(Kind::Zstd),
            mark if mark.starts_with(AGE) => Ok(Kind::Age),
            mark if mark.starts_with(AGE_ARMOR) => Err(self.no_backup(
                "is encrypted as text (age's armor); make it binary with `age -d`, or with `age` without -a",
            )),
            _ => Err(self.no_backup("is no SQLite database, or a damaged one")),
        }
    }

    /// Copies what a database's own header says is in it, and no more: what is compressed may pretend to be endless.
    fn copy(&self, mark: &[u8], rest: &mut Stream<'_>, to: &mut File, target: &Path, wrapping: Wrapping) -> Result<()> {
        let failed = |e: io::Error| files::failed(&format!("writing {}", target.display()), e);
        let mut header = mark.to_vec();
        let wanted = (SQLITE_HEADER_BYTES - mark.len()) as u64;
        rest.by_ref().take(wanted).read_to_end(&mut header).map_err(|e| self.broken(&e))?;
        let announced = self.announced(&header)?;
        to.write_all(&header).map_err(failed)?;
        let mut done = header.len() as u64;
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let read = match rest.read(&mut piece) {
                Ok(0) => break,
                Ok(read) => read,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(self.broken(&e)),
            };
            done += read as u64;
            if done > announced && wrapping != Wrapping::default() {
                return Err(self.no_backup(&format!("holds more than the {announced} bytes that it says")));
            }
            to.write_all(&piece[..read]).map_err(failed)?;
        }
        self.must_reach(done, announced)
    }

    fn announced(&self, header: &[u8]) -> Result<u64> {
        announced_bytes(header).ok_or_else(|| self.no_backup("has a damaged header"))
    }

    fn must_reach(&self, found: u64, announced: u64) -> Result<()> {
        match found < announced {
            true => Err(self.no_backup(&format!("is cut off: {found} of {announced} bytes are there"))),
            false => Ok(()),
        }
    }

    fn no_backup(&self, what: &str) -> Error {
        Error::Internal(format!("{} {what}; name a file that `ashlar backup` made", self.0.display()))
    }

    fn broken(&self, error: &io::Error) -> Error {
        let file = self.0.display();
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Error::Internal(format!("{file} is cut off; name a whole one")),
            io::ErrorKind::PermissionDenied | io::ErrorKind::IsADirectory => {
                Error::internal(&format!("reading {file}"), error)
            }
            _ => Error::Internal(format!("{file} is damaged or cut off ({error}); name another one")),
        }
    }

    fn locked(&self, error: &DecryptError, identities: &Identities) -> Error {
        let file = self.0.display();
        Error::Internal(match error {
            DecryptError::NoMatchingKeys if identities.0.is_empty() => {
                format!("{file} is encrypted; name the file with its identity with --identity FILE")
            }
            DecryptError::NoMatchingKeys => {
                format!("{file} is encrypted for someone else: no identity that was given opens it")
            }
            DecryptError::ExcessiveWork { .. } | DecryptError::KeyDecryptionFailed => {
                format!("{file} is encrypted with a passphrase, which no backup is")
            }
            DecryptError::Io(e) => return self.broken(e),
            _ => format!("{file} is damaged or cut off: what it says of its encryption can't be read"),
        })
    }
}

/// The size in bytes that a database's header gives; none if it gives none.
///
/// Source: <https://sqlite.org/fileformat2.html>, section 1.3.
fn announced_bytes(header: &[u8]) -> Option<u64> {
    let word = |at: usize| header.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes);
    let page_bytes = match u16::from_be_bytes(header.get(16..18)?.try_into().ok()?) {
        1 => 65536,
        bytes if bytes.is_power_of_two() && bytes >= 512 => u64::from(bytes),
        _ => return None,
    };
    // The count is right only where whoever changed the file last has kept it.
    (word(24)? == word(92)?).then_some(u64::from(word(28)?) * page_bytes)
}
