//! Finishes that wait together are written together: one transaction, one commit, and to each its own answer.

use super::{JobView, ended, view};
use crate::gather::{Bounds, Gather};
use crate::{App, Refusal};
use jobpass_domain::audit::Actor;
use jobpass_domain::ids::{JobId, RunnerId};
use jobpass_domain::minter::MinterId;
use jobpass_persistence::audit::Event;
use jobpass_persistence::{Context, Tx, job};
use std::collections::HashMap;
use std::sync::Arc;
use uuid::Uuid;

const BOUNDS: Bounds = Bounds { batch: 128, in_flight: 1, company: 1, waiting: 1024 };

/// A runner that finishes a job.
#[derive(Clone, Copy, Debug)]
pub(super) struct Finish {
    pub(super) runner: RunnerId,
    pub(super) job: JobId,
    pub(super) request_id: Uuid,
}

/// `None`: it may be finished in a transaction of its own. There is no such job, somebody else holds it, or the batch failed.
type Finished = Option<Result<JobView, Refusal>>;

/// The finishes that wait, of this replica.
#[derive(Debug)]
pub(crate) struct Finishes(Gather<Finish, Finished>);

impl Default for Finishes {
    fn default() -> Finishes {
        Finishes(Gather::new(BOUNDS))
    }
}

impl App {
    /// With whatever else waits. It is carried out even if the caller goes away meanwhile.
    pub(super) async fn finish_together(self: &Arc<App>, finish: Finish) -> Result<Finished, Refusal> {
        let app = Arc::clone(self);
        let work = move |batch: Vec<Finish>| {
            let app = Arc::clone(&app);
            async move { app.finish_batch(&batch).await }
        };
        Ok(self.finishes.0.ask(finish, work).await?)
    }

    async fn finish_batch(&self, batch: &[Finish]) -> Vec<Finished> {
        // Each event names its own runner and request.
        let context = Context { actor: Actor::System, now: self.now(), request_id: None };
        let finished = self.transaction(context, async |tx: &mut Tx| finish_all(tx, batch).await).await;
        match finished {
            Ok(finished) => finished,
            Err(Refusal::Unavailable(why)) => {
                batch.iter().map(|_| Some(Err(Refusal::Unavailable(why.clone())))).collect()
            }
            Err(refusal) => {
                tracing::warn!(
                    ?refusal,
                    finishes = batch.len(),
                    "a batch failed; each of its finishes is tried by itself"
                );
                batch.iter().map(|_| None).collect()
            }
        }
    }
}

async fn finish_all(tx: &mut Tx, batch: &[Finish]) -> Result<Vec<Finished>, Refusal> {
    let now = tx.now();
    let ids: Vec<_> = batch.iter().map(|finish| finish.job).collect();
    let jobs = job::lock_free(tx, &ids).await?;
    let (mut over, mut events) = (HashMap::new(), Vec::new());
    let finish = |finish: &Finish| {
        let known = jobs.iter().find(|job| job.id == finish.job)?;
        if known.minter != MinterId::Runner(finish.runner) {
            return Some(Err(Refusal::NotFound));
        }
        let state = known.state.finish(now);
        // Two may finish one job: it ends once.
        if state != known.state && over.insert(known.id, state).is_none() {
            let (actor, request_id) = (Actor::Runner(finish.runner), Some(finish.request_id));
            events.push(Event { actor, request_id, change: ended(known, state) });
        }
        Some(Ok(view(known, state)))
    };
    let finished = batch.iter().map(finish).collect();
    if events.is_empty() {
        tx.nothing_to_audit();
    } else {
        job::end_all(tx, &over.into_iter().collect::<Vec<_>>()).await?;
        tx.audit_all(events).await?;
    }
    Ok(finished)
}
