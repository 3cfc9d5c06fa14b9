//! `/v1`: one file a noun.

pub(crate) mod audit_event;
pub(crate) mod authorize;
pub(crate) mod catalogue;
pub(crate) mod grant;
pub(crate) mod group;
pub(crate) mod health;
pub(crate) mod job;
pub(crate) mod job_token;
pub(crate) mod member;
pub(crate) mod project;
pub(crate) mod route_table;
pub(crate) mod runner;
pub(crate) mod secret;
pub(crate) mod service;
pub(crate) mod user;

use crate::problem::Denied;
use axum::response::Response;

/// The answer of a handler that renders by itself.
type Answered = Result<Response, Denied>;
