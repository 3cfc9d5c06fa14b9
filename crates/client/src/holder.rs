//! What a job does with its own token: looks at it, hands on less of it, gives it up.

use crate::exchange::{Dialect, send, send_repeatable};
use crate::runner::IDEMPOTENCY_KEY;
use crate::{Client, Error, JobToken};
use http::{HeaderValue, Method};
use jobpass_api::{JobTokenInfo, JobTokenSelf, Narrowing, SelfInProject};
use reqwest::RequestBuilder;
use uuid::Uuid;

/// The holder of a job token, which opens nothing else of Jobpass.
#[derive(Clone, Debug)]
pub struct Holder {
    client: Client,
    bearer: HeaderValue,
}

impl Holder {
    pub(crate) fn new(client: Client, bearer: HeaderValue) -> Holder {
        Holder { client, bearer }
    }

    /// A child token with at most this one's permissions, life and audience, for a step that needs less.
    pub async fn narrow(&self, narrowing: &Narrowing) -> Result<JobToken, Error> {
        let request = self
            .client
            .request(Method::POST, &["v1", "job-tokens", "narrow"], &self.bearer)
            .header(IDEMPOTENCY_KEY, Uuid::new_v4().to_string())
            .json(narrowing);
        let minted: jobpass_api::JobToken = send_repeatable(request, Dialect::Rest).await?.json()?;
        Ok(minted.into())
    }

    pub async fn whoami(&self) -> Result<JobTokenInfo, Error> {
        let answer = send_repeatable(self.on_self(Method::GET), Dialect::Rest).await?;
        answer.json().map(|JobTokenSelf { token, .. }| token)
    }

    /// What the token may do in a project, named by path or id, and why not what else is asked for.
    pub async fn access_to(&self, project: &str, permissions: &[&str]) -> Result<SelfInProject, Error> {
        let permissions = permissions.join(" ");
        let request = self.on_self(Method::GET);
        let request = request.query(&[("project", project), ("permission", &permissions)]);
        let answer = send_repeatable(request, Dialect::Rest).await?;
        let JobTokenSelf { access, .. } = answer.json()?;
        access.ok_or_else(|| answer.unexpected("nothing about the project that was asked"))
    }

    /// Revokes the token, with all that was narrowed from it.
    pub async fn give_up(self) -> Result<(), Error> {
        // Not repeated: the first may have worked, and then the second is refused.
        send(self.on_self(Method::DELETE), Dialect::Rest).await.map(drop)
    }

    fn on_self(&self, method: Method) -> RequestBuilder {
        self.client.request(method, &["v1", "job-tokens", "self"], &self.bearer)
    }
}
