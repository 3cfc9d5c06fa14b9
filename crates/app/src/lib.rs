//! The use cases: extract, load, decide, save, in this order. No wire type and no SQL here: what comes
//! in and goes out are the domain's words, and a caller that needs bytes kept brings its own rendering.

mod access;
mod authenticate;
mod authorize;
mod bootstrap;
mod clock;
mod define_resource;
mod draft_grant;
mod entropy;
mod finish;
mod grant;
mod introspect;
mod look;
mod manage_members;
mod manage_runners;
mod manage_secrets;
mod manage_services;
mod manage_users;
mod mint;
mod narrow;
mod once;
mod refusal;
mod register_group;
mod register_project;
mod report_leak;
mod revoke;
mod run;

pub use access::{GrantPlace, GroupAccess, ProjectAccess};
pub use authenticate::{Holder, Person, RunnerCaller, ServiceCaller};
pub use authorize::{Answer, Ask};
pub use bootstrap::Credential;
pub use clock::Clock;
pub use draft_grant::{DraftGrant, DraftPermissions, DraftSource};
pub use finish::JobView;
pub use introspect::Active;
pub use look::PageOf;
pub use manage_runners::{DraftRunner, RunnerChange};
pub use manage_services::{DraftService, ServiceChange};
pub use manage_users::DraftUserToken;
pub use mint::{Mint, Minted};
pub use narrow::Narrow;
pub use once::{Once, Rendered};
pub use refusal::{Conflict, Fault, Refusal};
pub use register_group::{DraftGroup, GroupChange};
pub use register_project::{DraftProject, ProjectChange};
pub use run::{App, Health, Settings};
