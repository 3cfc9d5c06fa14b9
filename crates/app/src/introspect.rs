//! Introspection (RFC 7662): what a presented token is, and what it may do in one project; and the same
//! for the holder who asks about itself.

use crate::authorize::project_asked;
use crate::{App, Holder, Refusal, ServiceCaller};
use jobpass_domain::Catalogue;
use jobpass_domain::decision::{Decision, Names, Question, decide};
use jobpass_domain::job_token::TokenInfo;
use jobpass_persistence::question;
use std::sync::Arc;
use time::{Duration, OffsetDateTime};

/// A live token that is meant for the asking service.
#[derive(Debug)]
pub struct Active {
    pub info: TokenInfo,
    pub decision: Decision,
    pub catalogue: Arc<Catalogue>,
    /// The project as it was asked, or the service's own; `None` when none was named.
    pub project: Option<String>,
    /// Until when the answer may be relied on.
    pub rely_until: OffsetDateTime,
    pub asked_permission: bool,
}

impl App {
    /// `None`: not active, for whatever reason.
    pub async fn introspect(
        &self,
        caller: &ServiceCaller,
        token: &str,
        project: Option<&str>,
        permissions: &[String],
    ) -> Result<Option<Active>, Refusal> {
        let own = project_asked(caller, project)?;
        let catalogue = self.catalogue_for(permissions).await?;
        let asked = catalogue
            .parse_all(permissions)
            .map_err(|(_, unknown)| Refusal::invalid("permission", "unknown_permission", unknown.to_string()))?;
        let loaded = self.load(token, own.as_deref()).await?;
        let Some(known) = loaded.token else { return Ok(None) };
        let asker = caller.service.asker(&catalogue);
        let question = Question {
            token: Some(&known.token),
            actor_role: loaded.actor_role,
            source_ceilings: &loaded.source_ceilings,
            asker: Some(&asker),
            target: loaded.target.as_ref(),
            asked,
            names: &Names::new(),
        };
        let now = self.now();
        let decision = decide(&question, now);
        self.count(&question, loaded.target_id, (caller.service.id, Some(known.info.job)), &decision);
        if decision.dead.is_some() {
            return Ok(None);
        }
        let answer_until = now + Duration::seconds(caller.service.answer_seconds.into());
        let ends = [Some(known.token.expires_at), known.lease_until, decision.grants_until].into_iter().flatten();
        let rely_until = ends.fold(answer_until, OffsetDateTime::min);
        let echoed = project.map(str::to_owned).or_else(|| caller.service.project_path.clone());
        let asked_permission = !permissions.is_empty();
        Ok(Some(Active { info: known.info, decision, catalogue, project: echoed, rely_until, asked_permission }))
    }

    /// What the holder's token may do in a project; one that does not exist grants nothing.
    pub async fn self_access(
        &self,
        holder: &Holder,
        project: &str,
        permissions: &[String],
    ) -> Result<(Decision, Arc<Catalogue>), Refusal> {
        let catalogue = self.catalogue_for(permissions).await?;
        let asked = catalogue
            .parse_all(permissions)
            .map_err(|(_, unknown)| Refusal::invalid("?permission", "unknown_permission", unknown.to_string()))?;
        let parsed = &holder.parsed;
        let loaded = question::load(self.db.read(), parsed.hour, parsed.hash, Some(project), &catalogue).await?;
        let question = Question {
            token: loaded.token.as_ref().map(|known| &known.token),
            actor_role: loaded.actor_role,
            source_ceilings: &loaded.source_ceilings,
            asker: None,
            target: loaded.target.as_ref(),
            asked,
            names: &Names::new(),
        };
        Ok((decide(&question, self.now()), catalogue))
    }
}
