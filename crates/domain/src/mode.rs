//! How strictly a project is guarded, and who may see it.

use serde::{Deserialize, Serialize};

/// Ordered from lax to strict. New projects are `enforced`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Grants and the actor's role both open.
    Legacy,
    /// As `legacy`, and every answer says what `enforced` would have refused.
    Audit,
    /// Only grants open.
    #[default]
    Enforced,
}

impl Mode {
    pub const ALL: [Mode; 3] = [Mode::Legacy, Mode::Audit, Mode::Enforced];

    pub const fn name(self) -> &'static str {
        match self {
            Mode::Legacy => "legacy",
            Mode::Audit => "audit",
            Mode::Enforced => "enforced",
        }
    }

    pub fn named(name: &str) -> Option<Mode> {
        Mode::ALL.into_iter().find(|mode| mode.name() == name)
    }

    /// The strictest of a project's own mode and every floor above it.
    pub fn effective(own: Mode, floors: impl IntoIterator<Item = Mode>) -> Mode {
        floors.into_iter().fold(own, Mode::max)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// Seen by members.
    #[default]
    Private,
    /// Seen by anyone signed in, and readable by jobs of any project here.
    Internal,
    /// Seen and readable by anyone.
    Public,
}

impl Visibility {
    pub const ALL: [Visibility; 3] = [Visibility::Private, Visibility::Internal, Visibility::Public];

    pub const fn name(self) -> &'static str {
        match self {
            Visibility::Private => "private",
            Visibility::Internal => "internal",
            Visibility::Public => "public",
        }
    }

    pub fn named(name: &str) -> Option<Visibility> {
        Visibility::ALL.into_iter().find(|visibility| visibility.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floors_only_raise() {
        assert_eq!(Mode::effective(Mode::Legacy, [Mode::Audit, Mode::Legacy]), Mode::Audit);
        assert_eq!(Mode::effective(Mode::Enforced, [Mode::Legacy]), Mode::Enforced);
        assert_eq!(Mode::effective(Mode::Legacy, []), Mode::Legacy);
    }
}
