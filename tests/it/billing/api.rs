//! Billing over HTTP: from the catalogue to an invoice that is paid, and whatever is refused on the way.

use std::collections::BTreeSet;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::{Answer, TestApp, ashlar, ashlar_ok, program};

/// A unit that sells `team` and `solo`, with an owner, staff and a member who has subscribed to nothing.
struct Shop {
    app: TestApp,
    owner: String,
    staff: String,
    ann: String,
    /// Ann's token.
    member: String,
    rate: String,
    product: String,
}

impl Shop {
    async fn open() -> Shop {
        let app = TestApp::start().await;
        let (_, owner) = app.person("owner@example.org", "owner");
        let (_, staff) = app.person("staff@example.org", "staff");
        let (ann, member) = app.person("ann@example.org", "member");
        let mut shop = Shop { app, owner, staff, ann, member, rate: String::new(), product: String::new() };
        let seller = json!({ "seller": { "name": "Ashlar Ltd", "address": { "country": "DE" } } });
        shop.ok(200, "PUT /api/billing/settings", &shop.owner, seller).await;
        let rate = json!({ "name": "VAT 20 %", "category": "standard", "percent": "20", "country": "DE" });
        shop.rate = text(&shop.ok(201, "POST /api/billing/tax-rates", &shop.staff, rate).await.body["id"]);
        let product = json!({ "name": "Team" });
        shop.product = text(&shop.ok(201, "POST /api/billing/products", &shop.staff, product).await.body["id"]);
        for (plan, unit_price_minor) in [("team", "1000"), ("solo", "500")] {
            let price = json!({
                "product_id": shop.product, "plan": plan, "currency": "EUR", "interval": "month", "is_per_seat": true,
                "unit_price_minor": unit_price_minor, "tax_rate_id": shop.rate,
            });
            shop.ok(201, "POST /api/billing/prices", &shop.staff, price).await;
        }
        shop
    }

    async fn ok(&self, status: u16, what: &str, token: &str, body: Value) -> Answer {
        let answer = self.app.ask(what, token, body).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.text);
        answer
    }

    async fn staff(&self, status: u16, what: &str, body: Value) -> Answer {
        self.ok(status, what, &self.staff, body).await
    }

    async fn member(&self, status: u16, what: &str, body: Value) -> Answer {
        self.ok(status, what, &self.member, body).await
    }

    /// Ann's account has a clock of its own, which stands at the noon of `day`.
    async fn set_clock(&self, day: &str) {
        let what = format!("PUT /api/billing/accounts/{}/test-clock", self.ann);
        self.ok(200, &what, &self.owner, json!({ "at": format!("{day}T12:00:00Z") })).await;
    }

    fn run(&self) -> Value {
        serde_json::from_str(&ashlar_ok(&self.app.folder, &["billing", "run", "--json"])).unwrap()
    }

    /// A draft of one line of so many minor units without tax; returns its id.
    async fn draft(&self, minor: i64) -> String {
        let draft = json!({ "user_id": self.ann, "lines": [self.line(minor)] });
        text(&self.staff(201, "POST /api/billing/invoices", draft).await.body["invoice"]["id"])
    }

    fn line(&self, minor: i64) -> Value {
        json!({ "description": "Training", "unit_price_minor": minor.to_string(), "tax_rate_id": self.rate })
    }

    /// An invoice that has its number.
    async fn invoice(&self, minor: i64) -> String {
        let id = self.draft(minor).await;
        self.staff(200, &format!("POST /api/billing/invoices/{id}/finalization"), Value::Null).await;
        id
    }

    async fn must_be_sound(&self) {
        let said = ashlar(&self.app.folder, &["doctor"]);
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stdout));
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

fn eur(minor: i64) -> Value {
    json!({ "amount_minor": minor, "currency": "EUR" })
}

#[tokio::test]
async fn payment_terms_of_an_account_are_given_back_to_the_settings() {
    let shop = Shop::open().await;
    let account = format!("PATCH /api/billing/accounts/{}", shop.ann);
    let due = async || {
        let id = shop.invoice(1000).await;
        let shown = shop.staff(200, &format!("GET /api/billing/invoices/{id}"), Value::Null).await.body;
        let days = |name: &str| text(&shown["invoice"][name]).parse::<jiff::civil::Date>().unwrap();
        (days("due_on") - days("issued_on")).get_days()
    };
    assert_eq!(due().await, 14);
    let own = shop.staff(200, &account, json!({ "payment_terms_days": 30 })).await;
    assert_eq!((&own.body["payment_terms_days"], due().await), (&json!(30), 30));
    // What is not named stays.
    let named = shop.staff(200, &account, json!({ "name": "Ann Lee" })).await;
    assert_eq!(named.body["payment_terms_days"], 30);
    let refused = shop.staff(422, &account, json!({ "payment_terms_days": 366 })).await;
    assert_eq!(refused.wrong_fields(), ["payment_terms_days"]);

    let emptied = shop.staff(200, &account, json!({ "payment_terms_days": null })).await;

    assert!(emptied.body["payment_terms_days"].is_null());
    assert_eq!(due().await, 14);
}

#[tokio::test]
async fn from_the_catalogue_to_a_paid_invoice() {
    let shop = Shop::open().await;
    shop.set_clock("2026-06-01").await;
    let wish = json!({ "user_id": shop.ann, "plan": "team", "seats": 3 });

    // What the preview shows is what is made.
    let preview = shop.member(200, "POST /api/billing/subscriptions/preview", wish.clone()).await.body;
    let begun = shop.member(201, "POST /api/billing/subscriptions", wish).await.body;
    let said = |outcome: &Value| {
        let mut document = outcome["document"].clone();
        document["number"] = Value::Null;
        document
    };
    assert_eq!(said(&preview), said(&begun));
    assert_eq!(begun["document"]["number"], "INV-2026-000001");
    assert_eq!(begun["document"]["totals"]["gross"], eur(3600));
    assert_eq!(begun["subscription"]["monthly"], eur(3000));
    let (id, invoice) = (text(&begun["subscription"]["id"]), text(&begun["invoice_id"]));

    // Half of it, and the rest with something over, which is credit.
    let half = json!({ "amount": eur(1800), "received_on": "2026-06-01" });
    shop.staff(201, &format!("POST /api/billing/invoices/{invoice}/payments"), half).await;
    let shown = shop.member(200, &format!("GET /api/billing/invoices/{invoice}"), Value::Null).await.body;
    assert_eq!((&shown["invoice"]["state"], &shown["invoice"]["due"]), (&json!("open"), &eur(1800)));
    let rest = json!({ "user_id": shop.ann, "amount": eur(2000), "reference": "thanks" });
    let payment = shop.staff(201, "POST /api/billing/payments", rest).await.body;
    assert_eq!(payment["allocations"], json!([{ "invoice_id": invoice, "amount": eur(1800) }]));
    let shown = shop.member(200, &format!("GET /api/billing/invoices/{invoice}"), Value::Null).await.body;
    assert_eq!((&shown["invoice"]["state"], shown["payments"].as_array().unwrap().len()), (&json!("paid"), 2));
    let account = format!("/api/billing/accounts/{}", shop.ann);
    assert_eq!(shop.member(200, &format!("GET {account}"), Value::Null).await.body["credit"], eur(200));

    // More seats in the middle of the month: again the preview is what happens, and the credit pays of it.
    shop.set_clock("2026-06-16").await;
    let more = json!({ "seats": 5 });
    let preview =
        shop.member(200, &format!("POST /api/billing/subscriptions/{id}/changes/preview"), more.clone()).await.body;
    let changed = shop.member(200, &format!("POST /api/billing/subscriptions/{id}/changes"), more).await.body;
    assert_eq!(said(&preview), said(&changed));
    assert_eq!(changed["document"]["totals"]["net"], eur(1000));
    assert_eq!(changed["document"]["totals"]["prepaid"], eur(200));

    // The next month, and the end with it.
    shop.set_clock("2026-07-01").await;
    assert_eq!(shop.run()["steps"], 1);
    assert_eq!(shop.run()["steps"], 0, "what is billed is billed");
    shop.member(200, &format!("POST /api/billing/subscriptions/{id}/cancellation"), json!({})).await;
    shop.member(409, &format!("POST /api/billing/subscriptions/{id}/cancellation"), json!({})).await;
    shop.member(200, &format!("DELETE /api/billing/subscriptions/{id}/cancellation"), Value::Null).await;
    shop.member(409, &format!("DELETE /api/billing/subscriptions/{id}/cancellation"), Value::Null).await;
    shop.member(200, &format!("POST /api/billing/subscriptions/{id}/cancellation"), json!({})).await;
    shop.set_clock("2026-08-01").await;
    shop.run();
    let ended = shop.member(200, &format!("GET /api/billing/subscriptions/{id}"), Value::Null).await.body;
    assert_eq!((&ended["state"], &ended["ended_on"]), (&json!("cancelled"), &json!("2026-08-01")));
    let events = shop.member(200, &format!("GET /api/billing/subscriptions/{id}/events"), Value::Null).await.body;
    let kinds: Vec<_> = events["items"].as_array().unwrap().iter().rev().map(|event| text(&event["kind"])).collect();
    // What was due in July was not paid for two weeks.
    let begun = ["started", "changed", "renewed", "past_due"];
    let expected = [&begun[..], &["cancelled_at_end", "resumed", "cancelled_at_end", "cancelled"]].concat();
    assert_eq!(kinds, expected);

    // The books, and the filters.
    let entries =
        shop.staff(200, &format!("GET /api/billing/ledger/entries?document={invoice}"), Value::Null).await.body;
    let lines = entries["items"][0]["lines"].as_array().unwrap();
    assert_eq!(lines.iter().map(|line| line["amount"]["amount_minor"].as_i64().unwrap()).sum::<i64>(), 0);
    let balances = shop.staff(200, "GET /api/billing/ledger/balances", Value::Null).await.body;
    let of = |name: &str| {
        let found = balances["items"].as_array().unwrap().iter().find(|one| one["account"] == name).unwrap();
        found["balance"]["amount_minor"].as_i64().unwrap()
    };
    assert_eq!((of("cash"), of("receivable")), (3800, 1000 + 6000));
    let count = |page: Answer| page.body["items"].as_array().unwrap().len();
    let list = |query: &str| format!("GET /api/billing/invoices?{query}");
    assert_eq!(count(shop.staff(200, &list("state=open"), Value::Null).await), 2);
    assert_eq!(count(shop.staff(200, &list("overdue=true"), Value::Null).await), 2);
    assert_eq!(count(shop.staff(200, &list(&format!("user={}&state=paid", shop.ann)), Value::Null).await), 1);
    let first = shop.staff(200, &list("limit=2"), Value::Null).await.body;
    let rest = list(&format!("limit=2&cursor={}", text(&first["next_cursor"])));
    assert_eq!(count(shop.staff(200, &rest, Value::Null).await), 1);
    shop.must_be_sound().await;
}

#[tokio::test]
async fn a_draft_may_change_until_it_has_its_number_and_never_after() {
    let shop = Shop::open().await;
    let id = shop.draft(10_000).await;
    let at = format!("/api/billing/invoices/{id}");
    let draft = shop.staff(200, &format!("GET {at}"), Value::Null).await;
    assert_eq!(draft.body["document"]["totals"]["gross"], eur(12_000));
    assert_eq!((&draft.body["document"]["number"], draft.header("etag")), (&Value::Null, "\"1\""));
    let content = json!({
        "lines": [shop.line(10_000), shop.line(333)],
        "discount": { "reason": "Welcome", "percent": "10" }, "note": "With thanks",
    });
    let put = |version: &str| {
        shop.app.asking(&format!("PUT {at}"), &shop.staff, content.clone()).header("If-Match", version.to_owned())
    };

    assert_eq!(shop.app.send(put("\"1\"")).await.status, 200);
    assert_eq!(shop.app.send(put("\"1\"")).await.status, 412, "two changes at once: the second is told");
    let finalized = shop.staff(200, &format!("POST {at}/finalization"), Value::Null).await.body;

    assert_eq!(finalized["document"]["totals"]["discount_net"], eur(1033));
    assert_eq!(finalized["document"]["totals"]["net"], eur(9300));
    shop.staff(409, &format!("POST {at}/finalization"), Value::Null).await;
    shop.staff(409, &format!("PUT {at}"), content.clone()).await;
    shop.staff(409, &format!("DELETE {at}"), Value::Null).await;
    let again = shop.staff(200, &format!("GET {at}"), Value::Null).await.body;
    assert_eq!(again["document"], finalized["document"]);
    let other = shop.draft(1).await;
    shop.staff(204, &format!("DELETE /api/billing/invoices/{other}"), Value::Null).await;
    shop.staff(404, &format!("GET /api/billing/invoices/{other}"), Value::Null).await;
}

#[tokio::test]
async fn what_is_written_wrong_is_refused_by_its_field() {
    let shop = Shop::open().await;
    let line = |change: Value| {
        let mut line = shop.line(100);
        line.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        json!({ "user_id": shop.ann, "lines": [line] })
    };
    for (body, field) in [
        (json!({ "user_id": shop.ann, "lines": [] }), "lines"),
        (line(json!({ "description": " " })), "lines[0].description"),
        (line(json!({ "quantity": "0" })), "lines[0].quantity"),
        (line(json!({ "quantity": "0.1234567891" })), "lines[0].quantity"),
        (line(json!({ "quantity": 1.5 })), "lines[0].quantity"),
        (line(json!({ "unit_price_minor": "-1" })), "lines[0].unit_price_minor"),
        (line(json!({ "unit_price_minor": "0.00001" })), "lines[0].unit_price_minor"),
        (line(json!({ "tax_rate_id": "none" })), "lines[0].tax_rate_id"),
        (line(json!({ "period": { "from": "2026-01-01", "until": "2026-01-01" } })), "lines[0].period"),
        (line(json!({ "period": { "from": "2026-01-01", "until": "2099-01-01" } })), "lines[0].period"),
        (line(json!({ "total": 5 })), "lines[0].total"),
        (line(json!({ "quantity": "1000000000", "unit_price_minor": "1000000000000000" })), "lines[0].amount_minor"),
    ] {
        let answer = shop.staff(422, "POST /api/billing/invoices", body.clone()).await;
        assert_eq!(answer.wrong_fields(), [field], "{body}");
    }
    let id = shop.invoice(100).await;
    let pay = format!("POST /api/billing/invoices/{id}/payments");
    for (body, field) in [
        (json!({ "amount": eur(0) }), "amount.amount_minor"),
        (json!({ "amount": eur(-5) }), "amount.amount_minor"),
        (json!({ "amount": eur(i64::MAX) }), "amount.amount_minor"),
        (json!({ "amount": { "amount_minor": 5, "currency": "JPY" } }), "amount.currency"),
        (json!({ "amount": { "amount_minor": 5, "currency": "ZZZ" } }), "amount.currency"),
        (json!({ "amount": { "amount_minor": 5.5, "currency": "EUR" } }), "amount.amount_minor"),
        (json!({ "amount": eur(5), "received_on": "2999-01-01" }), "received_on"),
        (json!({ "amount": eur(5), "received_on": "1999-12-31" }), "received_on"),
    ] {
        let answer = shop.staff(422, &pay, body.clone()).await;
        assert_eq!(answer.wrong_fields(), [field], "{body}");
    }
    for (change, field) in [
        (json!({ "name": "" }), "seller.name"),
        (json!({ "name": "A\nB" }), "seller.name"),
        (json!({ "address": { "country": "Germany" } }), "seller.address.country"),
        (json!({ "address": { "country": "XX" } }), "seller.address.country"),
        (json!({ "address": { "town": "Berlin" } }), "seller.address.town"),
    ] {
        let mut seller = json!({ "name": "Ashlar Ltd", "address": {} });
        seller.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let what = "PUT /api/billing/settings";
        let answer = shop.ok(422, what, &shop.owner, json!({ "seller": seller })).await;
        assert_eq!(answer.wrong_fields(), [field], "{change}");
    }
    let wish = |plan: &str| json!({ "user_id": shop.ann, "plan": plan });
    assert_eq!(shop.member(422, "POST /api/billing/subscriptions", wish("none")).await.wrong_fields(), ["plan"]);
    assert_eq!(shop.staff(422, "GET /api/billing/invoices?state=lost", Value::Null).await.wrong_fields(), ["state"]);
    assert_eq!(
        shop.staff(422, "GET /api/billing/ledger/balances?month=2026-13", Value::Null).await.wrong_fields(),
        ["month"]
    );
    let nobody = "01a20acd-df54-740c-a1b7-5f0a20cef6e2";
    for what in ["products", "prices", "tax-rates", "accounts", "subscriptions", "invoices", "payments"] {
        shop.staff(404, &format!("GET /api/billing/{what}/{nobody}"), Value::Null).await;
    }
    shop.must_be_sound().await;
}

#[tokio::test]
async fn an_invoice_is_credited_whole_or_by_lines_and_never_beyond_what_is_left() {
    let shop = Shop::open().await;
    let credit = |id: &str| format!("POST /api/billing/invoices/{id}/credit-notes");
    let part = |minor: i64| json!({ "lines": [{ "position": 1, "amount": eur(minor) }], "note": "sorry" });

    let whole = shop.invoice(10_000).await;
    let note = shop.staff(201, &credit(&whole), json!({})).await.body;
    assert_eq!(
        (&note["document"]["kind"], &note["document"]["totals"]["gross"]),
        (&json!("credit_note"), &eur(12_000))
    );
    assert_eq!(note["document"]["credits"]["number"], "INV-2026-000001");
    let shown = shop.staff(200, &format!("GET /api/billing/invoices/{whole}"), Value::Null).await.body;
    assert_eq!((&shown["invoice"]["state"], &shown["invoice"]["due"]), (&json!("paid"), &eur(0)));
    assert_eq!(shown["credit_notes"], json!([note["invoice"]["id"]]));
    shop.staff(409, &credit(&whole), part(1)).await;
    shop.staff(409, &credit(&whole), json!({})).await;

    // Two rates: what one of them came to is not left of the other.
    let zero = json!({ "name": "Zero", "category": "zero", "percent": "0" });
    let zero = text(&shop.staff(201, "POST /api/billing/tax-rates", zero).await.body["id"]);
    let mut other = shop.line(5000);
    other["tax_rate_id"] = json!(zero);
    let draft = json!({ "user_id": shop.ann, "lines": [shop.line(1000), other] });
    let id = text(&shop.staff(201, "POST /api/billing/invoices", draft).await.body["invoice"]["id"]);
    shop.staff(409, &credit(&id), json!({})).await;
    shop.staff(200, &format!("POST /api/billing/invoices/{id}/finalization"), Value::Null).await;
    shop.staff(201, &credit(&id), part(600)).await;
    shop.staff(409, &credit(&id), part(600)).await;
    shop.staff(409, &credit(&id), json!({})).await;
    shop.staff(201, &credit(&id), part(400)).await;
    for (body, field) in [
        (part(1001), "lines[0].amount.amount_minor"),
        (part(0), "lines[0].amount.amount_minor"),
        (json!({ "lines": [{ "position": 3, "amount": eur(1) }] }), "lines[0].position"),
        (
            json!({ "lines": [{ "position": 1, "amount": { "amount_minor": 1, "currency": "USD" } }] }),
            "lines[0].amount.currency",
        ),
    ] {
        assert_eq!(shop.staff(422, &credit(&id), body).await.wrong_fields(), [field]);
    }
    shop.must_be_sound().await;
}

#[tokio::test]
async fn what_is_paid_is_given_back_once_and_what_is_open_can_be_given_up() {
    let shop = Shop::open().await;
    let post = |id: &str, what: &str| format!("POST /api/billing/invoices/{id}/{what}");
    let paid = shop.invoice(1000).await;
    let payment = shop.staff(201, &post(&paid, "payments"), json!({ "amount": eur(1200) })).await.body;
    let payment = text(&payment["id"]);
    let refund = format!("POST /api/billing/payments/{payment}/refunds");

    shop.staff(409, &post(&paid, "void"), Value::Null).await;
    shop.staff(409, &post(&paid, "uncollectible"), Value::Null).await;
    shop.staff(422, &refund, json!({ "amount": eur(1201) })).await;
    shop.staff(422, &refund, json!({ "amount": { "amount_minor": 1, "currency": "USD" } })).await;
    shop.staff(201, &refund, json!({ "amount": eur(200), "reason": "kindness" })).await;
    shop.staff(201, &refund, json!({ "amount": eur(1000) })).await;
    shop.staff(409, &refund, json!({ "amount": eur(1) })).await;
    let shown = shop.staff(200, &format!("GET /api/billing/invoices/{paid}"), Value::Null).await.body;
    assert_eq!((&shown["invoice"]["state"], &shown["invoice"]["due"]), (&json!("open"), &eur(1200)));
    let shown = shop.member(200, &format!("GET /api/billing/payments/{payment}"), Value::Null).await.body;
    assert_eq!((&shown["refunded"], shown["refunds"].as_array().unwrap().len()), (&eur(1200), 2));

    shop.staff(200, &post(&paid, "uncollectible"), Value::Null).await;
    shop.staff(409, &post(&paid, "credit-notes"), json!({})).await;
    let late = shop.staff(201, &post(&paid, "payments"), json!({ "amount": eur(1200) })).await.body;
    assert_eq!(late["allocations"][0]["amount"], eur(1200), "what comes in after all is taken");
    let mistaken = shop.invoice(500).await;
    shop.staff(200, &post(&mistaken, "void"), Value::Null).await;
    shop.staff(409, &post(&mistaken, "void"), Value::Null).await;
    let draft = shop.draft(1).await;
    shop.staff(409, &post(&draft, "payments"), json!({ "amount": eur(1) })).await;
    shop.must_be_sound().await;
}

#[tokio::test]
async fn a_subscription_is_well_again_when_what_it_owes_is_void_or_credited() {
    let shop = Shop::open().await;
    let raw = Connection::open(shop.app.folder.join("ashlar.db")).unwrap();
    raw.busy_timeout(Duration::from_secs(5)).unwrap();
    for (how, body, status) in [("void", Value::Null, 200), ("credit-notes", json!({}), 201)] {
        let wish = json!({ "user_id": shop.ann, "plan": "team" });
        let begun = shop.member(201, "POST /api/billing/subscriptions", wish).await.body;
        let (id, invoice) = (text(&begun["subscription"]["id"]), text(&begun["invoice_id"]));
        raw.execute_batch("UPDATE billing_subscriptions SET state = 'past_due' WHERE state = 'active'").unwrap();

        shop.staff(status, &format!("POST /api/billing/invoices/{invoice}/{how}"), body).await;

        let after = shop.member(200, &format!("GET /api/billing/subscriptions/{id}"), Value::Null).await.body;
        assert_eq!(after["state"], "active", "{how}");
    }
    shop.must_be_sound().await;
}

#[tokio::test]
async fn what_is_credited_by_hand_is_not_given_back_once_more() {
    let shop = Shop::open().await;
    shop.set_clock("2026-06-01").await;
    let begun =
        shop.member(201, "POST /api/billing/subscriptions", json!({ "user_id": shop.ann, "plan": "team" })).await;
    let (id, invoice) = (text(&begun.body["subscription"]["id"]), text(&begun.body["invoice_id"]));
    shop.staff(201, &format!("POST /api/billing/invoices/{invoice}/payments"), json!({ "amount": eur(1200) })).await;
    shop.staff(201, &format!("POST /api/billing/invoices/{invoice}/credit-notes"), json!({})).await;
    shop.set_clock("2026-06-16").await;

    let cancel = json!({ "when": "now", "credit": true });
    let ended = shop.staff(200, &format!("POST /api/billing/subscriptions/{id}/cancellation"), cancel).await.body;

    assert_eq!(ended["document"], Value::Null, "all of it has been credited: nothing is left to give back");
    let account = shop.member(200, &format!("GET /api/billing/accounts/{}", shop.ann), Value::Null).await.body;
    assert_eq!(account["credit"], eur(1200));
    shop.must_be_sound().await;
}

#[tokio::test]
async fn what_is_asked_twice_with_one_key_is_billed_once() {
    let shop = Shop::open().await;
    let keyed = |what: &str, token: &str, body: Value, key: &'static str| {
        shop.app.asking(what, token, body).header("Idempotency-Key", key)
    };
    let wish = json!({ "user_id": shop.ann, "plan": "team" });
    let ask = || shop.app.send(keyed("POST /api/billing/subscriptions", &shop.member, wish.clone(), "k1"));

    let all = futures_util::future::join_all((0..16).map(|_| ask())).await;

    assert!(all.iter().all(|answer| answer.status == 201 && answer.text == all[0].text));
    let other = json!({ "user_id": shop.ann, "plan": "solo" });
    let other = shop.app.send(keyed("POST /api/billing/subscriptions", &shop.member, other, "k1")).await;
    assert_eq!((other.status, other.wrong_fields()), (422, vec!["Idempotency-Key"]));
    let invoice = text(&all[0].body["invoice_id"]);
    let pay = format!("POST /api/billing/invoices/{invoice}/payments");
    for _ in 0..2 {
        let paid = shop.app.send(keyed(&pay, &shop.staff, json!({ "amount": eur(1200) }), "k2")).await;
        assert_eq!(paid.status, 201);
    }
    let payments = shop.member(200, "GET /api/billing/payments", Value::Null).await.body;
    assert_eq!(payments["items"].as_array().unwrap().len(), 1);
    let id = text(&all[0].body["subscription"]["id"]);
    let change = format!("POST /api/billing/subscriptions/{id}/changes");
    let two =
        |seats: u32| shop.app.asking(&change, &shop.member, json!({ "seats": seats })).header("If-Match", "\"1\"");
    assert_eq!(shop.app.send(two(2)).await.status, 200);
    assert_eq!(shop.app.send(two(3)).await.status, 412);
    shop.must_be_sound().await;
}

#[tokio::test]
async fn a_member_has_what_is_theirs_and_no_more() {
    let shop = Shop::open().await;
    let (bob, bobs) = shop.app.person("bob@example.org", "member");
    let (boss, _) = shop.app.person("boss@example.org", "owner");
    let begun =
        shop.member(201, "POST /api/billing/subscriptions", json!({ "user_id": shop.ann, "plan": "team" })).await;
    let (id, invoice) = (text(&begun.body["subscription"]["id"]), text(&begun.body["invoice_id"]));
    let paid = json!({ "user_id": shop.ann, "amount": eur(5000) });
    let payment = text(&shop.staff(201, "POST /api/billing/payments", paid).await.body["id"]);
    let draft = shop.draft(100).await;

    // Another's is not there; a draft neither.
    for what in [
        format!("GET /api/billing/subscriptions/{id}"),
        format!("GET /api/billing/subscriptions/{id}/events"),
        format!("GET /api/billing/invoices/{invoice}"),
        format!("GET /api/billing/payments/{payment}"),
        format!("DELETE /api/billing/subscriptions/{id}/cancellation"),
    ] {
        shop.ok(404, &what, &bobs, Value::Null).await;
    }
    let seats = json!({ "seats": 2 });
    shop.ok(404, &format!("POST /api/billing/subscriptions/{id}/changes"), &bobs, seats.clone()).await;
    shop.ok(404, &format!("POST /api/billing/subscriptions/{id}/changes/preview"), &bobs, seats).await;
    shop.ok(404, &format!("POST /api/billing/subscriptions/{id}/cancellation"), &bobs, json!({})).await;
    shop.member(404, &format!("GET /api/billing/invoices/{draft}"), Value::Null).await;
    for list in ["subscriptions", "invoices", "payments"] {
        let own = shop.ok(200, &format!("GET /api/billing/{list}"), &bobs, Value::Null).await.body;
        assert_eq!(own["items"], json!([]), "{list}");
        let theirs = shop.member(200, &format!("GET /api/billing/{list}"), Value::Null).await.body;
        assert_eq!(theirs["items"].as_array().unwrap().len(), 1, "{list}");
        shop.ok(403, &format!("GET /api/billing/{list}?user={}", shop.ann), &bobs, Value::Null).await;
    }
    // What is staff's to give.
    let trial = json!({ "user_id": bob, "plan": "team", "trial_days": 30 });
    shop.ok(403, "POST /api/billing/subscriptions", &bobs, trial).await;
    shop.ok(403, "POST /api/billing/subscriptions", &bobs, json!({ "user_id": shop.ann, "plan": "team" })).await;
    let credit = json!({ "when": "now", "credit": true });
    shop.member(403, &format!("POST /api/billing/subscriptions/{id}/cancellation"), credit).await;
    shop.member(403, &format!("POST /api/billing/subscriptions/{id}/pause"), Value::Null).await;
    shop.member(403, &format!("POST /api/billing/invoices/{invoice}/payments"), json!({ "amount": eur(1) })).await;
    let account = format!("/api/billing/accounts/{}", shop.ann);
    shop.member(403, &format!("PATCH {account}"), json!({ "payment_terms_days": 365 })).await;
    shop.member(403, &format!("PATCH {account}"), json!({ "payment_terms_days": null })).await;
    shop.member(403, &format!("PATCH {account}"), json!({ "tax_rate_id": "" })).await;
    shop.member(409, &format!("PATCH {account}"), json!({ "currency": "USD" })).await;
    let changed = shop.member(200, &format!("PATCH {account}"), json!({ "name": "Lee Ltd", "country": "DE" })).await;
    assert_eq!((&changed.body["name"], &changed.body["address"]["country"]), (&json!("Lee Ltd"), &json!("DE")));
    // A price that is not sold any more is theirs to keep, and not to see.
    let prices = shop.staff(200, "GET /api/billing/prices", Value::Null).await.body;
    let price = text(&prices["items"][0]["id"]);
    shop.staff(200, &format!("POST /api/billing/prices/{price}/retirement"), Value::Null).await;
    shop.member(404, &format!("GET /api/billing/prices/{price}"), Value::Null).await;
    let seen = shop.member(200, "GET /api/billing/prices", Value::Null).await.body;
    assert_eq!(seen["items"].as_array().unwrap().len(), 1);
    // Staff look after members, and owners after all.
    shop.ok(201, "POST /api/billing/subscriptions", &shop.owner, json!({ "user_id": boss, "plan": "team" })).await;
    shop.staff(403, "POST /api/billing/subscriptions", json!({ "user_id": boss, "plan": "team" })).await;
    shop.staff(403, &format!("GET /api/billing/invoices?user={boss}"), Value::Null).await;
    let seen = shop.staff(200, "GET /api/billing/subscriptions", Value::Null).await.body;
    assert_eq!(seen["items"].as_array().unwrap().len(), 1);
    let seen = shop.ok(200, "GET /api/billing/subscriptions", &shop.owner, Value::Null).await.body;
    assert_eq!(seen["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_pause_bills_nothing_and_ends_when_staff_say_so() {
    let shop = Shop::open().await;
    shop.set_clock("2026-06-01").await;
    let begun =
        shop.member(201, "POST /api/billing/subscriptions", json!({ "user_id": shop.ann, "plan": "team" })).await;
    let id = text(&begun.body["subscription"]["id"]);
    let at = format!("/api/billing/subscriptions/{id}");

    shop.staff(409, &format!("DELETE {at}/pause"), Value::Null).await;
    shop.staff(200, &format!("POST {at}/pause"), Value::Null).await;
    shop.staff(409, &format!("POST {at}/pause"), Value::Null).await;
    shop.member(409, &format!("DELETE {at}/cancellation"), Value::Null).await;
    shop.set_clock("2026-09-10").await;
    assert_eq!(shop.run()["steps"], 0);
    let resumed = shop.staff(200, &format!("DELETE {at}/pause"), Value::Null).await.body;

    assert_eq!(resumed["document"]["period"], json!({ "from": "2026-09-10", "until": "2026-10-10" }));
    shop.must_be_sound().await;
}

#[tokio::test]
async fn sixty_four_at_once_get_sixty_four_numbers_without_a_gap() {
    let shop = Shop::open().await;
    let mut drafts = Vec::new();
    for n in 0..64 {
        drafts.push(shop.draft(100 + n).await);
    }
    // A third is finalised by two at once, of which one is told that it is.
    let twice = drafts.iter().step_by(3).cloned().collect::<Vec<_>>();

    let all = drafts.iter().chain(&twice).map(|id| {
        let what = format!("POST /api/billing/invoices/{id}/finalization");
        shop.app.send(shop.app.asking(&what, &shop.staff, Value::Null))
    });
    let answers = futures_util::future::join_all(all).await;

    let (done, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
    assert_eq!(refused.iter().map(|answer| answer.status).collect::<BTreeSet<_>>(), BTreeSet::from([409]));
    assert_eq!(refused.len(), twice.len());
    let numbers: BTreeSet<_> = done.iter().map(|answer| text(&answer.body["invoice"]["number"])).collect();
    let year = &numbers.first().unwrap()[4..8];
    assert_eq!(numbers, (1..=64).map(|n| format!("INV-{year}-{n:06}")).collect());
    shop.must_be_sound().await;
}

#[tokio::test]
async fn a_run_that_is_killed_anywhere_goes_on_and_makes_each_invoice_once() {
    let mut shop = Shop::open().await;
    shop.set_clock("2024-01-31").await;
    for _ in 0..20 {
        let wish = json!({ "user_id": shop.ann, "plan": "team" });
        shop.member(201, "POST /api/billing/subscriptions", wish).await;
    }
    shop.set_clock("2026-11-01").await;
    shop.app.stop();
    let billed = |shop: &Shop| {
        let raw = Connection::open(shop.app.folder.join("ashlar.db")).unwrap();
        raw.query_row("SELECT count(*) FROM billing_invoices", [], |row| row.get::<_, i64>(0)).unwrap()
    };

    // Months late, and killed again and again on the way.
    let (mut kills, mut between) = (0, BTreeSet::new());
    for round in 0..12 {
        let args = ["billing", "run", "--json", "--data"];
        let mut run = program().args(args).arg(&shop.app.folder).stdout(std::process::Stdio::null()).spawn().unwrap();
        tokio::time::sleep(Duration::from_millis(40 + 15 * round)).await;
        if run.try_wait().unwrap().is_none() {
            run.kill().unwrap();
            kills += 1;
        }
        run.wait().unwrap();
        between.insert(billed(&shop));
    }
    shop.run();

    // One for each month of each subscription, from January 2024 to the period that begins on 31 October 2026.
    assert!(kills > 0, "no run was killed on its way");
    assert_eq!(billed(&shop), 20 * 34, "in between: {between:?}");
    let raw = Connection::open(shop.app.folder.join("ashlar.db")).unwrap();
    let twice =
        "SELECT count(*) FROM (SELECT 1 FROM billing_invoices i JOIN billing_invoice_lines l ON l.invoice_id = i.id
                 GROUP BY i.subscription_id, l.period_from HAVING count(*) > 1)";
    assert_eq!(raw.query_row(twice, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
    let (given, last): (i64, i64) = raw
        .query_row(
            "SELECT count(*), max(CAST(substr(number, 10) AS INTEGER)) FROM billing_invoices WHERE number LIKE 'INV-2026-%'",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    assert_eq!(given, last, "numbers have no gaps");
    drop(raw);
    shop.must_be_sound().await;
    assert_eq!(shop.run(), json!({ "steps": 0, "dunned": 0, "failed": 0, "recognized": 0 }));
    shop.app.restart(&[]).await;
}

#[tokio::test]
async fn a_run_catches_up_to_a_day_that_has_passed_and_never_beyond_today() {
    let shop = Shop::open().await;
    shop.set_clock("2026-01-01").await;
    shop.member(201, "POST /api/billing/subscriptions", json!({ "user_id": shop.ann, "plan": "team" })).await;
    shop.set_clock("2026-06-15").await;
    let run = |until: &str| ashlar(&shop.app.folder, &["billing", "run", "--until", until, "--json"]);
    let steps = |until: &str| {
        let output = run(until);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()["steps"].as_u64().unwrap()
    };

    // The first invoice is due on 15 January, and asked for again from then on.
    let asked = run("2026-01-10");
    assert_eq!(serde_json::from_slice::<Value>(&asked.stdout).unwrap()["dunned"], 0, "{asked:?}");
    assert_eq!(steps("2026-01-31"), 0);
    assert_eq!(steps("2026-03-01"), 2);
    assert_eq!(steps("2026-04-30"), 1);
    let future = run("2999-01-01");
    assert_eq!(future.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&future.stderr).contains("is to come"), "{future:?}");
    assert_eq!(run("someday").status.code(), Some(2));
    assert_eq!(shop.run()["steps"], 2);
    let printed = ashlar_ok(&shop.app.folder, &["billing", "run"]);
    assert_eq!(printed.trim(), "billed 0 periods, recognised revenue of 0 lines");
}

#[tokio::test]
async fn a_test_clock_may_run_ahead_of_the_machines() {
    let shop = Shop::open().await;
    shop.set_clock("2199-01-01").await;
    shop.member(201, "POST /api/billing/subscriptions", json!({ "user_id": shop.ann, "plan": "team" })).await;
    shop.set_clock("2199-03-10").await;

    assert_eq!(shop.run()["steps"], 2);
}

#[tokio::test]
async fn the_readme_goes_from_the_catalogue_to_a_paid_invoice() {
    let readme = include_str!("../../../README.md");
    let block = readme.split("```bash\n").nth(1).unwrap().split("```").next().unwrap();
    let shop = Shop::open().await;
    let mut known = std::collections::BTreeMap::from([("$PERSON", shop.ann.clone())]);
    let mut last = Value::Null;

    for line in block.lines().filter_map(|line| line.strip_prefix("post ")) {
        let (path, body) = line.split_once(' ').unwrap();
        let filled = known.iter().fold((path.to_owned(), body.replace('\'', "")), |(path, body), (name, id)| {
            (path.replace(name, id), body.replace(name, id))
        });
        let body = serde_json::from_str(&filled.1).unwrap_or_else(|why| panic!("{line}: {why}"));
        last = shop.staff(201, &format!("POST /api/billing/{}", filled.0), body).await.body;
        match path {
            "tax-rates" => drop(known.insert("$RATE", text(&last["id"]))),
            "products" => drop(known.insert("$PRODUCT", text(&last["id"]))),
            "subscriptions" => drop(known.insert("$INVOICE", text(&last["invoice_id"]))),
            _ => {}
        }
    }

    let invoice = format!("GET /api/billing/invoices/{}", known["$INVOICE"]);
    assert_eq!(last["allocations"][0]["amount"], eur(7136));
    assert_eq!(shop.member(200, &invoice, Value::Null).await.body["invoice"]["state"], "paid");
}

#[tokio::test]
async fn the_server_bills_by_the_clock() {
    let shop = Shop::open().await;

    let kinds = shop.staff(200, "GET /api/job-kinds", Value::Null).await.body;

    let run = kinds["items"].as_array().unwrap().iter().find(|kind| kind["name"] == "billing.run").unwrap();
    assert!(!run["next_at"].is_null() || !run["cron"].is_null() || run.to_string().contains("*/10"), "{run}");
}

#[tokio::test]
async fn doctor_finds_books_that_another_program_has_falsified() {
    let mut shop = Shop::open().await;
    shop.invoice(1000).await;
    shop.must_be_sound().await;
    shop.app.stop();
    let raw = Connection::open(shop.app.folder.join("ashlar.db")).unwrap();
    raw.execute_batch("UPDATE billing_accounts SET credit_minor = credit_minor + 5").unwrap();
    drop(raw);

    let found = ashlar(&shop.app.folder, &["doctor", "--json"]);

    assert_eq!(found.status.code(), Some(1));
    let found: Value = serde_json::from_slice(&found.stdout).unwrap();
    let problem = text(&found["wrong"][0]["problem"]);
    assert!(problem.starts_with("credit comes to 0.00 EUR in the ledger"), "{problem}");
    assert_eq!((&found["wrong"][0]["person"], &found["wrong"][0]["mendable"]), (&Value::Null, &json!(false)));
}

#[tokio::test]
async fn who_leaves_is_no_orphan_and_their_books_stay() {
    let shop = Shop::open().await;
    let id = shop.invoice(1000).await;

    shop.staff(204, &format!("DELETE /api/people/{}", shop.ann), Value::Null).await;

    shop.must_be_sound().await;
    let shown = shop.staff(200, &format!("GET /api/billing/invoices/{id}"), Value::Null).await.body;
    assert_eq!(shown["invoice"]["state"], "open");
    let account = shop.staff(200, &format!("GET /api/billing/accounts/{}", shop.ann), Value::Null).await.body;
    assert!(account["name"].is_null() && !account["closed_at"].is_null(), "{account}");
    let more = json!({ "user_id": shop.ann, "lines": [shop.line(1)] });
    shop.staff(409, "POST /api/billing/invoices", more).await;
    shop.staff(201, &format!("POST /api/billing/invoices/{id}/payments"), json!({ "amount": eur(1200) })).await;
    shop.must_be_sound().await;
}
