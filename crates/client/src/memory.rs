//! Decisions in memory, each for as long as the feed of invalidations vouches for it. Whatever is not known for certain is asked again:
//! nothing is given before the feed is up, after it is lost, or once its last word is too old.

use jobpass_api::{Decision, Keep};
use quick_cache::sync::Cache;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

/// The most tags of which the last change is remembered. Beyond that all are forgotten, and with them what was kept.
const MOST_TAGS: usize = 1 << 16;

/// Who asks what, as a hash: no token is held here.
pub(crate) type Key = [u8; 32];

pub(crate) struct Memory {
    decisions: Cache<Key, Arc<Kept>>,
    word: RwLock<Word>,
}

/// What the feed has told.
#[derive(Debug, Default)]
struct Word {
    /// Until when that is all there was to tell; `None`: nothing was told yet, or the feed is lost.
    good_until: Option<Instant>,
    /// Nothing is known of changes up to this number.
    since: i64,
    /// The number of the last change.
    last: i64,
    /// The number of the last change of each tag that was told.
    changed: HashMap<Box<str>, i64>,
}

struct Kept {
    decision: Decision,
    /// Every change up to this number shows in it.
    as_of: i64,
    tags: Box<[Box<str>]>,
    until: Instant,
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("decisions", &self.decisions.len()).finish_non_exhaustive()
    }
}

impl Memory {
    /// Room for so many decisions; those that nobody asks for go first.
    pub(crate) fn new(most: usize) -> Memory {
        Memory { decisions: Cache::new(most), word: RwLock::default() }
    }

    /// A feed begins: it will tell of all changes after this one.
    pub(crate) fn begin(&self, number: i64) {
        *self.write() = Word { since: number, last: number, ..Word::default() };
    }

    /// All changes up to this number have been told, the last ones by these tags. `good_until`: where that is known.
    pub(crate) fn hear(&self, number: i64, tags: Vec<String>, good_until: Option<Instant>) {
        let mut word = self.write();
        word.last = word.last.max(number);
        word.good_until = word.good_until.max(good_until);
        word.changed.extend(tags.into_iter().map(|tag| (tag.into(), number)));
        if word.changed.len() > MOST_TAGS {
            word.changed.clear();
            word.since = word.last;
        }
    }

    /// The feed is lost, and with it all that it vouched for. Answers whether it had vouched for anything.
    pub(crate) fn lose(&self) -> bool {
        let mut word = self.write();
        self.decisions.clear();
        std::mem::take(&mut *word).good_until.is_some()
    }

    /// Whether an answer could be kept.
    pub(crate) fn is_vouched_for(&self, now: Instant) -> bool {
        self.read().is_good(now)
    }

    pub(crate) fn get(&self, key: &Key, now: Instant) -> Option<Decision> {
        let word = self.read();
        let kept = if word.is_good(now) { self.decisions.get(key)? } else { return None };
        (now < kept.until && word.allows(&kept)).then(|| kept.decision.clone())
    }

    /// `asked_at`: before the question was sent.
    pub(crate) fn put(&self, key: Key, decision: &Decision, keep: Keep, asked_at: Instant) {
        let kept = Kept {
            decision: decision.clone(),
            as_of: keep.as_of,
            tags: keep.tags.into_iter().map(String::into_boxed_str).collect(),
            until: asked_at + Duration::from_millis(keep.for_ms),
        };
        // Held until it is in its place: a feed that is lost meanwhile takes it along.
        let word = self.read();
        // An answer that is ahead of the feed may be of a history that is not the feed's.
        if word.good_until.is_some() && kept.as_of <= word.last && word.allows(&kept) {
            self.decisions.insert(key, Arc::new(kept));
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Word> {
        self.word.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Word> {
        self.word.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Word {
    fn is_good(&self, now: Instant) -> bool {
        self.good_until.is_some_and(|until| now < until)
    }

    /// Whether nothing that this rests on was changed after what shows in it.
    fn allows(&self, kept: &Kept) -> bool {
        let shows = |changed: &i64| *changed <= kept.as_of;
        shows(&self.since) && kept.tags.iter().all(|tag| self.changed.get(tag).is_none_or(shows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = [7; 32];

    /// A feed that is up, at number 10, good for two seconds from `now`.
    fn followed() -> (Memory, Instant) {
        let (memory, now) = (Memory::new(100), Instant::now());
        memory.begin(10);
        memory.hear(10, vec![], Some(now + Duration::from_secs(2)));
        (memory, now)
    }

    fn decision() -> Decision {
        let decision = r#"{"allowed":true,"reason":"granted","missing":[],"would_deny":[],"anonymous":false}"#;
        serde_json::from_str(decision).unwrap()
    }

    fn keep(as_of: i64) -> Keep {
        Keep { as_of, for_ms: 1_000, tags: vec!["token".to_owned(), "target".to_owned()] }
    }

    fn changed(memory: &Memory, number: i64, tag: &str) {
        memory.hear(number, vec![tag.to_owned()], None);
    }

    #[test]
    fn it_is_given_until_its_time_is_over() {
        let (memory, now) = followed();
        memory.put(KEY, &decision(), keep(10), now);
        assert!(memory.get(&KEY, now).unwrap().allowed);
        assert!(memory.get(&[8; 32], now).is_none());
        assert!(memory.get(&KEY, now + Duration::from_millis(999)).is_some());
        assert!(memory.get(&KEY, now + Duration::from_secs(1)).is_none());
    }

    #[test]
    fn nothing_is_kept_before_the_feed_is_up() {
        let (memory, now) = (Memory::new(100), Instant::now());
        memory.put(KEY, &decision(), keep(0), now);
        memory.begin(0);
        memory.put(KEY, &decision(), keep(0), now);
        assert!(!memory.is_vouched_for(now));
        memory.hear(0, vec![], Some(now + Duration::from_secs(2)));
        assert!(memory.get(&KEY, now).is_none());
    }

    #[test]
    fn a_change_takes_away_what_rests_on_it() {
        let (memory, now) = followed();
        memory.put(KEY, &decision(), keep(10), now);
        changed(&memory, 11, "another");
        assert!(memory.get(&KEY, now).is_some());
        changed(&memory, 12, "target");
        assert!(memory.get(&KEY, now).is_none());
    }

    /// However late the answer is, and whichever replica gave it: one that had not heard of the change, or one that had.
    #[test]
    fn an_answer_that_does_not_show_a_change_is_not_kept_after_it() {
        let (memory, now) = followed();
        changed(&memory, 11, "token");
        memory.put(KEY, &decision(), keep(10), now);
        assert!(memory.get(&KEY, now).is_none());
        memory.put(KEY, &decision(), keep(11), now);
        assert!(memory.get(&KEY, now).is_some());
    }

    #[test]
    fn an_answer_from_before_the_feed_began_or_ahead_of_it_is_not_kept() {
        let (memory, now) = followed();
        for as_of in [9, 11] {
            memory.put(KEY, &decision(), keep(as_of), now);
            assert!(memory.get(&KEY, now).is_none(), "{as_of}");
        }
    }

    #[test]
    fn a_feed_that_is_lost_takes_all_along_and_the_next_brings_nothing_back() {
        let (memory, now) = followed();
        memory.put(KEY, &decision(), keep(10), now);
        memory.lose();
        assert!(memory.get(&KEY, now).is_none());
        memory.begin(10);
        memory.hear(10, vec![], Some(now + Duration::from_secs(2)));
        assert!(memory.get(&KEY, now).is_none());
    }

    #[test]
    fn a_word_that_is_too_old_vouches_for_nothing() {
        let (memory, now) = followed();
        memory.put(KEY, &decision(), Keep { for_ms: 60_000, ..keep(10) }, now);
        assert!(memory.get(&KEY, now + Duration::from_millis(1_999)).is_some());
        let late = now + Duration::from_secs(2);
        assert!(memory.get(&KEY, late).is_none());
        // Told in time, and heard late.
        memory.hear(10, vec![], Some(late));
        assert!(memory.get(&KEY, late).is_none());
    }

    #[test]
    fn what_was_changed_is_remembered_within_bounds() {
        let (memory, now) = followed();
        memory.put(KEY, &decision(), keep(10), now);
        let many = (0..=MOST_TAGS).map(|tag| tag.to_string()).collect();
        memory.hear(11, many, None);
        assert!(memory.read().changed.is_empty());
        assert!(memory.get(&KEY, now).is_none(), "it may have been among them");
        memory.put(KEY, &decision(), keep(11), now);
        assert!(memory.get(&KEY, now).is_some());
    }
}
