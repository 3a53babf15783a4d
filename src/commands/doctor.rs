//! `ashlar doctor`.

use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::{people, print, settings};
use crate::app;
use crate::platform::actor::Actor;
use crate::platform::clock::Clock;
use crate::platform::db::{self, Database, Folder, Role, Tuning};
use crate::platform::error::Result;
use crate::use_cases::doctor::{self, Finding};

/// Look for damage and for what does not fit together, also while the server runs.
///
/// It checks the file's pages, indexes and foreign keys; that every table is there and has an owner; that each user
/// has a profile and a billing account and each of those a user; that nothing lets in someone who is gone; that names are
/// found by their words; and that the ledger balances and says what the invoices say. Exit code 1 while something is wrong.
#[derive(Debug, clap::Args)]
pub struct Doctor {
    /// Mend what can be mended without losing anything; each change is in the audit trail
    #[arg(long)]
    fix: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Default)]
struct Report {
    people: Option<i64>,
    damage: Vec<String>,
    mended: Vec<Finding>,
    wrong: Vec<Finding>,
}

impl Doctor {
    pub fn run(self, data: &Path) -> Result<ExitCode> {
        let folder = Folder::at(data)?;
        let report = self.examine(&folder)?;
        if self.json { print(report.json()) } else { report.print(&folder) }?;
        Ok(if report.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn examine(&self, folder: &Folder) -> Result<Report> {
        let settings = settings(folder)?;
        let (schema, _) = app::prove()?;
        // As its holder where no server runs, so that what is mended ends in the database file itself.
        let lock = if self.fix { folder.try_lock()? } else { None };
        let health = db::examine(folder, &schema)?;
        let mut report = Report { damage: health.problems, ..Report::default() };
        if !health.usable {
            return Ok(report);
        }
        let role = if lock.is_some() { Role::Server } else { Role::Beside };
        let database = match Database::open(folder, schema, Clock::system(), role, Tuning::default()) {
            Ok(database) => database,
            Err(error) => {
                report.damage.push(error.to_string());
                return Ok(report);
            }
        };
        let app = app::compose(database, &settings);
        let looked = (|| {
            if self.fix {
                report.mended = doctor::mend(&app, Actor::command_line())?;
            }
            app.platform.database.read_blocking("doctor", |snapshot| {
                report.wrong = doctor::examine(&app, snapshot)?;
                report.people = Some(app.users.count(snapshot)?);
                Ok(())
            })
        })();
        app.platform.database.close();
        // A row that can't be read is what is wrong.
        if let Err(error) = looked {
            report.damage.push(error.to_string());
        }
        Ok(report)
    }
}

impl Report {
    fn is_sound(&self) -> bool {
        self.damage.is_empty() && self.wrong.is_empty()
    }

    fn json(&self) -> Value {
        json!({
            "sound": self.is_sound(),
            "people": self.people,
            "damage": self.damage,
            "mended": self.mended,
            "wrong": self.wrong.iter().map(|finding| {
                json!({
                    "person": finding.person,
                    "problem": finding.problem,
                    "remedy": finding.remedy,
                    "mendable": finding.is_mendable(),
                })
            }).collect::<Vec<_>>(),
        })
    }

    fn print(&self, folder: &Folder) -> Result<()> {
        for finding in &self.mended {
            print(format!("mended  {}: {}", finding.problem, finding.remedy))?;
        }
        for damage in &self.damage {
            print(format!("wrong   {damage}"))?;
        }
        for finding in &self.wrong {
            let by = if finding.is_mendable() { "`ashlar doctor --fix` " } else { "" };
            print(format!("wrong   {}; {by}{}", finding.problem, finding.remedy))?;
        }
        match self.people {
            Some(number) if self.is_sound() => {
                print(format!("{} is sound: {}", folder.database().display(), people(number)))
            }
            _ => Ok(()),
        }
    }
}
