//! Who changed what: one event in the transaction of each mint, revocation and change.

use crate::ids::{AuditEventId, JobTokenId, RunnerId, ServiceId, TrustRuleId, UserId};
use crate::place::Place;
use time::OffsetDateTime;
use uuid::Uuid;

/// For how many days audit events are kept, unless it is set otherwise.
pub const AUDIT_RETENTION_DAYS: u16 = 400;

/// Who acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    User(UserId),
    Runner(RunnerId),
    TrustRule(TrustRuleId),
    Service(ServiceId),
    /// The holder of a job token.
    JobToken(JobTokenId),
    /// Whoever reported a leak.
    Anyone,
    /// Jobpass itself: the command line, and what time brings.
    System,
}

impl Actor {
    pub const fn kind(self) -> &'static str {
        match self {
            Actor::User(_) => "user",
            Actor::Runner(_) => "runner",
            Actor::TrustRule(_) => "trust_rule",
            Actor::Service(_) => "service",
            Actor::JobToken(_) => "job_token",
            Actor::Anyone => "anyone",
            Actor::System => "system",
        }
    }

    pub const fn id(self) -> Option<Uuid> {
        match self {
            Actor::User(id) => Some(id.0),
            Actor::Runner(id) => Some(id.0),
            Actor::TrustRule(id) => Some(id.0),
            Actor::Service(id) => Some(id.0),
            Actor::JobToken(id) => Some(id.0),
            Actor::Anyone | Actor::System => None,
        }
    }
}

/// What was done, to what, and where; `before` and `after` are JSON texts that hold no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// A noun and a verb, such as `grant.created`.
    pub action: &'static str,
    pub subject_kind: &'static str,
    pub subject: Uuid,
    pub place: Place,
    pub before: Option<String>,
    pub after: Option<String>,
    pub reason: Option<String>,
}

/// A change as it was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEvent {
    pub id: AuditEventId,
    pub at: OffsetDateTime,
    pub actor_kind: String,
    pub actor: Option<Uuid>,
    pub action: String,
    pub subject_kind: String,
    pub subject: Uuid,
    pub place: Place,
    pub before: Option<String>,
    pub after: Option<String>,
    pub reason: Option<String>,
    pub request_id: Option<Uuid>,
}
