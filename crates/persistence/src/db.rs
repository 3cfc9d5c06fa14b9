//! The pool, and the only way to write: a transaction that ends with an audit event.

use crate::audit::{self, Event};
use crate::error::stored;
use crate::{Error, Reads, Result, change_log};
use jobpass_domain::audit::{Actor, Change};
use jobpass_domain::ground::Ground;
use jobpass_domain::token::Hour;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sqlx::{Connection, PgConnection, PgPool, Postgres, Transaction};
use std::collections::BTreeSet;
use std::time::Duration;
use time::OffsetDateTime;
use uuid::{NoContext, Timestamp, Uuid};

/// How long a connection may be waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection that was used so lately, and answered when it was given back, is not asked once more whether it is alive.
const STILL_ALIVE: Duration = Duration::from_secs(1);

/// One that listens, and one that reads.
const CONTROL_CONNECTIONS: u32 = 2;

/// A version 7 id of this moment.
pub fn id_at(now: OffsetDateTime) -> Uuid {
    let seconds = u64::try_from(now.unix_timestamp()).unwrap_or(0);
    Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, now.nanosecond()))
}

/// Who writes, when, and in answer to which request.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    pub actor: Actor,
    pub now: OffsetDateTime,
    pub request_id: Option<Uuid>,
}

/// How to reach the server that a URL names.
pub fn connect_options(url: &str) -> Result<PgConnectOptions, String> {
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err("it must begin with postgres://".to_owned());
    }
    url.parse().map_err(|error: sqlx::Error| error.to_string())
}

#[derive(Clone, Debug)]
pub struct Db {
    pool: PgPool,
    reads: Reads,
    /// For what must not wait behind requests: the clock, and what was changed.
    control: PgPool,
    control_reads: Reads,
}

impl Db {
    /// A pool that connects when it is first used.
    pub fn new(options: PgConnectOptions, max_connections: u32) -> Db {
        let options = options.application_name("jobpass").options([
            ("timezone", "UTC"),
            ("lock_timeout", "10s"),
            ("statement_timeout", "30s"),
        ]);
        let pool = |connections| {
            let options = PgPoolOptions::new().max_connections(connections).acquire_timeout(PATIENCE);
            options.test_before_acquire(false).before_acquire(|connection, seen| {
                Box::pin(async move {
                    if seen.idle_for >= STILL_ALIVE {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
        };
        let control = pool(CONTROL_CONNECTIONS).connect_lazy_with(options.clone());
        let pool = pool(max_connections).connect_lazy_with(options);
        Db { reads: Reads::new(pool.clone()), pool, control_reads: Reads::new(control.clone()), control }
    }

    /// Brings the schema up to date, under a lock: two servers may start at once.
    pub async fn migrate(&self) -> Result<()> {
        sqlx::migrate!("../../migrations").run(&self.pool).await.map_err(|error| match error {
            sqlx::migrate::MigrateError::Execute(error) => Error::from(error),
            other => Error::Internal(other.to_string()),
        })
    }

    pub async fn ensure_partitions(&self, moment: OffsetDateTime) -> Result<()> {
        sqlx::query!("select ensure_partitions($1)", moment).fetch_one(&self.reads).await?;
        Ok(())
    }

    /// Records that tokens of this day may be live until this hour begins. It only ever grows.
    pub async fn record_expiry(&self, day: u32, until: Hour) -> Result<()> {
        let seconds = |hour: Hour| OffsetDateTime::from_unix_timestamp(i64::from(hour.0) * 3600);
        sqlx::query!(
            "insert into token_days (day, latest_expiry) values ($1, $2)
             on conflict (day) do update set latest_expiry = excluded.latest_expiry
             where token_days.latest_expiry < excluded.latest_expiry",
            i32::try_from(day).unwrap_or(i32::MAX),
            stored(seconds(until).ok())?
        )
        .execute(&self.reads)
        .await?;
        Ok(())
    }

    /// The database's clock: the one that counts.
    pub async fn clock(&self) -> Result<OffsetDateTime> {
        Ok(sqlx::query_scalar!(r#"select clock_timestamp() as "now!""#).fetch_one(self.control()).await?)
    }

    /// By a connection of its own: the pool tells only that it waited in vain, and not for whom or why.
    pub async fn server_version(&self) -> Result<i32> {
        let mut connection = self.connect().await?;
        let version = sqlx::query_scalar!(r#"select current_setting('server_version_num')::int as "version!""#);
        let version = version.fetch_one(&mut connection).await?;
        connection.close().await?;
        Ok(version)
    }

    pub(crate) async fn connect(&self) -> Result<PgConnection> {
        let options = self.pool.connect_options();
        let place = match options.get_socket() {
            Some(socket) => socket.display().to_string(),
            None => format!("{}:{}", options.get_host(), options.get_port()),
        };
        let connected = tokio::time::timeout(PATIENCE, PgConnection::connect_with(&options)).await;
        let connected = connected.map_err(|_| Error::Unavailable(format!("no answer within {PATIENCE:?}")));
        connected.and_then(|connected| connected.map_err(Error::from)).map_err(|error| match error {
            Error::Unavailable(why) => Error::Unavailable(format!("{place}: {why}")),
            Error::Internal(why) => Error::Internal(format!("{place}: {why}")),
            other => other,
        })
    }

    /// For reads outside of a transaction.
    pub fn read(&self) -> &Reads {
        &self.reads
    }

    pub(crate) fn control(&self) -> &Reads {
        &self.control_reads
    }

    /// A connection of its own that listens.
    pub(crate) async fn listener(&self) -> Result<PgListener> {
        Ok(PgListener::connect_with(&self.control).await?)
    }

    pub async fn close(&self) {
        self.control.close().await;
        self.pool.close().await;
    }

    /// Commits when `work` answers `Ok`, rolls back when it does not, and refuses to commit what left no audit event.
    /// `touched` gets what is changed once a commit is tried: an error does not tell that it did not happen.
    pub async fn transaction<T, E: From<Error>>(
        &self,
        context: Context,
        touched: &mut Vec<Ground>,
        work: impl AsyncFnOnce(&mut Tx) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut tx = self.begin(context).await?;
        let answer = work(&mut tx).await?;
        if !tx.audited {
            return Err(Error::Unaudited.into());
        }
        let grounds: BTreeSet<Ground> = tx.changes.iter().flat_map(Change::touches).collect();
        *touched = grounds.into_iter().collect();
        if !touched.is_empty() {
            change_log::append(&mut tx.inner, touched, context.now).await?;
        }
        tx.inner.commit().await.map_err(Error::from)?;
        Ok(answer)
    }

    /// The same, and rolls back whatever comes of it: what a change would do is found by doing it. Answers
    /// what the audit events would have recorded, too.
    pub async fn rehearsal<T, E: From<Error>>(
        &self,
        context: Context,
        work: impl AsyncFnOnce(&mut Tx) -> Result<T, E>,
    ) -> Result<(T, Vec<Change>), E> {
        let mut tx = self.begin(context).await?;
        let answer = work(&mut tx).await?;
        tx.inner.rollback().await.map_err(Error::from)?;
        Ok((answer, tx.changes))
    }

    async fn begin(&self, context: Context) -> Result<Tx> {
        Ok(Tx { inner: self.reads.begin().await?, context, audited: false, changes: Vec::new() })
    }
}

/// A transaction under way. Every function that writes takes one; nothing else makes one.
#[derive(Debug)]
pub struct Tx {
    inner: Transaction<'static, Postgres>,
    context: Context,
    audited: bool,
    changes: Vec<Change>,
}

impl Tx {
    /// The connection, for statements inside the transaction.
    pub fn on(&mut self) -> &mut PgConnection {
        &mut self.inner
    }

    pub fn now(&self) -> OffsetDateTime {
        self.context.now
    }

    /// Writes the audit event of a change.
    pub async fn audit(&mut self, change: &Change) -> Result<()> {
        let Context { actor, request_id, .. } = self.context;
        self.audit_all(vec![Event { actor, request_id, change: change.clone() }]).await
    }

    /// The same for the changes that several callers asked for, each its own event.
    pub async fn audit_all(&mut self, events: Vec<Event>) -> Result<()> {
        audit::insert_all(&mut self.inner, self.context.now, &events).await?;
        self.changes.extend(events.into_iter().map(|event| event.change));
        self.audited = true;
        Ok(())
    }

    /// For writes that change nothing a maintainer would ask about: a heartbeat, a repeated call.
    pub fn nothing_to_audit(&mut self) {
        self.audited = true;
    }
}
