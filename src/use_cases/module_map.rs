//! The map of the program: what each part is for, what it owns and uses, and who touches which table.

use serde::Serialize;

use crate::platform::db::{Schema, Use};
use crate::platform::module::Declaration;

/// The program's parts and what they do with which table, as proven when it started.
#[derive(Debug, Serialize)]
pub struct ModuleMap {
    pub modules: Vec<Part>,
    /// The parts of the platform that own tables.
    pub platform: Vec<Part>,
    pub matrix: Vec<Use>,
}

/// A module, or a part of the platform, that owns tables.
#[derive(Debug, Serialize)]
pub struct Part {
    pub name: &'static str,
    pub purpose: &'static str,
    pub uses: &'static [&'static str],
    pub tables: Vec<String>,
}

/// What a part does with one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    None,
    Read,
    Write,
    ReadAndWrite,
}

impl ModuleMap {
    pub fn new(modules: &[Declaration], platform: &[Declaration], schema: &Schema, matrix: Vec<Use>) -> ModuleMap {
        let part = |one: &Declaration| {
            let owned = schema.ownership().tables_of(one.name).filter(|table| !is_bookkeeping(table));
            Part { name: one.name, purpose: one.purpose, uses: one.uses, tables: owned.map(str::to_owned).collect() }
        };
        let parts = |all: &[Declaration]| all.iter().map(part).collect();
        ModuleMap { modules: parts(modules), platform: parts(platform), matrix }
    }

    /// The parts whose statements were proven. The kernel's own are not among them: it bears the proof.
    pub fn touching(&self) -> impl Iterator<Item = &Part> {
        let has_statements = |part: &&Part| self.matrix.iter().any(|one| one.module == part.name);
        self.modules.iter().chain(&self.platform).filter(has_statements)
    }

    pub fn access(&self, part: &Part, table: &str) -> Access {
        match self.matrix.iter().find(|one| one.module == part.name && one.table == table) {
            Some(Use { read: true, write: true, .. }) => Access::ReadAndWrite,
            Some(Use { write: true, .. }) => Access::Write,
            Some(Use { read: true, .. }) => Access::Read,
            _ => Access::None,
        }
    }
}

/// Which migrations have run, and what SQLite notes for itself: no data.
fn is_bookkeeping(table: &str) -> bool {
    table.starts_with("migrations_") || table.starts_with("sqlite_")
}
