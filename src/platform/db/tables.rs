//! One owner's tables within a transaction: the only way from a module to SQL.

use std::cell::Cell;
use std::marker::PhantomData;
use std::time::Instant;

use rusqlite::{Connection, Params, Row};

use super::fatal::Fatal;
use super::scope::{self, Scope};
use super::statement::{Owner, Statement};

use crate::platform::error::{Error, Result};
use crate::platform::metering::{self, Room};

/// What statements of one transaction share.
pub(super) struct Running {
    /// Set once a statement met an error that no member of the group may survive.
    pub fatal: Cell<Option<Fatal>>,
    /// The use case or route on whose behalf this runs.
    pub name: &'static str,
}

/// The tables of `O`, and no others.
pub struct Tables<'w, O> {
    connection: &'w Connection,
    running: &'w Running,
    room: &'static Room,
    owner: PhantomData<O>,
}

impl<'w, O: Owner> Tables<'w, O> {
    pub(super) fn new(connection: &'w Connection, running: &'w Running) -> Self {
        Tables { connection, running, room: metering::room(O::NAME), owner: PhantomData }
    }

    /// Runs a statement and returns how many rows it changed; [`Error::Duplicate`] if a unique key is taken.
    pub fn execute(&self, statement: &'static Statement, params: impl Params) -> Result<usize> {
        self.run(statement, |prepared| prepared.execute(params).inspect(|rows| self.room.count_rows(*rows)))
    }

    /// The first row, if there is one.
    pub fn fetch_optional<T>(
        &self,
        statement: &'static Statement,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>> {
        self.run(statement, |prepared| {
            let mut rows = prepared.query(params)?;
            let found = rows.next()?.map(read).transpose()?;
            self.room.count_rows(usize::from(found.is_some()));
            Ok(found)
        })
    }

    /// All rows; the statement bounds their number.
    pub fn fetch_all<T>(
        &self,
        statement: &'static Statement,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        self.run(statement, |prepared| {
            let all = prepared.query_map(params, read)?.collect::<rusqlite::Result<Vec<T>>>()?;
            self.room.count_rows(all.len());
            Ok(all)
        })
    }

    fn run<T>(
        &self,
        statement: &'static Statement,
        body: impl FnOnce(&mut rusqlite::CachedStatement<'_>) -> rusqlite::Result<T>,
    ) -> Result<T> {
        if statement.owner != O::NAME {
            return Err(self.refused(
                statement,
                format!("ASH-103 module `{}` may not run a statement of `{}`", O::NAME, statement.owner),
            ));
        }
        // A transaction that SQLite ended under our feet would turn what follows into commits of their own.
        if self.connection.is_autocommit() {
            self.running.fatal.set(Some(Fatal::TransactionLost));
            return Err(Error::Lost("an earlier statement ended it"));
        }
        let start = Instant::now();
        let result =
            scope::within(Scope::Owner(O::NAME), || body(&mut self.connection.prepare_cached(statement.text)?));
        self.room.statement(start.elapsed());
        result.map_err(|error| self.translate(statement, error))
    }

    fn translate(&self, statement: &Statement, error: rusqlite::Error) -> Error {
        if let Some(why) = scope::take_refusal() {
            return self.refused(statement, why);
        }
        if let Some(fatal) = Fatal::of(&error) {
            self.running.fatal.set(Some(fatal));
            return fatal.to_error();
        }
        match &error {
            rusqlite::Error::SqliteFailure(failure, _)
                if matches!(
                    failure.extended_code,
                    rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE
                        | rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY
                        | rusqlite::ffi::SQLITE_CONSTRAINT_ROWID
                ) =>
            {
                Error::Duplicate
            }
            _ => Error::Internal(format!("{error}\n  in     {}", self.place(statement))),
        }
    }

    fn refused(&self, statement: &Statement, why: String) -> Error {
        Error::Boundary(format!("{why}\n  in     {}\n  do     {}", self.place(statement), remedy(&why)))
    }

    fn place(&self, statement: &Statement) -> String {
        let Statement { file, line, .. } = statement;
        format!("`{}`, {file}:{line}: {}", self.running.name, statement.untagged())
    }
}

/// What to do about a refusal.
pub(super) fn remedy(why: &str) -> String {
    let owner = why.split_once("(owned by `").and_then(|(_, rest)| rest.split_once('`')).map(|(owner, _)| owner);
    match owner {
        Some(owner) => format!("call the face of `{owner}` (src/modules/{owner}/mod.rs) from a use case"),
        None if why.contains("owned by no module") => "create the table in a migration of this module".into(),
        None => "let the kernel do it: modules only read and write rows of their own tables".into(),
    }
}
