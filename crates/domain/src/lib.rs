//! The types and rules of Jobpass. No I/O, no clock and no async here: whoever calls brings the
//! facts, the time and the random bytes, and carries the answer away.

pub mod audit;
pub mod authorization_detail;
pub mod catalogue;
pub mod ceiling;
pub mod claims;
pub mod client_key;
pub mod decision;
pub mod explain;
pub mod forward_auth;
pub mod glob;
pub mod grant;
pub mod group;
pub mod ids;
pub mod job;
pub mod job_token;
pub mod live_secret;
pub mod minter;
pub mod mode;
pub mod path;
pub mod permission;
pub mod pipeline;
pub mod place;
pub mod project;
pub mod provenance;
pub mod reason;
pub mod refs;
pub mod replay;
pub mod role;
pub mod route;
pub mod runner;
pub mod secret;
pub mod service;
pub mod suggest;
pub mod text;
pub mod token;
pub mod trust_rule;
pub mod usage;
pub mod user;

pub use catalogue::Catalogue;
pub use decision::{Decision, decide};
pub use path::Path;
pub use permission::{Action, Permission, PermissionSet};
pub use reason::Reason;
pub use role::Role;
pub use secret::Secret;
