//! An ID token of another CI in, a job token out: as the subject token of an exchange (RFC 8693), or as the assertion of a grant
//! (RFC 7523, section 2.1). The token is the credential; `project` or `client_id` says which trust rules are meant.

use super::Client;
use super::exchange::{audience, response};
use crate::extract::request_id;
use crate::limit::prove;
use crate::oauth::OAuthDenied;
use crate::oauth::form::Form;
use crate::problem;
use crate::server::Server;
use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::PRAGMA;
use http::request::Parts;
use jobpass_app::{IdTokenExchange, Minted, Refusal, Rendered, TrustedBy};
use jobpass_domain::ids::TrustRuleId;
use jobpass_domain::text::Label;
use uuid::Uuid;

pub(super) const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// What the subject token of an exchange may be called (RFC 8693, section 3).
pub(super) const TOKEN_TYPES: [&str; 2] =
    ["urn:ietf:params:oauth:token-type:id_token", "urn:ietf:params:oauth:token-type:jwt"];

/// RFC 8693, section 2.2.2: a subject token that is not acceptable is `invalid_request`.
pub(super) async fn exchange(
    server: &Server,
    from: (&Parts, Option<&Client>),
    form: &Form,
    subject: &str,
) -> Result<Response, OAuthDenied> {
    answer(server, from, form, subject, "invalid_request").await
}

/// RFC 7523, section 3.1: an assertion that is not acceptable is `invalid_grant`.
pub(super) async fn grant(
    server: &Server,
    parts: &Parts,
    client: Option<&Client>,
    form: &Form,
) -> Result<Response, OAuthDenied> {
    let assertion = form.require("assertion", "assertion is missing")?;
    answer(server, (parts, client), form, assertion, "invalid_grant").await
}

async fn answer(
    server: &Server,
    (parts, client): (&Parts, Option<&Client>),
    form: &Form,
    token: &str,
    unacceptable: &'static str,
) -> Result<Response, OAuthDenied> {
    if form.get("authorization_details").is_some() {
        return Err(OAuthDenied::invalid_authorization_details(
            "an ID token brings a job token for every project; narrow that one",
        ));
    }
    let exchange = IdTokenExchange {
        token,
        trusted_by: trusted_by(form, client)?,
        permissions: form.scope()?,
        audience: audience(form)?,
        issuer: &server.config.issuer,
        request: request_id(parts),
    };
    let now = server.app.clock().now();
    let answer = |minted: &Minted| Rendered {
        etag: None,
        body: serde_json::to_vec(&response(minted, &server.app.catalogue(), now)).unwrap_or_default(),
    };
    let minted = server.app.exchange_id_token(&exchange, answer).await;
    let rendered = minted.map_err(|refusal| {
        if !matches!(refusal, Refusal::BadIdToken(_)) {
            prove(parts);
        }
        refused(refusal, unacceptable)
    })?;
    let body: serde_json::Value = serde_json::from_slice(&rendered.body).unwrap_or_default();
    Ok(([(PRAGMA, "no-cache")], Json(body)).into_response())
}

/// The id of whoever does not authenticate otherwise is its rule's; whoever has none, or another, names the project. Both are
/// well where they agree.
fn trusted_by(form: &Form, client: Option<&Client>) -> Result<TrustedBy, OAuthDenied> {
    let project = form.get("project").map(|project| Label::parse(project).map(String::from)).transpose();
    let project = project.map_err(|_| OAuthDenied::invalid_request("project is no path and no id"))?;
    match (rule(form, client)?, project) {
        (Some(id), project) => Ok(TrustedBy::Rule(TrustRuleId(id), project)),
        (None, Some(project)) => Ok(TrustedBy::Project(project)),
        (None, None) => Err(OAuthDenied::invalid_request("project is missing, or client_id of a trust rule")),
    }
}

/// The one that a `client_id` means. Beside a proof it must be the client's own: were it passed over, a rule that was meant would
/// give way to all those of the project.
fn rule(form: &Form, client: Option<&Client>) -> Result<Option<Uuid>, OAuthDenied> {
    let Some(id) = form.get("client_id") else { return Ok(None) };
    match client {
        None => Uuid::try_parse(id)
            .map(Some)
            .map_err(|_| OAuthDenied::invalid_request("client_id is no id of a trust rule")),
        Some(client) if client.is_called(id) => Ok(None),
        Some(_) => Err(OAuthDenied::invalid_request("client_id is not the client that authenticates")),
    }
}

fn refused(refusal: Refusal, unacceptable: &'static str) -> OAuthDenied {
    match refusal {
        Refusal::BadIdToken(why) => OAuthDenied::new(unacceptable, format!("the ID token {why}")),
        // Whose token was taken is told what stands in its way.
        Refusal::Conflict(conflict) => OAuthDenied::new(unacceptable, problem::title(&conflict)),
        Refusal::RunnerNotProtected => {
            OAuthDenied::new("unauthorized_client", "only a protected trust rule gets tokens for protected refs")
        }
        Refusal::ProtectedEnvironment => {
            OAuthDenied::new("unauthorized_client", "a protected environment is for jobs on protected refs only")
        }
        other => other.into(),
    }
}
