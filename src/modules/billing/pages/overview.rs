//! `GET /billing`: what is open, what comes in every month, and what happened last.

use askama::Template;
use warp::reply::Response;

use super::repository::{ConsoleRepository, Owed};
use super::{Of, Room, page};
use crate::modules::billing::{Invoice, InvoiceFilter, Owner, Payment};
use crate::platform::auth::Principal;
use crate::platform::db::Snapshot;
use crate::platform::error::Result;
use crate::platform::http::{Refusal, Request, answers};
use crate::platform::money::Currency;

/// Invoices and payments that are shown.
const LATEST: usize = 8;
/// More endpoints than one unit may have.
const AT_MOST: u32 = 100;

#[derive(Template)]
#[template(path = "modules/billing/pages/templates/overview.html", config = "src/askama.toml")]
struct Overview {
    open: Vec<Owed>,
    overdue: Vec<Owed>,
    monthly: Vec<(Currency, i64)>,
    invoices: Vec<Of<Invoice>>,
    payments: Vec<Of<Payment>>,
    steps: Steps,
    /// Whether any endpoint of webhooks did not take what it was sent last.
    is_failing: bool,
}

/// What there must be before the first invoice.
struct Steps {
    seller: bool,
    rate: bool,
    product: bool,
    price: bool,
}

pub(super) async fn show(room: Room, request: Request) -> Result<Response> {
    let (viewer, content) = room.scan("billing_page", &request, overview).await?;
    match content {
        Some(content) => page(&room, &request.head, &viewer, "Billing", &Refusal::default(), &content),
        None => answers::see_other("/billing/me"),
    }
}

/// None for members, who have a page of their own.
fn overview(room: &Room, snapshot: &Snapshot<'_>, who: &Principal) -> Result<Option<Overview>> {
    if !who.is_staff() {
        return Ok(None);
    }
    let (billing, tables) = (room.billing, snapshot.tables(Owner(())));
    let all = InvoiceFilter::default();
    let (mut invoices, _) = room.page_of(
        snapshot,
        who,
        None,
        |from, limit| billing.invoices(snapshot, &all, from, limit),
        |it: &Invoice| (it.id, it.user_id),
    )?;
    let (mut payments, _) = room.page_of(
        snapshot,
        who,
        None,
        |from, limit| billing.payments(snapshot, None, from, limit),
        |it: &Payment| (it.id, it.user_id),
    )?;
    invoices.truncate(LATEST);
    payments.truncate(LATEST);
    let steps = Steps {
        seller: !billing.settings(snapshot)?.0.seller.name.is_empty(),
        rate: !billing.tax_rates(snapshot, None, 1)?.is_empty(),
        product: !billing.products(snapshot, None, 1)?.is_empty(),
        price: !billing.prices(snapshot, None, None, 1)?.is_empty(),
    };
    Ok(Some(Overview {
        open: tables.sum_open()?,
        overdue: tables.sum_late(&billing.days(snapshot)?)?,
        monthly: tables.sum_monthly()?,
        invoices,
        payments,
        steps,
        is_failing: billing.webhook_endpoints(snapshot, None, AT_MOST)?.iter().any(|endpoint| endpoint.is_failing()),
    }))
}

impl Steps {
    fn are_done(&self) -> bool {
        self.seller && self.rate && self.product && self.price
    }
}
