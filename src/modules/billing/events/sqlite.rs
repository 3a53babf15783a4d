//! Events, endpoints and deliveries in SQLite.

use rusqlite::Row;

use super::model::{Attempt, Delivery, DeliveryId, DeliveryState, Endpoint, EndpointId, Event, EventId};
use super::repository::{Answer, DeliveryFilter, EventRepository, Sending};
use crate::modules::billing::Owner;
use crate::modules::billing::sqlite::{json, said, to_json};
use crate::platform::clock::Time;
use crate::platform::db::Tables;
use crate::platform::error::Result;
use crate::platform::ids::{Id, UserId};
use crate::sql;

impl EventRepository for Tables<'_, Owner> {
    fn insert_endpoint(&self, e: &Endpoint, secret: &str) -> Result<()> {
        self.execute(
            sql!(
                "INSERT INTO billing_endpoints (id, url, description, event_types, secret, is_active, version, created_at,
                                                updated_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
            ),
            (
                e.id,
                &e.url,
                &e.description,
                to_json(&e.event_types)?,
                secret,
                e.is_active,
                e.version,
                e.created_at,
                e.updated_at,
            ),
        )
        .map(drop)
    }

    fn update_endpoint(&self, e: &Endpoint) -> Result<()> {
        self.execute(
            sql!(
                "UPDATE billing_endpoints
                 SET url = ?2, description = ?3, event_types = ?4, is_active = ?5, version = ?6, updated_at = ?7 WHERE id = ?1"
            ),
            (e.id, &e.url, &e.description, to_json(&e.event_types)?, e.is_active, e.version, e.updated_at),
        )
        .map(drop)
    }

    fn replace_secret(&self, id: EndpointId, secret: &str, until: Time) -> Result<()> {
        self.execute(
            sql!("UPDATE billing_endpoints SET old_secret = secret, old_secret_until = ?3, secret = ?2 WHERE id = ?1"),
            (id, secret, until),
        )
        .map(drop)
    }

    fn delete_endpoint(&self, id: EndpointId) -> Result<()> {
        self.execute(sql!("DELETE FROM billing_deliveries WHERE endpoint_id = ?1"), [id])?;
        self.execute(sql!("DELETE FROM billing_endpoints WHERE id = ?1"), [id]).map(drop)
    }

    fn find_endpoint(&self, id: EndpointId) -> Result<Option<Endpoint>> {
        self.fetch_optional(
            sql!(
                "SELECT id, url, description, event_types, is_active, version, created_at, updated_at, taken_at, failed_at,
                        failure
                 FROM billing_endpoints WHERE id = ?1"
            ),
            [id],
            endpoint,
        )
    }

    fn list_endpoints(&self, before: Option<EndpointId>, limit: u32) -> Result<Vec<Endpoint>> {
        self.fetch_all(
            sql!(
                "SELECT id, url, description, event_types, is_active, version, created_at, updated_at, taken_at, failed_at,
                        failure
                 FROM billing_endpoints WHERE ?1 IS NULL OR id < ?1 ORDER BY id DESC LIMIT ?2"
            ),
            (before, limit),
            endpoint,
        )
    }

    fn list_active_endpoints(&self) -> Result<Vec<Endpoint>> {
        self.fetch_all(
            sql!(
                "SELECT id, url, description, event_types, is_active, version, created_at, updated_at, taken_at, failed_at,
                        failure
                 FROM billing_endpoints WHERE is_active = 1 LIMIT 100"
            ),
            [],
            endpoint,
        )
    }

    fn insert_event(&self, e: &Event, payload: &str) -> Result<()> {
        self.execute(
            sql!(
                "INSERT INTO billing_events (id, type, object_id, user_id, payload, created_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
            ),
            (e.id, e.kind.as_str(), Id::<Event>::from_uuid(e.object_id), e.user_id, payload, e.created_at),
        )
        .map(drop)
    }

    fn find_event(&self, id: EventId) -> Result<Option<Event>> {
        self.fetch_optional(
            sql!("SELECT id, type, object_id, user_id, payload, created_at FROM billing_events WHERE id = ?1"),
            [id],
            event,
        )
    }

    fn list_all_events(&self, before: Option<EventId>, limit: u32) -> Result<Vec<Event>> {
        self.fetch_all(
            sql!(
                "SELECT id, type, object_id, user_id, payload, created_at FROM billing_events
                 WHERE ?1 IS NULL OR id < ?1 ORDER BY id DESC LIMIT ?2"
            ),
            (before, limit),
            event,
        )
    }

    fn delete_events_of(&self, user: UserId) -> Result<()> {
        self.execute(
            sql!(
                "DELETE FROM billing_deliveries
                 WHERE event_id IN (SELECT id FROM billing_events WHERE user_id = ?1)"
            ),
            [user],
        )?;
        self.execute(sql!("DELETE FROM billing_events WHERE user_id = ?1"), [user]).map(drop)
    }

    fn delete_events_before(&self, before: Time, limit: u32) -> Result<usize> {
        self.execute(
            sql!(
                "DELETE FROM billing_deliveries WHERE event_id IN
                 (SELECT id FROM billing_events e WHERE created_at < ?1 AND NOT EXISTS
                    (SELECT 1 FROM billing_deliveries d WHERE d.event_id = e.id AND d.state = 'waiting')
                  ORDER BY created_at LIMIT ?2)"
            ),
            (before, limit),
        )?;
        self.execute(
            sql!(
                "DELETE FROM billing_events WHERE id IN
                 (SELECT id FROM billing_events e WHERE created_at < ?1 AND NOT EXISTS
                    (SELECT 1 FROM billing_deliveries d WHERE d.event_id = e.id)
                  ORDER BY created_at LIMIT ?2)"
            ),
            (before, limit),
        )
    }

    fn insert_delivery(&self, d: &Delivery) -> Result<()> {
        self.execute(
            sql!(
                "INSERT INTO billing_deliveries (id, event_id, endpoint_id, object_id, state, attempts, created_at,
                                                 expires_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, ?7)"
            ),
            (
                d.id,
                d.event_id,
                d.endpoint_id,
                Id::<Event>::from_uuid(d.object_id),
                d.state.as_str(),
                d.created_at,
                d.expires_at,
            ),
        )
        .map(drop)
    }

    fn find_delivery(&self, id: DeliveryId) -> Result<Option<Delivery>> {
        self.fetch_optional(
            sql!(
                "SELECT d.id, event_id, endpoint_id, type, d.object_id, state, job, attempts, status, response, why,
                        d.created_at, tried_at, ended_at, expires_at
                 FROM billing_deliveries d JOIN billing_events e ON e.id = event_id WHERE d.id = ?1"
            ),
            [id],
            delivery,
        )
    }

    fn find_sending(&self, id: DeliveryId, now: Time) -> Result<Option<Sending>> {
        self.fetch_optional(
            sql!(
                "SELECT d.id, event_id, endpoint_id, type, d.object_id, state, job, attempts, status, response, why,
                        d.created_at, tried_at, ended_at, expires_at,
                        url, is_active, secret, iif(old_secret_until > ?2, old_secret, NULL), payload
                 FROM billing_deliveries d JOIN billing_events e ON e.id = event_id
                      JOIN billing_endpoints p ON p.id = endpoint_id
                 WHERE d.id = ?1 AND state = 'waiting'"
            ),
            (id, now),
            |row| {
                let old: Option<String> = row.get(18)?;
                Ok(Sending {
                    delivery: delivery(row)?,
                    url: row.get(15)?,
                    is_active: row.get(16)?,
                    secrets: std::iter::once(row.get(17)?).chain(old).collect(),
                    payload: row.get(19)?,
                })
            },
        )
    }

    fn list_deliveries(
        &self,
        filter: &DeliveryFilter,
        before: Option<DeliveryId>,
        limit: u32,
    ) -> Result<Vec<Delivery>> {
        let state = filter.state.map(DeliveryState::as_str);
        // Each has an index of its own to walk.
        match (filter.event, filter.endpoint, state) {
            (Some(event), ..) => self.fetch_all(
                sql!(
                    "SELECT d.id, event_id, endpoint_id, type, d.object_id, state, job, attempts, status, response, why,
                            d.created_at, tried_at, ended_at, expires_at
                     FROM billing_deliveries d JOIN billing_events e ON e.id = event_id
                     WHERE event_id = ?4 AND (?1 IS NULL OR d.id < ?1) AND (?2 IS NULL OR state = ?2)
                     ORDER BY d.id DESC LIMIT ?3"
                ),
                (before, state, limit, event),
                delivery,
            ),
            (None, Some(endpoint), Some(state)) => self.fetch_all(
                sql!(
                    "SELECT d.id, event_id, endpoint_id, type, d.object_id, state, job, attempts, status, response, why,
                            d.created_at, tried_at, ended_at, expires_at
                     FROM billing_deliveries d JOIN billing_events e ON e.id = event_id
                     WHERE endpoint_id = ?4 AND state = ?2 AND (?1 IS NULL OR d.id < ?1)
                     ORDER BY d.id DESC LIMIT ?3"
                ),
                (before, state, limit, endpoint),
                delivery,
            ),
            (None, Some(endpoint), None) => self.fetch_all(
                sql!(
                    "SELECT d.id, event_id, endpoint_id, type, d.object_id, state, job, attempts, status, response, why,
                            d.created_at, tried_at, ended_at, expires_at
                     FROM billing_deliveries d JOIN billing_events e ON e.id = event_id
                     WHERE endpoint_id = ?3 AND (?1 IS NULL OR d.id < ?1)
                     ORDER BY d.id DESC LIMIT ?2"
                ),
                (before, limit, endpoint),
                delivery,
            ),
            (None, None, state) => self.fetch_all(
                sql!(
                    "SELECT d.id, event_id, endpoint_id, type, d.object_id, state, job, attempts, status, response, why,
                            d.created_at, tried_at, ended_at, expires_at
                     FROM billing_deliveries d JOIN billing_events e ON e.id = event_id
                     WHERE (?1 IS NULL OR d.id < ?1) AND (?2 IS NULL OR state = ?2)
                     ORDER BY d.id DESC LIMIT ?3"
                ),
                (before, state, limit),
                delivery,
            ),
        }
    }

    fn list_with_jobs(&self, after: Option<DeliveryId>, limit: u32) -> Result<Vec<Delivery>> {
        self.fetch_all(
            sql!(
                "SELECT d.id, event_id, endpoint_id, type, d.object_id, state, job, attempts, status, response, why,
                        d.created_at, tried_at, ended_at, expires_at
                 FROM billing_deliveries d JOIN billing_events e ON e.id = event_id
                 WHERE state = 'waiting' AND job IS NOT NULL AND (?1 IS NULL OR d.id > ?1) ORDER BY d.id LIMIT ?2"
            ),
            (after, limit),
            delivery,
        )
    }

    fn give_up_until(&self, expires: Time, why: &str, now: Time) -> Result<()> {
        self.execute(
            sql!(
                "UPDATE billing_deliveries SET state = 'failed', why = ?2, ended_at = ?3, job = NULL
                 WHERE state = 'waiting' AND expires_at <= ?1"
            ),
            (expires, why, now),
        )
        .map(drop)
    }

    fn list_stranded(&self) -> Result<Vec<DeliveryId>> {
        self.fetch_all(
            sql!(
                "SELECT id FROM billing_deliveries d
                 WHERE state = 'waiting' AND NOT EXISTS
                    (SELECT 1 FROM billing_deliveries o INDEXED BY billing_deliveries_waiting
                     WHERE o.endpoint_id = d.endpoint_id AND o.object_id = d.object_id AND o.state = 'waiting'
                           AND (o.job IS NOT NULL OR o.event_id < d.event_id))"
            ),
            [],
            |row| row.get(0),
        )
    }

    fn next_waiting(&self, endpoint: EndpointId, object: uuid::Uuid) -> Result<Option<DeliveryId>> {
        self.fetch_optional(
            sql!(
                "SELECT id FROM billing_deliveries WHERE endpoint_id = ?1 AND object_id = ?2 AND state = 'waiting'
                 ORDER BY event_id LIMIT 1"
            ),
            (endpoint, Id::<Event>::from_uuid(object)),
            |row| row.get(0),
        )
    }

    fn set_job(&self, id: DeliveryId, job: uuid::Uuid) -> Result<()> {
        let job = Id::<Event>::from_uuid(job);
        self.execute(sql!("UPDATE billing_deliveries SET job = ?2 WHERE id = ?1"), (id, job)).map(drop)
    }

    fn note_attempt(&self, id: DeliveryId, answer: &Answer, state: DeliveryState, now: Time) -> Result<()> {
        self.execute(
            sql!(
                "UPDATE billing_deliveries
                 SET attempts = attempts + 1, status = ?2, response = ?3, why = ?4, tried_at = ?5, state = ?6,
                     ended_at = iif(?6 = 'waiting', NULL, ?5)
                 WHERE id = ?1"
            ),
            (id, answer.status, &answer.response, &answer.why, now, state.as_str()),
        )?;
        self.execute(
            sql!(
                "INSERT INTO billing_delivery_attempts (delivery_id, number, tried_at, status, response, why)
                 SELECT id, attempts, ?2, ?3, ?4, ?5 FROM billing_deliveries WHERE id = ?1"
            ),
            (id, now, answer.status, &answer.response, &answer.why),
        )?;
        self.execute(
            sql!(
                "UPDATE billing_endpoints
                 SET taken_at = iif(?3 IS NULL, ?2, taken_at), failed_at = iif(?3 IS NULL, failed_at, ?2),
                     failure = coalesce(?3, failure)
                 WHERE id = (SELECT endpoint_id FROM billing_deliveries WHERE id = ?1)"
            ),
            (id, now, &answer.why),
        )
        .map(drop)
    }

    fn list_attempts(&self, delivery: DeliveryId, limit: u32) -> Result<Vec<Attempt>> {
        self.fetch_all(
            sql!(
                "SELECT number, tried_at, status, response, why FROM billing_delivery_attempts
                 WHERE delivery_id = ?1 ORDER BY number DESC LIMIT ?2"
            ),
            (delivery, limit),
            |row| {
                Ok(Attempt {
                    number: row.get(0)?,
                    tried_at: row.get(1)?,
                    status: row.get(2)?,
                    response: row.get(3)?,
                    why: row.get(4)?,
                })
            },
        )
    }

    fn set_state(
        &self,
        id: DeliveryId,
        state: DeliveryState,
        why: Option<&str>,
        now: Time,
        expires: Time,
    ) -> Result<()> {
        self.execute(
            sql!(
                "UPDATE billing_deliveries
                 SET state = ?2, why = coalesce(?3, why), ended_at = iif(?2 = 'waiting', NULL, ?4), expires_at = ?5, job = NULL
                 WHERE id = ?1"
            ),
            (id, state.as_str(), why, now, expires),
        )
        .map(drop)
    }
}

fn endpoint(row: &Row<'_>) -> rusqlite::Result<Endpoint> {
    Ok(Endpoint {
        id: row.get(0)?,
        url: row.get(1)?,
        description: row.get(2)?,
        event_types: json(row, 3)?,
        is_active: row.get(4)?,
        version: row.get(5)?,
        created_at: row.get(6)?,
        updated_at: row.get(7)?,
        taken_at: row.get(8)?,
        failed_at: row.get(9)?,
        failure: row.get(10)?,
    })
}

fn event(row: &Row<'_>) -> rusqlite::Result<Event> {
    Ok(Event {
        id: row.get(0)?,
        kind: said(row, 1)?,
        object_id: row.get::<_, Id<Event>>(2)?.uuid(),
        user_id: row.get(3)?,
        payload: json(row, 4)?,
        created_at: row.get(5)?,
    })
}

fn delivery(row: &Row<'_>) -> rusqlite::Result<Delivery> {
    Ok(Delivery {
        id: row.get(0)?,
        event_id: row.get(1)?,
        endpoint_id: row.get(2)?,
        event_type: said(row, 3)?,
        object_id: row.get::<_, Id<Event>>(4)?.uuid(),
        state: said(row, 5)?,
        job: row.get::<_, Option<Id<Event>>>(6)?.map(|id| id.uuid()),
        attempts: row.get(7)?,
        status: row.get(8)?,
        response: row.get(9)?,
        why: row.get(10)?,
        created_at: row.get(11)?,
        tried_at: row.get(12)?,
        ended_at: row.get(13)?,
        expires_at: row.get(14)?,
    })
}
