//! Pipeline runs.

use crate::error::{parsed, stored};
use crate::{Result, Tx};
use jobpass_domain::ids::{GroupId, PipelineId, ProjectId, RunnerId};
use jobpass_domain::pipeline::{PipelineFacts, Trigger};
use jobpass_domain::refs::RefType;
use jobpass_domain::text::Label;
use sqlx::PgExecutor;

/// A run as it is kept.
#[derive(Debug)]
pub struct KnownPipeline {
    pub id: PipelineId,
    pub facts: PipelineFacts,
    pub epoch: i64,
}

/// Opens the run unless it is known; answers what is kept either way.
pub async fn open(
    tx: &mut Tx,
    id: PipelineId,
    project: ProjectId,
    key: &Label,
    facts: &PipelineFacts,
) -> Result<KnownPipeline> {
    let now = tx.now();
    sqlx::query!(
        "insert into pipelines (id, project_id, key, ref, ref_type, sha, trigger, actor, from_fork, fork_source, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         on conflict (project_id, key) do nothing",
        id.0,
        project.0,
        key.as_str(),
        facts.ref_name.as_str(),
        facts.ref_type.name(),
        facts.sha.as_str(),
        facts.trigger.name(),
        facts.actor.as_deref(),
        facts.from_fork,
        facts.fork_source.as_deref(),
        now
    )
    .execute(tx.on())
    .await?;
    let row = sqlx::query!(
        "select id, ref, ref_type, sha, trigger, actor, from_fork, fork_source, epoch from pipelines where project_id = $1 and key = $2",
        project.0,
        key.as_str()
    )
    .fetch_one(tx.on())
    .await?;
    let label = |text: String| parsed(Label::parse(text));
    Ok(KnownPipeline {
        id: PipelineId(row.id),
        epoch: row.epoch,
        facts: PipelineFacts {
            ref_name: label(row.r#ref)?,
            ref_type: stored(RefType::named(&row.ref_type))?,
            sha: label(row.sha)?,
            trigger: stored(Trigger::named(&row.trigger))?,
            actor: row.actor.map(label).transpose()?,
            from_fork: row.from_fork,
            fork_source: row.fork_source.map(label).transpose()?,
        },
    })
}

/// The project of a run, and the groups above that.
pub async fn project_of(db: impl PgExecutor<'_>, id: PipelineId) -> Result<Option<(ProjectId, Vec<GroupId>)>> {
    let row = sqlx::query!(
        "select p.id, p.chain from pipelines l join projects p on p.id = l.project_id where l.id = $1",
        id.0
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| (ProjectId(row.id), row.chain.into_iter().map(GroupId).collect())))
}

/// Whether this runner opened a job of the run.
pub async fn has_job_of(tx: &mut Tx, id: PipelineId, runner: RunnerId) -> Result<bool> {
    Ok(sqlx::query_scalar!(
        r#"select exists (select from jobs where pipeline_id = $1 and runner_id = $2) as "any!""#,
        id.0,
        runner.0
    )
    .fetch_one(tx.on())
    .await?)
}

/// Ends the jobs that the run has: those of one runner, or all. Answers how many this call ended.
pub async fn finish(tx: &mut Tx, id: PipelineId, of_runner: Option<RunnerId>) -> Result<u64> {
    let now = tx.now();
    sqlx::query!("update pipelines set finished_at = $2 where id = $1 and finished_at is null", id.0, now)
        .execute(tx.on())
        .await?;
    let finished = sqlx::query!(
        "update jobs set ended_at = $2, state = case when lease_until <= $2 then 'lost' else 'finished' end
         where pipeline_id = $1 and state = 'running' and ($3::uuid is null or runner_id = $3)",
        id.0,
        now,
        of_runner.map(uuid::Uuid::from)
    )
    .execute(tx.on())
    .await?;
    Ok(finished.rows_affected())
}

/// Ends every token minted in the run so far.
pub async fn raise_epoch(tx: &mut Tx, id: PipelineId) -> Result<()> {
    sqlx::query!("update pipelines set epoch = epoch + 1 where id = $1", id.0).execute(tx.on()).await?;
    Ok(())
}
