//! Runners and their secrets.

use super::Answered;
use crate::etag::{self, IfMatch, Tagged};
use crate::extract::{Body, Id, IdempotencyKey, NoBody, Page, SignedIn};
use crate::problem::Denied;
use crate::render;
use crate::server::Api;
use axum::Json;
use http::StatusCode;
use jobpass_api::{List, LiveSecret, NewRunner, NewSecret, Revoked, Runner, RunnerPatch};
use jobpass_app::{DraftRunner, RunnerChange};
use jobpass_domain::ids::{RunnerId, SecretId};

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
pub(crate) async fn runner_delete(api: Api, by: SignedIn, id: Id, still: IfMatch) -> Result<StatusCode, Denied> {
    let still = |current: &jobpass_domain::runner::Runner| still.holds(&render::runner(current, None));
    api.app.runner_delete(&by.0, RunnerId(id.0), still).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The runner's live secrets, at most two
#[utoipa::path(get, path = "/v1/runners/{runner}/secrets", tag = "runners", responses((status = 200, body = List<LiveSecret>)))]
pub(crate) async fn runner_secret_list(api: Api, by: SignedIn, id: Id) -> Result<Json<List<LiveSecret>>, Denied> {
    let secrets = api.app.runner_secrets(&by.0, RunnerId(id.0)).await?;
    Ok(Json(render::list((secrets, None), |live| {
        render::live_secret(live, None)
    })))
}

/// Make a second secret, to rotate without an outage
#[utoipa::path(post, path = "/v1/runners/{runner}/secrets", tag = "runners", request_body = NewSecret,
    responses((status = 201, body = LiveSecret)))]
pub(crate) async fn runner_secret_create(
    api: Api,
    by: SignedIn,
    id: Id,
    key: IdempotencyKey,
    body: Body<NewSecret>,
) -> Answered {
    let once = key.once("runner_secret_create", &body.raw);
    let made = api.app.runner_secret_create(
        &by.0,
        RunnerId(id.0),
        body.value.expires_at,
        once.as_ref(),
        |live, secret| {
            etag::rendered(
                &render::live_secret(live, Some(secret)),
                &render::live_secret(live, None),
            )
        },
    );
    Ok(etag::created(made.await?))
}

/// Delete one of the runner's secrets; what it minted lives on
#[utoipa::path(delete, path = "/v1/runners/{runner}/secrets/{secret}", tag = "runners", responses((status = 204)))]
pub(crate) async fn runner_secret_delete(
    api: Api,
    by: SignedIn,
    runner: Id<false>,
    secret: Id,
) -> Result<StatusCode, Denied> {
    api.app
        .runner_secret_delete(&by.0, RunnerId(runner.0), SecretId(secret.0))
        .await?;
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
