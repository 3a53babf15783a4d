//! The command line's commands, one file each.

mod serve;
mod user;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::app;
use crate::platform::clock::Clock;
use crate::platform::config::{Options, Settings};
use crate::platform::db::{Database, Folder, Lock, Role, Tuning};
use crate::platform::error::{Error, Result};
use crate::use_cases::App;

/// The back office of a small company in one binary and one SQLite file.
#[derive(Debug, Parser)]
#[command(name = "ashlar", version, max_term_width = 100)]
struct CommandLine {
    /// The unit's folder: its database is DIR/ashlar.db, its settings DIR/ashlar.toml
    #[arg(long, global = true, env = "ASHLAR_DATA", value_name = "DIR", default_value = "data")]
    data: PathBuf,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the unit: API, pages and background work
    Serve(serve::Serve),
    /// Look after people, also while the server runs
    User(user::User),
}

/// Runs one command: exit code 0 done, 1 failed, 2 wrong usage.
pub fn run() -> ExitCode {
    let CommandLine { data, command } = CommandLine::parse();
    let done: Result<ExitCode> = match command {
        Command::Serve(serve) => serve.run(&data).map(|()| ExitCode::SUCCESS),
        Command::User(user) => user.run(&data).map(|()| ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|error| {
        eprintln!("ashlar: {error}");
        ExitCode::FAILURE
    })
}

/// A unit opened by a command, beside a server or alone.
struct Unit {
    app: App,
    runtime: tokio::runtime::Runtime,
    _lock: Option<Lock>,
}

/// Opens the unit in `data`: as its holder where no server runs (it is made or migrated then), else beside it.
fn open(data: &Path) -> Result<Unit> {
    let folder = Folder::at(data)?;
    let settings = Settings::load(Options::default(), &folder.settings())?;
    let (schema, _) = app::prove()?;
    let lock = folder.lock().ok();
    let role = if lock.is_some() { Role::Server } else { Role::Beside };
    let database = Database::open(&folder, schema, Clock::system(), role, Tuning { readers: 1, ..Tuning::default() })?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::internal("starting the runtime", e))?;
    Ok(Unit { app: app::compose(database, &settings), runtime, _lock: lock })
}

impl Unit {
    fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        self.app.platform.database.close();
    }
}
