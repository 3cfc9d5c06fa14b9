//! A grant: which source's jobs may do what on the project or group it lives on, and when.

use crate::glob::Glob;
use crate::ids::{GrantId, GroupId, ProjectId, UserId};
use crate::permission::{PermissionSet, Slot};
use crate::pipeline::Trigger;
use crate::place::Place;
use crate::provenance::{CredentialScope, Provenance};
use crate::reason::{Failed, Failures};
use crate::refs::RefPattern;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use time::OffsetDateTime;
use uuid::Uuid;

/// The most grants on one project or group, unless a setting says otherwise.
pub const MAX_GRANTS: usize = 10_000;
/// The most patterns in one condition or selector, and entries in `except`, unless a setting says otherwise.
pub const MAX_LIST: usize = 100;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    pub id: GrantId,
    pub source: Source,
    pub permissions: PermissionSet,
    pub conditions: Conditions,
    pub selectors: Selectors,
    pub expires_at: Option<OffsetDateTime>,
}

impl Grant {
    pub fn has_expired(&self, now: OffsetDateTime) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

/// A grant with what people and the record need of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedGrant {
    pub grant: Grant,
    /// A project or a group, never the instance.
    pub place: Place,
    /// Written as `everything`: all that existed when it was last saved.
    pub everything: bool,
    pub note: String,
    /// The path of its source, as it is now.
    pub source_path: String,
    /// The paths of what is excepted; what was deleted since is left out.
    pub except_paths: Vec<String>,
    /// When it last gave something that was asked for.
    pub last_needed_at: Option<OffsetDateTime>,
    pub created_by: Option<UserId>,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
}

/// Whose jobs a grant is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Project(ProjectId),
    /// Everything under the group, now or later, less what lies under an excepted project or group.
    Group {
        group: GroupId,
        /// A set: in the order of the ids.
        except: Vec<Uuid>,
    },
}

impl Source {
    pub fn group(group: GroupId, mut except: Vec<Uuid>) -> Source {
        except.sort_unstable();
        except.dedup();
        Source::Group { group, except }
    }

    /// The project or group itself.
    pub fn id(&self) -> Uuid {
        match self {
            Source::Project(project) => project.0,
            Source::Group { group, .. } => group.0,
        }
    }

    /// The ids of all projects and groups that it names.
    pub fn named(&self) -> Vec<Uuid> {
        match self {
            Source::Project(project) => vec![project.0],
            Source::Group { group, except } => std::iter::once(group.0).chain(except.iter().copied()).collect(),
        }
    }

    /// Whether jobs of this project are meant. `chain`: the groups above the project.
    pub fn covers(&self, project: ProjectId, chain: &[GroupId]) -> bool {
        match self {
            Source::Project(source) => *source == project,
            Source::Group { group, except } => {
                let excepted = |id: Uuid| except.contains(&id);
                chain.contains(group) && !excepted(project.0) && !chain.iter().any(|above| excepted(above.0))
            }
        }
    }
}

/// Whose word about ref and environment is taken: the scope of the minting credential, widest first
/// by how many people could have registered it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum VouchedBy {
    /// Any runner, one that a source's maintainers registered included.
    #[default]
    Any,
    /// A runner of a group above, or of the instance.
    Group,
    /// A runner of the instance only.
    Instance,
}

impl VouchedBy {
    pub const ALL: [VouchedBy; 3] = [VouchedBy::Any, VouchedBy::Group, VouchedBy::Instance];

    pub const fn name(self) -> &'static str {
        match self {
            VouchedBy::Any => "any",
            VouchedBy::Group => "group",
            VouchedBy::Instance => "instance",
        }
    }

    pub fn named(name: &str) -> Option<VouchedBy> {
        VouchedBy::ALL.into_iter().find(|vouched_by| vouched_by.name() == name)
    }

    fn accepts(self, scope: CredentialScope) -> bool {
        match self {
            VouchedBy::Any => true,
            VouchedBy::Group => scope != CredentialScope::Project,
            VouchedBy::Instance => scope == CredentialScope::Instance,
        }
    }
}

/// What must hold for a grant to count; all of it. `None`: no restriction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    pub refs: Option<Vec<RefPattern>>,
    pub protected_refs_only: bool,
    pub environments: Option<Vec<Glob>>,
    pub triggers: Option<Vec<Trigger>>,
    pub allow_forks: bool,
    /// Only what the vouched-for actor's role on the target allows, too.
    pub within_actor_role: bool,
    pub vouched_by: VouchedBy,
}

impl Conditions {
    /// Every condition on the run that does not hold. The actor's role is for the decision,
    /// which knows the permission asked.
    pub fn failures(&self, run: &Provenance) -> Failures {
        let outside = |restriction: Option<bool>| restriction == Some(false);
        let in_refs =
            self.refs.as_ref().map(|refs| refs.iter().any(|pattern| pattern.matches(run.ref_type, &run.ref_name)));
        let in_environments = self.environments.as_ref().map(|patterns| {
            run.environment.as_ref().is_some_and(|name| patterns.iter().any(|pattern| pattern.matches(name)))
        });
        let in_triggers = self.triggers.as_ref().map(|triggers| triggers.contains(&run.trigger));
        Failures::NONE
            .with(Failed::Fork, run.from_fork && !self.allow_forks)
            .with(Failed::Ref, outside(in_refs))
            .with(Failed::Protected, self.protected_refs_only && !run.protected)
            .with(Failed::Environment, outside(in_environments))
            .with(Failed::Trigger, outside(in_triggers))
            .with(Failed::VouchedBy, !self.vouched_by.accepts(run.minted_by))
    }
}

/// Per resource type, which names its permissions are limited to. A type without an entry is free.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selectors(pub BTreeMap<Slot, Vec<Glob>>);

impl Selectors {
    /// The permissions of this set that no selector binds.
    pub fn free(&self, permissions: PermissionSet) -> PermissionSet {
        self.0.keys().fold(permissions, |free, resource| free.minus(PermissionSet::admin(*resource)))
    }

    pub fn patterns(&self, resource: Slot) -> Option<&[Glob]> {
        self.0.get(&resource).map(Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources() {
        let (project, other, group, sub) = (
            ProjectId(Uuid::from_u128(1)),
            ProjectId(Uuid::from_u128(2)),
            GroupId(Uuid::from_u128(3)),
            GroupId(Uuid::from_u128(4)),
        );
        let chain = [group, sub];
        assert!(Source::Project(project).covers(project, &chain));
        assert!(!Source::Project(other).covers(project, &chain));
        assert!(Source::Group { group, except: vec![] }.covers(project, &chain));
        assert!(!Source::Group { group: sub, except: vec![] }.covers(project, &[group]));
        assert!(!Source::Group { group, except: vec![project.0] }.covers(project, &chain));
        assert!(!Source::Group { group, except: vec![sub.0] }.covers(project, &chain));
        assert!(Source::Group { group, except: vec![other.0] }.covers(project, &chain));
    }

    #[test]
    fn whose_word_is_taken() {
        use CredentialScope as Scope;
        assert!(Scope::ALL.iter().all(|scope| VouchedBy::Any.accepts(*scope)));
        assert!(
            !VouchedBy::Group.accepts(Scope::Project)
                && VouchedBy::Group.accepts(Scope::Group)
                && VouchedBy::Group.accepts(Scope::Instance)
        );
        assert!(!VouchedBy::Instance.accepts(Scope::Group) && VouchedBy::Instance.accepts(Scope::Instance));
    }
}
