//! From the domain's values to the wire.

mod catalogue;
mod client_key;
mod explain;
mod registry;
mod rule;
mod token;
mod usage;

pub(crate) use catalogue::*;
pub(crate) use client_key::*;
pub(crate) use explain::*;
pub(crate) use registry::*;
pub(crate) use rule::*;
pub(crate) use token::*;
pub(crate) use usage::*;

use jobpass_api as api;
use jobpass_domain::ids::ServiceId;

/// A service's id as it is known to the service: 32 hexadecimal digits.
fn client_id(id: ServiceId) -> String {
    id.0.simple().to_string()
}

/// A list of the wire, from a page of the domain.
pub(crate) fn list<T, W>((rows, next): (Vec<T>, Option<String>), one: impl Fn(&T) -> W) -> api::List<W> {
    api::List { items: rows.iter().map(one).collect(), next }
}
