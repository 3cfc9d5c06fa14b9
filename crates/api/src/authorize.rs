//! The decision endpoint.

use crate::SecretText;
use crate::job_token::Missing;
use crate::registry::wire;
use jobpass_domain::text::Label;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The most questions in one call.
pub const MAX_QUESTIONS: usize = 100;

wire! {
    /// May this token do all of this to that?
    request struct Question {
        /// Whatever was presented.
        token: SecretText,
        /// Path or id; a service that serves one project may leave it out.
        #[serde(default)]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
        project: Option<Label>,
        /// All of them are asked. Instead: `method` and `path`.
        #[serde(default)]
        permissions: Option<Vec<String>>,
        /// In upper case; what `git` pushes over SSH is `GIT`.
        #[serde(default)]
        method: Option<String>,
        /// As it came, from the first `/`, with the query: nobody has decoded it yet.
        #[serde(default)]
        path: Option<String>,
        /// Short for `resource_names` when the permissions share one resource type.
        #[serde(default)]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
        resource_name: Option<Label>,
        /// Resource type to name.
        #[serde(default)]
        #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, String>))]
        resource_names: BTreeMap<String, Label>,
        /// Whether the answer says how long it may be kept, for who follows `/v1/invalidations`.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        keep: bool,
    }

    /// Many questions in one call, up to 100.
    request struct Questions {
        #[cfg_attr(feature = "openapi", schema(value_type = Vec<Question>))]
        questions: Vec<serde_json::Value>,
    }

    response struct Decision {
        allowed: bool,
        /// Why, the first that applies; a closed list.
        reason: String,
        /// Of what was asked, what is refused, every action on its own.
        missing: Vec<String>,
        /// In a project in `audit`: what `enforced` would refuse.
        would_deny: Vec<String>,
        /// Whether a public project gives this to anyone, token or not.
        anonymous: bool,
        /// The reason of each refusal, where they differ.
        #[serde(default)]
        reasons: Vec<Missing>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subject: Option<Box<Subject>>,
        /// Asked by method and path: what the route demands, every action on its own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        permissions: Option<Vec<String>>,
        /// Asked by method and path: the project that it is about, by path or id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        project: Option<String>,
        /// Asked with `keep`: how long it may be given again. Left out while nothing can be promised.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        keep: Option<Box<Keep>>,
    }

    /// Until the time is over, or an event of `/v1/invalidations` with a number above `as_of` names one of the tags.
    response struct Keep {
        /// Every change up to this number shows in the answer.
        as_of: i64,
        /// From when the question was asked.
        for_ms: u64,
        /// What the answer rests on: in words of this service alone.
        tags: Vec<String>,
    }

    /// Who asks, when the token is alive and meant for the service.
    response struct Subject {
        project_id: uuid::Uuid,
        project: String,
        pipeline_id: uuid::Uuid,
        job_id: uuid::Uuid,
        token_id: uuid::Uuid,
        r#ref: String,
        protected: bool,
    }

    response struct Decisions {
        decisions: Vec<DecisionOrProblem>,
    }
}

/// In a batch, a question that cannot be answered says so in its own place.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum DecisionOrProblem {
    Decision(Decision),
    /// Never an allow: `allowed` is false here too.
    Problem(RefusedQuestion),
}

wire! {
    response struct RefusedQuestion {
        allowed: bool,
        reason: String,
        errors: Vec<crate::FieldError>,
    }
}

impl DecisionOrProblem {
    pub fn allowed(&self) -> bool {
        matches!(self, DecisionOrProblem::Decision(decision) if decision.allowed)
    }
}
