//! What groups and projects have in common as entries of the file.

use super::{Failure, write};
use jobpass_api::{GroupConfiguration, NewGrant, NewSource, ProjectConfiguration};
use jobpass_client::{Configurable, Error};
use jobpass_domain::Path;
use jobpass_domain::text::Label;
use std::collections::BTreeSet;
use time::OffsetDateTime;

use super::server::Server;

pub(super) trait Entry: Configurable + Clone {
    /// As people call it.
    const KIND: &'static str;

    fn grants(&mut self) -> &mut Option<Vec<NewGrant>>;

    fn yaml(&self) -> Result<String, Failure>;

    /// What can be checked on another place, too: on the group that is to hold it.
    fn contents(&self) -> GroupConfiguration;

    async fn create(server: &Server, path: &Path) -> Result<(), Error>;

    /// Why this cannot be created without a group above it, if that is where it would be.
    async fn unfit_for_the_top(server: &Server, path: &Path) -> Result<Option<&'static str>, Failure>;

    /// The place's own pointer in the file.
    fn pointer(path: &Path) -> String {
        format!("/{}/{}", Self::PLURAL, super::locate::escape(path.as_str()))
    }

    fn called(path: &Path) -> String {
        format!("{} {path}", Self::KIND)
    }
}

impl Entry for ProjectConfiguration {
    const KIND: &'static str = "project";

    fn grants(&mut self) -> &mut Option<Vec<NewGrant>> {
        &mut self.grants
    }

    fn yaml(&self) -> Result<String, Failure> {
        write::project(self)
    }

    fn contents(&self) -> GroupConfiguration {
        let ProjectConfiguration { members, grants, ceilings, .. } = self.clone();
        GroupConfiguration { floor: None, members, grants, ceilings, reason: None }
    }

    async fn create(server: &Server, path: &Path) -> Result<(), Error> {
        server.create_project(path).await
    }

    async fn unfit_for_the_top(_: &Server, path: &Path) -> Result<Option<&'static str>, Failure> {
        Ok(path.parent().is_none().then_some("a project lies in a group: group/project"))
    }
}

impl Entry for GroupConfiguration {
    const KIND: &'static str = "group";

    fn grants(&mut self) -> &mut Option<Vec<NewGrant>> {
        &mut self.grants
    }

    fn yaml(&self) -> Result<String, Failure> {
        write::group(self)
    }

    fn contents(&self) -> GroupConfiguration {
        GroupConfiguration { floor: None, reason: None, ..self.clone() }
    }

    async fn create(server: &Server, path: &Path) -> Result<(), Error> {
        server.create_group(path).await
    }

    async fn unfit_for_the_top(server: &Server, path: &Path) -> Result<Option<&'static str>, Failure> {
        let fit = path.parent().is_some() || server.is_administrators().await?;
        Ok((!fit).then_some("groups at the top are made by administrators"))
    }
}

/// The grants of an entry, apart: those that a server can rehearse now, with where each stands in the file, and
/// those that name what is yet to be created.
#[derive(Debug, Default)]
pub(super) struct Apart {
    pub known: Vec<NewGrant>,
    pub places: Vec<usize>,
    pub withheld: Vec<(usize, NewGrant)>,
}

impl Apart {
    pub(super) fn of(grants: Vec<NewGrant>, new: &BTreeSet<Path>) -> Apart {
        let mut apart = Apart::default();
        for (place, grant) in grants.into_iter().enumerate() {
            if named(&grant.source).any(|name| new.iter().any(|path| path.as_str() == name.as_str())) {
                apart.withheld.push((place, grant));
            } else {
                apart.known.push(grant);
                apart.places.push(place);
            }
        }
        apart
    }

    /// A pointer into what was rehearsed, as one into the file.
    pub(super) fn in_file(&self, pointer: &str) -> String {
        let Some(rest) = pointer.strip_prefix("/grants/") else { return pointer.to_owned() };
        let (index, below) =
            rest.split_once('/').map_or((rest, String::new()), |(index, rest)| (index, format!("/{rest}")));
        let place = index.parse::<usize>().ok().and_then(|index| self.places.get(index));
        place.map_or_else(|| pointer.to_owned(), |place| format!("/grants/{place}{below}"))
    }
}

fn named(source: &NewSource) -> impl Iterator<Item = &Label> {
    source.project.iter().chain(&source.group).chain(&source.except)
}

/// What can be said of a grant without a server, for those that no server can rehearse yet.
pub(super) fn plain_faults(grant: &NewGrant, now: OffsetDateTime) -> Vec<(String, &'static str)> {
    let mut faults = Vec::new();
    let source = &grant.source;
    match (&source.project, &source.group) {
        (None, None) => faults.push(("/source".to_owned(), "a source names a project or a group")),
        (Some(_), Some(_)) => faults.push(("/source".to_owned(), "a source is a project or a group, not both")),
        (Some(_), None) if !source.except.is_empty() => {
            faults.push(("/source/except".to_owned(), "only a group has exceptions"));
        }
        (Some(_), None) => {}
        (None, Some(group)) => {
            for (index, except) in source.except.iter().enumerate() {
                if !may_lie_under(except.as_str(), group.as_str()) {
                    faults.push((format!("/source/except/{index}"), "does not lie under the source"));
                }
            }
        }
    }
    if grant.expires_at.is_some_and(|at| at <= now) {
        faults.push(("/expires_at".to_owned(), "must lie in the future"));
    }
    faults
}

/// By their paths; of an id nobody can tell here.
fn may_lie_under(name: &str, group: &str) -> bool {
    let is_path = |text: &str| Path::parse(text).is_ok();
    !is_path(name) || !is_path(group) || name.strip_prefix(group).is_some_and(|rest| rest.starts_with('/'))
}
