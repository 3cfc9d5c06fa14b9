//! What a resource service does: asks what a presented token may do.

use crate::exchange::{Answer, Dialect, send};
use crate::feed::Followed;
use crate::{Ask, Client, Error, Secret};
use http::{HeaderValue, Method};
use jobpass_api::{Decision, DecisionOrProblem, Decisions, Introspection, MAX_QUESTIONS, Question};
use serde::Serialize;
use serde_json::json;
use std::sync::Arc;
use std::time::Instant;

/// A resource service. A question that got no answer is an [`Error`], and every error means: refuse.
#[derive(Clone, Debug)]
pub struct ResourceService {
    client: Client,
    basic: HeaderValue,
    followed: Option<Arc<Followed>>,
}

impl ResourceService {
    pub(crate) fn new(client: Client, basic: HeaderValue) -> ResourceService {
        ResourceService { client, basic, followed: None }
    }

    /// From now on up to so many decisions are kept in memory by this and all its clones, for as long as Jobpass vouches for them: a task in
    /// the background hears what is revoked and changed, and all is forgotten the moment that it hears nothing in time.
    /// To be called once, in a tokio runtime.
    #[must_use]
    pub fn keeping(self, most: usize) -> ResourceService {
        let followed = Followed::new(self.client.clone(), self.basic.clone(), most);
        ResourceService { followed: Some(Arc::new(followed)), ..self }
    }

    /// May this token do all that is asked? A token that is dead or unknown is a decision with `allowed: false`.
    pub async fn authorize(&self, token: &Secret, ask: &Ask) -> Result<Decision, Error> {
        let Some(memory) = self.followed.as_ref().map(|followed| &followed.memory) else {
            return self.ask(token, ask, false).await;
        };
        let (key, asked_at) = (ask.key(token), Instant::now());
        if let Some(known) = memory.get(&key, asked_at) {
            return Ok(known);
        }
        let mut decision = self.ask(token, ask, memory.is_vouched_for(asked_at)).await?;
        if let Some(keep) = decision.keep.take() {
            memory.put(key, &decision, *keep, asked_at);
        }
        Ok(decision)
    }

    async fn ask(&self, token: &Secret, ask: &Ask, keep: bool) -> Result<Decision, Error> {
        let answer = self.post_question(&ask.of(token, keep)).await?;
        let decision: Decision = answer.json()?;
        check(&answer, &decision)?;
        Ok(decision)
    }

    /// The decisions come in the order of the questions, none of them from memory; more than 100 take several calls.
    pub async fn authorize_many(&self, asked: &[(&Secret, &Ask)]) -> Result<Vec<DecisionOrProblem>, Error> {
        let mut decisions = Vec::with_capacity(asked.len());
        for some in asked.chunks(MAX_QUESTIONS) {
            decisions.extend(self.authorize_some(some).await?);
        }
        Ok(decisions)
    }

    /// RFC 7662. With neither `project` nor a project of the service's own the scope is empty. `permissions`,
    /// separated by spaces, are recorded as used.
    pub async fn introspect(
        &self,
        token: &Secret,
        project: Option<&str>,
        permissions: Option<&str>,
    ) -> Result<Introspection, Error> {
        let form = [("token", Some(token.expose())), ("project", project), ("permission", permissions)];
        let given: Vec<_> = form.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        let request = self.client.request(Method::POST, &["oauth", "introspect"], &self.basic).form(&given);
        let answer = send(request, Dialect::OAuth).await?;
        let introspection: Introspection = answer.json()?;
        if introspection.active && introspection.token.is_none() {
            return Err(answer.unexpected("active, without the facts of the token"));
        }
        Ok(introspection)
    }

    async fn authorize_some(&self, asked: &[(&Secret, &Ask)]) -> Result<Vec<DecisionOrProblem>, Error> {
        let questions: Vec<Question> = asked.iter().map(|(token, ask)| ask.of(token, false)).collect();
        let answer = self.post_question(&json!({ "questions": questions })).await?;
        let Decisions { decisions } = answer.json()?;
        if decisions.len() != asked.len() {
            return Err(answer.unexpected("not one decision for each question"));
        }
        for decision in &decisions {
            if let DecisionOrProblem::Decision(decision) = decision {
                check(&answer, decision)?;
            }
        }
        Ok(decisions)
    }

    async fn post_question(&self, body: &impl Serialize) -> Result<Answer, Error> {
        let request = self.client.request(Method::POST, &["v1", "authorize"], &self.basic).json(body);
        send(request, Dialect::Rest).await
    }
}

/// An answer that contradicts itself did not come from the decision function, and opens nothing.
fn check(answer: &Answer, decision: &Decision) -> Result<(), Error> {
    if decision.allowed && !decision.missing.is_empty() {
        return Err(answer.unexpected("allowed, with permissions missing"));
    }
    Ok(())
}
