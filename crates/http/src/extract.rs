//! What a handler's arguments are made of: who calls, what they may call it on, and what they sent. A
//! handler cannot exist without its signature saying who may call it.

mod body;
mod caller;
mod credential;
mod place;
mod query;

pub(crate) use body::{BODY_LIMIT, Body, JsonText, LIST_BODY_LIMIT, NoBody, YamlText, fault_at, parse, read};
pub(crate) use caller::{Administrator, Runner, Service, SignedIn, TokenHolder};
pub(crate) use credential::{IdempotencyKey, Presented, form_decode, presented};
pub(crate) use place::{
    Id, MaintainerOfGroup, MaintainerOfProject, MemberOfGroup, MemberOfProject, OwnerOfGroup, OwnerOfProject,
    RouteTableName, SeesGroup, SeesProject, UserKey,
};
pub(crate) use query::{
    NoQuery, Page, QueryRead, Way, checked_text, days, parsed, query, query_where, unknown_parameter,
};

use crate::problem::RequestId;
use http::header::CACHE_CONTROL;
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use uuid::Uuid;

/// Whether the caller wants what is so now, and nothing that was kept in memory (RFC 9111, section 5.2.1.4).
pub(crate) fn wants_fresh(headers: &HeaderMap) -> bool {
    let no_cache = |value: &HeaderValue| {
        value.to_str().is_ok_and(|text| text.split(',').any(|one| one.trim().eq_ignore_ascii_case("no-cache")))
    };
    headers.get_all(CACHE_CONTROL).iter().any(no_cache)
}

/// The id that the request was named by.
pub(crate) fn request_id(parts: &Parts) -> Uuid {
    parts.extensions.get::<RequestId>().map_or(Uuid::nil(), |id| id.0)
}
