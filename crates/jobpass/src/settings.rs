//! Every setting, as a flag or a `JOBPASS_…` variable, each with a default that works.

use crate::Failure;
use crate::issuers::IssuerArgs;
use crate::tls::Pair;
use clap::{Args, ValueEnum};
use jobpass_app::{CacheSettings, EncryptionKey, IssuerSettings, Limits};
use jobpass_domain::Secret;
use jobpass_domain::audit::AUDIT_RETENTION_DAYS;
use jobpass_domain::ceiling::MAX_CEILINGS;
use jobpass_domain::grant::{MAX_GRANTS, MAX_LIST};
use jobpass_domain::job::MAX_TIMEOUT;
use jobpass_domain::pipeline::{MIN_RUN_RETENTION_DAYS, RUN_RETENTION_DAYS};
use jobpass_domain::signing_key::KEY_ROTATION_DAYS;
use jobpass_domain::usage::USAGE_RETENTION_DAYS;
use jobpass_http::{AddressHeader, ProxyNetwork, TrustedProxies};
use jobpass_persistence::embedded;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use time::Duration;

#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, env = "JOBPASS_LISTEN", default_value = "127.0.0.1:8787")]
    pub listen: SocketAddr,

    #[command(flatten)]
    pub tls: TlsSettings,

    /// A proxy in front of the listener terminates TLS: allows plain HTTP on an address that is not loopback
    #[arg(long, env = "JOBPASS_BEHIND_TLS_PROXY")]
    pub behind_tls_proxy: bool,

    #[command(flatten)]
    pub proxies: ProxySettings,

    /// The issuer, as clients reach it [default: https://, or http:// without TLS, and the bound address]
    #[arg(long, env = "JOBPASS_ISSUER")]
    pub issuer: Option<String>,

    #[command(flatten)]
    pub database: DatabaseSettings,

    #[command(flatten)]
    pub keys: KeySettings,

    /// The longest timeout of a job, in seconds, up to 604800
    #[arg(long, env = "JOBPASS_MAX_JOB_TIMEOUT_SECS", default_value_t = 86400)]
    pub max_job_timeout_secs: u32,

    /// For how many days usage is kept, from 1 to 3650
    #[arg(long, env = "JOBPASS_USAGE_RETENTION_DAYS", default_value_t = USAGE_RETENTION_DAYS, value_parser = clap::value_parser!(u16).range(1..=3650))]
    pub usage_retention_days: u16,

    /// For how many days audit events are kept, from 1 to 3650; a month goes as a whole
    #[arg(long, env = "JOBPASS_AUDIT_RETENTION_DAYS", default_value_t = AUDIT_RETENTION_DAYS, value_parser = clap::value_parser!(u16).range(1..=3650))]
    pub audit_retention_days: u16,

    /// For how many days a pipeline run is kept after its last job, from 8 to 3650; a retry after that is a new run
    #[arg(long, env = "JOBPASS_RUN_RETENTION_DAYS", default_value_t = RUN_RETENTION_DAYS, value_parser = clap::value_parser!(u16).range(i64::from(MIN_RUN_RETENTION_DAYS)..=3650))]
    pub run_retention_days: u16,

    /// How long after a change on another replica its old answer may still be given, in milliseconds, up to 60000; 0: nothing is
    /// kept in memory
    #[arg(long, env = "JOBPASS_CACHE_STALENESS_MS", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(0..=60_000))]
    pub cache_staleness_ms: u32,

    /// How much memory answers may take that are kept, in MiB, from 1 to 65536
    #[arg(long, env = "JOBPASS_CACHE_MIB", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub cache_mib: u32,

    /// The most grants on one project or group
    #[arg(long, env = "JOBPASS_MAX_GRANTS", default_value_t = MAX_GRANTS)]
    pub max_grants: usize,

    /// The most ceilings on the instance, or on one project or group
    #[arg(long, env = "JOBPASS_MAX_CEILINGS", default_value_t = MAX_CEILINGS)]
    pub max_ceilings: usize,

    /// The most patterns in one condition, selector or protection, and entries in one `except`
    #[arg(long, env = "JOBPASS_MAX_PATTERNS", default_value_t = MAX_LIST)]
    pub max_patterns: usize,

    #[command(flatten)]
    pub issuers: IssuerArgs,

    /// How log lines are written
    #[arg(long, env = "JOBPASS_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,

    /// What is logged, as in `info` or `jobpass_http=debug`
    #[arg(long, env = "JOBPASS_LOG", default_value = "info")]
    pub log: String,
}

/// TLS on the listener; both files or neither.
#[derive(Args, Clone, Debug)]
pub struct TlsSettings {
    /// The certificate chain in PEM, the server's own first; with the key, the listener speaks TLS
    #[arg(long, env = "JOBPASS_TLS_CERT_FILE")]
    pub tls_cert_file: Option<PathBuf>,

    /// The certificate's private key in PEM; both files are followed when they change
    #[arg(long, env = "JOBPASS_TLS_KEY_FILE")]
    pub tls_key_file: Option<PathBuf>,
}

/// Whose word about the client's address is taken.
#[derive(Args, Clone, Debug)]
pub struct ProxySettings {
    /// Proxies whose word about a client's address is taken: networks and addresses, separated by commas
    #[arg(long, env = "JOBPASS_TRUSTED_PROXIES", value_delimiter = ',', value_name = "NETWORK")]
    pub trusted_proxies: Vec<ProxyNetwork>,

    /// The header in which these proxies say it
    #[arg(long, env = "JOBPASS_CLIENT_ADDRESS_HEADER", value_enum, default_value_t = ClientAddressHeader::XForwardedFor)]
    pub client_address_header: ClientAddressHeader,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ClientAddressHeader {
    XForwardedFor,
    /// RFC 7239
    Forwarded,
}

/// Which database; shared by every command that needs one.
#[derive(Args, Clone, Debug)]
pub struct DatabaseSettings {
    /// A PostgreSQL server (15 or newer) to use [default: a private one under the data folder]
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,

    /// Folder of the private PostgreSQL [default: /var/lib/jobpass as root, else under the user's data folder]
    #[arg(long, env = "JOBPASS_DATA_DIR")]
    pub data_dir: Option<PathBuf>,

    /// The most connections to the database
    #[arg(long, env = "JOBPASS_DB_CONNECTIONS", default_value_t = 16, value_parser = clap::value_parser!(u32).range(2..=1000))]
    pub db_connections: u32,
}

/// The key that private keys in the database are sealed under, and how often those change.
#[derive(Args, Clone, Debug)]
pub struct KeySettings {
    /// The encryption key itself, 32 bytes in base64 or as hexadecimal digits; --key-file shows it to fewer
    #[arg(long, env = "JOBPASS_KEY", hide_env_values = true, conflicts_with = "key_file", value_parser = secret)]
    pub key: Option<Arc<Secret>>,

    /// A file with the encryption key [default: encryption.key in the data folder, made at the first start]
    #[arg(long, env = "JOBPASS_KEY_FILE")]
    pub key_file: Option<PathBuf>,

    /// For how many days a key signs ID tokens before its successor does, from 1 to 365
    #[arg(long, env = "JOBPASS_KEY_ROTATION_DAYS", default_value_t = KEY_ROTATION_DAYS, value_parser = clap::value_parser!(u16).range(1..=365))]
    pub key_rotation_days: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

impl DatabaseSettings {
    pub(crate) fn data_dir(&self) -> Result<PathBuf, Failure> {
        self.data_dir.clone().map_or_else(|| Ok(embedded::default_data_dir()?), Ok)
    }
}

impl ProxySettings {
    pub(crate) fn for_http(&self) -> TrustedProxies {
        let header = match self.client_address_header {
            ClientAddressHeader::XForwardedFor => AddressHeader::XForwardedFor,
            ClientAddressHeader::Forwarded => AddressHeader::Forwarded,
        };
        TrustedProxies { networks: self.trusted_proxies.clone(), header }
    }
}

impl TlsSettings {
    /// The two files, where the listener is to speak TLS.
    pub(crate) fn pair(&self) -> Result<Option<Pair>, Failure> {
        match (&self.tls_cert_file, &self.tls_key_file) {
            (Some(cert), Some(key)) => Ok(Some(Pair { cert: cert.clone(), key: key.clone() })),
            (None, None) => Ok(None),
            _ => Err(Failure::HalfAPair),
        }
    }
}

impl Settings {
    /// What can be said before anything is started.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let encrypted = self.tls.pair()?.is_some() || self.behind_tls_proxy;
        if !self.listen.ip().is_loopback() && !encrypted {
            return Err(Failure::PlainHttp(self.listen));
        }
        if self.issuer.as_deref().is_some_and(|issuer| !is_issuer(issuer)) {
            return Err(Failure::Issuer);
        }
        if self.max_job_timeout_secs == 0 || self.max_job_timeout() > MAX_TIMEOUT {
            return Err(Failure::MaxJobTimeout);
        }
        Ok(())
    }

    /// What the use cases need of them.
    pub(crate) fn for_app(&self, encryption_key: EncryptionKey, issuers: IssuerSettings) -> jobpass_app::Settings {
        let limits = Limits { grants: self.max_grants, ceilings: self.max_ceilings, patterns: self.max_patterns };
        jobpass_app::Settings {
            max_job_timeout: self.max_job_timeout(),
            usage_retention_days: self.usage_retention_days,
            audit_retention_days: self.audit_retention_days,
            run_retention_days: self.run_retention_days,
            limits,
            cache: self.cache(),
            encryption_key: Some(encryption_key),
            key_rotation: Duration::days(self.keys.key_rotation_days.into()),
            issuers,
        }
    }

    fn cache(&self) -> CacheSettings {
        CacheSettings {
            bytes: u64::from(self.cache_mib) << 20,
            staleness_bound: std::time::Duration::from_millis(self.cache_staleness_ms.into()),
        }
    }

    fn max_job_timeout(&self) -> Duration {
        Duration::seconds(self.max_job_timeout_secs.into())
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the shape that clap wants")]
fn secret(text: &str) -> Result<Arc<Secret>, std::convert::Infallible> {
    Ok(Arc::new(Secret::new(text.to_owned())))
}

/// RFC 8414, section 2; http is for trying out.
fn is_issuer(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or(text.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        !rest.is_empty() && !rest.starts_with('/') && !rest.ends_with('/') && !rest.contains(['?', '#', ' '])
    })
}
