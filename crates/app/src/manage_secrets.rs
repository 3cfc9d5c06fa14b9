//! The secrets of runners and services: a second one beside the first, change over, then delete the old one,
//! and nothing was out.

use crate::manage_runners::may_assert;
use crate::manage_users::future;
use crate::once::{Life, once};
use crate::{App, Conflict, Credential, Once, Person, Refusal, Rendered};
use jobpass_domain::Secret;
use jobpass_domain::audit::Change;
use jobpass_domain::ids::SecretId;
use jobpass_domain::live_secret::{LiveSecret, SecretOwner};
use jobpass_domain::place::Place;
use jobpass_domain::token::Kind;
use jobpass_persistence::{Tx, id_at, runner, secret, service};
use serde_json::json;
use time::OffsetDateTime;

impl App {
    pub async fn secret_list(&self, person: &Person, owner: SecretOwner) -> Result<Vec<LiveSecret>, Refusal> {
        self.may_rotate(person, owner).await?;
        Ok(secret::list(self.db.read(), owner, self.now()).await?)
    }

    pub async fn secret_create(
        &self,
        person: &Person,
        owner: SecretOwner,
        expires_at: Option<OffsetDateTime>,
        idempotency: Option<&Once>,
        render: impl Fn(&LiveSecret, &Secret) -> Rendered,
    ) -> Result<Rendered, Refusal> {
        self.may_rotate(person, owner).await?;
        if let Some(kept) = self.replayed(idempotency, person.user.id.0).await? {
            return Ok(kept);
        }
        future("/expires_at", expires_at, self.now())?;
        let credential = Credential::new(match owner {
            SecretOwner::Runner(_) => Kind::Runner,
            SecretOwner::Service(_) => Kind::Service,
        })?;
        let context = self.context(person.actor(), person.request);
        let work = async |tx: &mut Tx| {
            let place = hold(tx, person, owner).await?;
            let live = LiveSecret { id: SecretId(id_at(tx.now())), expires_at, created_at: tx.now() };
            if !secret::insert(tx, owner, &live, credential.hash).await? {
                return Err(Conflict::TwoLiveSecrets.into());
            }
            tx.audit(&changed("secret_created", owner, place, live.id)).await?;
            Ok((render(&live, &credential.secret), Life::default()))
        };
        self.transaction(context, async |tx: &mut Tx| once(tx, idempotency, person.user.id.0, work).await).await
    }

    pub async fn secret_delete(&self, person: &Person, owner: SecretOwner, id: SecretId) -> Result<(), Refusal> {
        self.may_rotate(person, owner).await?;
        let context = self.context(person.actor(), person.request);
        self.transaction(context, async |tx: &mut Tx| {
            let place = hold(tx, person, owner).await?;
            if !secret::delete(tx, owner, id).await? {
                return Err(Refusal::NotFound);
            }
            tx.audit(&changed("secret_deleted", owner, place, id)).await.map_err(Refusal::from)
        })
        .await
    }

    /// A runner's are for whoever manages the runner; a service's for administrators.
    pub(crate) async fn may_rotate(&self, person: &Person, owner: SecretOwner) -> Result<(), Refusal> {
        match owner {
            SecretOwner::Runner(id) => self.find_runner(person, id).await.map(drop),
            SecretOwner::Service(id) if person.user.administrator => self.find_service(id).await.map(drop),
            SecretOwner::Service(_) => Err(Refusal::NotFound),
        }
    }
}

/// The owner's row, held, so that two who rotate at once are one after the other; answers where it lives.
pub(crate) async fn hold(tx: &mut Tx, person: &Person, owner: SecretOwner) -> Result<Place, Refusal> {
    match owner {
        SecretOwner::Runner(id) => {
            let runner = runner::lock(tx, id).await?.ok_or(Refusal::NotFound)?;
            may_assert(person, runner.asserts_actor)?;
            Ok(runner.scope)
        }
        SecretOwner::Service(id) => {
            let service = service::lock(tx, id).await?.ok_or(Refusal::NotFound)?;
            Ok(service.project.map_or(Place::Instance, Place::Project))
        }
    }
}

fn changed(what: &str, owner: SecretOwner, place: Place, secret: SecretId) -> Change {
    let (action, subject_kind, subject) = match (owner, what) {
        (SecretOwner::Runner(id), "secret_created") => ("runner.secret_created", "runner", id.0),
        (SecretOwner::Runner(id), _) => ("runner.secret_deleted", "runner", id.0),
        (SecretOwner::Service(id), "secret_created") => ("service.secret_created", "service", id.0),
        (SecretOwner::Service(id), _) => ("service.secret_deleted", "service", id.0),
    };
    let after = Some(json!({ "secret_id": secret }).to_string());
    Change { action, subject_kind, subject, place, before: None, after, reason: None }
}
