//! What every use case stands on, and what runs beside them.

use crate::cache::Cache;
use crate::clock::{TOLERANCE, machine_now};
use crate::define_routes::CompiledTables;
use crate::feed::Feed;
use crate::finish::Finishes;
use crate::follow::Followed;
use crate::issuer_keys::IssuerKeys;
use crate::keys::Keys;
use crate::load::Loading;
use crate::mint::Mints;
use crate::registry_authority::Authority;
use crate::sweep::Partitions;
use crate::usage::Usage;
use crate::{CacheSettings, Clock, EncryptionKey, IssuerSettings, Refusal};
use jobpass_domain::Catalogue;
use jobpass_domain::audit::{AUDIT_RETENTION_DAYS, Actor};
use jobpass_domain::ceiling::MAX_CEILINGS;
use jobpass_domain::grant::{MAX_GRANTS, MAX_LIST};
use jobpass_domain::ground::Ground;
use jobpass_domain::pipeline::RUN_RETENTION_DAYS;
use jobpass_domain::signing_key::KEY_ROTATION_DAYS;
use jobpass_domain::usage::USAGE_RETENTION_DAYS;
use jobpass_persistence::{Context, Db, Error, Tx, resource_type};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration as StdDuration;
use time::{Duration, OffsetDateTime};
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, timeout};
use uuid::Uuid;

/// How often a replica compares its clock with the database's.
const HEARTBEAT: StdDuration = StdDuration::from_secs(1);
/// How long it may answer nothing until this replica is not ready.
const PATIENCE: StdDuration = StdDuration::from_secs(1);
/// How often what has expired is dropped.
const SWEEP: StdDuration = StdDuration::from_mins(10);
/// How often what was counted is written.
const FLUSH: StdDuration = StdDuration::from_secs(1);

#[derive(Clone, Debug)]
pub struct Settings {
    /// The longest `timeout_secs` of a job.
    pub max_job_timeout: Duration,
    /// For how many days usage is kept.
    pub usage_retention_days: u16,
    /// For how many days audit events are kept.
    pub audit_retention_days: u16,
    /// For how many days a pipeline run is kept after its last job.
    pub run_retention_days: u16,
    pub limits: Limits,
    pub cache: CacheSettings,
    /// How issuers of other CIs are reached.
    pub issuers: IssuerSettings,
    /// What private keys are sealed under; `None`: this process signs nothing.
    pub encryption_key: Option<EncryptionKey>,
    /// How long a key signs before its successor does.
    pub key_rotation: Duration,
}

/// The most of each; what goes beyond is refused, with the limit and the count.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Grants on one project or group.
    pub grants: usize,
    /// Ceilings on the instance, or on one project or group.
    pub ceilings: usize,
    /// Patterns in one condition, selector or protection, and entries in one `except`.
    pub patterns: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        let limits = Limits { grants: MAX_GRANTS, ceilings: MAX_CEILINGS, patterns: MAX_LIST };
        Settings {
            max_job_timeout: Duration::DAY,
            usage_retention_days: USAGE_RETENTION_DAYS,
            audit_retention_days: AUDIT_RETENTION_DAYS,
            run_retention_days: RUN_RETENTION_DAYS,
            limits,
            cache: CacheSettings::default(),
            issuers: IssuerSettings::default(),
            encryption_key: None,
            key_rotation: Duration::days(KEY_ROTATION_DAYS.into()),
        }
    }
}

#[derive(Debug)]
pub struct App {
    pub(crate) db: Db,
    pub(crate) clock: Clock,
    pub(crate) settings: Settings,
    pub(crate) partitions: Partitions,
    catalogue: RwLock<Arc<Catalogue>>,
    pub(crate) compiled_tables: CompiledTables,
    health: RwLock<Health>,
    pub(crate) usage: Usage,
    pub(crate) mints: Mints,
    pub(crate) finishes: Finishes,
    pub(crate) cache: Cache,
    pub(crate) loading: Loading,
    pub(crate) followed: Followed,
    pub(crate) feed: Feed,
    pub(crate) issuer_keys: IssuerKeys,
    pub(crate) keys: Keys,
    pub(crate) registry_authority: RwLock<Option<Arc<Authority>>>,
}

/// Whether this replica can answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    Ready,
    /// Why not, in words for operators.
    NotReady(String),
}

impl App {
    pub fn new(db: Db, clock: Clock, settings: Settings) -> App {
        let health = RwLock::new(Health::NotReady("starting".to_owned()));
        let issuer_keys = IssuerKeys::new(&settings.issuers);
        let cache = Cache::new(settings.cache);
        App {
            db,
            clock,
            settings,
            partitions: Partitions::default(),
            catalogue: RwLock::default(),
            compiled_tables: CompiledTables::default(),
            health,
            usage: Usage::default(),
            mints: Mints::default(),
            finishes: Finishes::default(),
            cache,
            loading: Loading::default(),
            followed: Followed::default(),
            feed: Feed::default(),
            issuer_keys,
            keys: Keys::default(),
            registry_authority: RwLock::default(),
        }
    }

    /// A new id, such as a request is named by.
    pub fn new_id(&self) -> Uuid {
        jobpass_persistence::id_at(self.now())
    }

    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(crate) fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }

    pub(crate) fn context(&self, actor: Actor, request: Uuid) -> Context {
        Context { actor, now: self.now(), request_id: Some(request) }
    }

    /// A transaction of the database, once the partitions that it may write to are there: a sweep makes them
    /// ahead, but no write depends on it. What it changes is in force here before anyone is told.
    pub(crate) async fn transaction<T>(
        &self,
        context: Context,
        work: impl AsyncFnOnce(&mut Tx) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        self.have_partitions(context.now).await?;
        let mut touched = Vec::new();
        let answer = self.db.transaction(context, &mut touched, work).await;
        if !touched.is_empty() {
            self.cache.freshness.touch(touched);
        }
        answer
    }

    /// The same for what may write a job token, which is live until then at the latest.
    pub(crate) async fn minting<T>(
        &self,
        context: Context,
        expires_at: OffsetDateTime,
        work: impl AsyncFnOnce(&mut Tx) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        self.record_expiry(context.now, expires_at).await?;
        self.transaction(context, work).await
    }

    /// The resource types as this replica knows them.
    pub fn catalogue(&self) -> Arc<Catalogue> {
        Arc::clone(&self.catalogue.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the resource types anew. Types are only ever added, so it is enough to do this when a name is unknown.
    pub(crate) async fn reload_catalogue(&self) -> Result<Arc<Catalogue>, Refusal> {
        let fresh = Arc::new(resource_type::catalogue(self.db.read()).await?);
        let mut known = self.catalogue.write().unwrap_or_else(PoisonError::into_inner);
        let grown = known.types().len() != fresh.types().len();
        *known = Arc::clone(&fresh);
        drop(known);
        if grown {
            // What is kept was read by the old one.
            self.cache.freshness.touch([Ground::Everything]);
        }
        Ok(fresh)
    }

    /// A catalogue that knows these names, if any does.
    pub(crate) async fn catalogue_for(&self, texts: &[String]) -> Result<Arc<Catalogue>, Refusal> {
        let known = self.catalogue();
        if known.parse_all(texts).is_ok() { Ok(known) } else { Box::pin(self.reload_catalogue()).await }
    }

    pub fn health(&self) -> Health {
        self.health.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Brings up what requests need, before the first of them.
    pub async fn prepare(&self) -> Result<(), Refusal> {
        self.beat().await?;
        self.reload_catalogue().await?;
        self.tend_what_signs().await?;
        self.have_partitions(self.now()).await
    }

    /// The keys of ID tokens, and the authority that registries trust.
    async fn tend_what_signs(&self) -> Result<(), Refusal> {
        self.tend_keys().await?;
        self.tend_registry_authority().await
    }

    /// Follows the database's clock and keys and what other replicas change, drops what has expired, and writes what was
    /// counted; until told to stop.
    /// What is under way is brought to its end.
    pub async fn tend(&self, stop: watch::Receiver<()>) {
        tokio::join!(
            self.follow_database(stop.clone()),
            self.write_usage(stop.clone()),
            self.follow_changes(stop.clone()),
            self.keep_swept(stop)
        );
    }

    async fn follow_database(&self, mut stop: watch::Receiver<()>) {
        let mut heartbeat = every(HEARTBEAT);
        loop {
            tokio::select! {
                _ = heartbeat.tick() => {
                    if let Err(refusal) = self.beat().await {
                        tracing::debug!(?refusal, "heartbeat");
                    } else if let Err(refusal) = self.tend_what_signs().await {
                        tracing::warn!(?refusal, "could not tend the keys; trying again");
                    }
                }
                _ = stop.changed() => return,
            }
        }
    }

    /// At once, and again and again. A sweep may wait long for whoever reads what it drops, so a stop breaks it off; the next one
    /// goes on from there.
    async fn keep_swept(&self, mut stop: watch::Receiver<()>) {
        let mut sweep = every(SWEEP);
        loop {
            let swept = async {
                sweep.tick().await;
                self.sweep().await
            };
            tokio::select! {
                swept = swept => {
                    if let Err(refusal) = swept {
                        tracing::warn!(?refusal, "could not drop what has expired; trying again later");
                    }
                }
                _ = stop.changed() => return,
            }
        }
    }

    async fn write_usage(&self, mut stop: watch::Receiver<()>) {
        let mut flush = every(FLUSH);
        // By the second, however long the last one took.
        flush.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                _ = flush.tick() => {
                    if let Err(refusal) = self.flush_usage().await {
                        tracing::warn!(?refusal, "could not write usage; it is kept, and tried again");
                    }
                }
                _ = stop.changed() => return,
            }
        }
    }

    /// Asks the database for the time: it answers whether this replica is ready, too.
    async fn beat(&self) -> Result<(), Refusal> {
        self.cache.measure();
        let before = machine_now();
        let answer = timeout(PATIENCE, self.db.clock()).await;
        let answer = answer.unwrap_or_else(|_| Err(Error::Unavailable(format!("nothing within {PATIENCE:?}"))));
        let after = machine_now();
        let health = match &answer {
            Err(error) => Health::NotReady(format!("no answer from the database: {error}")),
            // What the reading itself took is what the clock may be off by.
            Ok(_) if after - before > TOLERANCE => {
                Health::NotReady("the database answers too slowly to follow its clock".to_owned())
            }
            Ok(database) => {
                self.clock.follow(*database, before, after);
                Health::Ready
            }
        };
        *self.health.write().unwrap_or_else(PoisonError::into_inner) = health;
        answer.map(drop).map_err(Refusal::from)
    }

    /// What would never end by itself ends, so that the rest can.
    pub fn end_streams(&self) {
        self.feed.stop();
    }

    /// The last thing: writes what was counted since the last time.
    pub async fn close(&self) {
        if let Err(refusal) = self.flush_usage().await {
            tracing::error!(?refusal, "the usage of the last second is lost");
        }
        self.db.close().await;
    }
}

fn every(period: StdDuration) -> Interval {
    let mut interval = tokio::time::interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}
