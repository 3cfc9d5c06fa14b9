//! What holds for every table: the built-in one row by row, and any other beside a matcher that tries all.

use super::gitlab::drafts;
use super::path::Segment;
use super::pattern::{Pattern, Piece};
use super::*;
use crate::catalogue::{Catalogue, slots};
use crate::permission::PermissionSet;
use proptest::prelude::*;
use std::fmt::Write as _;

fn table(rows: &[(&str, &str)]) -> Result<RouteTable, Vec<RouteFault>> {
    RouteTable::read(
        None,
        &rows.iter().map(|(method, path)| plain(method, path)).collect::<Vec<_>>(),
        &Catalogue::default(),
    )
}

fn plain(method: &str, path: &str) -> DraftRoute {
    DraftRoute {
        method: method.to_owned(),
        path: path.to_owned(),
        permissions: Some(vec!["jobs:read".to_owned()]),
        ..DraftRoute::default()
    }
}

fn find<'t>(table: &'t RouteTable, method: &str, path: &str) -> Result<Matched<'t>, NoMatch> {
    table.find(method, &RoutePath::parse(path).unwrap())
}

/// Which row of the built-in table it is, and what was read from the path.
fn in_gitlab(method: &str, path: &str) -> (String, Option<String>, Vec<String>) {
    let table = gitlab();
    let matched = find(&table, method, path).unwrap_or_else(|why| panic!("{method} {path}: {why:?}"));
    (matched.route.path().to_owned(), matched.project.clone(), matched.names.values().cloned().collect())
}

fn demanded(demand: Demand) -> String {
    match demand {
        Demand::Permissions(set) => Catalogue::default().expand(set).join(" "),
        Demand::Refused => "refused".to_owned(),
    }
}

#[test]
fn golden_table() {
    let mut now = String::from(
        "What GitLab's routes demand: method, path, permissions; then the project's parameter, and the name of the resource.\n\n",
    );
    for route in gitlab().routes() {
        let _ = write!(now, "{:<6} {}\n       -> {}", route.method, route.path(), demanded(route.demand));
        let _ = write!(now, "; project: {}", route.project.as_deref().unwrap_or("-"));
        for (slot, template) in &route.names {
            let resource = Catalogue::default().get(*slot).unwrap().name.clone();
            let _ = write!(now, "; {resource}: {}", template.as_str());
        }
        now.push('\n');
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/route/gitlab.golden");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &now).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        golden == now,
        "routes differ from {path}; see the difference with\n  UPDATE_GOLDEN=1 cargo test -p jobpass-domain && git diff"
    );
}

#[test]
fn the_built_in_table_has_no_fault() {
    let rows = drafts();
    assert_eq!(rows.len(), 210);
    RouteTable::read(Some("/api/v4"), &rows, &Catalogue::default()).unwrap();
    assert_eq!(gitlab().routes().len(), 210);
    assert_eq!(gitlab().routes().iter().filter(|route| route.demand == Demand::Refused).count(), 32);
    let placeless =
        gitlab().routes().iter().filter(|route| route.demand != Demand::Refused && route.project.is_none()).count();
    assert_eq!(placeless, 29);
}

/// GitLab's two words decide most of it: `READ_` reads and nothing else, `ADMIN_` never does.
#[test]
fn the_reviewed_actions_keep_to_the_facts() {
    for row in include_str!("../gitlab_routes.csv").lines().skip(1) {
        let columns: Vec<_> = row.split(',').collect();
        let (resource, permission, access, method, actions) =
            (columns[0], columns[1], columns[2], columns[3], columns[5]);
        let each: Vec<_> = actions.split('+').collect();
        match access {
            "read" => assert_eq!(actions, format!("{resource}:read"), "{row}"),
            "not_controllable" => assert_eq!((permission, actions), ("NONE", "refused"), "{row}"),
            _ => {
                assert_eq!(each.len(), permission.split('+').count(), "{row}");
                for (action, permission) in each.iter().zip(permission.split('+')) {
                    let (resource, action) = action.split_once(':').unwrap();
                    assert_eq!(permission, format!("ADMIN_{}", resource.to_uppercase()), "{row}");
                    assert!(["create", "update", "delete"].contains(&action), "{row}");
                    let fits = match method {
                        "DELETE" => action == "delete" || row.contains("/lock,"),
                        "POST" => action != "delete",
                        _ => ["create", "update"].contains(&action),
                    };
                    assert!(fits, "{row}");
                }
            }
        }
    }
}

#[test]
fn paths_of_every_kind() {
    let acme = || Some("acme/web".to_owned());
    let packages = "/projects/acme%2Fweb/packages";
    for (method, path, row, names) in [
        ("GET", format!("{packages}/7"), "/projects/:id/packages/:package_id", vec![]),
        ("GET", format!("{packages}/npm/ui"), "/projects/:id/packages/npm/*package_name", vec!["npm/ui"]),
        ("GET", format!("{packages}/npm/@acme%2Fui"), "/projects/:id/packages/npm/*package_name", vec!["npm/@acme/ui"]),
        ("HEAD", format!("{packages}/npm/@acme/ui"), "/projects/:id/packages/npm/*package_name", vec!["npm/@acme/ui"]),
        (
            "GET",
            format!("{packages}/npm/@acme/ui/-/@acme/ui-1.0.0.tgz"),
            "/projects/:id/packages/npm/*package_name/-/*file_name",
            vec!["npm/@acme/ui"],
        ),
        ("PUT", format!("{packages}/npm/@acme%2fui"), "/projects/:id/packages/npm/:package_name", vec!["npm/@acme/ui"]),
        (
            "PUT",
            format!("{packages}/npm/-/package/@acme%2Fui/dist-tags/latest"),
            "/projects/:id/packages/npm/-/package/*package_name/dist-tags/:tag",
            vec!["npm/@acme/ui"],
        ),
        (
            "PUT",
            format!("{packages}/generic/tool/1.0/linux/x64/tool.bin"),
            "/projects/:id/packages/generic/:package_name/*package_version/(*path/):file_name",
            vec!["generic/tool"],
        ),
        (
            "PUT",
            format!("{packages}/generic/tool/1.0/tool.bin/authorize"),
            "/projects/:id/packages/generic/:package_name/*package_version/(*path/):file_name/authorize",
            vec!["generic/tool"],
        ),
        (
            "GET",
            format!("{packages}/go/example.com/x/@v/v1.2.3.info"),
            "/projects/:id/packages/go/*module_name/@v/:module_version.info",
            vec!["go/example.com/x"],
        ),
        ("GET", format!("{packages}/go/x/@v/list"), "/projects/:id/packages/go/*module_name/@v/list", vec!["go/x"]),
        (
            "GET",
            format!("{packages}/maven/com/acme/app/1.0/app-1.0.jar"),
            "/projects/:id/packages/maven/*path/:file_name",
            vec!["maven/com/acme/app/1.0"],
        ),
        ("GET", format!("{packages}/conan/v1/ping"), "/projects/:id/packages/conan/v1/ping", vec![]),
        (
            "DELETE",
            "/projects/acme%2Fweb/environments/review_apps".to_owned(),
            "/projects/:id/environments/review_apps",
            vec![],
        ),
        (
            "GET",
            "/projects/acme%2Fweb/environments/review_apps".to_owned(),
            "/projects/:id/environments/:environment_id",
            vec![],
        ),
        (
            "GET",
            "/projects/acme%2Fweb/releases/permalink/latest".to_owned(),
            "/projects/:id/releases/permalink/latest(/)(*suffix_path)",
            vec![],
        ),
        (
            "GET",
            "/projects/acme%2Fweb/releases/permalink/latest/downloads/x".to_owned(),
            "/projects/:id/releases/permalink/latest(/)(*suffix_path)",
            vec![],
        ),
        (
            "POST",
            "/projects/acme%2Fweb/terraform/state/prod/lock".to_owned(),
            "/projects/:id/terraform/state/:name/lock",
            vec!["prod"],
        ),
        (
            "GET",
            "/projects/acme%2Fweb/repository/tags/v1".to_owned(),
            "/projects/:id/repository/tags/:tag_name",
            vec!["refs/tags/v1"],
        ),
        (
            "GET",
            "/projects/acme%2Fweb/repository/files/src%2Fmain.rs/raw".to_owned(),
            "/projects/:id/repository/files/:file_path/raw",
            vec![],
        ),
    ] {
        for path in [path.clone(), format!("/api/v4{path}"), format!("{path}?x=1")] {
            let names = names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
            assert_eq!(in_gitlab(method, &path), (row.to_owned(), acme(), names), "{method} {path}");
        }
    }
}

#[test]
fn git_push() {
    let row = "/*project.git/git-receive-pack".to_owned();
    for (method, path) in [
        ("POST", "/acme/web.git/git-receive-pack"),
        ("POST", "/acme%2Fweb.git/git-receive-pack"),
        ("GET", "/acme/web.git/info/refs?service=git-receive-pack"),
        ("GIT", "/acme/web.git/git-receive-pack"),
    ] {
        assert_eq!(in_gitlab(method, path), (row.clone(), Some("acme/web".to_owned()), vec![]), "{method} {path}");
    }
    // A project of that name is another project than `web`.
    assert_eq!(in_gitlab("POST", "/api/v4/web.git/git-receive-pack").1.as_deref(), Some("api/v4/web"));
    for (method, path) in [
        ("POST", "/acme/web/git-receive-pack"),
        ("POST", "/.git/git-receive-pack"),
        ("PUT", "/acme/web.git/git-receive-pack"),
        ("POST", "/acme/web.git/git-upload-pack"),
        ("GET", "/acme/web.git/info/refs"),
        ("GET", "/acme/web.git/info/refs?service=git-upload-pack"),
        ("GET", "/acme/web.git/info/refs?service=git-upload-pack&service=git-receive-pack"),
        ("GET", "/acme/web.git/git-receive-pack"),
    ] {
        assert_eq!(find(&gitlab(), method, path), Err(NoMatch::Unknown), "{method} {path}");
    }
}

#[test]
fn what_nobody_described() {
    for (method, path, why) in [
        ("GET", "/projects/1", NoMatch::Unknown),
        ("get", "/projects/1/jobs", NoMatch::Unknown),
        ("PATCH", "/projects/1/jobs", NoMatch::Unknown),
        ("OPTIONS", "/projects/1/jobs", NoMatch::Unknown),
        ("GET", "/Projects/1/jobs", NoMatch::Unknown),
        ("GET", "/api/v4", NoMatch::Unknown),
        ("GET", "/api/v3/projects/1/jobs", NoMatch::Unknown),
        ("GET", "/api/v4/api/v4/projects/1/jobs", NoMatch::Unknown),
        ("GET", "/projects/acme/web/jobs", NoMatch::Unknown),
        ("GET", "/projects/1/jobs/2%2F3/artifacts", NoMatch::EncodedSlash),
        ("GET", "/projects/1/terraform/state/a%2Fb", NoMatch::EncodedSlash),
        ("GET", "/projects%2F1/jobs", NoMatch::Unknown),
        ("GET", "/projects/acme%2Fweb", NoMatch::Unknown),
        ("GET", "/projects/1/packages/go/x/@v/.info", NoMatch::Unknown),
    ] {
        assert_eq!(find(&gitlab(), method, path), Err(why), "{method} {path}");
    }
}

#[test]
fn several_permissions_are_all_demanded() {
    let table = gitlab();
    let matched = find(&table, "POST", "/projects/1/deployments").unwrap();
    let both = [slots::DEPLOYMENTS, slots::ENVIRONMENTS].map(|slot| PermissionSet::of(slot, &[crate::Action::Create]));
    assert_eq!(matched.route.demand, Demand::Permissions(both[0].union(both[1])));
}

#[test]
fn faults_are_told_at_their_place() {
    let mut drafts = vec![plain("GET", "/a/:b"); 11];
    drafts[1].method = "get".to_owned();
    drafts[2].path = "/x/{b}".to_owned();
    drafts[3].permissions = Some(vec!["jobs:read".to_owned(), "jobs:fly".to_owned()]);
    drafts[4].permissions = None;
    drafts[5].refused = true;
    drafts[6].project = Some("c".to_owned());
    drafts[7].resource_names =
        [("jobs".to_owned(), "{c}".to_owned()), ("packages".to_owned(), "{b}".to_owned())].into();
    drafts[8].encoded_slash = vec!["b".to_owned(), "c".to_owned()];
    drafts[9].permissions = Some(vec![]);
    drafts[10].path = "/a/:other".to_owned();
    let faults = RouteTable::read(Some("/v1/:x"), &drafts, &Catalogue::default()).unwrap_err();
    let told: Vec<_> = faults.into_iter().map(|fault| (fault.place, fault.code)).collect();
    let name = |resource: &str| Place::ResourceName(7, resource.to_owned());
    assert_eq!(
        told,
        [
            (Place::Base, "invalid"),
            (Place::Method(1), "invalid"),
            (Place::Path(2), "invalid"),
            (Place::Permission(3, 1), "unknown_permission"),
            (Place::Route(4), "required"),
            (Place::Permissions(5), "not_both"),
            (Place::Project(6), "unknown_parameter"),
            (name("jobs"), "unknown_parameter"),
            (name("packages"), "not_demanded"),
            (Place::EncodedSlash(8, 1), "unknown_parameter"),
            (Place::Permissions(9), "empty"),
            (Place::Path(10), "ambiguous"),
        ]
    );
}

#[test]
fn routes_that_match_equally_well() {
    for (one, other) in [
        (("GET", "/a/:b"), ("GET", "/a/:c")),
        (("GET", "/*a/x"), ("GET", "/*b/x")),
        (("GET", "/a(/:b)"), ("GET", "/a")),
        (("GET", "/a/:b.git"), ("GET", "/a/:c.git")),
        (("GIT", "/*p.git/git-receive-pack"), ("GIT", "/*q.git/git-receive-pack")),
    ] {
        assert_eq!(table(&[one, other]).unwrap_err()[0].code, "ambiguous", "{one:?} {other:?}");
    }
    for (one, other) in [
        (("GET", "/a/:b"), ("PUT", "/a/:b")),
        (("GET", "/a/:b"), ("GET", "/a/*b")),
        (("GET", "/a/:b"), ("GET", "/a/:b.git")),
        (("GIT", "/*p.git/git-receive-pack"), ("GIT", "/*p.git/git-upload-pack")),
    ] {
        table(&[one, other]).unwrap();
    }
}

/// A text that a segment can be, decoded.
fn legal() -> impl Strategy<Value = String> {
    "[a-z@~._A-Z0-9 äé%?-]{1,8}".prop_filter("is a step", |text| text != "." && text != ".." && !text.contains('%'))
}

fn encoded(text: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~@".contains(&byte);
    text.bytes().map(|byte| if keep(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// The path of a form, its parameters filled.
fn filled(form: &[Piece], values: &[String]) -> String {
    let mut values = values.iter().cycle();
    let mut next = move || encoded(values.next().unwrap());
    form.iter().fold(String::new(), |path, piece| match piece {
        Piece::Literal(text) => format!("{path}/{text}"),
        Piece::Parameter { suffix, .. } => format!("{path}/{}{suffix}", next()),
        Piece::Glob { suffix, .. } => format!("{path}/{}/{}{suffix}", next(), next()),
    })
}

/// In order of precedence: a literal, a parameter (the longer its end the better), a glob, and the end.
type Rank = (u8, std::cmp::Reverse<usize>);

fn rank(piece: Option<&Piece>) -> Rank {
    let (kind, suffix) = match piece {
        Some(Piece::Literal(_)) => (0, 0),
        Some(Piece::Parameter { suffix, .. }) => (1, suffix.len()),
        Some(Piece::Glob { suffix, .. }) => (2, suffix.len()),
        None => (3, 0),
    };
    (kind, std::cmp::Reverse(suffix))
}

/// Every way in which the form fits, as ranks of pieces and lengths of what stands before them.
fn fits(form: &[Piece], segments: &[Segment], before: usize) -> Vec<Vec<(Rank, usize)>> {
    let here = (rank(form.first()), before);
    let Some((piece, rest)) = form.split_first() else {
        return if segments.is_empty() { vec![vec![here]] } else { vec![] };
    };
    let ends = |segment: &Segment, suffix: &str| segment.text.len() > suffix.len() && segment.text.ends_with(suffix);
    let lengths: Vec<usize> = match piece {
        _ if segments.is_empty() => vec![],
        Piece::Literal(text) => {
            if segments[0].text == *text {
                vec![1]
            } else {
                vec![]
            }
        }
        Piece::Parameter { suffix, .. } => {
            if ends(&segments[0], suffix) {
                vec![1]
            } else {
                vec![]
            }
        }
        Piece::Glob { suffix, .. } => (1..=segments.len()).filter(|n| ends(&segments[n - 1], suffix)).collect(),
    };
    let mut all = Vec::new();
    for length in lengths {
        for tail in fits(rest, &segments[length..], length) {
            all.push([vec![here], tail].concat());
        }
    }
    all
}

/// Tries every form of every route.
fn naive(rows: &[String], path: &RoutePath) -> Option<usize> {
    let ways = rows.iter().enumerate().flat_map(|(row, text)| {
        let forms = Pattern::parse(text).unwrap().forms;
        let ways: Vec<_> = forms.iter().flat_map(|form| fits(form, &path.segments, 0)).map(|way| (way, row)).collect();
        ways
    });
    ways.min().map(|(_, row)| row)
}

fn some_pattern() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[ab]",
        2 => Just(":p".to_owned()),
        1 => "[:*]p\\.[ab]",
        2 => Just("*p".to_owned()),
    ];
    proptest::collection::vec(piece, 1..6).prop_map(|pieces| {
        let numbered = pieces.iter().enumerate().map(|(n, piece)| format!("/{}", piece.replace('p', &format!("p{n}"))));
        numbered.collect::<String>()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// Any row matches itself, or one that is literal where it has a parameter or a glob.
    #[test]
    fn every_row_matches_itself_or_a_more_specific_one(values in proptest::collection::vec(legal(), 1..6)) {
        let table = gitlab();
        for route in table.routes().iter().filter(|route| route.method != "GIT") {
            let forms = Pattern::parse(route.path()).unwrap().forms;
            for form in &forms {
                let raw = filled(form, &values);
                let path = RoutePath::parse(&raw).unwrap();
                let matched = table.find(&route.method, &path).unwrap_or_else(|why| panic!("{raw}: {why:?}"));
                if matched.route == route {
                    continue;
                }
                let best = |text: &str| {
                    let forms = Pattern::parse(text).unwrap().forms;
                    forms.iter().flat_map(|form| fits(form, &path.segments, 0)).min().unwrap()
                };
                prop_assert!(best(matched.route.path()) < best(route.path()), "{} for {}", matched.route.path(), raw);
            }
        }
    }

    #[test]
    fn the_trie_answers_what_trying_all_answers(
        rows in proptest::collection::vec(some_pattern(), 1..12),
        path in proptest::collection::vec("[ab]|x\\.[ab]|x", 1..8),
    ) {
        let mut kept: Vec<String> = Vec::new();
        for row in rows {
            let with: Vec<_> = kept.iter().chain([&row]).map(|row| ("GET", row.as_str())).collect();
            if table(&with).is_ok() {
                kept.push(row);
            }
        }
        let table = table(&kept.iter().map(|row| ("GET", row.as_str())).collect::<Vec<_>>()).unwrap();
        let path = RoutePath::parse(&format!("/{}", path.join("/"))).unwrap();
        let found = table.find("GET", &path).ok().map(|matched| matched.route.path().to_owned());
        prop_assert_eq!(found, naive(&kept, &path).map(|row| kept[row].clone()));
    }
}
