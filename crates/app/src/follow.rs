//! Following what other replicas change: the change log is read a few times within the bound, and at once when a hint comes.
//! A hint that is lost costs time, never truth.

use crate::feed::Reading;
use crate::{App, Refusal};
use jobpass_domain::ground::Ground;
use jobpass_persistence::change_log::{self, Hints, Position};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How often it is read, in parts of the bound: a reading may fail or dawdle without the cache being off for it.
const PER_BOUND: u32 = 4;
/// How often it is read where nothing is kept.
const UNHURRIED: Duration = Duration::from_secs(1);
/// How long a reading may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long after a failure it is tried again.
const PAUSE: Duration = Duration::from_millis(100);
/// For how long a change is kept for others to read: whoever was away for longer starts anew.
pub(crate) const CHANGES_KEPT: time::Duration = time::Duration::minutes(15);

/// The last change that this replica has taken note of.
#[derive(Debug, Default)]
pub(crate) struct Followed(AtomicI64);

impl Followed {
    /// Its number. Whatever is read from here on shows every change up to it.
    pub(crate) fn number(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// A connection that answers nothing is given up, as one that breaks is.
async fn in_time<T>(work: impl Future<Output = T>) -> Result<T, Refusal> {
    let late = |_| Refusal::Unavailable(format!("nothing was read within {PATIENCE:?}"));
    tokio::time::timeout(PATIENCE, work).await.map_err(late)
}

impl App {
    /// Until told to stop.
    pub(crate) async fn follow_changes(&self, mut stop: watch::Receiver<()>) {
        loop {
            let followed = tokio::select! {
                followed = self.follow() => followed,
                _ = stop.changed() => return,
            };
            // Whatever it was: what came meanwhile may have been missed.
            self.cache.freshness.distrust();
            self.feed.lose();
            if let Err(refusal) = followed {
                tracing::debug!(?refusal, "not following what others change");
            }
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                _ = stop.changed() => return,
            }
        }
    }

    /// Until something fails. It listens before it reads for the first time, so that nothing lies between.
    async fn follow(&self) -> Result<(), Refusal> {
        let mut hints = in_time(self.db.hints()).await??;
        let mut position = None;
        loop {
            in_time(self.catch_up(&mut position)).await??;
            self.wait(&mut hints).await?;
        }
    }

    async fn wait(&self, hints: &mut Hints) -> Result<(), Refusal> {
        match tokio::time::timeout(self.reading_period(), hints.next()).await {
            Ok(hint) => Ok(hint?),
            Err(_) => Ok(()),
        }
    }

    /// The longest from one reading to the next.
    pub(crate) fn reading_period(&self) -> Duration {
        let bound = self.cache.freshness.bound();
        if bound.is_zero() { UNHURRIED } else { bound / PER_BOUND }
    }

    /// Takes note of all that was changed up to now.
    async fn catch_up(&self, position: &mut Option<Position>) -> Result<(), Refusal> {
        let read_at = Instant::now();
        loop {
            let Some(known) = *position else {
                // Whatever was kept before, somebody may have changed it.
                *position = Some(change_log::end(self.db.read()).await?);
                self.lose_everything().await?;
                continue;
            };
            let since = self.db.changes_since(known).await?;
            match &since.changes {
                None => {
                    self.feed.lose();
                    self.lose_everything().await?;
                }
                Some(changes) if changes.iter().any(|(_, ground)| *ground == Ground::Everything) => {
                    self.lose_everything().await?;
                }
                Some(changes) => self.cache.freshness.touch(changes.iter().map(|(_, ground)| *ground)),
            }
            *position = Some(since.position);
            self.followed.0.store(since.position.number, Ordering::SeqCst);
            let caught_up = (!since.more).then_some(read_at);
            let changes = since.changes.unwrap_or_default();
            self.feed.tell(Reading { changes, position: since.position, caught_up });
            if !since.more {
                self.cache.freshness.heard(read_at);
                return Ok(());
            }
        }
    }

    /// The resource types first: what is loaded from here on is read by them.
    async fn lose_everything(&self) -> Result<(), Refusal> {
        self.reload_catalogue().await?;
        self.cache.freshness.touch([Ground::Everything]);
        Ok(())
    }
}
