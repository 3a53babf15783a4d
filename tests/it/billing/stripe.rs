//! Stripe, by a small server that speaks as much of its API as we ask for.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ashlar::modules::billing::{Billing, Charging, InvoiceState, LedgerAccount, PaymentMethod, SubscriptionState};
use ashlar::platform::clock::Clock;
use ashlar::platform::ids::UserId;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::fake::{Asked, Fake, Said, beside, until};
use super::{Books, Plan, TEAM};
use crate::support::{Answer, TestApp, program};

const KEY: &str = "sk_test_hunter2";
const SECRET: &str = "whsec_hunter3";

/// What there is at Stripe.
#[derive(Default)]
struct There {
    /// By id, as it would be shown.
    objects: BTreeMap<String, Value>,
    /// What each idempotency key was answered.
    answered: BTreeMap<String, (u16, Value)>,
    /// The decline code of the next charge.
    decline: Option<&'static str>,
    /// The next charge is answered after so long.
    delay: Option<Duration>,
}

#[derive(Clone, Default)]
struct Stripe(Arc<Mutex<There>>);

impl Stripe {
    fn start(&self) -> Fake {
        let it = self.clone();
        Fake::start(move |asked| it.answer(asked))
    }

    fn put(&self, object: Value) {
        let id = object["id"].as_str().unwrap().to_owned();
        self.0.lock().unwrap().objects.insert(id, object);
    }

    fn answer(&self, asked: &Asked) -> Said {
        let say = |(status, body): (u16, Value)| (status, "content-type: application/json\r\n", body.to_string());
        if asked.headers.get("authorization").map(String::as_str) != Some(&format!("Bearer {KEY}")) {
            return say((401, json!({ "error": { "message": "no such key" } })));
        }
        let path = asked.path.split('?').next().unwrap();
        let mut there = self.0.lock().unwrap();
        if let Some(answer) = asked.headers.get("idempotency-key").and_then(|key| there.answered.get(key)) {
            return say(answer.clone());
        }
        let answer = match (asked.method.as_str(), path) {
            ("GET", path) if path.ends_with("/payment_methods") => (200, json!({ "data": [{ "id": "pm_1" }] })),
            ("GET", path) => match there.objects.get(path.rsplit('/').next().unwrap()) {
                Some(object) => (200, object.clone()),
                None => (404, json!({ "error": { "message": "no such thing" } })),
            },
            ("POST", "/v1/payment_intents") => match there.decline.take() {
                Some(code) => {
                    (402, json!({ "error": { "type": "card_error", "decline_code": code, "message": "Declined." } }))
                }
                None => {
                    let object = paid(
                        &format!("pi_ours{}", there.objects.len()),
                        asked.field("amount").parse().unwrap(),
                        &asked.field("currency"),
                        &asked.field("metadata[ashlar_account]"),
                        &asked.field("metadata[ashlar_invoice]"),
                    );
                    there.objects.insert(object["id"].as_str().unwrap().to_owned(), object.clone());
                    (200, object)
                }
            },
            ("POST", "/v1/refunds") => (200, json!({ "id": "re_ours", "status": "succeeded" })),
            ("POST", "/v1/checkout/sessions") => {
                (200, json!({ "id": "cs_1", "url": "https://checkout.stripe.com/c/1" }))
            }
            _ => (404, json!({ "error": { "message": "no such path" } })),
        };
        if let Some(key) = asked.headers.get("idempotency-key") {
            there.answered.insert(key.clone(), answer.clone());
        }
        let delay = if asked.method == "POST" { there.delay.take() } else { None };
        drop(there);
        std::thread::sleep(delay.unwrap_or_default());
        say(answer)
    }
}

fn paid(id: &str, amount: i64, currency: &str, user: &str, invoice: &str) -> Value {
    json!({
        "id": id, "object": "payment_intent", "status": "succeeded", "amount_received": amount, "currency": currency,
        "customer": "cus_1", "setup_future_usage": null,
        "metadata": { "ashlar_account": user, "ashlar_invoice": invoice },
        "latest_charge": { "balance_transaction": { "fee": 60, "currency": currency } },
    })
}

fn command(fake: &Fake) -> Command {
    let mut command = program();
    command.env("ASHLAR_STRIPE_SECRET_KEY", KEY).env("ASHLAR_STRIPE_WEBHOOK_SECRET", SECRET);
    command.env("ASHLAR_STRIPE_API", &fake.origin);
    command
}

struct Unit {
    app: TestApp,
    books: Books,
    stripe: Stripe,
    fake: Fake,
    _folder: tempfile::TempDir,
}

async fn unit() -> Unit {
    let stripe = Stripe::default();
    let fake = stripe.start();
    let folder = tempfile::tempdir().unwrap();
    let app = TestApp::start_as(command(&fake), folder.path(), &[]).await;
    let books = beside(&app);
    books.sell(TEAM);
    Unit { app, books, stripe, fake, _folder: folder }
}

fn by_card(books: &Books, user: UserId) {
    books
        .write(move |work| Billing.set_gateway(work, user, Some(PaymentMethod::Stripe), Some("cus_1".into())))
        .unwrap();
}

fn event(id: &str, kind: &str, object: &str) -> String {
    json!({ "id": id, "object": "event", "type": kind, "data": { "object": { "id": object } } }).to_string()
}

fn header(secret: &str, at: i64, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("{at}.{body}").as_bytes());
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={at},v1={},v1={hex}", "0".repeat(64))
}

fn now_s() -> i64 {
    Clock::system().now().as_ms() / 1000
}

async fn tell(app: &TestApp, signature: &str, body: &str) -> Answer {
    let request = app.request(reqwest::Method::POST, "/api/billing/webhooks/stripe");
    app.send(request.header("Stripe-Signature", signature).body(body.to_owned())).await
}

async fn told(app: &TestApp, body: &str) {
    let answer = tell(app, &header(SECRET, now_s(), body), body).await;
    assert_eq!(answer.status, 204, "{}", answer.text);
}

fn payments(books: &Books, user: UserId) -> Vec<ashlar::modules::billing::Payment> {
    books.read(|snapshot| Billing.payments(snapshot, Some(user), None, 100))
}

/// What was noted of a message.
fn note(unit: &Unit, message: &str) -> Option<String> {
    let file = unit.app.folder.join("ashlar.db");
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let database = rusqlite::Connection::open_with_flags(file, flags).unwrap();
    let sql = "SELECT note FROM billing_gateway_messages WHERE message_id = ?1";
    database.query_row(sql, [message], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn an_invoice_is_charged_once_with_its_fee() {
    let unit = unit().await;
    let ann = unit.books.account("EUR", "2026-06-01");
    by_card(&unit.books, ann);

    unit.books.subscribe(ann, "team", 1);
    until("the payment", || unit.books.invoices(ann)[0].state == InvoiceState::Paid).await;

    let charge = unit.fake.wait_for(1, |one| one.path == "/v1/payment_intents").await.remove(0);
    let invoice = unit.books.invoices(ann).remove(0);
    assert_eq!((charge.field("amount"), charge.field("currency")), ("1200".into(), "eur".into()));
    assert_eq!((charge.field("off_session"), charge.field("payment_method")), ("true".into(), "pm_1".into()));
    assert_eq!(charge.headers["idempotency-key"], format!("ashlar-{}-0", invoice.id));
    assert_eq!(unit.books.balance(LedgerAccount::Fees), 60);
    // Stripe tells of it too, twice.
    let name = payments(&unit.books, ann)[0].gateway_ref.clone().unwrap();
    told(&unit.app, &event("evt_1", "payment_intent.succeeded", &name)).await;
    told(&unit.app, &event("evt_2", "payment_intent.succeeded", &name)).await;
    unit.fake.wait_for(2, |one| one.method == "GET" && one.path.contains(&name)).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(payments(&unit.books, ann).len(), 1);
    unit.books.must_be_sound();
}

#[tokio::test]
async fn currencies_without_decimals_are_charged_whole() {
    let unit = unit().await;
    unit.books.sell(Plan { code: "yen", currency: "JPY", ..TEAM });
    let ann = unit.books.account("JPY", "2026-06-01");
    by_card(&unit.books, ann);

    unit.books.subscribe(ann, "yen", 1);
    until("the payment", || unit.books.invoices(ann)[0].state == InvoiceState::Paid).await;

    let charge = unit.fake.wait_for(1, |one| one.path == "/v1/payment_intents").await.remove(0);
    assert_eq!((charge.field("amount"), charge.field("currency")), ("1200".into(), "jpy".into()));
}

#[tokio::test]
async fn a_decline_is_tried_again_under_another_key_and_a_hard_one_is_not() {
    let unit = unit().await;
    let books = &unit.books;
    let ann = books.account("EUR", "2026-06-01");
    by_card(books, ann);
    unit.stripe.0.lock().unwrap().decline = Some("insufficient_funds");
    let it = books.subscribe(ann, "team", 1);
    let invoice = books.invoices(ann).remove(0);
    let dunning = || books.read(|snapshot| Billing.dunning(snapshot, invoice.id)).unwrap();
    until("the decline", || dunning().attempt == 1).await;
    assert_eq!((dunning().charging, dunning().why.as_deref()), (Charging::None, Some("Declined.")));
    assert_eq!(books.subscription(&it).state, SubscriptionState::PastDue);

    unit.stripe.0.lock().unwrap().decline = Some("stolen_card");
    books.run_until(ann, "2026-06-02");
    until("the hard one", || dunning().attempt == 2).await;

    assert_eq!(dunning().charging, Charging::Refused);
    books.run_until(ann, "2026-06-10");
    tokio::time::sleep(Duration::from_millis(300)).await;
    let charges = unit.fake.wait_for(2, |one| one.path == "/v1/payment_intents").await;
    let keys: Vec<_> = charges.iter().map(|one| one.headers["idempotency-key"].clone()).collect();
    assert_eq!(keys, [format!("ashlar-{}-0", invoice.id), format!("ashlar-{}-1", invoice.id)]);
}

#[tokio::test]
async fn what_was_charged_when_we_died_is_recorded_once() {
    let mut unit = unit().await;
    let ann = unit.books.account("EUR", "2026-06-01");
    by_card(&unit.books, ann);
    unit.stripe.0.lock().unwrap().delay = Some(Duration::from_secs(3));
    unit.books.subscribe(ann, "team", 1);
    unit.fake.wait_for(1, |one| one.path == "/v1/payment_intents").await;
    unit.app.kill();
    drop(unit.books);

    let app = TestApp::start_as(command(&unit.fake), &unit.app.folder, &[]).await;
    let books = beside(&app);
    let (_, owner) = app.person("owner@example.org", "owner");
    let waiting = app.ask("GET /api/jobs?kind=billing.collect", &owner, Value::Null).await;
    if let Some(job) = waiting.body["items"][0]["id"].as_str() {
        app.ask(&format!("POST /api/jobs/{job}/retry"), &owner, Value::Null).await;
    }
    until("the payment", || books.invoices(ann)[0].state == InvoiceState::Paid).await;

    let charges = unit.fake.wait_for(2, |one| one.path == "/v1/payment_intents").await;
    assert_eq!(charges[0].headers["idempotency-key"], charges[1].headers["idempotency-key"]);
    assert_eq!(payments(&books, ann).len(), 1);
    assert_eq!(books.credit(ann), 0);
    books.must_be_sound();
}

#[tokio::test]
async fn who_has_paid_meanwhile_is_not_charged_and_money_that_comes_all_the_same_is_credit() {
    let unit = unit().await;
    let books = &unit.books;
    let ann = books.account("EUR", "2026-06-01");
    books.subscribe(ann, "team", 1);
    let invoice = books.invoices(ann).remove(0);
    books.pay(ann, 1200, Some(&invoice));

    // They had paid on Stripe's page too.
    unit.stripe.put(paid("pi_late", 1200, "eur", &ann.to_string(), &invoice.id.to_string()));
    told(&unit.app, &event("evt_1", "payment_intent.succeeded", "pi_late")).await;
    until("the payment", || payments(books, ann).len() == 2).await;

    assert_eq!(books.credit(ann), 1200);
    assert!(!unit.fake.asked().iter().any(|one| one.path == "/v1/payment_intents"));
    books.must_be_sound();
}

#[tokio::test]
async fn only_stripe_is_heard_and_only_what_it_said_lately() {
    let unit = unit().await;
    let ann = unit.books.account("EUR", "2026-06-01");
    unit.stripe.put(paid("pi_1", 500, "eur", &ann.to_string(), ""));
    let body = event("evt_1", "payment_intent.succeeded", "pi_1");
    let now = now_s();

    for (signature, body) in [
        (header("whsec_other", now, &body), body.clone()),
        (header(SECRET, now - 301, &body), body.clone()),
        (header(SECRET, now + 320, &body), body.clone()),
        (header(SECRET, now, &body), body.replace("pi_1", "pi_2")),
        (String::new(), body.clone()),
        (header(SECRET, now, "{}"), "{}".to_owned()),
        (header(SECRET, now, "nonsense"), "nonsense".to_owned()),
    ] {
        let answer = tell(&unit.app, &signature, &body).await;
        assert_eq!(answer.status, 400, "{signature} {body}");
        assert!(!answer.text.contains(SECRET));
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(unit.fake.asked().is_empty());
    assert!(payments(&unit.books, ann).is_empty());

    // Late, but within five minutes; and again.
    let signature = header(SECRET, now - 290, &body);
    for _ in 0..3 {
        assert_eq!(tell(&unit.app, &signature, &body).await.status, 204);
    }
    until("the payment", || payments(&unit.books, ann).len() == 1).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(unit.fake.asked().len(), 1);
    // Its invoice is not found: it is the account's.
    assert_eq!(unit.books.credit(ann), 500);
}

#[tokio::test]
async fn what_comes_in_another_order_ends_the_same() {
    let unit = unit().await;
    let ann = unit.books.account("EUR", "2026-06-01");
    unit.stripe.put(paid("pi_1", 500, "eur", &ann.to_string(), ""));
    unit.stripe.put(json!({
        "id": "re_1", "object": "refund", "status": "succeeded", "amount": 200, "currency": "eur",
        "payment_intent": "pi_1", "metadata": {},
    }));

    told(&unit.app, &event("evt_2", "refund.created", "re_1")).await;
    until("the refund", || payments(&unit.books, ann).first().is_some_and(|one| one.refunded_minor == 200)).await;
    told(&unit.app, &event("evt_1", "payment_intent.succeeded", "pi_1")).await;
    told(&unit.app, &event("evt_3", "refund.updated", "re_1")).await;
    unit.fake.wait_for(2, |one| one.path.contains("/v1/refunds/re_1")).await;
    tokio::time::sleep(Duration::from_millis(300)).await;

    let all = payments(&unit.books, ann);
    assert_eq!((all.len(), all[0].refunded_minor), (1, 200));
    assert_eq!(unit.books.credit(ann), 300);
    unit.books.must_be_sound();
}

#[tokio::test]
async fn what_is_not_known_is_noted_and_not_asked_for_again() {
    let unit = unit().await;
    let ann = unit.books.account("EUR", "2026-06-01");
    let nobody = "01a20acd-df54-740c-a1b7-5f0a20cef6e2";
    unit.stripe.put(paid("pi_other", 500, "eur", nobody, ""));
    unit.stripe.put(paid("pi_yen", 500, "jpy", &ann.to_string(), ""));

    told(&unit.app, &event("evt_1", "payment_intent.succeeded", "pi_other")).await;
    told(&unit.app, &event("evt_2", "payment_intent.succeeded", "pi_nowhere")).await;
    told(&unit.app, &event("evt_3", "payment_intent.succeeded", "pi_yen")).await;
    told(&unit.app, &event("evt_4", "invoice.paid", "in_1")).await;

    for (message, said) in [
        ("evt_1", "of no account of ours"),
        ("evt_2", "Stripe knows no"),
        ("evt_3", "this account is billed in EUR"),
        ("evt_4", "nothing that concerns us"),
    ] {
        until(message, || note(&unit, message).is_some_and(|note| note.contains(said))).await;
    }
    assert!(payments(&unit.books, ann).is_empty());
    unit.books.must_be_sound();
}

#[tokio::test]
async fn a_refund_here_is_given_back_there_once() {
    let unit = unit().await;
    let ann = unit.books.account("EUR", "2026-06-01");
    unit.stripe.put(paid("pi_1", 500, "eur", &ann.to_string(), ""));
    told(&unit.app, &event("evt_1", "payment_intent.succeeded", "pi_1")).await;
    until("the payment", || payments(&unit.books, ann).len() == 1).await;
    let payment = payments(&unit.books, ann)[0].id;

    let refund = unit.books.write(move |work| Billing.refund(work, payment, 300, None, None)).unwrap();
    let asked = unit.fake.wait_for(1, |one| one.path == "/v1/refunds").await.remove(0);

    assert_eq!((asked.field("payment_intent"), asked.field("amount")), ("pi_1".into(), "300".into()));
    assert_eq!(asked.headers["idempotency-key"], format!("ashlar-refund-{}", refund.id));
    // Stripe tells of our own refund.
    let ours = json!({ "ashlar_refund": refund.id });
    unit.stripe.put(json!({
        "id": "re_ours", "object": "refund", "status": "succeeded", "amount": 300, "currency": "eur",
        "payment_intent": "pi_1", "metadata": ours,
    }));
    told(&unit.app, &event("evt_2", "refund.created", "re_ours")).await;
    unit.fake.wait_for(1, |one| one.path.contains("/v1/refunds/re_ours")).await;
    let refunds = || unit.books.read(|snapshot| Billing.refunds(snapshot, payment));
    until("its name", || refunds()[0].gateway_ref.as_deref() == Some("re_ours")).await;
    assert_eq!(refunds().len(), 1);
    assert_eq!(unit.books.credit(ann), 200);
    unit.books.must_be_sound();
}

#[tokio::test]
async fn a_person_pays_on_stripes_page_and_is_charged_from_then_on() {
    let unit = unit().await;
    let ann = unit.app.sign_up("ann@example.org").await;
    let (id, token) = (ann["user"]["id"].as_str().unwrap(), ann["token"].as_str().unwrap());
    let user = UserId::parse(id, "user").unwrap();
    let (_, other) = unit.app.person("bob@example.org", "member");
    unit.books.subscribe(user, "team", 1);
    let invoice = unit.books.invoices(user).remove(0);
    let pay = format!("POST /api/billing/invoices/{}/checkout", invoice.id);

    assert_eq!(unit.app.ask(&pay, &other, Value::Null).await.status, 403);
    let page = unit.app.ask(&pay, token, Value::Null).await;
    assert_eq!((page.status, &page.body["url"]), (201, &json!("https://checkout.stripe.com/c/1")));
    let session = unit.fake.wait_for(1, |one| one.path == "/v1/checkout/sessions").await.remove(0);
    assert_eq!(session.field("payment_intent_data[metadata][ashlar_invoice]"), invoice.id.to_string());
    assert_eq!(session.field("payment_intent_data[setup_future_usage]"), "off_session");
    let mut intent = paid("pi_1", 1200, "eur", id, &invoice.id.to_string());
    intent["setup_future_usage"] = json!("off_session");
    unit.stripe.put(intent);
    told(&unit.app, &event("evt_1", "payment_intent.succeeded", "pi_1")).await;
    until("the payment", || unit.books.invoices(user)[0].state == InvoiceState::Paid).await;

    assert_eq!(unit.app.ask(&pay, token, Value::Null).await.status, 409);
    let details = unit.books.read(|snapshot| Billing.details(snapshot, user));
    assert_eq!(details.gateway.as_deref(), Some("stripe"));
    unit.books.subscribe(user, "team", 1);
    until("the second", || unit.books.invoices(user)[1].state == InvoiceState::Paid).await;
}

#[tokio::test]
async fn a_person_leaves_a_card_and_is_charged_by_it_from_then_on() {
    let unit = unit().await;
    let ann = unit.app.sign_up("ann@example.org").await;
    let (id, token) = (ann["user"]["id"].as_str().unwrap(), ann["token"].as_str().unwrap());
    let user = UserId::parse(id, "user").unwrap();
    let (_, other) = unit.app.person("bob@example.org", "member");
    let leave = format!("POST /api/billing/accounts/{id}/checkout");
    let session = |status: &str, customer: &str| {
        json!({
            "id": "cs_setup", "object": "checkout.session", "mode": "setup", "status": status, "customer": customer,
            "payment_intent": null, "setup_intent": "seti_1", "metadata": { "ashlar_account": id },
        })
    };
    // Their first card was reported stolen.
    by_card(&unit.books, user);
    unit.stripe.0.lock().unwrap().decline = Some("stolen_card");
    unit.books.subscribe(user, "team", 1);
    let invoice = unit.books.invoices(user).remove(0);
    let charging = || unit.books.read(|snapshot| Billing.dunning(snapshot, invoice.id)).map(|one| one.charging);
    until("the decline", || charging() == Some(Charging::Refused)).await;

    assert_eq!(unit.app.ask(&leave, &other, Value::Null).await.status, 403);
    let page = unit.app.ask(&leave, token, Value::Null).await;
    assert_eq!((page.status, &page.body["url"]), (201, &json!("https://checkout.stripe.com/c/1")));
    let asked = unit.fake.wait_for(1, |one| one.path == "/v1/checkout/sessions").await.remove(0);
    assert_eq!((asked.field("mode"), asked.field("currency")), ("setup".into(), "eur".into()));
    assert_eq!((asked.field("customer"), asked.field("metadata[ashlar_account]")), ("cus_1".into(), id.into()));
    assert!(!asked.body.contains("line_items") && !asked.body.contains("payment_intent_data"), "{}", asked.body);

    // They look at the page, and go on later.
    unit.stripe.put(session("open", "cus_9"));
    told(&unit.app, &event("evt_1", "checkout.session.completed", "cs_setup")).await;
    until("the note", || note(&unit, "evt_1").is_some_and(|note| note.contains("not complete"))).await;
    assert_eq!(unit.books.invoices(user)[0].state, InvoiceState::Open);
    unit.stripe.put(session("complete", "cus_9"));
    told(&unit.app, &event("evt_2", "checkout.session.completed", "cs_setup")).await;

    // What was declined is charged at once, and so is what comes.
    until("the payment", || unit.books.invoices(user)[0].state == InvoiceState::Paid).await;
    unit.books.subscribe(user, "team", 2);
    until("the second", || unit.books.invoices(user)[1].state == InvoiceState::Paid).await;
    let details = unit.books.read(|snapshot| Billing.details(snapshot, user));
    assert_eq!((details.gateway.as_deref(), details.gateway_customer.as_deref()), (Some("stripe"), Some("cus_9")));
    let charges = unit.fake.asked().into_iter().filter(|one| one.path == "/v1/payment_intents");
    let charged: Vec<_> = charges.map(|one| (one.field("customer"), one.field("amount"))).collect();
    let expected = [("cus_1", "1200"), ("cus_9", "1200"), ("cus_9", "2400")];
    assert_eq!(charged, expected.map(|(customer, amount)| (customer.to_owned(), amount.to_owned())));
    // Told again, late, it changes nothing.
    told(&unit.app, &event("evt_3", "checkout.session.completed", "cs_setup")).await;
    unit.fake.wait_for(3, |one| one.path == "/v1/checkout/sessions/cs_setup").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(payments(&unit.books, user).len(), 2);
    unit.books.must_be_sound();
}

#[tokio::test]
async fn who_has_no_card_yet_is_made_a_customer_and_cards_of_strangers_are_noted() {
    let unit = unit().await;
    let ann = unit.app.sign_up("ann@example.org").await;
    let (id, token) = (ann["user"]["id"].as_str().unwrap(), ann["token"].as_str().unwrap());
    let leave = format!("POST /api/billing/accounts/{id}/checkout");

    assert_eq!(unit.app.ask(&leave, token, Value::Null).await.status, 201);
    let asked = unit.fake.wait_for(1, |one| one.path == "/v1/checkout/sessions").await.remove(0);
    assert_eq!((asked.field("customer"), asked.field("customer_creation")), (String::new(), "always".into()));

    let nobody = "01a20acd-df54-740c-a1b7-5f0a20cef6e2";
    unit.stripe.put(json!({
        "id": "cs_other", "object": "checkout.session", "mode": "setup", "status": "complete", "customer": "cus_9",
        "payment_intent": null, "metadata": { "ashlar_account": nobody },
    }));
    told(&unit.app, &event("evt_1", "checkout.session.completed", "cs_other")).await;
    until("the note", || note(&unit, "evt_1").is_some_and(|note| note.contains("of no account of ours"))).await;
    let user = UserId::parse(id, "user").unwrap();
    assert_eq!(unit.books.read(|snapshot| Billing.details(snapshot, user)).gateway, None);
}

#[tokio::test]
async fn one_secret_without_the_other_is_refused_at_the_start_and_none_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let serve = ["serve", "--listen", "127.0.0.1:0", "--data"];
    let output = program().env("ASHLAR_STRIPE_SECRET_KEY", KEY).args(serve).arg(folder.path()).output().unwrap();

    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success() && said.contains("stripe_webhook_secret") && !said.contains(KEY), "{said}");
}
