//! The keys that sign, in memory: what is published is answered from here, and no request for it asks the database.

mod pair;

use crate::{App, EncryptionKey, Refusal};
use jobpass_domain::signing_key::{SigningAlgorithm, SigningKey, signer};
use jobpass_persistence::signing_key::{self, StoredKey};
pub(crate) use pair::KeyPair;
use serde_json::{Map, Value};
use std::sync::{Arc, PoisonError, RwLock};

/// What a server that is given another encryption key says. It neither overwrites nor adds.
const OTHER_KEY: &str = "its signing keys were sealed under another encryption key than the one given; start with that one, by --key or --key-file";

/// An opened key.
#[derive(Clone, Debug)]
pub(crate) struct HeldKey {
    pub(crate) key: SigningKey,
    pub(crate) pair: Arc<KeyPair>,
}

#[derive(Debug, Default)]
pub(crate) struct Keys {
    held: RwLock<Arc<Vec<HeldKey>>>,
}

impl Keys {
    pub(crate) fn held(&self) -> Arc<Vec<HeldKey>> {
        Arc::clone(&self.held.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn hold(&self, keys: Vec<HeldKey>) {
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
    }
}

impl App {
    /// What signs, opened: what was open stays so. Fails when one of them was sealed under another encryption key.
    pub(crate) async fn reload_keys(&self) -> Result<(), Refusal> {
        let stored = signing_key::list(self.db.read()).await?;
        self.open_keys(stored)
    }

    pub(crate) fn open_keys(&self, stored: Vec<StoredKey>) -> Result<(), Refusal> {
        let open = self.keys.held();
        let mut held = Vec::with_capacity(stored.len());
        for StoredKey { key, sealed } in stored {
            let Some(sealed) = sealed else { continue };
            let pair = if let Some(one) = open.iter().find(|one| one.key.id == key.id) {
                Arc::clone(&one.pair)
            } else {
                let private = self.encryption_key()?.open(&sealed, key.id.0.as_bytes());
                let private = private.ok_or_else(|| Refusal::Internal(OTHER_KEY.to_owned()))?;
                Arc::new(KeyPair::open(key.algorithm, &private)?)
            };
            held.push(HeldKey { key, pair });
        }
        self.keys.hold(held);
        Ok(())
    }

    pub(crate) fn encryption_key(&self) -> Result<&EncryptionKey, Refusal> {
        let key = self.settings.encryption_key.as_ref();
        key.ok_or_else(|| Refusal::Internal("no encryption key: this process signs nothing".to_owned()))
    }

    /// The key that signs now.
    pub(crate) fn signer(&self, algorithm: SigningAlgorithm) -> Result<HeldKey, Refusal> {
        let (held, now) = (self.keys.held(), self.now());
        let signing = signer(held.iter().map(|one| &one.key), algorithm, now).map(|key| key.id);
        let found = held.iter().find(|one| Some(one.key.id) == signing).cloned();
        found.ok_or_else(|| Refusal::Unavailable(format!("no key signs {} now", algorithm.name())))
    }

    /// The public keys, as JWKs (RFC 7517, section 5).
    pub fn published_keys(&self) -> Vec<Map<String, Value>> {
        let now = self.now();
        let held = self.keys.held();
        held.iter().filter(|one| one.key.is_published(now)).map(|one| one.pair.jwk(&one.key.kid)).collect()
    }
}
