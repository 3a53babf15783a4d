//! Stripe: charges cards by payment intents, and lets people pay and leave cards on its Checkout page.
//!
//! Its webhooks only say what to look at: what is true is asked of Stripe, so that they may come late, twice and in any order.

mod amounts;
mod message;

use reqwest::Method;
use serde_json::Value;

use super::{Charge, Charged, Checkout, Declined, Gateway, Receipt, SendBack, Trouble};
use crate::platform::config::StripeSettings;
use crate::platform::money::Currency;
use crate::platform::outgoing::{Asked, Outgoing, Reach};
pub use message::Message;

/// Of the API; answers look the same as long as this does.
const VERSION: &str = "2024-06-20";
/// Codes after which another attempt is no use, or would be held against us.
///
/// Source: <https://docs.stripe.com/billing/revenue-recovery/smart-retries>.
const HARD: [&str; 12] = [
    "authentication_required",
    "do_not_try_again",
    "fraudulent",
    "highest_risk_level",
    "incorrect_number",
    "lost_card",
    "pickup_card",
    "revocation_of_all_authorizations",
    "revocation_of_authorization",
    "stolen_card",
    "stop_payment_order",
    "transaction_not_allowed",
];

pub struct Stripe {
    settings: StripeSettings,
    outgoing: Outgoing,
}

/// A payment intent, as far as it concerns us.
#[derive(Debug, Clone)]
pub struct Intent {
    pub id: String,
    /// As our metadata says.
    pub user: Option<String>,
    pub invoice: Option<String>,
    pub attempt: Option<u32>,
    pub customer: Option<String>,
    /// Whether the card can be charged again without its owner being there.
    pub is_card_saved: bool,
    /// Where it has succeeded.
    pub receipt: Option<Receipt>,
    /// Where it has failed.
    pub declined: Option<Declined>,
}

/// What a message turned out to be about.
#[derive(Debug, Clone)]
pub enum Seen {
    Intent(Intent),
    /// A refund that has succeeded, by us or on Stripe's own pages.
    Refund {
        name: String,
        ours: Option<String>,
        amount_minor: i64,
        intent: Intent,
    },
    /// Somebody has left a card.
    Card {
        user: Option<String>,
        customer: String,
    },
    Nothing(String),
}

impl Stripe {
    pub fn new(settings: StripeSettings) -> Stripe {
        Stripe { settings, outgoing: Outgoing::new(Reach::Anywhere) }
    }

    /// Reads what Stripe sent, if it was Stripe, and not long ago.
    pub fn read(&self, signature: &str, body: &[u8], now_s: i64) -> Result<Message, String> {
        message::verify(self.settings.webhook_secret.reveal(), signature, body, now_s)?;
        Message::parse(body)
    }

    /// Asks what has become of an object.
    pub fn look(&self, object: &str) -> Result<Seen, Trouble> {
        if !object.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Ok(Seen::Nothing("its name is none of Stripe's".into()));
        }
        match object.split('_').next() {
            Some("pi") => self.intent(object).map(Seen::Intent),
            Some("re" | "pyr") => {
                let refund = self.get(&format!("/v1/refunds/{object}"))?;
                if refund["status"] != "succeeded" {
                    return Ok(Seen::Nothing(format!(
                        "a refund that is {}",
                        text(&refund["status"]).unwrap_or("nothing")
                    )));
                }
                let Some(intent) = text(&refund["payment_intent"]) else {
                    return Ok(Seen::Nothing("a refund of no payment intent".into()));
                };
                let (amount_minor, _) = money(&refund["amount"], &refund["currency"])?;
                let ours = text(&refund["metadata"]["ashlar_refund"]).map(str::to_owned);
                Ok(Seen::Refund { name: object.to_owned(), ours, amount_minor, intent: self.intent(intent)? })
            }
            Some("cs") => {
                let session = self.get(&format!("/v1/checkout/sessions/{object}"))?;
                match (text(&session["payment_intent"]), text(&session["customer"])) {
                    (Some(intent), _) => self.intent(intent).map(Seen::Intent),
                    (None, Some(customer)) if session["mode"] == "setup" && session["status"] == "complete" => {
                        let user = text(&session["metadata"]["ashlar_account"]).map(str::to_owned);
                        Ok(Seen::Card { user, customer: customer.to_owned() })
                    }
                    _ => Ok(Seen::Nothing("a checkout that is not complete".into())),
                }
            }
            _ => Ok(Seen::Nothing("nothing that concerns us".into())),
        }
    }

    fn intent(&self, id: &str) -> Result<Intent, Trouble> {
        let query = "expand[]=latest_charge.balance_transaction";
        intent_of(&self.get(&format!("/v1/payment_intents/{id}?{query}"))?)
    }

    fn get(&self, path: &str) -> Result<Value, Trouble> {
        match self.ask(Method::GET, path, &[], None)? {
            (200, answer) => Ok(answer),
            // It is of another account, or deleted: no use to ask again.
            (404, _) => Err(Trouble::Never(format!("Stripe knows no {path}"))),
            (status, answer) => Err(Trouble::Never(refusal(status, &answer))),
        }
    }

    /// What came back, unless it is no answer to what was asked.
    fn ask(
        &self,
        method: Method,
        path: &str,
        fields: &[(&str, String)],
        key: Option<&str>,
    ) -> Result<(u16, Value), Trouble> {
        let url = format!("{}{path}", self.settings.api);
        let mut headers = vec![
            ("authorization", format!("Bearer {}", self.settings.secret_key.reveal())),
            ("stripe-version", VERSION.to_owned()),
        ];
        let mut body = Vec::new();
        if method == Method::POST {
            headers.push(("content-type", "application/x-www-form-urlencoded".to_owned()));
            headers.extend(key.map(|key| ("idempotency-key", key.to_owned())));
            let mut form = form_urlencoded::Serializer::new(String::new());
            for (name, value) in fields {
                form.append_pair(name, value);
            }
            body = form.finish().into_bytes();
        }
        let answered = self
            .outgoing
            .send(Asked { method, url: &url, headers, body })
            .map_err(|why| Trouble::Later(format!("Stripe can't be reached: {why}")))?;
        let status = answered.status;
        let answer = serde_json::from_slice(&answered.body).unwrap_or(Value::Null);
        match status {
            401 | 403 | 409 | 429 | 500.. => Err(Trouble::Later(refusal(status, &answer))),
            // The first attempt under this key asked for something else; its answer comes by a webhook.
            _ if answer["error"]["type"] == "idempotency_error" => Err(Trouble::Later(refusal(status, &answer))),
            _ if answer.is_null() => Err(Trouble::Later(format!("Stripe answered {status} without JSON"))),
            _ => Ok((status, answer)),
        }
    }
}

impl Gateway for Stripe {
    fn charge(&self, charge: &Charge) -> Result<Charged, Trouble> {
        let hard = |why: String| Ok(Charged::Declined(Declined { why, is_hard: true }));
        let amount = match amounts::to_stripe(charge.amount_minor, charge.currency) {
            Ok(amount) => amount,
            Err(why) => return hard(why),
        };
        let Some(customer) = charge.customer.as_deref().filter(|name| !name.is_empty()) else {
            return hard("no card is saved".into());
        };
        let encoded: String = form_urlencoded::byte_serialize(customer.as_bytes()).collect();
        let methods =
            match self.ask(Method::GET, &format!("/v1/customers/{encoded}/payment_methods?limit=1"), &[], None)? {
                (200, methods) => methods,
                (status, answer) => return hard(refusal(status, &answer)),
            };
        let Some(method) = text(&methods["data"][0]["id"]) else { return hard("no card is saved".into()) };
        let fields = [
            ("amount", amount.to_string()),
            ("currency", charge.currency.code().to_ascii_lowercase()),
            ("customer", customer.to_owned()),
            ("payment_method", method.to_owned()),
            ("off_session", "true".to_owned()),
            ("confirm", "true".to_owned()),
            ("description", charge.label.clone()),
            ("metadata[ashlar_account]", charge.user.to_string()),
            ("metadata[ashlar_invoice]", charge.invoice.to_string()),
            ("metadata[ashlar_attempt]", charge.attempt.to_string()),
            ("expand[]", "latest_charge.balance_transaction".to_owned()),
        ];
        match self.ask(Method::POST, "/v1/payment_intents", &fields, Some(&charge.key))? {
            (200, answer) => {
                let intent = intent_of(&answer)?;
                Ok(match (intent.receipt, intent.declined) {
                    (Some(receipt), _) => Charged::Paid(receipt),
                    (None, Some(declined)) => Charged::Declined(declined),
                    (None, None) => Charged::Pending,
                })
            }
            (402, answer) => Ok(Charged::Declined(declined(&answer["error"]))),
            (status, answer) => hard(refusal(status, &answer)),
        }
    }

    fn send_back(&self, order: &SendBack) -> Result<String, Trouble> {
        let amount = amounts::to_stripe(order.amount_minor, order.currency).map_err(Trouble::Never)?;
        let fields = [
            ("payment_intent", order.gateway_ref.clone()),
            ("amount", amount.to_string()),
            ("metadata[ashlar_refund]", order.refund.clone()),
        ];
        match self.ask(Method::POST, "/v1/refunds", &fields, Some(&order.key))? {
            (200, answer) => named(&answer),
            (status, answer) => Err(Trouble::Never(refusal(status, &answer))),
        }
    }

    fn checkout(&self, wish: &Checkout) -> Result<String, Trouble> {
        let currency = wish.currency.code().to_ascii_lowercase();
        let account = wish.user.to_string();
        let mut fields = vec![
            ("success_url", wish.back.clone()),
            ("cancel_url", wish.back.clone()),
            ("client_reference_id", account.clone()),
            ("metadata[ashlar_account]", account.clone()),
        ];
        match &wish.customer {
            Some(customer) => fields.push(("customer", customer.clone())),
            None => fields.push(("customer_creation", "always".to_owned())),
        }
        match wish.invoice {
            Some(invoice) => {
                let amount = amounts::to_stripe(wish.amount_minor, wish.currency).map_err(Trouble::Never)?;
                fields.extend([
                    ("mode", "payment".to_owned()),
                    ("line_items[0][quantity]", "1".to_owned()),
                    ("line_items[0][price_data][currency]", currency),
                    ("line_items[0][price_data][unit_amount]", amount.to_string()),
                    ("line_items[0][price_data][product_data][name]", wish.label.clone()),
                    ("payment_intent_data[setup_future_usage]", "off_session".to_owned()),
                    ("payment_intent_data[metadata][ashlar_account]", account),
                    ("payment_intent_data[metadata][ashlar_invoice]", invoice.to_string()),
                ]);
            }
            None => fields.extend([("mode", "setup".to_owned()), ("currency", currency)]),
        }
        match self.ask(Method::POST, "/v1/checkout/sessions", &fields, None)? {
            (200, answer) => text(&answer["url"])
                .map(str::to_owned)
                .ok_or_else(|| Trouble::Later("Stripe made a checkout without an address".into())),
            (status, answer) => Err(Trouble::Never(refusal(status, &answer))),
        }
    }
}

fn intent_of(answer: &Value) -> Result<Intent, Trouble> {
    let status = text(&answer["status"]).unwrap_or_default();
    let receipt = match status {
        "succeeded" => {
            let (amount_minor, currency) = money(&answer["amount_received"], &answer["currency"])?;
            // Of another currency it can't be told in ours.
            let kept = &answer["latest_charge"]["balance_transaction"];
            let fee = (kept["currency"] == answer["currency"]).then(|| money(&kept["fee"], &kept["currency"]).ok());
            let fee_minor = fee.flatten().map_or(0, |(fee, _)| fee).clamp(0, amount_minor);
            Some(Receipt { gateway_ref: named(answer)?, amount_minor, currency, fee_minor })
        }
        _ => None,
    };
    let declined = match status {
        "requires_payment_method" if answer["last_payment_error"].is_object() => {
            Some(declined(&answer["last_payment_error"]))
        }
        "requires_action" => Some(Declined { why: "the bank wants its customer to confirm it".into(), is_hard: true }),
        "canceled" => Some(Declined { why: "the payment was cancelled".into(), is_hard: false }),
        _ => None,
    };
    let meta = |name: &str| text(&answer["metadata"][name]).map(str::to_owned);
    Ok(Intent {
        id: named(answer)?,
        user: meta("ashlar_account"),
        invoice: meta("ashlar_invoice"),
        attempt: meta("ashlar_attempt").and_then(|text| text.parse().ok()),
        customer: text(&answer["customer"]).map(str::to_owned),
        is_card_saved: answer["setup_future_usage"] == "off_session",
        receipt,
        declined,
    })
}

fn declined(error: &Value) -> Declined {
    let code = text(&error["decline_code"]).or_else(|| text(&error["code"])).unwrap_or_default();
    let never = error["advice_code"] == "do_not_try_again";
    Declined {
        why: text(&error["message"]).unwrap_or("the card was declined").to_owned(),
        is_hard: never || HARD.contains(&code),
    }
}

/// An amount of Stripe's, in our minor units.
fn money(amount: &Value, currency: &Value) -> Result<(i64, Currency), Trouble> {
    let wrong = || Trouble::Never(format!("Stripe says an amount that is none: {amount} {currency}"));
    let currency = text(currency).and_then(|code| Currency::parse(code).ok()).ok_or_else(wrong)?;
    let amount = amount.as_i64().and_then(|amount| amounts::from_stripe(amount, currency)).ok_or_else(wrong)?;
    Ok((amount, currency))
}

fn named(answer: &Value) -> Result<String, Trouble> {
    text(&answer["id"]).map(str::to_owned).ok_or_else(|| Trouble::Later("Stripe answered without an id".into()))
}

fn text(value: &Value) -> Option<&str> {
    value.as_str()
}

fn refusal(status: u16, answer: &Value) -> String {
    // What it says of a wrong key begins with that key.
    let why = text(&answer["error"]["message"]).filter(|_| !matches!(status, 401 | 403)).unwrap_or("no reason given");
    format!("Stripe answered {status}: {why}")
}
