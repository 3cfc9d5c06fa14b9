//! Introspection (RFC 7662).

use super::OAuthDenied;
use super::client::proof;
use super::form::Form;
use crate::extract::wants_fresh;
use crate::render::{self, KEEP};
use crate::server::Api;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, PRAGMA};
use jobpass_api::{ActiveToken, Introspection};
use jobpass_app::{Active, Introspected, Introspection as Asked, Refusal, ServiceCaller};
use jobpass_domain::service::Service;
use jobpass_domain::text::Label;
use time::{Duration, OffsetDateTime};

/// How much earlier than its issue a token says it is valid: clocks of services differ.
const NOT_BEFORE: Duration = Duration::seconds(5);

/// The form of an introspection (RFC 7662, section 2.1), with our two extra parameters.
#[derive(serde::Serialize, utoipa::ToSchema)]
#[allow(dead_code, reason = "a description for OpenAPI, never built")]
pub(crate) struct IntrospectionForm {
    token: String,
    /// Any value gives the same answer.
    token_type_hint: Option<String>,
    /// The project asked about, by path or id; without it the answer has no permissions.
    project: Option<String>,
    /// Permissions asked for, separated by spaces: recorded as usage.
    permission: Option<String>,
    /// `true`: the header `Jobpass-Keep` says how long the answer may be kept, for who follows `/v1/invalidations`.
    keep: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
    client_assertion_type: Option<String>,
    /// A JWT that the client signed (RFC 7523, section 2.2).
    client_assertion: Option<String>,
}

/// What is this token, and what may it do in one project? (services)
#[utoipa::path(post, path = "/oauth/introspect", tag = "oauth",
    request_body(content = IntrospectionForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, body = Introspection)))]
pub(crate) async fn oauth_introspect(api: Api, request: Request) -> Result<Response, OAuthDenied> {
    let (parts, form) = Form::read(request).await?;
    let proof = proof(&parts, &form)?.ok_or_else(|| OAuthDenied::invalid_client(false))?;
    let service = proof.service(&api, wants_fresh(&parts.headers)).await?;
    let token = form.require("token", "token is missing")?;
    let project = form.get("project");
    if project.is_some_and(|project| Label::parse(project).is_err()) {
        return Err(OAuthDenied::invalid_request("project is no path and no id"));
    }
    let keep = form.get("keep") == Some("true");
    let asked = Asked { token, project, permissions: &form.words("permission"), keep };
    let answer = api.app.introspect(&service, &asked, |active| body(active, &service, &api.config.issuer)).await?;
    let Introspected { body, rely_until, keep } = answer;
    let body = body.map_or(Bytes::from_static(br#"{"active":false}"#), |body| reliable_until(&body, rely_until));
    let mut response = ([(PRAGMA, "no-cache"), (CONTENT_TYPE, "application/json")], body).into_response();
    if let Some(keep) = keep.as_ref().and_then(render::keep_header) {
        response.headers_mut().insert(KEEP, keep);
    }
    Ok(response)
}

/// How every answer about a live token begins; the ten digits of `exp` follow.
const HEAD: &[u8] = br#"{"active":true,"exp":"#;
/// Until the year 2286.
const DIGITS: usize = 10;
/// What stands for `exp` until an answer is given.
const NOT_YET: i64 = 9_999_999_999;

/// The answer as it is kept: whole but for `exp`.
fn body(active: &Active<'_>, caller: &ServiceCaller, issuer: &str) -> Result<Bytes, Refusal> {
    let token = Some(Box::new(describe(active, caller, issuer)));
    let body = serde_json::to_vec(&Introspection { active: true, token });
    Ok(body.map_err(|error| Refusal::Internal(error.to_string()))?.into())
}

/// The answer as it is given now.
fn reliable_until(body: &Bytes, rely_until: OffsetDateTime) -> Bytes {
    let exp = rely_until.unix_timestamp();
    let rest = body.get(HEAD.len() + DIGITS..).unwrap_or_default();
    let mut given = Vec::with_capacity(body.len());
    given.extend_from_slice(HEAD);
    given.extend_from_slice(exp.to_string().as_bytes());
    given.extend_from_slice(rest);
    given.into()
}

fn describe(active: &Active<'_>, caller: &ServiceCaller, issuer: &str) -> ActiveToken {
    let Active { info, decision, catalogue, project, asked_permission } = active;
    let in_project = project.is_some();
    ActiveToken {
        exp: NOT_YET,
        scope: if in_project { catalogue.expand(decision.effective).join(" ") } else { String::new() },
        client_id: info.minter.id().to_string(),
        sub: info.subject(),
        aud: info.audience.clone().unwrap_or_else(|| vec![client_id(&caller.service)]),
        iss: issuer.to_owned(),
        iat: info.issued_at.unix_timestamp(),
        nbf: (info.issued_at - NOT_BEFORE).unix_timestamp(),
        jti: info.id.to_string(),
        token_type: "Bearer".to_owned(),
        authorization_details: project
            .as_ref()
            .map(|project| render::authorization_details(project, decision, catalogue)),
        token_expires_at: info.expires_at.unix_timestamp(),
        project_id: info.project.to_string(),
        project: info.project_path.clone(),
        pipeline_id: info.pipeline.to_string(),
        pipeline: info.pipeline_key.clone(),
        job_id: info.job.to_string(),
        job: info.job_key.clone(),
        r#ref: info.ref_name.clone(),
        ref_type: info.ref_type.name().to_owned(),
        sha: info.sha.clone(),
        protected: info.protected,
        environment: info.environment.clone(),
        trigger: info.trigger.name().to_owned(),
        from_fork: info.from_fork,
        fork_source: info.fork_source.clone(),
        actor: info.actor.clone(),
        actor_claimed: info.actor_claimed.clone(),
        would_deny: (in_project && *asked_permission).then(|| catalogue.expand(decision.would_deny())),
    }
}

fn client_id(service: &Service) -> String {
    service.id.0.simple().to_string()
}
