//! Job tokens.

use super::Answered;
use crate::etag;
use crate::extract::{
    Body, Id, IdempotencyKey, MaintainerOfProject, NoQuery, Page, Runner, SignedIn, TokenHolder, checked_text,
    query_where, unknown_parameter,
};
use crate::problem::{Denied, RequestId};
use crate::render;
use crate::server::Api;
use axum::Json;
use axum::extract::{Extension, FromRequestParts};
use axum::response::Response;
use http::StatusCode;
use http::request::Parts;
use jobpass_api::{
    JobToken, JobTokenInfo, JobTokenSelf, LeakedToken, List, Narrowing, NewJobToken, RequestedDetail, RequestedDetails,
    Revoked, SelfInProject,
};
use jobpass_app::{DraftDetail, Mint, Minted, Narrow, Rendered};
use jobpass_domain::ids::JobTokenId;
use jobpass_domain::job::JobFacts;
use jobpass_domain::pipeline::PipelineFacts;

/// Mint a token for a job (runners)
#[utoipa::path(post, path = "/v1/job-tokens", tag = "job tokens", request_body = NewJobToken, responses((status = 201, body = JobToken)))]
pub(crate) async fn job_token_mint(api: Api, by: Runner, key: IdempotencyKey, body: Body<NewJobToken>) -> Answered {
    let once = key.once("job_token_mint", &body.raw);
    created(api.app.mint(&by.0, mint(body.value), once.as_ref(), shown).await?)
}

/// Make a narrower token of your own (holders)
#[utoipa::path(post, path = "/v1/job-tokens/narrow", tag = "job tokens", request_body = Narrowing,
    responses((status = 201, body = JobToken)))]
pub(crate) async fn job_token_narrow(
    api: Api,
    by: TokenHolder,
    key: IdempotencyKey,
    body: Body<Narrowing>,
) -> Answered {
    let once = key.once("job_token_narrow", &body.raw);
    let asked = body.value;
    let narrow = Narrow {
        permissions: asked.permissions,
        details: asked.authorization_details.map(drafts),
        expires_at: asked.expires_at,
        audience: asked.audience,
    };
    created(api.app.narrow(&by.0, &narrow, once.as_ref(), shown).await?)
}

/// What this token is, and with `?project=` what it may do there (holders)
#[utoipa::path(get, path = "/v1/job-tokens/self", tag = "job tokens", responses((status = 200, body = JobTokenSelf)),
    params(("project" = Option<String>, Query, description = "Path or id"),
           ("permission" = Option<String>, Query, description = "Permissions to ask for, separated by spaces")))]
pub(crate) async fn job_token_self(api: Api, by: TokenHolder, about: About) -> Result<Json<JobTokenSelf>, Denied> {
    let token = render::token_info(&by.0.info);
    let Some(project) = about.project else {
        return Ok(Json(JobTokenSelf { token, access: None }));
    };
    let (decision, catalogue) = api.app.self_access(&by.0, &project, &about.permissions).await?;
    let permissions = catalogue.expand(decision.effective);
    let missing = render::reasons(&decision, &catalogue);
    Ok(Json(JobTokenSelf { token, access: Some(SelfInProject { project, permissions, missing }) }))
}

/// Give the token up, with all that was narrowed from it (holders)
#[utoipa::path(delete, path = "/v1/job-tokens/self", tag = "job tokens", responses((status = 204)))]
pub(crate) async fn job_token_give_up(api: Api, by: TokenHolder, _: NoQuery) -> Result<StatusCode, Denied> {
    api.app.token_give_up(&by.0).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The project's live tokens, newest first (maintainers)
#[utoipa::path(get, path = "/v1/projects/{project}/job-tokens", tag = "job tokens",
    responses((status = 200, body = List<JobTokenInfo>)))]
pub(crate) async fn job_token_list(
    api: Api,
    by: MaintainerOfProject,
    page: Page,
) -> Result<Json<List<JobTokenInfo>>, Denied> {
    Ok(Json(render::list(api.app.list_job_tokens(by.0.project.id, &page.0).await?, render::token_info)))
}

/// Revoke a token, with all that was narrowed from it (maintainers)
#[utoipa::path(delete, path = "/v1/job-tokens/{token}", tag = "job tokens", responses((status = 200, body = Revoked)))]
pub(crate) async fn job_token_revoke(api: Api, by: SignedIn, id: Id, _: NoQuery) -> Result<Json<Revoked>, Denied> {
    let tokens = api.app.token_revoke(&by.0, JobTokenId(id.0)).await?;
    Ok(Json(Revoked { tokens: Some(tokens) }))
}

/// Kill a token or secret that you hold, of any kind: whoever found it may
#[utoipa::path(post, path = "/v1/leaked-tokens", tag = "job tokens", request_body = LeakedToken, responses((status = 204)))]
pub(crate) async fn leaked_token_report(
    api: Api,
    Extension(request): Extension<RequestId>,
    body: Body<LeakedToken>,
) -> Result<StatusCode, Denied> {
    api.app.leak_report(body.value.token.expose(), request.0).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What a holder asks about itself.
#[derive(Debug, Default)]
pub(crate) struct About {
    project: Option<String>,
    permissions: Vec<String>,
}

impl<S: Sync> FromRequestParts<S> for About {
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<About, Denied> {
        let mut about = About::default();
        for (name, value) in query_where(parts, |name| name == "permission")? {
            match name.as_str() {
                "project" => about.project = Some(checked_text("?project", value)?),
                "permission" => about.permissions.extend(value.split_whitespace().map(str::to_owned)),
                _ => return Err(unknown_parameter(&name)),
            }
        }
        Ok(about)
    }
}

fn mint(new: NewJobToken) -> Mint {
    let NewJobToken { project, pipeline, job, permissions, audience } = new;
    Mint {
        project: project.into(),
        pipeline_key: pipeline.key,
        fork_was_said: pipeline.from_fork.is_some(),
        unprotected_there: false,
        pipeline: PipelineFacts {
            ref_name: pipeline.r#ref,
            ref_type: pipeline.ref_type,
            sha: pipeline.sha,
            trigger: pipeline.trigger,
            actor: pipeline.actor,
            from_fork: pipeline.from_fork.unwrap_or(false),
            fork_source: pipeline.fork_source,
        },
        job_key: job.key,
        job: JobFacts {
            name: job.name,
            environment: job.environment,
            timeout_secs: job.timeout_secs,
            lease_secs: job.lease_secs,
        },
        permissions,
        audience,
    }
}

/// Authorization details, as they were asked for here or at the token endpoint.
pub(crate) fn drafts(asked: RequestedDetails) -> Vec<DraftDetail> {
    let draft = |one: RequestedDetail| DraftDetail { project: one.project.into(), permissions: one.permissions };
    asked.0.into_iter().map(draft).collect()
}

/// A token has no ETag: what is shown is shown once.
fn shown(minted: &Minted) -> Rendered {
    Rendered { etag: None, body: serde_json::to_vec(&render::minted(minted)).unwrap_or_default() }
}

#[expect(clippy::unnecessary_wraps, reason = "the last expression of its callers")]
fn created(rendered: Rendered) -> Result<Response, Denied> {
    Ok(etag::created(rendered))
}
