//! Somebody who does something at random, over and over.

use super::facts::Token;
use super::history::Write;
use super::world::{By, REPLICAS, World};
use crate::support::Reply;
use serde_json::Value;
use std::sync::Arc;

pub(super) struct Actor {
    pub(super) world: Arc<World>,
    pub(super) dice: fastrand::Rng,
}

/// A request that changes something, and what may come of it.
pub(super) struct Change<'a> {
    pub(super) call: (&'a str, String),
    pub(super) by: By<'a>,
    pub(super) body: Option<Value>,
    pub(super) if_match: Option<&'a str>,
    /// Statuses of one that was carried out.
    pub(super) done: &'a [u16],
    /// Statuses of one that changed nothing, for a reason that may be.
    pub(super) refused: &'a [u16],
}

impl<'a> Change<'a> {
    pub(super) fn new(method: &'a str, path: impl Into<String>, by: By<'a>) -> Change<'a> {
        Change { call: (method, path.into()), by, body: None, if_match: None, done: &[200], refused: &[] }
    }

    pub(super) fn body(self, body: Value) -> Change<'a> {
        Change { body: Some(body), ..self }
    }

    pub(super) fn if_match(self, tag: &'a str) -> Change<'a> {
        Change { if_match: Some(tag), ..self }
    }

    pub(super) fn done(self, done: &'a [u16]) -> Change<'a> {
        Change { done, ..self }
    }

    pub(super) fn refused(self, refused: &'a [u16]) -> Change<'a> {
        Change { refused, ..self }
    }
}

impl Actor {
    pub(super) fn replica(&mut self) -> usize {
        self.dice.usize(..REPLICAS)
    }

    /// A change that somebody may see from now on.
    pub(super) fn write(&mut self) -> (Write, usize) {
        let replica = self.replica();
        (Write::begin(replica), replica)
    }

    /// Makes it; `None` when it was refused.
    pub(super) async fn make(&self, (write, replica): (&Write, usize), change: Change<'_>) -> Option<Reply> {
        let headers: Vec<_> = change.if_match.iter().map(|tag| ("if-match", *tag)).collect();
        let Change { call: (method, path), by, body, done, refused, .. } = change;
        self.world
            .log(&format!("> {replica} {method} {path} {}", body.as_ref().map(Value::to_string).unwrap_or_default()));
        let reply = self.world.call(replica, (method, &path), by, body, &headers).await;
        if reply.status == 503 {
            // Whether it was carried out, nobody knows: the change stays under way.
            self.world.count("unavailable");
            return None;
        }
        let changed = done.contains(&reply.status);
        // Too many wrong secrets of one client: what it asked for was not done.
        let expected = changed || refused.contains(&reply.status) || (reply.status == 429 && refused.contains(&401));
        assert!(expected, "{method} {path}: {} {}\n{}", reply.status, reply.text, self.world.story());
        write.end(changed);
        self.world.log(&format!("< {replica} {method} {path} {}", reply.status));
        changed.then_some(reply)
    }

    pub(super) fn admin(&self) -> String {
        self.world.servers[0].admin.clone()
    }

    pub(super) fn token(&mut self) -> Option<Arc<Token>> {
        // Mostly one of the newest, which are likelier to live.
        let world = Arc::clone(&self.world);
        let tokens = world.tokens.lock().unwrap();
        let len = tokens.len();
        let from = if self.dice.u8(0..4) > 0 { len.saturating_sub(20) } else { 0 };
        if len == 0 { None } else { tokens.get(self.dice.usize(from..len)).cloned() }
    }

    /// Fails the test, with all that may help to understand it.
    pub(super) fn fail(&self, what: &str, token: Option<&Token>) -> ! {
        let log =
            token.map(|token| token.log.lock().unwrap().iter().fold(String::new(), |all, line| all + line + "\n"));
        panic!(
            "{what}\n\nwhat was done with the token:\n{}\nwhat was changed last:\n{}",
            log.unwrap_or_default(),
            self.world.story()
        );
    }
}
