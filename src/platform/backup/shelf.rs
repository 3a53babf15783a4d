//! The backups in a folder.

use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use crate::platform::clock::Time;

/// How backups end: plain, compressed, encrypted, both.
const ENDINGS: [&str; 4] = [".db", ".db.zst", ".db.age", ".db.zst.age"];

/// A file that bears a backup's name; what is in it, nobody has looked at yet.
#[derive(Debug, Clone)]
pub struct Shelved {
    pub path: PathBuf,
    pub name: String,
    pub bytes: u64,
    /// As its name says, else when it was written last.
    pub time: Time,
}

/// Those in `folder`, newest first; none where there is no such folder.
pub fn shelf(folder: &Path) -> io::Result<Vec<Shelved>> {
    let entries = match std::fs::read_dir(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        // Behind links: whoever put one there means the file.
        let about = match std::fs::metadata(entry.path()) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            about => about?,
        };
        if !about.is_file() || !ENDINGS.iter().any(|ending| name.ends_with(ending)) {
            continue;
        }
        let written = about.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        let time = Time::in_name(&name).unwrap_or(Time::from_ms(written.as_millis() as i64));
        found.push(Shelved { path: entry.path(), name, bytes: about.len(), time });
    }
    found.sort_by(|one, other| other.time.cmp(&one.time).then_with(|| other.name.cmp(&one.name)));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_by_name_comes_first_and_what_is_no_backup_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "ashlar-20261123T100000Z-s9.db",
            "ashlar-20261124T100000Z-s9.db.zst.age",
            "ashlar-20261124T100000Z-s9.db.sha256",
            "ashlar-20261125T100000Z-s9.db.unfinished-1",
            "notes.txt",
        ] {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        std::fs::create_dir(folder.path().join("folder.db")).unwrap();

        let names: Vec<String> = shelf(folder.path()).unwrap().into_iter().map(|one| one.name).collect();

        assert_eq!(names, ["ashlar-20261124T100000Z-s9.db.zst.age", "ashlar-20261123T100000Z-s9.db"]);
        assert!(shelf(&folder.path().join("none")).unwrap().is_empty());
    }
}
