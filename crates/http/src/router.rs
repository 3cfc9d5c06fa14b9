//! The whole API on one page.

#![allow(
    clippy::wildcard_imports,
    reason = "routes! needs what utoipa puts beside each handler; not linted in tests, so no expect"
)]

use crate::forward_auth::{__path_forward_auth, every_path, forward_auth};
use crate::oauth::{authorize::*, introspect::*, key_set::*, metadata::*, registry_token::*, revoke::*, token::*};
use crate::openapi::{self, ApiDoc};
use crate::problem::Denied;
use crate::request::around;
use crate::rest::{
    audit_event::*, authorize::*, catalogue::*, ceiling::*, client_key::*, configuration::*, explain::*, grant::*,
    group::*, health::*, instance::*, invalidation::*, job::*, job_token::*, member::*, project::*,
    registry_authority::*, route_table::*, runner::*, secret::*, service::*, signing_key::*, suggestion::*,
    trust_rule::*, usage::*, user::*,
};
use crate::server::Server;
use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use jobpass_app::Refusal;
use std::sync::Arc;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::SwaggerUi;

/// Every operation, in the order in which the documentation shows them.
pub(crate) fn operations() -> OpenApiRouter<Arc<Server>> {
    let documented = OpenApiRouter::with_openapi(ApiDoc::openapi())
        // what can be permitted
        .routes(routes!(catalogue_read))
        .routes(routes!(resource_create))
        .routes(routes!(route_table_list))
        .routes(routes!(route_table_read, route_table_put, route_table_delete))
        // registry
        .routes(routes!(group_list, group_create))
        .routes(routes!(group_read, group_update, group_delete))
        .routes(routes!(group_member_list))
        .routes(routes!(group_member_put, group_member_delete))
        .routes(routes!(project_list, project_create))
        .routes(routes!(project_read, project_update, project_delete))
        .routes(routes!(project_member_list))
        .routes(routes!(project_member_put, project_member_delete))
        // callers
        .routes(routes!(user_list, user_create))
        .routes(routes!(user_read, user_update, user_delete))
        .routes(routes!(user_token_list, user_token_create))
        .routes(routes!(user_token_read, user_token_revoke))
        .routes(routes!(runner_list, runner_create))
        .routes(routes!(runner_read, runner_update, runner_delete))
        .routes(routes!(runner_secret_list, runner_secret_create))
        .routes(routes!(runner_secret_delete))
        .routes(routes!(runner_keys_read, runner_keys_put, runner_keys_delete))
        .routes(routes!(trust_rule_list, trust_rule_create))
        .routes(routes!(trust_rule_read, trust_rule_put, trust_rule_delete))
        .routes(routes!(service_list, service_create))
        .routes(routes!(service_read, service_update, service_delete))
        .routes(routes!(service_secret_list, service_secret_create))
        .routes(routes!(service_secret_delete))
        .routes(routes!(service_keys_read, service_keys_put, service_keys_delete))
        // keys
        .routes(routes!(signing_keys_read))
        .routes(routes!(signing_keys_rotate))
        .routes(routes!(signing_key_revoke))
        .routes(routes!(registry_authority_replace))
        // grants
        .routes(routes!(project_grant_list, project_grant_create, project_grant_replace))
        .routes(routes!(project_grant_read, project_grant_put, project_grant_delete))
        .routes(routes!(group_grant_list, group_grant_create, group_grant_replace))
        .routes(routes!(group_grant_read, group_grant_put, group_grant_delete))
        // guardrails
        .routes(routes!(project_ceilings_read, project_ceilings_put))
        .routes(routes!(group_ceilings_read, group_ceilings_put))
        .routes(routes!(instance_ceilings_read, instance_ceilings_put))
        .routes(routes!(instance_settings_read, instance_settings_put))
        .routes(routes!(project_configuration_read, project_configuration_put))
        .routes(routes!(group_configuration_read, group_configuration_put))
        // what was used
        .routes(routes!(usage_list))
        .routes(routes!(suggestions_read))
        .routes(routes!(suggestions_apply))
        // tokens, from mint to end
        .routes(routes!(job_token_mint))
        .routes(routes!(job_token_narrow))
        .routes(routes!(job_token_self, job_token_give_up))
        .routes(routes!(job_token_list))
        .routes(routes!(job_token_revoke))
        .routes(routes!(job_heartbeat))
        .routes(routes!(job_finish))
        .routes(routes!(pipeline_finish))
        .routes(routes!(project_revoke_tokens))
        .routes(routes!(pipeline_revoke_tokens))
        .routes(routes!(job_revoke_tokens))
        .routes(routes!(runner_revoke_tokens))
        .routes(routes!(trust_rule_revoke_tokens))
        .routes(routes!(leaked_token_report))
        // decisions
        .routes(routes!(project_explain))
        .routes(routes!(authorize))
        .routes(routes!(invalidation_follow))
        .routes(routes!(oauth_introspect))
        .routes(routes!(oauth_revoke))
        .routes(routes!(oauth_token))
        .routes(routes!(oauth_metadata))
        .routes(routes!(openid_configuration))
        .routes(routes!(oauth_authorize))
        .routes(routes!(oauth_key_set))
        .routes(routes!(oauth_registry_token))
        .routes(routes!(oauth_registry_authority))
        // record and operations
        .routes(routes!(audit_event_list))
        .routes(routes!(healthz))
        .routes(routes!(readyz))
        .routes(routes!(metrics));
    every_path(documented, routes!(forward_auth))
}

/// The API with its documentation, for a server to serve.
pub fn router(server: Arc<Server>) -> Router {
    let (operations, document) = operations().split_for_parts();
    let document = openapi::complete(document);
    operations
        .route("/.well-known/oauth-authorization-server/{*path}", get(oauth_metadata_below))
        .merge(SwaggerUi::new("/docs").url("/openapi.json", document))
        .fallback(async || Denied::NoRoute)
        .method_not_allowed_fallback(async || Denied::MethodNotAllowed)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(Arc::clone(&server), around))
        .with_state(server)
}

/// A panic is a defect of ours: told like any other, and never as a broken connection.
#[expect(clippy::needless_pass_by_value, reason = "the shape that the layer wants")]
fn panicked(panic: Box<dyn std::any::Any + Send>) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    Denied::from(Refusal::Internal(format!("panic: {}", text.unwrap_or("without words")))).into_response()
}
