//! One request and its answer: sent, read within bounds, and told apart from everything that is not an
//! answer of Jobpass.

use crate::Error;
use http::StatusCode;
use http::header::ETAG;
use jobpass_api::{OAuthError, Problem};
use reqwest::{RequestBuilder, Response};
use serde::de::DeserializeOwned;
use std::time::Duration;

/// Above every answer to a call of this crate: a configuration may have as many bytes as one may be put with.
const MAX_ANSWER: usize = 16 << 20;
const PAUSE_BEFORE_REPEAT: Duration = Duration::from_millis(200);

/// Which of the two error bodies an endpoint has.
#[derive(Clone, Copy)]
pub(crate) enum Dialect {
    /// RFC 9457, under `/v1`.
    Rest,
    /// RFC 6749, under `/oauth`.
    OAuth,
}

pub(crate) struct Answer {
    status: StatusCode,
    etag: Option<String>,
    body: Vec<u8>,
}

/// Sends once. The answer is a success, if not what the caller hopes for.
pub(crate) async fn send(request: RequestBuilder, dialect: Dialect) -> Result<Answer, Error> {
    let response = request.send().await.map_err(unreachable)?;
    let status = response.status();
    let etag = response.headers().get(ETAG).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let body = bounded(response).await?;
    if status.is_success() { Ok(Answer { status, etag, body }) } else { Err(refusal(status, &body, dialect)) }
}

/// Sends, and once more when the connection broke or Jobpass was away for a moment. Only for requests that
/// are the same when they come twice.
pub(crate) async fn send_repeatable(request: RequestBuilder, dialect: Dialect) -> Result<Answer, Error> {
    let again = request.try_clone();
    match (send(request, dialect).await, again) {
        (Err(error), Some(again)) if error.is_worth_one_repeat() => {
            tokio::time::sleep(PAUSE_BEFORE_REPEAT).await;
            send(again, dialect).await
        }
        (outcome, _) => outcome,
    }
}

impl Answer {
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        // serde's message may quote the body, and the body may hold a token.
        serde_json::from_slice(&self.body).map_err(|_| self.unexpected("not the JSON that belongs here"))
    }

    pub(crate) fn etag(&self) -> Option<&str> {
        self.etag.as_deref()
    }

    pub(crate) fn unexpected(&self, what: &'static str) -> Error {
        Error::Unexpected { status: self.status.as_u16(), what }
    }
}

async fn bounded(mut response: Response) -> Result<Vec<u8>, Error> {
    let status = response.status().as_u16();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if body.len() + chunk.len() > MAX_ANSWER {
            let what = "more than 16 MiB";
            return Err(Error::Unexpected { status, what });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn refusal(status: StatusCode, body: &[u8], dialect: Dialect) -> Error {
    let known = match dialect {
        Dialect::Rest => problem(status, body),
        Dialect::OAuth => oauth_error(status, body),
    };
    known.unwrap_or(Error::Unexpected { status: status.as_u16(), what: "not an error of Jobpass" })
}

fn problem(status: StatusCode, body: &[u8]) -> Option<Error> {
    let problem: Problem = serde_json::from_slice(body).ok()?;
    (problem.status == status.as_u16()).then(|| Error::Problem(Box::new(problem)))
}

fn oauth_error(status: StatusCode, body: &[u8]) -> Option<Error> {
    let OAuthError { error, error_description: description } = serde_json::from_slice(body).ok()?;
    Some(Error::OAuth { status: status.as_u16(), error, description })
}

fn unreachable(error: reqwest::Error) -> Error {
    Error::Unreachable { timed_out: error.is_timeout() && !error.is_connect(), cause: error.without_url().into() }
}
