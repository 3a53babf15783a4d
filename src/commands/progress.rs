//! How far something is, on a terminal.

use std::cell::Cell;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use crate::platform::backup::{Progress, Step};

const EVERY: Duration = Duration::from_millis(100);
/// Back to the beginning of the line, which is emptied.
const NEW_LINE: &str = "\r\x1b[2K";

/// One line on standard error that is written anew; nothing where that is no terminal.
#[derive(Default)]
pub(super) struct Bar {
    shown: Cell<Option<(Instant, Option<Step>)>>,
}

impl Bar {
    pub fn show(&self, progress: Progress) {
        self.tell_of(Some(progress.step), || line(progress));
    }

    /// Of what has one step alone.
    pub fn tell(&self, text: &str) {
        self.tell_of(None, || text.to_owned());
    }

    fn tell_of(&self, step: Option<Step>, line: impl FnOnce() -> String) {
        let is_soon = |(at, shown): (Instant, Option<Step>)| shown == step && at.elapsed() < EVERY;
        if self.shown.get().is_some_and(is_soon) || !std::io::stderr().is_terminal() {
            return;
        }
        self.shown.set(Some((Instant::now(), step)));
        say(&line());
    }

    /// So much of what is to be restored is there; then it is checked.
    pub fn fetched(&self, done_bytes: u64, total_bytes: u64) {
        let step = if done_bytes < total_bytes { Step::Copying } else { Step::Checking };
        self.show(Progress { step, done_bytes, total_bytes });
    }

    pub fn clear(&self) {
        if self.shown.take().is_some() {
            say("");
        }
    }
}

fn line(progress: Progress) -> String {
    let Progress { step, done_bytes, total_bytes } = progress;
    let mib = total_bytes >> 20;
    match step {
        // It is not known how far a check is.
        Step::Checking | Step::Proving => format!("{} {mib} MiB …", step.name()),
        _ => format!("{} {} of {mib} MiB ({} %)", step.name(), done_bytes >> 20, progress.percent()),
    }
}

fn say(text: &str) {
    let mut terminal = std::io::stderr();
    // It is shown for somebody's comfort; the work goes on without.
    write!(terminal, "{NEW_LINE}{text}").and_then(|()| terminal.flush()).ok();
}
