//! Trust rules.

use crate::error::{parsed, stored};
use crate::{Reads, Result, Tx};
use jobpass_domain::claims::ClaimPatterns;
use jobpass_domain::ids::{ProjectId, TrustRuleId};
use jobpass_domain::text::{HttpsUrl, Label};
use jobpass_domain::trust_rule::{Ci, MAX_TRUST_RULES, Terms, TrustRule};
use sqlx::PgExecutor;
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

struct Row {
    id: Uuid,
    project_id: Uuid,
    name: String,
    issuer: String,
    jwks_uri: Option<String>,
    ci: String,
    claims: Json<ClaimPatterns>,
    permissions: Option<Vec<String>>,
    protected: bool,
    excludes_forks: bool,
    max_lifetime_secs: i32,
    paused: bool,
    epoch: i64,
    created_at: OffsetDateTime,
}

impl Row {
    fn into_rule(self) -> Result<TrustRule> {
        Ok(TrustRule {
            id: TrustRuleId(self.id),
            project: ProjectId(self.project_id),
            terms: Terms {
                name: parsed(Label::parse(self.name))?,
                issuer: parsed(HttpsUrl::parse(self.issuer))?,
                jwks_uri: parsed(self.jwks_uri.map(HttpsUrl::parse).transpose())?,
                ci: stored(Ci::named(&self.ci))?,
                claims: self.claims.0,
                permissions: self.permissions,
                protected: self.protected,
                excludes_forks: self.excludes_forks,
                max_lifetime_secs: stored(u32::try_from(self.max_lifetime_secs).ok())?,
                paused: self.paused,
            },
            epoch: self.epoch,
            created_at: self.created_at,
        })
    }
}

fn seconds(terms: &Terms) -> i32 {
    i32::try_from(terms.max_lifetime_secs).unwrap_or(i32::MAX)
}

pub async fn insert(tx: &mut Tx, rule: &TrustRule) -> Result<()> {
    sqlx::query!(
        "insert into trust_rules (id, project_id, name, issuer, jwks_uri, ci, claims, permissions, protected, excludes_forks,
            max_lifetime_secs, paused, epoch, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        rule.id.0,
        rule.project.0,
        rule.name.as_str(),
        rule.issuer.as_str(),
        rule.jwks_uri.as_deref(),
        rule.ci.name(),
        Json(&rule.claims) as _,
        rule.permissions.as_deref(),
        rule.protected,
        rule.excludes_forks,
        seconds(rule),
        rule.paused,
        rule.epoch,
        rule.created_at
    )
    .execute(tx.on())
    .await?;
    Ok(())
}

/// Whatever the project: whoever asks for one of a project compares.
pub async fn find(db: impl PgExecutor<'_>, id: TrustRuleId) -> Result<Option<TrustRule>> {
    sqlx::query_as!(
        Row,
        r#"select id, project_id, name, issuer, jwks_uri, ci, claims as "claims: Json<ClaimPatterns>", permissions, protected,
            excludes_forks, max_lifetime_secs, paused, epoch, created_at
         from trust_rules where id = $1"#,
        id.0
    )
    .fetch_optional(db)
    .await?
    .map(Row::into_rule)
    .transpose()
}

/// Those of a project that name this issuer, oldest first.
pub async fn of_issuer(db: &Reads, project: ProjectId, issuer: &str) -> Result<Vec<TrustRule>> {
    sqlx::query_as!(
        Row,
        r#"select id, project_id, name, issuer, jwks_uri, ci, claims as "claims: Json<ClaimPatterns>", permissions, protected,
            excludes_forks, max_lifetime_secs, paused, epoch, created_at
         from trust_rules where project_id = $1 and issuer = $2 order by id limit $3"#,
        project.0,
        issuer,
        MAX_TRUST_RULES
    )
    .fetch_all(db)
    .await?
    .into_iter()
    .map(Row::into_rule)
    .collect()
}

/// The `jwks_uri` of a project's rules that name this issuer: each once, by the oldest rule that has it. Nothing more, and by one statement:
/// what is read before a signature holds takes equally long whether there is such a rule or project.
pub async fn key_sources(db: &Reads, project: &str, issuer: &str, limit: i64) -> Result<Vec<Option<String>>> {
    let uris = sqlx::query_scalar!(
        "select r.jwks_uri from trust_rules r join projects p on p.id = r.project_id
         where (p.id = $1 or p.path = $2) and r.issuer = $3 group by r.jwks_uri order by min(r.id::text) limit $4",
        Uuid::parse_str(project).ok(),
        project,
        issuer,
        limit
    );
    Ok(uris.fetch_all(db).await?)
}

/// The same of one rule; empty where it names another issuer or is not there.
pub async fn key_source(db: &Reads, id: TrustRuleId, issuer: &str) -> Result<Vec<Option<String>>> {
    let uris = sqlx::query_scalar!("select jwks_uri from trust_rules where id = $1 and issuer = $2", id.0, issuer);
    Ok(uris.fetch_all(db).await?)
}

/// As it is now, which it stays until the transaction ends.
pub async fn hold(tx: &mut Tx, id: TrustRuleId) -> Result<Option<TrustRule>> {
    sqlx::query!("select id from trust_rules where id = $1 for share", id.0).fetch_optional(tx.on()).await?;
    find(tx.on(), id).await
}

/// Held until the transaction ends.
pub async fn lock(tx: &mut Tx, id: TrustRuleId) -> Result<Option<TrustRule>> {
    sqlx::query!("select id from trust_rules where id = $1 for update", id.0).fetch_optional(tx.on()).await?;
    find(tx.on(), id).await
}

/// Those of a project, held until the transaction ends.
pub async fn lock_all(tx: &mut Tx, project: ProjectId) -> Result<()> {
    sqlx::query!("select id from trust_rules where project_id = $1 order by id for update", project.0)
        .fetch_all(tx.on())
        .await?;
    Ok(())
}

/// Oldest first.
pub async fn list(db: &Reads, project: ProjectId, after: Option<Uuid>, limit: i64) -> Result<Vec<TrustRule>> {
    sqlx::query_as!(
        Row,
        r#"select id, project_id, name, issuer, jwks_uri, ci, claims as "claims: Json<ClaimPatterns>", permissions, protected,
            excludes_forks, max_lifetime_secs, paused, epoch, created_at
         from trust_rules where project_id = $1 and ($2::uuid is null or id > $2)
         order by id limit $3"#,
        project.0,
        after,
        limit
    )
    .fetch_all(db)
    .await?
    .into_iter()
    .map(Row::into_rule)
    .collect()
}

/// How many the project has. The project is held, so that two do not count at once.
pub async fn count(tx: &mut Tx, project: ProjectId) -> Result<i64> {
    sqlx::query!("select id from projects where id = $1 for update", project.0).fetch_optional(tx.on()).await?;
    let count = sqlx::query_scalar!(r#"select count(*) as "count!" from trust_rules where project_id = $1"#, project.0);
    Ok(count.fetch_one(tx.on()).await?)
}

pub async fn update(tx: &mut Tx, rule: &TrustRule) -> Result<()> {
    sqlx::query!(
        "update trust_rules set name = $2, issuer = $3, jwks_uri = $4, ci = $5, claims = $6, permissions = $7, protected = $8,
            excludes_forks = $9, max_lifetime_secs = $10, paused = $11
         where id = $1",
        rule.id.0,
        rule.name.as_str(),
        rule.issuer.as_str(),
        rule.jwks_uri.as_deref(),
        rule.ci.name(),
        Json(&rule.claims) as _,
        rule.permissions.as_deref(),
        rule.protected,
        rule.excludes_forks,
        seconds(rule),
        rule.paused
    )
    .execute(tx.on())
    .await?;
    Ok(())
}

/// What was minted under it is dead from here on.
pub async fn delete(tx: &mut Tx, id: TrustRuleId) -> Result<()> {
    sqlx::query!("delete from trust_rules where id = $1", id.0).execute(tx.on()).await?;
    Ok(())
}

/// All rules of a project, which is about to go.
pub async fn delete_all(tx: &mut Tx, project: ProjectId) -> Result<()> {
    sqlx::query!("delete from trust_rules where project_id = $1", project.0).execute(tx.on()).await?;
    Ok(())
}

/// Ends every token minted under the rule so far.
pub async fn raise_epoch(tx: &mut Tx, id: TrustRuleId) -> Result<()> {
    sqlx::query!("update trust_rules set epoch = epoch + 1 where id = $1", id.0).execute(tx.on()).await?;
    Ok(())
}
