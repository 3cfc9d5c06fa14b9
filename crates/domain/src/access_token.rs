//! Short-lived tokens of runners (RFC 6749, section 4.4): what a runner gets for proving itself, to mint with in place of a secret.

use crate::client_key::ClientKey;
use crate::ids::{AccessTokenId, RunnerId, SecretId};
use time::{Duration, OffsetDateTime};

/// How long one lives, at most.
pub const ACCESS_TOKEN_LIFE: Duration = Duration::minutes(10);
/// The most live ones of one runner: a fleet may share a registration.
pub const MAX_ACCESS_TOKENS: i64 = 1000;

/// What a runner proved itself by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunnerProof {
    Secret {
        id: SecretId,
        expires_at: Option<OffsetDateTime>,
    },
    /// One of its keys, as it was registered then.
    Key(ClientKey),
    /// A token that it got for one of the others: good for everything but another such token.
    AccessToken(AccessTokenId),
}

/// One of them, without its text. It dies with what it was got with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessToken {
    pub id: AccessTokenId,
    pub runner: RunnerId,
    pub proof: RunnerProof,
    pub expires_at: OffsetDateTime,
    pub created_at: OffsetDateTime,
}

/// Until when a token lives that is got now: never longer than the secret that it is got with.
pub fn end(proof: &RunnerProof, now: OffsetDateTime) -> OffsetDateTime {
    let end = now + ACCESS_TOKEN_LIFE;
    match proof {
        RunnerProof::Secret { expires_at: Some(at), .. } => end.min(*at),
        _ => end,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;
    use uuid::Uuid;

    #[test]
    fn it_never_outlives_its_secret() {
        let now = datetime!(2026-11-23 10:00 UTC);
        let by = |expires_at| end(&RunnerProof::Secret { id: SecretId(Uuid::nil()), expires_at }, now);
        assert_eq!(by(None), now + Duration::minutes(10));
        assert_eq!(by(Some(now + Duration::minutes(11))), now + Duration::minutes(10));
        assert_eq!(by(Some(now + Duration::SECOND)), now + Duration::SECOND);
    }
}
