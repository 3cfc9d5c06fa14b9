//! A runner: a credential that mints job tokens.

use crate::ids::{GroupId, ProjectId, RunnerId};
use crate::place::Place;
use crate::text::Label;
use time::OffsetDateTime;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runner {
    pub id: RunnerId,
    pub name: Label,
    pub scope: Place,
    /// The path of its scope; `None` for the instance.
    pub scope_path: Option<String>,
    /// Whether it gets tokens for protected refs.
    pub protected: bool,
    /// Whether it vouches for the actor that it names.
    pub asserts_actor: bool,
    /// A paused one mints nothing; what it minted lives on.
    pub paused: bool,
    pub epoch: i64,
    pub created_at: OffsetDateTime,
}

impl Runner {
    /// Whether a project with these groups above it is the runner's to mint for.
    pub fn reaches(&self, project: ProjectId, chain: &[GroupId]) -> bool {
        match self.scope {
            Place::Instance => true,
            Place::Group(group) => chain.contains(&group),
            Place::Project(own) => own == project,
        }
    }
}
