//! What a process needs, as the system counts it.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How Linux counts time towards programs, whatever it does itself.
const TICKS_A_SECOND: u64 = 100;

/// Memory of a process in MB: what of it is in use now.
pub fn memory_mb(pid: u32) -> f64 {
    status_mb(pid, "VmRSS:").expect("its memory")
}

/// Time on a processor that a process has used until now.
pub fn cpu(pid: u32) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("its figures");
    // The name of the program, in brackets, may hold anything.
    let fields = text.rsplit(") ").next().expect("figures").split(' ');
    let ticks: u64 = fields.skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("a number")).sum();
    Duration::from_millis(ticks * 1000 / TICKS_A_SECOND)
}

/// The same of those of its threads whose names begin so.
pub fn cpu_of_threads(pid: u32, name: &str) -> Duration {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("its threads");
    let of = |thread: std::path::PathBuf| {
        // A thread may end meanwhile.
        let is_named = std::fs::read_to_string(thread.join("comm")).is_ok_and(|comm| comm.starts_with(name));
        let figures = std::fs::read_to_string(thread.join("schedstat")).ok().filter(|_| is_named)?;
        figures.split(' ').next().expect("a figure").parse().ok().map(Duration::from_nanos)
    };
    threads.filter_map(|thread| of(thread.expect("a thread").path())).sum()
}

/// What a command needed from its start to its end.
pub struct Cost {
    pub ms: f64,
    pub peak_mb: f64,
}

/// Runs a command, which must succeed.
pub fn run(command: &mut Command) -> Cost {
    let start = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it runs");
    let mut peak_mb: f64 = 0.0;
    let status = loop {
        // A process that has ended has no memory any more.
        peak_mb = peak_mb.max(status_mb(child.id(), "VmHWM:").unwrap_or(0.0));
        match child.try_wait().expect("its end") {
            Some(status) => break status,
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    assert!(status.success(), "{command:?}: {status}");
    Cost { ms: start.elapsed().as_secs_f64() * 1000.0, peak_mb }
}

fn status_mb(pid: u32, name: &str) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") / 1024.0)
}
