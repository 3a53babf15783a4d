//! Reports say what happened, and agree with the ledger.

use ashlar::modules::billing::{
    Billing, Cancellation, DetailsChange, LedgerAccount, Month, Months, MrrMonth, ReceivablesAge, Settings,
    SubscriptionChange, When,
};
use ashlar::platform::clock::Clock;
use ashlar::platform::ids::UserId;
use ashlar::platform::money::Currency;
use serde_json::{Value, json};

use super::{Books, Plan, TEAM};
use crate::support::TestApp;

fn months(from: &str, until: &str) -> Months {
    Months { from: from.parse().unwrap(), until: until.parse().unwrap() }
}

fn change(books: &Books, of: &ashlar::modules::billing::Subscription, seats: u32) {
    let (id, wish) = (of.id, SubscriptionChange { plan: None, seats: Some(seats), when: When::Now });
    books.write(move |work| Billing.change_subscription(work, id, &wish, |_| Ok(()))).unwrap();
}

fn cancel(books: &Books, of: &ashlar::modules::billing::Subscription, credit: bool) {
    let (id, wish) = (of.id, Cancellation { when: When::Now, credit });
    books.write(move |work| Billing.cancel(work, id, &wish, |_| Ok(()))).unwrap();
}

/// Nobody pays here, and nobody is cut off for it.
fn be_patient(books: &Books) {
    let change = |work: &ashlar::platform::db::UnitOfWork<'_>| {
        let (settings, _) = Billing.settings(work)?;
        Billing.change_settings(work, Settings { give_up_day: 365, ..settings }, |_| Ok(()))
    };
    books.write(change).unwrap();
}

fn amounts(month: &MrrMonth) -> [i64; 6] {
    month.amounts().map(|money| money.amount_minor)
}

/// Whatever happened to `ann`, who is the only customer, all reports add up and agree with the ledger.
pub fn must_agree(books: &Books, ann: UserId) {
    let all = months("2025-12", "2033-12");
    let mrr = books.read(|snapshot| Billing.mrr(snapshot, None, all));
    for month in mrr.iter().flat_map(|mrr| &mrr.months) {
        let [start, new, expansion, contraction, churn, end] = amounts(month);
        assert_eq!(start + new + expansion - contraction - churn, end, "{}", month.month);
        assert!([start, new, expansion, contraction, churn, end].iter().all(|amount| *amount >= 0), "{month:?}");
    }
    for months in mrr.iter().flat_map(|mrr| mrr.months.windows(2)) {
        assert_eq!(months[0].end, months[1].start);
    }
    let now: i64 = books
        .read(|snapshot| Billing.subscriptions(snapshot, Some(ann), None, 100))
        .iter()
        .map(|it| books.read(|snapshot| Billing.monthly(snapshot, it)))
        .sum();
    let end = mrr.first().and_then(|mrr| mrr.months.last()).map_or(0, |month| month.end.amount_minor);
    assert_eq!(end, now);

    let tax = books.read(|snapshot| Billing.tax(snapshot, None, all));
    assert_eq!(tax.iter().map(|it| it.tax.amount_minor).sum::<i64>(), -books.balance(LedgerAccount::Tax));
    for one in &tax {
        assert_eq!(one.rates.iter().map(|it| it.tax.amount_minor).sum::<i64>(), one.tax.amount_minor);
    }
    let revenue = books.read(|snapshot| Billing.revenue(snapshot, None, all));
    assert_eq!(revenue.iter().map(|it| it.total.amount_minor).sum::<i64>(), -books.balance(LedgerAccount::Revenue));
    let owed = books.read(|snapshot| Billing.receivables(snapshot, None, "2026-06-01".parse().unwrap()));
    assert_eq!(owed.iter().map(|it| it.total.amount_minor).sum::<i64>(), books.balance(LedgerAccount::Receivable));

    // There is one customer: month by month they are there or not.
    for month in books.read(|snapshot| Billing.churn(snapshot, None, all)).iter().flat_map(|churn| &churn.months) {
        let end = month.customers + month.customers_new - month.customers_lost;
        assert!((0..=1).contains(&month.customers) && (0..=1).contains(&end), "{month:?}");
        assert_eq!(month.customers == 1, month.revenue.amount_minor > 0, "{month:?}");
    }
}

#[test]
fn recurring_revenue_moves_by_what_people_do() {
    let books = Books::open();
    be_patient(&books);
    books.sell(TEAM);
    let (ann, bob) = (books.account("EUR", "2026-01-10"), books.account("EUR", "2026-02-10"));
    let anns = books.subscribe(ann, "team", 2);
    let bobs = books.subscribe(bob, "team", 5);
    books.run_until(ann, "2026-03-15");
    change(&books, &anns, 3);
    books.run_until(bob, "2026-03-20");
    change(&books, &bobs, 4);
    books.run_until(bob, "2026-04-20");
    cancel(&books, &bobs, true);
    books.run_until(bob, "2026-05-20");
    books.subscribe(bob, "team", 1);

    let mrr = books.read(|snapshot| Billing.mrr(snapshot, Some(Currency::EUR), months("2026-02", "2026-05")));

    let said: Vec<_> = mrr[0].months.iter().map(amounts).collect();
    assert_eq!(
        said,
        [
            [2000, 5000, 0, 0, 0, 7000],
            [7000, 0, 1000, 1000, 0, 7000],
            [7000, 0, 0, 0, 4000, 3000],
            // They come back, which is new.
            [3000, 1000, 0, 0, 0, 4000],
        ]
    );
    let churn = books.read(|snapshot| Billing.churn(snapshot, None, months("2026-03", "2026-05")));
    let said: Vec<_> = churn[0]
        .months
        .iter()
        .map(|it| {
            let percents = [it.customers_lost_percent, it.revenue_lost_percent].map(|p| p.unwrap().to_string());
            (it.customers, it.customers_new, it.customers_lost, it.revenue_lost.amount_minor, percents)
        })
        .collect();
    assert_eq!(
        said,
        [
            (2, 0, 0, 1000, ["0".into(), "14.29".into()]),
            (2, 0, 1, 4000, ["50".into(), "57.14".into()]),
            (1, 1, 0, 0, ["0".into(), "0".into()]),
        ]
    );
    assert!(
        books
            .read(|snapshot| Billing.mrr(snapshot, Currency::parse("JPY").ok(), months("2026-02", "2026-05")))
            .is_empty()
    );
}

#[test]
fn tax_is_by_country_and_rate_less_credit_notes_and_what_is_void() {
    let books = Books::open();
    books.sell(TEAM);
    books.sell(Plan { code: "reduced", price: "333", percent: "7.70", ..TEAM });
    books.sell(Plan { code: "free-of-tax", price: "500", percent: "0", ..TEAM });
    let (ann, bob) = (books.account("EUR", "2026-01-10"), books.account("EUR", "2026-01-10"));
    books.subscribe(ann, "team", 1);
    let reduced = books.subscribe(ann, "reduced", 3);
    books.subscribe(ann, "free-of-tax", 1);
    books.subscribe(bob, "team", 1);
    let void = books.invoices(bob)[0].id;
    cancel(&books, &reduced, true);
    // Another country's of the same height, for one account.
    let rate = books
        .write(|work| {
            let new = json!({
                "name": "TVA", "category": "standard", "percent": "20", "is_inclusive": false, "country": "FR"
            });
            Billing.add_tax_rate(work, serde_json::from_value(new).unwrap())
        })
        .unwrap();
    let cas = books.account("EUR", "2026-01-10");
    books.change_account(cas, DetailsChange { tax_rate_id: Some(rate.id.to_string()), ..DetailsChange::default() });
    books.subscribe(cas, "team", 4);
    let january = months("2026-01", "2026-01");
    let said = |months| -> Vec<_> {
        let found = books.read(|snapshot| Billing.tax(snapshot, None, months));
        let rates = found.into_iter().flat_map(|it| it.rates);
        rates
            .map(|it| (it.country.unwrap(), it.percent.to_string(), it.net.amount_minor, it.tax.amount_minor))
            .collect()
    };

    let before = said(january);
    books.write(move |work| Billing.void_invoice(work, void, |_| Ok(()))).unwrap();

    let of = |country: &str, percent: &str, net, tax| (country.to_owned(), percent.to_owned(), net, tax);
    let rest = [of("DE", "7.7", 0, 0), of("DE", "0", 500, 0), of("FR", "20", 4000, 800)];
    assert_eq!(before, [&[of("DE", "20", 2000, 400)][..], &rest].concat());
    assert_eq!(said(january), [&[of("DE", "20", 1000, 200)][..], &rest].concat());
    assert!(said(months("2026-02", "2026-12")).is_empty());
    books.must_be_sound();
}

#[test]
fn open_items_are_by_how_long_they_have_been_due() {
    let books = Books::open();
    be_patient(&books);
    books.sell(Plan { percent: "0", ..TEAM });
    // Due on the 15th of each month from January to May.
    let ann = books.account("EUR", "2026-01-01");
    books.subscribe(ann, "team", 1);
    for day in ["2026-02-01", "2026-03-01", "2026-04-01", "2026-05-01"] {
        books.run_until(ann, day);
    }
    let said = |day: &str| -> Vec<_> {
        let found = books.read(|snapshot| Billing.receivables(snapshot, None, day.parse().unwrap()));
        found[0].ages.iter().map(|it| (it.invoices, it.due.amount_minor)).collect()
    };

    assert_eq!(said("2026-05-01"), [(1, 1000), (1, 1000), (1, 1000), (1, 1000), (1, 1000)]);
    assert_eq!(said("2026-01-15"), [(5, 5000), (0, 0), (0, 0), (0, 0), (0, 0)]);
    assert_eq!(said("2026-01-16")[1], (1, 1000));
    assert_eq!(ReceivablesAge::ALL.map(ReceivablesAge::as_str), ["not_due", "1-30", "31-60", "61-90", "over_90"]);
}

#[test]
fn revenue_is_by_the_month_in_which_it_was_served_and_by_plan() {
    let books = Books::open();
    books.sell(Plan { price: "3100", ..TEAM });
    let ann = books.account("EUR", "2026-01-15");
    books.subscribe(ann, "team", 1);
    books.run_until(ann, "2026-02-15");

    let found = books.read(|snapshot| Billing.revenue(snapshot, None, months("2026-01", "2026-03")));

    // 17 days of January and 14 of February of the first period, then 14 of 28 days of the second in each month.
    let said: Vec<_> = found[0].months.iter().map(|it| (it.month.to_string(), it.total.amount_minor)).collect();
    assert_eq!(said, [("2026-01".into(), 1700), ("2026-02".into(), 1400 + 1550), ("2026-03".into(), 1550)]);
    assert_eq!(found[0].months[0].plans[0].plan.as_deref(), Some("team"));
    assert_eq!(found[0].total.amount_minor, 2 * 3100);
}

#[tokio::test]
async fn staff_read_reports_as_json_csv_and_pages() {
    let this: Month = Clock::system().now().to_day()[..7].parse().unwrap();
    let filled = tokio::task::spawn_blocking(move || {
        let books = Books::open();
        books.sell(TEAM);
        let ann = books.account("EUR", &format!("{this}-01"));
        books.subscribe(ann, "team", 2);
        books.database.close();
        books.folder
    });
    let folder = filled.await.unwrap();
    let app = TestApp::start_in(folder.path(), &[]).await;
    let (_, staff) = app.person("staff@example.org", "staff");
    let ask = async |what: &str| app.ask(&format!("GET /api/billing/{what}"), &staff, Value::Null).await;

    let mrr = ask("reports/mrr").await;
    assert_eq!((mrr.status, mrr.body["until"].as_str()), (200, Some(this.to_string().as_str())));
    let months = mrr.body["items"][0]["months"].as_array().unwrap();
    assert_eq!((months.len(), &months[11]["end"]), (12, &json!({ "amount_minor": 2000, "currency": "EUR" })));
    for report in ["mrr", "revenue", "tax", "churn", "receivables"] {
        assert_eq!(ask(&format!("reports/{report}?currency=EUR")).await.status, 200);
        let csv = ask(&format!("reports/{report}?format=csv")).await;
        assert_eq!((csv.status, csv.header("content-type")), (200, "text/csv; charset=utf-8"));
        assert_eq!(csv.header("content-disposition"), format!("attachment; filename=\"{report}.csv\""));
    }
    let tax = ask("reports/tax?format=csv").await.text;
    assert!(tax.ends_with(",EUR,DE,standard,20,20.00,4.00\r\n"), "{tax}");
    for (query, field) in [
        ("mrr?from=2026", "from"),
        ("mrr?until=2026-13", "until"),
        ("mrr?from=2026-02&until=2026-01", "until"),
        ("revenue?from=1900-01", "from"),
        ("tax?currency=EURO", "currency"),
        ("churn?format=xml", "format"),
        ("receivables?from=2026-01", "from"),
        ("mrr?plan=team", "plan"),
    ] {
        assert_eq!(ask(&format!("reports/{query}")).await.wrong_fields(), [field], "{query}");
    }
    let ledger = ask("ledger/export").await;
    assert!(
        ledger.text.contains("  Income:Revenue") || ledger.text.contains("  Liabilities:DeferredRevenue  -20.00 EUR")
    );

    let look = async |path: &str, token: &str| {
        let answer = app.get(path).header("cookie", format!("ashlar={token}")).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let (status, page) = look("/billing/reports", &staff).await;
    assert_eq!(status, 200);
    assert!(page.contains("<h2 id=\"mrr-title\">") && page.contains("<svg") && !page.contains("style="), "{page}");
    assert!(look("/billing/reports?currency=JPY&from=&until=", &staff).await.1.contains("Nothing to report in JPY"));
    assert_eq!(look("/billing/reports?from=x", &staff).await.0, 422);
    assert_eq!(look("/billing/reports/tax.csv", &staff).await.1, tax);
    assert_eq!(look("/billing/reports/none.csv", &staff).await.0, 404);
    let (_, member) = app.person("member@example.org", "member");
    for path in ["/billing/reports", "/billing/reports/tax.csv", "/billing/reports/receivables.csv"] {
        assert_eq!(look(path, &member).await.0, 403);
    }
}
