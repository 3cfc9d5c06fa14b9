//! What a runner does: gets a token for each job, keeps the job's lease alive, and ends it.

use crate::credential::Credential;
use crate::exchange::{Dialect, send_repeatable};
use crate::{Client, Error, Misconfigured, Secret};
use http::{HeaderValue, Method};
use jobpass_api::{JobInfo, NewJobToken, PipelineInfo};
use jobpass_domain::ids::{JobId, JobTokenId, PipelineId, ProjectId};
use serde::de::DeserializeOwned;
use std::time::Duration;
use time::OffsetDateTime;
use uuid::Uuid;

pub(crate) const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// A runner; every call of it is safe to repeat, and is repeated once when the connection breaks.
#[derive(Clone, Debug)]
pub struct Runner {
    client: Client,
    bearer: HeaderValue,
    basic: HeaderValue,
}

/// A token as it was minted; this is the only time that it is told.
#[derive(Debug)]
pub struct JobToken {
    pub token: Secret,
    pub id: JobTokenId,
    pub project_id: ProjectId,
    pub pipeline_id: PipelineId,
    pub job_id: JobId,
    /// The cap; `None`: no cap.
    pub permissions: Option<Vec<String>>,
    /// What it is confined to, project by project (RFC 9396); `None`: the same everywhere.
    pub authorization_details: Option<Vec<jobpass_api::AuthorizationDetail>>,
    pub expires_at: OffsetDateTime,
}

impl Runner {
    pub(crate) fn new(client: Client, id: &str, credential: &Credential) -> Result<Runner, Misconfigured> {
        Ok(Runner { client, bearer: credential.bearer()?, basic: credential.basic(id)? })
    }

    /// Opens the job at its first token; a later one for the same job must state the same facts.
    pub async fn mint(&self, wanted: &NewJobToken) -> Result<JobToken, Error> {
        let request = self
            .client
            .request(Method::POST, &["v1", "job-tokens"], &self.bearer)
            .header(IDEMPOTENCY_KEY, Uuid::new_v4().to_string())
            .json(wanted);
        let minted: jobpass_api::JobToken = send_repeatable(request, Dialect::Rest).await?.json()?;
        Ok(minted.into())
    }

    /// Renews the lease of a job that was opened with one.
    pub async fn heartbeat(&self, job: JobId) -> Result<JobInfo, Error> {
        self.post(&["v1", "jobs", &job.to_string(), "heartbeat"]).await
    }

    /// Sends a heartbeat every `period` and comes back only with the reason why no further one can help: the
    /// job is over. Run it beside the job, in a `select!`. While Jobpass is away it keeps trying.
    pub async fn keep_alive(&self, job: JobId, period: Duration) -> Error {
        loop {
            match self.heartbeat(job).await {
                Err(error) if !error.is_retryable() => return error,
                _ => tokio::time::sleep(period).await,
            }
        }
    }

    /// Ends the job; its tokens are dead when this returns.
    pub async fn finish_job(&self, job: JobId) -> Result<JobInfo, Error> {
        self.post(&["v1", "jobs", &job.to_string(), "finish"]).await
    }

    /// Ends the jobs that the pipeline run has now and that are this runner's.
    pub async fn finish_pipeline(&self, pipeline: PipelineId) -> Result<PipelineInfo, Error> {
        self.post(&["v1", "pipelines", &pipeline.to_string(), "finish"]).await
    }

    /// Revokes a token that this runner minted, with all that was narrowed from it (RFC 7009). A token that is
    /// unknown, or another's, is no error.
    pub async fn revoke(&self, token: &Secret) -> Result<(), Error> {
        let request =
            self.client.request(Method::POST, &["oauth", "revoke"], &self.basic).form(&[("token", token.expose())]);
        send_repeatable(request, Dialect::OAuth).await.map(drop)
    }

    async fn post<T: DeserializeOwned>(&self, segments: &[&str]) -> Result<T, Error> {
        let request = self.client.request(Method::POST, segments, &self.bearer);
        send_repeatable(request, Dialect::Rest).await?.json()
    }
}

impl From<jobpass_api::JobToken> for JobToken {
    fn from(minted: jobpass_api::JobToken) -> JobToken {
        let jobpass_api::JobToken {
            token,
            id,
            project_id,
            pipeline_id,
            job_id,
            permissions,
            authorization_details,
            expires_at,
        } = minted;
        JobToken {
            token: Secret::new(token.expose().to_owned()),
            id: JobTokenId(id),
            project_id: ProjectId(project_id),
            pipeline_id: PipelineId(pipeline_id),
            job_id: JobId(job_id),
            permissions,
            authorization_details,
            expires_at,
        }
    }
}
