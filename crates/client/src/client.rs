//! One connection pool to one Jobpass, from which each role is made.

use crate::credential::Credential;
use crate::{Holder, Maintainer, Misconfigured, ResourceService, Runner, Secret};
use http::header::AUTHORIZATION;
use http::{HeaderValue, Method};
use jobpass_domain::ids::RunnerId;
use jobpass_domain::token::Kind;
use reqwest::{RequestBuilder, Url};
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

const USER_AGENT: &str = concat!("jobpass-client/", env!("CARGO_PKG_VERSION"));

/// Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
}

/// Settings of a [`Client`], each with a default that works.
#[derive(Debug)]
pub struct Builder {
    base_url: String,
    connect_timeout: Duration,
    timeout: Duration,
}

impl Client {
    /// `base_url` is where Jobpass answers, such as `https://jobpass.example`; a path in it is kept.
    pub fn builder(base_url: impl Into<String>) -> Builder {
        Builder { base_url: base_url.into(), connect_timeout: Duration::from_secs(2), timeout: Duration::from_secs(5) }
    }

    /// For who starts and ends jobs; the secret starts with `jpr_`.
    pub fn runner(&self, id: RunnerId, secret: Secret) -> Result<Runner, Misconfigured> {
        let credential = Credential::new(Kind::Runner, secret)?;
        Runner::new(self.clone(), &id.to_string(), &credential)
    }

    /// For who holds something worth protecting; the secret starts with `jps_`.
    pub fn service(&self, client_id: &str, secret: Secret) -> Result<ResourceService, Misconfigured> {
        let credential = Credential::new(Kind::Service, secret)?;
        Ok(ResourceService::new(self.clone(), credential.basic(client_id)?))
    }

    /// For a job, with the token that it was given; the token starts with `jpj_`.
    pub fn holder(&self, token: Secret) -> Result<Holder, Misconfigured> {
        let credential = Credential::new(Kind::Job, token)?;
        Ok(Holder::new(self.clone(), credential.bearer()?))
    }

    /// For who sets up projects and groups, with the rights of a user; the token starts with `jpu_`.
    pub fn maintainer(&self, token: Secret) -> Result<Maintainer, Misconfigured> {
        let credential = Credential::new(Kind::User, token)?;
        Ok(Maintainer::new(self.clone(), credential.bearer()?))
    }

    pub(crate) fn request(&self, method: Method, segments: &[&str], authorization: &HeaderValue) -> RequestBuilder {
        let mut url = self.base.clone();
        // `build` has seen to it that the URL can have a path.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        self.http.request(method, url).header(AUTHORIZATION, authorization)
    }
}

impl Builder {
    /// How long to wait for a connection: 2 s unless set.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Builder {
        self.connect_timeout = timeout;
        self
    }

    /// How long one request may take in all, its connection included: 5 s unless set.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Builder {
        self.timeout = timeout;
        self
    }

    pub fn build(self) -> Result<Client, Misconfigured> {
        let base = base(&self.base_url)?;
        let http = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .connect_timeout(self.connect_timeout)
            .timeout(self.timeout)
            // A credential goes to the address that was configured and to no other.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .tls_backend_preconfigured(tls(&base).map_err(Misconfigured::Tls)?)
            .build()
            .map_err(|error| Misconfigured::Tls(error.into()))?;
        Ok(Client { http, base })
    }
}

fn base(text: &str) -> Result<Url, Misconfigured> {
    let url = Url::parse(text).map_err(|_| Misconfigured::BaseUrl)?;
    let plain =
        url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
    if matches!(url.scheme(), "http" | "https") && url.has_host() && plain {
        Ok(url)
    } else {
        Err(Misconfigured::BaseUrl)
    }
}

/// The TLS of every connection here, to one base. The provider is named rather than installed for the whole process,
/// which belongs to the caller.
pub fn tls(base: &Url) -> Result<ClientConfig, Box<dyn StdError + Send + Sync>> {
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?;
    // Without redirects plain HTTP never meets TLS, and a small container may have no certificates at all.
    let config = if base.scheme() == "http" {
        config.with_root_certificates(RootCertStore::empty())
    } else {
        config.with_platform_verifier()?
    };
    Ok(config.with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_urls() {
        for good in ["http://127.0.0.1:8787", "https://jobpass.example/", "https://example.com/jobpass"] {
            assert!(base(good).is_ok(), "{good}");
        }
        for bad in ["", "jobpass.example", "ftp://a", "https://u:p@a", "https://a?b", "https://a#b", "unix:/a"] {
            assert!(base(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn segments_are_encoded_below_the_path_of_the_base() {
        let client = Client::builder("http://localhost/jobpass/").build().unwrap();
        let request = client.request(Method::GET, &["v1", "a/b", ".."], &HeaderValue::from_static("x"));
        assert_eq!(request.build().unwrap().url().as_str(), "http://localhost/jobpass/v1/a%2Fb");
    }

    #[test]
    fn a_client_for_https_can_be_built() {
        // On a machine without certificates this is an error with a reason, and never a panic.
        match Client::builder("https://localhost").build() {
            Ok(_) | Err(Misconfigured::Tls(_)) => {}
            Err(other) => panic!("{other}"),
        }
    }
}
