//! A batch on its way through the steps of a mint: each step takes what has come so far, and what it refuses neither goes further
//! nor stops the others.

use super::Minted;
use crate::Refusal;

/// What comes of one mint.
pub(crate) type Outcome = Result<Minted, Stopped>;

#[derive(Debug)]
pub(crate) enum Stopped {
    Refused(Refusal),
    /// It may be minted in a transaction of its own: what it needs is held by somebody else, or its batch failed.
    Alone,
}

impl From<Refusal> for Stopped {
    fn from(refusal: Refusal) -> Stopped {
        Stopped::Refused(refusal)
    }
}

/// What is still under way, and what has come of the others, each with its place.
#[derive(Debug)]
pub(crate) struct Batch<T> {
    going: Vec<(usize, T)>,
    over: Vec<(usize, Stopped)>,
}

impl<T> Batch<T> {
    pub(crate) fn of(items: impl IntoIterator<Item = T>) -> Batch<T> {
        Batch { going: items.into_iter().enumerate().collect(), over: Vec::new() }
    }

    /// Of those under way, in their order.
    pub(super) fn each<'b, U>(&'b self, of: impl Fn(&'b T) -> U) -> Vec<U> {
        self.going.iter().map(|(_, item)| of(item)).collect()
    }

    /// Takes each a step further, or no further.
    pub(super) fn sift<U, E: Into<Stopped>>(mut self, mut step: impl FnMut(T) -> Result<U, E>) -> Batch<U> {
        let mut going = Vec::with_capacity(self.going.len());
        for (place, item) in self.going {
            match step(item) {
                Ok(item) => going.push((place, item)),
                Err(over) => self.over.push((place, over.into())),
            }
        }
        Batch { going, over: self.over }
    }

    /// Each with what was found for it; there is as much of that as there are under way, in their order.
    pub(super) fn join<U>(self, found: Vec<U>) -> Batch<(T, U)> {
        let going = self.going.into_iter().zip(found).map(|((place, item), found)| (place, (item, found)));
        Batch { going: going.collect(), over: self.over }
    }

    /// The end: those that are under way arrive.
    pub(super) fn outcomes(self, minted: impl Fn(T) -> Minted) -> Vec<Outcome> {
        let mut all: Vec<_> = self.over.into_iter().map(|(place, stopped)| (place, Err(stopped))).collect();
        all.extend(self.going.into_iter().map(|(place, item)| (place, Ok(minted(item)))));
        all.sort_unstable_by_key(|(place, _)| *place);
        all.into_iter().map(|(_, outcome)| outcome).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_goes_no_further_and_keeps_its_place() {
        let batch = Batch::of([1, 2, 3, 4]).sift(|n| if n == 3 { Err(Stopped::Alone) } else { Ok(n * 10) });
        assert_eq!(batch.each(|n| *n), [10, 20, 40]);
        let batch = batch.join(vec!["a", "b", "c"]).sift(|(n, found)| match n {
            10 => Err(Refusal::NotFound),
            _ => Ok((n, found)),
        });
        assert_eq!(batch.each(|item| *item), [(20, "b"), (40, "c")]);
        let outcomes = batch.sift(|_| Err::<(), _>(Refusal::ReadOnly)).outcomes(|()| unreachable!());
        assert!(matches!(
            outcomes.as_slice(),
            [
                Err(Stopped::Refused(Refusal::NotFound)),
                Err(Stopped::Refused(Refusal::ReadOnly)),
                Err(Stopped::Alone),
                Err(Stopped::Refused(Refusal::ReadOnly))
            ]
        ));
    }
}
