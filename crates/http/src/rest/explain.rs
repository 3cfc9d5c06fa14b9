//! Explain.

use crate::extract::{Body, MaintainerOfProject};
use crate::problem::Denied;
use crate::render;
use crate::server::Api;
use axum::Json;
use jobpass_api::{Explanation, Hypothesis};
use jobpass_app::DraftHypothesis;
use jobpass_domain::pipeline::Trigger;
use jobpass_domain::provenance::CredentialScope;
use jobpass_domain::refs::RefType;

/// Would a job of this kind be allowed that on the project, and why (maintainers)
#[utoipa::path(post, path = "/v1/projects/{project}/explain", tag = "decisions", request_body = Hypothesis,
    responses((status = 200, body = Explanation)))]
pub(crate) async fn project_explain(
    api: Api,
    by: MaintainerOfProject,
    body: Body<Hypothesis>,
) -> Result<Json<Explanation>, Denied> {
    let asked = body.value;
    let draft = DraftHypothesis {
        source: asked.source.into(),
        permissions: asked.permissions,
        ref_name: asked.r#ref,
        ref_type: asked.ref_type.unwrap_or(RefType::Branch),
        environment: asked.environment.map(String::from),
        protected: asked.protected,
        trigger: asked.trigger.unwrap_or(Trigger::Push),
        from_fork: asked.from_fork,
        actor: asked.actor.map(String::from),
        minted_by: asked.minted_by.unwrap_or(CredentialScope::Instance),
        resource_name: asked.resource_name.map(String::from),
        resource_names: asked.resource_names.into_iter().map(|(resource, name)| (resource, name.into())).collect(),
    };
    Ok(Json(render::explanation(&api.app.explain(&by.0, &draft).await?)))
}
