//! What billing holds on a person.

use serde_json::{Value, json};

use super::invoices::Filter;
use super::repository::AccountRepository;
use super::{Billing, InvoiceId, Owner, PaymentId, SubscriptionId};
use crate::platform::db::Snapshot;
use crate::platform::error::{Error, Result};
use crate::platform::ids::UserId;

/// How much of each is read at once.
const AT_ONCE: u32 = 500;

impl Billing {
    /// A person's account, subscriptions, invoices as they say it, and payments; null where there is no account.
    pub(super) fn export_account(&self, snapshot: &Snapshot<'_>, user: UserId) -> Result<Value> {
        let Some(details) = snapshot.tables(Owner(())).find_details(user)? else { return Ok(Value::Null) };
        let mut subscriptions = Vec::new();
        let all = |before: Option<SubscriptionId>| self.subscriptions(snapshot, Some(user), before, AT_ONCE);
        for one in whole(all, |one| one.id)? {
            let events = self.subscription_events(snapshot, one.id, u32::MAX)?;
            let events =
                events.iter().map(|event| json!({ "at": event.at, "kind": event.kind, "detail": event.detail }));
            subscriptions.push(json!({
                "id": one.id, "plan": self.price(snapshot, one.price_id)?.plan, "seats": one.seats, "state": one.state,
                "started_on": one.started_on, "trial_until": one.trial_until, "period": one.period,
                "ended_on": one.ended_on, "events": events.collect::<Vec<_>>(),
            }));
        }
        let mut invoices = Vec::new();
        let filter = Filter { user: Some(user), ..Filter::default() };
        let all = |before: Option<InvoiceId>| self.invoices(snapshot, &filter, before, AT_ONCE);
        for one in whole(all, |one| one.id)? {
            invoices.push(json!({
                "id": one.id, "state": one.state, "due_minor": one.due_minor, "settled_at": one.settled_at,
                "document": self.document(snapshot, one.id)?,
            }));
        }
        let mut payments = Vec::new();
        let all = |before: Option<PaymentId>| self.payments(snapshot, Some(user), before, AT_ONCE);
        for one in whole(all, |one| one.id)? {
            let refunds = self.refunds(snapshot, one.id)?;
            let refunds = refunds
                .iter()
                .map(|back| json!({ "amount_minor": back.amount_minor, "reason": back.reason, "at": back.created_at }));
            payments.push(json!({
                "id": one.id, "amount_minor": one.amount_minor, "currency": one.currency, "method": one.method,
                "reference": one.reference, "received_on": one.received_on, "refunds": refunds.collect::<Vec<_>>(),
            }));
        }
        let account = serde_json::to_value(details).map_err(|e| Error::internal("exporting a billing account", e))?;
        Ok(json!({ "account": account, "subscriptions": subscriptions, "invoices": invoices, "payments": payments }))
    }
}

/// All that a list has, page by page.
fn whole<T, I>(list: impl Fn(Option<I>) -> Result<Vec<T>>, id: impl Fn(&T) -> I) -> Result<Vec<T>> {
    let mut all = Vec::new();
    loop {
        let before = all.last().map(&id);
        let page = list(before)?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}
