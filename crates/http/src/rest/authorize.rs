//! The decision endpoint.

use crate::extract::{Body, Service, fault_at, parse};
use crate::problem::{Denied, field_error};
use crate::render;
use crate::server::{Api, Server};
use axum::Json;
use axum::response::{IntoResponse, Response};
use jobpass_api::{Decision, DecisionOrProblem, Decisions, MAX_QUESTIONS, Question, Questions, RefusedQuestion};
use jobpass_app::{Ask, AskedRoute, Refusal, ServiceCaller};
use jobpass_domain::Secret;
use serde::de::DeserializeOwned;
use serde_json::Value;

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
pub(crate) async fn authorize(api: Api, by: Service, body: Body<Value, { 8 * 64 * 1024 }>) -> Result<Response, Denied> {
    if body.value.get("questions").is_none() {
        if body.raw.len() > crate::extract::BODY_LIMIT {
            return Err(Denied::TooLarge { limit: crate::extract::BODY_LIMIT });
        }
        let answer = one(&api, &by.0, parse(&body.raw)?).await?;
        return Ok(Json(answer).into_response());
    }
    let questions = read::<Questions>(body.value)?.questions;
    if questions.is_empty() || questions.len() > MAX_QUESTIONS {
        let detail = format!("{} questions; 1 to {MAX_QUESTIONS}", questions.len());
        return Err(Refusal::invalid("/questions", "out_of_range", detail).into());
    }
    let mut decisions = Vec::with_capacity(questions.len());
    for question in questions {
        decisions.push(in_batch(&api, &by.0, question).await?);
    }
    Ok(Json(Decisions { decisions }).into_response())
}

async fn one(api: &Server, by: &ServiceCaller, question: Question) -> Result<Decision, Refusal> {
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
    Ok(render::decision(&api.app.authorize(by, &ask).await?))
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
async fn in_batch(api: &Server, by: &ServiceCaller, question: Value) -> Result<DecisionOrProblem, Denied> {
    let answer = match read(question) {
        Ok(question) => one(api, by, question).await,
        Err(refusal) => Err(refusal),
    };
    match answer {
        Ok(decision) => Ok(DecisionOrProblem::Decision(decision)),
        Err(Refusal::Invalid(faults)) => Ok(DecisionOrProblem::Problem(RefusedQuestion {
            allowed: false,
            reason: "invalid".to_owned(),
            errors: faults.iter().map(field_error).collect(),
        })),
        Err(other) => Err(other.into()),
    }
}

fn read<T: DeserializeOwned>(value: Value) -> Result<T, Refusal> {
    if !value.is_object() {
        return Err(Refusal::invalid("", "wrong_type", "a question is an object"));
    }
    serde_path_to_error::deserialize(value).map_err(|error| fault_at(error.path(), &error.inner().to_string()))
}
