//! One unit of its own for each test: the real program, on a free port, with its data in a temporary folder.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use reqwest::header::HeaderMap;
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::openapi;

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
    without_settings(&mut command);
    command
}

/// Settings of whoever runs the tests must not reach what they run.
pub fn without_settings(command: &mut Command) {
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ASHLAR_")) {
        command.env_remove(name);
    }
}

/// For HTTP alone; yet it asks for the TLS implementation that the program brings along.
pub fn client() -> Client {
    // It may be chosen already.
    rustls::crypto::ring::default_provider().install_default().ok();
    Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap()
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

/// Tells whoever runs the tests that `what` was not tried, and why: past what catches a test's output, and in the list
/// that `scripts/test` prints at its end.
pub fn skip(what: &str, why: &str) {
    let line = format!("skipped: {what}, because {why}\n");
    // Nobody is left to be told when even this fails.
    std::io::stderr().write_all(line.as_bytes()).ok();
    if let Some(list) = std::env::var_os("ASHLAR_TEST_SKIPPED") {
        let mut list = OpenOptions::new().append(true).create(true).open(list).unwrap();
        list.write_all(line.as_bytes()).unwrap();
    }
}

/// What `scripts/install test` puts there; none where it could not, which is told.
pub fn tool(name: &str, file: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools").join(name).join(file);
    if !path.exists() {
        skip(&format!("what needs {name}"), "`scripts/install test` did not install it");
        return None;
    }
    Some(path)
}

/// The real Litestream of this version ("0.5.17", "0.5.5"); none where it is not installed, which is told.
pub fn litestream(version: &str) -> Option<PathBuf> {
    tool(&format!("litestream-{version}"), "bin/litestream")
}

/// A server that speaks S3, on a port of its own, empty; none where it is not installed, which is told.
pub fn moto() -> Option<Moto> {
    let packages = tool("moto-5.2.5", "")?;
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let output = std::fs::File::create(&log).unwrap();
    let mut child = Command::new("python3")
        .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", "0"])
        .env("PYTHONPATH", packages)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .stdout(output.try_clone().unwrap())
        .stderr(output)
        .spawn()
        .unwrap();
    let start = Instant::now();
    loop {
        let printed = std::fs::read_to_string(&log).unwrap();
        if let Some((endpoint, _)) = printed.split_once("Running on ").and_then(|(_, rest)| rest.split_once('\n')) {
            return Some(Moto { endpoint: endpoint.trim().to_owned(), child, log, _folder: folder });
        }
        let ended = child.try_wait().unwrap();
        assert!(ended.is_none() && start.elapsed() < PATIENCE, "moto did not start ({ended:?}): {printed}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// See [`moto`]. It ends when it is dropped.
pub struct Moto {
    /// `http://127.0.0.1:…`
    pub endpoint: String,
    child: Child,
    log: PathBuf,
    _folder: tempfile::TempDir,
}

impl Moto {
    /// Makes a bucket.
    pub fn bucket(&self, name: &str) {
        let answer = self.ask("PUT", &format!("/{name}"));
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    /// Asks it for `path`, without a body; it checks no signature. Returns the answer with its headers.
    pub fn ask(&self, method: &str, path: &str) -> String {
        let host = self.endpoint.trim_start_matches("http://");
        let mut connection = TcpStream::connect(host).unwrap();
        connection.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(
            connection,
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// How many requests it has answered so far.
    pub fn requests(&self) -> usize {
        std::fs::read_to_string(&self.log).unwrap().matches(" HTTP/1.1").count()
    }

    /// What Litestream and Ashlar are told by the environment, to find it and to be let in.
    pub fn settings(&self) -> [(&'static str, &str); 4] {
        [
            ("AWS_ACCESS_KEY_ID", "a-key"),
            ("AWS_SECRET_ACCESS_KEY", "a-secret"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ENDPOINT_URL_S3", &self.endpoint),
        ]
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Asks a process to stop.
pub fn terminate(child: &Child) {
    rustix::process::kill_process(rustix::process::Pid::from_child(child), rustix::process::Signal::TERM).unwrap();
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
        TestApp::start_as(program(), folder, args).await
    }

    /// By `command`, which passes its arguments to the program.
    pub async fn start_as(mut command: Command, folder: &Path, args: &[&str]) -> TestApp {
        command
            // As variables, so that a test may set them otherwise by flags.
            .env("ASHLAR_SIGN_UPS_PER_ADDRESS", "100000")
            .env("ASHLAR_SIGN_INS_PER_ADDRESS", "100000")
            .env("ASHLAR_SIGN_INS_PER_ACCOUNT", "100000")
            .env("ASHLAR_LOG", "warn")
            .env("ASHLAR_BACKUP_EVERY", "off")
            .env("ASHLAR_DRILL_EVERY", "off")
            .env("ASHLAR_COSTS_EVERY", "off")
            .env("ASHLAR_LISTEN", "127.0.0.1:0")
            .arg("serve")
            .args(args)
            .arg("--data")
            .arg(folder);
        // Tests hold over a thousand connections at once.
        rlimit::increase_nofile_limit(u64::MAX).unwrap();
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
        let client = client();
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

    /// Asks `"GET /api/me"` as the bearer of `token` (nobody, if it is empty) with a JSON body, if it is not null.
    pub async fn ask(&self, what: &str, token: &str, body: Value) -> Answer {
        self.send(self.asking(what, token, body)).await
    }

    /// As [`TestApp::ask`], to be completed and sent.
    pub fn asking(&self, what: &str, token: &str, body: Value) -> RequestBuilder {
        let (method, path) = what.split_once(' ').unwrap();
        let mut request = self.request(method.parse().unwrap(), path);
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        if body.is_null() { request } else { request.json(&body) }
    }

    /// Sends a request, reads the whole answer and holds it against the OpenAPI document.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        let request = request.build().unwrap();
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        let response = self.client.execute(request).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        let answer = Answer { status, headers, body, text };
        if answer.status >= 400 && method != Method::HEAD {
            answer.must_be_a_problem();
        }
        openapi::must_be_documented(&method, &path, &answer);
        answer
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

    /// Sends these bytes as they are, and returns what comes back until the server closes, or falls silent for 5 s.
    pub fn raw(&self, bytes: &[u8]) -> String {
        let mut connection = self.connect();
        // A server that refuses may close before it has read everything.
        connection.write_all(bytes).ok();
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer).ok();
        String::from_utf8_lossy(&answer).into_owned()
    }

    pub fn connect(&self) -> TcpStream {
        let connection = TcpStream::connect(self.origin.trim_start_matches("http://")).unwrap();
        connection.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        connection
    }

    /// The most memory that the server has held so far, in KiB.
    pub fn peak_memory_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Starts it again on its folder, after it has ended.
    pub async fn restart(&mut self, args: &[&str]) {
        let again = TestApp::start_in(&self.folder, args).await;
        let temporary = self._temporary.take();
        *self = again;
        self._temporary = temporary;
    }

    /// Pulls the plug.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to stop and returns its exit code.
    pub fn stop(&mut self) -> Option<i32> {
        terminate(&self.child);
        wait(&mut self.child).code()
    }
}

/// How it ended, which must be soon.
pub fn wait(child: &mut Child) -> ExitStatus {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("it does not stop");
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    /// Null where it is no JSON.
    pub body: Value,
    pub text: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The names of the fields that were wrong.
    pub fn wrong_fields(&self) -> Vec<&str> {
        let errors = self.body["errors"].as_array().map_or(&[][..], Vec::as_slice);
        errors.iter().map(|error| error["field"].as_str().unwrap()).collect()
    }

    /// Its last part: `/problems/invalid` is `invalid`.
    pub fn problem(&self) -> &str {
        self.body["type"].as_str().unwrap_or("").trim_start_matches("/problems/")
    }

    fn must_be_a_problem(&self) {
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.text);
        assert_eq!(self.body["status"], self.status, "{}", self.text);
        assert_eq!(self.body["request_id"], self.header("x-request-id"), "{}", self.text);
        for part in ["type", "title", "detail"] {
            assert!(self.body[part].as_str().is_some_and(|text| !text.is_empty()), "{}", self.text);
        }
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        // It may have been stopped by the test already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
