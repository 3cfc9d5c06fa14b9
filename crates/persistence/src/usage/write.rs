//! Writing what was counted: one upsert, and the bound on values that are told apart.

use crate::error::stored;
use crate::member::role_number;
use crate::{Result, Tx};
use jobpass_domain::catalogue::Catalogue;
use jobpass_domain::ids::{GrantId, ProjectId};
use jobpass_domain::reason::Reason;
use jobpass_domain::usage::{Cell, Kind, Tally, Use, Values, What};
use serde::Serialize;
use sqlx::types::Json;
use std::collections::BTreeMap;
use time::{Date, OffsetDateTime};
use uuid::Uuid;

/// A use on its way into the table.
#[derive(Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "the columns of a table")]
struct Line {
    day: String,
    key: Uuid,
    target_id: Uuid,
    source_id: Uuid,
    permission: Option<String>,
    service_id: Option<Uuid>,
    allowed: bool,
    reason: Option<&'static str>,
    would_deny: bool,
    r#ref: String,
    ref_type: &'static str,
    protected: bool,
    environment: Option<String>,
    trigger: &'static str,
    from_fork: bool,
    minted_by: &'static str,
    actor_role: Option<i16>,
    resource_name: Option<String>,
    count: u64,
    #[serde(with = "time::serde::rfc3339")]
    first_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    last_at: OffsetDateTime,
    last_job_id: Uuid,
}

impl Line {
    fn of(key: Uuid, day: Date, used: Use, tally: &Tally, catalogue: &Catalogue) -> Line {
        let (permission, service_id) = match used.what {
            What::Named(permission) => (catalogue.name(permission), None),
            What::Unnamed(service) => (None, Some(service.0)),
        };
        Line {
            day: day.to_string(),
            key,
            target_id: used.target.0,
            source_id: used.source.0,
            permission,
            service_id,
            allowed: used.verdict.allowed,
            reason: used.verdict.reason.map(Reason::name),
            would_deny: used.verdict.would_deny,
            r#ref: used.run.ref_name,
            ref_type: used.run.ref_type.name(),
            protected: used.run.protected,
            environment: used.run.environment,
            trigger: used.run.trigger.name(),
            from_fork: used.run.from_fork,
            minted_by: used.run.minted_by.name(),
            actor_role: used.actor_role.map(role_number),
            resource_name: used.resource_name,
            count: tally.count,
            first_at: tally.first_at,
            last_at: tally.last_at,
            last_job_id: tally.last_job.0,
        }
    }
}

/// Adds what was counted. One replica after the other, so that the bound on values told apart holds for all.
pub async fn add(tx: &mut Tx, uses: Vec<(Use, Tally)>, catalogue: &Catalogue) -> Result<()> {
    sqlx::query!("select pg_advisory_xact_lock(hashtextextended('jobpass.usage', 0))").fetch_one(tx.on()).await?;
    let mut values = known_values(tx, &uses, catalogue).await?;
    let mut merged = BTreeMap::<(Date, Uuid), (Use, Tally)>::new();
    for (used, tally) in uses {
        let used = values.bounded(used);
        let key = (tally.last_at.to_offset(time::UtcOffset::UTC).date(), used.key());
        merged.entry(key).and_modify(|(_, known)| *known = known.and(tally)).or_insert((used, tally));
    }
    let day = tx.now().date();
    keep_values(tx, &values, day, catalogue).await?;
    let lines: Vec<_> =
        merged.into_iter().map(|((day, key), (used, tally))| Line::of(key, day, used, &tally, catalogue)).collect();
    upsert(tx, &lines).await
}

async fn upsert(tx: &mut Tx, lines: &[Line]) -> Result<()> {
    sqlx::query!(
        "insert into usage (day, key, target_id, source_id, permission, service_id, allowed, reason, would_deny, ref, ref_type, protected,
            environment, trigger, from_fork, minted_by, actor_role, resource_name, count, first_at, last_at, last_job_id)
         select day, key, target_id, source_id, permission, service_id, allowed, reason, would_deny, ref, ref_type, protected,
            environment, trigger, from_fork, minted_by, actor_role, resource_name, count, first_at, last_at, last_job_id
         from jsonb_to_recordset($1) as line (day date, key uuid, target_id uuid, source_id uuid, permission text, service_id uuid,
            allowed boolean, reason text, would_deny boolean, ref text, ref_type text, protected boolean, environment text,
            trigger text, from_fork boolean, minted_by text, actor_role smallint, resource_name text, count bigint,
            first_at timestamptz, last_at timestamptz, last_job_id uuid)
         on conflict (day, key) do update set
            count = usage.count + excluded.count,
            first_at = least(usage.first_at, excluded.first_at),
            last_at = greatest(usage.last_at, excluded.last_at),
            last_job_id = case when excluded.last_at >= usage.last_at then excluded.last_job_id else usage.last_job_id end",
        Json(lines) as _
    )
    .execute(tx.on())
    .await?;
    Ok(())
}

/// The values that are told apart already in the cells of these uses.
async fn known_values(tx: &mut Tx, uses: &[(Use, Tally)], catalogue: &Catalogue) -> Result<Values> {
    let mut values = Values::default();
    let (mut targets, mut sources) = (Vec::new(), Vec::new());
    for (used, _) in uses {
        targets.push(used.target.0);
        sources.push(used.source.0);
    }
    let rows = sqlx::query!(
        "select target_id, source_id, permission, untrusted, kind, value from usage_values
         where (target_id, source_id) in (select * from unnest($1::uuid[], $2::uuid[]))",
        &targets,
        &sources
    )
    .fetch_all(tx.on())
    .await?;
    for row in rows {
        let permission = catalogue.parse(&row.permission).ok().and_then(|set| set.iter().next());
        let (target, source) = (ProjectId(row.target_id), ProjectId(row.source_id));
        let cell = Cell { target, source, permission, untrusted: row.untrusted };
        values.know(cell, stored(Kind::named(&row.kind))?, row.value);
    }
    Ok(values)
}

async fn keep_values(tx: &mut Tx, values: &Values, day: Date, catalogue: &Catalogue) -> Result<()> {
    #[derive(Serialize)]
    struct Told<'a> {
        target_id: Uuid,
        source_id: Uuid,
        permission: String,
        untrusted: bool,
        kind: &'static str,
        value: &'a str,
    }
    let mut known: Vec<_> = values.seen().collect();
    // In one order on every replica, so that none waits for another in a circle.
    known.sort_unstable_by_key(|(cell, kind, value)| (*cell, kind.name(), *value));
    let lines: Vec<_> = known
        .into_iter()
        .map(|(cell, kind, value)| Told {
            target_id: cell.target.0,
            source_id: cell.source.0,
            permission: cell.permission.and_then(|permission| catalogue.name(permission)).unwrap_or_default(),
            untrusted: cell.untrusted,
            kind: kind.name(),
            value,
        })
        .collect();
    sqlx::query!(
        "insert into usage_values (target_id, source_id, permission, untrusted, kind, value, seen_on)
         select target_id, source_id, permission, untrusted, kind, value, $2
         from jsonb_to_recordset($1) as line (target_id uuid, source_id uuid, permission text, untrusted boolean, kind text, value text)
         on conflict (target_id, source_id, permission, untrusted, kind, value) do update set seen_on = excluded.seen_on
         where usage_values.seen_on < excluded.seen_on",
        Json(&lines) as _,
        day
    )
    .execute(tx.on())
    .await?;
    Ok(())
}

/// Marks when grants were last needed.
pub async fn need(tx: &mut Tx, needs: &BTreeMap<GrantId, OffsetDateTime>) -> Result<()> {
    let (ids, times): (Vec<Uuid>, Vec<OffsetDateTime>) = needs.iter().map(|(id, at)| (id.0, *at)).unzip();
    sqlx::query!(
        "insert into grant_needs (grant_id, last_needed_at) select * from unnest($1::uuid[], $2::timestamptz[])
         on conflict (grant_id) do update set last_needed_at = greatest(grant_needs.last_needed_at, excluded.last_needed_at)",
        &ids,
        &times
    )
    .execute(tx.on())
    .await?;
    Ok(())
}
