//! The life of a key that signs ID tokens: published before it signs, so that whoever keeps a copy of the key set has it by
//! then, and published after it signed, until the last token that it signed is over. For each algorithm one key signs at a time.

use crate::ids::SigningKeyId;
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

/// How long a key is published before it signs.
pub const LEAD: Duration = Duration::hours(2);
/// The longest life of what a key signs.
pub const LONGEST_TOKEN: Duration = Duration::minutes(10);
/// How far the clock of whoever verifies may be behind.
pub const SKEW: Duration = Duration::minutes(5);

/// How long a key signs, when nobody says otherwise.
pub const KEY_ROTATION_DAYS: u16 = 30;

/// RFC 7518, section 3.1, and RFC 8037, section 3.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum SigningAlgorithm {
    #[serde(rename = "RS256")]
    Rs256,
    #[serde(rename = "ES256")]
    Es256,
    #[serde(rename = "EdDSA")]
    EdDsa,
}

impl SigningAlgorithm {
    /// What OpenID Connect takes for granted comes first.
    pub const ALL: [SigningAlgorithm; 3] = [SigningAlgorithm::Rs256, SigningAlgorithm::Es256, SigningAlgorithm::EdDsa];

    /// As in the `alg` of a token.
    pub const fn name(self) -> &'static str {
        match self {
            SigningAlgorithm::Rs256 => "RS256",
            SigningAlgorithm::Es256 => "ES256",
            SigningAlgorithm::EdDsa => "EdDSA",
        }
    }

    pub fn named(name: &str) -> Option<SigningAlgorithm> {
        SigningAlgorithm::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKey {
    pub id: SigningKeyId,
    /// The public key's thumbprint (RFC 7638).
    pub kid: String,
    pub algorithm: SigningAlgorithm,
    pub published_at: OffsetDateTime,
    pub signs_from: OffsetDateTime,
    /// `None`: it has no successor yet.
    pub signs_until: Option<OffsetDateTime>,
    pub revoked_at: Option<OffsetDateTime>,
}

/// Where in its life a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Known to whoever verifies, and not used yet.
    Published,
    Signing,
    /// Signs no more; what it signed is good until its own end.
    Retiring,
    /// Nothing that it signed is left.
    Retired,
    Revoked,
}

impl SigningKey {
    pub fn phase(&self, now: OffsetDateTime) -> Phase {
        match self.signs_until {
            _ if self.revoked_at.is_some() => Phase::Revoked,
            _ if now < self.signs_from => Phase::Published,
            Some(until) if until + LONGEST_TOKEN + SKEW <= now => Phase::Retired,
            Some(until) if until <= now => Phase::Retiring,
            _ => Phase::Signing,
        }
    }

    /// Whether the key set holds it.
    pub fn is_published(&self, now: OffsetDateTime) -> bool {
        matches!(self.phase(now), Phase::Published | Phase::Signing | Phase::Retiring)
    }
}

/// What a new key, or a revocation, does to the keys of its algorithm that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Succession {
    /// Nothing: one that will sign is published already.
    Waiting,
    /// A new key is to sign from this moment on, and the one that signs now only until then.
    New { signs_from: OffsetDateTime, ends: Option<SigningKeyId> },
    /// One that is published already signs at once.
    Hurried(SigningKeyId),
    /// The one that signs now goes on, with no successor.
    Stays(SigningKeyId),
}

fn in_phase<'a>(
    keys: impl IntoIterator<Item = &'a SigningKey>,
    algorithm: SigningAlgorithm,
    phase: Phase,
    now: OffsetDateTime,
) -> Option<&'a SigningKey> {
    keys.into_iter().find(|key| key.algorithm == algorithm && key.phase(now) == phase)
}

/// The key that signs now.
pub fn signer<'a>(
    keys: impl IntoIterator<Item = &'a SigningKey>,
    algorithm: SigningAlgorithm,
    now: OffsetDateTime,
) -> Option<&'a SigningKey> {
    in_phase(keys, algorithm, Phase::Signing, now)
}

/// The algorithms whose key has signed for this long, or will have by when a successor could, and those that have none.
pub fn due(keys: &[SigningKey], period: Duration, now: OffsetDateTime) -> Vec<SigningAlgorithm> {
    let is_due = |algorithm: &SigningAlgorithm| {
        in_phase(keys, *algorithm, Phase::Published, now).is_none()
            && signer(keys, *algorithm, now).is_none_or(|key| key.signs_from + period <= now + LEAD)
    };
    SigningAlgorithm::ALL.into_iter().filter(is_due).collect()
}

/// Rotation: a new key signs once everybody can know it. The first of its algorithm signs at once: nobody can have kept a
/// copy of a key set without it.
pub fn rotate(keys: &[SigningKey], algorithm: SigningAlgorithm, now: OffsetDateTime) -> Succession {
    if in_phase(keys, algorithm, Phase::Published, now).is_some() {
        return Succession::Waiting;
    }
    match signer(keys, algorithm, now) {
        Some(key) => Succession::New { signs_from: now + LEAD, ends: Some(key.id) },
        None => Succession::New { signs_from: now, ends: None },
    }
}

/// Revocation: what the key signed is worthless from here on, and if it signs or was to sign, another takes its place.
/// `None`: the key is not published, and nothing is left to revoke.
pub fn revoke(keys: &[SigningKey], key: &SigningKey, now: OffsetDateTime) -> Option<Succession> {
    let algorithm = key.algorithm;
    let others = || keys.iter().filter(|other| other.id != key.id);
    match key.phase(now) {
        Phase::Published => Some(match signer(others(), algorithm, now) {
            Some(signing) => Succession::Stays(signing.id),
            None => Succession::New { signs_from: now, ends: None },
        }),
        Phase::Signing => Some(match in_phase(others(), algorithm, Phase::Published, now) {
            Some(next) => Succession::Hurried(next.id),
            None => Succession::New { signs_from: now, ends: None },
        }),
        Phase::Retiring => Some(Succession::Waiting),
        Phase::Retired | Phase::Revoked => None,
    }
}

#[cfg(test)]
mod tests;
