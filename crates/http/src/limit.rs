//! Limits on failed authentication, by source address and by the client that was claimed. They look at failures only, once
//! the credential was checked: a valid one is never slowed by somebody's guesses, from its address or in its name.

mod attempt;
mod sketch;
mod watch;

pub(crate) use attempt::{claim, prove};
pub(crate) use watch::Watch;

use crate::problem::Denied;
use attempt::Attempt;
use axum::response::{IntoResponse, Response};
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderValue};
use sketch::{Level, Sketch};
use std::net::IpAddr;
use time::OffsetDateTime;

/// How many failures a window takes; they may come at once.
#[derive(Debug)]
pub(crate) struct Policy {
    name: &'static str,
    quota: i64,
    /// In seconds.
    window: i64,
}

static BY_ADDRESS: Policy = Policy { name: "address", quota: 300, window: 60 };
/// Whatever addresses they come from.
static BY_CLIENT: Policy = Policy { name: "client", quota: 100, window: 60 };

#[derive(Debug)]
pub(crate) struct Failures {
    addresses: Sketch,
    clients: Sketch,
}

impl Default for Failures {
    fn default() -> Failures {
        Failures { addresses: Sketch::new(&BY_ADDRESS), clients: Sketch::new(&BY_CLIENT) }
    }
}

impl Failures {
    /// Counts one. The client is as it was claimed, known or not, so that nothing is learnt of which exist.
    pub(crate) fn count(&self, address: IpAddr, client: Option<&str>, now: OffsetDateTime) -> Standing {
        let by_address = (&BY_ADDRESS, self.addresses.count(&network(address), now));
        let by_client = client.map(|client| (&BY_CLIENT, self.clients.count(&client, now)));
        let standing = Standing { levels: [Some(by_address), by_client] };
        let limited = if standing.levels().any(|(_, level)| level.exceeded) { "true" } else { "false" };
        metrics::counter!("jobpass_failures_total", "limited" => limited).increment(1);
        standing
    }
}

/// Who is behind an address: of IPv6 a whole /64, which is what one host gets.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// What the limits on a caller are, and what is left of them.
#[derive(Debug)]
pub(crate) struct Standing {
    levels: [Option<(&'static Policy, Level)>; 2],
}

impl Standing {
    fn levels(&self) -> impl Iterator<Item = &(&'static Policy, Level)> {
        self.levels.iter().flatten()
    }

    /// 429 (RFC 6585, section 4), with how long to wait, where a limit is exceeded.
    pub(crate) fn refusal(&self) -> Option<Response> {
        let seconds = self.levels().filter(|(_, level)| level.exceeded).map(|(_, level)| level.seconds).max()?;
        let mut response = Denied::TooManyFailures.into_response();
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
        Some(self.told(response))
    }

    /// The answer, with what is left of the limits.
    pub(crate) fn told(&self, mut response: Response) -> Response {
        self.tell(response.headers_mut());
        response
    }

    /// The fields of draft-ietf-httpapi-ratelimit-headers-11.
    fn tell(&self, headers: &mut HeaderMap) {
        let policy = |(policy, _): &(&'static Policy, Level)| {
            let Policy { name, quota, window } = policy;
            format!("\"{name}\";q={quota};w={window}")
        };
        let level = |(policy, level): &(&'static Policy, Level)| {
            let Level { left, seconds, .. } = level;
            format!("\"{}\";r={left};t={seconds}", policy.name)
        };
        let policies: Vec<_> = self.levels().map(policy).collect();
        let levels: Vec<_> = self.levels().map(level).collect();
        for (name, list) in [("ratelimit-policy", policies), ("ratelimit", levels)] {
            if let Ok(value) = HeaderValue::from_str(&list.join(", ")) {
                headers.insert(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_ipv6_a_64_is_one_host_and_ipv4_is_ipv4_however_it_is_written() {
        let network = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(network("2001:db8:1:2:ffff::"), "2001:db8:1:2::");
        assert_eq!(network("2001:db8:1:3::1"), "2001:db8:1:3::");
        assert_eq!(network("192.0.2.7"), "192.0.2.7");
        assert_eq!(network("::ffff:192.0.2.7"), "192.0.2.7");
    }
}
