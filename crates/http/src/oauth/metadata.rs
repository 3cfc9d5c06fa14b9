//! What this authorization server can do: RFC 8414, and OpenID Connect Discovery for whoever verifies ID tokens.

use super::client::METHODS;
use super::token::GRANTS;
use crate::etag::{self, Tagged};
use crate::problem::Denied;
use crate::server::{Api, Server};
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderValue};
use jobpass_api::{Metadata, OpenidConfiguration};
use jobpass_app::{ID_TOKEN_CLAIMS, SIGNING_ALGORITHMS};
use jobpass_domain::signing_key::SigningAlgorithm;
use serde::Serialize;

/// Where the endpoints are and what they take (RFC 8414)
#[utoipa::path(get, path = "/.well-known/oauth-authorization-server", tag = "oauth", responses((status = 200, body = Metadata)))]
pub(crate) async fn oauth_metadata(api: Api, headers: HeaderMap) -> Response {
    cacheable(&headers, metadata(&api))
}

/// RFC 8414, section 3.1: the path of an issuer that has one comes last.
pub(crate) async fn oauth_metadata_below(
    api: Api,
    Path(path): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Denied> {
    let below = api.config.issuer.split_once("://").and_then(|(_, rest)| rest.split_once('/'));
    if below.is_none_or(|(_, below)| below != path) {
        return Err(Denied::NoRoute);
    }
    Ok(cacheable(&headers, metadata(&api)))
}

/// How to verify ID tokens, and where the endpoints are (OpenID Connect Discovery 1.0)
#[utoipa::path(get, path = "/.well-known/openid-configuration", tag = "oauth",
    responses((status = 200, body = OpenidConfiguration)))]
pub(crate) async fn openid_configuration(api: Api, headers: HeaderMap) -> Response {
    let told = OpenidConfiguration {
        authorization_endpoint: format!("{}/oauth/authorize", api.config.issuer),
        subject_types_supported: texts(&["public"]),
        id_token_signing_alg_values_supported: texts(&SigningAlgorithm::ALL.map(SigningAlgorithm::name)),
        claims_supported: texts(&ID_TOKEN_CLAIMS),
        metadata: metadata(&api),
    };
    cacheable(&headers, told)
}

fn metadata(server: &Server) -> Metadata {
    let issuer = &server.config.issuer;
    let methods = |besides| texts(&[&[besides], &METHODS[..]].concat());
    let catalogue = server.app.catalogue();
    Metadata {
        issuer: issuer.clone(),
        jwks_uri: format!("{issuer}/oauth/jwks"),
        token_endpoint: format!("{issuer}/oauth/token"),
        token_endpoint_auth_methods_supported: methods("none"),
        token_endpoint_auth_signing_alg_values_supported: texts(&SIGNING_ALGORITHMS),
        introspection_endpoint: format!("{issuer}/oauth/introspect"),
        introspection_endpoint_auth_methods_supported: methods("Bearer"),
        introspection_endpoint_auth_signing_alg_values_supported: texts(&SIGNING_ALGORITHMS),
        revocation_endpoint: format!("{issuer}/oauth/revoke"),
        // Only introspection may list an access token type here.
        revocation_endpoint_auth_methods_supported: texts(&METHODS),
        revocation_endpoint_auth_signing_alg_values_supported: texts(&SIGNING_ALGORITHMS),
        response_types_supported: texts(&["none"]),
        grant_types_supported: texts(&GRANTS),
        scopes_supported: catalogue.expand(catalogue.everything()),
        authorization_details_types_supported: texts(&["jobpass_project"]),
        service_documentation: format!("{issuer}/docs/"),
    }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn cacheable<T: Serialize>(headers: &HeaderMap, told: T) -> Response {
    let mut response = etag::unless_known(headers, Tagged(told).into_response());
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    response
}
