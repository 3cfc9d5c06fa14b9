//! Whoever calls is told by a header that is made once, marked sensitive, and never shown.

use crate::{Misconfigured, Secret};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use jobpass_domain::token::{self, Kind};

/// A secret that has the shape of its kind. A pasted half or a token of another kind is noticed here, not
/// by a refusal hours later.
pub(crate) struct Credential(Secret);

impl Credential {
    pub(crate) fn new(kind: Kind, secret: Secret) -> Result<Credential, Misconfigured> {
        match token::parse(secret.expose()) {
            Some(parsed) if parsed.kind == kind => Ok(Credential(secret)),
            _ => Err(Misconfigured::Credential { prefix: kind.prefix() }),
        }
    }

    pub(crate) fn bearer(&self) -> Result<HeaderValue, Misconfigured> {
        sensitive(&format!("Bearer {}", self.0.expose())).ok_or(Misconfigured::ClientId)
    }

    /// Ids and secrets need no form-encoding (RFC 6749, section 2.3.1): their letters encode to themselves.
    pub(crate) fn basic(&self, client_id: &str) -> Result<HeaderValue, Misconfigured> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if client_id.is_empty() || !client_id.chars().all(plain) {
            return Err(Misconfigured::ClientId);
        }
        let pair = STANDARD.encode(format!("{client_id}:{}", self.0.expose()));
        sensitive(&format!("Basic {pair}")).ok_or(Misconfigured::ClientId)
    }
}

fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(kind: Kind) -> Secret {
        token::generate(kind, [7; token::RANDOM])
    }

    #[test]
    fn the_kind_must_fit() {
        assert!(Credential::new(Kind::Runner, secret(Kind::Runner)).is_ok());
        assert!(Credential::new(Kind::Runner, secret(Kind::Service)).is_err());
        let newline = Secret::new(format!("{}\n", secret(Kind::Runner).expose()));
        assert!(Credential::new(Kind::Runner, newline).is_err());
    }

    #[test]
    fn headers_are_not_shown() {
        let credential = Credential::new(Kind::Service, secret(Kind::Service)).unwrap();
        let header = credential.basic("abc").unwrap();
        assert_eq!(format!("{header:?}"), "Sensitive");
        assert!(credential.basic("a:b").is_err());
        assert!(credential.basic("").is_err());
    }
}
