//! How often each of any number of keys failed lately, in memory that does not grow: a table of two rows, in each of which a key
//! shares its cell with others by chance. What counts is the emptier of its two cells, so sharing both of them, with one
//! that fails a lot, is what it takes to be limited for somebody else; and then it is failures that are.

use super::Policy;
use std::cmp::Reverse;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::atomic::{AtomicI64, Ordering};
use time::OffsetDateTime;

/// Cells in a row: a row is 256 KiB.
const WIDTH: usize = 1 << 15;

const SECOND: i64 = 1_000_000;

#[derive(Debug)]
pub(crate) struct Sketch {
    policy: &'static Policy,
    rows: [Row; 2],
}

/// Each row has a secret of its own for its hashes, so that nobody can aim at another's cell.
#[derive(Debug)]
struct Row {
    secret: RandomState,
    /// When each will be empty again, in microseconds since 1970.
    cells: Box<[AtomicI64]>,
}

/// How full the cell of a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Level {
    pub(crate) exceeded: bool,
    /// How many more failures there is room for.
    pub(crate) left: i64,
    /// Until there is room for one when it is exceeded, else until it is empty.
    pub(crate) seconds: i64,
}

impl Sketch {
    pub(crate) fn new(policy: &'static Policy) -> Sketch {
        let row = || Row { secret: RandomState::new(), cells: (0..WIDTH).map(|_| AtomicI64::new(0)).collect() };
        Sketch { policy, rows: [row(), row()] }
    }

    /// Counts a failure of this key.
    pub(crate) fn count(&self, key: &impl Hash, now: OffsetDateTime) -> Level {
        let now = i64::try_from(now.unix_timestamp_nanos() / 1000).unwrap_or(0);
        let levels = self.rows.iter().filter_map(|row| row.cell(key)).map(|cell| fill(cell, self.policy, now));
        let emptier = levels.max_by_key(|level| (!level.exceeded, level.left, Reverse(level.seconds)));
        emptier.unwrap_or(Level { exceeded: true, left: 0, seconds: self.policy.window })
    }
}

impl Row {
    fn cell(&self, key: &impl Hash) -> Option<&AtomicI64> {
        let hash = usize::try_from(self.secret.hash_one(key) % (WIDTH as u64)).ok()?;
        self.cells.get(hash)
    }
}

/// A cell drains steadily, one failure in each `window / quota`. It takes another while it will be empty within the window.
fn fill(cell: &AtomicI64, policy: &Policy, now: i64) -> Level {
    let window = policy.window * SECOND;
    let one = window / policy.quota;
    let fuller = |empty_at: i64| empty_at.max(now) + one;
    let room = |empty_at: i64| (fuller(empty_at) - now <= window).then(|| fuller(empty_at));
    match cell.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room) {
        Ok(before) => {
            let takes = fuller(before) - now;
            Level { exceeded: false, left: (window - takes) / one, seconds: whole_seconds(takes) }
        }
        Err(before) => Level { exceeded: true, left: 0, seconds: whole_seconds(fuller(before) - now - window) },
    }
}

fn whole_seconds(micros: i64) -> i64 {
    (micros + SECOND - 1) / SECOND
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::Duration;

    static TEN_A_MINUTE: Policy = Policy { name: "test", quota: 10, window: 60 };
    const START: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    #[test]
    fn a_quota_may_be_used_at_once_and_comes_back_bit_by_bit() {
        let sketch = Sketch::new(&TEN_A_MINUTE);
        for left in (0..10).rev() {
            let seconds = (10 - left) * 6;
            assert_eq!(sketch.count(&"key", START), Level { exceeded: false, left, seconds });
        }
        // Trying on makes it no longer.
        for _ in 0..3 {
            assert_eq!(sketch.count(&"key", START), Level { exceeded: true, left: 0, seconds: 6 });
        }
        assert!(sketch.count(&"key", START + Duration::milliseconds(5999)).exceeded);
        assert_eq!(sketch.count(&"key", START + Duration::seconds(6)), Level { exceeded: false, left: 0, seconds: 60 });
        assert!(sketch.count(&"key", START + Duration::seconds(6)).exceeded);
        assert_eq!(sketch.count(&"key", START + Duration::minutes(5)), Level { exceeded: false, left: 9, seconds: 6 });
    }

    #[test]
    fn many_keys_do_not_fill_the_cells_of_another() {
        let sketch = Sketch::new(&TEN_A_MINUTE);
        for key in 0..2000 {
            for _ in 0..20 {
                sketch.count(&key, START);
            }
        }
        let limited = (2000..3000).filter(|key| sketch.count(key, START).exceeded).count();
        // One in two hundred and seventy is expected to share both cells.
        assert!(limited < 50, "{limited} of 1000");
    }

    #[test]
    fn failures_at_once_from_many_threads_are_all_counted() {
        let sketch = Sketch::new(&TEN_A_MINUTE);
        let allowed: usize = std::thread::scope(|scope| {
            let count = || (0..50).filter(|_| !sketch.count(&"key", START).exceeded).count();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(count)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        // The rows are filled one after the other: as many may slip through as are between them.
        assert!((10..=13).contains(&allowed), "{allowed}");
    }

    #[test]
    fn a_clock_that_is_set_back_does_no_harm() {
        let sketch = Sketch::new(&TEN_A_MINUTE);
        sketch.count(&"key", START + Duration::seconds(1));
        assert!(!sketch.count(&"key", START).exceeded);
    }
}
