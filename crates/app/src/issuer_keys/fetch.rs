//! One fetch of an issuer's keys: by `OpenID` Connect Discovery, or from where a rule says. Over https only, from where the guard
//! admits, without redirects or proxies, within a time and a size.

use super::Source;
use super::guard::{Guard, IssuerSettings};
use super::hosts::Hosts;
use crate::jwt::{MAX_KEYS, algorithm_of};
use jsonwebtoken::jwk::{Jwk, JwkSet};
use reqwest::{Client, StatusCode, Url};
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls_platform_verifier::Verifier;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use time::OffsetDateTime;

/// How long a fetch may take, both documents and their connections together.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The largest document, in bytes.
const MAX_BODY: usize = 256 * 1024;

#[derive(Debug, Error)]
pub(super) enum NoKeys {
    #[error("no answer within {TIMEOUT:?}")]
    Timeout,
    #[error("what is said to be its address is no https URL")]
    NotHttps,
    #[error("lies at no public address, and in no network of --allowed-issuer-networks")]
    NotAdmitted,
    #[error("its host was asked for enough lately")]
    AskedEnough,
    #[error("{0}")]
    Http(String),
    #[error("answered {0} where 200 is expected")]
    Status(StatusCode),
    #[error("answered with more than {MAX_BODY} bytes")]
    TooLarge,
    #[error("answered with what is no such document")]
    Malformed,
    #[error("its discovery document names another issuer")]
    OtherIssuer,
    #[error("has more than {MAX_KEYS} keys")]
    TooManyKeys,
}

/// `OpenID` Connect Discovery 1.0, section 3; what is needed of it.
#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

/// RFC 7517, section 5.
#[derive(Deserialize)]
struct Keys {
    keys: Vec<Value>,
}

#[derive(Clone, Debug)]
pub(super) struct Fetch {
    /// Why there is none, on a machine without certificate authorities: the server runs, and trusts no other CI.
    http: Result<Client, String>,
    guard: Guard,
    hosts: Arc<Hosts>,
}

impl Fetch {
    pub(super) fn new(settings: &IssuerSettings) -> Fetch {
        let guard = Guard::new(settings);
        Fetch { http: client(settings, &guard), guard, hosts: Arc::default() }
    }

    pub(super) async fn keys(&self, source: &Source, now: OffsetDateTime) -> Result<JwkSet, NoKeys> {
        tokio::time::timeout(TIMEOUT, self.look(source, now)).await.map_err(|_| NoKeys::Timeout)?
    }

    async fn look(&self, source: &Source, now: OffsetDateTime) -> Result<JwkSet, NoKeys> {
        let jwks_uri = match &source.jwks_uri {
            Some(uri) => uri.clone(),
            None => self.discover(&source.issuer, now).await?,
        };
        let Keys { keys } = self.document(&jwks_uri, now).await?;
        if keys.len() > MAX_KEYS {
            return Err(NoKeys::TooManyKeys);
        }
        // RFC 7517, section 5: keys that are not understood are left out.
        let keys = keys.into_iter().filter_map(|key| serde_json::from_value(key).ok());
        Ok(JwkSet { keys: keys.filter(|key: &Jwk| algorithm_of(key).is_some()).collect() })
    }

    /// Where the issuer says that its keys are (`OpenID` Connect Discovery 1.0, section 4).
    async fn discover(&self, issuer: &str, now: OffsetDateTime) -> Result<String, NoKeys> {
        let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let found: Discovery = self.document(&url, now).await?;
        if found.issuer == issuer { Ok(found.jwks_uri) } else { Err(NoKeys::OtherIssuer) }
    }

    async fn document<T: DeserializeOwned>(&self, url: &str, now: OffsetDateTime) -> Result<T, NoKeys> {
        let parsed = Url::parse(url).ok().filter(|url| url.scheme() == "https");
        let parsed = parsed.ok_or(NoKeys::NotHttps)?;
        let host = parsed.host_str().ok_or(NoKeys::NotHttps)?;
        if !self.guard.admits_host(host) {
            return Err(NoKeys::NotAdmitted);
        }
        if !self.hosts.may_be_asked(host, now) {
            return Err(NoKeys::AskedEnough);
        }
        let http = self.http.as_ref().map_err(|error| NoKeys::Http(error.clone()))?;
        let mut response = http.get(parsed).header("accept", "application/json").send().await.map_err(failed)?;
        if response.status() != StatusCode::OK {
            return Err(NoKeys::Status(response.status()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > MAX_BODY {
                return Err(NoKeys::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&body).map_err(|_| NoKeys::Malformed)
    }
}

/// With what led to it, since the first error alone says little; without the URL, which may be as long as an issuer likes.
fn failed(error: reqwest::Error) -> NoKeys {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    NoKeys::Http(text)
}

impl IssuerSettings {
    /// Whether the certificate authorities that were given can be used; if not, why.
    pub fn check(&self) -> Result<(), String> {
        if self.extra_roots.is_empty() { Ok(()) } else { client(self, &Guard::new(self)).map(drop) }
    }
}

fn client(settings: &IssuerSettings, guard: &Guard) -> Result<Client, String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let roots = settings.extra_roots.iter().cloned();
    let verifier = Verifier::new_with_extra_roots(roots, Arc::clone(&provider)).map_err(|error| error.to_string())?;
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| error.to_string())?;
    let config = config.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth();
    Client::builder()
        .user_agent(concat!("jobpass/", env!("CARGO_PKG_VERSION")))
        .https_only(true)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .dns_resolver(Arc::new(guard.clone()))
        .tls_backend_preconfigured(config)
        .build()
        .map_err(|error| error.to_string())
}
