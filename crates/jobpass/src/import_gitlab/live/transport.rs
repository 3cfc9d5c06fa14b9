//! How a live GitLab is reached. The token goes to the address that was given and to no other, never in clear over
//! a network, and is never printed; answers are bounded in size and time.

use super::super::Failure;
use super::super::document::{Document, MAX_BYTES};
use jobpass_client::tls;
use jobpass_domain::Secret;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{RequestBuilder, StatusCode, Url};
use serde_json::Value;
use std::error::Error as StdError;
use std::time::Duration;

const USER_AGENT: &str = concat!("jobpass/", env!("CARGO_PKG_VERSION"));
const CONNECT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Transport {
    http: reqwest::Client,
    base: Url,
    bearer: HeaderValue,
}

impl Transport {
    pub(super) fn new(url: &str, token: &Secret, allow_http: bool, timeout: Duration) -> Result<Transport, Failure> {
        let base = base(url, allow_http)?;
        let http = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .connect_timeout(CONNECT.min(timeout))
            .timeout(timeout)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .tls_backend_preconfigured(tls(&base).map_err(|error| Failure::Tls(error.to_string()))?)
            .build()
            .map_err(|error| Failure::Tls(error.to_string()))?;
        let mut bearer =
            HeaderValue::from_str(&format!("Bearer {}", token.expose())).map_err(|_| Failure::Token("is no token"))?;
        bearer.set_sensitive(true);
        Ok(Transport { http, base, bearer })
    }

    /// The URL of these segments below the address that was given.
    pub(super) fn at(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        // `base` has seen to it that the URL can have a path.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    pub(super) async fn get(&self, url: Url) -> Result<(HeaderMap, Document), Failure> {
        self.send(self.http.get(url)).await
    }

    pub(super) async fn post(&self, url: Url, body: &Value) -> Result<Document, Failure> {
        self.send(self.http.post(url).json(body)).await.map(|(_, document)| document)
    }

    /// The answer, whole and within bounds, if it is a 200.
    async fn send(&self, request: RequestBuilder) -> Result<(HeaderMap, Document), Failure> {
        let request =
            request.header(AUTHORIZATION, self.bearer.clone()).build().map_err(|error| no_answer(&self.base, error))?;
        let url = request.url().clone();
        let mut answer = self.http.execute(request).await.map_err(|error| no_answer(&url, error))?;
        if answer.status() != StatusCode::OK {
            let status = answer.status();
            return Err(Failure::Status { url: url.into(), status, hint: hint(status) });
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| no_answer(&url, error))? {
            body.extend_from_slice(&chunk);
            if body.len() as u64 > MAX_BYTES {
                return Err(Failure::TooLarge(url.into()));
            }
        }
        let headers = std::mem::take(answer.headers_mut());
        Ok((headers, Document::new(url.into(), body)?))
    }
}

fn hint(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => ": the token is not accepted",
        StatusCode::FORBIDDEN => ": the token needs the scope read_api or api, of a maintainer of the project",
        StatusCode::NOT_FOUND => ": there is no such project, or the token may not see it",
        status if status.is_redirection() => ": redirects are not followed; has the project moved?",
        _ => "",
    }
}

/// The cause in words, without the address, which stands in front.
fn no_answer(url: &Url, error: reqwest::Error) -> Failure {
    let told = if error.is_timeout() {
        "no answer in time (--timeout-secs)".to_owned()
    } else {
        let error = error.without_url();
        let mut told = error.to_string();
        let mut cause = error.source();
        while let Some(deeper) = cause {
            told = format!("{told}: {deeper}");
            cause = deeper.source();
        }
        told
    };
    Failure::Refused { url: url.to_string(), told }
}

fn base(text: &str, allow_http: bool) -> Result<Url, Failure> {
    let url = Url::parse(text).map_err(|_| Failure::Url)?;
    let plain =
        url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
    match url.scheme() {
        _ if !plain || !url.has_host() => Err(Failure::Url),
        "https" => Ok(url),
        "http" if allow_http || is_loopback(&url) => Ok(url),
        "http" => Err(Failure::Clear),
        _ => Err(Failure::Url),
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_token_may_go() {
        for good in [
            "https://gitlab.example",
            "https://example.org/gitlab/",
            "http://127.0.0.1:80",
            "http://[::1]:1",
            "http://localhost",
        ] {
            assert!(base(good, false).is_ok(), "{good}");
        }
        for clear in ["http://gitlab.example", "http://10.0.0.1", "http://localhost.example", "http://0.0.0.0"] {
            assert!(matches!(base(clear, false), Err(Failure::Clear)), "{clear}");
            assert!(base(clear, true).is_ok(), "{clear}");
        }
        for bad in ["", "gitlab.example", "ftp://a", "https://u:p@a", "https://a?b", "https://a#b"] {
            assert!(matches!(base(bad, true), Err(Failure::Url)), "{bad}");
        }
    }

    #[test]
    fn the_token_is_not_printed() {
        let token = Secret::new("glpat-x".into());
        let transport = Transport::new("http://localhost", &token, false, Duration::from_secs(1)).unwrap();
        assert!(!format!("{transport:?}").contains("glpat"));
    }
}
