//! One request, watched for a failure of authentication from its first line to its answer.

use super::{Attempt, Standing};
use crate::forward_auth;
use crate::server::Server;
use axum::extract::{ConnectInfo, Request};
use axum::response::Response;
use http::StatusCode;
use http::header::AUTHORIZATION;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// What a failure looks like here.
#[derive(Clone, Copy, Debug)]
enum Failure {
    /// It takes no credential at all, so each request counts, and before it is answered.
    Any,
    /// 401 to somebody who presented something: without a credential there is no guess, and who only asks for the challenge
    /// gets it.
    Unauthorized,
    /// There a subject token or an assertion is the credential, and a bad one is 400 (RFC 8693, section 2.2.2).
    BadRequestToo,
    /// Behind a gateway all clients share one address, and each first call without a token is a 401: of a gateway counts
    /// alone that it does not prove itself.
    Unproven,
}

#[derive(Debug)]
pub(crate) struct Watch {
    address: IpAddr,
    failure: Failure,
    presented: bool,
    attempt: Attempt,
    /// Where each request counts.
    standing: Option<Standing>,
}

impl Watch {
    pub(crate) fn begin(server: &Server, request: &mut Request) -> Watch {
        let connection = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
        let connection = connection.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let attempt = Attempt::default();
        request.extensions_mut().insert(attempt.clone());
        let mut watch = Watch {
            address: server.config.proxies.client(connection, request.headers()),
            failure: failure(request.uri().path()),
            presented: request.headers().contains_key(AUTHORIZATION),
            attempt,
            standing: None,
        };
        if matches!(watch.failure, Failure::Any) {
            watch.standing = Some(watch.count(server));
        }
        watch
    }

    /// What is answered in place of everything else.
    pub(crate) fn refusal(&self) -> Option<Response> {
        self.standing.as_ref()?.refusal()
    }

    /// A failed authentication is 429 once its address or its client has failed too often.
    pub(crate) fn end(self, server: &Server, response: Response) -> Response {
        let standing = match self.standing {
            Some(standing) => return standing.told(response),
            None if self.has_failed(response.status()) => self.count(server),
            None => return response,
        };
        standing.refusal().unwrap_or_else(|| standing.told(response))
    }

    fn has_failed(&self, status: StatusCode) -> bool {
        let claimed = || self.attempt.client().is_some();
        let proven = || self.attempt.is_proven();
        match (self.failure, status) {
            (Failure::Unproven, StatusCode::UNAUTHORIZED) => claimed() && !proven(),
            (_, StatusCode::UNAUTHORIZED) => self.presented || claimed(),
            (Failure::BadRequestToo, StatusCode::BAD_REQUEST) => !proven(),
            _ => false,
        }
    }

    fn count(&self, server: &Server) -> Standing {
        server.failures.count(self.address, self.attempt.client(), server.app.clock().now())
    }
}

fn failure(path: &str) -> Failure {
    match path {
        "/v1/leaked-tokens" => Failure::Any,
        "/oauth/token" => Failure::BadRequestToo,
        _ if forward_auth::is_here(path) => Failure::Unproven,
        _ => Failure::Unauthorized,
    }
}
