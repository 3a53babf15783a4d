//! Random histories: whatever people do, the ledger balances and says what the documents say.

use ashlar::modules::billing::{
    Billing, Cancellation, DocumentKind, Invoice, InvoiceState, LedgerAccount, SubscriptionChange, When,
};
use ashlar::platform::ids::UserId;
use jiff::ToSpan;
use jiff::civil::date;
use proptest::prelude::*;

use super::{Books, Plan, TEAM, wish};

#[derive(Debug, Clone)]
enum Step {
    Wait(i64),
    Subscribe(usize, u32),
    Change(usize, usize, u32, bool),
    Cancel(usize, bool, bool),
    Pause(usize),
    Resume(usize),
    Pay(i64),
    Refund(usize, i64),
    Void(usize),
    WriteOff(usize),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1..45_i64).prop_map(Step::Wait),
        2 => (0..4_usize, 1..9_u32).prop_map(|(plan, seats)| Step::Subscribe(plan, seats)),
        3 => (0..4_usize, 0..4_usize, 1..9_u32, any::<bool>()).prop_map(|(which, plan, seats, now)| Step::Change(which, plan, seats, now)),
        1 => (0..4_usize, any::<bool>(), any::<bool>()).prop_map(|(which, now, credit)| Step::Cancel(which, now, credit)),
        1 => (0..4_usize).prop_map(Step::Pause),
        1 => (0..4_usize).prop_map(Step::Resume),
        3 => (1..20_000_i64).prop_map(Step::Pay),
        1 => (0..4_usize, 1..9000_i64).prop_map(|(which, amount)| Step::Refund(which, amount)),
        1 => (0..8_usize).prop_map(Step::Void),
        1 => (0..8_usize).prop_map(Step::WriteOff),
    ]
}

const PLANS: [&str; 4] = ["team", "gross", "weekly", "yearly"];

fn act(books: &Books, ann: UserId, step: &Step) {
    let subscriptions = books.read(|snapshot| Billing.subscriptions(snapshot, Some(ann), None, 100));
    let nth = |which: &usize| subscriptions.get(which % subscriptions.len().max(1)).map(|it| it.id);
    let invoices = books.invoices(ann);
    let invoice = |which: &usize| invoices.get(which % invoices.len().max(1)).map(|it| it.id);
    // What can't be done in a state is refused, which is as good.
    match step {
        Step::Wait(_) => {}
        Step::Subscribe(plan, seats) => {
            let new = wish(ann, PLANS[*plan], *seats);
            books.write(move |work| Billing.subscribe(work, ann, &new)).unwrap();
        }
        Step::Change(which, plan, seats, now) => {
            let when = if *now { When::Now } else { When::PeriodEnd };
            let change = SubscriptionChange { plan: Some(PLANS[*plan].into()), seats: Some(*seats), when };
            if let Some(id) = nth(which) {
                books.write(move |work| Billing.change_subscription(work, id, &change, |_| Ok(()))).ok();
            }
        }
        Step::Cancel(which, now, credit) => {
            let wish = Cancellation { when: if *now { When::Now } else { When::PeriodEnd }, credit: *credit };
            if let Some(id) = nth(which) {
                books.write(move |work| Billing.cancel(work, id, &wish, |_| Ok(()))).ok();
            }
        }
        Step::Pause(which) => {
            if let Some(id) = nth(which) {
                books.write(move |work| Billing.pause_subscription(work, id, |_| Ok(()))).ok();
            }
        }
        Step::Resume(which) => {
            if let Some(id) = nth(which) {
                books.write(move |work| Billing.resume(work, id, |_| Ok(()))).ok();
            }
        }
        Step::Pay(amount) => drop(books.pay(ann, *amount, None)),
        Step::Refund(which, amount) => {
            let payments = books.read(|snapshot| Billing.payments(snapshot, Some(ann), None, 100));
            let amount = *amount;
            if let Some(id) = payments.get(which % payments.len().max(1)).map(|it| it.id) {
                books.write(move |work| Billing.refund(work, id, amount, None, None)).ok();
            }
        }
        Step::Void(which) => {
            if let Some(id) = invoice(which) {
                books.write(move |work| Billing.void_invoice(work, id, |_| Ok(()))).ok();
            }
        }
        Step::WriteOff(which) => {
            if let Some(id) = invoice(which) {
                books.write(move |work| Billing.write_off(work, id, |_| Ok(()))).ok();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn whatever_people_do_the_ledger_says_what_the_documents_say(steps in prop::collection::vec(any_step(), 1..40)) {
        let books = Books::open();
        books.sell(TEAM);
        books.sell(Plan { code: "gross", price: "1999", percent: "19", is_inclusive: true, ..TEAM });
        books.sell(Plan { code: "weekly", price: "333.3333", percent: "7.7", interval: "week", ..TEAM });
        books.sell(Plan { code: "yearly", price: "12345", interval: "year", ..TEAM });
        let mut day = date(2026, 1, 31);
        let ann = books.account("EUR", &day.to_string());

        for step in &steps {
            if let Step::Wait(days) = step {
                day = day.checked_add(days.days()).unwrap();
                let ran = books.run_until(ann, &day.to_string());
                prop_assert_eq!(ran.failed, 0);
            }
            act(&books, ann, step);
        }

        books.must_be_sound();
        super::reports::must_agree(&books, ann);
        let invoices = books.invoices(ann);
        let open: i64 = invoices.iter().filter(|i| i.state == InvoiceState::Open).map(|i| i.due_minor).sum();
        prop_assert_eq!(books.balance(LedgerAccount::Receivable), open);
        let given_up: i64 = invoices.iter().filter(|i| i.state == InvoiceState::Uncollectible).map(|i| i.due_minor).sum();
        prop_assert_eq!(books.balance(LedgerAccount::WriteOff), given_up);
        prop_assert_eq!(books.balance(LedgerAccount::Credit), -books.credit(ann));
        let signed = |i: &Invoice| match (i.kind, i.state) {
            (_, InvoiceState::Void) => 0,
            (DocumentKind::Invoice, _) => 1,
            (DocumentKind::CreditNote, _) => -1,
        };
        let tax: i64 = invoices.iter().map(|i| signed(i) * i.tax_minor).sum();
        prop_assert_eq!(books.balance(LedgerAccount::Tax), -tax);
        let net: i64 = invoices.iter().map(|i| signed(i) * i.net_minor).sum();
        prop_assert_eq!(books.balance(LedgerAccount::Revenue) + books.balance(LedgerAccount::DeferredRevenue), -net);
        let payments = books.read(|snapshot| Billing.payments(snapshot, Some(ann), None, 1000));
        let cash: i64 = payments.iter().map(|p| p.amount_minor - p.refunded_minor).sum();
        prop_assert_eq!(books.balance(LedgerAccount::Cash), cash);
        for invoice in &invoices {
            prop_assert!(invoice.credited_minor <= invoice.gross_minor);
        }
        // The monthly revenue moves to where it is.
        for it in books.read(|snapshot| Billing.subscriptions(snapshot, Some(ann), None, 100)) {
            let moved: i64 = books.read(|snapshot| Billing.subscription_events(snapshot, it.id, 1000)).iter().map(|e| e.mrr_delta_minor).sum();
            prop_assert_eq!(moved, books.read(|snapshot| Billing.monthly(snapshot, &it)));
        }
    }
}
