//! What the migrations make, proven before they run: who owns which table, and that each owner stands alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use refinery::Migration;
use rusqlite::Connection;

use super::connection;
use super::scope::{self, Access, Ownership, Scope};
use super::statement::Statement;
use super::tables::remedy;
use crate::platform::error::{Error, Result};

/// One owner's migrations, as `src/build.rs` found them under `migrations/<owner>/`.
#[derive(Debug, Clone, Copy)]
pub struct Migrations {
    pub owner: &'static str,
    /// File name without `.sql`, and text; in order.
    pub files: &'static [(&'static str, &'static str)],
}

impl Migrations {
    /// The files as refinery knows them.
    pub(super) fn read(&self) -> Result<Vec<Migration>> {
        let read = self.files.iter().map(|(name, sql)| Migration::unapplied(name, sql)).collect::<Result<_, _>>();
        read.map_err(|e| Error::internal(&format!("reading the migrations of `{}`", self.owner), e))
    }

    /// Runs those that have not run yet, in one transaction and in their owner's scope, or says why they fail.
    pub(super) fn run(&self, connection: &mut Connection, owners: Arc<Ownership>) -> Result<(), String> {
        let files = self.read().map_err(|e| e.to_string())?;
        // Grouped: a migration and the record that it ran are saved together.
        let mut runner = refinery::Runner::new(&files).set_grouped(true);
        runner.set_migration_table_name(self.history_table());
        connection.authorizer(Some(scope::authorizer(owners))).map_err(|e| e.to_string())?;
        let ran = scope::within(Scope::Migration(self.owner), || runner.run(connection));
        scope::lift_authorizer(connection).map_err(|e| e.to_string())?;
        ran.map(drop).map_err(|e| scope::take_refusal().unwrap_or_else(|| chain(&e)))
    }

    /// Where refinery remembers which of these have run.
    pub(super) fn history_table(&self) -> String {
        format!("migrations_{}", self.owner)
    }
}

/// The tables of all owners, and which statements of the program touch them.
#[derive(Debug, Clone)]
pub struct Schema {
    pub(super) owners: Arc<Ownership>,
    pub(super) migrations: &'static [Migrations],
}

/// One row of the matrix module × table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Use {
    pub module: &'static str,
    pub table: String,
    pub read: bool,
    pub write: bool,
}

/// Something in a database that is not as the migrations make it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// table, index, trigger or view
    pub kind: String,
    pub name: String,
    pub state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Missing,
    Unknown,
    Changed,
}

impl Difference {
    /// Whether a table is missing or belongs to nobody, or a trigger does, which writes as if it were a module.
    pub fn is_of_ownership(&self) -> bool {
        match &*self.kind {
            "table" => self.state != State::Changed,
            "trigger" => self.state == State::Unknown,
            _ => false,
        }
    }
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Difference { kind, name, .. } = self;
        match self.state {
            State::Missing => write!(f, "the {kind} `{name}` is missing: bring back a backup with `ashlar restore`"),
            State::Unknown => write!(
                f,
                "the {kind} `{name}` belongs to no module: move it to a database of its own, or drop it with sqlite3"
            ),
            State::Changed => write!(
                f,
                "the {kind} `{name}` is not as the migrations make it: bring back a backup with `ashlar restore`"
            ),
        }
    }
}

impl Schema {
    /// Runs each owner's migrations alone against a database in memory, then all together.
    ///
    /// # Errors
    /// [`Error::Boundary`] if one reaches into another's tables or could end a transaction that it shares.
    pub fn prove(migrations: &'static [Migrations]) -> Result<Schema> {
        let mut owners = Ownership::default();
        for one in migrations {
            let wrong = |why: String| {
                Error::Boundary(format!("ASH-104 migrations of `{0}` {why}\n  in     migrations/{0}", one.owner))
            };
            for (name, sql) in one.files {
                if let Some(phrase) = ends_transactions(sql) {
                    return Err(wrong(format!(
                        "contain `{phrase}` ({name}): it would end the transaction that all modules share"
                    )));
                }
            }
            let mut alone = Connection::open_in_memory().map_err(|e| wrong(e.to_string()))?;
            alone.execute_batch("PRAGMA foreign_keys = OFF").map_err(|e| wrong(e.to_string()))?;
            one.run(&mut alone, Arc::new(owners.clone())).map_err(|why| wrong(format!("do not run alone: {why}")))?;
            let tables = "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT GLOB 'sqlite_*'";
            for table in names(&alone, tables)? {
                if let Some(other) = owners.claim(&table, one.owner) {
                    return Err(wrong(format!("create `{table}`, which `{other}` owns")));
                }
                stands_alone(&alone, &table).map_err(&wrong)?;
            }
        }
        let schema = Schema { owners: Arc::new(owners), migrations };
        // Together too: `DROP TABLE IF EXISTS` finds another's table only where that is.
        schema.in_memory()?;
        Ok(schema)
    }

    /// How many migrations there are in all: the schema's version.
    pub fn version(&self) -> i32 {
        self.migrations.iter().map(|one| one.files.len() as i32).sum()
    }

    /// Every migration there is, as `owner/V1__accounts`.
    pub fn all_migrations(&self) -> Vec<String> {
        let named =
            |one: &Migrations| one.files.iter().map(|(name, _)| format!("{}/{name}", one.owner)).collect::<Vec<_>>();
        self.migrations.iter().flat_map(named).collect()
    }

    pub fn ownership(&self) -> &Ownership {
        &self.owners
    }

    /// Prepares each statement in its owner's scope, against an empty database of this schema, and returns which
    /// tables each owner reads and writes.
    ///
    /// # Errors
    /// [`Error::Boundary`] with every statement that is wrong SQL, touches a foreign table or could end a transaction.
    pub fn check<'s>(&self, statements: impl IntoIterator<Item = &'s Statement>) -> Result<Vec<Use>> {
        let connection = self.in_memory()?;
        let mut wrong = Vec::new();
        let mut uses: BTreeSet<(&'static str, Access)> = BTreeSet::new();
        for statement in statements {
            if !self.migrations.iter().any(|one| one.owner == statement.owner) {
                wrong.push(refusal(statement, &format!("ASH-105 `{}` has SQL but no migrations", statement.owner)));
                continue;
            }
            if let Some(phrase) = ends_transactions(statement.text) {
                wrong.push(refusal(
                    statement,
                    &format!("ASH-106 `{phrase}` would end the transaction that all modules share"),
                ));
                continue;
            }
            let (prepared, accesses) = scope::recording(|| {
                scope::within(Scope::Owner(statement.owner), || connection.prepare(statement.text).map(drop))
            });
            match prepared {
                Ok(()) => uses.extend(accesses.into_iter().map(|access| (statement.owner, access))),
                Err(error) => {
                    let why = scope::take_refusal()
                        .unwrap_or_else(|| format!("ASH-107 module `{}` has wrong SQL: {error}", statement.owner));
                    wrong.push(refusal(statement, &why));
                }
            }
        }
        if wrong.is_empty() { Ok(matrix(uses)) } else { Err(Error::Boundary(wrong.join("\n"))) }
    }

    /// How what is in `connection` differs from what the migrations make; of a database that is up to date.
    pub(super) fn differences(&self, connection: &Connection) -> Result<Vec<Difference>> {
        let made = self.in_memory()?;
        let made = scope::within(Scope::Kernel, || self.objects(&made))?;
        let found = self.objects(connection)?;
        let missing = made.iter().filter(|(object, _)| !found.contains_key(*object)).map(|(o, _)| (o, State::Missing));
        let others = found.iter().filter_map(|(object, sql)| match made.get(object) {
            None => Some((object, State::Unknown)),
            Some(as_made) if spelled(as_made) != spelled(sql) => Some((object, State::Changed)),
            Some(_) => None,
        });
        Ok(missing
            .chain(others)
            // An index that somebody added makes nothing wrong.
            .filter(|((kind, _), state)| kind != "index" || *state == State::Missing)
            .map(|((kind, name), state)| Difference { kind: kind.clone(), name: name.clone(), state })
            .collect())
    }

    /// Tables, indexes, triggers and views by kind and name, but for those of SQLite, of replicas and of refinery.
    fn objects(&self, connection: &Connection) -> Result<BTreeMap<(String, String), String>> {
        let failed = |e: rusqlite::Error| Error::internal("reading the schema", e);
        let mut statement =
            connection.prepare("SELECT type, name, coalesce(sql, '') FROM sqlite_schema").map_err(failed)?;
        let objects = statement.query_map([], |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?))).map_err(failed)?;
        let mut objects: BTreeMap<(String, String), String> =
            objects.collect::<rusqlite::Result<_>>().map_err(failed)?;
        objects.retain(|(_, name), _| {
            !name.starts_with("sqlite_")
                && !name.starts_with("_litestream_")
                && !self.migrations.iter().any(|one| one.history_table() == *name)
        });
        Ok(objects)
    }

    /// An empty database of this schema, guarded as the real one is.
    fn in_memory(&self) -> Result<Connection> {
        let mut connection = Connection::open_in_memory().map_err(|e| Error::internal("opening memory", e))?;
        let foreign_keys = |connection: &Connection, on: bool| {
            connection.pragma_update(None, "foreign_keys", on).map_err(|e| Error::internal("opening memory", e))
        };
        foreign_keys(&connection, false)?;
        for one in self.migrations {
            one.run(&mut connection, self.owners.clone())
                .map_err(|why| Error::Boundary(format!("ASH-104 migrations of `{}` fail: {why}", one.owner)))?;
        }
        foreign_keys(&connection, true)?;
        connection::guard(&connection, self.owners.clone(), Arc::new(AtomicBool::new(false)))
            .map_err(|e| Error::internal("guarding memory", e))?;
        Ok(connection)
    }
}

/// SQL without what another version of SQLite may write in another way when it alters a table.
fn spelled(sql: &str) -> String {
    sql.chars().filter(|c| !c.is_whitespace() && !"\"`[]".contains(*c)).flat_map(char::to_lowercase).collect()
}

fn refusal(statement: &Statement, why: &str) -> String {
    let Statement { file, line, .. } = statement;
    format!("{why}\n  in     {file}:{line}: {}\n  do     {}", statement.untagged(), remedy(why))
}

fn matrix(uses: BTreeSet<(&'static str, Access)>) -> Vec<Use> {
    let mut rows: Vec<Use> = Vec::new();
    for (module, Access { table, write }) in uses {
        match rows.last_mut() {
            Some(row) if row.module == module && row.table == table => {
                row.read |= !write;
                row.write |= write;
            }
            _ => rows.push(Use { module, table, read: !write, write }),
        }
    }
    rows
}

/// Foreign keys, triggers and views of `table` name only what is there.
fn stands_alone(alone: &Connection, table: &str) -> Result<(), String> {
    let quoted = quote(table);
    let prepare = |sql: String| alone.prepare(&sql).map(drop).map_err(|e| format!("reach beyond their tables: {e}"));
    prepare(format!("SELECT * FROM {quoted}"))?;

    let mut foreign = alone.prepare("SELECT \"table\" FROM pragma_foreign_key_list(?1)").map_err(|e| e.to_string())?;
    let parents = foreign.query_map([table], |row| row.get::<_, String>(0)).map_err(|e| e.to_string())?;
    for parent in parents {
        let parent = parent.map_err(|e| e.to_string())?;
        prepare(format!("SELECT * FROM {}", quote(&parent))).map_err(|_| {
            format!("have a foreign key from `{table}` to `{parent}`, which is not theirs: keep the id")
        })?;
    }

    // Preparing a change compiles the triggers that it would fire.
    let has_triggers: bool = alone
        .query_row(
            "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?1)",
            [table],
            |r| r.get(0),
        )
        .map_err(|e| e.to_string())?;
    if has_triggers {
        prepare(format!("INSERT INTO {quoted} DEFAULT VALUES"))?;
        prepare(format!("DELETE FROM {quoted}"))?;
        let columns = names(alone, &format!("SELECT name FROM pragma_table_info({})", literal(table)))
            .map_err(|e| e.to_string())?;
        for column in columns {
            prepare(format!("UPDATE {quoted} SET {0} = {0}", quote(&column)))?;
        }
    }
    Ok(())
}

pub(super) fn names(connection: &Connection, sql: &str) -> Result<Vec<String>> {
    let mut statement = connection.prepare(sql).map_err(|e| Error::internal("reading the schema", e))?;
    let rows = statement.query_map([], |row| row.get(0)).map_err(|e| Error::internal("reading the schema", e))?;
    rows.collect::<rusqlite::Result<_>>().map_err(|e| Error::internal("reading the schema", e))
}

pub(super) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// An error with its causes: refinery keeps the one that matters in its source.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text
}

/// The first phrase in `sql` that could end the transaction that a group of closures shares, or put its checks
/// off to the commit of all.
pub(super) fn ends_transactions(sql: &str) -> Option<&'static str> {
    const PHRASES: [(&[&str], &str); 6] = [
        (&["OR", "ROLLBACK"], "OR ROLLBACK"),
        (&["CONFLICT", "ROLLBACK"], "ON CONFLICT ROLLBACK"),
        (&["RAISE", "(", "ROLLBACK"], "RAISE(ROLLBACK)"),
        (&["INITIALLY", "DEFERRED"], "INITIALLY DEFERRED"),
        (&["DEFER_FOREIGN_KEYS"], "defer_foreign_keys"),
        // Invisible to the authorizer until it runs.
        (&["VACUUM"], "VACUUM"),
    ];
    let words = words(sql);
    PHRASES
        .iter()
        .find(|(phrase, _)| words.windows(phrase.len()).any(|w| w.iter().zip(*phrase).all(|(a, b)| a == b)))
        .map(|(_, name)| *name)
}

/// The words and signs of `sql` in upper case, without comments and the content of strings and quoted names.
fn words(sql: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let skip = if rest.starts_with("--") {
            rest.find('\n').unwrap_or(rest.len())
        } else if let Some(comment) = rest.strip_prefix("/*") {
            comment.find("*/").map_or(rest.len(), |end| end + 4)
        } else if let Some(close) = match first {
            '\'' | '"' | '`' => Some(first),
            '[' => Some(']'),
            _ => None,
        } {
            // A doubled quote inside reads as two strings side by side, which serves as well here.
            words.push(String::new());
            rest[1..].find(close).map_or(rest.len(), |end| end + 2)
        } else if first.is_alphanumeric() || first == '_' {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            words.push(rest[..end].to_ascii_uppercase());
            end
        } else {
            // To SQLite a byte order mark is a space.
            if !first.is_whitespace() && first != '\u{feff}' {
                words.push(first.to_string());
            }
            first.len_utf8()
        };
        rest = &rest[skip..];
    }
    words
}
