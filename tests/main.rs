//! The black-box tests: a real server, a real PostgreSQL, a real HTTP client. One binary, one module a
//! subject; no mocks, no sleeps, no order between tests.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says no by panicking"
)]

mod support;

mod as_code;
mod authorization_details;
mod bad_input;
mod bearer;
mod brute_force;
mod caching;
mod callers;
mod ceilings;
mod client_authentication;
mod client_credentials;
mod client_keys;
mod command_line;
mod configuration;
mod decisions;
mod derived;
mod explain;
mod forged_id_tokens;
mod forward_auth;
mod gathered;
mod grants;
mod id_tokens;
mod idempotency;
mod import_gitlab;
mod introspection;
mod invalidations;
mod issuers;
mod kept_decisions;
mod least_privilege;
mod lifecycle;
mod metadata;
mod minting;
mod model;
mod private_key_jwt;
mod races;
mod registry;
mod registry_token;
mod rehearsal;
mod revocation;
mod routes;
mod sdk;
mod signing_keys;
mod storage;
mod stuck_database;
mod suggestions;
mod tls;
mod token_endpoint;
mod trust_rules;
mod trusted_cis;
mod usage;
