//! Links by which whoever has one sees an invoice, without signing in.

use crate::modules::billing::{Billing, InvoiceId};
use crate::platform::error::{Error, Result};
use crate::platform::signed;

const PURPOSE: &str = "invoice link";

/// Works for as long as the books are kept: it stands in mails that people look up years later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct InvoiceLink(pub InvoiceId);

impl Billing {
    /// The path at which whoever has it sees this invoice, and nothing else; for mails. `secret` is the unit's.
    pub fn invoice_path(&self, secret: &[u8; 32], id: InvoiceId) -> String {
        InvoiceLink(id).path(secret)
    }
}

impl InvoiceLink {
    /// The path of the invoice's page.
    pub fn path(self, secret: &[u8; 32]) -> String {
        format!("/invoices/{}", signed::sign(secret, PURPOSE, self.0.uuid().as_bytes()))
    }

    /// Reads the last part of such a path; [`Error::NotFound`] where it was altered.
    pub fn parse(text: &str, secret: &[u8; 32]) -> Result<InvoiceLink> {
        let said = signed::verify(secret, PURPOSE, text);
        let id = said.and_then(|said| uuid::Uuid::from_slice(&said).ok()).ok_or(Error::NotFound("invoice"))?;
        Ok(InvoiceLink(InvoiceId::from_uuid(id)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::clock::Time;

    #[test]
    fn a_link_opens_its_invoice_and_nothing_else() {
        let (link, secret) = (InvoiceLink(InvoiceId::new(Time::from_ms(1))), [7; 32]);
        let path = link.path(&secret);
        let text = path.strip_prefix("/invoices/").unwrap();

        assert_eq!(InvoiceLink::parse(text, &secret).unwrap(), link);
        assert!(InvoiceLink::parse(text, &[8; 32]).is_err());
        assert!(InvoiceLink::parse(&signed::sign(&secret, PURPOSE, &[1; 15]), &secret).is_err());
        assert!(InvoiceLink::parse(&signed::sign(&secret, "media link", &[1; 16]), &secret).is_err());
    }
}
