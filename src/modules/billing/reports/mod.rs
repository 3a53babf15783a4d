//! Reports: what came in, what is owed, to whom tax is due, who left. Figures that decide something, and no others.

mod api;
mod csv;
mod model;
mod month;
mod pages;
mod plots;
mod repository;
mod sqlite;

pub(super) use api::{ReportsApi, routes as api_routes};
pub use model::{
    Age as ReceivablesAge, Aged, Churn, ChurnMonth, Mrr, MrrMonth, PlanRevenue, Receivables, Revenue, RevenueMonth,
    TaxOfRate, TaxReturn,
};
pub use month::{Month, Months};
pub(super) use pages::routes as page_routes;

use jiff::civil::Date;

use super::invoices::OwnLine;
use super::invoices::document::Document;
use super::{Billing, Owner};
use crate::platform::db::{Snapshot, UnitOfWork};
use crate::platform::error::Result;
use crate::platform::money::{Currency, share_out};
use model::TaxSum;
use repository::ReportRepository;

impl Billing {
    /// The monthly recurring revenue, and what moved it; of all currencies where none is named.
    pub fn mrr(&self, snapshot: &Snapshot<'_>, currency: Option<Currency>, months: Months) -> Result<Vec<Mrr>> {
        model::mrr(&snapshot.tables(Owner(())).movements(currency, months.until)?, months)
    }

    /// Recognised revenue by month and plan, without tax.
    pub fn revenue(&self, snapshot: &Snapshot<'_>, currency: Option<Currency>, months: Months) -> Result<Vec<Revenue>> {
        model::revenue(&snapshot.tables(Owner(())).earned(currency, months)?, months)
    }

    /// Tax by country and rate: of what was issued in these months, less credit notes and what was made void in them.
    pub fn tax(&self, snapshot: &Snapshot<'_>, currency: Option<Currency>, months: Months) -> Result<Vec<TaxReturn>> {
        model::tax_returns(snapshot.tables(Owner(())).tax_sums(currency, months)?)
    }

    /// What is open now, by how long it has been due on `today`.
    pub fn receivables(
        &self,
        snapshot: &Snapshot<'_>,
        currency: Option<Currency>,
        today: Date,
    ) -> Result<Vec<Receivables>> {
        model::receivables(&snapshot.tables(Owner(())).open_items(currency, today)?)
    }

    /// Which customers and how much recurring revenue left.
    pub fn churn(&self, snapshot: &Snapshot<'_>, currency: Option<Currency>, months: Months) -> Result<Vec<Churn>> {
        let customers = snapshot.tables(Owner(())).customers(currency, months.until)?;
        Ok(model::churn(&self.mrr(snapshot, currency, months)?, &customers))
    }

    /// Adds a document that counts on `day` to what is taxed; takes it away with `sign` −1. `revenue` is its lines' net,
    /// each less its part of the discounts.
    pub(super) fn note_tax(
        &self,
        work: &UnitOfWork<'_>,
        day: Date,
        document: &Document,
        (lines, revenue): (&[OwnLine], &[i64]),
        sign: i64,
    ) -> Result<()> {
        for sum in &document.taxes {
            // Countries may have the same rate: then the document's sum is shared out by what is taxed for each.
            let mut taxed: Vec<(Option<String>, i64)> = Vec::new();
            for (own, net) in lines.iter().zip(revenue).filter(|(own, _)| own.line.tax == sum.tax) {
                let country = self.tax_rate(work, own.tax_rate_id)?.country;
                let country = country.or_else(|| document.buyer.address.country.clone());
                match taxed.iter_mut().find(|(known, _)| *known == country) {
                    Some((_, sum)) => *sum += net,
                    None => taxed.push((country, *net)),
                }
            }
            let nets: Vec<i64> = taxed.iter().map(|(_, net)| *net).collect();
            for ((country, net), tax) in taxed.into_iter().zip(share_out(sum.tax_minor, &nets)) {
                let sum = TaxSum {
                    currency: document.currency,
                    country,
                    category: sum.tax.category,
                    percent: sum.tax.percent,
                    net_minor: sign * net,
                    tax_minor: sign * tax,
                };
                work.tables(Owner(())).add_tax_sum(Month::of(day), &sum)?;
            }
        }
        Ok(())
    }
}
