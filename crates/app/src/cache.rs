//! What is kept in memory, so that a question that was answered is not asked of the database again: finished answers, what
//! decisions were made from, and who presents a credential. All of it is given only while it is fresh.

mod freshness;
mod kept;

pub(crate) use freshness::{Freshness, Ticket};
pub(crate) use kept::{Kept, Shelf, Weight};

use crate::authorize::KeptDecision;
use crate::introspect::KeptAnswer;
use bytes::Bytes;
use jobpass_domain::access_token::RunnerProof;
use jobpass_domain::ids::ServiceId;
use jobpass_domain::runner::Runner;
use jobpass_domain::service::Service;
use jobpass_domain::token::TokenHash;
use jobpass_persistence::caller::UserByToken;
use jobpass_persistence::question::{Circumstances, Key, Loaded};
use std::sync::Arc;
use std::time::Duration;

/// Of the room that there is, this many parts in [`PARTS`] each.
const PARTS: u64 = 16;
const ANSWERS: u64 = 6;
const DECISIONS: u64 = 3;
const QUESTIONS: u64 = 3;
const CIRCUMSTANCES: u64 = 2;

/// How much is kept, and for how long it may be given after it was changed elsewhere.
#[derive(Clone, Copy, Debug)]
pub struct CacheSettings {
    /// Bytes that may be held.
    pub bytes: u64,
    /// Whatever was changed longer ago, on any replica, shows in every answer. Zero: nothing is kept.
    pub staleness_bound: Duration,
}

impl Default for CacheSettings {
    fn default() -> CacheSettings {
        CacheSettings { bytes: 64 << 20, staleness_bound: Duration::from_secs(2) }
    }
}

/// What a token is asked about by hash, in a project as it was named.
type QuestionKey = (TokenHash, Option<Box<str>>);

/// Everything that is kept.
#[derive(Debug)]
pub(crate) struct Cache {
    pub(crate) freshness: Freshness,
    /// Finished answers to introspection of live tokens, by a digest of all that was asked.
    pub(crate) answers: Shelf<[u8; 32], KeptAnswer>,
    /// The same of tokens that are not live: apart, so that a flood of them takes no room of others.
    pub(crate) refusals: Shelf<[u8; 32], KeptAnswer>,
    /// Finished answers to questions about live tokens, by a digest of who asked and in which words.
    pub(crate) decisions: Shelf<[u8; 32], KeptDecision>,
    /// The same of tokens that are not live.
    pub(crate) dead: Shelf<[u8; 32], KeptDecision>,
    /// What was loaded for one token.
    pub(crate) questions: Shelf<QuestionKey, Loaded>,
    /// What was loaded for many tokens alike.
    pub(crate) circumstances: Shelf<Key, Arc<Circumstances>>,
    pub(crate) services: Shelf<(Option<ServiceId>, TokenHash), Arc<Service>>,
    pub(crate) runners: Shelf<TokenHash, (Arc<Runner>, RunnerProof)>,
    pub(crate) users: Shelf<TokenHash, UserByToken>,
}

impl Cache {
    pub(crate) fn new(settings: CacheSettings) -> Cache {
        let part = settings.bytes / PARTS;
        let rest = (PARTS - ANSWERS - DECISIONS - QUESTIONS - CIRCUMSTANCES) * part / 5;
        Cache {
            freshness: Freshness::new(settings.staleness_bound),
            answers: Shelf::new("answers", ANSWERS * part),
            refusals: Shelf::new("refusals", rest),
            decisions: Shelf::new("decisions", DECISIONS * part),
            dead: Shelf::new("dead", rest),
            questions: Shelf::new("questions", QUESTIONS * part),
            circumstances: Shelf::new("circumstances", CIRCUMSTANCES * part),
            services: Shelf::new("services", rest),
            runners: Shelf::new("runners", rest),
            users: Shelf::new("users", rest),
        }
    }

    /// Tells the metrics how much is held, and how stale it may be.
    pub(crate) fn measure(&self) {
        metrics::gauge!("jobpass_cache_staleness_bound_seconds").set(self.freshness.bound().as_secs_f64());
        let bytes = self.answers.bytes()
            + self.refusals.bytes()
            + self.decisions.bytes()
            + self.dead.bytes()
            + self.questions.bytes()
            + self.circumstances.bytes()
            + self.services.bytes()
            + self.runners.bytes()
            + self.users.bytes();
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float, and memory is far below 2^53")]
        metrics::gauge!("jobpass_cache_bytes").set(bytes as f64);
    }
}

impl Weight for KeptAnswer {
    fn bytes(&self) -> usize {
        self.body.as_ref().map_or(0, Bytes::len) + self.counted.bytes() + size_of_val(&*self.grounds)
    }
}

/// What these hold is not counted to the byte: by a measured mean of each, beside what varies most.
impl Weight for Loaded {
    fn bytes(&self) -> usize {
        1_500
    }
}

impl Weight for Arc<Circumstances> {
    fn bytes(&self) -> usize {
        1_000 + self.target.as_ref().map_or(0, |target| target.grants.len() * 400 + target.ceilings.len() * 200)
    }
}

impl Weight for Arc<Service> {
    fn bytes(&self) -> usize {
        600
    }
}

impl Weight for (Arc<Runner>, RunnerProof) {
    fn bytes(&self) -> usize {
        600
    }
}

impl Weight for UserByToken {
    fn bytes(&self) -> usize {
        300
    }
}
