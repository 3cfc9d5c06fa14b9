//! What mints job tokens: a runner, or a trust rule that takes the word of another CI.

use crate::ids::{RunnerId, TrustRuleId};
use crate::place::Place;
use crate::runner::Runner;
use crate::trust_rule::TrustRule;
use uuid::Uuid;

/// Which minting credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MinterId {
    Runner(RunnerId),
    TrustRule(TrustRuleId),
}

impl MinterId {
    /// From two nullable columns, of which exactly one is set.
    pub fn from_ids(runner: Option<Uuid>, trust_rule: Option<Uuid>) -> Option<MinterId> {
        match (runner, trust_rule) {
            (Some(id), None) => Some(MinterId::Runner(RunnerId(id))),
            (None, Some(id)) => Some(MinterId::TrustRule(TrustRuleId(id))),
            _ => None,
        }
    }

    pub fn id(self) -> Uuid {
        match self {
            MinterId::Runner(id) => id.0,
            MinterId::TrustRule(id) => id.0,
        }
    }

    pub fn runner_id(self) -> Option<Uuid> {
        match self {
            MinterId::Runner(id) => Some(id.0),
            MinterId::TrustRule(_) => None,
        }
    }

    pub fn trust_rule_id(self) -> Option<Uuid> {
        match self {
            MinterId::Runner(_) => None,
            MinterId::TrustRule(id) => Some(id.0),
        }
    }
}

/// What a mint needs to know of the credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Minter {
    pub id: MinterId,
    pub scope: Place,
    /// Whether it gets tokens for protected refs.
    pub protected: bool,
    /// Whether it vouches for the actor that is named.
    pub asserts_actor: bool,
    pub paused: bool,
    pub epoch: i64,
}

impl From<&Runner> for Minter {
    fn from(runner: &Runner) -> Minter {
        Minter {
            id: MinterId::Runner(runner.id),
            scope: runner.scope,
            protected: runner.protected,
            asserts_actor: runner.asserts_actor,
            paused: runner.paused,
            epoch: runner.epoch,
        }
    }
}

impl From<&TrustRule> for Minter {
    /// The actor of another CI is a text there, and nobody here.
    fn from(rule: &TrustRule) -> Minter {
        Minter {
            id: MinterId::TrustRule(rule.id),
            scope: Place::Project(rule.project),
            protected: rule.protected,
            asserts_actor: false,
            paused: rule.paused,
            epoch: rule.epoch,
        }
    }
}
