//! The rules, by example.

use ashlar::modules::billing::{
    Billing, Cancellation, DetailsChange, DocumentKind, InvoiceState, LedgerAccount, SubscriptionChange,
    SubscriptionState, When,
};

use serde_json::{Value, json};

use super::{Books, Plan, TEAM, noon, wish};

fn change(plan: Option<&str>, seats: Option<u32>, when: When) -> SubscriptionChange {
    SubscriptionChange { plan: plan.map(str::to_owned), seats, when }
}

#[test]
fn a_trial_ends_and_its_first_part_period_costs_its_days() {
    let books = Books::open();
    books.sell(Plan { price: "59995", percent: "0", trial_days: 30, ..TEAM });
    let ann = books.account("EUR", "2012-02-01");
    let mut new = wish(ann, "team", 1);
    new.billing_day = Some(31);
    let subscribed = books.write(move |work| Billing.subscribe(work, ann, &new)).unwrap();
    assert_eq!((subscribed.subscription.state, subscribed.document.is_none()), (SubscriptionState::Trial, true));

    books.run_until(ann, "2012-03-02");

    let invoices = books.invoices(ann);
    assert_eq!(invoices.len(), 1);
    assert_eq!(invoices[0].gross_minor, 56_124);
    let line = &books.document(&invoices[0]).lines[0];
    assert_eq!(line.quantity.to_string(), "0.935483871");
    let period = line.period.unwrap();
    assert_eq!((period.from.to_string(), period.until.to_string()), ("2012-03-02".into(), "2012-03-31".into()));
    books.run_until(ann, "2012-05-01");
    let starts: Vec<_> =
        books.invoices(ann).iter().map(|i| books.document(i).period.unwrap().from.to_string()).collect();
    assert_eq!(starts, ["2012-03-02", "2012-03-31", "2012-04-30"]);
    books.must_be_sound();
}

#[test]
fn a_run_that_is_late_by_months_makes_the_same_invoices_each_once() {
    let books = Books::open();
    books.sell(TEAM);
    let (ann, bob) = (books.account("EUR", "2026-01-31"), books.account("EUR", "2026-01-31"));
    // What is unpaid does not end them before.
    for user in [ann, bob] {
        books.change_account(user, DetailsChange { payment_terms_days: Some(Some(365)), ..DetailsChange::default() });
    }
    books.subscribe(ann, "team", 2);
    books.subscribe(bob, "team", 2);

    for day in ["2026-02-28", "2026-02-28", "2026-03-31", "2026-04-30", "2026-05-31"] {
        books.run_until(ann, day);
    }
    books.run_until(bob, "2026-05-31");
    assert_eq!(Billing.run(&books.database, &|_| true).unwrap().steps, 0);

    let said = |user| -> Vec<_> {
        let lines = |i| books.document(i).lines.into_iter().map(|line| (line.period, line.amount_minor));
        books.invoices(user).iter().flat_map(lines).collect()
    };
    assert_eq!(said(ann).len(), 5);
    assert_eq!(said(ann), said(bob));
    assert_eq!(said(ann)[1].0.unwrap().from.to_string(), "2026-02-28");
    assert_eq!(said(ann)[2].0.unwrap().from.to_string(), "2026-03-31");
}

#[test]
fn what_a_preview_shows_is_what_is_made() {
    let books = Books::open();
    books.sell(TEAM);
    books.sell(Plan { code: "big", price: "3333", ..TEAM });
    books.sell(Plan { code: "big-yearly", price: "30000", interval: "year", ..TEAM });
    let ann = books.account("EUR", "2026-03-01");
    let it = books.subscribe(ann, "team", 3);
    let steps = [
        ("2026-03-11", change(Some("big"), None, When::Now)),
        ("2026-03-20", change(None, Some(1), When::Now)),
        ("2026-03-21", change(Some("team"), Some(1), When::Now)),
        ("2026-04-07", change(Some("big-yearly"), Some(2), When::Now)),
    ];
    for (day, wish) in steps {
        books.run_until(ann, day);
        let foreseen = books.read(|snapshot| Billing.preview_change(snapshot, it.id, &wish));

        let made = books.write(move |work| Billing.change_subscription(work, it.id, &wish, |_| Ok(()))).unwrap();

        let (mut foreseen, made) = (foreseen.document.unwrap(), made.document.unwrap());
        assert!(!made.number.is_empty());
        foreseen.number = made.number.clone();
        assert_eq!(foreseen, made);
        books.must_be_sound();
    }
}

#[test]
fn what_is_unused_is_credited_from_what_was_charged() {
    let books = Books::open();
    books.sell(TEAM);
    books.sell(Plan { code: "big", price: "2000", ..TEAM });
    let ann = books.account("EUR", "2026-06-01");
    let it = books.subscribe(ann, "big", 1);
    books.run_until(ann, "2026-06-16");

    let down = change(Some("team"), None, When::Now);
    let made = books.write(move |work| Billing.change_subscription(work, it.id, &down, |_| Ok(()))).unwrap();

    // Half a month of 20.00 back, half a month of 10.00 on: 5.00 and its tax are given back.
    let note = made.document.unwrap();
    assert_eq!((note.kind, note.totals.gross_minor), (DocumentKind::CreditNote, 600));
    assert_eq!(note.lines.iter().map(|line| line.amount_minor).collect::<Vec<_>>(), [1000, -500]);
    let invoices = books.invoices(ann);
    assert_eq!(note.credits.unwrap().number, *invoices[0].number.as_ref().unwrap());
    // It was open: so less is left to pay of it.
    assert_eq!((invoices[0].due_minor, invoices[0].credited_minor), (1800, 600));
    assert_eq!(books.balance(LedgerAccount::Receivable), 1800);
    books.must_be_sound();
}

#[test]
fn a_change_that_settles_what_was_overdue_makes_the_subscription_well_again() {
    let books = Books::open();
    books.sell(Plan { percent: "0", ..TEAM });
    books.sell(Plan { code: "big", price: "2000", percent: "0", ..TEAM });
    let ann = books.account("EUR", "2026-06-01");
    let it = books.subscribe(ann, "big", 1);
    books.run_until(ann, "2026-06-18");
    assert_eq!(books.subscription(&it).state, SubscriptionState::PastDue);
    let invoice = books.invoices(ann).remove(0);
    books.pay(ann, 1700, Some(&invoice));

    let down = change(Some("team"), None, When::Now);
    let id = it.id;
    let changed = books.write(move |work| Billing.change_subscription(work, id, &down, |_| Ok(()))).unwrap();

    assert_eq!(changed.document.unwrap().kind, DocumentKind::CreditNote);
    assert_eq!(books.invoices(ann)[0].state, InvoiceState::Paid);
    let after = books.subscription(&it);
    assert_eq!((after.state, after.version), (SubscriptionState::Active, changed.subscription.version));
    books.must_be_sound();
}

#[test]
fn a_cancellation_ends_now_with_credit_or_with_its_period() {
    let books = Books::open();
    books.sell(TEAM);
    let ann = books.account("EUR", "2026-06-01");
    let (one, two) = (books.subscribe(ann, "team", 1), books.subscribe(ann, "team", 1));
    for invoice in books.invoices(ann) {
        books.pay(ann, 1200, Some(&invoice));
    }
    books.run_until(ann, "2026-06-16");

    let now = Cancellation { when: When::Now, credit: true };
    books.write(move |work| Billing.cancel(work, one.id, &now, |_| Ok(()))).unwrap();
    let at_end = Cancellation { when: When::PeriodEnd, credit: false };
    books.write(move |work| Billing.cancel(work, two.id, &at_end, |_| Ok(()))).unwrap();

    assert_eq!(books.subscription(&one).state, SubscriptionState::Cancelled);
    assert_eq!(books.subscription(&two).state, SubscriptionState::Active);
    assert_eq!(books.credit(ann), 600);
    books.run_until(ann, "2026-08-01");
    let ended = books.subscription(&two);
    assert_eq!((ended.state, ended.ended_on.unwrap().to_string()), (SubscriptionState::Cancelled, "2026-07-01".into()));
    assert_eq!(books.invoices(ann).len(), 3);
    books.must_be_sound();
}

#[test]
fn too_much_too_little_and_twice_paid_end_in_a_defined_state() {
    let books = Books::open();
    books.sell(TEAM);
    let ann = books.account("EUR", "2026-06-01");
    books.subscribe(ann, "team", 1);
    let invoice = books.invoices(ann).remove(0);

    books.pay(ann, 500, Some(&invoice));
    assert_eq!((books.invoices(ann)[0].state, books.invoices(ann)[0].due_minor), (InvoiceState::Open, 700));
    books.pay(ann, 1000, None);
    assert_eq!(books.invoices(ann)[0].state, InvoiceState::Paid);
    assert_eq!(books.credit(ann), 300);
    let twice = books.pay(ann, 1200, Some(&invoice));
    assert_eq!(books.credit(ann), 1500);

    // The next invoice takes the credit, and what is left of a payment goes back.
    books.run_until(ann, "2026-07-01");
    let next = &books.invoices(ann)[1];
    assert_eq!((next.state, books.document(next).totals.prepaid_minor), (InvoiceState::Paid, 1200));
    assert!(books.write(move |work| Billing.refund(work, twice.id, 1201, None, None)).is_err());
    assert!(books.write(move |work| Billing.refund(work, twice.id, 400, None, None)).is_err());
    books.write(move |work| Billing.refund(work, twice.id, 300, None, None)).unwrap();
    assert_eq!((books.credit(ann), books.balance(LedgerAccount::Credit)), (0, 0));
    assert_eq!(books.balance(LedgerAccount::Cash), 2400);
    books.must_be_sound();
}

#[test]
fn a_refund_of_what_paid_an_invoice_opens_it_again() {
    let books = Books::open();
    books.sell(TEAM);
    let ann = books.account("EUR", "2026-06-01");
    books.subscribe(ann, "team", 1);
    let paid = books.pay(ann, 1200, None);

    books.write(move |work| Billing.refund(work, paid.id, 200, None, None)).unwrap();

    let invoice = &books.invoices(ann)[0];
    assert_eq!((invoice.state, invoice.due_minor), (InvoiceState::Open, 200));
    assert_eq!((books.balance(LedgerAccount::Receivable), books.balance(LedgerAccount::Cash)), (200, 1000));
    books.must_be_sound();
}

#[test]
fn a_void_invoice_leaves_nothing_in_the_ledger_and_keeps_its_number() {
    let books = Books::open();
    books.sell(TEAM);
    let ann = books.account("EUR", "2026-06-01");
    books.subscribe(ann, "team", 1);
    let invoice = books.invoices(ann).remove(0);

    let id = invoice.id;
    books.write(move |work| Billing.void_invoice(work, id, |_| Ok(()))).unwrap();

    for account in LedgerAccount::ALL {
        assert_eq!(books.balance(account), 0, "{account:?}");
    }
    let void = books.invoices(ann).remove(0);
    assert_eq!((void.state, void.number), (InvoiceState::Void, invoice.number));
    assert!(books.write(move |work| Billing.void_invoice(work, id, |_| Ok(()))).is_err());
    books.must_be_sound();
}

#[test]
fn what_is_given_up_and_paid_after_all_is_no_loss() {
    let books = Books::open();
    books.sell(TEAM);
    let ann = books.account("EUR", "2026-06-01");
    books.subscribe(ann, "team", 1);
    let id = books.invoices(ann)[0].id;

    books.write(move |work| Billing.write_off(work, id, |_| Ok(()))).unwrap();
    assert_eq!((books.balance(LedgerAccount::WriteOff), books.balance(LedgerAccount::Receivable)), (1200, 0));
    let invoice = books.invoices(ann).remove(0);
    books.pay(ann, 1200, Some(&invoice));

    assert_eq!((books.balance(LedgerAccount::WriteOff), books.balance(LedgerAccount::Cash)), (0, 1200));
    assert_eq!(books.invoices(ann)[0].state, InvoiceState::Paid);
    books.must_be_sound();
}

#[test]
fn revenue_is_recognised_by_day_and_all_of_it_in_the_end() {
    let books = Books::open();
    books.sell(TEAM);
    // Long past for the clock of all, by which revenue is recognised.
    let ann = books.account("EUR", "2024-01-15");
    books.subscribe(ann, "team", 1);
    assert_eq!(books.balance(LedgerAccount::DeferredRevenue), -1000);

    Billing.run(&books.database, &|_| true).unwrap();

    assert_eq!((books.balance(LedgerAccount::DeferredRevenue), books.balance(LedgerAccount::Revenue)), (0, -1000));
    let by_month: Vec<_> = books
        .read(|snapshot| Billing.ledger_entries(snapshot, None, None, 10))
        .into_iter()
        .filter(|entry| entry.memo.starts_with("revenue"))
        .map(|entry| (entry.day.to_string(), entry.lines.iter().map(|line| line.1.abs()).max().unwrap()))
        .collect();
    // 17 of 31 days in January, 14 in February.
    assert_eq!(by_month.len(), 2);
    assert!(
        by_month.contains(&("2024-01-31".into(), 548)) && by_month.contains(&("2024-02-14".into(), 452)),
        "{by_month:?}"
    );
    books.must_be_sound();
}

#[test]
fn a_pause_bills_nothing_and_a_resumption_begins_anew() {
    let books = Books::open();
    books.sell(TEAM);
    let ann = books.account("EUR", "2026-06-01");
    let it = books.subscribe(ann, "team", 1);
    books.run_until(ann, "2026-06-20");
    let id = it.id;
    books.write(move |work| Billing.pause_subscription(work, id, |_| Ok(()))).unwrap();

    books.run_until(ann, "2026-09-10");
    assert_eq!(books.invoices(ann).len(), 1);
    books.write(move |work| Billing.resume(work, id, |_| Ok(()))).unwrap();

    let invoices = books.invoices(ann);
    assert_eq!(invoices.len(), 2);
    assert_eq!(books.document(&invoices[1]).period.unwrap().from.to_string(), "2026-09-10");
    let moved: i64 =
        books.read(|snapshot| Billing.subscription_events(snapshot, id, 100)).iter().map(|e| e.mrr_delta_minor).sum();
    assert_eq!(moved, 1000);
}

#[test]
fn a_change_at_the_end_of_the_period_waits_for_it() {
    let books = Books::open();
    books.sell(TEAM);
    books.sell(Plan { code: "yearly", price: "10000", interval: "year", ..TEAM });
    let ann = books.account("EUR", "2026-01-10");
    let it = books.subscribe(ann, "team", 1);
    let wish = change(Some("yearly"), Some(2), When::PeriodEnd);
    let id = it.id;
    assert!(
        books.write(move |work| Billing.change_subscription(work, id, &wish, |_| Ok(()))).unwrap().document.is_none()
    );

    books.run_until(ann, "2026-02-10");

    let invoices = books.invoices(ann);
    assert_eq!(books.document(&invoices[1]).totals.net_minor, 20_000);
    assert_eq!(books.document(&invoices[1]).period.unwrap().until.to_string(), "2027-02-10");
}

#[test]
fn somebody_who_leaves_takes_their_name_along_and_leaves_the_books() {
    use ashlar::platform::module::Module;
    let books = Books::open();
    books.sell(TEAM);
    let ann = books.account("EUR", "2026-06-01");
    let it = books.subscribe(ann, "team", 1);
    let none = books.account("EUR", "2026-06-01");

    books.write(move |work| Billing.erase(work, ann).and_then(|()| Billing.erase(work, none))).unwrap();

    assert_eq!(books.subscription(&it).state, SubscriptionState::Cancelled);
    assert_eq!(books.invoices(ann)[0].state, InvoiceState::Open);
    let closed = books.read(|snapshot| Billing.details(snapshot, ann));
    assert!(closed.closed_at.is_some() && closed.name.is_none());
    assert!(books.database.read_blocking("test", |snapshot| Billing.details(snapshot, none)).is_err());
    assert!(books.read(|snapshot| Billing.ids(snapshot)).is_empty());
    books.must_be_sound();
}

#[test]
fn whoever_is_abroad_is_taxed_there_or_owes_the_tax_themselves() {
    let books = Books::open();
    books.sell(TEAM);
    for rate in [
        json!({ "name": "TVA", "category": "standard", "percent": "21", "country": "BE" }),
        json!({ "name": "RC", "category": "reverse_charge", "percent": "0", "note": "Reverse charge" }),
    ] {
        let rate = serde_json::from_value(rate).unwrap();
        books.write(move |work| Billing.add_tax_rate(work, rate)).unwrap();
    }
    let taxed = |details: Value| {
        let ann = books.account("EUR", "2026-06-01");
        books.change_account(ann, serde_json::from_value(details).unwrap());
        books.subscribe(ann, "team", 1);
        books.document(&books.invoices(ann)[0]).taxes[0].tax.label()
    };

    assert_eq!(taxed(json!({ "country": "DE" })), "20 %");
    assert_eq!(taxed(json!({ "country": "BE" })), "21 %");
    assert_eq!(taxed(json!({ "country": "BE", "tax_id": "BE0123456789" })), "reverse charge");
    assert_eq!(taxed(json!({ "country": "DE", "tax_id": "DE123456789" })), "20 %");
    // Of that country we have no rate.
    assert_eq!(taxed(json!({ "country": "FR" })), "20 %");
}

#[test]
fn days_are_those_of_the_accounts_time_zone() {
    let books = Books::open();
    books.sell(TEAM);
    let ann = books.account("EUR", "2026-06-01");
    books.change_account(ann, serde_json::from_value(json!({ "time_zone": "Pacific/Auckland" })).unwrap());

    // There it is the second already.
    books.write(move |work| Billing.set_test_clock(work, ann, "2026-06-01 13:00".parse().unwrap())).unwrap();
    let it = books.subscribe(ann, "team", 1);

    assert_eq!(it.started_on.to_string(), "2026-06-02");
    assert_eq!(it.due_at.unwrap().to_string(), "2026-07-01T12:00:00.000Z");
    assert!(it.due_at.unwrap() < noon("2026-07-02"));
}
