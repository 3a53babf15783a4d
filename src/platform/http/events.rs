//! Server-sent events: a page is told that there is something new, and reads it the usual way.
//!
//! What is sent says nothing but that: who may see what is decided where it is read. A stream ends with the server's turn,
//! and after some minutes by itself, so that whoever was signed out does not listen on; browsers connect again.
//!
//! Source: <https://html.spec.whatwg.org/multipage/server-sent-events.html>.

use std::convert::Infallible;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, timeout_at};
use warp::http::{HeaderValue, header};
use warp::reply::{Reply, Response};

use crate::platform::Platform;
use crate::platform::error::{Error, Result};

/// Streams at once; each is a connection that stays open.
const MOST: usize = 512;
/// News that come together are told together.
const PAUSE: Duration = Duration::from_millis(300);
/// Proxies close what is silent for longer.
const HEARTBEAT: Duration = Duration::from_secs(15);
const LONGEST: Duration = Duration::from_secs(300);
/// Browsers ask again after so many milliseconds.
const BEGIN: &str = "retry: 2000\n\n";

struct Listening {
    signals: Vec<watch::Receiver<u64>>,
    leaving: watch::Receiver<bool>,
    until: Instant,
    begun: bool,
    _turn: OwnedSemaphorePermit,
}

/// Tells of each commit that raised one of `topics`.
///
/// # Errors
/// [`Error::Overloaded`] where too many listen already.
pub fn events(platform: &Platform, topics: &[&'static str]) -> Result<Response> {
    static TURNS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(MOST)));
    let turn = TURNS.clone().try_acquire_owned().map_err(|_| Error::Overloaded("too many pages wait for news"))?;
    let listening = Listening {
        signals: topics.iter().map(|topic| platform.database.signal(topic)).collect(),
        leaving: platform.leaving.subscribe(),
        until: Instant::now() + LONGEST,
        begun: false,
        _turn: turn,
    };
    let news = stream::unfold(listening, |mut it| async move {
        let text = it.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from_static(text.as_bytes())), it))
    });
    let mut response = warp::reply::stream(news).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    Ok(response)
}

impl Listening {
    /// What is sent next; none where the stream ends.
    async fn next(&mut self) -> Option<&'static str> {
        if !std::mem::replace(&mut self.begun, true) {
            return Some(BEGIN);
        }
        if *self.leaving.borrow() || Instant::now() >= self.until {
            return None;
        }
        let beat = (Instant::now() + HEARTBEAT).min(self.until);
        let leaving = &mut self.leaving;
        let told = {
            let signals = self.signals.iter_mut().map(|signal| Box::pin(signal.changed()));
            let news = async { futures_util::future::select_all(signals).await.0 };
            tokio::select! {
                _ = leaving.wait_for(|left| *left) => return None,
                told = timeout_at(beat, news) => told,
            }
        };
        match told {
            // The sender is gone, and with it the server.
            Ok(Err(_)) => None,
            Ok(Ok(())) => {
                tokio::time::sleep(PAUSE).await;
                self.signals.iter_mut().for_each(watch::Receiver::mark_unchanged);
                Some("data: news\n\n")
            }
            Err(_) => Some(":\n\n"),
        }
    }
}
