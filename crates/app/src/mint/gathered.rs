//! Mints of runners that wait together are written together: one transaction, one commit, and to each its own answer.

use super::draft::{Draft, issue};
use super::{Batch, Mint, Outcome, Stopped};
use crate::gather::{Bounds, Gather};
use crate::{App, Conflict, Refusal};
use jobpass_domain::access_token::RunnerProof;
use jobpass_domain::audit::Actor;
use jobpass_domain::minter::Minter;
use jobpass_domain::project::Project;
use jobpass_domain::runner::Runner;
use jobpass_persistence::job::IfHeld;
use jobpass_persistence::{Context, Tx, project, runner};
use std::sync::Arc;
use uuid::Uuid;

/// Two under way: one is written while the other is flushed.
const BOUNDS: Bounds = Bounds { batch: 128, in_flight: 2, company: 1, waiting: 1024 };
/// What a runner asks for, checked as far as its words alone tell.
#[derive(Debug)]
pub(crate) struct Asked {
    /// As it was when it proved itself.
    pub(crate) runner: Arc<Runner>,
    pub(crate) proof: RunnerProof,
    pub(crate) request: Mint,
    pub(crate) cap: Option<Vec<String>>,
    pub(crate) request_id: Uuid,
}

impl Asked {
    /// `runner`: as it is now, and proven; since it proved itself first it may have been paused or lowered.
    pub(super) fn draft<'a>(&'a self, runner: &Runner, project: &'a Project) -> Result<Draft<'a>, Refusal> {
        if !runner.reaches(project.id, &project.chain) {
            return Err(Refusal::NotFound);
        }
        if runner.paused {
            return Err(Conflict::RunnerPaused.into());
        }
        Ok(Draft {
            by: Actor::Runner(runner.id),
            request_id: self.request_id,
            minter: Minter::from(runner),
            project,
            request: &self.request,
            cap: self.cap.as_deref(),
            id_token_subject: None,
        })
    }
}

/// The mints that wait, of this replica.
#[derive(Debug)]
pub(crate) struct Mints(Gather<Arc<Asked>, Outcome>);

impl Default for Mints {
    fn default() -> Mints {
        Mints(Gather::new(BOUNDS))
    }
}

impl App {
    /// With whatever else waits. It is carried out even if the caller goes away meanwhile.
    pub(super) async fn mint_together(self: &Arc<App>, asked: Arc<Asked>) -> Result<Outcome, Refusal> {
        let app = Arc::clone(self);
        let work = move |batch: Vec<Arc<Asked>>| {
            let app = Arc::clone(&app);
            async move { app.mint_batch(&batch).await }
        };
        Ok(self.mints.0.ask(asked, work).await?)
    }

    async fn mint_batch(&self, batch: &[Arc<Asked>]) -> Vec<Outcome> {
        // Each event names its own runner and request.
        let context = Context { actor: Actor::System, now: self.now(), request_id: None };
        let expire_at = batch.iter().map(|asked| asked.request.expires_at(context.now)).max().unwrap_or(context.now);
        let minted = self.minting(context, expire_at, async |tx: &mut Tx| issue_together(tx, batch).await).await;
        let all = |why: &dyn Fn() -> Stopped| batch.iter().map(|_| Err(why())).collect();
        match minted {
            Ok(outcomes) => outcomes,
            Err(Refusal::Unavailable(why)) => all(&|| Refusal::Unavailable(why.clone()).into()),
            Err(refusal) => {
                tracing::warn!(?refusal, mints = batch.len(), "a batch failed; each of its mints is tried by itself");
                all(&|| Stopped::Alone)
            }
        }
    }
}

/// Runners before projects, as everybody takes them who needs both.
async fn issue_together(tx: &mut Tx, batch: &[Arc<Asked>]) -> Result<Vec<Outcome>, Refusal> {
    let mut ids: Vec<_> = batch.iter().map(|asked| asked.runner.id).collect();
    let mut keys: Vec<_> = batch.iter().map(|asked| asked.request.project.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    keys.sort_unstable();
    keys.dedup();
    let runners = runner::hold_all(tx, &ids).await?;
    let projects = project::hold_all(tx, &keys).await?;
    let drafts = Batch::of(batch).sift(|asked| {
        // Not there, in somebody else's hands, or to be proven anew: it is seen which when it is minted alone.
        let as_proven = |runner: &&Runner| runner.id == asked.runner.id && runner.epoch == asked.runner.epoch;
        let runner = runners.iter().find(as_proven).ok_or(Stopped::Alone)?;
        let project = projects.iter().find(|project| is(project, &asked.request.project)).ok_or(Stopped::Alone)?;
        asked.draft(runner, project).map_err(Stopped::from)
    });
    issue(tx, drafts, IfHeld::Skip).await
}

fn is(project: &Project, key: &str) -> bool {
    project.path.as_str() == key || Uuid::parse_str(key).is_ok_and(|id| id == project.id.0)
}
