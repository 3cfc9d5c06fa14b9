//! A project or a group at once, as a reviewed file has it: settings, members, grants and ceilings in one
//! transaction. What is the same already is no change, so that an owner's field may be sent back by a maintainer.

use crate::access::require;
use crate::draft_grant::Checked;
use crate::grant::{difference, hold_named, make_equal, touch};
use crate::register_project::check_patterns;
use crate::{
    App, Done, DraftCeiling, DraftGrant, GrantPlace, GroupAccess, GroupChange, How, ProjectAccess, ProjectChange,
    Refusal, grant, manage_members, register_group, register_project, set_ceilings,
};
use jobpass_domain::ceiling::SavedCeiling;
use jobpass_domain::grant::SavedGrant;
use jobpass_domain::group::Group;
use jobpass_domain::ids::{GroupId, ProjectId};
use jobpass_domain::mode::Mode;
use jobpass_domain::place::Place;
use jobpass_domain::project::Project;
use jobpass_domain::text::UserName;
use jobpass_domain::user::{Member, User};
use jobpass_domain::{Catalogue, Role};
use jobpass_persistence::usage::Touched;
use jobpass_persistence::{Tx, ceiling, group, member, project, user};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is to be, of a project or a group; `None` leaves it. The paths in `settings` are not looked at.
#[derive(Clone, Debug)]
pub struct DraftConfiguration<C> {
    pub settings: C,
    pub members: Option<BTreeMap<UserName, Role>>,
    pub grants: Option<Vec<DraftGrant>>,
    pub ceilings: Option<Vec<DraftCeiling>>,
}

/// What is there, on the place itself.
#[derive(Clone, Debug)]
pub struct Configuration<S> {
    pub settings: S,
    pub members: Vec<Member>,
    /// In the order in which they were made.
    pub grants: Vec<SavedGrant>,
    pub ceilings: Vec<SavedCeiling>,
}

impl App {
    pub async fn project_configuration_read(&self, access: ProjectAccess) -> Result<Configuration<Project>, Refusal> {
        let access = access.require(Role::Maintainer)?;
        let (settings, at) = (access.project.clone(), GrantPlace::from(access));
        self.shown(&at, settings).await
    }

    pub async fn group_configuration_read(&self, access: GroupAccess) -> Result<Configuration<Group>, Refusal> {
        let access = access.require(Role::Maintainer)?;
        let (settings, at) = (access.group.clone(), GrantPlace::from(access));
        self.shown(&at, settings).await
    }

    pub async fn project_configuration_put(
        &self,
        access: ProjectAccess,
        draft: &DraftConfiguration<ProjectChange>,
        how: How,
        still: impl Fn(&Configuration<Project>) -> bool,
    ) -> Result<Done<Configuration<Project>>, Refusal> {
        let access = access.require(Role::Maintainer)?;
        let (seen, role, at) = (access.project.clone(), access.role, GrantPlace::from(access));
        let change = ProjectChange { path: None, ..draft.settings.clone() };
        let most = self.settings.limits.patterns;
        check_patterns(change.protected_refs.as_deref(), change.protected_environments.as_deref(), most)?;
        let wanted = self.check_configuration(&at, draft).await?;
        let steps_up = change.mode == Some(Mode::Enforced) && seen.mode != Mode::Enforced;
        let context = self.context(at.person.actor(), at.person.request);
        self.change(context, (wanted.touched(&at), steps_up), how, async |tx: &mut Tx| {
            let users = wanted.hold(tx).await?;
            let old = project::lock(tx, seen.id).await?.ok_or(Refusal::NotFound)?;
            let before = configuration(tx, &at, old, &wanted.catalogue).await?;
            if !still(&before) {
                return Err(Refusal::PreconditionFailed);
            }
            tx.nothing_to_audit();
            let settings = register_project::set(tx, &before.settings, &change).await?;
            if settings.visibility != before.settings.visibility {
                require(role, Role::Owner)?;
            }
            wanted.write(tx, &at, role, (&before, &users)).await?;
            configuration(tx, &at, settings, &wanted.catalogue).await
        })
        .await
    }

    pub async fn group_configuration_put(
        &self,
        access: GroupAccess,
        draft: &DraftConfiguration<GroupChange>,
        how: How,
        still: impl Fn(&Configuration<Group>) -> bool,
    ) -> Result<Done<Configuration<Group>>, Refusal> {
        let access = access.require(Role::Maintainer)?;
        let (seen, role, at) = (access.group.clone(), access.role, GrantPlace::from(access));
        let change = GroupChange { path: None, ..draft.settings.clone() };
        let wanted = self.check_configuration(&at, draft).await?;
        let steps_up = change.floor == Some(Mode::Enforced) && seen.floor != Mode::Enforced;
        let context = self.context(at.person.actor(), at.person.request);
        self.change(context, (wanted.touched(&at), steps_up), how, async |tx: &mut Tx| {
            let users = wanted.hold(tx).await?;
            let old = group::lock(tx, seen.id).await?.ok_or(Refusal::NotFound)?;
            let before = configuration(tx, &at, old, &wanted.catalogue).await?;
            if !still(&before) {
                return Err(Refusal::PreconditionFailed);
            }
            tx.nothing_to_audit();
            let settings = register_group::set(tx, &before.settings, &change).await?;
            if settings != before.settings {
                require(role, Role::Owner)?;
            }
            wanted.write(tx, &at, role, (&before, &users)).await?;
            configuration(tx, &at, settings, &wanted.catalogue).await
        })
        .await
    }

    /// Reads all in one transaction, which writes nothing.
    async fn shown<S>(&self, at: &GrantPlace, settings: S) -> Result<Configuration<S>, Refusal> {
        let catalogue = self.reload_catalogue().await?;
        let context = self.context(at.person.actor(), at.person.request);
        let read = async |tx: &mut Tx| configuration(tx, at, settings, &catalogue).await;
        Ok(self.db.rehearsal(context, read).await?.0)
    }

    async fn check_configuration<C>(&self, at: &GrantPlace, draft: &DraftConfiguration<C>) -> Result<Wanted, Refusal> {
        let catalogue = self.reload_catalogue().await?;
        let grants = match &draft.grants {
            Some(drafts) => Some(self.check_drafts(at, "/grants", drafts, &catalogue).await?),
            None => None,
        };
        if let Some(ceilings) = &draft.ceilings {
            self.check_ceilings("/ceilings", ceilings, &catalogue)?;
        }
        Ok(Wanted { members: draft.members.clone(), grants, ceilings: draft.ceilings.clone(), catalogue })
    }
}

/// A draft that holds, but for what only a transaction can say.
struct Wanted {
    members: Option<BTreeMap<UserName, Role>>,
    grants: Option<Vec<Checked>>,
    ceilings: Option<Vec<DraftCeiling>>,
    catalogue: Arc<Catalogue>,
}

impl Wanted {
    fn touched(&self, at: &GrantPlace) -> Touched {
        Touched { place: at.place, sources_too: self.ceilings.is_some() }
    }

    /// Holds whom members and what sources name, before the place: in the order in which the single calls do.
    async fn hold(&self, tx: &mut Tx) -> Result<Vec<(User, Role)>, Refusal> {
        let mut users = Vec::new();
        for (name, role) in self.members.iter().flatten() {
            let missing = || Refusal::invalid(format!("/members/{name}"), "not_found", "there is no such user");
            users.push((user::lock(tx, name.as_str()).await?.ok_or_else(missing)?, *role));
        }
        hold_named(tx, "/grants", self.grants.iter().flatten()).await?;
        Ok(users)
    }

    async fn write<S>(
        &self,
        tx: &mut Tx,
        at: &GrantPlace,
        role: Option<Role>,
        (before, users): (&Configuration<S>, &[(User, Role)]),
    ) -> Result<(), Refusal> {
        let mut owners_too = false;
        if self.members.is_some() {
            owners_too |= write_members(tx, at.place, &before.members, users).await?;
        }
        if let Some(drafts) = &self.ceilings {
            let after = set_ceilings::replace(tx, at.place, ("/ceilings", drafts), &self.catalogue, |_| true).await?;
            owners_too |= after != before.ceilings;
        }
        if owners_too {
            require(role, Role::Owner)?;
        }
        let Some(grants) = &self.grants else { return Ok(()) };
        let (superfluous, missing) = difference(before.grants.clone(), grants.clone());
        if !(superfluous.is_empty() && missing.is_empty()) {
            touch(tx, at.place).await?;
        }
        make_equal(tx, at, (superfluous, missing), &self.catalogue).await
    }
}

/// Answers whether anything had to be changed.
async fn write_members(tx: &mut Tx, place: Place, before: &[Member], wanted: &[(User, Role)]) -> Result<bool, Refusal> {
    let mut changed = false;
    for member in before.iter().filter(|member| !wanted.iter().any(|(user, _)| user.id == member.user)) {
        manage_members::remove(tx, place, (member.user, &member.name)).await?;
        changed = true;
    }
    for (user, role) in wanted {
        if !before.iter().any(|member| member.user == user.id && member.role == *role) {
            manage_members::set(tx, place, user, *role).await?;
            changed = true;
        }
    }
    Ok(changed)
}

async fn configuration<S>(
    tx: &mut Tx,
    at: &GrantPlace,
    settings: S,
    catalogue: &Catalogue,
) -> Result<Configuration<S>, Refusal> {
    let groups: Vec<_> = at.place.group_id().map(GroupId).into_iter().collect();
    let project = at.place.project_id().map(ProjectId);
    Ok(Configuration {
        settings,
        members: member::list(tx.on(), &groups, project, None, i64::MAX).await?,
        grants: grant::all(tx, at.place, catalogue).await?,
        ceilings: ceiling::list(tx.on(), at.place, catalogue).await?,
    })
}
