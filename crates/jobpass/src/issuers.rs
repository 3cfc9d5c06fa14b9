//! How issuers of other CIs are reached: settings of their own, read before anything is started.

use crate::Failure;
use clap::Args;
use ipnet::IpNet;
use jobpass_app::IssuerSettings;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

#[derive(Args, Clone, Debug)]
pub struct IssuerArgs {
    /// Networks in which issuers of other CIs may lie although they are not public: networks and addresses, separated by commas
    #[arg(long, env = "JOBPASS_ALLOWED_ISSUER_NETWORKS", value_delimiter = ',', value_name = "NETWORK", value_parser = network)]
    pub allowed_issuer_networks: Vec<IpNet>,

    /// Certificate authorities in PEM that issuers of other CIs may have, beside those of the system
    #[arg(long, env = "JOBPASS_ISSUER_CA_FILE")]
    pub issuer_ca_file: Option<PathBuf>,
}

impl IssuerArgs {
    pub(crate) fn for_app(&self) -> Result<IssuerSettings, Failure> {
        let extra_roots = self.issuer_ca_file.as_deref().map(authorities).transpose()?.unwrap_or_default();
        let settings = IssuerSettings { allowed_networks: self.allowed_issuer_networks.clone(), extra_roots };
        settings.check().map_err(Failure::IssuerCa)?;
        Ok(settings)
    }
}

fn network(text: &str) -> Result<IpNet, &'static str> {
    let one = |_| text.parse::<IpAddr>().map(IpNet::from);
    text.parse::<IpNet>().or_else(one).map_err(|_| "not a network, as in 10.0.0.0/8, nor an address")
}

fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let refused = |what: &dyn std::fmt::Display| Failure::IssuerCa(format!("{}: {what}", path.display()));
    let text = std::fs::read(path).map_err(|error| refused(&error))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(refused(&"holds no certificate in PEM")),
        Err(error) => Err(refused(&error)),
    }
}
