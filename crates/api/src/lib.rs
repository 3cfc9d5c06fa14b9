//! The wire of Jobpass: what requests and responses look like, and nothing of what they mean. The
//! server and the SDK share these, so that neither can drift.

mod authorize;
mod catalogue;
mod ceiling;
mod client_key;
mod configuration;
mod explain;
mod forward_auth;
mod grant;
mod invalidation;
mod job_token;
mod oauth;
mod problem;
mod registry;
mod route;
mod secret_text;
mod signing_key;
mod suggestion;
mod trust_rule;
mod usage;

pub use authorize::*;
pub use catalogue::*;
pub use ceiling::*;
pub use client_key::*;
pub use configuration::*;
pub use explain::*;
pub use forward_auth::*;
pub use grant::*;
pub use invalidation::*;
pub use job_token::*;
pub use oauth::*;
pub use problem::*;
pub use registry::*;
pub use route::*;
pub use secret_text::SecretText;
pub use signing_key::*;
pub use suggestion::*;
pub use trust_rule::*;
pub use usage::*;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;
use std::marker::PhantomData;

/// One page of a list; `next` is the `after` of the page that follows, or null on the last one.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct List<T> {
    pub items: Vec<T>,
    pub next: Option<String>,
}

/// Reads an object, and an object only: serde would fill a struct from a list, too, field by field.
pub(crate) fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    struct Object<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map))
        }
    }

    deserializer.deserialize_map(Object(PhantomData))
}

/// What is an object, and an object only.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Object<T>, D::Error> {
        object(deserializer).map(Object)
    }
}

/// Reads null, or an object only.
pub(crate) fn object_or_null<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(Option::<Object<T>>::deserialize(deserializer)?.map(|Object(value)| value))
}

/// The same, in a merge patch.
pub(crate) fn patched_object<'de, D, T>(deserializer: D) -> Result<Field<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    object_or_null(deserializer).map(|value| Field(Some(value)))
}

/// Reads a list of objects, each of them an object only.
pub(crate) fn objects<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let items = Vec::<Object<T>>::deserialize(deserializer)?;
    Ok(items.into_iter().map(|Object(item)| item).collect())
}

/// A field of a JSON merge patch (RFC 7396): absent, or set to a value, which for an optional field may be null.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field<T>(pub Option<T>);

impl<T> Default for Field<T> {
    fn default() -> Field<T> {
        Field(None)
    }
}

impl<T> From<T> for Field<T> {
    fn from(value: T) -> Field<T> {
        Field(Some(value))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Field<T>, D::Error> {
        T::deserialize(deserializer).map(|value| Field(Some(value)))
    }
}

impl<T: Serialize> Serialize for Field<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<T> Field<T> {
    pub fn is_absent(&self) -> bool {
        self.0.is_none()
    }
}
