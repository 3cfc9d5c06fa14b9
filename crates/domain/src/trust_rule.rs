//! A trust rule: whose signed word a project takes, and what it must say, for a job token to be minted without a secret.

use crate::claims::ClaimPatterns;
use crate::ids::{ProjectId, TrustRuleId};
use crate::text::{HttpsUrl, Label};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// The most rules of one project.
pub const MAX_TRUST_RULES: i64 = 64;
/// How long a job lives unless the rule says otherwise, in seconds.
pub const DEFAULT_LIFETIME_SECS: u32 = 3600;

/// Whose claims they are: which map reads the run and the job from them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Ci {
    #[serde(rename = "github")]
    GitHub,
    #[serde(rename = "gitlab")]
    GitLab,
    Buildkite,
    Forgejo,
    #[serde(rename = "circleci")]
    CircleCi,
    Kubernetes,
}

impl Ci {
    pub const ALL: [Ci; 6] = [Ci::GitHub, Ci::GitLab, Ci::Buildkite, Ci::Forgejo, Ci::CircleCi, Ci::Kubernetes];

    pub const fn name(self) -> &'static str {
        match self {
            Ci::GitHub => "github",
            Ci::GitLab => "gitlab",
            Ci::Buildkite => "buildkite",
            Ci::Forgejo => "forgejo",
            Ci::CircleCi => "circleci",
            Ci::Kubernetes => "kubernetes",
        }
    }

    pub fn named(name: &str) -> Option<Ci> {
        Ci::ALL.into_iter().find(|ci| ci.name() == name)
    }

    /// The claims that name something for ever. A rule that binds on names alone would take the word of whoever registers
    /// such a name next.
    pub const fn immutable_claims(self) -> &'static [&'static str] {
        match self {
            Ci::GitHub | Ci::Forgejo => &["repository_id", "repository_owner_id"],
            Ci::GitLab => &["project_id", "namespace_id"],
            Ci::Buildkite => &["pipeline_id", "organization_id"],
            Ci::CircleCi => &["oidc.circleci.com/project-id", "oidc.circleci.com/org-id"],
            Ci::Kubernetes => &["kubernetes.io/serviceaccount/uid"],
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustRule {
    pub id: TrustRuleId,
    pub project: ProjectId,
    pub terms: Terms,
    pub epoch: i64,
    pub created_at: OffsetDateTime,
}

/// What maintainers write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    pub name: Label,
    /// Compared with `iss`, byte for byte.
    pub issuer: HttpsUrl,
    /// Where its keys are; `None`: where its discovery document says.
    pub jwks_uri: Option<HttpsUrl>,
    pub ci: Ci,
    pub claims: ClaimPatterns,
    /// At most this; `None`: no cap.
    pub permissions: Option<Vec<String>>,
    /// Whether it gets tokens for protected refs.
    pub protected: bool,
    /// Maintainers say that the CI gives this identity to no fork: what its claims leave open counts as not from a fork.
    pub excludes_forks: bool,
    /// The deadline of a job, from its first mint.
    pub max_lifetime_secs: u32,
    /// A paused rule mints nothing; what it minted lives on.
    pub paused: bool,
}

impl std::ops::Deref for TrustRule {
    type Target = Terms;
    fn deref(&self) -> &Terms {
        &self.terms
    }
}

impl Terms {
    /// Whether a claim that names something for ever is bound to exact values.
    pub fn binds_an_identity(&self) -> bool {
        self.ci.immutable_claims().iter().any(|claim| self.claims.is_exact(claim))
    }
}
