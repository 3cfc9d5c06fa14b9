//! What a change would do to the uses that were seen: found by making the change in a transaction and
//! replaying them before and after. A dry run rolls back; a step up or a move commits only when nothing breaks.

use crate::{App, Conflict, Refusal};
use jobpass_domain::Catalogue;
use jobpass_domain::audit::{Actor, Change};
use jobpass_domain::ids::{ProjectId, ServiceId};
use jobpass_domain::permission::PermissionSet;
use jobpass_domain::replay::{Flip, FlipKey, Impact, Recorded, Situation};
use jobpass_domain::usage::{Tally, WINDOW_DAYS, What};
use jobpass_persistence::usage::{Pair, Touched};
use jobpass_persistence::{Context, Tx, project, service, situation, usage};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use time::{Duration, OffsetDateTime};

/// How many pairs of projects are replayed at a time.
const AT_ONCE: usize = 100;
/// How many rows of each kind a forecast lists.
const LISTED: usize = 1_000;

/// How a change is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct How {
    /// Not at all: only what it would do is answered.
    pub dry_run: bool,
    /// Even if it breaks what was seen.
    pub confirmed: bool,
    /// How many days back uses count.
    pub window_days: u16,
}

impl Default for How {
    fn default() -> How {
        How { dry_run: false, confirmed: false, window_days: WINDOW_DAYS }
    }
}

/// A change that was made, or what it would be.
#[derive(Debug)]
pub enum Done<T> {
    Made(T),
    Rehearsed(Rehearsal<T>),
}

/// What a change would be.
#[derive(Debug)]
pub struct Rehearsal<T> {
    /// What would be answered.
    pub after: T,
    /// What the audit events would say, and which grants a move brings and takes.
    pub changes: Vec<Change>,
    pub forecast: Forecast,
}

impl<T> Rehearsal<(T, Vec<Change>)> {
    /// What comes of it, though no audit event would say so.
    pub(crate) fn with_more(self) -> Rehearsal<T> {
        let Rehearsal { after: (after, more), mut changes, forecast } = self;
        changes.extend(more);
        Rehearsal { after, changes, forecast }
    }
}

/// What a change does to the uses seen in a window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forecast {
    pub window_days: u16,
    /// Let through so far, refused after the change: what was seen most recently first.
    pub would_refuse: Vec<Turn>,
    /// Refused so far, let through after the change.
    pub would_allow: Vec<Turn>,
    /// Introspected without a permission: nobody knows what was done, so it is never taken as safe.
    pub unknown: Vec<UnknownUse>,
    /// How many rows are not listed, for there are too many.
    pub left_out: usize,
}

/// Uses of one permission by one source on one target that the change turns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// With its path; `None` if the person who asks may not see it.
    pub target: Option<(ProjectId, String)>,
    pub source: ProjectId,
    pub source_path: String,
    pub permission: String,
    pub from_fork: bool,
    /// The answers after the change.
    pub reasons: Vec<&'static str>,
    pub tally: Tally,
}

/// Use of which nobody knows whether it goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownUse {
    /// With its path; `None` if the person who asks may not see it.
    pub target: Option<(ProjectId, String)>,
    pub source: ProjectId,
    pub source_path: String,
    pub what: UnknownWhat,
    /// What might no longer be held.
    pub could_lose: Vec<String>,
    pub tally: Tally,
}

/// Why it is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnknownWhat {
    /// A scope was shown to this service.
    Shown(ServiceId),
    /// This permission was granted, under conditions, and its circumstances were coarsened.
    Coarsened(String),
}

impl App {
    /// Makes a change that may touch what jobs do. `guarded`: a step up or a move, which is refused with
    /// `would_break` unless it is confirmed or breaks nothing that was seen.
    pub(crate) async fn change<T>(
        &self,
        context: Context,
        (touched, guarded): (Touched, bool),
        how: How,
        work: impl AsyncFnOnce(&mut Tx) -> Result<T, Refusal>,
    ) -> Result<Done<T>, Refusal> {
        if !how.dry_run && (how.confirmed || !guarded) {
            return self.transaction(context, work).await.map(Done::Made);
        }
        // What is still in memory counts, too.
        self.flush_usage().await?;
        let catalogue = self.reload_catalogue().await?;
        // Nobody can say what was done before what is kept.
        let window_days = how.window_days.min(self.settings.usage_retention_days);
        let replay =
            Replay { touched, since: since(window_days, context.now), now: context.now, catalogue: &catalogue };
        let watched = async |tx: &mut Tx| {
            let before = replay.situations(tx).await?;
            let answer = work(tx).await?;
            let impact = replay.impact(tx, before).await?;
            let forecast = forecast(tx, &impact, (window_days, context.actor), &catalogue).await?;
            Ok::<_, Refusal>((answer, impact.is_safe(), forecast))
        };
        if how.dry_run {
            let ((after, _, forecast), changes) = self.db.rehearsal(context, watched).await?;
            return Ok(Done::Rehearsed(Rehearsal { after, changes, forecast }));
        }
        self.transaction(context, async |tx: &mut Tx| match watched(tx).await? {
            (answer, true, _) => Ok(Done::Made(answer)),
            (_, false, forecast) => Err(Conflict::WouldBreak(Box::new(forecast)).into()),
        })
        .await
    }
}

/// The beginning of a window that ends now.
pub(crate) fn since(window_days: u16, now: OffsetDateTime) -> OffsetDateTime {
    now - Duration::days(window_days.into())
}

/// The uses that a change may touch.
struct Replay<'a> {
    touched: Touched,
    since: OffsetDateTime,
    now: OffsetDateTime,
    catalogue: &'a Catalogue,
}

impl Replay<'_> {
    /// How things stand between all pairs that were seen.
    async fn situations(&self, tx: &mut Tx) -> Result<HashMap<Pair, Situation>, Refusal> {
        let pairs = usage::pairs(tx.on(), self.touched, self.since).await?;
        Ok(situation::load(tx.on(), &pairs, self.catalogue).await?)
    }

    /// Replays what was seen between pairs for which something has changed. Of the others only unnamed use is read:
    /// it is told as unknown whatever changed.
    async fn impact(&self, tx: &mut Tx, before: HashMap<Pair, Situation>) -> Result<Impact, Refusal> {
        let pairs: Vec<Pair> = before.keys().copied().collect();
        let after = situation::load(tx.on(), &pairs, self.catalogue).await?;
        let (same, changed): (Vec<Pair>, Vec<Pair>) =
            pairs.into_iter().partition(|pair| before.get(pair) == after.get(pair));
        let chunks = changed.chunks(AT_ONCE).map(|chunk| (chunk, false));
        let mut shown = Shown::default();
        let mut impact = Impact::default();
        for (chunk, unnamed_only) in chunks.chain(same.chunks(AT_ONCE).map(|chunk| (chunk, true))) {
            for recorded in usage::recorded(tx.on(), chunk, (self.since, unnamed_only), self.catalogue).await? {
                let pair = (recorded.used.target, recorded.used.source);
                let (Some(then), Some(later)) = (before.get(&pair), after.get(&pair)) else { continue };
                let limit = shown.of(tx, &recorded, self.catalogue).await?;
                impact.weigh(&recorded, (then, later), limit, self.now);
            }
        }
        Ok(impact)
    }
}

/// To which permissions services are limited, looked up once each.
#[derive(Default)]
struct Shown(HashMap<ServiceId, Option<PermissionSet>>);

impl Shown {
    async fn of(
        &mut self,
        tx: &mut Tx,
        recorded: &Recorded,
        catalogue: &Catalogue,
    ) -> Result<Option<PermissionSet>, Refusal> {
        let What::Unnamed(id) = recorded.used.what else { return Ok(None) };
        if let Some(known) = self.0.get(&id) {
            return Ok(*known);
        }
        let service = service::find(tx.on(), id).await?;
        let shown = service.and_then(|service| service.asker(catalogue).shown);
        self.0.insert(id, shown);
        Ok(shown)
    }
}

/// An impact with the names that people know, bounded.
async fn forecast(
    tx: &mut Tx,
    impact: &Impact,
    (window_days, actor): (u16, Actor),
    catalogue: &Catalogue,
) -> Result<Forecast, Refusal> {
    let names = Names::load(tx, impact, actor).await?;
    let turns = |flips: &Flips, hidden_too: bool| -> Vec<Turn> {
        let told = flips.iter().filter(|(key, _)| hidden_too || names.seen.contains(&key.0));
        let mut turns: Vec<_> = told.map(|(key, flip)| names.turn(*key, flip, catalogue)).collect();
        turns.sort_by_key(|turn| std::cmp::Reverse(turn.tally.last_at));
        turns
    };
    // That nothing is lost, or something won, on a target out of sight would only tell that it is there.
    let told = impact.unknown.iter().filter(|(key, one)| !one.could_lose.is_empty() || names.seen.contains(&key.0));
    let unknown = told.map(|(&(target, source, what), unknown)| UnknownUse {
        target: names.target(target),
        source,
        source_path: names.path(source),
        what: match what {
            What::Unnamed(service) => UnknownWhat::Shown(service),
            What::Named(permission) => UnknownWhat::Coarsened(catalogue.name(permission).unwrap_or_default()),
        },
        could_lose: catalogue.expand(unknown.could_lose),
        tally: unknown.tally,
    });
    let mut forecast = Forecast {
        window_days,
        would_refuse: turns(&impact.would_refuse, true),
        would_allow: turns(&impact.would_allow, false),
        unknown: unknown.collect(),
        left_out: 0,
    };
    forecast.bound();
    Ok(forecast)
}

type Flips = BTreeMap<FlipKey, Flip>;

/// Paths, and which projects the person who asks may see. Who uses one's own project is told by its usage.
struct Names {
    paths: HashMap<ProjectId, String>,
    seen: HashSet<ProjectId>,
}

impl Names {
    async fn load(tx: &mut Tx, impact: &Impact, actor: Actor) -> Result<Names, Refusal> {
        let turned = impact.would_refuse.keys().chain(impact.would_allow.keys()).map(|key| (key.0, key.1));
        let pairs = turned.chain(impact.unknown.keys().map(|key| (key.0, key.1)));
        let (targets, sources): (BTreeSet<_>, BTreeSet<_>) = pairs.unzip();
        let targets: Vec<_> = targets.into_iter().collect();
        let ids: Vec<_> = targets.iter().copied().chain(sources).collect();
        let seen = match actor {
            Actor::User(user) => project::seen_by(tx.on(), &targets, user).await?,
            _ => HashSet::new(),
        };
        Ok(Names { paths: project::paths(tx.on(), &ids).await?, seen })
    }

    fn path(&self, id: ProjectId) -> String {
        self.paths.get(&id).cloned().unwrap_or_default()
    }

    fn target(&self, id: ProjectId) -> Option<(ProjectId, String)> {
        self.seen.contains(&id).then(|| (id, self.path(id)))
    }

    fn turn(&self, (target, source, permission, from_fork): FlipKey, flip: &Flip, catalogue: &Catalogue) -> Turn {
        Turn {
            target: self.target(target),
            source,
            source_path: self.path(source),
            permission: catalogue.name(permission).unwrap_or_default(),
            from_fork,
            reasons: flip.reasons.iter().map(|reason| reason.name()).collect(),
            tally: flip.tally,
        }
    }
}

impl Forecast {
    fn bound(&mut self) {
        let over = |length: usize| length.saturating_sub(LISTED);
        self.left_out = over(self.would_refuse.len()) + over(self.would_allow.len()) + over(self.unknown.len());
        self.would_refuse.truncate(LISTED);
        self.would_allow.truncate(LISTED);
        self.unknown.truncate(LISTED);
    }
}
