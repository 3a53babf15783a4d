//! `/billing`: the console's pages for staff, everyone's own billing, and the invoice that a link shows to whoever has it.

mod accounts;
mod catalogue;
mod deliveries;
mod downloads;
mod drafts;
mod invoices;
mod links;
mod me;
mod overview;
mod payments;
mod repository;
mod settings;
mod sqlite;
mod subscriptions;
mod typed;
pub(in crate::modules::billing) mod view;
mod webhooks;
mod wishes;

pub(super) use downloads::{DownloadsApi, Form as FileForm, own as download};

use jiff::civil::Date;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use warp::path as at;
use warp::reply::Response;

use super::model::Details;
use super::rights::Room;
use super::{InvoiceId, PaymentId, SubscriptionId};
use crate::platform::auth::{Caller, Principal};
use crate::platform::db::{Snapshot, UnitOfWork};
use crate::platform::error::{Error, Result};
use crate::platform::http::page::Viewer;
use crate::platform::http::{self, Cursor, Refusal, Request, Routes, on};
use crate::platform::ids::{Id, UserId};
use typed::Typed;

/// Rows of a list on one page.
const ROWS: u32 = 30;

pub(super) fn routes(room: &Room) -> Option<Routes> {
    http::either([pages(room), downloads::routes(room)].into_iter().flatten())
}

fn pages(room: &Room) -> Option<Routes> {
    http::either([
        on(room).get(overview::show).at(at!("billing")),
        on(room).get(me::show).at(at!("billing" / "me")),
        on(room).get(me::show_edit).post(me::edit).at(at!("billing" / "me" / "details")),
        on(room).get(wishes::show_own_subscribe).post(wishes::own_subscribe).at(at!("billing" / "me" / "subscribe")),
        on(room).get(catalogue::show).at(at!("billing" / "catalogue")),
        on(room).get(catalogue::show_product).post(catalogue::add_product).at(at!("billing" / "products" / "add")),
        on(room).get(catalogue::show_edit).post(catalogue::edit).at(at!("billing" / "products" / String)),
        on(room).get(catalogue::show_price).post(catalogue::add_price).at(at!("billing" / "prices" / "add")),
        on(room).post(catalogue::retire_price).at(at!("billing" / "prices" / String / "retire")),
        on(room).get(catalogue::show_rate).post(catalogue::add_rate).at(at!("billing" / "tax-rates" / "add")),
        on(room).post(catalogue::retire_rate).at(at!("billing" / "tax-rates" / String / "retire")),
        on(room).get(settings::show).post(settings::change).at(at!("billing" / "settings")),
        on(room).get(accounts::list).at(at!("billing" / "accounts")),
        on(room).get(accounts::show).at(at!("billing" / "accounts" / String)),
        on(room).get(accounts::show_edit).post(accounts::edit).at(at!("billing" / "accounts" / String / "edit")),
        on(room)
            .get(payments::show_record)
            .post(payments::record)
            .at(at!("billing" / "accounts" / String / "payments")),
        on(room)
            .get(wishes::show_subscribe)
            .post(wishes::subscribe)
            .at(at!("billing" / "accounts" / String / "subscribe")),
        on(room).get(drafts::show_new).post(drafts::add).at(at!("billing" / "accounts" / String / "invoices" / "add")),
        on(room).get(subscriptions::list).at(at!("billing" / "subscriptions")),
        on(room).get(subscriptions::show).at(at!("billing" / "subscriptions" / String)),
        on(room).post(subscriptions::pause).at(at!("billing" / "subscriptions" / String / "pause")),
        on(room).get(wishes::show_change).post(wishes::change).at(at!("billing" / "subscriptions" / String / "change")),
        on(room).get(wishes::show_cancel).post(wishes::cancel).at(at!("billing" / "subscriptions" / String / "cancel")),
        on(room).get(wishes::show_resume).post(wishes::resume).at(at!("billing" / "subscriptions" / String / "resume")),
        on(room).get(invoices::list).at(at!("billing" / "invoices")),
        on(room).get(invoices::show).at(at!("billing" / "invoices" / String)),
        on(room).get(drafts::show_edit).post(drafts::edit).at(at!("billing" / "invoices" / String / "edit")),
        on(room).get(drafts::show_credit).post(drafts::credit).at(at!("billing" / "invoices" / String / "credit")),
        on(room).post(invoices::finalize).at(at!("billing" / "invoices" / String / "finalize")),
        on(room).get(invoices::confirm).post(invoices::void).at(at!("billing" / "invoices" / String / "void")),
        on(room).get(invoices::confirm).post(invoices::give_up).at(at!("billing" / "invoices" / String / "give-up")),
        on(room).get(invoices::confirm).post(invoices::delete).at(at!("billing" / "invoices" / String / "delete")),
        on(room).get(payments::list).at(at!("billing" / "payments")),
        on(room).get(payments::show).post(payments::refund).at(at!("billing" / "payments" / String)),
        on(room).get(webhooks::list).at(at!("billing" / "webhooks")),
        on(room).get(webhooks::show_add).post(webhooks::add).at(at!("billing" / "webhooks" / "add")),
        on(room).get(webhooks::show).at(at!("billing" / "webhooks" / String)),
        on(room).get(webhooks::show_edit).post(webhooks::edit).at(at!("billing" / "webhooks" / String / "edit")),
        on(room).post(webhooks::pause).at(at!("billing" / "webhooks" / String / "pause")),
        on(room).post(webhooks::resume).at(at!("billing" / "webhooks" / String / "resume")),
        on(room)
            .get(webhooks::show_secret)
            .post(webhooks::replace_secret)
            .at(at!("billing" / "webhooks" / String / "secret")),
        on(room).get(webhooks::show_remove).post(webhooks::remove).at(at!("billing" / "webhooks" / String / "remove")),
        on(room).get(deliveries::list).at(at!("billing" / "events")),
        on(room).get(deliveries::show_event).at(at!("billing" / "events" / String)),
        on(room).get(deliveries::show).at(at!("billing" / "deliveries" / String)),
        on(room).post(deliveries::repeat).at(at!("billing" / "deliveries" / String / "repeat")),
        on(room).get(invoices::by_link).at(at!("invoices" / String)),
    ])
}

/// Where a list goes on, and what it is narrowed to.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, bound = "")]
struct ListQuery<Kind> {
    cursor: Option<Cursor<Kind>>,
    /// Of invoices.
    #[serde(default)]
    state: String,
    /// Of accounts.
    #[serde(default)]
    q: String,
}

/// Something of a person's, with what they are called on invoices, and what day it is for them.
struct Of<T> {
    it: T,
    user: UserId,
    name: String,
    today: Date,
}

impl Room {
    /// Reads a page's content, and who looks at it, in one snapshot.
    async fn look<P, T, F>(&self, name: &'static str, request: &Request<P>, body: F) -> Result<(Viewer, T)>
    where
        F: FnOnce(&Room, &Snapshot<'_>, &Principal) -> Result<T> + Send + 'static,
        T: Send + 'static,
    {
        let room = self.clone();
        self.platform.look(name, request, move |snapshot, who| body(&room, snapshot, who)).await
    }

    /// As [`Room::look`], off the threads that serve requests: for sums over all there is.
    async fn scan<P, T, F>(&self, name: &'static str, request: &Request<P>, body: F) -> Result<(Viewer, T)>
    where
        F: FnOnce(&Room, &Snapshot<'_>, &Principal) -> Result<T> + Send + 'static,
        T: Send + 'static,
    {
        let room = self.clone();
        let look = move |snapshot: &Snapshot<'_>, who: &Principal| {
            let content = body(&room, snapshot, who)?;
            Ok(((room.platform.viewer)(snapshot, who)?, content))
        };
        self.platform.scan(name, request, look).await
    }

    async fn change<T, F>(&self, name: &'static str, caller: Caller, body: F) -> Result<T>
    where
        F: FnOnce(&Room, &UnitOfWork<'_>) -> Result<T> + Send + 'static,
        T: Send + 'static,
    {
        let room = self.clone();
        self.platform.change(name, caller, move |work| body(&room, work)).await
    }

    /// As [`Room::change`], once for each key that a form bears: sent twice, it gives the same.
    async fn once<P, T, F>(
        &self,
        name: &'static str,
        request: &Request<P>,
        who: &Principal,
        typed: &Typed,
        body: F,
    ) -> Result<T>
    where
        F: FnOnce(&Room, &UnitOfWork<'_>) -> Result<T> + Send + 'static,
        T: Serialize + DeserializeOwned + Send + 'static,
    {
        let (room, call) = (self.clone(), request.form_call(who, typed.text("key"), &typed.said())?);
        let saved = self.platform.write(name, call, move |work| body(&room, work)).await;
        let saved = saved.map_err(|error| match error {
            Error::Invalid(wrong) if wrong.iter().any(|one| one.field == "Idempotency-Key") => Error::Conflict {
                field: None,
                detail: "this form was sent before with something else in it, and that was taken: look at it first"
                    .into(),
            },
            other => other,
        });
        match saved? {
            http::Saved::Fresh(made) => Ok(made),
            http::Saved::Replayed(json) => {
                serde_json::from_slice(&json).map_err(|e| Error::internal("reading an answer", e))
            }
        }
    }

    fn manages(&self, snapshot: &Snapshot<'_>, who: &Principal, user: UserId) -> Result<bool> {
        match self.must_manage(snapshot, who, Ok(user)) {
            Ok(_) => Ok(true),
            Err(Error::Forbidden(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// One page of a list: those of whom `who` looks after, read batch by batch.
    fn page_of<T, Kind>(
        &self,
        snapshot: &Snapshot<'_>,
        who: &Principal,
        from: Option<Cursor<Kind>>,
        fetch: impl Fn(Option<Id<Kind>>, u32) -> Result<Vec<T>>,
        of: impl Fn(&T) -> (Id<Kind>, UserId),
    ) -> Result<(Vec<Of<T>>, Option<String>)> {
        who.must_be_staff()?;
        let mut from = from.map(|Cursor(id)| id);
        let mut rows = Vec::new();
        // One more than shown tells whether there is a next page.
        let wanted = ROWS as usize + 1;
        while rows.len() < wanted {
            let batch = fetch(from, ROWS + 1)?;
            let exhausted = batch.len() < wanted;
            from = batch.last().map(|it| of(it).0);
            for it in batch {
                let user = of(&it).1;
                if self.manages(snapshot, who, user)? {
                    let details = self.billing.details(snapshot, user)?;
                    rows.push(Of { it, user, name: view::name_of(&details), today: details.today(snapshot.now()) });
                }
            }
            if exhausted {
                break;
            }
        }
        let more = rows.len() >= wanted;
        rows.truncate(ROWS as usize);
        let next = rows.last().filter(|_| more).map(|last| Cursor(of(&last.it).0).text());
        Ok((rows, next))
    }

    /// The account of an address, which `who` must look after.
    fn managed(&self, snapshot: &Snapshot<'_>, who: &Principal, id: Result<UserId>) -> Result<Details> {
        let id = self.must_manage(snapshot, who, id)?;
        self.billing.details(snapshot, id)
    }
}

fn user_of(request: &Request<String>) -> Result<UserId> {
    UserId::parse(&request.path, "billing account")
}

fn subscription_of(request: &Request<String>) -> Result<SubscriptionId> {
    SubscriptionId::parse(&request.path, "subscription")
}

fn invoice_of(request: &Request<String>) -> Result<InvoiceId> {
    InvoiceId::parse(&request.path, "invoice")
}

fn payment_of(request: &Request<String>) -> Result<PaymentId> {
    PaymentId::parse(&request.path, "payment")
}

/// Refuses a form that was filled in over another version than there is now.
fn must_still_be(typed: &Typed, version: i64) -> Result<()> {
    if typed.text("version") == version.to_string() { Ok(()) } else { Err(Error::Stale) }
}

/// A console page of billing with a form on it.
fn page(
    room: &Room,
    head: &http::Head,
    viewer: &Viewer,
    title: &str,
    refused: &Refusal,
    content: &impl askama::Template,
) -> Result<Response> {
    room.platform.show(head, viewer, title, refused, content)
}
