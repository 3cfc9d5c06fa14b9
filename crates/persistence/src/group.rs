//! Groups. Paths and chains are kept by the schema's triggers.

use crate::error::{parsed, stored};
use crate::{Reads, Result, Tx};
use jobpass_domain::Path;
use jobpass_domain::group::Group;
use jobpass_domain::ids::{GroupId, ProjectId, UserId};
use jobpass_domain::mode::Mode;
use sqlx::PgExecutor;
use std::collections::HashSet;
use time::OffsetDateTime;
use uuid::Uuid;

struct Row {
    id: Uuid,
    path: String,
    chain: Vec<Uuid>,
    floor: String,
    grants_revision: i64,
    created_at: OffsetDateTime,
}

impl Row {
    fn into_group(self) -> Result<Group> {
        Ok(Group {
            id: GroupId(self.id),
            path: parsed(Path::parse(self.path))?,
            chain: self.chain.into_iter().map(GroupId).collect(),
            floor: stored(Mode::named(&self.floor))?,
            grants_revision: self.grants_revision,
            created_at: self.created_at,
        })
    }
}

pub async fn insert(tx: &mut Tx, id: GroupId, parent: Option<GroupId>, name: &str, floor: Mode) -> Result<Group> {
    let now = tx.now();
    sqlx::query_as!(
        Row,
        "insert into groups (id, parent_id, name, floor, created_at, path, chain) values ($1, $2, $3, $4, $5, '', '{}')
         returning id, path, chain, floor, grants_revision, created_at",
        id.0,
        parent.map(Uuid::from),
        name,
        floor.name(),
        now
    )
    .fetch_one(tx.on())
    .await?
    .into_group()
}

/// By id or path.
pub async fn find(db: impl PgExecutor<'_>, key: &str) -> Result<Option<Group>> {
    let id = Uuid::parse_str(key).ok();
    sqlx::query_as!(
        Row,
        "select id, path, chain, floor, grants_revision, created_at from groups where id = $1 or path = $2",
        id,
        key
    )
    .fetch_optional(db)
    .await?
    .map(Row::into_group)
    .transpose()
}

/// Held until the transaction ends.
pub async fn lock(tx: &mut Tx, id: GroupId) -> Result<Option<Group>> {
    sqlx::query_as!(
        Row,
        "select id, path, chain, floor, grants_revision, created_at from groups where id = $1 for update",
        id.0
    )
    .fetch_optional(tx.on())
    .await?
    .map(Row::into_group)
    .transpose()
}

/// Whether someone with no role here sees the group: a member below it, or anyone when something below is not private.
pub async fn is_seen_from_below(db: &Reads, group: GroupId, user: UserId) -> Result<bool> {
    Ok(sqlx::query_scalar!(
        r#"select exists (select from projects where $1 = any(chain) and visibility <> 'private')
            or exists (select from memberships m join groups g on g.id = m.group_id where m.user_id = $2 and $1 = any(g.chain))
            or exists (select from memberships m join projects p on p.id = m.project_id where m.user_id = $2 and $1 = any(p.chain))
            as "seen!""#,
        group.0,
        user.0
    )
    .fetch_one(db)
    .await?)
}

/// What this user sees, by path; `None`: all.
pub async fn list(db: &Reads, seen_by: Option<UserId>, after: Option<&str>, limit: i64) -> Result<Vec<Group>> {
    sqlx::query_as!(
        Row,
        r#"select id, path, chain, floor, grants_revision, created_at from groups g
         where ($1::text is null or path > $1)
           and ($2::uuid is null
                or exists (select from memberships m where m.user_id = $2 and m.group_id = any(g.chain))
                or exists (select from projects p where g.id = any(p.chain) and p.visibility <> 'private')
                or exists (select from memberships m join groups b on b.id = m.group_id where m.user_id = $2 and g.id = any(b.chain))
                or exists (select from memberships m join projects p on p.id = m.project_id where m.user_id = $2 and g.id = any(p.chain)))
         order by path limit $3"#,
        after,
        seen_by.map(Uuid::from),
        limit
    )
    .fetch_all(db)
    .await?
    .into_iter()
    .map(Row::into_group)
    .collect()
}

/// Moves happen one at a time, or two could make a circle; taken before any row, or they would wait for each other.
pub async fn hold_moves(tx: &mut Tx) -> Result<()> {
    sqlx::query!("select pg_advisory_xact_lock(hashtextextended('jobpass.moves', 0))").fetch_one(tx.on()).await?;
    Ok(())
}

/// Renames, moves, or sets the floor.
pub async fn update(tx: &mut Tx, group: &Group, parent: Option<GroupId>) -> Result<Group> {
    sqlx::query_as!(
        Row,
        "update groups set parent_id = $2, name = $3, floor = $4 where id = $1
         returning id, path, chain, floor, grants_revision, created_at",
        group.id.0,
        parent.map(Uuid::from),
        group.path.name(),
        group.floor.name()
    )
    .fetch_one(tx.on())
    .await?
    .into_group()
}

/// Answers whether anything lies under the group.
pub async fn has_children(tx: &mut Tx, id: GroupId) -> Result<bool> {
    Ok(sqlx::query_scalar!(
        r#"select exists (select from groups where parent_id = $1) or exists (select from projects where group_id = $1) as "any!""#,
        id.0
    )
    .fetch_one(tx.on())
    .await?)
}

pub async fn delete(tx: &mut Tx, id: GroupId) -> Result<()> {
    sqlx::query!("delete from groups where id = $1", id.0).execute(tx.on()).await?;
    Ok(())
}

/// The paths that the group and all that lies below it will have once it lies at `to`.
pub async fn paths_after(tx: &mut Tx, id: GroupId, to: &Path) -> Result<Vec<String>> {
    Ok(sqlx::query_scalar!(
        r#"select $2::text || substr(below.path, length(g.path) + 1) as "path!"
         from groups g join (select path, chain from groups union all select path, chain from projects) below on g.id = any(below.chain)
         where g.id = $1"#,
        id.0,
        to.as_str()
    )
    .fetch_all(tx.on())
    .await?)
}

/// Makes paths that were deleted or renamed away free again.
pub async fn unretire(tx: &mut Tx, paths: &[String]) -> Result<()> {
    sqlx::query!("delete from paths where path = any($1) and kind = 'retired'", paths).execute(tx.on()).await?;
    Ok(())
}

/// Whether any of these paths is retired.
pub async fn any_retired(tx: &mut Tx, paths: &[String]) -> Result<bool> {
    Ok(sqlx::query_scalar!(
        r#"select exists (select from paths where path = any($1) and kind = 'retired') as "retired!""#,
        paths
    )
    .fetch_one(tx.on())
    .await?)
}

/// Marks a write of a grant that lives on the group; answers the new revision of the list, unless the group is gone.
pub async fn touch_grants(tx: &mut Tx, id: GroupId) -> Result<Option<i64>> {
    Ok(sqlx::query_scalar!(
        "update groups set grants_revision = grants_revision + 1 where id = $1 returning grants_revision",
        id.0
    )
    .fetch_optional(tx.on())
    .await?)
}

/// Of these groups, those that this user is a member of (`None`: any), so that all projects under them may be told,
/// and that hold no more than a thousand.
pub async fn foldable(db: impl PgExecutor<'_>, ids: &[GroupId], member: Option<UserId>) -> Result<HashSet<GroupId>> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let found = sqlx::query_scalar!(
        "select g.id from groups g
         where g.id = any($1)
           and ($2::uuid is null or exists (select from memberships m where m.user_id = $2 and m.group_id = any(g.chain)))
           and (select count(*) from (select from projects p where g.id = any(p.chain) limit 1001) as under) <= 1000",
        &ids,
        member.map(Uuid::from)
    )
    .fetch_all(db)
    .await?;
    Ok(found.into_iter().map(GroupId).collect())
}

/// A group's path, and every project under it.
pub async fn with_projects(db: impl PgExecutor<'_>, id: GroupId) -> Result<(String, Vec<(ProjectId, String)>)> {
    let rows = sqlx::query!(
        r#"select g.path, p.id as "project_id?", p.path as "project_path?"
         from groups g left join projects p on g.id = any(p.chain) where g.id = $1 order by p.path"#,
        id.0
    )
    .fetch_all(db)
    .await?;
    let path = rows.first().map(|row| row.path.clone()).unwrap_or_default();
    let projects = rows.into_iter().filter_map(|row| Some((ProjectId(row.project_id?), row.project_path?)));
    Ok((path, projects.collect()))
}
