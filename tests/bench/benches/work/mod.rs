//! The work that is guarded: what every request does, apart from waiting.

use crate::Cases;
use crate::asked::{TEXT, ask, live_token, targets};
use jobpass_api::Introspection;
use jobpass_domain::token::{self, TokenHash};
use std::hint::black_box;

/// Done once each time that it is called.
pub(crate) type Work = Box<dyn Fn()>;

pub(crate) fn cases() -> Cases {
    let mut cases = Cases::new();
    cases.insert("parse", Box::new(|| _ = black_box(token::parse(black_box(TEXT)))));
    cases.insert("hash", Box::new(|| _ = black_box(TokenHash::of(black_box(TEXT)))));
    cases.insert("decide", decide(|targets| targets.ten));
    cases.insert("decide_10k", decide(|targets| targets.unfiltered));
    cases.insert("serialise", serialise());
    cases
}

fn decide(which: fn(crate::asked::Targets) -> jobpass_domain::decision::Target) -> Work {
    let token = live_token();
    let target = which(targets(&token));
    Box::new(move || ask(&token, &target))
}

/// A full answer, as a resource service gets it.
fn serialise() -> Work {
    let answer: Introspection = serde_json::from_str(include_str!("answer.json")).unwrap_or_default();
    assert!(answer.token.is_some(), "answer.json is no full answer");
    Box::new(move || _ = black_box(serde_json::to_vec(black_box(&answer))))
}
