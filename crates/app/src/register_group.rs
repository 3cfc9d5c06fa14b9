//! Groups: created by administrators at the top and by maintainers below, changed and deleted by owners.

use crate::access::require;
use crate::once::{Life, once};
use crate::relocate::{self, Relocated};
use crate::{App, Conflict, Done, GroupAccess, How, Once, Person, Refusal, Rendered};
use jobpass_domain::audit::Change;
use jobpass_domain::group::Group;
use jobpass_domain::ids::GroupId;
use jobpass_domain::mode::Mode;
use jobpass_domain::place::Place;
use jobpass_domain::{Path, Role};
use jobpass_persistence::usage::Touched;
use jobpass_persistence::{Error, Tx, grant, group, id_at, member, runner};
use serde_json::json;

#[derive(Clone, Debug)]
pub struct DraftGroup {
    pub path: Path,
    pub floor: Mode,
}

/// What a PATCH sets; `None` leaves it.
#[derive(Clone, Debug, Default)]
pub struct GroupChange {
    pub path: Option<Path>,
    pub floor: Option<Mode>,
    pub reason: Option<String>,
}

impl App {
    pub async fn group_create(
        &self,
        person: &Person,
        draft: &DraftGroup,
        idempotency: Option<&Once>,
        render: impl Fn(&Group) -> Rendered,
    ) -> Result<Rendered, Refusal> {
        if let Some(kept) = self.replayed(idempotency, person.user.id.0).await? {
            return Ok(kept);
        }
        let parent = self.parent_for(person, &draft.path, Role::Maintainer).await?;
        let context = self.context(person.actor(), person.request);
        let work = async |tx: &mut Tx| {
            claim_paths(tx, person, &[draft.path.to_string()]).await?;
            let id = GroupId(id_at(tx.now()));
            let made = group::insert(tx, id, parent, draft.path.name(), draft.floor).await.map_err(path_refusal)?;
            // An administrator sees all, and owns it all the same: whoever creates a group owns it.
            member::put(tx, person.user.id, Place::Group(id), Role::Owner).await?;
            tx.audit(&changed("group.created", &made, None, Some(describe(&made)))).await?;
            Ok((render(&made), Life::default()))
        };
        self.transaction(context, async |tx: &mut Tx| once(tx, idempotency, person.user.id.0, work).await).await
    }

    pub async fn group_update(
        &self,
        access: GroupAccess,
        change: &GroupChange,
        how: How,
        still: impl Fn(&Group) -> bool,
    ) -> Result<Done<Group>, Refusal> {
        let GroupAccess { person, group: seen, .. } = access.require(Role::Owner)?;
        let path = change.path.as_ref().filter(|path| **path != seen.path);
        let target = self.parent_after(&person, &seen, path).await?;
        let context = self.context(person.actor(), person.request);
        let touched = Touched { place: Place::Group(seen.id), sources_too: path.is_some() };
        // A move may step up, too: what lies above there may have a floor.
        let guarded = change.floor == Some(Mode::Enforced) || path.is_some();
        let done = self.change(context, (touched, guarded), how, async |tx: &mut Tx| {
            if path.is_some() {
                group::hold_moves(tx).await?;
            }
            let old = group::lock(tx, seen.id).await?.ok_or(Refusal::NotFound)?;
            let moved_meanwhile = path.is_some() && old.path != seen.path;
            if moved_meanwhile || !still(&old) {
                return Err(Refusal::PreconditionFailed);
            }
            let mut new = old.clone();
            new.floor = change.floor.unwrap_or(old.floor);
            let mut parent = above(&old);
            if let Some(path) = path {
                let paths = group::paths_after(tx, old.id, path).await?;
                claim_paths(tx, &person, &paths).await?;
                (new.path, parent) = (path.clone(), target);
            }
            let new = save(tx, &old, (&new, parent), change).await?;
            if !how.dry_run {
                return Ok((new, Vec::new()));
            }
            let relocated = Relocated { project: None, before: &old.chain, after: &new.chain };
            let grants = relocated.grants(tx, person.user.id, &self.catalogue()).await?;
            Ok((new, grants))
        });
        Ok(relocate::told(done.await?))
    }

    /// Only an empty one. With it go its runners, its members' roles and its grants; grants that name it as
    /// source are deleted, each with an audit event on its own target.
    pub async fn group_delete(&self, access: GroupAccess, still: impl Fn(&Group) -> bool) -> Result<(), Refusal> {
        let GroupAccess { person, group: seen, .. } = access.require(Role::Owner)?;
        let context = self.context(person.actor(), person.request);
        self.transaction(context, async |tx: &mut Tx| {
            let old = group::lock(tx, seen.id).await?.ok_or(Refusal::NotFound)?;
            if !still(&old) {
                return Err(Refusal::PreconditionFailed);
            }
            if group::has_children(tx, old.id).await? {
                return Err(Conflict::GroupNotEmpty.into());
            }
            forget_source(tx, Place::Group(old.id)).await?;
            for id in runner::ids_on(tx, Place::Group(old.id)).await? {
                runner::delete(tx, id).await?;
            }
            group::delete(tx, old.id).await?;
            // On the group above: what is gone has no owners who could look.
            let place = above(&old).map_or(Place::Instance, Place::Group);
            let deleted = changed("group.deleted", &old, Some(describe(&old)), None);
            tx.audit(&Change { place, ..deleted }).await.map_err(Refusal::from)
        })
        .await
    }

    /// The group above after the change. A rename in place is its owner's alone; the top is for administrators.
    async fn parent_after(
        &self,
        person: &Person,
        seen: &Group,
        path: Option<&Path>,
    ) -> Result<Option<GroupId>, Refusal> {
        match path {
            None => Ok(None),
            Some(path) if path.parent().is_some() && path.parent() == seen.path.parent() => Ok(above(seen)),
            Some(path) => self.parent_for(person, path, Role::Owner).await,
        }
    }

    /// The group that a path lies in, where this person has that role; `None` at the top, which is for administrators.
    pub(crate) async fn parent_for(
        &self,
        person: &Person,
        path: &Path,
        needs: Role,
    ) -> Result<Option<GroupId>, Refusal> {
        let Some(parent) = path.parent() else {
            return if person.user.administrator { Ok(None) } else { Err(Refusal::TopLevel) };
        };
        let missing = || Refusal::invalid("/path", "not_found", format!("there is no group {parent}"));
        let access = self.group(person.clone(), parent.as_str()).await.map_err(|refusal| match refusal {
            Refusal::NotFound => missing(),
            other => other,
        })?;
        require(access.role, needs)?;
        Ok(Some(access.group.id))
    }
}

/// The group that this one lies in.
fn above(group: &Group) -> Option<GroupId> {
    group.chain.iter().rev().nth(1).copied()
}

/// Changes what a group is set to, where it stays; one that is set so already is left alone. The row is held.
pub(crate) async fn set(tx: &mut Tx, old: &Group, change: &GroupChange) -> Result<Group, Refusal> {
    let wanted = Group { floor: change.floor.unwrap_or(old.floor), ..old.clone() };
    if wanted == *old {
        return Ok(wanted);
    }
    save(tx, old, (&wanted, above(old)), change).await
}

async fn save(
    tx: &mut Tx,
    old: &Group,
    (wanted, parent): (&Group, Option<GroupId>),
    change: &GroupChange,
) -> Result<Group, Refusal> {
    let new = group::update(tx, wanted, parent).await.map_err(path_refusal)?;
    if new.path != wanted.path {
        // What lies above was renamed meanwhile.
        return Err(Refusal::PreconditionFailed);
    }
    let updated = changed("group.updated", &new, Some(describe(old)), Some(describe(&new)));
    tx.audit(&Change { reason: change.reason.clone(), ..updated }).await?;
    Ok(new)
}

/// A path that was deleted or renamed away is retired: only an administrator takes it again.
pub(crate) async fn claim_paths(tx: &mut Tx, person: &Person, paths: &[String]) -> Result<(), Refusal> {
    if person.user.administrator {
        group::unretire(tx, paths).await?;
    } else if group::any_retired(tx, paths).await? {
        return Err(Conflict::PathRetired.into());
    }
    Ok(())
}

/// What a constraint on paths means to whoever chose one.
pub(crate) fn path_refusal(error: Error) -> Refusal {
    let Error::Constraint(name) = &error else {
        return error.into();
    };
    match name.as_str() {
        "paths_pkey" | "groups_path_key" | "projects_path_key" => Conflict::PathTaken.into(),
        "groups_no_cycle" => Conflict::GroupCycle.into(),
        "groups_path_length" | "projects_path_length" | "paths_path_check" => {
            Refusal::invalid("/path", "too_long", "a path below would be longer than 255 bytes")
        }
        "groups_chain_depth" | "projects_chain_check" => {
            Refusal::invalid("/path", "too_deep", "groups nest at most 32 deep")
        }
        _ => error.into(),
    }
}

/// Before a source goes: the grants that name it, each audited where it lived, and its place in `except` lists.
pub(crate) async fn forget_source(tx: &mut Tx, source: Place) -> Result<(), Refusal> {
    for (id, place) in grant::naming(tx, source).await? {
        grant::delete(tx, id).await?;
        crate::grant::touch(tx, place).await?;
        tx.audit(&Change {
            action: "grant.deleted",
            subject_kind: "grant",
            subject: id.0,
            place,
            before: None,
            after: None,
            reason: Some("its source was deleted".to_owned()),
        })
        .await?;
    }
    if let Some(id) = source.project_id().or(source.group_id()) {
        grant::forget_exception(tx, id).await?;
    }
    Ok(())
}

fn changed(action: &'static str, group: &Group, before: Option<String>, after: Option<String>) -> Change {
    Change {
        action,
        subject_kind: "group",
        subject: group.id.0,
        place: Place::Group(group.id),
        before,
        after,
        reason: None,
    }
}

fn describe(group: &Group) -> String {
    json!({ "path": group.path, "floor": group.floor }).to_string()
}
