//! Usage, and what a change would do to it.

use crate::registry::wire;
use jobpass_domain::Role;
use jobpass_domain::pipeline::Trigger;
use jobpass_domain::provenance::CredentialScope;
use jobpass_domain::refs::RefType;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

wire! {
    /// The same thing done by jobs of one source under the same circumstances with the same answer, counted.
    response struct UsageEntry {
        source_project_id: Uuid,
        /// Its path as it is now; null when it was deleted.
        source: Option<String>,
        /// Null: unnamed use, by the scope that was shown to `service_id`.
        permission: Option<String>,
        /// The client id of the service, for unnamed use.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        service_id: Option<String>,
        /// `allowed` or `denied`.
        verdict: String,
        /// Null for unnamed use of a live token.
        reason: Option<String>,
        /// Allowed, and `enforced` would refuse it.
        would_deny: bool,
        /// `*other*` stands for every ref beyond the first hundred; so for environments and names.
        r#ref: String,
        ref_type: RefType,
        protected: bool,
        environment: Option<String>,
        trigger: Trigger,
        from_fork: bool,
        /// The scope of the runner whose word this is.
        minted_by: CredentialScope,
        /// Of the vouched-for actor, on this project.
        actor_role: Option<Role>,
        resource_name: Option<String>,
        count: u64,
        #[serde(with = "time::serde::rfc3339")]
        first_seen_at: OffsetDateTime,
        #[serde(with = "time::serde::rfc3339")]
        last_seen_at: OffsetDateTime,
        last_job_id: Uuid,
    }

    /// What a change would be, and would do: nothing was written.
    response struct DryRun {
        /// Always true.
        dry_run: bool,
        changes: Vec<PlannedChange>,
        impact: Impact,
        /// Of a configuration: the whole of it, as it would be.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<serde_json::Value>))]
        after: Option<serde_json::Value>,
    }

    /// What an audit event would record; of a move also `grant.gained` and `grant.lost`, for grants that begin or cease
    /// to count for what moves: described to those who maintain where the grant lives.
    response struct PlannedChange {
        /// A noun and a verb, such as `grant.created`.
        action: String,
        subject_kind: String,
        subject_id: Uuid,
        project_id: Option<Uuid>,
        group_id: Option<Uuid>,
        #[cfg_attr(feature = "openapi", schema(value_type = Option<serde_json::Value>))]
        before: Option<serde_json::Value>,
        #[cfg_attr(feature = "openapi", schema(value_type = Option<serde_json::Value>))]
        after: Option<serde_json::Value>,
    }

    /// The uses of the last days, replayed before and after a change.
    response struct Impact {
        window_days: u16,
        /// Let through so far, refused after the change; what was seen last comes first.
        would_refuse: Vec<TurnedUse>,
        /// Refused so far, let through after the change.
        would_allow: Vec<TurnedUse>,
        /// Introspected without a permission, so that what was done is not known and never taken as safe; or granted under
        /// conditions of which nobody can say whether they still hold.
        unknown: Vec<UnknownUse>,
        /// How many rows are not listed: at most 1,000 of each kind are.
        left_out: usize,
    }

    response struct TurnedUse {
        /// `null` for a project that you cannot see.
        project_id: Option<Uuid>,
        project: Option<String>,
        source_project_id: Uuid,
        source: String,
        permission: String,
        /// Whether it was jobs from forks: those are never part of a suggestion.
        from_fork: bool,
        /// The answers after the change.
        reasons: Vec<String>,
        count: u64,
        #[serde(with = "time::serde::rfc3339")]
        first_seen_at: OffsetDateTime,
        #[serde(with = "time::serde::rfc3339")]
        last_seen_at: OffsetDateTime,
        last_job_id: Uuid,
    }

    response struct UnknownUse {
        /// `null` for a project that you cannot see.
        project_id: Option<Uuid>,
        project: Option<String>,
        source_project_id: Uuid,
        source: String,
        /// The client id of the service that a scope was shown to, for unnamed use.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        service_id: Option<String>,
        /// Granted under conditions, and its circumstances were coarsened.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        permission: Option<String>,
        /// What might no longer be held.
        could_lose: Vec<String>,
        count: u64,
        #[serde(with = "time::serde::rfc3339")]
        last_seen_at: OffsetDateTime,
        last_job_id: Uuid,
    }
}
