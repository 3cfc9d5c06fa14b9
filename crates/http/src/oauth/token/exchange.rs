//! Token exchange (RFC 8693): a job token in, a narrower one or an ID token out; or another CI's ID token in, which is for
//! `trusted.rs`. The subject token is the credential.

use super::id_token::{self, ID_TOKEN};
use super::{Client, trusted};
use crate::extract::request_id;
use crate::limit::prove;
use crate::oauth::OAuthDenied;
use crate::oauth::form::Form;
use crate::render;
use crate::rest::job_token::drafts;
use crate::server::Server;
use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::PRAGMA;
use http::request::Parts;
use jobpass_api::{SecretText, TokenResponse};
use jobpass_app::{DraftDetail, Minted, Narrow, Refusal, Rendered};
use jobpass_domain::Catalogue;
use jobpass_domain::job_token::MAX_AUDIENCES;
use jobpass_domain::text::AudienceUri;
use serde::Serialize;

pub(super) const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

pub(super) async fn answer(
    server: &Server,
    parts: &Parts,
    client: Option<&Client>,
    form: &Form,
) -> Result<Response, OAuthDenied> {
    let subject = form.require("subject_token", "subject_token is missing")?;
    let subject_type = form.require("subject_token_type", "subject_token_type is missing")?;
    if subject_type != ACCESS_TOKEN && !trusted::TOKEN_TYPES.contains(&subject_type) {
        return Err(OAuthDenied::invalid_request("subject_token_type must be access_token, id_token or jwt"));
    }
    if form.get("actor_token").is_some() || form.get("actor_token_type").is_some() {
        return Err(OAuthDenied::invalid_request("actor tokens are not supported"));
    }
    match (subject_type, form.get("requested_token_type")) {
        (ACCESS_TOKEN, None | Some(ACCESS_TOKEN)) => narrower(server, parts, form, subject).await,
        (ACCESS_TOKEN, Some(ID_TOKEN)) => id_token::answer(server, parts, form, subject).await,
        (ACCESS_TOKEN, Some(_)) => {
            Err(OAuthDenied::invalid_request("requested_token_type must be access_token or id_token"))
        }
        (_, None | Some(ACCESS_TOKEN)) => trusted::exchange(server, (parts, client), form, subject).await,
        (_, Some(_)) => Err(OAuthDenied::invalid_request("requested_token_type must be access_token")),
    }
}

async fn narrower(server: &Server, parts: &Parts, form: &Form, subject: &str) -> Result<Response, OAuthDenied> {
    let narrow =
        Narrow { permissions: form.scope()?, details: details(form)?, expires_at: None, audience: audience(form)? };
    let holder = server.app.holder(subject, request_id(parts)).await.map_err(subject_refused)?;
    prove(parts);
    let now = server.app.clock().now();
    let answer = |minted: &Minted| Rendered {
        etag: None,
        body: serde_json::to_vec(&response(minted, &server.app.catalogue(), now)).unwrap_or_default(),
    };
    let narrowed = server.app.narrow(&holder, &narrow, None, answer).await;
    let rendered = narrowed.map_err(subject_refused)?;
    let body: serde_json::Value = serde_json::from_slice(&rendered.body).unwrap_or_default();
    Ok(no_cache(&body))
}

/// RFC 6749, section 5.1.
pub(super) fn no_cache<T: Serialize>(body: &T) -> Response {
    ([(PRAGMA, "no-cache")], Json(body)).into_response()
}

pub(super) fn response(minted: &Minted, catalogue: &Catalogue, now: time::OffsetDateTime) -> TokenResponse {
    let expanded =
        |cap: &Vec<String>| catalogue.parse_all(cap).map_or_else(|_| cap.clone(), |set| catalogue.expand(set));
    TokenResponse {
        access_token: SecretText::new(minted.secret.expose()),
        issued_token_type: Some(ACCESS_TOKEN.to_owned()),
        token_type: "Bearer".to_owned(),
        expires_in: (minted.expires_at - now).whole_seconds(),
        scope: minted.cap.as_ref().map(|cap| expanded(cap).join(" ")),
        authorization_details: render::confined(minted.details.as_deref()),
    }
}

/// RFC 9396, section 5: what is no JSON, of no known type or with unknown or ill-typed fields is refused whole.
fn details(form: &Form) -> Result<Option<Vec<DraftDetail>>, OAuthDenied> {
    let Some(text) = form.get("authorization_details") else { return Ok(None) };
    let read = serde_json::from_str(text).map(drafts).map(Some);
    read.map_err(|_| OAuthDenied::invalid_authorization_details("not a list of details of type jobpass_project"))
}

/// RFC 8693, section 2.2.2: a subject token that is not acceptable is `invalid_request`.
pub(super) fn subject_refused(refusal: Refusal) -> OAuthDenied {
    match refusal {
        Refusal::BadCredential | Refusal::WrongCaller { .. } => {
            OAuthDenied::invalid_request("the subject token is not a live job token")
        }
        other => other.into(),
    }
}

/// `resource` and `audience` name the same thing, each as often as need be; both are absolute URIs (RFC 8707, section 2).
pub(super) fn audience(form: &Form) -> Result<Option<Vec<AudienceUri>>, OAuthDenied> {
    let named = form.all("resource").chain(form.all("audience"));
    let invalid = |_| OAuthDenied::new("invalid_target", "an audience is an absolute URI without fragment");
    let parsed = named.map(|uri| AudienceUri::parse(uri).map_err(invalid)).collect::<Result<Vec<_>, _>>()?;
    if parsed.len() > MAX_AUDIENCES {
        return Err(OAuthDenied::new("invalid_target", "too many audiences"));
    }
    Ok((!parsed.is_empty()).then_some(parsed))
}
