//! Client authentication at the OAuth endpoints (RFC 6749, section 2.3): Basic, the form's own `client_id` and
//! `client_secret`, a secret as Bearer, or an assertion that the client signed (RFC 7523); exactly one of them.

use super::OAuthDenied;
use super::form::Form;
use crate::extract::{Presented, presented, request_id};
use crate::limit::claim;
use crate::server::Server;
use http::request::Parts;
use jobpass_app::{Holder, Refusal, RunnerCaller, ServiceCaller, claimed_client};
use jobpass_domain::Secret;
use jobpass_domain::live_secret::SecretOwner;
use jobpass_domain::token::{self, Kind};
use uuid::Uuid;

/// The only type of assertion that proves a client (RFC 7523, section 2.2).
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What the token and revocation endpoints take, as metadata lists it.
pub(super) const METHODS: [&str; 3] = ["client_secret_basic", "client_secret_post", "private_key_jwt"];

/// What a client proved itself by.
pub(super) struct Proof {
    by: By,
    request: Uuid,
}

enum By {
    Bearer(Secret),
    /// A client id, and the secret beside it.
    Secret(String, Secret),
    /// A signed text, and whose it says that it is.
    Assertion(Secret, Option<SecretOwner>),
}

/// The one proof in the request, `None` when there is none.
pub(super) fn proof(parts: &Parts, form: &Form) -> Result<Option<Proof>, OAuthDenied> {
    let header = presented(parts).map_err(OAuthDenied::invalid_request)?;
    if let Some(id) = form.get("client_id") {
        claim(parts, id);
    }
    let secret = form.get("client_secret");
    let assertion = form.get("client_assertion").or(form.get("client_assertion_type"));
    let in_header = !matches!(header, Presented::Nothing);
    if [in_header, secret.is_some(), assertion.is_some()].into_iter().filter(|there| *there).count() > 1 {
        return Err(OAuthDenied::invalid_request("more than one way of client authentication"));
    }
    let by = match header {
        Presented::Unreadable => return Err(OAuthDenied::invalid_client(false)),
        Presented::Bearer(secret) => By::Bearer(secret),
        Presented::Basic { user, password } => {
            same_client(form, Some(&user))?;
            By::Secret(user, password)
        }
        Presented::Nothing => match secret {
            Some(secret) => {
                let id = form.require("client_id", "client_secret without client_id")?;
                By::Secret(id.to_owned(), Secret::new(secret.to_owned()))
            }
            None if assertion.is_some() => signed(parts, form)?,
            None => return Ok(None),
        },
    };
    Ok(Some(Proof { by, request: request_id(parts) }))
}

/// RFC 7521, section 4.2: both parameters, and no other client beside them.
fn signed(parts: &Parts, form: &Form) -> Result<By, OAuthDenied> {
    let assertion = form.require("client_assertion", "client_assertion_type without client_assertion")?;
    if form.require("client_assertion_type", "client_assertion without client_assertion_type")? != JWT_BEARER {
        return Err(OAuthDenied::invalid_client(false));
    }
    let claimed = claimed_client(assertion);
    if let Some((id, _)) = &claimed {
        claim(parts, id);
    }
    same_client(form, claimed.as_ref().map(|(id, _)| id.as_str()))?;
    Ok(By::Assertion(Secret::new(assertion.to_owned()), claimed.map(|(_, owner)| owner)))
}

/// `client_id` in the form is not needed, but names no other client.
fn same_client(form: &Form, client: Option<&str>) -> Result<(), OAuthDenied> {
    if form.get("client_id").is_some_and(|id| Some(id) != client) {
        return Err(OAuthDenied::invalid_request("client_id is not the client that authenticates"));
    }
    Ok(())
}

impl Proof {
    /// What it would prove, if it holds.
    pub(super) fn kind(&self) -> Option<Kind> {
        match &self.by {
            By::Bearer(secret) | By::Secret(_, secret) => token::parse(secret.expose()).map(|parsed| parsed.kind),
            By::Assertion(_, owner) => owner.map(|owner| match owner {
                SecretOwner::Runner(_) => Kind::Runner,
                SecretOwner::Service(_) => Kind::Service,
            }),
        }
    }

    fn refused(&self, refusal: Refusal) -> OAuthDenied {
        match refusal {
            Refusal::NoCredential | Refusal::BadCredential | Refusal::WrongCaller { .. } => {
                OAuthDenied::invalid_client(matches!(self.by, By::Bearer(_)))
            }
            other => other.into(),
        }
    }

    /// `fresh`: nothing that is kept in memory may be answered.
    pub(super) async fn service(&self, server: &Server, fresh: bool) -> Result<ServiceCaller, OAuthDenied> {
        let (app, request) = (&server.app, (self.request, fresh));
        let found = match &self.by {
            By::Bearer(secret) => app.service(None, secret.expose(), request).await,
            By::Secret(id, secret) => app.service(Some(id), secret.expose(), request).await,
            By::Assertion(text, _) => {
                Box::pin(app.service_by_assertion(text.expose(), &server.config.issuer, request)).await
            }
        };
        found.map_err(|refusal| self.refused(refusal))
    }

    /// A runner's client id is its id.
    pub(super) async fn runner(&self, server: &Server) -> Result<RunnerCaller, OAuthDenied> {
        let (app, request) = (&server.app, self.request);
        let found = match &self.by {
            By::Bearer(secret) | By::Secret(_, secret) => app.runner(secret.expose(), request).await,
            By::Assertion(text, _) => app.runner_by_assertion(text.expose(), &server.config.issuer, request).await,
        };
        let found = found.map_err(|refusal| self.refused(refusal))?;
        match &self.by {
            By::Secret(id, _) if Uuid::try_parse(id).ok() != Some(found.runner.id.0) => {
                Err(OAuthDenied::invalid_client(false))
            }
            _ => Ok(found),
        }
    }

    pub(super) async fn holder(&self, server: &Server) -> Result<Holder, OAuthDenied> {
        let By::Bearer(token) = &self.by else { return Err(OAuthDenied::invalid_client(false)) };
        server.app.holder(token.expose(), self.request).await.map_err(|refusal| self.refused(refusal))
    }
}
