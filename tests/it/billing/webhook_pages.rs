//! The pages of webhooks, as a browser asks for them, against receivers of our own: endpoints, deliveries and events.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::fake::{Asked, Fake, beside};
use super::pages::{Page, send};
use super::webhooks::{INNER, delivery, listen, receiver, run_now, signature};
use super::{Books, TEAM};
use crate::support::TestApp;

const LONG_QUERY: &str = "team=the-western-harbour-offices-of-hubert-blaine-wolfeschlegelsteinhausenbergerdorff";

/// A unit that sends to inner networks, and who looks after it.
struct Unit {
    app: TestApp,
    books: Books,
    owner: String,
    staff: String,
}

impl Unit {
    async fn start() -> Unit {
        let app = TestApp::start_with(&[INNER]).await;
        let (_, owner) = app.person("owner@example.org", "owner");
        let (_, staff) = app.person("staff@example.org", "staff");
        let books = beside(&app);
        books.sell(TEAM);
        Unit { app, books, owner, staff }
    }

    async fn get(&self, path: &str, token: &str) -> Page {
        send(self.app.page(path, token)).await
    }

    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        send(self.app.form(path, &self.owner, fields)).await
    }

    /// Fills in the form that adds an endpoint; returns its path and its secret.
    async fn add(&self, url: &str, kinds: &[&str]) -> (String, String) {
        let key = self.get("/billing/webhooks/add", &self.owner).await.value("key");
        let mut fields = vec![("url", url), ("key", key.as_str())];
        fields.extend(kinds.iter().map(|kind| (*kind, "true")));
        let added = self.post("/billing/webhooks/add", &fields).await;
        assert_eq!(added.status, 201, "{}", added.text);
        let secret = secret_on(&added);
        // Sent twice, it is one endpoint.
        let again = self.post("/billing/webhooks/add", &fields).await;
        assert_eq!((again.status, secret_on(&again)), (201, secret.clone()));
        (link(&added, "/billing/webhooks/").unwrap(), secret)
    }

    /// Presses a button of a page that bears a version.
    async fn press(&self, page: &str, action: &str) -> Page {
        let version = self.get(page, &self.owner).await.value("version");
        self.post(action, &[("version", &version)]).await
    }

    async fn subscribe(&self) -> ashlar::platform::ids::UserId {
        let ann = self.books.account("EUR", "2026-06-01");
        self.books.subscribe(ann, "team", 1);
        ann
    }

    async fn delivered(&self, kind: &str, state: &str) -> String {
        let found = delivery(&self.app, &self.owner, kind, |one| one["state"] == state).await;
        format!("/billing/deliveries/{}", found["id"].as_str().unwrap())
    }
}

/// The first link to something of its own below `start`.
fn link(page: &Page, start: &str) -> Option<String> {
    let before = format!("href=\"{start}");
    let mut links = page.text.split(&before).skip(1).map(|rest| rest.split('"').next().unwrap());
    links.find(|id| id.len() == 36).map(|id| format!("{start}{id}"))
}

fn secret_on(page: &Page) -> String {
    let (_, after) = page.text.split_once("value=\"whsec_").expect("it shows a secret");
    // Base64 may have characters that HTML writes otherwise.
    format!("whsec_{}", after.split('"').next().unwrap()).replace("&#43;", "+").replace("&#61;", "=")
}

/// What stands between these, as it was before it was written as HTML.
fn code_on(page: &Page) -> String {
    let (_, after) = page.text.split_once("<pre class=\"wrap\" tabindex=\"0\"><code>").unwrap();
    let text = after.split("</code>").next().unwrap();
    text.replace("&#34;", "\"").replace("&#60;", "<").replace("&#62;", ">").replace("&#38;", "&")
}

fn is(kind: &str) -> impl Fn(&Asked) -> bool {
    move |asked| asked.json()["type"] == kind
}

#[tokio::test]
async fn an_endpoint_is_added_with_a_secret_that_is_shown_once_and_signs() {
    let unit = Unit::start().await;
    unit.get("/billing/webhooks", &unit.owner).await.must_show(&["Nobody is told yet", "Add an endpoint"]);
    let fake = receiver(&[]);
    let url = format!("{}/hooks?{LONG_QUERY}", fake.origin);

    let (endpoint, secret) = unit.add(&url, &["subscription.created", "invoice.finalized"]).await;

    for path in ["/billing/webhooks", endpoint.as_str()] {
        let page = unit.get(path, &unit.owner).await;
        page.must_show(&[LONG_QUERY, ">Active<", "subscription.created", "invoice.finalized", ">Never<"]);
        page.must_not_show(&["whsec_", "invoice.paid"]);
    }
    unit.get(&endpoint, &unit.owner).await.must_show(&["Nothing was sent there yet"]);
    unit.subscribe().await;
    let told = fake.wait_for(1, is("subscription.created")).await.remove(0);
    assert_eq!(told.headers["webhook-signature"], signature(&secret, &told));
    let sent = unit.delivered("subscription.created", "delivered").await;
    let page = unit.get(&sent, &unit.owner).await;
    page.must_show(&[">Delivered<", &told.headers["webhook-id"], ">Repeat<", "<span class=\"badge good\">204</span>"]);
    assert_eq!(code_on(&page), told.body);
    let row = unit.get(&endpoint, &unit.owner).await;
    row.must_show(&[&sent, "/billing/subscriptions/", "2 deliveries"]);
    row.must_not_show(&["Nothing was sent there yet"]);
}

#[tokio::test]
async fn what_is_wrong_with_an_endpoint_stands_beside_its_field_and_what_was_typed_stays() {
    // Inner networks are not allowed here.
    let app = TestApp::start().await;
    let (_, owner) = app.person("owner@example.org", "owner");
    for (url, wrong) in [
        ("", "No address"),
        ("example.org", "No address"),
        ("http://example.org/hooks", "It must begin with https://"),
        ("https://127.0.0.1/hooks", "inner network"),
        ("https://ann:secret@example.org/", "no user, password or fragment"),
    ] {
        let fields = [("url", url), ("description", "For <Ann>"), ("invoice.paid", "true")];
        let refused = send(app.form("/billing/webhooks/add", &owner, &fields)).await;
        assert_eq!(refused.status, 422, "{url}");
        refused.must_show(&["The endpoint was not saved", "id=\"url-error\"", wrong, "For &#60;Ann&#62;"]);
        refused.must_show(&["name=\"invoice.paid\" value=\"true\" checked", "aria-invalid=\"true\""]);
        assert_eq!(refused.value("url"), url);
        assert!(!refused.value("key").is_empty());
    }
    let long = "x".repeat(201);
    let fields = [("url", "https://example.org/hooks"), ("description", long.as_str())];
    send(app.form("/billing/webhooks/add", &owner, &fields)).await.must_show(&["id=\"description-error\""]);
    send(app.page("/billing/webhooks", &owner)).await.must_show(&["Nobody is told yet"]);
}

#[tokio::test]
async fn an_endpoint_is_changed_paused_resumed_and_removed_once_it_is_confirmed() {
    let unit = Unit::start().await;
    let fake = receiver(&[]);
    let (endpoint, _) = unit.add(&fake.origin, &[]).await;
    let form = unit.get(&format!("{endpoint}/edit"), &unit.owner).await;
    assert_eq!(form.value("url"), format!("{}/", fake.origin));
    let version = form.value("version");
    let fields =
        [("url", fake.origin.as_str()), ("description", "Books"), ("payment.recorded", "true"), ("version", &version)];
    assert_eq!(unit.post(&format!("{endpoint}/edit"), &fields).await.led(), endpoint);
    assert_eq!(unit.post(&format!("{endpoint}/edit"), &fields).await.status, 412, "two changes at once");
    unit.get(&endpoint, &unit.owner).await.must_show(&["Books", "payment.recorded"]);

    assert_eq!(unit.press(&endpoint, &format!("{endpoint}/pause")).await.led(), endpoint);
    unit.get(&endpoint, &unit.owner).await.must_show(&[">Paused<", ">Resume<", "nothing is sent there"]);
    let ann = unit.subscribe().await;
    unit.books.pay(ann, 100, None);
    assert_eq!(unit.press(&endpoint, &format!("{endpoint}/resume")).await.led(), endpoint);
    unit.books.pay(ann, 200, None);
    let told = fake.wait_for(1, |_| true).await;
    assert_eq!(told[0].json()["data"]["amount"]["amount_minor"], 200, "what happened meanwhile is not told");

    let asked = unit.get(&format!("{endpoint}/remove"), &unit.owner).await;
    asked.must_show(&["Remove this endpoint?", "Nothing is told there any more", "Leave it as it is"]);
    let stale = unit.post(&format!("{endpoint}/remove"), &[("version", "1")]).await;
    assert_eq!(stale.status, 412);
    let gone = unit.press(&format!("{endpoint}/remove"), &format!("{endpoint}/remove")).await;
    assert_eq!(gone.led(), "/billing/webhooks");
    unit.get(&gone.location, &unit.owner).await.must_show(&["The endpoint is removed", "Nobody is told yet"]);
    assert_eq!(unit.get(&endpoint, &unit.owner).await.status, 404);
}

#[tokio::test]
async fn another_secret_is_shown_once_and_both_sign_meanwhile() {
    let unit = Unit::start().await;
    let fake = receiver(&[]);
    let (endpoint, old) = unit.add(&fake.origin, &["subscription.created"]).await;
    let path = format!("{endpoint}/secret");
    let asked = unit.get(&path, &unit.owner).await;
    asked.must_show(&["Give it another secret?"]);
    asked.must_not_show(&["whsec_"]);
    let (key, version) = (asked.value("key"), asked.value("version"));

    let fields = [("key", key.as_str()), ("version", version.as_str())];
    let shown = unit.post(&path, &fields).await;
    assert_eq!(shown.status, 201);
    let new = secret_on(&shown);
    assert_eq!(secret_on(&unit.post(&path, &fields).await), new, "sent twice, it is replaced once");
    assert_eq!(unit.post(&path, &[("version", &version)]).await.status, 412);

    unit.subscribe().await;
    let told = fake.wait_for(1, |_| true).await.remove(0);
    let both = format!("{} {}", signature(&new, &told), signature(&old, &told));
    assert_eq!(told.headers["webhook-signature"], both);
    unit.get(&endpoint, &unit.owner).await.must_not_show(&["whsec_"]);
}

#[tokio::test]
async fn deliveries_show_their_tries_and_are_repeated() {
    let unit = Unit::start().await;
    let fake = Fake::start(|asked| match is("invoice.finalized")(asked) {
        true => (503, "retry-after: 3600\r\n", "<b>busy</b>".into()),
        false => (204, "", String::new()),
    });
    let (endpoint, _) = unit.add(&fake.origin, &[]).await;
    let ann = unit.subscribe().await;
    let failed = delivery(&unit.app, &unit.owner, "invoice.finalized", |one| one["attempts"] == 1).await;
    unit.books.pay(ann, 1200, None);
    delivery(&unit.app, &unit.owner, "invoice.paid", |_| true).await;
    unit.delivered("payment.recorded", "delivered").await;

    let path = format!("/billing/deliveries/{}", failed["id"].as_str().unwrap());
    run_now(&unit.app, &unit.owner, &failed).await;
    delivery(&unit.app, &unit.owner, "invoice.finalized", |one| one["attempts"] == 2).await;
    let page = unit.get(&path, &unit.owner).await;
    page.must_show(&[">Trying again<", "The endpoint answered 503", "&#60;b&#62;busy", "Next attempt", "Its job"]);
    page.must_show(&["data-label=\"Attempt\">1</td>", "data-label=\"Attempt\">2</td>"]);
    page.must_not_show(&[">Repeat<"]);
    let refused = unit.post(&format!("{path}/repeat"), &[]).await;
    assert_eq!(refused.status, 409);
    refused.must_show(&["Nothing was sent", "It is on its way"]);

    let list = unit.get(&endpoint, &unit.owner).await;
    list.must_show(&[">Failing<", "The endpoint answered 503", "After the one before it", ">Waiting</span>"]);
    let waiting = unit.get(&format!("{endpoint}?state=waiting"), &unit.owner).await;
    waiting.must_show(&["invoice.finalized", "invoice.paid", "selected>Waiting"]);
    waiting.must_not_show(&["subscription.created</span>"]);
    unit.get(&format!("{endpoint}?state=failed"), &unit.owner).await.must_show(&["No such deliveries"]);
    unit.get("/billing/webhooks", &unit.staff).await.must_show(&[">Failing<"]);
    unit.get("/billing", &unit.staff).await.must_show(&["An endpoint does not take what it is told"]);

    let done = unit.delivered("subscription.created", "delivered").await;
    let before = fake.asked().iter().filter(|one| is("subscription.created")(one)).count();
    let led = unit.post(&format!("{done}/repeat"), &[]).await;
    assert_eq!((led.led(), before), (done.as_str(), 1));
    unit.get(&led.location, &unit.owner).await.must_show(&["It is sent again"]);
    let told = fake.wait_for(2, is("subscription.created")).await;
    assert_eq!(told[0].headers["webhook-id"], told[1].headers["webhook-id"]);
    assert_eq!(told[0].body, told[1].body);
}

#[tokio::test]
async fn events_lead_to_what_they_are_about_and_deliveries_follow_page_by_page() {
    let unit = Unit::start().await;
    unit.get("/billing/events", &unit.staff).await.must_show(&["No events"]);
    let fake = receiver(&[]);
    let (endpoint, _) = unit.add(&fake.origin, &[]).await;
    let ann = unit.subscribe().await;
    for _ in 0..35 {
        unit.books.pay(ann, 1, None);
    }
    fake.wait_for(35, is("payment.recorded")).await;

    for (path, last) in [("/billing/events".to_owned(), "invoice.finalized"), (endpoint.clone(), "invoice.finalized")] {
        let first = unit.get(&path, &unit.owner).await;
        first.must_show(&["and more", "payment.recorded"]);
        first.must_not_show(&[last]);
        let older = first.text.split("rel=\"next\"").next().unwrap().rsplit("href=\"").next().unwrap();
        let older = older.split('"').next().unwrap().replace("&#38;", "&").replace("&amp;", "&");
        let second = unit.get(&older, &unit.owner).await;
        second.must_show(&[last, "Newest"]);
    }
    let list = unit.app.ask("GET /api/billing/events?limit=100", &unit.owner, Value::Null).await;
    let events = list.body["items"].as_array().unwrap();
    for (kind, folder) in
        [("invoice.finalized", "invoices"), ("subscription.created", "subscriptions"), ("payment.recorded", "payments")]
    {
        let event = events.iter().find(|one| one["type"] == kind).unwrap();
        let page = unit.get(&format!("/billing/events/{}", event["id"].as_str().unwrap()), &unit.staff).await;
        let about = format!("/billing/{folder}/{}", event["object_id"].as_str().unwrap());
        page.must_show(&[&about, "/billing/deliveries/", &fake.origin]);
        assert_eq!(unit.get(&about, &unit.staff).await.status, 200, "{about}");
        assert_eq!(serde_json::from_str::<Value>(&code_on(&page)).unwrap(), event["payload"]);
    }
}

#[tokio::test]
async fn staff_see_webhooks_owners_change_them_and_members_do_neither() {
    let unit = Unit::start().await;
    let fake = receiver(&[]);
    let (endpoint, _) = unit.add(&fake.origin, &[]).await;
    unit.subscribe().await;
    let sent = unit.delivered("subscription.created", "delivered").await;
    let event = link(&unit.get(&sent, &unit.owner).await, "/billing/events/").unwrap();
    let (_, member) = unit.app.person("ann@example.org", "member");

    let seen = ["/billing/webhooks", &endpoint, &sent, &event, "/billing/events"];
    for path in seen {
        let page = unit.get(path, &unit.staff).await;
        assert_eq!(page.status, 200, "{path}");
        page.must_not_show(&["Add an endpoint", ">Repeat<", ">Pause<", "Remove…", "New secret…"]);
        assert_eq!(unit.get(path, &member).await.status, 403, "{path}");
        assert_eq!(send(unit.app.get(path)).await.status, 303, "{path}");
    }
    let of = |what: &str| format!("{endpoint}/{what}");
    for path in ["/billing/webhooks/add".to_owned(), of("edit"), of("secret"), of("remove")] {
        assert_eq!(unit.get(&path, &unit.staff).await.status, 403, "{path}");
    }
    let version = unit.get(&endpoint, &unit.owner).await.value("version");
    let fields = [("url", "https://example.org/"), ("version", version.as_str())];
    let changing = ["edit", "pause", "resume", "secret", "remove"].map(of);
    for path in changing.iter().chain([&"/billing/webhooks/add".to_owned(), &format!("{sent}/repeat")]) {
        for token in [&unit.staff, &member] {
            assert_eq!(send(unit.app.form(path, token, &fields)).await.status, 403, "{path}");
        }
        // From another site, nobody may, whoever is signed in.
        let form = unit.app.form(path, &unit.owner, &fields).build().unwrap();
        let elsewhere = unit.app.request(Method::POST, path).headers(form.headers().clone());
        let mut elsewhere = elsewhere.body("version=1").build().unwrap();
        elsewhere.headers_mut().insert("sec-fetch-site", "cross-site".parse().unwrap());
        let elsewhere = unit.app.client.execute(elsewhere).await.unwrap();
        assert_eq!(elsewhere.status(), 403, "{path}");
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    unit.get(&endpoint, &unit.owner).await.must_show(&[">Active<", &fake.origin]);
    assert_eq!(fake.asked().iter().filter(|one| is("subscription.created")(one)).count(), 1);
}

#[tokio::test]
async fn what_happens_to_owners_is_for_owners_to_see() {
    let unit = Unit::start().await;
    let fake = receiver(&[]);
    listen(&unit.app, &unit.owner, json!({ "url": fake.origin, "event_types": ["subscription.created"] })).await;
    let (boss, _) = unit.app.person("boss@example.org", "owner");
    let boss = ashlar::platform::ids::UserId::parse(&boss, "user").unwrap();
    unit.books.subscribe(boss, "team", 1);
    let sent = unit.delivered("subscription.created", "delivered").await;
    let event = link(&unit.get(&sent, &unit.owner).await, "/billing/events/").unwrap();

    for path in [&sent, &event] {
        assert_eq!(unit.get(path, &unit.staff).await.status, 403, "{path}");
    }
    unit.get("/billing/events", &unit.staff).await.must_show(&["No events"]);
    unit.get("/billing/events", &unit.owner).await.must_show(&["boss"]);
    let list = unit.app.ask("GET /api/billing/events", &unit.staff, Value::Null).await;
    assert_eq!(list.body["items"], json!([]));
    let one = format!("GET /api{event}");
    assert_eq!(unit.app.ask(&one, &unit.staff, Value::Null).await.status, 403);
    assert_eq!(unit.app.ask(&one, &unit.owner, Value::Null).await.status, 200);
}
