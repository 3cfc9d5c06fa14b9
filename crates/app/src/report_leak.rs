//! Whoever holds a token may kill it: found in a log, an image or a chat, without asking anyone first.

use crate::{App, Refusal};
use jobpass_domain::audit::{Actor, Change};
use jobpass_domain::live_secret::SecretOwner;
use jobpass_domain::place::Place;
use jobpass_domain::token::{self, Kind, TokenHash};
use jobpass_persistence::{Tx, runner, secret, service, user};
use uuid::Uuid;

impl App {
    /// Of any of the four kinds. What is unknown is answered like what was just revoked.
    pub async fn leak_report(&self, text: &str, request: Uuid) -> Result<(), Refusal> {
        let malformed =
            || Refusal::invalid("/token", "malformed", "is not a token of Jobpass: wrong shape or checksum");
        let parsed = token::parse(text).ok_or_else(malformed)?;
        if parsed.kind != Kind::Job {
            return self.kill_credential(parsed.kind, parsed.hash, request).await;
        }
        let Some(token) = self.find_by_text(text).await? else {
            return Ok(());
        };
        self.revoke_one(Actor::Anyone, request, &token, "leaked").await.map(drop)
    }

    async fn kill_credential(&self, kind: Kind, hash: TokenHash, request: Uuid) -> Result<(), Refusal> {
        let context = self.context(Actor::Anyone, request);
        self.transaction(context, async |tx: &mut Tx| {
            let killed = match kind {
                Kind::Runner | Kind::Service => kill_secret(tx, hash).await?,
                Kind::User => kill_user_token(tx, hash).await?,
                Kind::Job => None,
            };
            match killed {
                Some(change) => tx.audit(&change).await?,
                None => tx.nothing_to_audit(),
            }
            Ok(())
        })
        .await
    }
}

async fn kill_user_token(tx: &mut Tx, hash: TokenHash) -> Result<Option<Change>, Refusal> {
    let killed = user::revoke_token_by_hash(tx, hash).await?;
    Ok(killed.map(|(id, _)| leaked("user_token.leaked", "user_token", id.0, Place::Instance)))
}

/// The owner is held before its secret goes, as whoever deletes the owner does: neither waits for the other's.
async fn kill_secret(tx: &mut Tx, hash: TokenHash) -> Result<Option<Change>, Refusal> {
    let change = match secret::owner(tx.on(), hash).await? {
        None => return Ok(None),
        Some(SecretOwner::Service(id)) => {
            let Some(service) = service::lock(tx, id).await? else { return Ok(None) };
            let place = service.project.map_or(Place::Instance, Place::Project);
            leaked("service.secret_leaked", "service", id.0, place)
        }
        Some(SecretOwner::Runner(id)) => {
            let Some(runner) = runner::lock(tx, id).await? else { return Ok(None) };
            leaked("runner.secret_leaked", "runner", id.0, runner.scope)
        }
    };
    let Some(owner) = secret::delete_by_hash(tx, hash).await? else { return Ok(None) };
    // What was minted with a runner's leaked secret may be anyone's: it ends, too.
    if let SecretOwner::Runner(id) = owner {
        runner::raise_epoch(tx, id).await?;
    }
    Ok(Some(change))
}

fn leaked(action: &'static str, subject_kind: &'static str, subject: Uuid, place: Place) -> Change {
    let reason = Some("leaked".to_owned());
    Change { action, subject_kind, subject, place, before: None, after: None, reason }
}
