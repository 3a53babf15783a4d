//! The catalogue: products with their prices, and tax rates.

use askama::Template;
use rust_decimal::Decimal;
use serde_json::json;
use warp::reply::Response;

use super::typed::{Typed, renamed};
use super::{Room, must_still_be, page, view};
use crate::modules::billing::{
    IntervalUnit, NewPrice, NewProduct, NewTaxRate, Price, PriceId, Product, ProductChange, ProductId, TaxCategory,
    TaxRate, TaxRateId,
};
use crate::platform::db::Snapshot;
use crate::platform::error::{Error, Result};
use crate::platform::http::{Refusal, Request, answers};
use crate::platform::money::Currency;

/// A small company's catalogue is shown whole, up to so many of each.
const AT_MOST: u32 = 500;

const CATEGORIES: [(TaxCategory, &str); 4] = [
    (TaxCategory::Standard, "Standard: taxed at a rate"),
    (TaxCategory::Zero, "Zero-rated"),
    (TaxCategory::Exempt, "Exempt"),
    (TaxCategory::ReverseCharge, "Reverse charge: the buyer owes the tax"),
];
const INTERVALS: [IntervalUnit; 4] = [IntervalUnit::Month, IntervalUnit::Year, IntervalUnit::Week, IntervalUnit::Day];

#[derive(Template)]
#[template(path = "modules/billing/pages/templates/catalogue.html", config = "src/askama.toml")]
struct Catalogue {
    products: Vec<Sold>,
    rates: Vec<TaxRate>,
    done: Option<&'static str>,
}

/// A product with its prices, those in sale first.
struct Sold {
    product: Product,
    prices: Vec<(Price, Option<String>)>,
}

#[derive(Template)]
#[template(path = "modules/billing/pages/templates/product.html", config = "src/askama.toml")]
struct ProductPage<'a> {
    /// None for a new one.
    product: Option<Product>,
    typed: Typed,
    refused: &'a Refusal,
}

#[derive(Template)]
#[template(path = "modules/billing/pages/templates/price.html", config = "src/askama.toml")]
struct PricePage<'a> {
    products: Vec<Product>,
    rates: Vec<TaxRate>,
    typed: Typed,
    done: Option<&'static str>,
    refused: &'a Refusal,
}

#[derive(Template)]
#[template(path = "modules/billing/pages/templates/tax_rate.html", config = "src/askama.toml")]
struct RatePage<'a> {
    typed: Typed,
    refused: &'a Refusal,
}

/// `GET /billing/catalogue`
pub(super) async fn show(room: Room, request: Request) -> Result<Response> {
    let (viewer, (products, rates)) = room
        .look("billing_catalogue_page", &request, |room, snapshot, who| {
            who.must_be_staff()?;
            let rates = room.billing.tax_rates(snapshot, None, AT_MOST)?;
            Ok((sold(room, snapshot, &rates)?, rates))
        })
        .await?;
    let content = Catalogue { products, rates, done: view::done(&request.head) };
    page(&room, &request.head, &viewer, "Catalogue", &Refusal::default(), &content)
}

fn sold(room: &Room, snapshot: &Snapshot<'_>, rates: &[TaxRate]) -> Result<Vec<Sold>> {
    let rate = |price: &Price| {
        let rate = rates.iter().find(|rate| Some(rate.id) == price.tax_rate_id);
        rate.map(|rate| rate.name.clone())
    };
    let mut products = Vec::new();
    for product in room.billing.products(snapshot, None, AT_MOST)? {
        let mut prices = room.billing.prices(snapshot, Some(product.id), None, AT_MOST)?;
        prices.sort_by_key(|price| !price.is_active);
        products
            .push(Sold { product, prices: prices.into_iter().map(|price| (price.clone(), rate(&price))).collect() });
    }
    products.sort_by_key(|sold| !sold.product.is_active);
    Ok(products)
}

/// `GET /billing/products/add`
pub(super) async fn show_product(room: Room, request: Request) -> Result<Response> {
    product_page(&room, &request, Typed::default(), Refusal::default()).await
}

async fn product_page(room: &Room, request: &Request, typed: Typed, refused: Refusal) -> Result<Response> {
    let (viewer, ()) = room.look("billing_product_page", request, |_, _, who| who.must_be_staff()).await?;
    let content = ProductPage { product: None, typed, refused: &refused };
    page(room, &request.head, &viewer, "Add a product", &refused, &content)
}

/// `POST /billing/products/add`
pub(super) async fn add_product(room: Room, mut request: Request) -> Result<Response> {
    let who = room.platform.principal(&request).await?;
    who.must_be_staff()?;
    let typed: Typed = request.form().await?;
    let new = NewProduct { name: typed.text("name").to_owned(), description: typed.some("description") };
    let added =
        room.change("add_product", request.caller(&who), move |room, work| room.billing.add_product(work, new)).await;
    match added {
        Ok(product) => answers::see_other(&format!("/billing/prices/add?product_id={}&done=product-added", product.id)),
        Err(error) => product_page(&room, &request, typed, Refusal::of(error)?).await,
    }
}

/// `GET /billing/products/{id}`
pub(super) async fn show_edit(room: Room, request: Request<String>) -> Result<Response> {
    edit_page(&room, &request, None, Refusal::default()).await
}

async fn edit_page(room: &Room, request: &Request<String>, typed: Option<Typed>, refused: Refusal) -> Result<Response> {
    let id = ProductId::parse(&request.path, "product");
    let (viewer, (product, now)) = room
        .look("billing_product_page", request, |room, snapshot, who| {
            who.must_be_staff()?;
            Ok((room.billing.product(snapshot, id?)?, snapshot.now()))
        })
        .await?;
    let title = product.name.clone();
    let typed = typed.unwrap_or_else(|| {
        let active = if product.is_active { "true" } else { "" };
        let description = product.description.clone().unwrap_or_default();
        let version = product.version.to_string();
        let fields = [("name", title.clone()), ("description", description), ("version", version)];
        Typed::fresh(now, fields.into_iter().chain([("is_active", active.to_owned())]))
    });
    let content = ProductPage { product: Some(product), typed, refused: &refused };
    page(room, &request.head, &viewer, &title, &refused, &content)
}

/// `POST /billing/products/{id}`
pub(super) async fn edit(room: Room, mut request: Request<String>) -> Result<Response> {
    let who = room.platform.principal(&request).await?;
    who.must_be_staff()?;
    let id = ProductId::parse(&request.path, "product")?;
    let typed: Typed = request.form().await?;
    let change = ProductChange {
        name: Some(typed.text("name").to_owned()),
        description: Some(typed.text("description").to_owned()),
        is_active: Some(typed.is("is_active", "true")),
    };
    let form = typed.clone();
    let edited = room.change("change_product", request.caller(&who), move |room, work| {
        room.billing.change_product(work, id, change, |now| must_still_be(&form, now.version))
    });
    match edited.await {
        Ok(_) => answers::see_other("/billing/catalogue?done=product-saved"),
        Err(error) => edit_page(&room, &request, Some(typed), Refusal::of(error)?).await,
    }
}

/// `GET /billing/prices/add`
pub(super) async fn show_price(room: Room, request: Request) -> Result<Response> {
    let mut typed = Typed::query(&request.head.query);
    for (name, value) in [("currency", Currency::EUR.code()), ("interval_count", "1"), ("trial_days", "0")] {
        if !typed.has(name) {
            typed.set(name, value);
        }
    }
    price_page(&room, &request, typed, Refusal::default()).await
}

async fn price_page(room: &Room, request: &Request, typed: Typed, refused: Refusal) -> Result<Response> {
    let (viewer, (mut products, mut rates)) = room
        .look("billing_price_page", request, |room, snapshot, who| {
            who.must_be_staff()?;
            Ok((room.billing.products(snapshot, None, AT_MOST)?, room.billing.tax_rates(snapshot, None, AT_MOST)?))
        })
        .await?;
    products.retain(|product| product.is_active);
    rates.retain(|rate| rate.is_active);
    rates.sort_by_key(|rate| rate.category != TaxCategory::Standard);
    let done = view::done(&request.head);
    let content = PricePage { products, rates, typed, done, refused: &refused };
    page(room, &request.head, &viewer, "Add a price", &refused, &content)
}

/// `POST /billing/prices/add`
pub(super) async fn add_price(room: Room, mut request: Request) -> Result<Response> {
    let who = room.platform.principal(&request).await?;
    who.must_be_staff()?;
    let typed: Typed = request.form().await?;
    let added = match new_price(&typed) {
        Ok(new) => {
            let add =
                room.change("add_price", request.caller(&who), move |room, work| room.billing.add_price(work, new));
            add.await
        }
        Err(error) => Err(error),
    };
    match added {
        Ok(_) => answers::see_other("/billing/catalogue?done=price-added"),
        Err(error) => {
            let error = renamed(error, &[("unit_price_minor", "unit_price")]);
            price_page(&room, &request, typed, Refusal::of(error)?).await
        }
    }
}

fn new_price(typed: &Typed) -> Result<NewPrice> {
    let currency = Currency::parse(typed.text("currency"))?;
    let interval = IntervalUnit::parse(typed.text("interval")).unwrap_or(IntervalUnit::Month);
    Ok(NewPrice {
        product_id: typed.text("product_id").to_owned(),
        plan: typed.text("plan").to_owned(),
        currency: currency.code().to_owned(),
        interval,
        interval_count: typed.number("interval_count")?.unwrap_or(1),
        is_per_seat: typed.is("is_per_seat", "true"),
        unit_price_minor: unit_price("unit_price", typed.text("unit_price"), currency)?,
        trial_days: typed.number("trial_days")?.unwrap_or(0),
        tax_rate_id: typed.some("tax_rate_id"),
    })
}

/// A unit price as typed in the major unit, in minor units.
pub(super) fn unit_price(field: &str, text: &str, currency: Currency) -> Result<Decimal> {
    let wrong = || Error::invalid(field, format!("write an amount like {}", view::major(&1999, &currency)));
    if text.is_empty() || !text.chars().all(|c| c.is_ascii_digit() || c == '.' || c == '-') {
        return Err(wrong());
    }
    let major: Decimal = text.parse().map_err(|_| wrong())?;
    let minor = major.checked_mul(Decimal::from(10_u64.pow(currency.decimals()))).ok_or_else(wrong)?.normalize();
    match minor.scale() > 4 {
        true => Err(Error::invalid(field, format!("at most {} decimals", currency.decimals() + 4))),
        false => Ok(minor),
    }
}

/// `POST /billing/prices/{id}/retire`
pub(super) async fn retire_price(room: Room, request: Request<String>) -> Result<Response> {
    let who = room.platform.principal(&request).await?;
    who.must_be_staff()?;
    let id = PriceId::parse(&request.path, "price")?;
    room.change("retire_price", request.caller(&who), move |room, work| room.billing.retire_price(work, id)).await?;
    answers::see_other("/billing/catalogue?done=retired")
}

/// `GET /billing/tax-rates/add`
pub(super) async fn show_rate(room: Room, request: Request) -> Result<Response> {
    rate_page(&room, &request, Typed::default(), Refusal::default()).await
}

async fn rate_page(room: &Room, request: &Request, typed: Typed, refused: Refusal) -> Result<Response> {
    let (viewer, ()) = room.look("billing_tax_rate_page", request, |_, _, who| who.must_be_staff()).await?;
    page(room, &request.head, &viewer, "Add a tax rate", &refused, &RatePage { typed, refused: &refused })
}

/// `POST /billing/tax-rates/add`
pub(super) async fn add_rate(room: Room, mut request: Request) -> Result<Response> {
    let who = room.platform.principal(&request).await?;
    who.must_be_staff()?;
    let typed: Typed = request.form().await?;
    let added = match new_rate(&typed) {
        Ok(new) => {
            let add = room
                .change("add_tax_rate", request.caller(&who), move |room, work| room.billing.add_tax_rate(work, new));
            add.await
        }
        Err(error) => Err(error),
    };
    match added {
        Ok(_) => answers::see_other("/billing/catalogue?done=rate-added"),
        Err(error) => rate_page(&room, &request, typed, Refusal::of(error)?).await,
    }
}

fn new_rate(typed: &Typed) -> Result<NewTaxRate> {
    let percent = typed.some("percent").unwrap_or_else(|| "0".into());
    let percent: Decimal =
        percent.parse().map_err(|_| Error::invalid("percent", "write a number like 19 or 7.7, without the sign"))?;
    let category = serde_json::from_value(json!(typed.text("category")));
    Ok(NewTaxRate {
        name: typed.text("name").to_owned(),
        category: category.map_err(|_| Error::invalid("category", "choose one"))?,
        percent,
        is_inclusive: typed.is("is_inclusive", "true"),
        country: typed.some("country"),
        note: typed.some("note"),
    })
}

/// `POST /billing/tax-rates/{id}/retire`
pub(super) async fn retire_rate(room: Room, request: Request<String>) -> Result<Response> {
    let who = room.platform.principal(&request).await?;
    who.must_be_staff()?;
    let id = TaxRateId::parse(&request.path, "tax rate")?;
    room.change("retire_tax_rate", request.caller(&who), move |room, work| room.billing.retire_tax_rate(work, id))
        .await?;
    answers::see_other("/billing/catalogue?done=retired")
}
