//! A limit on failed authentication, by source address. It looks at failures only: a valid credential is
//! never slowed down by somebody else's guesses from the same address.

use crate::problem::Denied;
use crate::server::Server;
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};
use http::{HeaderValue, StatusCode};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Failures that may come at once, and that a minute gives back.
const PER_MINUTE: NonZeroU32 = NonZeroU32::new(300).expect("not zero");
/// After so many failures, addresses that have calmed down are forgotten.
const FORGET_EVERY: u32 = 10_000;

#[derive(Debug)]
pub(crate) struct FailureLimit {
    limiter: DefaultKeyedRateLimiter<IpAddr>,
    seen: AtomicU32,
}

impl Default for FailureLimit {
    fn default() -> FailureLimit {
        FailureLimit { limiter: DefaultKeyedRateLimiter::keyed(Quota::per_minute(PER_MINUTE)), seen: AtomicU32::new(0) }
    }
}

impl FailureLimit {
    /// Counts a failure; the seconds to wait when there were too many.
    fn count(&self, address: IpAddr) -> Result<(), u64> {
        if self.seen.fetch_add(1, Ordering::Relaxed).is_multiple_of(FORGET_EVERY) {
            self.limiter.retain_recent();
        }
        let too_many = self.limiter.check_key(&address);
        too_many.map_err(|until| until.wait_time_from(DefaultClock::default().now()).as_secs() + 1)
    }
}

/// Turns a failed authentication into a 429 once an address has failed too often, and counts what needs no
/// credential at all.
pub(crate) async fn limit_failures(State(server): State<Arc<Server>>, request: Request, next: Next) -> Response {
    let address = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let unauthenticated = request.uri().path() == "/v1/leaked-tokens";
    // There the subject token is the credential, and a bad one is 400 (RFC 8693, section 2.2.2).
    let exchange = request.uri().path() == "/oauth/token";
    let count = |failed: bool| match address {
        Some(address) if failed => server.failures.count(address),
        _ => Ok(()),
    };
    if let Err(seconds) = count(unauthenticated) {
        return too_many(seconds);
    }
    let response = next.run(request).await;
    let status = response.status();
    match count(status == StatusCode::UNAUTHORIZED || (exchange && status == StatusCode::BAD_REQUEST)) {
        Ok(()) => response,
        Err(seconds) => too_many(seconds),
    }
}

/// RFC 6585, section 4; the header fields of draft-ietf-httpapi-ratelimit-headers.
fn too_many(seconds: u64) -> Response {
    let mut response = Denied::TooManyFailures.into_response();
    let mut set = |name: &'static str, value: String| {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    };
    set("retry-after", seconds.to_string());
    set("ratelimit-policy", format!("\"failures\";q={PER_MINUTE};w=60"));
    set("ratelimit", format!("\"failures\";r=0;t={seconds}"));
    response
}
