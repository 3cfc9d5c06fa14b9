//! From what GitLab said to an allowlist in Jobpass's words; whatever has no such words becomes a note. What is
//! not known is never taken for more than it may be.

use super::Failure;
use super::allowlist::{Allowlist, Entry, Kind, Rights};
use super::log::{MOST_ROWS, Seen};
use super::notes::Notes;
use super::read::{Node, Stated};
use jobpass_domain::path::InvalidPath;
use jobpass_domain::{Catalogue, Path, PermissionSet};
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn allowlist(stated: &Stated, catalogue: &Catalogue, notes: &mut Notes) -> Result<Allowlist, Failure> {
    let project = carried(&stated.project).map_err(|why| Failure::Project { name: stated.project.clone(), why })?;
    say_what_was_assumed(stated, &project, notes);
    let mut found = Found { project: &project, catalogue, notes, entries: BTreeMap::new() };
    let (outbound, ruled): (Vec<_>, Vec<_>) =
        stated.entries.iter().flatten().partition(|(kind, node)| *kind == Kind::Project && node.outbound);
    for (kind, node) in ruled {
        found.ruled(*kind, node)?;
    }
    for (kind, listed) in [(Kind::Project, &stated.listed_projects), (Kind::Group, &stated.listed_groups)] {
        for path in listed.iter().flatten() {
            found.listed(kind, path, stated.entries.is_some());
        }
    }
    let entries = found.entries.into_iter().map(|((path, kind), rights)| Entry { kind, path, rights }).collect();
    if !outbound.is_empty() {
        notes.lost(&project, format!("outbound entries ({}): GitLab itself no longer heeds them", outbound.len()));
    }
    Ok(Allowlist { project, open: stated.inbound_enabled == Some(false), entries })
}

/// The source projects that came in so far; those that no entry covers are told.
pub(super) fn known(seen: &[Seen], list: &Allowlist, notes: &mut Notes) -> BTreeSet<Path> {
    if seen.len() >= MOST_ROWS {
        notes.said(
            &list.project,
            format!("the log has {} rows, where GitLab's export ends: it may miss some", seen.len()),
        );
    }
    let mut known = BTreeSet::new();
    for Seen { path, last_authorized_at } in seen {
        match carried(path) {
            Err(why) => notes.lost(&list.project, format!("project {path}, from the log: {why}")),
            Ok(path) => {
                if list.nearest(&path).is_none() && path != list.project {
                    let when = last_authorized_at.date();
                    notes.said(&list.project, format!("{path} came in last on {when}, and no entry covers it"));
                }
                known.insert(path);
            }
        }
    }
    known
}

/// GitLab's paths are the same in upper and lower case; those of Jobpass are lower case.
fn carried(path: &str) -> Result<Path, InvalidPath> {
    Path::parse(path.to_ascii_lowercase())
}

fn say_what_was_assumed(stated: &Stated, project: &Path, notes: &mut Notes) {
    match stated.inbound_enabled {
        Some(true) => {}
        None => notes.said(project, "whether its allowlist is on was not told (--scope): taken as on"),
        Some(false) => notes.lost(
            project,
            "its allowlist is off, so every project may come in: grants cannot say that. Written as `mode: legacy`, where the \
             role of the user counts; the grants are what remains once it is audit or enforced",
        ),
    }
    if stated.entries.is_some() {
        return;
    }
    notes.said(project, "no policies were told (--policies): each entry is taken to have GitLab's default permissions");
    for (kind, flag, listed) in [
        (Kind::Project, "--allowlist", &stated.listed_projects),
        (Kind::Group, "--groups-allowlist", &stated.listed_groups),
    ] {
        if listed.is_none() {
            notes.said(project, format!("which {}s are listed was not told ({flag}): taken as none", kind.name()));
        }
    }
}

struct Found<'a> {
    project: &'a Path,
    catalogue: &'a Catalogue,
    notes: &'a mut Notes,
    entries: BTreeMap<(Path, Kind), Rights>,
}

impl Found<'_> {
    /// An entry with its permissions.
    fn ruled(&mut self, kind: Kind, node: &Node) -> Result<(), Failure> {
        let rights = match &node.policies {
            None => Rights::Everything,
            Some(policies) => Rights::Only(self.permissions(kind, &node.path, policies)),
        };
        let Some(path) = self.path(kind, &node.path) else { return Ok(()) };
        match self.entries.insert((path, kind), rights) {
            Some(before) if before != rights => Err(Failure::Twice { kind: kind.name(), path: node.path.clone() }),
            _ => Ok(()),
        }
    }

    /// An entry by its path alone. Where permissions are told for others, its own are unknown: it permits
    /// nothing, and still outranks the groups above it.
    fn listed(&mut self, kind: Kind, text: &str, others_are_ruled: bool) {
        let Some(path) = self.path(kind, text) else { return };
        let implicit = kind == Kind::Project && path == *self.project;
        let key = (path, kind);
        if implicit || self.entries.contains_key(&key) {
            return;
        }
        if others_are_ruled {
            let told =
                format!("{} {text}: listed, and not among the policies: its permissions are unknown", kind.name());
            self.notes.lost(self.project, told);
            self.entries.insert(key, Rights::NOTHING);
        } else {
            self.entries.insert(key, Rights::Everything);
        }
    }

    fn path(&mut self, kind: Kind, text: &str) -> Option<Path> {
        let carried = carried(text);
        if let Err(why) = &carried {
            let told = format!(
                "{} {text}: {why}. Whatever path it gets here, name it in `except` of the grants to groups above it",
                kind.name()
            );
            self.notes.lost(self.project, told);
        }
        carried.ok()
    }

    /// GitLab's names are aliases in the catalogue.
    fn permissions(&mut self, kind: Kind, path: &str, policies: &[String]) -> PermissionSet {
        let mut permissions = PermissionSet::EMPTY;
        for policy in policies {
            let alias = policy.to_ascii_uppercase();
            if let Ok(these) = self.catalogue.parse(&alias) {
                permissions = permissions.union(these);
            } else {
                let told = format!("{} {path}: no permission is called {policy} here", kind.name());
                self.notes.lost(self.project, told);
            }
        }
        permissions
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    fn node(path: &str, policies: Option<&[&str]>) -> Node {
        let policies = policies.map(|policies| policies.iter().map(ToString::to_string).collect());
        Node { path: path.into(), policies, outbound: false, on: None }
    }

    fn resolve(stated: &Stated) -> (Result<Allowlist, Failure>, String) {
        let mut notes = Notes::default();
        let list = allowlist(stated, &Catalogue::default(), &mut notes);
        (list, notes.lines().collect::<Vec<_>>().join("\n"))
    }

    fn ruled(entries: Vec<(Kind, Node)>) -> Stated {
        Stated { project: "Acme/Lib".into(), inbound_enabled: Some(true), entries: Some(entries), ..Stated::default() }
    }

    fn told(list: &Allowlist) -> Vec<(String, Rights)> {
        list.entries.iter().map(|entry| (format!("{} {}", entry.kind.name(), entry.path), entry.rights)).collect()
    }

    #[test]
    fn names_in_gitlabs_words() {
        let (list, notes) = resolve(&ruled(vec![
            (Kind::Group, node("ACME", Some(&["READ_JOBS", "ADMIN_CONTAINERS"]))),
            (Kind::Project, node("acme/web", Some(&["read_packages", "ADMIN_TEAPOTS", "packages:admin"]))),
            (Kind::Project, node("acme/_odd", None)),
        ]));
        let list = list.unwrap();
        let only = |texts: &[&str]| Rights::Only(Catalogue::default().parse_all(texts).unwrap());
        assert_eq!(list.project.as_str(), "acme/lib");
        assert_eq!(
            told(&list),
            [
                ("group acme".to_owned(), only(&["jobs:read", "containers:admin"])),
                ("project acme/web".to_owned(), only(&["packages:read"])),
            ]
        );
        let lines: Vec<_> = notes.lines().collect();
        assert_eq!(lines.len(), 3, "{notes}");
        assert!(lines.iter().all(|line| line.starts_with("could not be carried over: acme/lib: ")), "{notes}");
        assert!(lines[0].contains("ADMIN_TEAPOTS") && lines[1].contains("packages:admin"), "{notes}");
        assert!(lines[2].contains("acme/_odd") && lines[2].contains("except"), "{notes}");
    }

    #[test]
    fn the_outbound_list_is_no_part_of_it() {
        let outbound = Node { outbound: true, ..node("acme/web", None) };
        let (list, notes) =
            resolve(&ruled(vec![(Kind::Project, outbound), (Kind::Project, node("acme/web", Some(&["READ_JOBS"])))]));
        assert_eq!(list.unwrap().entries.len(), 1);
        assert!(notes.contains("outbound"), "{notes}");
    }

    #[test]
    fn lists_without_policies_have_the_default() {
        let (list, notes) = resolve(&Stated {
            project: "acme/lib".into(),
            listed_projects: Some(vec!["acme/lib".into(), "acme/web".into(), "acme/web".into()]),
            ..Stated::default()
        });
        assert_eq!(told(&list.unwrap()), [("project acme/web".to_owned(), Rights::Everything)]);
        for said in ["--policies", "--scope", "--groups-allowlist"] {
            assert!(notes.contains(said), "{notes}");
        }
    }

    #[test]
    fn what_is_listed_without_its_policies_permits_nothing() {
        let mut stated = ruled(vec![(Kind::Group, node("acme", None))]);
        stated.listed_projects = Some(vec!["acme/lib".into(), "acme/web".into()]);
        let (list, notes) = resolve(&stated);
        assert_eq!(
            told(&list.unwrap()),
            [("group acme".to_owned(), Rights::Everything), ("project acme/web".to_owned(), Rights::NOTHING)]
        );
        assert!(notes.contains("acme/web"), "{notes}");
    }

    #[test]
    fn an_entry_cannot_say_two_things() {
        let twice =
            |first, second| resolve(&ruled(vec![(Kind::Group, node("a", first)), (Kind::Group, node("A", second))])).0;
        assert!(matches!(twice(None, Some(&[])), Err(Failure::Twice { .. })));
        assert_eq!(twice(None, None).unwrap().entries.len(), 1);
    }

    #[test]
    fn what_the_log_knows() {
        let mut notes = Notes::default();
        let list = resolve(&ruled(vec![(Kind::Group, node("acme", None))])).0.unwrap();
        let seen: Vec<_> = ["Acme/Web", "other/x", "acme/-x"]
            .map(|path| Seen { path: path.into(), last_authorized_at: datetime!(2026-01-31 10:00 UTC) })
            .into();
        let known = known(&seen, &list, &mut notes);
        assert_eq!(known.iter().map(Path::as_str).collect::<Vec<_>>(), ["acme/web", "other/x"]);
        let notes: Vec<_> = notes.lines().collect();
        assert_eq!(notes[0], "note: acme/lib: other/x came in last on 2026-01-31, and no entry covers it");
        assert!(notes[1].starts_with("could not be carried over: acme/lib: project acme/-x"), "{notes:?}");
    }
}
