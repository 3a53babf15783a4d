//! A replica in a folder: `ltx/<level>/<min>-<max>.ltx`.

use std::fs::{self, File, FileTimes};
use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::place::{Held, Place, Upload};
use super::txid::{LtxFile, LtxName};
use crate::platform::clock::Time;
use crate::platform::error::{Error, Result};
use crate::platform::files;
use crate::platform::pace::PacedFile;

const LOCK: &str = "ashlar.lock";
const BUFFER: usize = 256 * 1024;

pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// # Errors
    /// If the path is not absolute: it must not depend on where the program was started.
    pub fn at(path: &Path) -> Result<Folder> {
        if !path.is_absolute() || path.parent().is_none() {
            return Err(Error::Internal(format!(
                "file://{} is no replica: write the whole path, as in file:///var/backups/ashlar",
                path.display()
            )));
        }
        Ok(Folder { root: path.to_owned() })
    }

    fn level(&self, level: u8) -> PathBuf {
        self.root.join("ltx").join(level.to_string())
    }

    fn file(&self, name: LtxName) -> PathBuf {
        self.level(name.level).join(name.file_name())
    }
}

impl Place for Folder {
    fn list(&self, level: u8) -> io::Result<Vec<LtxFile>> {
        let entries = match fs::read_dir(self.level(level)) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry?;
            let Some(name) = entry.file_name().to_str().and_then(|name| LtxName::parse(level, name)) else { continue };
            match entry.metadata() {
                Ok(file) => found.push(LtxFile { name, timestamp: time_of(file.modified()?), bytes: file.len() }),
                // Whoever looks after the replica has just removed it.
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
        found.sort_by_key(|file| file.name);
        Ok(found)
    }

    fn open(&self, name: LtxName) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(BufReader::with_capacity(BUFFER, File::open(self.file(name))?)))
    }

    fn create(&self, name: LtxName, timestamp: Time) -> io::Result<Box<dyn Upload>> {
        let target = self.file(name);
        make_folder(&self.level(name.level))?;
        let unfinished = files::unfinished(&target);
        let file = File::create(&unfinished)?;
        let file = BufWriter::with_capacity(BUFFER, PacedFile::new(file));
        Ok(Box::new(New { file: Some(file), unfinished, target, timestamp }))
    }

    fn remove(&self, names: &[LtxName]) -> io::Result<()> {
        for name in names {
            match fs::remove_file(self.file(*name)) {
                Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
        Ok(())
    }

    fn read_note(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.root.join(name)) {
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            content => content.map(Some),
        }
    }

    fn write_note(&self, name: &str, content: &[u8]) -> io::Result<()> {
        make_folder(&self.root)?;
        let target = self.root.join(name);
        let unfinished = files::unfinished(&target);
        fs::write(&unfinished, content)?;
        files::put(&unfinished, &target)
    }

    fn lock(&self) -> io::Result<Option<Box<dyn Held>>> {
        make_folder(&self.root)?;
        let path = self.root.join(LOCK);
        let file = File::options().create(true).truncate(false).write(true).open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Ok(None),
            Err(fs::TryLockError::Error(e)) => return Err(e),
        }
        // Nobody else writes here: whatever is unfinished was left by a process that was killed.
        for level in 0..=9 {
            match files::remove_left_over(&self.level(level)) {
                Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
        Ok(Some(Box::new(Taken { file, path })))
    }

    fn is_far(&self) -> bool {
        false
    }

    fn shown(&self) -> String {
        format!("file://{}", self.root.display())
    }
}

/// The folder's lock.
struct Taken {
    file: File,
    path: PathBuf,
}

impl Held for Taken {
    fn must_be_there(&self) -> io::Result<()> {
        let (ours, there) = (self.file.metadata()?, fs::metadata(&self.path));
        match there {
            Ok(there) if (there.dev(), there.ino()) == (ours.dev(), ours.ino()) => Ok(()),
            Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
            _ => Err(io::Error::new(
                ErrorKind::NotFound,
                format!(
                    "{} is not the file that was locked: mount the disk, or bring the folder back; if it is gone for good, remove \
                     replica.json in the unit's folder and restart the server to begin a new one",
                    self.path.display()
                ),
            )),
        }
    }
}

/// A file that does not bear its name yet.
struct New {
    file: Option<BufWriter<PacedFile>>,
    unfinished: PathBuf,
    target: PathBuf,
    timestamp: Time,
}

impl Write for New {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.file {
            Some(file) => file.write(bytes),
            None => Err(ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Upload for New {
    fn finish(mut self: Box<Self>) -> io::Result<()> {
        let Some(file) = self.file.take() else { return Err(ErrorKind::BrokenPipe.into()) };
        let file = file.into_inner().map_err(io::IntoInnerError::into_error)?.into_inner();
        // A restore by time goes by it, so it must be there as soon as the name is.
        let modified = SystemTime::UNIX_EPOCH + Duration::from_millis(self.timestamp.as_ms().unsigned_abs());
        file.set_times(FileTimes::new().set_modified(modified))?;
        drop(file);
        files::put_new(&self.unfinished, &self.target)
    }
}

impl Drop for New {
    fn drop(&mut self) {
        // Finished, it has another name; and what can't be removed goes with the next start.
        fs::remove_file(&self.unfinished).ok();
    }
}

/// Makes `folder`, its name on the disk.
fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(folder)?;
    let mut made = folder;
    while let Some(parent) = made.parent() {
        if !parent.as_os_str().is_empty() {
            File::open(parent)?.sync_all()?;
        }
        made = parent;
    }
    Ok(())
}

fn time_of(time: SystemTime) -> Time {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Time::from_ms(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
