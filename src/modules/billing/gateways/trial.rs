//! The built-in gateway, for trying billing and dunning: it moves no money, and does what the customer's name says.

use super::{Charge, Charged, Checkout, Declined, Gateway, Receipt, SendBack, Trouble};

pub struct Trial;

impl Gateway for Trial {
    fn charge(&self, charge: &Charge) -> Result<Charged, Trouble> {
        let declined = |why: &str, is_hard| Charged::Declined(Declined { why: why.to_owned(), is_hard });
        Ok(match charge.customer.as_deref() {
            Some("decline") => declined("the card was declined", false),
            Some("hard-decline") => declined("the card was reported lost", true),
            _ => Charged::Paid(Receipt {
                gateway_ref: charge.key.clone(),
                amount_minor: charge.amount_minor,
                currency: charge.currency,
                fee_minor: 0,
            }),
        })
    }

    fn send_back(&self, order: &SendBack) -> Result<String, Trouble> {
        Ok(order.key.clone())
    }

    fn checkout(&self, _: &Checkout) -> Result<String, Trouble> {
        Err(Trouble::Never("the gateway for trial has no page to pay on".into()))
    }
}
