//! Jobs that get a token: opened where they are new, many at a time.

use super::{facts, state};
use crate::error::stored;
use crate::{Result, Tx, column};
use jobpass_domain::ids::{JobId, PipelineId};
use jobpass_domain::job::{JobFacts, JobState};
use jobpass_domain::minter::MinterId;
use std::collections::{BTreeMap, HashMap, HashSet};
use time::OffsetDateTime;
use uuid::Uuid;

/// A job that may be new.
#[derive(Clone, Copy, Debug)]
pub struct NewJob<'a> {
    pub id: JobId,
    pub pipeline: PipelineId,
    pub minter: MinterId,
    pub key: &'a str,
    pub facts: &'a JobFacts,
    pub deadline_at: OffsetDateTime,
    pub lease_until: Option<OffsetDateTime>,
}

/// A job that gets a token, held until the transaction ends.
#[derive(Clone, Debug)]
pub struct OpenJob {
    pub id: JobId,
    /// The credential that opened it.
    pub minter: MinterId,
    pub facts: JobFacts,
    pub state: JobState,
    pub deadline_at: OffsetDateTime,
    /// Opened just now: it has no token yet.
    pub is_new: bool,
}

/// What to do about a row that somebody else holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfHeld {
    Wait,
    /// Leave it out: the neighbours do not wait for it.
    Skip,
}

/// Opens the jobs that are not known; answers for each what is kept, held; `None` for one that somebody else holds. Of several
/// with one key the first opens it.
pub async fn open_all(tx: &mut Tx, jobs: &[NewJob<'_>], if_held: IfHeld) -> Result<Vec<Option<OpenJob>>> {
    // In the order of their keys, as runs are.
    let mut firsts = BTreeMap::new();
    for job in jobs {
        firsts.entry((job.pipeline.0, job.key)).or_insert(*job);
    }
    let opened = insert(tx, firsts.values().copied()).await?;
    let (new, known): (Vec<_>, Vec<_>) = firsts.into_iter().partition(|(_, job)| opened.contains(&job.id.0));
    let mut kept = lock_all(tx, known.into_iter().map(|(key, _)| key), if_held).await?;
    kept.extend(new.into_iter().map(|((pipeline, key), job)| ((pipeline, key.to_owned()), job.opened())));
    Ok(jobs.iter().map(|job| kept.get(&(job.pipeline.0, job.key.to_owned())).cloned()).collect())
}

impl NewJob<'_> {
    fn opened(&self) -> OpenJob {
        OpenJob {
            id: self.id,
            minter: self.minter,
            facts: self.facts.clone(),
            state: JobState::Running { deadline_at: self.deadline_at, lease_until: self.lease_until },
            deadline_at: self.deadline_at,
            is_new: true,
        }
    }
}

/// Answers the ids of those that were not known.
async fn insert(tx: &mut Tx, jobs: impl Iterator<Item = NewJob<'_>>) -> Result<HashSet<Uuid>> {
    let now = tx.now();
    let jobs: Vec<_> = jobs.collect();
    let seconds = |secs: u32| i32::try_from(secs).unwrap_or(i32::MAX);
    let opened = sqlx::query_scalar!(
        "insert into jobs (id, pipeline_id, runner_id, trust_rule_id, key, name, environment, timeout_secs, lease_secs, deadline_at,
            lease_until, state, opened_at)
         select *, 'running', $12::timestamptz from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[],
            $7::text[], $8::integer[], $9::integer[], $10::timestamptz[], $11::timestamptz[])
         on conflict (pipeline_id, key) do nothing returning id",
        &column(&jobs, |job| job.id.0),
        &column(&jobs, |job| job.pipeline.0),
        &column(&jobs, |job| job.minter.runner_id()) as _,
        &column(&jobs, |job| job.minter.trust_rule_id()) as _,
        &column(&jobs, |job| job.key) as _,
        &column(&jobs, |job| job.facts.name.as_str()) as _,
        &column(&jobs, |job| job.facts.environment.as_ref().map(ToString::to_string)) as _,
        &column(&jobs, |job| seconds(job.facts.timeout_secs)),
        &column(&jobs, |job| job.facts.lease_secs.map(seconds)) as _,
        &column(&jobs, |job| job.deadline_at),
        &column(&jobs, |job| job.lease_until) as _,
        now
    );
    Ok(opened.fetch_all(tx.on()).await?.into_iter().collect())
}

struct OpenRow {
    id: Uuid,
    pipeline_id: Uuid,
    key: String,
    runner_id: Option<Uuid>,
    trust_rule_id: Option<Uuid>,
    name: String,
    environment: Option<String>,
    timeout_secs: i32,
    lease_secs: Option<i32>,
    state: String,
    deadline_at: OffsetDateTime,
    lease_until: Option<OffsetDateTime>,
}

impl OpenRow {
    fn into_open(self) -> Result<((Uuid, String), OpenJob)> {
        let job = OpenJob {
            id: JobId(self.id),
            minter: stored(MinterId::from_ids(self.runner_id, self.trust_rule_id))?,
            facts: facts(self.name, self.environment, self.timeout_secs, self.lease_secs)?,
            state: stored(state(&self.state, self.deadline_at, self.lease_until))?,
            deadline_at: self.deadline_at,
            is_new: false,
        };
        Ok(((self.pipeline_id, self.key), job))
    }
}

/// By run and key, held until the transaction ends.
async fn lock_all(
    tx: &mut Tx,
    keys: impl Iterator<Item = (Uuid, &str)>,
    if_held: IfHeld,
) -> Result<HashMap<(Uuid, String), OpenJob>> {
    let (pipelines, keys): (Vec<_>, Vec<_>) = keys.unzip();
    if pipelines.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = match if_held {
        IfHeld::Wait => sqlx::query_as!(
            OpenRow,
            "select j.id, j.pipeline_id, j.key, j.runner_id, j.trust_rule_id, j.name, j.environment, j.timeout_secs, j.lease_secs,
                j.state, j.deadline_at, j.lease_until
             from unnest($1::uuid[], $2::text[]) as k (pipeline_id, key)
             cross join lateral (select * from jobs where pipeline_id = k.pipeline_id and key = k.key limit 1 for update) j",
            &pipelines,
            &keys as _
        )
        .fetch_all(tx.on())
        .await?,
        IfHeld::Skip => sqlx::query_as!(
            OpenRow,
            "select j.id, j.pipeline_id, j.key, j.runner_id, j.trust_rule_id, j.name, j.environment, j.timeout_secs, j.lease_secs,
                j.state, j.deadline_at, j.lease_until
             from unnest($1::uuid[], $2::text[]) as k (pipeline_id, key)
             cross join lateral
                (select * from jobs where pipeline_id = k.pipeline_id and key = k.key limit 1 for update skip locked) j",
            &pipelines,
            &keys as _
        )
        .fetch_all(tx.on())
        .await?,
    };
    rows.into_iter().map(OpenRow::into_open).collect()
}
