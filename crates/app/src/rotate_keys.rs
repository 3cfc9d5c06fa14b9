//! Keys come, and are replaced: the first at the first start, later ones by schedule or when an administrator says so, and at
//! once when one has leaked.

use crate::keys::KeyPair;
use crate::{App, Person, Refusal};
use jobpass_domain::audit::{Actor, Change};
use jobpass_domain::ids::SigningKeyId;
use jobpass_domain::place::Place;
use jobpass_domain::signing_key::{self as life, SigningAlgorithm, SigningKey, Succession};
use jobpass_persistence::signing_key::{self, StoredKey};
use jobpass_persistence::{Context, Tx, id_at};
use serde_json::json;
use time::OffsetDateTime;

impl App {
    /// The keys as they are, revoked ones of the last days among them; oldest first.
    pub async fn signing_keys(&self) -> Result<Vec<SigningKey>, Refusal> {
        Ok(of(&signing_key::list(self.db.read()).await?))
    }

    /// A successor for the key of each of these algorithms that has none yet. Answers all keys.
    pub async fn signing_keys_rotate(
        &self,
        person: &Person,
        algorithms: &[SigningAlgorithm],
        reason: Option<&str>,
    ) -> Result<Vec<SigningKey>, Refusal> {
        let context = self.context(person.actor(), person.request);
        let stored = self
            .transaction(context, async |tx: &mut Tx| {
                signing_key::lock(tx).await?;
                tx.nothing_to_audit();
                let keys = of(&signing_key::list(tx.on()).await?);
                for algorithm in algorithms {
                    self.succeed(tx, &keys, *algorithm, life::rotate(&keys, *algorithm, tx.now()), reason).await?;
                }
                Ok(signing_key::list(tx.on()).await?)
            })
            .await?;
        self.take_up(stored)
    }

    /// Ends a key at once: what it signed is worthless. Answers all keys.
    pub async fn signing_key_revoke(
        &self,
        person: &Person,
        id: SigningKeyId,
        reason: Option<&str>,
    ) -> Result<Vec<SigningKey>, Refusal> {
        let context = self.context(person.actor(), person.request);
        let stored = self
            .transaction(context, async |tx: &mut Tx| {
                signing_key::lock(tx).await?;
                let keys = of(&signing_key::list(tx.on()).await?);
                let key = keys.iter().find(|key| key.id == id).ok_or(Refusal::NotFound)?;
                match life::revoke(&keys, key, tx.now()) {
                    None => tx.nothing_to_audit(),
                    Some(succession) => {
                        signing_key::revoke(tx, key.id).await?;
                        tx.audit(&event("signing_key.revoked", key, reason)).await?;
                        self.succeed(tx, &keys, key.algorithm, succession, reason).await?;
                    }
                }
                Ok(signing_key::list(tx.on()).await?)
            })
            .await?;
        self.take_up(stored)
    }

    /// What time brings: the first keys, and successors of those that have signed for long enough. What others made is
    /// taken up, too. Fails when the keys that are there were sealed under another encryption key: then none is made.
    pub async fn tend_keys(&self) -> Result<(), Refusal> {
        self.reload_keys().await?;
        let period = self.settings.key_rotation;
        let due = |keys: &[SigningKey]| life::due(keys, period, self.now());
        let held: Vec<_> = self.keys.held().iter().map(|one| one.key.clone()).collect();
        if due(&held).is_empty() {
            return Ok(());
        }
        let context = Context { actor: Actor::System, now: self.now(), request_id: None };
        let stored = self
            .transaction(context, async |tx: &mut Tx| {
                signing_key::lock(tx).await?;
                tx.nothing_to_audit();
                // Another replica may have been first.
                let stored = signing_key::list(tx.on()).await?;
                let keys = of(&stored);
                self.open_keys(stored)?;
                for algorithm in due(&keys) {
                    self.succeed(tx, &keys, algorithm, life::rotate(&keys, algorithm, tx.now()), None).await?;
                }
                Ok(signing_key::list(tx.on()).await?)
            })
            .await?;
        self.open_keys(stored)
    }

    fn take_up(&self, stored: Vec<StoredKey>) -> Result<Vec<SigningKey>, Refusal> {
        let keys = of(&stored);
        self.open_keys(stored)?;
        Ok(keys)
    }

    async fn succeed(
        &self,
        tx: &mut Tx,
        keys: &[SigningKey],
        algorithm: SigningAlgorithm,
        succession: Succession,
        reason: Option<&str>,
    ) -> Result<(), Refusal> {
        let known = |id: SigningKeyId| keys.iter().find(|key| key.id == id);
        match succession {
            Succession::Waiting => Ok(()),
            Succession::Stays(id) => match known(id) {
                Some(key) => Ok(signing_key::set_span(tx, id, key.signs_from, None).await?),
                None => Ok(()),
            },
            Succession::Hurried(id) => Ok(signing_key::set_span(tx, id, tx.now(), None).await?),
            Succession::New { signs_from, ends } => {
                if let Some(key) = ends.and_then(known) {
                    signing_key::set_span(tx, key.id, key.signs_from, Some(signs_from)).await?;
                }
                self.make(tx, algorithm, signs_from, reason).await
            }
        }
    }

    async fn make(
        &self,
        tx: &mut Tx,
        algorithm: SigningAlgorithm,
        signs_from: OffsetDateTime,
        reason: Option<&str>,
    ) -> Result<(), Refusal> {
        let pair = tokio::task::spawn_blocking(move || KeyPair::generate(algorithm)).await;
        let pair = pair.map_err(|error| Refusal::Internal(error.to_string()))??;
        let key = SigningKey {
            id: SigningKeyId(id_at(tx.now())),
            kid: pair.thumbprint(),
            algorithm,
            published_at: tx.now(),
            signs_from,
            signs_until: None,
            revoked_at: None,
        };
        let sealed = self.encryption_key()?.seal(&pair.private()?, key.id.0.as_bytes())?;
        signing_key::insert(tx, &key, &sealed).await?;
        Ok(tx.audit(&event("signing_key.published", &key, reason)).await?)
    }
}

fn of(stored: &[StoredKey]) -> Vec<SigningKey> {
    stored.iter().map(|one| one.key.clone()).collect()
}

fn event(action: &'static str, key: &SigningKey, reason: Option<&str>) -> Change {
    let signs_from = key.signs_from.unix_timestamp();
    Change {
        action,
        subject_kind: "signing_key",
        subject: key.id.0,
        place: Place::Instance,
        before: None,
        after: Some(json!({ "kid": key.kid, "algorithm": key.algorithm.name(), "signs_from": signs_from }).to_string()),
        reason: reason.map(str::to_owned),
    }
}
