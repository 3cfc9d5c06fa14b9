//! Certificates made for one test, the files that they lie in, and the client's side of a handshake.

use jobpass::Settings;
use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A certificate for 127.0.0.1 that vouches for itself, and its key.
pub(crate) struct Certificate {
    pub(crate) der: CertificateDer<'static>,
    pub(crate) cert: String,
    pub(crate) key: String,
}

impl Certificate {
    pub(crate) fn new() -> Certificate {
        Certificate::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut CertificateParams)) -> Certificate {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        change(&mut params);
        let cert = params.self_signed(&key).unwrap();
        Certificate { der: cert.der().clone(), cert: cert.pem(), key: key.serialize_pem() }
    }

    /// A client that trusts this one, and nothing else.
    pub(crate) fn client(&self) -> reqwest::Client {
        let trusted = reqwest::Certificate::from_der(&self.der).unwrap();
        reqwest::Client::builder().no_proxy().tls_certs_only([trusted]).build().unwrap()
    }
}

/// The two files of a server.
pub(crate) struct Files {
    _folder: TempDir,
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

impl Files {
    pub(crate) fn with(certificate: &Certificate) -> Files {
        let folder = tempfile::tempdir().unwrap();
        let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        std::fs::write(&cert, &certificate.cert).unwrap();
        std::fs::write(&key, &certificate.key).unwrap();
        Files { _folder: folder, cert, key }
    }

    pub(crate) fn set(&self, settings: &mut Settings) {
        settings.tls.tls_cert_file = Some(self.cert.clone());
        settings.tls.tls_key_file = Some(self.key.clone());
    }
}

/// A handshake with whoever listens there: whose certificate it is, is for the test to look at.
pub(crate) async fn connect(
    addr: SocketAddr,
    trusted: &[&Certificate],
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    for certificate in trusted {
        roots.add(certificate.der.clone()).unwrap();
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    let tcp = TcpStream::connect(addr).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::IpAddress(addr.ip().into()), tcp).await
}
