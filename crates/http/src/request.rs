//! Around every request: its id, its deadline, the limits on failures, and the last touch to an error. What
//! went wrong inside is logged here, once, and never answered.

use crate::forward_auth;
use crate::limit::Watch;
use crate::oauth::OAuthDenied;
use crate::problem::{Denied, Internal, Pending, RequestId};
use crate::server::Server;
use axum::Json;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, Uri};
use jobpass_api::Problem;
use jobpass_app::Refusal;
use jobpass_domain::token;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// How long one request may take before it is given up.
const DEADLINE: Duration = Duration::from_secs(30);

/// One layer for all, and one future: each layer would cost every request its own boxes, and each future in a future a copy.
pub(crate) async fn around(State(server): State<Arc<Server>>, mut request: Request, next: Next) -> Response {
    let id = server.app.new_id();
    request.extensions_mut().insert(RequestId(id));
    let named = Named { id, method: request.method().clone(), uri: request.uri().clone() };
    let watch = Watch::begin(&server, &mut request);
    let answered = match watch.refusal() {
        Some(refusal) => refusal,
        None => tokio::time::timeout(DEADLINE, next.run(request)).await.unwrap_or_else(|_| too_slow()),
    };
    let response = named.finish(watch.end(&server, answered));
    if forward_auth::is_here(named.uri.path()) { forward_auth::verdict_only(response) } else { response }
}

fn too_slow() -> Response {
    Denied::from(Refusal::Unavailable("took too long".to_owned())).into_response()
}

/// A request by its name.
struct Named {
    id: Uuid,
    method: Method,
    uri: Uri,
}

impl Named {
    /// Logs the answer, completes a problem with the request's id, and adds what every answer has.
    fn finish(&self, mut response: Response) -> Response {
        let Named { id, method, uri } = self;
        let status = response.status().as_u16();
        // A token in the wrong place is still a secret.
        let path = || token::hide(uri.path());
        if let Some(Internal(text)) = response.extensions_mut().remove() {
            tracing::error!(%id, %method, path = &*path(), status, text = &*token::hide(&text), "refused");
        }
        tracing::debug!(%id, %method, path = &*path(), status, "answered");
        if let Some(Pending(problem)) = response.extensions_mut().remove() {
            response = complete(response, &problem, *id, uri.path().starts_with("/oauth/"));
        }
        let mut text = Uuid::encode_buffer();
        if let Ok(value) = HeaderValue::from_str(id.hyphenated().encode_lower(&mut text)) {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        // Nothing here is for shared caches but what says so itself.
        response.headers_mut().entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        response
    }
}

fn complete(response: Response, problem: &Problem, id: Uuid, oauth: bool) -> Response {
    if oauth {
        return OAuthDenied::in_place_of(response);
    }
    let problem = Problem { request_id: id, ..problem.clone() };
    let (mut parts, _) = response.into_parts();
    let (mut with_body, body) = Json(problem).into_response().into_parts();
    with_body.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.extend(with_body.headers);
    Response::from_parts(parts, body)
}
