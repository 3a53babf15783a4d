//! Billing, by its face: subscriptions over months of a test clock, invoices, payments, and the ledger behind them.

mod api;
mod dunning;
mod fake;
mod faults;
mod languages;
mod ledger;
mod overdue;
mod pages;
mod properties;
mod reports;
mod rules;
mod stripe;
mod webhook_pages;
mod webhook_times;
mod webhooks;

use ashlar::app;
use ashlar::modules::billing::{
    Billing, DetailsChange, Document, Invoice, InvoiceFilter, LedgerAccount, NewPayment, NewPrice, NewProduct,
    NewSubscription, NewTaxRate, Payment, PaymentMethod, Price, Ran, Settings, Subscription,
};
use ashlar::platform::actor::Actor;
use ashlar::platform::clock::{Clock, Time};
use ashlar::platform::db::{Database, Folder, Role, Snapshot, Tuning, UnitOfWork};
use ashlar::platform::error::Result;
use ashlar::platform::ids::UserId;
use ashlar::platform::money::Currency;
use serde_json::json;
use tempfile::TempDir;

/// A unit's books, in a database of their own.
pub struct Books {
    pub database: Database,
    pub folder: TempDir,
}

/// What of a price a test cares for.
pub struct Plan {
    pub code: &'static str,
    pub currency: &'static str,
    pub interval: &'static str,
    pub price: &'static str,
    pub percent: &'static str,
    pub is_inclusive: bool,
    pub trial_days: u16,
}

pub const TEAM: Plan = Plan {
    code: "team",
    currency: "EUR",
    interval: "month",
    price: "1000",
    percent: "20",
    is_inclusive: false,
    trial_days: 0,
};

impl Books {
    pub fn open() -> Books {
        let folder = tempfile::tempdir().unwrap();
        let (schema, _) = app::prove().unwrap();
        let at = Folder::at(folder.path()).unwrap();
        let database = Database::open(&at, schema, Clock::system(), Role::Server, Tuning::default()).unwrap();
        let books = Books { database, folder };
        let settings: Settings =
            serde_json::from_value(json!({ "seller": { "name": "Ashlar Ltd", "address": {} } })).unwrap();
        books.write(move |work| Billing.change_settings(work, settings, |_| Ok(()))).unwrap();
        books
    }

    pub fn write<T: Send + 'static>(
        &self,
        body: impl FnOnce(&UnitOfWork<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        off_thread(|| self.database.write_blocking("test", Actor::system(), body))
    }

    pub fn read<T>(&self, body: impl FnOnce(&Snapshot<'_>) -> Result<T>) -> T {
        self.database.read_blocking("test", body).unwrap()
    }

    /// A plan of a product of its own, taxed by a rate of its own.
    pub fn sell(&self, plan: Plan) -> Price {
        let rate: NewTaxRate = serde_json::from_value(json!({
            "name": format!("VAT {} %", plan.percent),
            "category": if plan.percent == "0" { "zero" } else { "standard" },
            "percent": plan.percent, "is_inclusive": plan.is_inclusive, "country": "DE",
        }))
        .unwrap();
        self.write(move |work| {
            let rate = Billing.add_tax_rate(work, rate)?;
            let product = Billing.add_product(work, NewProduct { name: plan.code.into(), description: None })?;
            let price: NewPrice = serde_json::from_value(json!({
                "product_id": product.id, "plan": plan.code, "currency": plan.currency, "interval": plan.interval,
                "is_per_seat": true, "unit_price_minor": plan.price, "trial_days": plan.trial_days, "tax_rate_id": rate.id,
            }))
            .unwrap();
            Billing.add_price(work, price)
        })
        .unwrap()
    }

    /// An account whose clock stands at the noon of `day`.
    pub fn account(&self, currency: &'static str, day: &str) -> UserId {
        let at = noon(day);
        let user = UserId::new(Clock::system().now());
        self.write(move |work| {
            Billing.open_account(work, user, Currency::parse(currency)?, "Ann Lee")?;
            Billing.set_test_clock(work, user, at)
        })
        .unwrap();
        user
    }

    pub fn change_account(&self, user: UserId, change: DetailsChange) {
        self.write(move |work| Billing.change_account(work, user, change, |_| Ok(()))).unwrap();
    }

    pub fn subscribe(&self, user: UserId, plan: &str, seats: u32) -> Subscription {
        let new = wish(user, plan, seats);
        self.write(move |work| Billing.subscribe(work, user, &new)).unwrap().subscription
    }

    /// Moves the account's clock to the noon of `day`, and runs what is due by then.
    pub fn run_until(&self, user: UserId, day: &str) -> Ran {
        let at = noon(day);
        self.write(move |work| Billing.set_test_clock(work, user, at)).unwrap();
        self.run()
    }

    /// Runs what is due.
    pub fn run(&self) -> Ran {
        off_thread(|| Billing.run(&self.database, &|_| true)).unwrap()
    }

    pub fn subscription(&self, of: &Subscription) -> Subscription {
        self.read(|snapshot| Billing.subscription(snapshot, of.id))
    }

    /// Everything that was made out to a person, oldest first.
    pub fn invoices(&self, user: UserId) -> Vec<Invoice> {
        let filter = InvoiceFilter { user: Some(user), ..InvoiceFilter::default() };
        let mut all = self.read(|snapshot| Billing.invoices(snapshot, &filter, None, 1000));
        all.reverse();
        all
    }

    pub fn document(&self, invoice: &Invoice) -> Document {
        self.read(|snapshot| Billing.document(snapshot, invoice.id)).expect("it is finalised")
    }

    pub fn pay(&self, user: UserId, amount_minor: i64, invoice: Option<&Invoice>) -> Payment {
        let new = payment(user, amount_minor, invoice);
        self.write(move |work| Billing.record_payment(work, new)).unwrap()
    }

    pub fn credit(&self, user: UserId) -> i64 {
        self.read(|snapshot| Billing.details(snapshot, user)).credit_minor
    }

    /// What an account comes to, debits less credits.
    pub fn balance(&self, account: LedgerAccount) -> i64 {
        let all = self.read(|snapshot| Billing.ledger_balances(snapshot, None));
        all.iter().filter(|one| one.account == account).map(|one| one.minor()).sum()
    }

    /// The ledger is sound, and says what the documents say.
    pub fn must_be_sound(&self) {
        assert_eq!(self.read(|snapshot| Billing.ledger_faults(snapshot)), Vec::<String>::new());
    }
}

/// On a thread that may wait, as those that drive tests beside a server may not.
fn off_thread<T: Send>(body: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(body).join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

pub fn noon(day: &str) -> Time {
    format!("{day} 12:00").parse().unwrap()
}

pub fn wish(user: UserId, plan: &str, seats: u32) -> NewSubscription {
    serde_json::from_value(json!({ "user_id": user, "plan": plan, "seats": seats })).unwrap()
}

pub fn payment(user: UserId, amount_minor: i64, invoice: Option<&Invoice>) -> NewPayment {
    NewPayment {
        user_id: user,
        currency: Currency::EUR,
        amount_minor,
        fee_minor: 0,
        method: PaymentMethod::Transfer,
        reference: None,
        gateway_ref: None,
        received_on: None,
        invoice: invoice.map(|invoice| invoice.id),
    }
}
