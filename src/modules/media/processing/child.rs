//! A child process within limits: of time, memory, CPU and patience.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process_group, prlimit};

use super::{Limits, fault};
use crate::platform::jobs::Failure;
use crate::platform::metering;

/// The child is looked at so often.
const LOOK: Duration = Duration::from_millis(100);
/// What is kept of what it says in the end.
const LAST_WORDS: u64 = 4096;
/// Lines it may say of how far it is, at most, in bytes each.
const LINE: u64 = 1024;

/// How a child ended.
pub(super) struct Ended {
    pub status: ExitStatus,
    /// What it wrote to its standard output, where that was wanted whole.
    pub output: Vec<u8>,
    /// The end of what it wrote to its standard error.
    pub words: String,
    pub cpu_ms: u64,
}

/// What becomes of a child's standard output.
pub(super) enum Output<'a> {
    /// It is kept, up to so many bytes.
    Kept(u64),
    /// Each line is handed on, as it comes.
    Lines(&'a dyn Fn(&str)),
}

/// Runs `command` to its end; none where there is no such program.
///
/// # Errors
/// If `watch` says so, or it takes longer than it may; it is gone then, with all that it started.
pub(super) fn run(
    mut command: Command,
    limits: &Limits,
    until: Instant,
    output: Output<'_>,
    watch: &dyn Fn() -> Result<(), Failure>,
) -> Result<Option<Ended>, Failure> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = match command.spawn() {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        spawned => Guard(spawned.map_err(fault("starting a program"))?),
    };
    let pid = Pid::from_child(&child.0);
    let at_most = |value: u64| Rlimit { current: Some(value), maximum: Some(value) };
    // That they can't be set is no reason not to go on: time is limited anyway.
    prlimit(Some(pid), Resource::As, at_most(limits.max_memory_bytes)).ok();
    prlimit(Some(pid), Resource::Cpu, at_most(limits.max_seconds.saturating_mul(4))).ok();
    prlimit(Some(pid), Resource::Core, at_most(0)).ok();

    let words = child.0.stderr.take().map(|stderr| std::thread::spawn(move || last(stderr)));
    let (said, lines) = mpsc::sync_channel::<Vec<u8>>(64);
    let keep = match &output {
        Output::Kept(bytes) => Some(*bytes),
        Output::Lines(_) => None,
    };
    let stdout = child.0.stdout.take();
    let reading = std::thread::spawn(move || read_out(stdout, keep, &said));
    let mut kept = Vec::new();
    let mut cpu_ms = 0;
    let status = loop {
        while let Ok(line) = lines.try_recv() {
            match &output {
                Output::Kept(_) => kept.extend(line),
                Output::Lines(told) => told(&String::from_utf8_lossy(&line)),
            }
        }
        let before = cpu_ms;
        cpu_ms = cpu_of(pid).unwrap_or(cpu_ms).max(cpu_ms);
        metering::children(Duration::from_millis(cpu_ms - before));
        if let Some(status) = child.0.try_wait().map_err(fault("waiting for a program"))? {
            break status;
        }
        watch()?;
        if Instant::now() > until {
            let minutes = limits.max_seconds.div_ceil(60);
            return Err(Failure::Never(format!("it can't be worked on within {minutes} minutes")));
        }
        std::thread::sleep(LOOK);
    };
    // What it started goes with it, or it would hold the pipes.
    kill_process_group(pid, Signal::KILL).ok();
    drop(child);
    // Until the pipe is empty, or who reads it would wait for us.
    for line in lines {
        if let Output::Kept(_) = output {
            kept.extend(line);
        }
    }
    reading.join().ok();
    let words = words.and_then(|words| words.join().ok()).unwrap_or_default();
    Ok(Some(Ended { status, output: kept, words, cpu_ms }))
}

/// Kills the child, with all that it started, unless it has ended.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        if !matches!(self.0.try_wait(), Ok(Some(_))) {
            kill_process_group(Pid::from_child(&self.0), Signal::KILL).ok();
            self.0.wait().ok();
        }
    }
}

/// Hands on what comes: whole up to `keep` bytes, or else line by line, of which only the last few that fit.
fn read_out(from: Option<impl Read>, keep: Option<u64>, to: &mpsc::SyncSender<Vec<u8>>) {
    let Some(from) = from else { return };
    let mut from = BufReader::new(from);
    let mut taken = 0;
    loop {
        let mut line = Vec::new();
        match from.by_ref().take(LINE).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(read) => taken += read as u64,
        }
        match keep {
            Some(most) if taken <= most => drop(to.send(line)),
            Some(_) => {}
            // Whoever reads is late: the next line says more.
            None => drop(to.try_send(line)),
        }
    }
}

/// The last of what is said; all of it is read, so that the child never waits.
fn last(mut from: impl Read) -> String {
    let mut words = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(read @ 1..) = from.read(&mut piece) {
        words.extend_from_slice(&piece[..read]);
        if words.len() as u64 > 2 * LAST_WORDS {
            words.drain(..words.len() - LAST_WORDS as usize);
        }
    }
    String::from_utf8_lossy(&words).trim().to_owned()
}

/// CPU time that a process has taken, all its threads together.
///
/// Source: proc_pid_stat(5), fields 14 and 15, in ticks.
fn cpu_of(pid: Pid) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    // The program's name stands in parentheses, and may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let ticks: u64 = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(ticks * 1000 / rustix::param::clock_ticks_per_second().max(1))
}
