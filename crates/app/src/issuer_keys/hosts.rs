//! How often each host is asked, however many issuers and addresses of keys rules name on it: whoever writes many rules makes
//! nobody send a flood.

use super::{MAX_ISSUERS, PAUSE};
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use time::OffsetDateTime;

/// The most requests to one host within a pause.
const MAX_REQUESTS: usize = 30;
/// The most hosts that are remembered: as many as issuers, each of which may send to another one for its keys.
const MAX_HOSTS: usize = 2 * MAX_ISSUERS;

/// When each was asked lately, oldest first.
#[derive(Debug, Default)]
pub(super) struct Hosts(Mutex<HashMap<String, VecDeque<OffsetDateTime>>>);

impl Hosts {
    /// Whether this host may be asked now; if so, that counts as a request. A host as a URL has it: in lower case.
    pub(super) fn may_be_asked(&self, host: &str, now: OffsetDateTime) -> bool {
        let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The root's dot makes no other host of it.
        let host = host.trim_end_matches('.');
        if !hosts.contains_key(host) && hosts.len() >= MAX_HOSTS {
            hosts.retain(|_, asked| asked.back().is_some_and(|at| is_recent(*at, now)));
            if hosts.len() >= MAX_HOSTS {
                return false;
            }
        }
        let asked = hosts.entry(host.to_owned()).or_default();
        while asked.front().is_some_and(|at| !is_recent(*at, now)) {
            asked.pop_front();
        }
        let may = asked.len() < MAX_REQUESTS;
        if may {
            asked.push_back(now);
        }
        may
    }
}

fn is_recent(at: OffsetDateTime, now: OffsetDateTime) -> bool {
    now < at + PAUSE
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::Duration;
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2026-11-23 10:00 UTC);

    fn admitted(hosts: &Hosts, host: &str, now: OffsetDateTime) -> usize {
        (0..100).filter(|_| hosts.may_be_asked(host, now)).count()
    }

    #[test]
    fn a_host_is_asked_so_often_in_any_half_minute_and_others_are_not_concerned() {
        let hosts = Hosts::default();
        assert!(hosts.may_be_asked("ci.example", NOW));
        assert_eq!(admitted(&hosts, "ci.example", NOW + Duration::seconds(10)), MAX_REQUESTS - 1);
        assert_eq!(admitted(&hosts, "ci.example.", NOW + Duration::seconds(10)), 0);
        assert_eq!(admitted(&hosts, "other.example", NOW + Duration::seconds(10)), MAX_REQUESTS);
        assert_eq!(admitted(&hosts, "ci.example", NOW + PAUSE - Duration::SECOND), 0);
        assert_eq!(admitted(&hosts, "ci.example", NOW + PAUSE), 1);
        assert_eq!(admitted(&hosts, "ci.example", NOW + PAUSE + Duration::seconds(10)), MAX_REQUESTS - 1);
    }

    #[test]
    fn memory_does_not_grow_and_no_host_is_forgotten_to_be_asked_anew() {
        let hosts = Hosts::default();
        for n in 0..MAX_HOSTS {
            assert!(hosts.may_be_asked(&format!("h{n}.example"), NOW));
        }
        assert!(!hosts.may_be_asked("one.more.example", NOW));
        assert_eq!(admitted(&hosts, "h0.example", NOW), MAX_REQUESTS - 1);
        assert!(hosts.may_be_asked("one.more.example", NOW + PAUSE));
        assert_eq!(hosts.0.lock().unwrap().len(), 1);
    }
}
