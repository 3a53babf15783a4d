//! A mail as it goes over the wire. Pure.

use lettre::address::Envelope;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::{Address, Message};

use super::*;

/// An encoded mail, and the addresses that the server is told.
#[derive(Debug)]
pub(super) struct Letter {
    pub envelope: Envelope,
    pub bytes: Vec<u8>,
}

impl Letter {
    /// The same bytes each time, but for the boundary between the parts.
    ///
    /// # Errors
    /// Why no mail can go to this address at all.
    pub fn write(from: &Mailbox, mail: &Mail, body: Body) -> Result<Letter, String> {
        let to = address(&mail.address)?;
        let name = Some(one_line(&mail.name)).filter(|name| !name.is_empty());
        let created = std::time::UNIX_EPOCH + std::time::Duration::from_millis(mail.created_at.as_ms().unsigned_abs());
        let sender = Mailbox::new(from.name.clone(), address(from.email.as_ref())?);
        let message = Message::builder()
            .from(sender)
            .to(Mailbox::new(name, to))
            .subject(one_line(&mail.subject))
            .message_id(Some(mail.message_id.clone()))
            .date(created)
            // So that nobody's absence is announced to us.
            .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".into()))
            .multipart(MultiPart::alternative_plain_html(body.text, body.html))
            .map_err(|e| format!("it can't be written as a mail: {e}"))?;
        Ok(Letter { envelope: message.envelope().clone(), bytes: message.formatted() })
    }
}

/// The address with its domain in ASCII, which every mail server takes; before the @ it may be beyond ASCII.
fn address(text: &str) -> Result<Address, String> {
    let wrong = || format!("`{text}` is no address that mail can be sent to");
    let (local, domain) = text.rsplit_once('@').ok_or_else(wrong)?;
    let domain = idna::domain_to_ascii(domain).map_err(|_| wrong())?;
    Address::new(local, domain).map_err(|_| wrong())
}

/// Whatever could end a header and begin another is a space.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(address: &str, name: &str, subject: &str) -> Mail {
        Mail {
            id: MailId::new(Time::from_ms(1)),
            person: UserId::new(Time::from_ms(1)),
            address: address.into(),
            name: name.into(),
            subject: subject.into(),
            message_id: "<one@example.org>".into(),
            state: State::Waiting,
            why: None,
            is_refused: false,
            job: None,
            has_body: true,
            created_at: Time::from_ms(1_767_225_600_000),
            ended_at: None,
            expires_at: Time::from_ms(1_767_225_600_000),
        }
    }

    fn write(mail: &Mail) -> Letter {
        let from = "Ashlar <ashlar@example.org>".parse().unwrap();
        let body = Body { text: "Hello, Zoë.\n.\nFrom here on".into(), html: "<p>Hello</p>".into() };
        Letter::write(&from, mail, body).unwrap()
    }

    fn head(letter: &Letter) -> String {
        let text = String::from_utf8(letter.bytes.clone()).unwrap();
        text.split("\r\n\r\n").next().unwrap().to_owned()
    }

    #[test]
    fn nothing_in_a_name_or_a_subject_adds_a_header() {
        for evil in
            ["Ann\r\nBcc: eve@example.org", "Ann\nBcc: eve@example.org", "Ann\rBcc: eve@example.org", "\r\n\r\nhi"]
        {
            let letter = write(&mail("ann@example.org", evil, evil));

            let head = head(&letter);
            let names: Vec<_> = head
                .lines()
                .filter(|line| !line.starts_with([' ', '\t']))
                .map(|line| line.split(':').next().unwrap())
                .collect();
            let ours =
                ["From", "To", "Subject", "Message-ID", "Date", "Auto-Submitted", "MIME-Version", "Content-Type"];
            assert!(names.iter().all(|name| ours.contains(name)), "{head}");
            assert_eq!(letter.envelope.to().len(), 1);
        }
    }

    #[test]
    fn no_line_is_longer_than_mail_may_have_and_all_of_it_is_ascii() {
        let name = "Zoë Ångström-de la Fontaine ".repeat(7);
        let letter = write(&mail("ann@example.org", name.trim(), &name));

        let text = std::str::from_utf8(&letter.bytes).unwrap();
        assert!(text.is_ascii());
        assert!(text.split("\r\n").all(|line| line.len() <= 998), "{text}");
        assert!(head(&letter).lines().all(|line| line.len() <= 100), "{text}");
    }

    #[test]
    fn an_address_of_a_domain_beyond_ascii_is_one_that_every_server_takes() {
        let letter = write(&mail("ann@exämple.org", "Ann", "Hello"));

        assert_eq!(letter.envelope.to()[0].to_string(), "ann@xn--exmple-cua.org");
        assert!(letter.bytes.is_ascii());
        assert_eq!(
            write(&mail("josé@exämple.org", "José", "¡Hola!")).envelope.to()[0].to_string(),
            "josé@xn--exmple-cua.org"
        );
    }

    #[test]
    fn an_address_that_is_none_is_refused() {
        let from = "Ashlar <ashlar@example.org>".parse().unwrap();
        for wrong in ["ann", "ann@", "@example.org", "ann@example.org>\r\nRCPT TO:<eve@example.org"] {
            let body = Body { text: String::new(), html: String::new() };
            let why = Letter::write(&from, &mail(wrong, "Ann", "Hello"), body).unwrap_err();
            assert!(why.contains("no address"), "{why}");
        }
    }
}
