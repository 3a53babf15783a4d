//! `ashlar modules`.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::json;

use super::print;
use crate::app;
use crate::platform::db::{Schema, Use};
use crate::platform::error::Result;
use crate::platform::module::Declaration;

/// Prints the map: the modules, what each owns and reads, and whom it uses.
///
/// It is made from the program itself (each SQL statement is prepared in its owner's name) and needs no database.
#[derive(Debug, clap::Args)]
pub struct Modules {
    /// Print the map as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Part<'a> {
    name: &'a str,
    purpose: &'a str,
    uses: &'a [&'a str],
    tables: Vec<&'a str>,
}

impl Modules {
    pub fn run(self) -> Result<()> {
        let (schema, matrix) = app::prove()?;
        let (modules, platform) = (app::declarations(), app::platform_declarations());
        let (modules, platform) = (parts(&modules, &schema), parts(&platform, &schema));
        if self.json {
            return print(json!({ "modules": modules, "platform": platform, "matrix": matrix }));
        }
        list("MODULES", &modules)?;
        list("PLATFORM", &platform)?;
        print("WHO READS (r) AND WRITES (w) WHICH TABLE\n")?;
        table(&matrix)
    }
}

fn parts<'a>(declarations: &'a [Declaration], schema: &'a Schema) -> Vec<Part<'a>> {
    let part = |one: &'a Declaration| Part {
        name: one.name,
        purpose: one.purpose,
        uses: one.uses,
        tables: schema.ownership().tables_of(one.name).filter(|table| !is_bookkeeping(table)).collect(),
    };
    declarations.iter().map(part).collect()
}

/// Refinery's own.
fn is_bookkeeping(table: &str) -> bool {
    table.starts_with("migrations_") || table.starts_with("sqlite_")
}

fn list(title: &str, parts: &[Part<'_>]) -> Result<()> {
    print(format!("{title}\n"))?;
    for Part { name, purpose, uses, tables } in parts {
        print(format!("  {name:<10}{purpose}"))?;
        print(format!("  {:<10}owns {}", "", or_nothing(tables)))?;
        print(format!("  {:<10}uses {}\n", "", or_nothing(uses)))?;
    }
    Ok(())
}

fn or_nothing(names: &[&str]) -> String {
    if names.is_empty() { "nothing".into() } else { names.join(", ") }
}

/// Tables down, owners across.
fn table(matrix: &[Use]) -> Result<()> {
    let owners: BTreeSet<&str> = matrix.iter().map(|one| one.module).collect();
    let tables: BTreeSet<&str> = matrix.iter().map(|one| one.table.as_str()).collect();
    let width = tables.iter().map(|table| table.len()).max().unwrap_or(0);
    let column = owners.iter().map(|owner| owner.len()).max().unwrap_or(0);
    let head: Vec<String> = owners.iter().map(|owner| format!("{owner:<column$}")).collect();
    print(format!("  {:<width$}  {}", "", head.join("  ").trim_end()))?;
    for name in tables {
        let cell = |owner: &&str| {
            let found = matrix.iter().find(|one| one.module == *owner && one.table == name);
            let text = found.map_or("-", |one| match (one.read, one.write) {
                (true, true) => "rw",
                (true, false) => "r",
                _ => "w",
            });
            format!("{text:<column$}")
        };
        let cells: Vec<String> = owners.iter().map(cell).collect();
        print(format!("  {name:<width$}  {}", cells.join("  ").trim_end()))?;
    }
    Ok(())
}
