//! What is overdue goes by the day where its account is: in its time zone, or by its own clock.

use ashlar::modules::billing::{Billing, DetailsChange};
use ashlar::platform::ids::UserId;
use serde_json::Value;

use super::fake::beside;
use super::pages::send;
use super::{Books, TEAM, noon};
use crate::support::TestApp;

/// The first and the last zone in which a day begins: their days always differ.
const FIRST: &str = "Pacific/Kiritimati";
const LAST: &str = "Etc/GMT+12";

fn move_to(books: &Books, user: UserId, zone: &str) {
    let (time_zone, payment_terms_days) = (Some(zone.to_owned()), Some(Some(0)));
    books.change_account(user, DetailsChange { time_zone, payment_terms_days, ..DetailsChange::default() });
}

/// Whose invoices are overdue, newest first.
async fn overdue(app: &TestApp, token: &str, query: &str) -> Vec<String> {
    let found = app.ask(&format!("GET /api/billing/invoices?overdue=true{query}"), token, Value::Null).await;
    let items = found.body["items"].as_array().unwrap_or_else(|| panic!("{}", found.text)).clone();
    items.iter().map(|one| one["user_id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn each_account_is_overdue_by_its_own_day() {
    let app = TestApp::start().await;
    let (_, owner) = app.person("owner@example.org", "owner");
    let books = beside(&app);
    books.sell(TEAM);
    let person = |name: &str| {
        let (id, _) = app.person(&format!("{name}@example.org"), "member");
        UserId::parse(&id, "user").unwrap()
    };
    let (late, timely) = (person("late"), person("timely"));
    // Due where the day is the last to begin. One of the two moves to where the next has begun already.
    for user in [late, timely] {
        move_to(&books, user, LAST);
        books.subscribe(user, "team", 1);
    }
    move_to(&books, late, FIRST);
    let trial = books.account("EUR", "2026-06-01");
    books.subscribe(trial, "team", 1);

    assert_eq!(overdue(&app, &owner, "").await, [late.to_string()]);
    assert_eq!(overdue(&app, &owner, &format!("&user={timely}")).await, [""; 0]);
    assert_eq!(overdue(&app, &owner, &format!("&user={late}")).await, [late.to_string()]);
    assert_eq!(overdue(&app, &owner, "&state=paid").await, [""; 0]);
    let page = send(app.page("/billing/invoices?state=overdue", &owner)).await;
    page.must_show(&["late", ">Overdue</span>", "12.00\u{a0}EUR"]);
    page.must_not_show(&["timely", "Ann Lee", "24.00\u{a0}EUR"]);
    let sums = send(app.page("/billing", &owner)).await;
    sums.must_show(&[
        "36.00\u{a0}EUR</p><p class=\"soft\">3 invoices",
        "12.00\u{a0}EUR</p><p class=\"soft\">1 invoice<",
    ]);
    let (_, latest) = sums.text.split_once("Latest invoices").unwrap();
    assert_eq!(latest.matches(">Overdue</span>").count(), 1);

    books.write(move |work| Billing.set_test_clock(work, trial, noon("2026-06-16"))).unwrap();
    let all = overdue(&app, &owner, "").await;
    assert_eq!(all, [trial.to_string(), late.to_string()]);
    let first = app.ask("GET /api/billing/invoices?overdue=true&limit=1", &owner, Value::Null).await.body;
    let next = first["next_cursor"].as_str().unwrap();
    assert_eq!(overdue(&app, &owner, &format!("&limit=1&cursor={next}")).await, [late.to_string()]);
    send(app.page("/billing/invoices?state=overdue", &owner)).await.must_show(&["24.00\u{a0}EUR"]);
    books.pay(late, 1200, None);
    assert_eq!(overdue(&app, &owner, "").await, [trial.to_string()]);
}
