//! Authorization details (RFC 9396): what a token is confined to, project by project. Like a cap, they only take away.

use crate::ids::ProjectId;
use crate::path::is_same_key;
use crate::permission::PermissionSet;

/// The most details of one token.
pub const MAX_DETAILS: usize = 64;

/// At most these permissions in this project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizationDetail {
    /// `None`: there was no such project when it was named, and the detail gives nothing, whoever takes that path later.
    pub project: Option<ProjectId>,
    /// Path or id, as it was named.
    pub named: String,
    pub permissions: PermissionSet,
}

/// A detail as people see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownDetail {
    /// Path or id, as it was named.
    pub project: String,
    pub permissions: Vec<String>,
}

/// What these details leave in the project that is asked about by this path or id. One that does not exist is told from the others by
/// its name alone, so that a holder who names a project learns nothing of whether it exists.
pub fn leave(details: &[AuthorizationDetail], asked: &str, project: Option<ProjectId>) -> PermissionSet {
    let is_meant = |detail: &&AuthorizationDetail| match (detail.project, project) {
        (Some(meant), Some(project)) => meant == project,
        (None, None) => is_same_key(&detail.named, asked),
        _ => false,
    };
    details.iter().filter(is_meant).fold(PermissionSet::EMPTY, |left, detail| left.union(detail.permissions))
}

/// Whether details leave nowhere more than others do.
pub fn are_within(inner: &[AuthorizationDetail], outer: &[AuthorizationDetail]) -> bool {
    inner.iter().all(|detail| leave(outer, &detail.named, detail.project).implies(detail.permissions))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::permission::tests::any_set;
    use proptest::prelude::*;
    use uuid::Uuid;

    fn detail() -> impl Strategy<Value = AuthorizationDetail> {
        (prop::option::of(0u128..3), "[ab]", any_set()).prop_map(|(project, named, permissions)| AuthorizationDetail {
            project: project.map(|id| ProjectId(Uuid::from_u128(id))),
            named,
            permissions,
        })
    }

    proptest! {
        #[test]
        fn what_is_within_leaves_nowhere_more(
            inner in prop::collection::vec(detail(), 0..4), more in prop::collection::vec(detail(), 0..4),
            asked in "[abc]", project in prop::option::of(0u128..4), widened: bool,
        ) {
            let outer = if widened { [inner.clone(), more].concat() } else { more };
            if are_within(&inner, &outer) {
                let project = project.map(|id| ProjectId(Uuid::from_u128(id)));
                prop_assert!(leave(&outer, &asked, project).implies(leave(&inner, &asked, project)));
            }
            if widened {
                prop_assert!(are_within(&inner, &outer));
            }
        }
    }

    #[test]
    fn a_project_is_known_by_its_id_and_a_missing_one_by_its_name() {
        let (lib, other) = (ProjectId(Uuid::from_u128(1)), ProjectId(Uuid::from_u128(2)));
        let at = |project, named: &str| AuthorizationDetail {
            project,
            named: named.to_owned(),
            permissions: PermissionSet::ALL,
        };
        let details = [at(Some(lib), "acme/lib"), at(None, "acme/gone")];
        assert_eq!(leave(&details, "acme/renamed", Some(lib)), PermissionSet::ALL);
        assert_eq!(leave(&details, "acme/lib", Some(other)), PermissionSet::EMPTY, "another has the path by now");
        assert_eq!(leave(&details, "acme/gone", None), PermissionSet::ALL);
        assert_eq!(leave(&details, "acme/gone", Some(other)), PermissionSet::EMPTY);
        assert_eq!(leave(&details, "acme/lib", None), PermissionSet::EMPTY);
    }
}
