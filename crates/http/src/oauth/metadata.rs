//! What this authorization server can do (RFC 8414).

use super::client::METHODS;
use super::token::GRANTS;
use crate::etag::{self, Tagged};
use crate::server::Api;
use axum::response::{IntoResponse, Response};
use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderValue};
use jobpass_api::Metadata;
use jobpass_app::SIGNING_ALGORITHMS;

/// Where the endpoints are and what they take (RFC 8414)
#[utoipa::path(get, path = "/.well-known/oauth-authorization-server", tag = "oauth", responses((status = 200, body = Metadata)))]
pub(crate) async fn oauth_metadata(api: Api, headers: HeaderMap) -> Response {
    let issuer = &api.config.issuer;
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let methods = |besides| texts(&[&[besides], &METHODS[..]].concat());
    let catalogue = api.app.catalogue();
    let metadata = Metadata {
        issuer: issuer.clone(),
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
    };
    let mut response = etag::unless_known(&headers, Tagged(metadata).into_response());
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    response
}
