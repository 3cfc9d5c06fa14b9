//! Who presents a credential. A handler names the kind that it takes; a live credential of another
//! kind is told so before anything is looked up for it.

use crate::cache::{Kept, Ticket};
use crate::{App, Refusal};
use jobpass_domain::access_token::RunnerProof;
use jobpass_domain::audit::Actor;
use jobpass_domain::ground::Ground;
use jobpass_domain::ids::{JobTokenId, ServiceId, UserTokenId};
use jobpass_domain::job_token::{JobToken, TokenInfo};
use jobpass_domain::runner::Runner;
use jobpass_domain::service::Service;
use jobpass_domain::token::{self, Kind, Parsed};
use jobpass_domain::user::User;
use jobpass_persistence::caller::{self, ServiceBySecret, UserByToken};
use std::sync::Arc;
use uuid::Uuid;

/// A person, by an API token.
#[derive(Clone, Debug)]
pub struct Person {
    pub user: User,
    pub token: UserTokenId,
    pub read_only: bool,
    /// The request's id, for the audit event.
    pub request: Uuid,
}

#[derive(Clone, Debug)]
pub struct RunnerCaller {
    pub runner: Arc<Runner>,
    pub proof: RunnerProof,
    pub request: Uuid,
}

#[derive(Clone, Debug)]
pub struct ServiceCaller {
    pub service: Arc<Service>,
    pub request: Uuid,
    /// Whether nothing that is kept in memory may be answered (`Cache-Control: no-cache`).
    pub fresh: bool,
    /// As it was proven by a secret; `None`: otherwise.
    pub(crate) kept: Option<Arc<Kept<Arc<Service>>>>,
}

/// The holder of a live job token.
#[derive(Clone, Debug)]
pub struct Holder {
    pub token: JobToken,
    pub info: TokenInfo,
    /// The token as it was presented, for further questions about it.
    pub parsed: Parsed,
    pub request: Uuid,
}

impl Person {
    pub(crate) fn actor(&self) -> Actor {
        Actor::User(self.user.id)
    }
}

impl Holder {
    pub fn id(&self) -> JobTokenId {
        self.token.id
    }
}

impl App {
    pub async fn person(&self, text: &str, request: Uuid) -> Result<Person, Refusal> {
        let parsed = self.expect_kind(text, Kind::User).await?;
        let now = self.now();
        let load = async |ticket: Ticket| {
            let known = caller::user(self.db.read(), parsed.hash, now).await?.ok_or(Refusal::BadCredential)?;
            let (until, grounds) = (known.expires_at, [Ground::User(known.user.id), Ground::UserToken(known.token)]);
            Ok::<_, Refusal>(Kept::new(known, ticket, grounds, until))
        };
        let cache = &self.cache;
        let known = cache.users.get_or_load((parsed.hash, false), &cache.freshness, now, load).await?;
        let UserByToken { ref user, token, read_only, .. } = known.value;
        Ok(Person { user: user.clone(), token, read_only, request })
    }

    pub async fn runner(&self, text: &str, request: Uuid) -> Result<RunnerCaller, Refusal> {
        let parsed = self.expect_kind(text, Kind::Runner).await?;
        let now = self.now();
        let load = async |ticket: Ticket| {
            let found = caller::runner(self.db.read(), parsed.hash, now).await?;
            let (runner, proof, until) = found.ok_or(Refusal::BadCredential)?;
            let grounds = [Ground::Minter(runner.id.0), Ground::Paths];
            Ok::<_, Refusal>(Kept::new((Arc::new(runner), proof), ticket, grounds, until))
        };
        let cache = &self.cache;
        let known = cache.runners.get_or_load((parsed.hash, false), &cache.freshness, now, load).await?;
        let (runner, proof) = known.value.clone();
        Ok(RunnerCaller { runner, proof, request })
    }

    /// `client_id`: what came with the secret; `None` for a secret presented as Bearer.
    pub async fn service(
        &self,
        client_id: Option<&str>,
        secret: &str,
        (request, fresh): (Uuid, bool),
    ) -> Result<ServiceCaller, Refusal> {
        let parsed = self.expect_kind(secret, Kind::Service).await?;
        let id = client_id.map(|text| self::client_id(text).ok_or(Refusal::BadCredential)).transpose()?;
        let now = self.now();
        let load = async |ticket: Ticket| {
            let found = caller::service(self.db.read(), id, parsed.hash, now).await?;
            let ServiceBySecret { service, expires_at } = found.ok_or(Refusal::BadCredential)?;
            let grounds = [Ground::Service(service.id), Ground::Paths];
            Ok::<_, Refusal>(Kept::new(Arc::new(service), ticket, grounds, expires_at))
        };
        let cache = &self.cache;
        let known = cache.services.get_or_load(((id, parsed.hash), fresh), &cache.freshness, now, load).await?;
        Ok(ServiceCaller { service: Arc::clone(&known.value), request, fresh, kept: Some(known) })
    }

    pub async fn holder(&self, text: &str, request: Uuid) -> Result<Holder, Refusal> {
        let parsed = self.expect_kind(text, Kind::Job).await?;
        let now = self.now();
        let loaded = self.load_anew(Some(&parsed), None, false).await?.value;
        let known = loaded.token.filter(|known| known.token.death(now).is_none()).ok_or(Refusal::BadCredential)?;
        Ok(Holder { token: known.token, info: known.info, parsed, request })
    }

    /// A well-formed credential of this kind. One of another kind is `WrongCaller` only while it lives: the
    /// dead are told nothing of what they might have called.
    async fn expect_kind(&self, text: &str, kind: Kind) -> Result<Parsed, Refusal> {
        let parsed = token::parse(text).ok_or(Refusal::BadCredential)?;
        if parsed.kind == kind {
            return Ok(parsed);
        }
        let alive = Box::pin(self.is_live(&parsed)).await?;
        Err(if alive { Refusal::WrongCaller { needs: name(kind) } } else { Refusal::BadCredential })
    }

    async fn is_live(&self, parsed: &Parsed) -> Result<bool, Refusal> {
        let (db, now) = (self.db.read(), self.now());
        Ok(match parsed.kind {
            Kind::User => caller::user(db, parsed.hash, now).await?.is_some(),
            Kind::Runner => caller::runner(db, parsed.hash, now).await?.is_some(),
            Kind::Service => caller::service(db, None, parsed.hash, now).await?.is_some(),
            Kind::Job => {
                let loaded = self.load_anew(Some(parsed), None, false).await?.value;
                loaded.token.is_some_and(|known| known.token.death(now).is_none())
            }
        })
    }
}

/// A client id as it was issued: 32 lower-case hexadecimal digits.
pub fn client_id(text: &str) -> Option<ServiceId> {
    let id = Uuid::try_parse(text).ok()?;
    (id.simple().to_string() == text).then_some(ServiceId(id))
}

const fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Job => "a job token (jpj_)",
        Kind::Runner => "a runner (jpr_)",
        Kind::Service => "a service (client id and jps_ secret)",
        Kind::User => "a user (jpu_)",
    }
}
