//! What is asked of a token. The token itself is not in here, so that this can be shown and logged.

use crate::memory::Key;
use crate::{Misconfigured, Secret};
use jobpass_api::Question;
use jobpass_domain::text::Label;
use sha2::{Digest, Sha256};
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

    /// `keep`: whether the answer is to say how long it may be kept.
    pub(crate) fn of(&self, token: &Secret, keep: bool) -> Question {
        Question {
            token: jobpass_api::SecretText::new(token.expose()),
            project: Some(self.project.clone()),
            permissions: Some(self.permissions.clone()),
            method: None,
            path: None,
            resource_name: self.resource_name.clone(),
            resource_names: BTreeMap::new(),
            keep,
        }
    }

    /// Names the question about this token by a hash, and no two questions alike.
    pub(crate) fn key(&self, token: &Secret) -> Key {
        let name = self.resource_name.as_deref();
        let texts = [Some(token.expose()), Some(&*self.project), name].into_iter();
        let texts = texts.chain(self.permissions.iter().map(|permission| Some(permission.as_str())));
        let mut hash = Sha256::new();
        for text in texts {
            // No text is as long as the mark of none.
            hash.update(text.map_or(u64::MAX, |text| u64::try_from(text.len()).unwrap_or(u64::MAX - 1)).to_be_bytes());
            hash.update(text.unwrap_or_default());
        }
        hash.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_two_questions_have_one_key() {
        let ask = |project: &str, permission: &str| Ask::on(project, permission).unwrap();
        let token = |text: &str| Secret::new(text.to_owned());
        let keys = [
            ask("acme/lib", "packages:read").key(&token("a")),
            ask("acme/lib", "packages:read").key(&token("b")),
            ask("acme/web", "packages:read").key(&token("a")),
            ask("acme/lib", "packages:create").key(&token("a")),
            ask("acme/lib", "packages:read").and("packages:create").key(&token("a")),
            ask("acme/lib", "packages:readpackages:create").key(&token("a")),
            ask("acme/lib", "packages:read").named("ui").unwrap().key(&token("a")),
            ask("acme/libpackages", ":read").key(&token("a")),
        ];
        assert_eq!(HashSet::from(keys).len(), keys.len());
        assert_eq!(keys[0], ask("acme/lib", "packages:read").key(&token("a")));
    }
}
