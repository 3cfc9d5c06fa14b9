//! A job's life: running, then finished or lost, and never back.

use crate::reason::Reason;
use crate::text::Label;
use thiserror::Error;
use time::{Duration, OffsetDateTime};

/// How long a token outlives its job's deadline, so that a job that ran out of time can still report it.
pub const GRACE: Duration = Duration::minutes(5);
/// The longest `max_job_timeout` that can be set.
pub const MAX_TIMEOUT: Duration = Duration::days(7);
/// The most live tokens of one job, narrowed ones not counted.
pub const MAX_LIVE_TOKENS: i64 = 16;

/// The facts of a job: stated at its first mint, never changed after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobFacts {
    pub name: Label,
    pub environment: Option<Label>,
    /// Seconds from the first mint to the deadline.
    pub timeout_secs: u32,
    /// Seconds that a heartbeat lasts, or `None` for a job that sends none.
    pub lease_secs: Option<u32>,
}

impl JobFacts {
    /// The name of the first fact that differs, as the wire spells it.
    pub fn first_difference(&self, other: &JobFacts) -> Option<&'static str> {
        [
            ("name", self.name != other.name),
            ("environment", self.environment != other.environment),
            ("timeout_secs", self.timeout_secs != other.timeout_secs),
            ("lease_secs", self.lease_secs != other.lease_secs),
        ]
        .into_iter()
        .find_map(|(name, differs)| differs.then_some(name))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    Running {
        deadline_at: OffsetDateTime,
        /// When the lease lapses unless a heartbeat comes first; `None` without a lease.
        lease_until: Option<OffsetDateTime>,
    },
    Finished,
    Lost,
}

/// Why a job takes no heartbeat, no mint and no finish of another kind any more.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum JobOver {
    #[error("the job is finished")]
    Finished,
    #[error("the job was lost: its lease ran out without a heartbeat")]
    Lost,
    #[error("the job is past its deadline")]
    PastDeadline,
}

impl JobState {
    pub const fn name(&self) -> &'static str {
        match self {
            JobState::Running { .. } => "running",
            JobState::Finished => "finished",
            JobState::Lost => "lost",
        }
    }

    /// Why a token of this job is dead, if the job is what killed it.
    pub fn death(&self, now: OffsetDateTime) -> Option<Reason> {
        match self {
            JobState::Running { lease_until: Some(until), .. } if *until <= now => Some(Reason::LeaseLost),
            JobState::Running { deadline_at, .. } if *deadline_at + GRACE <= now => Some(Reason::Expired),
            JobState::Running { .. } => None,
            JobState::Finished => Some(Reason::JobOver),
            JobState::Lost => Some(Reason::LeaseLost),
        }
    }

    /// Whether this job may get a (further) token.
    pub fn may_mint(&self, now: OffsetDateTime) -> Result<(), JobOver> {
        match self {
            JobState::Finished => Err(JobOver::Finished),
            JobState::Lost => Err(JobOver::Lost),
            JobState::Running { lease_until: Some(until), .. } if *until <= now => Err(JobOver::Lost),
            JobState::Running { deadline_at, .. } if *deadline_at <= now => Err(JobOver::PastDeadline),
            JobState::Running { .. } => Ok(()),
        }
    }

    /// The end, at its runner's word: lost if the lease has run out before. A job that is over stays as it is.
    #[must_use]
    pub fn finish(self, now: OffsetDateTime) -> JobState {
        match self {
            JobState::Running { lease_until: Some(until), .. } if until <= now => JobState::Lost,
            JobState::Running { .. } => JobState::Finished,
            over => over,
        }
    }

    /// A heartbeat extends the lease; one that comes too late finds the job lost.
    pub fn heartbeat(self, lease: Option<Duration>, now: OffsetDateTime) -> Result<JobState, JobOver> {
        self.may_mint(now).or_else(|over| match over {
            // A job in its grace still reports; only new tokens are refused to it.
            JobOver::PastDeadline => Ok(()),
            other => Err(other),
        })?;
        Ok(match self {
            JobState::Running { deadline_at, .. } => {
                JobState::Running { deadline_at, lease_until: lease.map(|lease| now + lease) }
            }
            over => over,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2026-11-23 10:00 UTC);

    fn running(deadline_in: i64, lease_in: Option<i64>) -> JobState {
        JobState::Running {
            deadline_at: NOW + Duration::seconds(deadline_in),
            lease_until: lease_in.map(|secs| NOW + Duration::seconds(secs)),
        }
    }

    #[test]
    fn what_kills_a_token() {
        assert_eq!(running(60, None).death(NOW), None);
        assert_eq!(running(60, Some(1)).death(NOW), None);
        assert_eq!(running(60, Some(0)).death(NOW), Some(Reason::LeaseLost));
        assert_eq!(running(-299, None).death(NOW), None, "in its grace");
        assert_eq!(running(-300, None).death(NOW), Some(Reason::Expired));
        assert_eq!(JobState::Finished.death(NOW), Some(Reason::JobOver));
        assert_eq!(JobState::Lost.death(NOW), Some(Reason::LeaseLost));
    }

    #[test]
    fn heartbeats() {
        let lease = Some(Duration::seconds(30));
        assert_eq!(running(60, Some(1)).heartbeat(lease, NOW), Ok(running(60, Some(30))));
        assert_eq!(running(60, Some(0)).heartbeat(lease, NOW), Err(JobOver::Lost));
        assert_eq!(running(-10, None).heartbeat(None, NOW), Ok(running(-10, None)));
        assert_eq!(JobState::Finished.heartbeat(lease, NOW), Err(JobOver::Finished));
    }

    #[test]
    fn mints() {
        assert_eq!(running(1, None).may_mint(NOW), Ok(()));
        assert_eq!(running(0, None).may_mint(NOW), Err(JobOver::PastDeadline));
        assert_eq!(JobState::Lost.may_mint(NOW), Err(JobOver::Lost));
    }

    #[test]
    fn finishes() {
        assert_eq!(running(60, None).finish(NOW), JobState::Finished);
        assert_eq!(running(-400, Some(1)).finish(NOW), JobState::Finished, "the deadline alone loses no job");
        assert_eq!(running(60, Some(0)).finish(NOW), JobState::Lost);
        assert_eq!(JobState::Lost.finish(NOW), JobState::Lost);
    }
}
