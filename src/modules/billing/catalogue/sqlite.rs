//! The catalogue in SQLite.

use rusqlite::Row;

use super::model::{Price, PriceId, Product, ProductId, TaxRate, TaxRateId};
use super::repository::CatalogueRepository;
use crate::modules::billing::Owner;
use crate::modules::billing::invoices::document::TaxCategory;
use crate::modules::billing::sqlite::{parsed, said};
use crate::platform::db::Tables;
use crate::platform::error::Result;
use crate::platform::money::Currency;
use crate::sql;

impl CatalogueRepository for Tables<'_, Owner> {
    fn insert_product(&self, p: &Product) -> Result<()> {
        self.execute(
            sql!(
                "INSERT INTO billing_products (id, name, description, is_active, version, created_at, updated_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"
            ),
            (p.id, &p.name, &p.description, p.is_active, p.version, p.created_at, p.updated_at),
        )
        .map(drop)
    }

    fn update_product(&self, p: &Product) -> Result<()> {
        self.execute(
            sql!(
                "UPDATE billing_products SET name = ?2, description = ?3, is_active = ?4, version = ?5, updated_at = ?6
                 WHERE id = ?1"
            ),
            (p.id, &p.name, &p.description, p.is_active, p.version, p.updated_at),
        )
        .map(drop)
    }

    fn find_product(&self, id: ProductId) -> Result<Option<Product>> {
        self.fetch_optional(
            sql!(
                "SELECT id, name, description, is_active, version, created_at, updated_at FROM billing_products
                 WHERE id = ?1"
            ),
            [id],
            product,
        )
    }

    fn list_products(&self, before: Option<ProductId>, limit: u32) -> Result<Vec<Product>> {
        self.fetch_all(
            sql!(
                "SELECT id, name, description, is_active, version, created_at, updated_at FROM billing_products
                 WHERE ?1 IS NULL OR id < ?1 ORDER BY id DESC LIMIT ?2"
            ),
            (before, limit),
            product,
        )
    }

    fn insert_price(&self, p: &Price) -> Result<()> {
        self.execute(
            sql!(
                "INSERT INTO billing_prices (id, product_id, plan, currency, interval_unit, interval_count, is_per_seat,
                                             unit_price_minor, trial_days, tax_rate_id, is_active, created_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"
            ),
            (
                p.id,
                p.product_id,
                &p.plan,
                p.currency.code(),
                p.interval.as_str(),
                p.interval_count,
                p.is_per_seat,
                p.unit_price_minor.to_string(),
                p.trial_days,
                p.tax_rate_id,
                p.is_active,
                p.created_at,
            ),
        )
        .map(drop)
    }

    fn retire_price(&self, plan: &str, currency: Currency) -> Result<()> {
        self.execute(
            sql!("UPDATE billing_prices SET is_active = 0 WHERE plan = ?1 AND currency = ?2 AND is_active = 1"),
            (plan, currency.code()),
        )
        .map(drop)
    }

    fn set_price_active(&self, id: PriceId, is_active: bool) -> Result<()> {
        self.execute(sql!("UPDATE billing_prices SET is_active = ?2 WHERE id = ?1"), (id, is_active)).map(drop)
    }

    fn find_price(&self, id: PriceId) -> Result<Option<Price>> {
        self.fetch_optional(
            sql!(
                "SELECT id, product_id, plan, currency, interval_unit, interval_count, is_per_seat, unit_price_minor,
                        trial_days, tax_rate_id, is_active, created_at
                 FROM billing_prices WHERE id = ?1"
            ),
            [id],
            price,
        )
    }

    fn find_active_price(&self, plan: &str, currency: Currency) -> Result<Option<Price>> {
        self.fetch_optional(
            sql!(
                "SELECT id, product_id, plan, currency, interval_unit, interval_count, is_per_seat, unit_price_minor,
                        trial_days, tax_rate_id, is_active, created_at
                 FROM billing_prices WHERE plan = ?1 AND currency = ?2 AND is_active = 1"
            ),
            (plan, currency.code()),
            price,
        )
    }

    fn find_product_of_plan(&self, plan: &str) -> Result<Option<ProductId>> {
        self.fetch_optional(sql!("SELECT product_id FROM billing_prices WHERE plan = ?1 LIMIT 1"), [plan], |row| {
            row.get(0)
        })
    }

    fn list_prices(&self, product: Option<ProductId>, before: Option<PriceId>, limit: u32) -> Result<Vec<Price>> {
        self.fetch_all(
            sql!(
                "SELECT id, product_id, plan, currency, interval_unit, interval_count, is_per_seat, unit_price_minor,
                        trial_days, tax_rate_id, is_active, created_at
                 FROM billing_prices WHERE (?1 IS NULL OR product_id = ?1) AND (?2 IS NULL OR id < ?2)
                 ORDER BY id DESC LIMIT ?3"
            ),
            (product, before, limit),
            price,
        )
    }

    fn insert_tax_rate(&self, r: &TaxRate) -> Result<()> {
        self.execute(
            sql!(
                "INSERT INTO billing_tax_rates (id, name, category, percent, is_inclusive, country, note, is_active,
                                                created_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
            ),
            (
                r.id,
                &r.name,
                r.category.as_str(),
                r.percent.to_string(),
                r.is_inclusive,
                &r.country,
                &r.note,
                r.is_active,
                r.created_at,
            ),
        )
        .map(drop)
    }

    fn set_tax_rate_active(&self, id: TaxRateId, is_active: bool) -> Result<()> {
        self.execute(sql!("UPDATE billing_tax_rates SET is_active = ?2 WHERE id = ?1"), (id, is_active)).map(drop)
    }

    fn find_tax_rate(&self, id: TaxRateId) -> Result<Option<TaxRate>> {
        self.fetch_optional(
            sql!(
                "SELECT id, name, category, percent, is_inclusive, country, note, is_active, created_at
                 FROM billing_tax_rates WHERE id = ?1"
            ),
            [id],
            tax_rate,
        )
    }

    fn find_rate_of_country(
        &self,
        country: &str,
        category: TaxCategory,
        is_inclusive: bool,
    ) -> Result<Option<TaxRate>> {
        self.fetch_optional(
            sql!(
                "SELECT id, name, category, percent, is_inclusive, country, note, is_active, created_at
                 FROM billing_tax_rates
                 WHERE category = ?2 AND is_active = 1 AND (country = ?1 OR country IS NULL AND category = 'reverse_charge')
                       AND (category <> 'standard' OR is_inclusive = ?3)
                 ORDER BY country IS NULL, id DESC LIMIT 1"
            ),
            (country, category.as_str(), is_inclusive),
            tax_rate,
        )
    }

    fn list_tax_rates(&self, before: Option<TaxRateId>, limit: u32) -> Result<Vec<TaxRate>> {
        self.fetch_all(
            sql!(
                "SELECT id, name, category, percent, is_inclusive, country, note, is_active, created_at
                 FROM billing_tax_rates WHERE ?1 IS NULL OR id < ?1 ORDER BY id DESC LIMIT ?2"
            ),
            (before, limit),
            tax_rate,
        )
    }
}

fn product(row: &Row<'_>) -> rusqlite::Result<Product> {
    Ok(Product {
        id: row.get(0)?,
        name: row.get(1)?,
        description: row.get(2)?,
        is_active: row.get(3)?,
        version: row.get(4)?,
        created_at: row.get(5)?,
        updated_at: row.get(6)?,
    })
}

fn price(row: &Row<'_>) -> rusqlite::Result<Price> {
    Ok(Price {
        id: row.get(0)?,
        product_id: row.get(1)?,
        plan: row.get(2)?,
        currency: said(row, 3)?,
        interval: said(row, 4)?,
        interval_count: row.get(5)?,
        is_per_seat: row.get(6)?,
        unit_price_minor: parsed(row, 7)?,
        trial_days: row.get(8)?,
        tax_rate_id: row.get(9)?,
        is_active: row.get(10)?,
        created_at: row.get(11)?,
    })
}

fn tax_rate(row: &Row<'_>) -> rusqlite::Result<TaxRate> {
    Ok(TaxRate {
        id: row.get(0)?,
        name: row.get(1)?,
        category: said(row, 2)?,
        percent: parsed(row, 3)?,
        is_inclusive: row.get(4)?,
        country: row.get(5)?,
        note: row.get(6)?,
        is_active: row.get(7)?,
        created_at: row.get(8)?,
    })
}
