//! `ashlar billing …`: bills what is due and prints the books, also while the server runs.

use std::io::ErrorKind;
use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::json;

use super::progress::Bar;
use super::{open, print};
use crate::modules::billing::{Beancount, Ran};
use crate::platform::clock::Time;
use crate::platform::error::{Error, Result};

#[derive(Debug, Args)]
pub struct Billing {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Bill all that is due: trials and periods that are over, and the revenue of days that have passed
    ///
    /// The server does the same every ten minutes. It may be repeated, run late or be stopped anywhere: each invoice is made
    /// once. Exit code 1 where a subscription could not be billed; the log says why.
    Run {
        /// Only what was due by the end of this day (UTC), which must not be to come: 2026-11-30
        #[arg(long, value_name = "DATE")]
        until: Option<Date>,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the whole ledger as beancount takes it, the oldest entry first
    Ledger,
}

impl Billing {
    pub fn run(self, data: &Path) -> Result<ExitCode> {
        let unit = open(data, false)?;
        let app = &unit.app;
        let database = &app.platform.database;
        let Action::Run { until, json } = self.action else {
            let mut ledger = Beancount::of(database.clone());
            return match std::io::copy(&mut ledger, &mut std::io::stdout().lock()) {
                Err(e) if e.kind() != ErrorKind::BrokenPipe => Err(Error::internal("printing the ledger", e)),
                _ => Ok(ExitCode::SUCCESS),
            };
        };
        // Where no day is said, each account's own clock is what counts: a test clock may be ahead.
        let until = until.map_or(Ok(Time::from_ms(i64::MAX)), |day| end_of(day, database.clock().now()))?;
        let bar = Bar::default();
        let ran = app.billing.run_until(database, until, &|ran| {
            bar.tell(&format!("billed {} periods, recognised revenue of {} lines …", ran.steps, ran.recognized));
            true
        });
        bar.clear();
        let ran = ran?;
        if json { print(json!(ran)) } else { print(summary(&ran)) }?;
        Ok(if ran.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// The end of `day`, or now where that day is today.
fn end_of(day: Date, now: Time) -> Result<Time> {
    let begin = |day: Date| TimeZone::UTC.to_timestamp(day.at(0, 0, 0, 0)).map(|begin| begin.as_millisecond());
    let out_of_range = |e| Error::internal("reading the date", e);
    if begin(day).map_err(out_of_range)? > now.as_ms() {
        return Err(Error::Internal(format!("{day} is to come: what is not over yet is not billed")));
    }
    let next = day.tomorrow().and_then(begin).map_err(out_of_range)?;
    Ok(Time::from_ms(next - 1).min(now))
}

fn summary(ran: &Ran) -> String {
    let count = |number: u64, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
    let failed = match ran.failed {
        0 => String::new(),
        number => format!("; {} could not be billed, the log says why", count(number, "subscription")),
    };
    let (periods, lines) = (count(ran.steps, "period"), count(ran.recognized, "line"));
    format!("billed {periods}, recognised revenue of {lines}{failed}")
}
