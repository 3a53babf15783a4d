//! Where the catalogue is kept.

use super::model::{Price, PriceId, Product, ProductId, TaxRate, TaxRateId};
use crate::modules::billing::invoices::document::TaxCategory;
use crate::platform::error::Result;
use crate::platform::money::Currency;

pub(in crate::modules::billing) trait CatalogueRepository {
    fn insert_product(&self, product: &Product) -> Result<()>;
    fn update_product(&self, product: &Product) -> Result<()>;
    fn find_product(&self, id: ProductId) -> Result<Option<Product>>;
    /// Before `before`, newest first.
    fn list_products(&self, before: Option<ProductId>, limit: u32) -> Result<Vec<Product>>;

    fn insert_price(&self, price: &Price) -> Result<()>;
    /// Takes the active price of this plan and currency out of sale.
    fn retire_price(&self, plan: &str, currency: Currency) -> Result<()>;
    fn set_price_active(&self, id: PriceId, is_active: bool) -> Result<()>;
    fn find_price(&self, id: PriceId) -> Result<Option<Price>>;
    fn find_active_price(&self, plan: &str, currency: Currency) -> Result<Option<Price>>;
    /// The product that a plan's prices are of, where it has any.
    fn find_product_of_plan(&self, plan: &str) -> Result<Option<ProductId>>;
    /// Before `before`, newest first; of one product where it is named.
    fn list_prices(&self, product: Option<ProductId>, before: Option<PriceId>, limit: u32) -> Result<Vec<Price>>;

    fn insert_tax_rate(&self, rate: &TaxRate) -> Result<()>;
    fn set_tax_rate_active(&self, id: TaxRateId, is_active: bool) -> Result<()>;
    fn find_tax_rate(&self, id: TaxRateId) -> Result<Option<TaxRate>>;
    /// The newest rate of this category in use for a country, or for all; of standard ones, of prices that contain tax or not.
    fn find_rate_of_country(&self, country: &str, category: TaxCategory, is_inclusive: bool)
    -> Result<Option<TaxRate>>;
    fn list_tax_rates(&self, before: Option<TaxRateId>, limit: u32) -> Result<Vec<TaxRate>>;
}
