//! Reading what was counted: for people, by pages; and for replays, by pairs of projects.

use crate::Result;
use crate::error::stored;
use crate::member::role_numbered;
use jobpass_domain::catalogue::Catalogue;
use jobpass_domain::ids::{JobId, ProjectId, ServiceId};
use jobpass_domain::permission::PermissionSet;
use jobpass_domain::pipeline::Trigger;
use jobpass_domain::place::Place;
use jobpass_domain::provenance::{CredentialScope, Provenance};
use jobpass_domain::reason::Reason;
use jobpass_domain::refs::RefType;
use jobpass_domain::replay::Recorded;
use jobpass_domain::usage::{Filter, Tally, Use, Verdict, What};
use sqlx::{PgConnection, PgExecutor};
use time::OffsetDateTime;
use uuid::Uuid;

/// Which uses a change may touch: those on targets in a place, and, when asked for, those by sources in it.
#[derive(Clone, Copy, Debug)]
pub struct Touched {
    pub place: Place,
    pub sources_too: bool,
}

/// A target and a source.
pub type Pair = (ProjectId, ProjectId);

/// The pairs that were seen since then; of projects that are still there.
pub async fn pairs(db: impl PgExecutor<'_>, touched: Touched, since: OffsetDateTime) -> Result<Vec<Pair>> {
    let Touched { place, sources_too } = touched;
    let rows = sqlx::query!(
        r#"select distinct u.target_id, u.source_id
         from usage u join projects t on t.id = u.target_id join projects s on s.id = u.source_id
         where u.day >= $1::timestamptz::date and u.last_at >= $1
           and ($2 or t.id = $3 or $4 = any(t.chain) or ($5 and (s.id = $3 or $4 = any(s.chain))))
         order by u.target_id, u.source_id"#,
        since,
        place == Place::Instance,
        place.project_id(),
        place.group_id(),
        sources_too
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| (ProjectId(row.target_id), ProjectId(row.source_id))).collect())
}

/// What pairs did since then, each use once.
pub async fn recorded(
    db: &mut PgConnection,
    pairs: &[Pair],
    (since, unnamed_only): (OffsetDateTime, bool),
    catalogue: &Catalogue,
) -> Result<Vec<Recorded>> {
    let (targets, sources): (Vec<Uuid>, Vec<Uuid>) = pairs.iter().map(|(target, source)| (target.0, source.0)).unzip();
    let rows = sqlx::query_as!(
        Row,
        r#"select target_id, source_id, null as source_path, permission, service_id, allowed, reason, would_deny, ref as ref_name, ref_type,
            protected, environment, trigger, from_fork, minted_by, actor_role, resource_name, key,
            sum(count)::bigint as "count!", min(first_at) as "first_at!", max(last_at) as "last_at!",
            (array_agg(last_job_id order by last_at desc))[1] as "last_job_id!"
         from usage
         where (target_id, source_id) in (select * from unnest($1::uuid[], $2::uuid[]))
           and day >= $3::timestamptz::date and last_at >= $3 and (not $4 or service_id is not null)
         group by target_id, source_id, permission, service_id, allowed, reason, would_deny, ref, ref_type, protected, environment,
            trigger, from_fork, minted_by, actor_role, resource_name, key
         order by target_id, source_id, key"#,
        &targets,
        &sources,
        since,
        unnamed_only
    )
    .fetch_all(db)
    .await?;
    // A permission that no resource type has any more is nothing that could be refused.
    rows.into_iter().filter_map(|row| row.recorded(catalogue).transpose()).collect()
}

/// What of a filter names things that only the catalogue and the clock can say.
#[derive(Clone, Debug, Default)]
pub struct Resolved {
    /// Every action on its own; `None`: any.
    pub permissions: Option<Vec<String>>,
    /// Not seen at this time or later.
    pub unused_since: Option<OffsetDateTime>,
}

/// Where a list goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub source: Uuid,
    pub permission: String,
    pub key: Uuid,
}

/// A use as people read it.
#[derive(Clone, Debug)]
pub struct Listed {
    pub recorded: Recorded,
    /// `None`: the source was deleted.
    pub source_path: Option<String>,
    pub cursor: Cursor,
}

/// The uses of a target, by source and permission.
pub async fn list(
    db: impl PgExecutor<'_>,
    target: ProjectId,
    (filter, resolved): (&Filter, &Resolved),
    after: Option<&Cursor>,
    limit: i64,
    catalogue: &Catalogue,
) -> Result<Vec<Listed>> {
    let source_id = filter.source.as_deref().and_then(|key| Uuid::parse_str(key).ok());
    let rows = sqlx::query_as!(
        Row,
        r#"select u.target_id, u.source_id, p.path as "source_path?", permission, service_id, allowed, reason, would_deny, ref as ref_name,
            ref_type, protected, environment, trigger, from_fork, minted_by, actor_role, resource_name, key,
            sum(count)::bigint as "count!", min(first_at) as "first_at!", max(last_at) as "last_at!",
            (array_agg(last_job_id order by last_at desc))[1] as "last_job_id!"
         from usage u left join projects p on p.id = u.source_id
         where u.target_id = $1
           and ($2::text is null or p.path = $2 or u.source_id = $3)
           and ($4::text[] is null or permission = any($4))
           and ($5::boolean is null or (service_id is not null) = $5)
           and ($6::boolean is null or allowed = $6)
           and ($7::text is null or reason = $7)
           and ($8::boolean is null or would_deny = $8)
           and ($9::text is null or ref = $9)
           and ($10::text is null or environment = $10)
           and ($11::text is null or resource_name = $11)
           and ($12::boolean is null or protected = $12)
           and ($13::text is null or trigger = $13)
           and ($14::boolean is null or from_fork = $14)
           and ($15::timestamptz is null or (u.day >= $15::timestamptz::date and last_at >= $15))
           and ($16::timestamptz is null or first_at < $16)
           and ($17::uuid is null or (u.source_id, coalesce(permission, '') collate "C", key) > ($17, $18::text collate "C", $19::uuid))
         group by u.target_id, u.source_id, p.path, permission, service_id, allowed, reason, would_deny, ref, ref_type, protected,
            environment, trigger, from_fork, minted_by, actor_role, resource_name, key
         having $20::timestamptz is null or max(last_at) < $20
         order by u.source_id, coalesce(permission, '') collate "C", key limit $21"#,
        target.0,
        filter.source,
        source_id,
        resolved.permissions.as_deref(),
        filter.unnamed,
        filter.allowed,
        filter.reason.map(Reason::name),
        filter.would_deny,
        filter.ref_name,
        filter.environment,
        filter.resource_name,
        filter.protected,
        filter.trigger.map(Trigger::name),
        filter.from_fork,
        filter.since,
        filter.until,
        after.map(|cursor| cursor.source),
        after.map(|cursor| cursor.permission.as_str()),
        after.map(|cursor| cursor.key),
        resolved.unused_since,
        limit
    )
    .fetch_all(db)
    .await?;
    rows.into_iter().filter_map(|row| row.listed(catalogue).transpose()).collect()
}

/// Whether this source was seen on this target.
pub async fn was_seen(db: impl PgExecutor<'_>, target: Place, source: Uuid, since: OffsetDateTime) -> Result<bool> {
    Ok(sqlx::query_scalar!(
        r#"select exists (select from usage u join projects t on t.id = u.target_id
             where u.source_id = $1 and u.day >= $4::timestamptz::date and (t.id = $2 or $3 = any(t.chain))) as "seen!""#,
        source,
        target.project_id(),
        target.group_id(),
        since
    )
    .fetch_one(db)
    .await?)
}

#[expect(clippy::struct_excessive_bools, reason = "the columns of a table")]
struct Row {
    target_id: Uuid,
    source_id: Uuid,
    source_path: Option<String>,
    permission: Option<String>,
    service_id: Option<Uuid>,
    allowed: bool,
    reason: Option<String>,
    would_deny: bool,
    ref_name: String,
    ref_type: String,
    protected: bool,
    environment: Option<String>,
    trigger: String,
    from_fork: bool,
    minted_by: String,
    actor_role: Option<i16>,
    resource_name: Option<String>,
    key: Uuid,
    count: i64,
    first_at: OffsetDateTime,
    last_at: OffsetDateTime,
    last_job_id: Uuid,
}

impl Row {
    fn listed(self, catalogue: &Catalogue) -> Result<Option<Listed>> {
        let permission = self.permission.clone().unwrap_or_default();
        let cursor = Cursor { source: self.source_id, permission, key: self.key };
        let source_path = self.source_path.clone();
        Ok(self.recorded(catalogue)?.map(|recorded| Listed { recorded, source_path, cursor }))
    }

    fn what(&self, catalogue: &Catalogue) -> Option<What> {
        let Some(permission) = &self.permission else {
            return self.service_id.map(|id| What::Unnamed(ServiceId(id)));
        };
        catalogue.parse(permission).ok().and_then(|set: PermissionSet| set.iter().next()).map(What::Named)
    }

    fn recorded(self, catalogue: &Catalogue) -> Result<Option<Recorded>> {
        let Some(what) = self.what(catalogue) else { return Ok(None) };
        let reason = self.reason.as_deref().map(|name| stored(Reason::named(name))).transpose()?;
        let used = Use {
            target: ProjectId(self.target_id),
            source: ProjectId(self.source_id),
            what,
            run: Provenance {
                ref_name: self.ref_name,
                ref_type: stored(RefType::named(&self.ref_type))?,
                protected: self.protected,
                environment: self.environment,
                trigger: stored(Trigger::named(&self.trigger))?,
                from_fork: self.from_fork,
                minted_by: stored(CredentialScope::named(&self.minted_by))?,
            },
            actor_role: self.actor_role.map(|number| stored(role_numbered(number))).transpose()?,
            resource_name: self.resource_name,
            verdict: Verdict { allowed: self.allowed, reason, would_deny: self.would_deny },
        };
        let tally = Tally {
            count: u64::try_from(self.count).unwrap_or(0),
            first_at: self.first_at,
            last_at: self.last_at,
            last_job: JobId(self.last_job_id),
        };
        Ok(Some(Recorded { used, tally }))
    }
}
