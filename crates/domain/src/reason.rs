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
    pub const ALL: [Reason; 23] = [
        Reason::Unknown,
        Reason::Revoked,
        Reason::Expired,
        Reason::JobOver,
        Reason::LeaseLost,
        Reason::Parent,
        Reason::Audience,
        Reason::TokenCap,
        Reason::Ceiling,
        Reason::ResourceNameMissing,
        Reason::ResourceName,
        Reason::Condition(Failed::Fork),
        Reason::Condition(Failed::Ref),
        Reason::Condition(Failed::Protected),
        Reason::Condition(Failed::Environment),
        Reason::Condition(Failed::Trigger),
        Reason::Condition(Failed::VouchedBy),
        Reason::Condition(Failed::Role),
        Reason::GrantExpired,
        Reason::NoGrant,
        Reason::Granted,
        Reason::Role,
        Reason::Anyone,
    ];

    pub fn named(name: &str) -> Option<Reason> {
        Reason::ALL.into_iter().find(|reason| reason.name() == name)
    }

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

impl Failed {
    pub const ALL: [Failed; 7] = [
        Failed::Fork,
        Failed::Ref,
        Failed::Protected,
        Failed::Environment,
        Failed::Trigger,
        Failed::VouchedBy,
        Failed::Role,
    ];

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Conditions that did not hold: a set.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Failures(u8);

impl Failures {
    pub const NONE: Failures = Failures(0);

    #[must_use]
    pub const fn with(self, condition: Failed, failed: bool) -> Failures {
        if failed { Failures(self.0 | condition.bit()) } else { self }
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub const fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// In the order in which they are told.
    pub fn iter(self) -> impl Iterator<Item = Failed> {
        Failed::ALL.into_iter().filter(move |condition| self.0 & condition.bit() != 0)
    }

    /// The one that is told first.
    pub fn first(self) -> Option<Failed> {
        self.iter().next()
    }
}

impl std::fmt::Debug for Failures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_found_by_its_name_and_listed_in_order() {
        assert!(Reason::ALL.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(Reason::ALL.iter().all(|reason| Reason::named(reason.name()) == Some(*reason)));
    }

    #[test]
    fn failures_are_told_in_order() {
        assert!(Failed::ALL.windows(2).all(|pair| pair[0] < pair[1]));
        let failures = Failures::NONE.with(Failed::Role, true).with(Failed::Ref, true).with(Failed::Fork, false);
        assert_eq!(failures.iter().collect::<Vec<_>>(), [Failed::Ref, Failed::Role]);
        assert_eq!((failures.first(), failures.len()), (Some(Failed::Ref), 2));
        assert!(Failures::NONE.is_empty() && Failures::NONE.first().is_none());
    }
}
