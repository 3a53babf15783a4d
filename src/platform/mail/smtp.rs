//! One mail to the mail server, step by step, so that it is known who refused what.

use std::error::Error as _;
use std::io::ErrorKind;
use std::time::Duration;

use lettre::address::Envelope;
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{SmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail as MailFrom, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};

use super::message::Letter;
use super::settings::{Security, Smtp};

/// Each step has so long, so that a server that says nothing holds up no stop of ours.
const STEP: Duration = Duration::from_secs(10);
/// For what is handed over, longer: it may look into it before it answers, and who gives up then has it sent twice.
///
/// Source: RFC 5321, section 4.5.3.2.6, which asks for more still; but a stop waits for it.
const TAKING: Duration = Duration::from_secs(60);
/// Once the mail is taken, a goodbye is not worth more.
const GOODBYE: Duration = Duration::from_secs(1);
/// Of what a server says, so much is kept.
const MAX_WHY_CHARS: usize = 300;

/// Why a mail was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// By the address' own server or ours, for good.
    Refused(String),
    /// It may be taken another time, or once the settings are right.
    Later(String),
}

use Trouble::{Later, Refused};

/// A mail server, as it is set; its TLS is made once.
pub(super) struct Server {
    smtp: Smtp,
    /// What we call ourselves.
    hello: ClientId,
    tls: Option<TlsParameters>,
}

impl Server {
    pub fn new(smtp: &Smtp, hello: String) -> Result<Server, Trouble> {
        let tls = match smtp.security {
            Security::Plain => None,
            Security::Tls | Security::StartTls => {
                // Another user of TLS in this process may have chosen it already.
                rustls::crypto::ring::default_provider().install_default().ok();
                Some(TlsParameters::new(smtp.host.clone()).map_err(|e| later("preparing TLS", &e))?)
            }
        };
        Ok(Server { smtp: smtp.clone(), hello: ClientId::Domain(hello), tls })
    }

    /// Hands a mail over; `is_stopping` is asked between the steps. Where it ends well, the server has taken it.
    pub fn send(&self, letter: &Letter, is_stopping: &dyn Fn() -> bool) -> Result<(), Trouble> {
        let go_on = || if is_stopping() { Err(Later("it was told to stop".into())) } else { Ok(()) };
        let mut connection = self.connect()?;
        go_on()?;
        if let Some((user, password)) = &self.smtp.credentials {
            let credentials = Credentials::new(user.clone(), password.clone());
            let said = connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials);
            said.map_err(|e| later("signing in to the mail server (check user and password in smtp_url)", &e))?;
        }
        let parameters = parameters(&connection, letter)?;
        let sender = MailFrom::new(letter.envelope.from().cloned(), parameters);
        connection.command(sender).map_err(|e| later("naming the sender (check mail_from)", &e))?;
        for to in letter.envelope.to() {
            connection.command(Rcpt::new(to.clone(), Vec::new())).map_err(|e| refused("naming the address", &e))?;
        }
        go_on()?;
        connection.command(Data).map_err(|e| refused("announcing the mail", &e))?;
        connection.set_timeout(Some(TAKING)).map_err(|e| Later(format!("handing the mail over: {e}")))?;
        connection.message(&letter.bytes).map_err(|e| refused("handing the mail over", &e))?;
        // It is taken: whatever comes now changes nothing.
        connection.set_timeout(Some(GOODBYE)).ok();
        connection.quit().ok();
        Ok(())
    }

    fn connect(&self) -> Result<SmtpConnection, Trouble> {
        let Smtp { host, port, security, .. } = &self.smtp;
        let at_once = self.tls.as_ref().filter(|_| *security == Security::Tls);
        let reaching = format!("reaching the mail server {host}:{port}");
        let connection = SmtpConnection::connect((host.as_str(), *port), Some(STEP), &self.hello, at_once, None);
        let mut connection = connection.map_err(|e| later(&reaching, &e))?;
        if let (Security::StartTls, Some(tls)) = (security, &self.tls) {
            if !connection.can_starttls() {
                return Err(Later(format!(
                    "the mail server {host}:{port} offers no STARTTLS, so nothing was sent: use smtps:// for TLS from the \
                     first byte, or ?tls=none if the way there is safe"
                )));
            }
            connection.starttls(tls, &self.hello).map_err(|e| later("beginning TLS", &e))?;
        }
        Ok(connection)
    }
}

/// What the server must know before, and be able to.
fn parameters(connection: &SmtpConnection, letter: &Letter) -> Result<Vec<MailParameter>, Trouble> {
    let can = |extension| connection.server_info().supports_feature(extension);
    let mut parameters = Vec::new();
    if has_letters_beyond_ascii(&letter.envelope) {
        if !can(Extension::SmtpUtfEight) {
            return Err(Refused(
                "the mail server can't send to addresses with letters beyond ASCII before the @".into(),
            ));
        }
        parameters.push(MailParameter::SmtpUtfEight);
    }
    if !letter.bytes.is_ascii() {
        if !can(Extension::EightBitMime) {
            return Err(Refused("the mail server can't take headers beyond ASCII".into()));
        }
        parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
    }
    Ok(parameters)
}

/// Whether an address needs SMTPUTF8 (RFC 6531).
fn has_letters_beyond_ascii(envelope: &Envelope) -> bool {
    envelope.to().iter().chain(envelope.from()).any(|address| !AsRef::<str>::as_ref(address).is_ascii())
}

/// Trouble that is not the address', whatever the server calls it.
fn later(doing: &str, error: &SmtpError) -> Trouble {
    Later(format!("{doing}: {}", said(error)))
}

/// Trouble that is the address', if the server means it for good.
fn refused(doing: &str, error: &SmtpError) -> Trouble {
    if error.is_permanent() { Refused(said(error)) } else { later(doing, error) }
}

/// `550 5.1.1 no such mailbox`, or what went wrong on the way; on one line.
fn said(error: &SmtpError) -> String {
    let source = error.source();
    let io = source.and_then(|source| source.downcast_ref::<std::io::Error>()).map(std::io::Error::kind);
    let text = match (error.status(), source, io) {
        (_, _, Some(ErrorKind::WouldBlock | ErrorKind::TimedOut)) => "no answer in time".to_owned(),
        (Some(code), Some(text), _) => format!("{code} {text}"),
        (Some(code), None, _) => code.to_string(),
        (None, Some(cause), _) => cause.to_string(),
        (None, None, _) => error.to_string(),
    };
    let words: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()).collect();
    words.join(" ").chars().take(MAX_WHY_CHARS).collect()
}
