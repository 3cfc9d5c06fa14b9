//! The feed of invalidations, as Server-Sent Events (HTML Living Standard, section 9.2).

use crate::extract::{Service, checked_text, query, unknown_parameter};
use crate::problem::Denied;
use crate::render::milliseconds;
use crate::server::{Api, Server};
use axum::extract::FromRequestParts;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::request::Parts;
use jobpass_api::{FeedOpened, FeedTold};
use jobpass_app::{Invalidations, Told, What};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

/// How long a client waits until it comes again, which it is told.
const RETRY: Duration = Duration::from_secs(1);

/// From where the stream is to go on: what a client heard last, or else what it was first asked to begin with.
#[derive(Debug)]
pub(crate) struct GoOn(Option<String>);

impl FromRequestParts<Arc<Server>> for GoOn {
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Server>) -> Result<GoOn, Denied> {
        let mut since = None;
        for (name, value) in query(parts)? {
            match name.as_str() {
                "since" => since = Some(checked_text("?since", value)?),
                _ => return Err(unknown_parameter(&name)),
            }
        }
        // What is no text is no position either, and nobody can go on from there.
        let heard = parts.headers.get("last-event-id");
        Ok(GoOn(heard.map(|id| id.to_str().unwrap_or_default().to_owned()).or(since)))
    }
}

/// What was revoked or changed, as it happens: for services that keep answers
#[utoipa::path(get, path = "/v1/invalidations", tag = "decisions",
    params(
        ("since" = Option<String>, Query, description = "The id of an event, to go on from there"),
        ("Last-Event-ID" = Option<String>, Header, description = "The same, as clients send it who come again"),
    ),
    responses((status = 200, content_type = "text/event-stream", body = String,
        description = "Server-Sent Events without end: `opened`, then `changed`, `reset` and `beat`, each with a position as its id")))]
pub(crate) async fn invalidation_follow(api: Api, by: Service, since: GoOn) -> Result<Response, Denied> {
    let feed = api.app.invalidations(&by.0, since.0.as_deref()).await?;
    let events = stream::unfold(feed, async |mut feed: Invalidations| {
        let told = feed.next().await?;
        Some((Ok::<_, Infallible>(event(told)), feed))
    });
    // A proxy that gathers what it passes on would make every beat late.
    Ok(([("x-accel-buffering", "no")], Sse::new(events)).into_response())
}

fn event(told: Told) -> Event {
    let age_ms = told.age.map(milliseconds);
    let (event, name, data) = match told.what {
        What::Opened { beat, bound } => {
            let opened = FeedOpened { beat_ms: milliseconds(beat), bound_ms: milliseconds(bound) };
            (Event::default().retry(RETRY), "opened", serde_json::to_string(&opened))
        }
        What::Changed(tags) => (Event::default(), "changed", serde_json::to_string(&FeedTold { tags, age_ms })),
        What::Reset => (Event::default(), "reset", serde_json::to_string(&FeedTold { tags: vec![], age_ms })),
        What::Beat => (Event::default(), "beat", serde_json::to_string(&FeedTold { tags: vec![], age_ms })),
    };
    // Texts and numbers always have a JSON; were there none, a client would hear nothing and keep nothing.
    let event = event.event(name).data(data.unwrap_or_default());
    match told.at {
        Some(at) => event.id(at),
        None => event,
    }
}
