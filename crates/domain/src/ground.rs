//! What an answer rests on, and what a change takes away. An answer may be given again for as long as none of its grounds was
//! touched: whatever is added to an answer adds its ground here.

use crate::audit::Change;
use crate::ids::{GroupId, JobId, JobTokenId, PipelineId, ProjectId, ServiceId, UserId, UserTokenId};
use crate::minter::MinterId;
use crate::place::Place;
use uuid::Uuid;

/// Something that answers rest on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ground {
    /// What every answer rests on: the instance, and whatever has no ground of its own.
    Everything,
    /// Which paths there are: what was not found, and what is found by a path further up.
    Paths,
    /// Its settings, grants, ceilings, members and epoch.
    Project(ProjectId),
    Group(GroupId),
    Service(ServiceId),
    /// A runner or a trust rule.
    Minter(Uuid),
    User(UserId),
    UserToken(UserTokenId),
    Pipeline(PipelineId),
    Job(JobId),
    /// A token rests on itself, and on all that it was narrowed from.
    Token(JobTokenId),
}

impl Ground {
    /// As it is stored: a kind, and an id where there is one.
    pub const fn stored(self) -> (&'static str, Option<Uuid>) {
        match self {
            Ground::Everything => ("everything", None),
            Ground::Paths => ("paths", None),
            Ground::Project(id) => ("project", Some(id.0)),
            Ground::Group(id) => ("group", Some(id.0)),
            Ground::Service(id) => ("service", Some(id.0)),
            Ground::Minter(id) => ("minter", Some(id)),
            Ground::User(id) => ("user", Some(id.0)),
            Ground::UserToken(id) => ("user_token", Some(id.0)),
            Ground::Pipeline(id) => ("pipeline", Some(id.0)),
            Ground::Job(id) => ("job", Some(id.0)),
            Ground::Token(id) => ("token", Some(id.0)),
        }
    }

    /// What a newer version stores and this one does not know is everything.
    pub fn read(kind: &str, id: Option<Uuid>) -> Ground {
        match (kind, id) {
            ("paths", _) => Ground::Paths,
            ("project", Some(id)) => Ground::Project(ProjectId(id)),
            ("group", Some(id)) => Ground::Group(GroupId(id)),
            ("service", Some(id)) => Ground::Service(ServiceId(id)),
            ("minter", Some(id)) => Ground::Minter(id),
            ("user", Some(id)) => Ground::User(UserId(id)),
            ("user_token", Some(id)) => Ground::UserToken(UserTokenId(id)),
            ("pipeline", Some(id)) => Ground::Pipeline(PipelineId(id)),
            ("job", Some(id)) => Ground::Job(JobId(id)),
            ("token", Some(id)) => Ground::Token(JobTokenId(id)),
            _ => Ground::Everything,
        }
    }
}

impl From<MinterId> for Ground {
    fn from(minter: MinterId) -> Ground {
        Ground::Minter(minter.id())
    }
}

/// What is decided by where it lies.
impl From<Place> for Ground {
    fn from(place: Place) -> Ground {
        match place {
            Place::Instance => Ground::Everything,
            Place::Group(id) => Ground::Group(id),
            Place::Project(id) => Ground::Project(id),
        }
    }
}

impl Change {
    /// What answers may not rest on any more. What is new, and what no answer tells, touches nothing; a kind that
    /// nobody has thought of here touches everything.
    pub fn touches(&self) -> Vec<Ground> {
        match (self.subject_kind, self.action) {
            (_, "job_token.minted" | "job_token.narrowed" | "runner.access_token_issued")
            | ("id_token" | "signing_key" | "registry_authority", _) => vec![],
            ("job_token", _) => vec![Ground::Token(JobTokenId(self.subject))],
            ("job", _) => vec![Ground::Job(JobId(self.subject))],
            ("pipeline", _) => vec![Ground::Pipeline(PipelineId(self.subject))],
            ("runner" | "trust_rule", _) => vec![Ground::Minter(self.subject)],
            ("service", _) => vec![Ground::Service(ServiceId(self.subject))],
            ("user_token", _) => vec![Ground::UserToken(UserTokenId(self.subject))],
            ("user", "member.set" | "member.removed") | ("grant", _) => vec![self.place.into()],
            ("user", _) => vec![Ground::User(UserId(self.subject))],
            ("project", "project.tokens_revoked") => vec![Ground::Project(ProjectId(self.subject))],
            // With it goes what lay on it: runners whose tokens may be for projects that have moved away since.
            (_, "project.deleted" | "group.deleted") => vec![Ground::Everything],
            ("project", _) => vec![Ground::Project(ProjectId(self.subject)), Ground::Paths],
            ("group", _) => vec![Ground::Group(GroupId(self.subject)), Ground::Paths],
            _ => vec![self.place.into()],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: Uuid = Uuid::from_u128(7);

    fn touched(action: &'static str, subject_kind: &'static str, place: Place) -> Vec<Ground> {
        Change { action, subject_kind, subject: ID, place, before: None, after: None, reason: None }.touches()
    }

    #[test]
    fn what_is_stored_is_read_again() {
        let project = Place::Project(ProjectId(ID));
        let all = [
            Ground::Everything,
            Ground::Paths,
            project.into(),
            Ground::Group(GroupId(ID)),
            Ground::Service(ServiceId(ID)),
            Ground::Minter(ID),
            Ground::User(UserId(ID)),
            Ground::UserToken(UserTokenId(ID)),
            Ground::Pipeline(PipelineId(ID)),
            Ground::Job(JobId(ID)),
            Ground::Token(JobTokenId(ID)),
        ];
        for ground in all {
            let (kind, id) = ground.stored();
            assert_eq!(Ground::read(kind, id), ground);
        }
    }

    #[test]
    fn what_nobody_has_thought_of_is_everything() {
        assert_eq!(Ground::read("moon", Some(ID)), Ground::Everything);
        assert_eq!(Ground::read("project", None), Ground::Everything);
        assert_eq!(touched("moon.risen", "moon", Place::Instance), [Ground::Everything]);
    }

    #[test]
    fn a_change_touches_what_it_changes() {
        let (on_project, on_group) = (Place::Project(ProjectId(Uuid::nil())), Place::Group(GroupId(Uuid::nil())));
        for (action, kind, place, expected) in [
            ("job_token.minted", "job_token", on_project, vec![]),
            ("job_token.revoked", "job_token", on_project, vec![Ground::Token(JobTokenId(ID))]),
            ("job.finished", "job", on_project, vec![Ground::Job(JobId(ID))]),
            ("pipeline.finished", "pipeline", on_project, vec![Ground::Pipeline(PipelineId(ID))]),
            ("runner.secret_leaked", "runner", Place::Instance, vec![Ground::Minter(ID)]),
            ("trust_rule.updated", "trust_rule", on_project, vec![Ground::Minter(ID)]),
            ("grant.deleted", "grant", on_group, vec![on_group.into()]),
            ("ceilings.updated", "ceilings", on_project, vec![on_project.into()]),
            ("ceilings.updated", "ceilings", Place::Instance, vec![Ground::Everything]),
            ("member.removed", "user", on_project, vec![on_project.into()]),
            ("user.deleted", "user", Place::Instance, vec![Ground::User(UserId(ID))]),
            ("project.updated", "project", on_project, vec![Ground::Project(ProjectId(ID)), Ground::Paths]),
            ("group.deleted", "group", on_group, vec![Ground::Everything]),
        ] {
            assert_eq!(touched(action, kind, place), expected, "{action}");
        }
    }
}
