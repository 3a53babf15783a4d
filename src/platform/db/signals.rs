//! Signals: whoever waits for something is told once it is committed.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

/// A counter for each topic that somebody has asked for.
#[derive(Default)]
pub(super) struct Signals(Mutex<HashMap<&'static str, watch::Sender<u64>>>);

impl Signals {
    /// Changes with each commit that raised `topic`.
    pub fn listen(&self, topic: &'static str) -> watch::Receiver<u64> {
        let mut topics = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        topics.entry(topic).or_default().subscribe()
    }

    pub fn raise(&self, topic: &'static str) {
        let topics = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(topic) = topics.get(topic) {
            topic.send_modify(|count| *count += 1);
        }
    }
}
