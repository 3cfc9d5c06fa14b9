//! Every way in which a use case says no. A closed list: `jobpass-http` gives each its status and text in
//! one `match`, and nothing can be refused that has no entry there.

use crate::Forecast;
use jobpass_domain::job::JobOver;
use jobpass_persistence::Error;

/// What is wrong with one field of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// JSON pointer into the request body (RFC 6901), or `?name` for a query parameter.
    pub pointer: String,
    pub code: &'static str,
    pub detail: String,
}

impl Fault {
    pub fn new(pointer: impl Into<String>, code: &'static str, detail: impl Into<String>) -> Fault {
        Fault { pointer: pointer.into(), code, detail: detail.into() }
    }

    /// The same fault in an element of a list.
    #[must_use]
    pub fn within(mut self, prefix: &str) -> Fault {
        self.pointer.insert_str(0, prefix);
        self
    }
}

/// A name as it stands in a JSON pointer (RFC 6901, section 3).
pub fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// What stands in the way, by the name of the rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conflict {
    PathTaken,
    PathRetired,
    NameTaken,
    GroupNotEmpty,
    GroupCycle,
    ModeBelowFloor,
    /// Stepping up would refuse what was seen.
    WouldBreak(Box<Forecast>),
    /// A fact that was stated otherwise at the first mint, by pointer.
    FactsDiffer(String),
    JobOver(JobOver),
    JobOfOtherRunner,
    RunnerPaused,
    TrustRulePaused,
    TooManyTokens {
        limit: i64,
    },
    TooManyNarrowed {
        limit: i64,
    },
    TwoLiveSecrets,
    TooManyStreams {
        limit: usize,
    },
    TooManyAccessTokens {
        limit: i64,
    },
    TooManyTrustRules {
        limit: i64,
    },
    TooManyGrants {
        limit: usize,
        count: usize,
    },
    NoFreeSlot,
    /// The table `gitlab` is in the code.
    RouteTableBuiltIn,
    RouteTableInUse,
    RequestInFlight,
    SealedByOtherCredential,
    /// A replay of an answer whose token is no longer live.
    ReplayedTokenDead,
}

#[derive(Debug)]
pub enum Refusal {
    /// Not for the caller to mend: the database is away.
    Unavailable(String),
    /// A defect of ours.
    Internal(String),
    /// No credential where one is needed.
    NoCredential,
    /// A credential that is unknown, expired or revoked.
    BadCredential,
    /// An assertion that its client did sign, and that is not taken all the same: why, in words that continue "the assertion".
    BadAssertion(String),
    /// An ID token of another CI that is not taken: why, in words that continue "the ID token" and repeat nothing of it.
    BadIdToken(String),
    /// A live credential of the wrong kind.
    WrongCaller {
        needs: &'static str,
    },
    /// A read-only token on a call that writes.
    ReadOnly,
    /// Does not exist, or is hidden from this caller.
    NotFound,
    /// The caller may know of it, but lacks this role.
    Forbidden {
        needs: &'static str,
    },
    /// A group at the top, made, renamed or moved there by someone who is no administrator.
    TopLevel,
    RunnerNotProtected,
    ProtectedEnvironment,
    Invalid(Vec<Fault>),
    Conflict(Conflict),
    /// If-Match is required and missing.
    PreconditionRequired,
    /// It has changed since the caller saw it.
    PreconditionFailed,
    /// An Idempotency-Key that was used for another request.
    KeyReused,
}

impl Refusal {
    pub fn invalid(pointer: impl Into<String>, code: &'static str, detail: impl Into<String>) -> Refusal {
        Refusal::Invalid(vec![Fault::new(pointer, code, detail)])
    }
}

impl From<Conflict> for Refusal {
    fn from(conflict: Conflict) -> Refusal {
        Refusal::Conflict(conflict)
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        match error {
            Error::Unavailable(text) => Refusal::Unavailable(text),
            // What was there when it was looked up has been deleted since.
            Error::Constraint(name) if name.ends_with("_fkey") => Refusal::NotFound,
            Error::Constraint(name) => {
                Refusal::Internal(format!("constraint {name} refused a write that a rule should have refused"))
            }
            Error::Internal(text) => Refusal::Internal(text),
            Error::Unaudited => Refusal::Internal("a write without an audit event".to_owned()),
        }
    }
}
