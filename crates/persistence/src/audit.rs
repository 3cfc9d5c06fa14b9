//! Audit events.

use crate::{Context, Result, id_at};
use jobpass_domain::audit::{AuditEvent, Change};
use jobpass_domain::ids::AuditEventId;
use jobpass_domain::place::Place;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

pub(crate) async fn insert(connection: &mut PgConnection, context: &Context, change: &Change) -> Result<()> {
    sqlx::query!(
        "insert into audit_events (at, id, actor_kind, actor_id, action, subject_kind, subject_id, project_id, group_id,
            before, after, reason, request_id, chain)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::text::jsonb, $11::text::jsonb, $12, $13,
            coalesce((select p.chain from projects p where p.id = $8), (select g.chain from groups g where g.id = $9), '{}'))",
        context.now,
        id_at(context.now),
        context.actor.kind(),
        context.actor.id(),
        change.action,
        change.subject_kind,
        change.subject,
        change.place.project_id(),
        change.place.group_id(),
        change.before,
        change.after,
        change.reason,
        context.request_id,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Newest first. `place`: events there and below, as it lay when they happened; the instance: all.
pub async fn list(db: &PgPool, place: Place, after: Option<AuditEventId>, limit: i64) -> Result<Vec<AuditEvent>> {
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
