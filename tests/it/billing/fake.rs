//! Somebody else's server, on a port of its own: it answers as a test says, and remembers what it was asked. And the books
//! of a unit whose server runs.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ashlar::app;
use ashlar::modules::billing::{Billing, Settings};
use ashlar::platform::clock::Clock;
use ashlar::platform::db::{Database, Folder, Role, Tuning};
use serde_json::{Value, json};

use super::Books;
use crate::support::TestApp;

const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Asked {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// A field of a form.
    pub fn field(&self, name: &str) -> String {
        let found = form_urlencoded::parse(self.body.as_bytes()).find(|(key, _)| key == name);
        found.map(|(_, value)| value.into_owned()).unwrap_or_default()
    }
}

/// Status, further header lines, body.
pub type Said = (u16, &'static str, String);

pub struct Fake {
    pub origin: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Fake {
    pub fn start(answer: impl Fn(&Asked) -> Said + Send + Sync + 'static) -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (all, answer) = (asked.clone(), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (all, answer) = (all.clone(), answer.clone());
                std::thread::spawn(move || {
                    let mut stream = stream.unwrap();
                    let Some(request) = read(&mut BufReader::new(stream.try_clone().unwrap())) else { return };
                    all.lock().unwrap().push(request.clone());
                    let (status, headers, body) = answer(&request);
                    let head = format!(
                        "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n",
                        body.len()
                    );
                    stream.write_all(format!("{head}{body}").as_bytes()).ok();
                });
            }
        });
        Fake { origin, asked }
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// What it was asked, once there are so many that `fit`.
    pub async fn wait_for(&self, count: usize, fit: impl Fn(&Asked) -> bool) -> Vec<Asked> {
        let start = Instant::now();
        loop {
            let fitting: Vec<_> = self.asked().into_iter().filter(|one| fit(one)).collect();
            if fitting.len() >= count {
                return fitting;
            }
            assert!(start.elapsed() < PATIENCE, "{} of {count}: {:#?}", fitting.len(), self.asked());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn read(reader: &mut impl BufRead) -> Option<Asked> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Asked { method, path, headers, body: String::from_utf8(body).unwrap() })
}

/// The books of a unit whose server runs.
pub fn beside(app: &TestApp) -> Books {
    let (schema, _) = app::prove().unwrap();
    let at = Folder::at(&app.folder).unwrap();
    let database = Database::open(&at, schema, Clock::system(), Role::Beside, Tuning::default()).unwrap();
    let books = Books { database, folder: tempfile::tempdir().unwrap() };
    let seller = json!({ "seller": { "name": "Ashlar Ltd", "address": {} }, "bank": { "holder": null, "iban": "DE89370400440532013000", "bic": null } });
    let settings: Settings = serde_json::from_value(seller).unwrap();
    books.write(move |work| Billing.change_settings(work, settings, |_| Ok(()))).unwrap();
    books
}

/// Waits until it is so.
pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "{what} does not come");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
