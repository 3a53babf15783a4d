//! The rows that every person has, whoever adds them.

use crate::modules::profiles::DisplayName;
use crate::modules::users::Email;
use crate::platform::auth::Role;
use crate::platform::db::UnitOfWork;
use crate::platform::error::{Result, Together};
use crate::platform::money::Currency;

use super::{App, Person};

/// A new person as asked for.
pub(super) struct NewPerson {
    pub email: Email,
    pub name: DisplayName,
    pub currency: Currency,
}

impl NewPerson {
    /// All wrong fields are reported at once.
    pub fn parse(email: &str, display_name: &str, currency: Option<&str>) -> Result<NewPerson> {
        let (email, name, currency) = (
            Email::parse(email),
            DisplayName::parse(display_name),
            currency.map_or(Ok(Currency::EUR), Currency::parse),
        )
            .together()?;
        Ok(NewPerson { email, name, currency })
    }
}

impl App {
    /// User, profile and billing account: the rows that every person has.
    pub(super) fn create_person(&self, work: &UnitOfWork<'_>, new: NewPerson, role: Role) -> Result<Person> {
        let user = self.users.register(work, new.email, role)?;
        let profile = self.profiles.create(work, user.id, new.name)?;
        let account = self.billing.open_account(work, user.id, new.currency, profile.display_name.as_str())?;
        Ok(Person { user, profile, account })
    }
}
