//! The events of `/v1/invalidations`. Each has the position that it brings its reader to as its id: a number, `-`, and what tells this
//! history from another.

use crate::registry::wire;
use serde::{Deserialize, Serialize};

wire! {
    /// `opened`: the first event.
    response struct FeedOpened {
        /// How far apart two events are at most.
        beat_ms: u64,
        /// For how long after its `age_ms` an event vouches for what is kept.
        bound_ms: u64,
    }

    /// `changed`, `reset`, `beat`: what is not true any more; that nothing is which was kept before; or that all is.
    response struct FeedTold {
        /// What was kept with any of these is not true any more.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tags: Vec<String>,
        /// All that was committed until so long after the stream was opened has been told.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        age_ms: Option<u64>,
    }
}
