//! Audit events.

use crate::{Reads, Result, column, id_at};
use jobpass_domain::audit::{Actor, AuditEvent, Change};
use jobpass_domain::ids::AuditEventId;
use jobpass_domain::place::Place;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// What happened, by whom, and in answer to which request.
#[derive(Clone, Debug)]
pub struct Event {
    pub actor: Actor,
    pub request_id: Option<Uuid>,
    pub change: Change,
}

pub(crate) async fn insert_all(connection: &mut PgConnection, now: OffsetDateTime, events: &[Event]) -> Result<()> {
    sqlx::query!(
        "insert into audit_events (at, id, actor_kind, actor_id, action, subject_kind, subject_id, project_id, group_id,
            before, after, reason, request_id, chain)
         select $1, e.id, e.actor_kind, e.actor_id, e.action, e.subject_kind, e.subject_id, e.project_id, e.group_id,
            e.before::jsonb, e.after::jsonb, e.reason, e.request_id,
            coalesce((select p.chain from projects p where p.id = e.project_id),
                (select g.chain from groups g where g.id = e.group_id), '{}')
         from unnest($2::uuid[], $3::text[], $4::uuid[], $5::text[], $6::text[], $7::uuid[], $8::uuid[], $9::uuid[], $10::text[],
            $11::text[], $12::text[], $13::uuid[])
            as e (id, actor_kind, actor_id, action, subject_kind, subject_id, project_id, group_id, before, after, reason, request_id)",
        now,
        &column(events, |_| id_at(now)),
        &column(events, |event| event.actor.kind()) as _,
        &column(events, |event| event.actor.id()) as _,
        &column(events, |event| event.change.action) as _,
        &column(events, |event| event.change.subject_kind) as _,
        &column(events, |event| event.change.subject),
        &column(events, |event| event.change.place.project_id()) as _,
        &column(events, |event| event.change.place.group_id()) as _,
        &column(events, |event| event.change.before.as_deref()) as _,
        &column(events, |event| event.change.after.as_deref()) as _,
        &column(events, |event| event.change.reason.as_deref()) as _,
        &column(events, |event| event.request_id) as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Newest first. `place`: events there and below, as it lay when they happened; the instance: all.
pub async fn list(db: &Reads, place: Place, after: Option<AuditEventId>, limit: i64) -> Result<Vec<AuditEvent>> {
    let rows = sqlx::query!(
        r#"select at, id, actor_kind, actor_id, action, subject_kind, subject_id, project_id, group_id,
            before::text, after::text, reason, request_id
         from audit_events
         where ($1::uuid is null or project_id = $1)
           and ($2::uuid is null or $2 = any(chain)
                or chain is null and (group_id in (select g.id from groups g where $2 = any(g.chain))
                    or project_id in (select p.id from projects p where $2 = any(p.chain))))
           and ($3::uuid is null or id < $3)
         order by id desc limit $4"#,
        place.project_id(),
        place.group_id(),
        after.map(Uuid::from),
        limit
    )
    .fetch_all(db)
    .await?;
    let events = rows.into_iter().map(|row| AuditEvent {
        id: AuditEventId(row.id),
        at: row.at,
        actor_kind: row.actor_kind,
        actor: row.actor_id,
        action: row.action,
        subject_kind: row.subject_kind,
        subject: row.subject_id,
        place: Place::from_ids(row.group_id, row.project_id),
        before: row.before,
        after: row.after,
        reason: row.reason,
        request_id: row.request_id,
    });
    Ok(events.collect())
}
