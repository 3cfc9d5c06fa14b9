//! Around every request: its id, its deadline, the limits on failures, and the last touch to an error. What
//! went wrong inside is logged here, once, and never answered.

use crate::forward_auth;
use crate::limit::Attempt;
use crate::oauth::OAuthDenied;
use crate::problem::{Denied, Internal, Pending, RequestId};
use crate::server::Server;
use axum::Json;
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use jobpass_api::Problem;
use jobpass_app::Refusal;
use jobpass_domain::token;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// How long one request may take before it is given up.
const DEADLINE: Duration = Duration::from_secs(30);

/// Names the request, gives it a deadline, and completes a problem with the request's id.
pub(crate) async fn name_request(State(server): State<Arc<Server>>, mut request: Request, next: Next) -> Response {
    let id = server.app.new_id();
    request.extensions_mut().insert(RequestId(id));
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let answered = tokio::time::timeout(DEADLINE, next.run(request)).await;
    let mut response =
        answered.unwrap_or_else(|_| Denied::from(Refusal::Unavailable("took too long".to_owned())).into_response());
    let status = response.status().as_u16();
    // A token in the wrong place is still a secret.
    let path = || token::hide(uri.path());
    if let Some(Internal(text)) = response.extensions_mut().remove() {
        tracing::error!(%id, %method, path = &*path(), status, text = &*token::hide(&text), "refused");
    }
    tracing::debug!(%id, %method, path = &*path(), status, "answered");
    if let Some(Pending(problem)) = response.extensions_mut().remove() {
        response = complete(response, &problem, id, uri.path().starts_with("/oauth/"));
    }
    if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
        response.headers_mut().insert("x-request-id", value);
    }
    // Nothing here is for shared caches but what says so itself.
    response.headers_mut().entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
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

/// Turns a failed authentication into a 429 once its address or its client has failed too often, and limits what needs no
/// credential at all. Without one there is no guess: who is only asking for the challenge gets it.
pub(crate) async fn limit_failures(State(server): State<Arc<Server>>, mut request: Request, next: Next) -> Response {
    let connection = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let connection = connection.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let address = server.config.proxies.client(connection, request.headers());
    let count = |client: Option<&str>| server.failures.count(address, client, server.app.clock().now());
    if request.uri().path() == "/v1/leaked-tokens" {
        let standing = count(None);
        return match standing.refusal() {
            Some(refusal) => refusal,
            None => standing.told(next.run(request).await),
        };
    }
    // There a subject token or an assertion is the credential, and a bad one is 400 (RFC 8693, section 2.2.2).
    let grants = request.uri().path() == "/oauth/token";
    // Behind a gateway all clients share one address, and each first call without a token is a 401: of a gateway counts alone
    // that it does not prove itself.
    let gateway = forward_auth::is_here(request.uri().path());
    let presented = request.headers().contains_key(AUTHORIZATION);
    let attempt = Attempt::default();
    request.extensions_mut().insert(attempt.clone());
    let response = next.run(request).await;
    let failed = match response.status() {
        StatusCode::UNAUTHORIZED if gateway => attempt.client().is_some() && !attempt.is_proven(),
        StatusCode::UNAUTHORIZED => presented || attempt.client().is_some(),
        StatusCode::BAD_REQUEST => grants && !attempt.is_proven(),
        _ => false,
    };
    if !failed {
        return response;
    }
    let standing = count(attempt.client());
    standing.refusal().unwrap_or_else(|| standing.told(response))
}
