//! The one door for time. The clock that counts is the database's; a replica follows it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::SystemTime;
use time::{Duration, OffsetDateTime};

/// How far a replica's clock may be from the database's before it is not ready.
pub(crate) const TOLERANCE: Duration = Duration::seconds(1);
/// Of a second.
const MICROS: i64 = 1_000_000;

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
            Clock::System(offset) => from_micros(machine_micros() + offset.load(Ordering::Relaxed)),
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
pub(crate) fn machine_now() -> OffsetDateTime {
    from_micros(machine_micros())
}

/// Since 1970. Every request asks a few times, so no date is made of it before it must be.
#[expect(clippy::disallowed_methods, reason = "this is the door")]
fn machine_micros() -> i64 {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_1970.as_micros()).unwrap_or(0)
}

fn micros(at: OffsetDateTime) -> i64 {
    at.unix_timestamp() * MICROS + i64::from(at.microsecond())
}

fn from_micros(micros: i64) -> OffsetDateTime {
    let second = OffsetDateTime::from_unix_timestamp(micros.div_euclid(MICROS)).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let within = u32::try_from(micros.rem_euclid(MICROS)).unwrap_or_default();
    second.replace_microsecond(within).unwrap_or(second)
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
    fn microseconds_are_times_and_back_before_1970_too() {
        for at in [datetime!(2026-11-23 10:00:00.000_001 UTC), datetime!(1969-12-31 23:59:59.999_999 UTC)] {
            assert_eq!(from_micros(micros(at)), at);
        }
        assert_eq!(micros(datetime!(1969-12-31 23:59:59.5 UTC)), -500_000);
    }

    #[test]
    fn a_system_clock_follows_the_database() {
        let clock = Clock::system();
        let now = machine_now();
        clock.follow(now + Duration::hours(1), now, now);
        assert!(clock.now() - machine_now() > Duration::minutes(59));
    }
}
