//! The catalogue: products, their prices by plan, and tax rates.

mod model;
mod repository;
mod sqlite;

pub use model::{
    MAX_SEATS, NewPrice, NewProduct, NewTaxRate, Price, PriceId, Product, ProductChange, ProductId, TaxRate, TaxRateId,
    country, is_country, is_vat_prefix,
};
pub(super) use repository::CatalogueRepository;

use super::{Billing, Owner, record};
use crate::platform::db::{Snapshot, UnitOfWork};
use crate::platform::error::{Error, Result};

impl Billing {
    pub fn add_product(&self, work: &UnitOfWork<'_>, new: NewProduct) -> Result<Product> {
        let (name, description) = new.parse()?;
        let now = work.now();
        let product = Product {
            id: work.new_id(),
            name,
            description,
            is_active: true,
            version: 1,
            created_at: now,
            updated_at: now,
        };
        work.tables(Owner(())).insert_product(&product)?;
        record(work, "billing.product_added", product.id, None::<&()>, Some(&product))?;
        Ok(product)
    }

    pub fn product(&self, snapshot: &Snapshot<'_>, id: ProductId) -> Result<Product> {
        snapshot.tables(Owner(())).find_product(id)?.ok_or(Error::NotFound("product"))
    }

    pub fn products(&self, snapshot: &Snapshot<'_>, before: Option<ProductId>, limit: u32) -> Result<Vec<Product>> {
        snapshot.tables(Owner(())).list_products(before, limit)
    }

    /// Changes a product, if it is still what `check` wants it to be.
    pub fn change_product(
        &self,
        work: &UnitOfWork<'_>,
        id: ProductId,
        change: ProductChange,
        check: impl FnOnce(&Product) -> Result<()>,
    ) -> Result<Product> {
        let before = self.product(work, id)?;
        check(&before)?;
        let mut after = before.clone();
        if let Some(name) = change.name {
            after.name = model::name(&name)?;
        }
        if change.description.is_some() {
            after.description = model::description(change.description)?;
        }
        after.is_active = change.is_active.unwrap_or(before.is_active);
        if after == before {
            return Ok(before);
        }
        (after.version, after.updated_at) = (before.version + 1, work.now());
        work.tables(Owner(())).update_product(&after)?;
        record(work, "billing.product_changed", id, Some(&before), Some(&after))?;
        Ok(after)
    }

    /// Adds a price, which takes the place of the active one of its plan and currency; subscriptions keep theirs.
    ///
    /// # Errors
    /// [`Error::Conflict`] if the plan is another product's.
    pub fn add_price(&self, work: &UnitOfWork<'_>, new: NewPrice) -> Result<Price> {
        let currency = new.check()?;
        let product = ProductId::parse(&new.product_id, "product").and_then(|id| self.product(work, id));
        let product = product.map_err(|_| Error::invalid("product_id", "there is no such product"))?;
        let rate = new.tax_rate_id.as_deref().filter(|id| !id.is_empty());
        let rate = rate.map(|id| self.usable_tax_rate(work, id)).transpose()?;
        let tables = work.tables(Owner(()));
        if tables.find_product_of_plan(&new.plan)?.is_some_and(|of| of != product.id) {
            return Err(Error::conflict("plan", "this plan is another product's: choose another name"));
        }
        tables.retire_price(&new.plan, currency)?;
        let price = Price {
            id: work.new_id(),
            product_id: product.id,
            plan: new.plan,
            currency,
            interval: new.interval,
            interval_count: new.interval_count,
            is_per_seat: new.is_per_seat,
            unit_price_minor: new.unit_price_minor.normalize(),
            trial_days: new.trial_days,
            tax_rate_id: rate.map(|rate| rate.id),
            is_active: true,
            created_at: work.now(),
        };
        tables.insert_price(&price)?;
        record(work, "billing.price_added", price.id, None::<&()>, Some(&price))?;
        Ok(price)
    }

    pub fn price(&self, snapshot: &Snapshot<'_>, id: PriceId) -> Result<Price> {
        snapshot.tables(Owner(())).find_price(id)?.ok_or(Error::NotFound("price"))
    }

    pub fn prices(
        &self,
        snapshot: &Snapshot<'_>,
        product: Option<ProductId>,
        before: Option<PriceId>,
        limit: u32,
    ) -> Result<Vec<Price>> {
        snapshot.tables(Owner(())).list_prices(product, before, limit)
    }

    /// Takes a price out of sale; subscriptions keep it.
    pub fn retire_price(&self, work: &UnitOfWork<'_>, id: PriceId) -> Result<Price> {
        let before = self.price(work, id)?;
        if !before.is_active {
            return Ok(before);
        }
        work.tables(Owner(())).set_price_active(id, false)?;
        let after = self.price(work, id)?;
        record(work, "billing.price_retired", id, Some(&before), Some(&after))?;
        Ok(after)
    }

    pub fn add_tax_rate(&self, work: &UnitOfWork<'_>, new: NewTaxRate) -> Result<TaxRate> {
        let rate = new.parse(work.new_id(), work.now())?;
        work.tables(Owner(())).insert_tax_rate(&rate)?;
        record(work, "billing.tax_rate_added", rate.id, None::<&()>, Some(&rate))?;
        Ok(rate)
    }

    pub fn tax_rate(&self, snapshot: &Snapshot<'_>, id: TaxRateId) -> Result<TaxRate> {
        snapshot.tables(Owner(())).find_tax_rate(id)?.ok_or(Error::NotFound("tax rate"))
    }

    pub fn tax_rates(&self, snapshot: &Snapshot<'_>, before: Option<TaxRateId>, limit: u32) -> Result<Vec<TaxRate>> {
        snapshot.tables(Owner(())).list_tax_rates(before, limit)
    }

    /// Takes a tax rate out of use; what is subscribed with it keeps it.
    pub fn retire_tax_rate(&self, work: &UnitOfWork<'_>, id: TaxRateId) -> Result<TaxRate> {
        let before = self.tax_rate(work, id)?;
        if !before.is_active {
            return Ok(before);
        }
        work.tables(Owner(())).set_tax_rate_active(id, false)?;
        let after = self.tax_rate(work, id)?;
        record(work, "billing.tax_rate_retired", id, Some(&before), Some(&after))?;
        Ok(after)
    }

    /// A rate that may be newly used; the error names `tax_rate_id`.
    pub(super) fn usable_tax_rate(&self, snapshot: &Snapshot<'_>, id: &str) -> Result<TaxRate> {
        let rate = TaxRateId::parse(id, "tax rate").and_then(|id| self.tax_rate(snapshot, id)).ok();
        rate.filter(|rate| rate.is_active).ok_or_else(|| Error::invalid("tax_rate_id", "there is no such rate in use"))
    }
}
