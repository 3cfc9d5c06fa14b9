//! The live secrets of runners and services: two at a time, so that rotation needs no outage.

use crate::ids::{RunnerId, SecretId, ServiceId};
use time::OffsetDateTime;
use uuid::Uuid;

/// Whose secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SecretOwner {
    Runner(RunnerId),
    Service(ServiceId),
}

impl SecretOwner {
    /// From two nullable columns, of which one is set.
    pub fn from_ids(runner: Option<Uuid>, service: Option<Uuid>) -> Option<SecretOwner> {
        runner.map(|id| SecretOwner::Runner(RunnerId(id))).or(service.map(|id| SecretOwner::Service(ServiceId(id))))
    }

    pub fn runner_id(self) -> Option<Uuid> {
        match self {
            SecretOwner::Runner(id) => Some(id.0),
            SecretOwner::Service(_) => None,
        }
    }

    pub fn service_id(self) -> Option<Uuid> {
        match self {
            SecretOwner::Runner(_) => None,
            SecretOwner::Service(id) => Some(id.0),
        }
    }
}

/// A live secret, without its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveSecret {
    pub id: SecretId,
    pub expires_at: Option<OffsetDateTime>,
    pub created_at: OffsetDateTime,
}
