//! A runner that proved itself gets a token for the next ten minutes (RFC 6749, section 4.4), and may end it sooner.

use crate::{App, Conflict, Credential, Refusal, RunnerCaller};
use jobpass_domain::Secret;
use jobpass_domain::access_token::{AccessToken, MAX_ACCESS_TOKENS, RunnerProof, end};
use jobpass_domain::audit::{Actor, Change};
use jobpass_domain::ids::AccessTokenId;
use jobpass_domain::live_secret::SecretOwner;
use jobpass_domain::runner::Runner;
use jobpass_domain::token::{Kind, TokenHash};
use jobpass_persistence::{Tx, access_token, client_key, id_at, runner, secret};
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

impl App {
    /// A paused runner gets one, too: with it, it tends the jobs that it has, and mints nothing.
    pub async fn access_token_issue(&self, caller: &RunnerCaller) -> Result<(Secret, AccessToken), Refusal> {
        if matches!(caller.proof, RunnerProof::AccessToken(_)) {
            return Err(Refusal::WrongCaller { needs: "a runner, by its secret or key" });
        }
        let credential = Credential::new(Kind::Runner)?;
        let context = self.context(Actor::Runner(caller.runner.id), caller.request);
        let issued = self.transaction(context, async |tx: &mut Tx| {
            let runner = runner::lock(tx, caller.runner.id).await?.ok_or(Refusal::BadCredential)?;
            if !still_proves(tx, caller).await? {
                return Err(Refusal::BadCredential);
            }
            if access_token::count(tx, runner.id).await? >= MAX_ACCESS_TOKENS {
                return Err(Conflict::TooManyAccessTokens { limit: MAX_ACCESS_TOKENS }.into());
            }
            let now = tx.now();
            let token = AccessToken {
                id: AccessTokenId(id_at(now)),
                runner: runner.id,
                proof: caller.proof.clone(),
                expires_at: end(&caller.proof, now),
                created_at: now,
            };
            access_token::insert(tx, &token, credential.hash).await?;
            tx.audit(&changed("runner.access_token_issued", &runner, token.id, Some(token.expires_at))).await?;
            Ok(token)
        });
        Ok((credential.secret, issued.await?))
    }

    /// RFC 7009: answers whether the runner had it.
    pub async fn access_token_revoke(&self, caller: &RunnerCaller, hash: TokenHash) -> Result<bool, Refusal> {
        let runner = &caller.runner;
        let context = self.context(Actor::Runner(runner.id), caller.request);
        self.transaction(context, async |tx: &mut Tx| {
            let ended = access_token::delete(tx, runner.id, hash).await?;
            match ended {
                Some(id) => tx.audit(&changed("runner.access_token_revoked", runner, id, None)).await?,
                None => tx.nothing_to_audit(),
            }
            Ok(ended.is_some())
        })
        .await
    }

    /// Whether a text is one of the runner's own secrets, which are not for it to end.
    pub async fn is_own_secret(&self, caller: &RunnerCaller, hash: TokenHash) -> Result<bool, Refusal> {
        let owner = secret::owner(self.db.read(), hash).await?;
        Ok(owner == Some(SecretOwner::Runner(caller.runner.id)))
    }
}

/// What was shown a moment ago may have been taken away since: with the runner's row held, nobody does so now.
async fn still_proves(tx: &mut Tx, caller: &RunnerCaller) -> Result<bool, Refusal> {
    let owner = SecretOwner::Runner(caller.runner.id);
    Ok(match &caller.proof {
        RunnerProof::Secret { id, .. } => secret::exists(tx.on(), owner, *id).await?,
        RunnerProof::Key(key) => client_key::list(tx.on(), owner).await?.contains(key),
        RunnerProof::AccessToken(_) => false,
    })
}

fn changed(action: &'static str, runner: &Runner, token: AccessTokenId, expires_at: Option<OffsetDateTime>) -> Change {
    let after = json!({ "access_token_id": token, "expires_at": expires_at.map(|at| at.format(&Rfc3339).ok()) });
    Change {
        action,
        subject_kind: "runner",
        subject: runner.id.0,
        place: runner.scope,
        before: None,
        after: Some(after.to_string()),
        reason: None,
    }
}
