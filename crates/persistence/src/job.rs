//! Jobs. Whoever adds or removes a token of a job holds the job's row until the transaction ends.

use crate::error::{parsed, stored};
use crate::{Result, Tx};
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

/// A job that may be new.
#[derive(Debug)]
pub struct NewJob<'a> {
    pub id: JobId,
    pub pipeline: PipelineId,
    pub minter: MinterId,
    pub key: &'a Label,
    pub facts: &'a JobFacts,
    pub deadline_at: OffsetDateTime,
    pub lease_until: Option<OffsetDateTime>,
}

/// Opens the job unless it is known; answers what is kept either way, held.
pub async fn open(tx: &mut Tx, job: &NewJob<'_>) -> Result<KnownJob> {
    let now = tx.now();
    let seconds = |secs: u32| i32::try_from(secs).unwrap_or(i32::MAX);
    sqlx::query!(
        "insert into jobs (id, pipeline_id, runner_id, trust_rule_id, key, name, environment, timeout_secs, lease_secs, state, deadline_at, lease_until, opened_at)
         values ($1, $2, $3, $12, $4, $5, $6, $7, $8, 'running', $9, $10, $11)
         on conflict (pipeline_id, key) do nothing",
        job.id.0,
        job.pipeline.0,
        job.minter.runner_id(),
        job.key.as_str(),
        job.facts.name.as_str(),
        job.facts.environment.as_deref(),
        seconds(job.facts.timeout_secs),
        job.facts.lease_secs.map(seconds),
        job.deadline_at,
        job.lease_until,
        now,
        job.minter.trust_rule_id()
    )
    .execute(tx.on())
    .await?;
    let id = sqlx::query_scalar!(
        "select id from jobs where pipeline_id = $1 and key = $2",
        job.pipeline.0,
        job.key.as_str()
    )
    .fetch_one(tx.on())
    .await?;
    stored(lock(tx, JobId(id)).await?)
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
        let label = |text: String| parsed(Label::parse(text));
        Ok(KnownJob {
            id: JobId(self.id),
            pipeline: PipelineId(self.pipeline_id),
            project: ProjectId(self.project_id),
            chain: self.chain.into_iter().map(GroupId).collect(),
            minter: stored(MinterId::from_ids(self.runner_id, self.trust_rule_id))?,
            facts: JobFacts {
                name: label(self.name)?,
                environment: self.environment.map(label).transpose()?,
                timeout_secs: stored(u32::try_from(self.timeout_secs).ok())?,
                lease_secs: self.lease_secs.map(|secs| stored(u32::try_from(secs).ok())).transpose()?,
            },
            state: stored(state(&self.state, self.deadline_at, self.lease_until))?,
            deadline_at: self.deadline_at,
            lease_until: self.lease_until,
        })
    }
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
