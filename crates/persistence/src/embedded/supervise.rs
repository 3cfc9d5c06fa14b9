//! Keeps Postgres running until told to end it. It owns all that must outlive the process: the lock, the socket's folder.

use super::Server;
use super::postmaster::Postmaster;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Whoever ran this long did not fail at its start, and is restarted without delay.
const STEADY_AFTER: Duration = Duration::from_secs(30);

/// Ends when `stopped` resolves, whether by a message or because its sender is gone.
pub(super) async fn supervise(server: Server, mut postmaster: Postmaster, mut stopped: oneshot::Receiver<()>) {
    let mut pause = SHORTEST_PAUSE;
    loop {
        let started = Instant::now();
        tokio::select! {
            _ = &mut stopped => break,
            status = postmaster.wait() => report(&postmaster, status),
        }
        if started.elapsed() > STEADY_AFTER {
            pause = SHORTEST_PAUSE;
        }
        tokio::select! {
            _ = &mut stopped => break,
            () = sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
        }
        match server.spawn() {
            Ok(restarted) => postmaster = restarted,
            Err(error) => tracing::error!(%error, "PostgreSQL could not be restarted; trying again"),
        }
    }
    postmaster.end().await;
}

fn report(postmaster: &Postmaster, status: std::io::Result<std::process::ExitStatus>) {
    let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
    tracing::error!(status, log = postmaster.log_tail(), "PostgreSQL ended unexpectedly; restarting it");
}
