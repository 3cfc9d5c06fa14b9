//! Load at a fixed rate. Each request has its moment; a latency counts from that moment, not from when the connection was free for it,
//! so that a server that stalls is charged for all that had to wait (no coordinated omission).

use crate::Failure;
use crate::connection::{Connection, Due, Head};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Several kinds of requests at once, each at its own rate.
#[derive(Debug, Deserialize)]
pub(crate) struct Wanted {
    seconds: f64,
    /// The file for every single latency, a line each: when it was due and what it took, in seconds since the start.
    samples: Option<PathBuf>,
    streams: Vec<Stream>,
}

#[derive(Clone, Debug, Deserialize)]
struct Stream {
    name: String,
    head: Head,
    /// What stands before and after the item in the body.
    before: String,
    after: String,
    /// One item a line, taken in turn.
    items: PathBuf,
    /// How many of the items are passed over first.
    skip: usize,
    rate: f64,
    connections: usize,
    due: Due,
}

/// What one connection saw.
#[derive(Debug, Default)]
struct Seen {
    /// With the moment at which it was due, since the start.
    latencies: Vec<(Duration, Duration)>,
    unexpected: u64,
    example: Option<String>,
    /// When the last answer came.
    last: Option<Instant>,
}

pub(crate) async fn run(wanted: Wanted) -> Result<Value, Failure> {
    // Every connection is open before the first request is due.
    let mut open = Vec::new();
    for stream in &wanted.streams {
        let items = Arc::new(read(stream)?);
        for lane in 0..stream.connections {
            open.push((stream.clone(), lane, Connection::open(&stream.head).await?, Arc::clone(&items)));
        }
    }
    let (began, span) = (Instant::now(), Duration::from_secs_f64(wanted.seconds));
    let mut lanes = JoinSet::new();
    for (stream, lane, connection, items) in open {
        lanes.spawn(async move { (stream.name.clone(), drive(&stream, lane, connection, &items, began, span).await) });
    }
    let mut seen: Vec<(String, Seen)> = vec![];
    while let Some(done) = lanes.join_next().await {
        seen.push(done?);
    }
    if let Some(file) = &wanted.samples {
        write_samples(file, &seen)?;
    }
    Ok(wanted.streams.iter().map(|stream| (stream.name.clone(), told(stream, &mut seen, began))).collect())
}

fn write_samples(file: &Path, seen: &[(String, Seen)]) -> Result<(), Failure> {
    let mut lines = String::new();
    for (due, took) in seen.iter().flat_map(|(_, one)| &one.latencies) {
        writeln!(lines, "{:.6} {:.6}", due.as_secs_f64(), took.as_secs_f64())?;
    }
    Ok(std::fs::write(file, lines)?)
}

fn read(stream: &Stream) -> Result<Vec<Bytes>, Failure> {
    let body = |item: &str| Bytes::from(format!("{}{item}{}", stream.before, stream.after));
    let bodies: Vec<Bytes> = std::fs::read_to_string(&stream.items)?.lines().skip(stream.skip).map(body).collect();
    if bodies.is_empty() { Err("there are no items to ask about".into()) } else { Ok(bodies) }
}

async fn drive(
    stream: &Stream,
    lane: usize,
    mut connection: Connection,
    items: &[Bytes],
    began: Instant,
    span: Duration,
) -> Seen {
    let mut seen = Seen::default();
    for turn in (lane..).step_by(stream.connections) {
        #[expect(clippy::cast_precision_loss, reason = "no run has 2^52 requests")]
        let due = Duration::from_secs_f64(turn as f64 / stream.rate);
        let Some(body) = items.get(turn % items.len()).filter(|_| due < span) else { break };
        wait_until(began + due).await;
        let answer = connection.ask(body.clone()).await;
        let now = Instant::now();
        seen.latencies.push((due, now - (began + due)));
        seen.last = Some(now);
        match answer {
            Ok(answer) if stream.due.is_met_by(&answer) => {}
            Ok(answer) => seen.note(&format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body))),
            // The connection is gone, and what it had to ask yet is missing from the figure.
            Err(error) => {
                seen.note(&error.to_string());
                break;
            }
        }
    }
    seen
}

impl Seen {
    fn note(&mut self, what: &str) {
        self.unexpected += 1;
        self.example.get_or_insert(what.chars().take(300).collect());
    }
}

/// Timers of the runtime are late by up to a millisecond, so the last of the way is gone by looking at the clock.
async fn wait_until(moment: Instant) {
    let early = Duration::from_millis(3);
    if let Some(ahead) = moment.checked_duration_since(Instant::now()).filter(|ahead| *ahead > early) {
        tokio::time::sleep(ahead.saturating_sub(early)).await;
    }
    while Instant::now() < moment {
        tokio::task::yield_now().await;
    }
}

fn told(stream: &Stream, seen: &mut [(String, Seen)], began: Instant) -> Value {
    let mut all = Seen::default();
    for (_, one) in seen.iter_mut().filter(|(name, _)| *name == stream.name) {
        all.latencies.append(&mut one.latencies);
        all.unexpected += one.unexpected;
        all.example = all.example.take().or(one.example.take());
        all.last = all.last.max(one.last);
    }
    let mut latencies: Vec<Duration> = all.latencies.iter().map(|(_, took)| *took).collect();
    latencies.sort_unstable();
    let took = all.last.map_or(0.0, |last| (last - began).as_secs_f64());
    json!({
        "answers": latencies.len(), "seconds": took, "unexpected": all.unexpected, "example": all.example,
        "p50_ms": quantile(&latencies, 0.5), "p99_ms": quantile(&latencies, 0.99), "max_ms": quantile(&latencies, 1.0),
    })
}

/// Of sorted latencies, in milliseconds: the smallest that no less than this share lies at or below.
pub(crate) fn quantile(sorted: &[Duration], share: f64) -> Option<f64> {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a count"
    )]
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.max(1) - 1).map(|latency| latency.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_by_rank() {
        let latencies: Vec<Duration> = (1..=100).map(Duration::from_millis).collect();
        let of = |share| quantile(&latencies, share).map(f64::round);
        assert_eq!((of(0.5), of(0.99), of(1.0)), (Some(50.0), Some(99.0), Some(100.0)));
        assert_eq!(quantile(&latencies[..1], 0.99), Some(1.0));
        assert_eq!(quantile(&[], 0.99), None);
    }
}
