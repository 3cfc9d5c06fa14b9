//! `/v1`: one file a noun.

pub(crate) mod audit_event;
pub(crate) mod authorize;
pub(crate) mod catalogue;
pub(crate) mod ceiling;
pub(crate) mod client_key;
pub(crate) mod configuration;
pub(crate) mod explain;
pub(crate) mod grant;
pub(crate) mod group;
pub(crate) mod health;
pub(crate) mod instance;
pub(crate) mod invalidation;
pub(crate) mod job;
pub(crate) mod job_token;
pub(crate) mod member;
pub(crate) mod project;
pub(crate) mod registry_authority;
pub(crate) mod route_table;
pub(crate) mod runner;
pub(crate) mod secret;
pub(crate) mod service;
pub(crate) mod signing_key;
pub(crate) mod suggestion;
pub(crate) mod trust_rule;
pub(crate) mod usage;
pub(crate) mod user;

use crate::problem::Denied;
use crate::render;
use axum::Json;
use axum::response::{IntoResponse, Response};
use jobpass_app::Done;

/// The answer of a handler that renders by itself.
type Answered = Result<Response, Denied>;

/// What was made, as it is shown; or what would be.
fn done<T>(done: Done<T>, shown: impl FnOnce(T) -> Response) -> Response {
    match done {
        Done::Made(made) => shown(made),
        Done::Rehearsed(rehearsal) => Json(render::dry_run(&rehearsal)).into_response(),
    }
}
