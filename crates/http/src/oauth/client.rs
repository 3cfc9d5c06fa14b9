//! Client authentication at the OAuth endpoints (RFC 6749, section 2.3): Basic, the form's own
//! `client_id` and `client_secret`, or a secret as Bearer; exactly one of them.

use super::OAuthDenied;
use super::form::Form;
use crate::extract::{Presented, presented, request_id};
use crate::limit::claim;
use crate::server::Server;
use http::request::Parts;
use jobpass_app::{Holder, Refusal, RunnerCaller, ServiceCaller};
use jobpass_domain::Secret;
use jobpass_domain::token::{self, Kind};
use uuid::Uuid;

/// What a client proved itself by.
pub(super) struct Proof {
    /// `None`: by Bearer.
    id: Option<String>,
    secret: Secret,
    request: Uuid,
}

/// The one proof in the request, `None` when there is none.
pub(super) fn proof(parts: &Parts, form: &Form) -> Result<Option<Proof>, OAuthDenied> {
    let request = request_id(parts);
    let header = presented(parts).map_err(OAuthDenied::invalid_request)?;
    if let Some(id) = form.get("client_id") {
        claim(parts, id);
    }
    let posted = form.get("client_secret");
    match (header, posted) {
        (Presented::Unreadable, _) => Err(OAuthDenied::invalid_client(false)),
        (Presented::Bearer(_) | Presented::Basic { .. }, Some(_)) => {
            Err(OAuthDenied::invalid_request("more than one way of client authentication"))
        }
        (Presented::Basic { user, .. }, None) if form.get("client_id").is_some_and(|id| id != user) => {
            Err(OAuthDenied::invalid_request("client_id is not the client that authenticates"))
        }
        (Presented::Basic { user, password }, None) => Ok(Some(Proof { id: Some(user), secret: password, request })),
        (Presented::Bearer(secret), None) => Ok(Some(Proof { id: None, secret, request })),
        (Presented::Nothing, Some(secret)) => {
            let id = form.require("client_id", "client_secret without client_id")?;
            Ok(Some(Proof { id: Some(id.to_owned()), secret: Secret::new(secret.to_owned()), request }))
        }
        (Presented::Nothing, None) => Ok(None),
    }
}

impl Proof {
    pub(super) fn kind(&self) -> Option<Kind> {
        token::parse(self.secret.expose()).map(|parsed| parsed.kind)
    }

    fn is_bearer(&self) -> bool {
        self.id.is_none()
    }

    fn refused(&self, refusal: Refusal) -> OAuthDenied {
        match refusal {
            Refusal::NoCredential | Refusal::BadCredential | Refusal::WrongCaller { .. } => {
                OAuthDenied::invalid_client(self.is_bearer())
            }
            other => other.into(),
        }
    }

    pub(super) async fn service(&self, server: &Server) -> Result<ServiceCaller, OAuthDenied> {
        let found = server.app.service(self.id.as_deref(), self.secret.expose(), self.request).await;
        found.map_err(|refusal| self.refused(refusal))
    }

    /// A runner's client id is its id.
    pub(super) async fn runner(&self, server: &Server) -> Result<RunnerCaller, OAuthDenied> {
        let found =
            server.app.runner(self.secret.expose(), self.request).await.map_err(|refusal| self.refused(refusal))?;
        let named = self.id.as_deref().map(|id| Uuid::try_parse(id).ok());
        if named.is_some_and(|id| id != Some(found.runner.id.0)) {
            return Err(OAuthDenied::invalid_client(false));
        }
        Ok(found)
    }

    pub(super) async fn holder(&self, server: &Server) -> Result<Holder, OAuthDenied> {
        if !self.is_bearer() {
            return Err(OAuthDenied::invalid_client(false));
        }
        server.app.holder(self.secret.expose(), self.request).await.map_err(|refusal| self.refused(refusal))
    }
}
