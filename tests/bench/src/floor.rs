//! The floor of an answer over HTTP: the same listener, the same kind of body read, and nothing else.

use crate::Failure;
use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, PRAGMA};
use axum::response::IntoResponse;
use axum::routing::post;
use axum_server::accept::NoDelayAcceptor;
use bytes::Bytes;
use std::net::SocketAddr;

pub(crate) async fn serve(listen: SocketAddr, body: Vec<u8>) -> Result<(), Failure> {
    let body = Bytes::from(body);
    let answer = move |_asked: Bytes| {
        let body = body.clone();
        async move { headers(body) }
    };
    let router = Router::new().route("/oauth/introspect", post(answer));
    axum_server::bind(listen).acceptor(NoDelayAcceptor).serve(router.into_make_service()).await?;
    Ok(())
}

/// What an introspection's answer has, too.
fn headers(body: Bytes) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store"), (PRAGMA, "no-cache")], body)
}
