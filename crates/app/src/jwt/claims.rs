//! What is asked of every assertion (RFC 7519, section 4.1; RFC 7523, section 3), whatever else it says.

use super::BadJwt;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use time::{Duration, OffsetDateTime};

/// By how much the clocks of others may differ from ours.
const LEEWAY: Duration = Duration::seconds(60);

/// Claims whose signature holds.
#[derive(Debug)]
pub(crate) struct Claims(pub(super) Map<String, Value>);

/// What is expected of them.
pub(crate) struct Expected<'e> {
    pub(crate) issuer: &'e str,
    pub(crate) audience: &'e str,
    /// Whether the audience must stand alone (draft-ietf-oauth-rfc7523bis).
    pub(crate) alone: bool,
    /// The longest life, from `iat` (or now, where there is none) to `exp`.
    pub(crate) max_life: Duration,
}

impl Claims {
    /// Refuses what is of another, for another, too old, too new or too long-lived. Times are whole seconds; a `jti` is required,
    /// as each is taken once.
    pub(crate) fn check(&self, expected: &Expected<'_>, now: OffsetDateTime) -> Result<(), BadJwt> {
        self.check_but_jti(expected, now)?;
        self.text("jti").filter(|jti| !jti.is_empty()).map(drop).ok_or(BadJwt::Missing("jti"))
    }

    /// The same, of issuers that may not name their texts.
    pub(super) fn check_but_jti(&self, expected: &Expected<'_>, now: OffsetDateTime) -> Result<(), BadJwt> {
        if self.text("iss").ok_or(BadJwt::Missing("iss"))? != expected.issuer {
            return Err(BadJwt::Issuer);
        }
        self.check_audience(expected)?;
        self.text("sub").ok_or(BadJwt::Missing("sub"))?;
        let expires_at = self.expires_at()?;
        if expires_at + LEEWAY <= now {
            return Err(BadJwt::Expired);
        }
        let issued_at = self.time("iat")?;
        for time in [issued_at, self.time("nbf")?].into_iter().flatten() {
            if time - LEEWAY > now {
                return Err(BadJwt::NotYet);
            }
        }
        if expires_at - issued_at.unwrap_or(now) > expected.max_life {
            return Err(BadJwt::TooLongLived);
        }
        Ok(())
    }

    fn check_audience(&self, expected: &Expected<'_>) -> Result<(), BadJwt> {
        let list = match self.0.get("aud") {
            Some(Value::String(one)) => vec![one.as_str()],
            Some(Value::Array(many)) => {
                many.iter().map(Value::as_str).collect::<Option<_>>().ok_or(BadJwt::Audience)?
            }
            _ => return Err(BadJwt::Missing("aud")),
        };
        let named = list.contains(&expected.audience) && (!expected.alone || list.len() == 1);
        if named { Ok(()) } else { Err(BadJwt::Audience) }
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    /// All of them, for the rules about what else they say.
    pub(crate) fn all(&self) -> &Map<String, Value> {
        &self.0
    }

    pub(crate) fn expires_at(&self) -> Result<OffsetDateTime, BadJwt> {
        self.time("exp")?.ok_or(BadJwt::Missing("exp"))
    }

    /// From when on it is refused as expired, leeway included: until then it must be known that it was used.
    pub(crate) fn dead_at(&self) -> Result<OffsetDateTime, BadJwt> {
        Ok(self.expires_at()? + LEEWAY)
    }

    /// By what one that was used is known again: SHA-256 of issuer and `jti`.
    pub(crate) fn fingerprint(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for part in [self.text("iss"), self.text("jti")].map(Option::unwrap_or_default) {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }

    /// RFC 7519, section 2, `NumericDate`: seconds, which may have a fraction.
    fn time(&self, name: &'static str) -> Result<Option<OffsetDateTime>, BadJwt> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        let seconds = value.as_i64().or_else(|| value.as_f64().and_then(whole)).ok_or(BadJwt::Missing(name))?;
        // Of what lies at the end of time no leeway can be given.
        let time = OffsetDateTime::from_unix_timestamp(seconds).ok();
        let time = time.filter(|time| time.checked_add(LEEWAY).is_some() && time.checked_sub(LEEWAY).is_some());
        time.map(Some).ok_or(BadJwt::Missing(name))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the range is looked at first")]
fn whole(seconds: f64) -> Option<i64> {
    (0.0..253_402_300_800.0).contains(&seconds).then_some(seconds as i64)
}
