//! A table that an operator described, as it is kept.

use crate::ids::RouteTableId;
use time::OffsetDateTime;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedTable {
    pub id: RouteTableId,
    pub name: String,
    /// Grows with every change of the text.
    pub version: i64,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
}

/// A table with the text that it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableText {
    pub saved: SavedTable,
    pub yaml: String,
}

/// Whether a table can have this name: `[a-z][a-z0-9_-]*`, up to 63 bytes.
pub fn is_table_name(name: &str) -> bool {
    let tail = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    name.len() <= 63 && name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(tail)
}
