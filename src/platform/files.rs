//! Files that are there whole or not at all.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::error::Error;

/// A fault with a file; [`Error::DiskFull`] where there is no room for it.
pub fn failed(doing: &str, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::DiskFull,
        _ => Error::internal(doing, error),
    }
}

/// What is there already is never written over.
pub fn is_taken(path: &Path) -> Error {
    Error::Internal(format!("{} exists already; name another file", path.display()))
}

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
    match rustix::fs::renameat_with(rustix::fs::CWD, from, rustix::fs::CWD, to, rustix::fs::RenameFlags::NOREPLACE) {
        // Not every file system knows that; a hard link fails as well where the name is taken.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            fs::hard_link(from, to)?;
            fs::remove_file(from)?;
        }
        renamed => renamed?,
    }
    sync_folder(to)
}

/// Writes to the disk which names the folder of `path` holds.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// Bytes that this user may still write to the disk that `folder` is on.
pub fn room(folder: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Whether both are names of one file, without opening it.
pub fn same(one: &Path, other: &Path) -> io::Result<bool> {
    let file = |path: &Path| match fs::metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        found => found.map(|file| Some((file.dev(), file.ino()))),
    };
    Ok(file(one)? == file(other)?)
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

/// Makes an unfinished file, which [`remove_left_over`] leaves alone as long as what is returned lives.
pub fn hold(unfinished: &Path) -> io::Result<File> {
    let file = File::create_new(unfinished)?;
    file.try_lock()?;
    Ok(file)
}

/// Removes what killed processes left in `folder`: whatever is named `*.unfinished-PID`, its process is no more, and
/// nobody holds it. (Two machines that share a folder don't see one another's processes, but do see that.)
pub fn remove_left_over(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some((unfinished, pid)) = name.to_str().and_then(maker) else { continue };
        let path = entry.path();
        if !is_gone(pid) || is_held(&path.with_file_name(unfinished)) {
            continue;
        }
        let removed = if entry.file_type()?.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// `name.unfinished-PID` and the process in it, also where SQLite appended something to that.
fn maker(name: &str) -> Option<(&str, u32)> {
    let name = ["-wal", "-shm", "-journal"].iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
    let (_, pid) = name.rsplit_once(".unfinished-")?;
    Some((name, pid.parse().ok()?))
}

fn is_held(unfinished: &Path) -> bool {
    File::open(unfinished).is_ok_and(|file| matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock)))
}

/// What bears our own number was left by another before us. Where the system doesn't list its processes, nobody is
/// known to be gone.
fn is_gone(pid: u32) -> bool {
    let processes = Path::new("/proc");
    pid == std::process::id() || (processes.join("self").exists() && !processes.join(pid.to_string()).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_dead_left_unfinished_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let dead = "unit.db.unfinished-4194999"; // above the highest number there can be
        let alive = format!("unit.db.unfinished-{}", std::os::unix::process::parent_id());
        let held = "other.db.unfinished-4194999";
        let _held = hold(&folder.path().join(held)).unwrap();
        for name in [dead, &format!("{dead}-journal"), &alive, "unit.db", "unit.unfinished-draft"] {
            fs::write(folder.path().join(name), "").unwrap();
        }

        remove_left_over(folder.path()).unwrap();

        let mut left: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        left.sort();
        assert_eq!(left, [held, "unit.db", &alive, "unit.unfinished-draft"]);
    }
}
