//! Texts for links that show by themselves that this unit made them: nothing is kept of them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// Bytes of an HMAC-SHA-256.
const SUM: usize = 32;
/// None that is made here is longer; a stranger's may be.
const MOST: usize = 256;

/// `said` and the proof that it was said here, for a URL. What is signed for one `purpose` can't be used for another.
pub fn sign(secret: &[u8; 32], purpose: &str, said: &[u8]) -> String {
    let mut bytes = sum(secret, purpose, said).to_vec();
    bytes.extend(said);
    URL_SAFE_NO_PAD.encode(&bytes)
}

/// What was said; none where it was altered, or signed for something else, or by another unit.
pub fn verify(secret: &[u8; 32], purpose: &str, text: &str) -> Option<Vec<u8>> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok().filter(|bytes| (SUM..=MOST).contains(&bytes.len()))?;
    let (found, said) = bytes.split_at(SUM);
    bool::from(sum(secret, purpose, said).ct_eq(found)).then(|| said.to_vec())
}

fn sum(secret: &[u8; 32], purpose: &str, said: &[u8]) -> [u8; SUM] {
    // HMAC takes keys of any length.
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap_or_else(|_| unreachable!("HMAC takes any key"));
    mac.update(purpose.as_bytes());
    // No purpose holds it, so none reads like another with something said.
    mac.update(b"\0");
    mac.update(said);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_signed_here_for_this_purpose_and_not_altered_is_opened() {
        let (secret, said) = ([7; 32], b"said here");
        let text = sign(&secret, "test", said);

        assert_eq!(verify(&secret, "test", &text).unwrap(), said);
        assert_eq!(verify(&[8; 32], "test", &text), None);
        assert_eq!(verify(&secret, "tes", &text), None);
        assert_eq!(verify(&secret, "other", &text), None);
        for at in 0..text.len() {
            let mut altered = text.clone();
            altered.replace_range(at..=at, if &text[at..=at] == "A" { "B" } else { "A" });
            assert_eq!(verify(&secret, "test", &altered), None, "{at}");
        }
        for text in ["", "A", "%", &text[..8], &"A".repeat(400)] {
            assert_eq!(verify(&secret, "test", text), None, "{text}");
        }
    }

    /// Links stand in mails for years.
    #[test]
    fn a_link_of_an_earlier_version_still_opens() {
        let text = "a0tpoCn_D8qq1WtZR6BxbIMr1wV-u8zc90pWQbG28x4BAQEBAQEBAQEBAQEBAQEB";
        assert_eq!(verify(&[7; 32], "invoice link", text).unwrap(), [1; 16]);
    }
}
