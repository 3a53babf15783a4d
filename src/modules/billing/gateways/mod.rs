//! Gateways: who charges people for us. What they say is recorded as any payment is.

pub(super) mod api;
mod model;
mod repository;
mod sqlite;
mod stripe;
mod trial;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use model::{Charge, Charged, Checkout, Declined, Receipt, SendBack, Trouble};
pub(super) use repository::GatewayRepository;

use super::invoices::{InvoiceId, State};
use super::model::Details;
use super::payments::{Method, NewPayment, Payment, PaymentId, Refund, RefundId};
use super::{Billing, Owner, record_about};
use crate::platform::config::PaymentSettings;
use crate::platform::db::{Snapshot, UnitOfWork};
use crate::platform::error::{Error, Result};
use crate::platform::ids::UserId;
use crate::platform::jobs::{self, Failure, Kind, Order, Payload, Record, Run};
use stripe::{Intent, Seen, Stripe};
use trial::Trial;

/// What charges people, and gives them back. Its calls wait for the network, and may be repeated: what bears the same key
/// happens once.
pub trait Gateway: Send + Sync {
    /// Charges what is saved of a customer, without them being there.
    fn charge(&self, charge: &Charge) -> Result<Charged, Trouble>;
    /// Gives back a part of a payment; returns the refund's name there.
    fn send_back(&self, order: &SendBack) -> Result<String, Trouble>;
    /// A page of the gateway's on which a person pays, or leaves a card to be charged: where it is.
    fn checkout(&self, wish: &Checkout) -> Result<String, Trouble>;
}

/// All that there are.
#[derive(Clone)]
pub struct Gateways {
    stripe: Option<Arc<Stripe>>,
}

impl Gateways {
    pub fn new(settings: &PaymentSettings) -> Gateways {
        Gateways { stripe: settings.stripe.clone().map(|settings| Arc::new(Stripe::new(settings))) }
    }

    /// # Errors
    /// [`Error::Conflict`] for one that is not set up.
    pub fn find(&self, method: Method) -> Result<&dyn Gateway> {
        match (method, &self.stripe) {
            (Method::Trial, _) => Ok(&Trial),
            (Method::Stripe, Some(stripe)) => Ok(&**stripe),
            (Method::Stripe, None) => Err(Error::conflict("gateway", "Stripe is not set up: set stripe_secret_key")),
            (Method::Transfer, _) => Err(Error::conflict("gateway", "transfers are made by people, not by a gateway")),
        }
    }
}

/// Gives back through a gateway what is refunded here.
#[derive(Serialize, Deserialize)]
struct Refunding {
    payment: uuid::Uuid,
    refund: uuid::Uuid,
}

impl Payload for Refunding {
    const KIND: &'static str = "billing.refund";
}

/// Looks at what Stripe has told us of.
#[derive(Serialize, Deserialize)]
struct Look {
    message: String,
    object: String,
}

impl Payload for Look {
    const KIND: &'static str = "billing.stripe";
}

pub(super) fn jobs(gateways: &Gateways) -> Vec<Kind> {
    let refunding = {
        let gateways = gateways.clone();
        Kind::new(move |run: &Run, order: Refunding| send_back(run, &gateways, &order)).outward()
    };
    let look = {
        let gateways = gateways.clone();
        Kind::new(move |_: &Run, Look { message, object }| {
            let Some(stripe) = gateways.stripe.as_deref() else {
                return Err(Failure::Retry("Stripe is not set up any more: set stripe_secret_key".into()));
            };
            let seen = match stripe.look(&object) {
                Err(Trouble::Never(why)) => Seen::Nothing(why),
                other => other?,
            };
            Ok(Record::new(move |work| {
                let note = Billing.take_in(work, seen)?;
                work.tables(Owner(())).note_message(Method::Stripe, &message, note.as_deref())
            }))
        })
        .attempts(30)
        .outward()
    };
    vec![refunding, look]
}

/// If we die between the gateway's yes and our note of it, the same key gives the same refund.
fn send_back(run: &Run, gateways: &Gateways, order: &Refunding) -> Result<Record, Failure> {
    let (payment, refund) = (PaymentId::from_uuid(order.payment), RefundId::from_uuid(order.refund));
    let found = run.database.read_blocking(Refunding::KIND, |snapshot| {
        let all = Billing.refunds(snapshot, payment)?;
        let refund = all.into_iter().find(|one| one.id == refund && one.gateway_ref.is_none());
        refund.map(|refund| Ok((Billing.payment(snapshot, payment)?, refund))).transpose()
    })?;
    let Some((payment, refund)) = found else { return Ok(Record::nothing()) };
    let Some(gateway_ref) = payment.gateway_ref else { return Ok(Record::nothing()) };
    let order = SendBack {
        key: format!("ashlar-refund-{}", refund.id),
        refund: refund.id.to_string(),
        gateway_ref,
        amount_minor: refund.amount_minor,
        currency: payment.currency,
    };
    let gateway_ref = gateways.find(payment.method)?.send_back(&order)?;
    Ok(Record::new(move |work| work.tables(Owner(())).set_refund_ref(refund.id, &gateway_ref)))
}

impl Billing {
    /// Says what charges an account, and who it is there; a gateway of none means that it pays by transfer. Of the gateway
    /// for trial, `customer` says what it does: `decline`, `hard-decline`, or it pays.
    pub fn set_gateway(
        &self,
        work: &UnitOfWork<'_>,
        user: UserId,
        gateway: Option<Method>,
        customer: Option<String>,
    ) -> Result<Details> {
        let before = self.details(work, user)?;
        if gateway == Some(Method::Transfer) {
            return Err(Error::invalid("gateway", "trial or stripe; null for who pays by transfer"));
        }
        let mut after = before.clone();
        after.gateway = gateway.map(|gateway| gateway.as_str().to_owned());
        after.gateway_customer = customer.filter(|_| gateway.is_some());
        if after == before {
            return Ok(before);
        }
        self.put_details(work, &mut after)?;
        record_about(work, "billing.gateway_set", user, user, before.gateway.as_ref(), after.gateway.as_ref())?;
        self.try_again(work, &after)?;
        Ok(after)
    }

    /// Has a refund that was recorded here given back by the gateway that the payment came through.
    pub(super) fn send_back(&self, work: &UnitOfWork<'_>, payment: &Payment, refund: &Refund) -> Result<()> {
        if payment.gateway_ref.is_none() || refund.gateway_ref.is_some() || payment.method == Method::Transfer {
            return Ok(());
        }
        let order = Order { person: Some(payment.user_id), ..Order::default() };
        let refunding = Refunding { payment: payment.id.uuid(), refund: refund.id.uuid() };
        jobs::enqueue_with(work, &refunding, order).map(drop)
    }

    /// What a person who pays on the gateway's own page pays for.
    ///
    /// # Errors
    /// [`Error::Conflict`] unless the invoice is open.
    pub fn checkout_of(&self, snapshot: &Snapshot<'_>, id: InvoiceId, origin: &str) -> Result<Checkout> {
        let invoice = self.invoice(snapshot, id)?;
        if invoice.state != State::Open {
            return Err(super::invoices::not_now(format!("{} is {}", invoice.label(), invoice.state.as_str())));
        }
        Ok(Checkout {
            user: invoice.user_id,
            customer: self.stripe_customer(snapshot, invoice.user_id)?,
            label: invoice.label(),
            invoice: Some(id),
            amount_minor: invoice.due_minor,
            currency: invoice.currency,
            back: origin.to_owned(),
        })
    }

    /// What a person leaves a card for, to be charged from then on.
    pub fn checkout_for_later(&self, snapshot: &Snapshot<'_>, user: UserId, origin: &str) -> Result<Checkout> {
        Ok(Checkout {
            user,
            customer: self.stripe_customer(snapshot, user)?,
            label: String::new(),
            invoice: None,
            amount_minor: 0,
            currency: self.details(snapshot, user)?.account.currency,
            back: origin.to_owned(),
        })
    }

    fn stripe_customer(&self, snapshot: &Snapshot<'_>, user: UserId) -> Result<Option<String>> {
        let details = self.details(snapshot, user)?;
        let is_stripe = details.gateway.as_deref() == Some(Method::Stripe.as_str());
        Ok(details.gateway_customer.filter(|_| is_stripe))
    }

    /// Notes that a gateway has told us of something, and has it looked at; nothing, if it has told us before.
    fn hear(&self, work: &UnitOfWork<'_>, message: &stripe::Message) -> Result<()> {
        let tables = work.tables(Owner(()));
        if !tables.insert_message(Method::Stripe, message, work.now())? || !message.is_known() {
            return Ok(());
        }
        jobs::enqueue(work, &Look { message: message.id.clone(), object: message.object.clone() }).map(drop)
    }

    /// Records what Stripe says; returns what is to be noted where nothing could be done.
    fn take_in(&self, work: &UnitOfWork<'_>, seen: Seen) -> Result<Option<String>> {
        match seen {
            Seen::Nothing(why) => Ok(Some(why)),
            Seen::Intent(intent) => self.take_in_intent(work, &intent),
            Seen::Refund { name, ours, amount_minor, intent } => {
                let note = self.take_in_intent(work, &intent)?;
                let tables = work.tables(Owner(()));
                let Some(payment) = tables.find_gateway_payment(Method::Stripe, &intent.id)? else {
                    return Ok(note.or_else(|| Some("of a payment that is not known".into())));
                };
                let ours = ours.and_then(|id| RefundId::parse(&id, "refund").ok());
                let ours = match ours {
                    Some(id) => self.refunds(work, payment)?.into_iter().find(|one| one.id == id),
                    None => None,
                };
                match ours {
                    Some(refund) => tables.set_refund_ref(refund.id, &name)?,
                    None => {
                        let refunded = self.refund(work, payment, amount_minor, None, Some(name));
                        return noted(refunded.map(drop));
                    }
                }
                Ok(None)
            }
            Seen::Card { user, customer } => match self.known_user(work, user.as_deref())? {
                Some(user) => self.remember_card(work, user, customer).map(|()| None),
                None => Ok(Some("of no account of ours".into())),
            },
        }
    }

    fn take_in_intent(&self, work: &UnitOfWork<'_>, intent: &Intent) -> Result<Option<String>> {
        let invoice = intent.invoice.as_deref().and_then(|id| InvoiceId::parse(id, "invoice").ok());
        let invoice = match invoice.map(|id| self.invoice(work, id)).transpose() {
            Ok(invoice) => invoice,
            Err(Error::NotFound(_)) => None,
            Err(error) => return Err(error),
        };
        let user = match (self.known_user(work, intent.user.as_deref())?, &invoice) {
            (Some(user), _) => user,
            (None, Some(invoice)) => invoice.user_id,
            (None, None) => return Ok(Some("of no account of ours".into())),
        };
        let invoice = invoice.filter(|invoice| invoice.user_id == user && invoice.state != State::Draft);
        if let Some(receipt) = &intent.receipt {
            if let Some(customer) = intent.customer.clone().filter(|_| intent.is_card_saved) {
                self.remember_card(work, user, customer)?;
            }
            return noted(
                self.record_receipt(work, user, Method::Stripe, receipt, invoice.map(|one| one.id)).map(drop),
            );
        }
        if let (Some(declined), Some(invoice), Some(attempt)) = (&intent.declined, invoice, intent.attempt) {
            self.was_not_paid(work, invoice.id, attempt, Some(declined))?;
        }
        Ok(None)
    }

    pub(super) fn record_receipt(
        &self,
        work: &UnitOfWork<'_>,
        user: UserId,
        method: Method,
        receipt: &Receipt,
        invoice: Option<InvoiceId>,
    ) -> Result<Payment> {
        let new = NewPayment {
            user_id: user,
            currency: receipt.currency,
            amount_minor: receipt.amount_minor,
            fee_minor: receipt.fee_minor,
            method,
            reference: None,
            gateway_ref: Some(receipt.gateway_ref.clone()),
            received_on: None,
            invoice,
        };
        self.record_payment(work, new)
    }

    fn known_user(&self, snapshot: &Snapshot<'_>, text: Option<&str>) -> Result<Option<UserId>> {
        let Some(user) = text.and_then(|text| UserId::parse(text, "account").ok()) else { return Ok(None) };
        match self.details(snapshot, user) {
            Ok(_) => Ok(Some(user)),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// From now on Stripe charges what they have left there.
    fn remember_card(&self, work: &UnitOfWork<'_>, user: UserId, customer: String) -> Result<()> {
        if self.details(work, user)?.closed_at.is_some() {
            return Ok(());
        }
        self.set_gateway(work, user, Some(Method::Stripe), Some(customer)).map(drop)
    }
}

/// What can't be recorded is noted for people to see to; it would fail again each time.
fn noted(result: Result<()>) -> Result<Option<String>> {
    match result {
        Ok(()) => Ok(None),
        Err(error @ (Error::Invalid(_) | Error::Conflict { .. } | Error::NotFound(_))) => {
            tracing::error!(why = %error, "what Stripe says could not be recorded");
            Ok(Some(error.to_string()))
        }
        Err(error) => Err(error),
    }
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Failure {
        match trouble {
            Trouble::Later(why) => Failure::Retry(why),
            Trouble::Never(why) => Failure::Never(why),
        }
    }
}
