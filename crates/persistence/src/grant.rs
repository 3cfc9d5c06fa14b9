//! Grants.

use crate::error::{parsed, stored};
use crate::{Reads, Result, Tx, member};
use jobpass_domain::Role;
use jobpass_domain::catalogue::Catalogue;
use jobpass_domain::glob::Glob;
use jobpass_domain::grant::{Conditions, Grant, SavedGrant, Selectors, Source, VouchedBy};
use jobpass_domain::ids::{GrantId, GroupId, ProjectId, UserId};
use jobpass_domain::pipeline::Trigger;
use jobpass_domain::place::Place;
use jobpass_domain::refs::RefPattern;
use serde::Deserialize;
use sqlx::PgExecutor;
use std::collections::BTreeMap;
use time::OffsetDateTime;
use uuid::Uuid;

/// The columns that a decision reads; also decoded from the JSON that the question statement gathers.
#[derive(Debug, Deserialize)]
pub(crate) struct Columns {
    id: Uuid,
    source_project_id: Option<Uuid>,
    source_group_id: Option<Uuid>,
    except_ids: Vec<Uuid>,
    permissions: Vec<String>,
    refs: Option<Vec<String>>,
    protected_refs_only: bool,
    environments: Option<Vec<String>>,
    triggers: Option<Vec<String>>,
    allow_forks: bool,
    within_actor_role: bool,
    vouched_by: String,
    selectors: BTreeMap<String, Vec<String>>,
    #[serde(with = "time::serde::rfc3339::option")]
    expires_at: Option<OffsetDateTime>,
}

impl Columns {
    /// A permission or selector whose resource type is unknown here gives nothing: it is left out of the
    /// permissions, and a selector of it binds nothing that could be held.
    pub(crate) fn into_grant(self, catalogue: &Catalogue) -> Result<Grant> {
        let permissions = catalogue.known(&self.permissions);
        let source = match (self.source_project_id, self.source_group_id) {
            (Some(project), _) => Source::Project(ProjectId(project)),
            (None, group) => Source::group(GroupId(stored(group)?), self.except_ids),
        };
        let mut selectors = Selectors::default();
        for (resource, patterns) in self.selectors {
            if let Some(resource) = catalogue.find(&resource) {
                selectors.0.insert(resource.slot, globs(patterns)?);
            }
        }
        let triggers = self.triggers.map(|names| names.iter().map(|name| stored(Trigger::named(name))).collect());
        Ok(Grant {
            id: GrantId(self.id),
            source,
            permissions,
            conditions: Conditions {
                refs: parsed(self.refs.map(|refs| refs.into_iter().map(RefPattern::parse).collect()).transpose())?,
                protected_refs_only: self.protected_refs_only,
                environments: self.environments.map(globs).transpose()?,
                triggers: triggers.transpose()?,
                allow_forks: self.allow_forks,
                within_actor_role: self.within_actor_role,
                vouched_by: stored(VouchedBy::named(&self.vouched_by))?,
            },
            selectors,
            expires_at: self.expires_at,
        })
    }
}

pub(crate) fn globs(patterns: Vec<String>) -> Result<Vec<Glob>> {
    parsed(patterns.into_iter().map(Glob::parse).collect())
}

struct Row {
    columns: sqlx::types::Json<Columns>,
    project_id: Option<Uuid>,
    group_id: Option<Uuid>,
    everything: bool,
    note: String,
    source_path: String,
    except_paths: Vec<String>,
    last_needed_at: Option<OffsetDateTime>,
    created_by: Option<Uuid>,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

impl Row {
    fn into_saved(self, catalogue: &Catalogue) -> Result<SavedGrant> {
        Ok(SavedGrant {
            grant: self.columns.0.into_grant(catalogue)?,
            place: Place::from_ids(self.group_id, self.project_id),
            everything: self.everything,
            note: self.note,
            source_path: self.source_path,
            except_paths: self.except_paths,
            last_needed_at: self.last_needed_at,
            created_by: self.created_by.map(UserId),
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}

/// Which grants are looked for.
enum Which<'a> {
    On(Place),
    OneOn(Place, GrantId),
    These(&'a [Uuid]),
}

impl Which<'_> {
    /// Project, group and ids, as the statement takes them.
    fn keys(&self) -> (Option<Uuid>, Option<Uuid>, Option<Vec<Uuid>>) {
        match self {
            Which::On(place) => (place.project_id(), place.group_id(), None),
            Which::OneOn(place, id) => (place.project_id(), place.group_id(), Some(vec![id.0])),
            Which::These(ids) => (None, None, Some(ids.to_vec())),
        }
    }
}

/// One page, oldest first.
async fn select(
    db: impl PgExecutor<'_>,
    which: Which<'_>,
    (after, unneeded_since): (Option<GrantId>, Option<OffsetDateTime>),
    limit: i64,
    catalogue: &Catalogue,
) -> Result<Vec<SavedGrant>> {
    let (project, group, ids) = which.keys();
    sqlx::query_as!(
        Row,
        r#"select to_jsonb(g) as "columns!: sqlx::types::Json<Columns>", g.project_id, g.group_id, g.everything, g.note,
            coalesce(sp.path, sg.path) as "source_path!",
            array(select path from projects where id = any(g.except_ids) union select path from groups where id = any(g.except_ids)
                  order by path) as "except_paths!",
            n.last_needed_at as "last_needed_at?", u.id as "created_by?", g.created_at, g.updated_at
         from grants g left join users u on u.id = g.created_by left join grant_needs n on n.grant_id = g.id
         left join projects sp on sp.id = g.source_project_id left join groups sg on sg.id = g.source_group_id
         where (num_nonnulls($1::uuid, $2::uuid) = 0 or g.project_id = $1 or g.group_id = $2) and ($3::uuid[] is null or g.id = any($3)) and ($4::uuid is null or g.id > $4)
           and ($6::timestamptz is null or n.last_needed_at is null or n.last_needed_at < $6)
         order by g.id limit $5"#,
        project,
        group,
        ids.as_deref(),
        after.map(Uuid::from),
        limit,
        unneeded_since
    )
    .fetch_all(db)
    .await?
    .into_iter()
    .map(|row| row.into_saved(catalogue))
    .collect()
}

/// Oldest first. `unneeded_since`: only those that were not needed since then.
pub async fn list(
    db: impl PgExecutor<'_>,
    place: Place,
    (after, unneeded_since): (Option<GrantId>, Option<OffsetDateTime>),
    limit: i64,
    catalogue: &Catalogue,
) -> Result<Vec<SavedGrant>> {
    select(db, Which::On(place), (after, unneeded_since), limit, catalogue).await
}

pub async fn find(
    db: impl PgExecutor<'_>,
    place: Place,
    id: GrantId,
    catalogue: &Catalogue,
) -> Result<Option<SavedGrant>> {
    Ok(select(db, Which::OneOn(place, id), (None, None), 1, catalogue).await?.pop())
}

/// Grants by id, wherever they live.
pub async fn find_all(db: impl PgExecutor<'_>, ids: &[GrantId], catalogue: &Catalogue) -> Result<Vec<SavedGrant>> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    select(db, Which::These(&ids), (None, None), i64::MAX, catalogue).await
}

pub async fn count(tx: &mut Tx, place: Place) -> Result<i64> {
    Ok(sqlx::query_scalar!(
        r#"select count(*) as "count!" from grants where project_id = $1 or group_id = $2"#,
        place.project_id(),
        place.group_id()
    )
    .fetch_one(tx.on())
    .await?)
}

/// Whether a grant on this place names the project or group, as its source or as an exception.
pub async fn is_named(db: &Reads, place: Place, id: Uuid) -> Result<bool> {
    Ok(sqlx::query_scalar!(
        r#"select exists (select from grants where (project_id = $1 or group_id = $2)
            and (source_project_id = $3 or source_group_id = $3 or $3 = any(except_ids))) as "named!""#,
        place.project_id(),
        place.group_id(),
        id
    )
    .fetch_one(db)
    .await?)
}

/// Whether a grant on this place excepts the project or group from this source.
pub async fn is_excepted(db: &Reads, place: Place, source: GroupId, id: Uuid) -> Result<bool> {
    Ok(sqlx::query_scalar!(
        r#"select exists (select from grants where (project_id = $1 or group_id = $2)
            and source_group_id = $3 and $4 = any(except_ids)) as "excepted!""#,
        place.project_id(),
        place.group_id(),
        source.0,
        id
    )
    .fetch_one(db)
    .await?)
}

/// Whether a grant for this source, or this one grant, expires there at that moment already.
pub async fn expires_at(
    db: &Reads,
    place: Place,
    (id, source): (Option<GrantId>, Uuid),
    at: OffsetDateTime,
) -> Result<bool> {
    Ok(sqlx::query_scalar!(
        r#"select exists (select from grants where (project_id = $1 or group_id = $2) and ($3::uuid is null or id = $3)
            and coalesce(source_project_id, source_group_id) = $4 and expires_at = $5) as "does!""#,
        place.project_id(),
        place.group_id(),
        id.map(Uuid::from),
        source,
        at
    )
    .fetch_one(db)
    .await?)
}

/// A grant to be written, by insert or in place of an old one.
#[derive(Debug)]
pub struct Write<'a> {
    pub grant: &'a Grant,
    pub place: Place,
    pub everything: bool,
    pub note: &'a str,
    pub created_by: Option<UserId>,
}

/// The grant's lists as the columns hold them.
struct Texts {
    except: Vec<Uuid>,
    source_project: Option<Uuid>,
    source_group: Option<Uuid>,
    permissions: Vec<String>,
    refs: Option<Vec<String>>,
    environments: Option<Vec<String>>,
    triggers: Option<Vec<String>>,
    selectors: serde_json::Value,
}

impl Texts {
    fn of(grant: &Grant, catalogue: &Catalogue) -> Texts {
        let texts = |globs: &Vec<Glob>| globs.iter().map(|glob| glob.as_str().to_owned()).collect::<Vec<_>>();
        let (source_project, source_group, except) = match &grant.source {
            Source::Project(project) => (Some(project.0), None, vec![]),
            Source::Group { group, except } => (None, Some(group.0), except.clone()),
        };
        let selectors: BTreeMap<_, _> = grant
            .selectors
            .0
            .iter()
            .filter_map(|(slot, globs)| Some((catalogue.get(*slot)?.name.clone(), texts(globs))))
            .collect();
        Texts {
            except,
            source_project,
            source_group,
            permissions: catalogue.format(grant.permissions),
            refs: grant.conditions.refs.as_ref().map(|refs| refs.iter().map(|one| one.as_str().to_owned()).collect()),
            environments: grant.conditions.environments.as_ref().map(texts),
            triggers: grant
                .conditions
                .triggers
                .as_ref()
                .map(|all| all.iter().map(|one| one.name().to_owned()).collect()),
            selectors: serde_json::json!(selectors),
        }
    }
}

pub async fn insert(tx: &mut Tx, write: &Write<'_>, catalogue: &Catalogue) -> Result<()> {
    let (grant, texts, now) = (write.grant, Texts::of(write.grant, catalogue), tx.now());
    sqlx::query!(
        "insert into grants (id, project_id, group_id, source_project_id, source_group_id, except_ids, everything, permissions, refs,
            protected_refs_only, environments, triggers, allow_forks, within_actor_role, vouched_by, selectors, note, expires_at,
            created_by, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $20)",
        grant.id.0,
        write.place.project_id(),
        write.place.group_id(),
        texts.source_project,
        texts.source_group,
        &texts.except,
        write.everything,
        &texts.permissions,
        texts.refs.as_deref(),
        grant.conditions.protected_refs_only,
        texts.environments.as_deref(),
        texts.triggers.as_deref(),
        grant.conditions.allow_forks,
        grant.conditions.within_actor_role,
        grant.conditions.vouched_by.name(),
        texts.selectors,
        write.note,
        grant.expires_at,
        write.created_by.map(Uuid::from),
        now
    )
    .execute(tx.on())
    .await?;
    Ok(())
}

/// Everything but where it lives and who created it.
pub async fn update(tx: &mut Tx, write: &Write<'_>, catalogue: &Catalogue) -> Result<()> {
    let (grant, texts, now) = (write.grant, Texts::of(write.grant, catalogue), tx.now());
    sqlx::query!(
        "update grants set source_project_id = $2, source_group_id = $3, except_ids = $4, everything = $5, permissions = $6, refs = $7,
            protected_refs_only = $8, environments = $9, triggers = $10, allow_forks = $11, within_actor_role = $12,
            vouched_by = $13, selectors = $14, note = $15, expires_at = $16, updated_at = $17
         where id = $1",
        grant.id.0,
        texts.source_project,
        texts.source_group,
        &texts.except,
        write.everything,
        &texts.permissions,
        texts.refs.as_deref(),
        grant.conditions.protected_refs_only,
        texts.environments.as_deref(),
        texts.triggers.as_deref(),
        grant.conditions.allow_forks,
        grant.conditions.within_actor_role,
        grant.conditions.vouched_by.name(),
        texts.selectors,
        write.note,
        grant.expires_at,
        now
    )
    .execute(tx.on())
    .await?;
    Ok(())
}

pub async fn delete(tx: &mut Tx, id: GrantId) -> Result<()> {
    sqlx::query!("delete from grants where id = $1", id.0).execute(tx.on()).await?;
    Ok(())
}

/// Holds projects and groups that a grant is to name, so that none is deleted first; answers whether all are there.
pub async fn hold_named(tx: &mut Tx, ids: &[Uuid]) -> Result<bool> {
    let projects = sqlx::query!("select id from projects where id = any($1) order by id for key share", ids)
        .fetch_all(tx.on())
        .await?;
    let groups = sqlx::query!("select id from groups where id = any($1) order by id for key share", ids)
        .fetch_all(tx.on())
        .await?;
    Ok(projects.len() + groups.len() == ids.len())
}

/// The grants that name this source, wherever they live: with where, for the audit events of their deletion.
pub async fn naming(tx: &mut Tx, source: Place) -> Result<Vec<(GrantId, Place)>> {
    let rows = sqlx::query!(
        "select id, project_id, group_id from grants where source_project_id = $1 or source_group_id = $2",
        source.project_id(),
        source.group_id()
    );
    let rows = rows.fetch_all(tx.on()).await?;
    Ok(rows.into_iter().map(|row| (GrantId(row.id), Place::from_ids(row.group_id, row.project_id))).collect())
}

/// A grant that a move may bring or take.
#[derive(Debug)]
pub struct Concerned {
    pub id: GrantId,
    /// It lives on a group that is above before or after, and not both.
    pub above: bool,
    /// The user maintains where it lives.
    pub maintained: bool,
}

/// The grants that live on these groups, and those elsewhere whose source is one of those.
pub async fn concerned(
    tx: &mut Tx,
    (places, sources): (&[GroupId], &[GroupId]),
    user: UserId,
) -> Result<Vec<Concerned>> {
    let ids = |groups: &[GroupId]| groups.iter().map(|group| group.0).collect::<Vec<_>>();
    let rows = sqlx::query!(
        r#"select g.id as "id!", coalesce(g.group_id = any($1), false) as "above!",
            (exists (select from users u where u.id = $3 and u.administrator)
             or exists (select from memberships m where m.user_id = $3 and m.role >= $4
                and (m.project_id = p.id or m.group_id = any(coalesce(p.chain, t.chain))))) as "maintained!"
         from grants g left join projects p on p.id = g.project_id left join groups t on t.id = g.group_id
         where g.group_id = any($1) or g.source_group_id = any($2)"#,
        &ids(places),
        &ids(sources),
        user.0,
        member::role_number(Role::Maintainer)
    );
    let rows = rows.fetch_all(tx.on()).await?;
    let concerned = |id, above, maintained| Concerned { id: GrantId(id), above, maintained };
    Ok(rows.into_iter().map(|row| concerned(row.id, row.above, row.maintained)).collect())
}

/// Takes a deleted project or group out of every `except` list.
pub async fn forget_exception(tx: &mut Tx, id: Uuid) -> Result<()> {
    sqlx::query!("update grants set except_ids = array_remove(except_ids, $1) where $1 = any(except_ids)", id)
        .execute(tx.on())
        .await?;
    Ok(())
}
