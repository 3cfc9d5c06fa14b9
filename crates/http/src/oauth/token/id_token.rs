//! Token exchange (RFC 8693): a job token in, an ID token for an audience outside of Jobpass out.

use super::exchange::{no_cache, subject_refused};
use crate::extract::request_id;
use crate::oauth::OAuthDenied;
use crate::oauth::form::Form;
use crate::server::Server;
use axum::response::Response;
use http::request::Parts;
use jobpass_api::{SecretText, TokenResponse};
use jobpass_app::IdTokenRequest;
use jobpass_domain::signing_key::SigningAlgorithm;
use jobpass_domain::text::{AudienceUri, Label};

pub(super) const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";

pub(super) async fn answer(
    server: &Server,
    parts: &Parts,
    form: &Form,
    subject: &str,
) -> Result<Response, OAuthDenied> {
    if form.get("scope").is_some() || form.get("authorization_details").is_some() {
        return Err(OAuthDenied::new("invalid_scope", "an ID token says who a job is, and has no permissions"));
    }
    let request = IdTokenRequest { audience: audience(form)?, algorithm: algorithm(form)? };
    let holder = server.app.holder(subject, request_id(parts)).await.map_err(subject_refused)?;
    let issued = server.app.id_token(&holder, &server.config.issuer, &request).await.map_err(subject_refused)?;
    Ok(no_cache(&TokenResponse {
        access_token: SecretText::new(issued.jwt.expose()),
        issued_token_type: Some(ID_TOKEN.to_owned()),
        // RFC 8693, section 2.2.1: what is issued is no access token.
        token_type: "N_A".to_owned(),
        expires_in: (issued.expires_at - server.app.clock().now()).whole_seconds(),
        scope: None,
        authorization_details: None,
    }))
}

/// A name as its reader expects it, which need not be a URI (RFC 8693, section 2.1); a `resource` is one (RFC 8707, section 2).
fn audience(form: &Form) -> Result<Vec<String>, OAuthDenied> {
    let invalid = |what| OAuthDenied::new("invalid_target", what);
    if ["audience", "resource"].into_iter().any(|name| form.all(name).count() > 1) {
        return Err(invalid("an ID token is for one reader"));
    }
    let named = form.get("audience").map(|name| Label::parse(name.to_owned()).map(String::from)).transpose();
    let resource =
        form.get("resource").map(|uri| AudienceUri::parse(uri).map(|uri| uri.as_str().to_owned())).transpose();
    let named = named.map_err(|_| invalid("an audience has 1 to 255 bytes, and no control characters"))?;
    let resource = resource.map_err(|_| invalid("a resource is an absolute URI without fragment"))?;
    let mut audience: Vec<_> = named.into_iter().chain(resource).collect();
    audience.dedup();
    if audience.is_empty() {
        return Err(OAuthDenied::invalid_request("audience is missing: an ID token names whom it is for"));
    }
    Ok(audience)
}

/// RS256, which every reader knows, unless the caller says otherwise.
fn algorithm(form: &Form) -> Result<SigningAlgorithm, OAuthDenied> {
    let Some(name) = form.get("id_token_signed_response_alg") else { return Ok(SigningAlgorithm::Rs256) };
    SigningAlgorithm::named(name)
        .ok_or_else(|| OAuthDenied::invalid_request("id_token_signed_response_alg is RS256, ES256 or EdDSA"))
}
