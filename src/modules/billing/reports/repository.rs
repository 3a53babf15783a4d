//! Where the reports' figures are kept.

use jiff::civil::Date;

use super::model::{Customers, Earned, Moved, Open, TaxSum};
use super::month::{Month, Months};
use crate::platform::error::Result;
use crate::platform::money::Currency;

pub(in crate::modules::billing) trait ReportRepository {
    /// What moved the recurring revenue, by month and kind, up to and with `until`.
    fn movements(&self, currency: Option<Currency>, until: Month) -> Result<Vec<Moved>>;
    /// Who began and ceased to bring in recurring revenue, by month, up to and with `until`.
    fn customers(&self, currency: Option<Currency>, until: Month) -> Result<Vec<Customers>>;
    fn earned(&self, currency: Option<Currency>, months: Months) -> Result<Vec<Earned>>;
    /// One for each currency, country, category and percent.
    fn tax_sums(&self, currency: Option<Currency>, months: Months) -> Result<Vec<TaxSum>>;
    fn add_tax_sum(&self, month: Month, sum: &TaxSum) -> Result<()>;
    /// What is open, by age as of `today`.
    fn open_items(&self, currency: Option<Currency>, today: Date) -> Result<Vec<Open>>;
}
