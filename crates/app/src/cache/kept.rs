//! A shelf of what is kept: bounded in bytes, and each thing on it with what it rests on and until when it holds.

use super::freshness::{Freshness, Slot, Ticket, slot};
use crate::gather::{PATIENCE, Unanswered};
use jobpass_domain::ground::Ground;
use metrics::Counter;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use std::hash::Hash;
use std::sync::Arc;
use time::OffsetDateTime;
use tokio::time::timeout;

/// What a thing takes beside its key and what it rests on.
const OVERHEAD: usize = 160;
/// What most things take: a guess by which room for their places is set aside.
const USUAL: u64 = 1_000;

/// How many bytes a thing holds.
pub(crate) trait Weight {
    fn bytes(&self) -> usize;
}

/// Something that was loaded, or made of what was.
#[derive(Debug)]
pub(crate) struct Kept<V> {
    pub(crate) value: V,
    ticket: Ticket,
    grounds: Box<[Slot]>,
    /// When it stops being true by itself; `None`: never.
    pub(crate) until: Option<OffsetDateTime>,
}

impl<V> Kept<V> {
    /// `ticket`: drawn before the load; `grounds`: all that `value` rests on.
    pub(crate) fn new(
        value: V,
        ticket: Ticket,
        grounds: impl IntoIterator<Item = Ground>,
        until: Option<OffsetDateTime>,
    ) -> Kept<V> {
        let mut grounds: Vec<Slot> = grounds.into_iter().map(slot).collect();
        grounds.sort_unstable();
        grounds.dedup();
        Kept { value, ticket, grounds: grounds.into(), until }
    }

    /// Something made of this: it rests on the same, and on more.
    pub(crate) fn derive<D>(
        &self,
        value: D,
        more: impl IntoIterator<Item = Ground>,
        until: Option<OffsetDateTime>,
    ) -> Kept<D> {
        let until = [self.until, until].into_iter().flatten().min();
        let grounds = self.grounds.iter().copied().chain(more.into_iter().map(slot)).collect();
        Kept { value, ticket: self.ticket, grounds, until }
    }

    /// When the first load of it began.
    pub(crate) fn ticket(&self) -> Ticket {
        self.ticket
    }

    /// Whether it may be given now.
    pub(crate) fn holds(&self, freshness: &Freshness, now: OffsetDateTime) -> bool {
        self.until.is_none_or(|until| now < until) && freshness.is_untouched(self.ticket, &self.grounds)
    }
}

#[derive(Clone, Debug)]
struct ByBytes;

impl<K, V: Weight> Weighter<K, Arc<Kept<V>>> for ByBytes {
    fn weight(&self, _: &K, kept: &Arc<Kept<V>>) -> u64 {
        let bytes = kept.value.bytes() + size_of::<K>() + size_of_val(&*kept.grounds) + OVERHEAD;
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }
}

pub(crate) struct Shelf<K, V> {
    name: &'static str,
    things: Cache<K, Arc<Kept<V>>, ByBytes>,
    hits: Counter,
    misses: Counter,
}

impl<K, V> std::fmt::Debug for Shelf<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shelf").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<K: Eq + Hash + Clone, V: Weight> Shelf<K, V> {
    pub(crate) fn new(name: &'static str, bytes: u64) -> Shelf<K, V> {
        let usual = usize::try_from(bytes / USUAL).unwrap_or(usize::MAX);
        let lookups = |outcome| metrics::counter!("jobpass_cache_lookups_total", "cache" => name, "outcome" => outcome);
        let things = Cache::with_weighter(usual, bytes, ByBytes);
        Shelf { name, things, hits: lookups("hit"), misses: lookups("miss") }
    }

    /// What is kept there, while it may be given.
    pub(crate) fn get(&self, key: &K, freshness: &Freshness, now: OffsetDateTime) -> Option<Arc<Kept<V>>> {
        let found = if freshness.is_trusted() { self.things.get(key) } else { None };
        let found = found.filter(|kept| kept.holds(freshness, now));
        if found.is_some() { &self.hits } else { &self.misses }.increment(1);
        found
    }

    /// Keeps it, unless what it rests on was touched since it was loaded.
    pub(crate) fn put(&self, key: K, kept: Arc<Kept<V>>, freshness: &Freshness, now: OffsetDateTime) {
        if !freshness.bound().is_zero() && kept.holds(freshness, now) {
            self.things.insert(key, kept);
        }
    }

    pub(crate) fn remove(&self, key: &K) {
        self.things.remove(key);
    }

    /// What is kept there, or else what is loaded within a while, which is then kept. `fresh`: loaded either way.
    pub(crate) async fn get_or_load<E: From<Unanswered>>(
        &self,
        (key, fresh): (K, bool),
        freshness: &Freshness,
        now: OffsetDateTime,
        load: impl AsyncFnOnce(Ticket) -> Result<Kept<V>, E>,
    ) -> Result<Arc<Kept<V>>, E> {
        if !fresh && let Some(kept) = self.get(&key, freshness, now) {
            return Ok(kept);
        }
        // A load is large and rare: boxed, it does not make every request's future as large.
        let load = Box::pin(load(freshness.ticket()));
        let loaded = Arc::new(timeout(PATIENCE, load).await.map_err(|_| Unanswered::Late)??);
        self.put(key, Arc::clone(&loaded), freshness, now);
        Ok(loaded)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.things.weight()
    }
}
