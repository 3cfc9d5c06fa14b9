//! The public keys that ID tokens are verified with (RFC 7517): answered from memory.

use crate::etag::{self, Tagged};
use crate::server::Api;
use axum::response::{IntoResponse, Response};
use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderValue};
use jobpass_api::KeySet;

/// Far below the time that a key is published before it signs, so that a cached set always holds what signs.
const CACHEABLE: HeaderValue = HeaderValue::from_static("public, max-age=900");

/// The public keys of ID tokens (RFC 7517)
#[utoipa::path(get, path = "/oauth/jwks", tag = "oauth", responses((status = 200, body = KeySet)))]
pub(crate) async fn oauth_key_set(api: Api, headers: HeaderMap) -> Response {
    let keys = KeySet { keys: api.app.published_keys() };
    let mut response = etag::unless_known(&headers, Tagged(keys).into_response());
    response.headers_mut().insert(CACHE_CONTROL, CACHEABLE);
    response
}
