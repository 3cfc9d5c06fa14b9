//! What waits goes together: single questions of many callers become few questions of many keys. Nobody waits for company: what
//! finds nothing under way goes at once, with whoever is here by then, and what comes meanwhile is the next batch. What a batch does
//! is its asker's business.

use crate::Refusal;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::timeout;

/// The longest that a caller waits, in the queue or for its batch, but for [`DAWDLES`]; and the longest that a batch may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// After so long a caller waits no longer for what is under way to end: it may hang.
const DAWDLES: Duration = Duration::from_millis(10);

/// Callers with a key each, and what each is answered.
#[derive(Debug)]
pub(crate) struct Gather<K, V> {
    queue: Arc<Mutex<Queue<K, V>>>,
    bounds: Bounds,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// The most keys of one batch.
    pub(crate) batch: usize,
    /// The most batches under way at a time.
    pub(crate) in_flight: usize,
    /// How many have to wait for another batch to begin beside one: few are better off with the next one than by themselves.
    pub(crate) company: usize,
    /// The most callers that wait for a batch; whoever comes then is refused at once.
    pub(crate) waiting: usize,
}

/// Where an answer is waited for.
type Caller<V> = oneshot::Sender<Result<V, Unanswered>>;

#[derive(Debug)]
struct Queue<K, V> {
    waiting: VecDeque<(K, Caller<V>)>,
    in_flight: usize,
}

/// Why there is no answer. That the work failed is not among it: that is an answer, `V`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unanswered {
    /// As many wait as may.
    Full,
    /// It took too long.
    Late,
    /// The batch ended without an answer for this key: a defect of ours.
    Broken,
}

impl From<Unanswered> for Refusal {
    fn from(unanswered: Unanswered) -> Refusal {
        match unanswered {
            Unanswered::Full => Refusal::Unavailable("as many calls wait for the database as may".to_owned()),
            Unanswered::Late => Refusal::Unavailable(format!("no answer within {PATIENCE:?}")),
            Unanswered::Broken => Refusal::Internal("a batch ended without an answer".to_owned()),
        }
    }
}

impl<K: Send + 'static, V: Send + 'static> Gather<K, V> {
    pub(crate) fn new(bounds: Bounds) -> Gather<K, V> {
        let queue = Queue { waiting: VecDeque::new(), in_flight: 0 };
        Gather { queue: Arc::new(Mutex::new(queue)), bounds }
    }

    /// The answer to one key. `work` answers as many values as it is given keys, in their order; it is called with this key
    /// and others, or the `work` of another caller is, so all must do the same. A batch that has begun is brought to its
    /// end, or given up when it takes too long, whoever goes away; a key whose caller went away before that is left out.
    pub(crate) async fn ask<F>(
        &self,
        key: K,
        work: impl Fn(Vec<K>) -> F + Clone + Send + 'static,
    ) -> Result<V, Unanswered>
    where
        F: Future<Output = Vec<V>> + Send + 'static,
    {
        let (caller, mut answer) = oneshot::channel();
        self.enqueue(key, caller)?;
        self.begin(self.bounds.company, &work);
        let answer = if let Ok(answer) = timeout(DAWDLES, &mut answer).await {
            answer
        } else {
            self.begin(1, &work);
            timeout(PATIENCE, answer).await.map_err(|_| Unanswered::Late)?
        };
        answer.map_err(|_| Unanswered::Broken)?
    }

    fn enqueue(&self, key: K, caller: Caller<V>) -> Result<(), Unanswered> {
        let mut queue = lock(&self.queue);
        if queue.waiting.len() >= self.bounds.waiting {
            queue.waiting.retain(|(_, caller)| !caller.is_closed());
        }
        if queue.waiting.len() >= self.bounds.waiting {
            return Err(Unanswered::Full);
        }
        queue.waiting.push_back((key, caller));
        Ok(())
    }

    /// Begins another flight if it may, and if so many wait; the first waits for nobody.
    fn begin<F>(&self, company: usize, work: &(impl Fn(Vec<K>) -> F + Clone + Send + 'static))
    where
        F: Future<Output = Vec<V>> + Send + 'static,
    {
        let mut queue = lock(&self.queue);
        let enough = if queue.in_flight == 0 { 1 } else { company };
        if queue.in_flight < self.bounds.in_flight && queue.waiting.len() >= enough {
            queue.in_flight += 1;
            tokio::spawn(fly(Arc::clone(&self.queue), self.bounds.batch, work.clone()));
        }
    }
}

/// Batch after batch, until nobody waits.
async fn fly<K: Send + 'static, V: Send + 'static, F>(
    queue: Arc<Mutex<Queue<K, V>>>,
    most: usize,
    work: impl Fn(Vec<K>) -> F,
) where
    F: Future<Output = Vec<V>> + Send + 'static,
{
    loop {
        // Whose request is here already comes along, though nobody has looked at it yet.
        yield_now().await;
        let Some((keys, callers)) = next(&queue, most) else { return };
        // A task of its own: were it to panic, its callers would be told, and the next batch goes all the same.
        let mut batch = tokio::spawn(work(keys));
        let Ok(answers) = timeout(PATIENCE, &mut batch).await else {
            batch.abort();
            tell(callers, std::iter::repeat_with(|| Err(Unanswered::Late)));
            continue;
        };
        tell(callers, answers.unwrap_or_default().into_iter().map(Ok));
    }
}

fn tell<V>(callers: Vec<Caller<V>>, answers: impl Iterator<Item = Result<V, Unanswered>>) {
    for (caller, answer) in callers.into_iter().zip(answers) {
        // Nobody is left to tell whoever went away.
        drop(caller.send(answer));
    }
}

/// The next batch; with none the flight is over, and counted out under the same lock.
fn next<K, V>(queue: &Mutex<Queue<K, V>>, most: usize) -> Option<(Vec<K>, Vec<Caller<V>>)> {
    let mut queue = lock(queue);
    let here = std::iter::from_fn(|| queue.waiting.pop_front()).filter(|(_, caller)| !caller.is_closed());
    let (keys, callers): (Vec<K>, Vec<_>) = here.take(most).unzip();
    if keys.is_empty() {
        queue.in_flight -= 1;
        return None;
    }
    Some((keys, callers))
}

fn lock<K, V>(queue: &Mutex<Queue<K, V>>) -> MutexGuard<'_, Queue<K, V>> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::{Semaphore, mpsc};
    use tokio::task::JoinHandle;

    /// Work that tells which keys came together, ends only when it is let, and answers each key's double.
    struct Desk {
        gather: Arc<Gather<u32, u32>>,
        begun: mpsc::UnboundedSender<Vec<u32>>,
        may_end: Arc<Semaphore>,
    }

    const PANIC: u32 = 666;
    const SHORT: u32 = 667;

    impl Desk {
        fn new(batch: usize, in_flight: usize, waiting: usize) -> (Desk, mpsc::UnboundedReceiver<Vec<u32>>) {
            Desk::within(Bounds { batch, in_flight, company: 1, waiting })
        }

        fn within(bounds: Bounds) -> (Desk, mpsc::UnboundedReceiver<Vec<u32>>) {
            let (begun, batches) = mpsc::unbounded_channel();
            let gather = Arc::new(Gather::new(bounds));
            (Desk { gather, begun, may_end: Arc::new(Semaphore::new(0)) }, batches)
        }

        /// Asks, and goes on once the question stands in the queue.
        async fn ask(&self, key: u32) -> JoinHandle<Result<u32, Unanswered>> {
            let (gather, begun, may_end) = (Arc::clone(&self.gather), self.begun.clone(), Arc::clone(&self.may_end));
            let work = move |keys: Vec<u32>| {
                let (begun, may_end) = (begun.clone(), Arc::clone(&may_end));
                async move {
                    begun.send(keys.clone()).unwrap();
                    may_end.acquire().await.unwrap().forget();
                    assert!(!keys.contains(&PANIC), "as it was told to");
                    keys.into_iter().filter(|key| *key != SHORT).map(|key| key * 2).collect()
                }
            };
            let asked = tokio::spawn(async move { gather.ask(key, work).await });
            tokio::task::yield_now().await;
            asked
        }

        fn end(&self, batches: usize) {
            self.may_end.add_permits(batches);
        }
    }

    #[tokio::test]
    async fn the_first_goes_at_once_and_what_comes_meanwhile_goes_together() {
        let (desk, mut batches) = Desk::new(3, 1, 10);
        let first = desk.ask(1).await;
        assert_eq!(batches.recv().await.unwrap(), [1]);
        let rest = [desk.ask(2).await, desk.ask(3).await, desk.ask(4).await, desk.ask(5).await];
        assert!(batches.try_recv().is_err(), "one batch at a time");
        desk.end(3);
        assert_eq!(batches.recv().await.unwrap(), [2, 3, 4], "no more than a batch may have");
        assert_eq!(batches.recv().await.unwrap(), [5]);
        assert_eq!(first.await.unwrap(), Ok(2));
        for (asked, answer) in rest.into_iter().zip([4, 6, 8, 10]) {
            assert_eq!(asked.await.unwrap(), Ok(answer));
        }
        let again = desk.ask(6).await;
        desk.end(1);
        assert_eq!((batches.recv().await.unwrap(), again.await.unwrap()), (vec![6], Ok(12)), "it begins anew");
    }

    #[tokio::test]
    async fn as_many_batches_are_under_way_as_may() {
        let (desk, mut batches) = Desk::new(8, 2, 10);
        let _asked = [desk.ask(1).await, desk.ask(2).await, desk.ask(3).await];
        assert_eq!([batches.recv().await.unwrap(), batches.recv().await.unwrap()], [[1], [2]]);
        assert!(batches.try_recv().is_err());
        desk.end(1);
        assert_eq!(batches.recv().await.unwrap(), [3]);
    }

    #[tokio::test(start_paused = true)]
    async fn few_wait_for_what_is_under_way_and_more_do_not() {
        let (desk, mut batches) = Desk::within(Bounds { batch: 8, in_flight: 2, company: 2, waiting: 10 });
        let _first = desk.ask(1).await;
        assert_eq!(batches.recv().await.unwrap(), [1], "it waits for nobody");
        let _second = desk.ask(2).await;
        assert!(batches.try_recv().is_err());
        let _third = desk.ask(3).await;
        assert_eq!(batches.recv().await.unwrap(), [2, 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_hangs_is_waited_for_no_longer_than_a_while() {
        let (desk, mut batches) = Desk::within(Bounds { batch: 8, in_flight: 2, company: 8, waiting: 10 });
        let _first = desk.ask(1).await;
        assert_eq!(batches.recv().await.unwrap(), [1]);
        let begun = tokio::time::Instant::now();
        let _second = desk.ask(2).await;
        assert_eq!(batches.recv().await.unwrap(), [2]);
        assert!(begun.elapsed() < PATIENCE);
    }

    #[tokio::test]
    async fn a_batch_that_panics_answers_everybody_and_the_next_one_goes() {
        let (desk, mut batches) = Desk::new(8, 1, 10);
        let first = desk.ask(1).await;
        let second = [desk.ask(PANIC).await, desk.ask(2).await];
        assert_eq!(batches.recv().await.unwrap(), [1]);
        desk.end(1);
        assert_eq!(batches.recv().await.unwrap(), [PANIC, 2]);
        let third = desk.ask(3).await;
        desk.end(2);
        assert_eq!(first.await.unwrap(), Ok(2));
        for asked in second {
            assert_eq!(asked.await.unwrap(), Err(Unanswered::Broken));
        }
        assert_eq!(third.await.unwrap(), Ok(6));
    }

    #[tokio::test]
    async fn too_few_answers_leave_nobody_waiting() {
        let (desk, _batches) = Desk::new(8, 1, 10);
        let asked = desk.ask(SHORT).await;
        desk.end(1);
        assert_eq!(asked.await.unwrap(), Err(Unanswered::Broken));
    }

    #[tokio::test]
    async fn whoever_goes_away_takes_nobody_along() {
        let (desk, mut batches) = Desk::new(8, 1, 2);
        let under_way = desk.ask(1).await;
        assert_eq!(batches.recv().await.unwrap(), [1]);
        let (waiting, left) = (desk.ask(2).await, desk.ask(3).await);
        under_way.abort();
        left.abort();
        assert!(left.await.unwrap_err().is_cancelled());
        let in_its_place = desk.ask(4).await;
        desk.end(2);
        assert_eq!(batches.recv().await.unwrap(), [2, 4], "nobody waits for 3 any more");
        assert_eq!((waiting.await.unwrap(), in_its_place.await.unwrap()), (Ok(4), Ok(8)));
    }

    #[tokio::test]
    async fn whoever_comes_to_a_full_queue_is_told_at_once() {
        let (desk, mut batches) = Desk::new(8, 1, 2);
        let under_way = desk.ask(1).await;
        assert_eq!(batches.recv().await.unwrap(), [1]);
        let waiting = [desk.ask(2).await, desk.ask(3).await];
        assert_eq!(desk.ask(4).await.await.unwrap(), Err(Unanswered::Full));
        desk.end(2);
        assert_eq!(under_way.await.unwrap(), Ok(2));
        for (asked, answer) in waiting.into_iter().zip([4, 6]) {
            assert_eq!(asked.await.unwrap(), Ok(answer));
        }
    }
}
