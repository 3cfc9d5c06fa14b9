//! A table of routes: read from texts, with every fault of it told at its place, and asked by method and path.

use super::name::NameTemplate;
use super::path::{RoutePath, Segment};
use super::pattern::{Pattern, Piece};
use super::trie::{Leaf, Node, Walk};
use crate::catalogue::Catalogue;
use crate::permission::{PermissionSet, Slot};
use std::collections::{BTreeMap, BTreeSet};

/// The most routes in one table.
const MAX_ROUTES: usize = 10_000;
/// The method of a route that stands for what `git` does over HTTP, and for what a Git server asks over SSH.
const GIT: &str = "GIT";
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

fn fault(place: Place, code: &'static str, detail: impl Into<String>) -> RouteFault {
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

/// What was found for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matched<'t> {
    pub route: &'t Route,
    /// Path or id, as it stands in the path.
    pub project: Option<String>,
    pub names: BTreeMap<Slot, String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoMatch {
    /// Nobody described it.
    Unknown,
    /// Nobody described it with `%2F` where it stands.
    EncodedSlash,
}

/// Compiled: no two of its routes match equally well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteTable {
    pub base: Option<String>,
    base_segments: Vec<String>,
    routes: Vec<Route>,
    by_method: BTreeMap<String, Node>,
    /// Those of Git, which lie outside of the base.
    git: BTreeMap<String, Node>,
}

impl Route {
    /// The path as it was written.
    pub fn path(&self) -> &str {
        &self.pattern.text
    }

    fn read(at: usize, draft: &DraftRoute, catalogue: &Catalogue) -> Result<Route, Vec<RouteFault>> {
        let mut faults = Vec::new();
        let mut keep = |fault| faults.push(fault);
        check_method(at, &draft.method).unwrap_or_else(&mut keep);
        let demand = demand(at, draft, catalogue).map_err(&mut keep).ok();
        let pattern = Pattern::parse(&draft.path)
            .map_err(|invalid| keep(fault(Place::Path(at), "invalid", invalid.to_string())))
            .ok();
        let (Some(demand), Some(pattern)) = (demand, pattern) else { return Err(faults) };
        if draft.method == GIT && pattern.forms.iter().any(|form| git_service(form).is_none()) {
            keep(fault(Place::Path(at), "invalid", "a route of Git ends with /git-receive-pack or /git-upload-pack"));
        }
        let unknown =
            |place, name: &str| fault(place, "unknown_parameter", format!("the path has no parameter `{name}`"));
        if let Some(project) = draft.project.as_ref().filter(|project| !pattern.always_has(project)) {
            keep(unknown(Place::Project(at), project));
        }
        for (index, name) in draft.encoded_slash.iter().enumerate().filter(|(_, name)| !pattern.always_has(name)) {
            keep(unknown(Place::EncodedSlash(at, index), name));
        }
        let names = names(at, draft, &pattern, demand, catalogue).unwrap_or_else(|more| {
            faults.extend(more);
            BTreeMap::new()
        });
        if !faults.is_empty() {
            return Err(faults);
        }
        let encoded_slash = draft.encoded_slash.iter().chain(&draft.project).cloned().collect();
        Ok(Route {
            method: draft.method.clone(),
            pattern,
            demand,
            project: draft.project.clone(),
            names,
            encoded_slash,
        })
    }

    /// The forms that it is matched by: method, pieces, query.
    fn forms(&self) -> Vec<(&str, Vec<Piece>, Option<String>)> {
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

impl RouteTable {
    /// Either the whole table, or everything that is wrong with it.
    pub fn read(
        base: Option<&str>,
        drafts: &[DraftRoute],
        catalogue: &Catalogue,
    ) -> Result<RouteTable, Vec<RouteFault>> {
        if drafts.len() > MAX_ROUTES {
            let detail = format!("{} routes; at most {MAX_ROUTES}", drafts.len());
            return Err(vec![fault(Place::Routes, "too_many", detail)]);
        }
        let (mut table, mut faults) = match RouteTable::under(base) {
            Ok(table) => (table, vec![]),
            Err(fault) => (RouteTable::default(), vec![fault]),
        };
        for (at, draft) in drafts.iter().enumerate() {
            match Route::read(at, draft, catalogue) {
                Ok(route) => faults.extend(table.add(at, &route)),
                Err(more) => faults.extend(more),
            }
        }
        if faults.is_empty() { Ok(table) } else { Err(faults) }
    }

    fn under(base: Option<&str>) -> Result<RouteTable, RouteFault> {
        let Some(text) = base else { return Ok(RouteTable::default()) };
        let wrong = |detail: String| fault(Place::Base, "invalid", detail);
        let pattern = Pattern::parse(text).map_err(|invalid| wrong(invalid.to_string()))?;
        let literal = |piece: &Piece| match piece {
            Piece::Literal(text) => Some(text.clone()),
            _ => None,
        };
        let segments = match pattern.forms.as_slice() {
            [form] => form.iter().map(literal).collect::<Option<Vec<_>>>(),
            _ => None,
        };
        let base_segments = segments.ok_or_else(|| wrong("a base is literal, as in /api/v4".to_owned()))?;
        Ok(RouteTable { base: base.map(str::to_owned), base_segments, ..RouteTable::default() })
    }

    /// `at`: which route it is in the text. The fault, if another route matches equally well.
    fn add(&mut self, at: usize, route: &Route) -> Option<RouteFault> {
        let tries = if route.method == GIT { &mut self.git } else { &mut self.by_method };
        // Routes with faults are left out, so this may differ from `at`: nobody sees a table with faults.
        let number = self.routes.len();
        let taken = route.forms().into_iter().find_map(|(method, form, query)| {
            let leaf = Leaf { route: number, form, query };
            tries.entry(method.to_owned()).or_default().insert(leaf).err().filter(|other| *other != number)
        });
        let found = taken.and_then(|other| self.routes.get(other)).map(|other| {
            let detail = format!("{} {} matches equally well", other.method, other.path());
            fault(Place::Path(at), "ambiguous", detail)
        });
        self.routes.push(route.clone());
        found
    }

    /// In the order in which they were written.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// The one route that a request is; HEAD is matched as GET.
    pub fn find(&self, method: &str, path: &RoutePath) -> Result<Matched<'_>, NoMatch> {
        let method = if method == "HEAD" { "GET" } else { method };
        let look = |slash_anywhere| {
            let inside = self.inside(&path.segments);
            let found = self.look(self.by_method.get(method), inside, path, slash_anywhere);
            found.or_else(|| self.look(self.git.get(method), &path.segments, path, slash_anywhere))
        };
        let why_not = || if look(true).is_some() { NoMatch::EncodedSlash } else { NoMatch::Unknown };
        look(false).ok_or_else(why_not)
    }

    /// Without the base, which a gateway may have cut off already.
    fn inside<'p>(&self, segments: &'p [Segment]) -> &'p [Segment] {
        match segments.split_at_checked(self.base_segments.len()) {
            Some((start, rest)) if start.iter().map(|segment| &segment.text).eq(&self.base_segments) => rest,
            _ => segments,
        }
    }

    fn look(
        &self,
        root: Option<&Node>,
        segments: &[Segment],
        path: &RoutePath,
        slash_anywhere: bool,
    ) -> Option<Matched<'_>> {
        let takes = |leaf: &Leaf, ends: &[usize]| {
            self.routes.get(leaf.route).is_some_and(|route| route.takes(&leaf.form, ends, segments))
        };
        let fits = |leaf: &Leaf, ends: &[usize]| {
            let asked = leaf.query.is_none() || leaf.query == path.query;
            asked && (slash_anywhere || takes(leaf, ends))
        };
        let (leaf, ends) = Walk { segments, accept: fits }.find(root?)?;
        let route = self.routes.get(leaf.route)?;
        let value = |name: &str| value(&leaf.form, &ends, segments, name);
        let names = route.names.iter().filter_map(|(slot, template)| Some((*slot, template.fill(value)?))).collect();
        Some(Matched { route, project: route.project.as_deref().and_then(value), names })
    }
}

impl Route {
    /// `%2F` stands only in the project, in globs, and where the route says so; in what is refused all the same it
    /// makes no difference.
    fn takes(&self, form: &[Piece], ends: &[usize], segments: &[Segment]) -> bool {
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
fn value(form: &[Piece], ends: &[usize], segments: &[Segment], name: &str) -> Option<String> {
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
