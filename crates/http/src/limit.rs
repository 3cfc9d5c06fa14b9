//! A limit on failed authentication, by source address. It looks at failures only: a valid credential is
//! never slowed down by somebody else's guesses from the same address.

use crate::problem::Denied;
use axum::response::{IntoResponse, Response};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};
use http::HeaderValue;
use std::net::IpAddr;
use std::num::NonZeroU32;
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
    pub(crate) fn count(&self, address: IpAddr) -> Result<(), u64> {
        if self.seen.fetch_add(1, Ordering::Relaxed).is_multiple_of(FORGET_EVERY) {
            self.limiter.retain_recent();
        }
        let too_many = self.limiter.check_key(&address);
        too_many.map_err(|until| until.wait_time_from(DefaultClock::default().now()).as_secs() + 1)
    }
}

/// RFC 6585, section 4; the header fields of draft-ietf-httpapi-ratelimit-headers.
pub(crate) fn too_many(seconds: u64) -> Response {
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
