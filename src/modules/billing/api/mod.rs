//! `/api/billing`: a handler reads what is asked for, calls the face, answers. Whose a thing is decides who may ask for it
//! (`rights.rs`): that is looked at when a request is let in, and again in the transaction that changes something.

mod accounts;
mod catalogue;
mod documents;
mod invoices;
mod ledger;
mod payments;
mod settings;
mod subscriptions;

use bytes::Bytes;
use serde::Serialize;
use utoipa::OpenApi;
use warp::http::StatusCode;
use warp::path as at;
use warp::reply::Response;

use super::rights::Room;
use crate::platform::auth::Principal;
use crate::platform::db::{Snapshot, UnitOfWork};
use crate::platform::error::Result;
use crate::platform::http::{self, Cursor, Limit, Request, Routes, answers, on};
use crate::platform::ids::Id;

#[derive(OpenApi)]
#[openapi(paths(
    settings::show,
    settings::put,
    catalogue::list_products,
    catalogue::add_product,
    catalogue::show_product,
    catalogue::change_product,
    catalogue::list_prices,
    catalogue::add_price,
    catalogue::show_price,
    catalogue::retire_price,
    catalogue::list_tax_rates,
    catalogue::add_tax_rate,
    catalogue::show_tax_rate,
    catalogue::retire_tax_rate,
    accounts::show,
    accounts::change,
    accounts::set_test_clock,
    subscriptions::list,
    subscriptions::begin,
    subscriptions::preview_begin,
    subscriptions::show,
    subscriptions::change,
    subscriptions::preview_change,
    subscriptions::cancel,
    subscriptions::preview_cancel,
    subscriptions::take_back,
    subscriptions::pause,
    subscriptions::unpause,
    subscriptions::events,
    invoices::list,
    invoices::add,
    invoices::show,
    invoices::put,
    invoices::delete,
    invoices::finalize,
    invoices::pay,
    invoices::void,
    invoices::write_off,
    invoices::credit,
    payments::list,
    payments::add,
    payments::show,
    payments::refund,
    ledger::entries,
    ledger::balances,
))]
pub(super) struct BillingApi;

pub(super) fn routes(room: &Room) -> Option<Routes> {
    http::either([
        on(room).get(settings::show).put(settings::put).at(at!("api" / "billing" / "settings")),
        on(room).get(catalogue::list_products).post(catalogue::add_product).at(at!("api" / "billing" / "products")),
        on(room)
            .get(catalogue::show_product)
            .patch(catalogue::change_product)
            .at(at!("api" / "billing" / "products" / String)),
        on(room).get(catalogue::list_prices).post(catalogue::add_price).at(at!("api" / "billing" / "prices")),
        on(room).get(catalogue::show_price).at(at!("api" / "billing" / "prices" / String)),
        on(room).post(catalogue::retire_price).at(at!("api" / "billing" / "prices" / String / "retirement")),
        on(room).get(catalogue::list_tax_rates).post(catalogue::add_tax_rate).at(at!("api" / "billing" / "tax-rates")),
        on(room).get(catalogue::show_tax_rate).at(at!("api" / "billing" / "tax-rates" / String)),
        on(room).post(catalogue::retire_tax_rate).at(at!("api" / "billing" / "tax-rates" / String / "retirement")),
        on(room).get(accounts::show).patch(accounts::change).at(at!("api" / "billing" / "accounts" / String)),
        on(room).put(accounts::set_test_clock).at(at!("api" / "billing" / "accounts" / String / "test-clock")),
        on(room).get(subscriptions::list).post(subscriptions::begin).at(at!("api" / "billing" / "subscriptions")),
        // Before those by id, of which it is none.
        on(room).post(subscriptions::preview_begin).at(at!("api" / "billing" / "subscriptions" / "preview")),
        on(room).get(subscriptions::show).at(at!("api" / "billing" / "subscriptions" / String)),
        on(room).get(subscriptions::events).at(at!("api" / "billing" / "subscriptions" / String / "events")),
        on(room).post(subscriptions::change).at(at!("api" / "billing" / "subscriptions" / String / "changes")),
        on(room).post(subscriptions::preview_change).at(at!("api"
            / "billing"
            / "subscriptions"
            / String
            / "changes"
            / "preview")),
        on(room).post(subscriptions::cancel).delete(subscriptions::take_back).at(at!("api"
            / "billing"
            / "subscriptions"
            / String
            / "cancellation")),
        on(room).post(subscriptions::preview_cancel).at(at!("api"
            / "billing"
            / "subscriptions"
            / String
            / "cancellation"
            / "preview")),
        on(room).post(subscriptions::pause).delete(subscriptions::unpause).at(at!("api"
            / "billing"
            / "subscriptions"
            / String
            / "pause")),
        on(room).get(invoices::list).post(invoices::add).at(at!("api" / "billing" / "invoices")),
        on(room)
            .get(invoices::show)
            .put(invoices::put)
            .delete(invoices::delete)
            .at(at!("api" / "billing" / "invoices" / String)),
        on(room).post(invoices::finalize).at(at!("api" / "billing" / "invoices" / String / "finalization")),
        on(room).post(invoices::pay).at(at!("api" / "billing" / "invoices" / String / "payments")),
        on(room).post(invoices::void).at(at!("api" / "billing" / "invoices" / String / "void")),
        on(room).post(invoices::write_off).at(at!("api" / "billing" / "invoices" / String / "uncollectible")),
        on(room).post(invoices::credit).at(at!("api" / "billing" / "invoices" / String / "credit-notes")),
        on(room).get(payments::list).post(payments::add).at(at!("api" / "billing" / "payments")),
        on(room).get(payments::show).at(at!("api" / "billing" / "payments" / String)),
        on(room).post(payments::refund).at(at!("api" / "billing" / "payments" / String / "refunds")),
        on(room).get(ledger::entries).at(at!("api" / "billing" / "ledger" / "entries")),
        on(room).get(ledger::balances).at(at!("api" / "billing" / "ledger" / "balances")),
    ])
}

impl Room {
    /// Who asks, if they are staff.
    async fn staff<P>(&self, request: &Request<P>) -> Result<Principal> {
        let who = self.platform.principal(request).await?;
        who.must_be_staff()?;
        Ok(who)
    }

    /// Who asks, if `may` lets them in, and what it found.
    async fn let_in<P, T, F>(&self, name: &'static str, request: &Request<P>, may: F) -> Result<(Principal, T)>
    where
        F: FnOnce(&Room, &Snapshot<'_>, &Principal) -> Result<T> + Send + 'static,
        T: Send + 'static,
    {
        let it = self.clone();
        self.platform.read(name, request, move |snapshot, who| Ok((*who, may(&it, snapshot, who)?))).await
    }

    /// Answers what is read for whoever may see it.
    async fn answer<P, T, F>(&self, name: &'static str, request: &Request<P>, find: F) -> Result<Response>
    where
        F: FnOnce(&Room, &Snapshot<'_>, &Principal) -> Result<T> + Send + 'static,
        T: Serialize + Send + 'static,
    {
        let (_, found) = self.let_in(name, request, find).await?;
        answers::json(StatusCode::OK, &found)
    }

    /// As [`Room::answer`], for lists, whose length nobody bounds: off the threads that serve requests.
    async fn answer_list<P, T, F>(&self, name: &'static str, request: &Request<P>, find: F) -> Result<Response>
    where
        F: FnOnce(&Room, &Snapshot<'_>, &Principal) -> Result<T> + Send + 'static,
        T: Serialize + Send + 'static,
    {
        let it = self.clone();
        let found = self.platform.scan(name, request, move |snapshot, who| find(&it, snapshot, who)).await?;
        answers::json(StatusCode::OK, &found)
    }

    /// Does what a `POST` asks for, once for each key, and answers what came of it.
    async fn make<P, T, F>(
        &self,
        name: &'static str,
        asked: Asked<'_, P>,
        status: StatusCode,
        body: F,
    ) -> Result<Response>
    where
        F: FnOnce(&Room, &UnitOfWork<'_>, &Principal) -> Result<T> + Send + 'static,
        T: Serialize + Send + 'static,
    {
        let (it, who) = (self.clone(), asked.who);
        let call = asked.request.call(Some(&who))?.with_body(&asked.body);
        answers::saved(status, &self.platform.write(name, call, move |work| body(&it, work, &who)).await?)
    }

    /// Does what any other request asks for.
    async fn alter<P, T, F>(&self, name: &'static str, request: &Request<P>, who: Principal, body: F) -> Result<T>
    where
        F: FnOnce(&Room, &UnitOfWork<'_>, &Principal) -> Result<T> + Send + 'static,
        T: Send + 'static,
    {
        let it = self.clone();
        self.platform.change(name, request.caller(&who), move |work| body(&it, work, &who)).await
    }
}

/// A `POST`, read whole, of somebody who was let in.
struct Asked<'a, P> {
    request: &'a Request<P>,
    who: Principal,
    body: Bytes,
}

/// The version that a request wants a thing to have still.
fn wanted_version<P>(request: &Request<P>) -> Option<String> {
    request.if_match().map(str::to_owned)
}

/// One page of a list, newest first: of what `list` gives behind an item, that which `may_see` lets through.
pub(super) fn page<T, K>(
    Limit(limit): Limit,
    cursor: Option<Cursor<K>>,
    id: impl Fn(&T) -> Id<K>,
    list: impl Fn(Option<Id<K>>, u32) -> Result<Vec<T>>,
    mut may_see: impl FnMut(&T) -> Result<bool>,
) -> Result<(Vec<T>, Option<Cursor<K>>)> {
    // One more than asked for tells whether there is a next page.
    let wanted = limit as usize + 1;
    let mut before = cursor.map(|Cursor(id)| id);
    let mut items = Vec::new();
    while items.len() < wanted {
        let batch = list(before, limit + 1)?;
        let exhausted = batch.len() < wanted;
        before = batch.last().map(&id);
        for item in batch {
            if may_see(&item)? {
                items.push(item);
            }
        }
        if exhausted {
            break;
        }
    }
    let more = items.len() >= wanted;
    items.truncate(limit as usize);
    let next_cursor = items.last().filter(|_| more).map(|last| Cursor(id(last)));
    Ok((items, next_cursor))
}
