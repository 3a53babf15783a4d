//! Readers: a pool of connections that each see one fixed state of the database while they are used.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::Connection;

use super::connection::{self, BUSY_TIMEOUT, kernel};
use super::fatal::caught;
use super::replace::Entry;
use super::scope::Ownership;
use super::statement::Owner;
use super::tables::{Running, Tables};
use crate::platform::clock::{Clock, Time};
use crate::platform::error::{Error, Result};
use crate::platform::metering::{self, Action, Ticket};

/// How long a request waits for a free connection.
const CHECK_OUT_TIMEOUT: Duration = Duration::from_secs(5);

/// One fixed state of the database.
pub struct Snapshot<'c> {
    connection: &'c Connection,
    running: Running,
    now: Time,
}

impl<'c> Snapshot<'c> {
    pub(super) fn new(connection: &'c Connection, name: &'static str, now: Time) -> Self {
        Snapshot { connection, running: Running { fatal: None.into(), name }, now }
    }

    /// The tables of the owner of this key. Only the module itself can make the key.
    pub fn tables<O: Owner>(&self, _key: O) -> Tables<'_, O> {
        Tables::new(self.connection, &self.running)
    }

    /// The moment this began; the same for all that is done within.
    pub fn now(&self) -> Time {
        self.now
    }

    pub(super) fn running(&self) -> &Running {
        &self.running
    }

    pub(super) fn connection(&self) -> &'c Connection {
        self.connection
    }
}

#[derive(Clone)]
pub(super) struct Readers {
    pool: r2d2::Pool<SqliteConnectionManager>,
    clock: Clock,
    /// Dropped after the pool: a read that outlives its request keeps the database from being replaced.
    _entry: Arc<Entry>,
}

impl Readers {
    pub fn open(path: &Path, owners: Arc<Ownership>, number: u32, clock: Clock, entry: Arc<Entry>) -> Result<Self> {
        let manager = SqliteConnectionManager::file(path)
            .with_flags(connection::open_flags())
            .with_init(move |c| connection::configure_reader(c, owners.clone()));
        let pool = r2d2::Pool::builder()
            .max_size(number)
            .test_on_check_out(false)
            .connection_timeout(CHECK_OUT_TIMEOUT)
            // Connections hold no state that ages.
            .max_lifetime(None)
            .idle_timeout(None)
            .build(manager)
            .map_err(|e| Error::internal("opening connections to read", e))?;
        Ok(Readers { pool, clock, _entry: entry })
    }

    /// Runs `body` on this very thread if a connection is free and a snapshot can be had without waiting,
    /// else on a thread that may wait.
    pub async fn read<T, F>(&self, name: &'static str, body: F) -> Result<T>
    where
        F: FnOnce(&Snapshot<'_>) -> Result<T> + Send + 'static,
        T: Send + 'static,
    {
        if let Some(connection) = self.pool.try_get() {
            connection.busy_timeout(Duration::ZERO).map_err(begin_failed)?;
            let begun = begin(&connection);
            connection.busy_timeout(BUSY_TIMEOUT).map_err(begin_failed)?;
            if begun.is_ok() {
                return finish(&connection, name, self.clock.now(), body);
            }
        }
        self.scan(name, body).await
    }

    /// Runs `body` on a thread that may wait and compute: for reads whose length the request doesn't bound.
    pub async fn scan<T, F>(&self, name: &'static str, body: F) -> Result<T>
    where
        F: FnOnce(&Snapshot<'_>) -> Result<T> + Send + 'static,
        T: Send + 'static,
    {
        let (readers, ticket) = (self.clone(), Ticket::here());
        tokio::task::spawn_blocking(move || readers.read_for(ticket, name, body))
            .await
            .map_err(|e| Error::internal("reading", e))?
    }

    pub fn read_blocking<T>(&self, name: &'static str, body: impl FnOnce(&Snapshot<'_>) -> Result<T>) -> Result<T> {
        self.read_for(Ticket::here(), name, body)
    }

    /// For whoever `ticket` names: a thread that was taken for this read is nobody's.
    fn read_for<T>(
        &self,
        ticket: Ticket,
        name: &'static str,
        body: impl FnOnce(&Snapshot<'_>) -> Result<T>,
    ) -> Result<T> {
        metering::long(ticket.or_background(name), || {
            let connection = self.pool.get().map_err(|_| Error::Overloaded("all connections to read are in use"))?;
            begin(&connection).map_err(begin_failed)?;
            finish(&connection, name, self.clock.now(), body)
        })
    }
}

/// Runs `body` in one read transaction of a connection that is no one else's.
pub(super) fn read_on<T>(
    connection: &Connection,
    name: &'static str,
    now: Time,
    body: impl FnOnce(&Snapshot<'_>) -> Result<T>,
) -> Result<T> {
    begin(connection).map_err(begin_failed)?;
    finish(connection, name, now, body)
}

/// Takes the snapshot now: `BEGIN` alone would take it at the first read.
fn begin(connection: &Connection) -> rusqlite::Result<()> {
    kernel(connection, "BEGIN")?;
    let pinned = super::scope::within(super::scope::Scope::Kernel, || {
        connection.prepare_cached("SELECT 1 FROM sqlite_schema LIMIT 1")?.query_row([], |_| Ok(()))
    });
    if pinned.is_err() {
        kernel(connection, "ROLLBACK")?;
    }
    pinned
}

fn finish<T>(
    connection: &Connection,
    name: &'static str,
    now: Time,
    body: impl FnOnce(&Snapshot<'_>) -> Result<T>,
) -> Result<T> {
    let snapshot = Snapshot::new(connection, name, now);
    let read = caught(name, || metering::touching(Action::Read, name, || body(&snapshot)));
    if let Err(error) = kernel(connection, "ROLLBACK") {
        tracing::error!(%error, "a read transaction could not be ended, and holds the WAL");
    }
    read
}

fn begin_failed(error: rusqlite::Error) -> Error {
    Error::internal("beginning to read", error)
}
