//! Trust rules: the maintainers' of the project, as its grants and its runners are.

use crate::once::{Life, once};
use crate::{App, Conflict, Once, ProjectAccess, Refusal, Rendered};
use jobpass_domain::audit::Change;
use jobpass_domain::claims::{MAX_CLAIM_PATTERNS, MAX_CLAIMS};
use jobpass_domain::ids::TrustRuleId;
use jobpass_domain::place::Place;
use jobpass_domain::text::Label;
use jobpass_domain::trust_rule::{MAX_TRUST_RULES, Terms, TrustRule};
use jobpass_persistence::{Tx, id_at, trust_rule};
use serde_json::json;

impl App {
    pub async fn find_trust_rule(&self, access: &ProjectAccess, id: TrustRuleId) -> Result<TrustRule, Refusal> {
        of_project(trust_rule::find(self.db.read(), id).await?, access)
    }

    pub async fn trust_rule_create(
        &self,
        access: &ProjectAccess,
        terms: Terms,
        idempotency: Option<&Once>,
        render: impl Fn(&TrustRule) -> Rendered,
    ) -> Result<Rendered, Refusal> {
        let ProjectAccess { person, project, .. } = access;
        if let Some(kept) = self.replayed(idempotency, person.user.id.0).await? {
            return Ok(kept);
        }
        let terms = self.checked(terms).await?;
        let context = self.context(person.actor(), person.request);
        let work = async |tx: &mut Tx| {
            if trust_rule::count(tx, project.id).await? >= MAX_TRUST_RULES {
                return Err(Conflict::TooManyTrustRules { limit: MAX_TRUST_RULES }.into());
            }
            let now = tx.now();
            let made = TrustRule { id: TrustRuleId(id_at(now)), project: project.id, terms, epoch: 1, created_at: now };
            trust_rule::insert(tx, &made).await?;
            tx.audit(&changed("trust_rule.created", &made, None, Some(&made))).await?;
            Ok((render(&made), Life::default()))
        };
        self.transaction(context, async |tx: &mut Tx| once(tx, idempotency, person.user.id.0, work).await).await
    }

    pub async fn trust_rule_put(
        &self,
        access: &ProjectAccess,
        id: TrustRuleId,
        terms: Terms,
        still: impl Fn(&TrustRule) -> bool,
    ) -> Result<TrustRule, Refusal> {
        self.find_trust_rule(access, id).await?;
        let terms = self.checked(terms).await?;
        let context = self.context(access.person.actor(), access.person.request);
        self.transaction(context, async |tx: &mut Tx| {
            let old = held(tx, access, id, still).await?;
            let new = TrustRule { terms, ..old.clone() };
            trust_rule::update(tx, &new).await?;
            tx.audit(&changed("trust_rule.updated", &new, Some(&old), Some(&new))).await?;
            Ok(new)
        })
        .await
    }

    /// Ends what was minted under it.
    pub async fn trust_rule_delete(
        &self,
        access: &ProjectAccess,
        id: TrustRuleId,
        still: impl Fn(&TrustRule) -> bool,
    ) -> Result<(), Refusal> {
        self.find_trust_rule(access, id).await?;
        let context = self.context(access.person.actor(), access.person.request);
        self.transaction(context, async |tx: &mut Tx| {
            let old = held(tx, access, id, still).await?;
            trust_rule::delete(tx, id).await?;
            tx.audit(&changed("trust_rule.deleted", &old, Some(&old), None)).await.map_err(Refusal::from)
        })
        .await
    }

    /// Everything minted under the rule so far.
    pub async fn trust_rule_revoke_tokens(&self, access: &ProjectAccess, id: TrustRuleId) -> Result<(), Refusal> {
        let rule = self.find_trust_rule(access, id).await?;
        let context = self.context(access.person.actor(), access.person.request);
        self.transaction(context, async |tx: &mut Tx| {
            trust_rule::raise_epoch(tx, id).await?;
            tx.audit(&changed("trust_rule.tokens_revoked", &rule, None, None)).await.map_err(Refusal::from)
        })
        .await
    }

    /// The terms with their cap in its canonical form, if all of them can be.
    async fn checked(&self, terms: Terms) -> Result<Terms, Refusal> {
        check_claims(&terms)?;
        let max = self.settings.max_job_timeout.whole_seconds();
        if !(1..=max).contains(&terms.max_lifetime_secs.into()) {
            return Err(Refusal::invalid("/max_lifetime_secs", "out_of_range", format!("from 1 to {max} seconds")));
        }
        Ok(Terms { permissions: self.cap(terms.permissions.as_deref()).await?, ..terms })
    }
}

/// A rule of another project is as good as none.
fn of_project(found: Option<TrustRule>, access: &ProjectAccess) -> Result<TrustRule, Refusal> {
    found.filter(|rule| rule.project == access.project.id).ok_or(Refusal::NotFound)
}

async fn held(
    tx: &mut Tx,
    access: &ProjectAccess,
    id: TrustRuleId,
    still: impl Fn(&TrustRule) -> bool,
) -> Result<TrustRule, Refusal> {
    let old = of_project(trust_rule::lock(tx, id).await?, access)?;
    if still(&old) { Ok(old) } else { Err(Refusal::PreconditionFailed) }
}

fn check_claims(terms: &Terms) -> Result<(), Refusal> {
    let claims = &terms.claims.0;
    if claims.len() > MAX_CLAIMS {
        let detail = format!("{} claims; at most {MAX_CLAIMS}", claims.len());
        return Err(Refusal::invalid("/claims", "too_many", detail));
    }
    for (name, patterns) in claims {
        let pointer = || format!("/claims/{}", crate::escape(name));
        if Label::parse(name.as_str()).is_err() {
            return Err(Refusal::invalid(pointer(), "invalid", "a claim's name has 1 to 255 bytes on one line"));
        }
        if !(1..=MAX_CLAIM_PATTERNS).contains(&patterns.len()) {
            let detail = format!("1 to {MAX_CLAIM_PATTERNS} patterns");
            return Err(Refusal::invalid(pointer(), "out_of_range", detail));
        }
    }
    if !terms.binds_an_identity() {
        let claims = terms.ci.immutable_claims().join("` or `");
        let detail = format!("needs exact values for `{claims}`: a name can pass to somebody else, an id cannot");
        return Err(Refusal::invalid("/claims", "no_immutable_id", detail));
    }
    Ok(())
}

fn changed(action: &'static str, rule: &TrustRule, before: Option<&TrustRule>, after: Option<&TrustRule>) -> Change {
    Change {
        action,
        subject_kind: "trust_rule",
        subject: rule.id.0,
        place: Place::Project(rule.project),
        before: before.map(describe),
        after: after.map(describe),
        reason: None,
    }
}

fn describe(rule: &TrustRule) -> String {
    json!({
        "name": rule.name, "issuer": rule.issuer, "jwks_uri": rule.jwks_uri, "ci": rule.ci, "claims": rule.claims,
        "permissions": rule.permissions, "protected": rule.protected, "excludes_forks": rule.excludes_forks,
        "max_lifetime_secs": rule.max_lifetime_secs, "paused": rule.paused,
    })
    .to_string()
}
