//! A table of routes from YAML: the text of a file, or of a request. Refused as a whole, every fault with the
//! line and column where it stands. No database: the command line checks files by this, too.

use crate::Fault;
use jobpass_domain::Catalogue;
use jobpass_domain::route::{DraftRoute, Place, RouteFault, RouteTable};
use serde::Deserialize;
use serde_saphyr::options::MergeKeyPolicy;
use serde_saphyr::{Error, Location, Spanned};
use std::collections::BTreeMap;

/// The most faults that are told at once.
const MAX_TOLD: usize = 100;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TableFile {
    #[serde(default)]
    base: Option<Spanned<String>>,
    routes: Spanned<Vec<Spanned<RouteEntry>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RouteEntry {
    method: Spanned<String>,
    path: Spanned<String>,
    #[serde(default)]
    permissions: Option<Spanned<Vec<Spanned<String>>>>,
    #[serde(default)]
    refused: bool,
    #[serde(default)]
    project: Option<Spanned<String>>,
    #[serde(default)]
    resource_names: BTreeMap<String, Spanned<String>>,
    #[serde(default)]
    encoded_slash: Vec<Spanned<String>>,
}

/// A fault of a file: where it is for people, and for programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFault {
    /// From 1; 0 where it is not known.
    pub line: u64,
    pub column: u64,
    pub fault: Fault,
}

impl FileFault {
    fn new(at: Location, pointer: impl Into<String>, code: &'static str, detail: impl Into<String>) -> FileFault {
        FileFault { line: at.line(), column: at.column(), fault: Fault::new(pointer, code, detail) }
    }

    /// For a request, whose only place for line and column is the text.
    pub(crate) fn told(self) -> Fault {
        let FileFault { line, column, fault } = self;
        Fault { detail: format!("line {line} column {column}: {}", fault.detail), ..fault }
    }
}

/// Reads a table, or says everything that is wrong with it.
pub fn read_routes(yaml: &str, catalogue: &Catalogue) -> Result<RouteTable, Vec<FileFault>> {
    let file = parse(yaml).map_err(|fault| vec![fault])?;
    let drafts: Vec<_> = file.routes.value.iter().map(|entry| draft(&entry.value)).collect();
    let base = file.base.as_ref().map(|base| base.value.as_str());
    RouteTable::read(base, &drafts, catalogue)
        .map_err(|faults| faults.into_iter().take(MAX_TOLD).map(|fault| located(&file, fault)).collect())
}

fn parse(yaml: &str) -> Result<TableFile, FileFault> {
    if let Some((before, _)) = yaml.split_once('\0') {
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let fault = Fault::new("", "malformed_yaml", "a text has no NUL");
        return Err(FileFault { line: line as u64, column: column as u64, fault });
    }
    let options = serde_saphyr::options! { merge_keys: MergeKeyPolicy::Error, with_snippet: false };
    serde_saphyr::from_str_with_options(yaml, options).map_err(|error| unread(&error))
}

/// Under the codes that JSON bodies have; in the parser's words, but where those speak to programmers.
fn unread(error: &Error) -> FileFault {
    let at = error.location().unwrap_or(Location::UNKNOWN);
    let said = error.to_string();
    let said = said.rsplit_once(" at line ").map_or(said.as_str(), |(said, _)| said);
    let (code, detail) = match error {
        Error::DuplicateMappingKey { key: Some(key), .. } => ("duplicate_field", format!("`{key}` stands twice")),
        Error::DuplicateMappingKey { .. } => ("duplicate_field", "a key stands twice".to_owned()),
        Error::MultipleDocuments { .. } => {
            ("malformed_yaml", "one document is a table, and here is another".to_owned())
        }
        Error::SerdeUnknownField { .. } => ("unknown_field", said.to_owned()),
        Error::SerdeMissingField { .. } => ("required", said.to_owned()),
        Error::SerdeInvalidType { .. }
        | Error::Unexpected { .. }
        | Error::InvalidScalar { .. }
        | Error::NullIntoString { .. } => ("wrong_type", said.to_owned()),
        _ => ("malformed_yaml", said.to_owned()),
    };
    FileFault::new(at, "", code, detail)
}

fn draft(entry: &RouteEntry) -> DraftRoute {
    let texts = |list: &[Spanned<String>]| list.iter().map(|text| text.value.clone()).collect();
    let names = entry.resource_names.iter();
    DraftRoute {
        method: entry.method.value.clone(),
        path: entry.path.value.clone(),
        permissions: entry.permissions.as_ref().map(|list| texts(&list.value)),
        refused: entry.refused,
        project: entry.project.as_ref().map(|name| name.value.clone()),
        resource_names: names.map(|(resource, name)| (resource.clone(), name.value.clone())).collect(),
        encoded_slash: texts(&entry.encoded_slash),
    }
}

/// The fault at its place in the text, or at its route where the place itself is not written.
fn located(file: &TableFile, fault: RouteFault) -> FileFault {
    let routes = &file.routes;
    let in_route = |at: usize, field: String, place: &dyn Fn(&RouteEntry) -> Option<Location>| {
        let entry = routes.value.get(at);
        let whole = entry.map_or(routes.referenced, |entry| entry.referenced);
        (entry.and_then(|entry| place(&entry.value)).unwrap_or(whole), format!("/routes/{at}{field}"))
    };
    let (at, pointer) = match &fault.place {
        Place::Base => (file.base.as_ref().map_or(routes.referenced, |base| base.referenced), "/base".to_owned()),
        Place::Routes => (routes.referenced, "/routes".to_owned()),
        Place::Route(at) => in_route(*at, String::new(), &|_| None),
        Place::Method(at) => in_route(*at, "/method".to_owned(), &|entry| Some(entry.method.referenced)),
        Place::Path(at) => in_route(*at, "/path".to_owned(), &|entry| Some(entry.path.referenced)),
        Place::Permissions(at) => {
            in_route(*at, "/permissions".to_owned(), &|entry| Some(entry.permissions.as_ref()?.referenced))
        }
        Place::Permission(at, index) => in_route(*at, format!("/permissions/{index}"), &|entry| {
            Some(entry.permissions.as_ref()?.value.get(*index)?.referenced)
        }),
        Place::Project(at) => in_route(*at, "/project".to_owned(), &|entry| Some(entry.project.as_ref()?.referenced)),
        Place::ResourceName(at, resource) => in_route(*at, format!("/resource_names/{resource}"), &|entry| {
            Some(entry.resource_names.get(resource)?.referenced)
        }),
        Place::EncodedSlash(at, index) => {
            in_route(*at, format!("/encoded_slash/{index}"), &|entry| Some(entry.encoded_slash.get(*index)?.referenced))
        }
    };
    FileFault::new(at, pointer, fault.code, fault.detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(yaml: &str) -> Vec<(u64, u64, String, &'static str)> {
        let faults = read_routes(yaml, &Catalogue::default()).unwrap_err();
        faults.into_iter().map(|one| (one.line, one.column, one.fault.pointer, one.fault.code)).collect()
    }

    fn one(line: u64, column: u64, pointer: &str, code: &'static str) -> Vec<(u64, u64, String, &'static str)> {
        vec![(line, column, pointer.to_owned(), code)]
    }

    #[test]
    fn a_good_file() {
        let yaml = "base: /v1\nroutes:\n  - method: PUT\n    path: /apps/:app/flags/*flag\n    permissions: [packages:create, jobs:read]\n    \
                    project: app\n    resource_names: { packages: \"flag/{flag}\" }\n  - { method: GET, path: /ping, refused: true }\n";
        let table = read_routes(yaml, &Catalogue::default()).unwrap();
        assert_eq!(table.base.as_deref(), Some("/v1"));
        assert_eq!(table.routes().len(), 2);
        assert!(read_routes("routes: []", &Catalogue::default()).unwrap().routes().is_empty());
    }

    #[test]
    fn a_large_table() {
        let of = |count: usize| {
            let row = |n: usize| {
                format!(
                    "  - {{ method: GET, path: '/a{n}/:b/*c', permissions: ['jobs:read', 'packages:read'], project: b }}\n"
                )
            };
            format!("routes:\n{}", (0..count).map(row).collect::<String>())
        };
        assert_eq!(read_routes(&of(10_000), &Catalogue::default()).unwrap().routes().len(), 10_000);
        assert_eq!(faults(&of(10_001)), one(2, 3, "/routes", "too_many"));
    }

    #[test]
    fn every_fault_has_a_line_and_a_column() {
        let route = "routes:\n  - method: GET\n    path: /a/:b\n";
        for (yaml, told) in [
            (
                format!("{route}    permissions: [jobs:read, jobs:fly]\n"),
                one(4, 30, "/routes/0/permissions/1", "unknown_permission"),
            ),
            (format!("{route}    permissions: []\n"), one(4, 18, "/routes/0/permissions", "empty")),
            (
                format!("{route}    refused: true\n    project: c\n"),
                one(5, 14, "/routes/0/project", "unknown_parameter"),
            ),
            (route.to_owned(), one(2, 5, "/routes/0", "required")),
            (format!("{route}    refused: true\n    colour: red\n"), one(5, 5, "", "unknown_field")),
            (format!("{route}    refused: true\n    path: /x\n"), one(5, 5, "", "duplicate_field")),
            ("routes: []\nroutes: []\n".to_owned(), one(2, 1, "", "duplicate_field")),
            ("base: /x\n".to_owned(), one(1, 1, "", "required")),
            ("routes: 5\n".to_owned(), one(1, 9, "", "wrong_type")),
            ("routes: [\n".to_owned(), one(1, 9, "", "malformed_yaml")),
            ("routes: []\n--- \nroutes: []\n".to_owned(), one(3, 1, "", "malformed_yaml")),
            (format!("{route}    refused: perhaps\n"), one(4, 14, "", "wrong_type")),
            (format!("{route}    project: ~\n    refused: ~\n"), one(5, 14, "", "wrong_type")),
            ("- a\n".to_owned(), one(1, 1, "", "wrong_type")),
            (String::new(), one(1, 1, "", "malformed_yaml")),
            ("x: &a [1]\nroutes: []\n".to_owned(), one(1, 1, "", "unknown_field")),
            ("routes: []\nbase: \"a\0b\"\n".to_owned(), one(2, 9, "", "malformed_yaml")),
            (
                format!("{route}    refused: true\n  - {{ method: GET, path: \"/a/:c\", refused: true }}\n"),
                one(5, 26, "/routes/1/path", "ambiguous"),
            ),
        ] {
            assert_eq!(faults(&yaml), told, "{yaml}");
        }
        let told = faults("base: x\nroutes:\n  - { method: get, path: x, refused: true }\n");
        assert_eq!(
            told.iter().map(|one| one.2.as_str()).collect::<Vec<_>>(),
            ["/base", "/routes/0/method", "/routes/0/path"]
        );
    }
}
