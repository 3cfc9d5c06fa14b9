//! One newtype for each kind of id, so that a project's id can never stand where a group's belongs.

use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Uuid {
                id.0
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> $name {
                $name(id)
            }
        }
    )+};
}

ids! {
    /// A person.
    UserId,
    /// A user's API token (`jpu_`).
    UserTokenId,
    GroupId,
    ProjectId,
    /// A minting credential's owner.
    RunnerId,
    /// A minting credential without a secret; its OAuth `client_id` is this id.
    TrustRuleId,
    /// A resource service; its OAuth `client_id` is this id without hyphens.
    ServiceId,
    /// One of the live secrets of a runner or a service.
    SecretId,
    /// A short-lived token of a runner.
    AccessTokenId,
    PipelineId,
    JobId,
    JobTokenId,
    GrantId,
    CeilingId,
    AuditEventId,
    RouteTableId,
    SigningKeyId,
}
