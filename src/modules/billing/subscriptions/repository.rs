//! Where subscriptions are kept.

use super::model::{Event, Subscription, SubscriptionId};
use crate::platform::clock::Time;
use crate::platform::error::Result;
use crate::platform::ids::UserId;

pub(in crate::modules::billing) trait SubscriptionRepository {
    fn insert_subscription(&self, subscription: &Subscription) -> Result<()>;
    fn update_subscription(&self, subscription: &Subscription) -> Result<()>;
    fn find_subscription(&self, id: SubscriptionId) -> Result<Option<Subscription>>;
    /// Before `before`, newest first; of one person where they are named.
    fn list_subscriptions(
        &self,
        user: Option<UserId>,
        before: Option<SubscriptionId>,
        limit: u32,
    ) -> Result<Vec<Subscription>>;
    /// Those of accounts that go by the clock of all, with something to do by `now`, the earliest first.
    fn list_due(&self, now: Time, limit: u32) -> Result<Vec<SubscriptionId>>;
    /// The same, of one account.
    fn list_due_of(&self, user: UserId, now: Time, limit: u32) -> Result<Vec<SubscriptionId>>;
    fn insert_event(
        &self,
        subscription: &Subscription,
        event: &Event,
        id: crate::platform::ids::Id<Event>,
    ) -> Result<()>;
    /// What happened to one, newest first.
    fn list_events(&self, id: SubscriptionId, limit: u32) -> Result<Vec<Event>>;
}
