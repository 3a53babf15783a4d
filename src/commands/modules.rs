//! `ashlar modules`.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::print;
use crate::app;
use crate::platform::error::Result;
use crate::use_cases::costs::words::{bytes, percent, span, span_us};
use crate::use_cases::costs::{Advice, Bookkeeper, Costs, LeavesFreely, Leaving, Level, Line, Shared, span_of};
use crate::use_cases::module_map::{Access, ModuleMap, Part};

/// Print the map: the modules, what each owns and reads, and whom it uses; or what each costs.
///
/// The map is made from the program itself (each SQL statement is prepared in its owner's name) and needs no database. What
/// each module costs is read from the unit's history, whether or not its server runs.
#[derive(Debug, clap::Args)]
pub struct Modules {
    /// Which module hurts: what each has used, what to do about it, and what it would cost that one to leave
    #[arg(long)]
    costs: bool,
    /// How far back: 1 hour, 30 days [default: 1 day]
    #[arg(long, value_name = "TIME", requires = "costs")]
    since: Option<String>,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

impl Modules {
    pub fn run(self, data: &Path) -> Result<()> {
        if self.costs {
            return self.costs(data);
        }
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

    fn costs(&self, data: &Path) -> Result<()> {
        let span_ms = span_of(self.since.as_deref())?;
        let (schema, matrix) = app::prove()?;
        let unit = super::open(data, false)?;
        let map = Arc::new(app::map(&schema, matrix));
        let bookkeeper = Bookkeeper { app: unit.app.clone(), map, kinds: app::kinds(&unit.app)? };
        let costs = unit.app.platform.database.read_blocking("costs", |snapshot| bookkeeper.look(snapshot, span_ms))?;
        if self.json { print(json!(costs)) } else { print_costs(&costs) }
    }
}

/// Advice first; then who used what; then what leaving would cost.
fn print_costs(costs: &Costs) -> Result<()> {
    print(format!("{} to {}, CPUs: {}\n", costs.since.to_minute(), costs.until.to_minute(), costs.cores))?;
    for Advice { level, what, how, steps } in &costs.advice {
        let mark = match level {
            Level::Hurts => "!",
            Level::Watch => "?",
            Level::Fine => " ",
        };
        print(format!("{mark} {what}\n  {how}"))?;
        for step in steps {
            print(format!("  - {step}"))?;
        }
        print("")?;
    }
    let mut modules = Columns::new(["MODULE", "CPU", "time", "children", "workers", "SQLite", "in the file"]);
    for one in &costs.modules {
        let size = one.bytes.map_or_else(|| "-".into(), bytes);
        modules.add([
            one.name.clone(),
            share(one.cpu_share),
            time(one.cpu_us),
            time(one.children_us),
            time(one.elsewhere_us),
            time(one.sql_us),
            size,
        ]);
    }
    modules.print()?;
    lines("ROUTE", "requests", &costs.routes)?;
    lines("KIND OF JOB", "runs", &costs.jobs)?;
    lines("IN THE BACKGROUND", "runs", &costs.background)?;
    print_leaving(costs)
}

/// The columns of routes, kinds of jobs and background tasks.
fn lines(title: &'static str, runs: &'static str, all: &[Line]) -> Result<()> {
    if all.is_empty() {
        return Ok(());
    }
    let mut columns = Columns::new([title, "CPU", "time", runs, "p50", "p99", "longest wait"]);
    let ms = |time: Option<f64>| time.map_or_else(|| "-".into(), span);
    for one in all {
        let waited = if one.oldest_ms == 0 { "-".into() } else { span(one.oldest_ms as f64) };
        columns.add([
            one.name.clone(),
            share(one.cpu_share),
            time(one.cpu_us),
            one.runs.to_string(),
            ms(one.p50_ms),
            ms(one.p99_ms),
            waited,
        ]);
    }
    columns.print()
}

fn print_leaving(costs: &Costs) -> Result<()> {
    print("WHAT LEAVING WOULD COST\n")?;
    for LeavesFreely { kind, why } in &costs.leaves_freely {
        print(format!("  {kind}: nothing; {why}"))?;
    }
    for Leaving { module, transactions, reads, calls } in &costs.leaving {
        print(format!("\n  {module}"))?;
        let shared = |all: &[Shared]| {
            let names: Vec<String> =
                all.iter().map(|one| format!("{} (with {})", one.name, one.modules.join(", "))).collect();
            if names.is_empty() { "none was seen".into() } else { names.join(", ") }
        };
        print(format!("    transactions that span it  {}", shared(transactions)))?;
        print(format!("    reads of one state         {}", shared(reads)))?;
        let calls: Vec<String> =
            calls.iter().map(|one| format!("{} ({})", one.use_case, one.functions.join(", "))).collect();
        print(format!("    calls over the network     {}", or_nothing(&calls)))?;
    }
    Ok(())
}

fn time(us: u64) -> String {
    if us == 0 { "-".into() } else { span_us(us) }
}

fn share(share: f64) -> String {
    percent((share * 1e6).ceil() as u64, 1_000_000)
}

/// Text in columns, each as wide as it must be; the first to the left, figures to the right.
struct Columns<const N: usize> {
    rows: Vec<[String; N]>,
}

impl<const N: usize> Columns<N> {
    fn new(head: [&str; N]) -> Columns<N> {
        Columns { rows: vec![head.map(str::to_owned)] }
    }

    fn add(&mut self, row: [String; N]) {
        self.rows.push(row);
    }

    fn print(self) -> Result<()> {
        let width = |n: usize| self.rows.iter().map(|row| row[n].chars().count()).max().unwrap_or(0);
        let widths: [usize; N] = std::array::from_fn(width);
        for row in &self.rows {
            let cells: Vec<String> = (row.iter().zip(widths).enumerate())
                .map(|(n, (cell, width))| if n == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") })
                .collect();
            print(format!("  {}", cells.join("  ").trim_end()))?;
        }
        print("")
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
