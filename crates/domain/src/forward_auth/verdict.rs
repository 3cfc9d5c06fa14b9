//! What becomes of a request once it is decided: the three answers that every gateway understands.

use crate::decision::Decision;
use crate::reason::Reason;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Let through, as whom the token says.
    Pass(Reason),
    /// Let through as anyone: a public project gives this to nobody in particular.
    Anonymous,
    /// A token is needed.
    NoToken,
    /// This one counts for nothing.
    DeadToken(Reason),
    /// It lives, and may do too little.
    Forbidden(Reason),
}

/// `presented`: whether there was a token at all.
pub fn verdict(decision: &Decision, presented: bool) -> Verdict {
    let reason = decision.reason().unwrap_or(Reason::Unknown);
    if decision.allowed {
        Verdict::Pass(reason)
    } else if decision.anonymous {
        // A dead or capped token gets no less than none, and lends no name either.
        Verdict::Anonymous
    } else if !presented {
        Verdict::NoToken
    } else if let Some(dead) = decision.dead {
        Verdict::DeadToken(dead)
    } else {
        Verdict::Forbidden(reason)
    }
}
