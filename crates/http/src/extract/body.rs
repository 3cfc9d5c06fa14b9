//! JSON bodies: bounded, and every fault told at its pointer.

use super::query::NoQuery;
use crate::problem::Denied;
use crate::server::Server;
use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use jobpass_app::{Fault, Refusal, escape};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_path_to_error::Segment;
use std::sync::Arc;

type State = Arc<Server>;

/// The largest body, in bytes; lists of grants may be larger.
pub(crate) const BODY_LIMIT: usize = 64 * 1024;
pub(crate) const LIST_BODY_LIMIT: usize = 8 * 1024 * 1024;

/// A JSON body, every fault in it told at its pointer; and the bytes as they came.
#[derive(Debug)]
pub(crate) struct Body<T, const LIMIT: usize = BODY_LIMIT> {
    pub(crate) value: T,
    pub(crate) raw: Bytes,
}

impl<T: DeserializeOwned, const LIMIT: usize> FromRequest<State> for Body<T, LIMIT> {
    type Rejection = Denied;

    async fn from_request(request: Request, server: &State) -> Result<Body<T, LIMIT>, Denied> {
        let JsonText(raw) = JsonText::<LIMIT>::from_request(request, server).await?;
        let value = parse(&raw)?;
        Ok(Body { value, raw })
    }
}

/// What says that it is JSON, as it came; nobody has read it yet.
#[derive(Debug)]
pub(crate) struct JsonText<const LIMIT: usize = BODY_LIMIT>(pub(crate) Bytes);

impl<const LIMIT: usize> FromRequest<State> for JsonText<LIMIT> {
    type Rejection = Denied;

    async fn from_request(request: Request, _: &State) -> Result<JsonText<LIMIT>, Denied> {
        if !is_json(request.headers()) {
            return Err(Denied::NotJson);
        }
        NoQuery::check(request.uri(), request.extensions())?;
        Ok(JsonText(read(request, LIMIT).await?))
    }
}

/// A route table as it was written.
#[derive(Debug)]
pub(crate) struct YamlText(pub(crate) String);

impl FromRequest<State> for YamlText {
    type Rejection = Denied;

    async fn from_request(request: Request, _: &State) -> Result<YamlText, Denied> {
        if !is_utf8(request.headers(), "application/yaml") {
            return Err(Denied::NotYaml);
        }
        NoQuery::check(request.uri(), request.extensions())?;
        let raw = read(request, LIST_BODY_LIMIT).await?;
        let text = String::from_utf8(raw.into());
        text.map(YamlText).map_err(|_| Refusal::invalid("", "malformed_yaml", "a text is UTF-8").into())
    }
}

/// No body, or an empty object: for calls that need nothing said.
#[derive(Debug)]
pub(crate) struct NoBody;

impl FromRequest<State> for NoBody {
    type Rejection = Denied;

    async fn from_request(request: Request, _: &State) -> Result<NoBody, Denied> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Nothing {}

        NoQuery::check(request.uri(), request.extensions())?;
        let raw = read(request, BODY_LIMIT).await?;
        if !raw.is_empty() {
            parse::<Nothing>(&raw)?;
        }
        Ok(NoBody)
    }
}

/// JSON, or a merge patch; in UTF-8, whether it is said or not (RFC 8259, section 8.1).
fn is_json(headers: &HeaderMap) -> bool {
    ["application/json", "application/merge-patch+json"].iter().any(|essence| is_utf8(headers, essence))
}

/// Of this type, and in no other charset than UTF-8.
fn is_utf8(headers: &HeaderMap, essence: &str) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return false };
    let mut parts = value.split(';').map(str::trim);
    let same = parts.next().unwrap_or_default().eq_ignore_ascii_case(essence);
    same && parts.filter_map(|parameter| parameter.split_once('=')).all(|(name, value)| {
        !name.eq_ignore_ascii_case("charset") || value.trim_matches('"').eq_ignore_ascii_case("utf-8")
    })
}

pub(crate) async fn read(request: Request, limit: usize) -> Result<Bytes, Denied> {
    let declared =
        request.headers().get(http::header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > limit as u64) {
        return Err(Denied::TooLarge { limit });
    }
    axum::body::to_bytes(request.into_body(), limit).await.map_err(|_| Denied::TooLarge { limit })
}

pub(crate) fn parse<T: DeserializeOwned>(raw: &[u8]) -> Result<T, Denied> {
    // First of all: serde would fill a struct from a list, field by field.
    if !raw.trim_ascii_start().starts_with(b"{") {
        return Err(match serde_json::from_slice::<IgnoredAny>(raw) {
            Ok(_) => Refusal::invalid("", "wrong_type", "the body is an object").into(),
            Err(error) => Denied::MalformedJson(error.to_string()),
        });
    }
    let mut deserializer = serde_json::Deserializer::from_slice(raw);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| body_fault(&error, raw))?;
    deserializer.end().map_err(|error| Denied::MalformedJson(error.to_string()))?;
    Ok(value)
}

/// A value of the right JSON that is not what the field takes, told at its pointer.
fn body_fault(error: &serde_path_to_error::Error<serde_json::Error>, raw: &[u8]) -> Denied {
    let message = error.inner().to_string();
    // serde_json's words for what is neither the text nor the object that an enumeration is read from.
    let no_choice = message.starts_with("expected value") && serde_json::from_slice::<IgnoredAny>(raw).is_ok();
    if error.inner().is_data() || no_choice {
        fault_at(error.path(), &message).into()
    } else {
        Denied::MalformedJson(message)
    }
}

pub(crate) fn fault_at(path: &serde_path_to_error::Path, message: &str) -> Refusal {
    let mut pointer: String = path.iter().filter_map(pointer_segment).collect();
    // serde's words; the position in the text says less than the pointer.
    let message = message.rsplit_once(" at line ").map_or(message, |(message, _)| message);
    // Without the names of our code: a struct is an object to whoever writes one.
    let object = message.split_once("expected struct ").map(|(before, _)| format!("{before}expected an object"));
    let message = object.as_deref().unwrap_or(message);
    let named = |prefix: &str| {
        message.strip_prefix(prefix).and_then(|rest| rest.split_once('`')).map(|(field, _)| field.to_owned())
    };
    let (code, field) = if let Some(field) = named("unknown field `") {
        ("unknown_field", Some(field))
    } else if let Some(field) = named("missing field `") {
        ("required", Some(field))
    } else if let Some(field) = named("duplicate field `") {
        ("duplicate_field", Some(field))
    } else if message.starts_with("invalid type")
        || message == "expected value"
        || message.starts_with("invalid length")
    {
        ("wrong_type", None)
    } else {
        ("invalid", None)
    };
    if let Some(field) =
        field.map(|field| format!("/{}", escape(&field))).filter(|field| !pointer.ends_with(field.as_str()))
    {
        pointer.push_str(&field);
    }
    Refusal::Invalid(vec![Fault::new(pointer, code, message)])
}

fn pointer_segment(segment: &Segment) -> Option<String> {
    match segment {
        Segment::Seq { index } => Some(format!("/{index}")),
        Segment::Map { key } => Some(format!("/{}", escape(key))),
        Segment::Enum { .. } | Segment::Unknown => None,
    }
}
