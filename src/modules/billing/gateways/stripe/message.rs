//! What Stripe sends to our webhook: who signed it, when, and what it is about. Pure.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

/// How far its clock and ours may lie apart, and how long a message may be under way.
const TOLERANCE_S: i64 = 300;
const MAX_TEXT: usize = 255;
/// Those that say that something may have changed for us; others are noted.
const KNOWN: [&str; 9] = [
    "charge.refund.updated",
    "checkout.session.async_payment_succeeded",
    "checkout.session.completed",
    "payment_intent.canceled",
    "payment_intent.payment_failed",
    "payment_intent.succeeded",
    "refund.created",
    "refund.failed",
    "refund.updated",
];

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub id: String,
    pub kind: String,
    /// The name of what it is about.
    pub object: String,
}

impl Message {
    /// # Errors
    /// If it is none.
    pub fn parse(body: &[u8]) -> Result<Message, String> {
        let message: Value = serde_json::from_slice(body).map_err(|e| format!("the body is not JSON: {e}"))?;
        let text =
            |value: &Value| value.as_str().filter(|text| !text.is_empty() && text.len() <= MAX_TEXT).map(str::to_owned);
        let missing = |what: &str| format!("the body names no {what}");
        Ok(Message {
            id: text(&message["id"]).ok_or_else(|| missing("id"))?,
            kind: text(&message["type"]).ok_or_else(|| missing("type"))?,
            // Some objects have none, a balance for one.
            object: text(&message["data"]["object"]["id"]).unwrap_or_default(),
        })
    }

    pub fn is_known(&self) -> bool {
        KNOWN.contains(&self.kind.as_str())
    }

    /// What is noted of one that nothing follows from.
    pub fn note(&self) -> Option<&'static str> {
        (!self.is_known()).then_some("nothing that concerns us")
    }
}

/// Whether `header` (`t=…,v1=…`, one or several `v1`) signs `body` with our secret, and was written within 5 minutes of
/// `now_s`. Each signature is compared in the same time, whichever fits.
///
/// Source: <https://docs.stripe.com/webhooks#verify-manually>.
pub fn verify(secret: &str, header: &str, body: &[u8], now_s: i64) -> Result<(), String> {
    let parts = || header.split(',').filter_map(|part| part.trim().split_once('='));
    let stamp = parts().find(|(name, _)| *name == "t").map(|(_, value)| value);
    let stamp = stamp.ok_or("`Stripe-Signature` names no time")?;
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).map_err(|e| e.to_string())?;
    mac.update(stamp.as_bytes());
    mac.update(b".");
    mac.update(body);
    let expected = hex(&mac.finalize().into_bytes());
    let mut fits = Choice::from(0);
    for (_, signature) in parts().filter(|(name, _)| *name == "v1") {
        fits |= signature.as_bytes().ct_eq(expected.as_bytes());
    }
    if !bool::from(fits) {
        return Err("this is not signed with the secret of our webhook".into());
    }
    let at: i64 = stamp.parse().map_err(|_| "`Stripe-Signature` names a time that is none")?;
    if (now_s - at).abs() > TOLERANCE_S {
        return Err(format!("this was signed more than {TOLERANCE_S} seconds from now: check the clock"));
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(secret: &str, at: i64, body: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(format!("{at}.{body}").as_bytes());
        hex(&mac.finalize().into_bytes())
    }

    #[test]
    fn only_what_was_signed_with_our_secret_within_five_minutes_is_taken() {
        let good = signature("whsec_1", 1000, "{}");
        let other = signature("whsec_2", 1000, "{}");
        let check = |header: &str, body: &str, now| verify("whsec_1", header, body.as_bytes(), now).is_ok();

        assert!(check(&format!("t=1000,v1={good}"), "{}", 1000));
        assert!(check(&format!("t=1000,v1={other},v1={good},v0=x"), "{}", 1300));
        assert!(check(&format!("t=1000, v1={good}"), "{}", 700));
        assert!(!check(&format!("t=1000,v1={good}"), "{}", 1301));
        assert!(!check(&format!("t=1000,v1={good}"), "{}", 699));
        assert!(!check(&format!("t=1001,v1={good}"), "{}", 1000));
        assert!(!check(&format!("t=1000,v1={good}"), "{ }", 1000));
        assert!(!check(&format!("t=1000,v1={other}"), "{}", 1000));
        assert!(!check(&format!("t=1000,v0={good}"), "{}", 1000));
        assert!(!check(&format!("t=1000,v1={}", &good[..10]), "{}", 1000));
        for header in ["", "t=1000", "v1=", "nonsense", "t=,v1="] {
            assert!(!check(header, "{}", 1000), "{header}");
        }
    }
}
