//! How many bytes of the file each table takes, without reading the tables.
//!
//! In a database that can be vacuumed in steps, each page's parent stands in a pointer map: one page of it for every 819
//! others. Following the parents up to the roots, which `sqlite_schema` names, says whose each page is.
//!
//! Source: <https://sqlite.org/fileformat2.html#pointer_map_or_ptrmap_pages>.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::Connection;

use super::connection;
use crate::platform::error::{Error, Result};

/// Of a page in the pointer map, as its first byte says.
const ROOT: u8 = 1;
const FREE: u8 = 2;
/// One entry: what the page is, and its parent.
const ENTRY_BYTES: u32 = 5;
/// The byte at which locks are held; its page is never used.
const LOCK_BYTE: u32 = 0x4000_0000;

/// By table, its indexes counted; none where the file has no pointer map. It reads a page in 820, and holds 4 bytes for
/// each in memory.
pub(super) fn table_bytes(path: &Path) -> Result<Option<BTreeMap<String, u64>>> {
    let failed = |e: rusqlite::Error| Error::internal("counting the tables' pages", e);
    let connection = Connection::open_with_flags(path, connection::open_flags()).map_err(failed)?;
    connection::configure(&connection).map_err(failed)?;
    connection.pragma_update(None, "query_only", true).map_err(failed)?;
    // One state of the file, until the connection is closed.
    connection.execute_batch("BEGIN").map_err(failed)?;
    count(&connection).map_err(failed)
}

fn count(connection: &Connection) -> rusqlite::Result<Option<BTreeMap<String, u64>>> {
    let mut page = connection.prepare("SELECT data FROM sqlite_dbpage WHERE pgno = ?1")?;
    let mut read = |number: u32| page.query_row([number], |row| row.get::<_, Vec<u8>>(0));
    let first = read(1)?;
    let is_mapped = first.get(52..56).is_some_and(|largest_root| largest_root != [0; 4]);
    if !is_mapped {
        return Ok(None);
    }
    let pages: u32 = connection.query_row("PRAGMA page_count", [], |row| row.get(0))?;
    let page_size: u32 = connection.query_row("PRAGMA page_size", [], |row| row.get(0))?;
    let usable = page_size - u32::from(first.get(20).copied().unwrap_or(0));

    let mut parents = vec![0_u32; pages as usize + 1];
    for map in maps(pages, page_size, usable) {
        let entries = read(map)?;
        for (number, entry) in (map + 1..=pages).zip(entries[..usable as usize].chunks_exact(ENTRY_BYTES as usize)) {
            parents[number as usize] = match *entry {
                [ROOT, ..] => number,
                [0 | FREE, ..] => 0,
                [_, a, b, c, d] => u32::from_be_bytes([a, b, c, d]),
                _ => 0,
            };
        }
    }
    let mut by_root: BTreeMap<u32, u64> = BTreeMap::new();
    for number in 2..=pages {
        let root = root_of(&mut parents, number);
        if root != 0 {
            *by_root.entry(root).or_default() += u64::from(page_size);
        }
    }

    let mut roots = connection.prepare("SELECT tbl_name, rootpage FROM sqlite_schema WHERE rootpage > 0")?;
    let mut tables = BTreeMap::new();
    for row in roots.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, u32>(1)?)))? {
        let (table, root) = row?;
        *tables.entry(table).or_default() += by_root.get(&root).copied().unwrap_or(0);
    }
    Ok(Some(tables))
}

/// The pages that the pointer map takes.
fn maps(pages: u32, page_size: u32, usable: u32) -> impl Iterator<Item = u32> {
    let lock_page = LOCK_BYTE / page_size + 1;
    let stride = usable / ENTRY_BYTES + 1;
    (2..=pages).step_by(stride as usize).map(move |map| if map == lock_page { map + 1 } else { map })
}

/// The root above `number`, 0 where there is none; whatever lies between is put right below it.
fn root_of(parents: &mut [u32], number: u32) -> u32 {
    let up = |parents: &[u32], at: u32| parents.get(at as usize).copied().unwrap_or(0);
    let mut root = number;
    // A damaged map may run in circles.
    for _ in 0..parents.len() {
        match up(parents, root) {
            parent if parent == root => break,
            parent => root = parent,
        }
    }
    let mut at = number;
    while at != root && at != 0 {
        let next = up(parents, at);
        parents[at as usize] = root;
        at = next;
    }
    root
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_that_is_in_use_belongs_to_one_table() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let connection = Connection::open(&path).unwrap();
        connection
            .execute_batch(
                "PRAGMA auto_vacuum = INCREMENTAL;
                 CREATE TABLE small (id INTEGER PRIMARY KEY, word TEXT);
                 CREATE TABLE blobs (id INTEGER PRIMARY KEY, content BLOB);
                 CREATE INDEX small_by_word ON small (word);
                 WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
                 INSERT INTO small SELECT i, 'word ' || i FROM n;
                 WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40)
                 INSERT INTO blobs SELECT i, randomblob(256 * 1024) FROM n;
                 DELETE FROM blobs WHERE id > 20;",
            )
            .unwrap();
        let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap() as u64;
        let (pages, free) = (number("PRAGMA page_count"), number("PRAGMA freelist_count"));

        let tables = table_bytes(&path).unwrap().unwrap();

        let maps = maps(pages as u32, 4096, 4096).count() as u64;
        // The first page is `sqlite_schema`'s.
        assert_eq!(tables.values().sum::<u64>(), (pages - 1 - free - maps) * 4096);
        let content = 20 * 256 * 1024;
        assert!((content..content * 11 / 10).contains(&tables["blobs"]), "{tables:?}");
        let words: u64 = number("SELECT sum(length(word)) FROM small");
        assert!(tables["small"] > 2 * words && tables["small"] < 8 * words, "{tables:?}");
    }

    #[test]
    fn a_file_without_a_map_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE a (id INTEGER)").unwrap();

        assert_eq!(table_bytes(&path).unwrap(), None);
    }
}
