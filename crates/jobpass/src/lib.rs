//! The server as a library: tests run the whole of it in their own process.

mod as_code;
mod cli;
mod database;
mod encryption_key;
mod import_gitlab;
mod issuers;
mod keys;
mod one_line;
mod serve;
mod settings;
mod telemetry;
mod tls;

pub use cli::run;
pub use jobpass_app::Clock;
pub use jobpass_domain::Secret;
pub use serve::{Running, start};
pub use settings::{ClientAddressHeader, LogFormat, Settings};
pub use tls::Unusable;

use jobpass_persistence::embedded::EmbeddedError;
use std::net::SocketAddr;
use std::path::PathBuf;
use thiserror::Error;

/// Why the server, or one of its commands, cannot do what it was asked: in words for whoever typed it.
#[derive(Debug, Error)]
pub enum Failure {
    #[error("cannot listen on {address}: {source}; is another server there? choose one with --listen")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error(
        "{0} is not a loopback address, and this listener speaks plain HTTP: give it a certificate with --tls-cert-file and \
         --tls-key-file, or put a proxy that terminates TLS in front of it and say so with --behind-tls-proxy, or listen on \
         127.0.0.1"
    )]
    PlainHttp(SocketAddr),
    #[error("--tls-cert-file and --tls-key-file go together: a certificate is of no use without its key")]
    HalfAPair,
    #[error("TLS: {0}")]
    Tls(#[from] Unusable),
    #[error(transparent)]
    Embedded(#[from] EmbeddedError),
    #[error("DATABASE_URL is not a PostgreSQL URL: {0}")]
    DatabaseUrl(String),
    #[error("PostgreSQL {found} is too old: Jobpass needs 15 or newer")]
    TooOld { found: String },
    #[error("the database cannot be used: {0}")]
    Database(String),
    #[error("--issuer must be an http(s) URL without query, fragment or trailing slash")]
    Issuer,
    #[error("--issuer-ca-file: {0}")]
    IssuerCa(String),
    #[error("--max-job-timeout-secs is from 1 to 604800 (7 days)")]
    MaxJobTimeout,
    #[error(transparent)]
    Import(#[from] import_gitlab::Failure),
    #[error(transparent)]
    AsCode(#[from] as_code::Failure),
    #[error("--key is 32 bytes in base64, or as 64 hexadecimal digits")]
    Key,
    #[error("{}: no encryption key: that is 32 bytes in base64, or as 64 hexadecimal digits", .0.display())]
    KeyFile(PathBuf),
    #[error("cannot read the encryption key in {}: {source}", path.display())]
    KeyUnreadable { path: PathBuf, source: std::io::Error },
    #[error("cannot make the encryption key {}: {source}; give one by --key-file or --key", path.display())]
    KeyNotMade { path: PathBuf, source: std::io::Error },
    #[error(
        "the database holds signing keys, and the encryption key that they were sealed under is not in {}: put it there, or \
         give it by --key-file or --key", .0.display()
    )]
    KeyMissing(PathBuf),
    #[error("{0}")]
    File(String),
    /// What is wrong with a file, a line each.
    #[error("{0}")]
    Faults(String),
    #[error("{0}")]
    Io(#[from] std::io::Error),
}
