//! The Rust SDK of Jobpass: what a runner, a resource service, the holder of a job token and a maintainer need, and a
//! [tower layer](layer) that guards a service's routes. It shares the wire with the server and nothing else.
//!
//! A credential gives a role, and a role has only the calls that the server takes from it:
//!
//! ```no_run
//! # async fn example(secret: jobpass_client::Secret, presented: jobpass_client::Secret) -> Result<(), Box<dyn std::error::Error>> {
//! use jobpass_client::{Ask, Client};
//!
//! let client = Client::builder("https://jobpass.example").build()?;
//! let registry = client.service("0191d2b4000070008000000000000001", secret)?;
//! let decision = registry.authorize(&presented, &Ask::on("acme/lib", "packages:read")?).await?;
//! assert!(decision.allowed);
//! # Ok(())
//! # }
//! ```

mod ask;
#[cfg(test)]
mod canned;
mod client;
mod credential;
mod error;
mod event_stream;
mod exchange;
mod feed;
mod holder;
pub mod layer;
mod maintainer;
mod memory;
mod runner;
mod service;
#[cfg(test)]
mod tests;

pub use ask::Ask;
pub use client::{Builder, Client, tls};
pub use error::{Error, Misconfigured};
pub use holder::Holder;
pub use jobpass_api as api;
pub use jobpass_domain::Secret;
pub use jobpass_domain::ids;
pub use jobpass_domain::text;
pub use maintainer::{Configurable, Maintainer, Put, Tagged};
pub use runner::{JobToken, Runner};
pub use service::ResourceService;
