//! Which grants a move brings and takes: those of groups above, which count for what lies below, and those elsewhere
//! whose source is such a group.

use crate::{Done, Refusal};
use jobpass_domain::Catalogue;
use jobpass_domain::audit::Change;
use jobpass_domain::grant::SavedGrant;
use jobpass_domain::ids::{GroupId, ProjectId, UserId};
use jobpass_persistence::{Tx, grant};
use std::collections::HashMap;
use uuid::Uuid;

/// What moves, by the groups above it (a group itself included) before and after.
pub(crate) struct Relocated<'a> {
    pub(crate) project: Option<ProjectId>,
    pub(crate) before: &'a [GroupId],
    pub(crate) after: &'a [GroupId],
}

impl Relocated<'_> {
    /// The grants gained and lost, as a dry run tells them. What a grant says is for those who maintain where it
    /// lives: of one on a group above, others learn that it is there; of one elsewhere, nothing.
    pub(crate) async fn grants(
        &self,
        tx: &mut Tx,
        user: UserId,
        catalogue: &Catalogue,
    ) -> Result<Vec<Change>, Refusal> {
        if self.before == self.after {
            return Ok(Vec::new());
        }
        let all: Vec<_> = self.before.iter().chain(self.after).copied().collect();
        let one_sided = |group: &GroupId| self.before.contains(group) != self.after.contains(group);
        let places: Vec<_> = all.iter().copied().filter(one_sided).collect();
        let concerned = grant::concerned(tx, (&places, &all), user).await?;
        let told = concerned.into_iter().filter(|one| one.above || one.maintained);
        let told: HashMap<_, _> = told.map(|one| (one.id, one)).collect();
        let ids: Vec<_> = told.keys().copied().collect();
        let mut changes = Vec::new();
        for saved in grant::find_all(tx.on(), &ids, catalogue).await? {
            let Some(one) = told.get(&saved.grant.id).filter(|_| !saved.grant.has_expired(tx.now())) else { continue };
            let counts =
                |chain: &[GroupId]| if one.above { lies_above(&saved, chain) } else { self.covers(&saved, chain) };
            let told = one.maintained.then_some(&saved);
            match (counts(self.before), counts(self.after)) {
                (true, false) => changes.push(crate::grant::changed("grant.lost", &saved, told, None, catalogue)),
                (false, true) => changes.push(crate::grant::changed("grant.gained", &saved, None, told, catalogue)),
                _ => {}
            }
        }
        Ok(changes)
    }

    fn covers(&self, saved: &SavedGrant, chain: &[GroupId]) -> bool {
        saved.grant.source.covers(self.project.unwrap_or(ProjectId(Uuid::nil())), chain)
    }
}

fn lies_above(saved: &SavedGrant, chain: &[GroupId]) -> bool {
    saved.place.group_id().is_some_and(|id| chain.contains(&GroupId(id)))
}

/// A move, or what it would be with what it would bring and take beside what is recorded.
pub(crate) fn told<T>(done: Done<(T, Vec<Change>)>) -> Done<T> {
    match done {
        Done::Made((made, _)) => Done::Made(made),
        Done::Rehearsed(rehearsal) => Done::Rehearsed(rehearsal.with_more()),
    }
}
