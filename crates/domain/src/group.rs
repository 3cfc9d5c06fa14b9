//! A group: a path with projects and further groups under it.

use crate::ids::GroupId;
use crate::mode::Mode;
use crate::path::Path;
use time::OffsetDateTime;

/// The deepest nesting of groups.
pub const MAX_DEPTH: usize = 32;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    pub id: GroupId,
    pub path: Path,
    /// The groups from the top down to this one, itself included.
    pub chain: Vec<GroupId>,
    /// The least strict mode of any project below.
    pub floor: Mode,
    /// Changes with every write of a grant that lives here.
    pub grants_revision: i64,
    pub created_at: OffsetDateTime,
}
