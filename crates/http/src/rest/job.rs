//! Jobs and pipeline runs: their leases, their ends, and the revocation of what was minted for them.

use crate::extract::{Id, NoBody, Runner, SignedIn};
use crate::problem::Denied;
use crate::render;
use crate::server::Api;
use axum::Json;
use jobpass_api::{JobInfo, PipelineInfo, Revoked};
use jobpass_domain::ids::{JobId, PipelineId};

/// Extend the job's lease (the runner that opened it)
#[utoipa::path(post, path = "/v1/jobs/{job}/heartbeat", tag = "jobs", responses((status = 200, body = JobInfo)))]
pub(crate) async fn job_heartbeat(api: Api, by: Runner, id: Id, _nothing: NoBody) -> Result<Json<JobInfo>, Denied> {
    Ok(Json(render::job(&api.app.job_heartbeat(&by.0, JobId(id.0)).await?)))
}

/// End the job and every token of it; repeatable (the runner that opened it)
#[utoipa::path(post, path = "/v1/jobs/{job}/finish", tag = "jobs", responses((status = 200, body = JobInfo)))]
pub(crate) async fn job_finish(api: Api, by: Runner, id: Id, _nothing: NoBody) -> Result<Json<JobInfo>, Denied> {
    Ok(Json(render::job(&api.app.job_finish(&by.0, JobId(id.0)).await?)))
}

/// Revoke every token of the job; it may get new ones (maintainers)
#[utoipa::path(post, path = "/v1/jobs/{job}/revoke-tokens", tag = "job tokens", responses((status = 200, body = Revoked)))]
pub(crate) async fn job_revoke_tokens(
    api: Api,
    by: SignedIn,
    id: Id,
    _nothing: NoBody,
) -> Result<Json<Revoked>, Denied> {
    let tokens = api.app.job_revoke_tokens(&by.0, JobId(id.0)).await?;
    Ok(Json(Revoked { tokens: Some(tokens) }))
}

/// End the run's jobs: this runner's, or for a runner of the instance all; repeatable
#[utoipa::path(post, path = "/v1/pipelines/{pipeline}/finish", tag = "jobs", responses((status = 200, body = PipelineInfo)))]
pub(crate) async fn pipeline_finish(
    api: Api,
    by: Runner,
    id: Id,
    _nothing: NoBody,
) -> Result<Json<PipelineInfo>, Denied> {
    let (project, jobs_finished) = api.app.pipeline_finish(&by.0, PipelineId(id.0)).await?;
    Ok(Json(PipelineInfo { id: id.0, project_id: project.0, jobs_finished }))
}

/// Revoke every token minted in the run so far (maintainers)
#[utoipa::path(post, path = "/v1/pipelines/{pipeline}/revoke-tokens", tag = "job tokens", responses((status = 200, body = Revoked)))]
pub(crate) async fn pipeline_revoke_tokens(
    api: Api,
    by: SignedIn,
    id: Id,
    _nothing: NoBody,
) -> Result<Json<Revoked>, Denied> {
    api.app.pipeline_revoke_tokens(&by.0, PipelineId(id.0)).await?;
    Ok(Json(Revoked { tokens: None }))
}
