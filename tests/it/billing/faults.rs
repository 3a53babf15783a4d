//! Bad input and bad luck: each has its answer, and the ledger stays sound.

use ashlar::modules::billing::{Billing, Cancellation, NewPayment, SubscriptionChange, When};
use ashlar::platform::error::Error;
use ashlar::platform::money::Currency;

use super::{Books, Plan, TEAM, payment, wish};

#[test]
fn wishes_that_make_no_sense_are_refused_by_their_field() {
    let books = Books::open();
    books.sell(TEAM);
    books.sell(Plan { code: "yen", currency: "JPY", ..TEAM });
    let ann = books.account("EUR", "2026-06-01");
    let refused = |new| {
        let error = books.write(move |work| Billing.subscribe(work, ann, &new)).unwrap_err();
        let Error::Invalid(fields) = error else { panic!("{error}") };
        fields[0].field.clone()
    };

    assert_eq!(refused(wish(ann, "nothing", 1)), "plan");
    assert_eq!(refused(wish(ann, "yen", 1)), "plan");
    assert_eq!(refused(wish(ann, "team", 0)), "seats");
    assert_eq!(refused(wish(ann, "team", 1_000_001)), "seats");
    let mut day = wish(ann, "team", 1);
    day.billing_day = Some(32);
    assert_eq!(refused(day), "billing_day");
    assert!(books.invoices(ann).is_empty());
}

#[test]
fn payments_that_make_no_sense_are_refused() {
    let books = Books::open();
    let ann = books.account("EUR", "2026-06-01");
    let take = |new: NewPayment| books.write(move |work| Billing.record_payment(work, new));

    for amount in [0, -1, i64::MIN, i64::MAX] {
        assert!(matches!(take(payment(ann, amount, None)), Err(Error::Invalid(_))), "{amount}");
    }
    let yen = NewPayment { currency: Currency::parse("JPY").unwrap(), ..payment(ann, 1, None) };
    assert!(matches!(take(yen), Err(Error::Invalid(_))));
    let fee = NewPayment { fee_minor: 2, ..payment(ann, 1, None) };
    assert!(matches!(take(fee), Err(Error::Invalid(_))));
    let twice = NewPayment { gateway_ref: Some("pi_1".into()), ..payment(ann, 5, None) };
    assert_eq!(take(twice.clone()).unwrap().id, take(twice).unwrap().id);
    assert_eq!(books.credit(ann), 5);
}

#[test]
fn what_has_ended_is_not_ended_again() {
    let books = Books::open();
    books.sell(TEAM);
    let ann = books.account("EUR", "2026-06-01");
    let id = books.subscribe(ann, "team", 1).id;
    let end = move |books: &Books| {
        let now = Cancellation { when: When::Now, credit: true };
        books.write(move |work| Billing.cancel(work, id, &now, |_| Ok(())))
    };

    end(&books).unwrap();

    assert!(matches!(end(&books), Err(Error::Conflict { .. })));
    let wish = SubscriptionChange { plan: None, seats: Some(2), when: When::Now };
    let changed = books.write(move |work| Billing.change_subscription(work, id, &wish, |_| Ok(())));
    assert!(matches!(changed, Err(Error::Conflict { .. })));
    assert!(books.write(move |work| Billing.resume(work, id, |_| Ok(()))).is_err());
    assert_eq!(books.invoices(ann).len(), 2);
    books.must_be_sound();
}

#[test]
fn numbers_have_no_gaps_also_where_much_fails() {
    let books = Books::open();
    books.sell(TEAM);
    let ann = books.account("EUR", "2026-06-01");
    let books = &books;

    std::thread::scope(|scope| {
        for n in 0..64 {
            scope.spawn(move || {
                books.write(move |work| {
                    Billing.subscribe(work, ann, &wish(ann, "team", 1))?;
                    // What took a number is undone with it.
                    if n % 3 == 0 { Err(Error::Lost("on purpose")) } else { Ok(()) }
                })
            });
        }
    });

    let mut numbers: Vec<_> = books.invoices(ann).into_iter().map(|invoice| invoice.number.unwrap()).collect();
    numbers.sort();
    assert_eq!(numbers.len(), 42);
    assert_eq!(numbers, (1..=42).map(|n| format!("INV-2026-{n:06}")).collect::<Vec<_>>());
    books.must_be_sound();
}
