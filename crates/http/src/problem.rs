//! The error table of `/v1`: what each refusal is called, its status, and what people read (RFC 9457). The
//! request's id comes in where the answer leaves, in `request.rs`; that of `/oauth` is in `oauth/denied.rs`.

use crate::render;
use axum::response::{IntoResponse, Response};
use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use jobpass_api::{FieldError, Impact, Problem};
use jobpass_app::{Conflict, Fault, Refusal};
use jobpass_domain::token;
use std::sync::Arc;
use uuid::Uuid;

/// The id of a request: in the log, in the audit event, in the header and in a problem.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestId(pub(crate) Uuid);

/// Why a request is not answered: a use case's refusal, or what HTTP itself refuses.
#[derive(Debug)]
pub(crate) enum Denied {
    Refused(Refusal),
    MalformedJson(String),
    /// A header that is no text, or comes twice.
    BadRequest(&'static str),
    /// More than one credential, or a token in the query.
    UnclearCredential(&'static str),
    NoRoute,
    MethodNotAllowed,
    TooLarge {
        limit: usize,
    },
    NotJson,
    NotYaml,
    TooManyFailures,
}

impl<R: Into<Refusal>> From<R> for Denied {
    fn from(refusal: R) -> Denied {
        Denied::Refused(refusal.into())
    }
}

/// A row of the table.
struct Row {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    detail: Option<String>,
}

fn row(status: StatusCode, code: &'static str, title: &'static str) -> Row {
    Row { status, code, title, detail: None }
}

impl Row {
    fn detail(self, detail: impl Into<String>) -> Row {
        Row { detail: Some(detail.into()), ..self }
    }
}

/// The table.
fn table(denied: &Denied) -> Row {
    use StatusCode as S;
    match denied {
        Denied::Refused(refusal) => refusal_row(refusal),
        Denied::MalformedJson(detail) => row(S::BAD_REQUEST, "malformed_json", "The body is not JSON").detail(detail),
        Denied::BadRequest(detail) | Denied::UnclearCredential(detail) => {
            row(S::BAD_REQUEST, "bad_request", "The request is not well-formed").detail(*detail)
        }
        Denied::NoRoute => row(S::NOT_FOUND, "not_found", "Not found"),
        Denied::MethodNotAllowed => row(S::METHOD_NOT_ALLOWED, "method_not_allowed", "Not a method of this resource"),
        Denied::TooLarge { limit } => {
            row(S::PAYLOAD_TOO_LARGE, "too_large", "The body is too large").detail(format!("at most {limit} bytes"))
        }
        Denied::NotJson => row(S::UNSUPPORTED_MEDIA_TYPE, "not_json", "The body must be application/json")
            .detail("in UTF-8, and in no other charset"),
        Denied::NotYaml => row(S::UNSUPPORTED_MEDIA_TYPE, "not_yaml", "The body must be application/yaml")
            .detail("in UTF-8, and in no other charset"),
        Denied::TooManyFailures => row(
            S::TOO_MANY_REQUESTS,
            "too_many_failures",
            "Too many failed attempts from this address, or in the name of this client",
        ),
    }
}

fn refusal_row(refusal: &Refusal) -> Row {
    use StatusCode as S;
    match refusal {
        Refusal::Unavailable(_) => row(S::SERVICE_UNAVAILABLE, "unavailable", "The database is away; try again"),
        Refusal::Internal(_) => {
            row(S::INTERNAL_SERVER_ERROR, "internal", "Something is wrong here; the request id finds it in the log")
        }
        Refusal::NoCredential => row(S::UNAUTHORIZED, "no_credential", "A credential is needed"),
        Refusal::BadCredential => {
            row(S::UNAUTHORIZED, "bad_credential", "The credential is unknown, expired or revoked")
        }
        Refusal::BadAssertion(why) => {
            row(S::UNAUTHORIZED, "bad_assertion", "The assertion is not taken").detail(format!("the assertion {why}"))
        }
        Refusal::BadIdToken(why) => row(S::UNAUTHORIZED, "bad_id_token", "The ID token is not taken").detail(why),
        Refusal::WrongCaller { needs } => row(S::FORBIDDEN, "wrong_caller", "Another kind of caller is needed here")
            .detail(format!("this is for {needs}")),
        Refusal::ReadOnly => row(S::FORBIDDEN, "read_only", "This token may only read"),
        Refusal::NotFound => row(S::NOT_FOUND, "not_found", "Not found"),
        Refusal::Forbidden { needs } => {
            row(S::FORBIDDEN, "forbidden", "Your role does not allow this").detail(format!("needs: {needs}"))
        }
        Refusal::TopLevel => row(S::FORBIDDEN, "forbidden", "Your role does not allow this").detail(
            "needs: administrator; groups at the top are made, renamed and moved there by administrators alone",
        ),
        Refusal::RunnerNotProtected => row(
            S::FORBIDDEN,
            "runner_not_protected",
            "Only a protected runner or trust rule gets tokens for protected refs",
        ),
        Refusal::ProtectedEnvironment => {
            row(S::FORBIDDEN, "protected_environment", "A protected environment is for jobs on protected refs only")
        }
        Refusal::Invalid(_) => row(S::UNPROCESSABLE_ENTITY, "invalid", "Some values cannot be"),
        Refusal::Conflict(conflict) => conflict_row(conflict),
        Refusal::PreconditionRequired => {
            row(S::PRECONDITION_REQUIRED, "precondition_required", "If-Match is required here")
                .detail("send the ETag that you last saw, so that nobody's change is lost")
        }
        Refusal::PreconditionFailed => {
            row(S::PRECONDITION_FAILED, "precondition_failed", "It has changed since you saw it")
                .detail("read it again, and decide anew")
        }
        Refusal::KeyReused => {
            row(S::UNPROCESSABLE_ENTITY, "idempotency_key_reused", "This Idempotency-Key was used for another request")
        }
    }
}

/// What stands in the way, in words that repeat nothing of the request.
pub(crate) fn title(conflict: &Conflict) -> &'static str {
    conflict_row(conflict).title
}

fn conflict_row(conflict: &Conflict) -> Row {
    let row = |code, title| row(StatusCode::CONFLICT, code, title);
    match conflict {
        Conflict::PathTaken => row("path_taken", "Something else has this path"),
        Conflict::PathRetired => row("path_retired", "This path was deleted or renamed away")
            .detail("only an administrator may take it again"),
        Conflict::NameTaken => row("name_taken", "Something else has this name"),
        Conflict::GroupNotEmpty => {
            row("group_not_empty", "The group is not empty").detail("move or delete what lies under it first")
        }
        Conflict::GroupCycle => row("group_cycle", "A group cannot lie inside itself"),
        Conflict::ModeBelowFloor => row("mode_below_floor", "The mode lies below a floor set above the project"),
        Conflict::WouldBreak(_) => row("would_break", "Uses that were seen would be refused")
            .detail("grant what is needed first, or send confirm=true to do it all the same"),
        Conflict::FactsDiffer(_) => row("facts_differ", "A fact was stated otherwise before; facts never change"),
        Conflict::JobOver(over) => row("job_over", "The job is over").detail(over.to_string()),
        Conflict::JobOfOtherRunner => row("job_of_other_runner", "The job belongs to the credential that opened it"),
        Conflict::RunnerPaused => row("runner_paused", "The runner is paused"),
        Conflict::TrustRulePaused => row("trust_rule_paused", "The trust rule is paused"),
        Conflict::TooManyTokens { limit } => {
            row("too_many_tokens", "The job has too many live tokens").detail(format!("at most {limit}"))
        }
        Conflict::TooManyNarrowed { limit } => {
            row("too_many_narrowed", "Too many live tokens were narrowed from this one")
                .detail(format!("at most {limit}"))
        }
        Conflict::TwoLiveSecrets => row("two_live_secrets", "There are two live secrets already")
            .detail("delete the one that is no longer used first"),
        Conflict::TooManyStreams { limit } => row("too_many_streams", "The service has too many streams open")
            .detail(format!("at most {limit} on one replica")),
        Conflict::TooManyTrustRules { limit } => {
            row("too_many_trust_rules", "The project has too many trust rules").detail(format!("at most {limit}"))
        }
        Conflict::TooManyAccessTokens { limit } => {
            row("too_many_access_tokens", "The runner has too many live access tokens")
                .detail(format!("at most {limit}"))
        }
        Conflict::TooManyGrants { limit, count } => {
            row("too_many_grants", "Too many grants here").detail(format!("{count}; at most {limit}"))
        }
        Conflict::NoFreeSlot => row("no_free_slot", "No more resource types fit"),
        Conflict::RouteTableBuiltIn => {
            row("built_in", "The table `gitlab` is built in").detail("describe routes of your own under another name")
        }
        Conflict::RouteTableInUse => {
            row("in_use", "A service names this table").detail("give that service another `route_table` first")
        }
        Conflict::RequestInFlight => row("request_in_flight", "A request with this Idempotency-Key is under way"),
        Conflict::SealedByOtherCredential => {
            row("sealed", "The answer was sealed under another credential of yours").detail("use a new Idempotency-Key")
        }
        Conflict::ReplayedTokenDead => row("job_over", "The token of the first answer is no longer live"),
    }
}

impl Denied {
    fn faults(&self) -> Vec<FieldError> {
        match self {
            Denied::Refused(Refusal::Invalid(faults)) => faults.iter().map(field_error).collect(),
            Denied::Refused(Refusal::Conflict(Conflict::FactsDiffer(pointer))) => {
                vec![field_error(&Fault::new(pointer, "facts_differ", "differs from the first mint"))]
            }
            _ => vec![],
        }
    }

    fn missing(&self) -> Vec<String> {
        match self {
            Denied::Refused(Refusal::Forbidden { needs }) => vec![(*needs).to_owned()],
            Denied::Refused(Refusal::TopLevel) => vec!["administrator".to_owned()],
            _ => vec![],
        }
    }

    fn impact(&self) -> Option<Impact> {
        match self {
            Denied::Refused(Refusal::Conflict(Conflict::WouldBreak(forecast))) => Some(render::impact(forecast)),
            _ => None,
        }
    }

    /// RFC 6750, section 3: no error code where no credential came.
    fn challenge(&self) -> Option<&'static str> {
        match self {
            Denied::Refused(Refusal::NoCredential) => Some("Bearer realm=\"jobpass\""),
            Denied::UnclearCredential(_) => Some("Bearer realm=\"jobpass\", error=\"invalid_request\""),
            Denied::Refused(Refusal::BadCredential | Refusal::BadAssertion(_)) => {
                Some("Bearer realm=\"jobpass\", error=\"invalid_token\"")
            }
            Denied::Refused(Refusal::WrongCaller { .. } | Refusal::ReadOnly) => {
                Some("Bearer realm=\"jobpass\", error=\"insufficient_scope\"")
            }
            _ => None,
        }
    }

    /// What went wrong inside, for the log alone.
    fn internal_text(&self) -> Option<&str> {
        match self {
            Denied::Refused(Refusal::Internal(text) | Refusal::Unavailable(text)) => Some(text),
            _ => None,
        }
    }
}

/// Both pointer and detail repeat what the caller wrote, and that may be a token in the wrong place.
pub(crate) fn field_error(fault: &Fault) -> FieldError {
    FieldError {
        pointer: token::hide(&fault.pointer).into_owned(),
        code: fault.code.to_owned(),
        detail: token::hide(&fault.detail).into_owned(),
    }
}

/// What waits in a response's extensions for its request id.
#[derive(Clone, Debug)]
pub(crate) struct Pending(pub(crate) Arc<Problem>);

/// What went wrong inside, in a response's extensions: for the log alone.
#[derive(Clone, Debug)]
pub(crate) struct Internal(pub(crate) Arc<str>);

impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        let Row { status, code, title, detail } = table(&self);
        let problem = Problem {
            r#type: format!("urn:jobpass:problem:{code}"),
            code: code.to_owned(),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: detail.map(|detail| token::hide(&detail).into_owned()),
            request_id: Uuid::nil(),
            errors: self.faults(),
            missing: self.missing(),
            impact: self.impact(),
        };
        let mut response = status.into_response();
        let headers = response.headers_mut();
        if let Some(challenge) = self.challenge() {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        let extensions = response.extensions_mut();
        extensions.insert(Pending(Arc::new(problem)));
        if let Some(text) = self.internal_text() {
            extensions.insert(Internal(text.into()));
        }
        response
    }
}
