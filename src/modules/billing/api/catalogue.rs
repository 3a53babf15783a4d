//! `/api/billing/{products,prices,tax-rates}`: what is sold. Members see what they can subscribe to.

use serde::{Deserialize, Serialize};
use warp::http::StatusCode;
use warp::reply::Response;

use super::{Asked, Cursor, Limit, Principal, Request, Result, Room, Snapshot, answers, page, wanted_version};
use crate::modules::billing::{
    NewPrice, NewProduct, NewTaxRate, Price, PriceId, Product, ProductChange, ProductId, TaxRate, TaxRateId,
};
use crate::platform::error::Error;

#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct ProductPage {
    /// Newest first.
    items: Vec<Product>,
    #[schema(value_type = Option<String>)]
    next_cursor: Option<Cursor<Product>>,
}

#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct PricePage {
    /// Newest first.
    items: Vec<Price>,
    #[schema(value_type = Option<String>)]
    next_cursor: Option<Cursor<Price>>,
}

#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct TaxRatePage {
    /// Newest first.
    items: Vec<TaxRate>,
    #[schema(value_type = Option<String>)]
    next_cursor: Option<Cursor<TaxRate>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProductQuery {
    #[serde(default)]
    limit: Limit,
    cursor: Option<Cursor<Product>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PriceQuery {
    #[serde(default)]
    limit: Limit,
    cursor: Option<Cursor<Price>>,
    product: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TaxRateQuery {
    #[serde(default)]
    limit: Limit,
    cursor: Option<Cursor<TaxRate>>,
}

/// Whether one can subscribe to it still; staff see the rest, too.
fn may_see_price(room: &Room, snapshot: &Snapshot<'_>, who: &Principal, price: &Price) -> Result<bool> {
    Ok(who.is_staff() || price.is_active && room.billing.product(snapshot, price.product_id)?.is_active)
}

/// What is sold. Members see what is sold still.
#[utoipa::path(
    get, path = "/api/billing/products", tag = "billing", operation_id = "list_products", security(("bearer" = [])),
    params(("limit" = Option<u32>, Query, minimum = 1, maximum = 100), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = ProductPage)),
)]
pub(super) async fn list_products(room: Room, request: Request) -> Result<Response> {
    let query = request.query();
    room.answer_list("list_products", &request, move |room, snapshot, who| {
        let ProductQuery { limit, cursor } = query?;
        let list = |before, limit| room.billing.products(snapshot, before, limit);
        let may_see = |product: &Product| Ok(who.is_staff() || product.is_active);
        let (items, next_cursor) = page(limit, cursor, |product: &Product| product.id, list, may_see)?;
        Ok(ProductPage { items, next_cursor })
    })
    .await
}

/// Adds a product; its prices come after it.
#[utoipa::path(
    post, path = "/api/billing/products", tag = "billing", operation_id = "add_product", security(("bearer" = [])),
    request_body(content = NewProduct, example = json!({ "name": "Team", "description": "For all of you" })),
    responses((status = 201, body = Product), (status = 403, description = "not staff")),
)]
pub(super) async fn add_product(room: Room, mut request: Request) -> Result<Response> {
    let who = room.staff(&request).await?;
    let (new, body): (NewProduct, _) = request.json().await?;
    let asked = Asked { request: &request, who, body };
    room.make("add_product", asked, StatusCode::CREATED, |room, work, _| room.billing.add_product(work, new)).await
}

/// One product.
#[utoipa::path(
    get, path = "/api/billing/products/{id}", tag = "billing", operation_id = "show_product",
    security(("bearer" = [])), params(("id" = String, Path, format = Uuid)),
    responses((status = 200, body = Product, headers(("ETag" = String)))),
)]
pub(super) async fn show_product(room: Room, request: Request<String>) -> Result<Response> {
    let id = ProductId::parse(&request.path, "product");
    let found = room.let_in("show_product", &request, move |room, snapshot, who| {
        let product = room.billing.product(snapshot, id?)?;
        if who.is_staff() || product.is_active { Ok(product) } else { Err(Error::NotFound("product")) }
    });
    let (_, product) = found.await?;
    answers::versioned(&product, product.version)
}

/// Changes a product, or takes it out of sale: what is subscribed to goes on.
#[utoipa::path(
    patch, path = "/api/billing/products/{id}", tag = "billing", operation_id = "change_product",
    security(("bearer" = [])), params(("id" = String, Path, format = Uuid), ("If-Match" = Option<String>, Header)),
    request_body(content = ProductChange, example = json!({ "is_active": false })),
    responses(
        (status = 200, body = Product, headers(("ETag" = String))),
        (status = 403, description = "not staff"),
        (status = 412, description = "changed meanwhile"),
    ),
)]
pub(super) async fn change_product(room: Room, mut request: Request<String>) -> Result<Response> {
    let who = room.staff(&request).await?;
    let id = ProductId::parse(&request.path, "product")?;
    let (change, _): (ProductChange, _) = request.json().await?;
    let if_match = wanted_version(&request);
    let changed = room.alter("change_product", &request, who, move |room, work, _| {
        room.billing.change_product(work, id, change, |now| answers::check_if_match(if_match.as_deref(), now.version))
    });
    let product = changed.await?;
    answers::versioned(&product, product.version)
}

/// For how much it is sold. Members see the prices to which they can subscribe.
#[utoipa::path(
    get, path = "/api/billing/prices", tag = "billing", operation_id = "list_prices", security(("bearer" = [])),
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100),
        ("cursor" = Option<String>, Query),
        ("product" = Option<String>, Query, format = Uuid, description = "of this product alone"),
    ),
    responses((status = 200, body = PricePage)),
)]
pub(super) async fn list_prices(room: Room, request: Request) -> Result<Response> {
    let query = request.query();
    room.answer_list("list_prices", &request, move |room, snapshot, who| {
        let PriceQuery { limit, cursor, product } = query?;
        let product = product.map(|id| ProductId::parse(&id, "product")).transpose()?;
        let list = |before, limit| room.billing.prices(snapshot, product, before, limit);
        let may_see = |price: &Price| may_see_price(room, snapshot, who, price);
        let (items, next_cursor) = page(limit, cursor, |price: &Price| price.id, list, may_see)?;
        Ok(PricePage { items, next_cursor })
    })
    .await
}

/// Adds a price. It takes the place of the active one of its plan and currency; subscriptions keep theirs.
#[utoipa::path(
    post, path = "/api/billing/prices", tag = "billing", operation_id = "add_price", security(("bearer" = [])),
    request_body(content = NewPrice, example = json!({
        "product_id": "0199a4d2-7c1e-7b3a-9f54-3d2c1b0a9f8e", "plan": "team-monthly", "currency": "EUR",
        "interval": "month", "is_per_seat": true, "unit_price_minor": "1999", "trial_days": 14,
        "tax_rate_id": "0199a4d2-7c1e-7b3a-9f54-3d2c1b0a9f8f",
    })),
    responses(
        (status = 201, body = Price),
        (status = 403, description = "not staff"),
        (status = 409, description = "the plan is another product's"),
    ),
)]
pub(super) async fn add_price(room: Room, mut request: Request) -> Result<Response> {
    let who = room.staff(&request).await?;
    let (new, body): (NewPrice, _) = request.json().await?;
    let asked = Asked { request: &request, who, body };
    room.make("add_price", asked, StatusCode::CREATED, |room, work, _| room.billing.add_price(work, new)).await
}

/// One price.
#[utoipa::path(
    get, path = "/api/billing/prices/{id}", tag = "billing", operation_id = "show_price", security(("bearer" = [])),
    params(("id" = String, Path, format = Uuid)),
    responses((status = 200, body = Price)),
)]
pub(super) async fn show_price(room: Room, request: Request<String>) -> Result<Response> {
    let id = PriceId::parse(&request.path, "price");
    room.answer("show_price", &request, move |room, snapshot, who| {
        let price = room.billing.price(snapshot, id?)?;
        if may_see_price(room, snapshot, who, &price)? { Ok(price) } else { Err(Error::NotFound("price")) }
    })
    .await
}

/// Takes a price out of sale; subscriptions keep it.
#[utoipa::path(
    post, path = "/api/billing/prices/{id}/retirement", tag = "billing", operation_id = "retire_price",
    security(("bearer" = [])), params(("id" = String, Path, format = Uuid)),
    responses(
        (status = 200, body = Price),
        (status = 403, description = "not staff"),
        (status = 413, description = "a body, where there should be none"),
    ),
)]
pub(super) async fn retire_price(room: Room, mut request: Request<String>) -> Result<Response> {
    let who = room.staff(&request).await?;
    let id = PriceId::parse(&request.path, "price")?;
    let body = request.bytes(0).await?;
    let asked = Asked { request: &request, who, body };
    room.make("retire_price", asked, StatusCode::OK, move |room, work, _| room.billing.retire_price(work, id)).await
}

/// How things are taxed.
#[utoipa::path(
    get, path = "/api/billing/tax-rates", tag = "billing", operation_id = "list_tax_rates",
    security(("bearer" = [])),
    params(("limit" = Option<u32>, Query, minimum = 1, maximum = 100), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = TaxRatePage), (status = 403, description = "not staff")),
)]
pub(super) async fn list_tax_rates(room: Room, request: Request) -> Result<Response> {
    let query = request.query();
    room.answer_list("list_tax_rates", &request, move |room, snapshot, who| {
        who.must_be_staff()?;
        let TaxRateQuery { limit, cursor } = query?;
        let list = |before, limit| room.billing.tax_rates(snapshot, before, limit);
        let (items, next_cursor) = page(limit, cursor, |rate: &TaxRate| rate.id, list, |_| Ok(true))?;
        Ok(TaxRatePage { items, next_cursor })
    })
    .await
}

/// Adds a tax rate. It never changes: where the law does, add another, and retire this one.
#[utoipa::path(
    post, path = "/api/billing/tax-rates", tag = "billing", operation_id = "add_tax_rate",
    security(("bearer" = [])),
    request_body(content = NewTaxRate, example = json!({
        "name": "VAT 19 %", "category": "standard", "percent": "19", "is_inclusive": false, "country": "DE",
    })),
    responses((status = 201, body = TaxRate), (status = 403, description = "not staff")),
)]
pub(super) async fn add_tax_rate(room: Room, mut request: Request) -> Result<Response> {
    let who = room.staff(&request).await?;
    let (new, body): (NewTaxRate, _) = request.json().await?;
    let asked = Asked { request: &request, who, body };
    room.make("add_tax_rate", asked, StatusCode::CREATED, |room, work, _| room.billing.add_tax_rate(work, new)).await
}

/// One tax rate.
#[utoipa::path(
    get, path = "/api/billing/tax-rates/{id}", tag = "billing", operation_id = "show_tax_rate",
    security(("bearer" = [])), params(("id" = String, Path, format = Uuid)),
    responses((status = 200, body = TaxRate), (status = 403, description = "not staff")),
)]
pub(super) async fn show_tax_rate(room: Room, request: Request<String>) -> Result<Response> {
    let id = TaxRateId::parse(&request.path, "tax rate");
    room.answer("show_tax_rate", &request, move |room, snapshot, who| {
        who.must_be_staff()?;
        room.billing.tax_rate(snapshot, id?)
    })
    .await
}

/// Takes a tax rate out of use; what is subscribed to with it keeps it.
#[utoipa::path(
    post, path = "/api/billing/tax-rates/{id}/retirement", tag = "billing", operation_id = "retire_tax_rate",
    security(("bearer" = [])), params(("id" = String, Path, format = Uuid)),
    responses(
        (status = 200, body = TaxRate),
        (status = 403, description = "not staff"),
        (status = 413, description = "a body, where there should be none"),
    ),
)]
pub(super) async fn retire_tax_rate(room: Room, mut request: Request<String>) -> Result<Response> {
    let who = room.staff(&request).await?;
    let id = TaxRateId::parse(&request.path, "tax rate")?;
    let body = request.bytes(0).await?;
    let asked = Asked { request: &request, who, body };
    room.make("retire_tax_rate", asked, StatusCode::OK, move |room, work, _| room.billing.retire_tax_rate(work, id))
        .await
}
