//! Trust rules.

use super::Answered;
use crate::etag::{self, IfMatch, Tagged};
use crate::extract::{Body, Id, IdempotencyKey, MaintainerOfProject, NoBody, NoQuery, Page};
use crate::problem::Denied;
use crate::render;
use crate::server::Api;
use axum::Json;
use http::StatusCode;
use jobpass_api::{List, NewTrustRule, Revoked, TrustRule};
use jobpass_domain::ids::TrustRuleId;
use jobpass_domain::trust_rule::{self, Terms};

/// The project's trust rules
#[utoipa::path(get, path = "/v1/projects/{project}/trust-rules", tag = "trust rules",
    responses((status = 200, body = List<TrustRule>)))]
pub(crate) async fn trust_rule_list(
    api: Api,
    by: MaintainerOfProject,
    page: Page,
) -> Result<Json<List<TrustRule>>, Denied> {
    let page = api.app.list_trust_rules(&by.0, &page.0).await?;
    Ok(Json(render::list(page, render::trust_rule)))
}

/// Take the word of another CI: its ID tokens bring job tokens of the project
#[utoipa::path(post, path = "/v1/projects/{project}/trust-rules", tag = "trust rules", request_body = NewTrustRule,
    responses((status = 201, body = TrustRule)))]
pub(crate) async fn trust_rule_create(
    api: Api,
    by: MaintainerOfProject,
    key: IdempotencyKey,
    body: Body<NewTrustRule>,
) -> Answered {
    let once = key.once("trust_rule_create", &body.raw);
    let made = api.app.trust_rule_create(&by.0, terms(body.value), once.as_ref(), |rule| {
        let shown = render::trust_rule(rule);
        etag::rendered(&shown, &shown)
    });
    Ok(etag::created(made.await?))
}

/// Read a trust rule
#[utoipa::path(get, path = "/v1/projects/{project}/trust-rules/{rule}", tag = "trust rules",
    responses((status = 200, body = TrustRule)))]
pub(crate) async fn trust_rule_read(api: Api, by: MaintainerOfProject, id: Id) -> Result<Tagged<TrustRule>, Denied> {
    let rule = api.app.find_trust_rule(&by.0, TrustRuleId(id.0)).await?;
    Ok(Tagged(render::trust_rule(&rule)))
}

/// Write a trust rule anew; If-Match is required
#[utoipa::path(put, path = "/v1/projects/{project}/trust-rules/{rule}", tag = "trust rules", request_body = NewTrustRule,
    responses((status = 200, body = TrustRule)))]
pub(crate) async fn trust_rule_put(
    api: Api,
    by: MaintainerOfProject,
    id: Id,
    still: IfMatch,
    body: Body<NewTrustRule>,
) -> Result<Tagged<TrustRule>, Denied> {
    let still = still.required()?;
    let still = |current: &trust_rule::TrustRule| still.holds(&render::trust_rule(current));
    let rule = api.app.trust_rule_put(&by.0, TrustRuleId(id.0), terms(body.value), still).await?;
    Ok(Tagged(render::trust_rule(&rule)))
}

/// Delete a trust rule; what it minted is dead; If-Match is required
#[utoipa::path(delete, path = "/v1/projects/{project}/trust-rules/{rule}", tag = "trust rules", responses((status = 204)))]
pub(crate) async fn trust_rule_delete(
    api: Api,
    by: MaintainerOfProject,
    id: Id,
    still: IfMatch,
    _: NoQuery,
) -> Result<StatusCode, Denied> {
    let still = still.required()?;
    let still = |current: &trust_rule::TrustRule| still.holds(&render::trust_rule(current));
    api.app.trust_rule_delete(&by.0, TrustRuleId(id.0), still).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Revoke everything minted under the trust rule so far
#[utoipa::path(post, path = "/v1/projects/{project}/trust-rules/{rule}/revoke-tokens", tag = "job tokens",
    responses((status = 200, body = Revoked)))]
pub(crate) async fn trust_rule_revoke_tokens(
    api: Api,
    by: MaintainerOfProject,
    id: Id,
    _nothing: NoBody,
) -> Result<Json<Revoked>, Denied> {
    api.app.trust_rule_revoke_tokens(&by.0, TrustRuleId(id.0)).await?;
    Ok(Json(Revoked { tokens: None }))
}

fn terms(new: NewTrustRule) -> Terms {
    let NewTrustRule {
        name,
        issuer,
        jwks_uri,
        ci,
        claims,
        permissions,
        protected,
        excludes_forks,
        max_lifetime_secs,
        paused,
    } = new;
    Terms { name, issuer, jwks_uri, ci, claims, permissions, protected, excludes_forks, max_lifetime_secs, paused }
}
