//! Subscriptions: begun, changed, paused, cancelled, renewed. Each of these is planned first, and a preview shows the plan
//! that is then carried out.

mod model;
mod planning;
mod repository;
mod sqlite;

pub use model::{
    Cancellation, Event, Movement, NewSubscription, State, Subscription, SubscriptionChange, SubscriptionId, When,
};
pub use planning::Planned;
pub(super) use repository::SubscriptionRepository;

use super::invoices::Issued;
use super::invoices::document::Document;
use super::model::Details;
use super::{Billing, Owner, calendar, record_about};
use crate::platform::db::{Snapshot, UnitOfWork};
use crate::platform::error::{Error, Result};
use crate::platform::ids::UserId;
use model::not_now;

/// What a wish would do, or has done.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub subscription: Subscription,
    /// The invoice or credit note that it makes; without a number in a preview.
    pub document: Option<Document>,
}

impl Billing {
    pub fn subscription(&self, snapshot: &Snapshot<'_>, id: SubscriptionId) -> Result<Subscription> {
        snapshot.tables(Owner(())).find_subscription(id)?.ok_or(Error::NotFound("subscription"))
    }

    /// Before `before`, newest first; of one person where they are named.
    pub fn subscriptions(
        &self,
        snapshot: &Snapshot<'_>,
        user: Option<UserId>,
        before: Option<SubscriptionId>,
        limit: u32,
    ) -> Result<Vec<Subscription>> {
        snapshot.tables(Owner(())).list_subscriptions(user, before, limit)
    }

    /// What happened to a subscription, newest first.
    pub fn subscription_events(&self, snapshot: &Snapshot<'_>, id: SubscriptionId, limit: u32) -> Result<Vec<Event>> {
        snapshot.tables(Owner(())).list_events(id, limit)
    }

    /// Begins a subscription, and charges its first period unless that is a trial.
    pub fn subscribe(&self, work: &UnitOfWork<'_>, user: UserId, new: &NewSubscription) -> Result<Outcome> {
        let mut details = self.details(work, user)?;
        let planned = self.plan_start(work, &details, work.new_id(), new)?;
        self.carry_out(work, &mut details, None, planned)
    }

    pub fn preview_subscribe(&self, snapshot: &Snapshot<'_>, user: UserId, new: &NewSubscription) -> Result<Outcome> {
        let details = self.details(snapshot, user)?;
        let planned = self.plan_start(snapshot, &details, SubscriptionId::new(snapshot.now()), new)?;
        self.foresee(snapshot, &details, planned)
    }

    /// Changes plan or seats, if the subscription is still what `check` wants it to be.
    pub fn change_subscription(
        &self,
        work: &UnitOfWork<'_>,
        id: SubscriptionId,
        change: &SubscriptionChange,
        check: impl FnOnce(&Subscription) -> Result<()>,
    ) -> Result<Outcome> {
        let before = self.subscription(work, id)?;
        check(&before)?;
        let mut details = self.details(work, before.user_id)?;
        let planned = self.plan_change(work, &details, &before, change)?;
        self.carry_out(work, &mut details, Some(&before), planned)
    }

    pub fn preview_change(
        &self,
        snapshot: &Snapshot<'_>,
        id: SubscriptionId,
        change: &SubscriptionChange,
    ) -> Result<Outcome> {
        let before = self.subscription(snapshot, id)?;
        let details = self.details(snapshot, before.user_id)?;
        let planned = self.plan_change(snapshot, &details, &before, change)?;
        self.foresee(snapshot, &details, planned)
    }

    /// Ends a subscription now, or at the end of its period.
    ///
    /// # Errors
    /// [`Error::Conflict`] if it has ended.
    pub fn cancel(
        &self,
        work: &UnitOfWork<'_>,
        id: SubscriptionId,
        wish: &Cancellation,
        check: impl FnOnce(&Subscription) -> Result<()>,
    ) -> Result<Outcome> {
        let before = self.subscription(work, id)?;
        check(&before)?;
        let mut details = self.details(work, before.user_id)?;
        let planned = self.plan_cancellation(work, &details, &before, wish)?;
        self.carry_out(work, &mut details, Some(&before), planned)
    }

    pub fn preview_cancel(&self, snapshot: &Snapshot<'_>, id: SubscriptionId, wish: &Cancellation) -> Result<Outcome> {
        let before = self.subscription(snapshot, id)?;
        let details = self.details(snapshot, before.user_id)?;
        let planned = self.plan_cancellation(snapshot, &details, &before, wish)?;
        self.foresee(snapshot, &details, planned)
    }

    /// Takes back a cancellation or a change at the end of the period, or goes on after a pause.
    pub fn resume(
        &self,
        work: &UnitOfWork<'_>,
        id: SubscriptionId,
        check: impl FnOnce(&Subscription) -> Result<()>,
    ) -> Result<Outcome> {
        let before = self.subscription(work, id)?;
        check(&before)?;
        let mut details = self.details(work, before.user_id)?;
        let planned = self.plan_resumption(work, &details, &before)?;
        self.carry_out(work, &mut details, Some(&before), planned)
    }

    pub fn preview_resume(&self, snapshot: &Snapshot<'_>, id: SubscriptionId) -> Result<Outcome> {
        let before = self.subscription(snapshot, id)?;
        let details = self.details(snapshot, before.user_id)?;
        let planned = self.plan_resumption(snapshot, &details, &before)?;
        self.foresee(snapshot, &details, planned)
    }

    /// Bills no further periods until it is resumed.
    pub fn pause_subscription(
        &self,
        work: &UnitOfWork<'_>,
        id: SubscriptionId,
        check: impl FnOnce(&Subscription) -> Result<()>,
    ) -> Result<Outcome> {
        let before = self.subscription(work, id)?;
        check(&before)?;
        let mut details = self.details(work, before.user_id)?;
        if !before.state.is_recurring() {
            return Err(not_now(format!(
                "this subscription is {}: only what is active can be paused",
                before.state.as_str()
            )));
        }
        let mut after = before.clone();
        after.state = State::Paused;
        let planned = Planned::without_document(after, "paused", "Paused: no further period is billed");
        self.carry_out(work, &mut details, Some(&before), planned)
    }

    /// Does the next thing that is due, if it is by the account's today: the end of a trial, of a period. Returns whether
    /// there was one.
    pub(super) fn step(&self, work: &UnitOfWork<'_>, id: SubscriptionId) -> Result<bool> {
        let before = self.subscription(work, id)?;
        let mut details = self.details(work, before.user_id)?;
        let today = details.today(work.now());
        let Some(day) = before.next_day().filter(|day| *day <= today) else { return Ok(false) };
        let planned = self.plan_step(work, &details, &before, day)?;
        self.carry_out(work, &mut details, Some(&before), planned)?;
        Ok(true)
    }

    /// Marks a subscription as past due, or as well again.
    pub(super) fn set_past_due(&self, work: &UnitOfWork<'_>, id: SubscriptionId, is_past_due: bool) -> Result<()> {
        let before = self.subscription(work, id)?;
        let (from, to) = if is_past_due { (State::Active, State::PastDue) } else { (State::PastDue, State::Active) };
        if before.state != from {
            return Ok(());
        }
        let mut details = self.details(work, before.user_id)?;
        let mut after = before.clone();
        after.state = to;
        let planned = match is_past_due {
            true => Planned::without_document(after, "past_due", "An invoice is overdue"),
            false => Planned::without_document(after, "recovered", "What was overdue is paid"),
        };
        self.carry_out(work, &mut details, Some(&before), planned).map(drop)
    }

    /// What would become of a plan.
    fn foresee(&self, snapshot: &Snapshot<'_>, details: &Details, planned: Planned) -> Result<Outcome> {
        let Planned { after: subscription, draft, .. } = planned;
        let document = draft.map(|mut draft| self.preview(snapshot, details, &mut draft)).transpose()?;
        Ok(Outcome { subscription, document })
    }

    fn carry_out(
        &self,
        work: &UnitOfWork<'_>,
        details: &mut Details,
        before: Option<&Subscription>,
        planned: Planned,
    ) -> Result<Outcome> {
        let Planned { mut after, draft, charged_by, kind, detail } = planned;
        // The same period twice would be a fault of ours; the key of its invoice refuses it in any case.
        let issued: Option<Issued> = draft.map(|draft| self.issue(work, work.new_id(), details, draft)).transpose()?;
        // A credit note may have settled what was overdue.
        let mut seen = before.map_or(0, |before| before.version);
        if let Some(before) = before.filter(|before| before.state == State::PastDue) {
            let now = self.subscription(work, before.id)?;
            if after.state == before.state {
                after.state = now.state;
            }
            seen = now.version;
        }
        if let Some(position) = charged_by {
            after.charge = issued.as_ref().map(|issued| (issued.invoice.id, position));
        }
        after.due_at = after.next_day().map(|day| calendar::start_of(day, &details.zone())).transpose()?;
        after.version = seen + 1;
        after.updated_at = work.now();
        let tables = work.tables(Owner(()));
        match before {
            None => tables.insert_subscription(&after)?,
            Some(_) => tables.update_subscription(&after)?,
        }
        let event = self.event(work, details, before, &after, kind, detail)?;
        tables.insert_event(&after, &event, work.new_id())?;
        // Nobody did a renewal: its time line and its invoice say what there is to say.
        if kind != "renewed" {
            let was = before.map(|before| before.state);
            record_about(
                work,
                "billing.subscription_changed",
                after.id,
                after.user_id,
                was.as_ref(),
                Some(&after.state),
            )?;
        }
        self.tell_subscription(work, before, &after)?;
        Ok(Outcome { subscription: after, document: issued.map(|issued| issued.document) })
    }

    fn event(
        &self,
        snapshot: &Snapshot<'_>,
        details: &Details,
        before: Option<&Subscription>,
        after: &Subscription,
        kind: &'static str,
        detail: String,
    ) -> Result<Event> {
        let costs = |of: &Subscription| (of.price_id, of.seats, of.state.is_recurring());
        let (then, now) = match before {
            Some(before) if costs(before) == costs(after) => (0, 0),
            Some(before) => (self.monthly(snapshot, before)?, self.monthly(snapshot, after)?),
            None => (0, self.monthly(snapshot, after)?),
        };
        let movement = match Movement::of(then, now) {
            // A pause is no end.
            Some(Movement::Churn) if after.state == State::Paused => Some(Movement::Contraction),
            Some(Movement::New) if before.is_some_and(|before| before.state == State::Paused) => {
                Some(Movement::Expansion)
            }
            other => other,
        };
        let at = details.now(snapshot.now());
        Ok(Event {
            at,
            day: details.today(snapshot.now()),
            kind: kind.to_owned(),
            detail,
            currency: details.account.currency,
            movement,
            mrr_delta_minor: now - then,
        })
    }

    /// What it brings a month.
    pub fn monthly(&self, snapshot: &Snapshot<'_>, subscription: &Subscription) -> Result<i64> {
        match subscription.state.is_recurring() {
            true => self.price(snapshot, subscription.price_id)?.monthly(subscription.seats),
            false => Ok(0),
        }
    }
}
