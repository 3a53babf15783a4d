//! `ashlar modules`.

use serde_json::json;

use super::print;
use crate::app;
use crate::platform::error::Result;
use crate::use_cases::module_map::{Access, ModuleMap, Part};

/// Print the map: the modules, what each owns and reads, and whom it uses.
///
/// It is made from the program itself (each SQL statement is prepared in its owner's name) and needs no database.
#[derive(Debug, clap::Args)]
pub struct Modules {
    /// Print the map as JSON
    #[arg(long)]
    json: bool,
}

impl Modules {
    pub fn run(self) -> Result<()> {
        let (schema, matrix) = app::prove()?;
        let map = app::map(&schema, matrix);
        if self.json {
            return print(json!(map));
        }
        list("MODULES", &map.modules)?;
        list("PLATFORM", &map.platform)?;
        print("WHO READS (r) AND WRITES (w) WHICH TABLE\n")?;
        table(&map)
    }
}

fn list(title: &str, parts: &[Part]) -> Result<()> {
    print(format!("{title}\n"))?;
    for Part { name, purpose, uses, tables } in parts {
        print(format!("  {name:<10}{purpose}"))?;
        print(format!("  {:<10}owns {}", "", or_nothing(tables)))?;
        print(format!("  {:<10}uses {}\n", "", or_nothing(uses)))?;
    }
    Ok(())
}

fn or_nothing<S: AsRef<str>>(names: &[S]) -> String {
    let names: Vec<&str> = names.iter().map(S::as_ref).collect();
    if names.is_empty() { "nothing".into() } else { names.join(", ") }
}

/// Tables down, owners across.
fn table(map: &ModuleMap) -> Result<()> {
    let parts: Vec<&Part> = map.touching().collect();
    let width = parts.iter().flat_map(|part| &part.tables).map(String::len).max().unwrap_or(0);
    let column = parts.iter().map(|part| part.name.len()).max().unwrap_or(0);
    let head: Vec<String> = parts.iter().map(|part| format!("{:<column$}", part.name)).collect();
    print(format!("  {:<width$}  {}", "", head.join("  ").trim_end()))?;
    for table in parts.iter().flat_map(|part| &part.tables) {
        let cell = |part: &&Part| {
            let access = match map.access(part, table) {
                Access::None => "-",
                Access::Read => "r",
                Access::Write => "w",
                Access::ReadAndWrite => "rw",
            };
            format!("{access:<column$}")
        };
        let cells: Vec<String> = parts.iter().map(cell).collect();
        print(format!("  {table:<width$}  {}", cells.join("  ").trim_end()))?;
    }
    Ok(())
}
