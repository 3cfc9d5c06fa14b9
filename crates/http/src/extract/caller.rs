//! Who calls, by the kind of the credential.

use super::credential::{Presented, bearer, presented};
use super::{request_id, wants_fresh};
use crate::problem::Denied;
use crate::server::Server;
use axum::extract::FromRequestParts;
use http::Method;
use http::request::Parts;
use jobpass_app::{Holder, Person, Refusal, RunnerCaller, ServiceCaller};
use std::sync::Arc;

type State = Arc<Server>;

/// Someone signed in.
#[derive(Debug)]
pub(crate) struct SignedIn(pub(crate) Person);

impl FromRequestParts<State> for SignedIn {
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, server: &State) -> Result<SignedIn, Denied> {
        let token = bearer(parts)?;
        let person = server.app.person(token.expose(), request_id(parts)).await?;
        let reads = matches!(parts.method, Method::GET | Method::HEAD);
        if person.read_only && !reads {
            return Err(Refusal::ReadOnly.into());
        }
        Ok(SignedIn(person))
    }
}

/// An administrator of the instance.
#[derive(Debug)]
pub(crate) struct Administrator(pub(crate) Person);

impl FromRequestParts<State> for Administrator {
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, server: &State) -> Result<Administrator, Denied> {
        let SignedIn(person) = SignedIn::from_request_parts(parts, server).await?;
        if person.user.administrator {
            Ok(Administrator(person))
        } else {
            Err(Refusal::Forbidden { needs: "administrator" }.into())
        }
    }
}

/// A runner.
#[derive(Debug)]
pub(crate) struct Runner(pub(crate) RunnerCaller);

impl FromRequestParts<State> for Runner {
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, server: &State) -> Result<Runner, Denied> {
        let token = bearer(parts)?;
        Ok(Runner(server.app.runner(token.expose(), request_id(parts)).await?))
    }
}

/// The holder of a live job token.
#[derive(Debug)]
pub(crate) struct TokenHolder(pub(crate) Holder);

impl FromRequestParts<State> for TokenHolder {
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, server: &State) -> Result<TokenHolder, Denied> {
        let token = bearer(parts)?;
        Ok(TokenHolder(server.app.holder(token.expose(), request_id(parts)).await?))
    }
}

/// A resource service, by Basic or by its secret as Bearer.
#[derive(Debug)]
pub(crate) struct Service(pub(crate) ServiceCaller);

impl FromRequestParts<State> for Service {
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, server: &State) -> Result<Service, Denied> {
        let id = (request_id(parts), wants_fresh(&parts.headers));
        let caller = match presented(parts).map_err(Denied::UnclearCredential)? {
            Presented::Basic { user, password } => server.app.service(Some(&user), password.expose(), id).await?,
            Presented::Bearer(secret) => server.app.service(None, secret.expose(), id).await?,
            Presented::Nothing => return Err(Refusal::NoCredential.into()),
            Presented::Unreadable => return Err(Refusal::BadCredential.into()),
        };
        Ok(Service(caller))
    }
}
