//! The HTTP face: it reads a request into the domain's words, calls one use case, and writes the answer.
//! No rule lives here, and no SQL can be reached from here.

mod address;
mod etag;
mod extract;
mod forward_auth;
mod limit;
mod oauth;
mod openapi;
mod problem;
mod render;
mod request;
mod rest;
mod router;
mod server;

pub use address::{AddressHeader, ProxyNetwork, TrustedProxies};
pub use openapi::openapi;
pub use router::router;
pub use server::{Config, Server};
