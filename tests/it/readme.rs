//! Every command of the README does what it says.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::support::{TestApp, ashlar_ok, terminate, wait, without_settings};

const README: &str = include_str!("../../README.md");

/// The lines of the README's `sh` blocks.
fn commands() -> Vec<&'static str> {
    let blocks = README.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.flat_map(str::lines).filter(|line| !line.is_empty()).collect()
}

/// Commands that other tests run: by what, so that whoever changes one finds the other.
fn run_elsewhere() -> BTreeMap<&'static str, &'static str> {
    BTreeMap::from([
        ("scripts/start", "`start_builds_and_serves` below"),
        ("scripts/test", "CI: it is what runs this"),
        ("scripts/new-module notes", "new_module.rs"),
        ("ashlar replica status", "replicated.rs, with a replica"),
        ("ASHLAR_WORKER_TOKEN=… ashlar worker --server https://ashlar.example.org", "workers.rs, with a server"),
        ("ashlar replica take-over", "replicated.rs, with a replica"),
        (r#"curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:8080/api/people"#, "people.rs, by another client"),
    ])
}

#[tokio::test]
async fn every_command_of_the_readme_runs() {
    let mut app = TestApp::start().await;
    let folder = app.folder.clone();
    let work = tempfile::tempdir().unwrap();
    let mut restored = false;
    for line in commands() {
        if run_elsewhere().contains_key(line) {
            continue;
        }
        let Some(arguments) = line.strip_prefix("ashlar ") else { panic!("no test runs this line: {line}") };
        let arguments = words(arguments).into_iter().map(|word| match word.as_str() {
            "backup.db" => work.path().join("backup.db").to_str().unwrap().to_owned(),
            _ => word,
        });
        let arguments: Vec<String> = arguments.collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        if arguments[0] == "restore" {
            assert_eq!(app.stop(), Some(0));
            restored = true;
        }
        ashlar_ok(&folder, &arguments);
    }
    assert!(restored, "the README says how to restore");
}

/// Splits as a shell would, as far as the README goes: double quotes, no escapes.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for (n, part) in line.split('"').enumerate() {
        if n % 2 == 1 {
            words.last_mut().unwrap().push_str(part);
            continue;
        }
        for (m, word) in part.split(' ').enumerate() {
            if m > 0 {
                words.push(String::new());
            }
            words.last_mut().unwrap().push_str(word);
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// A process that is gone when the test is, passed or not.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Long enough to build everything on a slow machine.
const BUILD: Duration = Duration::from_secs(40 * 60);

#[test]
fn start_builds_and_serves() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let data = tempfile::tempdir().unwrap();
    let mut command = Command::new(root.join("scripts/start"));
    without_settings(&mut command);
    command.args(["--listen", "127.0.0.1:0", "--data"]).arg(data.path()).stdout(Stdio::piped());
    let mut start = Killed(command.spawn().unwrap());

    let (send, received) = mpsc::channel();
    let out = BufReader::new(start.0.stdout.take().unwrap());
    std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
    let end = Instant::now() + BUILD;
    let next = || received.recv_timeout(end.saturating_duration_since(Instant::now()));
    let lines: Vec<String> = std::iter::from_fn(|| Some(next().expect("it does not start")))
        .take_while(|line| !line.starts_with("Ashlar serves"))
        .collect();

    // The script becomes the server, so the signal reaches it.
    terminate(&start.0);
    assert_eq!(wait(&mut start.0).code(), Some(0));
    assert!(lines.iter().any(|line| line.contains("/set-up/")), "{lines:?}");
}
