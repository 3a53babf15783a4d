//! Where what gateways say is kept.

use super::stripe::Message;
use crate::modules::billing::payments::{Method, PaymentId, RefundId};
use crate::platform::clock::Time;
use crate::platform::error::Result;

pub(in crate::modules::billing) trait GatewayRepository {
    /// Notes a message; false if it was there.
    fn insert_message(&self, gateway: Method, message: &Message, now: Time) -> Result<bool>;
    fn note_message(&self, gateway: Method, message: &str, note: Option<&str>) -> Result<()>;
    fn delete_messages_before(&self, before: Time, limit: u32) -> Result<usize>;
    fn find_gateway_payment(&self, gateway: Method, gateway_ref: &str) -> Result<Option<PaymentId>>;
    /// Says what a refund is called at the gateway.
    fn set_refund_ref(&self, refund: RefundId, gateway_ref: &str) -> Result<()>;
}
