//! From the answer to a revocation until each replica says so: one tight loop of look-ups at each, on a connection of its own.

use crate::Failure;
use crate::connection::{Connection, Head, contains};
use crate::paced::quantile;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A replica that still answers "active" by then is not late but wrong.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Deserialize)]
pub(crate) struct Wanted {
    /// Where a token revokes itself.
    revoke: Head,
    /// The look-up at each replica.
    replicas: Vec<Head>,
    before: String,
    after: String,
    /// Live tokens, one a line; each is revoked once.
    tokens: PathBuf,
}

pub(crate) async fn run(wanted: Wanted) -> Result<Value, Failure> {
    let mut connections = vec![];
    for head in &wanted.replicas {
        connections.push(Connection::open(head).await?);
    }
    let mut revoking = Connection::open(&wanted.revoke).await?;
    let mut lags = vec![];
    for token in std::fs::read_to_string(&wanted.tokens)?.lines() {
        let look_up = Bytes::from(format!("{}{token}{}", wanted.before, wanted.after));
        // Each replica knows it as active, and has its answer at hand, before it is revoked.
        for connection in &mut connections {
            while !is_active(connection, &look_up).await? {}
            is_active(connection, &look_up).await?;
        }
        let (dead, revoked) = tokio::sync::watch::channel(None);
        let mut polls = tokio::task::JoinSet::new();
        for connection in connections.drain(..) {
            polls.spawn(until_inactive(connection, look_up.clone(), revoked.clone()));
        }
        let answer = revoking.ask(Bytes::from(format!("token={token}"))).await?;
        if !answer.status.is_success() {
            return Err(format!("a revocation was answered {}", answer.status).into());
        }
        dead.send_replace(Some(Instant::now()));
        while let Some(done) = polls.join_next().await {
            let (connection, lag) = done??;
            connections.push(connection);
            lags.push(lag);
        }
    }
    lags.sort_unstable();
    Ok(json!({
        "revocations": lags.len() / wanted.replicas.len().max(1), "samples": lags.len(),
        "p50_ms": quantile(&lags, 0.5), "p99_ms": quantile(&lags, 0.99), "max_ms": quantile(&lags, 1.0),
    }))
}

type Revoked = tokio::sync::watch::Receiver<Option<Instant>>;

/// Looks up until the answer is no, and says how long after the revocation was answered that was: nothing, when it was before.
async fn until_inactive(
    mut connection: Connection,
    look_up: Bytes,
    mut revoked: Revoked,
) -> Result<(Connection, Duration), Failure> {
    let began = Instant::now();
    while is_active(&mut connection, &look_up).await? {
        if began.elapsed() > PATIENCE {
            return Err("a replica still says that a revoked token is active".into());
        }
    }
    let seen = Instant::now();
    let answered = revoked.wait_for(Option::is_some).await?.unwrap_or(seen);
    Ok((connection, seen.saturating_duration_since(answered)))
}

async fn is_active(connection: &mut Connection, look_up: &Bytes) -> Result<bool, Failure> {
    let answer = connection.ask(look_up.clone()).await?;
    let says = |text: &str| contains(&answer.body, text.as_bytes());
    match (answer.status.as_u16(), says("\"active\":true"), says("\"active\":false")) {
        (200, true, false) => Ok(true),
        (200, false, true) => Ok(false),
        (status, _, _) => Err(format!("a look-up was answered {status}").into()),
    }
}
