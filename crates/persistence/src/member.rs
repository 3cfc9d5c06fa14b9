//! Memberships: roles on groups and projects.

use crate::error::{parsed, stored};
use crate::{Result, Tx};
use jobpass_domain::ids::{GroupId, ProjectId, UserId};
use jobpass_domain::place::Place;
use jobpass_domain::text::UserName;
use jobpass_domain::user::Member;
use jobpass_domain::{Path, Role};
use sqlx::PgExecutor;
use uuid::Uuid;

/// The column's number; the order of roles.
pub(crate) fn role_number(role: Role) -> i16 {
    match role {
        Role::Guest => 0,
        Role::Reporter => 1,
        Role::Developer => 2,
        Role::Maintainer => 3,
        Role::Owner => 4,
    }
}

pub(crate) fn role_numbered(number: i16) -> Option<Role> {
    usize::try_from(number).ok().and_then(|index| Role::ALL.get(index).copied())
}

/// The highest role of a user on a project (or a group) by memberships on it or on groups above.
pub async fn role(
    db: impl PgExecutor<'_>,
    user: UserId,
    chain: &[GroupId],
    project: Option<ProjectId>,
) -> Result<Option<Role>> {
    let chain: Vec<Uuid> = chain.iter().map(|group| group.0).collect();
    let number = sqlx::query_scalar!(
        "select max(role) from memberships where user_id = $1 and (group_id = any($2) or project_id = $3)",
        user.0,
        &chain,
        project.map(Uuid::from)
    )
    .fetch_one(db)
    .await?;
    number.map(|number| stored(role_numbered(number))).transpose()
}

/// Sets the role of a user on one place; answers what it was.
pub async fn put(tx: &mut Tx, user: UserId, place: Place, role: Role) -> Result<Option<Role>> {
    let before = remove(tx, user, place).await?;
    let now = tx.now();
    sqlx::query!(
        "insert into memberships (user_id, group_id, project_id, role, created_at) values ($1, $2, $3, $4, $5)",
        user.0,
        place.group_id(),
        place.project_id(),
        role_number(role),
        now
    )
    .execute(tx.on())
    .await?;
    Ok(before)
}

/// Answers the role that was taken away.
pub async fn remove(tx: &mut Tx, user: UserId, place: Place) -> Result<Option<Role>> {
    let number = sqlx::query_scalar!(
        "delete from memberships where user_id = $1 and (group_id = $2 or project_id = $3) returning role",
        user.0,
        place.group_id(),
        place.project_id()
    )
    .fetch_optional(tx.on())
    .await?;
    number.map(|number| stored(role_numbered(number))).transpose()
}

/// Members of a place by memberships on it and above it: by name, then from the nearest.
pub async fn list(
    db: impl PgExecutor<'_>,
    chain: &[GroupId],
    project: Option<ProjectId>,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<Member>> {
    let chain: Vec<Uuid> = chain.iter().map(|group| group.0).collect();
    let rows = sqlx::query!(
        r#"select u.id, u.name, m.role, coalesce(g.path, p.path) as "on!", u.name || '@' || coalesce(g.path, p.path) as "cursor!"
         from memberships m join users u on u.id = m.user_id
         left join groups g on g.id = m.group_id left join projects p on p.id = m.project_id
         where (m.group_id = any($1) or m.project_id = $2)
           and ($3::text is null or (u.name || '@' || coalesce(g.path, p.path)) collate "C" > $3)
         order by (u.name || '@' || coalesce(g.path, p.path)) collate "C" limit $4"#,
        &chain,
        project.map(Uuid::from),
        after,
        limit
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Member {
                user: UserId(row.id),
                name: parsed(UserName::parse(row.name))?,
                role: stored(role_numbered(row.role))?,
                on: parsed(Path::parse(row.on))?,
            })
        })
        .collect()
}
