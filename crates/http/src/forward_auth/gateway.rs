//! The gateway that asks. It proves itself beside the client's own `Authorization`, which it only passes on.

use super::PREFIX;
use super::reply::Refused;
use crate::extract::{request_id, wants_fresh};
use crate::limit;
use crate::problem::Denied;
use crate::server::Server;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use jobpass_app::{Refusal, ServiceCaller};
use jobpass_domain::Secret;
use jobpass_domain::forward_auth::ForwardAuth;
use std::sync::Arc;

const PROOF: &str = "x-jobpass-service";

#[derive(Debug)]
pub(crate) struct Gateway(pub(super) ServiceCaller);

impl Gateway {
    pub(super) fn settings(&self) -> Result<&ForwardAuth, Refused> {
        let set = self.0.service.forward_auth.as_ref();
        set.ok_or_else(|| {
            Refused::forbidden("not_set_up", "this service has no `forward_auth`, so nothing is let through")
        })
    }
}

impl FromRequestParts<Arc<Server>> for Gateway {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, server: &Arc<Server>) -> Result<Gateway, Response> {
        let (client, _) = split(parts.uri.path());
        if parts.headers.contains_key(PROOF) {
            limit::claim(parts, client);
        }
        let secret = proof(parts).ok_or_else(|| Refused::gateway().into_response())?;
        let request = (request_id(parts), wants_fresh(&parts.headers));
        match server.app.service(Some(client), secret.expose(), request).await {
            Ok(caller) => {
                limit::prove(parts);
                Ok(Gateway(caller))
            }
            // A credential of another kind proves no gateway either.
            Err(Refusal::BadCredential | Refusal::WrongCaller { .. }) => Err(Refused::gateway().into_response()),
            Err(other) => Err(Denied::from(other).into_response()),
        }
    }
}

/// One header, and only one: a second could be the client's.
fn proof(parts: &Parts) -> Option<Secret> {
    let mut values = parts.headers.get_all(PROOF).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    value.to_str().ok().map(|text| Secret::new(text.to_owned()))
}

/// The client id, and the path below it as it came.
pub(super) fn split(path: &str) -> (&str, &str) {
    let below = path.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix('/')).unwrap_or_default();
    below.split_at(below.find('/').unwrap_or(below.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_below_is_left_as_it_came() {
        for (path, parts) in [
            ("/v1/forward-auth/abc", ("abc", "")),
            ("/v1/forward-auth/abc/", ("abc", "/")),
            ("/v1/forward-auth/abc/a/%2E%2e//b", ("abc", "/a/%2E%2e//b")),
            ("/v1/forward-auth//abc", ("", "/abc")),
            ("/v1/forward-auth", ("", "")),
        ] {
            assert_eq!(split(path), parts, "{path}");
        }
    }
}
