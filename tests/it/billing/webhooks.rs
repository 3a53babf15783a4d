//! Billing events, told by webhooks: signed, in order, at least once, and not to inner addresses.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ashlar::modules::billing::Billing;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::fake::{Asked, Fake, beside};
use super::{Books, TEAM};
use crate::support::TestApp;

pub const INNER: &str = "--webhooks-to-inner-networks=true";

/// A receiver that gives these answers, and then only good ones.
pub fn receiver(answers: &[u16]) -> Fake {
    let answers = Arc::new(Mutex::new(VecDeque::from(answers.to_vec())));
    Fake::start(move |_| (answers.lock().unwrap().pop_front().unwrap_or(204), "", "seen".into()))
}

pub async fn listen(app: &TestApp, owner: &str, body: Value) -> (String, String) {
    let added = app.ask("POST /api/billing/webhook-endpoints", owner, body).await;
    assert_eq!(added.status, 201, "{}", added.text);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&added.body["endpoint"]["id"]), text(&added.body["secret"]))
}

pub async fn deliveries(app: &TestApp, token: &str, query: &str) -> Vec<Value> {
    let found = app.ask(&format!("GET /api/billing/webhook-deliveries?limit=100{query}"), token, Value::Null).await;
    found.body["items"].as_array().unwrap().clone()
}

/// The one delivery of `kind`, once it is as `fits` wants it.
pub async fn delivery(app: &TestApp, token: &str, kind: &str, fits: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..1000 {
        let all = deliveries(app, token, "").await;
        if let Some(one) = all.into_iter().find(|one| one["event_type"] == kind && fits(one)) {
            return one;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("no such delivery of {kind}: {:#?}", deliveries(app, token, "").await);
}

pub async fn run_now(app: &TestApp, token: &str, delivery: &Value) {
    let job = delivery["job"].as_str().unwrap();
    let retried = app.ask(&format!("POST /api/jobs/{job}/retry"), token, Value::Null).await;
    assert_eq!(retried.status, 200, "{}", retried.text);
}

pub fn signature(secret: &str, asked: &Asked) -> String {
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    let of = |name: &str| asked.headers[name].clone();
    mac.update(format!("{}.{}.{}", of("webhook-id"), of("webhook-timestamp"), asked.body).as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

fn is(kind: &str) -> impl Fn(&Asked) -> bool {
    move |asked| asked.json()["type"] == kind
}

#[tokio::test]
async fn what_happens_is_told_signed_and_in_the_order_of_each_object() {
    let app = TestApp::start_with(&[INNER]).await;
    let (_, owner) = app.person("owner@example.org", "owner");
    // Only the invoice's first event is refused, at first.
    let refused = Arc::new(Mutex::new(true));
    let is_refused = refused.clone();
    let fake = Fake::start(move |asked| {
        let is_first = asked.json()["type"] == "invoice.finalized" && std::mem::take(&mut *is_refused.lock().unwrap());
        if is_first { (500, "retry-after: 3600\r\n", "not now".into()) } else { (200, "", "ok".into()) }
    });
    let (_, secret) = listen(&app, &owner, json!({ "url": format!("{}/hooks", fake.origin) })).await;
    let books = beside(&app);
    books.sell(TEAM);
    let ann = books.account("EUR", "2026-06-01");

    books.subscribe(ann, "team", 2);
    let failed = delivery(&app, &owner, "invoice.finalized", |one| one["attempts"] == 1).await;
    let invoice = books.invoices(ann).remove(0);
    books.pay(ann, invoice.due_minor, None);
    fake.wait_for(1, is("payment.recorded")).await;
    fake.wait_for(1, is("subscription.created")).await;

    assert_eq!(
        (&failed["state"], &failed["status"], &failed["response"]),
        (&json!("waiting"), &json!(500), &json!("not now"))
    );
    // It waits behind the one that was refused.
    let behind = delivery(&app, &owner, "invoice.paid", |_| true).await;
    assert_eq!((&behind["state"], &behind["job"]), (&json!("waiting"), &Value::Null));
    assert!(!fake.asked().iter().any(is("invoice.paid")));

    run_now(&app, &owner, &failed).await;
    let paid = fake.wait_for(1, is("invoice.paid")).await.remove(0);
    let told: Vec<_> = fake.asked().into_iter().filter(is("invoice.finalized")).collect();
    assert_eq!(told.len(), 2);
    assert_eq!(told[0].headers["webhook-id"], told[1].headers["webhook-id"]);
    for one in told.iter().chain([&paid]) {
        assert_eq!(one.headers["webhook-signature"], signature(&secret, one));
    }
    let body = paid.json();
    assert_eq!((&body["data"]["id"], &body["data"]["state"]), (&json!(invoice.id), &json!("paid")));
    assert_eq!(body["data"]["gross"], json!({ "amount_minor": 2400, "currency": "EUR" }));
    let taken = delivery(&app, &owner, "invoice.paid", |one| one["state"] == "delivered").await;
    let event = format!("GET /api/billing/events/{}", taken["event_id"].as_str().unwrap());
    assert_eq!(app.ask(&event, &owner, Value::Null).await.body["payload"], body);
}

#[tokio::test]
async fn a_delivery_can_be_repeated_and_an_endpoint_given_another_secret() {
    let app = TestApp::start_with(&[INNER]).await;
    let (_, owner) = app.person("owner@example.org", "owner");
    let fake = receiver(&[]);
    let wanted = json!({ "url": fake.origin, "event_types": ["subscription.created"] });
    let (endpoint, old) = listen(&app, &owner, wanted).await;
    let books = beside(&app);
    books.sell(TEAM);
    books.subscribe(books.account("EUR", "2026-06-01"), "team", 1);
    let done = delivery(&app, &owner, "subscription.created", |one| one["state"] == "delivered").await;

    let secret = app.ask(&format!("POST /api/billing/webhook-endpoints/{endpoint}/secret"), &owner, Value::Null).await;
    let repeat = format!("POST /api/billing/webhook-deliveries/{}/repetition", done["id"].as_str().unwrap());
    assert_eq!(app.ask(&repeat, &owner, Value::Null).await.status, 201);

    let told = fake.wait_for(2, |_| true).await;
    assert_eq!(told[0].headers["webhook-id"], told[1].headers["webhook-id"]);
    let new = secret.body["secret"].as_str().unwrap();
    let both = format!("{} {}", signature(new, &told[1]), signature(&old, &told[1]));
    assert_eq!(told[1].headers["webhook-signature"], both);
    assert!(fake.asked().iter().all(is("subscription.created")));
    let shown = app.ask(&format!("GET /api/billing/webhook-endpoints/{endpoint}"), &owner, Value::Null).await;
    assert!(!shown.text.contains("whsec_") && !shown.text.contains(new));
}

#[tokio::test]
async fn redirects_are_not_followed_and_who_is_gone_is_left_alone() {
    let app = TestApp::start_with(&[INNER]).await;
    let (_, owner) = app.person("owner@example.org", "owner");
    let elsewhere = receiver(&[]);
    let target = elsewhere.origin.clone();
    let moved: &'static str = Box::leak(format!("location: {target}/\r\n").into_boxed_str());
    let redirecting = Fake::start(move |_| (302, moved, String::new()));
    let gone = receiver(&[410]);
    listen(&app, &owner, json!({ "url": redirecting.origin, "event_types": ["subscription.created"] })).await;
    let (id, _) = listen(&app, &owner, json!({ "url": gone.origin, "event_types": ["invoice.finalized"] })).await;
    let books = beside(&app);
    books.sell(TEAM);
    books.subscribe(books.account("EUR", "2026-06-01"), "team", 1);

    let failed = delivery(&app, &owner, "subscription.created", |one| one["attempts"] == 1).await;
    assert_eq!((&failed["state"], &failed["status"]), (&json!("waiting"), &json!(302)));
    let ended = delivery(&app, &owner, "invoice.finalized", |one| one["state"] == "failed").await;
    assert_eq!(ended["status"], 410);
    let endpoint = app.ask(&format!("GET /api/billing/webhook-endpoints/{id}"), &owner, Value::Null).await;
    assert_eq!(endpoint.body["is_active"], false);
    let repeat = format!("POST /api/billing/webhook-deliveries/{}/repetition", ended["id"].as_str().unwrap());
    assert_eq!(app.ask(&repeat, &owner, Value::Null).await.status, 409);
    assert!(elsewhere.asked().is_empty());
}

#[tokio::test]
async fn inner_addresses_are_refused_by_number_and_by_name() {
    let app = TestApp::start().await;
    let (_, owner) = app.person("owner@example.org", "owner");
    let fake = receiver(&[]);
    for url in [fake.origin.as_str(), "https://127.0.0.1/", "https://[::ffff:10.0.0.1]/", "https://169.254.169.254/"] {
        let refused = app.ask("POST /api/billing/webhook-endpoints", &owner, json!({ "url": url })).await;
        assert_eq!(refused.wrong_fields(), ["url"], "{url}: {}", refused.text);
    }
    let port = fake.origin.rsplit_once(':').unwrap().1;
    listen(&app, &owner, json!({ "url": format!("https://localhost:{port}/") })).await;
    let books = beside(&app);
    books.sell(TEAM);
    books.subscribe(books.account("EUR", "2026-06-01"), "team", 1);

    let failed = delivery(&app, &owner, "subscription.created", |one| one["attempts"] == 1).await;

    assert!(failed["why"].as_str().unwrap().contains("inner network"), "{failed}");
    assert!(fake.asked().is_empty());
}

#[tokio::test]
async fn what_was_taken_when_we_died_is_told_again_under_the_same_id() {
    let folder = tempfile::tempdir().unwrap();
    let args = [INNER, "--job-lease", "2 seconds"];
    let mut app = TestApp::start_in(folder.path(), &args).await;
    let (_, owner) = app.person("owner@example.org", "owner");
    let is_slow = Arc::new(Mutex::new(true));
    let fake = Fake::start(move |_| {
        if std::mem::take(&mut *is_slow.lock().unwrap()) {
            std::thread::sleep(Duration::from_secs(5));
        }
        (204, "", String::new())
    });
    listen(&app, &owner, json!({ "url": fake.origin, "event_types": ["subscription.created"] })).await;
    let books = beside(&app);
    books.sell(TEAM);
    books.subscribe(books.account("EUR", "2026-06-01"), "team", 1);
    let first = fake.wait_for(1, |_| true).await.remove(0);
    app.kill();
    drop(books);

    let app = TestApp::start_in(folder.path(), &args).await;
    let waiting = delivery(&app, &owner, "subscription.created", |_| true).await;
    if fake.asked().len() < 2 {
        run_now(&app, &owner, &waiting).await;
    }
    let second = fake.wait_for(2, |_| true).await.remove(1);

    delivery(&app, &owner, "subscription.created", |one| one["state"] == "delivered").await;
    assert_eq!(first.headers["webhook-id"], second.headers["webhook-id"]);
    assert_eq!(first.body, second.body);
}

#[test]
fn where_nobody_listens_nothing_is_written() {
    let books = Books::open();
    books.sell(TEAM);
    let ann = books.account("EUR", "2026-06-01");

    books.subscribe(ann, "team", 1);

    assert!(books.read(|snapshot| Billing.events(snapshot, None, 10)).is_empty());
}
