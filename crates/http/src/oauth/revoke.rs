//! Revocation (RFC 7009): by the runner that minted the token, and by its holder.

use super::OAuthDenied;
use super::client::proof;
use super::form::Form;
use crate::server::{Api, Server};
use axum::extract::Request;
use http::StatusCode;
use jobpass_app::RunnerCaller;
use jobpass_domain::token::{self, Kind, Parsed};

/// The form of a revocation (RFC 7009, section 2.1).
#[derive(serde::Serialize, utoipa::ToSchema)]
#[allow(dead_code, reason = "a description for OpenAPI, never built")]
pub(crate) struct RevocationForm {
    token: String,
    /// Any value gives the same answer.
    token_type_hint: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
    client_assertion_type: Option<String>,
    /// A JWT that the client signed (RFC 7523, section 2.2).
    client_assertion: Option<String>,
}

/// Revoke a job token: the runner that minted it, or as Bearer its holder. A runner revokes its access tokens, too
#[utoipa::path(post, path = "/oauth/revoke", tag = "oauth",
    request_body(content = RevocationForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200)))]
pub(crate) async fn oauth_revoke(api: Api, request: Request) -> Result<StatusCode, OAuthDenied> {
    let (parts, form) = Form::read(request).await?;
    let proof = proof(&parts, &form)?.ok_or_else(|| OAuthDenied::invalid_client(false))?;
    match proof.kind() {
        Some(Kind::Service) => {
            // Before the token is looked at: a service asks, it does not end jobs.
            proof.service(&api, false).await?;
            Err(OAuthDenied::new("unauthorized_client", "a service revokes no tokens"))
        }
        Some(Kind::Job) => {
            let holder = proof.holder(&api).await?;
            api.app.token_revoke_by_holder(&holder, job_token(&form)?).await?;
            Ok(StatusCode::OK)
        }
        Some(Kind::Runner | Kind::User) | None => {
            let runner = proof.runner(&api).await?;
            if !revoked_access_token(&api, &runner, &form).await? {
                api.app.token_revoke_by_runner(&runner, job_token(&form)?).await?;
            }
            Ok(StatusCode::OK)
        }
    }
}

/// Whether that was all there is to do: the token is one that client credentials gave, to this runner or another, or it is
/// none. The runner's own secret is not the runner's to end.
async fn revoked_access_token(server: &Server, runner: &RunnerCaller, form: &Form) -> Result<bool, OAuthDenied> {
    let parsed = form.get("token").and_then(token::parse).filter(|parsed| parsed.kind == Kind::Runner);
    let Some(Parsed { hash, .. }) = parsed else { return Ok(false) };
    Ok(server.app.access_token_revoke(runner, hash).await? || !server.app.is_own_secret(runner, hash).await?)
}

/// What is to be revoked; a credential of another kind is told so (RFC 7009, section 2.2.1).
fn job_token(form: &Form) -> Result<&str, OAuthDenied> {
    let token = form.require("token", "token is missing")?;
    if token::parse(token).is_some_and(|parsed| parsed.kind != Kind::Job) {
        return Err(OAuthDenied::new(
            "unsupported_token_type",
            "only job tokens are revoked here, and what client credentials gave",
        ));
    }
    Ok(token)
}
