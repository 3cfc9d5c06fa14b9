//! A job token as the decision sees it: what was frozen at its mint and what killed it since; and how
//! one is narrowed.

use crate::authorization_detail::{self, AuthorizationDetail, ShownDetail};
use crate::ids::{GroupId, JobId, JobTokenId, PipelineId, ProjectId};
use crate::job::JobState;
use crate::minter::MinterId;
use crate::permission::PermissionSet;
use crate::pipeline::Trigger;
use crate::provenance::Provenance;
use crate::reason::Reason;
use crate::refs::RefType;
use thiserror::Error;
use time::OffsetDateTime;

/// How many times a token can be narrowed in a row.
pub const MAX_DEPTH: i16 = 8;
/// The most live tokens narrowed from one minted token.
pub const MAX_DESCENDANTS: i64 = 64;
/// The most audiences of one token.
pub const MAX_AUDIENCES: usize = 8;

/// A known token, with all that a decision needs of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobToken {
    pub id: JobTokenId,
    pub project: ProjectId,
    /// The groups above the token's project.
    pub chain: Vec<GroupId>,
    pub run: Provenance,
    /// At most this; `None`: no cap.
    pub cap: Option<PermissionSet>,
    /// What the cap is confined to, project by project; `None`: it is the same in all.
    pub details: Option<Vec<AuthorizationDetail>>,
    /// `None`: meant for any service.
    pub audience: Option<Vec<String>>,
    pub expires_at: OffsetDateTime,
    pub revoked: Option<Revoked>,
    /// Whether the revocation epochs of project, pipeline and minting credential are still those of the mint.
    pub epochs_current: bool,
    pub job: JobState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revoked {
    Itself,
    /// By the revocation of a token that it was narrowed from.
    WithAncestor,
}

impl JobToken {
    /// The token with the cap that it has in the project asked about by this path or id, which may not exist.
    #[must_use]
    pub fn in_project(self, asked: &str, project: Option<ProjectId>) -> JobToken {
        let Some(details) = &self.details else { return self };
        let left = authorization_detail::leave(details, asked, project);
        JobToken { cap: Some(self.cap.map_or(left, |cap| cap.intersect(left))), ..self }
    }

    /// Why the token is dead, the first reason that applies; `None` while it lives.
    pub fn death(&self, now: OffsetDateTime) -> Option<Reason> {
        if self.revoked == Some(Revoked::Itself) || !self.epochs_current {
            Some(Reason::Revoked)
        } else if self.expires_at <= now {
            Some(Reason::Expired)
        } else {
            let with_ancestor = || (self.revoked == Some(Revoked::WithAncestor)).then_some(Reason::Parent);
            self.job.death(now).or_else(with_ancestor)
        }
    }

    /// Whether the token is meant for a service with this audience.
    pub fn is_meant_for(&self, audience: Option<&str>, audience_required: bool) -> bool {
        match &self.audience {
            None => !audience_required,
            Some(meant_for) => audience.is_some_and(|asking| meant_for.iter().any(|one| one == asking)),
        }
    }
}

/// A token as people see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenInfo {
    pub id: JobTokenId,
    pub project: ProjectId,
    pub project_path: String,
    pub pipeline: PipelineId,
    pub pipeline_key: String,
    pub job: JobId,
    pub job_key: String,
    pub job_name: String,
    /// The credential that minted it, or the token it was narrowed from.
    pub minter: MinterId,
    pub ref_name: String,
    pub ref_type: RefType,
    pub sha: String,
    pub protected: bool,
    pub environment: Option<String>,
    pub trigger: Trigger,
    pub from_fork: bool,
    pub fork_source: Option<String>,
    /// The name of the vouched-for actor, while that user exists.
    pub actor: Option<String>,
    /// What was named without being vouched for.
    pub actor_claimed: Option<String>,
    pub cap: Option<Vec<String>>,
    pub details: Option<Vec<ShownDetail>>,
    pub audience: Option<Vec<String>>,
    pub ancestors: Vec<JobTokenId>,
    pub root: JobTokenId,
    pub issued_at: OffsetDateTime,
    pub expires_at: OffsetDateTime,
}

impl TokenInfo {
    /// The `sub` of whatever speaks of it: ids, which outlive a rename.
    pub fn subject(&self) -> String {
        format!("project:{}:job:{}", self.project, self.job)
    }
}

/// What a holder asks of a narrower token. `None` keeps the parent's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Narrowing {
    pub permissions: Option<PermissionSet>,
    pub details: Option<Vec<AuthorizationDetail>>,
    pub expires_at: Option<OffsetDateTime>,
    pub audience: Option<Vec<String>>,
}

/// What a narrowed token holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Narrowed {
    pub cap: Option<PermissionSet>,
    pub details: Option<Vec<AuthorizationDetail>>,
    pub expires_at: OffsetDateTime,
    pub audience: Option<Vec<String>>,
    pub depth: i16,
}

#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum CannotNarrow {
    #[error("more permissions than the token that is narrowed")]
    Permissions,
    #[error("more in some project than the token that is narrowed")]
    Details,
    #[error("a longer life than the token that is narrowed")]
    Longer,
    #[error("must lie in the future")]
    Past,
    #[error("another audience than the token that is narrowed")]
    Audience,
    #[error("a token can be narrowed {MAX_DEPTH} times in a row")]
    TooDeep,
}

impl Narrowing {
    /// The child of a parent with this cap, life, audience and depth: never more than the parent.
    pub fn of(self, parent: &JobToken, parent_depth: i16, now: OffsetDateTime) -> Result<Narrowed, CannotNarrow> {
        let within = |asked: PermissionSet| parent.cap.is_none_or(|cap| cap.implies(asked));
        if self.permissions.is_some_and(|asked| !within(asked)) {
            return Err(CannotNarrow::Permissions);
        }
        if let Some(asked) = &self.details
            && !(asked.iter().all(|detail| within(detail.permissions)) && within_details(asked, parent))
        {
            return Err(CannotNarrow::Details);
        }
        let expires_at = self.expires_at.unwrap_or(parent.expires_at);
        if expires_at > parent.expires_at {
            return Err(CannotNarrow::Longer);
        }
        if expires_at <= now {
            return Err(CannotNarrow::Past);
        }
        if let (Some(asked), Some(set)) = (&self.audience, &parent.audience)
            && !asked.iter().all(|one| set.contains(one))
        {
            return Err(CannotNarrow::Audience);
        }
        if parent_depth >= MAX_DEPTH {
            return Err(CannotNarrow::TooDeep);
        }
        Ok(Narrowed {
            cap: self.permissions.or(parent.cap),
            details: self.details.or_else(|| parent.details.clone()),
            expires_at,
            audience: self.audience.or_else(|| parent.audience.clone()),
            depth: parent_depth + 1,
        })
    }
}

fn within_details(asked: &[AuthorizationDetail], parent: &JobToken) -> bool {
    parent.details.as_ref().is_none_or(|set| authorization_detail::are_within(asked, set))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::permission::tests::any_set;
    use crate::pipeline::Trigger;
    use crate::provenance::CredentialScope;
    use crate::refs::RefType;
    use proptest::option;
    use proptest::prelude::*;
    use time::Duration;
    use time::macros::datetime;
    use uuid::Uuid;

    const NOW: OffsetDateTime = datetime!(2026-11-23 10:00 UTC);

    fn parent(cap: Option<PermissionSet>, audience: Option<Vec<String>>) -> JobToken {
        JobToken {
            id: JobTokenId(Uuid::from_u128(1)),
            project: ProjectId(Uuid::from_u128(2)),
            chain: vec![],
            run: Provenance {
                ref_name: "main".into(),
                ref_type: RefType::Branch,
                protected: false,
                environment: None,
                trigger: Trigger::Push,
                from_fork: false,
                minted_by: CredentialScope::Instance,
            },
            cap,
            details: None,
            audience,
            expires_at: NOW + Duration::hours(1),
            revoked: None,
            epochs_current: true,
            job: JobState::Running { deadline_at: NOW + Duration::hours(1), lease_until: None },
        }
    }

    fn audiences() -> impl Strategy<Value = Option<Vec<String>>> {
        option::of(prop::sample::subsequence(vec!["a:1", "b:2", "c:3"], 1..3))
            .prop_map(|list| list.map(|list| list.into_iter().map(str::to_owned).collect()))
    }

    proptest! {
        #[test]
        fn a_child_is_never_more_than_its_parent(
            cap in option::of(any_set()), audience in audiences(), permissions in option::of(any_set()),
            expires_in in option::of(-60i64..120), asked in audiences(), depth in 0i16..10,
        ) {
            let parent = parent(cap, audience);
            let expires_at = expires_in.map(|minutes| NOW + Duration::minutes(minutes));
            let Ok(child) = (Narrowing { permissions, details: None, expires_at, audience: asked }).of(&parent, depth, NOW) else { return Ok(()) };
            prop_assert!(parent.cap.unwrap_or(PermissionSet::ALL).implies(child.cap.unwrap_or(PermissionSet::ALL)));
            prop_assert!(child.expires_at <= parent.expires_at && child.expires_at > NOW);
            prop_assert!(child.depth == depth + 1 && child.depth <= MAX_DEPTH);
            if let Some(set) = &parent.audience {
                prop_assert!(child.audience.is_some_and(|child| child.iter().all(|one| set.contains(one))));
            }
        }
    }

    #[test]
    fn null_keeps_what_there_is() {
        let parent = parent(Some(PermissionSet::EMPTY), Some(vec!["a:1".into()]));
        let child = Narrowing::default().of(&parent, 0, NOW).unwrap();
        assert_eq!((child.cap, child.audience, child.expires_at), (parent.cap, parent.audience, parent.expires_at));
    }

    #[test]
    fn what_is_more_than_the_parent() {
        let parent = parent(Some(PermissionSet::EMPTY), Some(vec!["a:1".into()]));
        let narrow = |change: fn(&mut Narrowing)| {
            let mut asked = Narrowing::default();
            change(&mut asked);
            asked.of(&parent, 0, NOW)
        };
        assert_eq!(narrow(|asked| asked.permissions = Some(PermissionSet::ALL)), Err(CannotNarrow::Permissions));
        assert_eq!(narrow(|asked| asked.expires_at = Some(NOW + Duration::hours(2))), Err(CannotNarrow::Longer));
        assert_eq!(narrow(|asked| asked.expires_at = Some(NOW)), Err(CannotNarrow::Past));
        assert_eq!(narrow(|asked| asked.audience = Some(vec!["b:2".into()])), Err(CannotNarrow::Audience));
        assert_eq!(Narrowing::default().of(&parent, MAX_DEPTH, NOW), Err(CannotNarrow::TooDeep));
    }
}
