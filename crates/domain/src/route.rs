//! Routes: which method and path of a service demands which permissions, in which project, on what name.
//! Pure: a raw path and a table go in; what is demanded, or why nothing can be said, comes out. No route
//! is open because nobody described it.

mod gitlab;
mod name;
mod path;
mod pattern;
mod row;
mod saved;
mod table;
#[cfg(test)]
mod tests;
mod trie;

pub use gitlab::{GITLAB, gitlab};
pub use name::NameTemplate;
pub use path::{BadPath, RoutePath};
pub use row::{Demand, DraftRoute, Place, Route, RouteFault};
pub use saved::{SavedTable, TableText, is_table_name};
pub use table::{Matched, NoMatch, RouteTable};
