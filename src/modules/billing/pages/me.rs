//! `/billing/me`: one's own billing.

use askama::Template;
use warp::reply::Response;

use super::accounts::{self, Books};
use super::typed::Typed;
use super::{Room, must_still_be, page, view};
use crate::modules::billing::invoices::document::BankAccount;
use crate::platform::error::Result;
use crate::platform::http::{Refusal, Request, answers};

#[derive(Template)]
#[template(path = "modules/billing/pages/templates/me.html", config = "src/askama.toml")]
struct Me {
    books: Books,
    /// Where to pay to by transfer, and who that is.
    bank: Option<BankAccount>,
    seller: String,
    done: Option<&'static str>,
}

/// `GET /billing/me`
pub(super) async fn show(room: Room, request: Request) -> Result<Response> {
    let (viewer, (mut books, settings)) = room
        .look("own_billing_page", &request, |room, snapshot, who| {
            let details = room.billing.details(snapshot, who.user)?;
            let (settings, _) = room.billing.settings(snapshot)?;
            Ok((accounts::books(room, snapshot, details)?, settings))
        })
        .await?;
    // What is not finalised is not said yet.
    books.invoices.retain(|invoice| invoice.number.is_some());
    let content = Me { books, bank: settings.bank, seller: settings.seller.name, done: view::done(&request.head) };
    page(&room, &request.head, &viewer, "My billing", &Refusal::default(), &content)
}

/// `GET /billing/me/details`
pub(super) async fn show_edit(room: Room, request: Request) -> Result<Response> {
    edit_page(&room, &request, None, Refusal::default()).await
}

async fn edit_page(room: &Room, request: &Request, typed: Option<Typed>, refused: Refusal) -> Result<Response> {
    let (viewer, (details, spoken, now)) = room
        .look("own_billing_details_page", request, |room, snapshot, who| {
            let details = room.billing.details(snapshot, who.user)?;
            let spoken = room.billing.language_of(snapshot, &details)?;
            Ok((details, spoken, snapshot.now()))
        })
        .await?;
    let content = accounts::own_page(details, spoken, typed, now, &refused);
    page(room, &request.head, &viewer, "My billing details", &refused, &content)
}

/// `POST /billing/me/details`
pub(super) async fn edit(room: Room, mut request: Request) -> Result<Response> {
    let who = room.platform.principal(&request).await?;
    let typed: Typed = request.form().await?;
    let (form, change) = (typed.clone(), accounts::change_of(&typed, true)?);
    let edit = room.change("change_own_billing_account", request.caller(&who), move |room, work| {
        room.billing.change_account(work, who.user, change, |now| must_still_be(&form, now.version))
    });
    match edit.await {
        Ok(_) => answers::see_other("/billing/me?done=account-saved"),
        Err(error) => edit_page(&room, &request, Some(typed), Refusal::of(error)?).await,
    }
}
