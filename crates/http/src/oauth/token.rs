//! The token endpoint (RFC 6749, section 3.2): which grant is asked for. A client that authenticates besides what the grant
//! itself proves must do so rightly.

mod client_credentials;
mod exchange;
mod id_token;
mod trusted;

use super::OAuthDenied;
use super::client::{Proof, proof};
use super::form::Form;
use crate::limit::prove;
use crate::server::{Api, Server};
use axum::extract::Request;
use axum::response::Response;
use jobpass_api::TokenResponse;
use jobpass_app::{RunnerCaller, client_id};
use jobpass_domain::ids::ServiceId;
use jobpass_domain::token::Kind;
use uuid::Uuid;

/// The grants that there are, as metadata lists them and as they are asked for.
pub(super) const GRANTS: [&str; 3] = [client_credentials::GRANT, exchange::GRANT, trusted::GRANT];

/// The forms of client credentials (RFC 6749, section 4.4.2), of a token exchange (RFC 8693, section 2.1), and of a grant by
/// assertion (RFC 7523, section 2.1).
#[derive(serde::Serialize, utoipa::ToSchema)]
#[allow(dead_code, reason = "a description for OpenAPI, never built")]
pub(crate) struct TokenForm {
    grant_type: String,
    /// Of an exchange: a job token, or an ID token of a CI that the project trusts.
    subject_token: Option<String>,
    /// `…:access_token`, `…:id_token` or `…:jwt`
    subject_token_type: Option<String>,
    /// Of a grant by assertion: an ID token of a CI that the project trusts.
    assertion: Option<String>,
    /// With an ID token: the project whose trust rules are meant, by path or id.
    project: Option<String>,
    requested_token_type: Option<String>,
    /// Permissions, separated by spaces; absent: those of the subject token.
    scope: Option<String>,
    /// RFC 9396: a JSON list of details of type `jobpass_project`; absent: those of the subject token.
    authorization_details: Option<String>,
    /// An absolute URI (RFC 8707), more than once for more than one; absent: the audience of the subject token.
    resource: Option<Vec<String>>,
    /// Of an ID token: any name that its reader expects.
    audience: Option<Vec<String>>,
    /// Who authenticates; with an ID token and no authentication the trust rule that is meant, instead of a project.
    client_id: Option<String>,
    client_secret: Option<String>,
    client_assertion_type: Option<String>,
    /// A JWT that the client signed (RFC 7523, section 2.2).
    client_assertion: Option<String>,
    /// Of an ID token: `RS256`, `ES256` or `EdDSA`; absent: `RS256`.
    id_token_signed_response_alg: Option<String>,
}

/// Get a token: for a job token a narrower one or an ID token; for a trusted CI's ID token a job token; for a runner's proof one to mint with
#[utoipa::path(post, path = "/oauth/token", tag = "oauth",
    request_body(content = TokenForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, body = TokenResponse)))]
pub(crate) async fn oauth_token(api: Api, request: Request) -> Result<Response, OAuthDenied> {
    let (parts, form) = Form::read(request).await?;
    let client = match proof(&parts, &form)? {
        Some(proof) => Some(authenticated(&api, &proof).await?),
        None => None,
    };
    if client.is_some() {
        prove(&parts);
    }
    match form.require("grant_type", "grant_type is missing")? {
        client_credentials::GRANT => client_credentials::answer(&api, client, &form).await,
        exchange::GRANT => exchange::answer(&api, &parts, client.as_ref(), &form).await,
        trusted::GRANT => trusted::grant(&api, &parts, client.as_ref(), &form).await,
        _ => Err(OAuthDenied::new("unsupported_grant_type", "metadata lists the grants that there are")),
    }
}

/// Who authenticated besides what the grant itself proves.
enum Client {
    Runner(Box<RunnerCaller>),
    Service(ServiceId),
}

impl Client {
    fn is_called(&self, id: &str) -> bool {
        match self {
            Client::Runner(caller) => Uuid::try_parse(id).ok() == Some(caller.runner.id.0),
            Client::Service(service) => client_id(id) == Some(*service),
        }
    }
}

async fn authenticated(server: &Server, proof: &Proof) -> Result<Client, OAuthDenied> {
    Ok(match proof.kind() {
        Some(Kind::Service) => Client::Service(proof.service(server, false).await?.service.id),
        _ => Client::Runner(Box::new(proof.runner(server).await?)),
    })
}
