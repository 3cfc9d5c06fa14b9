//! Ceilings, and the settings of the whole instance.

use crate::registry::wire;
use jobpass_domain::ceiling::Side;
use jobpass_domain::glob::Glob;
use jobpass_domain::mode::Mode;
use jobpass_domain::pipeline::Trigger;
use jobpass_domain::provenance::CredentialScope;
use jobpass_domain::refs::RefPattern;
use jobpass_domain::text::Label;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

wire! {
    /// At most this, for whatever runs match: ceilings only take away.
    request struct NewCeiling {
        /// Of one that is there: it stays the same, whatever is written of it. Left out: the same content is the same.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<Uuid>,
        #[serde(default)]
        side: Side,
        #[serde(default, deserialize_with = "crate::object")]
        when: When,
        /// Permissions, or an action on every resource type, as in `*:read`; empty: nothing.
        at_most: Vec<String>,
    }

    /// To which runs a ceiling applies: all that is given must hold; nothing given applies always.
    #[derive(Default)]
    request struct When {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<String>>))]
        refs: Option<Vec<RefPattern>>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        protected: Option<bool>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<String>>))]
        environments: Option<Vec<Glob>>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        triggers: Option<Vec<Trigger>>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from_fork: Option<bool>,
        /// Scopes of the minting credential.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        vouched_by: Option<Vec<CredentialScope>>,
    }

    /// All ceilings of one place, put at once.
    request struct NewCeilings {
        items: Vec<NewCeiling>,
    }

    response struct Ceiling {
        id: Uuid,
        side: Side,
        when: When,
        at_most: Vec<String>,
    }

    response struct Ceilings {
        items: Vec<Ceiling>,
    }

    request struct NewInstanceSettings {
        /// The least strict mode of any project; `legacy` is none.
        floor: Mode,
        /// The mode of new projects.
        default_mode: Mode,
        /// Why; kept in the audit event.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
        reason: Option<Label>,
    }

    response struct InstanceSettings {
        floor: Mode,
        default_mode: Mode,
    }
}
