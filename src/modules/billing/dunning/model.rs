//! When an unpaid invoice is charged again, asked for again, and given up. Pure.

use jiff::ToSpan;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::modules::billing::calendar;
use crate::modules::billing::invoices::InvoiceId;
use crate::modules::billing::model::Settings;
use crate::platform::clock::Time;

/// How far the charging of an invoice is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Charging {
    /// There is nothing to charge: it is paid by transfer, or between two attempts.
    None,
    /// A job charges it.
    Due,
    /// The gateway has it, and will tell.
    Pending,
    /// It was declined for good, or given back: it is asked for, not charged.
    Refused,
}

impl Charging {
    pub fn as_str(self) -> &'static str {
        match self {
            Charging::None => "none",
            Charging::Due => "due",
            Charging::Pending => "pending",
            Charging::Refused => "refused",
        }
    }
}

/// An invoice that is being collected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dunning {
    pub invoice: InvoiceId,
    /// The day from which days are counted: the due day, or that of the first decline or of a refund; none before that.
    pub base_on: Option<Date>,
    /// How many of the settings' days have been.
    pub step: usize,
    /// Charges that were answered.
    pub attempt: u32,
    pub charging: Charging,
    /// Why it was declined the last time.
    pub why: Option<String>,
    pub next_at: Option<Time>,
    pub ended_at: Option<Time>,
}

/// What is to be done on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    Nothing,
    /// Charge or ask again; so many of the days have been then.
    Again(usize),
    GiveUp,
}

impl Dunning {
    pub fn new(invoice: InvoiceId, charging: Charging) -> Dunning {
        Dunning { invoice, base_on: None, step: 0, attempt: 0, charging, why: None, next_at: None, ended_at: None }
    }

    /// What is to be done on `today`. Days that were missed are made up for by one step, and it is given up on a later day
    /// than the last step: nobody gets two mails at once, or loses what they have without a word before.
    pub fn due(&self, base: Date, settings: &Settings, today: Date) -> Due {
        let days = calendar::days(base, today);
        let been = settings.retry_days.iter().filter(|day| i32::from(**day) <= days).count();
        if been > self.step {
            Due::Again(been)
        } else if days >= i32::from(settings.give_up_day) {
            Due::GiveUp
        } else {
            Due::Nothing
        }
    }

    /// The day on which there is something to do next, after `today`.
    pub fn next_day(&self, base: Date, settings: &Settings, today: Date) -> Date {
        let days = settings.retry_days.get(self.step).copied().unwrap_or(settings.give_up_day);
        // Dates go further than any sensible clock.
        let day = base.saturating_add(i64::from(days).days());
        day.max(today.saturating_add(1.day()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    fn id() -> InvoiceId {
        InvoiceId::new(Time::from_ms(1))
    }

    /// The days of `looked`, counted from the base, on which something is done.
    fn days_of(looked: impl IntoIterator<Item = i64>) -> Vec<(i64, Due)> {
        let (base, settings) = (date(2026, 3, 1), Settings::default());
        let mut dunning = Dunning::new(id(), Charging::None);
        let mut done = Vec::new();
        for day in looked {
            let due = dunning.due(base, &settings, base.saturating_add(day.days()));
            match due {
                Due::Nothing => continue,
                Due::Again(step) => dunning.step = step,
                Due::GiveUp => {}
            }
            done.push((day, due));
            if due == Due::GiveUp {
                break;
            }
        }
        done
    }

    #[test]
    fn it_is_tried_on_the_days_of_the_settings_and_given_up_on_the_last() {
        let expected =
            [(1, Due::Again(1)), (3, Due::Again(2)), (5, Due::Again(3)), (7, Due::Again(4)), (14, Due::GiveUp)];

        assert_eq!(days_of(0..30), expected);
    }

    #[test]
    fn what_was_missed_is_one_step_and_the_end_comes_on_a_later_day() {
        assert_eq!(days_of([0, 6, 6, 20, 20]), [(6, Due::Again(3)), (20, Due::Again(4)), (20, Due::GiveUp)]);
        let dunning = Dunning { step: 4, ..Dunning::new(id(), Charging::None) };
        let (base, today) = (date(2026, 3, 1), date(2026, 4, 1));
        assert_eq!(dunning.next_day(base, &Settings::default(), today), date(2026, 4, 2));
    }
}
