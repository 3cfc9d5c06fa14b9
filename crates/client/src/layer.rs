//! A tower layer that lets a request through only when its job token may do what the route needs. It fails
//! closed: without a decision there is no way in, whatever the reason.
//!
//! ```no_run
//! use axum::routing::{get, put};
//! use jobpass_client::layer::RequirePermission;
//! # async fn download() {}
//! # async fn upload() {}
//! # fn example(registry: jobpass_client::ResourceService) -> Result<axum::Router, jobpass_client::Misconfigured> {
//!
//! // PUT /acme%2Flib/npm/@acme/ui needs `packages:create` on acme/lib.
//! let path = "/{project}/npm/{*rest}";
//! let read = RequirePermission::on_path(registry.clone(), "packages:read", path)?;
//! let publish = RequirePermission::on_path(registry, "packages:create", path)?.realm("Packages");
//! let app = axum::Router::new().route(path, get(download).layer(read).merge(put(upload).layer(publish)));
//! # Ok(app)
//! # }
//! ```
//!
//! The token comes as `Authorization: Bearer`, or as the password of Basic under any user name. What is let
//! through carries the [`Decision`] and its [`Subject`](jobpass_api::Subject) in its extensions; the request
//! is otherwise as it came, its credential included.
//!
//! Each request costs a question, unless the service is one that [keeps](ResourceService::keeping) decisions.

mod drain;
mod presented;
mod refusal;
mod template;
#[cfg(test)]
mod tests;

use crate::{Ask, Misconfigured, ResourceService, Secret};
use http::request::Parts;
use http::{HeaderValue, Request, Response};
use jobpass_api::Decision;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower::{Layer, Service};

pub use refusal::Refusal;
use template::Template;

/// In a project in `audit`: what `enforced` would have refused of what was let through.
pub const WOULD_DENY: &str = "jobpass-would-deny";
/// Why a request was refused, in one word of the decision's closed list.
pub const REASON: &str = "jobpass-reason";

type Rule = dyn Fn(&Parts) -> Result<Ask, Refusal> + Send + Sync;

/// "This route needs that permission on the project in the path."
#[derive(Clone)]
pub struct RequirePermission {
    service: ResourceService,
    rule: Arc<Rule>,
    realm: String,
    anonymous: bool,
}

impl RequirePermission {
    /// One permission for every request that matches the template: `{project}` is one percent-encoded segment
    /// (a path or an id), `{resource_name}` or `{*resource_name}` names what is meant inside the project, any
    /// other `{name}` matches one segment and `{*name}` at the end one or more. The URI is the one that the
    /// layer sees, which under a nested router is the rest of it.
    pub fn on_path(
        service: ResourceService,
        permission: impl Into<String>,
        template: &str,
    ) -> Result<RequirePermission, Misconfigured> {
        let (permission, template) = (permission.into(), Template::parse(template)?);
        let rule = move |parts: &Parts| template.ask(parts.uri.path(), &permission);
        Ok(RequirePermission::by_rule(service, rule))
    }

    /// Whatever else a route may need. The rule sees the request before anyone has vouched for it.
    pub fn by_rule(
        service: ResourceService,
        rule: impl Fn(&Parts) -> Result<Ask, Refusal> + Send + Sync + 'static,
    ) -> RequirePermission {
        RequirePermission { service, rule: Arc::new(rule), realm: "Jobpass".into(), anonymous: true }
    }

    /// What a client shows to the person whom it asks for a password: `Jobpass` unless set.
    #[must_use]
    pub fn realm(mut self, realm: &str) -> RequirePermission {
        let quotable = |c: &char| matches!(c, ' '..='~') && !matches!(c, '"' | '\\');
        self.realm = realm.chars().filter(quotable).collect();
        self
    }

    /// Whether a token that may do less gets what the project gives to anyone: yes unless set. A request
    /// without any token is challenged either way, since there is nothing to ask about.
    #[must_use]
    pub fn anonymous(mut self, let_through: bool) -> RequirePermission {
        self.anonymous = let_through;
        self
    }

    async fn admit(&self, token: Result<Secret, Refusal>, ask: Result<Ask, Refusal>) -> Result<Decision, Refusal> {
        let (token, ask) = (token?, ask?);
        let decision = self.service.authorize(&token, &ask).await.map_err(|error| {
            let cause = std::error::Error::source(&error);
            tracing::warn!(%error, cause, project = ask.project(), "no decision, so the request is refused");
            Refusal::no_decision()
        })?;
        if decision.allowed || (decision.anonymous && self.anonymous) {
            Ok(decision)
        } else {
            Err(Refusal::decided(&decision, &ask))
        }
    }
}

impl fmt::Debug for RequirePermission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequirePermission")
            .field("service", &self.service)
            .field("realm", &self.realm)
            .field("anonymous", &self.anonymous)
            .finish_non_exhaustive()
    }
}

impl<S> Layer<S> for RequirePermission {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { inner, guard: Arc::new(self.clone()) }
    }
}

/// A service behind [`RequirePermission`].
#[derive(Clone, Debug)]
pub struct Guarded<S> {
    inner: S,
    guard: Arc<RequirePermission>,
}

impl<S, B, R> Service<Request<B>> for Guarded<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body + Send + 'static,
    R: From<String>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The one that was polled ready is the one to call; its clone waits for the next request.
        let spare = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, spare);
        let guard = Arc::clone(&self.guard);
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            let (token, ask) = (presented::token(&parts.headers), (guard.rule)(&parts));
            let decision = match guard.admit(token, ask).await {
                Ok(decision) => decision,
                Err(refusal) => {
                    drain::drain(&parts.headers, body).await;
                    return Ok(refusal.into_response(&guard.realm));
                }
            };
            let would_deny = decision.would_deny.join(" ");
            note(&mut parts, decision);
            let mut response = inner.call(Request::from_parts(parts, body)).await?;
            if let (false, Ok(value)) = (would_deny.is_empty(), HeaderValue::from_str(&would_deny)) {
                response.headers_mut().insert(WOULD_DENY, value);
            }
            Ok(response)
        })
    }
}

fn note(parts: &mut Parts, decision: Decision) {
    if let Some(subject) = &decision.subject {
        parts.extensions.insert(jobpass_api::Subject::clone(subject));
    }
    parts.extensions.insert(decision);
}
