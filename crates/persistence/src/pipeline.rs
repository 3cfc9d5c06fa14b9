//! Pipeline runs.

use crate::error::{parsed, stored};
use crate::{Result, Tx, column};
use jobpass_domain::ids::{GroupId, PipelineId, ProjectId, RunnerId};
use jobpass_domain::pipeline::{PipelineFacts, Trigger};
use jobpass_domain::refs::RefType;
use jobpass_domain::text::Label;
use sqlx::PgExecutor;
use std::collections::{BTreeMap, HashMap, HashSet};
use uuid::Uuid;

/// A run as it is kept.
#[derive(Clone, Debug)]
pub struct KnownPipeline {
    pub id: PipelineId,
    pub facts: PipelineFacts,
}

/// A run that may be new.
#[derive(Clone, Copy, Debug)]
pub struct NewPipeline<'a> {
    pub id: PipelineId,
    pub project: ProjectId,
    pub key: &'a str,
    pub facts: &'a PipelineFacts,
}

/// Opens the runs that are not known; answers for each what is kept. Of several with one key the first opens it.
pub async fn open_all(tx: &mut Tx, runs: &[NewPipeline<'_>]) -> Result<Vec<KnownPipeline>> {
    // In the order of their keys, which is one for all replicas: or two that open the same would wait for each other.
    let mut firsts = BTreeMap::new();
    for run in runs {
        firsts.entry((run.project.0, run.key)).or_insert(*run);
    }
    let opened = insert(tx, firsts.values().copied()).await?;
    let (new, known): (Vec<_>, Vec<_>) = firsts.into_iter().partition(|(_, run)| opened.contains(&run.id.0));
    let mut kept = find_all(tx, known.into_iter().map(|(key, _)| key)).await?;
    kept.extend(new.into_iter().map(|((project, key), run)| {
        ((project, key.to_owned()), KnownPipeline { id: run.id, facts: run.facts.clone() })
    }));
    runs.iter().map(|run| stored(kept.get(&(run.project.0, run.key.to_owned())).cloned())).collect()
}

/// Answers the ids of those that were not known.
async fn insert(tx: &mut Tx, runs: impl Iterator<Item = NewPipeline<'_>>) -> Result<HashSet<Uuid>> {
    let now = tx.now();
    let runs: Vec<_> = runs.collect();
    let optional = |label: &'_ Option<Label>| label.as_ref().map(ToString::to_string);
    let opened = sqlx::query_scalar!(
        "insert into pipelines (id, project_id, key, ref, ref_type, sha, trigger, actor, from_fork, fork_source, created_at)
         select *, $11::timestamptz from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
            $8::text[], $9::boolean[], $10::text[])
         on conflict (project_id, key) do nothing returning id",
        &column(&runs, |run| run.id.0),
        &column(&runs, |run| run.project.0),
        &column(&runs, |run| run.key) as _,
        &column(&runs, |run| run.facts.ref_name.as_str()) as _,
        &column(&runs, |run| run.facts.ref_type.name()) as _,
        &column(&runs, |run| run.facts.sha.as_str()) as _,
        &column(&runs, |run| run.facts.trigger.name()) as _,
        &column(&runs, |run| optional(&run.facts.actor)) as _,
        &column(&runs, |run| run.facts.from_fork),
        &column(&runs, |run| optional(&run.facts.fork_source)) as _,
        now
    );
    Ok(opened.fetch_all(tx.on()).await?.into_iter().collect())
}

/// By project and key.
async fn find_all(
    tx: &mut Tx,
    keys: impl Iterator<Item = (Uuid, &str)>,
) -> Result<HashMap<(Uuid, String), KnownPipeline>> {
    let (projects, keys): (Vec<_>, Vec<_>) = keys.unzip();
    if projects.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = sqlx::query!(
        r#"select l.id, l.project_id, l.key, l.ref, l.ref_type, l.sha, l.trigger, l.actor, l.from_fork, l.fork_source
         from unnest($1::uuid[], $2::text[]) as k (project_id, key)
         cross join lateral (select * from pipelines where project_id = k.project_id and key = k.key limit 1) l"#,
        &projects,
        &keys as _
    )
    .fetch_all(tx.on())
    .await?;
    let label = |text: String| parsed(Label::parse(text));
    let kept = rows.into_iter().map(|row| {
        let facts = PipelineFacts {
            ref_name: label(row.r#ref)?,
            ref_type: stored(RefType::named(&row.ref_type))?,
            sha: label(row.sha)?,
            trigger: stored(Trigger::named(&row.trigger))?,
            actor: row.actor.map(label).transpose()?,
            from_fork: row.from_fork,
            fork_source: row.fork_source.map(label).transpose()?,
        };
        Ok(((row.project_id, row.key), KnownPipeline { id: PipelineId(row.id), facts }))
    });
    kept.collect()
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
        of_runner.map(Uuid::from)
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
