//! Runners: the administrators', and where they are scoped, the maintainers' of that place.

use crate::manage_users::future;
use crate::once::{Life, once};
use crate::{App, Credential, Once, Person, Refusal, Rendered};
use jobpass_domain::Secret;
use jobpass_domain::audit::Change;
use jobpass_domain::ids::{RunnerId, SecretId};
use jobpass_domain::live_secret::{LiveSecret, SecretOwner};
use jobpass_domain::place::Place;
use jobpass_domain::runner::Runner;
use jobpass_domain::text::Label;
use jobpass_domain::token::Kind;
use jobpass_persistence::{Tx, id_at, runner, secret};
use serde_json::json;
use time::OffsetDateTime;

#[derive(Clone, Debug)]
pub struct DraftRunner {
    pub name: Label,
    /// Path or id.
    pub project: Option<String>,
    /// Path or id.
    pub group: Option<String>,
    pub protected: bool,
    pub asserts_actor: bool,
    pub expires_at: Option<OffsetDateTime>,
}

/// What a PATCH sets; `None` leaves it.
#[derive(Clone, Debug, Default)]
pub struct RunnerChange {
    pub name: Option<Label>,
    pub protected: Option<bool>,
    pub asserts_actor: Option<bool>,
    pub paused: Option<bool>,
}

impl App {
    pub async fn runner_create(
        &self,
        person: &Person,
        draft: &DraftRunner,
        idempotency: Option<&Once>,
        render: impl Fn(&Runner, &Secret) -> Rendered,
    ) -> Result<Rendered, Refusal> {
        if let Some(kept) = self.replayed(idempotency, person.user.id.0).await? {
            return Ok(kept);
        }
        future("/expires_at", draft.expires_at, self.now())?;
        let (scope, scope_path) = self.scope_for(person, draft).await?;
        may_assert(person, draft.asserts_actor)?;
        let credential = Credential::new(Kind::Runner)?;
        let context = self.context(person.actor(), person.request);
        let work = async |tx: &mut Tx| {
            let now = tx.now();
            let made = Runner {
                id: RunnerId(id_at(now)),
                name: draft.name.clone(),
                scope,
                scope_path: scope_path.clone(),
                protected: draft.protected,
                asserts_actor: draft.asserts_actor,
                paused: false,
                epoch: 1,
                created_at: now,
            };
            runner::insert(tx, &made).await?;
            let live = LiveSecret { id: SecretId(id_at(now)), expires_at: draft.expires_at, created_at: now };
            secret::insert(tx, SecretOwner::Runner(made.id), &live, credential.hash).await?;
            tx.audit(&changed("runner.created", &made, None, Some(describe(&made)))).await?;
            Ok((render(&made, &credential.secret), Life::default()))
        };
        self.transaction(context, async |tx: &mut Tx| once(tx, idempotency, person.user.id.0, work).await).await
    }

    pub async fn runner_update(
        &self,
        person: &Person,
        id: RunnerId,
        change: &RunnerChange,
        still: impl Fn(&Runner) -> bool,
    ) -> Result<Runner, Refusal> {
        self.find_runner(person, id).await?;
        let context = self.context(person.actor(), person.request);
        self.transaction(context, async |tx: &mut Tx| {
            let old = runner::lock(tx, id).await?.ok_or(Refusal::NotFound)?;
            if !still(&old) {
                return Err(Refusal::PreconditionFailed);
            }
            let new = Runner {
                name: change.name.clone().unwrap_or_else(|| old.name.clone()),
                protected: change.protected.unwrap_or(old.protected),
                asserts_actor: change.asserts_actor.unwrap_or(old.asserts_actor),
                paused: change.paused.unwrap_or(old.paused),
                ..old.clone()
            };
            may_assert(person, new.asserts_actor && widens(&old, &new))?;
            runner::update(tx, &new).await?;
            tx.audit(&changed("runner.updated", &new, Some(describe(&old)), Some(describe(&new)))).await?;
            Ok(new)
        })
        .await
    }

    /// Ends what was minted under it.
    pub async fn runner_delete(
        &self,
        person: &Person,
        id: RunnerId,
        still: impl Fn(&Runner) -> bool,
    ) -> Result<(), Refusal> {
        self.find_runner(person, id).await?;
        let context = self.context(person.actor(), person.request);
        self.transaction(context, async |tx: &mut Tx| {
            let old = runner::lock(tx, id).await?.ok_or(Refusal::NotFound)?;
            if !still(&old) {
                return Err(Refusal::PreconditionFailed);
            }
            runner::delete(tx, id).await?;
            tx.audit(&changed("runner.deleted", &old, Some(describe(&old)), None)).await.map_err(Refusal::from)
        })
        .await
    }

    /// Where the runner is to live, if this person may put one there.
    async fn scope_for(&self, person: &Person, draft: &DraftRunner) -> Result<(Place, Option<String>), Refusal> {
        let missing = |pointer, what| {
            move |refusal| match refusal {
                Refusal::NotFound => Refusal::invalid(pointer, "not_found", format!("there is no such {what}")),
                other => other,
            }
        };
        match (&draft.project, &draft.group) {
            (Some(_), Some(_)) => {
                Err(Refusal::invalid("/group", "one_scope", "a runner has a project or a group, not both"))
            }
            (Some(key), None) => {
                let access = self.project(person.clone(), key).await.map_err(missing("/project", "project"))?;
                let project = access.require(jobpass_domain::Role::Maintainer)?.project;
                Ok((Place::Project(project.id), Some(project.path.to_string())))
            }
            (None, Some(key)) => {
                let access = self.group(person.clone(), key).await.map_err(missing("/group", "group"))?;
                let group = access.require(jobpass_domain::Role::Maintainer)?.group;
                Ok((Place::Group(group.id), Some(group.path.to_string())))
            }
            (None, None) if person.user.administrator => Ok((Place::Instance, None)),
            (None, None) => Err(Refusal::Forbidden { needs: "administrator" }),
        }
    }
}

/// Whether the runner may do more than before.
fn widens(old: &Runner, new: &Runner) -> bool {
    let turned = |old: bool, new: bool| new && !old;
    turned(old.asserts_actor, new.asserts_actor)
        || turned(old.protected, new.protected)
        || turned(new.paused, old.paused)
}

/// That a runner's word about the actor is taken is an administrator's to decide, and who holds its secret:
/// whoever does can be anyone.
pub(crate) fn may_assert(person: &Person, asserts_actor: bool) -> Result<(), Refusal> {
    if asserts_actor && !person.user.administrator {
        Err(Refusal::Forbidden { needs: "administrator" })
    } else {
        Ok(())
    }
}

fn changed(action: &'static str, runner: &Runner, before: Option<String>, after: Option<String>) -> Change {
    Change { action, subject_kind: "runner", subject: runner.id.0, place: runner.scope, before, after, reason: None }
}

fn describe(runner: &Runner) -> String {
    json!({
        "name": runner.name, "scope": runner.scope_path, "protected": runner.protected,
        "asserts_actor": runner.asserts_actor, "paused": runner.paused,
    })
    .to_string()
}
