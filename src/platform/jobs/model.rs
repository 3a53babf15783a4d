//! What is ordered, where it runs, and when it is tried again. Pure.

use std::time::Duration;

use super::*;

/// When, how soon and how often.
#[derive(Debug, Clone, Default)]
pub struct Order {
    pub priority: Priority,
    /// Not before; at once where none.
    pub run_at: Option<Time>,
    /// Of all jobs of the kind that have not ended, one bears it.
    pub unique_key: Option<String>,
    /// Whom it is about, so that it is erased with them; whom the unit of work concerns, where none is named.
    pub person: Option<UserId>,
    /// It is about nobody, whomever the unit of work concerns: what cleans up after people stays when they go.
    pub is_upkeep: bool,
}

/// Which jobs of a kind run first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Somebody waits for it.
    Urgent = 0,
    #[default]
    Normal = 1,
    /// Whenever there is nothing else.
    Bulk = 2,
}

/// Where jobs of a kind run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = JobPlace)]
pub enum Place {
    /// In the server.
    Here,
    /// On workers, wherever they are.
    Workers,
    /// Wherever there is a free hand.
    Anywhere,
}

impl Place {
    pub fn as_str(self) -> &'static str {
        match self {
            Place::Here => "here",
            Place::Workers => "workers",
            Place::Anywhere => "anywhere",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Place> {
        [Place::Here, Place::Workers, Place::Anywhere].into_iter().find(|place| place.as_str() == text)
    }
}

/// How long a job waits after its `attempt`th run failed: twice as long each time, a fifth more or less by `roll` (0 to
/// 1), so that what failed together does not come again together.
pub(super) fn backoff(first: Duration, longest: Duration, attempt: u32, roll: f64) -> Duration {
    let doubled = first.saturating_mul(1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX));
    doubled.min(longest).mul_f64(0.8 + 0.4 * roll.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_waits_twice_as_long_after_each_failure_up_to_a_bound() {
        let wait = |attempt| backoff(Duration::from_secs(15), Duration::from_secs(3600), attempt, 0.5).as_secs();

        assert_eq!([1, 2, 3, 4].map(wait), [15, 30, 60, 120]);
        assert_eq!([9, 20, 33, 64, u32::MAX].map(wait), [3600; 5]);
    }

    #[test]
    fn what_failed_together_does_not_come_again_together() {
        let wait = |roll| backoff(Duration::from_secs(100), Duration::from_secs(3600), 1, roll).as_secs();

        assert_eq!([0.0, 0.25, 1.0].map(wait), [80, 90, 120]);
    }
}
