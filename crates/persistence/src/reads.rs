//! A pool for reads outside of a transaction that a stuck database cannot fill: so many wait for a connection and no more, each for so
//! long; and a connection that is given up in the middle comes back once it answers, or is closed. Whoever reads again and again
//! has a line of its own.

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{
    Connection as _, Describe, Either, Error, Execute, Executor, PgConnection, PgPool, Postgres, SqlStr, Transaction,
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

/// The most that wait for a connection at a time; whoever comes then is refused at once.
const WAITING: usize = 1_024;
/// How long a connection that was given up may take to answer.
const LAST_CHANCE: Duration = Duration::from_secs(5);

/// A pool to read from. Statements are executed on it as on any other.
#[derive(Clone, Debug)]
pub struct Reads {
    pool: PgPool,
    places: Arc<Semaphore>,
}

/// A connection for statements that follow each other closely: kept between them, since the pool would ask it each time whether it
/// is still alive, which takes as long as a small statement.
#[derive(Debug)]
pub struct Line {
    reads: Reads,
    kept: Mutex<Option<PoolConnection<Postgres>>>,
}

impl Line {
    /// The connection that was kept, or one of the pool's.
    pub(crate) async fn lend(&self) -> Result<Lent, Error> {
        let kept = self.kept().take();
        match kept {
            Some(connection) => Ok(Lent { connection: Some(connection) }),
            None => self.reads.lend().await,
        }
    }

    /// For the next statement, unless others wait for a connection. What failed is not kept.
    pub(crate) fn keep(&self, mut lent: Lent) {
        let connection = lent.connection.take();
        let pool = &self.reads.pool;
        if pool.num_idle() > 0 || pool.size() < pool.options().get_max_connections() {
            *self.kept() = connection;
        }
    }

    fn kept(&self) -> MutexGuard<'_, Option<PoolConnection<Postgres>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that is lent for one statement.
pub(crate) struct Lent {
    /// `None`: it was given back.
    connection: Option<PoolConnection<Postgres>>,
}

impl Reads {
    pub(crate) fn new(pool: PgPool) -> Reads {
        Reads { pool, places: Arc::new(Semaphore::new(WAITING)) }
    }

    /// For as long as statements follow each other.
    pub fn line(&self) -> Line {
        Line { reads: self.clone(), kept: Mutex::default() }
    }

    /// A transaction, which waits for its connection like the rest.
    pub(crate) async fn begin(&self) -> Result<Transaction<'static, Postgres>, Error> {
        let _place = self.place()?;
        self.pool.begin().await
    }

    /// A place to wait.
    fn place(&self) -> Result<SemaphorePermit<'_>, Error> {
        self.places.try_acquire().map_err(|_| Error::PoolTimedOut)
    }

    async fn acquire(&self) -> Result<PoolConnection<Postgres>, Error> {
        let _place = self.place()?;
        self.pool.acquire().await
    }

    async fn lend(&self) -> Result<Lent, Error> {
        Ok(Lent { connection: Some(self.acquire().await?) })
    }
}

impl Lent {
    pub(crate) fn on(&mut self) -> Result<&mut PgConnection, Error> {
        self.connection.as_deref_mut().ok_or(Error::PoolClosed)
    }

    /// The statement was brought to its end.
    fn give_back(mut self) {
        self.connection.take();
    }
}

/// Given up in the middle: the pool would wait for it for as long as it takes, and have one less meanwhile.
impl Drop for Lent {
    fn drop(&mut self) {
        let (Some(mut connection), Ok(runtime)) = (self.connection.take(), Handle::try_current()) else { return };
        runtime.spawn(async move {
            if !matches!(timeout(LAST_CHANCE, connection.ping()).await, Ok(Ok(()))) {
                connection.close_on_drop();
            }
        });
    }
}

impl<'p> Executor<'p> for &'p Reads {
    type Database = Postgres;

    /// All that there is, before the first is given: nobody holds a connection who is slow to take.
    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let all = async move {
            let mut lent = self.lend().await?;
            let all: Vec<_> = lent.on()?.fetch_many(query).collect().await;
            lent.give_back();
            Ok::<_, Error>(stream::iter(all))
        };
        stream::once(all).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        Box::pin(async move {
            let mut lent = self.lend().await?;
            let row = lent.on()?.fetch_optional(query).await;
            lent.give_back();
            row
        })
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [PgTypeInfo]) -> BoxFuture<'e, Result<PgStatement, Error>>
    where
        'p: 'e,
    {
        Box::pin(async move { self.acquire().await?.prepare_with(sql, parameters).await })
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, Error>>
    where
        'p: 'e,
    {
        Box::pin(async move { self.acquire().await?.describe(sql).await })
    }
}
