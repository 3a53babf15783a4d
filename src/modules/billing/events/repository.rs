//! Where events, endpoints and deliveries are kept.

use super::model::{Attempt, Delivery, DeliveryId, DeliveryState, Endpoint, EndpointId, Event, EventId};
use crate::platform::clock::Time;
use crate::platform::error::Result;
use crate::platform::ids::UserId;

/// A delivery with all that sending it takes.
#[derive(Debug, Clone)]
pub struct Sending {
    pub delivery: Delivery,
    pub url: String,
    pub is_active: bool,
    /// The newest first.
    pub secrets: Vec<String>,
    pub payload: String,
}

/// What came of an attempt.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: Option<u16>,
    pub response: Option<String>,
    pub why: Option<String>,
}

/// Which deliveries are listed.
#[derive(Debug, Clone, Copy, Default)]
pub struct DeliveryFilter {
    pub endpoint: Option<EndpointId>,
    pub event: Option<EventId>,
    pub state: Option<DeliveryState>,
}

pub(in crate::modules::billing) trait EventRepository {
    fn insert_endpoint(&self, endpoint: &Endpoint, secret: &str) -> Result<()>;
    fn update_endpoint(&self, endpoint: &Endpoint) -> Result<()>;
    /// Puts a new secret in the place of the one there was, which holds until `until`.
    fn replace_secret(&self, id: EndpointId, secret: &str, until: Time) -> Result<()>;
    fn delete_endpoint(&self, id: EndpointId) -> Result<()>;
    fn find_endpoint(&self, id: EndpointId) -> Result<Option<Endpoint>>;
    /// Before `before`, newest first.
    fn list_endpoints(&self, before: Option<EndpointId>, limit: u32) -> Result<Vec<Endpoint>>;
    fn list_active_endpoints(&self) -> Result<Vec<Endpoint>>;

    fn insert_event(&self, event: &Event, payload: &str) -> Result<()>;
    fn find_event(&self, id: EventId) -> Result<Option<Event>>;
    /// Before `before`, newest first.
    fn list_all_events(&self, before: Option<EventId>, limit: u32) -> Result<Vec<Event>>;
    /// Takes away the events of a person, and their deliveries.
    fn delete_events_of(&self, user: UserId) -> Result<()>;
    /// Takes away events from before `before` of which nothing waits; returns how many.
    fn delete_events_before(&self, before: Time, limit: u32) -> Result<usize>;

    fn insert_delivery(&self, delivery: &Delivery) -> Result<()>;
    fn find_delivery(&self, id: DeliveryId) -> Result<Option<Delivery>>;
    fn find_sending(&self, id: DeliveryId, now: Time) -> Result<Option<Sending>>;
    /// Before `before`, newest first.
    fn list_deliveries(&self, filter: &DeliveryFilter, before: Option<DeliveryId>, limit: u32)
    -> Result<Vec<Delivery>>;
    /// Those behind `after` that a job is said to deliver, the oldest first.
    fn list_with_jobs(&self, after: Option<DeliveryId>, limit: u32) -> Result<Vec<Delivery>>;
    /// Gives up all that waits and would have until `expires`.
    fn give_up_until(&self, expires: Time, why: &str, now: Time) -> Result<()>;
    /// The earliest of each object and endpoint of which something waits and no job delivers anything.
    fn list_stranded(&self) -> Result<Vec<DeliveryId>>;
    /// The earliest of one object that waits for one endpoint.
    fn next_waiting(&self, endpoint: EndpointId, object: uuid::Uuid) -> Result<Option<DeliveryId>>;
    fn set_job(&self, id: DeliveryId, job: uuid::Uuid) -> Result<()>;
    /// Notes an attempt, at its endpoint too; `state` is what it leaves the delivery in.
    fn note_attempt(&self, id: DeliveryId, answer: &Answer, state: DeliveryState, now: Time) -> Result<()>;
    /// The latest `limit` of one delivery, latest first.
    fn list_attempts(&self, delivery: DeliveryId, limit: u32) -> Result<Vec<Attempt>>;
    /// Gives one up, or has one that has ended wait again.
    fn set_state(
        &self,
        id: DeliveryId,
        state: DeliveryState,
        why: Option<&str>,
        now: Time,
        expires: Time,
    ) -> Result<()>;
}
