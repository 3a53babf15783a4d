//! In whose name SQL runs on this thread, and the authorizer that lets it through or not.
//!
//! A connection is used by one thread at a time and SQLite calls the authorizer on that thread, so the scope is
//! the thread's. The authorizer runs when a statement is prepared; a cached statement skips it, which is safe
//! because cached text bears its owner's tag (see [`super::statement`]).

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::Connection;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

/// Who owns each table; keys in lower case, since SQLite ignores case in names.
#[derive(Debug, Default, Clone)]
pub struct Ownership {
    tables: BTreeMap<String, &'static str>,
}

impl Ownership {
    pub fn owner_of(&self, table: &str) -> Option<&'static str> {
        match self.tables.get(table) {
            Some(owner) => Some(owner),
            None => self.tables.get(&table.to_ascii_lowercase()).copied(),
        }
    }

    /// Returns the owner that has the table already.
    pub fn claim(&mut self, table: &str, owner: &'static str) -> Option<&'static str> {
        self.tables.insert(table.to_ascii_lowercase(), owner).filter(|before| *before != owner)
    }

    pub fn tables_of(&self, owner: &str) -> impl Iterator<Item = &str> {
        self.tables.iter().filter(move |(_, o)| **o == owner).map(|(table, _)| table.as_str())
    }

    pub fn all(&self) -> impl Iterator<Item = (&str, &'static str)> {
        self.tables.iter().map(|(table, owner)| (table.as_str(), *owner))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// Outside of any: nothing may be prepared.
    Nobody,
    /// The unit of work itself: transactions, savepoints, pragmas.
    Kernel,
    /// One owner's statements: its own tables, and nothing but rows.
    Owner(&'static str),
    /// One owner's migration: its own tables' shape too.
    Migration(&'static str),
}

/// What SQLite reported of a statement while it was prepared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Access {
    pub table: String,
    pub write: bool,
}

thread_local! {
    static SCOPE: Cell<Scope> = const { Cell::new(Scope::Nobody) };
    static REFUSAL: RefCell<Option<String>> = const { RefCell::new(None) };
    static RECORD: RefCell<Option<Vec<Access>>> = const { RefCell::new(None) };
}

/// Runs `body` in `scope`, and whatever happens the thread is in its former scope afterwards.
pub(super) fn within<T>(scope: Scope, body: impl FnOnce() -> T) -> T {
    struct Restore(Scope);
    impl Drop for Restore {
        fn drop(&mut self) {
            SCOPE.set(self.0);
        }
    }
    let _restore = Restore(SCOPE.replace(scope));
    body()
}

/// Runs `body` and returns with it which tables the statements prepared in it touch.
pub(super) fn recording<T>(body: impl FnOnce() -> T) -> (T, Vec<Access>) {
    RECORD.with_borrow_mut(|record| *record = Some(Vec::new()));
    let value = body();
    (value, RECORD.with_borrow_mut(Option::take).unwrap_or_default())
}

/// Why the last statement of this thread was not let through.
pub(super) fn take_refusal() -> Option<String> {
    REFUSAL.with_borrow_mut(Option::take)
}

/// The callback for [`rusqlite::Connection::authorizer`].
pub(super) fn authorizer(
    owners: Arc<Ownership>,
) -> impl for<'r> FnMut(AuthContext<'r>) -> Authorization + Send + 'static {
    move |context| match decide(&owners, SCOPE.get(), &context) {
        Ok(()) => Authorization::Allow,
        Err(why) => {
            REFUSAL.with_borrow_mut(|refusal| *refusal = Some(why));
            Authorization::Deny
        }
    }
}

/// Lets all SQL through again.
pub(super) fn lift_authorizer(connection: &Connection) -> rusqlite::Result<()> {
    connection.authorizer(None::<fn(AuthContext<'_>) -> Authorization>)
}

fn decide(owners: &Ownership, scope: Scope, context: &AuthContext<'_>) -> Result<(), String> {
    match scope {
        Scope::Kernel => Ok(()),
        Scope::Nobody => Err(format!("SQL outside of a unit of work: {:?}", context.action)),
        Scope::Owner(owner) => rows(owners, owner, &context.action),
        Scope::Migration(owner) => shape(owners, owner, &context.action),
    }
}

/// What a module's statements may do: read and write rows of its own tables.
fn rows(owners: &Ownership, owner: &str, action: &AuthAction<'_>) -> Result<(), String> {
    let (verb, table, column) = match *action {
        AuthAction::Select | AuthAction::Recursive => return Ok(()),
        // SQLite's own functions only: none of them leaves the database, but for these.
        AuthAction::Function { function_name } => {
            return if matches!(function_name, "load_extension" | "fts3_tokenizer") {
                Err(format!("ASH-102 module `{owner}` may not call `{function_name}`"))
            } else {
                Ok(())
            };
        }
        AuthAction::Read { table_name, .. } if is_json(table_name) => return Ok(()),
        // FTS5 asks for it itself, in the scope of whoever searches; its other tables are its owner's by their names.
        AuthAction::Pragma { pragma_name: "data_version", pragma_value: None } => return Ok(()),
        // The column is empty in `count(*)` and `SELECT 1`; only the table decides.
        AuthAction::Read { table_name, column_name } => ("read", table_name, column_name),
        AuthAction::Insert { table_name } => ("insert into", table_name, ""),
        AuthAction::Update { table_name, column_name } => ("update", table_name, column_name),
        AuthAction::Delete { table_name } => ("delete from", table_name, ""),
        ref other => return Err(format!("ASH-102 module `{owner}` may not do {other:?}: modules work on rows only")),
    };
    own(owners, owner, verb, table, column)?;
    RECORD.with_borrow_mut(|record| {
        if let Some(record) = record {
            record.push(Access { table: table.to_ascii_lowercase(), write: verb != "read" });
        }
    });
    Ok(())
}

/// What a module's migrations may do: anything to its own tables, and nothing to others'.
fn shape(owners: &Ownership, owner: &str, action: &AuthAction<'_>) -> Result<(), String> {
    match *action {
        AuthAction::Pragma { pragma_name: "data_version", pragma_value: None } => Ok(()), // as above
        // `ALTER TABLE … ADD COLUMN` asks for it itself.
        AuthAction::Pragma { pragma_name: "quick_check", .. } => Ok(()),
        AuthAction::Attach { .. }
        | AuthAction::Detach { .. }
        | AuthAction::Pragma { .. }
        | AuthAction::CreateTempIndex { .. }
        | AuthAction::CreateTempTable { .. }
        | AuthAction::CreateTempTrigger { .. }
        | AuthAction::CreateTempView { .. } => {
            Err(format!("ASH-102 migrations of `{owner}` may not do {action:?}: they shape tables only"))
        }
        AuthAction::Read { table_name, .. }
        | AuthAction::Insert { table_name }
        | AuthAction::Update { table_name, .. }
        | AuthAction::Delete { table_name }
        | AuthAction::DropTable { table_name }
        | AuthAction::DropVtable { table_name, .. }
        | AuthAction::DropView { view_name: table_name }
        | AuthAction::DropIndex { table_name, .. }
        | AuthAction::DropTrigger { table_name, .. }
        | AuthAction::AlterTable { table_name, .. }
        | AuthAction::CreateIndex { table_name, .. }
        | AuthAction::CreateTrigger { table_name, .. } => match owners.owner_of(table_name) {
            Some(other) if other != owner => own(owners, owner, "touch in a migration", table_name, ""),
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

/// Table-valued functions that read only what they are given.
fn is_json(table: &str) -> bool {
    table.eq_ignore_ascii_case("json_each") || table.eq_ignore_ascii_case("json_tree")
}

fn own(owners: &Ownership, owner: &str, verb: &str, table: &str, column: &str) -> Result<(), String> {
    let place = if column.is_empty() { table.to_owned() } else { format!("{table}.{column}") };
    match owners.owner_of(table) {
        Some(other) if other == owner => Ok(()),
        Some(other) => Err(format!("ASH-101 module `{owner}` may not {verb} `{place}` (owned by `{other}`)")),
        None => Err(format!("ASH-101 module `{owner}` may not {verb} `{place}` (owned by no module)")),
    }
}
