//! The job that delivers one mail.

use std::sync::OnceLock;
use std::time::Duration;

use super::message::Letter;
use super::smtp::{Server, Trouble};
use super::*;
use crate::platform::jobs::{Failure, Kind, Record, Run};

/// At once to the mail server.
const SLOTS: usize = 4;
/// With the waits between them, a day.
const ATTEMPTS: u32 = 30;
const FIRST_WAIT: Duration = Duration::from_secs(15);
const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);
/// Every step has 10 s, and there are not many.
const LONGEST_RUN: Duration = Duration::from_secs(3 * 60);

/// The kinds of jobs that mail has.
pub fn kinds(mailer: &Mailer) -> Vec<Kind> {
    let post = Post { mailer: mailer.clone(), server: OnceLock::new() };
    let deliver = Kind::new(move |run: &Run, Deliver { mail }| post.deliver(run, MailId::from_uuid(mail)))
        .slots(SLOTS)
        .attempts(ATTEMPTS)
        .backoff(FIRST_WAIT, LONGEST_WAIT)
        .longest_run(LONGEST_RUN)
        .outward()
        .on_death(|work, Deliver { mail }, why| {
            work.tables(Owner(())).fail(MailId::from_uuid(mail), why, false, work.now()).map(drop)
        });
    vec![deliver]
}

struct Post {
    mailer: Mailer,
    server: OnceLock<Server>,
}

impl Post {
    /// Sends a mail unless it is sent already. If we die between the server's yes and our note of it, it goes out once more
    /// under the same `Message-ID`.
    fn deliver(&self, run: &Run, id: MailId) -> Result<Record, Failure> {
        let found = run.database.read_blocking("mail.deliver", |snapshot| {
            let mail = snapshot.tables(Owner(())).find(id)?;
            mail.map(|mail| Ok((mail, look::body(snapshot, id)?))).transpose()
        });
        let (mail, body) = match found? {
            // Its person is gone.
            None => return Ok(Record::nothing()),
            Some((mail, _)) if mail.state == State::Sent => return Ok(Record::nothing()),
            Some((mail, Some(body))) => (mail, body),
            Some((_, None)) => return Err(Failure::Never("what it said has expired".into())),
        };
        let MailSettings { smtp: Some(smtp), from: Some(from) } = &*self.mailer.settings else {
            return Ok(Record::new(move |work| work.tables(Owner(())).keep(id)));
        };
        let taken = Letter::write(from, &mail, body).map_err(Trouble::Refused).and_then(|letter| {
            let server = match self.server.get() {
                Some(server) => server,
                None => {
                    let server = Server::new(smtp, self.mailer.settings.domain())?;
                    self.server.get_or_init(|| server)
                }
            };
            server.send(&letter, &|| run.is_stopping())
        });
        match taken {
            Ok(()) => Ok(Record::new(move |work| work.tables(Owner(())).sent(id, work.now()))),
            Err(Trouble::Later(why)) => {
                let it = why.clone();
                run.write("mail.deliver", move |work| work.tables(Owner(())).note(id, &it))?;
                Err(Failure::Retry(why))
            }
            Err(Trouble::Refused(why)) => {
                let it = why.clone();
                run.write("mail.deliver", move |work| {
                    work.tables(Owner(())).fail(id, &it, true, work.now()).map(drop)
                })?;
                Err(Failure::Never(why))
            }
        }
    }
}
