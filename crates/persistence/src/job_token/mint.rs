//! Tokens as they are minted, many at a time.

use super::{hour_of, number};
use crate::{Result, Tx, column};
use jobpass_domain::ids::{JobId, JobTokenId, UserId};
use jobpass_domain::provenance::CredentialScope;
use jobpass_domain::token::TokenHash;
use std::collections::{HashMap, HashSet};
use time::OffsetDateTime;
use uuid::Uuid;

/// A token to be written. The facts of its job and run are frozen in it, from their rows.
#[derive(Debug)]
pub struct NewToken {
    pub id: JobTokenId,
    pub hash: TokenHash,
    pub job: JobId,
    pub cap: Option<Vec<String>>,
    pub audience: Option<Vec<String>>,
    pub protected: bool,
    pub actor: Option<UserId>,
    pub actor_claimed: Option<String>,
    pub minted_by: CredentialScope,
    pub minter_epoch: i64,
    pub expires_at: OffsetDateTime,
}

/// Writes tokens of jobs that are held, and answers which: none of a project that is gone. The epochs of project and run are read
/// in the statement: those that were raised meanwhile count.
pub async fn insert_all(tx: &mut Tx, tokens: &[&NewToken]) -> Result<HashSet<JobTokenId>> {
    // An array of arrays must be a rectangle, so a list goes as lines; no permission and no URI has a line break.
    let lines = |list: &Option<Vec<String>>| list.as_ref().map(|list| list.join("\n"));
    let now = tx.now();
    let written = sqlx::query_scalar!(
        r"insert into job_tokens (issued_hour, id, hash, project_id, pipeline_id, job_id, runner_id, trust_rule_id, root_id, ancestors,
            permissions, audience, pipeline_key, job_key, job_name, ref, ref_type, sha, protected, environment, trigger, from_fork,
            fork_source, actor_id, actor_claimed, minted_by, project_epoch, pipeline_epoch, minter_epoch, issued_at, expires_at)
         select t.issued_hour, t.id, t.hash, l.project_id, l.id, j.id, j.runner_id, j.trust_rule_id, t.id, '{}',
            string_to_array(t.permissions, e'\n'), string_to_array(t.audience, e'\n'), l.key, j.key, j.name, l.ref, l.ref_type, l.sha,
            t.protected, j.environment, l.trigger, l.from_fork, l.fork_source, t.actor_id, t.actor_claimed, t.minted_by, p.epoch,
            l.epoch, t.minter_epoch, $13::timestamptz, t.expires_at
         from unnest($1::integer[], $2::uuid[], $3::bytea[], $4::uuid[], $5::text[], $6::text[], $7::boolean[], $8::uuid[], $9::text[],
            $10::text[], $11::bigint[], $12::timestamptz[])
            as t (issued_hour, id, hash, job_id, permissions, audience, protected, actor_id, actor_claimed, minted_by, minter_epoch, expires_at)
         cross join lateral (select * from jobs where id = t.job_id limit 1) j
         cross join lateral (select * from pipelines where id = j.pipeline_id limit 1) l
         cross join lateral (select epoch from projects where id = l.project_id limit 1) p
         returning id",
        &column(tokens, |token| number(hour_of(token.id))),
        &column(tokens, |token| token.id.0),
        &column(tokens, |token| &token.hash.0[..]) as _,
        &column(tokens, |token| token.job.0),
        &column(tokens, |token| lines(&token.cap)) as _,
        &column(tokens, |token| lines(&token.audience)) as _,
        &column(tokens, |token| token.protected),
        &column(tokens, |token| token.actor.map(Uuid::from)) as _,
        &column(tokens, |token| token.actor_claimed.as_deref()) as _,
        &column(tokens, |token| token.minted_by.name()) as _,
        &column(tokens, |token| token.minter_epoch),
        &column(tokens, |token| token.expires_at),
        now
    );
    Ok(written.fetch_all(tx.on()).await?.into_iter().map(JobTokenId).collect())
}

/// How many live tokens were minted for each of these jobs, narrowed ones and those that an epoch ended not counted.
pub async fn count_minted(tx: &mut Tx, jobs: &[JobId]) -> Result<HashMap<JobId, i64>> {
    if jobs.is_empty() {
        return Ok(HashMap::new());
    }
    let now = tx.now();
    let counts = sqlx::query!(
        r#"select k.job_id as "job_id!", n.live as "live!" from unnest($1::uuid[]) as k (job_id)
         cross join lateral (select count(*) as live from job_tokens t
             join projects p on p.id = t.project_id join pipelines l on l.id = t.pipeline_id
             left join runners r on r.id = t.runner_id left join trust_rules e on e.id = t.trust_rule_id
             where t.job_id = k.job_id and cardinality(t.ancestors) = 0 and t.revoked_at is null and t.expires_at > $2
               and t.project_epoch = p.epoch and t.pipeline_epoch = l.epoch and t.minter_epoch = coalesce(r.epoch, e.epoch)) n"#,
        &column(jobs, |job| job.0),
        now
    );
    Ok(counts.fetch_all(tx.on()).await?.into_iter().map(|row| (JobId(row.job_id), row.live)).collect())
}
