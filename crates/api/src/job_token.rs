//! Job tokens, from their mint to their end.

use crate::registry::wire;
use crate::{AuthorizationDetail, SecretText};
use jobpass_domain::pipeline::Trigger;
use jobpass_domain::refs::RefType;
use jobpass_domain::text::{AudienceUri, Label};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

wire! {
    request struct NewJobToken {
        /// Path or id.
        #[cfg_attr(feature = "openapi", schema(value_type = String, example = "acme/web"))]
        project: Label,
        #[serde(deserialize_with = "crate::object")]
        pipeline: Pipeline,
        #[serde(deserialize_with = "crate::object")]
        job: Job,
        /// At most this; null or absent: no cap; empty: nothing.
        #[serde(default)]
        permissions: Option<Vec<String>>,
        /// One to eight absolute URIs (RFC 8707); null or absent: any service.
        #[serde(default)]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<String>>))]
        audience: Option<Vec<AudienceUri>>,
    }

    /// A pipeline run; its facts never change after its first mint.
    request struct Pipeline {
        /// The CI's own key, unique in the project.
        #[cfg_attr(feature = "openapi", schema(value_type = String, example = "4711"))]
        key: Label,
        #[cfg_attr(feature = "openapi", schema(value_type = String, example = "main"))]
        r#ref: Label,
        ref_type: RefType,
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        sha: Label,
        trigger: Trigger,
        /// A user's name or id.
        #[serde(default)]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
        actor: Option<Label>,
        /// Must be said when the trigger is `merge_request`.
        #[serde(default)]
        from_fork: Option<bool>,
        #[serde(default)]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
        fork_source: Option<Label>,
    }

    /// A job; its facts never change after its first mint.
    request struct Job {
        /// The CI's own key, unique in the pipeline.
        #[cfg_attr(feature = "openapi", schema(value_type = String, example = "4711/build"))]
        key: Label,
        #[cfg_attr(feature = "openapi", schema(value_type = String, example = "build"))]
        name: Label,
        #[serde(default)]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
        environment: Option<Label>,
        /// Seconds from the first mint to the job's deadline.
        timeout_secs: u32,
        /// Seconds that a heartbeat lasts; null or absent: the job sends none.
        #[serde(default)]
        lease_secs: Option<u32>,
    }

    /// The token is shown once, here.
    response struct JobToken {
        token: SecretText,
        id: Uuid,
        project_id: Uuid,
        pipeline_id: Uuid,
        job_id: Uuid,
        permissions: Option<Vec<String>>,
        /// At most this, project by project; absent: the same everywhere.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        authorization_details: Option<Vec<AuthorizationDetail>>,
        #[serde(with = "time::serde::rfc3339")]
        expires_at: OffsetDateTime,
    }

    /// RFC 9396, section 2: at most these permissions in this project, and in projects that are not named nothing.
    request struct RequestedDetail {
        /// `jobpass_project`
        #[cfg_attr(feature = "openapi", schema(value_type = String, example = "jobpass_project"))]
        r#type: DetailType,
        /// Path or id.
        #[cfg_attr(feature = "openapi", schema(value_type = String, example = "acme/lib"))]
        project: Label,
        permissions: Vec<String>,
    }

    request struct Narrowing {
        /// A subset; null keeps what there is.
        #[serde(default)]
        permissions: Option<Vec<String>>,
        /// One to 64; null keeps what there is.
        #[serde(default)]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<RequestedDetail>>))]
        authorization_details: Option<RequestedDetails>,
        #[serde(default, with = "time::serde::rfc3339::option")]
        expires_at: Option<OffsetDateTime>,
        #[serde(default)]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<String>>))]
        audience: Option<Vec<AudienceUri>>,
    }

    /// A token without its text.
    response struct JobTokenInfo {
        id: Uuid,
        project_id: Uuid,
        project: String,
        pipeline_id: Uuid,
        pipeline: String,
        job_id: Uuid,
        job: String,
        job_name: String,
        r#ref: String,
        ref_type: RefType,
        sha: String,
        protected: bool,
        environment: Option<String>,
        trigger: Trigger,
        from_fork: bool,
        fork_source: Option<String>,
        /// Set only when the minting runner vouches for actors and the user is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        actor: Option<String>,
        /// What was named without being vouched for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        actor_claimed: Option<String>,
        /// The runner that minted it; absent where a trust rule did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        runner_id: Option<Uuid>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trust_rule_id: Option<Uuid>,
        permissions: Option<Vec<String>>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        authorization_details: Option<Vec<AuthorizationDetail>>,
        audience: Option<Vec<String>>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent_id: Option<Uuid>,
        #[serde(with = "time::serde::rfc3339")]
        issued_at: OffsetDateTime,
        #[serde(with = "time::serde::rfc3339")]
        expires_at: OffsetDateTime,
    }

    /// What the token may do in the project asked about with `?project=`.
    response struct SelfInProject {
        /// As it was asked.
        project: String,
        permissions: Vec<String>,
        /// Of the permissions asked with `?permission=`, those that are refused.
        missing: Vec<Missing>,
    }

    response struct Missing {
        permission: String,
        reason: String,
    }

    response struct JobTokenSelf {
        token: JobTokenInfo,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        access: Option<SelfInProject>,
    }

    response struct JobInfo {
        id: Uuid,
        pipeline_id: Uuid,
        /// `running`, `finished` or `lost`; the last two are final.
        state: String,
        #[serde(with = "time::serde::rfc3339")]
        deadline_at: OffsetDateTime,
        /// Until when the next heartbeat must come; null without a lease.
        #[serde(default, with = "time::serde::rfc3339::option")]
        lease_until: Option<OffsetDateTime>,
    }

    response struct PipelineInfo {
        id: Uuid,
        project_id: Uuid,
        /// How many jobs this call ended.
        jobs_finished: u64,
    }

    request struct LeakedToken {
        /// A token or secret of any of the four kinds.
        token: SecretText,
    }

    response struct Revoked {
        /// How many live tokens this call revoked; null where an epoch was raised instead, which counts none.
        tokens: Option<u64>,
    }
}

/// The one type of authorization details that there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DetailType {
    #[serde(rename = "jobpass_project")]
    Project,
}

/// A list of objects, each of them an object only.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestedDetails(#[serde(deserialize_with = "crate::objects")] pub Vec<RequestedDetail>);
