//! The three answers, each with its reason: a header for machines, and plain text, for git shows nothing else.

use super::PREFIX;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use jobpass_app::{Answer, Fault};
use jobpass_domain::Reason;
use jobpass_domain::forward_auth::{ForwardAuth, Identity};
use jobpass_domain::token;
use std::borrow::Cow;

const REASON: HeaderName = HeaderName::from_static("jobpass-reason");
/// First and always: git sends a password only once it was asked for one so, and nginx passes the first one on.
const BASIC: &str = "Basic realm=\"jobpass\"";

/// Why a request does not pass.
pub(super) struct Refused {
    status: StatusCode,
    reason: &'static str,
    text: Cow<'static, str>,
    challenges: Vec<String>,
}

impl Refused {
    pub(super) fn forbidden(reason: &'static str, text: impl Into<Cow<'static, str>>) -> Refused {
        Refused { status: StatusCode::FORBIDDEN, reason, text: text.into(), challenges: vec![] }
    }

    /// No challenge would help a client here, but every 401 has one (RFC 9110, section 15.5.2).
    pub(super) fn gateway() -> Refused {
        let challenges = vec!["Bearer realm=\"jobpass gateways\"".to_owned()];
        let text = "the gateway did not prove itself by X-Jobpass-Service";
        Refused { status: StatusCode::UNAUTHORIZED, reason: "gateway", text: text.into(), challenges }
    }

    /// RFC 6750, section 3: no error where no token came.
    pub(super) fn no_token() -> Refused {
        let text = "a job token is needed here, as Bearer or as the password of Basic";
        let challenges = vec![BASIC.to_owned(), "Bearer realm=\"jobpass\"".to_owned()];
        Refused { status: StatusCode::UNAUTHORIZED, reason: "no_token", text: text.into(), challenges }
    }

    pub(super) fn dead_token(reason: Reason) -> Refused {
        let reason = reason.name();
        let text = format!("this token is not valid here ({reason})");
        let challenges = vec![BASIC.to_owned(), "Bearer realm=\"jobpass\", error=\"invalid_token\"".to_owned()];
        Refused { status: StatusCode::UNAUTHORIZED, reason, text: text.into(), challenges }
    }

    /// A live token that may do too little (RFC 6750, section 3.1).
    pub(super) fn lacking(answer: &Answer, project: Option<&str>, reason: Reason) -> Refused {
        let missing = answer.catalogue.expand(answer.decision.missing());
        let reason = reason.name();
        let project = project.map_or(String::new(), |project| format!(" on {project}"));
        let text = format!("this job's token lacks {}{project} ({reason})", missing.join(", "));
        let scope = missing.join(" ");
        let challenge = format!("Bearer realm=\"jobpass\", error=\"insufficient_scope\", scope=\"{scope}\"");
        Refused { challenges: vec![challenge], ..Refused::forbidden(reason, text) }
    }

    /// A question that cannot be asked: no such route, a path that could be read in two ways, another project.
    pub(super) fn faulty(faults: &[Fault]) -> Refused {
        let first = faults.first();
        let detail = first.map_or_else(String::new, |fault| fault.detail.clone());
        Refused::forbidden(first.map_or("invalid", |fault| fault.code), detail)
    }

    pub(super) fn into_response(self) -> Response {
        // It may repeat what the client sent, and that may be a token in the wrong place.
        let text = format!("Jobpass: {}.\n", token::hide(&self.text));
        let mut response = (self.status, text).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(REASON, HeaderValue::from_static(self.reason));
        for challenge in self.challenges.iter().filter_map(|text| HeaderValue::from_str(text).ok()) {
            headers.append(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

pub(super) fn passed(identity: Identity<'_>, set: &ForwardAuth, reason: Reason) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert(REASON, HeaderValue::from_static(reason.name()));
    for (name, value) in identity.headers(set) {
        // Printable ASCII by construction; were it not, the header would stand there empty.
        let value = HeaderValue::from_str(&value).unwrap_or(HeaderValue::from_static(""));
        headers.insert(HeaderName::from_static(name), value);
    }
    (StatusCode::OK, headers).into_response()
}

/// Around everything: whatever went wrong inside, a gateway gets one of the three. The rest of the answer was logged before.
pub(crate) fn verdict_only(response: Response) -> Response {
    let understood = matches!(response.status(), StatusCode::OK | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
    if understood { response } else { instead_of(&response) }
}

pub(crate) fn is_here(path: &str) -> bool {
    path.strip_prefix(PREFIX).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn instead_of(response: &Response) -> Response {
    let away = response.status() == StatusCode::SERVICE_UNAVAILABLE;
    let refused = match response.status() {
        _ if away => Refused::forbidden("unavailable", "nobody can say at the moment, so nothing is let through"),
        StatusCode::TOO_MANY_REQUESTS => {
            Refused::forbidden("too_many_failures", "this gateway failed to prove itself too often; it has to wait")
        }
        StatusCode::NOT_FOUND => Refused::forbidden("bad_source", "the gateway's address names no client id"),
        _ => Refused::forbidden("internal", "something is wrong here, so nothing is let through"),
    };
    let mut verdict = refused.into_response();
    let kept = ["x-request-id", "ratelimit", "ratelimit-policy"].map(HeaderName::from_static);
    let kept = kept.into_iter().chain([CACHE_CONTROL, RETRY_AFTER]);
    for (name, value) in kept.filter_map(|name| response.headers().get(&name).map(|value| (name, value))) {
        verdict.headers_mut().insert(name, value.clone());
    }
    if away {
        verdict.headers_mut().entry(RETRY_AFTER).or_insert(HeaderValue::from_static("1"));
    }
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_goes_wrong_is_one_of_the_three() {
        for (status, reason) in [
            (404, "bad_source"),
            (405, "internal"),
            (429, "too_many_failures"),
            (500, "internal"),
            (503, "unavailable"),
        ] {
            let mut broken = StatusCode::from_u16(status).unwrap().into_response();
            broken.headers_mut().insert("x-request-id", HeaderValue::from_static("1"));
            broken.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
            let verdict = instead_of(&broken);
            assert_eq!(verdict.status(), StatusCode::FORBIDDEN);
            assert_eq!(
                (&verdict.headers()[REASON], &verdict.headers()["x-request-id"]),
                (&HeaderValue::from_static(reason), &HeaderValue::from_static("1"))
            );
            assert_eq!(verdict.headers()[CONTENT_TYPE], "text/plain; charset=utf-8");
            assert_eq!(verdict.headers().contains_key(RETRY_AFTER), status == 503);
        }
    }

    #[test]
    fn where_that_holds() {
        for (path, here) in [
            ("/v1/forward-auth", true),
            ("/v1/forward-auth/x/y", true),
            ("/v1/forward-authority", false),
            ("/v1/x", false),
        ] {
            assert_eq!(is_here(path), here, "{path}");
        }
    }
}
