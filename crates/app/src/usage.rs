//! Counting what is decided: in memory, bounded, written once a second. A decision never waits for it.

use crate::{App, Refusal};
use jobpass_domain::audit::Actor;
use jobpass_domain::decision::{Decision, Question};
use jobpass_domain::ids::{GrantId, JobId, ProjectId, ServiceId};
use jobpass_domain::usage::{Tally, Use};
use jobpass_persistence::{Context, Tx, usage};
use metrics::Counter;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use time::OffsetDateTime;

/// How many uses are told apart between two writes; beyond, refs, environments and names are not. What is untrusted
/// has as much room of its own.
const ROOM: usize = 10_000;
/// How much of that one source may take.
const SHARE: usize = ROOM / 5;
/// How many lines one transaction takes.
const AT_ONCE: usize = 2_000;

/// What was counted and is not yet written.
pub(crate) struct Usage {
    /// Decisions, by their verdict.
    allowed: Counter,
    denied: Counter,
    pending: Mutex<Counts>,
    /// Taken for writing. It stays until the write is known to have happened: a failed one is tried again.
    in_flight: tokio::sync::Mutex<Counts>,
}

impl Default for Usage {
    fn default() -> Usage {
        let decisions = |verdict| metrics::counter!("jobpass_decisions_total", "verdict" => verdict);
        Usage {
            allowed: decisions("allowed"),
            denied: decisions("denied"),
            pending: Mutex::default(),
            in_flight: tokio::sync::Mutex::default(),
        }
    }
}

impl std::fmt::Debug for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Usage").field("pending", &self.pending).finish_non_exhaustive()
    }
}

/// Bounded counts.
#[derive(Debug, Default)]
struct Counts {
    /// What is trusted, and what is not: refused tries and forks must not take the room of others.
    uses: [Room; 2],
    needs: BTreeMap<GrantId, OffsetDateTime>,
}

#[derive(Debug, Default)]
struct Room {
    uses: HashMap<Arc<Use>, Tally>,
    /// How many of them are each source's.
    shares: HashMap<ProjectId, usize>,
}

impl Room {
    /// What was written since takes no share any more.
    fn share_anew(&mut self) {
        self.shares.clear();
        for used in self.uses.keys() {
            *self.shares.entry(used.source).or_default() += 1;
        }
    }

    /// Told apart while there is room, and the source has not had its share; then without ref, environment and name;
    /// and when even that would be one too many, only in the metrics.
    fn add(&mut self, used: &Arc<Use>, tally: Tally) {
        if let Some(known) = self.uses.get_mut(used) {
            *known = known.and(tally);
            return;
        }
        let share = self.shares.entry(used.source).or_default();
        if self.uses.len() < ROOM && *share < SHARE {
            *share += 1;
            self.uses.insert(Arc::clone(used), tally);
            return;
        }
        let coarse = Use::clone(used).coarse();
        metrics::counter!("jobpass_usage_coarsened_total").increment(tally.count);
        if let Some(known) = self.uses.get_mut(&coarse) {
            *known = known.and(tally);
        } else if self.uses.len() < ROOM * 2 {
            self.uses.insert(Arc::new(coarse), tally);
        } else {
            metrics::counter!("jobpass_usage_lost_total").increment(tally.count);
        }
    }
}

impl Counts {
    fn room(&mut self, used: &Use) -> &mut Room {
        let [trusted, untrusted] = &mut self.uses;
        if used.is_untrusted() { untrusted } else { trusted }
    }

    fn add(&mut self, used: &Arc<Use>, tally: Tally) {
        self.room(used).add(used, tally);
    }

    /// The same use as one that was counted a moment ago is held once.
    fn shared(&mut self, used: Use) -> Arc<Use> {
        let known = self.room(&used).uses.get_key_value(&used).map(|(known, _)| Arc::clone(known));
        known.unwrap_or_else(|| Arc::new(used))
    }

    fn need(&mut self, grant: GrantId, at: OffsetDateTime) {
        if self.needs.len() < ROOM || self.needs.contains_key(&grant) {
            let last = self.needs.entry(grant).or_insert(at);
            *last = at.max(*last);
        }
    }

    fn absorb(&mut self, other: Counts) {
        self.uses.iter_mut().for_each(Room::share_anew);
        for (used, tally) in other.uses.into_iter().flat_map(|room| room.uses) {
            self.add(&used, tally);
        }
        for (grant, at) in other.needs {
            self.need(grant, at);
        }
    }

    /// All uses, what was seen first first: whose values come first are told apart.
    fn in_order(&self) -> Vec<(Use, Tally)> {
        let mut uses: Vec<_> =
            self.uses.iter().flat_map(|room| &room.uses).map(|(used, tally)| (Use::clone(used), *tally)).collect();
        uses.sort_by_key(|(_, tally)| tally.first_at);
        uses
    }

    fn forget(&mut self, written: &[(Use, Tally)]) {
        for room in &mut self.uses {
            for (used, _) in written {
                room.uses.remove(used);
            }
        }
    }
}

/// What one decision counts as, however often it is given.
#[derive(Debug)]
pub(crate) struct Counted {
    allowed: bool,
    job: Option<JobId>,
    uses: Box<[Arc<Use>]>,
    needed: Box<[GrantId]>,
    /// The second in which these grants were last noted as needed.
    noted_at: AtomicI64,
}

impl Counted {
    /// That a grant is needed is noted by the second, and an answer that is kept may be given thousands of times in one.
    fn is_first_of_its_second(&self, now: OffsetDateTime) -> bool {
        let second = now.unix_timestamp();
        self.noted_at.swap(second, Ordering::Relaxed) != second
    }

    /// What it holds; uses are mostly shared.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.uses) + size_of_val(&*self.needed)
    }
}

impl Usage {
    fn take(&self) -> Counts {
        std::mem::take(&mut self.pending.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl App {
    /// What a decision counts as. A question about no project, or with an unknown token, is in the metrics alone.
    pub(crate) fn counted(
        &self,
        question: &Question<'_>,
        target: Option<ProjectId>,
        (service, job): (ServiceId, Option<JobId>),
        decision: &Decision,
    ) -> Counted {
        let uses: Vec<_> = match target {
            Some(target) if job.is_some() => Use::of(question, target, service, decision).collect(),
            _ => vec![],
        };
        let mut pending = self.usage.pending.lock().unwrap_or_else(PoisonError::into_inner);
        Counted {
            allowed: decision.allowed,
            job,
            uses: uses.into_iter().map(|used| pending.shared(used)).collect(),
            needed: decision.needed.iter().copied().collect(),
            noted_at: AtomicI64::new(i64::MIN),
        }
    }

    /// Counts a decision, each time that it is given.
    pub(crate) fn count(&self, counted: &Counted, now: OffsetDateTime) {
        if counted.allowed { &self.usage.allowed } else { &self.usage.denied }.increment(1);
        let (Some(job), false) = (counted.job, counted.uses.is_empty()) else { return };
        let mut pending = self.usage.pending.lock().unwrap_or_else(PoisonError::into_inner);
        for used in &counted.uses {
            pending.add(used, Tally::once(now, job));
        }
        if counted.is_first_of_its_second(now) {
            for grant in &counted.needed {
                pending.need(*grant, now);
            }
        }
    }

    /// Writes what was counted so far, some at a time. What is not written is kept for the next time.
    pub(crate) async fn flush_usage(&self) -> Result<(), Refusal> {
        let mut in_flight = self.usage.in_flight.lock().await;
        in_flight.absorb(self.usage.take());
        for chunk in in_flight.in_order().chunks(AT_ONCE) {
            self.write_or_drop(chunk).await?;
            in_flight.forget(chunk);
        }
        if !in_flight.needs.is_empty() {
            let needs = &in_flight.needs;
            self.write(async |tx: &mut Tx| Ok(usage::need(tx, needs).await?)).await?;
        }
        *in_flight = Counts::default();
        Ok(())
    }

    /// What the database cannot take must not hold back the rest: it is looked for by halves, and given up.
    async fn write_or_drop(&self, uses: &[(Use, Tally)]) -> Result<(), Refusal> {
        let catalogue = self.catalogue();
        let written = self.write(async |tx: &mut Tx| Ok(usage::add(tx, uses.to_vec(), &catalogue).await?)).await;
        match written {
            Ok(()) => Ok(()),
            Err(refusal @ Refusal::Unavailable(_)) => Err(refusal),
            Err(refusal) if uses.len() <= 1 => {
                let count = uses.iter().map(|(_, tally)| tally.count).sum();
                metrics::counter!("jobpass_usage_lost_total").increment(count);
                tracing::error!(?refusal, "a use that cannot be written is given up");
                Ok(())
            }
            Err(_) => {
                let (one, other) = uses.split_at(uses.len() / 2);
                Box::pin(self.write_or_drop(one)).await?;
                Box::pin(self.write_or_drop(other)).await
            }
        }
    }

    async fn write(&self, work: impl AsyncFnOnce(&mut Tx) -> Result<(), Refusal>) -> Result<(), Refusal> {
        let context = Context { actor: Actor::System, now: self.now(), request_id: None };
        self.transaction(context, async |tx: &mut Tx| {
            tx.nothing_to_audit();
            work(tx).await
        })
        .await
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

    fn counts_of(uses: impl Iterator<Item = Use>) -> Counts {
        let mut counts = Counts::default();
        for used in uses {
            counts.add(&Arc::new(used), Tally::once(datetime!(2026-11-23 10:00 UTC), JobId(Uuid::nil())));
        }
        counts
    }

    fn count(counts: &Counts) -> u64 {
        counts.in_order().iter().map(|(_, tally)| tally.count).sum()
    }

    #[test]
    fn beyond_its_share_a_source_is_coarsened_and_each_use_still_counted() {
        let counts = counts_of((0..SHARE + 7).map(|n| used(&format!("b{n}"))));
        assert_eq!(counts.uses[0].uses.len(), SHARE + 1);
        assert_eq!(counts.uses[0].uses.get(&used(OTHER)).unwrap().count, 7);
        assert_eq!(count(&counts), u64::try_from(SHARE + 7).unwrap());
    }

    #[test]
    fn refused_tries_and_other_sources_take_nobodys_room() {
        let denied =
            |n: usize| Use { verdict: Verdict { allowed: false, ..used("x").verdict }, ..used(&format!("d{n}")) };
        let noise = (0..ROOM).map(denied).chain((0..ROOM).map(|n| used(&format!("b{n}"))));
        let honest = Use { source: ProjectId(Uuid::from_u128(7)), ..used("main") };
        let counts = counts_of(noise.chain([honest.clone()]));
        assert_eq!(counts.uses[0].uses.get(&honest).unwrap().count, 1);
    }

    #[test]
    fn with_no_room_at_all_it_still_counts_coarsely() {
        let of = |n: usize| Use { source: ProjectId(Uuid::from_u128(u128::try_from(n).unwrap())), ..used("main") };
        let counts = counts_of((0..ROOM * 2 + 5).map(of));
        assert_eq!(counts.uses[0].uses.len(), ROOM * 2);
        assert_eq!(count(&counts), u64::try_from(ROOM * 2).unwrap(), "five are in the metrics alone");
    }
}
