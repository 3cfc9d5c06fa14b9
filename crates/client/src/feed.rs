//! Following the feed of invalidations in the background, for as long as someone keeps decisions by it.

use crate::Client;
use crate::event_stream::{Event, EventStream};
use crate::memory::Memory;
use http::header::ACCEPT;
use http::{HeaderValue, Method, StatusCode};
use jobpass_api::{FeedOpened, FeedTold};
use reqwest::Response;
use serde::de::DeserializeOwned;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};
use thiserror::Error;
use tokio::task::AbortHandle;

/// How long it waits before it asks again: at first, and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long the first event may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// After so long a stream is opened anew, which costs a question for each decision.
const LIFE: Duration = Duration::from_hours(24);

/// A memory, and who keeps it true: both go together.
#[derive(Debug)]
pub(crate) struct Followed {
    pub(crate) memory: Arc<Memory>,
    task: AbortHandle,
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Followed {
    /// Begins at once. Panics outside of a tokio runtime.
    pub(crate) fn new(client: Client, basic: HeaderValue, most: usize) -> Followed {
        let memory = Arc::new(Memory::new(most));
        let task = tokio::spawn(follow(client, basic, Arc::clone(&memory)));
        Followed { memory, task: task.abort_handle() }
    }
}

/// Why a stream is over.
#[derive(Debug, Error)]
enum Lost {
    #[error("it cannot be reached: {0}")]
    Unreachable(reqwest::Error),
    #[error("it was refused with status {0}")]
    Refused(StatusCode),
    #[error("it has ended, or said that everything has changed")]
    Over,
    #[error("it said nothing in time")]
    Late,
    #[error("what it said is nothing to rely on")]
    Unreadable,
    #[error("the server's operator wants nothing kept")]
    NothingMayBeKept,
}

async fn follow(client: Client, basic: HeaderValue, memory: Arc<Memory>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let Err(lost) = listen(&client, &basic, &memory).await;
        let was_up = memory.lose();
        tracing::debug!(%lost, "not following what is changed: each decision is asked for");
        pause = if was_up { FIRST_PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
        tokio::time::sleep(pause).await;
    }
}

/// Until the stream is over, for whatever reason.
async fn listen(client: &Client, basic: &HeaderValue, memory: &Memory) -> Result<Infallible, Lost> {
    // Before it is asked for: the stream was opened later, and so was read whatever it vouches for.
    let asked_at = Instant::now();
    let request = client.request(Method::GET, &["v1", "invalidations"], basic).timeout(LIFE);
    let sent = request.header(ACCEPT, "text/event-stream").send();
    let response = within(asked_at + PATIENCE, sent).await?.map_err(Lost::Unreachable)?;
    if response.status() != StatusCode::OK {
        return Err(Lost::Refused(response.status()));
    }
    let mut stream = Stream { response, read: EventStream::default(), events: Vec::new().into_iter() };
    let first = stream.next(asked_at + PATIENCE).await?;
    if first.name != "opened" {
        return Err(Lost::Unreadable);
    }
    let FeedOpened { bound_ms, .. } = data(&first)?;
    if bound_ms == 0 {
        return Err(Lost::NothingMayBeKept);
    }
    memory.begin(number(&first)?);
    let vouched_from = |age_ms| asked_at + Duration::from_millis(age_ms) + Duration::from_millis(bound_ms);
    let mut deadline = vouched_from(0);
    loop {
        let event = stream.next(deadline).await?;
        // What has another name may be anything.
        if !matches!(event.name.as_str(), "changed" | "beat") {
            return Err(Lost::Over);
        }
        let FeedTold { tags, age_ms } = data(&event)?;
        let good_until = age_ms.map(vouched_from);
        memory.hear(number(&event)?, tags, good_until);
        deadline = deadline.max(good_until.unwrap_or(deadline));
    }
}

struct Stream {
    response: Response,
    read: EventStream,
    events: std::vec::IntoIter<Event>,
}

impl Stream {
    async fn next(&mut self, deadline: Instant) -> Result<Event, Lost> {
        loop {
            if let Some(event) = self.events.next() {
                return Ok(event);
            }
            let chunk = within(deadline, self.response.chunk()).await?.map_err(Lost::Unreachable)?.ok_or(Lost::Over)?;
            self.events = self.read.read(&chunk).map_err(|_| Lost::Unreadable)?.into_iter();
        }
    }
}

async fn within<T>(deadline: Instant, work: impl Future<Output = T>) -> Result<T, Lost> {
    tokio::time::timeout_at(deadline.into(), work).await.map_err(|_| Lost::Late)
}

fn data<T: DeserializeOwned>(event: &Event) -> Result<T, Lost> {
    serde_json::from_str(&event.data).map_err(|_| Lost::Unreadable)
}

/// An id is a number, and what tells this history from another.
fn number(event: &Event) -> Result<i64, Lost> {
    event.id.split_once('-').and_then(|(number, _)| number.parse().ok()).ok_or(Lost::Unreadable)
}
