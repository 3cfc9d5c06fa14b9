//! Groups, projects, people, and the callers that are not people.

use crate::{Field, ForwardAuth, ForwardAuthPatch, SecretText};
use jobpass_domain::glob::Glob;
use jobpass_domain::mode::{Mode, Visibility};
use jobpass_domain::refs::RefPattern;
use jobpass_domain::text::{AudienceUri, Label, UserName};
use jobpass_domain::{Path, Role};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

/// A `request` refuses fields that it does not know; a `response` may grow some.
macro_rules! wire {
    ($($(#[$attribute:meta])* $direction:ident struct $name:ident { $($(#[$field_attribute:meta])* $field:ident: $type:ty,)* })+) => {$(
        crate::registry::wire!(@$direction
            $(#[$attribute])*
            #[derive(Clone, Debug, Serialize, Deserialize)]
            #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
            struct $name { $($(#[$field_attribute])* pub $field: $type,)* }
        );
    )+};
    (@request $(#[$attribute:meta])* struct $($rest:tt)+) => {
        $(#[$attribute])*
        #[serde(deny_unknown_fields)]
        pub struct $($rest)+
    };
    (@response $(#[$attribute:meta])* struct $($rest:tt)+) => {
        $(#[$attribute])*
        pub struct $($rest)+
    };
}
pub(crate) use wire;

wire! {
    request struct NewGroup {
        #[cfg_attr(feature = "openapi", schema(value_type = String, example = "acme/platform"))]
        path: Path,
        /// The least strict mode of any project below; `legacy` is none.
        #[serde(default)]
        floor: Option<Mode>,
    }

    request struct GroupPatch {
        /// Renames or moves it, with all that lies below.
        #[serde(default, skip_serializing_if = "Field::is_absent")]
        #[cfg_attr(feature = "openapi", schema(value_type = String, required = false))]
        path: Field<Path>,
        #[serde(default, skip_serializing_if = "Field::is_absent")]
        #[cfg_attr(feature = "openapi", schema(value_type = Mode, required = false))]
        floor: Field<Mode>,
        /// Why; kept in the audit event.
        #[serde(default, skip_serializing_if = "Field::is_absent")]
        #[cfg_attr(feature = "openapi", schema(value_type = String, required = false))]
        reason: Field<Label>,
    }

    response struct Group {
        id: Uuid,
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        path: Path,
        floor: Mode,
        #[serde(with = "time::serde::rfc3339")]
        created_at: OffsetDateTime,
    }

    request struct NewProject {
        #[cfg_attr(feature = "openapi", schema(value_type = String, example = "acme/web"))]
        path: Path,
        #[serde(default)]
        visibility: Visibility,
        /// Absent: the instance's default for new projects.
        #[serde(default)]
        mode: Option<Mode>,
        /// Patterns such as `main`, `branch:release/*`, `tag:v*`; absent: `["main"]`.
        #[serde(default)]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<String>>))]
        protected_refs: Option<Vec<RefPattern>>,
        #[serde(default)]
        #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
        protected_environments: Vec<Glob>,
    }

    request struct ProjectPatch {
        /// Renames or moves it: needs the owner of the project and of where it goes.
        #[serde(default, skip_serializing_if = "Field::is_absent")]
        #[cfg_attr(feature = "openapi", schema(value_type = String, required = false))]
        path: Field<Path>,
        #[serde(default, skip_serializing_if = "Field::is_absent")]
        #[cfg_attr(feature = "openapi", schema(value_type = Visibility, required = false))]
        visibility: Field<Visibility>,
        #[serde(default, skip_serializing_if = "Field::is_absent")]
        #[cfg_attr(feature = "openapi", schema(value_type = Mode, required = false))]
        mode: Field<Mode>,
        #[serde(default, skip_serializing_if = "Field::is_absent")]
        #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>, required = false))]
        protected_refs: Field<Vec<RefPattern>>,
        #[serde(default, skip_serializing_if = "Field::is_absent")]
        #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>, required = false))]
        protected_environments: Field<Vec<Glob>>,
        /// Why, for the audit event.
        #[serde(default, skip_serializing_if = "Field::is_absent")]
        #[cfg_attr(feature = "openapi", schema(value_type = String, required = false))]
        reason: Field<Label>,
    }

    response struct Project {
        id: Uuid,
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        path: Path,
        visibility: Visibility,
        /// Its own mode.
        mode: Mode,
        /// The strictest of its own and the floors above it.
        effective_mode: Mode,
        #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
        protected_refs: Vec<RefPattern>,
        #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
        protected_environments: Vec<Glob>,
        #[serde(with = "time::serde::rfc3339")]
        created_at: OffsetDateTime,
    }

    request struct MemberRole {
        role: Role,
    }

    response struct Member {
        user: String,
        user_id: Uuid,
        role: Role,
        /// The path of the group or project that the membership is on.
        on: String,
    }

    request struct NewUser {
        #[cfg_attr(feature = "openapi", schema(value_type = String, example = "alice"))]
        name: UserName,
        #[serde(default)]
        administrator: bool,
    }

    request struct UserPatch {
        #[serde(default, skip_serializing_if = "Field::is_absent")]
        #[cfg_attr(feature = "openapi", schema(value_type = String, required = false))]
        name: Field<UserName>,
        #[serde(default, skip_serializing_if = "Field::is_absent")]
        #[cfg_attr(feature = "openapi", schema(value_type = bool, required = false))]
        administrator: Field<bool>,
    }

    response struct User {
        id: Uuid,
        name: String,
        administrator: bool,
        #[serde(with = "time::serde::rfc3339")]
        created_at: OffsetDateTime,
    }

    request struct NewUserToken {
        /// A user's name or id; administrators may name anyone, others themselves.
        #[cfg_attr(feature = "openapi", schema(value_type = String, example = "alice"))]
        user: Label,
        #[serde(default)]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
        name: Option<Label>,
        #[serde(default)]
        read_only: bool,
        #[serde(default, with = "time::serde::rfc3339::option")]
        expires_at: Option<OffsetDateTime>,
    }

    response struct UserToken {
        id: Uuid,
        user_id: Uuid,
        name: Option<String>,
        read_only: bool,
        #[serde(default, with = "time::serde::rfc3339::option")]
        expires_at: Option<OffsetDateTime>,
        #[serde(with = "time::serde::rfc3339")]
        created_at: OffsetDateTime,
        /// Shown once, in the answer that made it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token: Option<SecretText>,
    }

    request struct NewRunner {
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        name: Label,
        /// The one project that it mints for; with neither project nor group: any project here.
        #[serde(default)]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
        project: Option<Label>,
        #[serde(default)]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
        group: Option<Label>,
        /// Whether it gets tokens for protected refs.
        #[serde(default)]
        protected: bool,
        /// Whether it vouches for the actor that it names; an administrator's to give.
        #[serde(default)]
        asserts_actor: bool,
        #[serde(default, with = "time::serde::rfc3339::option")]
        expires_at: Option<OffsetDateTime>,
    }

    request struct RunnerPatch {
        #[serde(default, skip_serializing_if = "Field::is_absent")]
        #[cfg_attr(feature = "openapi", schema(value_type = String, required = false))]
        name: Field<Label>,
        #[serde(default, skip_serializing_if = "Field::is_absent")]
        #[cfg_attr(feature = "openapi", schema(value_type = bool, required = false))]
        protected: Field<bool>,
        #[serde(default, skip_serializing_if = "Field::is_absent")]
        #[cfg_attr(feature = "openapi", schema(value_type = bool, required = false))]
        asserts_actor: Field<bool>,
        /// A paused runner mints nothing; what it minted lives on.
        #[serde(default, skip_serializing_if = "Field::is_absent")]
        #[cfg_attr(feature = "openapi", schema(value_type = bool, required = false))]
        paused: Field<bool>,
    }

    response struct Runner {
        id: Uuid,
        name: String,
        project: Option<String>,
        group: Option<String>,
        protected: bool,
        asserts_actor: bool,
        paused: bool,
        #[serde(with = "time::serde::rfc3339")]
        created_at: OffsetDateTime,
        /// Shown once, in the answer that made it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token: Option<SecretText>,
    }

    request struct NewService {
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        name: Label,
        /// Which resource types it is shown; null or absent: all; empty: none.
        #[serde(default)]
        resources: Option<Vec<String>>,
        /// The one project that it serves.
        #[serde(default)]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
        project: Option<Label>,
        #[serde(default)]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
        audience: Option<AudienceUri>,
        /// Whether it is shown only tokens that name its audience.
        #[serde(default)]
        audience_required: bool,
        /// For how many seconds its clients may rely on an answer; absent: 60.
        #[serde(default)]
        answer_seconds: Option<u32>,
        /// By which table its methods and paths are read; absent: `gitlab`.
        #[serde(default)]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
        route_table: Option<Label>,
        /// How its gateway asks; null or absent: none does.
        #[serde(default, deserialize_with = "crate::object_or_null")]
        forward_auth: Option<ForwardAuth>,
    }

    request struct ServicePatch {
        #[serde(default, skip_serializing_if = "Field::is_absent")]
        #[cfg_attr(feature = "openapi", schema(value_type = String, required = false))]
        name: Field<Label>,
        #[serde(default, skip_serializing_if = "Field::is_absent")]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<String>>, required = false))]
        resources: Field<Option<Vec<String>>>,
        #[serde(default, skip_serializing_if = "Field::is_absent")]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, required = false))]
        audience: Field<Option<AudienceUri>>,
        #[serde(default, skip_serializing_if = "Field::is_absent")]
        #[cfg_attr(feature = "openapi", schema(value_type = bool, required = false))]
        audience_required: Field<bool>,
        #[serde(default, skip_serializing_if = "Field::is_absent")]
        #[cfg_attr(feature = "openapi", schema(value_type = u32, required = false))]
        answer_seconds: Field<u32>,
        #[serde(default, skip_serializing_if = "Field::is_absent")]
        #[cfg_attr(feature = "openapi", schema(value_type = String, required = false))]
        route_table: Field<Label>,
        /// Merged into what is set, as RFC 7396 has it; null: no gateway asks any more.
        #[serde(default, skip_serializing_if = "Field::is_absent", deserialize_with = "crate::patched_object")]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<ForwardAuthPatch>, required = false))]
        forward_auth: Field<Option<ForwardAuthPatch>>,
        #[serde(default, skip_serializing_if = "Field::is_absent")]
        #[cfg_attr(feature = "openapi", schema(value_type = bool, required = false))]
        paused: Field<bool>,
    }

    response struct Service {
        /// 32 hexadecimal digits: the id without hyphens.
        client_id: String,
        name: String,
        resources: Option<Vec<String>>,
        project: Option<String>,
        audience: Option<String>,
        audience_required: bool,
        answer_seconds: u32,
        route_table: String,
        forward_auth: Option<ForwardAuth>,
        paused: bool,
        #[serde(with = "time::serde::rfc3339")]
        created_at: OffsetDateTime,
        /// Shown once, in the answer that made it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client_secret: Option<SecretText>,
    }

    request struct NewSecret {
        #[serde(default, with = "time::serde::rfc3339::option")]
        expires_at: Option<OffsetDateTime>,
    }

    response struct LiveSecret {
        id: Uuid,
        #[serde(default, with = "time::serde::rfc3339::option")]
        expires_at: Option<OffsetDateTime>,
        #[serde(with = "time::serde::rfc3339")]
        created_at: OffsetDateTime,
        /// Shown once, in the answer that made it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        secret: Option<SecretText>,
    }

    response struct AuditEvent {
        id: Uuid,
        #[serde(with = "time::serde::rfc3339")]
        at: OffsetDateTime,
        /// `user`, `runner`, `service`, `job_token`, `anyone` or `system`.
        actor_kind: String,
        actor_id: Option<Uuid>,
        /// A noun and a verb, such as `grant.created`.
        action: String,
        subject_kind: String,
        subject_id: Uuid,
        project_id: Option<Uuid>,
        group_id: Option<Uuid>,
        #[cfg_attr(feature = "openapi", schema(value_type = Option<serde_json::Value>))]
        before: Option<serde_json::Value>,
        #[cfg_attr(feature = "openapi", schema(value_type = Option<serde_json::Value>))]
        after: Option<serde_json::Value>,
        reason: Option<String>,
        request_id: Option<Uuid>,
    }
}
