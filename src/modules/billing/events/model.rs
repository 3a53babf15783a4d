//! Billing events, and how they are told: Standard Webhooks. Pure.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::Sha256;

use crate::platform::clock::Time;
use crate::platform::error::{Error, Result};
use crate::platform::ids::{Id, UserId};

pub type EventId = Id<Event>;
pub type EndpointId = Id<Endpoint>;
pub type DeliveryId = Id<Delivery>;

/// What secrets begin with.
const SECRET_PREFIX: &str = "whsec_";
/// Of the answer to a delivery, so much is kept.
const EXCERPT_CHARS: usize = 500;

/// What can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = BillingEventType)]
pub enum EventType {
    #[serde(rename = "invoice.finalized")]
    InvoiceFinalized,
    #[serde(rename = "invoice.paid")]
    InvoicePaid,
    #[serde(rename = "invoice.voided")]
    InvoiceVoided,
    #[serde(rename = "invoice.uncollectible")]
    InvoiceUncollectible,
    /// A gateway declined to charge it.
    #[serde(rename = "invoice.payment_failed")]
    InvoicePaymentFailed,
    #[serde(rename = "credit_note.issued")]
    CreditNoteIssued,
    #[serde(rename = "subscription.created")]
    SubscriptionCreated,
    #[serde(rename = "subscription.updated")]
    SubscriptionUpdated,
    #[serde(rename = "subscription.cancelled")]
    SubscriptionCancelled,
    #[serde(rename = "payment.recorded")]
    PaymentRecorded,
    #[serde(rename = "payment.refunded")]
    PaymentRefunded,
}

impl EventType {
    pub const ALL: [EventType; 11] = [
        EventType::InvoiceFinalized,
        EventType::InvoicePaid,
        EventType::InvoiceVoided,
        EventType::InvoiceUncollectible,
        EventType::InvoicePaymentFailed,
        EventType::CreditNoteIssued,
        EventType::SubscriptionCreated,
        EventType::SubscriptionUpdated,
        EventType::SubscriptionCancelled,
        EventType::PaymentRecorded,
        EventType::PaymentRefunded,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            EventType::InvoiceFinalized => "invoice.finalized",
            EventType::InvoicePaid => "invoice.paid",
            EventType::InvoiceVoided => "invoice.voided",
            EventType::InvoiceUncollectible => "invoice.uncollectible",
            EventType::InvoicePaymentFailed => "invoice.payment_failed",
            EventType::CreditNoteIssued => "credit_note.issued",
            EventType::SubscriptionCreated => "subscription.created",
            EventType::SubscriptionUpdated => "subscription.updated",
            EventType::SubscriptionCancelled => "subscription.cancelled",
            EventType::PaymentRecorded => "payment.recorded",
            EventType::PaymentRefunded => "payment.refunded",
        }
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
#[schema(as = BillingEvent)]
pub struct Event {
    /// The `webhook-id` of each delivery of it.
    pub id: EventId,
    #[serde(rename = "type")]
    pub kind: EventType,
    /// The invoice, subscription or payment that it happened to.
    #[schema(value_type = String, format = Uuid)]
    pub object_id: uuid::Uuid,
    #[schema(value_type = String, format = Uuid)]
    pub user_id: UserId,
    /// What is sent.
    #[schema(value_type = Object)]
    pub payload: Value,
    pub created_at: Time,
}

/// Where events are told to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = WebhookEndpoint)]
pub struct Endpoint {
    pub id: EndpointId,
    #[schema(example = "https://example.org/hooks")]
    pub url: String,
    pub description: Option<String>,
    /// Those that are wanted; all where there are none.
    pub event_types: Vec<EventType>,
    pub is_active: bool,
    /// When it took something last.
    pub taken_at: Option<Time>,
    /// When it did not, last.
    pub failed_at: Option<Time>,
    /// Why not.
    pub failure: Option<String>,
    pub created_at: Time,
    pub updated_at: Time,
    #[serde(skip)]
    pub version: i64,
}

impl Endpoint {
    /// Whether what it was sent last was not taken.
    pub fn is_failing(&self) -> bool {
        self.is_active && self.failed_at > self.taken_at
    }

    pub fn wants(&self, kind: EventType) -> bool {
        self.is_active && (self.event_types.is_empty() || self.event_types.contains(&kind))
    }
}

#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewWebhookEndpoint)]
pub struct NewEndpoint {
    /// By https, to an address that anyone can reach.
    #[schema(max_length = 500, example = "https://example.org/hooks")]
    pub url: String,
    #[schema(max_length = 200)]
    pub description: Option<String>,
    /// Those that are wanted; all where there are none.
    #[serde(default)]
    pub event_types: Vec<EventType>,
}

/// What may be changed of an endpoint. What is absent stays.
#[derive(Debug, Clone, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WebhookEndpointChange)]
pub struct EndpointChange {
    #[schema(max_length = 500)]
    pub url: Option<String>,
    /// An empty text takes it away.
    #[schema(max_length = 200)]
    pub description: Option<String>,
    pub event_types: Option<Vec<EventType>>,
    /// Whether anything is sent there.
    pub is_active: Option<bool>,
}

/// Where a delivery is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = WebhookDeliveryState)]
pub enum DeliveryState {
    /// For its turn, or another try.
    Waiting,
    /// The endpoint took it.
    Delivered,
    /// Given up.
    Failed,
}

impl DeliveryState {
    pub const ALL: [DeliveryState; 3] = [DeliveryState::Waiting, DeliveryState::Delivered, DeliveryState::Failed];

    pub fn as_str(self) -> &'static str {
        match self {
            DeliveryState::Waiting => "waiting",
            DeliveryState::Delivered => "delivered",
            DeliveryState::Failed => "failed",
        }
    }
}

/// One event on its way to one endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = WebhookDelivery)]
pub struct Delivery {
    pub id: DeliveryId,
    #[schema(value_type = String, format = Uuid)]
    pub event_id: EventId,
    #[schema(value_type = String, format = Uuid)]
    pub endpoint_id: EndpointId,
    pub event_type: EventType,
    #[schema(value_type = String, format = Uuid)]
    pub object_id: uuid::Uuid,
    pub state: DeliveryState,
    /// The job that delivers it; none while an earlier event of the same object is on its way.
    #[schema(value_type = Option<String>, format = Uuid)]
    pub job: Option<uuid::Uuid>,
    pub attempts: u32,
    /// Of the last answer.
    pub status: Option<u16>,
    /// How that began.
    pub response: Option<String>,
    /// Why the last attempt failed.
    pub why: Option<String>,
    pub created_at: Time,
    pub tried_at: Option<Time>,
    pub ended_at: Option<Time>,
    /// It is tried until then.
    pub expires_at: Time,
}

/// One try to deliver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = WebhookAttempt)]
pub struct Attempt {
    /// From 1.
    pub number: u32,
    pub tried_at: Time,
    /// Of the answer, where there was one.
    pub status: Option<u16>,
    /// How that began.
    pub response: Option<String>,
    /// Why it failed; null where it was taken.
    pub why: Option<String>,
}

/// A new secret, from 32 random bytes.
pub fn secret_of(random: &[u8; 32]) -> String {
    format!("{SECRET_PREFIX}{}", STANDARD.encode(random))
}

/// The signatures of a message, each by one secret: `v1,…` with spaces between them.
///
/// Source: Standard Webhooks 1.0, <https://www.standardwebhooks.com>.
pub fn sign(secrets: &[String], id: &str, timestamp_s: i64, body: &str) -> Result<String> {
    let mut signatures = Vec::new();
    for secret in secrets {
        let key = secret.strip_prefix(SECRET_PREFIX).and_then(|text| STANDARD.decode(text).ok());
        let key = key.ok_or_else(|| Error::Internal("a webhook endpoint's secret is none".into()))?;
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&key).map_err(|e| Error::internal("signing a webhook delivery", e))?;
        mac.update(format!("{id}.{timestamp_s}.").as_bytes());
        mac.update(body.as_bytes());
        signatures.push(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())));
    }
    Ok(signatures.join(" "))
}

/// How an answer begins.
pub fn excerpt(body: &[u8]) -> Option<String> {
    let text: String = String::from_utf8_lossy(body).chars().take(EXCERPT_CHARS).collect();
    Some(text).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's own libraries.
    #[test]
    fn a_message_is_signed_as_standard_webhooks_says() {
        let secrets = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned()];

        let signed = sign(&secrets, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#).unwrap();

        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn while_a_secret_is_replaced_both_sign() {
        let secrets = [secret_of(&[1; 32]), secret_of(&[2; 32])];

        let signed = sign(&secrets, "id", 1, "{}").unwrap();

        let each: Vec<_> = secrets.iter().map(|one| sign(std::slice::from_ref(one), "id", 1, "{}").unwrap()).collect();
        assert_eq!(signed, each.join(" "));
    }
}
