//! The one door for time. The clock that counts is the database's; a replica follows it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use time::{Duration, OffsetDateTime};

/// How far a replica's clock may be from the database's before it is not ready.
pub(crate) const TOLERANCE: Duration = Duration::seconds(1);

#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's clock, corrected to the database's by this many microseconds.
    System(Arc<AtomicI64>),
    /// For tests: microseconds since 1970, moved by hand.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    pub fn system() -> Clock {
        Clock::System(Arc::default())
    }

    pub fn manual(start: OffsetDateTime) -> Clock {
        Clock::Manual(Arc::new(AtomicI64::new(micros(start))))
    }

    pub fn now(&self) -> OffsetDateTime {
        match self {
            Clock::System(offset) => machine_now() + Duration::microseconds(offset.load(Ordering::Relaxed)),
            Clock::Manual(now) => from_micros(now.load(Ordering::Relaxed)),
        }
    }

    /// Moves a manual clock; a system clock moves by itself.
    pub fn advance(&self, by: Duration) {
        if let Clock::Manual(now) = self {
            now.fetch_add(i64::try_from(by.whole_microseconds()).unwrap_or(0), Ordering::Relaxed);
        }
    }

    /// Takes the database's time, read between these two readings of the machine's.
    pub(crate) fn follow(&self, database: OffsetDateTime, before: OffsetDateTime, after: OffsetDateTime) {
        if let Clock::System(offset) = self {
            let middle = before + (after - before) / 2;
            let ahead: Duration = database - middle;
            let correction = i64::try_from(ahead.whole_microseconds()).unwrap_or(0);
            offset.store(correction, Ordering::Relaxed);
        }
    }
}

/// The machine's own time, uncorrected; to the microsecond, as the database keeps it.
#[expect(clippy::disallowed_methods, reason = "this is the door")]
pub(crate) fn machine_now() -> OffsetDateTime {
    from_micros(micros(OffsetDateTime::now_utc()))
}

fn micros(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos() / 1000).unwrap_or(0)
}

fn from_micros(micros: i64) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + Duration::microseconds(micros)
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn a_manual_clock_moves_only_by_hand() {
        let clock = Clock::manual(datetime!(2026-11-23 10:00 UTC));
        clock.follow(datetime!(2030-01-01 0:00 UTC), clock.now(), clock.now());
        clock.advance(Duration::seconds(5));
        assert_eq!(clock.now(), datetime!(2026-11-23 10:00:05 UTC));
    }

    #[test]
    fn a_system_clock_follows_the_database() {
        let clock = Clock::system();
        let now = machine_now();
        clock.follow(now + Duration::hours(1), now, now);
        assert!(clock.now() - machine_now() > Duration::minutes(59));
    }
}
