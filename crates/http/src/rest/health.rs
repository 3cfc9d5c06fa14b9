//! For whoever runs Jobpass: is it there, and can it answer.

use crate::server::Api;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jobpass_app::Health;

/// The process is there
#[utoipa::path(get, path = "/healthz", tag = "operations", responses((status = 200, content_type = "text/plain", body = String)))]
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// The database answers, and its clock is followed
#[utoipa::path(get, path = "/readyz", tag = "operations", responses(
    (status = 200, content_type = "text/plain", body = String), (status = 503, content_type = "text/plain", body = String)))]
pub(crate) async fn readyz(api: Api) -> Response {
    match api.app.health() {
        Health::Ready => "ready\n".into_response(),
        Health::NotReady(why) => {
            (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "1")], format!("{why}\n")).into_response()
        }
    }
}

/// Figures of this process, in Prometheus' text format
#[utoipa::path(get, path = "/metrics", tag = "operations", responses((status = 200, content_type = "text/plain", body = String)))]
pub(crate) async fn metrics(api: Api) -> Response {
    ([("content-type", "text/plain; version=0.0.4; charset=utf-8")], (api.config.metrics)()).into_response()
}
