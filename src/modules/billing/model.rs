//! A billing account.

use serde::Serialize;

use crate::platform::clock::Time;
use crate::platform::error::{Error, Result};
use crate::platform::ids::UserId;

/// What a person owes and how they pay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = BillingAccount)]
pub struct Account {
    #[schema(value_type = String, format = Uuid)]
    pub user_id: UserId,
    pub currency: Currency,
    pub created_at: Time,
}

/// A currency by its ISO 4217 code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, utoipa::ToSchema)]
#[schema(value_type = String, pattern = "^[A-Z]{3}$")]
pub struct Currency(iso_currency::Currency);

impl Currency {
    pub const EUR: Currency = Currency(iso_currency::Currency::EUR);

    /// # Errors
    /// [`Error::Invalid`] of `currency` for what is no ISO 4217 code.
    pub fn parse(code: &str) -> Result<Currency> {
        let known = iso_currency::Currency::from_code(&code.trim().to_ascii_uppercase());
        known.map(Currency).ok_or_else(|| Error::invalid("currency", "no ISO 4217 code: write it like EUR"))
    }

    pub fn code(self) -> &'static str {
        self.0.code()
    }
}

impl std::fmt::Display for Currency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Currency {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}
