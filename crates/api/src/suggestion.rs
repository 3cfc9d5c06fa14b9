//! Suggestions from usage.

use crate::grant::{Grant, NewGrant};
use crate::registry::wire;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

wire! {
    /// What to grant and what to take away, by what was seen in the window; and what was seen beside that.
    response struct Suggestions {
        window_days: u16,
        /// Whether sources that want the same were folded into groups.
        fold: bool,
        items: Vec<Suggestion>,
        /// Refused tries: anyone can try, so nothing is suggested from them. At most 1,000.
        denied: Vec<SetApart>,
        /// Let through, from forks: never part of a suggestion.
        forks: Vec<SetApart>,
        /// Let through, and no grant would keep it so: a ceiling is in the way.
        under_ceilings: Vec<SetApart>,
        /// Granted under conditions when it was seen, and its circumstances were coarsened: a grant without them would widen
        /// what is there.
        unclear: Vec<SetApart>,
        /// Introspected without a permission: what was done is not known.
        unnamed: Vec<UnnamedUse>,
    }

    response struct Suggestion {
        /// To apply it by; the same as long as the same is suggested.
        id: String,
        /// `create`, `narrow` or `delete`.
        action: String,
        /// To create: as it could be posted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        new_grant: Option<NewGrant>,
        /// With a group as source: projects that were not seen and that it would let in, too. All of them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lets_in: Option<Vec<String>>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        evidence: Option<Evidence>,
        /// To narrow or delete: as it is. It was there unchanged for the whole window.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        grant: Option<Grant>,
        /// To narrow: what somebody used, and the grant keeps.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        keeps: Option<Vec<String>>,
        /// To narrow or delete: what nobody used in the window.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unused: Option<Vec<String>>,
    }

    /// On what a suggestion rests.
    response struct Evidence {
        count: u64,
        #[serde(with = "time::serde::rfc3339")]
        first_seen_at: OffsetDateTime,
        #[serde(with = "time::serde::rfc3339")]
        last_seen_at: OffsetDateTime,
        last_job_id: Uuid,
        permissions: Vec<PermissionUse>,
        /// Up to ten of each that were seen.
        refs: Vec<String>,
        environments: Vec<String>,
        resource_names: Vec<String>,
    }

    response struct PermissionUse {
        permission: String,
        count: u64,
        #[serde(with = "time::serde::rfc3339")]
        last_seen_at: OffsetDateTime,
    }

    response struct SetApart {
        source_project_id: Uuid,
        source: String,
        permission: String,
        evidence: Evidence,
    }

    response struct UnnamedUse {
        source_project_id: Uuid,
        source: String,
        /// The client id of the service that the scope was shown to.
        service_id: String,
        count: u64,
        #[serde(with = "time::serde::rfc3339")]
        last_seen_at: OffsetDateTime,
        last_job_id: Uuid,
    }

    /// Which suggestions to apply: either all, or these.
    request struct ApplySuggestions {
        #[serde(default)]
        all: bool,
        #[serde(default)]
        ids: Vec<String>,
    }

    response struct AppliedSuggestions {
        applied: Vec<String>,
    }
}
