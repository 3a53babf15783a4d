//! A billing account.

use serde::Serialize;

use crate::platform::clock::Time;
use crate::platform::ids::UserId;
use crate::platform::money::Currency;

/// What a person owes and how they pay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = BillingAccount)]
pub struct Account {
    #[schema(value_type = String, format = Uuid)]
    pub user_id: UserId,
    pub currency: Currency,
    pub created_at: Time,
}
