//! How every connection to the database is set up, the command line's too.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::scope::{self, Ownership, Scope};

/// "ASHL": tells our files from those of other programs.
pub(super) const APPLICATION_ID: i32 = 0x4153_484c;
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_millis(5000);
/// Well above the number of statements one request uses, so that hot ones stay prepared.
const CACHED_STATEMENTS: usize = 256;
/// Pages the writer keeps in memory, in KiB.
const WRITER_CACHE_KIB: i64 = 16 * 1024;
const READER_CACHE_KIB: i64 = 2 * 1024;

pub(super) fn open_flags() -> OpenFlags {
    // No mutex: a connection is used by one thread at a time. No URI: a path is a path.
    OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX
}

/// What holds for each connection, whoever uses it.
pub(super) fn configure(connection: &Connection) -> rusqlite::Result<()> {
    // What is deleted is overwritten: the data of someone who left must not linger in free pages.
    connection.pragma_update_and_check(None, "secure_delete", true, |row| row.get::<_, i64>(0))?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA foreign_keys = ON;
         PRAGMA trusted_schema = OFF;
         PRAGMA wal_autocheckpoint = 0;
         PRAGMA temp_store = MEMORY;",
    )
}

/// A connection that only reads, and only in an owner's scope.
pub(super) fn configure_reader(connection: &Connection, owners: Arc<Ownership>) -> rusqlite::Result<()> {
    configure(connection)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
    connection.authorizer(Some(scope::authorizer(owners)))
}

/// The one connection of this process that writes rows. It commits only while `armed` is set.
pub(super) fn open_writer(path: &Path, owners: Arc<Ownership>, armed: Arc<AtomicBool>) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, open_flags())?;
    configure(&connection)?;
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    guard(&connection, owners, armed)?;
    Ok(connection)
}

/// Lets SQL through only in an owner's scope, and a commit only while `armed` is set: `INSERT OR ROLLBACK` is
/// invisible to the authorizer, ends the shared transaction, and the next insert would commit alone.
pub(super) fn guard(connection: &Connection, owners: Arc<Ownership>, armed: Arc<AtomicBool>) -> rusqlite::Result<()> {
    connection.commit_hook(Some(move || !armed.load(Ordering::Relaxed)))?;
    connection.authorizer(Some(scope::authorizer(owners)))
}

/// Runs one of the kernel's own statements, prepared once.
pub(super) fn kernel(connection: &Connection, sql: &'static str) -> rusqlite::Result<()> {
    scope::within(Scope::Kernel, || connection.prepare_cached(sql)?.raw_execute().map(drop))
}
