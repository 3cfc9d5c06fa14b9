//! Projects: created by maintainers of their group; mode and protection are the maintainers', path and
//! visibility the owners'.

use crate::access::require;
use crate::once::{Life, once};
use crate::register_group::{claim_paths, forget_source, path_refusal};
use crate::relocate::{self, Relocated};
use crate::{App, Conflict, Done, Fault, How, Once, Person, ProjectAccess, Refusal, Rendered};
use jobpass_domain::audit::Change;
use jobpass_domain::glob::Glob;
use jobpass_domain::ids::{GroupId, ProjectId};
use jobpass_domain::mode::{Mode, Visibility};
use jobpass_domain::place::Place;
use jobpass_domain::project::Project;
use jobpass_domain::refs::RefPattern;
use jobpass_domain::{Path, Role};
use jobpass_persistence::project::NewProject;
use jobpass_persistence::usage::Touched;
use jobpass_persistence::{Tx, group, id_at, instance, member, project, runner, service, trust_rule};
use serde_json::json;

#[derive(Clone, Debug)]
pub struct DraftProject {
    pub path: Path,
    pub visibility: Visibility,
    /// `None`: the instance's default for new projects.
    pub mode: Option<Mode>,
    /// `None`: `main`.
    pub protected_refs: Option<Vec<RefPattern>>,
    pub protected_environments: Vec<Glob>,
}

/// What a PATCH sets; `None` leaves it.
#[derive(Clone, Debug, Default)]
pub struct ProjectChange {
    pub path: Option<Path>,
    pub visibility: Option<Visibility>,
    pub mode: Option<Mode>,
    pub protected_refs: Option<Vec<RefPattern>>,
    pub protected_environments: Option<Vec<Glob>>,
    pub reason: Option<String>,
}

impl App {
    pub async fn project_create(
        &self,
        person: &Person,
        draft: &DraftProject,
        idempotency: Option<&Once>,
        render: impl Fn(&Project) -> Rendered,
    ) -> Result<Rendered, Refusal> {
        if let Some(kept) = self.replayed(idempotency, person.user.id.0).await? {
            return Ok(kept);
        }
        let most = self.settings.limits.patterns;
        check_patterns(draft.protected_refs.as_deref(), Some(&draft.protected_environments), most)?;
        if draft.path.parent().is_none() {
            return Err(Refusal::invalid("/path", "no_group", "a project lies in a group: group/project"));
        }
        let group = self.parent_for(person, &draft.path, Role::Maintainer).await?.ok_or(Refusal::NotFound)?;
        let main = [RefPattern::parse("main").map_err(|error| Refusal::Internal(error.to_string()))?];
        let context = self.context(person.actor(), person.request);
        let work = async |tx: &mut Tx| {
            claim_paths(tx, person, &[draft.path.to_string()]).await?;
            let id = ProjectId(id_at(tx.now()));
            let default_mode = instance::read(tx.on()).await?.default_mode;
            let new = NewProject {
                id,
                group,
                name: draft.path.name(),
                visibility: draft.visibility,
                mode: draft.mode.unwrap_or(default_mode),
                protected_refs: draft.protected_refs.as_deref().unwrap_or(&main),
                protected_environments: &draft.protected_environments,
            };
            project::insert(tx, &new).await.map_err(path_refusal)?;
            member::put(tx, person.user.id, Place::Project(id), Role::Owner).await?;
            let made = reread(tx, id).await?;
            check_floor(&made, draft.mode)?;
            tx.audit(&changed("project.created", &made, None, Some(describe(&made)), None)).await?;
            Ok((render(&made), Life::default()))
        };
        self.transaction(context, async |tx: &mut Tx| once(tx, idempotency, person.user.id.0, work).await).await
    }

    pub async fn project_update(
        &self,
        access: ProjectAccess,
        change: &ProjectChange,
        how: How,
        still: impl Fn(&Project) -> bool,
    ) -> Result<Done<Project>, Refusal> {
        let needs = if change.path.is_some() || change.visibility.is_some() { Role::Owner } else { Role::Maintainer };
        let ProjectAccess { person, project: seen, .. } = access.require(needs)?;
        let most = self.settings.limits.patterns;
        check_patterns(change.protected_refs.as_deref(), change.protected_environments.as_deref(), most)?;
        let path = change.path.as_ref().filter(|path| **path != seen.path);
        let target = self.group_after(&person, &seen, path).await?;
        let context = self.context(person.actor(), person.request);
        let touched = Touched { place: Place::Project(seen.id), sources_too: path.is_some() };
        // A move may step up, too: what lies above there may have a floor.
        let guarded = change.mode == Some(Mode::Enforced) || path.is_some();
        let done = self.change(context, (touched, guarded), how, async |tx: &mut Tx| {
            if path.is_some() {
                group::hold_moves(tx).await?;
            }
            let old = project::lock(tx, seen.id).await?.ok_or(Refusal::NotFound)?;
            let moved_meanwhile = path.is_some() && old.path != seen.path;
            if moved_meanwhile || !still(&old) {
                return Err(Refusal::PreconditionFailed);
            }
            let mut wanted = apply(&old, change);
            let mut group = old.chain.last().copied().ok_or(Refusal::NotFound)?;
            if let Some(path) = path {
                claim_paths(tx, &person, &[path.to_string()]).await?;
                (wanted.path, group) = (path.clone(), target);
            }
            let new = save(tx, &old, (&wanted, group), change).await?;
            if !how.dry_run {
                return Ok((new, Vec::new()));
            }
            let relocated = Relocated { project: Some(old.id), before: &old.chain, after: &new.chain };
            let grants = relocated.grants(tx, person.user.id, &self.catalogue()).await?;
            Ok((new, grants))
        });
        Ok(relocate::told(done.await?))
    }

    /// With it go its grants, runners, trust rules, services, runs and jobs, and every token minted for it is dead. Grants
    /// elsewhere that name it as source are deleted, each with an audit event on its own target.
    pub async fn project_delete(&self, access: ProjectAccess, still: impl Fn(&Project) -> bool) -> Result<(), Refusal> {
        let ProjectAccess { person, project: seen, .. } = access.require(Role::Owner)?;
        let context = self.context(person.actor(), person.request);
        self.transaction(context, async |tx: &mut Tx| {
            // A mint holds its credential before its project: neither waits for what the other has.
            runner::lock_all_on(tx, Place::Project(seen.id)).await?;
            trust_rule::lock_all(tx, seen.id).await?;
            let old = project::lock(tx, seen.id).await?.ok_or(Refusal::NotFound)?;
            if !still(&old) {
                return Err(Refusal::PreconditionFailed);
            }
            forget_source(tx, Place::Project(old.id)).await?;
            for id in runner::ids_on(tx, Place::Project(old.id)).await? {
                runner::delete(tx, id).await?;
            }
            trust_rule::delete_all(tx, old.id).await?;
            // Never merely unbound: a service without its project would answer for all.
            for id in service::ids_for(tx, old.id).await? {
                service::delete(tx, id).await?;
            }
            project::delete(tx, old.id).await?;
            // On the group above: what is gone has no owners who could look.
            let place = old.chain.last().map_or(Place::Instance, |above| Place::Group(*above));
            let deleted = changed("project.deleted", &old, Some(describe(&old)), None, None);
            tx.audit(&Change { place, ..deleted }).await.map_err(Refusal::from)
        })
        .await
    }

    /// The group that holds the project after the change.
    async fn group_after(&self, person: &Person, project: &Project, path: Option<&Path>) -> Result<GroupId, Refusal> {
        let here = project.chain.last().copied().ok_or(Refusal::NotFound)?;
        let Some(path) = path.filter(|path| path.parent() != project.path.parent()) else {
            return Ok(here);
        };
        if path.parent().is_none() {
            return Err(Refusal::invalid("/path", "no_group", "a project lies in a group: group/project"));
        }
        self.parent_for(person, path, Role::Owner).await?.ok_or(Refusal::NotFound)
    }

    /// Whether this person maintains what lives here; the instance is the administrators'.
    pub(crate) async fn maintains(&self, person: &Person, place: Place) -> Result<bool, Refusal> {
        let role = match place {
            Place::Instance => return Ok(person.user.administrator),
            Place::Group(id) => self.group(person.clone(), &id.to_string()).await.map(|access| access.role),
            Place::Project(id) => self.project(person.clone(), &id.to_string()).await.map(|access| access.role),
        };
        match role {
            Ok(role) => Ok(require(role, Role::Maintainer).is_ok()),
            Err(Refusal::NotFound) => Ok(false),
            Err(other) => Err(other),
        }
    }
}

/// Changes what a project is set to, where it stays; one that is set so already is left alone. The row is held.
pub(crate) async fn set(tx: &mut Tx, old: &Project, change: &ProjectChange) -> Result<Project, Refusal> {
    let wanted = apply(old, change);
    if wanted == *old {
        return Ok(wanted);
    }
    let group = old.chain.last().copied().ok_or(Refusal::NotFound)?;
    // A mode below the floor that is there already is not asked for.
    let mode = change.mode.filter(|mode| *mode != old.mode);
    save(tx, old, (&wanted, group), &ProjectChange { mode, ..change.clone() }).await
}

async fn save(
    tx: &mut Tx,
    old: &Project,
    (wanted, group): (&Project, GroupId),
    change: &ProjectChange,
) -> Result<Project, Refusal> {
    project::update(tx, wanted, group).await.map_err(path_refusal)?;
    let new = reread(tx, old.id).await?;
    if new.path != wanted.path {
        // What lies above was renamed meanwhile.
        return Err(Refusal::PreconditionFailed);
    }
    check_floor(&new, change.mode)?;
    let (before, after) = (Some(describe(old)), Some(describe(&new)));
    tx.audit(&changed("project.updated", &new, before, after, change.reason.clone())).await?;
    Ok(new)
}

async fn reread(tx: &mut Tx, id: ProjectId) -> Result<Project, Refusal> {
    project::find(tx.on(), &id.to_string()).await?.ok_or(Refusal::NotFound)
}

fn apply(old: &Project, change: &ProjectChange) -> Project {
    Project {
        visibility: change.visibility.unwrap_or(old.visibility),
        mode: change.mode.unwrap_or(old.mode),
        protected_refs: change.protected_refs.clone().unwrap_or_else(|| old.protected_refs.clone()),
        protected_environments: change
            .protected_environments
            .clone()
            .unwrap_or_else(|| old.protected_environments.clone()),
        ..old.clone()
    }
}

/// A mode that was asked for must not lie below the floor; one that was not asked for may, and the floor counts.
fn check_floor(project: &Project, asked: Option<Mode>) -> Result<(), Refusal> {
    if asked.is_some_and(|mode| mode < project.floor) { Err(Conflict::ModeBelowFloor.into()) } else { Ok(()) }
}

pub(crate) fn check_patterns(
    refs: Option<&[RefPattern]>,
    environments: Option<&[Glob]>,
    most: usize,
) -> Result<(), Refusal> {
    let counts = [("/protected_refs", refs.map(<[_]>::len)), ("/protected_environments", environments.map(<[_]>::len))];
    let faults: Vec<_> = counts
        .into_iter()
        .filter_map(|(pointer, count)| count.filter(|count| *count > most).map(|count| (pointer, count)))
        .map(|(pointer, count)| Fault::new(pointer, "too_many", format!("{count} patterns; at most {most}")))
        .collect();
    if faults.is_empty() { Ok(()) } else { Err(Refusal::Invalid(faults)) }
}

fn changed(
    action: &'static str,
    project: &Project,
    before: Option<String>,
    after: Option<String>,
    reason: Option<String>,
) -> Change {
    Change {
        action,
        subject_kind: "project",
        subject: project.id.0,
        place: Place::Project(project.id),
        before,
        after,
        reason,
    }
}

fn describe(project: &Project) -> String {
    json!({
        "path": project.path, "visibility": project.visibility, "mode": project.mode,
        "protected_refs": project.protected_refs, "protected_environments": project.protected_environments,
    })
    .to_string()
}
