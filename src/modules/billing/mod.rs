//! Billing: plans, subscriptions, invoices, payments, and a ledger that always balances.
//!
//! Owns the tables `billing_*`. Uses no other module: it knows people by their id, and by what it is told through its face.
//! Each of its rooms has the shape of a module: rules in `model.rs`, tables behind `repository.rs` in `sqlite.rs`.

mod accounts;
mod api;
mod calendar;
mod catalogue;
mod dunning;
mod events;
mod exporting;
mod following;
mod gateways;
mod invoices;
mod languages;
mod ledger;
mod mails;
mod model;
mod overdue;
mod pages;
mod payments;
mod reports;
mod repository;
mod rights;
mod run;
mod sqlite;
mod subscriptions;

use serde::Serialize;
use serde_json::Value;
use utoipa::OpenApi;

pub use calendar::IntervalUnit;
pub use catalogue::{
    NewPrice, NewProduct, NewTaxRate, Price, PriceId, Product, ProductChange, ProductId, TaxRate, TaxRateId,
};
pub use dunning::{Charging, Dunning};
pub use events::{
    Attempt as WebhookAttempt, Delivery as WebhookDelivery, DeliveryFilter as WebhookDeliveryFilter,
    DeliveryId as WebhookDeliveryId, DeliveryState as WebhookDeliveryState, Endpoint as WebhookEndpoint,
    EndpointChange as WebhookEndpointChange, EndpointId as WebhookEndpointId, Event as BillingEvent,
    EventId as BillingEventId, EventType as BillingEventType, NewEndpoint as NewWebhookEndpoint,
};
pub use gateways::{Charge, Charged, Checkout, Declined, Gateway, Gateways, Receipt, SendBack, Trouble};
pub use invoices::document::{Document, Kind as DocumentKind, Line, Period, Tax, TaxCategory};
pub use invoices::totals::WantedDiscount;
pub use invoices::{
    Content as InvoiceContent, CreditedLine, Draft, Filter as InvoiceFilter, Invoice, InvoiceId, Issued, NewCreditNote,
    NewDiscount as NewInvoiceDiscount, NewLine as NewInvoiceLine, OwnLine, State as InvoiceState,
};
pub use languages::Language;
pub use ledger::{Account as LedgerAccount, Balance, Beancount, Entry as LedgerEntry, EntryId as LedgerEntryId};
pub use model::{Account, Details, DetailsChange, GiveUp, Settings};
pub use payments::{Allocation, Method as PaymentMethod, NewPayment, Payment, PaymentId, Refund, RefundId};
pub use reports::{
    Aged, Churn, ChurnMonth, Month, Months, Mrr, MrrMonth, PlanRevenue, Receivables, ReceivablesAge, Revenue,
    RevenueMonth, TaxOfRate, TaxReturn,
};
pub use run::Ran;
pub use subscriptions::{
    Cancellation, Event as SubscriptionEvent, Movement, NewSubscription, Outcome, State as SubscriptionState,
    Subscription, SubscriptionChange, SubscriptionId, When,
};

use crate::platform::Platform;
use crate::platform::audit::{self, Change};
use crate::platform::db::{self, Snapshot, UnitOfWork};
use crate::platform::error::Result;
use crate::platform::http::page::NavItem;
use crate::platform::http::{self, Routes};
use crate::platform::ids::{Id, UserId};
use crate::platform::jobs::Kind;
use crate::platform::module::{Declaration, Module};
use rights::Room;

/// What other code may ask of billing.
#[derive(Debug, Clone, Copy)]
pub struct Billing;

/// The key to this module's tables; no one else can make one.
struct Owner(());

impl db::Owner for Owner {
    const PATH: &'static str = module_path!();
}

impl Module for Billing {
    fn declaration(&self) -> Declaration {
        Declaration { name: "billing", purpose: "Plans, subscriptions, invoices, payments, and the ledger", uses: &[] }
    }

    fn export(&self, snapshot: &Snapshot<'_>, person: UserId) -> Result<Value> {
        self.export_account(snapshot, person)
    }

    fn erase(&self, work: &UnitOfWork<'_>, person: UserId) -> Result<()> {
        self.close(work, person)?;
        self.forget_events(work, person)
    }

    fn routes(&self, platform: &Platform) -> Option<Routes> {
        let room = Room { platform: platform.clone(), billing: *self };
        let gateways = Gateways::new(&platform.payments);
        let api = [
            api::routes(&room),
            reports::api_routes(platform),
            events::api::routes(&room),
            gateways::api::routes(platform, &gateways),
        ];
        let pages = [pages::routes(&room), reports::page_routes(platform)];
        http::either(api.into_iter().chain(pages).flatten())
    }

    fn api(&self) -> utoipa::openapi::OpenApi {
        let mut document = api::BillingApi::openapi();
        document.merge(pages::DownloadsApi::openapi());
        document.merge(reports::ReportsApi::openapi());
        document.merge(events::api::EventsApi::openapi());
        document.merge(gateways::api::GatewaysApi::openapi());
        document
    }

    fn jobs(&self, platform: &Platform) -> Vec<Kind> {
        let gateways = Gateways::new(&platform.payments);
        let mut kinds = vec![run::kind(self)];
        kinds.extend(events::jobs(platform));
        kinds.extend(gateways::jobs(&gateways));
        kinds.extend(dunning::jobs(&gateways));
        kinds.extend(mails::jobs(platform));
        kinds
    }

    fn nav(&self) -> Option<NavItem> {
        Some(NavItem { label: "Billing", href: "/billing", for_members: true })
    }
}

/// Writes down what was done to something of the seller's.
fn record<T>(
    work: &UnitOfWork<'_>,
    action: &'static str,
    subject: Id<T>,
    before: Option<&impl Serialize>,
    after: Option<&impl Serialize>,
) -> Result<()> {
    let before = before.map(|value| value as &dyn audit::erased::Json);
    let after = after.map(|value| value as &dyn audit::erased::Json);
    audit::record(work, Change { action, subject: subject.uuid(), person: None, before, after })
}

/// Writes down what was done to something of a person's.
fn record_about<T>(
    work: &UnitOfWork<'_>,
    action: &'static str,
    subject: Id<T>,
    person: UserId,
    before: Option<&impl Serialize>,
    after: Option<&impl Serialize>,
) -> Result<()> {
    let before = before.map(|value| value as &dyn audit::erased::Json);
    let after = after.map(|value| value as &dyn audit::erased::Json);
    audit::record(work, Change { action, subject: subject.uuid(), person: Some(person), before, after })
}
