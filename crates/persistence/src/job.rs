//! Jobs. Whoever adds or removes a token of a job holds the job's row until the transaction ends.

mod open;

pub use open::{IfHeld, NewJob, OpenJob, open_all};

use crate::error::{parsed, stored};
use crate::{Result, Tx, column};
use jobpass_domain::ids::{GroupId, JobId, PipelineId, ProjectId};
use jobpass_domain::job::{JobFacts, JobState};
use jobpass_domain::minter::MinterId;
use jobpass_domain::text::Label;
use sqlx::PgExecutor;
use time::OffsetDateTime;
use uuid::Uuid;

/// A job as it is kept.
#[derive(Debug)]
pub struct KnownJob {
    pub id: JobId,
    pub pipeline: PipelineId,
    pub project: ProjectId,
    /// The groups above the project.
    pub chain: Vec<GroupId>,
    /// The credential that opened it.
    pub minter: MinterId,
    pub facts: JobFacts,
    pub state: JobState,
    pub deadline_at: OffsetDateTime,
    pub lease_until: Option<OffsetDateTime>,
}

/// The state in the columns.
pub(crate) fn state(name: &str, deadline_at: OffsetDateTime, lease_until: Option<OffsetDateTime>) -> Option<JobState> {
    match name {
        "running" => Some(JobState::Running { deadline_at, lease_until }),
        "finished" => Some(JobState::Finished),
        "lost" => Some(JobState::Lost),
        _ => None,
    }
}

struct Row {
    id: Uuid,
    pipeline_id: Uuid,
    project_id: Uuid,
    chain: Vec<Uuid>,
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

impl Row {
    fn into_job(self) -> Result<KnownJob> {
        Ok(KnownJob {
            id: JobId(self.id),
            pipeline: PipelineId(self.pipeline_id),
            project: ProjectId(self.project_id),
            chain: self.chain.into_iter().map(GroupId).collect(),
            minter: stored(MinterId::from_ids(self.runner_id, self.trust_rule_id))?,
            facts: facts(self.name, self.environment, self.timeout_secs, self.lease_secs)?,
            state: stored(state(&self.state, self.deadline_at, self.lease_until))?,
            deadline_at: self.deadline_at,
            lease_until: self.lease_until,
        })
    }
}

fn facts(name: String, environment: Option<String>, timeout_secs: i32, lease_secs: Option<i32>) -> Result<JobFacts> {
    let label = |text: String| parsed(Label::parse(text));
    Ok(JobFacts {
        name: label(name)?,
        environment: environment.map(label).transpose()?,
        timeout_secs: stored(u32::try_from(timeout_secs).ok())?,
        lease_secs: lease_secs.map(|secs| stored(u32::try_from(secs).ok())).transpose()?,
    })
}

pub async fn find(db: impl PgExecutor<'_>, id: JobId) -> Result<Option<KnownJob>> {
    sqlx::query_as!(
        Row,
        "select j.id, j.pipeline_id, l.project_id, p.chain, j.runner_id, j.trust_rule_id, j.name, j.environment, j.timeout_secs, j.lease_secs, j.state,
            j.deadline_at, j.lease_until
         from jobs j join pipelines l on l.id = j.pipeline_id join projects p on p.id = l.project_id
         where j.id = $1",
        id.0
    )
    .fetch_optional(db)
    .await?
    .map(Row::into_job)
    .transpose()
}

/// Held until the transaction ends; read anew after any wait.
pub async fn lock(tx: &mut Tx, id: JobId) -> Result<Option<KnownJob>> {
    sqlx::query!("select id from jobs where id = $1 for update", id.0).fetch_optional(tx.on()).await?;
    find(tx.on(), id).await
}

/// Several at a time, without those that somebody else holds or that are not there.
pub async fn lock_free(tx: &mut Tx, ids: &[JobId]) -> Result<Vec<KnownJob>> {
    // In one order for all: or two batches would wait for each other.
    let mut ids = column(ids, |id| id.0);
    ids.sort_unstable();
    ids.dedup();
    sqlx::query_as!(
        Row,
        "select j.id, j.pipeline_id, l.project_id, p.chain, j.runner_id, j.trust_rule_id, j.name, j.environment, j.timeout_secs, j.lease_secs, j.state,
            j.deadline_at, j.lease_until
         from unnest($1::uuid[]) as k (id)
         cross join lateral (select * from jobs where id = k.id limit 1 for update skip locked) j
         cross join lateral (select project_id from pipelines where id = j.pipeline_id limit 1) l
         cross join lateral (select chain from projects where id = l.project_id limit 1) p",
        &ids
    )
    .fetch_all(tx.on())
    .await?
    .into_iter()
    .map(Row::into_job)
    .collect()
}

/// Ends jobs that are held.
pub async fn end_all(tx: &mut Tx, jobs: &[(JobId, JobState)]) -> Result<()> {
    let now = tx.now();
    sqlx::query!(
        "update jobs set state = e.state, ended_at = $3
         from unnest($1::uuid[], $2::text[]) as e (id, state) where jobs.id = e.id",
        &column(jobs, |(id, _)| id.0),
        &column(jobs, |(_, state)| state.name()) as _,
        now
    )
    .execute(tx.on())
    .await?;
    Ok(())
}

/// Writes the new state of a job that is held.
pub async fn set_state(tx: &mut Tx, id: JobId, state: &JobState) -> Result<()> {
    let now = tx.now();
    let lease_until = match state {
        JobState::Running { lease_until, .. } => *lease_until,
        JobState::Finished | JobState::Lost => None,
    };
    sqlx::query!(
        "update jobs set state = $2, lease_until = coalesce($3, lease_until), ended_at = case when $2 = 'running' then null else $4::timestamptz end
         where id = $1",
        id.0,
        state.name(),
        lease_until,
        now
    )
    .execute(tx.on())
    .await?;
    Ok(())
}
