//! A resource service: an OAuth client that asks what a token may do.

use crate::catalogue::Catalogue;
use crate::decision::Asker;
use crate::forward_auth::ForwardAuth;
use crate::ids::{ProjectId, ServiceId};
use crate::permission::PermissionSet;
use crate::text::{AudienceUri, Label};
use time::OffsetDateTime;

/// For how many seconds a service's clients may rely on an answer, unless it says otherwise.
pub const ANSWER_SECONDS: u32 = 60;
/// The longest that can be said.
pub const MAX_ANSWER_SECONDS: u32 = 3600;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    pub id: ServiceId,
    pub name: Label,
    /// Which resource types it is shown; `None`: all.
    pub resources: Option<Vec<String>>,
    /// The one project that it serves.
    pub project: Option<ProjectId>,
    pub project_path: Option<String>,
    pub audience: Option<AudienceUri>,
    /// Whether it sees only tokens that name its audience.
    pub audience_required: bool,
    pub answer_seconds: u32,
    pub paused: bool,
    /// By which table its methods and paths are read.
    pub route_table: String,
    /// `None`: it answers no gateway.
    pub forward_auth: Option<ForwardAuth>,
    pub created_at: OffsetDateTime,
}

impl Service {
    pub fn asker(&self, catalogue: &Catalogue) -> Asker {
        Asker {
            audience: self.audience.as_deref().map(str::to_owned),
            audience_required: self.audience_required,
            shown: self.resources.as_ref().map(|names| shown(names, catalogue)),
        }
    }
}

/// A name that is not in the catalogue shows nothing.
fn shown(names: &[String], catalogue: &Catalogue) -> PermissionSet {
    let known = names.iter().filter_map(|name| catalogue.find(name));
    known.fold(PermissionSet::EMPTY, |shown, resource| shown.union(PermissionSet::admin(resource.slot)))
}
