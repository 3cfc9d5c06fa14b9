//! Explain: why a job of some kind would be told yes or no.

use crate::ceiling::When;
use crate::grant::NewGrant;
use crate::job_token::Missing;
use crate::registry::wire;
use jobpass_domain::Role;
use jobpass_domain::ceiling::Side;
use jobpass_domain::mode::Mode;
use jobpass_domain::pipeline::Trigger;
use jobpass_domain::provenance::CredentialScope;
use jobpass_domain::refs::RefType;
use jobpass_domain::text::Label;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use uuid::Uuid;

wire! {
    /// A job that might run, and what it might ask.
    request struct Hypothesis {
        /// Path or id of the job's project.
        #[cfg_attr(feature = "openapi", schema(value_type = String, example = "acme/web"))]
        source: Label,
        permissions: Vec<String>,
        #[cfg_attr(feature = "openapi", schema(value_type = String, example = "main"))]
        r#ref: Label,
        /// `branch` if left out.
        #[serde(default)]
        ref_type: Option<RefType>,
        #[serde(default)]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
        environment: Option<Label>,
        /// Whether the ref is protected; only to be stated of a source that you cannot see, where it is `false` if left out.
        /// Of others it is known.
        #[serde(default)]
        protected: Option<bool>,
        /// `push` if left out.
        #[serde(default)]
        trigger: Option<Trigger>,
        #[serde(default)]
        from_fork: bool,
        /// Name or id of a user that the runner vouches for.
        #[serde(default)]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
        actor: Option<Label>,
        /// The scope of the runner; `instance` if left out.
        #[serde(default)]
        minted_by: Option<CredentialScope>,
        /// Short for `resource_names` when the permissions share one resource type.
        #[serde(default)]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
        resource_name: Option<Label>,
        /// Resource type to name.
        #[serde(default)]
        #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, String>))]
        resource_names: BTreeMap<String, Label>,
    }

    response struct Explanation {
        allowed: bool,
        reason: String,
        missing: Vec<String>,
        /// In a project in `audit`: what `enforced` would refuse.
        would_deny: Vec<String>,
        /// Whether a public project gives this to anyone, token or not.
        anonymous: bool,
        /// The effective mode of the project asked about.
        mode: Mode,
        /// As the job's project protects its refs, or as it was stated of one that you cannot see.
        protected: bool,
        /// Of the actor, on the project asked about.
        actor_role: Option<Role>,
        /// The reason of each permission asked, held or missing.
        outcomes: Vec<Missing>,
        /// In the order of the decision.
        steps: Vec<Step>,
        /// Every grant whose source covers the job's project.
        grants: Vec<WeighedGrant>,
        /// Every ceiling that binds the project asked about or the job's project.
        ceilings: Vec<WeighedCeiling>,
        /// What opens least and suffices; null when all is allowed.
        smallest_change: Option<SmallestChange>,
    }

    /// A step of the decision, and what it gives or leaves of what is asked.
    response struct Step {
        /// `token`, `audience`, `granted`, `anyone`, `inherited`, `mode`, `ceilings` or `answer`.
        step: String,
        detail: String,
        permissions: Vec<String>,
    }

    response struct WeighedGrant {
        id: Uuid,
        /// Path of the project or group that it lives on.
        on: String,
        /// Path of its source.
        source: String,
        /// `matched`, `failed`, `expired`, `other_name` or `not_asked`.
        verdict: String,
        /// Of what is asked, what it gives.
        gives: Vec<String>,
        /// The conditions that do not hold, as in `condition_ref`.
        failed: Vec<String>,
        note: String,
    }

    response struct WeighedCeiling {
        id: Uuid,
        side: Side,
        /// Path of the project or group that it lies on, or `instance`; null when that is the source's affair.
        on: Option<String>,
        applies: bool,
        when: Option<When>,
        /// Of what is asked, what it takes away.
        takes: Vec<String>,
    }

    response struct SmallestChange {
        /// Ceilings that must leave more: their owners' to change.
        raise_ceilings: Vec<RaiseCeiling>,
        /// As it could be posted to the project.
        new_grant: Option<NewGrant>,
    }

    response struct RaiseCeiling {
        id: Uuid,
        permissions: Vec<String>,
    }
}
