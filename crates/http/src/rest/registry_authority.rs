//! The authority that container registries trust: replaced by an administrator once its key has leaked.

use crate::etag::Tagged;
use crate::extract::{Administrator, Body};
use crate::problem::Denied;
use crate::server::Api;
use jobpass_api::{RegistryAuthority, ReplaceAuthority};
use jobpass_domain::text::Label;

/// Put another authority in place of a leaked one at once; every registry has to be given its certificate (administrators)
#[utoipa::path(post, path = "/v1/registry-authority/replace", tag = "signing keys", request_body = ReplaceAuthority,
    responses((status = 200, body = RegistryAuthority)))]
pub(crate) async fn registry_authority_replace(
    api: Api,
    by: Administrator,
    body: Body<ReplaceAuthority>,
) -> Result<Tagged<RegistryAuthority>, Denied> {
    let reason = body.value.reason;
    let certificate = api.app.registry_authority_replace(&by.0, reason.as_ref().map(Label::as_str)).await?;
    Ok(Tagged(RegistryAuthority { certificate }))
}
