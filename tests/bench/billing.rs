//! Billing: a run over many subscriptions and what others notice of it, finalising, and reports over a large ledger.

use std::cell::Cell;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ashlar::app;
use ashlar::modules::billing::{Billing, Document, Draft, InvoiceFilter, NewSubscription, OwnLine};
use ashlar::platform::actor::Actor;
use ashlar::platform::clock::Clock;
use ashlar::platform::db::{self, Database, Folder, UnitOfWork};
use ashlar::platform::error::Result;
use ashlar::platform::ids::UserId;
use ashlar::platform::money::Currency;
use rusqlite::Connection;
use rusqlite::types::Value;
use serde_json::json;

use super::unit::{self, Server};
use super::{ROUNDS, Spread, Table, load, process};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// What others ask for meanwhile, each at its moment.
const OTHERS_PER_SECOND: u64 = 200;

pub fn billing(table: &mut Table, long: bool) {
    run(table, if long { 100_000 } else { 10_000 });
    finalising(table);
    reports(table, if long { 1_000_000 } else { 200_000 });
}

/// One renewal of each of `subscriptions`, against the rows that it makes, and beside others' requests.
fn run(table: &mut Table, subscriptions: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ashlar.db");
    // They began 32 days ago: each is due once.
    let database = open(folder.path(), Clock::fixed(Clock::system().now().as_ms() - 32 * DAY_MS));
    sell(&database);
    subscribe(&database, subscriptions);
    database.close();
    drop(database);
    let before = folder.path().join("before.db");
    db::copy_file(&path, &before).expect("copied");

    let database = open(folder.path(), Clock::system());
    let idle = others(&database, || std::thread::sleep(Duration::from_secs(5)));
    let (start, first) = (Instant::now(), process::memory_mb(std::process::id()));
    let (mut quarter, mut last) = (None, first);
    let mut took = Duration::ZERO;
    let beside = others(&database, || {
        let middle = Mutex::new(&mut quarter);
        let ran = Billing.run(&database, &|ran| {
            if ran.steps * 4 >= subscriptions as u64 {
                middle.lock().expect("no panic").get_or_insert_with(|| process::memory_mb(std::process::id()));
            }
            true
        });
        took = start.elapsed();
        last = process::memory_mb(std::process::id());
        assert_eq!(ran.expect("it ran").steps, subscriptions as u64);
    });
    let faults = database.read_blocking("bench", |snapshot| Billing.ledger_faults(snapshot)).expect("looked through");
    assert_eq!(faults, Vec::<String>::new());
    database.close();
    drop(database);
    let per_second = subscriptions as f64 / took.as_secs_f64();
    let name = format!("a billing run of {subscriptions} subscriptions");
    table.row(
        &format!("{name}, beside {OTHERS_PER_SECOND} requests a second"),
        Spread::one(per_second),
        "invoices/s",
        None,
    );
    table.goal(
        &format!("{name}: memory at its end, over that at its first quarter"),
        &[last - quarter.unwrap_or(last)],
        "MB",
        16.0,
    );
    let p99 = |waits: &[f64]| waits[(waits.len() - 1) * 99 / 100];
    table.compare("others' writes, p99 during the run", "µs", &[p99(&beside)], "idle", &[p99(&idle)], None);
    table.goal("others' writes, p99 during the run over idle", &[p99(&beside) / p99(&idle)], "times", 3.0);

    // Without others, in turns with the bare rows, each from the same state.
    let after = folder.path().join("after.db");
    db::copy_file(&path, &after).expect("copied");
    let rows = Rows::made(&before, &after);
    let (mut runs, mut bare, mut in_group) = (Vec::new(), Vec::new(), 0);
    for _ in 0..ROUNDS.min(3) {
        let again = tempfile::tempdir().expect("a folder");
        db::copy_file(&before, &again.path().join("ashlar.db")).expect("copied");
        let database = open(again.path(), Clock::system());
        let (start, groups) = (Instant::now(), Cell::new(0));
        let count = |_: &_| {
            groups.set(groups.get() + 1);
            true
        };
        Billing.run(&database, &count).expect("it ran");
        runs.push(subscriptions as f64 / start.elapsed().as_secs_f64());
        in_group = subscriptions.div_ceil(groups.get());
        database.close();

        let again = tempfile::tempdir().expect("a folder");
        let path = again.path().join("ashlar.db");
        db::copy_file(&before, &path).expect("copied");
        bare.push(subscriptions as f64 / rows.write(&path, in_group).as_secs_f64());
    }
    table.compare(
        &name,
        "invoices/s",
        &runs,
        &format!("the same rows by prepared statements, {in_group} invoices a transaction too"),
        &bare,
        Some(0.3),
    );
}

fn open(folder: &Path, clock: Clock) -> Database {
    let at = Folder::at(folder).expect("a folder");
    let (schema, _) = app::prove().expect("sound modules");
    Database::open(&at, schema, clock, db::Role::Server, db::Tuning::default()).expect("a database")
}

fn write<T: Send + 'static>(
    database: &Database,
    body: impl FnOnce(&UnitOfWork<'_>) -> Result<T> + Send + 'static,
) -> T {
    database.write_blocking("bench", Actor::system(), body).expect("written")
}

/// A plan with tax, by the seat.
fn sell(database: &Database) {
    write(database, |work| {
        let settings = json!({ "seller": { "name": "Ashlar Ltd", "address": { "city": "Berlin", "country": "DE" } } });
        Billing.change_settings(work, serde_json::from_value(settings).expect("settings"), |_| Ok(()))?;
        let rate = json!({
            "name": "VAT 19 %", "category": "standard", "percent": "19", "is_inclusive": false, "country": "DE",
        });
        let rate = Billing.add_tax_rate(work, serde_json::from_value(rate).expect("a rate"))?;
        let product = json!({ "name": "Team", "description": null });
        let product = Billing.add_product(work, serde_json::from_value(product).expect("a product"))?;
        let price = json!({
            "product_id": product.id, "plan": "team", "currency": "EUR", "interval": "month", "is_per_seat": true,
            "unit_price_minor": "1999", "tax_rate_id": rate.id,
        });
        Billing.add_price(work, serde_json::from_value(price).expect("a price"))
    });
}

/// Opens accounts, each with a subscription.
fn subscribe(database: &Database, wanted: usize) {
    for first in (0..wanted).step_by(200) {
        let many = 200.min(wanted - first);
        write(database, move |work| {
            for n in 0..many {
                let user: UserId = work.new_id();
                Billing.open_account(work, user, Currency::EUR, &format!("Customer {}", first + n))?;
                let new = json!({ "user_id": user, "plan": "team", "seats": 1 + n % 9 });
                let new: NewSubscription = serde_json::from_value(new).expect("a wish");
                Billing.subscribe(work, user, &new)?;
            }
            Ok(())
        });
    }
}

/// How long others' small writes take, in µs and in order, while `body` runs. Each is due at its moment.
fn others(database: &Database, body: impl FnOnce()) -> Vec<f64> {
    const THREADS: u64 = 8;
    let stop = AtomicBool::new(false);
    let waits = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (stop, waits) = (&stop, &waits);
            scope.spawn(move || {
                let start = Instant::now();
                for n in (thread..).step_by(THREADS as usize) {
                    let due = start + Duration::from_micros(n * 1_000_000 / OTHERS_PER_SECOND);
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    write(database, move |work| {
                        Billing.open_account(work, work.new_id(), Currency::EUR, "Another").map(drop)
                    });
                    waits.lock().expect("no panic").push(due.elapsed().as_secs_f64() * 1e6);
                }
            });
        }
        body();
        stop.store(true, Ordering::Relaxed);
    });
    let mut waits = waits.into_inner().expect("no panic");
    waits.sort_by(f64::total_cmp);
    waits
}

/// What a run has written: by table, the rows that one database has over another, and what became of subscriptions and of
/// the revenue that was deferred before.
struct Rows {
    tables: Vec<(String, Vec<Vec<Value>>)>,
    subscriptions: Vec<Vec<Value>>,
    deferrals: Vec<Vec<Value>>,
}

/// Tables that a run adds rows to, by what tells new ones: their ids come later than all before.
const ADDED: [(&str, &str); 8] = [
    ("billing_invoice_lines", "invoice_id"),
    ("billing_invoices", "id"),
    ("billing_deferrals", "invoice_id"),
    ("billing_ledger_entries", "id"),
    ("billing_ledger_lines", "entry_id"),
    ("billing_subscription_events", "id"),
    ("audit_entries", "id"),
    ("jobs", "id"),
];

impl Rows {
    fn made(before: &Path, after: &Path) -> Rows {
        let (old, new) = (Connection::open(before).expect("opened"), Connection::open(after).expect("opened"));
        let all = |sql: &str, since: &Value| -> Vec<Vec<Value>> {
            let mut statement = new.prepare(sql).expect("SQL");
            let columns = statement.column_count();
            let rows = statement.query_map([since], |row| (0..columns).map(|n| row.get(n)).collect()).expect("rows");
            rows.map(|row| row.expect("a row")).collect()
        };
        let tables = ADDED.map(|(table, key)| {
            let newest = format!("SELECT coalesce(max({key}), x'') FROM {table}");
            let newest: Value = old.query_row(&newest, [], |row| row.get(0)).expect("the newest");
            (table.to_owned(), all(&format!("SELECT * FROM {table} WHERE {key} > ?1 ORDER BY {key}"), &newest))
        });
        let subscriptions =
            "SELECT period_from, period_until, charge_invoice, charge_position, due_at, version, updated_at, id
                             FROM billing_subscriptions WHERE ?1 IS NULL ORDER BY id";
        let newest = "SELECT max(invoice_id) FROM billing_deferrals";
        let newest: Value = old.query_row(newest, [], |row| row.get(0)).expect("the newest");
        let deferrals = "SELECT recognized_minor, next_day, invoice_id, position FROM billing_deferrals
                         WHERE invoice_id <= ?1 ORDER BY invoice_id";
        Rows {
            tables: tables.into(),
            subscriptions: all(subscriptions, &Value::Null),
            deferrals: all(deferrals, &newest),
        }
    }

    /// Writes them by prepared statements, in groups as the run does; how long that took.
    fn write(&self, path: &Path, in_group: usize) -> Duration {
        let connection = Connection::open(path).expect("opened");
        connection
            .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON")
            .expect("set");
        connection.set_prepared_statement_cache_capacity(32);
        let inserts: Vec<String> = self
            .tables
            .iter()
            .map(|(table, rows)| {
                let holes = vec!["?"; rows.first().map_or(1, Vec::len)].join(", ");
                format!("INSERT INTO {table} VALUES ({holes})")
            })
            .collect();
        let groups = self.subscriptions.len().div_ceil(in_group);
        let start = Instant::now();
        for group in 0..groups {
            let transaction = connection.unchecked_transaction().expect("begun");
            for ((table, rows), insert) in self.tables.iter().zip(&inserts) {
                let mut statement = connection.prepare_cached(insert).expect("SQL");
                let part = rows.len().div_ceil(groups);
                for row in rows.iter().skip(group * part).take(part) {
                    // Entries are posted once their lines are there.
                    let open = |(n, value): (usize, &Value)| match (table.as_str(), n) {
                        ("billing_ledger_entries", 7) => Value::Integer(0),
                        _ => value.clone(),
                    };
                    let row = row.iter().enumerate().map(open);
                    statement.execute(rusqlite::params_from_iter(row)).expect("inserted");
                }
            }
            // Entries have two lines or three, so that theirs are all there at the end alone.
            let (_, entries) = &self.tables[3];
            let posted = if group + 1 == groups { &entries[..] } else { &[] };
            let mut post = connection
                .prepare_cached("UPDATE billing_ledger_entries SET is_posted = 1 WHERE id = ?1")
                .expect("SQL");
            for row in posted {
                post.execute([&row[0]]).expect("posted");
            }
            let mut renew = connection
                .prepare_cached(
                    "UPDATE billing_subscriptions SET period_from = ?1, period_until = ?2, charge_invoice = ?3,
                            charge_position = ?4, due_at = ?5, version = ?6, updated_at = ?7 WHERE id = ?8",
                )
                .expect("SQL");
            for row in self.subscriptions.iter().skip(group * in_group).take(in_group) {
                renew.execute(rusqlite::params_from_iter(row)).expect("renewed");
            }
            let mut recognize = connection
                .prepare_cached(
                    "UPDATE billing_deferrals SET recognized_minor = ?1, next_day = ?2 WHERE invoice_id = ?3 AND position = ?4",
                )
                .expect("SQL");
            for row in self.deferrals.iter().skip(group * in_group).take(in_group) {
                recognize.execute(rusqlite::params_from_iter(row)).expect("recognised");
            }
            drop((post, renew, recognize));
            transaction.commit().expect("committed");
        }
        start.elapsed()
    }
}

/// Drafts that get their numbers, by 64 callers at once.
fn finalising(table: &mut Table) {
    const CALLERS: u64 = 64;
    const DRAFTS: usize = 4_000;
    let folder = tempfile::tempdir().expect("a folder");
    let database = open(folder.path(), Clock::system());
    sell(&database);
    subscribe(&database, CALLERS as usize);
    let issued = database
        .read_blocking("bench", |snapshot| Billing.invoices(snapshot, &InvoiceFilter::default(), None, CALLERS as u32))
        .expect("invoices");
    let drafts: Arc<Vec<_>> = Arc::new(
        (0..DRAFTS)
            .map(|n| {
                let invoice = issued[n % issued.len()].clone();
                write(&database, move |work| {
                    let lines: Vec<OwnLine> = Billing.invoice_lines(work, invoice.id)?;
                    let draft = Draft {
                        kind: invoice.kind,
                        user_id: invoice.user_id,
                        subscription_id: None,
                        credits: None,
                        run_key: None,
                        currency: invoice.currency,
                        discount: None,
                        note: None,
                        lines,
                    };
                    Billing.put_draft(work, None, draft)
                })
                .id
            })
            .collect(),
    );
    let next = AtomicU64::new(0);
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                while let Some(id) = drafts.get(next.fetch_add(1, Ordering::Relaxed) as usize).copied() {
                    let _: Document = write(&database, move |work| Billing.finalize(work, id, |_| Ok(()))).document;
                }
            });
        }
    });
    let per_second = DRAFTS as f64 / start.elapsed().as_secs_f64();
    let faults = database.read_blocking("bench", |snapshot| Billing.ledger_faults(snapshot)).expect("looked through");
    assert_eq!(faults, Vec::<String>::new());
    database.close();
    table.row("invoices finalised, 64 callers at once", Spread::one(per_second), "1/s", None);
}

/// Every report over HTTP, of a unit with so many entries in its ledger.
fn reports(table: &mut Table, entries: u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let token = unit::owner(folder.path());
    fill_ledger(&folder.path().join("ashlar.db"), entries);
    let server = Server::start(folder.path(), &[]);
    for report in ["mrr", "revenue", "tax", "receivables", "churn"] {
        let (path, token) = (format!("/api/billing/reports/{report}"), token.clone());
        let answers = load::run(server.address, 1, Duration::from_secs(2), move |_| load::get(&path, Some(&token)));
        let name = format!("GET /api/billing/reports/{report} over {entries} ledger entries");
        table.goal(&name, &[answers.percentile_us(50.0) / 1000.0], "ms", 200.0);
    }
    server.stop();
}

/// Three years of a company with a customer for each twenty entries: invoices, payments, and who came and went.
fn fill_ledger(path: &Path, entries: u64) {
    let connection = Connection::open(path).expect("a database");
    connection.execute_batch("PRAGMA synchronous = OFF; PRAGMA wal_autocheckpoint = 4000").expect("set");
    let customers = entries / 20;
    let numbers =
        |most: u64| format!("WITH RECURSIVE n (i) AS (VALUES (0) UNION ALL SELECT i + 1 FROM n WHERE i < {most} - 1)");
    let id = "unhex(printf('%032x', i))";
    let day = |over: &str| format!("date('2024-01-01', '+' || ({over}) || ' days')");
    let fill = [
        format!(
            "INSERT INTO billing_ledger_entries (id, currency, day, kind, document_id, user_id, memo, created_at)
             {} SELECT {id}, iif(i % 10, 'EUR', 'USD'), {}, 'invoice', {id}, {id}, 'an entry', i FROM n",
            numbers(entries),
            day("i % 1050")
        ),
        format!(
            "INSERT INTO billing_ledger_lines (entry_id, account, amount_minor)
             {} SELECT {id}, 'receivable', 2379 FROM n UNION ALL SELECT {id}, 'revenue', -1999 FROM n
                UNION ALL SELECT {id}, 'tax', -380 FROM n",
            numbers(entries)
        ),
        "UPDATE billing_ledger_entries SET is_posted = 1".to_owned(),
        format!(
            "INSERT INTO billing_subscription_events (id, subscription_id, user_id, at, day, kind, detail, currency,
                                                      movement, mrr_delta_minor)
             {} SELECT {id}, unhex(printf('%032x', i / 2)), unhex(printf('%032x', i / 2)), i, {}, 'changed', 'x',
                       iif((i / 2) % 10, 'EUR', 'USD'), iif(i % 2, 'churn', 'new'), iif(i % 2, -1999, 1999) FROM n",
            numbers(customers * 2),
            day("(i / 2) % 700 + i % 2 * 300")
        ),
        format!(
            "INSERT INTO billing_invoices (id, kind, user_id, state, currency, number, issued_on, due_on, document, net_minor,
                                           tax_minor, gross_minor, due_minor, credited_minor, version, created_at)
             {} SELECT {id}, 'invoice', {id}, iif(i % 10, 'paid', 'open'), 'EUR', printf('INV-2024-%06d', i + 1), {},
                       {}, '{{}}', 1999, 380, 2379, iif(i % 10, 0, 2379), 0, 1, i FROM n",
            numbers(entries / 3),
            day("i % 1050"),
            day("i % 1050 + 14")
        ),
        format!(
            "INSERT INTO billing_revenue (currency, plan, month, amount_minor)
             {} SELECT iif(i % 2, 'EUR', 'USD'), 'plan-' || (i / 2 % 20), strftime('%Y-%m', {}), 1999 FROM n WHERE true
             ON CONFLICT DO NOTHING",
            numbers(40 * 36),
            day("i / 40 * 30")
        ),
        format!(
            "INSERT INTO billing_tax_sums (currency, month, country, category, percent, net_minor, tax_minor)
             {} SELECT 'EUR', strftime('%Y-%m', {}), char(65 + i % 27, 65), 'standard', '19', 1999, 380 FROM n WHERE true
             ON CONFLICT DO NOTHING",
            numbers(27 * 36),
            day("i / 27 * 30")
        ),
    ];
    for sql in fill {
        connection.execute(&sql, []).expect("filled");
    }
    connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").expect("a checkpoint");
}
