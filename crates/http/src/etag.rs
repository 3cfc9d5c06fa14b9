//! Entity tags (RFC 9110, section 8.8.3): strong, a hash of what is shown, secrets left out.

use axum::Json;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use http::header::{ETAG, IF_MATCH, IF_NONE_MATCH};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use jobpass_app::{Refusal, Rendered};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::problem::Denied;

/// The tag of a representation, without the quotes.
pub(crate) fn tag<T: Serialize>(shown: &T) -> String {
    let bytes = serde_json::to_vec(shown).unwrap_or_default();
    let hash: [u8; 32] = Sha256::digest(&bytes).into();
    let (half, _) = hash.split_at(16);
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(half)
}

/// The answer of something that was made: the tag is that of what a GET shows.
pub(crate) fn rendered<T: Serialize, S: Serialize>(body: &T, shown: &S) -> Rendered {
    Rendered { etag: Some(tag(shown)), body: serde_json::to_vec(body).unwrap_or_default() }
}

/// 201 with what a use case rendered.
pub(crate) fn created(rendered: Rendered) -> Response {
    let mut response = (StatusCode::CREATED, [("content-type", "application/json")], rendered.body).into_response();
    set_tag(response.headers_mut(), rendered.etag.as_deref());
    response
}

fn set_tag(headers: &mut HeaderMap, tag: Option<&str>) {
    if let Some(value) = tag.and_then(|tag| HeaderValue::from_str(&format!("\"{tag}\"")).ok()) {
        headers.insert(ETAG, value);
    }
}

/// 200 with a representation and its tag.
#[derive(Debug)]
pub(crate) struct Tagged<T>(pub(crate) T);

impl<T: Serialize> IntoResponse for Tagged<T> {
    fn into_response(self) -> Response {
        tagged_as(&self.0, &tag(&self.0))
    }
}

/// 200 with a representation and a tag that is not its hash: a list's revision.
pub(crate) fn tagged_as<T: Serialize>(body: &T, tag: &str) -> Response {
    let mut response = Json(body).into_response();
    set_tag(response.headers_mut(), Some(tag));
    response
}

/// If-Match (RFC 9110, section 13.1.1), by strong comparison.
#[derive(Clone, Debug)]
pub(crate) struct IfMatch(Option<Tags>);

#[derive(Clone, Debug)]
enum Tags {
    Any,
    /// Strong ones only: a weak tag never matches.
    These(Vec<String>),
}

impl IfMatch {
    pub(crate) fn holds<T: Serialize>(&self, current: &T) -> bool {
        self.holds_for(|| tag(current))
    }

    pub(crate) fn holds_for(&self, current: impl FnOnce() -> String) -> bool {
        match &self.0 {
            None | Some(Tags::Any) => true,
            Some(Tags::These(tags)) => tags.contains(&current()),
        }
    }

    pub(crate) fn is_given(&self) -> bool {
        self.0.is_some()
    }

    /// RFC 6585, section 3.
    pub(crate) fn required(self) -> Result<IfMatch, Denied> {
        if self.0.is_none() { Err(Refusal::PreconditionRequired.into()) } else { Ok(self) }
    }
}

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<IfMatch, Denied> {
        let mut tags = Vec::new();
        for value in parts.headers.get_all(IF_MATCH) {
            let text = value.to_str().map_err(|_| Denied::BadRequest("If-Match is not text"))?;
            if text.trim() == "*" {
                return Ok(IfMatch(Some(Tags::Any)));
            }
            let strong = |tag: &str| Some(tag.trim().strip_prefix('"')?.strip_suffix('"')?.to_owned());
            tags.extend(text.split(',').filter_map(strong));
        }
        let given = parts.headers.contains_key(IF_MATCH);
        Ok(IfMatch(given.then_some(Tags::These(tags))))
    }
}

/// 304 when the client has it already (RFC 9110, section 13.1.2).
pub(crate) fn unless_known(headers: &HeaderMap, response: Response) -> Response {
    let Some(tag) = response.headers().get(ETAG) else {
        return response;
    };
    let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let same = |one: &str| one.trim().trim_start_matches("W/").as_bytes() == tag.as_bytes() || one.trim() == "*";
    if known.flat_map(|value| value.split(',')).any(same) {
        let (mut parts, _) = response.into_parts();
        parts.status = StatusCode::NOT_MODIFIED;
        parts.headers.remove(http::header::CONTENT_LENGTH);
        parts.headers.remove(http::header::CONTENT_TYPE);
        return Response::from_parts(parts, axum::body::Body::empty());
    }
    response
}
