//! Collection and dunning, by an account's own clock.

use ashlar::modules::billing::{
    Billing, Charging, GiveUp, Invoice, InvoiceState, PaymentMethod, Settings, SubscriptionState,
};
use ashlar::platform::ids::UserId;
use ashlar::platform::jobs;
use serde_json::{Value, json};

use super::fake::{beside, until};
use super::{Books, TEAM};
use crate::support::TestApp;

/// Billing mails that are asked for, by what they are about, in order.
fn mails(books: &Books) -> Vec<String> {
    let all = books.read(|snapshot| jobs::list(snapshot, None, Some("billing.mail"), None, 100));
    let about = |job: &jobs::Job| -> String {
        let payload: Value = serde_json::from_str(&job.payload).unwrap();
        match &payload["about"] {
            Value::String(name) => name.clone(),
            Value::Object(one) => one.keys().next().unwrap().clone(),
            other => panic!("{other}"),
        }
    };
    all.iter().rev().map(about).collect()
}

fn gateway(books: &Books, user: UserId, customer: &'static str) {
    books
        .write(move |work| Billing.set_gateway(work, user, Some(PaymentMethod::Trial), Some(customer.into())))
        .unwrap();
}

fn attempts(books: &Books, invoice: &Invoice) -> u32 {
    books.read(|snapshot| Billing.dunning(snapshot, invoice.id)).map_or(0, |dunning| dunning.attempt)
}

#[test]
fn who_pays_by_transfer_is_reminded_after_the_due_day_and_then_given_up() {
    let books = Books::open();
    books.sell(TEAM);
    let ann = books.account("EUR", "2026-06-01");
    let it = books.subscribe(ann, "team", 1);
    let invoice = books.invoices(ann).remove(0);
    assert_eq!(invoice.due_on.unwrap().to_string(), "2026-06-15");

    books.run_until(ann, "2026-06-15");
    assert_eq!(books.subscription(&it).state, SubscriptionState::Active);
    let mut seen = Vec::new();
    for day in 16..=29 {
        let before = mails(&books).len();
        books.run_until(ann, &format!("2026-06-{day}"));
        // Repeated, it does nothing more.
        assert_eq!(books.run().dunned, 0);
        seen.extend(mails(&books)[before..].iter().map(|about| (day, about.clone())));
        if day == 16 {
            assert_eq!(books.subscription(&it).state, SubscriptionState::PastDue);
        }
    }

    let expected = [(16, "reminder"), (18, "reminder"), (20, "reminder"), (22, "reminder"), (29, "given_up")];
    assert_eq!(seen, expected.map(|(day, about)| (day, about.to_owned())));
    assert_eq!(books.subscription(&it).state, SubscriptionState::Cancelled);
    assert_eq!(books.invoices(ann)[0].state, InvoiceState::Open);
    books.must_be_sound();
}

#[test]
fn a_card_that_is_left_is_charged_for_what_is_overdue_and_not_for_what_may_be_on_its_way() {
    let books = Books::open();
    books.sell(TEAM);
    let ann = books.account("EUR", "2026-06-01");
    books.subscribe(ann, "team", 1);
    let invoice = books.invoices(ann).remove(0);
    let charging = || books.read(|snapshot| Billing.dunning(snapshot, invoice.id)).unwrap().charging;

    gateway(&books, ann, "card");
    assert_eq!(charging(), Charging::None);
    books.run_until(ann, "2026-06-15");
    assert_eq!(charging(), Charging::None);
    books.run_until(ann, "2026-06-16");
    assert_eq!(charging(), Charging::Due);
}

#[test]
fn it_stops_at_once_when_paid_and_the_subscription_is_well_again() {
    let books = Books::open();
    books.sell(TEAM);
    let ann = books.account("EUR", "2026-06-01");
    let it = books.subscribe(ann, "team", 1);
    books.run_until(ann, "2026-06-18");
    assert_eq!(books.subscription(&it).state, SubscriptionState::PastDue);
    let before = mails(&books);

    books.pay(ann, 1200, None);

    assert_eq!(books.subscription(&it).state, SubscriptionState::Active);
    books.run_until(ann, "2026-06-30");
    assert_eq!(mails(&books), before);
    assert_eq!(books.subscription(&it).state, SubscriptionState::Active);
}

#[test]
fn what_a_refund_opens_again_is_asked_for_again_from_that_day_on() {
    let books = Books::open();
    books.sell(TEAM);
    let ann = books.account("EUR", "2026-06-01");
    let it = books.subscribe(ann, "team", 1);
    books.run_until(ann, "2026-06-18");
    let payment = books.pay(ann, 1200, None).id;
    books.run_until(ann, "2026-06-20");
    let asked = mails(&books).len();

    books.write(move |work| Billing.refund(work, payment, 1200, None, None)).unwrap();

    assert_eq!(books.run().dunned, 0);
    let mut seen = Vec::new();
    for day in ["06-21", "06-22", "06-23", "06-25", "06-27", "06-30", "07-03", "07-04"] {
        let before = mails(&books).len();
        books.run_until(ann, &format!("2026-{day}"));
        assert_eq!(books.run().dunned, 0);
        let asked = mails(&books).split_off(before);
        seen.extend(asked.into_iter().filter(|about| about != "issued").map(|about| (day, about)));
        let is_over = day == "07-04";
        let state = if is_over { SubscriptionState::Cancelled } else { SubscriptionState::PastDue };
        assert_eq!(books.subscription(&it).state, state, "{day}");
    }

    let reminded = ["06-21", "06-23", "06-25", "06-27"].map(|day| (day, "reminder"));
    let expected: Vec<_> = reminded.into_iter().chain([("07-04", "given_up")]).collect();
    assert_eq!(seen, expected.iter().map(|(day, about)| (*day, (*about).to_owned())).collect::<Vec<_>>());
    assert!(mails(&books).len() > asked);
    books.must_be_sound();
}

#[test]
fn what_was_given_back_and_is_paid_again_is_well_again() {
    let books = Books::open();
    books.sell(TEAM);
    let ann = books.account("EUR", "2026-06-01");
    let it = books.subscribe(ann, "team", 1);
    let payment = books.pay(ann, 1200, None).id;
    // Before it is due, nobody is reminded.
    books.run_until(ann, "2026-06-03");
    books.write(move |work| Billing.refund(work, payment, 700, None, None)).unwrap();
    books.run_until(ann, "2026-06-15");
    assert!(!mails(&books).contains(&"reminder".to_owned()));
    assert_eq!(books.subscription(&it).state, SubscriptionState::Active);
    books.run_until(ann, "2026-06-16");
    assert_eq!(mails(&books).last().map(String::as_str), Some("reminder"));
    assert_eq!(books.subscription(&it).state, SubscriptionState::PastDue);

    books.pay(ann, 700, None);

    assert_eq!(books.subscription(&it).state, SubscriptionState::Active);
    let asked = mails(&books).len();
    books.run_until(ann, "2026-06-30");
    assert_eq!(mails(&books).len(), asked);
    books.must_be_sound();
}

#[test]
fn what_is_given_up_is_written_off_where_the_settings_say_so() {
    let books = Books::open();
    let settings: Settings = serde_json::from_value(json!({
        "seller": { "name": "Ashlar Ltd", "address": {} }, "retry_days": [], "give_up_day": 2, "give_up": "write_off",
    }))
    .unwrap();
    assert_eq!(settings.give_up, GiveUp::WriteOff);
    books.write(move |work| Billing.change_settings(work, settings, |_| Ok(()))).unwrap();
    books.sell(TEAM);
    let ann = books.account("EUR", "2026-06-01");
    books.subscribe(ann, "team", 1);

    books.run_until(ann, "2026-06-17");

    assert_eq!(books.invoices(ann)[0].state, InvoiceState::Uncollectible);
    books.must_be_sound();
}

#[test]
fn a_run_that_is_late_reminds_once_and_gives_up_no_sooner_than_the_day_after() {
    let books = Books::open();
    books.sell(TEAM);
    let ann = books.account("EUR", "2026-06-01");
    let it = books.subscribe(ann, "team", 1);
    let invoice = books.invoices(ann).remove(0);

    books.run_until(ann, "2026-06-30");
    let dunning = books.read(|snapshot| Billing.dunning(snapshot, invoice.id)).unwrap();
    assert_eq!((dunning.step, dunning.ended_at), (4, None));
    assert_eq!(books.subscription(&it).state, SubscriptionState::PastDue);
    books.run_until(ann, "2026-07-01");

    assert_eq!(books.subscription(&it).state, SubscriptionState::Cancelled);
    assert_eq!(mails(&books).iter().filter(|about| *about == "reminder").count(), 1);
}

#[tokio::test]
async fn a_gateway_is_asked_at_once_and_again_until_it_pays() {
    let app = TestApp::start().await;
    let books = beside(&app);
    books.sell(TEAM);
    let ann = books.account("EUR", "2026-06-01");
    gateway(&books, ann, "decline");
    let it = books.subscribe(ann, "team", 1);
    let invoice = books.invoices(ann).remove(0);
    until("the first decline", || attempts(&books, &invoice) == 1).await;
    assert_eq!(books.subscription(&it).state, SubscriptionState::PastDue);

    books.run_until(ann, "2026-06-02");
    until("the second", || attempts(&books, &invoice) == 2).await;
    books.run_until(ann, "2026-06-03");
    assert_eq!(books.run().dunned, 0);
    // Another card: what was declined is charged at once.
    gateway(&books, ann, "pays");
    until("the payment", || books.invoices(ann)[0].state == InvoiceState::Paid).await;

    assert_eq!(books.subscription(&it).state, SubscriptionState::Active);
    assert_eq!(books.credit(ann), 0);
    books.run_until(ann, "2026-06-20");
    assert_eq!(attempts(&books, &invoice), 2);
    let second = books.account("EUR", "2026-06-01");
    gateway(&books, second, "pays");
    books.subscribe(second, "team", 1);
    until("the payment at once", || books.invoices(second)[0].state == InvoiceState::Paid).await;
    books.must_be_sound();
}

#[tokio::test]
async fn after_a_hard_decline_nothing_is_charged_again() {
    let app = TestApp::start().await;
    let books = beside(&app);
    books.sell(TEAM);
    let ann = books.account("EUR", "2026-06-01");
    gateway(&books, ann, "hard-decline");
    let it = books.subscribe(ann, "team", 1);
    let invoice = books.invoices(ann).remove(0);
    until("the decline", || attempts(&books, &invoice) == 1).await;

    for day in ["2026-06-02", "2026-06-04", "2026-06-06", "2026-06-08", "2026-06-14"] {
        books.run_until(ann, day);
    }
    let dunning = books.read(|snapshot| Billing.dunning(snapshot, invoice.id)).unwrap();
    assert_eq!((dunning.attempt, dunning.charging), (1, Charging::Refused));
    let charges = books.read(|snapshot| jobs::list(snapshot, None, Some("billing.collect"), None, 100));
    assert_eq!(charges.len(), 1);

    books.run_until(ann, "2026-06-15");
    assert_eq!(books.subscription(&it).state, SubscriptionState::Cancelled);
}

#[tokio::test]
async fn what_was_given_back_is_not_charged_by_itself_but_by_another_card() {
    let app = TestApp::start().await;
    let books = beside(&app);
    books.sell(TEAM);
    let ann = books.account("EUR", "2026-06-01");
    gateway(&books, ann, "pays");
    books.subscribe(ann, "team", 1);
    until("the payment", || books.invoices(ann)[0].state == InvoiceState::Paid).await;
    let payment = books.read(|snapshot| Billing.payments(snapshot, Some(ann), None, 1)).remove(0).id;
    books.run_until(ann, "2026-06-17");

    books.write(move |work| Billing.refund(work, payment, 1200, None, None)).unwrap();
    books.run_until(ann, "2026-06-18");

    assert_eq!(mails(&books).last().map(String::as_str), Some("reminder"));
    let charges = books.read(|snapshot| jobs::list(snapshot, None, Some("billing.collect"), None, 100));
    assert_eq!(charges.len(), 1);
    gateway(&books, ann, "pays, by another card");
    until("the second payment", || books.invoices(ann)[0].state == InvoiceState::Paid).await;
    assert_eq!(books.read(|snapshot| Billing.payments(snapshot, Some(ann), None, 10)).len(), 2);
    books.must_be_sound();
}

#[tokio::test]
async fn people_are_written_to_with_what_they_owe_and_where_to_see_it() {
    let app = TestApp::start().await;
    let (_, owner) = app.person("owner@example.org", "owner");
    let person = app.sign_up("ann@example.org").await["user"]["id"].as_str().unwrap().to_owned();
    let ann = UserId::parse(&person, "user").unwrap();
    let books = beside(&app);
    books.sell(TEAM);
    books.write(move |work| Billing.set_test_clock(work, ann, super::noon("2026-06-01"))).unwrap();
    books.subscribe(ann, "team", 1);
    let invoice = books.invoices(ann).remove(0);
    books.run_until(ann, "2026-06-16");

    let number = invoice.number.unwrap();
    for (subject, said) in [
        (format!("Invoice {number} from Ashlar Ltd"), "Please pay €12.00 by 15\u{a0}June\u{a0}2026"),
        (format!("Reminder: invoice {number} is overdue"), "This is reminder 1 of 4"),
    ] {
        let mut found = None;
        for _ in 0..500 {
            let all = app.ask("GET /api/mails", &owner, Value::Null).await;
            found = all.body["items"].as_array().unwrap().iter().find(|mail| mail["subject"] == subject).cloned();
            if found.is_some() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let mail = found.unwrap_or_else(|| panic!("no mail says {subject}"));
        assert_eq!(mail["address"], "ann@example.org");
        let shown = app.ask(&format!("GET /api/mails/{}", mail["id"].as_str().unwrap()), &owner, Value::Null).await;
        let text = shown.body["body"]["text"].as_str().unwrap();
        assert!(text.contains(said) && text.contains("DE89") && text.contains("/invoices/"), "{text}");
        assert!(shown.body["body"]["html"].as_str().unwrap().contains(said));
    }
}
