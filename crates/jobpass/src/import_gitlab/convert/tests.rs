//! The conversion by example, and as a property: for every project of a random tree the grants permit what
//! GitLab's rule permits. That rule is told here a second time, naively.

use super::*;
use jobpass_domain::PermissionSet;
use jobpass_domain::grant::{MAX_LIST, Source};
use jobpass_domain::ids::{GroupId, ProjectId};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;
use uuid::Uuid;

fn path(text: &str) -> Path {
    Path::parse(text).unwrap()
}

fn entry(kind: Kind, at: &str, rights: &str) -> Entry {
    let rights = match rights {
        "everything" => Rights::Everything,
        list => Rights::Only(set(&list.split_whitespace().map(str::to_owned).collect::<Vec<_>>())),
    };
    Entry { kind, path: path(at), rights }
}

fn set(texts: &[String]) -> PermissionSet {
    Catalogue::default().parse_all(texts).unwrap()
}

fn list(entries: Vec<Entry>) -> Allowlist {
    Allowlist { project: path("acme/lib"), open: false, entries }
}

fn convert(list: &Allowlist, known: &BTreeSet<Path>, most_exceptions: usize) -> (Vec<NewGrant>, Vec<String>) {
    let mut notes = Notes::default();
    let terms = Terms { catalogue: &Catalogue::default(), known, most_exceptions, within_actor_role: true };
    let grants = grants(list, &terms, &mut notes).unwrap();
    (grants, notes.lines().collect())
}

/// A grant on one line.
fn told(grant: &NewGrant) -> String {
    let source = grant.source.project.iter().map(|path| format!("project {path}"));
    let source = source.chain(grant.source.group.iter().map(|path| format!("group {path}"))).collect::<String>();
    let permissions = match &grant.permissions {
        Permissions::Everything => "everything".to_owned(),
        Permissions::List(list) => list.join(" "),
    };
    let except: Vec<_> = grant.source.except.iter().map(Label::as_str).collect();
    format!("{source} -[{}]: {permissions}", except.join(" "))
}

fn all_told(list: &Allowlist) -> Vec<String> {
    convert(list, &BTreeSet::new(), MAX_LIST).0.iter().map(told).collect()
}

#[test]
fn an_empty_list_lets_the_project_itself_in() {
    assert_eq!(all_told(&list(vec![])), ["project acme/lib -[]: everything"]);
}

#[test]
fn the_most_specific_entry_counts() {
    let list = list(vec![
        entry(Kind::Group, "acme", "everything"),
        entry(Kind::Group, "acme/apps", "READ_PACKAGES"),
        entry(Kind::Project, "acme/apps/web", "ADMIN_PACKAGES READ_JOBS"),
        entry(Kind::Project, "acme/untrusted", ""),
        entry(Kind::Project, "acme/lib", "ADMIN_RELEASES"),
        entry(Kind::Project, "acmeother/x", "everything"),
    ]);
    assert_eq!(
        all_told(&list),
        [
            "group acme -[acme/apps acme/lib acme/untrusted]: everything",
            "group acme/apps -[acme/apps/web]: packages:read",
            "project acme/apps/web -[]: jobs:read packages:admin",
            "project acme/lib -[]: releases:admin",
            "project acmeother/x -[]: everything",
        ]
    );
}

#[test]
fn a_narrow_entry_of_its_own_group_binds_the_project_itself() {
    assert_eq!(
        all_told(&list(vec![entry(Kind::Group, "acme", "READ_JOBS")])),
        ["group acme -[]: jobs:read"],
        "no grant of everything to itself"
    );
}

#[test]
fn more_exceptions_than_fit_become_grants_to_known_projects() {
    let mut entries: Vec<_> =
        (0..=MAX_LIST).map(|n| entry(Kind::Project, &format!("acme/p{n}"), "READ_JOBS")).collect();
    entries.push(entry(Kind::Group, "acme", "READ_PACKAGES"));
    let known = [path("acme/web"), path("acme/p0"), path("other/web")].into();
    let (grants, notes) = convert(&list(entries), &known, MAX_LIST);
    let told: Vec<_> = grants.iter().map(told).collect();
    assert_eq!(told.len(), MAX_LIST + 1 + 2);
    assert!(told.ends_with(&[
        "project acme/lib -[]: packages:read".to_owned(),
        "project acme/web -[]: packages:read".to_owned()
    ]));
    let [note] = notes.as_slice() else { panic!("{notes:?}") };
    assert!(note.starts_with("could not be carried over: acme/lib: group acme: 101 more specific"), "{note}");
}

/// GitLab's rule, told naively: all entries that match; a project's own beats a group's, a longer path a shorter.
fn gitlab(list: &Allowlist, source: &Path) -> PermissionSet {
    let matches = |entry: &&Entry| match entry.kind {
        Kind::Project => entry.path == *source,
        Kind::Group => source.as_str().starts_with(&format!("{}/", entry.path)),
    };
    let rank = |entry: &&Entry| (entry.kind == Kind::Project, entry.path.as_str().len());
    match list.entries.iter().filter(matches).max_by_key(rank).map(|entry| entry.rights) {
        Some(Rights::Everything) => Catalogue::default().everything(),
        Some(Rights::Only(set)) => set,
        None if *source == list.project => Catalogue::default().everything(),
        None => PermissionSet::EMPTY,
    }
}

/// An id for each path, the same each time.
fn id(path: &str) -> Uuid {
    let digest = path.bytes().fold(5381_u128, |hash, byte| hash.wrapping_mul(1_000_003) ^ u128::from(byte));
    Uuid::from_u128(digest)
}

/// The union of the grants that cover the project, by the domain's own rule.
fn jobpass(grants: &[NewGrant], source: &Path) -> PermissionSet {
    let chain: Vec<_> =
        std::iter::successors(source.parent(), Path::parent).map(|group| GroupId(id(group.as_str()))).collect();
    let covers = |grant: &&NewGrant| {
        let NewSource { project, group, except, .. } = &grant.source;
        let meant = match (project, group) {
            (Some(project), None) => Source::Project(ProjectId(id(project))),
            (None, Some(group)) => {
                Source::Group { group: GroupId(id(group)), except: except.iter().map(|path| id(path)).collect() }
            }
            both => panic!("one of the two: {both:?}"),
        };
        meant.covers(ProjectId(id(source.as_str())), &chain)
    };
    grants.iter().filter(covers).fold(PermissionSet::EMPTY, |all, grant| {
        all.union(match &grant.permissions {
            Permissions::Everything => Catalogue::default().everything(),
            Permissions::List(list) => set(list),
        })
    })
}

/// Groups three deep below two roots, under each a few projects; some names begin alike.
fn tree() -> (Vec<Path>, Vec<Path>) {
    let names = ["a", "ab"];
    let mut groups: Vec<String> = names.map(str::to_owned).to_vec();
    let mut level = groups.clone();
    for _ in 0..2 {
        level = level.iter().flat_map(|above| names.map(|name| format!("{above}/{name}"))).collect();
        groups.extend(level.clone());
    }
    let projects = groups.iter().flat_map(|group| ["p", "p2", "q"].map(|name| path(&format!("{group}/{name}"))));
    (groups.iter().map(|group| path(group)).collect(), projects.collect())
}

fn any_rights() -> impl Strategy<Value = Rights> {
    let catalogue = Catalogue::default();
    let names: Vec<String> =
        catalogue.types().iter().flat_map(|one| one.aliases().into_iter().map(|alias| alias.0)).collect();
    prop_oneof![
        1 => Just(Rights::Everything),
        1 => Just(Rights::NOTHING),
        4 => vec(proptest::sample::select(names), 0..4).prop_map(|names| Rights::Only(set(&names))),
    ]
}

fn any_list() -> impl Strategy<Value = Allowlist> {
    let (groups, projects) = tree();
    let own = proptest::sample::select(projects.clone());
    let listed = groups.into_iter().map(|path| (Kind::Group, path));
    let listed: Vec<_> = listed.chain(projects.into_iter().map(|path| (Kind::Project, path))).collect();
    let entries = btree_map(proptest::sample::select(listed), any_rights(), 0..20);
    (own, entries).prop_map(|(project, entries)| Allowlist {
        project,
        open: false,
        entries: entries.into_iter().map(|((kind, path), rights)| Entry { kind, path, rights }).collect(),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_grants_permit_exactly_what_gitlab_permits(list in any_list()) {
        let (grants, notes) = convert(&list, &BTreeSet::new(), MAX_LIST);
        for project in tree().1 {
            prop_assert_eq!(jobpass(&grants, &project), gitlab(&list, &project), "{} by {:#?}", project, grants);
        }
        prop_assert!(notes.is_empty());
    }

    /// With too little room for exceptions, known projects have the same still, and no other has more.
    #[test]
    fn what_does_not_fit_is_never_widened(
        list in any_list(),
        known in btree_set(proptest::sample::select(tree().1), 0..10),
        room in 0_usize..4,
    ) {
        let (grants, notes) = convert(&list, &known, room);
        for project in tree().1 {
            let (here, there) = (jobpass(&grants, &project), gitlab(&list, &project));
            prop_assert!(there.implies(here), "{project}");
            if known.contains(&project) || project == list.project || notes.is_empty() {
                prop_assert_eq!(here, there, "{}", project);
            }
        }
        prop_assert!(grants.iter().all(|grant| grant.source.except.len() <= room));
    }
}
