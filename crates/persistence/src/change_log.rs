//! The change log: what was changed, numbered in the order of commits. Written as the last statement of a transaction, read by
//! every replica.

use crate::{Db, Reads, Result};
use jobpass_domain::ground::Ground;
use sqlx::postgres::PgListener;
use sqlx::{PgConnection, PgExecutor};
use std::fmt;
use time::OffsetDateTime;
use uuid::Uuid;

/// The channel on which replicas are told that there is something to read.
const CHANNEL: &str = "jobpass_changes";
/// The most rows of one reading.
const AT_ONCE: i64 = 1_000;

/// The last change that was read. Its mark tells it from another of that number, in a history that was restored or promoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub number: i64,
    mark: Uuid,
}

/// Its number, and its mark.
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.number, self.mark.simple())
    }
}

impl Position {
    /// As it is displayed.
    pub fn parse(text: &str) -> Option<Position> {
        let (number, mark) = text.split_once('-')?;
        Some(Position { number: number.parse().ok()?, mark: Uuid::try_parse(mark).ok()? })
    }
}

/// What came after a position.
#[derive(Debug)]
pub struct Since {
    /// In order, each with its number; `None`: what was read before is not there any more, and anything may have changed.
    pub changes: Option<Vec<(i64, Ground)>>,
    pub position: Position,
    /// Whether there may be more to read at once.
    pub more: bool,
}

/// The last statement before a commit: the lock that numbers are given under is held until then.
pub(crate) async fn append(connection: &mut PgConnection, grounds: &[Ground], now: OffsetDateTime) -> Result<()> {
    let (kinds, subjects): (Vec<_>, Vec<_>) = grounds.iter().map(|ground| ground.stored()).unzip();
    let kinds: Vec<String> = kinds.into_iter().map(str::to_owned).collect();
    sqlx::query!("select log_changes($1, $2, $3)", &kinds, subjects as _, now).fetch_one(connection).await?;
    Ok(())
}

/// Where the log ends.
pub async fn end(db: impl PgExecutor<'_>) -> Result<Position> {
    let row = sqlx::query!("select number, mark from changes order by number desc limit 1").fetch_one(db).await?;
    Ok(Position { number: row.number, mark: row.mark })
}

/// What was changed since. The row at the position itself is read again: that it is still there shows that nothing was missed.
pub async fn since(db: &Reads, position: Position) -> Result<Since> {
    let rows = sqlx::query!(
        "select number, mark, kind, subject from changes where number >= $1 order by number limit $2",
        position.number,
        AT_ONCE
    );
    let mut rows = rows.fetch_all(db).await?.into_iter();
    if rows.next().is_none_or(|row| row.number != position.number || row.mark != position.mark) {
        return Ok(Since { changes: None, position: end(db).await?, more: false });
    }
    let mut since = Since { changes: None, position, more: false };
    let mut changes = Vec::with_capacity(rows.len());
    for row in rows {
        if row.number != since.position.number + 1 {
            return Ok(Since { changes: None, position: end(db).await?, more: false });
        }
        since.position = Position { number: row.number, mark: row.mark };
        changes.push((row.number, Ground::read(&row.kind, row.subject)));
    }
    since.more = changes.len() + 1 >= usize::try_from(AT_ONCE).unwrap_or(usize::MAX);
    since.changes = Some(changes);
    Ok(since)
}

impl Db {
    /// [`since`], by a connection that no request takes.
    pub async fn changes_since(&self, position: Position) -> Result<Since> {
        since(self.control(), position).await
    }

    /// Hints that there is something to read. They may get lost: they spare waiting, and no more.
    pub async fn hints(&self) -> Result<Hints> {
        let mut listener = self.listener().await?;
        listener.listen(CHANNEL).await?;
        Ok(Hints(listener))
    }

    /// Forgets what every reader has read long ago; the last row stays.
    pub async fn drop_old_changes(&self, before: OffsetDateTime) -> Result<()> {
        sqlx::query!("delete from changes where at < $1 and number < (select max(number) from changes)", before)
            .execute(self.read())
            .await?;
        Ok(())
    }
}

/// A connection of its own that listens.
#[derive(Debug)]
pub struct Hints(PgListener);

impl Hints {
    /// Waits for one. An error, or a connection that was lost and found again, means that some may be missing.
    pub async fn next(&mut self) -> Result<()> {
        match self.0.try_recv().await? {
            Some(_) => Ok(()),
            None => Err(crate::Error::Unavailable("the connection that listens was lost".to_owned())),
        }
    }
}
