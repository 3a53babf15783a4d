//! What gateways say, in SQLite.

use super::repository::GatewayRepository;
use super::stripe::Message;
use crate::modules::billing::Owner;
use crate::modules::billing::payments::{Method, PaymentId, RefundId};
use crate::platform::clock::Time;
use crate::platform::db::Tables;
use crate::platform::error::Result;
use crate::sql;

impl GatewayRepository for Tables<'_, Owner> {
    fn insert_message(&self, gateway: Method, message: &Message, now: Time) -> Result<bool> {
        let inserted = self.execute(
            sql!(
                "INSERT INTO billing_gateway_messages (gateway, message_id, type, object, note, received_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (gateway, message_id) DO NOTHING"
            ),
            (gateway.as_str(), &message.id, &message.kind, &message.object, message.note(), now),
        )?;
        Ok(inserted == 1)
    }

    fn note_message(&self, gateway: Method, message: &str, note: Option<&str>) -> Result<()> {
        self.execute(
            sql!("UPDATE billing_gateway_messages SET note = ?3 WHERE gateway = ?1 AND message_id = ?2"),
            (gateway.as_str(), message, note),
        )
        .map(drop)
    }

    fn delete_messages_before(&self, before: Time, limit: u32) -> Result<usize> {
        self.execute(
            sql!(
                "DELETE FROM billing_gateway_messages WHERE (gateway, message_id) IN
                 (SELECT gateway, message_id FROM billing_gateway_messages WHERE received_at < ?1
                  ORDER BY received_at LIMIT ?2)"
            ),
            (before, limit),
        )
    }

    fn find_gateway_payment(&self, gateway: Method, gateway_ref: &str) -> Result<Option<PaymentId>> {
        self.fetch_optional(
            sql!("SELECT id FROM billing_payments WHERE method = ?1 AND gateway_ref = ?2"),
            (gateway.as_str(), gateway_ref),
            |row| row.get(0),
        )
    }

    fn set_refund_ref(&self, refund: RefundId, gateway_ref: &str) -> Result<()> {
        self.execute(sql!("UPDATE billing_refunds SET gateway_ref = ?2 WHERE id = ?1"), (refund, gateway_ref)).map(drop)
    }
}
