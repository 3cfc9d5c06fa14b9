//! Where a rule, a runner or an audit event lives: on the instance, a group or a project.

use crate::ids::{GroupId, ProjectId};
use crate::provenance::CredentialScope;
use uuid::Uuid;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    Instance,
    Group(GroupId),
    Project(ProjectId),
}

impl Place {
    /// From two nullable columns, of which at most one is set.
    pub fn from_ids(group: Option<Uuid>, project: Option<Uuid>) -> Place {
        match (group, project) {
            (_, Some(project)) => Place::Project(ProjectId(project)),
            (Some(group), None) => Place::Group(GroupId(group)),
            (None, None) => Place::Instance,
        }
    }

    pub fn group_id(self) -> Option<Uuid> {
        match self {
            Place::Group(group) => Some(group.0),
            Place::Instance | Place::Project(_) => None,
        }
    }

    pub fn project_id(self) -> Option<Uuid> {
        match self {
            Place::Project(project) => Some(project.0),
            Place::Instance | Place::Group(_) => None,
        }
    }

    /// The scope of a credential that lives here.
    pub fn scope(self) -> CredentialScope {
        match self {
            Place::Instance => CredentialScope::Instance,
            Place::Group(_) => CredentialScope::Group,
            Place::Project(_) => CredentialScope::Project,
        }
    }
}
