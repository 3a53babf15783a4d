//! From the console, while the server runs.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ashlar::app;
use ashlar::platform::clock::Clock;
use ashlar::platform::config::{Options, Settings};
use ashlar::platform::db::{Database, Folder, Role, Tuning};
use ashlar::use_cases::restores;
use reqwest::RequestBuilder;
use rusqlite::Connection;

use crate::commands::{backup, has_unfinished, people, restore, set, unit};
use crate::pages::token_of;
use crate::support::{PASSWORD, TestApp, ashlar, ashlar_ok};

const PATIENCE: Duration = Duration::from_secs(60);

/// A running unit with an owner who is signed in, and a backup in its folder from before Ben joined.
pub(super) struct Console {
    pub app: TestApp,
    /// The owner's session.
    pub token: String,
}

impl Console {
    async fn start() -> Console {
        Console::start_with(&[]).await
    }

    async fn start_with(args: &[&str]) -> Console {
        let app = TestApp::start_with(args).await;
        let link = app.set_up_link.clone().unwrap();
        let fields = [("email", "o@example.org"), ("display_name", "Olu"), ("password", PASSWORD), ("currency", "EUR")];
        let made = app.form(link.strip_prefix(&app.origin).unwrap(), "", &fields).send().await.unwrap();
        let token = token_of(&made);
        app.sign_up("ann@example.org").await;
        let backups = app.folder.join("backups");
        fs::create_dir_all(&backups).unwrap();
        backup(&app.folder, &backups.join("unit.db"));
        app.sign_up("ben@example.org").await;
        Console { app, token }
    }

    fn backup(&self) -> PathBuf {
        self.app.folder.join("backups/unit.db")
    }

    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        Page::of(self.app.form(path, &self.token, fields)).await
    }

    async fn get(&self, path: &str) -> Page {
        Page::of(self.app.page(path, &self.token)).await
    }

    /// A form with one file, as browsers send it.
    pub fn upload_form(&self, name: &str, bytes: &[u8], token: &str) -> RequestBuilder {
        let head = format!(
            "--XyZ\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        self.app
            .request(reqwest::Method::POST, "/restore/upload")
            .header("sec-fetch-site", "same-origin")
            .header("content-type", "multipart/form-data; boundary=XyZ")
            .header("cookie", format!("ashlar={token}"))
            .body([head.as_bytes(), bytes, b"\r\n--XyZ--\r\n"].concat())
    }

    pub async fn upload(&self, name: &str, bytes: &[u8]) -> Page {
        Page::of(self.upload_form(name, bytes, &self.token)).await
    }

    /// Makes the backup in the folder ready and returns the address of its page.
    async fn choose(&self) -> String {
        let choose = || self.post("/restore", &[("backup", "backups/unit.db")]);
        let mut chosen = choose().await;
        // The one before may not have let go quite yet.
        let start = Instant::now();
        while chosen.status == 409 && start.elapsed() < PATIENCE {
            chosen = choose().await;
        }
        assert_eq!(chosen.status, 303, "{}", chosen.text);
        chosen.location
    }

    /// Waits, as a browser does, until the unit is back; returns where it is sent.
    async fn wait(&self) -> String {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            // As browsers do, once more where a connection from before was closed.
            if let Ok(response) = self.app.page("/restoring", &self.token).send().await
                && response.status() == 303
            {
                return response.headers()["location"].to_str().unwrap().to_owned();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("it does not come back");
    }

    /// Nothing was restored, nothing is left, and it still serves.
    async fn must_be_untouched(&self) {
        assert_eq!(self.get("/").await.status, 200, "the owner's session ended");
        assert_eq!(people(&self.app.folder), set(&["o@example.org", "ann@example.org", "ben@example.org"]));
        assert!(!has_unfinished(&self.app.folder), "something was left in the folder");
        assert!(!self.app.folder.join("replaced").exists());
    }
}

/// An answer for people.
#[derive(Debug)]
pub(super) struct Page {
    pub status: u16,
    location: String,
    pub text: String,
}

impl Page {
    pub async fn of(request: RequestBuilder) -> Page {
        let response = request.send().await.unwrap();
        let location = response.headers().get("location").map_or("", |to| to.to_str().unwrap()).to_owned();
        Page { status: response.status().as_u16(), location, text: response.text().await.unwrap() }
    }
}

#[tokio::test]
async fn an_owner_restores_from_the_console_and_the_service_comes_back_by_itself() {
    let mut console = Console::start().await;
    let pid = console.app.pid();

    let list = console.get("/restore").await;
    assert!(list.text.contains("backups/unit.db"), "{}", list.text);
    let address = console.choose().await;
    let page = console.get(&address).await;
    assert_eq!(page.status, 200);
    for text in [
        "<dt>People</dt><dd>2</dd>",
        "Last changed",
        "<strong>1</strong> who joined since then",
        "Mail is held until an owner sends or discards it",
    ] {
        assert!(page.text.contains(text), "{text}: {}", page.text);
    }
    let confirmed = console.post(&address, &[("password", PASSWORD)]).await;

    assert_eq!((confirmed.status, &*confirmed.location), (303, "/restoring"), "{}", confirmed.text);
    assert_eq!(console.wait().await, "/sign-in?done=restored", "everyone is signed out");
    assert!(console.get("/sign-in?done=restored").await.text.contains("The backup is restored"));
    assert_eq!(console.app.pid(), pid);
    assert_eq!(people(&console.app.folder), set(&["o@example.org", "ann@example.org"]));
    assert!(!has_unfinished(&console.app.folder));
    // The same server serves the new unit: writes, reads, the next restore.
    console.app.sign_up("cay@example.org").await;
    console.token = sign_in(&console.app).await;
    let after = console.get("/restore").await;
    assert!(after.text.contains("The last restore") && after.text.contains("replaced/"), "{}", after.text);
    let audit = console.get("/audit").await;
    assert!(audit.text.contains("unit.restored") && audit.text.contains("backups/unit.db"), "{}", audit.text);
    let old = fs::read_dir(console.app.folder.join("replaced")).unwrap().next().unwrap().unwrap().path();
    assert!(people(&old).contains("ben@example.org"));
    let figures = console.app.get("/metrics").bearer_auth(token(&console.app)).send().await.unwrap();
    assert_eq!(figures.status(), 200);
    assert_eq!(console.app.stop(), Some(0));
    ashlar_ok(&console.app.folder, &["doctor"]);
}

#[tokio::test]
async fn an_uploaded_backup_is_restored_as_well_again_and_again() {
    let place = tempfile::tempdir().unwrap();
    let replica = format!("file://{}", place.path().display());
    let mut console = Console::start_with(&["--replica", &replica, "--replica-interval-ms", "20"]).await;
    let bytes = fs::read(console.backup()).unwrap();
    for round in 0..3 {
        console.app.sign_up(&format!("later{round}@example.org")).await;
        let uploaded = console.upload("C:\\backups\\unit <1>.db", &bytes).await;
        assert_eq!(uploaded.status, 303, "{}", uploaded.text);
        let page = console.get(&uploaded.location).await;
        assert!(page.text.contains("unit &#60;1&#62;.db") && !page.text.contains("C:\\"), "{}", page.text);

        let confirmed = console.post(&uploaded.location, &[("password", PASSWORD)]).await;

        assert_eq!(confirmed.status, 303, "{}", confirmed.text);
        assert_eq!(console.wait().await, "/sign-in?done=restored");
        assert_eq!(people(&console.app.folder), set(&["o@example.org", "ann@example.org"]));
        console.token = sign_in(&console.app).await;
    }
    assert_eq!(fs::read_dir(console.app.folder.join("replaced")).unwrap().count(), 3);
    let open = fs::read_dir(format!("/proc/{}/fd", console.app.pid())).unwrap();
    let names: Vec<_> = open.filter_map(|fd| fs::read_link(fd.unwrap().path()).ok()).collect();
    let replaced = names.iter().filter(|name| name.to_str().is_some_and(|name| name.contains("replaced"))).count();
    assert_eq!(replaced, 0, "old databases are still open: {names:?}");

    // The replica went along each time, and restores what is there now.
    assert_eq!(console.app.stop(), Some(0));
    let other = tempfile::tempdir().unwrap();
    ashlar_ok(other.path(), &["restore", "--from", &replica]);
    assert_eq!(people(other.path()), people(&console.app.folder));
    let status = ashlar_ok(other.path(), &["replica", "status", &replica]);
    assert!(status.contains("epoch 4"), "{status}");
}

async fn sign_in(app: &TestApp) -> String {
    let fields = [("email", "o@example.org"), ("password", PASSWORD)];
    token_of(&app.form("/sign-in", "", &fields).send().await.unwrap())
}

fn token(app: &TestApp) -> String {
    ashlar_ok(&app.folder, &["user", "token", "--email", "o@example.org"]).trim().to_owned()
}

#[tokio::test]
async fn what_is_no_backup_of_ours_is_refused_with_the_reason_and_the_service_stays_up() {
    let console = Console::start().await;
    let bytes = fs::read(console.backup()).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let changed = |sql: &str| {
        let path = scratch.path().join("changed.db");
        fs::write(&path, &bytes).unwrap();
        Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        fs::read(&path).unwrap()
    };
    let foreign = scratch.path().join("foreign.db");
    Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    let mut flipped = bytes.clone();
    flipped[5 * 4096..6 * 4096].iter_mut().for_each(|byte| *byte ^= 0x55);
    let newer = "INSERT INTO migrations_users (version, name, applied_on, checksum) VALUES (9, 'x', '2030', '1')";
    let files: [(&str, Vec<u8>, &str); 9] = [
        ("empty.db", Vec::new(), "is empty"),
        ("short.db", bytes[..50].to_vec(), "too short"),
        (
            "random.db",
            (0..40_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect(),
            "no SQLite database",
        ),
        ("truncated.db", bytes[..bytes.len() - 4096].to_vec(), "truncated.db is"),
        ("flipped.db", flipped, "flipped.db is"),
        ("foreign.db", fs::read(&foreign).unwrap(), "a database of another program"),
        ("newer.db", changed(newer), "newer schema"),
        ("stray.db", changed("CREATE TABLE stray (x)"), "`stray` belongs to no module"),
        ("missing.db", changed("DROP TABLE profiles"), "`profiles` is missing"),
    ];

    let waiting = console.choose().await;
    for (name, bytes, why) in files {
        let refused = console.upload(name, &bytes).await;
        assert_eq!(refused.status, 422, "{name}: {}", refused.text);
        let text = refused.text.replace("&#39;", "'");
        assert!(text.contains("Nothing was changed") && text.contains(why) && text.contains(name), "{name}: {text}");
        assert!(!text.contains("/tmp/") && !text.contains("unfinished"), "it names our own files: {text}");
        fs::write(console.app.folder.join("backups").join(name), &bytes).unwrap();
        let key = format!("backups/{name}");
        let refused = console.post("/restore", &[("backup", &key)]).await;
        assert_eq!(refused.status, 422, "{name}: {}", refused.text);
    }
    for key in ["backups/none.db", "ashlar.db", "../ashlar.db", "backups/../ashlar.db", "/etc/passwd"] {
        let refused = console.post("/restore", &[("backup", key)]).await;
        assert_eq!((refused.status, refused.text.contains("it is not there any more")), (422, true), "{key}");
    }
    // Another name of the database that is served: reading it would drop the locks on it.
    fs::hard_link(console.app.folder.join("ashlar.db"), console.app.folder.join("backups/itself.db")).unwrap();
    let refused = console.post("/restore", &[("backup", "backups/itself.db")]).await;
    assert!(refused.text.contains("own database"), "{}", refused.text);
    // What was made ready before is still there to be confirmed.
    assert_eq!(console.post(&waiting, &[("password", "not it at all")]).await.status, 422);
    assert!(has_unfinished(&console.app.folder));
    assert_eq!(console.post(&format!("{waiting}/discard"), &[]).await.status, 303);
    console.must_be_untouched().await;
}

#[tokio::test]
async fn an_older_schema_and_another_unit_are_called_that_and_restored() {
    let mut console = Console::start().await;
    let older = console.app.folder.join("backups/older.db");
    fs::copy(console.backup(), &older).unwrap();
    let raw = Connection::open(&older).unwrap();
    raw.execute_batch(
        "DROP TABLE drills; DROP TABLE migrations_backup; PRAGMA user_version = 5;
         DELETE FROM copy_tables WHERE name IN ('drills', 'migrations_backup')",
    )
    .unwrap();
    drop(raw);
    let chosen = console.post("/restore", &[("backup", "backups/older.db")]).await;
    let page = console.get(&chosen.location).await;
    assert!(page.text.contains("Older; brought up to date by 1 migration"), "{}", page.text);
    assert_eq!(console.post(&chosen.location, &[("password", PASSWORD)]).await.status, 303);
    assert_eq!(console.wait().await, "/sign-in?done=restored");
    assert_eq!(ashlar(&console.app.folder, &["migrate", "--check"]).status.code(), Some(0));

    ashlar_ok(&console.app.folder, &["doctor", "--fix"]);
    console.token = sign_in(&console.app).await;
    let other = unit(&["zoe@example.org"]);
    let file = other.path().join("unit.db");
    backup(other.path(), &file);
    let uploaded = console.upload("zoe.db", &fs::read(&file).unwrap()).await;
    let page = console.get(&uploaded.location).await;
    assert!(page.text.contains("This is a backup of another unit") && page.text.contains("with 2 people"));
    assert!(!page.text.contains("What will be lost"), "{}", page.text);
    assert_eq!(console.post(&uploaded.location, &[("password", PASSWORD)]).await.status, 303);
    assert_eq!(console.wait().await, "/sign-in?done=restored");
    assert_eq!(people(&console.app.folder), set(&["zoe@example.org"]));
    assert_eq!(console.app.stop(), Some(0));
}

#[tokio::test]
async fn an_upload_that_is_too_large_or_no_form_or_breaks_off_leaves_nothing() {
    let console = Console::start_with(&["--max-restore-upload", "200 KiB"]).await;
    let large = vec![7; 300 << 10];

    let refused = console.upload("large.db", &large).await;
    assert_eq!((refused.status, refused.text.contains("Larger than 200 KiB")), (422, true), "{}", refused.text);
    // Not announced, so that it is found out on the way.
    let form = console.upload_form("large.db", &large, &console.token).build().unwrap();
    let body = form.body().unwrap().as_bytes().unwrap().to_vec();
    let pieces: Vec<Result<Vec<u8>, std::io::Error>> = body.chunks(8192).map(|piece| Ok(piece.to_vec())).collect();
    let chunked = console
        .upload_form("large.db", b"", &console.token)
        .body(reqwest::Body::wrap_stream(futures_util::stream::iter(pieces)));
    let refused = Page::of(chunked).await;
    assert_eq!((refused.status, refused.text.contains("Larger than 200 KiB")), (422, true), "{}", refused.text);
    for (form, status) in [
        (console.post("/restore/upload", &[("file", "x")]).await, 415),
        (console.upload("", b"x").await, 422),
        (Page::of(console.upload_form("x.db", b"x", &console.token).body("--XyZ\r\nnonsense")).await, 400),
        (Page::of(console.upload_form("x.db", b"x", &console.token).body("--XyZ--\r\n")).await, 422),
    ] {
        assert_eq!(form.status, status, "{}", form.text);
    }

    for cut in [body.len() / 2, body.len() / 20] {
        let mut connection = console.app.connect();
        let head = format!(
            "POST /restore/upload HTTP/1.1\r\nHost: x\r\nSec-Fetch-Site: same-origin\r\nCookie: ashlar={}\r\n\
             Content-Type: multipart/form-data; boundary=XyZ\r\nContent-Length: 150000\r\n\r\n",
            console.token
        );
        connection.write_all(head.as_bytes()).unwrap();
        connection.write_all(&body[..cut.min(140_000)]).unwrap();
        let start = Instant::now();
        while !has_unfinished(&console.app.folder) {
            assert!(start.elapsed() < PATIENCE, "the upload was never begun");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        drop(connection);
        while has_unfinished(&console.app.folder) {
            assert!(start.elapsed() < PATIENCE, "the upload was never removed");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    console.must_be_untouched().await;
    assert_eq!(console.choose().await.len(), "/restore/".len() + 36, "and the next one is taken");
}

#[tokio::test]
async fn only_an_owner_with_the_password_restores_and_only_from_our_own_page() {
    let console = Console::start_with(&["--sign-ins-per-account", "4"]).await;
    let address = console.choose().await;
    let bytes = fs::read(console.backup()).unwrap();
    let (_, staff) = console.app.person("staff@example.org", "staff");
    let (_, member) = console.app.person("member@example.org", "member");

    for token in [&staff, &member] {
        for path in ["/restore", &address] {
            assert_eq!(Page::of(console.app.page(path, token)).await.status, 403, "{path}");
        }
        for (path, fields) in [
            ("/restore", [("backup", "backups/unit.db")]),
            (&*address, [("password", PASSWORD)]),
            (&*format!("{address}/discard"), [("password", PASSWORD)]),
        ] {
            assert_eq!(Page::of(console.app.form(path, token, &fields)).await.status, 403, "{path}");
        }
        assert_eq!(Page::of(console.upload_form("unit.db", &bytes, token)).await.status, 403);
    }
    let nobody = Page::of(console.app.form(&address, "", &[("password", PASSWORD)])).await;
    assert_eq!((nobody.status, &*nobody.location), (303, "/sign-in"));
    for path in ["/restore/upload", "/restore", &address] {
        let mut elsewhere = console.app.form(path, &console.token, &[("password", PASSWORD)]).build().unwrap();
        elsewhere.headers_mut().insert("sec-fetch-site", "cross-site".parse().unwrap());
        assert_eq!(console.app.client.execute(elsewhere).await.unwrap().status(), 403, "{path}");
    }
    let none = console.post("/restore/01a20acd-df54-740c-a1b7-5f0a20cef6e2", &[("password", PASSWORD)]).await;
    assert_eq!(none.status, 404);

    for _ in 0..2 {
        let wrong = console.post(&address, &[("password", "copper-window-saturday")]).await;
        assert_eq!(wrong.status, 422);
        assert!(wrong.text.contains("This is not your password") && !wrong.text.contains("copper"), "{}", wrong.text);
    }
    console.post(&address, &[("password", "copper-window-saturday")]).await;
    let limited = console.post(&address, &[("password", PASSWORD)]).await;
    assert_eq!((limited.status, limited.text.contains("Too many attempts")), (429, true), "{}", limited.text);

    let discarded = console.post(&format!("{address}/discard"), &[]).await;
    assert_eq!(discarded.location, "/restore?done=discarded");
    assert_eq!(console.get(&address).await.status, 404);
    assert_eq!(console.get("/").await.status, 200);
    assert!(!has_unfinished(&console.app.folder) && people(&console.app.folder).len() == 5);
}

#[tokio::test]
async fn of_two_restores_at_once_one_is_done_and_the_other_is_told() {
    let console = Console::start().await;
    let bytes = fs::read(console.backup()).unwrap();
    // One upload holds the turn for as long as it takes.
    let mut slow = console.app.connect();
    let head = format!(
        "POST /restore/upload HTTP/1.1\r\nHost: x\r\nSec-Fetch-Site: same-origin\r\nCookie: ashlar={}\r\n\
         Content-Type: multipart/form-data; boundary=XyZ\r\nContent-Length: 150000\r\n\r\n",
        console.token
    );
    slow.write_all(head.as_bytes()).unwrap();
    let start = Instant::now();
    while !has_unfinished(&console.app.folder) {
        assert!(start.elapsed() < PATIENCE, "the upload was never begun");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let second = console.upload("unit.db", &bytes).await;
    assert_eq!((second.status, second.text.contains("Another restore is being made ready")), (409, true));
    drop(slow);
    while has_unfinished(&console.app.folder) {
        assert!(start.elapsed() < PATIENCE, "the upload was never removed");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    // A second one takes the place of one that waits; of two confirmations one begins.
    let first = console.choose().await;
    let address = console.choose().await;
    assert_eq!(console.get(&first).await.status, 404);
    let confirm = || console.app.form(&address, &console.token, &[("password", PASSWORD)]).send();
    let (one, other) = tokio::join!(confirm(), confirm());
    let mut statuses = Vec::new();
    for answer in [one, other] {
        // The second may come when the server has left already, and is cut off or finds nobody signed in.
        statuses.push(answer.map_or(0, |answer| answer.status().as_u16()));
    }
    assert!(statuses.contains(&303), "{statuses:?}");

    assert_eq!(console.wait().await, "/sign-in?done=restored");
    assert_eq!(fs::read_dir(console.app.folder.join("replaced")).unwrap().count(), 1);
    assert!(!has_unfinished(&console.app.folder));
}

#[tokio::test]
async fn where_the_place_cannot_be_taken_the_old_unit_goes_on_and_the_owner_is_told_why() {
    let console = Console::start().await;
    let address = console.choose().await;
    let shell = Connection::open(console.app.folder.join("ashlar.db")).unwrap();
    shell.query_row("SELECT count(*) FROM users", [], |row| row.get::<_, i64>(0)).unwrap();

    let confirmed = console.post(&address, &[("password", PASSWORD)]).await;

    assert_eq!(confirmed.status, 303, "{}", confirmed.text);
    assert_eq!(console.wait().await, "/", "the owner is signed in still");
    let home = console.get("/").await;
    assert!(home.text.contains("The last restore failed") && home.text.contains("another program"), "{}", home.text);
    assert!(console.get("/audit").await.text.contains("unit.restore_failed"));
    drop(shell);
    console.must_be_untouched().await;
    // It goes on with all it can do, and the next attempt succeeds.
    console.app.sign_up("cay@example.org").await;
    let address = console.choose().await;
    assert_eq!(console.post(&address, &[("password", PASSWORD)]).await.status, 303);
    assert_eq!(console.wait().await, "/sign-in?done=restored");
    assert_eq!(people(&console.app.folder), set(&["o@example.org", "ann@example.org"]));
}

#[tokio::test]
async fn whoever_asks_while_the_unit_is_replaced_waits_and_is_not_refused() {
    let console = Console::start().await;
    let address = console.choose().await;
    let stop = Arc::new(AtomicBool::new(false));
    let all_answered = Arc::new(AtomicUsize::new(0));
    let askers: Vec<_> = (0..4)
        .map(|_| {
            let (stop, url) = (stop.clone(), format!("{}/api/ready", console.app.origin));
            let all_answered = all_answered.clone();
            // A connection for each: one that is kept alive may always be closed in the moment it is used again.
            let client = reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap();
            tokio::spawn(async move {
                let mut wrong = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    match client.get(&url).timeout(PATIENCE).send().await {
                        Ok(answer) if answer.status() == 200 => {
                            all_answered.fetch_add(1, Ordering::Relaxed);
                        }
                        other => wrong.push(format!("{other:?}")),
                    }
                }
                wrong
            })
        })
        .collect();
    let some_more = async || {
        let (start, before) = (Instant::now(), all_answered.load(Ordering::Relaxed));
        while all_answered.load(Ordering::Relaxed) < before + 40 {
            assert!(start.elapsed() < PATIENCE, "nobody is answered");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    some_more().await;

    assert_eq!(console.post(&address, &[("password", PASSWORD)]).await.status, 303);
    assert_eq!(console.wait().await, "/sign-in?done=restored");
    some_more().await;
    stop.store(true, Ordering::Relaxed);

    for asker in askers {
        assert_eq!(asker.await.unwrap(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_server_killed_at_any_moment_of_a_restore_leaves_the_old_unit_or_the_new_one() {
    let mut console = Console::start().await;
    let folder = console.app.folder.clone();
    let old = set(&["o@example.org", "ann@example.org", "ben@example.org"]);
    let new = set(&["o@example.org", "ann@example.org"]);
    let (mut was_old, mut was_new, mut rounds, mut reach) = (0, 0, 0, 1.5);
    // Kept, and brought back before each round.
    let now = console.app.folder.join("now.db");
    backup(&folder, &now);
    let address = console.choose().await;
    let start = Instant::now();
    assert_eq!(console.post(&address, &[("password", PASSWORD)]).await.status, 303);
    console.wait().await;
    let whole = start.elapsed();
    while rounds < 30 || (rounds < 100 && (was_old == 0 || was_new == 0)) {
        console.app.stop();
        assert!(restore(&folder, &now).status.success());
        console.app.restart(&[]).await;
        console.token = sign_in(&console.app).await;
        let address = console.choose().await;
        let confirm = tokio::spawn(console.app.form(&address, &console.token, &[("password", PASSWORD)]).send());
        let golden_ratio = 0.618_034;
        tokio::time::sleep(whole.mul_f64(reach * (f64::from(rounds) * golden_ratio).fract())).await;

        console.app.kill();

        // It may have been answered before.
        confirm.await.unwrap().ok();
        console.app.restart(&[]).await;
        let found = people(&folder);
        assert!(found == old || found == new, "{found:?}");
        was_old += u32::from(found == old);
        was_new += u32::from(found == new);
        rounds += 1;
        if rounds % 10 == 0 && was_new == 0 {
            reach *= 2.0; // The machine has become slower than it was at first.
        }
        assert!(!has_unfinished(&folder), "what was left over is still there");
        ashlar_ok(&folder, &["doctor"]);
    }
    assert!(was_old > 0 && was_new > 0, "the kills missed what they are for: {was_old} old, {was_new} new");
}

#[tokio::test]
async fn a_server_told_to_stop_in_the_middle_of_a_restore_stops_cleanly() {
    for pause_ms in [0, 20, 60, 150, 300] {
        let mut console = Console::start().await;
        let address = console.choose().await;
        let confirm = tokio::spawn(console.app.form(&address, &console.token, &[("password", PASSWORD)]).send());
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;

        assert_eq!(console.app.stop(), Some(0), "after {pause_ms} ms");

        confirm.await.unwrap().ok();
        assert!(!has_unfinished(&console.app.folder), "after {pause_ms} ms");
        ashlar_ok(&console.app.folder, &["doctor"]);
        assert!([2, 3].contains(&people(&console.app.folder).len()));
    }
}

#[tokio::test]
async fn what_a_killed_server_had_made_ready_goes_with_the_next_start() {
    let mut console = Console::start().await;
    console.choose().await;
    assert!(has_unfinished(&console.app.folder));

    console.app.kill();
    console.app.restart(&[]).await;

    console.must_be_untouched().await;
}

#[tokio::test]
async fn a_command_that_holds_the_database_is_waited_for_and_then_the_old_unit_goes_on() {
    let console = Console::start().await;
    let address = console.choose().await;
    let held = fs::File::open(console.app.folder.join("ashlar.use")).unwrap();
    held.lock_shared().unwrap();

    assert_eq!(console.post(&address, &[("password", PASSWORD)]).await.status, 303);

    assert_eq!(console.wait().await, "/");
    assert!(console.get("/").await.text.contains("in use by another command"));
    held.unlock().unwrap();
    console.must_be_untouched().await;
}

#[tokio::test]
async fn what_nobody_confirms_is_removed_after_its_time() {
    let unit = unit(&["ann@example.org"]);
    fs::create_dir(unit.path().join("backups")).unwrap();
    backup(unit.path(), &unit.path().join("backups/unit.db"));
    let folder = Folder::at(unit.path()).unwrap();
    let settings = Settings::load(Options::default(), &folder.settings()).unwrap();
    let (schema, _) = app::prove().unwrap();
    let _lock = folder.lock().unwrap();
    let database = Database::open(&folder, schema, Clock::system(), Role::Server, Tuning::default()).unwrap();
    let app = app::compose(database, &settings);
    let id = restores::choose(&app, "backups/unit.db".into()).await.unwrap();

    app.restores.forget_older_than(restores::PATIENCE);
    assert!(restores::preview(&app, Ok(id)).is_ok() && has_unfinished(unit.path()));
    app.restores.forget_older_than(Duration::ZERO);

    assert!(restores::preview(&app, Ok(id)).is_err() && !has_unfinished(unit.path()));
}
