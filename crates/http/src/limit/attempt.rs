//! What becomes known of a caller while its request is answered, for the limit on failures: it stands around the handlers, and
//! only they read what a client says of itself.

use http::request::Parts;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

#[derive(Clone, Debug, Default)]
pub(crate) struct Attempt(Arc<Known>);

#[derive(Debug, Default)]
struct Known {
    client: OnceLock<String>,
    proven: AtomicBool,
}

impl Attempt {
    /// The client that the caller says it is.
    pub(crate) fn client(&self) -> Option<&str> {
        self.0.client.get().map(String::as_str)
    }

    /// Some credential in the request was a live one.
    pub(crate) fn is_proven(&self) -> bool {
        self.0.proven.load(Ordering::Relaxed)
    }
}

/// Notes which client the caller says it is, before anything is proven. The first word counts.
pub(crate) fn claim(parts: &Parts, client: &str) {
    if let Some(attempt) = parts.extensions.get::<Attempt>() {
        let _ = attempt.0.client.set(client.to_owned());
    }
}

/// Notes that the caller proved itself: what is refused from here on is no guess. Needed where a guess is not answered 401.
pub(crate) fn prove(parts: &Parts) {
    if let Some(attempt) = parts.extensions.get::<Attempt>() {
        attempt.0.proven.store(true, Ordering::Relaxed);
    }
}
