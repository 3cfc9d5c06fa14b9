//! Users and their API tokens.

use super::Answered;
use crate::etag::{self, IfMatch, Tagged};
use crate::extract::{Administrator, Body, Id, IdempotencyKey, NoQuery, Page, SignedIn, UserKey};
use crate::problem::Denied;
use crate::render;
use crate::server::Api;
use axum::Json;
use http::StatusCode;
use jobpass_api::{List, NewUser, NewUserToken, User, UserPatch, UserToken};
use jobpass_app::{DraftUserToken, Refusal};
use jobpass_domain::ids::UserTokenId;

/// Create a user (administrators)
#[utoipa::path(post, path = "/v1/users", tag = "users", request_body = NewUser, responses((status = 201, body = User)))]
pub(crate) async fn user_create(api: Api, by: Administrator, key: IdempotencyKey, body: Body<NewUser>) -> Answered {
    let (new, once) = (body.value, key.once("user_create", &body.raw));
    let made = api.app.user_create(&by.0, &new.name, new.administrator, once.as_ref(), |user| {
        let body = render::user(user);
        etag::rendered(&body, &body)
    });
    Ok(etag::created(made.await?))
}

/// All users (administrators)
#[utoipa::path(get, path = "/v1/users", tag = "users", responses((status = 200, body = List<User>)))]
pub(crate) async fn user_list(api: Api, _by: Administrator, page: Page) -> Result<Json<List<User>>, Denied> {
    Ok(Json(render::list(api.app.list_users(&page.0).await?, render::user)))
}

/// Read a user: yourself, or for administrators anyone
#[utoipa::path(get, path = "/v1/users/{user}", tag = "users", responses((status = 200, body = User)))]
pub(crate) async fn user_read(api: Api, by: SignedIn, user: UserKey) -> Result<Tagged<User>, Denied> {
    let own = user.0 == by.0.user.name.as_str() || user.0 == by.0.user.id.to_string();
    if !own && !by.0.user.administrator {
        return Err(Refusal::NotFound.into());
    }
    Ok(Tagged(render::user(&api.app.find_user(&user.0).await?)))
}

/// Rename a user, or make it an administrator or not (administrators)
#[utoipa::path(patch, path = "/v1/users/{user}", tag = "users", request_body = UserPatch, responses((status = 200, body = User)))]
pub(crate) async fn user_update(
    api: Api,
    by: Administrator,
    user: UserKey,
    still: IfMatch,
    body: Body<UserPatch>,
) -> Result<Tagged<User>, Denied> {
    let patch = body.value;
    let still = |current: &jobpass_domain::user::User| still.holds(&render::user(current));
    let user = api.app.user_update(&by.0, &user.0, patch.name.0.as_ref(), patch.administrator.0, still).await?;
    Ok(Tagged(render::user(&user)))
}

/// Delete a user with memberships and API tokens; no job ends (administrators)
#[utoipa::path(delete, path = "/v1/users/{user}", tag = "users", responses((status = 204)))]
pub(crate) async fn user_delete(
    api: Api,
    by: Administrator,
    user: UserKey,
    still: IfMatch,
    _: NoQuery,
) -> Result<StatusCode, Denied> {
    api.app.user_delete(&by.0, &user.0, |current| still.holds(&render::user(current))).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Make an API token: for yourself, or for administrators for anyone
#[utoipa::path(post, path = "/v1/user-tokens", tag = "users", request_body = NewUserToken, responses((status = 201, body = UserToken)))]
pub(crate) async fn user_token_create(
    api: Api,
    by: SignedIn,
    key: IdempotencyKey,
    body: Body<NewUserToken>,
) -> Answered {
    let (new, once) = (body.value, key.once("user_token_create", &body.raw));
    let draft = DraftUserToken {
        user: &new.user,
        name: new.name.as_deref(),
        read_only: new.read_only,
        expires_at: new.expires_at,
    };
    let made = api.app.user_token_create(&by.0, &draft, once.as_ref(), |token, secret| {
        etag::rendered(&render::user_token(token, Some(secret)), &render::user_token(token, None))
    });
    Ok(etag::created(made.await?))
}

/// Live API tokens: your own, or for administrators everyone's
#[utoipa::path(get, path = "/v1/user-tokens", tag = "users", responses((status = 200, body = List<UserToken>)))]
pub(crate) async fn user_token_list(api: Api, by: SignedIn, page: Page) -> Result<Json<List<UserToken>>, Denied> {
    let page = api.app.list_user_tokens(&by.0, &page.0).await?;
    Ok(Json(render::list(page, |token| render::user_token(token, None))))
}

/// Read an API token; its text is shown only when it is made
#[utoipa::path(get, path = "/v1/user-tokens/{token}", tag = "users", responses((status = 200, body = UserToken)))]
pub(crate) async fn user_token_read(api: Api, by: SignedIn, id: Id) -> Result<Tagged<UserToken>, Denied> {
    let token = api.app.find_user_token(&by.0, UserTokenId(id.0)).await?;
    Ok(Tagged(render::user_token(&token, None)))
}

/// Revoke an API token: your own, or for administrators anyone's
#[utoipa::path(delete, path = "/v1/user-tokens/{token}", tag = "users", responses((status = 204)))]
pub(crate) async fn user_token_revoke(api: Api, by: SignedIn, id: Id, _: NoQuery) -> Result<StatusCode, Denied> {
    api.app.user_token_revoke(&by.0, UserTokenId(id.0)).await?;
    Ok(StatusCode::NO_CONTENT)
}
