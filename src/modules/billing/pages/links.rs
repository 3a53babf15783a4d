//! Links by which whoever has one sees an invoice, without signing in.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::modules::billing::{Billing, InvoiceId};
use crate::platform::error::{Error, Result};

/// What the unit's secret is used for here; nothing else signs what begins like this.
const PURPOSE: &[u8] = b"invoice link\0";

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
        let said = self.0.uuid().into_bytes();
        let mut bytes = mac(secret, &said).to_vec();
        bytes.extend(said);
        format!("/invoices/{}", URL_SAFE_NO_PAD.encode(&bytes))
    }

    /// Reads the last part of such a path; [`Error::NotFound`] where it was altered.
    pub fn parse(text: &str, secret: &[u8; 32]) -> Result<InvoiceLink> {
        let gone = || Error::NotFound("invoice");
        let bytes = URL_SAFE_NO_PAD.decode(text).ok().filter(|bytes| bytes.len() == 48).ok_or_else(gone)?;
        let (sum, said) = bytes.split_at(32);
        if !bool::from(mac(secret, said).ct_eq(sum)) {
            return Err(gone());
        }
        let id = uuid::Uuid::from_slice(said).map_err(|_| gone())?;
        Ok(InvoiceLink(InvoiceId::from_uuid(id)))
    }
}

fn mac(secret: &[u8; 32], said: &[u8]) -> [u8; 32] {
    // HMAC takes keys of any length.
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap_or_else(|_| unreachable!("HMAC takes any key"));
    mac.update(PURPOSE);
    mac.update(said);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::clock::Time;

    #[test]
    fn a_link_opens_its_invoice_and_not_altered() {
        let (link, secret) = (InvoiceLink(InvoiceId::new(Time::from_ms(1))), [7; 32]);
        let path = link.path(&secret);
        let text = path.strip_prefix("/invoices/").unwrap();

        assert_eq!(InvoiceLink::parse(text, &secret).unwrap(), link);
        assert!(InvoiceLink::parse(text, &[8; 32]).is_err());
        for at in 0..text.len() {
            let mut altered = text.to_owned();
            altered.replace_range(at..=at, if &text[at..=at] == "A" { "B" } else { "A" });
            assert!(InvoiceLink::parse(&altered, &secret).is_err(), "{at}");
        }
    }
}
