//! What can go wrong, before a call and in one. No message carries a secret or the body of an answer.

use jobpass_api::{FieldError, Problem};
use jobpass_domain::text::InvalidText;
use std::error::Error as StdError;
use thiserror::Error;

/// A call that gave no answer to build on. For a resource service every one of these means: refuse.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    #[error("Jobpass cannot be reached")]
    Unreachable {
        /// Whether it was silence, so that the request may have been carried out all the same.
        timed_out: bool,
        #[source]
        cause: Box<dyn StdError + Send + Sync>,
    },
    /// What `/v1` refuses with (RFC 9457).
    #[error("Jobpass refuses: {}", told(.0))]
    Problem(Box<Problem>),
    /// What `/oauth` refuses with (RFC 6749, section 5.2).
    #[error("Jobpass refuses: {error} ({description})")]
    OAuth { status: u16, error: String, description: String },
    /// Not an answer that Jobpass gives; a proxy between, or a server of another version.
    #[error("an unexpected answer with status {status}: {what}")]
    Unexpected { status: u16, what: &'static str },
}

impl Error {
    /// Whether the same call may succeed later without a change by anyone.
    pub fn is_retryable(&self) -> bool {
        match self {
            Error::Unreachable { .. } => true,
            _ => matches!(self.status(), Some(429 | 502 | 503 | 504)),
        }
    }

    /// The HTTP status, where there was an answer.
    pub fn status(&self) -> Option<u16> {
        match self {
            Error::Unreachable { .. } => None,
            Error::Problem(problem) => Some(problem.status),
            Error::OAuth { status, .. } | Error::Unexpected { status, .. } => Some(*status),
        }
    }

    /// A timeout is left to the caller, who chose how long a call may take.
    pub(crate) fn is_worth_one_repeat(&self) -> bool {
        match self {
            Error::Unreachable { timed_out, .. } => !timed_out,
            _ => self.status() == Some(503),
        }
    }
}

fn told(problem: &Problem) -> String {
    let mut text = format!("{} ({})", problem.title, problem.code);
    for FieldError { pointer, detail, .. } in &problem.errors {
        text.extend(["; ", pointer, ": ", detail]);
    }
    text
}

/// A setting that can never work, told before the first call.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Misconfigured {
    #[error("the base URL must be http or https, with a host and without user, query or fragment")]
    BaseUrl,
    #[error("TLS cannot be set up")]
    Tls(#[source] Box<dyn StdError + Send + Sync>),
    #[error(
        "not a credential of the right kind: expected 53 characters that start with {prefix}, with a good checksum"
    )]
    Credential { prefix: &'static str },
    #[error("a client id is one or more of [A-Za-z0-9_-]")]
    ClientId,
    #[error("{0}")]
    Text(#[from] InvalidText),
    #[error("a path template starts with /, names {{project}} once, and has {{*rest}} at its end or not at all")]
    Template,
}
