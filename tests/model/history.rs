//! What was so when. A change that was made through the API is a `Write`: it began, and perhaps it was answered. A `Fact` keeps what was
//! written to it, and says what a question that was asked at some time may have seen of it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use time::OffsetDateTime;

/// Of so many values of one fact, those that were overwritten long ago are forgotten.
const MANY: usize = 12;
/// Nothing that is asked takes so long.
const LONG_AGO: Duration = Duration::from_mins(1);

/// A question, and when it was asked and answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) replica: usize,
    pub(super) began: Instant,
    pub(super) ended: Instant,
    /// The clock that the replicas share, before and after.
    pub(super) clock: (OffsetDateTime, OffsetDateTime),
    /// How long another replica's change may stay unseen.
    pub(super) bound: Duration,
}

#[derive(Clone, Copy, Debug)]
enum Outcome {
    UnderWay,
    Answered(Instant),
    /// It changed nothing.
    Refused,
}

/// One change, and all that it changes shares it.
#[derive(Clone, Debug)]
pub(super) struct Write(Arc<Made>);

#[derive(Debug)]
struct Made {
    replica: usize,
    began: Instant,
    outcome: Mutex<Outcome>,
}

impl Write {
    /// To be made before the request is sent.
    pub(super) fn begin(replica: usize) -> Write {
        Write(Arc::new(Made { replica, began: Instant::now(), outcome: Mutex::new(Outcome::UnderWay) }))
    }

    /// What somebody else did, some time before now.
    pub(super) fn noticed() -> Write {
        let write = Write::begin(usize::MAX);
        write.end(true);
        write
    }

    /// As things were before anybody asked.
    pub(super) fn given() -> Write {
        let write = Write::begin(0);
        write.end(true);
        write
    }

    pub(super) fn end(&self, changed: bool) {
        let outcome = if changed { Outcome::Answered(Instant::now()) } else { Outcome::Refused };
        *self.0.outcome.lock().unwrap() = outcome;
    }

    fn outcome(&self) -> Outcome {
        *self.0.outcome.lock().unwrap()
    }

    fn answered(&self) -> Option<Instant> {
        match self.outcome() {
            Outcome::Answered(at) => Some(at),
            _ => None,
        }
    }

    fn may_show(&self, window: &Window) -> bool {
        self.0.began <= window.ended && !matches!(self.outcome(), Outcome::Refused)
    }

    /// At once on the replica that answered it, within the bound on the others.
    fn must_show(&self, window: &Window) -> bool {
        let lag = if self.0.replica == window.replica { Duration::ZERO } else { window.bound };
        self.answered().is_some_and(|at| at + lag <= window.began)
    }

    /// Whether the other was answered before this one was asked for; of two that met, neither is after the other.
    fn is_after(&self, other: &Write) -> bool {
        other.answered().is_some_and(|at| self.0.began >= at)
    }

    fn is_long_ago(&self) -> bool {
        match self.outcome() {
            Outcome::Refused => true,
            Outcome::Answered(at) => at.elapsed() > LONG_AGO,
            Outcome::UnderWay => false,
        }
    }
}

/// Something that has one value at a time.
#[derive(Debug)]
pub(super) struct Fact<T>(Mutex<Vec<(Write, T)>>);

impl<T: Clone + PartialEq> Fact<T> {
    pub(super) fn new(write: &Write, value: T) -> Fact<T> {
        Fact(Mutex::new(vec![(write.clone(), value)]))
    }

    pub(super) fn write(&self, write: &Write, value: T) {
        let mut values = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        values.push((write.clone(), value));
        if values.len() > MANY {
            let overwritten = |one: &Write| {
                values.iter().any(|(other, _)| other.is_after(one) && other.is_long_ago() && other.answered().is_some())
            };
            let kept =
                values.iter().filter(|(one, _)| !one.is_long_ago() || (one.answered().is_some() && !overwritten(one)));
            *values = kept.cloned().collect();
        }
    }

    /// What this change made of it is known better now.
    pub(super) fn correct(&self, write: &Write, better: &T) {
        let mut values = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, value) in values.iter_mut().filter(|(one, _)| Arc::ptr_eq(&one.0, &write.0)) {
            *value = better.clone();
        }
    }

    /// Each value that the question may have seen: what was begun by its end, unless something later must show.
    pub(super) fn candidates(&self, window: &Window) -> Vec<T> {
        let values = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_gone = |one: &Write| values.iter().any(|(other, _)| other.must_show(window) && other.is_after(one));
        let mut seen = vec![];
        for (index, (write, value)) in values.iter().enumerate() {
            // The first is how it was before anybody wrote it, however late the model heard of it.
            let may_show = index == 0 || write.may_show(window);
            if may_show && !is_gone(write) && !seen.contains(value) {
                seen.push(value.clone());
            }
        }
        seen
    }

    /// Whether nobody who asks can see any other value than the latest.
    pub(super) fn is_settled(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().all(|(write, _)| write.is_long_ago())
    }

    /// The last that was written, for whoever wants to write the next.
    pub(super) fn latest(&self) -> T {
        let values = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let standing = values.iter().rev().find(|(write, _)| !matches!(write.outcome(), Outcome::Refused));
        standing.expect("the first is never refused").1.clone()
    }
}

/// What ends something for good: whatever was born before it.
#[derive(Debug, Default)]
pub(super) struct Ends(Mutex<Vec<Write>>);

/// Whether something has ended, as a question may have seen it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) may: bool,
    pub(super) must: bool,
}

impl Ends {
    pub(super) fn add(&self, write: &Write) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(write.clone());
    }

    /// Of something that was born by `birth`. Of an end that met the birth, nobody knows whether it came first.
    pub(super) fn of(&self, birth: &Write, window: &Window) -> Ended {
        let mut ended = Ended::default();
        for end in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            ended.may |= end.may_show(window) && !birth.is_after(end);
            ended.must |= end.must_show(window) && end.is_after(birth);
        }
        ended
    }
}

impl std::ops::BitOrAssign for Ended {
    fn bitor_assign(&mut self, other: Ended) {
        self.may |= other.may;
        self.must |= other.must;
    }
}
