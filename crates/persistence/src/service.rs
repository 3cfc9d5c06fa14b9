//! Resource services.

use crate::error::{parsed, stored};
use crate::{Reads, Result, Tx};
use jobpass_domain::forward_auth::{DraftForwardAuth, ForwardAuth};
use jobpass_domain::ids::{ProjectId, ServiceId};
use jobpass_domain::service::Service;
use jobpass_domain::text::{AudienceUri, Label};
use sqlx::PgExecutor;
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

pub(crate) struct Row {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) resources: Option<Vec<String>>,
    pub(crate) project_id: Option<Uuid>,
    pub(crate) project_path: Option<String>,
    pub(crate) audience: Option<String>,
    pub(crate) audience_required: bool,
    pub(crate) answer_seconds: i32,
    pub(crate) paused: bool,
    pub(crate) route_table: String,
    pub(crate) forward_auth: Option<Json<DraftForwardAuth>>,
    pub(crate) created_at: OffsetDateTime,
}

impl Row {
    pub(crate) fn into_service(self) -> Result<Service> {
        Ok(Service {
            id: ServiceId(self.id),
            name: parsed(Label::parse(self.name))?,
            resources: self.resources,
            project: self.project_id.map(ProjectId),
            project_path: self.project_path,
            audience: parsed(self.audience.map(AudienceUri::parse).transpose())?,
            audience_required: self.audience_required,
            answer_seconds: stored(u32::try_from(self.answer_seconds).ok())?,
            paused: self.paused,
            route_table: self.route_table,
            forward_auth: self.forward_auth.map(read).transpose()?,
            created_at: self.created_at,
        })
    }
}

/// What was kept was read once before; if it cannot be read now, the service answers nobody.
fn read(Json(kept): Json<DraftForwardAuth>) -> Result<ForwardAuth> {
    stored(ForwardAuth::read(kept).ok())
}

fn forward_auth(service: &Service) -> Option<Json<DraftForwardAuth>> {
    service.forward_auth.as_ref().map(|set| Json(set.draft()))
}

fn seconds(service: &Service) -> i32 {
    i32::try_from(service.answer_seconds).unwrap_or(i32::MAX)
}

pub async fn insert(tx: &mut Tx, service: &Service) -> Result<()> {
    sqlx::query!(
        "insert into services (id, name, resources, project_id, audience, audience_required, answer_seconds, created_at,
            route_table, forward_auth)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        service.id.0,
        service.name.as_str(),
        service.resources.as_deref(),
        service.project.map(Uuid::from),
        service.audience.as_deref(),
        service.audience_required,
        seconds(service),
        service.created_at,
        service.route_table,
        forward_auth(service) as _
    )
    .execute(tx.on())
    .await?;
    Ok(())
}

pub async fn find(db: impl PgExecutor<'_>, id: ServiceId) -> Result<Option<Service>> {
    sqlx::query_as!(
        Row,
        r#"select s.id, s.name, s.resources, s.project_id, p.path as "project_path?", s.audience, s.audience_required,
            s.answer_seconds, s.paused, s.route_table, s.forward_auth as "forward_auth: Json<DraftForwardAuth>", s.created_at
         from services s left join projects p on p.id = s.project_id where s.id = $1"#,
        id.0
    )
    .fetch_optional(db)
    .await?
    .map(Row::into_service)
    .transpose()
}

/// Held until the transaction ends.
pub async fn lock(tx: &mut Tx, id: ServiceId) -> Result<Option<Service>> {
    sqlx::query!("select id from services where id = $1 for update", id.0).fetch_optional(tx.on()).await?;
    find(tx.on(), id).await
}

/// Oldest first.
pub async fn list(db: &Reads, after: Option<Uuid>, limit: i64) -> Result<Vec<Service>> {
    sqlx::query_as!(
        Row,
        r#"select s.id, s.name, s.resources, s.project_id, p.path as "project_path?", s.audience, s.audience_required,
            s.answer_seconds, s.paused, s.route_table, s.forward_auth as "forward_auth: Json<DraftForwardAuth>", s.created_at
         from services s left join projects p on p.id = s.project_id
         where $1::uuid is null or s.id > $1 order by s.id limit $2"#,
        after,
        limit
    )
    .fetch_all(db)
    .await?
    .into_iter()
    .map(Row::into_service)
    .collect()
}

pub async fn update(tx: &mut Tx, service: &Service) -> Result<()> {
    sqlx::query!(
        "update services set name = $2, resources = $3, audience = $4, audience_required = $5, answer_seconds = $6, paused = $7,
            route_table = $8, forward_auth = $9
         where id = $1",
        service.id.0,
        service.name.as_str(),
        service.resources.as_deref(),
        service.audience.as_deref(),
        service.audience_required,
        seconds(service),
        service.paused,
        service.route_table,
        forward_auth(service) as _
    )
    .execute(tx.on())
    .await?;
    Ok(())
}

pub async fn delete(tx: &mut Tx, id: ServiceId) -> Result<()> {
    sqlx::query!("delete from services where id = $1", id.0).execute(tx.on()).await?;
    Ok(())
}

/// The services that serve a project.
pub async fn ids_for(tx: &mut Tx, project: ProjectId) -> Result<Vec<ServiceId>> {
    let ids = sqlx::query_scalar!("select id from services where project_id = $1", project.0);
    Ok(ids.fetch_all(tx.on()).await?.into_iter().map(ServiceId).collect())
}
