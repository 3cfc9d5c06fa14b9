//! Why a permission is held or missing: a closed list that services and maintainers rely on.

/// Why a permission is held or missing. A closed list, in the order in which reasons apply: the
/// first that does is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    Unknown,
    Revoked,
    Expired,
    JobOver,
    LeaseLost,
    Parent,
    Audience,
    TokenCap,
    Ceiling,
    ResourceNameMissing,
    ResourceName,
    Condition(Failed),
    GrantExpired,
    NoGrant,
    Granted,
    Role,
    Anyone,
}

impl Reason {
    pub const fn name(self) -> &'static str {
        match self {
            Reason::Unknown => "unknown",
            Reason::Revoked => "revoked",
            Reason::Expired => "expired",
            Reason::JobOver => "job_over",
            Reason::LeaseLost => "lease_lost",
            Reason::Parent => "parent",
            Reason::Audience => "audience",
            Reason::TokenCap => "token_cap",
            Reason::Ceiling => "ceiling",
            Reason::ResourceNameMissing => "resource_name_missing",
            Reason::ResourceName => "resource_name",
            Reason::Condition(Failed::Fork) => "condition_fork",
            Reason::Condition(Failed::Ref) => "condition_ref",
            Reason::Condition(Failed::Protected) => "condition_protected",
            Reason::Condition(Failed::Environment) => "condition_environment",
            Reason::Condition(Failed::Trigger) => "condition_trigger",
            Reason::Condition(Failed::VouchedBy) => "condition_vouched_by",
            Reason::Condition(Failed::Role) => "condition_role",
            Reason::GrantExpired => "grant_expired",
            Reason::NoGrant => "no_grant",
            Reason::Granted => "granted",
            Reason::Role => "role",
            Reason::Anyone => "anyone",
        }
    }

    pub const fn allows(self) -> bool {
        matches!(self, Reason::Granted | Reason::Role | Reason::Anyone)
    }
}

/// A condition that did not hold, in the order in which they are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Failed {
    Fork,
    Ref,
    Protected,
    Environment,
    Trigger,
    VouchedBy,
    Role,
}
