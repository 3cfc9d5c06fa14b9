//! The token endpoint (RFC 6749, section 3.2): which grant is asked for. A client that authenticates besides what the grant
//! itself proves must do so rightly.

mod exchange;
mod id_token;

use super::OAuthDenied;
use super::client::proof;
use super::form::Form;
use crate::limit::prove;
use crate::server::Api;
use axum::extract::Request;
use axum::response::Response;
use jobpass_api::TokenResponse;
use jobpass_domain::token::Kind;

/// The grants that there are, as metadata lists them and as they are asked for.
pub(super) const GRANTS: [&str; 1] = [exchange::GRANT];

/// The form of a token exchange (RFC 8693, section 2.1).
#[derive(serde::Serialize, utoipa::ToSchema)]
#[allow(dead_code, reason = "a description for OpenAPI, never built")]
pub(crate) struct ExchangeForm {
    grant_type: String,
    subject_token: String,
    subject_token_type: String,
    requested_token_type: Option<String>,
    /// Permissions, separated by spaces; absent: those of the subject token.
    scope: Option<String>,
    /// RFC 9396: a JSON list of details of type `jobpass_project`; absent: those of the subject token.
    authorization_details: Option<String>,
    /// An absolute URI (RFC 8707); absent: the audience of the subject token.
    resource: Option<String>,
    /// Of an ID token: any name that its reader expects.
    audience: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
    client_assertion_type: Option<String>,
    /// A JWT that the client signed (RFC 7523, section 2.2).
    client_assertion: Option<String>,
    /// Of an ID token: `RS256`, `ES256` or `EdDSA`; absent: `RS256`.
    id_token_signed_response_alg: Option<String>,
}

/// Exchange a job token for a narrower one, or for an ID token
#[utoipa::path(post, path = "/oauth/token", tag = "oauth",
    request_body(content = ExchangeForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, body = TokenResponse)))]
pub(crate) async fn oauth_token(api: Api, request: Request) -> Result<Response, OAuthDenied> {
    let (parts, form) = Form::read(request).await?;
    if let Some(proof) = proof(&parts, &form)? {
        match proof.kind() {
            Some(Kind::Service) => proof.service(&api).await.map(drop)?,
            _ => proof.runner(&api).await.map(drop)?,
        }
        prove(&parts);
    }
    match form.require("grant_type", "grant_type is missing")? {
        exchange::GRANT => exchange::answer(&api, &parts, &form).await,
        _ => Err(OAuthDenied::new("unsupported_grant_type", "only token exchange (RFC 8693) is supported")),
    }
}
