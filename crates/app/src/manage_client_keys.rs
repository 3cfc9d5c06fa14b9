//! The public keys of runners and services, by which they prove themselves without a secret. Who may set them is who
//! may make the secrets.

use crate::manage_secrets::hold;
use crate::vet_key::vet;
use crate::{App, Fault, Person, Refusal};
use jobpass_domain::audit::Change;
use jobpass_domain::client_key::{ClientKey, MAX_CLIENT_KEYS};
use jobpass_domain::live_secret::SecretOwner;
use jobpass_domain::place::Place;
use jobpass_persistence::{Tx, access_token, client_key};
use serde_json::{Map, Value, json};

impl App {
    pub async fn client_keys_read(&self, person: &Person, owner: SecretOwner) -> Result<Vec<ClientKey>, Refusal> {
        self.may_rotate(person, owner).await?;
        Ok(client_key::list(self.db.read(), owner).await?)
    }

    /// All of them at once: those that are left out prove nothing from here on.
    pub async fn client_keys_put(
        &self,
        person: &Person,
        owner: SecretOwner,
        jwks: &[Map<String, Value>],
        still: impl Fn(&[ClientKey]) -> bool,
    ) -> Result<Vec<ClientKey>, Refusal> {
        self.may_rotate(person, owner).await?;
        let keys = read(jwks)?;
        self.set(person, owner, keys, still).await
    }

    pub async fn client_keys_delete(
        &self,
        person: &Person,
        owner: SecretOwner,
        still: impl Fn(&[ClientKey]) -> bool,
    ) -> Result<(), Refusal> {
        self.may_rotate(person, owner).await?;
        self.set(person, owner, vec![], still).await.map(drop)
    }

    async fn set(
        &self,
        person: &Person,
        owner: SecretOwner,
        keys: Vec<ClientKey>,
        still: impl Fn(&[ClientKey]) -> bool,
    ) -> Result<Vec<ClientKey>, Refusal> {
        let context = self.context(person.actor(), person.request);
        self.transaction(context, async |tx: &mut Tx| {
            let place = hold(tx, person, owner).await?;
            let old = client_key::list(tx.on(), owner).await?;
            if !still(&old) {
                return Err(Refusal::PreconditionFailed);
            }
            client_key::replace(tx, owner, &keys).await?;
            if let SecretOwner::Runner(id) = owner {
                // A token dies with the key that it was got with; another key under the same name is another.
                let kept = keys.iter().filter(|key| old.contains(key)).map(|key| key.kid.clone());
                access_token::delete_of_other_keys(tx, id, &kept.collect::<Vec<_>>()).await?;
            }
            tx.audit(&changed(owner, place, &old, &keys)).await?;
            Ok(keys)
        })
        .await
    }
}

/// Every fault of every key, told at its place.
fn read(jwks: &[Map<String, Value>]) -> Result<Vec<ClientKey>, Refusal> {
    if !(1..=MAX_CLIENT_KEYS).contains(&jwks.len()) {
        let detail = format!("from 1 to {MAX_CLIENT_KEYS} keys; DELETE takes them away");
        return Err(Refusal::invalid("/keys", "out_of_range", detail));
    }
    let (mut keys, mut faults) = (Vec::<ClientKey>::new(), Vec::new());
    for (index, jwk) in jwks.iter().enumerate() {
        let twice = |key: &ClientKey| keys.iter().any(|other| other.kid == key.kid);
        match vet(jwk) {
            Ok(key) if twice(&key) => {
                faults.push(Fault::new(format!("/keys/{index}/kid"), "repeated", "another key has this `kid`"));
            }
            Ok(key) => keys.push(key),
            Err(fault) => faults.push(fault.within(&format!("/keys/{index}"))),
        }
    }
    if faults.is_empty() { Ok(keys) } else { Err(Refusal::Invalid(faults)) }
}

fn changed(owner: SecretOwner, place: Place, before: &[ClientKey], after: &[ClientKey]) -> Change {
    let (action, subject_kind, subject) = match owner {
        SecretOwner::Runner(id) => ("runner.keys_changed", "runner", id.0),
        SecretOwner::Service(id) => ("service.keys_changed", "service", id.0),
    };
    let shown = |keys: &[ClientKey]| Some(json!({ "keys": keys }).to_string());
    Change { action, subject_kind, subject, place, before: shown(before), after: shown(after), reason: None }
}
