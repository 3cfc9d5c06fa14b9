//! Why a request is refused, as the client of the resource service gets to see it: plain text, because that
//! is the only thing that git shows.

use super::REASON;
use crate::{Ask, Misconfigured};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use jobpass_api::{Decision, Missing};
use jobpass_domain::text::InvalidText;

const RETRY_AFTER_SECONDS: u64 = 2;

/// A request that is not let through. A rule of one's own makes these for what cannot be asked about.
#[derive(Clone, Debug)]
pub struct Refusal {
    status: StatusCode,
    text: String,
    reason: Option<String>,
    /// The part of a Bearer challenge after the realm.
    challenge: Option<String>,
}

impl Refusal {
    /// 400: the request does not say clearly what it means.
    pub fn bad_request(text: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::BAD_REQUEST, text)
    }

    /// 403: nobody may do this here, whatever the token.
    pub fn forbidden(text: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::FORBIDDEN, text)
    }

    /// 404: there is nothing of the kind here.
    pub fn not_found(text: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::NOT_FOUND, text)
    }

    pub(super) fn no_token() -> Refusal {
        let text = "a job token is needed here, as Bearer or as the password of Basic";
        Refusal { challenge: Some(String::new()), ..Refusal::new(StatusCode::UNAUTHORIZED, text) }
    }

    pub(super) fn no_decision() -> Refusal {
        let text = "no decision can be had at the moment, so nothing is let through; try again soon";
        Refusal { reason: Some("unavailable".into()), ..Refusal::new(StatusCode::SERVICE_UNAVAILABLE, text) }
    }

    pub(super) fn decided(decision: &Decision, ask: &Ask) -> Refusal {
        if is_dead(decision) {
            Refusal {
                reason: Some(decision.reason.clone()),
                challenge: Some(", error=\"invalid_token\"".into()),
                ..Refusal::new(StatusCode::UNAUTHORIZED, format!("this token is not valid here ({})", decision.reason))
            }
        } else {
            Refusal {
                reason: Some(decision.reason.clone()),
                ..Refusal::forbidden(format!("this job's token lacks {}", lacks(decision, ask)))
            }
        }
    }

    pub(super) fn into_response<R: From<String>>(self, realm: &str) -> Response<R> {
        let mut response = Response::new(R::from(format!("Jobpass: {}.\n", self.text)));
        *response.status_mut() = self.status;
        self.head(realm, response.headers_mut());
        response
    }

    fn head(&self, realm: &str, headers: &mut HeaderMap) {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        if let Some(Ok(reason)) = self.reason.as_deref().map(HeaderValue::from_str) {
            headers.insert(REASON, reason);
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
        }
        // Basic comes first and always: git sends a password only after it was asked for one so.
        if let Some(error) = &self.challenge {
            let challenges = [format!("Basic realm=\"{realm}\""), format!("Bearer realm=\"{realm}\"{error}")];
            for challenge in challenges.iter().filter_map(|text| HeaderValue::from_str(text).ok()) {
                headers.append(WWW_AUTHENTICATE, challenge);
            }
        }
    }

    fn new(status: StatusCode, text: impl Into<String>) -> Refusal {
        Refusal { status, text: text.into(), reason: None, challenge: None }
    }
}

/// A dead token is 401, so that the client drops it; a live one that may do too little is 403.
fn is_dead(decision: &Decision) -> bool {
    match decision.reason.as_str() {
        "unknown" | "revoked" | "expired" | "job_over" | "lease_lost" | "parent" => true,
        // For a live token the word means that this service is not shown such resources.
        "audience" => decision.subject.is_none(),
        _ => false,
    }
}

/// `repositories:read on acme/lib (no_grant)`; with a reason for each where they differ.
fn lacks(decision: &Decision, ask: &Ask) -> String {
    let missing = if decision.missing.is_empty() { ask.permissions() } else { &decision.missing };
    let project = ask.project();
    if decision.reasons.iter().all(|missing| missing.reason == decision.reason) {
        format!("{} on {project} ({})", missing.join(", "), decision.reason)
    } else {
        let each = |Missing { permission, reason }: &Missing| format!("{permission} ({reason})");
        let each: Vec<String> = decision.reasons.iter().map(each).collect();
        format!("{} on {project}", each.join(", "))
    }
}

/// What a rule took from the request was no text that can be asked about.
impl From<Misconfigured> for Refusal {
    fn from(error: Misconfigured) -> Refusal {
        Refusal::bad_request(error.to_string())
    }
}

impl From<InvalidText> for Refusal {
    fn from(error: InvalidText) -> Refusal {
        Refusal::bad_request(error.to_string())
    }
}
