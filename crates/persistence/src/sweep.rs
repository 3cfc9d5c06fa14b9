//! What time has ended goes: partitions whole, without a look into them, and rows in small batches. One replica at a time does it,
//! and nobody who reads or writes waits for it.

use crate::db::{Db, id_at};
use crate::{Result, signing_key};
use sqlx::postgres::PgQueryResult;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use time::{Date, Duration, OffsetDateTime};
use uuid::Uuid;

/// The most rows that one statement deletes.
const BATCH: i64 = 1000;

/// The most partitions that one statement drops: it locks each with all its indexes.
const DROPPED_TOGETHER: usize = 32;

/// For how much longer than anybody would take it an assertion is known to be used: clocks of replicas may differ.
const STILL_KNOWN: Duration = Duration::minutes(1);

/// The right to sweep, which one replica has at a time, and a connection of its own to do it.
#[derive(Debug)]
pub struct Sweep {
    connection: PgConnection,
}

impl Db {
    /// `None`: another replica sweeps.
    pub async fn sweep(&self) -> Result<Option<Sweep>> {
        let mut connection = self.connect().await?;
        let mine =
            sqlx::query_scalar!(r#"select pg_try_advisory_lock(hashtextextended('jobpass.sweep', 0)) as "mine!""#)
                .fetch_one(&mut connection)
                .await?;
        if !mine {
            connection.close().await?;
            return Ok(None);
        }
        // A detach waits for whoever reads the table already; it may, for it holds up nobody.
        sqlx::raw_sql("set statement_timeout = 0; set lock_timeout = 0").execute(&mut connection).await?;
        Ok(Some(Sweep { connection }))
    }
}

impl Sweep {
    /// Drops the days on which no token can be live any more, and the months of audit events and of usage that end before these
    /// days. What a sweep that broke off left half detached is brought to its end.
    pub async fn drop_partitions(&mut self, now: OffsetDateTime, audit: Date, usage: Date) -> Result<()> {
        let over = sqlx::query!(
            r#"select c.relname as "name!", p.parent as "parent!", i.inhdetachpending as "pending?"
             from (values ('job_tokens'), ('audit_events'), ('usage')) as p (parent)
             join pg_class c on c.relname ~ ('^' || p.parent || '_\d+$') and c.relkind = 'r'
                and c.relnamespace = current_schema()::regnamespace
             cross join lateral (select substring(c.relname from '\d+$') as digits) s
             left join pg_inherits i on i.inhrelid = c.oid
             left join token_days t on p.parent = 'job_tokens' and t.day = s.digits::integer
             where case p.parent
                -- A day is over for an hour before it may go: a mint that began in its last second is long done. Of what nothing is
                -- recorded, a job may have taken seven days.
                when 'job_tokens' then (s.digits::bigint + 1) * 86400 + 3600 <= extract(epoch from $1::timestamptz)
                    and coalesce(t.latest_expiry <= $1, (s.digits::bigint + 8) * 86400 + 3600 <= extract(epoch from $1::timestamptz))
                when 'audit_events' then to_date(s.digits, 'YYYYMM') + interval '1 month' <= $2::date
                else to_date(s.digits, 'YYYYMM') + interval '1 month' <= $3::date end
             order by c.relname"#,
            now,
            audit,
            usage
        )
        .fetch_all(&mut self.connection)
        .await?;
        // All are ours by name: the catalogue has told them, and they match the pattern above.
        for partition in &over {
            // `None`: it is detached already.
            let Some(pending) = partition.pending else { continue };
            let how = if pending { "finalize" } else { "concurrently" };
            self.run(format!("alter table {} detach partition {} {how}", partition.parent, partition.name)).await?;
        }
        // Together, since each drop by itself would walk through all of PostgreSQL's buffers.
        for some in over.chunks(DROPPED_TOGETHER) {
            let names: Vec<_> = some.iter().map(|partition| partition.name.as_str()).collect();
            self.run(format!("drop table {}", names.join(", "))).await?;
            sqlx::query!("delete from token_days where 'job_tokens_' || day = any($1)", &names as _)
                .execute(&mut self.connection)
                .await?;
            tracing::info!(?names, "dropped what is over");
        }
        Ok(())
    }

    async fn run(&mut self, statement: String) -> Result<()> {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut self.connection).await?;
        Ok(())
    }

    /// Forgets what has expired: answers kept for an Idempotency-Key, assertions that nobody would take, runners' access tokens, and
    /// keys that signed nothing that is left.
    pub async fn forget_expired(&mut self, now: OffsetDateTime) -> Result<()> {
        while self.forget_answers(now).await? == BATCH {}
        while self.forget_assertions(now - STILL_KNOWN).await? == BATCH {}
        while self.forget_access_tokens(now).await? == BATCH {}
        signing_key::drop_over(&mut self.connection, now).await
    }

    async fn forget_answers(&mut self, now: OffsetDateTime) -> Result<i64> {
        let batch = sqlx::query!(
            "delete from idempotency_keys where (caller_id, operation, key) in (select caller_id, operation, key
             from idempotency_keys where expires_at <= $1 limit $2 for update skip locked)",
            now,
            BATCH
        );
        Ok(count(&batch.execute(&mut self.connection).await?))
    }

    async fn forget_assertions(&mut self, expired_at: OffsetDateTime) -> Result<i64> {
        let batch = sqlx::query!(
            "delete from used_assertions where hash in
             (select hash from used_assertions where expires_at <= $1 limit $2 for update skip locked)",
            expired_at,
            BATCH
        );
        Ok(count(&batch.execute(&mut self.connection).await?))
    }

    async fn forget_access_tokens(&mut self, now: OffsetDateTime) -> Result<i64> {
        let batch = sqlx::query!(
            "delete from runner_access_tokens where id in
             (select id from runner_access_tokens where expires_at <= $1 limit $2 for update skip locked)",
            now,
            BATCH
        );
        Ok(count(&batch.execute(&mut self.connection).await?))
    }

    /// Forgets values of usage that were not seen since, and what was needed of grants that are gone.
    pub async fn forget_usage(&mut self, seen_before: Date) -> Result<()> {
        while self.forget_values(seen_before).await? == BATCH {}
        sqlx::query!("delete from grant_needs where not exists (select from grants where grants.id = grant_id)")
            .execute(&mut self.connection)
            .await?;
        Ok(())
    }

    async fn forget_values(&mut self, seen_before: Date) -> Result<i64> {
        let batch = sqlx::query!(
            "delete from usage_values where ctid = any(array(select ctid from usage_values where seen_on < $1 limit $2))",
            seen_before,
            BATCH
        );
        Ok(count(&batch.execute(&mut self.connection).await?))
    }

    /// Forgets runs that began before this and had no job since, each with its jobs.
    pub async fn forget_runs(&mut self, before: OffsetDateTime) -> Result<()> {
        let mut after = Uuid::nil();
        while let Some(last) = self.forget_some_runs(after, before).await? {
            after = last;
        }
        Ok(())
    }

    /// Answers the last that was held, unless there are no more.
    async fn forget_some_runs(&mut self, after: Uuid, before: OffsetDateTime) -> Result<Option<Uuid>> {
        let mut transaction = self.connection.begin().await?;
        // The time of a run is in its id. One that a job keeps is passed by unheld, or every sweep would write to all of these; a
        // subselect keeps the planner to the index. The rest are held, and looked at once more: no job joins a run that is held.
        let runs = sqlx::query_scalar!(
            "select id from pipelines where id > $1 and id < $2 and coalesce((select max(greatest(opened_at,
                coalesce(ended_at, deadline_at))) from jobs where pipeline_id = pipelines.id) < $3, true)
             order by id limit $4 for update skip locked",
            after,
            id_at(before),
            before,
            BATCH
        )
        .fetch_all(&mut *transaction)
        .await?;
        sqlx::query!(
            "delete from pipelines where id = any($1) and not exists (select from jobs where pipeline_id = pipelines.id
                and (opened_at >= $2 or coalesce(ended_at, deadline_at) >= $2))",
            &runs,
            before
        )
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(runs.last().copied())
    }

    /// Gives up the right.
    pub async fn end(self) -> Result<()> {
        Ok(self.connection.close().await?)
    }
}

fn count(done: &PgQueryResult) -> i64 {
    i64::try_from(done.rows_affected()).unwrap_or(i64::MAX)
}
