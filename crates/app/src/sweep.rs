//! What time brings to what is stored: partitions are made ahead, and what has expired is dropped.

use crate::follow::CHANGES_KEPT;
use crate::{App, Refusal};
use jobpass_domain::token::Hour;
use jobpass_domain::usage::VALUE_DAYS;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use time::{Duration, OffsetDateTime};

/// What this replica knows of the partitions, so that it need not ask.
#[derive(Debug, Default)]
pub(crate) struct Partitions {
    /// Unix seconds until which they are there.
    until: AtomicI64,
    /// By day of issue: the hour until which tokens of that day are recorded to be live.
    recorded: Mutex<BTreeMap<u32, Hour>>,
}

impl Partitions {
    fn is_recorded(&self, day: u32, until: Hour) -> bool {
        let recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        recorded.get(&day).is_some_and(|known| *known >= until)
    }

    fn remember(&self, day: u32, until: Hour) {
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        let known = recorded.entry(day).or_insert(until);
        *known = until.max(*known);
        // Nothing is minted for days that are gone.
        recorded.retain(|known, _| known + 2 >= day);
    }
}

impl App {
    /// Sees to it that the partitions of this moment are there: a sweep makes them ahead, but no write depends on it.
    pub(crate) async fn have_partitions(&self, now: OffsetDateTime) -> Result<(), Refusal> {
        if now.unix_timestamp() < self.partitions.until.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.make_partitions(now).await
    }

    /// Those of today and tomorrow.
    async fn make_partitions(&self, now: OffsetDateTime) -> Result<(), Refusal> {
        let tomorrow = now + Duration::DAY;
        self.db.ensure_partitions(now).await?;
        self.db.ensure_partitions(tomorrow).await?;
        self.partitions.until.store(tomorrow.unix_timestamp(), Ordering::Relaxed);
        Ok(())
    }

    /// Records that a token of this moment may be live until then, before it is written: what is recorded of a day decides when its
    /// partition goes. By the hour, so that nearly every mint finds it recorded, and writes nothing.
    pub(crate) async fn record_expiry(&self, now: OffsetDateTime, expires_at: OffsetDateTime) -> Result<(), Refusal> {
        let day = Hour::of_unix(now.unix_timestamp()).0 / 24;
        let until = Hour(Hour::of_unix(expires_at.unix_timestamp()).0 + 1);
        if !self.partitions.is_recorded(day, until) {
            self.db.record_expiry(day, until).await?;
            self.partitions.remember(day, until);
        }
        Ok(())
    }

    /// Makes partitions ahead, and drops what has expired, unless another replica is at it.
    pub(crate) async fn sweep(&self) -> Result<(), Refusal> {
        let now = self.now();
        self.make_partitions(now).await?;
        let Some(mut sweep) = self.db.sweep().await? else { return Ok(()) };
        let ago = |days: u16| now - Duration::days(days.into());
        let kept = &self.settings;
        sweep
            .drop_partitions(now, ago(kept.audit_retention_days).date(), ago(kept.usage_retention_days).date())
            .await?;
        sweep.forget_expired(now).await?;
        sweep.forget_usage(ago(VALUE_DAYS.min(kept.usage_retention_days)).date()).await?;
        sweep.forget_runs(ago(kept.run_retention_days)).await?;
        self.db.drop_old_changes(now - CHANGES_KEPT).await?;
        Ok(sweep.end().await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_recorded_only_grows_and_is_known_for_few_days() {
        let partitions = Partitions::default();
        assert!(!partitions.is_recorded(10, Hour(250)));
        partitions.remember(10, Hour(250));
        partitions.remember(10, Hour(249));
        assert!(partitions.is_recorded(10, Hour(250)) && !partitions.is_recorded(10, Hour(251)));
        partitions.remember(13, Hour(320));
        assert!(!partitions.is_recorded(10, Hour(1)) && partitions.is_recorded(13, Hour(320)));
    }
}
