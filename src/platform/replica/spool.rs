//! What is written before it is sent: in memory as long as it is small, then in a file of the unit's folder.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::PathBuf;

use crate::platform::db::Folder;
use crate::platform::files;

const MEMORY_BYTES: usize = 4 << 20;

pub(super) struct Spool {
    memory: Vec<u8>,
    file: Option<File>,
    path: PathBuf,
}

impl Spool {
    pub fn new(folder: &Folder) -> Spool {
        Spool { memory: Vec::new(), file: None, path: folder.path().join("replica.spool") }
    }

    /// Sends all of it.
    pub fn copy_to(mut self, to: &mut impl Write) -> io::Result<()> {
        match &mut self.file {
            None => to.write_all(&self.memory),
            Some(file) => {
                file.write_all(&self.memory)?;
                self.memory.clear();
                file.seek(SeekFrom::Start(0))?;
                io::copy(file, to).map(drop)
            }
        }
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.memory.len() + bytes.len() > MEMORY_BYTES {
            let file = match &mut self.file {
                Some(file) => file,
                none => {
                    let unfinished = files::unfinished(&self.path);
                    let file = File::options().create(true).truncate(true).read(true).write(true).open(&unfinished)?;
                    // Nobody else needs its name, and a killed process leaves nothing.
                    std::fs::remove_file(&unfinished)?;
                    none.insert(file)
                }
            };
            file.write_all(&self.memory)?;
            self.memory.clear();
        }
        self.memory.extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
