//! Runners.

use crate::error::parsed;
use crate::{Reads, Result, Tx, column};
use jobpass_domain::ids::{RunnerId, UserId};
use jobpass_domain::place::Place;
use jobpass_domain::runner::Runner;
use jobpass_domain::text::Label;
use sqlx::PgExecutor;
use time::OffsetDateTime;
use uuid::Uuid;

pub(crate) struct Row {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) group_id: Option<Uuid>,
    pub(crate) project_id: Option<Uuid>,
    pub(crate) scope_path: Option<String>,
    pub(crate) protected: bool,
    pub(crate) asserts_actor: bool,
    pub(crate) paused: bool,
    pub(crate) epoch: i64,
    pub(crate) created_at: OffsetDateTime,
}

impl Row {
    pub(crate) fn into_runner(self) -> Result<Runner> {
        Ok(Runner {
            id: RunnerId(self.id),
            name: parsed(Label::parse(self.name))?,
            scope: Place::from_ids(self.group_id, self.project_id),
            scope_path: self.scope_path,
            protected: self.protected,
            asserts_actor: self.asserts_actor,
            paused: self.paused,
            epoch: self.epoch,
            created_at: self.created_at,
        })
    }
}

pub async fn insert(tx: &mut Tx, runner: &Runner) -> Result<()> {
    sqlx::query!(
        "insert into runners (id, name, group_id, project_id, protected, asserts_actor, created_at) values ($1, $2, $3, $4, $5, $6, $7)",
        runner.id.0,
        runner.name.as_str(),
        runner.scope.group_id(),
        runner.scope.project_id(),
        runner.protected,
        runner.asserts_actor,
        runner.created_at
    )
    .execute(tx.on())
    .await?;
    Ok(())
}

pub async fn find(db: impl PgExecutor<'_>, id: RunnerId) -> Result<Option<Runner>> {
    sqlx::query_as!(
        Row,
        r#"select r.id, r.name, r.group_id, r.project_id, coalesce(g.path, p.path) as scope_path, r.protected, r.asserts_actor,
            r.paused, r.epoch, r.created_at
         from runners r left join groups g on g.id = r.group_id left join projects p on p.id = r.project_id
         where r.id = $1"#,
        id.0
    )
    .fetch_optional(db)
    .await?
    .map(Row::into_runner)
    .transpose()
}

/// As it is now; until the transaction ends nobody pauses or deletes it. Others may hold it so at the same time.
pub async fn hold(tx: &mut Tx, id: RunnerId) -> Result<Option<Runner>> {
    sqlx::query_as!(
        Row,
        r#"select r.id, r.name, r.group_id, r.project_id, coalesce(g.path, p.path) as scope_path, r.protected, r.asserts_actor,
            r.paused, r.epoch, r.created_at
         from runners r left join groups g on g.id = r.group_id left join projects p on p.id = r.project_id
         where r.id = $1 for key share of r"#,
        id.0
    )
    .fetch_optional(tx.on())
    .await?
    .map(Row::into_runner)
    .transpose()
}

/// The same for several, without those that somebody else holds or that are gone.
pub async fn hold_all(tx: &mut Tx, ids: &[RunnerId]) -> Result<Vec<Runner>> {
    sqlx::query_as!(
        Row,
        r#"select r.id, r.name, r.group_id, r.project_id, coalesce(g.path, p.path) as scope_path, r.protected, r.asserts_actor,
            r.paused, r.epoch, r.created_at
         from runners r left join groups g on g.id = r.group_id left join projects p on p.id = r.project_id
         where r.id = any($1) for key share of r skip locked"#,
        &column(ids, |id| id.0)
    )
    .fetch_all(tx.on())
    .await?
    .into_iter()
    .map(Row::into_runner)
    .collect()
}

/// Held until the transaction ends.
pub async fn lock(tx: &mut Tx, id: RunnerId) -> Result<Option<Runner>> {
    sqlx::query!("select id from runners where id = $1 for update", id.0).fetch_optional(tx.on()).await?;
    find(tx.on(), id).await
}

/// Those that live on this group or project, held until the transaction ends.
pub async fn lock_all_on(tx: &mut Tx, place: Place) -> Result<()> {
    sqlx::query!(
        "select id from runners where group_id = $1 or project_id = $2 order by id for update",
        place.group_id(),
        place.project_id()
    )
    .fetch_all(tx.on())
    .await?;
    Ok(())
}

/// All, or those scoped to what this user maintains; oldest first.
pub async fn list(db: &Reads, maintained_by: Option<UserId>, after: Option<Uuid>, limit: i64) -> Result<Vec<Runner>> {
    sqlx::query_as!(
        Row,
        r#"select r.id, r.name, r.group_id, r.project_id, coalesce(g.path, p.path) as scope_path, r.protected, r.asserts_actor,
            r.paused, r.epoch, r.created_at
         from runners r left join groups g on g.id = r.group_id left join projects p on p.id = r.project_id
         where ($2::uuid is null or r.id > $2)
           and ($1::uuid is null or exists (select from memberships m where m.user_id = $1 and m.role >= 3
                and (m.project_id = r.project_id or m.group_id = any(g.chain) or m.group_id = any(p.chain))))
         order by r.id limit $3"#,
        maintained_by.map(Uuid::from),
        after,
        limit
    )
    .fetch_all(db)
    .await?
    .into_iter()
    .map(Row::into_runner)
    .collect()
}

pub async fn update(tx: &mut Tx, runner: &Runner) -> Result<()> {
    sqlx::query!(
        "update runners set name = $2, protected = $3, asserts_actor = $4, paused = $5
         where id = $1",
        runner.id.0,
        runner.name.as_str(),
        runner.protected,
        runner.asserts_actor,
        runner.paused
    )
    .execute(tx.on())
    .await?;
    Ok(())
}

/// With it go its secrets; what was minted under it is dead from here on.
pub async fn delete(tx: &mut Tx, id: RunnerId) -> Result<()> {
    sqlx::query!("delete from runners where id = $1", id.0).execute(tx.on()).await?;
    Ok(())
}

/// The runners that live on a group or project.
pub async fn ids_on(tx: &mut Tx, place: Place) -> Result<Vec<RunnerId>> {
    let ids = sqlx::query_scalar!(
        "select id from runners where group_id = $1 or project_id = $2",
        place.group_id(),
        place.project_id()
    );
    Ok(ids.fetch_all(tx.on()).await?.into_iter().map(RunnerId).collect())
}

/// Ends every token minted under the runner so far.
pub async fn raise_epoch(tx: &mut Tx, id: RunnerId) -> Result<()> {
    sqlx::query!("update runners set epoch = epoch + 1 where id = $1", id.0).execute(tx.on()).await?;
    Ok(())
}
