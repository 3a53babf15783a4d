//! The books as others see them: beancount reads them, and what does not add up is found.

use std::io::Read;
use std::process::Command;

use ashlar::app;
use ashlar::modules::billing::{
    Beancount, Billing, Cancellation, LedgerAccount, NewPayment, PaymentMethod, SubscriptionChange, When,
};
use ashlar::platform::clock::Clock;
use ashlar::platform::db;
use ashlar::platform::money::Currency;
use rusqlite::Connection;

use super::{Books, Plan, TEAM, payment};
use crate::support;

/// Books in which everything has happened once: paid, over- and part-paid, given back, credited, given up, void.
fn eventful() -> Books {
    let books = Books::open();
    books.sell(TEAM);
    books.sell(Plan { code: "yen", currency: "JPY", price: "1500", percent: "10", is_inclusive: true, ..TEAM });
    let (ann, bob) = (books.account("EUR", "2026-01-15"), books.account("JPY", "2026-01-15"));
    let subscribed = books.subscribe(ann, "team", 7);
    books.subscribe(bob, "yen", 1);
    let fee = NewPayment {
        fee_minor: 30,
        method: PaymentMethod::Stripe,
        gateway_ref: Some("pi_1".into()),
        ..payment(ann, 8_400, None)
    };
    let paid = books.write(move |work| Billing.record_payment(work, fee)).unwrap();
    books.run_until(ann, "2026-02-20");
    let less = SubscriptionChange { plan: None, seats: Some(2), when: When::Now };
    books.write(move |work| Billing.change_subscription(work, subscribed.id, &less, |_| Ok(()))).unwrap();
    books.pay(ann, 100, None);
    books.write(move |work| Billing.refund(work, paid.id, 2_000, Some("goodwill".into()), None)).unwrap();
    books.run_until(ann, "2026-05-20");
    books.run_until(bob, "2026-03-20");
    let [.., third, second, last] = &books.invoices(ann)[..] else { panic!("months of invoices") };
    let (given_up, void) = (second.id, last.id);
    books.pay(ann, 50, Some(third));
    books.write(move |work| Billing.write_off(work, given_up, |_| Ok(()))).unwrap();
    books.write(move |work| Billing.void_invoice(work, void, |_| Ok(()))).unwrap();
    let end = Cancellation { when: When::Now, credit: true };
    books.write(move |work| Billing.cancel(work, subscribed.id, &end, |_| Ok(()))).unwrap();
    books.must_be_sound();
    books
}

#[test]
fn beancount_takes_the_ledger_and_comes_to_the_same_balances() {
    let Some(packages) = support::tool("beancount-3.2.3", "") else { return };
    let books = eventful();
    let file = books.folder.path().join("ledger.beancount");
    let mut text = String::new();
    Beancount::of(books.database.clone()).read_to_string(&mut text).unwrap();
    let python = |arguments: &[&str]| {
        let output = Command::new("python3")
            .args(arguments)
            .env("PYTHONPATH", &packages)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.success(), said)
    };
    let check = |text: &str| {
        std::fs::write(&file, text).unwrap();
        python(&["-m", "beancount.scripts.check", "--no-cache", file.to_str().unwrap()])
    };

    assert_eq!(check(&text), (true, String::new()));
    const SUMS: &str = "
import collections, sys
from beancount import loader
entries, errors, _ = loader.load_file(sys.argv[1])
sums = collections.Counter()
for entry in entries:
    for posting in getattr(entry, 'postings', []):
        sums[posting.account, posting.units.currency] += posting.units.number
for (account, currency), number in sorted(sums.items()):
    print(account, currency, number.normalize() + 0 if number else 0)
";
    let (_, sums) = python(&["-c", SUMS, file.to_str().unwrap()]);
    let euros = books.read(|snapshot| Billing.ledger_balances(snapshot, None));
    for (account, name) in [
        (LedgerAccount::Receivable, "Assets:Receivable"),
        (LedgerAccount::Cash, "Assets:Cash"),
        (LedgerAccount::Fees, "Expenses:Fees"),
        (LedgerAccount::Tax, "Liabilities:Tax"),
        (LedgerAccount::WriteOff, "Expenses:WriteOff"),
        (LedgerAccount::Revenue, "Income:Revenue"),
    ] {
        for balance in euros.iter().filter(|balance| balance.account == account) {
            let said = sums.lines().find_map(|line| line.strip_prefix(&format!("{name} {} ", balance.currency)));
            let said: rust_decimal::Decimal =
                rust_decimal::Decimal::from_scientific(said.unwrap()).or_else(|_| said.unwrap().parse()).unwrap();
            assert_eq!(said, ashlar::platform::money::major(balance.minor(), balance.currency), "{name}");
        }
    }
    assert_eq!(text.matches("\n2026-").count(), entries(&books));
    // The checker does look.
    let (accepted, said) = check(&text.replacen("  Assets:Cash  83.70 EUR", "  Assets:Cash  83.71 EUR", 1));
    assert!(!accepted && said.contains("does not balance"), "{said}");
}

fn entries(books: &Books) -> usize {
    books.read(|snapshot| Billing.ledger_entries(snapshot, None, None, 10_000)).len()
}

#[test]
fn an_export_longer_than_one_reading_has_every_entry_once() {
    let books = Books::open();
    let ann = books.account("EUR", "2026-01-15");
    books
        .write(move |work| {
            for _ in 0..1_203 {
                Billing.record_payment(work, payment(ann, 1, None))?;
            }
            Ok(())
        })
        .unwrap();
    let mut text = String::new();

    Beancount::of(books.database.clone()).read_to_string(&mut text).unwrap();

    let mut ids: Vec<&str> = text.lines().filter(|line| line.starts_with("  entry: ")).collect();
    assert_eq!(ids.len(), 1_203);
    ids.dedup();
    assert_eq!(ids.len(), 1_203);
}

/// What doctor finds in a copy of the books where `sql` was run behind our back.
fn faults_after(books: &Books, sql: &str) -> Vec<String> {
    let copy = tempfile::tempdir().unwrap();
    let path = copy.path().join("copy.db");
    let source = Connection::open(books.folder.path().join("ashlar.db")).unwrap();
    source.execute("VACUUM INTO ?1", [path.to_str().unwrap()]).unwrap();
    let tampered = Connection::open(&path).unwrap();
    let triggers: Vec<String> = tampered
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name LIKE 'billing%'")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    for trigger in triggers {
        tampered.execute_batch(&format!("DROP TRIGGER {trigger}")).unwrap();
    }
    tampered.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    if !sql.is_empty() {
        assert_ne!(tampered.execute(sql, []).unwrap(), 0, "{sql} changes nothing");
    }
    tampered.execute_batch("PRAGMA journal_mode = DELETE").unwrap();
    drop(tampered);
    let (schema, _) = app::prove().unwrap();
    db::read_file(&path, &schema, &Clock::system(), "doctor", |snapshot| Billing.ledger_faults(snapshot)).unwrap()
}

#[test]
fn whatever_is_tampered_with_is_found() {
    let books = eventful();
    assert_eq!(faults_after(&books, ""), Vec::<String>::new());

    for (sql, fault) in [
        ("UPDATE billing_ledger_lines SET amount_minor = amount_minor + 1 WHERE account = 'cash'", "does not balance"),
        ("UPDATE billing_ledger_entries SET is_posted = 0 WHERE kind = 'payment'", "does not balance"),
        (
            "UPDATE billing_ledger_balances SET debit_minor = debit_minor + 1 WHERE account = 'receivable'",
            "the balance of receivable in EUR",
        ),
        ("DELETE FROM billing_ledger_balances WHERE account = 'fees'", "the balance of fees in EUR"),
        ("UPDATE billing_invoices SET due_minor = due_minor + 1 WHERE state = 'open'", "receivable comes to"),
        ("UPDATE billing_invoices SET state = 'paid', due_minor = 0 WHERE state = 'open'", "receivable comes to"),
        ("UPDATE billing_invoices SET due_minor = due_minor - 1 WHERE state = 'uncollectible'", "write_off comes to"),
        ("UPDATE billing_accounts SET credit_minor = credit_minor + 1 WHERE currency = 'JPY'", "credit comes to 0 JPY"),
        ("UPDATE billing_invoices SET tax_minor = tax_minor + 1 WHERE kind = 'credit_note'", "tax comes to"),
        ("UPDATE billing_invoices SET net_minor = net_minor - 1 WHERE state = 'open'", "does not add up"),
        ("UPDATE billing_invoices SET credited_minor = credited_minor - 1 WHERE credited_minor > 0", "does not add up"),
        (
            "UPDATE billing_deferrals SET recognized_minor = recognized_minor - 1 WHERE recognized_minor > 0",
            "deferred_revenue comes to",
        ),
        ("UPDATE billing_revenue SET amount_minor = amount_minor + 1", "revenue comes to"),
        ("UPDATE billing_payments SET amount_minor = amount_minor + 1", "cash comes to"),
        ("UPDATE billing_payments SET fee_minor = fee_minor + 1 WHERE fee_minor > 0", "fees comes to"),
        ("UPDATE billing_tax_sums SET tax_minor = tax_minor + 1", "the sums for the tax return in EUR"),
        ("UPDATE billing_tax_sums SET net_minor = net_minor + 1", "the sums for the tax return in JPY"),
        ("UPDATE billing_series SET next_number = next_number + 1 WHERE name = 'INV-2026'", "in the series INV-2026"),
        ("DELETE FROM billing_series WHERE name = 'CN-2026'", "in the series CN-2026"),
        ("DELETE FROM billing_invoices WHERE number = 'INV-2026-000002'", "in the series INV-2026"),
        (
            "UPDATE billing_invoices SET number = 'INV-2026-000099' WHERE number = 'INV-2026-000001'",
            "in the series INV-2026",
        ),
        ("UPDATE billing_allocations SET amount_minor = amount_minor + 1", "has paid, or what of it was given back"),
        ("UPDATE billing_refunds SET amount_minor = amount_minor - 1", "has paid, or what of it was given back"),
    ] {
        let found = faults_after(&books, sql);
        assert!(found.iter().any(|it| it.contains(fault)), "{sql}: {found:?}");
    }
}

#[test]
fn amounts_without_decimals_are_written_without() {
    let books = eventful();
    let mut text = String::new();

    Beancount::of(books.database.clone()).read_to_string(&mut text).unwrap();

    assert_eq!(Currency::parse("JPY").unwrap().decimals(), 0);
    assert!(
        text.contains("  Assets:Receivable  1500 JPY\n") && text.contains("\"operating_currency\" \"JPY\""),
        "{text}"
    );
}
