//! Mail, sent to a real SMTP server (`tests/it/smtp/server.py`), or kept.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{PASSWORD, TestApp, ashlar_ok, program, tool};

const PATIENCE: Duration = Duration::from_secs(30);
const FROM: &str = "Ashlar Works <ashlar@example.org>";

/// An SMTP server of its own. It ends when it is dropped.
struct Post {
    folder: tempfile::TempDir,
    port: String,
    child: Child,
}

impl Post {
    /// None where it is not installed, which is told.
    fn start(options: &[&str]) -> Option<Post> {
        let packages = tool("aiosmtpd-1.4.6", "")?;
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new("python3")
            .arg(smtp_folder().join("server.py"))
            .arg(folder.path())
            .args(options)
            .env("PYTHONPATH", packages)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        assert!(!port.is_empty(), "the SMTP server did not start: {:?}", child.wait());
        Some(Post { folder, port: port.trim().to_owned(), child })
    }

    fn url(&self, before: &str, behind: &str) -> String {
        format!("{before}127.0.0.1:{}{behind}", self.port)
    }

    /// What it took, the first first.
    fn taken(&self) -> Vec<Value> {
        let read = |n: usize| std::fs::read(self.folder.path().join(format!("{n}.json"))).ok();
        (1..).map_while(read).map(|bytes| serde_json::from_slice(&bytes).unwrap()).collect()
    }

    async fn nth(&self, n: usize) -> Value {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(mail) = self.taken().into_iter().nth(n - 1) {
                return mail;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("no {n} mails were taken: {:?}", self.taken());
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn smtp_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/smtp")
}

/// The program, told where mail goes.
fn mailing(url: &str) -> Command {
    let mut command = program();
    command.env("ASHLAR_SMTP_URL", url).env("ASHLAR_MAIL_FROM", FROM);
    command
}

async fn start(url: &str) -> (tempfile::TempDir, TestApp) {
    let folder = tempfile::tempdir().unwrap();
    let app = TestApp::start_as(mailing(url), folder.path(), &[]).await;
    (folder, app)
}

/// The last part of the link in a mail's text.
fn link_token(mail: &Value) -> String {
    let line = mail["text"].as_str().unwrap().lines().find(|line| line.starts_with("http")).unwrap();
    line.rsplit('/').next().unwrap().trim().to_owned()
}

impl TestApp {
    /// The newest mail, once it is as `is` wants it.
    async fn mail(&self, token: &str, is: impl Fn(&Value) -> bool) -> Value {
        let start = Instant::now();
        loop {
            let mails = self.ask("GET /api/mails", token, Value::Null).await.body;
            if is(&mails["items"][0]) {
                return mails["items"][0].clone();
            }
            assert!(start.elapsed() < PATIENCE, "{mails}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn is_in(state: &'static str) -> impl Fn(&Value) -> bool {
    move |mail| mail["state"] == state
}

fn has_failed_once(mail: &Value) -> bool {
    mail["state"] == "waiting" && !mail["why"].is_null()
}

fn why(mail: &Value) -> &str {
    mail["why"].as_str().unwrap()
}

#[tokio::test]
async fn whoever_signs_up_is_greeted_and_confirms_their_address() {
    let Some(post) = Post::start(&[]) else { return };
    let (_folder, app) = start(&post.url("smtp://", "")).await;
    let (_, owner) = app.person("owner@example.org", "owner");
    let form = json!({ "email": "zoe@example.org", "password": PASSWORD, "display_name": "Zoë Ångström" });
    let signed_up = app.ask("POST /api/sign-up", "", form).await;
    assert_eq!(signed_up.status, 201, "{}", signed_up.text);
    assert_eq!(signed_up.body["user"]["email_verified_at"], Value::Null);
    let token = signed_up.body["token"].as_str().unwrap();

    let mail = post.nth(1).await;
    assert_eq!((&mail["sender"], &mail["recipients"]), (&json!("ashlar@example.org"), &json!(["zoe@example.org"])));
    assert_eq!(mail["headers"]["from"], FROM);
    assert_eq!(mail["headers"]["subject"], "Welcome to Ashlar");
    assert!(mail["headers"]["to"].as_str().unwrap().contains("Zoë Ångström"), "{mail}");
    assert_eq!(mail["headers"]["auto-submitted"], "auto-generated");
    let link = format!("{}/address/{}", app.origin, link_token(&mail));
    assert!(mail["text"].as_str().unwrap().contains(&link) && mail["html"].as_str().unwrap().contains(&link), "{mail}");

    let sent = app.mail(&owner, is_in("sent")).await;
    assert_eq!(sent["message_id"], mail["headers"]["message-id"]);
    assert!(sent["why"].is_null() && sent["has_body"] == false, "{sent}");

    // Looking uses it up as little as programs do that look through mail.
    assert_eq!(app.get(&format!("/address/{}", link_token(&mail))).send().await.unwrap().status(), 200);
    let confirm = format!("POST /api/address-links/{}", link_token(&mail));
    assert_eq!(app.ask(&confirm, "", Value::Null).await.status, 204);
    assert!(app.ask("GET /api/me", token, Value::Null).await.body["user"]["email_verified_at"].is_string());
    assert_eq!(app.ask(&confirm, "", Value::Null).await.status, 404);
    assert_eq!(app.ask("POST /api/me/address-link", token, Value::Null).await.status, 409);
}

#[tokio::test]
async fn a_forgotten_password_is_reset_once_and_reveals_nothing() {
    let Some(post) = Post::start(&[]) else { return };
    let (_folder, app) = start(&post.url("smtp://", "")).await;
    let (_, owner) = app.person("owner@example.org", "owner");
    let signed_up = app.sign_up("ann@example.org").await;
    let old = signed_up["token"].as_str().unwrap();
    post.nth(1).await;

    let ask = |email: &str| app.ask("POST /api/password-resets", "", json!({ "email": email }));
    let (known, unknown) = (ask("ANN@example.org").await, ask("nobody@example.org").await);
    assert_eq!((known.status, &known.text), (202, &unknown.text));
    assert_eq!(unknown.status, 202);
    assert_eq!(ask("no address").await.status, 422);
    let mail = post.nth(2).await;
    assert_eq!(mail["headers"]["subject"], "Set a new password");
    let of_reset = app.mail(&owner, is_in("sent")).await;
    let time = |field: &str| of_reset[field].as_str().unwrap().parse::<ashlar::platform::clock::Time>().unwrap();
    assert_eq!(time("expires_at").as_ms() - time("created_at").as_ms(), 30 * 60 * 1000);

    let set = format!("POST /api/password-links/{}", link_token(&mail));
    assert_eq!(app.ask(&set, "", json!({ "password": "violet-anvil-tuesday" })).await.status, 204);
    assert_eq!(app.ask("GET /api/me", old, Value::Null).await.status, 401, "all sessions end");
    assert_eq!(app.ask(&set, "", json!({ "password": "another-anvil-tuesday" })).await.status, 404);
    let form = json!({ "email": "ann@example.org", "password": "violet-anvil-tuesday" });
    let token = app.ask("POST /api/sessions", "", form).await.body["token"].as_str().unwrap().to_owned();
    // Whoever has read that mail has proven the address as well.
    assert!(app.ask("GET /api/me", &token, Value::Null).await.body["user"]["email_verified_at"].is_string());

    // Of two links, the newer one holds. Asked for at once, either could be that.
    assert_eq!(ask("ann@example.org").await.status, 202);
    let older = post.nth(3).await;
    assert_eq!(ask("ann@example.org").await.status, 202);
    let newer = post.nth(4).await;
    let look = |mail: &Value| app.get(&format!("/password/{}", link_token(mail))).send();
    assert_eq!(look(&older).await.unwrap().status(), 404);
    assert_eq!(look(&newer).await.unwrap().status(), 200);
    // Nobody is flooded, and strangers learn nothing from that either.
    assert_eq!(ask("ann@example.org").await.status, 429);
    for _ in 0..2 {
        assert_eq!(ask("nobody@example.org").await.status, 202);
    }
    assert_eq!(ask("nobody@example.org").await.status, 429);
    assert_eq!(post.taken().len(), 4);
}

#[tokio::test]
async fn someone_who_is_disabled_or_gone_gets_no_link() {
    let Some(post) = Post::start(&[]) else { return };
    let (_folder, app) = start(&post.url("smtp://", "")).await;
    let (_, owner) = app.person("owner@example.org", "owner");
    let (id, _) = app.person("ann@example.org", "member");
    app.ask(&format!("PATCH /api/people/{id}"), &owner, json!({ "state": "disabled" })).await;
    let asked = app.ask("POST /api/password-resets", "", json!({ "email": "ann@example.org" })).await;
    assert_eq!(asked.status, 202);

    // Only then is the next one at the door.
    app.sign_up("ben@example.org").await;
    assert_eq!(post.nth(1).await["recipients"], json!(["ben@example.org"]));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(post.taken().len(), 1);
}

#[tokio::test]
async fn whoever_is_added_is_invited() {
    let Some(post) = Post::start(&[]) else { return };
    let (_folder, app) = start(&post.url("smtp://", "")).await;
    let (_, staff) = app.person("staff@example.org", "staff");
    let form = json!({ "email": "ann@example.org", "display_name": "Ann" });
    assert_eq!(app.ask("POST /api/people", &staff, form).await.status, 201);

    let mail = post.nth(1).await;
    assert_eq!(mail["headers"]["subject"], "You are invited to Ashlar");
    let set = format!("POST /api/password-links/{}", link_token(&mail));
    assert_eq!(app.ask(&set, "", json!({ "password": PASSWORD })).await.status, 204);
    let session = app.ask("POST /api/sessions", "", json!({ "email": "ann@example.org", "password": PASSWORD })).await;
    assert_eq!(session.status, 201);
}

#[tokio::test]
async fn without_a_mail_server_mail_is_kept_for_those_who_may_read_it() {
    let app = TestApp::start().await;
    let (owner_id, owner) = app.person("owner@example.org", "owner");
    let (_, staff) = app.person("staff@example.org", "staff");
    let member = app.sign_up("ann@example.org").await;
    let of_member = app.mail(&staff, is_in("kept")).await;
    app.ask("POST /api/password-resets", "", json!({ "email": "owner@example.org" })).await;
    let of_owner = app.mail(&staff, |mail| mail["person"] == owner_id).await;

    let show = |mail: &Value| format!("GET /api/mails/{}", mail["id"].as_str().unwrap());
    let shown = app.ask(&show(&of_member), &staff, Value::Null).await;
    assert!(shown.body["body"]["text"].as_str().unwrap().contains("/address/"), "{}", shown.text);
    // Else whoever is on the staff could make themselves owner.
    let withheld = app.ask(&show(&of_owner), &staff, Value::Null).await;
    assert!(withheld.body["body"].is_null() && withheld.body["is_withheld"] == true, "{}", withheld.text);
    assert!(!withheld.text.contains("/password/"));
    let shown = app.ask(&show(&of_owner), &owner, Value::Null).await;
    assert!(shown.body["body"]["text"].as_str().unwrap().contains("/password/"), "{}", shown.text);
    let member = member["token"].as_str().unwrap();
    assert_eq!(app.ask(&show(&of_member), member, Value::Null).await.status, 403);

    // The pages say the same.
    let page = |token: &str, mail: &Value, tail: &str| {
        let path = format!("/outbox/{}{tail}", mail["id"].as_str().unwrap());
        let request = app.get(&path).header("cookie", format!("ashlar={token}"));
        async { request.send().await.unwrap() }
    };
    assert!(page(&staff, &of_member, "").await.text().await.unwrap().contains("/address/"));
    assert!(!page(&staff, &of_owner, "").await.text().await.unwrap().contains("/password/"));
    assert_eq!(page(&staff, &of_owner, "/html").await.status(), 404);
    let html = page(&staff, &of_member, "/html").await;
    let policy = html.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("sandbox") && policy.contains("default-src 'none'"), "{policy}");
    assert!(html.text().await.unwrap().contains("/address/"));

    let retry = format!("POST /api/mails/{}/retry", of_member["id"].as_str().unwrap());
    assert_eq!(app.ask(&retry, &staff, Value::Null).await.status, 409);
}

#[tokio::test]
async fn what_was_kept_can_be_sent_once_there_is_a_mail_server() {
    let Some(post) = Post::start(&[]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut app = TestApp::start_in(folder.path(), &[]).await;
    let (_, owner) = app.person("owner@example.org", "owner");
    app.sign_up("ann@example.org").await;
    let kept = app.mail(&owner, is_in("kept")).await;
    app.stop();

    let app = TestApp::start_as(mailing(&post.url("smtp://", "")), folder.path(), &[]).await;
    let retry = format!("POST /api/mails/{}/retry", kept["id"].as_str().unwrap());
    assert_eq!(app.ask(&retry, &owner, Value::Null).await.status, 200);
    let taken = post.nth(1).await;
    assert_eq!(taken["headers"]["message-id"], kept["message_id"]);
    app.mail(&owner, is_in("sent")).await;
    assert_eq!(app.ask(&retry, &owner, Value::Null).await.status, 409);
}

#[tokio::test]
async fn a_refusal_for_good_is_shown_at_the_person_and_one_for_now_is_tried_again() {
    let Some(post) = Post::start(&[]) else { return };
    let (_folder, app) = start(&post.url("smtp://", "")).await;
    let (_, owner) = app.person("owner@example.org", "owner");

    for (address, said) in [("unknown@example.org", "550 5.1.1 no such mailbox"), ("spam@example.org", "554 5.7.1")] {
        let person = app.sign_up(address).await["user"]["id"].as_str().unwrap().to_owned();
        let mail = app.mail(&owner, is_in("failed")).await;
        assert!(mail["is_refused"] == true && why(&mail).contains(said), "{mail}");
        let page = app.get(&format!("/people/{person}")).header("cookie", format!("ashlar={owner}"));
        let page = page.send().await.unwrap().text().await.unwrap();
        assert!(page.contains("is refused") && page.contains(said), "{page}");
    }
    for (address, said) in [("full@example.org", "452 4.2.2"), ("closing@example.org", "421 4.3.0")] {
        app.sign_up(address).await;
        let mail = app.mail(&owner, |mail| mail["address"] == address && has_failed_once(mail)).await;
        assert!(why(&mail).contains(said), "{mail}");
    }
    assert_eq!(post.taken().len(), 0);

    app.sign_up("once@example.org").await;
    let mail = app.mail(&owner, |mail| mail["address"] == "once@example.org" && has_failed_once(mail)).await;
    let retry = format!("POST /api/jobs/{}/retry", mail["job"].as_str().unwrap());
    assert_eq!(app.ask(&retry, &owner, Value::Null).await.status, 200);
    app.mail(&owner, is_in("sent")).await;
    assert_eq!(post.taken().len(), 1);
}

#[tokio::test]
async fn a_mail_server_that_is_not_there_or_says_nothing_holds_nobody_up() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let said = [
        (nobody, "refused", Duration::from_secs(5)),
        (silent.local_addr().unwrap().port(), "no answer in time", Duration::from_secs(14)),
    ];
    for (port, said, within) in said {
        let (_folder, mut app) = start(&format!("smtp://127.0.0.1:{port}")).await;
        let (_, owner) = app.person("owner@example.org", "owner");
        app.sign_up("ann@example.org").await;
        let start = Instant::now();
        let mail = app.mail(&owner, has_failed_once).await;
        assert!(start.elapsed() < within && why(&mail).contains(said), "{:?} {mail}", start.elapsed());
        let start = Instant::now();
        app.stop();
        assert!(start.elapsed() < Duration::from_secs(12), "{:?}", start.elapsed());
    }
}

/// Many look into a mail before they answer; who gives up meanwhile has it sent twice.
#[tokio::test]
async fn a_mail_server_may_take_its_time_with_what_it_was_handed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let taken = Arc::new(AtomicUsize::new(0));
    let counted = taken.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            slow_smtp(stream, &counted).ok();
        }
    });
    let (_folder, app) = start(&format!("smtp://{address}")).await;
    let (_, owner) = app.person("owner@example.org", "owner");
    app.sign_up("ann@example.org").await;

    app.mail(&owner, is_in("sent")).await;

    assert_eq!(taken.load(Ordering::Relaxed), 1);
}

/// Takes mail, and answers so twelve seconds later.
fn slow_smtp(mut stream: TcpStream, taken: &AtomicUsize) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    stream.write_all(b"220 slow\r\n")?;
    while let Some(line) = lines.next().transpose()? {
        match &line[..line.len().min(4)] {
            "DATA" => {
                stream.write_all(b"354 go on\r\n")?;
                lines.by_ref().map_while(Result::ok).find(|line| line == ".");
                taken.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_secs(12));
                stream.write_all(b"250 taken\r\n")?;
            }
            "QUIT" => return Ok(()),
            _ => stream.write_all(b"250 yes\r\n")?,
        }
    }
    Ok(())
}

#[tokio::test]
async fn nothing_is_sent_in_the_clear_where_tls_is_asked_for() {
    let Some(post) = Post::start(&[]) else { return };
    let (_folder, app) = start(&post.url("smtp://", "?tls=required")).await;
    let (_, owner) = app.person("owner@example.org", "owner");
    app.sign_up("ann@example.org").await;

    let mail = app.mail(&owner, has_failed_once).await;
    assert!(why(&mail).contains("offers no STARTTLS"), "{mail}");
    assert_eq!(post.taken().len(), 0);
}

#[tokio::test]
async fn a_certificate_is_checked_and_a_password_is_sent_in_secret_alone() {
    for (option, scheme, tail) in [("--starttls", "smtp", "?tls=required"), ("--tls", "smtps", "")] {
        let Some(post) = Post::start(&[option, "--user", "ann:s3cr@t"]) else { return };
        let url = post.url(&format!("{scheme}://ann:s3cr%40t@"), tail);
        let folder = tempfile::tempdir().unwrap();
        let mut app = TestApp::start_as(mailing(&url), folder.path(), &[]).await;
        let (_, owner) = app.person("owner@example.org", "owner");
        app.sign_up("ann@example.org").await;
        let mail = app.mail(&owner, has_failed_once).await;
        assert!(why(&mail).contains("certificate"), "{mail}");
        assert_eq!(post.taken().len(), 0);
        app.stop();

        // An authority that the machine trusts.
        let mut trusting = mailing(&url);
        trusting.env("SSL_CERT_FILE", smtp_folder().join("ca.pem"));
        let mut app = TestApp::start_as(trusting, folder.path(), &[]).await;
        let retry = format!("POST /api/jobs/{}/retry", mail["job"].as_str().unwrap());
        app.ask(&retry, &owner, Value::Null).await;
        app.mail(&owner, is_in("sent")).await;
        let taken = post.nth(1).await;
        assert!(taken["is_secret"] == true && taken["is_signed_in"] == true, "{taken}");
        app.stop();

        let mut wrong = mailing(&post.url(&format!("{scheme}://ann:wrong@"), tail));
        wrong.env("SSL_CERT_FILE", smtp_folder().join("ca.pem"));
        let app = TestApp::start_as(wrong, folder.path(), &[]).await;
        app.sign_up("ben@example.org").await;
        let mail = app.mail(&owner, |mail| mail["address"] == "ben@example.org" && has_failed_once(mail)).await;
        assert!(why(&mail).contains("check user and password") && !why(&mail).contains("wrong@"), "{mail}");
    }
}

#[tokio::test]
async fn a_mail_that_was_taken_when_we_died_goes_out_again_under_the_same_id() {
    let Some(post) = Post::start(&[]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let url = post.url("smtp://", "");
    let mut app = TestApp::start_as(mailing(&url), folder.path(), &["--job-lease", "2 seconds"]).await;
    let (_, owner) = app.person("owner@example.org", "owner");
    app.sign_up("slow@example.org").await;
    let first = post.nth(1).await;
    app.kill();

    let app = TestApp::start_as(mailing(&url), folder.path(), &["--job-lease", "2 seconds"]).await;
    let second = post.nth(2).await;
    app.mail(&owner, is_in("sent")).await;
    assert_eq!(first["headers"]["message-id"], second["headers"]["message-id"]);
    assert_eq!(first["text"], second["text"]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(post.taken().len(), 2);
}

#[tokio::test]
async fn mail_that_waited_in_a_backup_is_held_until_an_owner_says_so() {
    let Some(post) = Post::start(&[]) else { return };
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (folder, mut app) = start(&format!("smtp://127.0.0.1:{nobody}")).await;
    app.person("owner@example.org", "owner");
    app.sign_up("ann@example.org").await;
    let kept = tempfile::tempdir().unwrap();
    let file = kept.path().join("unit.db");
    ashlar_ok(folder.path(), &["backup", "--to", file.to_str().unwrap()]);
    app.stop();
    ashlar_ok(folder.path(), &["restore", "--from", file.to_str().unwrap()]);

    let app = TestApp::start_as(mailing(&post.url("smtp://", "")), folder.path(), &[]).await;
    let owner = ashlar_ok(folder.path(), &["user", "token", "--email", "owner@example.org"]).trim().to_owned();
    let mail = app.mail(&owner, is_in("waiting")).await;
    let retry = format!("POST /api/jobs/{}/retry", mail["job"].as_str().unwrap());
    app.ask(&retry, &owner, Value::Null).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(post.taken().len(), 0);

    let released = app.ask("POST /api/outbox/release", &owner, json!({ "discard": false })).await;
    assert!(released.status < 300, "{}", released.text);
    post.nth(1).await;
    app.mail(&owner, is_in("sent")).await;
}

#[tokio::test]
async fn what_is_erased_is_not_sent() {
    let mut said = String::new();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let (_folder, app) = start(&format!("smtp://{}", silent.local_addr().unwrap())).await;
    let (_, owner) = app.person("owner@example.org", "owner");
    let pause = app.ask("PATCH /api/job-kinds/mail.deliver", &owner, json!({ "paused": true })).await;
    assert_eq!(pause.status, 200, "{}", pause.text);
    let id = app.sign_up("ann@example.org").await["user"]["id"].as_str().unwrap().to_owned();
    assert_eq!(app.ask(&format!("DELETE /api/people/{id}"), &owner, Value::Null).await.status, 204);
    app.ask("PATCH /api/job-kinds/mail.deliver", &owner, json!({ "paused": false })).await;

    tokio::time::sleep(Duration::from_secs(1)).await;
    silent.set_nonblocking(true).unwrap();
    if let Ok((mut connection, _)) = silent.accept() {
        connection.read_to_string(&mut said).ok();
        panic!("somebody came: {said}");
    }
    assert_eq!(app.ask("GET /api/mails", &owner, Value::Null).await.body["items"], json!([]));
}

#[tokio::test]
async fn wrong_settings_are_named_at_the_start_without_the_password() {
    for (url, from, said) in [
        ("http://mail.example.org", FROM, "smtp_url is wrong"),
        ("smtps://ann:hunter2@mail.example.org/x", FROM, "smtp_url is wrong"),
        ("smtps://ann:hunter2@mail.example.org", "nonsense", "mail_from is `nonsense`"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let output = program()
            .env("ASHLAR_SMTP_URL", url)
            .env("ASHLAR_MAIL_FROM", from)
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(folder.path())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert!(!output.status.success() && text.contains(said) && !text.contains("hunter2"), "{text}");
    }
}
