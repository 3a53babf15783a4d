//! The reports' figures in SQLite.

use jiff::civil::Date;

use super::model::{Age, Count, Customers, Earned, Moved, Open, TaxSum};
use super::month::{Month, Months};
use super::repository::ReportRepository;
use crate::modules::billing::Owner;
use crate::modules::billing::sqlite::{day, parsed, said};
use crate::platform::db::Tables;
use crate::platform::error::Result;
use crate::platform::money::Currency;
use crate::sql;

impl ReportRepository for Tables<'_, Owner> {
    fn movements(&self, currency: Option<Currency>, until: Month) -> Result<Vec<Moved>> {
        self.fetch_all(
            sql!(
                // By day first, which the index has in order: the months then sort little.
                "WITH days AS (
                     SELECT currency, day, movement, sum(mrr_delta_minor) AS delta_minor FROM billing_subscription_events
                     WHERE movement IS NOT NULL AND (?1 IS NULL OR currency = ?1) AND substr(day, 1, 7) <= ?2
                     GROUP BY currency, day, movement
                 )
                 SELECT currency, substr(day, 1, 7) AS month, movement, sum(delta_minor) FROM days
                 GROUP BY currency, month, movement ORDER BY currency, month"
            ),
            (currency.map(Currency::code), until.to_string()),
            |row| {
                Ok(Moved {
                    currency: said(row, 0)?,
                    month: parsed(row, 1)?,
                    movement: said(row, 2)?,
                    delta_minor: row.get(3)?,
                })
            },
        )
    }

    fn customers(&self, currency: Option<Currency>, until: Month) -> Result<Vec<Customers>> {
        let mut count = Count::default();
        self.fetch_all(
            // In the order of this index, which has all of it.
            sql!(
                "SELECT currency, user_id, substr(day, 1, 7), mrr_delta_minor
                 FROM billing_subscription_events INDEXED BY billing_subscription_events_by_customer
                 WHERE movement IS NOT NULL AND (?1 IS NULL OR currency = ?1) AND substr(day, 1, 7) <= ?2
                 ORDER BY currency, user_id, day"
            ),
            (currency.map(Currency::code), until.to_string()),
            |row| {
                count.moved(said(row, 0)?, row.get(1)?, parsed(row, 2)?, row.get(3)?);
                Ok(())
            },
        )?;
        Ok(count.finish())
    }

    fn earned(&self, currency: Option<Currency>, months: Months) -> Result<Vec<Earned>> {
        self.fetch_all(
            sql!(
                "SELECT currency, month, nullif(plan, ''), amount_minor FROM billing_revenue
                 WHERE (?1 IS NULL OR currency = ?1) AND month BETWEEN ?2 AND ?3 ORDER BY currency, month, plan"
            ),
            (currency.map(Currency::code), months.from.to_string(), months.until.to_string()),
            |row| {
                Ok(Earned {
                    currency: said(row, 0)?,
                    month: parsed(row, 1)?,
                    plan: row.get(2)?,
                    amount_minor: row.get(3)?,
                })
            },
        )
    }

    fn tax_sums(&self, currency: Option<Currency>, months: Months) -> Result<Vec<TaxSum>> {
        self.fetch_all(
            sql!(
                "SELECT currency, nullif(country, ''), category, percent, sum(net_minor), sum(tax_minor)
                 FROM billing_tax_sums WHERE (?1 IS NULL OR currency = ?1) AND month BETWEEN ?2 AND ?3
                 GROUP BY currency, country, category, percent
                 ORDER BY currency, country, category, CAST(percent AS REAL) DESC"
            ),
            (currency.map(Currency::code), months.from.to_string(), months.until.to_string()),
            |row| {
                Ok(TaxSum {
                    currency: said(row, 0)?,
                    country: row.get(1)?,
                    category: said(row, 2)?,
                    percent: parsed(row, 3)?,
                    net_minor: row.get(4)?,
                    tax_minor: row.get(5)?,
                })
            },
        )
    }

    fn add_tax_sum(&self, month: Month, sum: &TaxSum) -> Result<()> {
        self.execute(
            sql!(
                "INSERT INTO billing_tax_sums (currency, month, country, category, percent, net_minor, tax_minor)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT (currency, month, country, category, percent) DO UPDATE
                 SET net_minor = net_minor + excluded.net_minor, tax_minor = tax_minor + excluded.tax_minor"
            ),
            (
                sum.currency.code(),
                month.to_string(),
                sum.country.as_deref().unwrap_or_default(),
                sum.category.as_str(),
                sum.percent.normalize().to_string(),
                sum.net_minor,
                sum.tax_minor,
            ),
        )
        .map(drop)
    }

    fn open_items(&self, currency: Option<Currency>, today: Date) -> Result<Vec<Open>> {
        let [not_due, to_30, to_60, to_90] = Age::bounds(today)?.map(|bound| day(Some(bound)));
        self.fetch_all(
            sql!(
                "SELECT currency,
                        CASE WHEN due_on >= ?2 THEN 'not_due' WHEN due_on >= ?3 THEN '1-30' WHEN due_on >= ?4 THEN '31-60'
                             WHEN due_on >= ?5 THEN '61-90' ELSE 'over_90' END AS age,
                        count(*), sum(due_minor)
                 FROM billing_invoices WHERE state = 'open' AND (?1 IS NULL OR currency = ?1)
                 GROUP BY currency, age ORDER BY currency, age"
            ),
            (currency.map(Currency::code), not_due, to_30, to_60, to_90),
            |row| {
                Ok(Open { currency: said(row, 0)?, age: said(row, 1)?, invoices: row.get(2)?, due_minor: row.get(3)? })
            },
        )
    }
}
