//! The grants on one target, found by whose jobs they are for: what is for others costs nothing.

use crate::grant::Grant;
use crate::ids::{GroupId, ProjectId};

/// In the order of what they name as source; those of one source as they were given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants(Vec<Grant>);

impl Grants {
    pub const NONE: Grants = Grants(Vec::new());

    pub fn iter(&self) -> std::slice::Iter<'_, Grant> {
        self.0.iter()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those for jobs of this project. `chain`: the groups above it.
    pub fn of(&self, project: ProjectId, chain: &[GroupId]) -> impl Iterator<Item = &Grant> {
        let sources = std::iter::once(project.0).chain(chain.iter().map(|group| group.0));
        let named = move |source| {
            let first = self.0.partition_point(|grant| grant.source.id() < source);
            self.0.iter().skip(first).take_while(move |grant| grant.source.id() == source)
        };
        sources.flat_map(named).filter(move |grant| grant.source.covers(project, chain))
    }

    /// Changes them, in whatever way.
    pub fn edit(&mut self, change: impl FnOnce(&mut Vec<Grant>)) {
        change(&mut self.0);
        self.0.sort_by_key(|grant| grant.source.id());
    }
}

impl From<Vec<Grant>> for Grants {
    fn from(mut grants: Vec<Grant>) -> Grants {
        grants.sort_by_key(|grant| grant.source.id());
        Grants(grants)
    }
}

impl FromIterator<Grant> for Grants {
    fn from_iter<I: IntoIterator<Item = Grant>>(grants: I) -> Grants {
        Grants::from(grants.into_iter().collect::<Vec<_>>())
    }
}

impl<'a> IntoIterator for &'a Grants {
    type Item = &'a Grant;
    type IntoIter = std::slice::Iter<'a, Grant>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
