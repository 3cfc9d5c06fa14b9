//! Projects. Paths and chains are kept by the schema's triggers.

use crate::error::{parsed, stored};
use crate::{Reads, Result, Tx};
use jobpass_domain::Path;
use jobpass_domain::glob::Glob;
use jobpass_domain::ids::{GroupId, ProjectId, UserId};
use jobpass_domain::mode::{Mode, Visibility};
use jobpass_domain::project::Project;
use jobpass_domain::refs::RefPattern;
use sqlx::PgExecutor;
use std::collections::{HashMap, HashSet};
use time::OffsetDateTime;
use uuid::Uuid;

struct Row {
    id: Uuid,
    path: String,
    chain: Vec<Uuid>,
    visibility: String,
    mode: String,
    floors: Vec<String>,
    protected_refs: Vec<String>,
    protected_environments: Vec<String>,
    grants_revision: i64,
    created_at: OffsetDateTime,
}

impl Row {
    fn into_project(self) -> Result<Project> {
        let floors: Vec<Mode> = self.floors.iter().map(|floor| stored(Mode::named(floor))).collect::<Result<_>>()?;
        Ok(Project {
            id: ProjectId(self.id),
            path: parsed(Path::parse(self.path))?,
            chain: self.chain.into_iter().map(GroupId).collect(),
            visibility: stored(Visibility::named(&self.visibility))?,
            mode: stored(Mode::named(&self.mode))?,
            floor: Mode::effective(Mode::Legacy, floors),
            protected_refs: parsed(self.protected_refs.into_iter().map(RefPattern::parse).collect())?,
            protected_environments: parsed(self.protected_environments.into_iter().map(Glob::parse).collect())?,
            grants_revision: self.grants_revision,
            created_at: self.created_at,
        })
    }
}

fn texts(patterns: &[RefPattern]) -> Vec<String> {
    patterns.iter().map(|pattern| pattern.as_str().to_owned()).collect()
}

fn globs(patterns: &[Glob]) -> Vec<String> {
    patterns.iter().map(|pattern| pattern.as_str().to_owned()).collect()
}

/// What a new project starts with.
#[derive(Debug)]
pub struct NewProject<'a> {
    pub id: ProjectId,
    pub group: GroupId,
    pub name: &'a str,
    pub visibility: Visibility,
    pub mode: Mode,
    pub protected_refs: &'a [RefPattern],
    pub protected_environments: &'a [Glob],
}

pub async fn insert(tx: &mut Tx, project: &NewProject<'_>) -> Result<()> {
    let now = tx.now();
    sqlx::query!(
        "insert into projects (id, group_id, name, visibility, mode, protected_refs, protected_environments, created_at, path, chain)
         values ($1, $2, $3, $4, $5, $6, $7, $8, '', '{}')",
        project.id.0,
        project.group.0,
        project.name,
        project.visibility.name(),
        project.mode.name(),
        &texts(project.protected_refs),
        &globs(project.protected_environments),
        now
    )
    .execute(tx.on())
    .await?;
    Ok(())
}

/// By id or path.
pub async fn find(db: impl PgExecutor<'_>, key: &str) -> Result<Option<Project>> {
    let id = Uuid::parse_str(key).ok();
    sqlx::query_as!(
        Row,
        r#"select id, path, chain, visibility, mode, protected_refs, protected_environments, grants_revision, created_at,
            array(select floor from groups where groups.id = any(projects.chain)) || (select floor from instance) as "floors!"
         from projects where id = $1 or path = $2"#,
        id,
        key
    )
    .fetch_optional(db)
    .await?
    .map(Row::into_project)
    .transpose()
}

/// By ids or paths, held until the transaction ends against being deleted; without those that somebody else holds or that are not
/// there.
pub async fn hold_all(tx: &mut Tx, keys: &[&str]) -> Result<Vec<Project>> {
    let ids: Vec<_> = keys.iter().filter_map(|key| Uuid::parse_str(key).ok()).collect();
    sqlx::query_as!(
        Row,
        r#"select id, path, chain, visibility, mode, protected_refs, protected_environments, grants_revision, created_at,
            array(select floor from groups where groups.id = any(projects.chain)) || (select floor from instance) as "floors!"
         from projects where id = any($1) or path = any($2) for key share skip locked"#,
        &ids,
        keys as _
    )
    .fetch_all(tx.on())
    .await?
    .into_iter()
    .map(Row::into_project)
    .collect()
}

/// Which of these paths is a project's; the longest, if several are.
pub async fn longest(db: impl PgExecutor<'_>, paths: &[String]) -> Result<Option<String>> {
    let found =
        sqlx::query_scalar!("select path from projects where path = any($1) order by length(path) desc limit 1", paths);
    Ok(found.fetch_optional(db).await?)
}

/// Held until the transaction ends.
pub async fn lock(tx: &mut Tx, id: ProjectId) -> Result<Option<Project>> {
    sqlx::query!("select id from projects where id = $1 for update", id.0).fetch_optional(tx.on()).await?;
    find(tx.on(), &id.to_string()).await
}

/// What this user sees, by path; `None`: all.
pub async fn list(db: &Reads, seen_by: Option<UserId>, after: Option<&str>, limit: i64) -> Result<Vec<Project>> {
    sqlx::query_as!(
        Row,
        r#"select id, path, chain, visibility, mode, protected_refs, protected_environments, grants_revision, created_at,
            array(select floor from groups where groups.id = any(p.chain)) || (select floor from instance) as "floors!"
         from projects p
         where ($1::text is null or path > $1)
           and ($2::uuid is null or visibility <> 'private'
                or exists (select from memberships m where m.user_id = $2 and (m.project_id = p.id or m.group_id = any(p.chain))))
         order by path limit $3"#,
        after,
        seen_by.map(Uuid::from),
        limit
    )
    .fetch_all(db)
    .await?
    .into_iter()
    .map(Row::into_project)
    .collect()
}

/// Renames, moves, or changes what it is set to.
pub async fn update(tx: &mut Tx, project: &Project, group: GroupId) -> Result<()> {
    sqlx::query!(
        "update projects set group_id = $2, name = $3, visibility = $4, mode = $5, protected_refs = $6,
            protected_environments = $7
         where id = $1",
        project.id.0,
        group.0,
        project.path.name(),
        project.visibility.name(),
        project.mode.name(),
        &texts(&project.protected_refs),
        &globs(&project.protected_environments)
    )
    .execute(tx.on())
    .await?;
    Ok(())
}

/// With it go its pipelines and jobs; its tokens die with their jobs.
pub async fn delete(tx: &mut Tx, id: ProjectId) -> Result<()> {
    sqlx::query!("delete from projects where id = $1", id.0).execute(tx.on()).await?;
    Ok(())
}

/// Ends every token minted for the project so far.
pub async fn raise_epoch(tx: &mut Tx, id: ProjectId) -> Result<()> {
    sqlx::query!("update projects set epoch = epoch + 1 where id = $1", id.0).execute(tx.on()).await?;
    Ok(())
}

/// Marks a write of a grant that lives on the project; answers the new revision of the list, unless the project is gone.
pub async fn touch_grants(tx: &mut Tx, id: ProjectId) -> Result<Option<i64>> {
    Ok(sqlx::query_scalar!(
        "update projects set grants_revision = grants_revision + 1 where id = $1 returning grants_revision",
        id.0
    )
    .fetch_optional(tx.on())
    .await?)
}

/// Paths by id, of those that are there.
pub async fn paths(db: impl PgExecutor<'_>, ids: &[ProjectId]) -> Result<HashMap<ProjectId, String>> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let rows = sqlx::query!("select id, path from projects where id = any($1)", &ids).fetch_all(db).await?;
    Ok(rows.into_iter().map(|row| (ProjectId(row.id), row.path)).collect())
}

/// Which of these a user may see: as an administrator, as a member, or because they are not private.
pub async fn seen_by(db: impl PgExecutor<'_>, ids: &[ProjectId], user: UserId) -> Result<HashSet<ProjectId>> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let seen = sqlx::query_scalar!(
        "select id from projects p
         where id = any($1)
           and (visibility <> 'private' or exists (select from users u where u.id = $2 and u.administrator)
                or exists (select from memberships m where m.user_id = $2 and (m.project_id = p.id or m.group_id = any(p.chain))))",
        &ids,
        user.0
    )
    .fetch_all(db)
    .await?;
    Ok(seen.into_iter().map(ProjectId).collect())
}
