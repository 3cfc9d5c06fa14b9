//! `/oauth`: the endpoints that existing clients already speak, with the errors of RFC 6749.

pub(crate) mod authorize;
mod client;
mod denied;
mod form;
pub(crate) mod introspect;
pub(crate) mod key_set;
pub(crate) mod metadata;
pub(crate) mod revoke;
pub(crate) mod token;

pub(crate) use denied::OAuthDenied;
