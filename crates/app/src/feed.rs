//! The feed of invalidations: what this replica takes note of in the change log, told on to services that keep answers. A ground is
//! told by its tag, which differs from service to service, so that no service can tell what others' answers rest on, nor two of
//! them what they have in common.

use crate::cache::Kept;
use crate::{App, Refusal, ServiceCaller};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jobpass_domain::ground::Ground;
use jobpass_domain::ids::ServiceId;
use jobpass_domain::service::Service;
use jobpass_persistence::change_log::{self, Position};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use time::OffsetDateTime;
use tokio::sync::broadcast;

/// The most streams of one service.
const MOST_OF_ONE: usize = 32;
/// The most streams in all.
const MOST: usize = 1_024;
/// How many readings of the log may wait for whoever is slow to read; beyond that its stream ends.
const WAITING: usize = 256;
/// How many readings a stream begins with at most; who missed more has more to load than to keep.
const MOST_RESUMED: usize = 10;
/// Of the 256 bits of a tag, in bytes. Two grounds that share one would cost a question too many, and never one too few.
const TAG: usize = 16;

/// What was read of the change log at once.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) changes: Vec<(i64, Ground)>,
    /// The last of them, or what was read before.
    pub(crate) position: Position,
    /// When it began, if it came to the end of the log: every change that was committed before has then been told.
    pub(crate) caught_up: Option<Instant>,
}

#[derive(Clone, Debug)]
enum Word {
    Read(Arc<Reading>),
    /// Something may have been missed, or the server stops: every stream ends.
    Over,
}

/// All streams of this replica.
#[derive(Clone, Debug)]
pub(crate) struct Feed {
    words: broadcast::Sender<Word>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Up to where it was told; `None`: not following.
    position: Option<Position>,
    open: HashMap<ServiceId, usize>,
    stopped: bool,
}

impl Default for Feed {
    fn default() -> Feed {
        Feed { words: broadcast::Sender::new(WAITING), state: Arc::default() }
    }
}

impl Feed {
    /// Once what rests on it has been dropped here.
    pub(crate) fn tell(&self, reading: Reading) {
        self.lock().position = Some(reading.position);
        // An error tells that nobody listens.
        drop(self.words.send(Word::Read(Arc::new(reading))));
    }

    pub(crate) fn lose(&self) {
        self.lock().position = None;
        drop(self.words.send(Word::Over));
    }

    pub(crate) fn stop(&self) {
        self.lock().stopped = true;
        self.lose();
    }

    /// A place among the streams, what will be told from now on, and up to where it was told before.
    fn join(&self, service: ServiceId) -> Result<(Place, broadcast::Receiver<Word>, Position), Refusal> {
        let words = self.words.subscribe();
        let mut state = self.lock();
        let unavailable = |why: &str| Refusal::Unavailable(why.to_owned());
        let position = state.position.filter(|_| !state.stopped).ok_or_else(|| unavailable("not following changes"))?;
        if state.open.values().sum::<usize>() >= MOST {
            return Err(unavailable("as many streams are open as may be"));
        }
        let open = state.open.entry(service).or_default();
        if *open >= MOST_OF_ONE {
            return Err(crate::Conflict::TooManyStreams { limit: MOST_OF_ONE }.into());
        }
        *open += 1;
        drop(state);
        metrics::gauge!("jobpass_invalidation_streams").increment(1);
        Ok((Place { feed: self.clone(), service }, words, position))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of the streams that may be open.
#[derive(Debug)]
struct Place {
    feed: Feed,
    service: ServiceId,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.feed.lock();
        if let Some(open) = state.open.get_mut(&self.service) {
            *open -= 1;
            if *open == 0 {
                state.open.remove(&self.service);
            }
        }
        drop(state);
        metrics::gauge!("jobpass_invalidation_streams").decrement(1);
    }
}

/// What one service knows grounds by, the same on every replica.
#[derive(Clone, Debug)]
struct Tags(hmac::Key);

impl Tags {
    fn of(&self, ground: Ground) -> String {
        let (kind, id) = ground.stored();
        let id = id.unwrap_or_default();
        let tag = hmac::sign(&self.0, &[id.as_bytes(), kind.as_bytes()].concat());
        URL_SAFE_NO_PAD.encode(tag.as_ref().get(..TAG).unwrap_or_default())
    }
}

/// One stream. Whatever ends it, the service's own change included, may be followed by another.
#[derive(Debug)]
pub struct Invalidations {
    app: Arc<App>,
    words: broadcast::Receiver<Word>,
    tags: Tags,
    service: ServiceId,
    /// When the credential ends that it was opened with.
    proven_until: Option<OffsetDateTime>,
    opened: Instant,
    /// Up to where it has told.
    position: Position,
    /// What is to be told at once.
    ahead: VecDeque<Told>,
    over: bool,
    _place: Place,
}

/// One event of a stream.
#[derive(Debug)]
pub struct Told {
    /// From where a further stream can go on; `None`: from where this one did.
    pub at: Option<String>,
    /// All that was committed until so long after the stream was opened has been told.
    pub age: Option<Duration>,
    pub what: What,
}

#[derive(Debug)]
pub enum What {
    /// How far apart two events are at most, and for how long an answer may be given after the last one.
    Opened { beat: Duration, bound: Duration },
    /// What rests on any of these is not true any more.
    Changed(Vec<String>),
    /// Nothing that was kept before may be given any more.
    Reset,
    /// Nothing was changed.
    Beat,
}

impl App {
    /// A stream that tells what is changed from now on; or `since` a position, as far as that is known still.
    pub async fn invalidations(
        self: &Arc<App>,
        caller: &ServiceCaller,
        since: Option<&str>,
    ) -> Result<Invalidations, Refusal> {
        let opened = Instant::now();
        let service = caller.service.id;
        let tags = self.tags(service)?;
        let (place, words, position) = self.feed.join(service)?;
        // What was changed about the caller up to now would never be told here, so it must have been seen.
        let proven_until =
            self.proof(caller).ok_or_else(|| Refusal::Unavailable("the caller has just changed".to_owned()))?.until;
        let mut stream = Invalidations {
            app: Arc::clone(self),
            words,
            tags,
            service,
            proven_until,
            opened,
            position,
            ahead: VecDeque::new(),
            over: false,
            _place: place,
        };
        stream.begin(since).await?;
        Ok(stream)
    }

    /// What was changed since; `None`: that is not known any more, or it was too much.
    async fn missed(&self, since: &str) -> Result<Option<(Position, Vec<Reading>)>, Refusal> {
        let Some(begin) = Position::parse(since) else { return Ok(None) };
        let (mut position, mut readings) = (begin, Vec::new());
        while readings.len() < MOST_RESUMED {
            let since = change_log::since(self.db.read(), position).await?;
            let Some(changes) = since.changes else { return Ok(None) };
            position = since.position;
            readings.push(Reading { changes, position, caught_up: None });
            if !since.more {
                return Ok(Some((begin, readings)));
            }
        }
        Ok(None)
    }

    fn tags(&self, service: ServiceId) -> Result<Tags, Refusal> {
        Ok(Tags(self.encryption_key()?.derive("jobpass invalidations", service.0)))
    }
}

impl Invalidations {
    /// Waits for the next event; `None`: the stream is over.
    pub async fn next(&mut self) -> Option<Told> {
        loop {
            if let Some(told) = self.ahead.pop_front() {
                return Some(told);
            }
            if self.over || self.proven_until.is_some_and(|until| until <= self.app.now()) {
                return None;
            }
            // Lagging behind is an error, too: something was missed.
            let Ok(Word::Read(reading)) = self.words.recv().await else { return None };
            self.read(&reading);
        }
    }

    /// What is told before anything that is new.
    async fn begin(&mut self, since: Option<&str>) -> Result<(), Refusal> {
        let opened = What::Opened { beat: self.app.reading_period(), bound: self.app.cache.freshness.bound() };
        let missed = match since {
            Some(since) => self.app.missed(since).await?,
            None => Some((self.position, vec![])),
        };
        if let Some((position, readings)) = missed {
            self.position = position;
            self.tell(opened, None);
            for reading in &readings {
                self.read(reading);
            }
        } else {
            self.ahead.push_back(Told { at: None, age: None, what: opened });
            self.tell(What::Reset, None);
        }
        Ok(())
    }

    /// Tells what was not told before.
    fn read(&mut self, reading: &Reading) {
        let is_new = |(number, _): &&(i64, Ground)| *number > self.position.number;
        let mut grounds: Vec<Ground> = reading.changes.iter().filter(is_new).map(|(_, ground)| *ground).collect();
        grounds.sort_unstable();
        grounds.dedup();
        if reading.position.number > self.position.number {
            self.position = reading.position;
        }
        let everything = grounds.contains(&Ground::Everything);
        // Whether the service may still listen is for a new stream to prove.
        self.over |= everything || grounds.contains(&Ground::Service(self.service));
        let age = reading.caught_up.and_then(|read_at| read_at.checked_duration_since(self.opened));
        let what = match grounds.as_slice() {
            _ if everything => What::Reset,
            [] if age.is_none() => return,
            [] => What::Beat,
            some => What::Changed(some.iter().map(|ground| self.tags.of(*ground)).collect()),
        };
        self.tell(what, age);
    }

    fn tell(&mut self, what: What, age: Option<Duration>) {
        self.ahead.push_back(Told { at: Some(self.position.to_string()), age, what });
    }
}

/// For how long an answer may be kept by whoever asked, and what ends that before.
#[derive(Debug)]
pub struct Keep {
    /// Every change up to this number shows in the answer.
    pub as_of: i64,
    pub time: Duration,
    /// What the answer rests on.
    pub tags: Vec<String>,
}

/// Drawn before anything is loaded for an answer that the asker wants to keep.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AsOf(i64);

impl App {
    /// `None`: what others change is not followed, or the caller has changed, so nothing can be promised.
    pub(crate) fn as_of(&self, caller: &ServiceCaller) -> Option<AsOf> {
        let number = self.followed.number();
        let promised = self.cache.freshness.is_trusted() && self.proof(caller).is_some();
        promised.then_some(AsOf(number))
    }

    /// What the caller was proven by, if it has not changed since: up to whatever this replica has taken note of before.
    fn proof<'a>(&self, caller: &'a ServiceCaller) -> Option<&'a Kept<Arc<Service>>> {
        caller.kept.as_deref().filter(|kept| kept.holds(&self.cache.freshness, self.now()))
    }

    /// Never for longer than the service's gateways may rely on an answer: what is answered elsewhere is not counted as a use.
    pub(crate) fn may_keep(
        &self,
        AsOf(as_of): AsOf,
        caller: &ServiceCaller,
        grounds: impl IntoIterator<Item = Ground>,
        until: Option<OffsetDateTime>,
    ) -> Result<Keep, Refusal> {
        let at_most = Duration::from_secs(caller.service.answer_seconds.into());
        let left = until.map(|until| Duration::try_from(until - self.now()).unwrap_or_default());
        let tags = self.tags(caller.service.id)?;
        let service = Ground::Service(caller.service.id);
        Ok(Keep {
            as_of,
            time: left.map_or(at_most, |left| left.min(at_most)),
            tags: grounds.into_iter().chain([service]).map(|ground| tags.of(ground)).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Clock, EncryptionKey, Settings};
    use jobpass_domain::ids::ProjectId;
    use jobpass_domain::text::Label;
    use jobpass_persistence::Db;
    use uuid::Uuid;

    const MARK: &str = "0193a2b4000070008000000000000000";

    /// On a database that nobody asks.
    fn app() -> Arc<App> {
        let options = jobpass_persistence::connect_options("postgres://nobody@127.0.0.1:1/none").unwrap();
        let settings = Settings { encryption_key: EncryptionKey::parse(&"ab".repeat(32)), ..Settings::default() };
        let app = App::new(Db::new(options, 1), Clock::manual(OffsetDateTime::UNIX_EPOCH), settings);
        app.feed.tell(reading(0, []));
        Arc::new(app)
    }

    /// One that ends with this number, and has so many changes.
    fn reading<const N: usize>(number: i64, grounds: [Ground; N]) -> Reading {
        let position = Position::parse(&format!("{number}-{MARK}")).unwrap();
        let changes = (1..=number).skip(usize::try_from(number).unwrap() - N).zip(grounds).collect();
        Reading { changes, position, caught_up: Some(Instant::now()) }
    }

    fn project(id: u128) -> Ground {
        Ground::Project(ProjectId(Uuid::from_u128(id)))
    }

    fn caller(app: &App, id: u128, changed: bool) -> ServiceCaller {
        let id = ServiceId(Uuid::from_u128(id));
        let service = Arc::new(Service {
            id,
            name: Label::parse("registry").unwrap(),
            resources: None,
            project: None,
            project_path: None,
            audience: None,
            audience_required: false,
            answer_seconds: 60,
            paused: false,
            route_table: "gitlab".to_owned(),
            forward_auth: None,
            created_at: OffsetDateTime::UNIX_EPOCH,
        });
        let kept = Kept::new(Arc::clone(&service), app.cache.freshness.ticket(), [Ground::Service(id)], None);
        if changed {
            app.cache.freshness.touch([Ground::Service(id)]);
        }
        ServiceCaller { service, request: Uuid::nil(), fresh: false, kept: Some(Arc::new(kept)) }
    }

    /// What is told next, and up to where: the number of tags of what was changed.
    async fn next(stream: &mut Invalidations) -> Option<(String, usize)> {
        let told = stream.next().await?;
        let number = told.at.unwrap().split_once('-').unwrap().0.to_owned();
        Some((number, if let What::Changed(tags) = told.what { tags.len() } else { 0 }))
    }

    #[tokio::test]
    async fn whoever_is_slow_to_read_is_told_no_more() {
        let app = app();
        let mut stream = app.invalidations(&caller(&app, 1, false), None).await.unwrap();
        assert_eq!(next(&mut stream).await, Some(("0".to_owned(), 0)), "opened");
        for number in 0..=WAITING {
            app.feed.tell(reading(i64::try_from(number).unwrap(), []));
        }
        assert_eq!(next(&mut stream).await, None, "something was missed");
    }

    #[tokio::test]
    async fn what_was_told_before_is_not_told_again() {
        let app = app();
        let mut stream = app.invalidations(&caller(&app, 1, false), None).await.unwrap();
        app.feed.tell(reading(2, [project(1), project(2)]));
        // As after a stream that went on from further up than its replica had read.
        app.feed.tell(reading(1, [project(1)]));
        app.feed.tell(reading(3, [project(1), project(2), project(2)]));
        let told = [next(&mut stream).await, next(&mut stream).await, next(&mut stream).await, next(&mut stream).await];
        let expected = [("0", 0), ("2", 2), ("2", 0), ("3", 1)];
        assert_eq!(told, expected.map(|(number, tags)| Some((number.to_owned(), tags))));
    }

    #[tokio::test]
    async fn a_stream_that_ends_leaves_its_place() {
        let app = app();
        let ours = caller(&app, 1, false);
        let mut streams = Vec::new();
        for _ in 0..MOST_OF_ONE {
            streams.push(app.invalidations(&ours, None).await.unwrap());
        }
        assert!(matches!(app.invalidations(&ours, None).await, Err(Refusal::Conflict(_))));
        app.invalidations(&caller(&app, 2, false), None).await.unwrap();
        streams.pop();
        app.invalidations(&ours, None).await.unwrap();
    }

    /// Its change was told before the stream began, and would never be told in it.
    #[tokio::test]
    async fn whoever_was_changed_since_it_proved_itself_proves_itself_again() {
        let app = app();
        assert!(matches!(app.invalidations(&caller(&app, 1, true), None).await, Err(Refusal::Unavailable(_))));
    }

    #[tokio::test]
    async fn none_begins_once_the_server_stops() {
        let app = app();
        let mut stream = app.invalidations(&caller(&app, 1, false), None).await.unwrap();
        app.end_streams();
        app.feed.tell(reading(1, []));
        assert_eq!(next(&mut stream).await, Some(("0".to_owned(), 0)), "opened");
        assert_eq!(next(&mut stream).await, None);
        assert!(app.invalidations(&caller(&app, 2, false), None).await.is_err());
    }

    #[tokio::test]
    async fn a_tag_tells_neither_what_it_is_of_nor_whose_it_is() {
        let app = app();
        let [ours, theirs] = [1, 2].map(|id| app.tags(ServiceId(Uuid::from_u128(id))).unwrap());
        assert_eq!(ours.of(project(7)).len(), 22);
        assert_eq!(ours.of(project(7)), ours.of(project(7)));
        assert_ne!(ours.of(project(7)), theirs.of(project(7)));
        assert_ne!(ours.of(project(7)), ours.of(Ground::Group(jobpass_domain::ids::GroupId(Uuid::from_u128(7)))));
    }
}
