//! What drivers in Rust share: what was asked, one line for each check, and the transport.

use oauth2::http::uri::Scheme;
use oauth2::reqwest::blocking::Client;
use oauth2::reqwest::redirect::Policy;
use oauth2::{HttpClientError, HttpRequest, HttpResponse, SyncHttpClient, reqwest};
use serde::Deserialize;
use std::time::Instant;

pub type Failed = Box<dyn std::error::Error>;

#[derive(Deserialize)]
pub struct Asked {
    pub issuer: String,
    pub url: String,
    pub project: String,
    pub service: Credentials,
    pub runner: Credentials,
    pub allowed: String,
    pub denied: String,
    pub revoked: String,
    pub expired: String,
    pub spare: Vec<String>,
}

#[derive(Deserialize)]
pub struct Credentials {
    pub client_id: String,
    pub client_secret: String,
}

impl Asked {
    pub fn read() -> Asked {
        serde_json::from_reader(std::io::stdin()).expect("what is asked comes as JSON on standard input")
    }
}

pub fn check(name: &str, body: impl FnOnce() -> Result<(), Failed>) {
    let began = Instant::now();
    let failed = body().err();
    let (ok, seconds) = (failed.is_none(), began.elapsed().as_secs_f64());
    let detail = failed.map_or_else(String::new, |error| format!("{error:?}"));
    println!("{}", serde_json::json!({ "check": name, "ok": ok, "detail": detail, "seconds": seconds }));
}

pub fn ensure(holds: bool, otherwise: &str) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(otherwise.into()) }
}

/// The library's own client, but for one thing: these crates send a revocation to https alone, so the driver says https
/// and speaks in the clear, on loopback, where the server under test listens.
pub struct Transport(Client);

impl Default for Transport {
    fn default() -> Transport {
        Transport(Client::builder().no_proxy().redirect(Policy::none()).build().expect("a client"))
    }
}

impl SyncHttpClient for Transport {
    type Error = HttpClientError<reqwest::Error>;

    fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, Self::Error> {
        let mut parts = request.uri().clone().into_parts();
        parts.scheme = Some(Scheme::HTTP);
        *request.uri_mut() = parts.try_into().expect("an address with another scheme");
        self.0.call(request)
    }
}
