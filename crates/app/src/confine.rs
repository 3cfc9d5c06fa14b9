//! Authorization details (RFC 9396) as a caller writes them, read: each confines a token in one project.

use crate::{App, Refusal};
use jobpass_domain::Catalogue;
use jobpass_domain::authorization_detail::{AuthorizationDetail, MAX_DETAILS, ShownDetail};
use jobpass_persistence::project;

#[derive(Clone, Debug)]
pub struct DraftDetail {
    /// Path or id.
    pub project: String,
    pub permissions: Vec<String>,
}

impl App {
    /// `None`: nothing is confined. A project that does not exist is kept by its name, so that it is answered like one that is hidden.
    pub(crate) async fn details(
        &self,
        drafts: Option<&[DraftDetail]>,
    ) -> Result<Option<Vec<AuthorizationDetail>>, Refusal> {
        let Some(drafts) = drafts else { return Ok(None) };
        if !(1..=MAX_DETAILS).contains(&drafts.len()) {
            let detail = format!("{}; from 1 to {MAX_DETAILS}", drafts.len());
            return Err(Refusal::invalid("/authorization_details", "out_of_range", detail));
        }
        let mut details = Vec::with_capacity(drafts.len());
        for (at, draft) in drafts.iter().enumerate() {
            details.push(self.detail(at, draft).await?);
        }
        Ok(Some(details))
    }

    async fn detail(&self, at: usize, draft: &DraftDetail) -> Result<AuthorizationDetail, Refusal> {
        let pointer = format!("/authorization_details/{at}/permissions");
        let permissions = self.at_most(&pointer, &draft.permissions).await?;
        let project = project::find(self.db.read(), &draft.project).await?.map(|project| project.id);
        Ok(AuthorizationDetail { project, named: draft.project.clone(), permissions })
    }
}

pub(crate) fn shown(details: &[AuthorizationDetail], catalogue: &Catalogue) -> Vec<ShownDetail> {
    let shown = |detail: &AuthorizationDetail| ShownDetail {
        project: detail.named.clone(),
        permissions: catalogue.format(detail.permissions),
    };
    details.iter().map(shown).collect()
}
