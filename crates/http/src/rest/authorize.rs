//! The decision endpoint.

use crate::extract::{BODY_LIMIT, JsonText, Service, fault_at, parse};
use crate::problem::{Denied, field_error};
use crate::render;
use crate::server::{Api, Server};
use axum::body::Bytes;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use jobpass_api::{Decision, DecisionOrProblem, Decisions, MAX_QUESTIONS, Question, Questions, RefusedQuestion};
use jobpass_app::{Ask, AskedRoute, Refusal, ServiceCaller};
use jobpass_domain::Secret;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

/// One question, or many under `questions`; utoipa knows the two by name.
#[derive(utoipa::ToSchema)]
#[schema(as = AuthorizeRequest)]
#[allow(dead_code, reason = "a description for OpenAPI, never built")]
#[derive(serde::Serialize)]
#[serde(untagged)]
pub(crate) enum OneOrMany {
    One(Question),
    Many(Questions),
}

#[derive(utoipa::ToSchema)]
#[schema(as = AuthorizeResponse)]
#[allow(dead_code, reason = "a description for OpenAPI, never built")]
#[derive(serde::Serialize)]
#[serde(untagged)]
pub(crate) enum OneOrManyAnswers {
    One(Decision),
    Many(Decisions),
}

/// May this token do all of this to that? One question, or up to 100 (services)
#[utoipa::path(post, path = "/v1/authorize", tag = "decisions", request_body = OneOrMany,
    responses((status = 200, body = OneOrManyAnswers)))]
pub(crate) async fn authorize(api: Api, by: Service, body: JsonText<{ 8 * BODY_LIMIT }>) -> Result<Response, Denied> {
    let (server, service, text) = (&*api, &by.0, &*body.0);
    let Some(questions) = batch(text) else { return alone(server, service, text).await };
    if questions.is_empty() || questions.len() > MAX_QUESTIONS {
        let detail = format!("{} questions; 1 to {MAX_QUESTIONS}", questions.len());
        return Err(Refusal::invalid("/questions", "out_of_range", detail).into());
    }
    let mut decisions = Vec::with_capacity(questions.len());
    for question in questions {
        decisions.push(in_batch(server, service, question).await?);
    }
    Ok(json(all(&decisions)))
}

/// One question, or a batch that is none.
async fn alone(api: &Server, by: &ServiceCaller, text: &[u8]) -> Result<Response, Denied> {
    if let Some(known) = api.app.known_decision(by, text) {
        return Ok(json(known));
    }
    let value: Value = parse(text)?;
    if value.get("questions").is_some() {
        let twice = || Refusal::invalid("/questions", "duplicate_field", "duplicate field `questions`");
        return Err(read::<Questions>(value).err().unwrap_or_else(twice).into());
    }
    if text.len() > BODY_LIMIT {
        return Err(Denied::TooLarge { limit: BODY_LIMIT });
    }
    Ok(json(one(api, by, text, parse(text)?).await?))
}

/// The questions of a well-formed batch, each as it was written.
fn batch(text: &[u8]) -> Option<Vec<&RawValue>> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Batch<'a> {
        #[serde(borrow)]
        questions: Vec<&'a RawValue>,
    }

    // serde would fill it from a list, too.
    let is_object = text.trim_ascii_start().starts_with(b"{");
    is_object.then(|| serde_json::from_slice::<Batch<'_>>(text).ok())?.map(|batch| batch.questions)
}

/// Answers to all of a batch, each of which is rendered ([`Decisions`]).
fn all(decisions: &[Bytes]) -> Bytes {
    let length = decisions.iter().map(|decision| decision.len() + 1).sum::<usize>();
    let mut body = Vec::with_capacity(length + 32);
    body.extend_from_slice(br#"{"decisions":["#);
    for (index, decision) in decisions.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        body.extend_from_slice(decision);
    }
    body.extend_from_slice(b"]}");
    body.into()
}

fn json(body: Bytes) -> Response {
    ([(CONTENT_TYPE, "application/json")], body).into_response()
}

async fn one(api: &Server, by: &ServiceCaller, words: &[u8], question: Question) -> Result<Bytes, Refusal> {
    let (permissions, route) = asked(question.permissions, question.method, question.path)?;
    let ask = Ask {
        token: Secret::new(question.token.expose().to_owned()),
        project: question.project.map(String::from),
        permissions,
        route,
        resource_name: question.resource_name.map(String::from),
        resource_names: question.resource_names.into_iter().map(|(resource, name)| (resource, name.into())).collect(),
        keep: question.keep,
    };
    api.app.authorize_in_words(by, words, &ask, |answer| rendered(&render::decision(answer))).await
}

fn rendered(answer: &impl Serialize) -> Result<Bytes, Refusal> {
    let body = serde_json::to_vec(answer).map_err(|error| Refusal::Internal(error.to_string()))?;
    Ok(body.into())
}

/// By permissions, or by method and path: exactly one of the two ways.
fn asked(
    permissions: Option<Vec<String>>,
    method: Option<String>,
    path: Option<String>,
) -> Result<(Vec<String>, Option<AskedRoute>), Refusal> {
    let required = |pointer| Refusal::invalid(pointer, "required", "name permissions, or a method and a path");
    match (permissions, method, path) {
        (Some(permissions), None, None) => Ok((permissions, None)),
        (None, Some(method), Some(path)) => Ok((vec![], Some(AskedRoute { method, path }))),
        (Some(_), _, _) => {
            Err(Refusal::invalid("/permissions", "not_both", "name permissions, or a method and a path, not both"))
        }
        (None, None, None) => Err(required("/permissions")),
        (None, None, Some(_)) => Err(required("/method")),
        (None, Some(_), None) => Err(required("/path")),
    }
}

/// What is wrong with one question of many is said in its place; what is wrong with all of them ends the call.
async fn in_batch(api: &Server, by: &ServiceCaller, question: &RawValue) -> Result<Bytes, Denied> {
    let words = question.get();
    if let Some(known) = api.app.known_decision(by, words.as_bytes()) {
        return Ok(known);
    }
    let value = serde_json::from_str(words).map_err(|error| Denied::MalformedJson(error.to_string()))?;
    let answer = match read(value) {
        Ok(question) => one(api, by, words.as_bytes(), question).await,
        Err(refusal) => Err(refusal),
    };
    match answer {
        Err(Refusal::Invalid(faults)) => Ok(rendered(&DecisionOrProblem::Problem(RefusedQuestion {
            allowed: false,
            reason: "invalid".to_owned(),
            errors: faults.iter().map(field_error).collect(),
        }))?),
        other => Ok(other?),
    }
}

fn read<T: DeserializeOwned>(value: Value) -> Result<T, Refusal> {
    if !value.is_object() {
        return Err(Refusal::invalid("", "wrong_type", "a question is an object"));
    }
    serde_path_to_error::deserialize(value).map_err(|error| fault_at(error.path(), &error.inner().to_string()))
}
