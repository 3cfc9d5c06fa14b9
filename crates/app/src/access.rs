//! What a person may see and do, by role. Hidden and missing are answered alike.

use crate::{App, Person, Refusal};
use jobpass_domain::Role;
use jobpass_domain::group::Group;
use jobpass_domain::ids::GroupId;
use jobpass_domain::mode::Visibility;
use jobpass_domain::place::Place;
use jobpass_domain::project::Project;
use jobpass_persistence::{group, member, project};

/// A project that this person may see; administrators count as owners.
#[derive(Clone, Debug)]
pub struct ProjectAccess {
    pub person: Person,
    pub project: Project,
    pub role: Option<Role>,
}

/// A group that this person may see; administrators count as owners.
#[derive(Clone, Debug)]
pub struct GroupAccess {
    pub person: Person,
    pub group: Group,
    pub role: Option<Role>,
}

/// A project or group whose grants this person may change.
#[derive(Clone, Debug)]
pub struct GrantPlace {
    pub person: Person,
    pub place: Place,
    /// The groups above it, itself included for a group.
    pub chain: Vec<GroupId>,
    /// Changes with every write of a grant there.
    pub revision: i64,
}

impl ProjectAccess {
    pub fn require(self, needs: Role) -> Result<ProjectAccess, Refusal> {
        require(self.role, needs).map(|()| self)
    }
}

impl GroupAccess {
    pub fn require(self, needs: Role) -> Result<GroupAccess, Refusal> {
        require(self.role, needs).map(|()| self)
    }
}

impl From<ProjectAccess> for GrantPlace {
    fn from(access: ProjectAccess) -> GrantPlace {
        let ProjectAccess { person, project, .. } = access;
        GrantPlace {
            person,
            place: Place::Project(project.id),
            chain: project.chain,
            revision: project.grants_revision,
        }
    }
}

impl From<GroupAccess> for GrantPlace {
    fn from(access: GroupAccess) -> GrantPlace {
        let GroupAccess { person, group, .. } = access;
        GrantPlace { person, place: Place::Group(group.id), chain: group.chain, revision: group.grants_revision }
    }
}

pub(crate) fn require(role: Option<Role>, needs: Role) -> Result<(), Refusal> {
    if role >= Some(needs) { Ok(()) } else { Err(Refusal::Forbidden { needs: needs.name() }) }
}

impl App {
    /// By id or path. `NotFound` for what does not exist and for what this person may not see.
    pub async fn project(&self, person: Person, key: &str) -> Result<ProjectAccess, Refusal> {
        let project = project::find(self.db.read(), key).await?.ok_or(Refusal::NotFound)?;
        let role = if person.user.administrator {
            Some(Role::Owner)
        } else {
            member::role(self.db.read(), person.user.id, &project.chain, Some(project.id)).await?
        };
        if role.is_none() && project.visibility == Visibility::Private {
            return Err(Refusal::NotFound);
        }
        Ok(ProjectAccess { person, project, role })
    }

    /// By id or path. `NotFound` for what does not exist and for what this person may not see.
    pub async fn group(&self, person: Person, key: &str) -> Result<GroupAccess, Refusal> {
        let group = group::find(self.db.read(), key).await?.ok_or(Refusal::NotFound)?;
        let role = if person.user.administrator {
            Some(Role::Owner)
        } else {
            member::role(self.db.read(), person.user.id, &group.chain, None).await?
        };
        if role.is_none() && !group::is_seen_from_below(self.db.read(), group.id, person.user.id).await? {
            return Err(Refusal::NotFound);
        }
        Ok(GroupAccess { person, group, role })
    }
}
