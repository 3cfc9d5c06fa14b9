//! Whether what is kept may still be given. A ticket is drawn before anything is loaded; what is touched afterwards takes what
//! rests on it away, however late the load comes back. And once nothing was heard of other replicas' changes for as long as
//! the bound says, nothing that is kept is given at all.

use jobpass_domain::ground::Ground;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Where touches are noted. Grounds may share a slot: then something is loaded again without need, and never the other way round.
const SLOTS: usize = 1 << 18;

/// Drawn before a load: how many touches there had been.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

/// A ground's slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot(u32);

#[derive(Debug)]
pub(crate) struct Freshness {
    touches: AtomicU64,
    /// The number of the last touch of all.
    everything: AtomicU64,
    /// Of each slot, the number of its last touch.
    slots: Box<[AtomicU64]>,
    bound: Duration,
    started: Instant,
    /// Nanoseconds since the start until which what is kept may be given.
    trusted_until: AtomicU64,
}

impl Freshness {
    /// `bound`: how old the last word from the database may be. Nothing is given before the first.
    pub(crate) fn new(bound: Duration) -> Freshness {
        Freshness {
            touches: AtomicU64::new(0),
            everything: AtomicU64::new(0),
            slots: std::iter::repeat_with(AtomicU64::default).take(SLOTS).collect(),
            bound,
            started: Instant::now(),
            trusted_until: AtomicU64::new(0),
        }
    }

    pub(crate) fn bound(&self) -> Duration {
        self.bound
    }

    /// To be drawn before the load begins.
    pub(crate) fn ticket(&self) -> Ticket {
        Ticket(self.touches.load(Ordering::SeqCst))
    }

    /// Takes away what rests on any of these. To be called once the change is committed, and before anyone is told of it.
    pub(crate) fn touch(&self, grounds: impl IntoIterator<Item = Ground>) {
        // A ticket that is drawn from here on is of a load that sees the change.
        let number = self.touches.fetch_add(1, Ordering::SeqCst) + 1;
        for ground in grounds {
            match ground {
                Ground::Everything => self.everything.fetch_max(number, Ordering::SeqCst),
                ground => self.slot(slot(ground)).fetch_max(number, Ordering::SeqCst),
            };
        }
    }

    /// All that was changed before `read_at` has been touched.
    pub(crate) fn heard(&self, read_at: Instant) {
        let until = (read_at + self.bound).saturating_duration_since(self.started);
        self.trusted_until.store(nanos(until), Ordering::SeqCst);
    }

    /// Something may have been missed: nothing is given until the next word.
    pub(crate) fn distrust(&self) {
        self.trusted_until.store(0, Ordering::SeqCst);
    }

    /// Whether anything that is kept may be given.
    pub(crate) fn is_trusted(&self) -> bool {
        nanos(self.started.elapsed()) < self.trusted_until.load(Ordering::SeqCst)
    }

    /// Whether nothing of this was touched since the ticket was drawn.
    pub(crate) fn is_untouched(&self, since: Ticket, grounds: &[Slot]) -> bool {
        let before = |touched: &AtomicU64| touched.load(Ordering::SeqCst) <= since.0;
        before(&self.everything) && grounds.iter().all(|slot| before(self.slot(*slot)))
    }

    #[expect(clippy::indexing_slicing, reason = "a slot is made below, always less than the number of slots")]
    fn slot(&self, slot: Slot) -> &AtomicU64 {
        &self.slots[slot.0 as usize % SLOTS]
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Ids end in random bits, so that they spread by themselves; the kind tells apart what has the same id.
pub(crate) fn slot(ground: Ground) -> Slot {
    let (kind, id) = ground.stored();
    let kind = kind.bytes().fold(0u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    let (_, random) = id.unwrap_or(Uuid::nil()).as_u64_pair();
    let mixed = (random ^ kind).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Slot(u32::try_from(mixed >> (64 - SLOTS.trailing_zeros())).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jobpass_domain::ids::{JobId, ProjectId};
    use proptest::prelude::*;

    fn project(id: u128) -> Ground {
        Ground::Project(ProjectId(Uuid::from_u128(id)))
    }

    fn fresh() -> Freshness {
        Freshness::new(Duration::from_hours(1))
    }

    #[test]
    fn a_touch_between_ticket_and_put_takes_away_what_was_loaded_meanwhile() {
        let freshness = fresh();
        let before = freshness.ticket();
        freshness.touch([project(1)]);
        let after = freshness.ticket();
        let on = [slot(project(1)), slot(project(2))];
        assert!(!freshness.is_untouched(before, &on), "the load may have come before the change");
        assert!(freshness.is_untouched(before, &on[1..]));
        assert!(freshness.is_untouched(after, &on), "the load came after it");
    }

    #[test]
    fn everything_is_everything() {
        let freshness = fresh();
        let before = freshness.ticket();
        freshness.touch([Ground::Everything]);
        assert!(!freshness.is_untouched(before, &[]));
        assert!(freshness.is_untouched(freshness.ticket(), &[]));
    }

    #[test]
    fn the_same_id_of_another_kind_is_another_ground() {
        assert_ne!(slot(project(1)), slot(Ground::Job(JobId(Uuid::from_u128(1)))));
    }

    #[test]
    fn nothing_is_given_before_the_first_word_nor_after_the_bound() {
        let freshness = fresh();
        assert!(!freshness.is_trusted());
        freshness.heard(Instant::now());
        assert!(freshness.is_trusted());
        freshness.distrust();
        assert!(!freshness.is_trusted());
        let none = Freshness::new(Duration::ZERO);
        none.heard(Instant::now());
        assert!(!none.is_trusted(), "a bound of nothing keeps nothing");
        let bounded = Freshness::new(Duration::from_millis(1));
        if let Some(long_ago) = Instant::now().checked_sub(Duration::from_secs(1)) {
            bounded.heard(long_ago);
            assert!(!bounded.is_trusted());
        }
    }

    proptest! {
        /// Against a model that notes each touch by itself: what the model has lost is never given.
        #[test]
        fn never_untouched_when_it_was_touched(
            touches in prop::collection::vec(prop::collection::vec(0u128..20, 0..3), 0..30),
            grounds in prop::collection::vec(0u128..20, 0..5), drawn_at in 0usize..30,
        ) {
            let freshness = fresh();
            let mut ticket = freshness.ticket();
            let mut lost = false;
            for (at, touched) in touches.iter().enumerate() {
                if at == drawn_at {
                    (ticket, lost) = (freshness.ticket(), false);
                }
                freshness.touch(touched.iter().copied().map(project));
                lost |= touched.iter().any(|one| grounds.contains(one));
            }
            let slots: Vec<_> = grounds.iter().copied().map(project).map(slot).collect();
            prop_assert!(!(lost && freshness.is_untouched(ticket, &slots)));
            prop_assert!(lost || freshness.is_untouched(ticket, &slots), "twenty grounds do not collide");
        }
    }
}
