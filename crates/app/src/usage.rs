//! Counting what is decided: in memory, bounded, written once a second. A decision never waits for it.

use crate::{App, Refusal};
use jobpass_domain::audit::Actor;
use jobpass_domain::decision::{Decision, Question};
use jobpass_domain::ids::{GrantId, JobId, ProjectId, ServiceId};
use jobpass_domain::usage::{Tally, Use};
use jobpass_persistence::{Context, Tx, usage};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use time::OffsetDateTime;

/// How many uses are told apart between two writes; beyond, refs, environments and names are not.
const ROOM: usize = 20_000;
/// How many lines one statement takes.
const AT_ONCE: usize = 2_000;

/// What was counted and is not yet written.
#[derive(Debug)]
pub(crate) struct Usage {
    pending: Mutex<Counts>,
    /// Taken for writing. It stays until the write is known to have happened: a failed one is tried again.
    in_flight: tokio::sync::Mutex<Counts>,
}

impl Default for Usage {
    fn default() -> Usage {
        Usage::with_room(ROOM)
    }
}

/// Bounded counts.
#[derive(Debug)]
struct Counts {
    room: usize,
    uses: HashMap<Use, Tally>,
    needs: BTreeMap<GrantId, OffsetDateTime>,
}

impl Counts {
    fn with_room(room: usize) -> Counts {
        Counts { room, uses: HashMap::new(), needs: BTreeMap::new() }
    }

    /// Told apart while there is room; then without ref, environment and name; and when even that would be
    /// one too many, only in the metrics.
    fn add(&mut self, used: Use, tally: Tally) {
        if let Some(known) = self.uses.get_mut(&used) {
            *known = known.and(tally);
            return;
        }
        if self.uses.len() < self.room {
            self.uses.insert(used, tally);
            return;
        }
        let coarse = used.coarse();
        metrics::counter!("jobpass_usage_coarsened_total").increment(tally.count);
        if let Some(known) = self.uses.get_mut(&coarse) {
            *known = known.and(tally);
        } else if self.uses.len() < self.room * 2 {
            self.uses.insert(coarse, tally);
        } else {
            metrics::counter!("jobpass_usage_lost_total").increment(tally.count);
        }
    }

    fn need(&mut self, grant: GrantId, at: OffsetDateTime) {
        if self.needs.len() < self.room || self.needs.contains_key(&grant) {
            let last = self.needs.entry(grant).or_insert(at);
            *last = at.max(*last);
        }
    }

    fn absorb(&mut self, other: Counts) {
        for (used, tally) in other.uses {
            self.add(used, tally);
        }
        for (grant, at) in other.needs {
            self.need(grant, at);
        }
    }

    fn is_empty(&self) -> bool {
        self.uses.is_empty() && self.needs.is_empty()
    }
}

impl Usage {
    pub(crate) fn with_room(room: usize) -> Usage {
        let counts = || Counts::with_room(room);
        Usage { pending: Mutex::new(counts()), in_flight: tokio::sync::Mutex::new(counts()) }
    }

    fn take(&self) -> Counts {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let empty = Counts::with_room(pending.room);
        std::mem::replace(&mut pending, empty)
    }
}

impl App {
    /// Counts a decision. A question about no project, or with an unknown token, is in the metrics alone.
    pub(crate) fn count(
        &self,
        question: &Question<'_>,
        target: Option<ProjectId>,
        (service, job): (ServiceId, Option<JobId>),
        decision: &Decision,
    ) {
        let verdict = if decision.allowed { "allowed" } else { "denied" };
        metrics::counter!("jobpass_decisions_total", "verdict" => verdict).increment(1);
        let (Some(target), Some(job)) = (target, job) else { return };
        let now = self.now();
        let mut pending = self.usage.pending.lock().unwrap_or_else(PoisonError::into_inner);
        for used in Use::of(question, target, service, decision) {
            pending.add(used, Tally::once(now, job));
        }
        for grant in &decision.needed {
            pending.need(*grant, now);
        }
    }

    /// Writes what was counted so far. What is not written is kept for the next time.
    pub(crate) async fn flush_usage(&self) -> Result<(), Refusal> {
        let mut in_flight = self.usage.in_flight.lock().await;
        in_flight.absorb(self.usage.take());
        if in_flight.is_empty() {
            return Ok(());
        }
        let catalogue = self.catalogue();
        let context = Context { actor: Actor::System, now: self.now(), request_id: None };
        let mut uses: Vec<_> = in_flight.uses.iter().map(|(used, tally)| (used.clone(), *tally)).collect();
        // Whose values come first are told apart.
        uses.sort_by_key(|(_, tally)| tally.first_at);
        let needs = &in_flight.needs;
        self.transaction(context, async |tx: &mut Tx| {
            tx.nothing_to_audit();
            for chunk in uses.chunks(AT_ONCE) {
                usage::add(tx, chunk.to_vec(), &catalogue).await?;
            }
            Ok::<_, Refusal>(usage::need(tx, needs).await?)
        })
        .await?;
        let room = in_flight.room;
        *in_flight = Counts::with_room(room);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jobpass_domain::catalogue::slots;
    use jobpass_domain::permission::{Action, Permission};
    use jobpass_domain::pipeline::Trigger;
    use jobpass_domain::provenance::{CredentialScope, Provenance};
    use jobpass_domain::refs::RefType;
    use jobpass_domain::usage::{OTHER, Verdict, What};
    use time::macros::datetime;
    use uuid::Uuid;

    fn used(ref_name: &str) -> Use {
        Use {
            target: ProjectId(Uuid::nil()),
            source: ProjectId(Uuid::nil()),
            what: What::Named(Permission { resource: slots::PACKAGES, action: Action::Read }),
            run: Provenance {
                ref_name: ref_name.to_owned(),
                ref_type: RefType::Branch,
                protected: false,
                environment: None,
                trigger: Trigger::Push,
                from_fork: false,
                minted_by: CredentialScope::Instance,
            },
            actor_role: None,
            resource_name: None,
            verdict: Verdict { allowed: true, reason: None, would_deny: false },
        }
    }

    #[test]
    fn without_room_it_coarsens_and_still_counts_each_use() {
        let mut counts = Counts::with_room(3);
        let once = Tally::once(datetime!(2026-11-23 10:00 UTC), JobId(Uuid::nil()));
        for n in 0..10 {
            counts.add(used(&format!("b{n}")), once);
        }
        assert_eq!(counts.uses.len(), 4);
        assert_eq!(counts.uses.get(&used(OTHER)).unwrap().count, 7);
        assert_eq!(counts.uses.values().map(|tally| tally.count).sum::<u64>(), 10);
    }
}
