//! Where a request comes from: the address of the connection, unless that is a proxy which the settings trust; then what it
//! says, in the one header that it is known to write. Nobody else's word about addresses is taken.

mod forwarded;

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName};
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// The proxies in front, and the header that they write.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies {
    pub networks: Vec<ProxyNetwork>,
    pub header: AddressHeader,
}

/// Addresses of proxies: a network, or one address.
#[derive(Clone, Copy, Debug)]
pub struct ProxyNetwork(IpNet);

/// Which header says where a request comes from. One alone: a proxy that writes one passes on what a client wrote into the
/// other.
#[derive(Clone, Copy, Debug, Default)]
pub enum AddressHeader {
    #[default]
    XForwardedFor,
    /// RFC 7239
    Forwarded,
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

impl FromStr for ProxyNetwork {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<ProxyNetwork, &'static str> {
        let one = |_| text.parse::<IpAddr>().map(IpNet::from);
        let network =
            text.parse::<IpNet>().or_else(one).map_err(|_| "not a network, as in 10.0.0.0/8, nor an address")?;
        if network.prefix_len() == 0 {
            return Err("this would trust everybody");
        }
        Ok(ProxyNetwork(network))
    }
}

impl TrustedProxies {
    /// The last address on the way that is not one of the proxies: they are believed about whom they heard, and nobody
    /// further away is.
    pub(crate) fn client(&self, connection: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = connection.to_canonical();
        if !self.trust(client) {
            return client;
        }
        for said in self.said(headers).into_iter().rev() {
            // What is no address hides who was there: the proxy that wrote it is the last that is known.
            let Some(address) = said else { break };
            client = address.to_canonical();
            if !self.trust(client) {
                break;
            }
        }
        client
    }

    fn trust(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.0.contains(&address))
    }

    /// The addresses on the way, the client's first; `None` where one is hidden or unreadable.
    fn said(&self, headers: &HeaderMap) -> Vec<Option<IpAddr>> {
        let name = match self.header {
            AddressHeader::XForwardedFor => X_FORWARDED_FOR,
            AddressHeader::Forwarded => FORWARDED,
        };
        // A repeated header is one list (RFC 9110, section 5.3). What is no text is no address either.
        let lines: Vec<_> = headers.get_all(name).iter().map(|value| value.to_str().unwrap_or("?")).collect();
        let list = lines.join(",");
        match self.header {
            AddressHeader::XForwardedFor => list.split(',').map(|item| read(item.trim())).collect(),
            AddressHeader::Forwarded => forwarded::nodes(&list),
        }
    }
}

/// An address as proxies write it: with or without a port, of IPv6 with or without brackets.
fn read(text: &str) -> Option<IpAddr> {
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6);
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    text.parse().ok().or_else(bracketed).or_else(with_port)
}

#[cfg(test)]
mod tests;
