//! What is kept: SQL, transactions and the embedded PostgreSQL. Rules live in `jobpass-domain`; here
//! uniqueness and the order of states are constraints, and come back by the name of the constraint.

pub mod access_token;
pub mod assertion;
pub mod audit;
mod authorization_detail;
pub mod caller;
pub mod ceiling;
pub mod change_log;
pub mod client_key;
mod db;
pub mod embedded;
mod error;
pub mod grant;
pub mod group;
pub mod idempotency;
pub mod instance;
pub mod job;
pub mod job_token;
pub mod member;
pub mod pipeline;
pub mod project;
pub mod question;
mod reads;
pub mod registry_authority;
pub mod resource_type;
pub mod route_table;
pub mod runner;
pub mod secret;
pub mod service;
pub mod signing_key;
pub mod situation;
mod sweep;
#[cfg(feature = "test-db")]
pub mod test_db;
pub mod trust_rule;
pub mod usage;
pub mod user;

pub use db::{Context, Db, Tx, connect_options, id_at};
pub use error::{Error, OnConstraint};
pub use reads::{Line, Reads};
pub use sweep::Sweep;

/// The answer of a read or a write.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What one parameter of a statement about many rows takes: a column of them.
fn column<'r, R, V>(rows: &'r [R], value: impl Fn(&'r R) -> V) -> Vec<V> {
    rows.iter().map(value).collect()
}
