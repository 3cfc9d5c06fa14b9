//! The keys that sign ID tokens: administrators see where each is in its life, and replace them.

use crate::etag::Tagged;
use crate::extract::{Administrator, Body, Id, NoQuery};
use crate::problem::Denied;
use crate::server::Api;
use jobpass_api::{RevokeKey, RotateKeys, SigningKey, SigningKeys};
use jobpass_domain::ids::SigningKeyId;
use jobpass_domain::signing_key::{self, SigningAlgorithm};
use jobpass_domain::text::Label;
use time::OffsetDateTime;

/// The keys, those revoked in the last 30 days among them (administrators)
#[utoipa::path(get, path = "/v1/signing-keys", tag = "signing keys", responses((status = 200, body = SigningKeys)))]
pub(crate) async fn signing_keys_read(api: Api, _by: Administrator, _: NoQuery) -> Result<Tagged<SigningKeys>, Denied> {
    Ok(shown(&api.app.signing_keys().await?, api.app.clock().now()))
}

/// Publish a successor for each key, or for that of one algorithm; it signs two hours later (administrators)
#[utoipa::path(post, path = "/v1/signing-keys/rotate", tag = "signing keys", request_body = RotateKeys,
    responses((status = 200, body = SigningKeys)))]
pub(crate) async fn signing_keys_rotate(
    api: Api,
    by: Administrator,
    body: Body<RotateKeys>,
) -> Result<Tagged<SigningKeys>, Denied> {
    let RotateKeys { algorithm, reason } = body.value;
    let algorithms = algorithm.map_or_else(|| SigningAlgorithm::ALL.to_vec(), |one| vec![one]);
    let keys = api.app.signing_keys_rotate(&by.0, &algorithms, reason.as_ref().map(Label::as_str)).await?;
    Ok(shown(&keys, api.app.clock().now()))
}

/// Take a leaked key out of the key set at once: what it signed is worthless, and another signs (administrators)
#[utoipa::path(post, path = "/v1/signing-keys/{key}/revoke", tag = "signing keys", request_body = RevokeKey,
    responses((status = 200, body = SigningKeys)))]
pub(crate) async fn signing_key_revoke(
    api: Api,
    by: Administrator,
    id: Id,
    body: Body<RevokeKey>,
) -> Result<Tagged<SigningKeys>, Denied> {
    let reason = body.value.reason;
    let keys = api.app.signing_key_revoke(&by.0, SigningKeyId(id.0), reason.as_ref().map(Label::as_str)).await?;
    Ok(shown(&keys, api.app.clock().now()))
}

fn shown(keys: &[signing_key::SigningKey], now: OffsetDateTime) -> Tagged<SigningKeys> {
    let show = |key: &signing_key::SigningKey| SigningKey {
        id: key.id.0,
        kid: key.kid.clone(),
        algorithm: key.algorithm,
        phase: key.phase(now),
        published_at: key.published_at,
        signs_from: key.signs_from,
        signs_until: key.signs_until,
        revoked_at: key.revoked_at,
    };
    Tagged(SigningKeys { items: keys.iter().map(show).collect() })
}
