//! What is held on a person can be had and taken away whole, whichever module holds it.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use reqwest::header::USER_AGENT;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{PASSWORD, TestApp};

/// Stands in everything that the person writes, so that it is known wherever it is kept.
const MARK: &str = "zebulon";
/// How tables name the person that a row is about.
const PERSON_COLUMNS: [&str; 3] = ["user_id", "person_id", "person"];
/// What stays by intent, and nothing else.
const KEPT: [(&str, &str); 9] = [
    // That something was done, by whom and to whom, by id alone.
    ("audit_entries", "actor"),
    ("audit_entries", "subject"),
    // Accounting law: what was invoiced is kept whole, with the buyer's name and address on it;
    ("billing_invoices", "document"),
    // and the books are kept by the id alone, or nothing could be told of what belongs together.
    ("billing_accounts", "user_id"),
    ("billing_invoices", "user_id"),
    ("billing_ledger_entries", "user_id"),
    ("billing_payments", "user_id"),
    ("billing_subscription_events", "user_id"),
    ("billing_subscriptions", "user_id"),
];

/// Signs someone up and has every module hold something on them; returns their id and token.
async fn fill(app: &TestApp, staff: &str) -> (Uuid, String) {
    let form = json!({ "email": "zebulon@example.org", "password": PASSWORD, "display_name": "Zebulon Zebulon" });
    let signed_up = app.post("/api/sign-up", &form).header(USER_AGENT, MARK).header("Idempotency-Key", MARK);
    let signed_up: Value = signed_up.send().await.unwrap().json().await.unwrap();
    let token = signed_up["token"].as_str().unwrap().to_owned();
    let id = signed_up["user"]["id"].as_str().unwrap().to_owned();

    let profile = app.request(reqwest::Method::PATCH, &format!("/api/profiles/{id}")).bearer_auth(&token);
    let bio = json!({ "bio": "Zebulon's own words", "pronouns": "zebulon" });
    assert_eq!(profile.json(&bio).send().await.unwrap().status(), 200);
    let session = json!({ "email": "zebulon@example.org", "password": PASSWORD });
    let session = app.post("/api/sessions", &session).header(USER_AGENT, MARK).send().await.unwrap();
    assert_eq!(session.status(), 201);
    let link = app.request(reqwest::Method::POST, &format!("/api/people/{id}/password-link")).bearer_auth(staff);
    assert_eq!(link.send().await.unwrap().status(), 201);
    let file = app.upload(&token, "zebulon.txt", b"zebulon".to_vec()).await;
    assert_eq!(file.status, 201, "{}", file.text);
    app.begin(&token, 100).await;
    // What billing does is told there, and so kept as events. Nothing answers under that name.
    let endpoint = json!({ "url": "https://hooks.invalid/" });
    assert_eq!(app.ask("POST /api/billing/webhook-endpoints", staff, endpoint).await.status, 201);
    // It is worked on by a job, and a worker that never comes keeps that job where it is.
    let place = json!({ "place": "workers" });
    assert_eq!(app.ask("PATCH /api/job-kinds/media.image", staff, place).await.status, 200);
    let picture = app.upload(&token, "zebulon.gif", b"GIF89a\x01\0\x01\0".to_vec()).await;
    assert_eq!(picture.body["state"], "processing", "{}", picture.text);
    bill(app, staff, &id, &token).await;
    // Here each further module is filled.

    (id.parse().unwrap(), token)
}

/// They are billed in every way: what they subscribed to, what was written for them, what they paid and got back.
async fn bill(app: &TestApp, owner: &str, id: &str, token: &str) {
    let ok = async |status: u16, what: String, token: &str, body: Value| {
        let answer = app.ask(&what, token, body).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.text);
        answer.body
    };
    let post = |what: &str| format!("POST /api/billing/{what}");
    let rate = json!({ "name": "Zero", "category": "zero", "percent": "0" });
    let rate = ok(201, post("tax-rates"), owner, rate).await["id"].clone();
    let product = ok(201, post("products"), owner, json!({ "name": "Team" })).await["id"].clone();
    let price = json!({
        "product_id": product, "plan": "team", "currency": "EUR", "interval": "month", "unit_price_minor": "1000",
        "tax_rate_id": rate,
    });
    ok(201, post("prices"), owner, price).await;
    let details = json!({ "name": "Zebulon Ltd", "line1": "Zebulon Lane", "tax_id": "DEZEBULON1" });
    ok(200, format!("PATCH /api/billing/accounts/{id}"), token, details).await;
    let wish = json!({ "user_id": id, "plan": "team" });
    let begun = app.asking(&post("subscriptions"), token, wish).header("Idempotency-Key", MARK);
    assert_eq!(app.send(begun).await.status, 201);
    let line = json!({ "description": "For Zebulon", "unit_price_minor": "1", "tax_rate_id": rate });
    let draft = json!({ "user_id": id, "lines": [line], "note": "Dear Zebulon" });
    ok(201, post("invoices"), owner, draft).await;
    let paid = json!({ "user_id": id, "amount": { "amount_minor": 1500, "currency": "EUR" }, "reference": "Zebulon" });
    let payment = ok(201, post("payments"), owner, paid).await["id"].as_str().unwrap().to_owned();
    let back = json!({ "amount": { "amount_minor": 100, "currency": "EUR" }, "reason": "Zebulon asked for it" });
    ok(201, post(&format!("payments/{payment}/refunds")), owner, back).await;
}

#[tokio::test]
async fn an_export_has_a_part_from_each_module() {
    let app = TestApp::start().await;
    let (_, staff) = app.person("owner@example.org", "owner");
    let (id, token) = fill(&app, &staff).await;

    let export = app.get(&format!("/api/people/{id}/export")).bearer_auth(token).send().await.unwrap();
    let export: Value = export.json().await.unwrap();

    let parts = export["modules"].as_object().unwrap();
    let modules: Vec<_> = ashlar::app::declarations().iter().map(|module| module.name).collect();
    assert_eq!(parts.keys().collect::<Vec<_>>(), modules);
    let billing = &parts["billing"];
    assert_eq!(billing["account"]["name"], "Zebulon Ltd");
    assert_eq!(billing["subscriptions"][0]["events"][0]["kind"], "started");
    assert_eq!(billing["invoices"].as_array().unwrap().len(), 2, "an invoice and a draft");
    assert_eq!(billing["invoices"][1]["document"]["buyer"]["name"], "Zebulon Ltd");
    assert_eq!(billing["payments"][0]["refunds"][0]["reason"], "Zebulon asked for it");
    for (module, part) in parts {
        assert!(part.to_string().contains(&id.to_string()), "the part of `{module}` has nothing on the person: {part}");
    }
}

#[tokio::test]
async fn a_closed_account_leaves_no_row_that_tells_of_its_person() {
    let mut app = TestApp::start().await;
    let (_, staff) = app.person("owner@example.org", "owner");
    let (id, _) = fill(&app, &staff).await;
    app.stop();
    let before = traces(&app.folder, id);
    let unfilled: Vec<_> =
        person_tables(&app.folder).into_iter().filter(|table| !before.iter().any(|(held, _)| held == table)).collect();
    assert!(unfilled.is_empty(), "`fill` of tests/it/personal_data.rs puts no row into {unfilled:?}");

    let mut app = TestApp::start_in(&app.folder, &[]).await;
    let closed = app.request(reqwest::Method::DELETE, &format!("/api/people/{id}")).bearer_auth(&staff);
    assert_eq!(closed.send().await.unwrap().status(), 204);
    // Files go piece by piece, by a job.
    let has_ended = |job: &Value| !["waiting", "ready", "running"].contains(&job["state"].as_str().unwrap());
    loop {
        let jobs = app.ask("GET /api/jobs?kind=media.sweep", &staff, Value::Null).await;
        if jobs.body["items"].as_array().unwrap().iter().all(has_ended) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    app.stop();

    let left: BTreeSet<_> = traces(&app.folder, id).into_iter().collect();
    let kept = KEPT.into_iter().map(|(table, column)| (table.to_owned(), column.to_owned())).collect();
    assert_eq!(left, kept, "after `erase` of every module exactly that stays which must");
}

/// Table and column of each value that is the person's id, or holds it or their mark.
fn traces(folder: &Path, id: Uuid) -> Vec<(String, String)> {
    let database = open(folder);
    let mut found = Vec::new();
    for table in tables(&database) {
        let mut rows = database.prepare(&format!("SELECT * FROM \"{table}\"")).unwrap();
        let columns: Vec<String> = rows.column_names().iter().map(|&name| name.to_owned()).collect();
        let mut rows = rows.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            for (n, column) in columns.iter().enumerate() {
                let tells = match row.get_ref(n).unwrap() {
                    ValueRef::Blob(bytes) => bytes == id.as_bytes() || tells(&String::from_utf8_lossy(bytes), id),
                    ValueRef::Text(text) => tells(&String::from_utf8_lossy(text), id),
                    _ => false,
                };
                let place = (table.clone(), column.clone());
                if tells && !found.contains(&place) {
                    found.push(place);
                }
            }
        }
    }
    found
}

fn tells(text: &str, id: Uuid) -> bool {
    let text = text.to_lowercase();
    text.contains(MARK) || text.contains(&id.to_string())
}

/// The tables whose rows are about a person.
fn person_tables(folder: &Path) -> Vec<String> {
    let database = open(folder);
    let about_a_person = |table: &String| {
        let row = database.prepare(&format!("SELECT * FROM \"{table}\"")).unwrap();
        row.column_names().iter().any(|column| PERSON_COLUMNS.contains(column))
    };
    tables(&database).into_iter().filter(about_a_person).collect()
}

fn tables(database: &Connection) -> Vec<String> {
    let mut names = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").unwrap();
    let names = names.query_map([], |row| row.get(0)).unwrap();
    names.collect::<Result<_, _>>().unwrap()
}

fn open(folder: &Path) -> Connection {
    Connection::open_with_flags(folder.join("ashlar.db"), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap()
}
