//! One unit of its own for each test: the real program, on a free port, with its data in a temporary folder.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

pub const PASSWORD: &str = "violet-anvil-tuesday";
const PATIENCE: Duration = Duration::from_secs(30);

/// A running server.
pub struct TestApp {
    pub folder: PathBuf,
    pub origin: String,
    /// The set-up link, while there is no owner.
    pub set_up_link: Option<String>,
    pub client: Client,
    child: Child,
    _temporary: Option<tempfile::TempDir>,
}

pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ashlar"));
    // Settings of whoever runs the tests must not reach it.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ASHLAR_")) {
        command.env_remove(name);
    }
    command
}

/// Runs one command of the program to its end.
pub fn ashlar(data: &Path, args: &[&str]) -> Output {
    program().args(args).arg("--data").arg(data).stdin(Stdio::null()).output().unwrap()
}

/// What a command printed; it must have succeeded.
pub fn ashlar_ok(data: &Path, args: &[&str]) -> String {
    let output = ashlar(data, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

impl TestApp {
    pub async fn start() -> TestApp {
        TestApp::start_with(&[]).await
    }

    /// With more arguments for `ashlar serve`.
    pub async fn start_with(args: &[&str]) -> TestApp {
        let temporary = tempfile::tempdir().unwrap();
        let mut app = TestApp::start_in(temporary.path(), args).await;
        app._temporary = Some(temporary);
        app
    }

    /// On a folder that outlives it.
    pub async fn start_in(folder: &Path, args: &[&str]) -> TestApp {
        let mut command = program();
        command.args(["serve", "--listen", "127.0.0.1:0"]);
        // Out of the way, where a test is not about them.
        for limit in ["--sign-ups-per-address", "--sign-ins-per-address", "--sign-ins-per-account"] {
            if !args.contains(&limit) {
                command.args([limit, "100000"]);
            }
        }
        command.args(args).arg("--data").arg(folder);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut set_up_link = None;
        let mut origin = None;
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            if line.contains("/set-up/") {
                set_up_link = Some(line.trim().to_owned());
            }
            if let Some((_, address)) = line.split_once(" on http://") {
                origin = Some(format!("http://{address}"));
                break;
            }
        }
        let origin = origin.unwrap_or_else(|| panic!("it did not start: {:?}", child.wait()));
        let client = Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        TestApp { folder: folder.to_owned(), origin, set_up_link, client, child, _temporary: None }
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.origin)).timeout(PATIENCE)
    }

    pub fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    pub fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        self.request(Method::POST, path).json(body)
    }

    /// Someone with this role who can sign in; made on the command line beside the server. Returns id and token.
    pub fn person(&self, email: &str, role: &str) -> (String, String) {
        let name = email.split('@').next().unwrap();
        let args = ["user", "create", "--email", email, "--display-name", name, "--role", role, "--json"];
        let person: Value = serde_json::from_str(&ashlar_ok(&self.folder, &args)).unwrap();
        let token = ashlar_ok(&self.folder, &["user", "token", "--email", email]).trim().to_owned();
        (person["user"]["id"].as_str().unwrap().to_owned(), token)
    }

    pub async fn sign_up(&self, email: &str) -> Value {
        let answer = self
            .post("/api/sign-up", &json!({ "email": email, "password": PASSWORD, "display_name": "Ann Lee" }))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), StatusCode::CREATED);
        answer.json().await.unwrap()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Pulls the plug.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to stop and returns its exit code.
    pub fn stop(&mut self) -> Option<i32> {
        Command::new("kill").arg("-TERM").arg(self.pid().to_string()).status().unwrap();
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("it does not stop");
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        // It may have been stopped by the test already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
