//! The golden matrix "every operation × every kind of caller" → status. `callers.golden` is for people to
//! read in a diff; `UPDATE_GOLDEN=1` writes it anew. An operation without a row fails.
