//! What a client of a container registry asks for: scopes of the Docker Registry v2 token protocol, and the permissions that
//! they come down to.

use crate::path;
use std::fmt;

/// The most actions in one scope.
pub const MAX_ACTIONS: usize = 8;

/// `repository:acme/web/app:pull,push`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryScope {
    /// `repository`; the others of the protocol are never granted.
    pub kind: String,
    pub name: String,
    pub actions: Vec<String>,
}

impl RegistryScope {
    pub const REPOSITORY: &'static str = "repository";

    /// The name may hold a port, so it goes from the first colon to the last.
    pub fn parse(text: &str) -> Option<RegistryScope> {
        let (kind, rest) = text.split_once(':')?;
        let (name, actions) = rest.rsplit_once(':')?;
        let mut actions: Vec<_> = actions.split(',').map(str::to_owned).collect();
        actions.sort();
        actions.dedup();
        let whole = !kind.is_empty() && !name.is_empty() && actions.len() <= MAX_ACTIONS;
        let whole = whole && !actions.iter().any(String::is_empty);
        whole.then(|| RegistryScope { kind: kind.to_owned(), name: name.to_owned(), actions })
    }

    /// Every project that the repository could belong to, the longest path first, each with the name that the repository
    /// has below it; empty: it has the project's own.
    pub fn places(&self) -> Vec<(&str, &str)> {
        // What a registry might read as another name is nobody's.
        if self.name.split('/').any(|segment| ["", ".", ".."].contains(&segment)) {
            return vec![];
        }
        let ends = self.name.match_indices('/').map(|(at, _)| at).chain([self.name.len()]);
        let mut places: Vec<_> = ends
            .filter_map(|at| self.name.split_at_checked(at))
            .filter(|(project, _)| path::Path::parse(*project).is_ok())
            .map(|(project, rest)| (project, rest.trim_start_matches('/')))
            .collect();
        places.reverse();
        places
    }
}

impl fmt::Display for RegistryScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.kind, self.name, self.actions.join(","))
    }
}

/// The permission that one action of a repository needs; `None`: there is no such action, and nobody may do it.
pub fn needs(action: &str) -> Option<&'static str> {
    match action {
        "pull" => Some("containers:read"),
        "push" => Some("containers:create"),
        "delete" => Some("containers:delete"),
        "*" => Some("containers:admin"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes() {
        let scope = RegistryScope::parse("repository:acme/web/app:push,pull,pull").unwrap();
        assert_eq!((scope.kind.as_str(), scope.name.as_str()), ("repository", "acme/web/app"));
        assert_eq!(scope.actions, ["pull", "push"]);
        assert_eq!(RegistryScope::parse("repository:host:5000/a:pull").unwrap().name, "host:5000/a");
        assert_eq!(RegistryScope::parse("registry:catalog:*").unwrap().kind, "registry");
        for bad in [
            "",
            "repository",
            "repository:",
            "repository:a",
            ":a:pull",
            "repository::pull",
            "repository:a:",
            "repository:a:pull,",
            "repository:a:1,2,3,4,5,6,7,8,9",
        ] {
            assert_eq!(RegistryScope::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_longest_project_comes_first() {
        let of = |name: &str| {
            let scope = RegistryScope { kind: "repository".into(), name: name.into(), actions: vec![] };
            scope.places().iter().map(|(project, rest)| format!("{project}|{rest}")).collect::<Vec<_>>()
        };
        assert_eq!(of("acme/web/app"), ["acme/web/app|", "acme/web|app", "acme|web/app"]);
        assert_eq!(of("app"), ["app|"]);
        assert_eq!(of("acme//app"), [""; 0]);
        assert_eq!(of("Acme/web"), [""; 0]);
        assert_eq!(of("acme/../web"), [""; 0]);
    }
}
