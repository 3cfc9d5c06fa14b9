//! What a person may do by membership, and what that lends to a job below `enforced`.

use crate::catalogue::slots;
use crate::permission::{Action, PermissionSet};
use serde::{Deserialize, Serialize};

/// Ordered: a later role holds all that an earlier one does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Guest,
    Reporter,
    Developer,
    Maintainer,
    Owner,
}

impl Role {
    pub const ALL: [Role; 5] = [Role::Guest, Role::Reporter, Role::Developer, Role::Maintainer, Role::Owner];

    pub const fn name(self) -> &'static str {
        match self {
            Role::Guest => "guest",
            Role::Reporter => "reporter",
            Role::Developer => "developer",
            Role::Maintainer => "maintainer",
            Role::Owner => "owner",
        }
    }

    pub fn named(name: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.name() == name)
    }

    /// What an actor with this role lends to a job (the old way). Operator-defined types: never.
    pub fn allows(self) -> PermissionSet {
        match self {
            Role::Guest => PermissionSet::EMPTY,
            Role::Reporter => shipped(Action::Read).minus(sensitive()),
            Role::Developer => {
                let write = shipped(Action::Create).union(shipped(Action::Update)).minus(sensitive());
                shipped(Action::Read).union(write).union(developers_delete())
            }
            Role::Maintainer | Role::Owner => {
                Action::ALL.into_iter().map(shipped).fold(PermissionSet::EMPTY, PermissionSet::union)
            }
        }
    }
}

const SHIPPED: [crate::permission::Slot; 13] = [
    slots::REPOSITORIES,
    slots::DEPLOYMENTS,
    slots::ENVIRONMENTS,
    slots::JOBS,
    slots::PACKAGES,
    slots::PIPELINES,
    slots::RELEASES,
    slots::SECURE_FILES,
    slots::TERRAFORM_STATE,
    slots::BADGES,
    slots::MERGE_REQUESTS,
    slots::WORK_ITEMS,
    slots::CONTAINERS,
];

/// One action on every shipped type.
fn shipped(action: Action) -> PermissionSet {
    SHIPPED.into_iter().fold(PermissionSet::EMPTY, |set, slot| set.union(PermissionSet::of(slot, &[action])))
}

fn sensitive() -> PermissionSet {
    PermissionSet::admin(slots::SECURE_FILES).union(PermissionSet::admin(slots::TERRAFORM_STATE))
}

fn developers_delete() -> PermissionSet {
    [slots::ENVIRONMENTS, slots::RELEASES, slots::CONTAINERS]
        .into_iter()
        .fold(PermissionSet::EMPTY, |set, slot| set.union(PermissionSet::of(slot, &[Action::Delete])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Catalogue;

    #[test]
    fn roles_only_grow() {
        for pair in Role::ALL.windows(2) {
            assert!(pair[1].allows().implies(pair[0].allows()), "{pair:?}");
        }
        assert_eq!(Role::Maintainer.allows(), Role::Owner.allows());
    }

    #[test]
    fn by_the_book() {
        let catalogue = Catalogue::default();
        let may = |role: Role, text: &str| role.allows().implies(catalogue.parse(text).unwrap());
        assert_eq!(Role::Guest.allows(), PermissionSet::EMPTY);
        assert!(may(Role::Reporter, "packages:read"));
        assert!(!may(Role::Reporter, "secure_files:read"));
        assert!(!may(Role::Reporter, "packages:create"));
        assert!(may(Role::Developer, "terraform_state:read"));
        assert!(!may(Role::Developer, "terraform_state:update"));
        assert!(may(Role::Developer, "repositories:update"));
        assert!(may(Role::Developer, "containers:delete"));
        assert!(!may(Role::Developer, "packages:delete"));
        assert_eq!(Role::Owner.allows(), catalogue.everything());
    }
}
