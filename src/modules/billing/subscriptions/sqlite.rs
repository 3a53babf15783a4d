//! Subscriptions in SQLite.

use jiff::civil::Date;
use rusqlite::Row;

use super::model::{Event, Subscription, SubscriptionId};
use super::repository::SubscriptionRepository;
use crate::modules::billing::Owner;
use crate::modules::billing::invoices::document::Period;
use crate::modules::billing::sqlite::{day, maybe, parsed, said};
use crate::platform::clock::Time;
use crate::platform::db::Tables;
use crate::platform::error::Result;
use crate::platform::ids::{Id, UserId};
use crate::sql;

impl SubscriptionRepository for Tables<'_, Owner> {
    fn insert_subscription(&self, s: &Subscription) -> Result<()> {
        self.execute(
            sql!(
                "INSERT INTO billing_subscriptions (id, user_id, price_id, seats, state, billing_day, anchor, started_on,
                                                    trial_until, period_from, period_until, charge_invoice,
                                                    charge_position, cancel_at_end, next_price_id, next_seats, ended_on,
                                                    due_at, version, created_at, updated_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21)"
            ),
            rusqlite::params![
                s.id,
                s.user_id,
                s.price_id,
                s.seats,
                s.state.as_str(),
                s.billing_day,
                day(Some(s.anchor)),
                day(Some(s.started_on)),
                day(s.trial_until),
                day(s.period.map(|period| period.from)),
                day(s.period.map(|period| period.until)),
                s.charge.map(|(invoice, _)| invoice),
                s.charge.map(|(_, position)| position),
                s.cancel_at_end,
                s.next.map(|(price, _)| price),
                s.next.map(|(_, seats)| seats),
                day(s.ended_on),
                s.due_at,
                s.version,
                s.created_at,
                s.updated_at,
            ],
        )
        .map(drop)
    }

    fn update_subscription(&self, s: &Subscription) -> Result<()> {
        self.execute(
            sql!(
                "UPDATE billing_subscriptions
                 SET price_id = ?2, seats = ?3, state = ?4, billing_day = ?5, anchor = ?6, trial_until = ?7,
                     period_from = ?8, period_until = ?9, charge_invoice = ?10, charge_position = ?11, cancel_at_end = ?12,
                     next_price_id = ?13, next_seats = ?14, ended_on = ?15, due_at = ?16, version = ?17, updated_at = ?18
                 WHERE id = ?1"
            ),
            rusqlite::params![
                s.id,
                s.price_id,
                s.seats,
                s.state.as_str(),
                s.billing_day,
                day(Some(s.anchor)),
                day(s.trial_until),
                day(s.period.map(|period| period.from)),
                day(s.period.map(|period| period.until)),
                s.charge.map(|(invoice, _)| invoice),
                s.charge.map(|(_, position)| position),
                s.cancel_at_end,
                s.next.map(|(price, _)| price),
                s.next.map(|(_, seats)| seats),
                day(s.ended_on),
                s.due_at,
                s.version,
                s.updated_at,
            ],
        )
        .map(drop)
    }

    fn find_subscription(&self, id: SubscriptionId) -> Result<Option<Subscription>> {
        self.fetch_optional(
            sql!(
                "SELECT id, user_id, price_id, seats, state, billing_day, anchor, started_on, trial_until, period_from,
                        period_until, charge_invoice, charge_position, cancel_at_end, next_price_id, next_seats, ended_on,
                        due_at, version, created_at, updated_at
                 FROM billing_subscriptions WHERE id = ?1"
            ),
            [id],
            subscription,
        )
    }

    fn list_subscriptions(
        &self,
        user: Option<UserId>,
        before: Option<SubscriptionId>,
        limit: u32,
    ) -> Result<Vec<Subscription>> {
        match user {
            Some(user) => self.fetch_all(
                sql!(
                    "SELECT id, user_id, price_id, seats, state, billing_day, anchor, started_on, trial_until, period_from,
                            period_until, charge_invoice, charge_position, cancel_at_end, next_price_id, next_seats,
                            ended_on, due_at, version, created_at, updated_at
                     FROM billing_subscriptions WHERE user_id = ?1 AND (?2 IS NULL OR id < ?2) ORDER BY id DESC LIMIT ?3"
                ),
                (user, before, limit),
                subscription,
            ),
            None => self.fetch_all(
                sql!(
                    "SELECT id, user_id, price_id, seats, state, billing_day, anchor, started_on, trial_until, period_from,
                            period_until, charge_invoice, charge_position, cancel_at_end, next_price_id, next_seats,
                            ended_on, due_at, version, created_at, updated_at
                     FROM billing_subscriptions WHERE ?1 IS NULL OR id < ?1 ORDER BY id DESC LIMIT ?2"
                ),
                (before, limit),
                subscription,
            ),
        }
    }

    fn list_due(&self, now: Time, limit: u32) -> Result<Vec<SubscriptionId>> {
        self.fetch_all(
            sql!(
                "SELECT s.id FROM billing_subscriptions s JOIN billing_accounts a ON a.user_id = s.user_id
                 WHERE s.due_at <= ?1 AND a.test_clock_at IS NULL ORDER BY s.due_at, s.id LIMIT ?2"
            ),
            (now, limit),
            |row| row.get(0),
        )
    }

    fn list_due_of(&self, user: UserId, now: Time, limit: u32) -> Result<Vec<SubscriptionId>> {
        self.fetch_all(
            sql!(
                "SELECT id FROM billing_subscriptions WHERE user_id = ?1 AND due_at <= ?2 ORDER BY due_at, id LIMIT ?3"
            ),
            (user, now, limit),
            |row| row.get(0),
        )
    }

    fn insert_event(&self, s: &Subscription, event: &Event, id: Id<Event>) -> Result<()> {
        self.execute(
            sql!(
                "INSERT INTO billing_subscription_events (id, subscription_id, user_id, at, day, kind, detail, currency,
                                                          movement, mrr_delta_minor)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
            ),
            (
                id,
                s.id,
                s.user_id,
                event.at,
                day(Some(event.day)),
                &event.kind,
                &event.detail,
                event.currency.code(),
                event.movement.map(|movement| movement.as_str()),
                event.mrr_delta_minor,
            ),
        )
        .map(drop)
    }

    fn list_events(&self, id: SubscriptionId, limit: u32) -> Result<Vec<Event>> {
        self.fetch_all(
            sql!(
                "SELECT at, day, kind, detail, currency, movement, mrr_delta_minor FROM billing_subscription_events
                 WHERE subscription_id = ?1 ORDER BY id DESC LIMIT ?2"
            ),
            (id, limit),
            |row| {
                Ok(Event {
                    at: row.get(0)?,
                    day: parsed(row, 1)?,
                    kind: row.get(2)?,
                    detail: row.get(3)?,
                    currency: said(row, 4)?,
                    movement: maybe(row, 5, said)?,
                    mrr_delta_minor: row.get(6)?,
                })
            },
        )
    }
}

fn subscription(row: &Row<'_>) -> rusqlite::Result<Subscription> {
    let from: Option<Date> = maybe(row, 9, parsed)?;
    let until: Option<Date> = maybe(row, 10, parsed)?;
    let (invoice, position): (Option<_>, Option<_>) = (row.get(11)?, row.get(12)?);
    let (price, seats): (Option<_>, Option<_>) = (row.get(14)?, row.get(15)?);
    Ok(Subscription {
        id: row.get(0)?,
        user_id: row.get(1)?,
        price_id: row.get(2)?,
        seats: row.get(3)?,
        state: said(row, 4)?,
        billing_day: row.get(5)?,
        anchor: parsed(row, 6)?,
        started_on: parsed(row, 7)?,
        trial_until: maybe(row, 8, parsed)?,
        period: from.zip(until).map(|(from, until)| Period { from, until }),
        charge: invoice.zip(position),
        cancel_at_end: row.get(13)?,
        next: price.zip(seats),
        ended_on: maybe(row, 16, parsed)?,
        due_at: row.get(17)?,
        version: row.get(18)?,
        created_at: row.get(19)?,
        updated_at: row.get(20)?,
    })
}
