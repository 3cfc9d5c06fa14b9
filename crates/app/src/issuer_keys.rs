//! The keys of other CIs' issuers: fetched when they are needed, kept for a while, and fetched again when a token names one that is
//! not there; at most so often, and one fetch at a time for each issuer. An issuer that hangs keeps nobody waiting but those
//! who ask for its own keys.

mod fetch;
mod guard;
mod hosts;

pub use guard::IssuerSettings;

use fetch::Fetch;
use jsonwebtoken::jwk::JwkSet;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use time::{Duration, OffsetDateTime};
use tokio::sync::{Mutex as Flight, Semaphore};

/// For how long fetched keys are used without a further look.
const FRESH: Duration = Duration::minutes(10);
/// For how long they are used while the issuer cannot be reached.
const STALE: Duration = Duration::hours(1);
/// How long lies between two fetches from one issuer, whatever came of the first.
const PAUSE: Duration = Duration::seconds(30);
/// The most issuers whose keys are kept.
const MAX_ISSUERS: usize = 512;
/// The most requests that wait for one issuer.
const MAX_WAITING: usize = 64;

/// Where keys come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Source {
    pub(crate) issuer: String,
    /// `None`: as the issuer's discovery document says.
    pub(crate) jwks_uri: Option<String>,
}

#[derive(Debug)]
pub(crate) struct IssuerKeys {
    fetch: Fetch,
    slots: Mutex<HashMap<Source, Arc<Slot>>>,
}

/// What is known of one source.
#[derive(Debug)]
struct Slot {
    known: Mutex<Known>,
    /// Held by whoever fetches.
    flight: Arc<Flight<()>>,
    waiting: Semaphore,
}

#[derive(Debug, Default)]
struct Known {
    keys: Option<(Arc<JwkSet>, OffsetDateTime)>,
    tried_at: Option<OffsetDateTime>,
    used_at: Option<OffsetDateTime>,
}

impl Known {
    /// Whether the last fetch, which may still be under way, began long enough ago.
    fn may_be_asked(&self, now: OffsetDateTime) -> bool {
        self.tried_at.is_none_or(|at| now >= at + PAUSE)
    }
}

impl IssuerKeys {
    pub(crate) fn new(settings: &IssuerSettings) -> IssuerKeys {
        IssuerKeys { fetch: Fetch::new(settings), slots: Mutex::default() }
    }

    /// Keys of the source that will do, or `None` when there are none to be had now.
    pub(crate) async fn find(
        &self,
        source: &Source,
        will_do: impl Fn(&JwkSet) -> bool,
        now: OffsetDateTime,
    ) -> Option<Arc<JwkSet>> {
        let slot = self.slot(source, now)?;
        if let Some(keys) = slot.younger_than(FRESH, &will_do, now) {
            return Some(keys);
        }
        let stale = slot.younger_than(STALE, &will_do, now);
        // Whoever comes while somebody fetches takes what there is, and waits only where that will not do.
        let flight = match Arc::clone(&slot.flight).try_lock_owned() {
            Ok(flight) => flight,
            Err(_) if stale.is_some() => return stale,
            Err(_) => {
                let _seat = slot.waiting.try_acquire().ok()?;
                Arc::clone(&slot.flight).lock_owned().await
            }
        };
        if slot.begin(&will_do, now) {
            let (fetch, source, kept) = (self.fetch.clone(), source.clone(), Arc::clone(&slot));
            // By itself: whoever asked first may hang up, and those who wait would begin anew.
            let fetching = tokio::spawn(async move {
                match fetch.keys(&source, now).await {
                    Ok(keys) => kept.keep(keys, now),
                    Err(error) => {
                        tracing::warn!(issuer = source.issuer, %error, "could not fetch the keys of an issuer");
                    }
                }
                drop(flight);
            });
            fetching.await.ok()?;
        }
        slot.younger_than(STALE, &will_do, now)
    }

    /// `None`: there is room for no more. The longest unused makes room, but none that was asked a moment ago: it would be
    /// asked again.
    fn slot(&self, source: &Source, now: OffsetDateTime) -> Option<Arc<Slot>> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if !slots.contains_key(source) && slots.len() >= MAX_ISSUERS {
            let idle = slots.iter().filter(|(_, slot)| slot.locked().may_be_asked(now));
            let idle = idle.min_by_key(|(_, slot)| slot.locked().used_at).map(|(source, _)| source.clone())?;
            slots.remove(&idle);
        }
        let slot = slots.entry(source.clone()).or_insert_with(|| Arc::new(Slot::new()));
        slot.locked().used_at = Some(now);
        Some(Arc::clone(slot))
    }
}

impl Slot {
    fn new() -> Slot {
        Slot { known: Mutex::default(), flight: Arc::default(), waiting: Semaphore::new(MAX_WAITING) }
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn younger_than(
        &self,
        age: Duration,
        will_do: impl Fn(&JwkSet) -> bool,
        now: OffsetDateTime,
    ) -> Option<Arc<JwkSet>> {
        let known = self.locked();
        let (keys, fetched_at) = known.keys.as_ref()?;
        (now < *fetched_at + age && will_do(keys)).then(|| Arc::clone(keys))
    }

    /// Whether there is something to fetch, and it is time; if so, a fetch begins now.
    fn begin(&self, will_do: impl Fn(&JwkSet) -> bool, now: OffsetDateTime) -> bool {
        if self.younger_than(FRESH, will_do, now).is_some() {
            return false;
        }
        let mut known = self.locked();
        let due = known.may_be_asked(now);
        if due {
            known.tried_at = Some(now);
        }
        due
    }

    fn keep(&self, keys: JwkSet, now: OffsetDateTime) {
        self.locked().keys = Some((Arc::new(keys), now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[tokio::test]
    async fn that_an_issuer_was_asked_is_not_forgotten_for_others() {
        let now = datetime!(2026-11-23 10:00 UTC);
        let keys = IssuerKeys::new(&IssuerSettings::default());
        let source = |n: usize| Source { issuer: format!("https://ci{n}.example"), jwks_uri: None };
        for n in 0..MAX_ISSUERS {
            assert!(keys.slot(&source(n), now).unwrap().begin(|_| false, now));
        }
        assert!(keys.slot(&source(MAX_ISSUERS), now).is_none());
        assert!(keys.slot(&source(0), now).is_some_and(|slot| !slot.begin(|_| false, now)));
        // The first was used last.
        let later = now + PAUSE;
        keys.slot(&source(0), later).unwrap();
        assert!(keys.slot(&source(MAX_ISSUERS), later).is_some());
        let slots = keys.slots.lock().unwrap();
        assert_eq!((slots.len(), slots.contains_key(&source(0))), (MAX_ISSUERS, true));
    }
}
