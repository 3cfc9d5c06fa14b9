//! Where several things may have been so, each is tried: an answer is right when one choice explains it.

use super::history::{Ended, Fact, Window};

/// More than this is not tried.
const MOST: usize = 20_000;

/// The choices made so far, each with how many there are to choose from; the next try repeats all but the last that has another.
#[derive(Debug, Default)]
pub(super) struct Choice {
    made: Vec<(usize, usize)>,
    at: usize,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Explained {
    /// `Sharply`: there was nothing to choose, so nothing else would have been right.
    Sharply,
    Somehow,
    /// Too much was changing at once to tell.
    Undecided,
    Not,
}

impl Choice {
    pub(super) fn of<T>(&mut self, mut from: Vec<T>) -> T {
        assert!(!from.is_empty(), "a fact that never was");
        if from.len() == 1 {
            return from.remove(0);
        }
        if self.at == self.made.len() {
            self.made.push((0, from.len()));
        }
        let (chosen, _) = self.made[self.at];
        self.at += 1;
        from.swap_remove(chosen)
    }

    pub(super) fn seen<T: Clone + PartialEq>(&mut self, fact: &Fact<T>, window: &Window) -> T {
        self.of(fact.candidates(window))
    }

    pub(super) fn ended(&mut self, ended: Ended) -> bool {
        match ended {
            Ended { must: true, .. } => true,
            Ended { may: true, .. } => self.of(vec![false, true]),
            Ended { may: false, .. } => false,
        }
    }

    fn next(&mut self) -> bool {
        while let Some((chosen, from)) = self.made.pop() {
            if chosen + 1 < from {
                self.made.push((chosen + 1, from));
                self.at = 0;
                return true;
            }
        }
        false
    }
}

/// Whether some choice makes the model give this answer.
pub(super) fn explain<T: PartialEq>(answer: &T, model: impl Fn(&mut Choice) -> T) -> Explained {
    let mut choice = Choice::default();
    for tried in 0..MOST {
        if model(&mut choice) == *answer {
            return if tried == 0 && choice.made.is_empty() { Explained::Sharply } else { Explained::Somehow };
        }
        if !choice.next() {
            return Explained::Not;
        }
    }
    Explained::Undecided
}
