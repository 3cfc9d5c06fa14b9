//! Forward-auth: a gateway asks about the request before it, whatever its method, and understands three statuses
//! (nginx makes a 500 of any other). So 200, 401 and 403 are all that leaves here, and only 200 lets through.

mod asked;
mod gateway;
mod presented;
mod reply;

pub(crate) use reply::{is_here, verdict_only};

use crate::problem::Denied;
use crate::render::{self, KEEP};
use crate::server::{Api, Server};
use asked::asked;
use axum::response::{IntoResponse, Response};
use gateway::Gateway;
use http::request::Parts;
use jobpass_app::{Answer, Ask, Refusal};
use jobpass_domain::forward_auth::{ForwardAuth, Identity, Verdict, verdict};
use jobpass_domain::{Reason, Secret};
use presented::presented;
use reply::Refused;
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

/// Where gateways ask; what follows is a client id, and then perhaps the path that is asked about.
const PREFIX: &str = "/v1/forward-auth";

/// Every method and every path below; OpenAPI knows neither, and shows one of them.
pub(crate) fn every_path(
    operations: OpenApiRouter<Arc<Server>>,
    (schemas, paths, _): UtoipaMethodRouter<Arc<Server>>,
) -> OpenApiRouter<Arc<Server>> {
    let any = || axum::routing::any(forward_auth);
    operations
        .routes((schemas, paths, any()))
        .route("/v1/forward-auth/{client_id}/", any())
        .route("/v1/forward-auth/{client_id}/{*path}", any())
}

/// May this request pass? For gateways: any method, and with the source `request` any path below
#[utoipa::path(get, path = "/v1/forward-auth/{client_id}", tag = "decisions", responses(
    (status = 200, description = "Let it through; the headers say who it is, each of them empty where there is nothing to say", headers(
        ("jobpass-project" = String, description = "The path of the project whose job asks, percent-encoded"),
        ("jobpass-project-id" = String), ("jobpass-pipeline-id" = String), ("jobpass-job-id" = String),
        ("jobpass-token-id" = String), ("jobpass-subject" = String, description = "`project:<id>:job:<id>`"),
        ("jobpass-ref" = String, description = "Percent-encoded"), ("jobpass-protected" = String),
        ("jobpass-permissions" = String, description = "What was asked, with spaces between"),
        ("jobpass-would-deny" = String, description = "Of that, what `enforced` would refuse"),
        ("jobpass-reason" = String, description = "Why"),
    )),
    (status = 401, description = "A token is needed, or this one is dead; or the gateway did not prove itself", body = String, content_type = "text/plain",
        headers(("www-authenticate" = String), ("jobpass-reason" = String))),
    (status = 403, description = "Refused; or nobody can say, `Jobpass-Reason: unavailable`", body = String, content_type = "text/plain",
        headers(("jobpass-reason" = String), ("retry-after" = u32))),
))]
pub(crate) async fn forward_auth(api: Api, gateway: Gateway, parts: Parts) -> Response {
    match decided(&api, &gateway, &parts).await {
        Ok(response) => response,
        Err(Stop::Refused(refused)) => refused.into_response(),
        Err(Stop::Broken(denied)) => denied.into_response(),
    }
}

/// Why there is no decision: the request cannot be one, or something is wrong here.
enum Stop {
    Refused(Refused),
    Broken(Denied),
}

impl From<Refused> for Stop {
    fn from(refused: Refused) -> Stop {
        Stop::Refused(refused)
    }
}

/// What cannot be asked is refused, by the name of the fault.
impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Stop {
        match refusal {
            Refusal::Invalid(faults) => Stop::Refused(Refused::faulty(&faults)),
            other => Stop::Broken(other.into()),
        }
    }
}

async fn decided(api: &Server, gateway: &Gateway, parts: &Parts) -> Result<Response, Stop> {
    let set = gateway.settings()?;
    let (permissions, route) = asked(&set.source, parts)?;
    let token = presented(&parts.headers)?;
    let presented = token.is_some();
    let ask = Ask {
        // Without a token, what a public project gives to anyone is still given.
        token: token.unwrap_or_else(|| Secret::new(String::new())),
        project: None,
        permissions,
        resource_name: None,
        resource_names: BTreeMap::new(),
        route,
        keep: parts.headers.get(KEEP).is_some_and(|value| value == "true"),
    };
    let answer = api.app.authorize(&gateway.0, &ask).await?;
    let own = gateway.0.service.project_path.as_deref();
    let mut told = told(&answer, &ask, (set, own), presented);
    if let Some(keep) = answer.keep.as_ref().and_then(render::keep_header) {
        told.headers_mut().insert(KEEP, keep);
    }
    Ok(told)
}

fn told(answer: &Answer, ask: &Ask, (set, own): (&ForwardAuth, Option<&str>), presented: bool) -> Response {
    let asked = answer.by_route.as_ref().unwrap_or(ask);
    let would_deny = answer.catalogue.expand(answer.decision.would_deny());
    let identity = |who| Identity { who, permissions: &asked.permissions, would_deny: &would_deny };
    match verdict(&answer.decision, presented) {
        Verdict::Pass(reason) => reply::passed(identity(answer.subject()), set, reason),
        Verdict::Anonymous => reply::passed(identity(None), set, Reason::Anyone),
        Verdict::NoToken => Refused::no_token().into_response(),
        Verdict::DeadToken(reason) => Refused::dead_token(reason).into_response(),
        Verdict::Forbidden(reason) => {
            Refused::lacking(answer, own.or(asked.project.as_deref()), reason).into_response()
        }
    }
}
