//! A client proves itself by a text that it signed (RFC 7521, section 4.2; RFC 7523, sections 2.2 and 3, with the stricter
//! audience of draft-ietf-oauth-rfc7523bis). Each text proves once, on whichever replica.

use crate::client_id;
use crate::jwt::{Claims, Expected, Signed, Unverified};
use crate::{App, Refusal, RunnerCaller, ServiceCaller};
use jobpass_domain::access_token::RunnerProof;
use jobpass_domain::audit::Actor;
use jobpass_domain::client_key::ClientKey;
use jobpass_domain::ids::RunnerId;
use jobpass_domain::live_secret::SecretOwner;
use jobpass_persistence::{Tx, assertion, client_key, runner, service};
use jsonwebtoken::jwk::JwkSet;
use serde_json::json;
use std::sync::Arc;
use time::Duration;
use uuid::Uuid;

/// The longest life of an assertion; some libraries give one an hour unless they are told otherwise.
const MAX_LIFE: Duration = Duration::HOUR;

/// Whose a client assertion says that it is, by the client id in its `sub`; nothing of it is known to be true. `None` for what
/// could prove nobody.
pub fn claimed_client(assertion: &str) -> Option<(String, SecretOwner)> {
    let unverified = Unverified::parse(assertion).ok()?;
    let id = unverified.claimed_subject()?;
    let runner = || Uuid::try_parse(id).ok().filter(|uuid| uuid.to_string() == id).map(RunnerId);
    let owner = client_id(id).map(SecretOwner::Service).or_else(|| runner().map(SecretOwner::Runner))?;
    Some((id.to_owned(), owner))
}

impl App {
    /// The runner that signed this for `issuer`, which is us.
    pub async fn runner_by_assertion(
        &self,
        assertion: &str,
        issuer: &str,
        request: Uuid,
    ) -> Result<RunnerCaller, Refusal> {
        let Some((name, owner @ SecretOwner::Runner(id))) = claimed_client(assertion) else {
            return Err(Refusal::BadCredential);
        };
        let signed = self.signed_by_client(assertion, owner).await?;
        let runner = runner::find(self.db.read(), id).await?.ok_or(Refusal::BadCredential)?;
        let key = self.take_proof(signed, (&name, owner), issuer, request).await?;
        Ok(RunnerCaller { runner: Arc::new(runner), proof: RunnerProof::Key(key), request })
    }

    /// The service that signed this for `issuer`, which is us.
    pub async fn service_by_assertion(
        &self,
        assertion: &str,
        issuer: &str,
        (request, fresh): (Uuid, bool),
    ) -> Result<ServiceCaller, Refusal> {
        let Some((name, owner @ SecretOwner::Service(id))) = claimed_client(assertion) else {
            return Err(Refusal::BadCredential);
        };
        let signed = self.signed_by_client(assertion, owner).await?;
        let service = service::find(self.db.read(), id).await?.filter(|service| !service.paused);
        let service = service.ok_or(Refusal::BadCredential)?;
        self.take_proof(signed, (&name, owner), issuer, request).await?;
        Ok(ServiceCaller { service: Arc::new(service), request, fresh, kept: None })
    }

    /// Which key of this client signed it. One that is not there has no key, as many others; that is found out by as much work, before
    /// anything else is looked at, and told alike: neither answer nor time says who there is.
    async fn signed_by_client(&self, assertion: &str, owner: SecretOwner) -> Result<(Claims, ClientKey), Refusal> {
        let keys = client_key::list(self.db.read(), owner).await?;
        let set = set(&keys)?;
        let signed = Unverified::parse(assertion).and_then(|unverified| unverified.verify(&set));
        let Signed { claims, key, .. } = signed.map_err(|_| Refusal::BadCredential)?;
        let key = keys.into_iter().find(|one| Some(&one.kid) == key.common.key_id.as_ref());
        Ok((claims, key.ok_or(Refusal::BadCredential)?))
    }

    /// By which key it was proven: whoever has the key is told what is wrong.
    async fn take_proof(
        &self,
        (claims, key): (Claims, ClientKey),
        (name, owner): (&str, SecretOwner),
        issuer: &str,
        request: Uuid,
    ) -> Result<ClientKey, Refusal> {
        let expected = Expected { issuer: name, audience: issuer, alone: true, max_life: MAX_LIFE };
        let told = |why: String| Refusal::BadAssertion(why);
        claims.check(&expected, self.now()).map_err(|bad| told(bad.to_string()))?;
        let dead_at = claims.dead_at().map_err(|bad| told(bad.to_string()))?;
        let actor = match owner {
            SecretOwner::Runner(id) => Actor::Runner(id),
            SecretOwner::Service(id) => Actor::Service(id),
        };
        let first = self.transaction(self.context(actor, request), async |tx: &mut Tx| {
            tx.nothing_to_audit();
            Ok(assertion::take(tx, claims.fingerprint(), dead_at).await?)
        });
        if !first.await? {
            return Err(told("was used before".to_owned()));
        }
        Ok(key)
    }
}

/// Keys as the room for signed texts reads them.
fn set(keys: &[ClientKey]) -> Result<JwkSet, Refusal> {
    serde_json::from_value(json!({ "keys": keys })).map_err(|error| Refusal::Internal(format!("a stored key: {error}")))
}
