//! What this authorization server can do (RFC 8414).

use super::token::GRANTS;
use crate::etag::{self, Tagged};
use crate::server::Api;
use axum::response::{IntoResponse, Response};
use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderValue};
use jobpass_api::Metadata;

/// Where the endpoints are and what they take (RFC 8414)
#[utoipa::path(get, path = "/.well-known/oauth-authorization-server", tag = "oauth", responses((status = 200, body = Metadata)))]
pub(crate) async fn oauth_metadata(api: Api, headers: HeaderMap) -> Response {
    let issuer = &api.config.issuer;
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let catalogue = api.app.catalogue();
    let metadata = Metadata {
        issuer: issuer.clone(),
        token_endpoint: format!("{issuer}/oauth/token"),
        token_endpoint_auth_methods_supported: texts(&["none", "client_secret_basic", "client_secret_post"]),
        introspection_endpoint: format!("{issuer}/oauth/introspect"),
        introspection_endpoint_auth_methods_supported: texts(&["client_secret_basic", "client_secret_post", "Bearer"]),
        revocation_endpoint: format!("{issuer}/oauth/revoke"),
        // Only introspection may list an access token type here.
        revocation_endpoint_auth_methods_supported: texts(&["client_secret_basic", "client_secret_post"]),
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
