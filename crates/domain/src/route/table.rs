//! A table of routes: compiled whole or not at all, and asked by method and path.

use super::path::{RoutePath, Segment};
use super::pattern::{Pattern, Piece};
use super::row::{DraftRoute, GIT, Place, Route, RouteFault, fault, value};
use super::trie::{Leaf, Node, Walk};
use crate::catalogue::Catalogue;
use crate::permission::Slot;
use std::collections::BTreeMap;

/// The most routes in one table.
const MAX_ROUTES: usize = 10_000;

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
