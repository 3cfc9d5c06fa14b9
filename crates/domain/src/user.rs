//! People, their API tokens and their memberships.

use crate::ids::{UserId, UserTokenId};
use crate::path::Path;
use crate::role::Role;
use crate::text::UserName;
use time::OffsetDateTime;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub id: UserId,
    pub name: UserName,
    pub administrator: bool,
    pub created_at: OffsetDateTime,
}

/// A user's API token, without its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserToken {
    pub id: UserTokenId,
    pub user: UserId,
    pub name: Option<String>,
    pub read_only: bool,
    pub expires_at: Option<OffsetDateTime>,
    pub created_at: OffsetDateTime,
}

/// A role that a user has on a group or project, and on all below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub user: UserId,
    pub name: UserName,
    pub role: Role,
    /// The path of what the membership is on.
    pub on: Path,
}
