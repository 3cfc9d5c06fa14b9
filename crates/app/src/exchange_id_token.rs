//! An ID token of another CI in, a job token out (RFC 8693; RFC 7523, section 2.1), by a trust rule of the project.
//!
//! Whoever calls may be anyone. So what is told before the signature holds and a rule's claims match depends on the text alone, or
//! is one and the same, and takes as long; and nobody is asked for keys whom no rule of the project names.

use crate::issuer_keys::Source;
use crate::jwt::{Claims, Expected, Unverified};
use crate::mint::{Draft, Mint, check, issue_one};
use crate::{App, Conflict, Minted, Refusal, Rendered};
use jobpass_domain::audit::Actor;
use jobpass_domain::claim_map::CiJob;
use jobpass_domain::claims;
use jobpass_domain::ids::TrustRuleId;
use jobpass_domain::job::JobFacts;
use jobpass_domain::minter::Minter;
use jobpass_domain::project::Project;
use jobpass_domain::text::{AudienceUri, HttpsUrl, Label};
use jobpass_domain::trust_rule::TrustRule;
use jobpass_persistence::{Tx, assertion, project, trust_rule};
use jsonwebtoken::jwk::JwkSet;
use std::fmt::{Display, Write};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// The longest life of an ID token, from `iat` to `exp`. CIs give theirs minutes to hours, some as long as the job may take.
const MAX_LIFE: Duration = Duration::DAY;
/// The most places of keys that are looked at for one token.
const MAX_SOURCES: i64 = 4;

/// By what the caller says which rules are meant.
#[derive(Clone, Debug)]
pub enum TrustedBy {
    /// Those of a project, by path or id.
    Project(String),
    /// One, which is of this project where one is named, too.
    Rule(TrustRuleId, Option<String>),
}

#[derive(Clone, Debug)]
pub struct IdTokenExchange<'a> {
    pub token: &'a str,
    pub trusted_by: TrustedBy,
    /// At most this, and within what the rule allows.
    pub permissions: Option<Vec<String>>,
    pub audience: Option<Vec<AudienceUri>>,
    /// Our own issuer: the audience that the token must have.
    pub issuer: &'a str,
    pub request: Uuid,
}

/// A token of which it is known who speaks, and for which project.
struct Trusted {
    project: Project,
    /// Those whose claims match, oldest first; at least one.
    rules: Vec<TrustRule>,
    claims: Claims,
    fingerprint: [u8; 32],
}

/// A token whose signature holds, and by whose keys.
struct Verified {
    claims: Claims,
    fingerprint: [u8; 32],
    source: Source,
}

impl App {
    pub async fn exchange_id_token(
        &self,
        exchange: &IdTokenExchange<'_>,
        render: impl Fn(&Minted) -> Rendered,
    ) -> Result<Rendered, Refusal> {
        let trusted = self.trust(exchange).await?;
        let (rule, job) = choose(&trusted)?;
        let minter = Minter::from(rule);
        let request = self.request(exchange, rule, job, &trusted)?;
        check(&request, self.settings.max_job_timeout)?;
        let cap = self.cap_within(rule, exchange.permissions.as_deref()).await?;
        if minter.paused {
            return Err(Conflict::TrustRulePaused.into());
        }
        let subject = trusted.claims.text("sub").filter(|subject| Label::parse(*subject).is_ok());
        let draft = Draft {
            by: Actor::TrustRule(rule.id),
            request_id: exchange.request,
            minter,
            project: &trusted.project,
            request: &request,
            cap: cap.as_deref(),
            id_token_subject: subject,
        };
        let dead_at = trusted.claims.dead_at().map_err(refused)?;
        let context = self.context(Actor::TrustRule(rule.id), exchange.request);
        self.minting(context, request.expires_at(context.now), async |tx: &mut Tx| {
            // First of all, and undone with all the rest: of two that bring the same token one waits, and finds it taken.
            if !assertion::take(tx, trusted.fingerprint, dead_at).await? {
                return Err(refused("was used before"));
            }
            // The issuer may have been slow, and the rule another by now.
            if trust_rule::hold(tx, rule.id).await?.as_ref() != Some(rule) {
                return Err(refused("was taken by a trust rule that has changed meanwhile; try again"));
            }
            Ok(render(&issue_one(tx, draft).await?))
        })
        .await
    }

    /// Refuses what the text itself speaks against, then finds the rules that take it.
    async fn trust(&self, exchange: &IdTokenExchange<'_>) -> Result<Trusted, Refusal> {
        let now = self.now();
        let token = Unverified::parse(exchange.token).map_err(refused)?;
        if token.typ().is_some_and(|typ| !typ.eq_ignore_ascii_case("jwt")) {
            return Err(refused("is of another type than JWT"));
        }
        let issuer = token.claimed_issuer().ok_or_else(|| refused("has no `iss`"))?;
        let issuer = HttpsUrl::parse(issuer).map_err(|_| refused("has an `iss` that is no issuer's"))?;
        let expected = Expected { issuer: &issuer, audience: exchange.issuer, alone: true, max_life: MAX_LIFE };
        token.weigh(&expected, now).map_err(refused)?;
        let sources = self.key_sources(&exchange.trusted_by, &issuer).await?;
        let Verified { claims, fingerprint, source: signed_by } = self.verify(token, sources, now).await?;
        let (project, rules) = self.rules(&exchange.trusted_by, &issuer).await?.ok_or_else(untrusted)?;
        let matches =
            |rule: &TrustRule| source(rule) == signed_by && rule.claims.match_all(claims::Claims(claims.all()));
        let rules: Vec<_> = rules.into_iter().filter(matches).collect();
        if rules.is_empty() { Err(untrusted()) } else { Ok(Trusted { project, rules, claims, fingerprint }) }
    }

    /// From where the keys come of the rules that are meant.
    async fn key_sources(&self, by: &TrustedBy, issuer: &str) -> Result<Vec<Source>, Refusal> {
        let db = self.db.read();
        let uris = match by {
            TrustedBy::Project(key) => trust_rule::key_sources(db, key, issuer, MAX_SOURCES).await?,
            TrustedBy::Rule(id, _) => trust_rule::key_source(db, *id, issuer).await?,
        };
        Ok(uris.into_iter().map(|jwks_uri| Source { issuer: issuer.to_owned(), jwks_uri }).collect())
    }

    /// The project that is meant, and its rules that name this issuer.
    async fn rules(&self, by: &TrustedBy, issuer: &str) -> Result<Option<(Project, Vec<TrustRule>)>, Refusal> {
        let db = self.db.read();
        let (key, rules) = match by {
            TrustedBy::Project(key) => (key.clone(), None),
            TrustedBy::Rule(id, named) => {
                let Some(rule) = trust_rule::find(db, *id).await? else { return Ok(None) };
                (named.clone().unwrap_or_else(|| rule.project.to_string()), Some(vec![rule]))
            }
        };
        let Some(project) = project::find(db, &key).await? else { return Ok(None) };
        let rules = match rules {
            Some(rules) => rules,
            None => trust_rule::of_issuer(db, project.id, issuer).await?,
        };
        let meant = |rule: &TrustRule| rule.project == project.id && &*rule.issuer == issuer;
        let rules: Vec<_> = rules.into_iter().filter(meant).collect();
        Ok((!rules.is_empty()).then_some((project, rules)))
    }

    /// By the first source that has the key which the token names. Where none has, or there is none, it is verified in vain: time does
    /// not tell of rules and keys that are known here either.
    async fn verify(
        &self,
        token: Unverified<'_>,
        sources: Vec<Source>,
        now: OffsetDateTime,
    ) -> Result<Verified, Refusal> {
        let mut found = None;
        for source in sources {
            if let Some(keys) = self.issuer_keys.find(&source, |keys| token.has_key_among(keys), now).await {
                found = Some((keys, source));
                break;
            }
        }
        let none = JwkSet { keys: vec![] };
        let signed = token.verify(found.as_ref().map_or(&none, |(keys, _)| keys)).map_err(|_| untrusted())?;
        let fingerprint = signed.fingerprint().map_err(|_| untrusted())?;
        let claims = signed.claims;
        let (_, source) = found.ok_or_else(untrusted)?;
        Ok(Verified { claims, fingerprint, source })
    }

    /// What a runner would have stated.
    fn request(
        &self,
        exchange: &IdTokenExchange<'_>,
        rule: &TrustRule,
        job: CiJob,
        trusted: &Trusted,
    ) -> Result<Mint, Refusal> {
        let label =
            |text: String| Label::parse(text).map_err(|_| refused("names its run or job at too great a length"));
        let pipeline_key = label(format!("{} {}", rule.issuer, job.run))?;
        let id = job.job.clone().unwrap_or_else(|| hex(&trusted.fingerprint));
        let max_secs = u32::try_from(self.settings.max_job_timeout.whole_seconds()).unwrap_or(u32::MAX);
        Ok(Mint {
            project: trusted.project.id.to_string(),
            job_key: label(format!("{pipeline_key} {id}"))?,
            pipeline_key,
            pipeline: job.facts(rule.excludes_forks),
            fork_was_said: true,
            unprotected_there: job.unprotected,
            job: JobFacts {
                name: job.name.map_or_else(|| label(id), Ok)?,
                environment: job.environment,
                timeout_secs: rule.max_lifetime_secs.min(max_secs),
                lease_secs: None,
            },
            permissions: exchange.permissions.clone(),
            audience: exchange.audience.clone(),
        })
    }

    /// What is asked for, if the rule allows it; else all that it allows.
    async fn cap_within(&self, rule: &TrustRule, asked: Option<&[String]>) -> Result<Option<Vec<String>>, Refusal> {
        let Some(asked) = asked else { return Ok(rule.permissions.clone()) };
        let wanted = self.at_most("/permissions", asked).await?;
        let catalogue = self.catalogue_for(rule.permissions.as_deref().unwrap_or_default()).await?;
        if rule.permissions.as_deref().is_some_and(|cap| !catalogue.known(cap).implies(wanted)) {
            return Err(Refusal::invalid(
                "/permissions",
                "more_than_rule",
                "more permissions than the trust rule allows",
            ));
        }
        Ok(Some(catalogue.format(wanted)))
    }
}

/// Of the rules that match, the oldest that mints for this ref; else the oldest, which then says why not.
fn choose(trusted: &Trusted) -> Result<(&TrustRule, CiJob), Refusal> {
    let mut first = None;
    for rule in &trusted.rules {
        let read = CiJob::read(rule.ci, claims::Claims(trusted.claims.all()));
        let read = read.map_err(|unreadable| refused(format!("does not tell its job: {unreadable}")));
        let Ok(job) = read else {
            // Another rule may be for another CI.
            first.get_or_insert(read.map(|job| (rule, job)));
            continue;
        };
        let facts = job.facts(rule.excludes_forks);
        let mints = !rule.paused && (rule.protected || !facts.is_protected(&trusted.project.protected_refs));
        if mints {
            return Ok((rule, job));
        }
        first.get_or_insert(Ok((rule, job)));
    }
    first.unwrap_or_else(|| Err(untrusted()))
}

fn source(rule: &TrustRule) -> Source {
    Source { issuer: rule.issuer.to_string(), jwks_uri: rule.jwks_uri.as_deref().map(str::to_owned) }
}

/// The one answer for what no rule takes: there is no such project or rule, none names the issuer, its keys are not to be had, the
/// signature does not hold, or the claims do not match.
fn untrusted() -> Refusal {
    refused("is taken by no trust rule of that project, or not under that client id")
}

fn refused(why: impl Display) -> Refusal {
    Refusal::BadIdToken(why.to_string())
}

fn hex(bytes: &[u8; 32]) -> String {
    bytes.iter().take(16).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
