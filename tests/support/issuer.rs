//! Another CI's identity provider: a real TLS server on loopback that publishes its keys, signs ID tokens, and misbehaves when a
//! test wants it to.

use super::START;
use super::signer::Signer;
use super::tls::Certificate;
use super::world::merge;
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use axum_server::tls_rustls::RustlsConfig;
use http::{StatusCode, Uri};
use jobpass::Settings;
use jsonwebtoken::Algorithm;
use rcgen::SanType;
use serde_json::{Value, json};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use time::OffsetDateTime;

/// The issuer of the server under test: the audience of every ID token here.
pub(crate) const OURS: &str = "https://jobpass.example";

/// What it does instead of what it should.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// It takes the connection, and never answers.
    Hang,
    /// 10 MB of JSON.
    Huge,
    Redirect(String),
    Status(u16),
    /// Its discovery document says so.
    Discovery(Value),
    /// Its key set does.
    Keys(Value),
}

#[derive(Default)]
struct Published {
    keys: Mutex<Vec<Value>>,
    fault: Mutex<Option<Fault>>,
    looks: AtomicUsize,
    url: Mutex<String>,
}

pub(crate) struct Issuer {
    pub(crate) url: String,
    certificate: Certificate,
    folder: TempDir,
    published: Arc<Published>,
    signers: Mutex<Vec<Arc<Signer>>>,
}

impl Issuer {
    /// With one key, `k1`.
    pub(crate) async fn start() -> Issuer {
        let certificate = Certificate::with(|params| {
            params.subject_alt_names.push(SanType::DnsName("localhost".try_into().unwrap()));
        });
        let published = Arc::new(Published::default());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        published.url.lock().unwrap().clone_from(&url);
        super::http_client();
        let (cert, key) = (certificate.cert.clone().into_bytes(), certificate.key.clone().into_bytes());
        let tls = RustlsConfig::from_pem(cert, key).await.unwrap();
        let router = Router::new().fallback(answer).with_state(Arc::clone(&published));
        tokio::spawn(axum_server::from_tcp_rustls(listener, tls).unwrap().serve(router.into_make_service()));
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), &certificate.cert).unwrap();
        let issuer = Issuer { url, certificate, folder, published, signers: Mutex::default() };
        issuer.rotate(true);
        issuer
    }

    /// Signs with a further key from now on, and publishes it beside the others or alone.
    pub(crate) fn rotate(&self, alone: bool) {
        let mut signers = self.signers.lock().unwrap();
        let signer = Signer::new(Algorithm::ES256, &format!("k{}", signers.len() + 1));
        if alone {
            self.published.keys.lock().unwrap().clear();
        }
        self.publish(signer.jwk());
        signers.push(Arc::new(signer));
    }

    /// A further key, beside those that it has.
    pub(crate) fn publish(&self, jwk: Value) {
        self.published.keys.lock().unwrap().push(jwk);
    }

    /// The key pair that it signs with.
    pub(crate) fn signer(&self) -> Arc<Signer> {
        Arc::clone(self.signers.lock().unwrap().last().unwrap())
    }

    pub(crate) fn fault(&self, fault: impl Into<Option<Fault>>) {
        *self.published.fault.lock().unwrap() = fault.into();
    }

    /// How many requests came so far.
    pub(crate) fn looks(&self) -> usize {
        self.published.looks.load(Ordering::SeqCst)
    }

    /// By name instead of by address.
    pub(crate) fn by_name(&self) -> String {
        self.url.replace("127.0.0.1", "localhost")
    }

    pub(crate) fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// The other's certificate is trusted where this one's is.
    pub(crate) fn vouch_for(&self, other: &Issuer) {
        std::fs::write(self.ca_file(), [&*self.certificate.cert, &*other.certificate.cert].concat()).unwrap();
    }

    /// A server that trusts its certificate, and may look for it on loopback.
    pub(crate) fn set(&self, settings: &mut Settings) {
        settings.issuer = Some(OURS.to_owned());
        settings.issuers.issuer_ca_file = Some(self.ca_file());
        settings.issuers.allowed_issuer_networks = vec!["127.0.0.0/8".parse().unwrap()];
    }

    /// What GitHub would sign for a push to `main` of repository 42, at the time at which tests begin; `change` is merged in, and
    /// null takes a claim away.
    pub(crate) fn claims(&self, jti: &str, change: Value) -> Value {
        let now = START.unix_timestamp();
        let mut claims = json!({
            "iss": self.url, "aud": OURS, "sub": "repo:acme/web:ref:refs/heads/main", "jti": jti, "iat": now, "nbf": now, "exp": now + 300,
            "repository_id": "42", "repository": "acme/web", "repository_owner_id": "7", "ref": "refs/heads/main", "ref_type": "branch",
            "ref_protected": "true", "sha": "a".repeat(40), "event_name": "push", "run_id": "16062183829", "run_attempt": "1",
            "check_run_id": "45330921120", "workflow": "build", "actor": "octocat",
        });
        merge(&mut claims, change);
        claims.as_object_mut().unwrap().retain(|_, claim| !claim.is_null());
        claims
    }

    /// An ID token with these claims.
    pub(crate) fn token(&self, jti: &str, change: Value) -> String {
        self.sign(&self.claims(jti, change))
    }

    /// The same, issued at another time.
    pub(crate) fn token_at(&self, jti: &str, now: OffsetDateTime, change: Value) -> String {
        let now = now.unix_timestamp();
        let mut times = json!({ "iat": now, "nbf": now, "exp": now + 300 });
        merge(&mut times, change);
        self.token(jti, times)
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.sign_with(json!({}), claims)
    }

    /// With a header into which `change` is merged; null takes a member away.
    pub(crate) fn sign_with(&self, change: Value, claims: &Value) -> String {
        let signer = self.signer();
        signer.sign_under(&header(&signer, change), claims)
    }
}

/// That of an ID token by this key pair, with this change.
pub(crate) fn header(signer: &Signer, change: Value) -> Value {
    let mut header = signer.header();
    merge(&mut header, json!({ "typ": "JWT" }));
    merge(&mut header, change);
    header.as_object_mut().unwrap().retain(|_, member| !member.is_null());
    header
}

async fn answer(State(published): State<Arc<Published>>, uri: Uri) -> Response {
    published.looks.fetch_add(1, Ordering::SeqCst);
    let discovery = uri.path() == "/.well-known/openid-configuration";
    let url = published.url.lock().unwrap().clone();
    let fault = published.fault.lock().unwrap().clone();
    let keys = || json!({ "keys": published.keys.lock().unwrap().clone() });
    let document = match fault {
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::Huge) => {
            json!({ "issuer": url, "jwks_uri": format!("{url}/keys"), "keys": [], "more": "x".repeat(10_000_000) })
        }
        Some(Fault::Redirect(target)) => return Redirect::temporary(&target).into_response(),
        Some(Fault::Status(status)) => return StatusCode::from_u16(status).unwrap().into_response(),
        Some(Fault::Discovery(document)) if discovery => document,
        Some(Fault::Keys(document)) if !discovery => document,
        _ if discovery => json!({ "issuer": url, "jwks_uri": format!("{url}/keys") }),
        _ => keys(),
    };
    axum::Json(document).into_response()
}
