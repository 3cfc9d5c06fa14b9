//! The errors of `/oauth` (RFC 6749, section 5.2).

use crate::problem::Internal;
use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use jobpass_api::OAuthError;
use jobpass_app::Refusal;
use std::borrow::Cow;

/// An error of `/oauth` (RFC 6749, section 5.2).
#[derive(Debug)]
pub(crate) struct OAuthDenied {
    pub(crate) error: &'static str,
    pub(crate) description: Cow<'static, str>,
    status: StatusCode,
    challenge: Option<&'static str>,
    internal: Option<String>,
}

impl OAuthDenied {
    /// What HTTP itself refuses under `/oauth`, in the words of OAuth; its headers stay.
    pub(crate) fn in_place_of(response: Response) -> Response {
        let (parts, _) = response.into_parts();
        let (error, description) = match parts.status {
            StatusCode::NOT_FOUND => ("invalid_request", "no such endpoint"),
            StatusCode::METHOD_NOT_ALLOWED => ("invalid_request", "not a method of this endpoint"),
            StatusCode::TOO_MANY_REQUESTS => {
                ("temporarily_unavailable", "too many failed attempts from this address, or in the name of this client")
            }
            StatusCode::SERVICE_UNAVAILABLE => ("temporarily_unavailable", "try again"),
            _ => ("server_error", "something is wrong here"),
        };
        let denied = OAuthDenied { status: parts.status, ..OAuthDenied::new(error, description) };
        let mut response = denied.into_response();
        // What the refusal says besides: Allow, Retry-After, RateLimit.
        let headers = response.headers_mut();
        for (name, value) in &parts.headers {
            if name != CONTENT_TYPE && name != CONTENT_LENGTH {
                headers.insert(name, value.clone());
            }
        }
        response
    }

    /// 400 with this error code.
    pub(crate) fn new(error: &'static str, description: impl Into<Cow<'static, str>>) -> OAuthDenied {
        let description = description.into();
        OAuthDenied { error, description, status: StatusCode::BAD_REQUEST, challenge: None, internal: None }
    }

    pub(crate) fn invalid_request(description: impl Into<Cow<'static, str>>) -> OAuthDenied {
        OAuthDenied::new("invalid_request", description)
    }

    /// RFC 9396, section 5.
    pub(crate) fn invalid_authorization_details(description: &'static str) -> OAuthDenied {
        OAuthDenied::new("invalid_authorization_details", description)
    }

    /// Failed client authentication, challenged in kind.
    pub(crate) fn invalid_client(by_bearer: bool) -> OAuthDenied {
        let challenge = if by_bearer {
            "Bearer realm=\"jobpass\", error=\"invalid_token\""
        } else {
            "Basic realm=\"jobpass\", charset=\"UTF-8\""
        };
        OAuthDenied {
            status: StatusCode::UNAUTHORIZED,
            challenge: Some(challenge),
            ..OAuthDenied::new("invalid_client", "client authentication is missing, unknown, expired or revoked")
        }
    }

    /// An assertion that the client did sign: what is wrong with it is told (RFC 7521, section 4.2.1).
    fn bad_assertion(why: &str) -> OAuthDenied {
        let description = format!("the assertion {why}");
        OAuthDenied { description: description.into(), ..OAuthDenied::invalid_client(false) }
    }

    fn unavailable(
        error: &'static str,
        status: StatusCode,
        description: &'static str,
        internal: String,
    ) -> OAuthDenied {
        OAuthDenied { status, internal: Some(internal), ..OAuthDenied::new(error, description) }
    }
}

impl From<Refusal> for OAuthDenied {
    fn from(refusal: Refusal) -> OAuthDenied {
        match refusal {
            Refusal::Unavailable(text) => OAuthDenied::unavailable(
                "temporarily_unavailable",
                StatusCode::SERVICE_UNAVAILABLE,
                "the database is away; try again, and take the token for what it was",
                text,
            ),
            Refusal::Internal(text) => OAuthDenied::unavailable(
                "server_error",
                StatusCode::INTERNAL_SERVER_ERROR,
                "something is wrong here",
                text,
            ),
            Refusal::BadIdToken(why) => OAuthDenied::invalid_request(format!("the ID token {why}")),
            Refusal::NoCredential | Refusal::BadCredential | Refusal::WrongCaller { .. } => {
                OAuthDenied::invalid_client(false)
            }
            Refusal::BadAssertion(why) => OAuthDenied::bad_assertion(&why),
            Refusal::Invalid(faults) if faults.iter().any(|one| one.pointer.starts_with("/authorization_details")) => {
                OAuthDenied::invalid_authorization_details(
                    "unknown permissions, too many details, or more than the subject token has",
                )
            }
            Refusal::Invalid(faults) => match faults.first().map(|fault| fault.code) {
                Some("unknown_permission") => OAuthDenied::new("invalid_scope", "no such permission"),
                Some("more_than_parent") => {
                    OAuthDenied::new("invalid_scope", "more permissions than the subject token")
                }
                Some("more_than_rule") => {
                    OAuthDenied::new("invalid_scope", "more permissions than the trust rule allows")
                }
                Some("other_than_parent") => {
                    OAuthDenied::new("invalid_target", "another audience than the subject token")
                }
                Some("capped") => OAuthDenied::invalid_request("a capped or narrowed token gets no ID token"),
                Some("audience") => OAuthDenied::new("invalid_target", "an ID token for Jobpass itself is of no use"),
                Some("other_project") => OAuthDenied::invalid_request("this service is registered for another project"),
                _ => OAuthDenied::invalid_request("a value cannot be"),
            },
            Refusal::Conflict(_) => OAuthDenied::invalid_request("a limit stands in the way"),
            Refusal::NotFound
            | Refusal::Forbidden { .. }
            | Refusal::TopLevel
            | Refusal::ReadOnly
            | Refusal::RunnerNotProtected
            | Refusal::ProtectedEnvironment
            | Refusal::PreconditionRequired
            | Refusal::PreconditionFailed
            | Refusal::KeyReused => OAuthDenied::new("unauthorized_client", "not for this client"),
        }
    }
}

impl IntoResponse for OAuthDenied {
    fn into_response(self) -> Response {
        let body = OAuthError { error: self.error.to_owned(), error_description: self.description.into_owned() };
        let mut response = (self.status, Json(body)).into_response();
        if let Some(text) = self.internal {
            response.extensions_mut().insert(Internal(text.into()));
        }
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
        if let Some(challenge) = self.challenge {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
