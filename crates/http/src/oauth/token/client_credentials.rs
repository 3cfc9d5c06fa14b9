//! Client credentials (RFC 6749, section 4.4): a runner that proves itself gets a token to mint with, for ten minutes.

use super::Client;
use crate::oauth::OAuthDenied;
use crate::oauth::form::Form;
use crate::server::Server;
use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::PRAGMA;
use jobpass_api::{SecretText, TokenResponse};

pub(super) const GRANT: &str = "client_credentials";

pub(super) async fn answer(server: &Server, client: Option<Client>, form: &Form) -> Result<Response, OAuthDenied> {
    let runner = match client {
        Some(Client::Runner(runner)) => runner,
        Some(Client::Service(_)) => return Err(OAuthDenied::new("unauthorized_client", "this grant is for runners")),
        None => return Err(OAuthDenied::invalid_client(false)),
    };
    check(server, form)?;
    let (secret, token) = server.app.access_token_issue(&runner).await?;
    let response = TokenResponse {
        access_token: SecretText::new(secret.expose()),
        issued_token_type: None,
        token_type: "Bearer".to_owned(),
        expires_in: (token.expires_at - token.created_at).whole_seconds(),
        scope: None,
        authorization_details: None,
    };
    Ok(([(PRAGMA, "no-cache")], Json(response)).into_response())
}

/// Such a token stands for the runner, here and nowhere else: there is nothing to choose.
fn check(server: &Server, form: &Form) -> Result<(), OAuthDenied> {
    if form.get("scope").is_some() {
        return Err(OAuthDenied::new(
            "invalid_scope",
            "a runner's token has no scope; its job tokens have permissions",
        ));
    }
    if form.get("authorization_details").is_some() {
        return Err(OAuthDenied::invalid_authorization_details("a runner's token has none"));
    }
    let elsewhere = |target: &str| target != server.config.issuer;
    if form.all("resource").chain(form.all("audience")).any(elsewhere) {
        return Err(OAuthDenied::new("invalid_target", "a runner's token is for this issuer alone"));
    }
    Ok(())
}
