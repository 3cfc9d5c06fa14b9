//! Usage: what was counted, one row a day and use.

mod read;
mod write;

pub use read::{Cursor, Listed, Pair, Resolved, Touched, list, pairs, recorded, was_seen};
pub use write::{add, need};
