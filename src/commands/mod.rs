//! The command line's commands, one file each.

mod backup;
mod billing;
mod doctor;
mod media;
mod migrate;
mod modules;
mod openapi;
mod progress;
mod replica;
mod restore;
mod serve;
mod user;
mod verify;
mod worker;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::app;
use crate::platform::backup::Outside;
use crate::platform::clock::Clock;
use crate::platform::config::{Options, Settings};
use crate::platform::db::{Database, Folder, Lock, Role, Tuning};
use crate::platform::error::{Error, Result};
use crate::use_cases::App;

/// The back office of a small company in one binary and one SQLite file.
#[derive(Debug, Parser)]
#[command(name = "ashlar", version, max_term_width = 100, after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage.")]
struct CommandLine {
    /// The unit's folder: its database is DIR/ashlar.db, its settings DIR/ashlar.toml
    #[arg(long, global = true, env = "ASHLAR_DATA", value_name = "DIR", default_value = "data")]
    data: PathBuf,

    #[command(subcommand)]
    command: Command,
}

/// What stands here or at a command's own type is its help.
#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the unit: API, pages and background work
    Serve(Box<serve::Serve>),
    /// Look after people, also while the server runs
    User(user::User),
    /// Bill what is due, also while the server runs
    Billing(billing::Billing),
    Backup(backup::Backup),
    Replica(replica::Replica),
    Restore(restore::Restore),
    Verify(verify::Verify),
    Doctor(doctor::Doctor),
    Media(media::Media),
    Migrate(migrate::Migrate),
    Modules(modules::Modules),
    Openapi(openapi::Openapi),
    Worker(worker::Worker),
}

/// Runs one command: exit code 0 done, 1 failed, 2 wrong usage.
pub fn run() -> ExitCode {
    // The database holds secrets: no file that this process makes is for others to read.
    rustix::process::umask(rustix::fs::Mode::from_bits_truncate(0o077));
    let CommandLine { data, command } = CommandLine::parse();
    let done: Result<ExitCode> = match command {
        Command::Serve(serve) => serve.run(&data).map(|()| ExitCode::SUCCESS),
        Command::User(user) => user.run(&data).map(|()| ExitCode::SUCCESS),
        Command::Billing(billing) => billing.run(&data),
        Command::Backup(backup) => backup.run(&data).map(|()| ExitCode::SUCCESS),
        Command::Replica(replica) => replica.run(&data).map(|()| ExitCode::SUCCESS),
        Command::Restore(restore) => restore.run(&data).map(|()| ExitCode::SUCCESS),
        Command::Verify(verify) => verify.run(&data).map(|()| ExitCode::SUCCESS),
        Command::Doctor(doctor) => doctor.run(&data),
        Command::Media(media) => media.run(&data).map(|()| ExitCode::SUCCESS),
        Command::Migrate(migrate) => migrate.run(&data),
        Command::Modules(modules) => modules.run(&data).map(|()| ExitCode::SUCCESS),
        Command::Openapi(openapi) => openapi.run().map(|()| ExitCode::SUCCESS),
        Command::Worker(worker) => worker.run().map(|()| ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|error| {
        match &error {
            Error::Conflict { field: Some(field), .. } => eprintln!("ashlar: {field}: {error}"),
            _ => eprintln!("ashlar: {error}"),
        }
        ExitCode::FAILURE
    })
}

/// Prints `text` as a line; that nobody reads it any more, as in `ashlar … | head -1`, is no fault.
fn print(text: impl std::fmt::Display) -> Result<()> {
    use std::io::{ErrorKind, Write};
    match writeln!(std::io::stdout(), "{text}") {
        Err(e) if e.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        written => written.map_err(|e| Error::internal("printing", e)),
    }
}

/// `1 person`, `2 people`.
fn people(number: i64) -> String {
    if number == 1 { "1 person".into() } else { format!("{number} people") }
}

/// What lies outside of a database.
fn outside(it: &Outside) -> String {
    let Outside { place, contents, bytes } = it;
    format!(
        "{} of media, {bytes} bytes, at {place}: no backup has what lies there",
        self::contents(contents.unsigned_abs())
    )
}

/// `1 content`, `2 contents`.
fn contents(number: u64) -> String {
    if number == 1 { "1 content".into() } else { format!("{number} contents") }
}

/// The settings of commands that have no flags for them: variables over the file over defaults.
fn settings(folder: &Folder) -> Result<Settings> {
    #[derive(Parser)]
    struct Variables {
        #[command(flatten)]
        options: Options,
    }

    let variables = Variables::try_parse_from(["ashlar"]).map_err(|e| {
        let text = e.to_string();
        Error::Internal(text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned())
    })?;
    Settings::load(variables.options, &folder.settings())
}

/// A unit opened by a command, beside a server or alone.
struct Unit {
    app: App,
    runtime: tokio::runtime::Runtime,
    _lock: Option<Lock>,
}

/// Opens the unit in `data`: as its holder where no server runs (it is migrated then, and made if `may_make`), else
/// beside it.
fn open(data: &Path, may_make: bool) -> Result<Unit> {
    let folder = Folder::at(data)?;
    let settings = settings(&folder)?;
    let (schema, _) = app::prove()?;
    let lock = folder.try_lock()?;
    let may_hold = may_make || folder.database().exists();
    let role = if lock.is_some() && may_hold { Role::Server } else { Role::Beside };
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
