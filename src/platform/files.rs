//! Files that are there whole or not at all.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// The name beside `target` under which it is made: it bears its own only once it is whole.
pub fn unfinished(target: &Path) -> PathBuf {
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(format!(".unfinished-{}", std::process::id()));
    target.with_file_name(name)
}

/// Writes `from` to the disk, then gives it the name `to`, in place of what bore it.
pub fn put(from: &Path, to: &Path) -> io::Result<()> {
    File::open(from)?.sync_all()?;
    fs::rename(from, to)?;
    sync_folder(to)
}

/// As [`put`], but never in place of another file.
pub fn put_new(from: &Path, to: &Path) -> io::Result<()> {
    File::open(from)?.sync_all()?;
    // A hard link fails where the name is taken; a rename would replace what bears it.
    fs::hard_link(from, to)?;
    fs::remove_file(from)?;
    sync_folder(to)
}

/// Writes to the disk which names the folder of `path` holds.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// Removes an unfinished database with what SQLite keeps beside it.
pub fn remove_database(path: &Path) {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let file = PathBuf::from(format!("{}{suffix}", path.display()));
        if let Err(error) = fs::remove_file(&file)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(file = %file.display(), %error, "could not remove an unfinished file");
        }
    }
}
