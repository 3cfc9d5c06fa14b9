//! A route: as somebody wrote it, and as it is understood, with every fault of it told at its place.

use super::name::NameTemplate;
use super::path::Segment;
use super::pattern::{Pattern, Piece};
use crate::catalogue::Catalogue;
use crate::permission::{PermissionSet, Slot};
use std::collections::{BTreeMap, BTreeSet};

/// The method of a route that stands for what `git` does over HTTP, and for what a Git server asks over SSH.
pub(super) const GIT: &str = "GIT";
const GIT_SERVICES: [&str; 2] = ["git-receive-pack", "git-upload-pack"];

/// A route as somebody wrote it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DraftRoute {
    pub method: String,
    pub path: String,
    pub permissions: Option<Vec<String>>,
    /// Described, and never allowed.
    pub refused: bool,
    /// The parameter that is the project.
    pub project: Option<String>,
    /// Resource type to template.
    pub resource_names: BTreeMap<String, String>,
    /// Further parameters of one segment in which `%2F` may stand.
    pub encoded_slash: Vec<String>,
}

/// Where in a table a fault is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    Base,
    Routes,
    Route(usize),
    Method(usize),
    Path(usize),
    Permissions(usize),
    Permission(usize, usize),
    Project(usize),
    ResourceName(usize, String),
    EncodedSlash(usize, usize),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteFault {
    pub place: Place,
    pub code: &'static str,
    pub detail: String,
}

pub(super) fn fault(place: Place, code: &'static str, detail: impl Into<String>) -> RouteFault {
    RouteFault { place, code, detail: detail.into() }
}

/// What a route asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// All of them.
    Permissions(PermissionSet),
    /// It cannot be controlled, so it is never allowed.
    Refused,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    pub method: String,
    pattern: Pattern,
    pub demand: Demand,
    pub project: Option<String>,
    pub names: BTreeMap<Slot, NameTemplate>,
    encoded_slash: BTreeSet<String>,
}

impl Route {
    /// The path as it was written.
    pub fn path(&self) -> &str {
        &self.pattern.text
    }

    pub(super) fn read(at: usize, draft: &DraftRoute, catalogue: &Catalogue) -> Result<Route, Vec<RouteFault>> {
        let mut faults: Vec<_> = check_method(at, &draft.method).err().into_iter().collect();
        let demand = demand(at, draft, catalogue).map_err(|fault| faults.push(fault));
        let pattern = pattern(at, draft).map_err(|fault| faults.push(fault));
        let (Ok(demand), Ok(pattern)) = (demand, pattern) else { return Err(faults) };
        faults.extend(unknown_parameters(at, draft, &pattern));
        let names = names(at, draft, &pattern, demand, catalogue).map_err(|more| faults.extend(more));
        let Some(names) = names.ok().filter(|_| faults.is_empty()) else { return Err(faults) };
        let encoded_slash = draft.encoded_slash.iter().chain(&draft.project).cloned().collect();
        let (method, project) = (draft.method.clone(), draft.project.clone());
        Ok(Route { method, pattern, demand, project, names, encoded_slash })
    }

    /// The forms that it is matched by: method, pieces, query.
    pub(super) fn forms(&self) -> Vec<(&str, Vec<Piece>, Option<String>)> {
        let forms = self.pattern.forms.iter();
        if self.method != GIT {
            return forms.map(|form| (self.method.as_str(), form.clone(), None)).collect();
        }
        forms
            .filter_map(|form| Some((form, git_service(form)?)))
            .flat_map(|(form, service)| git_forms(form, service))
            .collect()
    }
}

fn git_service(form: &[Piece]) -> Option<&str> {
    match form {
        [_, .., Piece::Literal(last)] if GIT_SERVICES.contains(&last.as_str()) => Some(last),
        _ => None,
    }
}

/// Over HTTP Git asks for the refs first, naming the service, then talks to the service.
fn git_forms<'a>(form: &[Piece], service: &str) -> [(&'a str, Vec<Piece>, Option<String>); 3] {
    let literal = |text: &str| Piece::Literal(text.to_owned());
    let repository = form.split_last().map_or(form, |(_, repository)| repository);
    let refs = [repository, &[literal("info"), literal("refs")]].concat();
    [("POST", form.to_vec(), None), ("GET", refs, Some(format!("service={service}"))), (GIT, form.to_vec(), None)]
}

fn check_method(at: usize, method: &str) -> Result<(), RouteFault> {
    let upper = |c: char| c.is_ascii_uppercase() || c == '-' || c == '_';
    if method == "HEAD" {
        return Err(fault(Place::Method(at), "invalid", "HEAD is matched as GET; describe that"));
    }
    if method.is_empty() || method.len() > 32 || !method.chars().all(upper) {
        return Err(fault(Place::Method(at), "invalid", "a method in upper case, as in GET; GIT is for Git"));
    }
    Ok(())
}

fn pattern(at: usize, draft: &DraftRoute) -> Result<Pattern, RouteFault> {
    let wrong = |detail: String| fault(Place::Path(at), "invalid", detail);
    let pattern = Pattern::parse(&draft.path).map_err(|invalid| wrong(invalid.to_string()))?;
    if draft.method == GIT && pattern.forms.iter().any(|form| git_service(form).is_none()) {
        return Err(wrong("a route of Git ends with /git-receive-pack or /git-upload-pack".to_owned()));
    }
    Ok(pattern)
}

/// What is named outside the path and is not in it.
fn unknown_parameters(at: usize, draft: &DraftRoute, pattern: &Pattern) -> Vec<RouteFault> {
    let project = draft.project.iter().map(|name| (Place::Project(at), name));
    let slashes = draft.encoded_slash.iter().enumerate().map(|(index, name)| (Place::EncodedSlash(at, index), name));
    let unknown = project.chain(slashes).filter(|(_, name)| !pattern.always_has(name));
    unknown.map(|(place, name)| fault(place, "unknown_parameter", no_parameter(name))).collect()
}

fn demand(at: usize, draft: &DraftRoute, catalogue: &Catalogue) -> Result<Demand, RouteFault> {
    let permissions = match (&draft.permissions, draft.refused) {
        (None, true) => return Ok(Demand::Refused),
        (Some(permissions), false) => permissions,
        (None, false) => {
            return Err(fault(
                Place::Route(at),
                "required",
                "permissions, or `refused: true` for what is never allowed",
            ));
        }
        (Some(_), true) => {
            return Err(fault(Place::Permissions(at), "not_both", "what is refused demands no permissions"));
        }
    };
    if permissions.is_empty() {
        return Err(fault(Place::Permissions(at), "empty", "name at least one permission"));
    }
    catalogue
        .parse_all(permissions)
        .map(Demand::Permissions)
        .map_err(|(index, unknown)| fault(Place::Permission(at, index), "unknown_permission", unknown.to_string()))
}

/// Only what the route demands has a name, and only from what is always in the path.
fn names(
    at: usize,
    draft: &DraftRoute,
    pattern: &Pattern,
    demand: Demand,
    catalogue: &Catalogue,
) -> Result<BTreeMap<Slot, NameTemplate>, Vec<RouteFault>> {
    let demanded = match demand {
        Demand::Permissions(set) => set,
        Demand::Refused => PermissionSet::EMPTY,
    };
    let (mut names, mut faults) = (BTreeMap::new(), Vec::new());
    for (resource, text) in &draft.resource_names {
        let slot = catalogue.find(resource).map(|found| found.slot);
        let slot = slot.filter(|slot| demanded.resources().any(|one| one == *slot));
        match (slot, template(text, pattern)) {
            (Some(slot), Ok(template)) => drop(names.insert(slot, template)),
            (None, _) => {
                let detail = "the route demands nothing of this resource type";
                faults.push(fault(Place::ResourceName(at, resource.clone()), "not_demanded", detail));
            }
            (_, Err((code, detail))) => faults.push(fault(Place::ResourceName(at, resource.clone()), code, detail)),
        }
    }
    if faults.is_empty() { Ok(names) } else { Err(faults) }
}

fn template(text: &str, pattern: &Pattern) -> Result<NameTemplate, (&'static str, String)> {
    let template = NameTemplate::parse(text).map_err(|invalid| ("invalid", invalid.to_string()))?;
    let unknown = template.parameters().find(|name| !pattern.always_has(name));
    let unknown = unknown.map(|name| ("unknown_parameter", no_parameter(name)));
    unknown.map_or(Ok(template), Err)
}

fn no_parameter(name: &str) -> String {
    format!("the path has no parameter `{name}`")
}

impl Route {
    /// `%2F` stands only in the project, in globs, and where the route says so; in what is refused all the same it
    /// makes no difference.
    pub(super) fn takes(&self, form: &[Piece], ends: &[usize], segments: &[Segment]) -> bool {
        let refused = self.demand == Demand::Refused;
        refused
            || spans(form, ends).all(|(piece, start, end)| match piece {
                Piece::Literal(_) | Piece::Glob { .. } => true,
                Piece::Parameter { name, .. } => {
                    self.encoded_slash.contains(name)
                        || !segments.get(start..end).unwrap_or_default().iter().any(|segment| segment.slash)
                }
            })
    }
}

/// Each piece, and from where to where in the path it goes.
fn spans<'f>(form: &'f [Piece], ends: &'f [usize]) -> impl Iterator<Item = (&'f Piece, usize, usize)> {
    let starts = std::iter::once(0).chain(ends.iter().copied());
    form.iter().zip(starts.zip(ends.iter().copied())).map(|(piece, (start, end))| (piece, start, end))
}

/// What stands in the path for a parameter.
pub(super) fn value(form: &[Piece], ends: &[usize], segments: &[Segment], name: &str) -> Option<String> {
    let (piece, start, end) = spans(form, ends).find(|(piece, _, _)| piece.name() == Some(name))?;
    let texts: Vec<_> = segments.get(start..end)?.iter().map(|segment| segment.text.as_str()).collect();
    let whole = texts.join("/");
    match piece {
        Piece::Literal(_) => None,
        Piece::Parameter { suffix, .. } | Piece::Glob { suffix, .. } => {
            whole.strip_suffix(suffix.as_str()).map(str::to_owned)
        }
    }
}
