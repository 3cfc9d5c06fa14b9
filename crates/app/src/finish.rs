//! A job's lease and end, by the runner that opened it; and the end of a pipeline run.

mod gathered;

pub(crate) use gathered::Finishes;

use self::gathered::Finish;
use crate::{App, Conflict, Refusal, RunnerCaller};
use jobpass_domain::audit::{Actor, Change};
use jobpass_domain::ground::Ground;
use jobpass_domain::ids::{JobId, PipelineId, ProjectId};
use jobpass_domain::job::JobState;
use jobpass_domain::minter::MinterId;
use jobpass_domain::place::Place;
use jobpass_persistence::job::KnownJob;
use jobpass_persistence::{Tx, job, pipeline};
use serde_json::json;
use std::sync::Arc;
use time::{Duration, OffsetDateTime};

/// A job as its runner sees it.
#[derive(Clone, Debug)]
pub struct JobView {
    pub id: JobId,
    pub pipeline: PipelineId,
    pub state: JobState,
    pub deadline_at: OffsetDateTime,
}

impl App {
    /// Extends the lease. One that has lapsed makes the job lost, and that is final.
    pub async fn job_heartbeat(&self, caller: &RunnerCaller, id: JobId) -> Result<JobView, Refusal> {
        let context = self.context(Actor::Runner(caller.runner.id), caller.request);
        let beat: Result<Result<JobView, Refusal>, Refusal> = self
            .transaction(context, async |tx: &mut Tx| {
                let known = own_job(tx, caller, id).await?;
                let lease = known.facts.lease_secs.map(|secs| Duration::seconds(secs.into()));
                let now = tx.now();
                tx.nothing_to_audit();
                match known.state.heartbeat(lease, now) {
                    Ok(state) => {
                        job::set_state(tx, id, &state).await?;
                        Ok(Ok(view(&known, state)))
                    }
                    Err(over) => {
                        // Kept, although the heartbeat is refused: a lease that lapsed once stays lapsed.
                        if matches!(known.state, JobState::Running { .. }) {
                            end(tx, &known, JobState::Lost).await?;
                        }
                        Ok(Err(Refusal::from(Conflict::JobOver(over))))
                    }
                }
            })
            .await;
        // A longer lease ends nobody's right to an answer, so it is in no change log; here it is told at once.
        self.cache.freshness.touch([Ground::Job(id)]);
        beat?
    }

    /// Ends the job and every token of it. Repeatable: a job that is over stays as it is.
    pub async fn job_finish(self: &Arc<Self>, caller: &RunnerCaller, id: JobId) -> Result<JobView, Refusal> {
        let finish = Finish { runner: caller.runner.id, job: id, request_id: caller.request };
        if let Some(finished) = self.finish_together(finish).await? {
            return finished;
        }
        // Alone it waits for whoever holds the job, and finds out whether there is one.
        let context = self.context(Actor::Runner(caller.runner.id), caller.request);
        self.transaction(context, async |tx: &mut Tx| {
            let known = own_job(tx, caller, id).await?;
            let state = known.state.finish(tx.now());
            if state == known.state {
                tx.nothing_to_audit();
            } else {
                end(tx, &known, state).await?;
            }
            Ok(view(&known, state))
        })
        .await
    }

    /// Ends the run's jobs: those of this runner, or all for a runner of the instance. Answers how many.
    pub async fn pipeline_finish(&self, caller: &RunnerCaller, id: PipelineId) -> Result<(ProjectId, u64), Refusal> {
        let runner = &caller.runner;
        let context = self.context(Actor::Runner(runner.id), caller.request);
        self.transaction(context, async |tx: &mut Tx| {
            let (project, chain) = pipeline::project_of(tx.on(), id).await?.ok_or(Refusal::NotFound)?;
            // What it began it may end, though the project has moved out of its reach.
            if !runner.reaches(project, &chain) && !pipeline::has_job_of(tx, id, runner.id).await? {
                return Err(Refusal::NotFound);
            }
            let of_runner = if runner.scope == Place::Instance { None } else { Some(runner.id) };
            let ended = pipeline::finish(tx, id, of_runner).await?;
            let after = Some(json!({ "jobs_finished": ended }).to_string());
            tx.audit(&changed("pipeline.finished", "pipeline", id.0, project, after)).await?;
            Ok((project, ended))
        })
        .await
    }
}

/// The job, held, if this runner opened it; missing otherwise.
async fn own_job(tx: &mut Tx, caller: &RunnerCaller, id: JobId) -> Result<KnownJob, Refusal> {
    let own = MinterId::Runner(caller.runner.id);
    job::lock(tx, id).await?.filter(|known| known.minter == own).ok_or(Refusal::NotFound)
}

/// Ends a job that is held, and with it every token of it.
pub(crate) async fn end(tx: &mut Tx, known: &KnownJob, state: JobState) -> Result<(), Refusal> {
    job::set_state(tx, known.id, &state).await?;
    Ok(tx.audit(&ended(known, state)).await?)
}

fn ended(known: &KnownJob, state: JobState) -> Change {
    let action = if state == JobState::Lost { "job.lost" } else { "job.finished" };
    changed(action, "job", known.id.0, known.project, None)
}

fn view(known: &KnownJob, state: JobState) -> JobView {
    JobView { id: known.id, pipeline: known.pipeline, state, deadline_at: known.deadline_at }
}

fn changed(
    action: &'static str,
    subject_kind: &'static str,
    subject: uuid::Uuid,
    project: ProjectId,
    after: Option<String>,
) -> Change {
    Change { action, subject_kind, subject, place: Place::Project(project), before: None, after, reason: None }
}
