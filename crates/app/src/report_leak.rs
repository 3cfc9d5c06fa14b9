//! Whoever holds a token may kill it: found in a log, an image or a chat, without asking anyone first.

use crate::{App, Refusal};
use jobpass_domain::audit::{Actor, Change};
use jobpass_domain::place::Place;
use jobpass_domain::token::{self, Kind, TokenHash};
use jobpass_persistence::{Tx, runner, secret, user};
use uuid::Uuid;

impl App {
    /// Of any of the four kinds. What is unknown is answered like what was just revoked.
    pub async fn leak_report(&self, text: &str, request: Uuid) -> Result<(), Refusal> {
        let malformed = || {
            Refusal::invalid(
                "/token",
                "malformed",
                "is not a token of Jobpass: wrong shape or checksum",
            )
        };
        let parsed = token::parse(text).ok_or_else(malformed)?;
        if parsed.kind != Kind::Job {
            return self.kill_credential(parsed.kind, parsed.hash, request).await;
        }
        let Some(token) = self.find_by_text(text).await? else {
            return Ok(());
        };
        self.revoke_one(Actor::Anyone, request, &token, "leaked")
            .await
            .map(drop)
    }

    async fn kill_credential(&self, kind: Kind, hash: TokenHash, request: Uuid) -> Result<(), Refusal> {
        let context = self.context(Actor::Anyone, request);
        self.transaction(context, async |tx: &mut Tx| {
            let killed = match kind {
                Kind::Runner => kill_runner_secret(tx, hash).await?,
                Kind::Service => secret::delete_service_secret(tx, hash)
                    .await?
                    .map(|id| ("service.secret_leaked", "service", id.0, Place::Instance)),
                Kind::User => user::revoke_token_by_hash(tx, hash)
                    .await?
                    .map(|(id, _)| ("user_token.leaked", "user_token", id.0, Place::Instance)),
                Kind::Job => None,
            };
            let Some((action, subject_kind, subject, place)) = killed else {
                tx.nothing_to_audit();
                return Ok(());
            };
            let reason = Some("leaked".to_owned());
            Ok(tx
                .audit(&Change {
                    action,
                    subject_kind,
                    subject,
                    place,
                    before: None,
                    after: None,
                    reason,
                })
                .await?)
        })
        .await
    }
}

/// What was minted with a leaked credential may be anyone's: it ends, too.
async fn kill_runner_secret(
    tx: &mut Tx,
    hash: TokenHash,
) -> Result<Option<(&'static str, &'static str, Uuid, Place)>, Refusal> {
    let Some(id) = secret::delete_runner_secret(tx, hash).await? else {
        return Ok(None);
    };
    runner::raise_epoch(tx, id).await?;
    let scope = runner::find(tx.on(), id)
        .await?
        .map_or(Place::Instance, |runner| runner.scope);
    Ok(Some(("runner.secret_leaked", "runner", id.0, scope)))
}
