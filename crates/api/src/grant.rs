//! Grants.

use crate::registry::wire;
use jobpass_domain::glob::Glob;
use jobpass_domain::grant::VouchedBy;
use jobpass_domain::pipeline::Trigger;
use jobpass_domain::refs::RefPattern;
use jobpass_domain::text::{Label, Note};
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;
use time::OffsetDateTime;
use uuid::Uuid;

wire! {
    /// What a maintainer writes; all but source and permissions may be left out. A grant as it is shown can be sent back
    /// without what is not the maintainer's to say: `id`, `not_covered`, `last_needed_at`, `created_by`, `created_at` and
    /// `updated_at` are unknown fields here.
    request struct NewGrant {
        #[serde(deserialize_with = "crate::object")]
        source: NewSource,
        permissions: Permissions,
        #[serde(default, deserialize_with = "crate::object")]
        conditions: Conditions,
        /// Per resource type, patterns of the names that the grant is limited to.
        #[serde(default)]
        #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, Vec<String>>))]
        selectors: BTreeMap<String, Vec<Glob>>,
        #[serde(default, with = "time::serde::rfc3339::option")]
        expires_at: Option<OffsetDateTime>,
        #[serde(default)]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
        note: Option<Note>,
    }

    /// Whose jobs: either one project, or a group with all under it, now or later.
    request struct NewSource {
        /// Path or id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
        project: Option<Label>,
        /// Path or id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
        group: Option<Label>,
        /// Projects and groups under the group that are left out, by path or id.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
        except: Vec<Label>,
        /// The source's id as it is shown: where it is given, the project or group must be that one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<Uuid>,
    }

    /// All must hold; null or absent: no restriction.
    request struct Conditions {
        #[serde(default)]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<String>>))]
        refs: Option<Vec<RefPattern>>,
        /// The ref of the *job*, as its own project protects it.
        #[serde(default)]
        protected_refs_only: bool,
        #[serde(default)]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<String>>))]
        environments: Option<Vec<Glob>>,
        #[serde(default)]
        triggers: Option<Vec<Trigger>>,
        #[serde(default)]
        allow_forks: bool,
        #[serde(default)]
        within_actor_role: bool,
        #[serde(default)]
        vouched_by: VouchedBy,
    }

    response struct Grant {
        id: Uuid,
        source: Source,
        /// In catalogue order, four actions as `packages:admin`; or `"everything"`.
        permissions: Permissions,
        /// With `everything`: permissions of resource types that came after its last save.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        not_covered: Vec<String>,
        conditions: Conditions,
        #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, Vec<String>>))]
        selectors: BTreeMap<String, Vec<Glob>>,
        #[serde(default, with = "time::serde::rfc3339::option")]
        expires_at: Option<OffsetDateTime>,
        note: String,
        /// When it last gave a job something that was asked for; null: never. Not part of the ETag.
        #[serde(default, with = "time::serde::rfc3339::option")]
        last_needed_at: Option<OffsetDateTime>,
        /// The user who wrote it; null when that user is gone.
        created_by: Option<Uuid>,
        #[serde(with = "time::serde::rfc3339")]
        created_at: OffsetDateTime,
        #[serde(with = "time::serde::rfc3339")]
        updated_at: OffsetDateTime,
    }

    response struct Source {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        project: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<String>,
        /// Stays when the path changes.
        id: Uuid,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        except: Vec<String>,
    }

    /// The whole list of grants, to be put at once.
    request struct GrantList {
        #[serde(deserialize_with = "crate::objects")]
        items: Vec<NewGrant>,
    }
}

impl Default for Conditions {
    fn default() -> Conditions {
        Conditions {
            refs: None,
            protected_refs_only: false,
            environments: None,
            triggers: None,
            allow_forks: false,
            within_actor_role: false,
            vouched_by: VouchedBy::Any,
        }
    }
}

/// `"everything"`, or a list of permissions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Permissions {
    Everything,
    List(Vec<String>),
}

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for Permissions {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, OneOfBuilder, Schema, Type};
        let everything = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["everything"]));
        let permission =
            ObjectBuilder::new().schema_type(Type::String).pattern(Some("^([a-z][a-z0-9_]*:[a-z]+|[A-Z_]+)$"));
        let list = ArrayBuilder::new().items(permission);
        Schema::OneOf(OneOfBuilder::new().item(everything).item(list).build()).into()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for Permissions {}

impl Serialize for Permissions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Permissions::Everything => serializer.serialize_str("everything"),
            Permissions::List(list) => list.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Permissions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Permissions, D::Error> {
        struct EverythingOrList;

        impl<'de> Visitor<'de> for EverythingOrList {
            type Value = Permissions;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"everything\" or a list of permissions")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Permissions, E> {
                if text == "everything" {
                    Ok(Permissions::Everything)
                } else {
                    Err(E::invalid_value(de::Unexpected::Str(text), &self))
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Permissions, A::Error> {
                let mut permissions = Vec::new();
                while let Some(permission) = list.next_element()? {
                    permissions.push(permission);
                }
                Ok(Permissions::List(permissions))
            }
        }

        deserializer.deserialize_any(EverythingOrList)
    }
}
