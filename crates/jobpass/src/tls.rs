//! TLS on the listener: a certificate and its key from two files, which are followed when they change. A pair that
//! cannot be used never takes the place of one that can.

use axum_server::tls_rustls::RustlsConfig;
use jobpass_app::Clock;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};
use webpki::{EndEntityCert, KeyUsage};
use zeroize::Zeroizing;

/// How often the files are looked at. They are compared as they are: times and links tell less, where a mount or a
/// symbolic link is swapped.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Where the certificate chain and its private key are.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

/// Why a pair of files is no TLS for a server.
#[derive(Debug, Error)]
pub enum Unusable {
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{} holds no certificate in PEM", .0.display())]
    NoCertificate(PathBuf),
    #[error("{} holds no private key in PEM that is not encrypted", .0.display())]
    NoKey(PathBuf),
    #[error("the certificate of {} and the key of {} cannot be used together: {source}", cert.display(), key.display())]
    Together { cert: PathBuf, key: PathBuf, source: rustls::Error },
}

/// The files as they were read. Of the key's no more is kept than tells a change.
struct Read {
    cert: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
    digest: [u8; 32],
}

/// What the listener uses now, and what the files were when they were last looked at: none, where they could not be read.
pub(crate) struct Tls {
    pair: Pair,
    config: RustlsConfig,
    seen: Option<[u8; 32]>,
}

impl Tls {
    pub(crate) fn load(pair: Pair, clock: &Clock) -> Result<Tls, Unusable> {
        let read = pair.read()?;
        let config = pair.config(&read, clock)?;
        Ok(Tls { pair, config: RustlsConfig::from_config(config), seen: Some(read.digest) })
    }

    /// For the listener: what it is given follows the files.
    pub(crate) fn config(&self) -> RustlsConfig {
        self.config.clone()
    }

    /// Looks at the files until the server stops. Connections that are open stay as they are.
    pub(crate) async fn follow(mut self, clock: Clock, mut stopped: watch::Receiver<()>) {
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = looks.tick() => {}
                _ = stopped.changed() => return,
            }
            let pair = self.pair.clone();
            if let Ok(read) = spawn_blocking(move || pair.read()).await {
                self.take(read, &clock);
            }
        }
    }

    /// Files that are away, or half of a pair, are told once; the old pair serves until they are whole.
    fn take(&mut self, read: Result<Read, Unusable>, clock: &Clock) {
        let digest = read.as_ref().map(|read| read.digest).ok();
        if self.seen == digest {
            return;
        }
        self.seen = digest;
        match read.and_then(|read| self.pair.config(&read, clock)) {
            Ok(config) => {
                self.config.reload_from_config(config);
                tracing::info!("the TLS certificate was read anew");
            }
            Err(unusable) => tracing::warn!(%unusable, "the TLS certificate in use stays"),
        }
    }
}

impl Pair {
    fn read(&self) -> Result<Read, Unusable> {
        let (cert, key) = (read(&self.cert)?, Zeroizing::new(read(&self.key)?));
        let digest = Sha256::new().chain_update(Sha256::digest(&cert)).chain_update(&*key).finalize().into();
        Ok(Read { cert, key, digest })
    }

    /// TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1, and no certificates asked of clients.
    fn config(&self, read: &Read, clock: &Clock) -> Result<Arc<ServerConfig>, Unusable> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&read.cert).collect::<Result<_, _>>().unwrap_or_default();
        let first = chain.first().cloned().ok_or_else(|| Unusable::NoCertificate(self.cert.clone()))?;
        let key = PrivateKeyDer::from_pem_slice(&read.key).map_err(|_| Unusable::NoKey(self.key.clone()))?;
        let together = |source| Unusable::Together { cert: self.cert.clone(), key: self.key.clone(), source };
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(together)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(together)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        warn_of_dates(&first, clock.now());
        Ok(Arc::new(config))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Unusable> {
    std::fs::read(path).map_err(|source| Unusable::Unreadable { path: path.to_owned(), source })
}

/// A certificate out of its dates is used all the same: the machine's clock may be what is wrong, and clients refuse
/// by themselves.
fn warn_of_dates(cert: &CertificateDer<'_>, now: OffsetDateTime) {
    let Ok(cert) = EndEntityCert::try_from(cert) else { return };
    let now = UnixTime::since_unix_epoch(Duration::from_secs(now.unix_timestamp().try_into().unwrap_or(0)));
    // Trusting nobody, it comes as far as the dates, which stand before everything else.
    match cert.verify_for_usage(&[], &[], &[], now, KeyUsage::server_auth(), None, None) {
        Err(webpki::Error::CertExpired { not_after, .. }) => {
            tracing::warn!(not_after = %date(not_after), "the TLS certificate has expired");
        }
        Err(webpki::Error::CertNotValidYet { not_before, .. }) => {
            tracing::warn!(not_before = %date(not_before), "the TLS certificate is not valid yet");
        }
        _ => {}
    }
}

fn date(at: UnixTime) -> OffsetDateTime {
    let seconds = i64::try_from(at.as_secs()).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}
