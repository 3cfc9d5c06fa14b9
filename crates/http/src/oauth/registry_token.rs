//! The token endpoint of container registries (Docker Registry v2 token protocol): what a registry sends its clients to.

use super::OAuthDenied;
use crate::extract::{Presented, presented, request_id};
use crate::server::{Api, Server};
use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, PRAGMA};
use http::request::Parts;
use jobpass_api::{RegistryToken, SecretText};
use jobpass_app::{Refusal, client_id};
use jobpass_domain::Secret;
use jobpass_domain::registry_scope::RegistryScope;

/// The most scopes in one request: that of a push with many mounts.
const MAX_SCOPES: usize = 16;

/// A registry token for what of the scopes is granted to the job (Docker Registry v2 token protocol): Basic, with the job token as password
#[utoipa::path(get, path = "/oauth/registry-token", tag = "oauth", params(
    ("service" = String, Query, description = "The client id of the registry's service"),
    ("scope" = Option<String>, Query, description = "Such as `repository:acme/web/app:pull,push`; may be repeated, up to 16 in all"),
), responses((status = 200, body = RegistryToken)))]
pub(crate) async fn oauth_registry_token(api: Api, parts: Parts) -> Result<Response, OAuthDenied> {
    let token = match presented(&parts).map_err(OAuthDenied::invalid_request)? {
        Presented::Basic { password, .. } => password,
        Presented::Bearer(token) => token,
        Presented::Nothing | Presented::Unreadable => return Err(OAuthDenied::invalid_client(false)),
    };
    let asked = Asked::read(&parts)?;
    let issued = issue(&api, &parts, &token, asked).await?;
    Ok(([(CACHE_CONTROL, "no-store"), (PRAGMA, "no-cache")], Json(issued)).into_response())
}

/// The certificate that vouches for whatever signs registry tokens, for a registry's `rootcertbundle` (RFC 7468)
#[utoipa::path(get, path = "/oauth/registry-authority.pem", tag = "oauth",
    responses((status = 200, body = String, content_type = "application/pem-certificate-chain")))]
pub(crate) async fn oauth_registry_authority(api: Api) -> Result<Response, OAuthDenied> {
    let pem = api.app.registry_authority_pem()?;
    Ok(([(CONTENT_TYPE, "application/pem-certificate-chain"), (CACHE_CONTROL, "public, max-age=300")], pem)
        .into_response())
}

struct Asked {
    service: String,
    scopes: Vec<RegistryScope>,
}

impl Asked {
    /// What else clients send (`account`, `client_id`, `offline_token`) changes nothing.
    fn read(parts: &Parts) -> Result<Asked, OAuthDenied> {
        let query = parts.uri.query().unwrap_or_default();
        let (mut service, mut scopes) = (None, Vec::new());
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "service" if service.is_some() => return Err(OAuthDenied::invalid_request("service is repeated")),
                "service" => service = Some(value.into_owned()),
                "scope" => scopes.extend(value.split_whitespace().map(RegistryScope::parse)),
                _ => {}
            }
        }
        let service = service.ok_or(OAuthDenied::invalid_request("service is missing"))?;
        if scopes.len() > MAX_SCOPES {
            return Err(OAuthDenied::new("invalid_scope", "more than 16 scopes"));
        }
        let scopes = scopes.into_iter().collect::<Option<_>>();
        let malformed =
            OAuthDenied::new("invalid_scope", "a scope reads type:name:action, with actions separated by commas");
        Ok(Asked { service, scopes: scopes.ok_or(malformed)? })
    }
}

async fn issue(server: &Server, parts: &Parts, token: &Secret, asked: Asked) -> Result<RegistryToken, OAuthDenied> {
    let unknown = || OAuthDenied::invalid_request("no such service, or it is paused");
    let registry = client_id(&asked.service).ok_or_else(unknown)?;
    let holder = server.app.holder(token.expose(), request_id(parts)).await?;
    let issuer = &server.config.issuer;
    let issued = server.app.registry_token(&holder, token, issuer, registry, asked.scopes).await;
    let issued = issued.map_err(|refusal| match refusal {
        Refusal::Invalid(_) => unknown(),
        other => other.into(),
    })?;
    let scope = issued.granted.iter().map(RegistryScope::to_string).collect::<Vec<_>>().join(" ");
    Ok(RegistryToken {
        token: SecretText::new(issued.jwt.expose()),
        access_token: SecretText::new(issued.jwt.expose()),
        scope,
        expires_in: (issued.expires_at - issued.issued_at).whole_seconds(),
        issued_at: issued.issued_at,
    })
}
