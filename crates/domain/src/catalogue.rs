//! The one table of resource types. The endpoint, the docs and every parser of permissions read it.

use crate::permission::{Action, Permission, PermissionSet, Slot};
use thiserror::Error;

/// A kind of thing worth protecting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceType {
    pub slot: Slot,
    pub name: String,
    pub description: String,
    /// The version of Jobpass that brought it, or `operator` for one that an administrator added.
    pub since: String,
    /// What a resource name of this type looks like, or `None` where it has no names.
    pub name_form: Option<String>,
    /// Which of GitLab's names are read as this type's: none, `READ_…`, or `READ_…` and `ADMIN_…`.
    pub gitlab: GitlabNames,
    pub operator_defined: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GitlabNames {
    None,
    Read,
    ReadAndAdmin,
}

impl ResourceType {
    /// GitLab's names for this type, each with the permission text it is read as.
    pub fn aliases(&self) -> Vec<(String, String)> {
        let upper = self.name.to_ascii_uppercase();
        let read = || (format!("READ_{upper}"), format!("{}:read", self.name));
        let admin = || (format!("ADMIN_{upper}"), format!("{}:admin", self.name));
        match self.gitlab {
            GitlabNames::None => vec![],
            GitlabNames::Read => vec![read()],
            GitlabNames::ReadAndAdmin => vec![read(), admin()],
        }
    }
}

macro_rules! shipped {
    ($($slot:literal $constant:ident $name:literal $gitlab:ident $form:expr, $description:literal;)+) => {
        /// The slots of the shipped resource types.
        pub mod slots {
            use super::Slot;
            $(pub const $constant: Slot = match Slot::new($slot) {
                Some(slot) => slot,
                None => unreachable!(),
            };)+
        }

        fn shipped_types() -> Vec<ResourceType> {
            vec![$(ResourceType {
                slot: slots::$constant,
                name: $name.to_owned(),
                description: $description.to_owned(),
                since: "0.1.0".to_owned(),
                name_form: { let form: Option<&str> = $form; form.map(str::to_owned) },
                gitlab: GitlabNames::$gitlab,
                operator_defined: false,
            }),+]
        }
    };
}

shipped! {
    0 REPOSITORIES "repositories" ReadAndAdmin Some("the full ref, as in refs/heads/main"),
        "Git repositories: fetch (read), push (update), and their branches, tags and commits";
    1 DEPLOYMENTS "deployments" ReadAndAdmin None,
        "Deployments: what was deployed where, and approvals";
    2 ENVIRONMENTS "environments" ReadAndAdmin Some("the environment's name"),
        "Environments: the places that deployments go to";
    3 JOBS "jobs" ReadAndAdmin None,
        "Jobs, their logs and artifacts";
    4 PACKAGES "packages" ReadAndAdmin Some("type/name, as in npm/@acme/ui"),
        "Packages in a package registry";
    5 PIPELINES "pipelines" ReadAndAdmin None,
        "Pipeline runs";
    6 RELEASES "releases" ReadAndAdmin None,
        "Releases and their assets";
    7 SECURE_FILES "secure_files" ReadAndAdmin None,
        "Secure files: keystores, certificates, provisioning profiles";
    8 TERRAFORM_STATE "terraform_state" ReadAndAdmin Some("the state's name"),
        "Terraform state: reading, writing and locking it";
    9 BADGES "badges" ReadAndAdmin None,
        "Badges of a project";
    10 MERGE_REQUESTS "merge_requests" Read None,
        "Merge requests and their notes";
    11 WORK_ITEMS "work_items" Read None,
        "Work items: issues, tasks, epics";
    12 CONTAINERS "containers" ReadAndAdmin Some("the path below the project"),
        "Container images: pull (read), push (create)";
}

/// The first slot that an administrator's own types may take: below it is room for shipped ones to come.
pub const FIRST_OPERATOR_SLOT: u8 = 32;

/// A text that names no permission known here.
#[derive(Debug, Error, PartialEq, Eq, Clone)]
#[error("no such permission; `GET /v1/catalogue` lists them, written as resource:action")]
pub struct UnknownPermission;

/// All resource types of this instance, shipped and operator-defined, in order of their slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalogue {
    types: Vec<ResourceType>,
}

impl Default for Catalogue {
    fn default() -> Catalogue {
        Catalogue { types: shipped_types() }
    }
}

impl Catalogue {
    /// The shipped types and these.
    pub fn with_operator_types(operator: impl IntoIterator<Item = ResourceType>) -> Catalogue {
        let mut types = shipped_types();
        types.extend(operator);
        types.sort_by_key(|resource| resource.slot);
        Catalogue { types }
    }

    pub fn types(&self) -> &[ResourceType] {
        &self.types
    }

    pub fn find(&self, name: &str) -> Option<&ResourceType> {
        self.types.iter().find(|resource| resource.name == name)
    }

    pub fn get(&self, slot: Slot) -> Option<&ResourceType> {
        self.types.iter().find(|resource| resource.slot == slot)
    }

    /// Every permission that exists here: what `everything` means when a grant is saved.
    pub fn everything(&self) -> PermissionSet {
        self.types.iter().fold(PermissionSet::EMPTY, |all, resource| all.union(PermissionSet::admin(resource.slot)))
    }

    /// Reads `packages:read`, `packages:admin` or GitLab's `READ_PACKAGES`.
    pub fn parse(&self, text: &str) -> Result<PermissionSet, UnknownPermission> {
        let alias = || self.types.iter().flat_map(ResourceType::aliases).find(|(alias, _)| alias == text);
        // No alias has a colon.
        let canonical = if text.contains(':') { None } else { alias() };
        let text = canonical.as_ref().map_or(text, |(_, canonical)| canonical);
        let (resource, action) = text.split_once(':').ok_or(UnknownPermission)?;
        let resource = self.find(resource).ok_or(UnknownPermission)?;
        match action {
            "admin" => Ok(PermissionSet::admin(resource.slot)),
            _ => action_named(action).map(|action| PermissionSet::of(resource.slot, &[action])),
        }
    }

    /// What a kept list gives: an entry that is unknown here gives nothing.
    pub fn known(&self, texts: &[String]) -> PermissionSet {
        texts.iter().filter_map(|text| self.parse(text).ok()).fold(PermissionSet::EMPTY, PermissionSet::union)
    }

    /// Reads a list, as in a cap: every entry must be known. The error is the index of the first that is not.
    pub fn parse_all<T: AsRef<str>>(&self, texts: &[T]) -> Result<PermissionSet, (usize, UnknownPermission)> {
        texts.iter().enumerate().try_fold(PermissionSet::EMPTY, |set, (index, text)| {
            self.parse(text.as_ref()).map(|one| set.union(one)).map_err(|unknown| (index, unknown))
        })
    }

    /// Reads a ceiling's entry: as [`Catalogue::parse`], or `*:read`, which covers types to come as well.
    pub fn parse_ceiling(&self, text: &str) -> Result<PermissionSet, UnknownPermission> {
        match text.split_once(':') {
            Some(("*", "admin")) => Ok(PermissionSet::ALL),
            Some(("*", action)) => action_named(action).map(PermissionSet::any_resource),
            _ => self.parse(text),
        }
    }

    /// In catalogue order; four actions together as `packages:admin`.
    pub fn format(&self, set: PermissionSet) -> Vec<String> {
        self.types
            .iter()
            .flat_map(|resource| {
                let all = PermissionSet::admin(resource.slot);
                if set.implies(all) {
                    vec![format!("{}:admin", resource.name)]
                } else {
                    self.expand(set.intersect(all))
                }
            })
            .collect()
    }

    /// In catalogue order, every action on its own: how `scope` and `missing` are written.
    pub fn expand(&self, set: PermissionSet) -> Vec<String> {
        set.iter().filter_map(|permission| self.name(permission)).collect()
    }

    /// `packages:read`; `None` for a resource type that does not exist here.
    pub fn name(&self, permission: Permission) -> Option<String> {
        // Not formatted: this is a large part of what an answer that names thirty of them costs.
        self.get(permission.resource).map(|resource| [resource.name.as_str(), ":", permission.action.name()].concat())
    }
}

fn action_named(name: &str) -> Result<Action, UnknownPermission> {
    Action::ALL.into_iter().find(|action| action.name() == name).ok_or(UnknownPermission)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_types() {
        let catalogue = Catalogue::default();
        let names: Vec<_> = catalogue.types().iter().map(|resource| resource.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "repositories",
                "deployments",
                "environments",
                "jobs",
                "packages",
                "pipelines",
                "releases",
                "secure_files",
                "terraform_state",
                "badges",
                "merge_requests",
                "work_items",
                "containers",
            ]
        );
        assert_eq!(catalogue.everything().iter().count(), 13 * 4);
    }

    #[test]
    fn texts_in_and_out() {
        let catalogue = Catalogue::default();
        for (text, out) in [
            ("packages:read", vec!["packages:read"]),
            ("packages:admin", vec!["packages:admin"]),
            ("READ_PACKAGES", vec!["packages:read"]),
            ("ADMIN_TERRAFORM_STATE", vec!["terraform_state:admin"]),
            ("READ_WORK_ITEMS", vec!["work_items:read"]),
        ] {
            assert_eq!(catalogue.format(catalogue.parse(text).unwrap()), out, "{text}");
        }
        assert_eq!(
            catalogue.expand(catalogue.parse("badges:admin").unwrap()),
            ["badges:read", "badges:create", "badges:update", "badges:delete"]
        );
    }

    #[test]
    fn what_is_no_permission() {
        let catalogue = Catalogue::default();
        for text in [
            "",
            "packages",
            "packages:",
            ":read",
            "packages:write",
            "Packages:read",
            "*:read",
            "ADMIN_WORK_ITEMS",
            "packages:read ",
            "everything",
        ] {
            assert_eq!(catalogue.parse(text), Err(UnknownPermission), "{text}");
        }
        assert_eq!(catalogue.parse_all(&["jobs:read", "nope"]), Err((1, UnknownPermission)));
        assert_eq!(catalogue.parse_ceiling("*:nope"), Err(UnknownPermission));
    }

    #[test]
    fn ceilings_cover_types_to_come() {
        let added = ResourceType {
            slot: Slot::new(FIRST_OPERATOR_SLOT).unwrap(),
            name: "vault_secrets".into(),
            description: "Secrets".into(),
            since: "operator".into(),
            name_form: None,
            gitlab: GitlabNames::None,
            operator_defined: true,
        };
        let catalogue = Catalogue::with_operator_types([added]);
        let read = catalogue.parse("vault_secrets:read").unwrap();
        assert!(catalogue.parse_ceiling("*:read").unwrap().implies(read));
        assert!(catalogue.everything().implies(read));
        assert!(!Catalogue::default().everything().implies(read));
    }
}
