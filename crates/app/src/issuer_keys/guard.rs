//! Where may be connected to: the public internet, and the networks that a setting allows. It looks at addresses when it
//! connects, so no name that changes its mind between two look-ups leads anywhere else.

use ipnet::IpNet;
use jobpass_domain::public_address::is_public;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use rustls::pki_types::CertificateDer;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;
use thiserror::Error;
use tokio::sync::Semaphore;

/// The most names that are looked up at once.
const MAX_LOOKUPS: usize = 32;

/// How issuers of other CIs are reached.
#[derive(Clone, Debug, Default)]
pub struct IssuerSettings {
    /// Networks that may be connected to although they are not public.
    pub allowed_networks: Vec<IpNet>,
    /// Certificate authorities beside those of the system.
    pub extra_roots: Vec<CertificateDer<'static>>,
}

#[derive(Clone, Debug)]
pub(super) struct Guard {
    allowed: Arc<[IpNet]>,
    /// A look-up that hangs goes on after its fetch was given up: it keeps its place until it ends.
    lookups: Arc<Semaphore>,
}

#[derive(Debug, Error)]
#[error("lies at no public address, and in no network of --allowed-issuer-networks")]
pub(super) struct NotAdmitted;

impl Guard {
    pub(super) fn new(settings: &IssuerSettings) -> Guard {
        Guard { allowed: settings.allowed_networks.clone().into(), lookups: Arc::new(Semaphore::new(MAX_LOOKUPS)) }
    }

    /// An IPv4 address that was dressed up as IPv6 is what it was before.
    pub(super) fn admits(&self, address: IpAddr) -> bool {
        is_public(address) || self.allowed.iter().any(|network| network.contains(&address.to_canonical()))
    }

    /// A host that is an address is never resolved, so it is looked at by itself.
    pub(super) fn admits_host(&self, host: &str) -> bool {
        let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        literal.parse().is_ok_and(|address| self.admits(address)) || literal.parse::<IpAddr>().is_err()
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let place = guard.lookups.clone().try_acquire_owned()?;
            let look_up = move || {
                let found = (name.as_str(), 0).to_socket_addrs();
                drop(place);
                found
            };
            let found = tokio::task::spawn_blocking(look_up).await??;
            let admitted: Vec<_> = found.filter(|address| guard.admits(address.ip())).collect();
            if admitted.is_empty() {
                return Err(NotAdmitted.into());
            }
            Ok(Box::new(admitted.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(networks: &[&str]) -> Guard {
        let allowed_networks = networks.iter().map(|network| network.parse().unwrap()).collect();
        Guard::new(&IssuerSettings { allowed_networks, extra_roots: vec![] })
    }

    #[test]
    fn hosts_that_are_addresses() {
        for (networks, host, expected) in [
            (&[][..], "1.1.1.1", true),
            (&[], "[2606:4700::1111]", true),
            (&[], "127.0.0.1", false),
            (&[], "[::1]", false),
            (&[], "[::ffff:127.0.0.1]", false),
            (&[], "169.254.169.254", false),
            (&["127.0.0.0/8"], "127.0.0.1", true),
            (&["127.0.0.0/8"], "[::ffff:127.0.0.1]", true),
            (&["127.0.0.0/8"], "[::1]", false),
            (&["10.0.0.0/8", "fd00::/8"], "[fd00::1]", true),
            (&["10.0.0.0/8", "fd00::/8"], "192.168.0.1", false),
            (&[], "ci.example", true),
        ] {
            assert_eq!(guard(networks).admits_host(host), expected, "{host} with {networks:?}");
        }
    }

    #[tokio::test]
    async fn only_so_many_names_are_looked_up_at_once() {
        let guard = guard(&["127.0.0.0/8"]);
        let hanging = guard.lookups.try_acquire_many(u32::try_from(MAX_LOOKUPS).unwrap()).unwrap();
        assert!(guard.resolve("localhost".parse().unwrap()).await.is_err());
        drop(hanging);
        assert!(guard.resolve("localhost".parse().unwrap()).await.is_ok());
    }

    #[tokio::test]
    async fn a_name_is_what_it_resolves_to() {
        let resolve = async |networks: &[&str]| guard(networks).resolve("localhost".parse().unwrap()).await;
        assert!(resolve(&[]).await.err().unwrap().downcast_ref::<NotAdmitted>().is_some());
        let admitted: Vec<_> = resolve(&["127.0.0.0/8"]).await.unwrap().map(|address| address.ip()).collect();
        assert!(admitted.iter().all(|address| *address == IpAddr::from([127, 0, 0, 1])), "{admitted:?}");
        assert!(!admitted.is_empty());
    }
}
