//! Runners.

use super::Answered;
use crate::etag::{self, IfMatch, Tagged};
use crate::extract::{Body, Id, IdempotencyKey, NoBody, NoQuery, Page, SignedIn};
use crate::problem::Denied;
use crate::render;
use crate::server::Api;
use axum::Json;
use http::StatusCode;
use jobpass_api::{List, NewRunner, Revoked, Runner, RunnerPatch};
use jobpass_app::{DraftRunner, RunnerChange};
use jobpass_domain::ids::RunnerId;

/// Register a runner: administrators, or maintainers for their group or project
#[utoipa::path(post, path = "/v1/runners", tag = "runners", request_body = NewRunner, responses((status = 201, body = Runner)))]
pub(crate) async fn runner_create(api: Api, by: SignedIn, key: IdempotencyKey, body: Body<NewRunner>) -> Answered {
    let (new, once) = (body.value, key.once("runner_create", &body.raw));
    let draft = DraftRunner {
        name: new.name,
        project: new.project.map(String::from),
        group: new.group.map(String::from),
        protected: new.protected,
        asserts_actor: new.asserts_actor,
        expires_at: new.expires_at,
    };
    let made = api.app.runner_create(&by.0, &draft, once.as_ref(), |runner, secret| {
        etag::rendered(&render::runner(runner, Some(secret)), &render::runner(runner, None))
    });
    Ok(etag::created(made.await?))
}

/// The runners that you manage
#[utoipa::path(get, path = "/v1/runners", tag = "runners", responses((status = 200, body = List<Runner>)))]
pub(crate) async fn runner_list(api: Api, by: SignedIn, page: Page) -> Result<Json<List<Runner>>, Denied> {
    let page = api.app.list_runners(&by.0, &page.0).await?;
    Ok(Json(render::list(page, |runner| render::runner(runner, None))))
}

/// Read a runner
#[utoipa::path(get, path = "/v1/runners/{runner}", tag = "runners", responses((status = 200, body = Runner)))]
pub(crate) async fn runner_read(api: Api, by: SignedIn, id: Id) -> Result<Tagged<Runner>, Denied> {
    let runner = api.app.find_runner(&by.0, RunnerId(id.0)).await?;
    Ok(Tagged(render::runner(&runner, None)))
}

/// Rename, pause or protect a runner
#[utoipa::path(patch, path = "/v1/runners/{runner}", tag = "runners", request_body = RunnerPatch, responses((status = 200, body = Runner)))]
pub(crate) async fn runner_update(
    api: Api,
    by: SignedIn,
    id: Id,
    still: IfMatch,
    body: Body<RunnerPatch>,
) -> Result<Tagged<Runner>, Denied> {
    let patch = body.value;
    let change = RunnerChange {
        name: patch.name.0,
        protected: patch.protected.0,
        asserts_actor: patch.asserts_actor.0,
        paused: patch.paused.0,
    };
    let still = |current: &jobpass_domain::runner::Runner| still.holds(&render::runner(current, None));
    let runner = api.app.runner_update(&by.0, RunnerId(id.0), &change, still).await?;
    Ok(Tagged(render::runner(&runner, None)))
}

/// Delete a runner; what it minted is dead
#[utoipa::path(delete, path = "/v1/runners/{runner}", tag = "runners", responses((status = 204)))]
pub(crate) async fn runner_delete(
    api: Api,
    by: SignedIn,
    id: Id,
    still: IfMatch,
    _: NoQuery,
) -> Result<StatusCode, Denied> {
    let still = |current: &jobpass_domain::runner::Runner| still.holds(&render::runner(current, None));
    api.app.runner_delete(&by.0, RunnerId(id.0), still).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Revoke everything minted under the runner so far
#[utoipa::path(post, path = "/v1/runners/{runner}/revoke-tokens", tag = "job tokens", responses((status = 200, body = Revoked)))]
pub(crate) async fn runner_revoke_tokens(
    api: Api,
    by: SignedIn,
    id: Id,
    _nothing: NoBody,
) -> Result<Json<Revoked>, Denied> {
    api.app.runner_revoke_tokens(&by.0, RunnerId(id.0)).await?;
    Ok(Json(Revoked { tokens: None }))
}
