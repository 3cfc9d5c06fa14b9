//! ID tokens: what a job shows to a cloud or a vault outside, instead of a stored secret. It says who the job is, and opens
//! nothing of Jobpass.

use crate::keys::HeldKey;
use crate::{App, Holder, Refusal};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jobpass_domain::Secret;
use jobpass_domain::audit::{Actor, Change};
use jobpass_domain::id_token::subject;
use jobpass_domain::place::Place;
use jobpass_domain::signing_key::{LONGEST_TOKEN, SigningAlgorithm};
use jobpass_persistence::{Tx, id_at, signing_key};
use serde_json::{Map, Value, json};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// Every claim that an ID token may have, as discovery lists them.
pub const ID_TOKEN_CLAIMS: [&str; 30] = [
    "iss",
    "sub",
    "aud",
    "iat",
    "nbf",
    "exp",
    "jti",
    "project_id",
    "project_path",
    "namespace_id",
    "namespace_path",
    "ref",
    "ref_type",
    "ref_protected",
    "sha",
    "environment",
    "trigger",
    "from_fork",
    "fork_source",
    "pipeline_id",
    "pipeline_key",
    "job_id",
    "job_key",
    "job_name",
    "job_token_id",
    "runner_id",
    "trust_rule_id",
    "minted_by",
    "actor",
    "actor_claimed",
];

/// What the holder of a job token asks for.
#[derive(Clone, Debug)]
pub struct IdTokenRequest {
    /// Whom it is for: one or two names, each as its reader expects it.
    pub audience: Vec<String>,
    pub algorithm: SigningAlgorithm,
}

#[derive(Debug)]
pub struct IdToken {
    pub jwt: Secret,
    pub expires_at: OffsetDateTime,
}

impl App {
    /// Good for ten minutes, and never beyond the end of the job token. `issuer`: our own.
    pub async fn id_token(&self, holder: &Holder, issuer: &str, request: &IdTokenRequest) -> Result<IdToken, Refusal> {
        check(holder, issuer, &request.audience)?;
        if let Some(issued) = self.issue(holder, issuer, request).await? {
            return Ok(issued);
        }
        // The key was revoked on another replica a moment ago.
        self.reload_keys().await?;
        let issued = self.issue(holder, issuer, request).await?;
        issued.ok_or_else(|| Refusal::Unavailable("the signing key was revoked".to_owned()))
    }

    /// `None`: the key that is thought to sign was revoked.
    async fn issue(&self, holder: &Holder, issuer: &str, request: &IdTokenRequest) -> Result<Option<IdToken>, Refusal> {
        let signer = self.signer(request.algorithm)?;
        let context = self.context(Actor::JobToken(holder.id()), holder.request);
        self.transaction(context, async |tx: &mut Tx| {
            if !signing_key::hold_live(tx, signer.key.id).await? {
                tx.nothing_to_audit();
                return Ok(None);
            }
            let (id, now) = (id_at(tx.now()), tx.now());
            let expires_at = holder.token.expires_at.min(now + LONGEST_TOKEN);
            let mut claims = of_job(holder);
            claims.extend(of_token(issuer, &request.audience, id, now, expires_at));
            let jwt = sign(&signer, &claims)?;
            tx.audit(&event(holder, id, &signer, request)).await?;
            Ok(Some(IdToken { jwt, expires_at }))
        })
        .await
    }
}

/// A token that was made to open less is made for one purpose, and this is another.
fn check(holder: &Holder, issuer: &str, audience: &[String]) -> Result<(), Refusal> {
    let token = &holder.token;
    if token.cap.is_some() || token.details.is_some() || !holder.info.ancestors.is_empty() {
        return Err(Refusal::invalid("/subject_token", "capped", "a capped or narrowed token gets no ID token"));
    }
    // What is for us is not for the outside: no reader of CI's tokens here may take our own.
    if audience.is_empty() || audience.iter().any(|one| one == issuer) {
        return Err(Refusal::invalid(
            "/audience",
            "audience",
            "an ID token names whom it is for, and that is not Jobpass",
        ));
    }
    if let Some(set) = &token.audience
        && !audience.iter().all(|one| set.contains(one))
    {
        return Err(Refusal::invalid("/audience", "other_than_parent", "another audience than the job token's"));
    }
    Ok(())
}

fn of_token(
    issuer: &str,
    audience: &[String],
    id: Uuid,
    now: OffsetDateTime,
    expires_at: OffsetDateTime,
) -> Map<String, Value> {
    let audience = match audience {
        // Not every reader takes a list.
        [one] => json!(one),
        several => json!(several),
    };
    members(json!({
        "iss": issuer,
        "aud": audience,
        "jti": id,
        "iat": now.unix_timestamp(),
        "nbf": (now - Duration::seconds(5)).unix_timestamp(),
        "exp": expires_at.unix_timestamp(),
    }))
}

/// Flags are texts, as in GitHub's and GitLab's: there are readers that compare nothing else. What does not apply is left out.
fn of_job(holder: &Holder) -> Map<String, Value> {
    let info = &holder.info;
    let namespace = info.project_path.rsplit_once('/').map_or("", |(namespace, _)| namespace);
    let mut claims = members(json!({
        "sub": subject(info),
        "project_id": info.project,
        "project_path": info.project_path,
        "namespace_id": holder.token.chain.last(),
        "namespace_path": namespace,
        "ref": info.ref_name,
        "ref_type": info.ref_type,
        "ref_protected": info.protected.to_string(),
        "sha": info.sha,
        "environment": info.environment,
        "trigger": info.trigger,
        "from_fork": info.from_fork.to_string(),
        "fork_source": info.fork_source,
        "pipeline_id": info.pipeline,
        "pipeline_key": info.pipeline_key,
        "job_id": info.job,
        "job_key": info.job_key,
        "job_name": info.job_name,
        "job_token_id": info.id,
        "runner_id": info.minter.runner_id(),
        "trust_rule_id": info.minter.trust_rule_id(),
        "minted_by": holder.token.run.minted_by,
        "actor": info.actor,
        "actor_claimed": info.actor_claimed,
    }));
    claims.retain(|_, value| !value.is_null());
    claims
}

fn members(object: Value) -> Map<String, Value> {
    match object {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// RFC 7515, section 3.1.
fn sign(signer: &HeldKey, claims: &Map<String, Value>) -> Result<Secret, Refusal> {
    let head = json!({ "alg": signer.key.algorithm.name(), "kid": signer.key.kid, "typ": "JWT" });
    let encode = |part: String| URL_SAFE_NO_PAD.encode(part);
    let mut jwt = format!("{}.{}", encode(head.to_string()), encode(Value::Object(claims.clone()).to_string()));
    let signature = signer.pair.sign(jwt.as_bytes())?;
    jwt.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut jwt);
    Ok(Secret::new(jwt))
}

fn event(holder: &Holder, id: Uuid, signer: &HeldKey, request: &IdTokenRequest) -> Change {
    let after = json!({
        "audience": request.audience, "kid": signer.key.kid, "job_id": holder.info.job, "job_token_id": holder.id(),
    });
    Change {
        action: "id_token.issued",
        subject_kind: "id_token",
        subject: id,
        place: Place::Project(holder.info.project),
        before: None,
        after: Some(after.to_string()),
        reason: None,
    }
}
