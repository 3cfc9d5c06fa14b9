//! What is asked of a token. The token itself is not in here, so that this can be shown and logged.

use crate::{Misconfigured, Secret};
use jobpass_api::Question;
use jobpass_domain::text::Label;
use std::collections::BTreeMap;

/// One or more permissions in one project.
#[derive(Clone, Debug)]
pub struct Ask {
    project: Label,
    permissions: Vec<String>,
    resource_name: Option<Label>,
}

impl Ask {
    /// `project` is a path or an id; `permission` is such as `packages:read`.
    pub fn on(project: impl Into<String>, permission: impl Into<String>) -> Result<Ask, Misconfigured> {
        Ok(Ask { project: Label::parse(project)?, permissions: vec![permission.into()], resource_name: None })
    }

    /// A further permission; all of them are needed.
    #[must_use]
    pub fn and(mut self, permission: impl Into<String>) -> Ask {
        self.permissions.push(permission.into());
        self
    }

    /// Which package, environment, ref … is meant. The permissions must then share one resource type.
    pub fn named(mut self, resource_name: impl Into<String>) -> Result<Ask, Misconfigured> {
        self.resource_name = Some(Label::parse(resource_name)?);
        Ok(self)
    }

    pub fn project(&self) -> &str {
        &self.project
    }

    pub fn permissions(&self) -> &[String] {
        &self.permissions
    }

    pub(crate) fn of(&self, token: &Secret) -> Question {
        Question {
            token: jobpass_api::SecretText::new(token.expose()),
            project: Some(self.project.clone()),
            permissions: Some(self.permissions.clone()),
            method: None,
            path: None,
            resource_name: self.resource_name.clone(),
            resource_names: BTreeMap::new(),
            keep: false,
        }
    }
}
