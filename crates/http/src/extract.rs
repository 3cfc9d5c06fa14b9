//! What a handler's arguments are made of: who calls, what they may call it on, and what they sent. A
//! handler cannot exist without its signature saying who may call it.

use crate::problem::{Denied, RequestId};
use crate::server::Server;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use base64::Engine;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, Method};
use jobpass_app::{
    Fault, GrantPlace, GroupAccess, Holder, Once, PageOf, Person, ProjectAccess, Refusal, RunnerCaller, ServiceCaller,
};
use jobpass_domain::{Role, Secret};
use percent_encoding::percent_decode_str;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_path_to_error::Segment;
use std::sync::Arc;
use uuid::Uuid;

/// The largest body, in bytes; lists of grants may be larger.
pub(crate) const BODY_LIMIT: usize = 64 * 1024;
pub(crate) const LIST_BODY_LIMIT: usize = 8 * 1024 * 1024;
const MAX_PAGE: usize = 1000;
const DEFAULT_PAGE: usize = 100;

// ── Credentials ──────────────────────────────────────────────────────────────────────────────────────

/// What came in `Authorization`.
pub(crate) enum Presented {
    Nothing,
    Bearer(Secret),
    Basic {
        user: String,
        password: Secret,
    },
    /// A scheme that is none of ours, or a value that does not parse.
    Unreadable,
}

/// Reads the one `Authorization` header. Two of them, or a token in the query, are refused: which one counts
/// would be anybody's guess.
pub(crate) fn presented(parts: &Parts) -> Result<Presented, &'static str> {
    let in_query =
        |name: &str| matches!(name, "access_token" | "token" | "job_token" | "private_token" | "client_secret");
    if form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).any(|(name, _)| in_query(&name)) {
        return Err("a token is never accepted in the query (RFC 9700, section 4.3.2)");
    }
    let mut values = parts.headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Ok(Presented::Nothing);
    };
    if values.next().is_some() {
        return Err("more than one Authorization header");
    }
    let Some((scheme, rest)) = value.to_str().ok().and_then(|text| text.split_once(' ')) else {
        return Ok(Presented::Unreadable);
    };
    Ok(match scheme.to_ascii_lowercase().as_str() {
        "bearer" => Presented::Bearer(Secret::new(rest.trim().to_owned())),
        "basic" => basic(rest.trim()).unwrap_or(Presented::Unreadable),
        _ => Presented::Unreadable,
    })
}

/// RFC 6749, section 2.3.1 and appendix B: both halves are form-decoded after base64, split at the first colon.
fn basic(encoded: &str) -> Option<Presented> {
    let decoded = base64::engine::general_purpose::STANDARD.decode(encoded).ok()?;
    let text = Secret::new(String::from_utf8(decoded).ok()?);
    let (user, password) = text.expose().split_once(':')?;
    Some(Presented::Basic { user: form_decode(user)?, password: Secret::new(form_decode(password)?) })
}

pub(crate) fn form_decode(text: &str) -> Option<String> {
    let spaces = text.replace('+', " ");
    percent_decode_str(&spaces).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

fn bearer(parts: &Parts) -> Result<Secret, Denied> {
    match presented(parts).map_err(Denied::UnclearCredential)? {
        Presented::Bearer(token) => Ok(token),
        Presented::Nothing => Err(Refusal::NoCredential.into()),
        Presented::Basic { .. } | Presented::Unreadable => Err(Refusal::BadCredential.into()),
    }
}

pub(crate) fn request_id(parts: &Parts) -> Uuid {
    parts.extensions.get::<RequestId>().map_or(Uuid::nil(), |id| id.0)
}

type State = Arc<Server>;

/// Someone signed in.
#[derive(Debug)]
pub(crate) struct SignedIn(pub(crate) Person);

impl FromRequestParts<State> for SignedIn {
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, server: &State) -> Result<SignedIn, Denied> {
        let token = bearer(parts)?;
        let person = server.app.person(token.expose(), request_id(parts)).await?;
        let reads = matches!(parts.method, Method::GET | Method::HEAD);
        if person.read_only && !reads {
            return Err(Refusal::ReadOnly.into());
        }
        Ok(SignedIn(person))
    }
}

/// An administrator of the instance.
#[derive(Debug)]
pub(crate) struct Administrator(pub(crate) Person);

impl FromRequestParts<State> for Administrator {
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, server: &State) -> Result<Administrator, Denied> {
        let SignedIn(person) = SignedIn::from_request_parts(parts, server).await?;
        if person.user.administrator {
            Ok(Administrator(person))
        } else {
            Err(Refusal::Forbidden { needs: "administrator" }.into())
        }
    }
}

/// A runner.
#[derive(Debug)]
pub(crate) struct Runner(pub(crate) RunnerCaller);

impl FromRequestParts<State> for Runner {
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, server: &State) -> Result<Runner, Denied> {
        let token = bearer(parts)?;
        Ok(Runner(server.app.runner(token.expose(), request_id(parts)).await?))
    }
}

/// The holder of a live job token.
#[derive(Debug)]
pub(crate) struct TokenHolder(pub(crate) Holder);

impl FromRequestParts<State> for TokenHolder {
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, server: &State) -> Result<TokenHolder, Denied> {
        let token = bearer(parts)?;
        Ok(TokenHolder(server.app.holder(token.expose(), request_id(parts)).await?))
    }
}

/// A resource service, by Basic or by its secret as Bearer.
#[derive(Debug)]
pub(crate) struct Service(pub(crate) ServiceCaller);

impl FromRequestParts<State> for Service {
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, server: &State) -> Result<Service, Denied> {
        let id = request_id(parts);
        let caller = match presented(parts).map_err(Denied::UnclearCredential)? {
            Presented::Basic { user, password } => server.app.service(Some(&user), password.expose(), id).await?,
            Presented::Bearer(secret) => server.app.service(None, secret.expose(), id).await?,
            Presented::Nothing => return Err(Refusal::NoCredential.into()),
            Presented::Unreadable => return Err(Refusal::BadCredential.into()),
        };
        Ok(Service(caller))
    }
}

// ── What is in the path ──────────────────────────────────────────────────────────────────────────────

/// A parameter of the path, decoded once.
async fn path_parameter(parts: &mut Parts, server: &State, name: &str) -> Result<String, Denied> {
    let params = RawPathParams::from_request_parts(parts, server).await.map_err(|_| Refusal::NotFound)?;
    let value = params.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_owned());
    value.filter(|value| !value.contains('\0')).ok_or(Refusal::NotFound.into())
}

/// An id in the path. What is no id names nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Id<const LAST: bool = true>(pub(crate) Uuid);

/// The last parameter of the path, whatever its name.
impl FromRequestParts<State> for Id {
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, server: &State) -> Result<Id, Denied> {
        let params = RawPathParams::from_request_parts(parts, server).await.map_err(|_| Refusal::NotFound)?;
        let last = params.iter().last().and_then(|(_, value)| Uuid::try_parse(value).ok());
        last.map(Id).ok_or(Refusal::NotFound.into())
    }
}

/// The first parameter of the path, where two ids stand in it.
impl FromRequestParts<State> for Id<false> {
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, server: &State) -> Result<Id<false>, Denied> {
        let params = RawPathParams::from_request_parts(parts, server).await.map_err(|_| Refusal::NotFound)?;
        let first = params.iter().next().and_then(|(_, value)| Uuid::try_parse(value).ok());
        first.map(Id).ok_or(Refusal::NotFound.into())
    }
}

/// A user's name or id in the path.
#[derive(Debug)]
pub(crate) struct UserKey(pub(crate) String);

impl FromRequestParts<State> for UserKey {
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, server: &State) -> Result<UserKey, Denied> {
        path_parameter(parts, server, "user").await.map(UserKey)
    }
}

/// Someone who may see the project in the path; which role is needed is the use case's to say.
#[derive(Debug)]
pub(crate) struct SeesProject(pub(crate) ProjectAccess);

impl FromRequestParts<State> for SeesProject {
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, server: &State) -> Result<SeesProject, Denied> {
        let SignedIn(person) = SignedIn::from_request_parts(parts, server).await?;
        let key = path_parameter(parts, server, "project").await?;
        Ok(SeesProject(server.app.project(person, &key).await?))
    }
}

/// Someone who may see the group in the path; which role is needed is the use case's to say.
#[derive(Debug)]
pub(crate) struct SeesGroup(pub(crate) GroupAccess);

impl FromRequestParts<State> for SeesGroup {
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, server: &State) -> Result<SeesGroup, Denied> {
        let SignedIn(person) = SignedIn::from_request_parts(parts, server).await?;
        let key = path_parameter(parts, server, "group").await?;
        Ok(SeesGroup(server.app.group(person, &key).await?))
    }
}

macro_rules! with_role {
    ($($(#[$doc:meta])* $name:ident($access:ty) = $sees:ident needs $role:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub(crate) struct $name(pub(crate) $access);

        impl FromRequestParts<State> for $name {
            type Rejection = Denied;

            async fn from_request_parts(parts: &mut Parts, server: &State) -> Result<$name, Denied> {
                let $sees(access) = $sees::from_request_parts(parts, server).await?;
                Ok($name(access.require(Role::$role)?))
            }
        }
    )+};
}

with_role! {
    /// A member of any role of the project in the path.
    MemberOfProject(ProjectAccess) = SeesProject needs Guest;
    MaintainerOfProject(ProjectAccess) = SeesProject needs Maintainer;
    OwnerOfProject(ProjectAccess) = SeesProject needs Owner;
    MemberOfGroup(GroupAccess) = SeesGroup needs Guest;
    MaintainerOfGroup(GroupAccess) = SeesGroup needs Maintainer;
    OwnerOfGroup(GroupAccess) = SeesGroup needs Owner;
}

impl From<MaintainerOfProject> for GrantPlace {
    fn from(maintainer: MaintainerOfProject) -> GrantPlace {
        maintainer.0.into()
    }
}

impl From<MaintainerOfGroup> for GrantPlace {
    fn from(maintainer: MaintainerOfGroup) -> GrantPlace {
        maintainer.0.into()
    }
}

// ── What was sent ────────────────────────────────────────────────────────────────────────────────────

/// A JSON body, every fault in it told at its pointer; and the bytes as they came.
#[derive(Debug)]
pub(crate) struct Body<T, const LIMIT: usize = BODY_LIMIT> {
    pub(crate) value: T,
    pub(crate) raw: Bytes,
}

impl<T: DeserializeOwned, const LIMIT: usize> FromRequest<State> for Body<T, LIMIT> {
    type Rejection = Denied;

    async fn from_request(request: Request, _: &State) -> Result<Body<T, LIMIT>, Denied> {
        if !is_json(request.headers()) {
            return Err(Denied::NotJson);
        }
        no_query(&request)?;
        let raw = read(request, LIMIT).await?;
        let value = parse(&raw)?;
        Ok(Body { value, raw })
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

        no_query(&request)?;
        let raw = read(request, BODY_LIMIT).await?;
        if !raw.is_empty() {
            parse::<Nothing>(&raw)?;
        }
        Ok(NoBody)
    }
}

/// What is written takes no parameters: one that was overlooked, such as `dry_run`, would not be overlooked lightly.
fn no_query(request: &Request) -> Result<(), Denied> {
    let query = request.uri().query().unwrap_or_default();
    match form_urlencoded::parse(query.as_bytes()).next() {
        Some((name, _)) => Err(unknown_parameter(&name)),
        None => Ok(()),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let essence =
        |value: &str| value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json");
    let merge_patch = |value: &str| value.trim().eq_ignore_ascii_case("application/merge-patch+json");
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| essence(value) || merge_patch(value))
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
    let mut deserializer = serde_json::Deserializer::from_slice(raw);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| body_fault(&error, raw))?;
    deserializer.end().map_err(|error| Denied::MalformedJson(error.to_string()))?;
    // serde would fill a struct from a list, field by field.
    if !raw.trim_ascii_start().starts_with(b"{") {
        return Err(Refusal::invalid("", "wrong_type", "the body is an object").into());
    }
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

/// RFC 6901, section 3.
fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// `limit` and `after` of a list.
#[derive(Debug)]
pub(crate) struct Page(pub(crate) PageOf);

impl FromRequestParts<State> for Page {
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, _: &State) -> Result<Page, Denied> {
        Page::beside(parts, &[])
    }
}

impl Page {
    /// Where the handler reads further parameters itself.
    pub(crate) fn beside(parts: &Parts, others: &[&str]) -> Result<Page, Denied> {
        let mut page = PageOf { after: None, limit: DEFAULT_PAGE };
        for (name, value) in query(parts) {
            match name.as_str() {
                "after" => page.after = Some(checked_text("?after", value)?),
                "limit" => {
                    let number = value.parse().ok().filter(|limit| (1..=MAX_PAGE).contains(limit));
                    let fault = || Refusal::invalid("?limit", "out_of_range", format!("a number from 1 to {MAX_PAGE}"));
                    page.limit = number.ok_or_else(fault)?;
                }
                other if others.contains(&other) => {}
                _ => return Err(unknown_parameter(&name)),
            }
        }
        Ok(Page(page))
    }
}

/// The parameters of the query that a handler reads itself.
pub(crate) fn query(parts: &Parts) -> Vec<(String, String)> {
    form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).into_owned().collect()
}

pub(crate) fn unknown_parameter(name: &str) -> Denied {
    Refusal::invalid(format!("?{name}"), "unknown_parameter", "no such query parameter").into()
}

/// A text from the query that the database could take.
pub(crate) fn checked_text(pointer: &str, value: String) -> Result<String, Denied> {
    if value.len() > 512 || value.chars().any(char::is_control) {
        return Err(Refusal::invalid(pointer, "invalid", "at most 512 bytes, without control characters").into());
    }
    Ok(value)
}

/// The Idempotency-Key of a POST, with the credential that will seal its answer, and what the POST is on.
#[derive(Debug)]
pub(crate) struct IdempotencyKey(Option<(String, Secret, String)>);

impl IdempotencyKey {
    pub(crate) fn once(&self, operation: &'static str, raw: &[u8]) -> Option<Once> {
        self.0.as_ref().map(|(key, credential, path)| Once::new(operation, key, credential.expose(), path, raw))
    }
}

impl FromRequestParts<State> for IdempotencyKey {
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, _: &State) -> Result<IdempotencyKey, Denied> {
        let mut values = parts.headers.get_all("idempotency-key").iter();
        let Some(value) = values.next() else {
            return Ok(IdempotencyKey(None));
        };
        if values.next().is_some() {
            return Err(Denied::BadRequest("more than one Idempotency-Key"));
        }
        // A structured-field string, or the bare text.
        let text = value.to_str().ok().map(|text| text.trim().trim_matches('"').to_owned());
        let key = text
            .filter(|key| (1..=255).contains(&key.len()))
            .ok_or(Denied::BadRequest("an Idempotency-Key has 1 to 255 visible characters"))?;
        Ok(IdempotencyKey(Some((key, bearer(parts)?, parts.uri.path().to_owned()))))
    }
}
